//! A part is acknowledged when it stands on `min_copies` places that hold every part acknowledged so far (protocol.md 5).

use crate::asks::{CopyPartAsk, PartFacts, PutPartAsk, ReadError, UploadError, WriteError};
use crate::attempts::Slot;
use crate::copy::COPY_BYTES_MAX;
use crate::digest::hex;
use crate::engine::Engine;
use crate::held::Held;
use crate::multipart::manage::part_facts;
use crate::receive::{Received, receive};
use crate::seats::Seat;
use crate::spool::part_name;
use futures_util::stream::{FuturesUnordered, StreamExt};
use outlast_ledger::{Change, LedgerError, Part, Upload, UploadState};
use outlast_rules::{ChecksumKind, Entry, Key, Mutant, OpClass, Refusal, Standing, StoreName, broken, judge_read};
use outlast_store::{Applied, At};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// Part bodies flow at least this fast to a store that is well.
const PART_BYTES_PER_MS_MIN: u64 = 4 * 1024;
/// With `min_copies` elsewhere, a body earns a slow store no more than this over its deadline of at most 1 s: a client
/// never waits 2 s for a store that it does not need.
const GRACE_MAX: Duration = Duration::from_millis(500);

impl Engine {
    pub async fn put_part(self: &Arc<Self>, ask: PutPartAsk) -> Result<PartFacts, UploadError> {
        let upload = self.open_upload(&ask.bucket, &ask.key, &ask.upload, ask.number).await?;
        let mut body = ask.body;
        let other = upload.checksum.and_then(|upload| {
            let mut kinds = body.declared.checksums.iter().map(|sum| sum.kind);
            Some(UploadError::OtherChecksum { upload, declared: kinds.find(|kind| *kind != upload)? })
        });
        if let Some(error) = other {
            return Err(error);
        }
        body.declared.compute = body.declared.compute.or(upload.checksum);
        let received = receive(body, &self.spool, &self.pool).await?;
        self.store_part(upload, ask.number, received).await
    }

    pub async fn copy_part(self: &Arc<Self>, ask: CopyPartAsk) -> Result<PartFacts, UploadError> {
        let upload = self.open_upload(&ask.bucket, &ask.key, &ask.upload, ask.number).await?;
        let kind = upload.checksum.unwrap_or(ChecksumKind::Crc64nvme);
        let judge = |entry: &Entry| {
            judge_read(&ask.from_conditions, entry).map_err(|_| WriteError::Refused(Refusal::PreconditionFailed))?;
            let (from, to) = match ask.range {
                Some((first, last)) if first <= last && last < entry.size => (first, last + 1),
                Some(_) => return Err(WriteError::Source(Box::new(ReadError::Range { size: entry.size }))),
                None => (0, entry.size),
            };
            if to - from > COPY_BYTES_MAX {
                return Err(WriteError::SourceTooLarge { max: COPY_BYTES_MAX });
            }
            Ok(((from, to), kind))
        };
        let received = self.fetch_present(&ask.from_bucket, &ask.from_key, judge).await?;
        self.store_part(upload, ask.number, received).await
    }

    async fn open_upload(
        &self,
        bucket: &outlast_rules::BucketName,
        key: &Key,
        id: &str,
        number: u32,
    ) -> Result<Upload, UploadError> {
        if self.stopping.is_cancelled() {
            return Err(WriteError::Stopping.into());
        }
        if !(1..=10_000).contains(&number) {
            return Err(UploadError::PartNumber);
        }
        judge_open(self.upload_of(bucket, key, id).await?)
    }

    /// Of one that was open when its part came in.
    async fn still_open(&self, id: &str) -> Result<Upload, UploadError> {
        let upload = self.ledger.upload(id).await.map_err(WriteError::from)?;
        judge_open(upload.ok_or(UploadError::NoUpload)?)
    }

    /// Runs to its end even when the client goes away: an attempt that is dropped half way is one whose outcome is unknown.
    pub(crate) async fn store_part(
        self: &Arc<Self>,
        upload: Upload,
        number: u32,
        received: Received,
    ) -> Result<PartFacts, UploadError> {
        let engine = self.clone();
        let stored = self.tasks.spawn(async move { engine.store_part_in_lane(upload, number, received).await });
        stored.await.unwrap_or_else(|join| Err(WriteError::NoQuorum(format!("the part broke off: {join}")).into()))
    }

    async fn store_part_in_lane(
        self: Arc<Self>,
        upload: Upload,
        number: u32,
        received: Received,
    ) -> Result<PartFacts, UploadError> {
        // One attempt per part number at a time, and none while a completion that lists it is decided.
        let _slot = self.upload_lanes.lock(&upload.bucket, &slot_of(&upload.id, number)).await;
        // Its body may have taken minutes. What is being completed, decided or not, may need the bytes that lie there.
        let upload = self.still_open(&upload.id).await?;
        self.forget_other_content(&upload, number, &received).await?;
        let holders = self.send_part(&upload, number, &received).await;

        let _lane = self.upload_lane(&upload.bucket, &upload.id).await;
        let upload = self.still_open(&upload.id).await?;
        let (before, others): (Vec<Part>, Vec<Part>) =
            self.all_parts(&upload.id).await?.into_iter().partition(|part| part.number == number);
        let mut part = Part {
            upload: upload.id.clone(),
            number,
            size: received.held.len(),
            etag: received.etag(),
            modified: self.now(),
            checksums: received.checksums.clone(),
            digests: received.blocks.clone(),
            holders,
            spooled: false,
        };
        let placement = self.placement(&upload.bucket);
        let mut whole = self.holds_all(&upload, &others, &part);
        // Spooled where a store lacks it, and where losing one more store would leave too few places and the spool may be one.
        let too_few = placement.spool_counts && upload.natives.len() <= placement.min_copies;
        let missed = upload.natives.len() > whole.len() && !broken(Mutant::MissedPartNotKept);
        let lacking = missed || too_few;
        if lacking {
            part.spooled = self.spool_part(&part, &received).await;
        }
        if whole.len() < placement.min_copies {
            self.give_missing(&upload, &others, &mut part, &received).await;
            let others: Vec<Part> =
                self.all_parts(&upload.id).await?.into_iter().filter(|p| p.number != number).collect();
            whole = self.holds_all(&upload, &others, &part);
        }
        // An earlier attempt with the same bytes was acknowledged: the spool is its place.
        let spooled_before = before.iter().any(|before| before.spooled && before.etag == part.etag);
        let spool = placement.spool_counts && part.spooled && others.iter().all(|other| other.spooled);
        if whole.is_empty() || whole.len() + usize::from(spool) < placement.min_copies {
            if !spooled_before {
                self.spool.release(&part_name(&part.upload, number, &part.etag));
            }
            let words = format!(
                "fewer than {} places hold part {number} and all before it: {}",
                placement.min_copies,
                names(&whole)
            );
            return Err(WriteError::NoQuorum(words).into());
        }
        part.spooled |= spooled_before;
        let kept = self.commit_heard(vec![Change::PutPart(Box::new(part.clone()))]).await;
        if matches!(kept, Err(LedgerError::Full { .. })) && !spooled_before {
            // Certainly not kept, and on a disk that is full its body is the last that may stay.
            self.spool.release(&part_name(&part.upload, number, &part.etag));
        }
        kept.map_err(WriteError::from)?;
        for replaced in before.iter().filter(|before| before.etag != part.etag) {
            self.spool.release(&part_name(&part.upload, number, &replaced.etag));
        }
        Ok(part_facts(&part))
    }

    /// Stores that are sent other bytes under this number hold the acknowledged ones no more, whatever they answer: written
    /// down before the first of them hears of it (protocol.md 5, "holds").
    async fn forget_other_content(&self, upload: &Upload, number: u32, received: &Received) -> Result<(), UploadError> {
        if broken(Mutant::OtherPartsHeld) {
            return Ok(());
        }
        let old = self.ledger.parts(&upload.id, number - 1, 1).await.map_err(WriteError::from)?;
        let Some(mut old) = old.into_iter().find(|part| part.number == number && part.etag != received.etag()) else {
            return Ok(());
        };
        old.holders.clear();
        Ok(self.ledger.commit(vec![Change::PutPart(Box::new(old))]).await.map_err(WriteError::from)?)
    }

    /// The part goes to every store of the upload at once. Returns who answered Done, waiting for the slow ones only while
    /// they are needed.
    async fn send_part(
        self: &Arc<Self>,
        upload: &Upload,
        number: u32,
        received: &Received,
    ) -> BTreeMap<StoreName, String> {
        let mut calls = FuturesUnordered::new();
        let grace = Duration::from_millis(received.held.len() / PART_BYTES_PER_MS_MIN);
        let mut late = Duration::ZERO;
        for (store, native) in &upload.natives {
            let Some(seat) = self.seat(store) else { continue };
            if seat.standing(OpClass::Write) == Standing::Down {
                continue;
            }
            late = late.max(seat.deadline(OpClass::Write));
            let at = seat.at(&upload.bucket, &upload.key);
            let slot = Slot { native: native.clone(), number, store: store.clone() };
            calls.push(self.put_one(seat, at, slot, received.etag(), received.held.clone(), received.md5));
        }
        let min_copies = self.placement(&upload.bucket).min_copies;
        let give_up = tokio::time::sleep(Duration::from_millis(self.settings.commit_deadline_ms) + grace);
        // Where the line to all of them is slow, the last get a quarter more than those who were enough.
        let begun = tokio::time::Instant::now();
        let learnt = tokio::time::sleep(late + grace.min(GRACE_MAX));
        tokio::pin!(give_up, learnt);
        let mut holders = BTreeMap::new();
        let places = |holders: &BTreeMap<StoreName, String>| {
            holders.keys().filter(|store| self.is_place(store, &upload.bucket)).count()
        };
        let mut is_late = false;
        loop {
            if is_late && places(&holders) >= min_copies {
                break;
            }
            tokio::select! {
                biased;
                call = calls.next() => match call {
                    None => break,
                    Some((store, Ok(etag))) => {
                        holders.insert(store, etag);
                        if places(&holders) == min_copies {
                            let again = begun + begun.elapsed() + begun.elapsed() / 4;
                            let due = learnt.deadline().max(again);
                            learnt.as_mut().reset(due);
                            is_late = false;
                        }
                    }
                    Some((store, Err(why))) => tracing::info!(%store, "a part is missing there: {why}"),
                },
                () = &mut learnt, if !is_late => is_late = true,
                () = &mut give_up => break,
            }
        }
        holders
    }

    async fn spool_part(&self, part: &Part, received: &Received) -> bool {
        let (spool, held, name) =
            (self.spool.clone(), received.held.clone(), part_name(&part.upload, part.number, &part.etag));
        match spool.keep_aside(name, held).await {
            Ok(()) => true,
            Err(error) => {
                tracing::warn!("a part could not be spooled: {error}");
                false
            }
        }
    }

    /// Places that hold this part and all others.
    fn holds_all(&self, upload: &Upload, others: &[Part], part: &Part) -> BTreeSet<StoreName> {
        let all = |store: &StoreName| {
            part.holders.contains_key(store)
                && others.iter().all(|p| p.holders.contains_key(store))
                && self.is_place(store, &upload.bucket)
        };
        upload.natives.keys().filter(|store| all(store)).cloned().collect()
    }

    /// Do copies there count at all?
    fn is_place(&self, store: &StoreName, bucket: &outlast_rules::BucketName) -> bool {
        self.seat(store).is_some_and(|seat| seat.is_fit(bucket))
    }

    /// Stores that answer again get what they lack from the spool, so that they hold every part.
    pub(crate) async fn give_missing(
        self: &Arc<Self>,
        upload: &Upload,
        others: &[Part],
        part: &mut Part,
        received: &Received,
    ) {
        for (store, native) in &upload.natives {
            let Some(seat) = self.seat(store) else { continue };
            if seat.standing(OpClass::Write) == Standing::Down {
                continue;
            }
            let at = seat.at(&upload.bucket, &upload.key);
            if !part.holders.contains_key(store) {
                let slot = Slot { native: native.clone(), number: part.number, store: store.clone() };
                let (held, md5) = (received.held.clone(), received.md5);
                match self.put_one(seat, at, slot, part.etag.clone(), held, md5).await {
                    (store, Ok(etag)) => drop(part.holders.insert(store, etag)),
                    (_, Err(_)) => continue,
                }
            }
            if !self.give_from_spool(seat, upload, others).await {
                tracing::info!(%store, "the store still lacks parts of an upload");
            }
        }
    }

    /// True: the store holds all of these parts now.
    pub(crate) async fn give_from_spool(self: &Arc<Self>, seat: &Arc<Seat>, upload: &Upload, parts: &[Part]) -> bool {
        let Some(native) = upload.natives.get(&seat.name) else { return false };
        for part in parts.iter().filter(|part| !part.holders.contains_key(&seat.name)) {
            let Ok(held) = self.spool.open_body(&part_name(&upload.id, part.number, &part.etag)) else { return false };
            let md5 = if upload.internal { None } else { md5_of(&part.etag) };
            let at = seat.at(&upload.bucket, &upload.key);
            let slot = Slot { native: native.clone(), number: part.number, store: seat.name.clone() };
            match self.put_one(seat, at, slot, part.etag.clone(), held, md5).await {
                (store, Ok(etag)) => {
                    let mut given = part.clone();
                    given.holders.insert(store, etag);
                    if let Err(error) = self.ledger.commit(vec![Change::PutPart(Box::new(given))]).await {
                        tracing::error!("a part given later could not be written down: {error}");
                        return false;
                    }
                }
                (_, Err(_)) => return false,
            }
        }
        true
    }

    /// One attempt for one store. Done only where no attempt with other bytes may still land there. It goes on when nobody waits
    /// for it any more: one that is dropped half way may land at any time, and nobody would hear when it cannot.
    async fn put_one(
        self: &Arc<Self>,
        seat: &Arc<Seat>,
        at: At,
        slot: Slot,
        etag: String,
        held: Held,
        md5: Option<[u8; 16]>,
    ) -> (StoreName, Result<String, String>) {
        let (engine, own, store) = (self.clone(), seat.clone(), seat.name.clone());
        let attempt = async move { engine.attempt(&own, &at, &slot, &etag, held, md5).await };
        let ended = self.tasks.spawn(attempt).await;
        (store, ended.unwrap_or_else(|join| Err(format!("the attempt broke off: {join}"))))
    }

    async fn attempt(
        &self,
        seat: &Seat,
        at: &At,
        slot: &Slot,
        etag: &str,
        held: Held,
        md5: Option<[u8; 16]>,
    ) -> Result<String, String> {
        self.attempts.begin(slot, etag);
        let call = seat.store.put_part(at, &slot.native, slot.number, held.body(), md5);
        let answer = seat.watched(OpClass::Write, call).await;
        let unanswered = answer.as_ref().is_err_and(|error| error.applied == Applied::Unknown);
        // On a store whose calls are never given up the call has returned, whatever it said.
        let may_land = unanswered && !seat.limits().never_given_up;
        self.attempts.end(slot, etag, may_land.then(|| self.now().plus_ms(seat.settle_ms())));
        if answer.is_ok() && self.attempts.is_uncertain(slot, etag, self.now()) {
            return Err(format!("{}: other bytes of part {} may still land there", seat.name, slot.number));
        }
        let there = answer.map_err(|error| error.to_string())?;
        if let Some(md5) = md5.map(|md5| hex(&md5))
            && seat.says_md5(&at.bucket)
            && !there.eq_ignore_ascii_case(&md5)
        {
            return Err(format!("{}: it took part {} and holds other bytes than were sent", seat.name, slot.number));
        }
        Ok(there)
    }
}

/// Whoever holds it is the only one who sends this part.
pub(crate) fn slot_of(upload: &str, number: u32) -> Key {
    Key::parse(&format!("{upload}/{number}")).expect("an id and a number are a key")
}

fn judge_open(upload: Upload) -> Result<Upload, UploadError> {
    match upload.state {
        UploadState::Open => Ok(upload),
        UploadState::Completing { .. } => Err(UploadError::Completing),
        UploadState::Completed { .. } | UploadState::Aborted { .. } => Err(UploadError::NoUpload),
    }
}

/// Stores that hold this part and every one acknowledged before.
fn names(stores: &BTreeSet<StoreName>) -> String {
    let names: Vec<&str> = stores.iter().map(StoreName::as_str).collect();
    if names.is_empty() { "none does".to_owned() } else { names.join(", ") }
}

/// The MD5 that a part's ETag is.
pub(crate) fn md5_of(etag: &str) -> Option<[u8; 16]> {
    u128::from_str_radix(etag, 16).ok().filter(|_| etag.len() == 32).map(u128::to_be_bytes)
}
