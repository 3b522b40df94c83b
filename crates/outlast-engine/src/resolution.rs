//! An undecided write is resolved: what the stores show decides, forward where it can be (protocol.md 2.7).

use crate::asks::WriteError;
use crate::asserted;
use crate::call::{Call, End, Load, Report, There, foretold, judge, leaves};
use crate::counters::count;
use crate::engine::Engine;
use crate::seats::{Operation, Seat};
use crate::spool::{body_name, part_name};
use crate::trash::Held;
use futures_util::future::join_all;
use futures_util::stream::{FuturesUnordered, StreamExt};
use outlast_ledger::{Change, LedgerError, UploadState};
use outlast_rules::{
    BucketName, Debt, DebtKind, Displaced, Intent, Key, KeyState, Known, Leaves, Mutant, OpClass, Pin, Predecessor,
    Resolution, Step, StoreName, StoreView, broken, is_safe, resolve,
};
use outlast_store::{Applied, Fault, NativePart, StoreError};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Looking, copying and looking again ends here; what is still undecided is tried again later.
const ROUNDS_MAX: usize = 6;

/// By store: the native upload and its parts.
type Completions = BTreeMap<StoreName, (String, Vec<NativePart>)>;

/// Bytes that are to be sent so that an undecided write stands on more stores. Done without the lane: a client's write to
/// the key waits for no copy, it supersedes what can't be resolved without waiting (protocol.md 2.2). What is sent has marks
/// and flights of its own, as catch-up's has.
struct Forward {
    state: KeyState,
    intent: Intent,
    pins: BTreeMap<StoreName, Pin>,
    to: Vec<StoreName>,
    completions: Completions,
}

/// What one look at all stores led to.
enum Act {
    /// Nothing can be done now.
    Nothing,
    Decided,
    Forward(Box<Forward>),
}

/// What S3 and Azure call it.
const OTHER_PART: [&str; 2] = ["InvalidPart", "InvalidBlockList"];

impl Engine {
    /// Resolves the key's undecided writes as far as that is possible now, sending bytes where needed. Takes the lane for
    /// looking and deciding, and leaves it while bytes flow.
    pub(crate) async fn resolve_key(self: &Arc<Self>, bucket: &BucketName, key: &Key) -> Result<KeyState, LedgerError> {
        for _ in 0..ROUNDS_MAX {
            let lane = self.lanes.lock(bucket, key).await;
            let (state, forward) = self.settle(bucket, key).await?;
            drop(lane);
            let Some(forward) = forward else { return Ok(state) };
            if !self.forward(bucket, key, *forward).await? {
                break;
            }
        }
        self.ledger.key_state(bucket, key).await
    }

    /// In the lane: the key's state after every undecided write was resolved that could be without sending bytes.
    pub(crate) async fn settled_state(
        self: &Arc<Self>,
        bucket: &BucketName,
        key: &Key,
    ) -> Result<KeyState, LedgerError> {
        Ok(self.settle(bucket, key).await?.0)
    }

    /// In the lane. With the state, what has to be sent before more can be decided.
    async fn settle(
        self: &Arc<Self>,
        bucket: &BucketName,
        key: &Key,
    ) -> Result<(KeyState, Option<Box<Forward>>), LedgerError> {
        let mut state = self.ledger.key_state(bucket, key).await?;
        for _ in 0..ROUNDS_MAX {
            let Some(newest) = state.intents.last().cloned() else { break };
            let act = if newest.entry.is_object() {
                self.step(bucket, key, &state, &newest).await?
            } else if self.forward_delete(bucket, &newest).await? {
                Act::Decided
            } else {
                Act::Nothing
            };
            match act {
                Act::Decided => state = self.ledger.key_state(bucket, key).await?,
                Act::Nothing => break,
                Act::Forward(forward) => return Ok((state, Some(forward))),
            }
        }
        Ok((state, None))
    }

    /// One look at all stores, and one act that sends no bytes.
    async fn step(
        self: &Arc<Self>,
        bucket: &BucketName,
        key: &Key,
        state: &KeyState,
        intent: &Intent,
    ) -> Result<Act, LedgerError> {
        let placement = self.placement(bucket);
        let seats = self.seats_of(bucket);
        let looks = join_all(seats.iter().map(|seat| self.view(seat, bucket, key, state, intent))).await;
        let mut views = BTreeMap::new();
        let mut pins = BTreeMap::new();
        let mut open_to_new = Vec::new();
        for (seat, (view, pin, open)) in seats.iter().zip(looks) {
            pins.extend(pin.map(|pin| (seat.name.clone(), pin)));
            if open && !self.is_leaving(&seat.name) {
                open_to_new.push(seat.name.clone());
            }
            views.insert(seat.name.clone(), view);
        }
        let completions = self.completions(intent).await?;
        let answered = |store: &StoreName| !matches!(views.get(store), Some(StoreView::Silent) | None);
        let known = Known {
            placement: &placement,
            completable: completions.keys().any(answered),
            views: views.clone(),
            spooled: state.spooled.contains(&intent.entry.write),
            old_is_object: state.object().is_some(),
            old_spooled: state.object().is_some_and(|old| state.spooled.contains(&old.write)),
            marks_left: !state.marks.is_empty() || seats.iter().any(|seat| seat.flights.is_busy(bucket, key)),
            open_to_new,
        };
        let resolution = resolve(&known);
        let commits = matches!(resolution, Resolution::Commit { .. } | Resolution::CommitBelow { .. });
        if commits && intent.upload.is_some() {
            let (write, seq) = (intent.entry.write, intent.entry.seq);
            self.ledger.commit(vec![self.order_kept(bucket, key, &intent.entry)]).await?;
            match self.write_order(bucket, key, write, seq).await {
                Ok(()) => {}
                Err(WriteError::Ledger(error)) => return Err(error),
                Err(_) => return Ok(Act::Nothing),
            }
        }
        match resolution {
            Resolution::Commit { holders } => {
                asserted::places(holders.len(), known.spooled, placement.min_copies);
                self.commit_undecided(state, intent, holders, vec![]).await.map(|()| Act::Decided)
            }
            Resolution::CommitBelow { holders } => {
                let kept = if broken(Mutant::PredecessorsForgotten) { vec![] } else { predecessors(state, intent) };
                self.note(
                    "below-min",
                    format!("{bucket}/{key}: committed on {} of {} places", holders.len(), placement.min_copies),
                )
                .await;
                self.commit_undecided(state, intent, holders, kept).await.map(|()| Act::Decided)
            }
            Resolution::RollBack { looks } => self.roll_back(state, intent, looks).await.map(|()| Act::Decided),
            Resolution::Forward { to } => {
                let (state, intent) = (state.clone(), intent.clone());
                Ok(Act::Forward(Box::new(Forward { state, intent, pins, to, completions })))
            }
            Resolution::Wait => Ok(Act::Nothing),
        }
    }

    /// What one store shows; the pin of a copy of the undecided write; may a new copy go there now?
    async fn view(
        self: &Arc<Self>,
        seat: &Arc<Seat>,
        bucket: &BucketName,
        key: &Key,
        state: &KeyState,
        intent: &Intent,
    ) -> (StoreView, Option<Pin>, bool) {
        let found = seat.look(bucket, key).await;
        let powers = seat.powers(bucket, Operation::Put);
        let marks = || state.marks_on(&seat.name);
        // A call that only looks so far has no mark yet, and may be about to write one and be sent.
        let is_out = seat.flights.is_busy(bucket, key);
        let write = intent.entry.write;
        let open = is_safe(
            powers,
            write,
            leaves(&foretold(
                seat,
                bucket,
                &Load::Elsewhere { entry: Arc::new(intent.entry.clone()), digests: None, spooled: false },
            )),
            marks(),
        ) && !is_out;
        let old = state.object();
        match judge(bucket, key, &intent.entry, state, &seat.name, found) {
            Err(_) => (StoreView::Silent, None, false),
            Ok(There::Ours(found)) if !self.is_other_md5(bucket, &intent.entry, &seat.name, &found.pin.etag) => {
                let safe = is_safe(powers, write, Leaves::Etag(&found.pin.etag), marks()) && seat.is_fit(bucket);
                let pin = seat.pin(bucket, found.pin);
                (StoreView::New { pin: pin.clone(), safe }, Some(pin), open)
            }
            Ok(There::Nothing) if old.is_none() => {
                let safe = is_safe(powers, write, Leaves::Absence, marks()) && !is_out;
                (StoreView::Old { safe }, None, open)
            }
            Ok(There::Older(found)) if old.is_some_and(|old| self.is_copy_of(bucket, key, old, &seat.name, &found)) => {
                let old = old.expect("just matched");
                let safe = is_safe(powers, old.write, Leaves::Etag(&found.pin.etag), marks()) && seat.is_fit(bucket);
                (StoreView::Old { safe: safe && !is_out }, None, open)
            }
            Ok(_) => (StoreView::Other, None, open),
        }
    }

    /// The old entry can be brought back while the new one stands on too few places, whatever the bucket keeps otherwise.
    async fn offer_predecessor(&self, state: &KeyState, intent: &Intent) -> Result<Option<Change>, LedgerError> {
        let (bucket, key, Some(old)) = (&intent.bucket, &intent.key, state.object()) else { return Ok(None) };
        if self.ledger.trash_of(bucket, key).await?.iter().any(|row| row.entry.write == old.write) {
            return Ok(None);
        }
        let row = self.trashed(bucket, key, old, intent.entry.write, Displaced::Below, Held::AsPredecessor);
        Ok(row.map(|row| Change::PutTrash(Box::new(row))))
    }

    async fn commit_undecided(
        self: &Arc<Self>,
        state: &KeyState,
        intent: &Intent,
        holders: BTreeMap<StoreName, Pin>,
        predecessors: Vec<Predecessor>,
    ) -> Result<(), LedgerError> {
        let (bucket, key, now) = (&intent.bucket, &intent.key, self.now());
        let mut entry = intent.entry.clone();
        let (write, seq) = (entry.write, entry.seq);
        entry.holders = holders.clone();
        entry.predecessors = predecessors;
        let mut batch = Vec::new();
        if !entry.predecessors.is_empty() {
            // Before it is displaced: digests that nothing names any more are forgotten.
            batch.extend(self.offer_predecessor(state, intent).await?);
        }
        let entry = Box::new(entry);
        batch.push(Change::SetEntry { bucket: bucket.clone(), key: key.clone(), entry, digests: None });
        let ended = state.intents.iter().filter(|other| other.entry.seq <= seq);
        batch.extend(ended.map(end_write));
        for seat in self.seats_of(bucket) {
            let (store, bucket, key) = (seat.name.clone(), bucket.clone(), key.clone());
            batch.push(if holders.contains_key(&store) || broken(Mutant::CommitLooksForgotten) {
                Change::Settle { store, bucket, key, seq }
            } else {
                Change::Owe(Debt::begin(&store, &bucket, &key, DebtKind::Look, Some(&intent.entry), now))
            });
        }
        let released: Vec<_> = state.spooled.iter().filter(|spooled| **spooled != write).copied().collect();
        batch.extend(released.iter().map(|write| Change::SpoolReleases { write: *write }));
        if let Some(upload) = &intent.upload {
            batch.extend(self.completes(upload, &intent.entry).await?);
        }
        self.ledger.commit(batch).await?;
        for write in released {
            self.spool.release(&body_name(write));
        }
        if let Some(upload) = &intent.upload {
            for part in self.ledger.parts(upload, 0, crate::kept::PARTS_MAX).await? {
                self.spool.release(&part_name(upload, part.number, &part.etag));
            }
        }
        // Where every store has it already, no debt will ever ask.
        self.trim_spool(bucket, key).await?;
        count(&self.counters.undecided_committed);
        self.ring(bucket);
        Ok(())
    }

    async fn roll_back(
        self: &Arc<Self>,
        state: &KeyState,
        intent: &Intent,
        looks: Vec<StoreName>,
    ) -> Result<(), LedgerError> {
        let (bucket, key, now) = (&intent.bucket, &intent.key, self.now());
        let mut batch = vec![end_write(intent)];
        for store in looks.into_iter().filter(|_| !broken(Mutant::RollBackLooksForgotten)) {
            let debt = Debt::begin(&store, bucket, key, DebtKind::Look, state.entry.as_ref(), now);
            batch.push(Change::Owe(debt));
        }
        batch.push(Change::SpoolReleases { write: intent.entry.write });
        self.ledger.commit(batch).await?;
        self.spool.release(&body_name(intent.entry.write));
        count(&self.counters.undecided_rolled_back);
        self.ring(bucket);
        Ok(())
    }

    /// Native uploads that still have every part of this write: an unanswered Complete is repeated there, not aborted
    /// (counter-example 26).
    async fn completions(&self, intent: &Intent) -> Result<Completions, LedgerError> {
        let Some(id) = intent.upload.as_ref().filter(|_| !broken(Mutant::CompletesAborted)) else {
            return Ok(Completions::new());
        };
        let Some(upload) = self.ledger.upload(id).await? else { return Ok(Completions::new()) };
        let UploadState::Completing { parts: listed } = &upload.state else { return Ok(Completions::new()) };
        let stored = self.ledger.parts(id, 0, crate::kept::PARTS_MAX).await?;
        let parts: Vec<_> = stored.into_iter().filter(|part| listed.contains(&part.number)).collect();
        if parts.len() != listed.len() {
            return Ok(Completions::new());
        }
        let on = |store: &StoreName| -> Option<Vec<NativePart>> {
            let native = |part: &outlast_ledger::Part| {
                Some(NativePart { number: part.number, size: part.size, etag: part.holders.get(store)?.clone() })
            };
            parts.iter().map(native).collect()
        };
        let natives = upload.natives.iter();
        Ok(natives.filter_map(|(store, native)| Some((store.clone(), (native.clone(), on(store)?)))).collect())
    }

    /// Copies the undecided write's bytes to stores that lack it, or completes its upload there. True: one more has it now.
    async fn forward(self: &Arc<Self>, bucket: &BucketName, key: &Key, forward: Forward) -> Result<bool, LedgerError> {
        let Forward { state, intent, pins, to, mut completions } = forward;
        let mut source = intent.entry.clone();
        source.holders = pins;
        let digests = self.ledger.digests(bucket, key, source.write).await?.map(Arc::new);
        let spooled = state.spooled.contains(&source.write);
        let source = Arc::new(source);
        let before = Arc::new(state);
        let mut calls: FuturesUnordered<_> = to
            .iter()
            .filter_map(|name| self.seat(name))
            // A store that became busy meanwhile is left for the next time.
            .filter_map(|seat| Some((seat, seat.flights.try_lock(bucket, key)?)))
            .map(|(seat, flight)| {
                let load = match completions.remove(&seat.name) {
                    Some((upload, parts)) => Load::Complete { upload, parts },
                    None => Load::Elsewhere { entry: source.clone(), digests: digests.clone(), spooled },
                };
                let call = Call {
                    seat: seat.clone(),
                    bucket: bucket.clone(),
                    key: key.clone(),
                    entry: Arc::new(intent.entry.clone()),
                    epoch: self.epoch,
                    before: before.clone(),
                    load,
                    step: Step::Look,
                    marked: None,
                    anew: false,
                    flight: Some(flight),
                    found: None,
                };
                call.run(self.clone())
            })
            .collect();
        let mut any = false;
        // Written down as they come: the mark of an answered call would keep others off while a slow store is waited for.
        let mut failed = None;
        while let Some(report) = calls.next().await {
            match self.forwarded(&intent, report).await {
                Ok(moved) => any |= moved,
                // The others are finished, not dropped: a dropped call may apply unseen.
                Err(error) => failed = Some(error),
            }
        }
        failed.map_or(Ok(any), Err)
    }

    /// What one store made of it. True: the write is nearer to a decision.
    async fn forwarded(self: &Arc<Self>, intent: &Intent, report: Report) -> Result<bool, LedgerError> {
        let (bucket, key, store) = (intent.bucket.clone(), intent.key.clone(), report.store);
        let mut batch: Vec<Change> = report.answered.into_iter().map(|call| Change::DropMark { call }).collect();
        if let Some(call) = report.outstanding.filter(|_| broken(Mutant::UnknownDropsMark)) {
            batch.push(Change::DropMark { call });
        } else if report.outstanding.is_some() {
            let (bucket, key, store, now) = (bucket.clone(), key.clone(), store.clone(), self.now());
            batch.push(Change::RestartKeyMarks { bucket, key, store, now });
        }
        if let Some(seen) = report.seen {
            batch.push(Change::SetSeen { bucket, key, store: store.clone(), seen });
        }
        let mut any = matches!(report.end, End::Done(_));
        // What has no native upload any more, or one with another part than ours, can never be completed there: without this the
        // write would be undecided for ever.
        let gone = matches!(&report.end, End::Error(error) if error.fault == Fault::NoUpload || is_other_part(error));
        if let Some(id) = intent.upload.as_ref().filter(|_| gone)
            && let Some(mut upload) = self.ledger.upload(id).await?
        {
            if let (Some(native), Some(seat)) = (upload.natives.remove(&store), self.seat(&store).cloned()) {
                let at = seat.at(&intent.bucket, &intent.key);
                // Nobody knows of it any more; where it is gone already there is nothing to do.
                self.tasks.spawn(async move {
                    match seat.watched(OpClass::Delete, seat.store.abort_upload(&at, &native)).await {
                        Err(error) if error.fault != Fault::NoUpload => {
                            tracing::info!("{error}: an upload that cannot be completed stays there");
                        }
                        _ => {}
                    }
                });
            }
            batch.push(Change::PutUpload(Box::new(upload)));
            any = true;
        }
        self.ledger.commit(batch).await?;
        Ok(any)
    }

    /// Resolution in the background: soon, and again on a store's return or a second look.
    pub(crate) fn owe_resolution(self: &Arc<Self>, _bucket: &BucketName, _key: &Key) {
        self.undecided_bell.notify_one();
    }

    pub(crate) fn ring(&self, bucket: &BucketName) {
        for seat in self.seats_of(bucket) {
            seat.bell.notify_one();
        }
    }
}

/// The store says that a part it has is not the one that was named: a late attempt with other bytes landed there.
fn is_other_part(error: &StoreError) -> bool {
    error.applied == Applied::No && error.code.as_deref().is_some_and(|code| OTHER_PART.contains(&code))
}

fn end_write(intent: &Intent) -> Change {
    Change::EndWrite { bucket: intent.bucket.clone(), key: intent.key.clone(), write: intent.entry.write }
}

fn predecessors(state: &KeyState, intent: &Intent) -> Vec<Predecessor> {
    let older = state.intents.iter().filter(|other| other.entry.seq < intent.entry.seq).map(|other| &other.entry);
    let displaced = state.entry.iter().chain(older);
    let kept = displaced.map(|entry| Predecessor {
        write: entry.write,
        seq: entry.seq,
        size: entry.size,
        etag: entry.etag.clone(),
        holders: entry.holders.clone(),
    });
    kept.chain(state.entry.iter().flat_map(|entry| entry.predecessors.clone())).collect()
}
