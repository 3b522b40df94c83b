//! What ledger and stores say of one key, in a few lines: what a person needs beside the story to see what went wrong.

use crate::client::carried;
use outlast_rules::{Entry, Fence, KeyState, Stamp};
use outlast_store::Lying;
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// Requests are called by the numbers that their objects carry; a write without an object by the start of its id.
fn name(entry: &Entry) -> String {
    if entry.is_object() {
        format!("#{}", carried(&entry.head))
    } else {
        format!("tombstone {}", short(&entry.write.to_string()))
    }
}

fn short(id: &str) -> &str {
    id.get(..6).unwrap_or(id)
}

fn fence(fence: Option<&Fence>) -> String {
    match fence {
        None => "no fence".to_owned(),
        Some(Fence::Absent) => "if absent".to_owned(),
        Some(Fence::Matches(etag)) => format!("if {}", short(etag.trim_matches('"'))),
    }
}

fn copy(lying: &Lying) -> String {
    let stamp = match &lying.found.dress.stamp {
        Some(Stamp { write, .. }) => format!("write {}", short(&write.to_string())),
        None => "no stamp".to_owned(),
    };
    let etag = short(lying.found.pin.etag.trim_matches('"'));
    let old = if lying.is_current { "" } else { ", noncurrent" };
    format!("#{} ({stamp}, etag {etag}{old})", carried(&lying.found.dress.head))
}

/// One line for the ledger, one for each store that shows anything.
pub fn portrait(key: &str, state: &KeyState, stores: &BTreeMap<String, Vec<Lying>>) -> Vec<String> {
    let mut ledger = format!("[{key}] ");
    let mut say = |words: String| write!(ledger, "{words}; ").expect("a string takes everything");
    match &state.entry {
        Some(entry) => {
            let holders: Vec<String> = entry.holders.keys().map(ToString::to_string).collect();
            say(format!(
                "entry {} (write {}) on [{}]",
                name(entry),
                short(&entry.write.to_string()),
                holders.join(" ")
            ));
            if !entry.predecessors.is_empty() {
                say(format!("{} predecessors", entry.predecessors.len()));
            }
        }
        None => say("no entry".to_owned()),
    }
    for intent in &state.intents {
        say(format!("undecided {} (write {})", name(&intent.entry), short(&intent.entry.write.to_string())));
    }
    for mark in &state.marks {
        let write = mark.write.to_string();
        say(format!("mark on {} of write {} {}", mark.store, short(&write), fence(mark.fence.as_ref())));
    }
    for debt in &state.debts {
        say(format!("{} is owed a {}", debt.store, format!("{:?}", debt.kind).to_lowercase()));
    }
    for write in &state.spooled {
        say(format!("spooled: write {}", short(&write.to_string())));
    }
    let shown = stores.iter().filter(|(_, copies)| !copies.is_empty());
    let shown = shown.map(|(store, copies)| {
        format!("[{key}]   {store}: {}", copies.iter().map(copy).collect::<Vec<_>>().join(", "))
    });
    std::iter::once(ledger.trim_end_matches("; ").to_owned()).chain(shown).collect()
}
