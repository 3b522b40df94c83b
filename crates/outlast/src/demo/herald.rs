//! Calls out what the engine itself noticed: a store falls, is tried again, is trusted again, has everything.

use super::score::Score;
use super::snapshot::{Snapshot, StoreNow};
use std::collections::BTreeMap;

#[derive(Default)]
pub struct Herald {
    last: Vec<StoreNow>,
    /// Stores that fell and have not caught up yet: the most that each was owed.
    fallen: BTreeMap<String, u64>,
}

impl Herald {
    /// Compares with the last look and tells what has changed.
    pub fn look(&mut self, now: &Snapshot, score: &Score) {
        for words in self.changes(&now.stores) {
            score.event(words);
        }
    }

    fn changes(&mut self, stores: &[StoreNow]) -> Vec<String> {
        let mut words = Vec::new();
        for now in stores {
            let Some(before) = self.last.iter().find(|before| before.name == now.name) else { continue };
            words.extend(standing_words(before, now));
            if now.standing != "up" {
                let owed = self.fallen.entry(now.name.clone()).or_default();
                *owed = now.owed_objects.max(*owed);
            } else if now.owed_objects == 0
                && let Some(owed) = self.fallen.remove(&now.name)
            {
                words.push(format!("{} has caught up: it was owed {owed} objects", now.name));
            }
        }
        self.last = stores.to_vec();
        words
    }
}

fn standing_words(before: &StoreNow, now: &StoreNow) -> Option<String> {
    let name = &now.name;
    let changed = before.standing != now.standing || (now.standing == "down" && before.reason != now.reason);
    changed.then(|| match now.standing.as_str() {
        "down" => format!("outlast finds {name} down: {}", now.reason),
        "trial" => format!("outlast finds that {name} answers again, and puts it on trial"),
        _ => format!("outlast finds {name} well: it is up"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store(standing: &str, reason: &str, owed: u64) -> StoreNow {
        StoreNow {
            name: "two".into(),
            standing: standing.into(),
            reason: reason.into(),
            copies: 0,
            owed_objects: owed,
            owed_bytes: 0,
            arrival_ms: None,
        }
    }

    #[test]
    fn only_changes_are_told() {
        let mut herald = Herald::default();
        let mut check = |now: StoreNow, told: &[&str]| assert_eq!(herald.changes(&[now]), told);
        check(store("up", "", 0), &[]);
        check(store("up", "", 3), &[]);
        check(store("up", "", 0), &[]);
        check(store("down", "silent", 3), &["outlast finds two down: silent"]);
        check(store("down", "silent", 4), &[]);
        check(store("down", "refused", 9), &["outlast finds two down: refused"]);
        check(store("trial", "refused", 8), &["outlast finds that two answers again, and puts it on trial"]);
        check(store("up", "", 5), &["outlast finds two well: it is up"]);
        check(store("up", "", 0), &["two has caught up: it was owed 9 objects"]);
        check(store("up", "", 0), &[]);
    }
}
