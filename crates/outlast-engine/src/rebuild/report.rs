//! What a rebuild found, how, and what only clocks could decide.

use super::recall::Recall;
use outlast_rules::{Epoch, Moment};
use serde::{Deserialize, Serialize};

/// Lines kept of each kind; beyond it they are only counted.
const LINES_MAX: usize = 200;

/// Things of one kind: all are counted, the first are named.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Named {
    pub count: u64,
    pub first: Vec<String>,
}

impl Named {
    pub(crate) fn add(&mut self, line: impl FnOnce() -> String) {
        self.count += 1;
        if self.first.len() < LINES_MAX {
            self.first.push(line());
        }
    }

    pub(crate) fn take_in(&mut self, other: Named) {
        self.count += other.count;
        let room = LINES_MAX.saturating_sub(self.first.len());
        self.first.extend(other.first.into_iter().take(room));
    }
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RebuildReport {
    pub installation: String,
    pub epoch: Option<Epoch>,
    pub dry_run: bool,
    pub began: Moment,
    pub took_ms: u64,
    /// What was shipped of the lost ledger; None: there was no key for it, or nothing was there.
    pub recall: Option<Recall>,
    pub recall_ms: u64,
    /// Order, tombstone and bucket tombstone records on the stores.
    pub records: u64,
    /// Of these, read one by one: the lost ledger had not told of them.
    pub records_read: u64,
    pub buckets: u64,
    pub buckets_gone: u64,
    /// Keys that were looked at, on any store or in what was shipped.
    pub keys: u64,
    pub keys_ms: u64,
    pub objects: u64,
    pub bytes: u64,
    pub tombstones: u64,
    /// Keys that needed nothing but the listings: they are as the lost ledger said.
    pub from_listings: u64,
    /// Keys whose copies were asked for, one HEAD for each copy.
    pub asked: u64,
    pub heads: u64,
    /// Entries that what was shipped did not know, or knew otherwise: newer, or all there is.
    pub entries_from_stores: u64,
    /// Copies that stores are owed now; looks among them.
    pub owed: u64,
    /// Objects that stand on fewer places than their bucket wants, until catch-up has paid.
    pub below_min: Named,
    /// Objects that the lost ledger knew and that no store has. They stay entries: reads say so, and a store that comes back
    /// with one is asked.
    pub without_copy: Named,
    /// Entries whose ETag is not known: their stores do not keep it. Clients see another one than before.
    pub etags_made: u64,
    /// Copies of writes that were known to be rolled back: not counted.
    pub rolled_back: u64,
    /// Copies without our stamp that no entry knows: left alone.
    pub foreign: Named,
    /// Names that no client could have asked for.
    pub unreadable: Named,
    /// Copies of records that cannot be read: what only they tell, a delete say, is missing.
    #[serde(default)]
    pub unreadable_records: Named,
    /// Uploads that clients had begun and not completed. They begin anew.
    pub uploads: u64,
    pub by_clocks: ByClocks,
}

/// What no order among writes could say.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ByClocks {
    /// Copies that a listing showed with the size and ETag that were told, and that were older than the snapshot by the store's
    /// clock: taken to be the same without asking.
    pub unchanged: u64,
    /// Entries whose Last-Modified is the store's and not the one that clients were told.
    pub modified: u64,
    /// Keys of which only writes were found that nobody was told had succeeded: the newest by the stores' clocks was taken.
    pub newest: Named,
    /// Buckets of which neither records nor objects say whether they are.
    pub buckets: Named,
}

impl RebuildReport {
    /// Is everything as it was when the ledger was lost, as far as anybody can know?
    pub fn is_whole(&self) -> bool {
        [&self.without_copy, &self.unreadable_records, &self.by_clocks.newest, &self.by_clocks.buckets]
            .iter()
            .all(|found| found.count == 0)
    }

    pub(crate) fn take_in(&mut self, other: RebuildReport) {
        self.keys += other.keys;
        self.objects += other.objects;
        self.bytes += other.bytes;
        self.tombstones += other.tombstones;
        self.from_listings += other.from_listings;
        self.asked += other.asked;
        self.heads += other.heads;
        self.entries_from_stores += other.entries_from_stores;
        self.owed += other.owed;
        self.below_min.take_in(other.below_min);
        self.without_copy.take_in(other.without_copy);
        self.etags_made += other.etags_made;
        self.rolled_back += other.rolled_back;
        self.foreign.take_in(other.foreign);
        self.unreadable.take_in(other.unreadable);
        self.unreadable_records.take_in(other.unreadable_records);
        self.by_clocks.unchanged += other.by_clocks.unchanged;
        self.by_clocks.modified += other.by_clocks.modified;
        self.by_clocks.newest.take_in(other.by_clocks.newest);
        self.by_clocks.buckets.take_in(other.by_clocks.buckets);
    }
}
