//! Work owed to one store for one key. Durable and coalescing: only the newest truth is owed.

use crate::{BucketName, Entry, Key, Moment, Seq, StoreName};
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DebtKind {
    /// HEAD first; what is found decides.
    Look,
    /// The store lacks the entry's bytes.
    Copy,
    /// The copy there has the right stamp and wrong bytes: it is written anew.
    Rewrite,
    /// The entry is a tombstone; the store may still have the key.
    Remove,
}

/// One row of the journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Debt {
    pub store: StoreName,
    pub bucket: BucketName,
    pub key: Key,
    pub kind: DebtKind,
    /// Of the entry that is owed; 0 where only a look is owed and no entry is known.
    pub seq: Seq,
    /// Bytes to move, for the lag and the time of arrival.
    pub size: u64,
    /// Since when this store has been behind for this key.
    pub since: Moment,
    /// Not before; set after an attempt that could not be finished.
    pub not_before: Moment,
    pub attempts: u32,
}

impl Debt {
    /// What `store` is owed for a key from now on. `of`: the entry that is owed; None where there is none.
    pub fn begin(
        store: &StoreName,
        bucket: &BucketName,
        key: &Key,
        kind: DebtKind,
        of: Option<&Entry>,
        now: Moment,
    ) -> Debt {
        Debt {
            store: store.clone(),
            bucket: bucket.clone(),
            key: key.clone(),
            kind,
            seq: of.map_or(Seq(0), |entry| entry.seq),
            size: of.map_or(0, |entry| entry.size),
            since: now,
            not_before: now,
            attempts: 0,
        }
    }
}
