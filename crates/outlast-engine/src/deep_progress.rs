//! How far each store's deep scrub is: for status, and to go on there after a restart.

use outlast_rules::{Account, BucketName, Key, Moment, StoreName};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Mutex;

/// One pass over everything that a store holds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeepRound {
    pub began: Moment,
    /// None: it is still running.
    pub ended: Option<Moment>,
    pub objects: u64,
    pub bytes: u64,
    /// Copies whose bytes were not those that were written.
    pub bad: u64,
    /// Copies that could not be read to the end for another reason.
    pub unread: u64,
    /// Adopted objects that got digests.
    pub digested: u64,
}

/// What the ledger remembers of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct DeepProgress {
    pub bucket: Option<BucketName>,
    pub after: Option<Key>,
    pub now: DeepRound,
    pub last: Option<DeepRound>,
    pub account: Account,
}

/// What status shows, store by store.
#[derive(Debug, Default)]
pub(crate) struct DeepRounds(Mutex<BTreeMap<StoreName, (DeepRound, Option<DeepRound>)>>);

impl DeepRounds {
    pub fn show(&self, store: &StoreName, progress: &DeepProgress) {
        let mut rounds = self.0.lock().expect("no code panics while it holds the rounds");
        rounds.insert(store.clone(), (progress.now.clone(), progress.last.clone()));
    }

    /// The round that runs, and the one before it.
    pub fn of(&self, store: &StoreName) -> Option<(DeepRound, Option<DeepRound>)> {
        self.0.lock().expect("no code panics while it holds the rounds").get(store).cloned()
    }
}
