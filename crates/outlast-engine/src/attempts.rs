//! Attempts at parts that were not answered: what they carried may still land over what came after (protocol.md 5, "holds").

use outlast_rules::{Moment, StoreName};
use std::collections::BTreeMap;
use std::sync::Mutex;

/// Of this process. As many as calls of parts are unanswered; each is forgotten when its store's settle time is over.
#[derive(Default)]
pub(crate) struct Attempts(Mutex<BTreeMap<Slot, Vec<Attempt>>>);

/// One part number of one native upload.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Slot {
    pub native: String,
    pub number: u32,
    pub store: StoreName,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Attempt {
    /// What it carries.
    etag: String,
    /// When it can land no more; None: its call is still out.
    until: Option<Moment>,
}

impl Attempts {
    pub fn begin(&self, slot: &Slot, etag: &str) {
        let attempt = Attempt { etag: etag.to_owned(), until: None };
        self.with(|all| all.entry(slot.clone()).or_default().push(attempt));
    }

    /// Its call has ended. `until`: it was not answered, and may land until then.
    pub fn end(&self, slot: &Slot, etag: &str, until: Option<Moment>) {
        self.with(|all| {
            let Some(attempts) = all.get_mut(slot) else { return };
            let own = attempts.iter().position(|attempt| attempt.until.is_none() && attempt.etag == etag);
            match (own, until) {
                (Some(own), Some(_)) => attempts[own].until = until,
                (Some(own), None) => drop(attempts.remove(own)),
                (None, _) => {}
            }
            if attempts.is_empty() {
                all.remove(slot);
            }
        });
    }

    /// May bytes other than these still land there?
    pub fn is_uncertain(&self, slot: &Slot, etag: &str, now: Moment) -> bool {
        self.with(|all| {
            all.retain(|_, attempts| {
                attempts.retain(|attempt| attempt.until.is_none_or(|until| until > now));
                !attempts.is_empty()
            });
            all.get(slot).is_some_and(|attempts| attempts.iter().any(|attempt| attempt.etag != etag))
        })
    }

    fn with<T>(&self, change: impl FnOnce(&mut BTreeMap<Slot, Vec<Attempt>>) -> T) -> T {
        change(&mut self.0.lock().expect("no code panics while it holds the attempts"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_still_land_is_known_and_forgotten_in_time() {
        let attempts = Attempts::default();
        let slot = |number| Slot { native: "u".into(), number, store: StoreName::parse("s").unwrap() };
        let uncertain = |etag: &str, now| attempts.is_uncertain(&slot(1), etag, Moment(now));
        attempts.begin(&slot(1), "x");
        assert!(uncertain("y", 0) && !uncertain("x", 0), "its own bytes do no harm");
        assert!(!attempts.is_uncertain(&slot(2), "y", Moment(0)));
        attempts.end(&slot(1), "x", None);
        assert!(!uncertain("y", 0), "it was answered");
        attempts.begin(&slot(1), "x");
        attempts.begin(&slot(1), "x");
        attempts.end(&slot(1), "x", Some(Moment(100)));
        attempts.end(&slot(1), "x", None);
        assert!(uncertain("y", 99), "of two alike one was not answered");
        assert!(!uncertain("y", 100));
        assert!(attempts.with(|all| all.is_empty()), "nothing is left behind");
    }
}
