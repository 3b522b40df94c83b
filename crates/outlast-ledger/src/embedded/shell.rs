//! The core as a `Ledger`: with a writer thread and readers, or all on the calling thread for tests that must be deterministic.

use super::apply::newest_seq;
use super::core::{Core, Durability, Work, at_one_moment};
use super::fault::Fault;
use super::readers::Readers;
use super::seqs::{SeqGiver, Taken};
use super::writer::Writer;
use super::{
    buckets, debts, digests, facts, intents, keys, list, marks, rolled_back, spool, trash, unshipped, uploads,
};
use crate::{
    Bucket, Change, DebtTotals, HistoryLine, Ledger, LedgerError, ListPage, ListQuery, Part, RowLines, RowPlace,
    SpoolItem, TrashTotals, Unshipped, Upload,
};
use async_trait::async_trait;
use outlast_rules::{
    BucketName, Debt, Digests, Entry, Intent, Key, KeyState, Mark, Moment, Seq, StoreName, Trashed, WriteId,
};
use rusqlite::Connection;
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock};
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::sync::Semaphore;

/// Listing pages read at once: they are the long reads, and a long read keeps the WAL from starting anew.
const PAGES_AT_ONCE: usize = 4;

/// Who does the work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// A writer thread with group commit; point reads on the calling thread, pages on a blocking thread.
    Threads,
    /// The calling thread does everything, writes and fsync too: no thread is ever started.
    Inline,
}

/// The embedded ledger.
pub struct Embedded {
    hands: Hands,
    seqs: SeqGiver,
    latched: OnceLock<String>,
}

enum Hands {
    Threads {
        writer: Writer,
        readers: Arc<Readers>,
        pages: Semaphore,
    },
    /// None: closed.
    Inline(Mutex<Option<Core>>),
}

impl Embedded {
    /// Opens or makes the ledger in the folder `dir` (`ledger.sqlite` and its lock).
    ///
    /// InUse: this or another process has it open. Damaged: it is not ours, or a newer version's. MustReopen: the disk failed.
    pub fn open(dir: &Path, mode: Mode) -> Result<Embedded, LedgerError> {
        Embedded::open_with(dir, mode, Durability::Power)
    }

    pub fn open_with(dir: &Path, mode: Mode, durability: Durability) -> Result<Embedded, LedgerError> {
        let core = Core::open(dir, durability)?;
        if mode == Mode::Inline {
            return Ok(Embedded::inline(core));
        }
        let seqs = SeqGiver::after(core.seq_reserved());
        let writer = Writer::start(core)
            .map_err(|error| LedgerError::MustReopen { why: format!("no thread for the writer: {error}") })?;
        let readers = Arc::new(Readers::of(dir.to_owned()));
        let hands = Hands::Threads { writer, readers, pages: Semaphore::new(PAGES_AT_ONCE) };
        Ok(Embedded { hands, seqs, latched: OnceLock::new() })
    }

    /// Everything on the calling thread, over a core on whatever file layer.
    pub fn inline(core: Core) -> Embedded {
        let seqs = SeqGiver::after(core.seq_reserved());
        Embedded { hands: Hands::Inline(Mutex::new(Some(core))), seqs, latched: OnceLock::new() }
    }

    async fn write(&self, work: Work) -> Result<(), LedgerError> {
        let done = match &self.hands {
            Hands::Threads { writer, .. } => writer.ask(work).await,
            Hands::Inline(core) => {
                let mut core = held(core);
                let core = core.as_mut().ok_or(LedgerError::Closed)?;
                core.commit_group(&[work]).pop().expect("one answer for each asker")
            }
        };
        if let Err(LedgerError::MustReopen { why }) = &done {
            self.latched.get_or_init(|| why.clone());
        }
        done
    }

    /// A read of a few rows: microseconds, on the calling thread.
    fn point<T>(&self, read: impl FnOnce(&Connection) -> Result<T, Fault>) -> Result<T, LedgerError> {
        match &self.hands {
            Hands::Threads { readers, .. } => readers.read(read),
            Hands::Inline(core) => {
                let core = held(core);
                let core = core.as_ref().ok_or(LedgerError::Closed)?;
                at_one_moment(core.reader(), read).map_err(Fault::of_read)
            }
        }
    }

    /// A read of many rows: on a blocking thread where the runtime has any.
    async fn page<T, R>(&self, read: R) -> Result<T, LedgerError>
    where
        T: Send + 'static,
        R: FnOnce(&Connection) -> Result<T, Fault> + Send + 'static,
    {
        let Hands::Threads { readers, pages, .. } = &self.hands else {
            return self.point(read);
        };
        match Handle::try_current() {
            Ok(runtime) if runtime.runtime_flavor() == RuntimeFlavor::MultiThread => {
                let _turn = pages.acquire().await.map_err(|_| LedgerError::Closed)?;
                let readers = readers.clone();
                match runtime.spawn_blocking(move || readers.read(read)).await {
                    Ok(found) => found,
                    Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
                    // The runtime is shutting down.
                    Err(_) => Err(LedgerError::Closed),
                }
            }
            _ => readers.read(read),
        }
    }
}

fn held<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().expect("nothing panics while it is held")
}

#[async_trait]
impl Ledger for Embedded {
    async fn commit(&self, batch: Vec<Change>) -> Result<(), LedgerError> {
        // Before, because a caller that goes away while it waits may have committed all the same; a skipped seq harms nobody.
        if let Some(newest) = newest_seq(&batch) {
            self.seqs.seen(newest);
        }
        self.write(Work::Batch(batch)).await
    }

    async fn take_seq(&self) -> Result<Seq, LedgerError> {
        match self.seqs.take() {
            Taken::Seq(seq) => Ok(seq),
            Taken::Beyond { seq, through } => {
                self.write(Work::Reserve(through)).await?;
                self.seqs.reserved(through);
                Ok(seq)
            }
        }
    }

    async fn key_state(&self, bucket: &BucketName, key: &Key) -> Result<KeyState, LedgerError> {
        self.point(|conn| keys::state(conn, bucket, key))
    }

    async fn entry(&self, bucket: &BucketName, key: &Key) -> Result<Option<Entry>, LedgerError> {
        self.point(|conn| keys::entry(conn, bucket, key))
    }

    async fn digests(&self, bucket: &BucketName, key: &Key, write: WriteId) -> Result<Option<Digests>, LedgerError> {
        self.point(|conn| digests::of_write(conn, bucket, key, write))
    }

    async fn object(&self, bucket: &BucketName, key: &Key) -> Result<Option<(Entry, Option<Digests>)>, LedgerError> {
        self.point(|conn| keys::body(conn, bucket, key))
    }

    async fn list(&self, bucket: &BucketName, query: ListQuery) -> Result<ListPage, LedgerError> {
        let bucket = bucket.clone();
        self.page(move |conn| list::page(conn, &bucket, &query)).await
    }

    async fn entries(
        &self,
        bucket: &BucketName,
        after: Option<&Key>,
        limit: usize,
    ) -> Result<Vec<(Key, Entry)>, LedgerError> {
        let (bucket, after) = (bucket.clone(), after.cloned());
        self.page(move |conn| keys::page(conn, &bucket, after.as_ref(), limit)).await
    }

    async fn tombstones(
        &self,
        bucket: &BucketName,
        after: Option<&Key>,
        limit: usize,
    ) -> Result<Vec<(Key, Entry)>, LedgerError> {
        let (bucket, after) = (bucket.clone(), after.cloned());
        self.page(move |conn| keys::tombstones(conn, &bucket, after.as_ref(), limit)).await
    }

    async fn buckets(&self) -> Result<Vec<Bucket>, LedgerError> {
        self.page(buckets::all_of_them).await
    }

    async fn bucket(&self, name: &BucketName) -> Result<Option<Bucket>, LedgerError> {
        self.point(|conn| buckets::of_name(conn, name))
    }

    async fn debts_due(&self, store: &StoreName, now: Moment, limit: usize) -> Result<Vec<Debt>, LedgerError> {
        let store = store.clone();
        self.page(move |conn| debts::due(conn, &store, now, limit)).await
    }

    async fn removals_due(&self, store: &StoreName, now: Moment, limit: usize) -> Result<Vec<Debt>, LedgerError> {
        let store = store.clone();
        self.page(move |conn| debts::removals_due(conn, &store, now, limit)).await
    }

    async fn debt_totals(&self, store: &StoreName) -> Result<DebtTotals, LedgerError> {
        self.point(|conn| debts::totals(conn, store))
    }

    async fn next_debt_at(&self, store: &StoreName) -> Result<Option<Moment>, LedgerError> {
        self.point(|conn| debts::next_at(conn, store))
    }

    async fn intents(&self, limit: usize) -> Result<Vec<Intent>, LedgerError> {
        self.page(move |conn| intents::oldest(conn, limit)).await
    }

    async fn marks_since(&self, store: &StoreName, since: Moment, limit: usize) -> Result<Vec<Mark>, LedgerError> {
        let store = store.clone();
        self.page(move |conn| marks::since(conn, &store, since, limit)).await
    }

    async fn marks_count(&self, store: &StoreName) -> Result<u64, LedgerError> {
        self.point(|conn| marks::count(conn, store))
    }

    async fn upload(&self, id: &str) -> Result<Option<Upload>, LedgerError> {
        self.point(|conn| uploads::of_id(conn, id))
    }

    async fn uploads(
        &self,
        bucket: &BucketName,
        prefix: &str,
        after: (&str, &str),
        limit: usize,
    ) -> Result<Vec<Upload>, LedgerError> {
        let (bucket, prefix) = (bucket.clone(), prefix.to_owned());
        let (key, id) = (after.0.to_owned(), after.1.to_owned());
        self.page(move |conn| uploads::of_bucket(conn, &bucket, &prefix, (&key, &id), limit)).await
    }

    async fn parts(&self, upload: &str, after: u32, limit: usize) -> Result<Vec<Part>, LedgerError> {
        let upload = upload.to_owned();
        self.page(move |conn| uploads::parts(conn, &upload, after, limit)).await
    }

    async fn uploads_before(
        &self,
        began: Moment,
        after: (Moment, &str),
        limit: usize,
    ) -> Result<Vec<(Moment, Upload)>, LedgerError> {
        let (touched, id) = (after.0, after.1.to_owned());
        self.page(move |conn| uploads::untouched_since(conn, began, (touched, &id), limit)).await
    }

    async fn trash_of(&self, bucket: &BucketName, key: &Key) -> Result<Vec<Trashed>, LedgerError> {
        self.point(|conn| trash::of_key(conn, bucket, key))
    }

    async fn trash(
        &self,
        bucket: &BucketName,
        prefix: &str,
        after: Option<&Key>,
        limit: usize,
    ) -> Result<Vec<Trashed>, LedgerError> {
        let (bucket, prefix, after) = (bucket.clone(), prefix.to_owned(), after.cloned());
        self.page(move |conn| trash::page(conn, &bucket, &prefix, after.as_ref(), limit)).await
    }

    async fn trash_over(&self, now: Moment, limit: usize) -> Result<Vec<Trashed>, LedgerError> {
        self.page(move |conn| trash::over(conn, now, limit)).await
    }

    async fn trash_totals(&self, bucket: &BucketName) -> Result<TrashTotals, LedgerError> {
        self.point(|conn| trash::totals(conn, bucket))
    }

    async fn spool_items(&self) -> Result<Vec<SpoolItem>, LedgerError> {
        self.page(spool::items).await
    }

    async fn fact(&self, name: &str) -> Result<Option<String>, LedgerError> {
        self.point(|conn| facts::of_name(conn, name))
    }

    async fn facts(&self, prefix: &str, after: &str, limit: usize) -> Result<Vec<(String, String)>, LedgerError> {
        let (prefix, after) = (prefix.to_owned(), after.to_owned());
        self.page(move |conn| facts::of_prefix(conn, &prefix, &after, limit)).await
    }

    async fn history(&self, limit: usize) -> Result<Vec<HistoryLine>, LedgerError> {
        self.page(move |conn| facts::history(conn, limit)).await
    }

    async fn bucket_totals(&self, bucket: &BucketName) -> Result<(u64, u64), LedgerError> {
        self.point(|conn| buckets::totals(conn, bucket))
    }

    async fn unshipped(&self, bytes_max: usize) -> Result<Unshipped, LedgerError> {
        self.page(move |conn| unshipped::page(conn, bytes_max)).await
    }

    async fn unshipped_count(&self) -> Result<u64, LedgerError> {
        self.point(unshipped::count)
    }

    async fn rolled_back(&self, bucket: &BucketName, key: &Key) -> Result<Vec<(WriteId, Seq)>, LedgerError> {
        self.point(|conn| rolled_back::of_key(conn, bucket, key))
    }

    async fn twins(&self, bucket: &BucketName, after: Option<&Key>, limit: usize) -> Result<Vec<Key>, LedgerError> {
        let (bucket, after) = (bucket.clone(), after.cloned());
        self.page(move |conn| keys::twins(conn, &bucket, after.as_ref(), limit)).await
    }

    async fn rows_after(
        &self,
        after: Option<&RowPlace>,
        bytes_max: usize,
    ) -> Result<(RowLines, Option<RowPlace>), LedgerError> {
        let after = after.cloned();
        self.page(move |conn| unshipped::rows_after(conn, after.as_ref(), bytes_max)).await
    }

    fn latched(&self) -> Option<String> {
        self.latched.get().cloned()
    }

    async fn close(&self) {
        match &self.hands {
            Hands::Threads { writer, readers, pages } => {
                pages.close();
                readers.close();
                writer.close().await;
            }
            Hands::Inline(core) => drop(held(core).take()),
        }
    }
}
