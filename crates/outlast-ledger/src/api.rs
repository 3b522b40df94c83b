//! What a ledger promises, at the level of typed batches and pages, so that an embedded one and a shared one can both keep it.

use crate::bucket::Bucket;
use crate::shipped::{Row, RowPlace};
use async_trait::async_trait;
use outlast_rules::{
    BlockMap, BucketName, CallId, Checksum, ChecksumKind, Debt, Digests, Entry, Head, Intent, Key, KeyState, Mark,
    Moment, Pin, Powers, Seen, Seq, Shelf, StoreName, Trashed, WriteId,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A page of any kind has at most this many rows: ten times what S3 lists at once, and a few megabytes at most.
pub const PAGE_ROWS_MAX: usize = 10_000;

/// Counting goes no further: a number this large says enough, and counting it costs milliseconds.
pub const UNSHIPPED_COUNT_MAX: u64 = 100_000;

/// Why the ledger did not do what it was asked.
#[derive(Debug, Clone, thiserror::Error)]
pub enum LedgerError {
    /// A write or fsync failed; what is on the disk is not known. Nothing is acknowledged until it is reopened.
    #[error("the ledger must be reopened: {why}")]
    MustReopen { why: String },
    /// The disk is full; nothing of this batch was kept, and the ledger goes on.
    #[error("the ledger's disk is full: {why}")]
    Full { why: String },
    /// The ledger is closing; nothing of this batch was kept.
    #[error("the ledger is closed")]
    Closed,
    /// The batch asserts something that does not hold (a seq that goes back, a bucket that is not empty) or that no ledger can
    /// hold; nothing of it was kept, other batches are not touched, and the ledger goes on.
    #[error("the ledger refuses this batch: {why}")]
    Refused { why: String },
    /// What was read is not what a ledger holds.
    #[error("the ledger is damaged: {why}")]
    Damaged { why: String },
    /// Another process has it open.
    #[error("the ledger at {path} is in use by another process")]
    InUse { path: String },
}

/// One change. A batch is applied whole or not at all, in order, and is durable when `commit` returns.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// A write begins. Its marks are changes of the same batch. Said again for the same write, it replaces that intent.
    BeginWrite(Box<Intent>),
    /// The spool now holds the intent's whole body, fsynced.
    IntentSpooled {
        bucket: BucketName,
        key: Key,
        write: WriteId,
    },
    /// The write is decided or superseded: its intent goes. Its marks and its spooled body stay until they are ended by name.
    EndWrite {
        bucket: BucketName,
        key: Key,
        write: WriteId,
    },
    /// Said again for the same call, it replaces that mark.
    AddMark(Mark),
    /// A certain answer to that call came. Nothing happens when the mark is gone already.
    DropMark {
        call: CallId,
    },
    /// Every mark of these stores counts anew from `now` (a restart, a silence); one that starts later already stays.
    RestartMarks {
        stores: Vec<StoreName>,
        now: Moment,
    },
    /// A mark of this key there was last left unanswered at `now`: all marks of the key there count anew from then.
    RestartKeyMarks {
        bucket: BucketName,
        key: Key,
        store: StoreName,
        now: Moment,
    },

    /// The new truth of a key. Digests of older writes of the key go (`digests: None` for the same write keeps what is there).
    /// Refused when the key's entry has a higher seq, or the same seq and another write. Each holder of an object counts as
    /// seen there with its pin; what was last seen on other stores stays. Intents, marks, debts and the spool are not touched:
    /// the batch says itself what of them goes. Whether the bucket serves is not judged here.
    SetEntry {
        bucket: BucketName,
        key: Key,
        entry: Box<Entry>,
        digests: Option<Digests>,
    },
    /// The tombstone may go (protocol.md 4); only if the entry is still this write, else nothing happens. Refused when that
    /// write is an object. What was last seen of the key goes too.
    DropEntry {
        bucket: BucketName,
        key: Key,
        write: WriteId,
    },
    /// Digests of an undecided write (they become the entry's with it), or found later (deep scrub, adopt); only while the
    /// write is the entry's or undecided. They go with `EndWrite` unless the entry is that write by then.
    SetDigests {
        bucket: BucketName,
        key: Key,
        write: WriteId,
        digests: Digests,
    },
    /// A call of `write` left a copy named `pin` on `store`: seen is updated, the call's mark (if any) goes, and
    /// if the entry is this write and the copy is safe from all other marks there, the store becomes a holder and its debt
    /// is settled; otherwise it is owed a look (protocol.md 2.5, counter-example 7). Judged inside the transaction.
    ///
    /// Where the write is a delete, what it leaves is absence: seen is "absent", by that write.
    /// Where the entry is another write and the store is not pinned, the store is a holder of the entry no more: what landed
    /// may lie on top of it; the look decides. If the write is undecided, its intent's `holders` gathers the pin, safe or not.
    /// Where the entry was adopted from this store, its copy has a stamp now: `adopted_from` names it no more.
    Landed {
        bucket: BucketName,
        key: Key,
        store: StoreName,
        write: WriteId,
        pin: Pin,
        powers: Powers,
        call: Option<CallId>,
        now: Moment,
    },
    /// The store was seen without a right copy: no holder any more, only if the entry is this write. What it is owed, and
    /// what was seen instead, the batch says by `Owe` and `SetSeen`.
    NotHolder {
        bucket: BucketName,
        key: Key,
        store: StoreName,
        write: WriteId,
    },
    /// The store leaves, and with it its copy: no holder any more, and nothing owed to it, only if the entry is this write, no
    /// write of the key is undecided, and at least `floor` of `others` are holders that are owed nothing for this key. Else
    /// nothing happens. Judged inside the transaction: two stores can't leave on each other's word.
    Leave {
        bucket: BucketName,
        key: Key,
        store: StoreName,
        write: WriteId,
        others: Vec<StoreName>,
        floor: usize,
    },
    /// Everything that the ledger remembers of a store that has left: what it was owed, its marks, what was seen there. Its name
    /// among the holders is taken out before, by `Leave`.
    ForgetStore {
        store: StoreName,
    },
    /// What a look or an answer showed last: the next fence.
    /// The entry stands on enough places: what it displaced is forgotten; only if the entry is still this write.
    ForgetPredecessors {
        bucket: BucketName,
        key: Key,
        write: WriteId,
    },
    SetSeen {
        bucket: BucketName,
        key: Key,
        store: StoreName,
        seen: Seen,
    },

    /// Coalesces with what the store is owed for this key already: the newer seq's kind wins, `since` stays the older one's;
    /// for equal seq the stronger kind stands (look, copy, rewrite, remove), `not_before` and `attempts` are the new one's.
    /// A debt for an older seq than the one standing only makes `since` older.
    Owe(Debt),
    /// Paid, if the debt is not for a newer seq than `seq`.
    Settle {
        store: StoreName,
        bucket: BucketName,
        key: Key,
        seq: Seq,
    },
    /// Every holder on `store` becomes a debt (store accept): a copy for an object, a removal for a tombstone. What was last
    /// seen there is forgotten. Reads every entry of the ledger, in one transaction.
    OweEverything {
        store: StoreName,
        now: Moment,
    },

    /// A write that is about to be displaced, before the write that displaces it sends its first call. Said again for the same
    /// write, it replaces that row, but shelves once filled stay. Its digests stay with it.
    PutTrash(Box<Trashed>),
    /// The bytes of a trashed write stand on one more store; nothing happens when it is not in the trash any more.
    Shelve {
        bucket: BucketName,
        key: Key,
        write: WriteId,
        store: StoreName,
        shelf: Shelf,
    },
    /// The trash lets go of it at `until`, whatever was said before.
    ReleaseTrash {
        bucket: BucketName,
        key: Key,
        write: WriteId,
        until: Moment,
    },
    /// Emptied, or the entry again. Digests that belong to nothing else go.
    DropTrash {
        bucket: BucketName,
        key: Key,
        write: WriteId,
    },

    PutBucket(Bucket),
    /// Refused while the bucket has objects, undecided writes, or uploads that are open or completing. Answers and owed
    /// aborts of ended uploads, tombstones and debts stay and go by their own rules.
    DropBucket {
        name: BucketName,
    },

    /// Made or replaced by id.
    PutUpload(Box<Upload>),
    /// Made or replaced by number. Refused when the upload is not known.
    PutPart(Box<Part>),
    /// The upload and its parts.
    DropUpload {
        id: String,
    },

    /// The spool holds a whole, fsynced body of this write.
    SpoolHolds {
        bucket: BucketName,
        key: Key,
        write: WriteId,
        size: u64,
    },
    /// Also one that the spool does not hold: nothing happens.
    SpoolReleases {
        write: WriteId,
    },

    /// A small named fact (installation id, a store's identity, home and probe). JSON text.
    SetFact {
        name: String,
        value: String,
    },
    /// Also one that is not there: nothing happens.
    DropFact {
        name: String,
    },
    /// What `unshipped` told up to this number stands on the stores. What has changed since has a higher number.
    Shipped {
        through: u64,
    },
    /// No seq up to this one is given any more: for a ledger that is made anew.
    RaiseSeq {
        to: Seq,
    },
    /// What was shipped once, into a ledger that is made anew: it takes the place of whatever is there. The bucket's totals
    /// follow; intents, marks, debts, the spool and what was seen are not touched.
    Restore(Box<Row>),
    /// One line of history, for people and for incident reviews. The oldest lines go when there are too many.
    Note {
        at: Moment,
        kind: String,
        text: String,
    },
}

/// One line of LIST.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedObject {
    pub key: Key,
    pub size: u64,
    pub etag: String,
    pub modified: Moment,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Listed {
    Object(ListedObject),
    /// A common prefix, delimiter included.
    Prefix(String),
}

/// What LIST asks. Order is by the bytes of the key.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ListQuery {
    pub prefix: String,
    /// Empty: none. May be longer than one character.
    pub delimiter: String,
    /// Strictly after this key or common prefix (a marker that is a common prefix skips all below it). Empty: from the start.
    pub after: String,
    pub limit: usize,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ListPage {
    pub items: Vec<Listed>,
    /// Is there more after the last item?
    pub truncated: bool,
}

/// A client's multipart upload and what it is on each store (protocol.md 5).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Upload {
    /// What the client was given.
    pub id: String,
    pub bucket: BucketName,
    pub key: Key,
    pub began: Moment,
    pub head: Head,
    pub checksum: Option<ChecksumKind>,
    /// x-amz-checksum-type as the client asked: COMPOSITE or not; None: the kind's default.
    #[serde(default)]
    pub composite: Option<bool>,
    /// Ours, for one large PUT: clients neither see nor may name it.
    #[serde(default)]
    pub internal: bool,
    /// The write id stamped into the native uploads.
    pub write: WriteId,
    /// Native upload ids of the stores that take part.
    pub natives: BTreeMap<StoreName, String>,
    pub state: UploadState,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UploadState {
    Open,
    /// Complete has been asked with these part numbers; parts and Abort wait until it is decided.
    Completing {
        parts: Vec<u32>,
    },
    /// Decided; a repeat gets the same answer. Kept as long as an abandoned upload.
    Completed {
        etag: String,
        at: Moment,
    },
    /// Aborted for the client; stores that still owe the native abort.
    Aborted {
        owed: Vec<StoreName>,
    },
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    pub upload: String,
    pub number: u32,
    pub size: u64,
    /// MD5 in hex: what the client sees.
    pub etag: String,
    pub modified: Moment,
    pub checksums: Vec<Checksum>,
    pub digests: BlockMap,
    /// Stores that hold this part, and the ETag that they gave it.
    pub holders: BTreeMap<StoreName, String>,
    /// The fsynced spool holds it.
    pub spooled: bool,
}

/// What one store is owed in all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DebtTotals {
    pub objects: u64,
    pub bytes: u64,
    pub oldest: Option<Moment>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpoolItem {
    pub write: WriteId,
    pub bucket: BucketName,
    pub key: Key,
    pub size: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HistoryLine {
    pub at: Moment,
    pub kind: String,
    pub text: String,
}

/// What the trash of one bucket holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TrashTotals {
    pub objects: u64,
    pub bytes: u64,
    /// Of the objects, those that stay until somebody releases them.
    pub held: u64,
}

/// Rows as they are shipped: one JSON line each.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RowLines {
    pub lines: Vec<u8>,
    pub rows: u64,
}

/// What the stores have not been told yet.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Unshipped {
    pub rows: RowLines,
    /// For `Change::Shipped`, once these rows stand on the stores.
    pub through: u64,
    /// More waits behind it.
    pub more: bool,
}

/// Our durable memory. Reads see every batch whose `commit` has returned, and never half of one.
#[async_trait]
pub trait Ledger: Send + Sync + 'static {
    /// Durable (fsynced) when it returns Ok. Waiting batches share one fsync.
    /// Dropped while it waits, the batch may be committed or not, but never by half.
    async fn commit(&self, batch: Vec<Change>) -> Result<(), LedgerError>;
    /// The next seq, never given before in this ledger's life.
    async fn take_seq(&self) -> Result<Seq, LedgerError>;

    async fn key_state(&self, bucket: &BucketName, key: &Key) -> Result<KeyState, LedgerError>;
    async fn entry(&self, bucket: &BucketName, key: &Key) -> Result<Option<Entry>, LedgerError>;
    async fn digests(&self, bucket: &BucketName, key: &Key, write: WriteId) -> Result<Option<Digests>, LedgerError>;
    /// The entry if it is an object, with the digests of its bytes where they are known: what a read needs, of one moment.
    async fn object(&self, bucket: &BucketName, key: &Key) -> Result<Option<(Entry, Option<Digests>)>, LedgerError>;
    /// Objects only; tombstones are not shown.
    /// A page has at most `PAGE_ROWS_MAX` items, whatever the limit.
    async fn list(&self, bucket: &BucketName, query: ListQuery) -> Result<ListPage, LedgerError>;
    /// All entries, tombstones too, in key order, strictly after `after`: for scrub and verify.
    async fn entries(
        &self,
        bucket: &BucketName,
        after: Option<&Key>,
        limit: usize,
    ) -> Result<Vec<(Key, Entry)>, LedgerError>;

    /// Tombstones alone, in key order, strictly after `after`: for their clean-up.
    async fn tombstones(
        &self,
        bucket: &BucketName,
        after: Option<&Key>,
        limit: usize,
    ) -> Result<Vec<(Key, Entry)>, LedgerError>;

    async fn buckets(&self) -> Result<Vec<Bucket>, LedgerError>;
    async fn bucket(&self, name: &BucketName) -> Result<Option<Bucket>, LedgerError>;

    /// Debts of one store that may be tried at `now`, small before large within the oldest `limit`. A debt's age counts from
    /// when it could last be tried, so that one that fails again and again holds no other up.
    async fn debts_due(&self, store: &StoreName, now: Moment, limit: usize) -> Result<Vec<Debt>, LedgerError>;
    /// Removals alone, in the same order: what a store that takes no writes can still be paid.
    async fn removals_due(&self, store: &StoreName, now: Moment, limit: usize) -> Result<Vec<Debt>, LedgerError>;
    async fn debt_totals(&self, store: &StoreName) -> Result<DebtTotals, LedgerError>;
    /// When the next debt of this store may be tried; None without debts.
    async fn next_debt_at(&self, store: &StoreName) -> Result<Option<Moment>, LedgerError>;

    /// Undecided writes, lowest seq first.
    async fn intents(&self, limit: usize) -> Result<Vec<Intent>, LedgerError>;
    /// Marks on a store whose clock started at or before `since`.
    async fn marks_since(&self, store: &StoreName, since: Moment, limit: usize) -> Result<Vec<Mark>, LedgerError>;
    async fn marks_count(&self, store: &StoreName) -> Result<u64, LedgerError>;

    async fn upload(&self, id: &str) -> Result<Option<Upload>, LedgerError>;
    /// Uploads of a bucket that are open or completing, in (key, id) order, strictly after that pair.
    async fn uploads(
        &self,
        bucket: &BucketName,
        prefix: &str,
        after: (&str, &str),
        limit: usize,
    ) -> Result<Vec<Upload>, LedgerError>;
    async fn parts(&self, upload: &str, after: u32, limit: usize) -> Result<Vec<Part>, LedgerError>;
    /// Every upload not touched since, in any state: abandoned ones, finished answers, owed aborts. Touched is the latest of
    /// its beginning, its parts and its completion. Longest untouched first, by (touched, id) and strictly after that pair.
    async fn uploads_before(
        &self,
        began: Moment,
        after: (Moment, &str),
        limit: usize,
    ) -> Result<Vec<(Moment, Upload)>, LedgerError>;

    /// Everything in the trash of one key, lowest seq of the displaced write first.
    async fn trash_of(&self, bucket: &BucketName, key: &Key) -> Result<Vec<Trashed>, LedgerError>;
    /// A bucket's trash in key order, all writes of a key together: keys below `prefix`, strictly after `after`. At least one
    /// key's rows, then no more than `limit` rows by more than a key.
    async fn trash(
        &self,
        bucket: &BucketName,
        prefix: &str,
        after: Option<&Key>,
        limit: usize,
    ) -> Result<Vec<Trashed>, LedgerError>;
    /// What the trash may let go of at `now`, the longest overdue first.
    async fn trash_over(&self, now: Moment, limit: usize) -> Result<Vec<Trashed>, LedgerError>;
    async fn trash_totals(&self, bucket: &BucketName) -> Result<TrashTotals, LedgerError>;

    async fn spool_items(&self) -> Result<Vec<SpoolItem>, LedgerError>;
    async fn fact(&self, name: &str) -> Result<Option<String>, LedgerError>;
    /// Names that begin with `prefix` and are longer, with their values, in the order of names, strictly after `after`.
    async fn facts(&self, prefix: &str, after: &str, limit: usize) -> Result<Vec<(String, String)>, LedgerError>;
    /// The newest lines first.
    async fn history(&self, limit: usize) -> Result<Vec<HistoryLine>, LedgerError>;
    /// Objects and bytes of all entries of a bucket.
    async fn bucket_totals(&self, bucket: &BucketName) -> Result<(u64, u64), LedgerError>;

    /// What has changed since it was last shipped, the longest waiting first, each row as it is now. Ends at the row that brings
    /// the lines to `bytes_max`.
    async fn unshipped(&self, bytes_max: usize) -> Result<Unshipped, LedgerError>;
    /// Rows that wait to be shipped; more than `UNSHIPPED_COUNT_MAX` are told as that many.
    async fn unshipped_count(&self) -> Result<u64, LedgerError>;
    /// Writes of the key that were rolled back and that no newer entry has outdone.
    async fn rolled_back(&self, bucket: &BucketName, key: &Key) -> Result<Vec<(WriteId, Seq)>, LedgerError>;
    /// Keys whose last two entries were objects of one ETag and one size, in their order, strictly after `after`: neither a pin
    /// of MD5s nor a listing tells a copy of the one from a copy of the other.
    async fn twins(&self, bucket: &BucketName, after: Option<&Key>, limit: usize) -> Result<Vec<Key>, LedgerError>;
    /// Everything that is shipped, in the order of `RowPlace`, after `after`; ends as `unshipped` does. The place to go on
    /// from; None at the end.
    async fn rows_after(
        &self,
        after: Option<&RowPlace>,
        bytes_max: usize,
    ) -> Result<(RowLines, Option<RowPlace>), LedgerError>;

    /// Why nothing is acknowledged any more until it is reopened, whoever's write it was; None: nobody has heard of it.
    fn latched(&self) -> Option<String>;

    /// Ends the writer after what is queued; later calls answer Closed.
    async fn close(&self);
}
