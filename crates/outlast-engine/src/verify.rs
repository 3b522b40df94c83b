//! Is everything on every store? Each store's listing against the ledger, and on request every byte against its digest.

use crate::compare::{Beside, Comparison};
use crate::engine::Engine;
use crate::reading::Reading;
use crate::seats::Seat;
use crate::side_by_side::CompareError;
use outlast_ledger::Change;
use outlast_rules::{BucketName, Debt, DebtKind, Entry, Key};
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::Instant;

/// Lines kept for the report; beyond it they are only counted.
const LINES_MAX: usize = 1_000;
/// Progress is told so often, within large objects too.
const TELL_EVERY: Duration = Duration::from_millis(200);

/// How far it is.
#[derive(Debug, Clone, Serialize)]
pub struct Progress {
    pub store: String,
    /// Looked at, whatever was found.
    pub objects: u64,
    pub bytes: u64,
    /// Objects and bytes that the ledger holds in this bucket.
    pub of_objects: u64,
    pub of_bytes: u64,
}

#[derive(Debug, Default, Clone, Serialize, PartialEq, Eq)]
pub struct VerifiedStore {
    pub objects: u64,
    pub bytes: u64,
    pub missing: u64,
    pub differing: u64,
    pub extra: u64,
    /// Of those missing or differing, how many are written down as debts.
    pub owed: u64,
    /// Objects that were read to the last byte (`--deep`).
    pub read: u64,
    pub bad: u64,
    /// Why the store could not be looked at to the end.
    pub error: Option<String>,
}

#[derive(Debug, Default, Clone, Serialize)]
pub struct VerifyReport {
    pub bucket: String,
    pub objects: u64,
    pub bytes: u64,
    pub stores: BTreeMap<String, VerifiedStore>,
    /// The first differences in words.
    pub lines: Vec<String>,
}

/// Tells how far one store is.
struct Telling<'a> {
    to: &'a mpsc::Sender<Progress>,
    told: Instant,
    so_far: Progress,
    /// Bytes of the objects that are done with.
    whole: u64,
}

impl Telling<'_> {
    fn new<'a>(to: &'a mpsc::Sender<Progress>, seat: &Seat, of: &VerifyReport) -> Telling<'a> {
        let (store, of_objects, of_bytes) = (seat.name.to_string(), of.objects, of.bytes);
        let so_far = Progress { store, objects: 0, bytes: 0, of_objects, of_bytes };
        Telling { to, told: Instant::now(), so_far, whole: 0 }
    }

    /// More of the object that is being read.
    fn piece(&mut self, len: usize) {
        self.so_far.bytes += len as u64;
        self.now_and_then();
    }

    /// Done with one object of the ledger, read or not.
    fn object(&mut self, size: u64) {
        self.whole += size;
        self.so_far.objects += 1;
        self.so_far.bytes = self.whole;
        self.now_and_then();
    }

    fn now_and_then(&mut self) {
        if self.told.elapsed() >= TELL_EVERY {
            self.tell();
        }
    }

    fn tell(&mut self) {
        self.told = Instant::now();
        // Nobody listening is no reason to stop.
        self.to.try_send(self.so_far.clone()).ok();
    }
}

impl VerifyReport {
    pub fn is_clean(&self) -> bool {
        let clean = |s: &VerifiedStore| s.missing + s.differing + s.extra + s.bad == 0 && s.error.is_none();
        self.stores.values().all(clean)
    }
}

impl Engine {
    /// Every store of the bucket's placement. `progress` may be dropped by the one who asked.
    pub async fn verify(
        self: &Arc<Self>,
        bucket: &BucketName,
        deep: bool,
        progress: mpsc::Sender<Progress>,
    ) -> Result<VerifyReport, CompareError> {
        let (objects, bytes) = self.ledger.bucket_totals(bucket).await?;
        let mut report = VerifyReport { bucket: bucket.to_string(), objects, bytes, ..VerifyReport::default() };
        for seat in self.seats_taking(bucket) {
            let mut found = VerifiedStore::default();
            let end = self.verify_store(&seat, bucket, deep, &mut found, &mut report, &progress).await;
            match end {
                Ok(()) => {}
                Err(CompareError::Ledger(error)) => return Err(error.into()),
                Err(error) => found.error = Some(error.to_string()),
            }
            report.stores.insert(seat.name.to_string(), found);
        }
        Ok(report)
    }

    async fn verify_store(
        self: &Arc<Self>,
        seat: &Arc<Seat>,
        bucket: &BucketName,
        deep: bool,
        found: &mut VerifiedStore,
        report: &mut VerifyReport,
        progress: &mpsc::Sender<Progress>,
    ) -> Result<(), CompareError> {
        let mut comparison = Comparison::new(self, seat, bucket);
        let mut telling = Telling::new(progress, seat, report);
        while let Some(beside) = comparison.next().await? {
            match beside {
                Beside::Alike(key, entry, _) => {
                    found.objects += 1;
                    if deep {
                        self.read_copy(seat, bucket, &key, entry.clone(), (found, &mut telling), report).await?;
                    }
                    found.bytes += entry.size;
                    telling.object(entry.size);
                }
                Beside::Missing(key, entry) => {
                    if self.still(seat, bucket, &key, &entry).await? {
                        found.missing += 1;
                        self.tell_difference(seat, bucket, key.as_str(), "missing", found, report).await?;
                    }
                    telling.object(entry.size);
                }
                Beside::Differs(key, entry, why) => {
                    if self.still(seat, bucket, &key, &entry).await? {
                        found.differing += 1;
                        self.tell_difference(seat, bucket, key.as_str(), &why, found, report).await?;
                    }
                    telling.object(entry.size);
                }
                Beside::Extra(key, size) => {
                    if !self.has_object(bucket, &key).await? {
                        found.extra += 1;
                        let why = format!("{size} bytes that no entry knows");
                        self.tell_difference(seat, bucket, &key, &why, found, report).await?;
                    }
                }
            }
        }
        telling.tell();
        Ok(())
    }

    /// Under load the two sides are read at different moments: only what still stands is a difference.
    async fn still(
        &self,
        seat: &Arc<Seat>,
        bucket: &BucketName,
        key: &Key,
        then: &Entry,
    ) -> Result<bool, CompareError> {
        let Some(now) = self.ledger.entry(bucket, key).await?.filter(Entry::is_object) else { return Ok(false) };
        if now.write == then.write && now.holders == then.holders {
            return Ok(true);
        }
        let Some(pin) = now.holders.get(&seat.name) else { return Ok(true) };
        let found = seat.store.head(&seat.at(bucket, key), None).await;
        Ok(!found.is_ok_and(|found| found.size == now.size && found.pin.etag == pin.etag))
    }

    async fn has_object(&self, bucket: &BucketName, key: &str) -> Result<bool, CompareError> {
        let Ok(key) = Key::parse(key) else { return Ok(false) };
        Ok(self.ledger.entry(bucket, &key).await?.is_some_and(|entry| entry.is_object()))
    }

    async fn tell_difference(
        &self,
        seat: &Arc<Seat>,
        bucket: &BucketName,
        key: &str,
        why: &str,
        found: &mut VerifiedStore,
        report: &mut VerifyReport,
    ) -> Result<(), CompareError> {
        let owed = match Key::parse(key) {
            Ok(key) => self.ledger.key_state(bucket, &key).await?.debts.iter().any(|debt| debt.store == seat.name),
            Err(_) => false,
        };
        found.owed += u64::from(owed);
        if !owed && let Ok(key) = Key::parse(key) {
            self.owe_look(seat, bucket, &key).await?;
        }
        if report.lines.len() < LINES_MAX {
            let suffix = if owed { " (owed)" } else { "" };
            report.lines.push(format!("{}: {bucket}/{key}: {why}{suffix}", seat.name));
        }
        Ok(())
    }

    /// What verify finds is looked at by the worker that can mend it, with the key's lane in its hand.
    pub(crate) async fn owe_look(&self, seat: &Arc<Seat>, bucket: &BucketName, key: &Key) -> Result<(), CompareError> {
        let entry = self.ledger.entry(bucket, key).await?.filter(Entry::is_object);
        let debt = Debt::begin(&seat.name, bucket, key, DebtKind::Look, entry.as_ref(), self.now());
        self.ledger.commit(vec![Change::Owe(debt)]).await?;
        seat.bell.notify_one();
        Ok(())
    }

    /// Reads this store's copy alone, every block checked.
    async fn read_copy(
        self: &Arc<Self>,
        seat: &Arc<Seat>,
        bucket: &BucketName,
        key: &Key,
        mut entry: Entry,
        (found, telling): (&mut VerifiedStore, &mut Telling<'_>),
        report: &mut VerifyReport,
    ) -> Result<(), CompareError> {
        entry.holders.retain(|store, _| store == &seat.name);
        let size = entry.size;
        let digests = self.ledger.digests(bucket, key, entry.write).await?.map(Arc::new);
        let reading = Reading::new(self, bucket, key, Arc::new(entry.clone()), digests, false, (0, size));
        match reading.judge(|piece| telling.piece(piece.len())).await? {
            Ok(()) => found.read += 1,
            Err(why) if self.still(seat, bucket, key, &entry).await? => {
                found.bad += 1;
                self.tell_difference(seat, bucket, key.as_str(), &why, found, report).await?;
            }
            Err(_) => {}
        }
        Ok(())
    }
}
