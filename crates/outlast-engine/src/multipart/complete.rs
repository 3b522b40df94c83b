//! CompleteMultipartUpload: only the listed parts count; for the client it happens once, however often it is asked (protocol.md 5).

use crate::asks::{CompleteAsk, UploadError, WriteError, Written};
use crate::commit::{Draft, Loads};
use crate::digest::hex;
use crate::engine::Engine;
use crate::held::Held;
use crate::lanes::LaneGuard;
use crate::multipart::part::{md5_of, slot_of};
use crate::seats::Seat;
use crate::spool::part_name;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use futures_util::stream::{FuturesUnordered, StreamExt};
use md5::{Digest as _, Md5};
use outlast_ledger::{Change, LedgerError, Part, Upload, UploadState};
use outlast_rules::{
    Checksum, ChecksumKind, Conditions, Digests, Entry, Key, KeyState, Layout, Mutant, OpClass, Standing, StoreName,
    broken,
};
use outlast_store::NativePart;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// S3's bound for every part but the last.
const PART_BYTES_MIN: u64 = 5 * 1024 * 1024;
/// How long a Complete waits for a store that lacks parts while enough others hold all: giving it a few parts is cheaper
/// than a debt of the whole object, and a client waits no 2 s for a store that it does not need.
const GIVE_MAX: Duration = Duration::from_secs(1);

/// What clients will see of the object, and what has to hold before.
pub(crate) struct Shown {
    pub etag: String,
    pub layout: Layout,
    pub checksums: Vec<Checksum>,
    pub conditions: Conditions,
}

impl Engine {
    pub async fn complete_upload(self: &Arc<Self>, ask: CompleteAsk) -> Result<Written, UploadError> {
        if self.stopping.is_cancelled() {
            return Err(WriteError::Stopping.into());
        }
        let engine = self.clone();
        let done = self.tasks.spawn(async move { engine.complete_in_lane(ask).await });
        done.await.unwrap_or_else(|join| Err(WriteError::NoQuorum(format!("the completion broke off: {join}")).into()))
    }

    async fn complete_in_lane(self: Arc<Self>, ask: CompleteAsk) -> Result<Written, UploadError> {
        // Whatever a client calls an upload: locks are named by ids of ours only.
        let known = self.upload_of(&ask.bucket, &ask.key, &ask.upload).await?;
        // A repeat waits here for the one before it, and not for the parts that that one holds.
        let turn = Key::parse(&format!("{}/complete", known.id)).expect("an id of ours and a word are a key");
        let _turn = self.upload_lanes.lock(&ask.bucket, &turn).await;
        let _slots = self.parts_in_hand(&ask).await?;
        let _lane = self.upload_lane(&ask.bucket, &ask.upload).await;
        let upload = self.upload_of(&ask.bucket, &ask.key, &ask.upload).await?;
        match &upload.state {
            UploadState::Open => {}
            UploadState::Completed { etag, at } => {
                let state = self.ledger.key_state(&ask.bucket, &ask.key).await.map_err(WriteError::from)?;
                let checksums = standing(&state, &upload)?.map(|entry| entry.checksums.clone());
                return Ok(repeated(etag, *at, checksums.unwrap_or_default()));
            }
            UploadState::Aborted { .. } => return Err(UploadError::NoUpload),
            UploadState::Completing { .. } => {
                // An earlier Complete was left undecided: it is resolved, and answered as the first would have been.
                let state = self.resolve_key(&ask.bucket, &ask.key).await.map_err(WriteError::from)?;
                if let Some(entry) = standing(&state, &upload)? {
                    let (etag, at, checksums) = (entry.etag.clone(), entry.modified, entry.checksums.clone());
                    self.completed(&upload, &etag, at).await?;
                    return Ok(repeated(&etag, at, checksums));
                }
                if state.intents.iter().any(|intent| intent.entry.write == upload.write) {
                    return Err(
                        WriteError::NoQuorum("an earlier completion of this upload is still undecided".into()).into()
                    );
                }
            }
        }
        let stored = self.all_parts(&ask.upload).await?;
        let parts = listed(&ask, stored)?;
        lists_checksums(&upload, &ask)?;
        let checksums = checksums(&upload, &ask, &parts)?;
        let layout = Layout::Parts(parts.iter().map(|part| part.size).collect());
        let shown = Shown { etag: etag_of(&parts), layout, checksums, conditions: ask.conditions };
        self.finish_upload(upload, parts, shown).await
    }

    /// Nobody sends one of the listed parts again while the completion is decided: native parts that it is about to join would
    /// be replaced. One that is being sent has its time to end. Whoever sends a part holds its slot when he waits for the
    /// upload's lane, so the slots come first.
    async fn parts_in_hand(&self, ask: &CompleteAsk) -> Result<Vec<LaneGuard>, UploadError> {
        let until = Instant::now() + Duration::from_millis(self.settings.commit_deadline_ms);
        let numbers: BTreeSet<u32> = ask.parts.iter().map(|(number, _)| *number).collect();
        let mut slots = Vec::with_capacity(numbers.len());
        for number in numbers {
            let slot = slot_of(&ask.upload, number);
            let in_hand = tokio::time::timeout_at(until, self.upload_lanes.lock(&ask.bucket, &slot)).await;
            slots.push(in_hand.map_err(|_| {
                let words = format!("part {number} of the upload is being sent again; complete it when that has ended");
                WriteError::NoQuorum(words)
            })?);
        }
        Ok(slots)
    }

    /// Commits an upload whose parts are chosen. It is Completing from here until it is decided.
    pub(crate) async fn finish_upload(
        self: &Arc<Self>,
        upload: Upload,
        parts: Vec<Part>,
        shown: Shown,
    ) -> Result<Written, UploadError> {
        let completing = UploadState::Completing { parts: parts.iter().map(|part| part.number).collect() };
        let record = Upload { state: completing, ..upload.clone() };
        self.commit_heard(vec![Change::PutUpload(Box::new(record))]).await.map_err(WriteError::from)?;
        let draft = self.draft_of(&upload, &parts, shown).await;
        let (etag, checksums) = (draft.etag.clone(), draft.checksums.clone());
        match self.clone().commit_in_lane(draft).await {
            Ok(written) => {
                self.completed(&upload, &etag, written.modified).await?;
                for part in self.all_parts(&upload.id).await? {
                    self.spool.release(&part_name(&upload.id, part.number, &part.etag));
                }
                Ok(written)
            }
            Err(error) => {
                let state = self.settled_soon(&upload).await?;
                if let Some(entry) = standing(&state, &upload)? {
                    self.completed(&upload, &etag, entry.modified).await?;
                    let places = entry.holders.keys().map(ToString::to_string).collect();
                    return Ok(Written { etag, modified: entry.modified, checksums: entry.checksums.clone(), places });
                }
                if !state.intents.iter().any(|intent| intent.entry.write == upload.write) {
                    // Read after the state, in which it is decided: nobody changes this any more.
                    let now = self.ledger.upload(&upload.id).await.map_err(WriteError::from)?.map(|now| now.state);
                    if let Some(UploadState::Completed { etag, at }) = now {
                        // Committed, and replaced by a newer write before we looked.
                        let places = upload.natives.keys().map(ToString::to_string).collect();
                        return Ok(Written { places, ..repeated(&etag, at, checksums) });
                    }
                    // Not begun, or rolled back: parts may come again. Otherwise the upload stays closed until it is decided.
                    self.ledger.commit(vec![Change::PutUpload(Box::new(upload))]).await.map_err(WriteError::from)?;
                }
                Err(error.into())
            }
        }
    }

    /// After a Complete that too few stores took. Where one has the object and others have lost their native upload, to an earlier
    /// try that they answered late or not at all, they are given the object while the client still waits.
    async fn settled_soon(self: &Arc<Self>, upload: &Upload) -> Result<KeyState, WriteError> {
        let state = self.ledger.key_state(&upload.bucket, &upload.key).await?;
        let undecided = state.intents.iter().any(|intent| intent.entry.write == upload.write);
        let has_it = |store: &StoreName| state.seen.get(store).is_some_and(|seen| seen.write == Some(upload.write));
        let is_well = |seat: &&Arc<Seat>| seat.standing(OpClass::Write) == Standing::Up;
        let seats = self.seats_of(&upload.bucket);
        let worth_it = seats.iter().any(|seat| has_it(&seat.name)) && seats.iter().all(|seat| is_well(&seat));
        if !undecided || !worth_it {
            return Ok(state);
        }
        let (engine, bucket, key) = (self.clone(), upload.bucket.clone(), upload.key.clone());
        // It goes on when the client is not kept waiting any longer.
        let resolving = self.tasks.spawn(async move { engine.resolve_key(&bucket, &key).await });
        match tokio::time::timeout(GIVE_MAX, resolving).await {
            Ok(Ok(settled)) => Ok(settled?),
            Ok(Err(_)) | Err(_) => Ok(state),
        }
    }

    /// Decided together with the entry: a process that dies right after it leaves no upload behind that could be completed
    /// a second time over a newer write.
    pub(crate) async fn completes(
        &self,
        id: &str,
        entry: &outlast_rules::Entry,
    ) -> Result<Option<Change>, LedgerError> {
        if broken(Mutant::CompletesTwice) {
            return Ok(None);
        }
        let state = UploadState::Completed { etag: entry.etag.clone(), at: entry.modified };
        let upload = self.ledger.upload(id).await?;
        Ok(upload.map(|upload| Change::PutUpload(Box::new(Upload { state, ..upload }))))
    }

    /// A Complete that nobody repeats: what became of it is written down. Rolled back or superseded, its upload is open again.
    pub(crate) async fn settle_upload(self: &Arc<Self>, upload: Upload) -> Result<(), LedgerError> {
        let Ok(name) = Key::parse(&upload.id) else { return Ok(()) };
        // Whoever is completing it holds its lane.
        let Some(_lane) = self.upload_lanes.try_lock(&upload.bucket, &name) else { return Ok(()) };
        let Some(upload) = self.ledger.upload(&upload.id).await? else { return Ok(()) };
        let state = self.ledger.key_state(&upload.bucket, &upload.key).await?;
        let undecided = state.intents.iter().any(|intent| intent.entry.write == upload.write);
        if undecided || !matches!(upload.state, UploadState::Completing { .. }) {
            return Ok(());
        }
        // Read again after the state, in which it is decided: what a decision has written here nobody changes any more.
        let Some(upload) = self.ledger.upload(&upload.id).await? else { return Ok(()) };
        if !matches!(upload.state, UploadState::Completing { .. }) {
            return Ok(());
        }
        let change = match state.entry.filter(|entry| entry.write == upload.write) {
            Some(entry) => self.completes(&upload.id, &entry).await?,
            None => Some(Change::PutUpload(Box::new(Upload { state: UploadState::Open, ..upload }))),
        };
        self.ledger.commit(change.into_iter().collect()).await
    }

    async fn completed(&self, upload: &Upload, etag: &str, at: outlast_rules::Moment) -> Result<(), UploadError> {
        let state = UploadState::Completed { etag: etag.to_owned(), at };
        let record = Upload { state, ..upload.clone() };
        Ok(self.ledger.commit(vec![Change::PutUpload(Box::new(record))]).await.map_err(WriteError::from)?)
    }

    async fn draft_of(self: &Arc<Self>, upload: &Upload, parts: &[Part], shown: Shown) -> Draft {
        let mut natives: BTreeMap<StoreName, (String, Vec<NativePart>)> = self
            .whole_natives(upload, parts)
            .await
            .into_iter()
            .map(|(store, native)| (store, (native, vec![])))
            .collect();
        // What was given just now is in the ledger.
        let fresh = self.all_parts(&upload.id).await.unwrap_or_default();
        for (store, (_, list)) in &mut natives {
            *list = parts.iter().map(|part| native_part(&fresh, part, store)).collect();
        }
        let spooled: Option<Vec<Held>> = parts
            .iter()
            .map(|part| {
                part.spooled.then(|| self.spool.open_body(&part_name(&upload.id, part.number, &part.etag)).ok())?
            })
            .collect();
        Draft {
            bucket: upload.bucket.clone(),
            // An upload that is open or completing keeps its bucket from being deleted.
            life: self.cached_bucket(&upload.bucket).map_or(0, |bucket| bucket.incarnation),
            key: upload.key.clone(),
            head: upload.head.clone(),
            etag: shown.etag,
            size: parts.iter().map(|part| part.size).sum(),
            layout: shown.layout,
            checksums: shown.checksums,
            digests: Some(Digests { maps: parts.iter().map(|part| part.digests.clone()).collect() }),
            conditions: shown.conditions,
            loads: Loads::Complete {
                write: upload.write,
                upload: upload.id.clone(),
                natives,
                spooled: spooled.map(Held::chain),
            },
        }
    }
}

impl Engine {
    /// The stores on which every part stands, and their uploads; those that lack some are given them from the spool.
    async fn whole_natives(self: &Arc<Self>, upload: &Upload, parts: &[Part]) -> BTreeMap<StoreName, String> {
        let holds_all = |store: &StoreName| parts.iter().all(|part| part.holders.contains_key(store));
        let (mut whole, lacking): (BTreeMap<_, _>, BTreeMap<_, _>) =
            upload.natives.clone().into_iter().partition(|(store, _)| holds_all(store));
        let mut giving: FuturesUnordered<_> = lacking
            .into_iter()
            .filter_map(|(store, native)| Some((self.seat(&store)?, native)))
            .filter(|(seat, _)| seat.standing(OpClass::Write) != Standing::Down)
            .map(|(seat, native)| async move {
                self.give_from_spool(seat, upload, parts).await.then(|| (seat.name.clone(), native))
            })
            .collect();
        let min_copies = self.placement(&upload.bucket).min_copies;
        let enough = tokio::time::sleep(GIVE_MAX);
        tokio::pin!(enough);
        let mut is_late = false;
        while !is_late || whole.len() < min_copies {
            tokio::select! {
                biased;
                given = giving.next() => match given {
                    None => break,
                    Some(given) => whole.extend(given),
                },
                () = &mut enough, if !is_late => is_late = true,
            }
        }
        whole.retain(|store, _| self.seat(store).is_some());
        whole
    }
}

/// The upload's object, where it is the key's entry.
///
/// # Errors
/// It was committed on fewer than `min_copies` places because nobody who held the old one answered (protocol.md 2.7 d): no 200
/// before it stands on enough.
fn standing<'a>(state: &'a KeyState, upload: &Upload) -> Result<Option<&'a Entry>, WriteError> {
    match state.entry.as_ref().filter(|entry| entry.write == upload.write) {
        Some(entry) if !entry.predecessors.is_empty() => {
            let words = "the object stands on fewer places than it should, and is being copied to the others";
            Err(WriteError::NoQuorum(words.to_owned()))
        }
        entry => Ok(entry),
    }
}

fn repeated(etag: &str, at: outlast_rules::Moment, checksums: Vec<outlast_rules::Checksum>) -> Written {
    Written { etag: etag.to_owned(), modified: at, checksums, places: vec![] }
}

fn native_part(fresh: &[Part], part: &Part, store: &StoreName) -> NativePart {
    let known = fresh.iter().find(|one| one.number == part.number).unwrap_or(part);
    let etag = known.holders.get(store).cloned().unwrap_or_else(|| part.etag.clone());
    NativePart { number: part.number, size: part.size, etag }
}

/// The parts that the client lists, in its order, as S3 judges them.
fn listed(ask: &CompleteAsk, stored: Vec<Part>) -> Result<Vec<Part>, UploadError> {
    let mut stored: BTreeMap<u32, Part> = stored.into_iter().map(|part| (part.number, part)).collect();
    if ask.parts.is_empty() {
        return Err(UploadError::InvalidPart(0));
    }
    if ask.parts.windows(2).any(|pair| pair[0].0 >= pair[1].0) {
        return Err(UploadError::PartOrder);
    }
    let mut parts = Vec::new();
    for (number, etag) in &ask.parts {
        match stored.remove(number) {
            Some(part) if part.etag.eq_ignore_ascii_case(etag) && has_checksums(&part, ask) => parts.push(part),
            _ => return Err(UploadError::InvalidPart(*number)),
        }
    }
    let all_but_last = &parts[..parts.len() - 1];
    if let Some(small) = all_but_last.iter().find(|part| part.size < PART_BYTES_MIN) {
        return Err(UploadError::TooSmall { number: small.number, size: small.size, min: PART_BYTES_MIN });
    }
    let size: u64 = parts.iter().map(|part| part.size).sum();
    if ask.size.is_some_and(|declared| declared != size) {
        return Err(UploadError::Mismatch);
    }
    Ok(parts)
}

/// One that we never computed cannot be vouched for: it counts as another.
fn has_checksums(part: &Part, ask: &CompleteAsk) -> bool {
    let listed = ask.part_checksums.get(&part.number).into_iter().flatten();
    let has = |kind: ChecksumKind, value: &str| part.checksums.iter().any(|sum| sum.kind == kind && sum.value == value);
    listed.into_iter().all(|(kind, value)| has(*kind, value.trim()))
}

/// Where the object's checksum is made of those of its parts, the client has to say them again: S3 refuses a completion
/// that leaves one out. Where it is one over all bytes, or was never asked for, nothing has to be said.
fn lists_checksums(upload: &Upload, ask: &CompleteAsk) -> Result<(), UploadError> {
    let Some(kind) = upload.checksum.filter(|kind| is_composite(upload, *kind)) else { return Ok(()) };
    let says = |number: &u32| {
        let listed = ask.part_checksums.get(number).into_iter().flatten();
        listed.into_iter().any(|(said, _)| *said == kind)
    };
    match ask.parts.iter().find(|(number, _)| !says(number)) {
        Some((number, _)) => Err(UploadError::PartChecksumMissing { number: *number, kind }),
        None => Ok(()),
    }
}

fn is_composite(upload: &Upload, kind: ChecksumKind) -> bool {
    upload.composite.unwrap_or(kind != ChecksumKind::Crc64nvme)
}

/// MD5 of the parts' MD5s, and how many there are: S3's rule.
fn etag_of(parts: &[Part]) -> String {
    let mut md5 = Md5::new();
    for part in parts {
        md5.update(md5_of(&part.etag).unwrap_or_default());
    }
    format!("{}-{}", hex(&md5.finalize()), parts.len())
}

/// The object's checksum: of the part checksums (COMPOSITE), or over all bytes where it can be combined (CRC64NVME).
fn checksums(upload: &Upload, ask: &CompleteAsk, parts: &[Part]) -> Result<Vec<Checksum>, UploadError> {
    let Some(kind) = upload.checksum.or(ask.checksum.as_ref().map(|(kind, _)| *kind)) else { return Ok(vec![]) };
    let of_parts: Option<Vec<(Vec<u8>, u64)>> = parts
        .iter()
        .map(|part| {
            let sum = part.checksums.iter().find(|sum| sum.kind == kind)?;
            Some((STANDARD.decode(&sum.value).ok()?, part.size))
        })
        .collect();
    let Some(of_parts) = of_parts else { return Ok(vec![]) };
    let composite = is_composite(upload, kind);
    let value = if composite {
        let mut running = crate::digest::RunningChecksum::new(kind);
        for (value, _) in &of_parts {
            running.update(value);
        }
        format!("{}-{}", running.finish_base64(), parts.len())
    } else {
        match crate::digest::combine(kind, &of_parts) {
            Some(value) => value,
            None => return Ok(vec![]),
        }
    };
    if let Some((declared_kind, declared)) = &ask.checksum
        && *declared_kind == kind
        && declared.split('-').next() != value.split('-').next()
    {
        return Err(UploadError::Mismatch);
    }
    Ok(vec![Checksum { kind, value, composite }])
}
