//! What an adoption found and did, counted as it goes: bounded, whatever the bucket holds.

use crate::native_bucket::NativeError;
use crate::owed::Owed;
use crate::seats::Seat;
use outlast_ledger::LedgerError;
use outlast_rules::{BucketName, Key, StoreName};
use outlast_store::{ListedCopy, StoreError};
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Names kept of each kind; beyond it they are only counted.
const NAMES_MAX: usize = 1_000;

#[derive(Debug, Default, Clone, Serialize, PartialEq)]
pub struct AdoptReport {
    pub bucket: String,
    /// The sources, with commas between them.
    pub from: String,
    pub adopted: u64,
    pub bytes: u64,
    /// Known to the ledger already, and as it was: an earlier adoption was interrupted.
    pub known: u64,
    /// Known, and written on a source by its owner since: taken as they are now.
    pub changed: u64,
    /// Known, and not on a source any more that had it. They stay entries; where another store has them, they come back.
    pub vanished: u64,
    /// By source: new objects that it lists.
    pub listed: BTreeMap<StoreName, Owed>,
    /// Objects that more than one source has, equal on them: each counts as a copy at once.
    pub equal: u64,
    /// Equal copies that lack headers which the truth has: their bytes count, and the store alone would not show these headers.
    pub undressed: u64,
    /// Objects of which some source has another: the first source's is the truth, the other is kept as a conflict copy.
    pub differing: u64,
    /// In a plan: objects as large on several sources that only their bytes can tell apart. Taking over reads them.
    pub unsure: u64,
    pub unsure_bytes: u64,
    /// Copies that the other stores are owed.
    pub owed: u64,
    /// By store: what it is to get.
    pub missing: BTreeMap<StoreName, Owed>,
    /// By source: what is read from it for that, where the cheapest is taken.
    pub reads: BTreeMap<StoreName, Owed>,
    /// The first keys that differ, and where.
    pub conflicts: Vec<String>,
    /// The first keys that were gone while we looked, or being written; run it again for them.
    pub skipped: Vec<String>,
    /// The first names that no client could ask for.
    pub unreadable: Vec<String>,
    /// Names that the lists above had no room for.
    pub unlisted: u64,
    pub dry_run: bool,
}

impl AdoptReport {
    pub(crate) fn unreadable(&mut self, key: String) {
        self.unlisted += keep(&mut self.unreadable, key);
    }

    pub(crate) fn skipped(&mut self, key: &Key) {
        self.unlisted += keep(&mut self.skipped, key.to_string());
    }

    /// A key that the ledger does not know, as the sources list it.
    pub(crate) fn listed(&mut self, sources: &[Arc<Seat>], copies: &[Option<ListedCopy>]) {
        for (seat, copy) in sources.iter().zip(copies) {
            if let Some(copy) = copy {
                self.listed.entry(seat.name.clone()).or_default().add(copy.size);
            }
        }
    }

    /// One object taken over. `cost`: of a GiB read there.
    #[allow(clippy::too_many_arguments, reason = "one object with all that was found of it")]
    pub(crate) fn taken(
        &mut self,
        key: &Key,
        size: u64,
        holders: &[StoreName],
        differing: &[StoreName],
        unsure: &[StoreName],
        stores: &[StoreName],
        cost: impl Fn(&StoreName) -> f64,
    ) {
        self.bytes += size;
        self.equal += u64::from(holders.len() > 1);
        self.differing += u64::from(!differing.is_empty());
        if !unsure.is_empty() {
            self.unsure += 1;
            self.unsure_bytes += size * (1 + unsure.len() as u64);
        }
        if !differing.is_empty() {
            let names = |list: &[StoreName]| list.iter().map(|store| store.as_str()).collect::<Vec<_>>().join(", ");
            let line = format!("{key}: {} has another than {}", names(differing), names(holders));
            self.unlisted += keep(&mut self.conflicts, line);
        }
        let cheapest = holders.iter().min_by(|a, b| cost(a).total_cmp(&cost(b)));
        // What is not sure yet may turn out equal: then nothing is owed there.
        let lacking = stores.iter().filter(|store| !holders.contains(store) && !unsure.contains(store));
        for store in lacking {
            self.owed += 1;
            self.missing.entry(store.clone()).or_default().add(size);
            if let Some(source) = cheapest {
                self.reads.entry(source.clone()).or_default().add(size);
            }
        }
    }
}

/// 1: there was no room.
fn keep(list: &mut Vec<String>, line: String) -> u64 {
    if list.len() < NAMES_MAX {
        list.push(line);
        return 0;
    }
    1
}

#[derive(Debug, thiserror::Error)]
pub enum AdoptError {
    #[error("no store is called {0}")]
    NoStore(String),
    #[error("the store {store} is not in the placement of {bucket}")]
    NotPlaced { store: StoreName, bucket: BucketName },
    #[error("no bucket can be called {0} here: {1}")]
    Claimed(BucketName, String),
    #[error("{0} has no native bucket {1}")]
    NoNativeBucket(StoreName, String),
    #[error("the bucket {0} is served already: nothing was changed")]
    Serving(BucketName),
    #[error("the bucket {0} is being adopted already; ask again when that has ended")]
    Running(BucketName),
    #[error("the bucket {0} is being deleted")]
    Leaving(BucketName),
    /// A native bucket cannot be made yet; the words say why, and for how long.
    #[error("{0}")]
    Closed(String),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

impl From<NativeError> for AdoptError {
    fn from(error: NativeError) -> AdoptError {
        match error {
            NativeError::Store(error) => error.into(),
            NativeError::Ledger(error) => error.into(),
            NativeError::Closed(why) => AdoptError::Closed(why),
        }
    }
}
