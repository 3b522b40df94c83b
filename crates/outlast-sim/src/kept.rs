//! What of others and of rolled-back writes must still lie somewhere (P6): judged from the stores alone.

use crate::client::{carried, key_of};
use crate::place::Place;
use crate::plan::{BUCKETS, KEYS, Kind};
use bytes::Bytes;
use outlast_rules::{Head, KeyState, WriteId, name_hash, trash_name};
use outlast_store::At;
use std::collections::BTreeSet;

const CONFLICTS: &str = ".outlast/conflicts/";

/// What lay on stores and may only be moved.
#[derive(Default)]
pub struct Kept {
    /// Somebody else's objects in the first bucket: store, key, bytes.
    pub foreign: Vec<(usize, usize, Bytes)>,
    /// Copies of rolled-back writes under keys without any entry: store, key, write.
    leftovers: BTreeSet<(usize, usize, WriteId)>,
    /// Conflicts that were looked at: store and name.
    conflicts: BTreeSet<(usize, String)>,
}

impl Kept {
    /// Remembers the copies of rolled-back writes, as long as no entry gives anybody the right to replace them.
    pub fn remember(&mut self, places: &[Place], key: usize, state: &KeyState) {
        if state.entry.is_some() || !state.intents.is_empty() || KEYS[key].0 != 0 {
            self.leftovers.retain(|(_, of, _)| *of != key);
            return;
        }
        let (bucket, name) = key_of(key);
        for (n, place) in places.iter().enumerate().filter(|(_, place)| place.kind != Kind::A) {
            for copy in place.memory.lying(&At::new(bucket.as_str(), name.as_str())) {
                let ours = copy.found.dress.stamp.filter(|stamp| stamp.name == name_hash(&bucket, &name));
                self.leftovers.extend(ours.map(|stamp| (n, key, stamp.write)));
            }
        }
    }

    /// What is put aside as somebody else's is not a copy of the entry of that moment, with or without its stamp.
    pub fn judge_conflicts(&mut self, places: &[Place], key: usize, state: &KeyState) -> Result<(), String> {
        let (bucket, name) = key_of(key);
        for (n, place) in places.iter().enumerate() {
            let of_key = |record: &String| record.starts_with(CONFLICTS) && record.ends_with(&format!("/{name}"));
            for record in place.memory.shown(bucket.as_str()).into_iter().filter(of_key) {
                let copies = place.memory.lying(&At::new(bucket.as_str(), &record));
                if !self.conflicts.insert((n, record)) {
                    continue;
                }
                let of_entry = |head: &Head| state.object().is_some_and(|entry| carried(&entry.head) == carried(head));
                if copies.iter().any(|copy| of_entry(&copy.found.dress.head)) {
                    return Err(format!("P6: {} took a copy of the entry for somebody else's", place.name));
                }
            }
        }
        Ok(())
    }

    /// At the end: nothing of it was destroyed.
    pub fn judge(&self, places: &[Place]) -> Result<(), String> {
        let bucket = BUCKETS[0];
        for (store, key, write) in &self.leftovers {
            let (bucket, name) = key_of(*key);
            let memory = &places[*store].memory;
            let lies = memory.lying(&At::new(bucket.as_str(), name.as_str()));
            let in_trash = memory.lying(&At::new(bucket.as_str(), trash_name(&bucket, &name, *write)));
            let is_it = |stamp: &outlast_rules::Stamp| stamp.write == *write;
            if !lies.iter().any(|copy| copy.found.dress.stamp.as_ref().is_some_and(is_it)) && in_trash.is_empty() {
                return Err(format!(
                    "P6: a copy of {} that no entry knew was destroyed on {}",
                    name, places[*store].name
                ));
            }
        }
        // What a store without fences lets us overwrite between our look and our call is the documented gap.
        let fenced = |store: &usize| !matches!(places[*store].kind, Kind::Refuser | Kind::Liar);
        for (store, key, bytes) in self.foreign.iter().filter(|(store, _, _)| fenced(store)) {
            let memory = &places[*store].memory;
            let names = memory.shown(bucket).into_iter().filter(|name| name.starts_with(CONFLICTS));
            let mut lying =
                names.chain([KEYS[*key].1.to_owned()]).flat_map(|name| memory.lying(&At::new(bucket, name)));
            if !lying.any(|copy| copy.bytes == *bytes) {
                let (name, store) = (KEYS[*key].1, &places[*store].name);
                return Err(format!("P6: somebody else's {name} was destroyed on {store}"));
            }
        }
        Ok(())
    }
}
