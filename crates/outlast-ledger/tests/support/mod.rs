//! Short words for the tests: names, entries, batches, and both modes of the ledger.

#![allow(dead_code, reason = "each test binary uses its own part")]

use outlast_ledger::{Bucket, BucketState, Change, Durability, Embedded, Ledger, LedgerError, Mode};
use outlast_rules::*;
use std::collections::BTreeMap;
use std::future::Future;

pub fn bucket(name: &str) -> BucketName {
    BucketName::parse(name).unwrap()
}

pub fn bkt() -> BucketName {
    bucket("bkt")
}

pub fn key(text: &str) -> Key {
    Key::parse(text).unwrap()
}

pub fn store(name: &str) -> StoreName {
    StoreName::parse(name).unwrap()
}

pub fn pin(etag: &str) -> Pin {
    Pin { etag: etag.into(), version: None }
}

/// The object that write `n` with seq `n` makes; no holders.
pub fn object(n: u64) -> Entry {
    Entry {
        write: WriteId(u128::from(n)),
        seq: Seq(n),
        kind: EntryKind::Object,
        size: 100 + n,
        etag: format!("etag-{n}"),
        modified: Moment(1000 * n),
        head: Head { content_type: Some("text/plain".into()), ..Head::default() },
        layout: Layout::Whole,
        checksums: Vec::new(),
        holders: BTreeMap::new(),
        adopted_from: None,
        predecessors: Vec::new(),
        record: None,
    }
}

pub fn held_by(mut entry: Entry, stores: &[&str]) -> Entry {
    entry.holders = stores.iter().map(|name| (store(name), pin(&entry.etag))).collect();
    entry
}

pub fn tombstone(n: u64) -> Entry {
    Entry { kind: EntryKind::Tombstone, size: 0, etag: String::new(), head: Head::default(), ..object(n) }
}

pub fn set(name: &str, entry: Entry) -> Change {
    Change::SetEntry { bucket: bkt(), key: key(name), entry: Box::new(entry), digests: None }
}

pub fn intent(name: &str, entry: Entry) -> Intent {
    Intent { bucket: bkt(), key: key(name), began: Moment(1), entry, spooled: false, upload: None }
}

pub fn begin(name: &str, entry: Entry) -> Change {
    Change::BeginWrite(Box::new(intent(name, entry)))
}

pub fn mark(call: u64, on: &str, name: &str, write: u64, fence: Option<Fence>) -> Mark {
    Mark {
        call: CallId(u128::from(call)),
        store: store(on),
        bucket: bkt(),
        key: key(name),
        write: WriteId(u128::from(write)),
        fence,
        since: Moment(10),
    }
}

pub fn debt(on: &str, name: &str, kind: DebtKind, seq: u64) -> Debt {
    Debt {
        store: store(on),
        bucket: bkt(),
        key: key(name),
        kind,
        seq: Seq(seq),
        size: 100,
        since: Moment(50),
        not_before: Moment(50),
        attempts: 0,
    }
}

pub fn serving(name: &str) -> Bucket {
    Bucket { name: bucket(name), created: Moment(5), incarnation: 1, state: BucketState::Serving }
}

pub const PINNED: Powers = Powers { pinned: true, fenced: false, unique: false };
pub const FENCED: Powers = Powers { pinned: false, fenced: true, unique: false };
pub const NEITHER: Powers = Powers { pinned: false, fenced: false, unique: false };

pub fn is_refused<T: std::fmt::Debug>(result: Result<T, LedgerError>) -> bool {
    matches!(result, Err(LedgerError::Refused { .. }))
}

/// Runs one test on a fresh ledger of each mode, on the runtime that the mode is meant for.
pub fn on_each<F, R>(test: F)
where
    F: Fn(Box<dyn Ledger>) -> R,
    R: Future<Output = ()>,
{
    for mode in [Mode::Inline, Mode::Threads] {
        let dir = tempfile::tempdir().unwrap();
        let ledger = Embedded::open_with(dir.path(), mode, Durability::Process).unwrap();
        runtime(mode).block_on(test(Box::new(ledger)));
    }
}

pub fn runtime(mode: Mode) -> tokio::runtime::Runtime {
    match mode {
        Mode::Inline => tokio::runtime::Builder::new_current_thread().build().unwrap(),
        Mode::Threads => tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap(),
    }
}
