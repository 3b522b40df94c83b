//! `freeze` and `thaw`: nothing is removed from any store while somebody finds out what is going on.

use crate::cli::ThawArgs;
use crate::config::{count_text, size_text};
use crate::exit::{Ending, Failure};
use crate::question::consent;
use crate::running::order;
use crate::source::Source;
use crate::told::date;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

pub async fn freeze(source: &Source) -> Result<Ending, Failure> {
    let _since: u64 = order(source, "/admin/freeze", serde_json::json!({}), false).await?;
    println!("frozen: deletes are acknowledged, and nothing is removed from any store until: outlast thaw");
    Ok(Ending::Good)
}

pub async fn thaw(args: &ThawArgs, source: &Source) -> Result<Ending, Failure> {
    let held: HeldBack = order(source, "/admin/held-back", serde_json::json!({}), args.json).await?;
    let words = words_of(&held);
    if args.json {
        println!("{}", serde_json::to_string_pretty(&held).expect("counts are plain data"));
    } else if args.dry_run {
        println!("{words}");
    }
    if args.dry_run || held.since.is_none() {
        if !args.json && !args.dry_run {
            println!("{words}");
        }
        return Ok(Ending::Good);
    }
    if held.is_something() && !args.yes {
        consent(&format!("{words}.\nThaw?"))?;
    }
    let () = order(source, "/admin/thaw", serde_json::json!({}), args.json).await?;
    if !args.json {
        println!("thawed: what was held back is removed from now on");
    }
    Ok(Ending::Good)
}

fn words_of(held: &HeldBack) -> String {
    let Some(since) = held.since else { return "nothing is frozen: there is nothing to thaw".to_owned() };
    let since = date(since);
    if !held.is_something() {
        return format!("frozen since {since}, and nothing is held back");
    }
    let mut parts: Vec<String> = held
        .removals
        .iter()
        .map(|(store, objects)| format!("{} from {store}", count_text(*objects, "object")))
        .collect();
    if held.trash_objects > 0 {
        let (objects, bytes) = (count_text(held.trash_objects, "object"), size_text(held.trash_bytes));
        parts.push(format!("{objects} ({bytes}) of the trash, whose time is over"));
    }
    format!("held back since {since}, and removed after a thaw: {}", parts.join(", "))
}

/// What the gateway says that a thaw lets go.
#[derive(Debug, Deserialize, Serialize)]
struct HeldBack {
    since: Option<u64>,
    removals: BTreeMap<String, u64>,
    trash_objects: u64,
    trash_bytes: u64,
}

impl HeldBack {
    fn is_something(&self) -> bool {
        !self.removals.is_empty() || self.trash_objects > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_what_is_held_back() {
        let mut held = HeldBack { since: None, removals: BTreeMap::new(), trash_objects: 0, trash_bytes: 0 };
        assert!(words_of(&held).contains("nothing to thaw"));
        held.since = Some(2_000);
        assert_eq!(words_of(&held), "frozen since 1970-01-01T00:00:02Z, and nothing is held back");
        held.removals.insert("nas".to_owned(), 1);
        held.trash_objects = 2;
        let words = words_of(&held);
        assert!(words.contains("1 object from nas") && words.contains("2 objects"), "{words}");
    }
}
