//! The walk-away proof: one store beside the ledger, each key until it is certain, counted and digested in one pass.

use crate::compare::{Beside, Comparison};
use crate::digest::hex;
use crate::engine::Engine;
use crate::reading::Reading;
use crate::seats::{Operation, Seat};
use crate::side_by_side::CompareError;
use crate::signing::{Signed, Signer, SigningError};
use crate::verify::Progress;
use futures_util::StreamExt;
use outlast_ledger::LedgerError;
use outlast_rules::{
    BucketName, Digests, EJECT_FORMAT, EjectReport, Entry, Key, KeyState, Leaves, OpClass, StoreName, is_safe,
    lacks_header,
};
use outlast_store::{Answer, Fault, Found, StoreError};
use sha2::{Digest, Sha256};
use std::sync::Arc;
use tokio::sync::mpsc;

/// Keys judged at a time: enough to hide a far store's latency, and few bodies in memory.
const AT_ONCE: usize = 8;
/// Keys taken from the comparison together, so that they can be judged side by side and still be told in order.
const TOGETHER: usize = 64;
/// A key that changes while it is looked at is looked at again so often.
const TRIES: usize = 5;
/// Lines kept for the report; beyond it they are only counted.
const LINES_MAX: usize = 1_000;

pub struct EjectAsk {
    pub bucket: BucketName,
    pub store: StoreName,
    /// Read every byte of every copy, and see its headers.
    pub deep: bool,
}

#[derive(Debug, thiserror::Error)]
pub enum EjectError {
    #[error("no store is called {0}")]
    NoStore(StoreName),
    #[error("the store {store} is not in the placement of {bucket}")]
    NotPlaced { store: StoreName, bucket: BucketName },
    #[error("{0}")]
    Store(#[from] StoreError),
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    #[error(transparent)]
    Signing(#[from] SigningError),
}

impl From<CompareError> for EjectError {
    fn from(error: CompareError) -> EjectError {
        match error {
            CompareError::Store(error) => error.into(),
            CompareError::Ledger(error) => error.into(),
        }
    }
}

/// What one key is on the store.
enum Judged {
    Held(Box<HeldCopy>),
    /// Not an object of the ledger any more.
    Gone,
    Missing(Key, Entry),
    Differs(Key, Entry, String),
    Extra,
}

struct HeldCopy {
    key: Key,
    entry: Entry,
    /// The store's own.
    etag: String,
    plain: bool,
    content: Option<Content>,
}

struct Content {
    sha256: String,
    /// Compared with digests that were taken when it was written.
    digested: bool,
}

/// One look at one key, deep or not.
struct Look<'a> {
    engine: &'a Arc<Engine>,
    seat: &'a Arc<Seat>,
    ask: &'a EjectAsk,
}

impl Engine {
    /// Says, signed, whether this store alone holds everything of the bucket. Under load each key is what it is when it is looked
    /// at. `progress` may be dropped by the one who asked.
    ///
    /// # Errors
    /// A store that could not be looked at to the end gives no report, and neither does a key that cannot be used to sign.
    pub async fn eject(
        self: &Arc<Self>,
        ask: EjectAsk,
        progress: mpsc::Sender<Progress>,
    ) -> Result<Signed, EjectError> {
        let seat = self.seat(&ask.store).cloned().ok_or_else(|| EjectError::NoStore(ask.store.clone()))?;
        if !self.settings.placement(&ask.bucket).stores.contains(&seat.name) {
            return Err(EjectError::NotPlaced { store: seat.name.clone(), bucket: ask.bucket.clone() });
        }
        let signer = Signer::open(&self.settings.data_dir)?;
        let mut tally = Tally::new(self.blank(&seat, &ask));
        let (of_objects, of_bytes) = self.ledger.bucket_totals(&ask.bucket).await?;
        let look = Look { engine: self, seat: &seat, ask: &ask };
        let mut comparison = Comparison::new(self, &seat, &ask.bucket);
        loop {
            let mut besides = Vec::with_capacity(TOGETHER);
            while besides.len() < TOGETHER
                && let Some(beside) = comparison.next().await?
            {
                besides.push(beside);
            }
            let is_last = besides.len() < TOGETHER;
            let mut judged = futures_util::stream::iter(besides).map(|beside| look.judge(beside)).buffered(AT_ONCE);
            while let Some(judged) = judged.next().await {
                let judged = judged?;
                if let Judged::Missing(key, _) | Judged::Differs(key, ..) = &judged {
                    self.owe_look(&seat, &ask.bucket, key).await?;
                }
                tally.count(judged);
            }
            let (store, objects, bytes) = (seat.name.to_string(), tally.report.objects, tally.report.bytes);
            // Nobody listening is no reason to stop.
            progress.try_send(Progress { store, objects, bytes, of_objects, of_bytes }).ok();
            if is_last {
                break;
            }
        }
        Ok(signer.sign(&tally.end(self.now())))
    }

    fn blank(&self, seat: &Seat, ask: &EjectAsk) -> EjectReport {
        EjectReport {
            format: EJECT_FORMAT.to_owned(),
            installation: self.installation.clone(),
            bucket: ask.bucket.clone(),
            store: seat.name.clone(),
            place: seat.store.place(),
            native_bucket: seat.names.native(&ask.bucket),
            began: self.now(),
            ended: self.now(),
            deep: ask.deep,
            objects: 0,
            bytes: 0,
            held: 0,
            held_bytes: 0,
            escaped: 0,
            missing: 0,
            differing: 0,
            extra: 0,
            read: 0,
            undigested: 0,
            listing_sha256: String::new(),
            content_sha256: None,
            complete: false,
            lines: vec![],
        }
    }
}

impl Look<'_> {
    async fn judge(&self, beside: Beside) -> Result<Judged, EjectError> {
        match beside {
            Beside::Alike(key, entry, _) if !self.ask.deep => {
                let etag = entry.holders.get(&self.seat.name).map(|pin| pin.etag.clone()).unwrap_or_default();
                match self.is_plain(&key).await? {
                    Some(plain) => Ok(Judged::Held(Box::new(HeldCopy { key, entry, etag, plain, content: None }))),
                    None => self.look(key).await,
                }
            }
            Beside::Alike(key, ..) | Beside::Missing(key, _) | Beside::Differs(key, ..) => self.look(key).await,
            Beside::Extra(key, _) => match Key::parse(&key) {
                // Written since its page of the ledger was read, or nobody's.
                Ok(key) if self.engine.ledger.entry(&self.ask.bucket, &key).await?.is_some_and(|e| e.is_object()) => {
                    self.look(key).await
                }
                _ => Ok(Judged::Extra),
            },
        }
    }

    /// None: it is not there.
    async fn is_plain(&self, key: &Key) -> Result<Option<bool>, StoreError> {
        match self.seat.store.is_plain(&self.seat.at(&self.ask.bucket, key)).await {
            Ok(plain) => Ok(Some(plain)),
            Err(error) if error.fault == Fault::NoKey => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The ledger, the store, and the ledger again: only what did not move meanwhile is judged.
    async fn look(&self, key: Key) -> Result<Judged, EjectError> {
        let bucket = &self.ask.bucket;
        let mut last = None;
        for _ in 0..TRIES {
            // Whoever is in the commit phase ends it first.
            drop(self.engine.lanes.lock(bucket, &key).await);
            let before = self.engine.ledger.key_state(bucket, &key).await?;
            let Some(entry) = before.object().cloned() else { return Ok(Judged::Gone) };
            let at = self.seat.at(bucket, &key);
            let found = self.seat.watched(OpClass::Read, self.seat.store.head(&at, None)).await;
            let judged = self.judge_found(&key, entry.clone(), &before, found).await?;
            let now = self.engine.ledger.key_state(bucket, &key).await?;
            let pin = |state: &KeyState| state.object().map(|e| (e.write, e.holders.get(&self.seat.name).cloned()));
            if pin(&now) == pin(&before) && now.intents == before.intents {
                return Ok(judged);
            }
            last = Some(entry);
        }
        let why = "it is being written all the time".to_owned();
        Ok(last.map_or(Judged::Gone, |entry| Judged::Differs(key, entry, why)))
    }

    async fn judge_found(
        &self,
        key: &Key,
        entry: Entry,
        state: &KeyState,
        found: Answer<Found>,
    ) -> Result<Judged, EjectError> {
        let (bucket, store) = (&self.ask.bucket, &self.seat.name);
        let found = match found {
            Ok(found) => found,
            Err(error) if error.fault == Fault::NoKey => return Ok(Judged::Missing(key.clone(), entry)),
            Err(error) => return Err(error.into()),
        };
        let differs = |entry: Entry, why: String| Ok(Judged::Differs(key.clone(), entry, why));
        if !self.engine.is_copy_of(bucket, key, &entry, store, &found) {
            let why = if found.size != entry.size {
                format!("{} bytes instead of {}", found.size, entry.size)
            } else {
                "the copy there is of another write, or not ours".to_owned()
            };
            return differs(entry, why);
        }
        let powers = self.seat.powers(bucket, Operation::Put);
        if !is_safe(powers, entry.write, Leaves::Etag(&found.pin.etag), state.marks_on(store)) {
            return differs(entry, "a call that may still apply could overwrite it".to_owned());
        }
        if entry.holders.get(store).is_none_or(|pin| pin.etag != found.pin.etag) {
            return differs(entry, "not known to be right yet".to_owned());
        }
        let content = match self.ask.deep {
            false => None,
            true => match self.read(key, &entry, &found).await? {
                Ok(content) => Some(content),
                Err(why) => return differs(entry, why),
            },
        };
        match self.is_plain(key).await? {
            Some(plain) => {
                Ok(Judged::Held(Box::new(HeldCopy { key: key.clone(), etag: found.pin.etag, entry, plain, content })))
            }
            None => Ok(Judged::Missing(key.clone(), entry)),
        }
    }

    /// This store's copy alone, as a stream, every block compared; else what is wrong with it.
    async fn read(&self, key: &Key, entry: &Entry, found: &Found) -> Result<Result<Content, String>, EjectError> {
        if let Some(header) = lacks_header(&entry.head, &found.dress.head) {
            return Ok(Err(format!("{header} is not as it was written")));
        }
        let bucket = &self.ask.bucket;
        let digests = self.engine.ledger.digests(bucket, key, entry.write).await?;
        let digests = digests.filter(Digests::is_whole).map(Arc::new);
        let digested = digests.is_some();
        let mut alone = entry.clone();
        alone.holders.retain(|store, _| store == &self.seat.name);
        let reading = Reading::new(self.engine, bucket, key, Arc::new(alone), digests, false, (0, entry.size));
        let mut hash = Sha256::new();
        let whole = reading.judge(|piece| hash.update(piece)).await?;
        Ok(whole.map(|()| Content { sha256: hex(&hash.finalize()), digested }))
    }
}

/// The report as it grows: counts, two running digests and a bounded list.
struct Tally {
    report: EjectReport,
    listing: Sha256,
    content: Sha256,
}

impl Tally {
    fn new(report: EjectReport) -> Tally {
        Tally { report, listing: Sha256::new(), content: Sha256::new() }
    }

    fn count(&mut self, judged: Judged) {
        let report = &mut self.report;
        let (key, entry, why) = match judged {
            Judged::Held(held) => return self.count_held(*held),
            Judged::Gone => return,
            Judged::Extra => {
                report.extra += 1;
                return;
            }
            Judged::Missing(key, entry) => {
                report.missing += 1;
                (key, entry, "missing".to_owned())
            }
            Judged::Differs(key, entry, why) => {
                report.differing += 1;
                (key, entry, why)
            }
        };
        report.objects += 1;
        report.bytes += entry.size;
        if report.lines.len() < LINES_MAX {
            report.lines.push(format!("{key}: {why}"));
        }
    }

    fn count_held(&mut self, held: HeldCopy) {
        let HeldCopy { key, entry, etag, plain, content } = held;
        let report = &mut self.report;
        report.objects += 1;
        report.bytes += entry.size;
        report.held += 1;
        report.held_bytes += entry.size;
        report.escaped += u64::from(!plain);
        self.listing.update(format!("{}\t\"{etag}\"\t{key}\n", entry.size));
        if let Some(Content { sha256, digested }) = content {
            report.read += u64::from(digested);
            report.undigested += u64::from(!digested);
            self.content.update(format!("{sha256}  {key}\n"));
        }
    }

    fn end(self, now: outlast_rules::Moment) -> EjectReport {
        let mut report = self.report;
        report.ended = now;
        report.listing_sha256 = hex(&self.listing.finalize());
        report.content_sha256 = report.deep.then(|| hex(&self.content.finalize()));
        report.complete = report.holds_everything();
        report
    }
}
