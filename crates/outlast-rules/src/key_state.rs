//! Everything that is known of one key at one moment: what decisions about it are made from.

use crate::{Debt, Entry, Intent, Mark, Seen, Seq, StoreName, WriteId};
use std::collections::BTreeMap;

/// Everything the ledger knows about one key, read in one go.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct KeyState {
    pub entry: Option<Entry>,
    /// Undecided writes, oldest first.
    pub intents: Vec<Intent>,
    pub marks: Vec<Mark>,
    pub seen: BTreeMap<StoreName, Seen>,
    pub debts: Vec<Debt>,
    /// The write whose whole body the fsynced spool holds: the entry's, or an undecided one's.
    pub spooled: Vec<WriteId>,
}

impl KeyState {
    /// The entry if it is an object: what clients may see.
    pub fn object(&self) -> Option<&Entry> {
        self.entry.as_ref().filter(|entry| entry.is_object())
    }

    pub fn marks_on<'a>(&'a self, store: &'a StoreName) -> impl Iterator<Item = &'a Mark> + 'a {
        self.marks.iter().filter(move |mark| &mark.store == store)
    }

    /// The highest seq that any write of this key has.
    pub fn newest_seq(&self) -> Option<Seq> {
        self.intents.iter().map(|i| i.entry.seq).chain(self.entry.iter().map(|e| e.seq)).max()
    }
}
