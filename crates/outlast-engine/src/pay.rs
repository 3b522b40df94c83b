//! One debt of one store is paid: look, then copy or remove; marks are obeyed like by any write (protocol.md 6).

use crate::asserted;
use crate::call::{Call, End, Load, There, judge};
use crate::counters::count;
use crate::engine::Engine;
use crate::foreign::found_entry;
use crate::lanes::{LANE_WAIT, LaneGuard};
use crate::seats::{Operation, Seat};
use outlast_ledger::{Change, LedgerError};
use outlast_rules::{
    BucketName, Debt, DebtKind, Displaced, Entry, Fence, Key, KeyState, Leaves, Mark, Moment, Mutant, OpClass, Seen,
    Shelf, Step, StoreName, Trashed, UNDELETE_MS_DEFAULT, WriteId, broken, closed_by, is_safe, trash_name,
};
use outlast_store::{Answer, Applied, Fault, Found};
use std::collections::BTreeMap;
use std::sync::Arc;

/// First wait after an attempt that could not be finished; doubled up to the longest.
const RETRY_MS_MIN: u64 = 500;
const RETRY_MS_MAX: u64 = 60_000;

/// What came of one attempt.
#[derive(Debug)]
pub(crate) enum Paid {
    Yes {
        bytes: u64,
    },
    /// Not now; the words are for the log. `fault`: what the store said, for the pace.
    Later {
        why: String,
        fault: Option<Fault>,
    },
}

/// Has what lies there been put aside, or was it at least tried?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Aside {
    First,
    Tried,
}

fn later(why: impl Into<String>) -> Paid {
    Paid::Later { why: why.into(), fault: None }
}

impl Engine {
    pub(crate) async fn pay(self: &Arc<Self>, seat: &Arc<Seat>, debt: &Debt) -> Result<Paid, LedgerError> {
        // What is to be removed is put aside first, without the lane; then everything is looked at again.
        let paid = match self.try_to_pay(seat, debt, Aside::First).await? {
            Some(paid) => paid,
            None => self
                .try_to_pay(seat, debt, Aside::Tried)
                .await?
                .unwrap_or_else(|| later("its bytes are not all put aside yet")),
        };
        match &paid {
            Paid::Yes { .. } => count(&self.counters.debts_paid),
            Paid::Later { why, .. } => {
                tracing::debug!(store = %seat.name, bucket = %debt.bucket, key = %debt.key, "debt postponed: {why}");
                count(&self.counters.debts_postponed);
                let wait = (RETRY_MS_MIN << debt.attempts.min(16)).min(RETRY_MS_MAX);
                let not_before = self.now().plus_ms(wait);
                let again = Debt { not_before, attempts: debt.attempts + 1, ..debt.clone() };
                self.ledger.commit(vec![Change::Owe(again)]).await?;
            }
        }
        Ok(paid)
    }

    /// None: something was put aside, and it is worth trying again at once.
    async fn try_to_pay(
        self: &Arc<Self>,
        seat: &Arc<Seat>,
        debt: &Debt,
        aside: Aside,
    ) -> Result<Option<Paid>, LedgerError> {
        if !seat.can_hold(&debt.bucket, &debt.key) {
            // Adopted elsewhere, or from before anybody asked: what lies under this name there is another key's copy.
            return Ok(Some(later(
                "the store drops slashes at the start of a key, and cannot tell this one from another",
            )));
        }
        let Some(flight) = seat.flights.try_lock(&debt.bucket, &debt.key) else {
            return Ok(Some(later("an earlier call for this key is still out")));
        };
        // Not in the lane: a store that has just fallen silent would keep the key's writers waiting. While the flight is
        // held no call of ours changes what was seen.
        let found = self.look_for_what_goes(seat, &debt.bucket, &debt.key).await;
        let Some(lane) = self.lanes.lock_within(LANE_WAIT, &debt.bucket, &debt.key).await else {
            return Ok(Some(later("a write of this key is in its commit phase")));
        };
        let state = self.settled_state(&debt.bucket, &debt.key).await?;
        if !state.intents.is_empty() {
            return Ok(Some(later("a write of this key is undecided")));
        }
        // A write that was decided while the lane was waited for may have settled it, or owe something else now.
        let Some(debt) = state.debts.iter().find(|owed| owed.store == seat.name).cloned() else {
            return Ok(Some(Paid::Yes { bytes: 0 }));
        };
        let debt = &debt;
        let is_object = state.object().is_some();
        // A frozen gateway does not even look whether there is something to remove.
        if !is_object && self.is_frozen() {
            return Ok(Some(later("removal is frozen: outlast thaw")));
        }
        // What is owed a copy of newer bytes gets it, put aside or not: what is new must not wait for what is old.
        if let Ok(found) = &found
            && (aside == Aside::First || !is_object)
            && !state.object().is_some_and(|entry| self.is_copy_of(&debt.bucket, &debt.key, entry, &seat.name, found))
            && let Some(trashed) = self.not_yet_kept(seat, &debt.bucket, &debt.key, found).await?
        {
            // The flight stays: what lies there is not changed by us meanwhile.
            drop(lane);
            return Ok(match self.put_aside(seat, trashed, found).await? {
                Ok(true) => None,
                Ok(false) | Err(_) if is_object => None,
                Ok(false) => Some(later("its bytes do not stand on enough stores of the trash yet")),
                Err(error) => Some(Paid::Later { why: error.to_string(), fault: Some(error.fault) }),
            });
        }
        match state.entry.clone() {
            Some(entry) if entry.is_object() => self.pay_copy(seat, debt, state, entry, found, lane, flight).await,
            entry => self.pay_removal(seat, debt, state, entry, found, lane, flight).await,
        }
        .map(Some)
    }

    #[allow(clippy::too_many_arguments, reason = "one debt with everything that was just looked up for it")]
    async fn pay_copy(
        self: &Arc<Self>,
        seat: &Arc<Seat>,
        debt: &Debt,
        state: KeyState,
        entry: Entry,
        found: Answer<Found>,
        lane: LaneGuard,
        flight: LaneGuard,
    ) -> Result<Paid, LedgerError> {
        let (bucket, key) = (&debt.bucket, &debt.key);
        let powers = seat.powers(bucket, Operation::Put);
        if let Ok(found) = &found
            && self.is_copy_of(bucket, key, &entry, &seat.name, found)
            && debt.kind != DebtKind::Rewrite
        {
            if !is_safe(powers, entry.write, Leaves::Etag(&found.pin.etag), state.marks_on(&seat.name)) {
                return Ok(later("a call that may still apply could overwrite the copy"));
            }
            self.land(seat, debt, &entry, found.pin.clone()).await?;
            return Ok(Paid::Yes { bytes: 0 });
        }
        if let Err(error) = &found
            && error.fault != Fault::NoKey
        {
            return Ok(Paid::Later { why: error.to_string(), fault: Some(error.fault) });
        }
        if self.is_leaving(&seat.name) {
            return self.let_off(seat, debt, &entry).await;
        }
        let stripped = found.as_ref().ok().filter(|found| self.is_stripped(&entry, &seat.name, found)).cloned();
        let mut source = entry.clone();
        source.holders.remove(&seat.name);
        let spooled = state.spooled.contains(&entry.write);
        let load = match &stripped {
            Some(found) if debt.kind != DebtKind::Rewrite => Load::Restamp { pin: found.pin.clone() },
            _ if source.holders.is_empty() && !spooled => return Ok(later("no other holder to copy from")),
            _ => {
                let digests = self.ledger.digests(bucket, key, entry.write).await?.map(Arc::new);
                Load::Elsewhere { entry: Arc::new(source), digests, spooled }
            }
        };
        if stripped.is_none() && entry.holders.contains_key(&seat.name) {
            let (bucket, key, store) = (bucket.clone(), key.clone(), seat.name.clone());
            self.ledger.commit(vec![Change::NotHolder { bucket, key, store, write: entry.write }]).await?;
        }
        let call = Call {
            seat: seat.clone(),
            bucket: bucket.clone(),
            key: key.clone(),
            entry: Arc::new(entry.clone()),
            epoch: self.epoch,
            before: Arc::new(state),
            load,
            step: Step::Look,
            marked: None,
            anew: debt.kind == DebtKind::Rewrite,
            flight: Some(flight),
            found: Some(found),
        };
        // The lane is not held while bytes flow; the flight keeps everybody else's call for this key away from this store.
        drop(lane);
        self.finish_copy(seat, debt, &entry, call).await
    }

    async fn finish_copy(
        self: &Arc<Self>,
        seat: &Arc<Seat>,
        debt: &Debt,
        entry: &Entry,
        call: Call,
    ) -> Result<Paid, LedgerError> {
        let report = call.run(self.clone()).await;
        let now = self.now();
        let mut batch: Vec<Change> = report.answered.into_iter().map(|call| Change::DropMark { call }).collect();
        let (bucket, key, store) = (debt.bucket.clone(), debt.key.clone(), seat.name.clone());
        let paid = match report.end {
            End::Done(pin) => {
                self.ledger.commit(batch).await?;
                self.land(seat, debt, entry, pin).await?;
                return Ok(Paid::Yes { bytes: entry.size });
            }
            End::Closed => later("a call that may still apply could overwrite the copy"),
            End::Superseded => later("the key has changed"),
            End::Ledger(error) => return Err(error),
            End::Error(error) => {
                if let Some(call) = report.outstanding.filter(|_| broken(Mutant::UnknownDropsMark)) {
                    batch.push(Change::DropMark { call });
                } else if report.outstanding.is_some() {
                    batch.push(Change::RestartKeyMarks { bucket, key, store, now });
                }
                Paid::Later { why: error.to_string(), fault: Some(error.fault) }
            }
        };
        self.ledger.commit(batch).await?;
        Ok(paid)
    }

    /// The store has a right copy: holder if it is safe, judged inside the ledger's transaction.
    async fn land(
        self: &Arc<Self>,
        seat: &Arc<Seat>,
        debt: &Debt,
        entry: &Entry,
        pin: outlast_rules::Pin,
    ) -> Result<(), LedgerError> {
        let landed = Change::Landed {
            bucket: debt.bucket.clone(),
            key: debt.key.clone(),
            store: seat.name.clone(),
            write: entry.write,
            pin: seat.pin(&debt.bucket, pin),
            powers: seat.powers(&debt.bucket, Operation::Put),
            call: None,
            now: self.now(),
        };
        self.ledger.commit(vec![landed]).await?;
        self.trim_spool(&debt.bucket, &debt.key).await
    }

    /// The entry is a tombstone, or there is none: nothing of ours may lie there.
    #[allow(clippy::too_many_arguments, reason = "one debt with everything that was just looked up for it")]
    async fn pay_removal(
        self: &Arc<Self>,
        seat: &Arc<Seat>,
        debt: &Debt,
        state: KeyState,
        entry: Option<Entry>,
        found: Answer<Found>,
        lane: LaneGuard,
        _flight: LaneGuard,
    ) -> Result<Paid, LedgerError> {
        let (bucket, key) = (&debt.bucket, &debt.key);
        let found = match found {
            Ok(found) => found,
            // A missing bucket is a verdict on the store, not on the key, while the bucket is served (protocol.md 1).
            Err(error) if error.fault == Fault::NoKey || (error.fault == Fault::NoBucket && self.is_gone(bucket)) => {
                return self.seen_without(seat, debt, &state).await;
            }
            Err(error) => return Ok(Paid::Later { why: error.to_string(), fault: Some(error.fault) }),
        };
        let ghost = entry.clone().unwrap_or_else(|| ghost(debt));
        let there = judge(bucket, key, &ghost, &state, &seat.name, Ok(found.clone()));
        let foreign = matches!(there, Ok(There::Foreign(_)));
        if foreign
            && broken(Mutant::ForeignClosesBucket)
            && let Some(bucket) = self.cached_bucket(bucket)
        {
            let state = outlast_ledger::BucketState::Found { on: vec![seat.name.clone()] };
            self.cache_bucket(&bucket.name.clone(), Some(outlast_ledger::Bucket { state, ..bucket }));
        }
        if foreign && entry.is_none() {
            // Nobody ever wrote this key through us: it is reported and left alone.
            let text = format!("{}: {bucket}/{key} is not ours and no entry knows it", seat.name);
            self.note("foreign", text).await;
            let (store, bucket, key) = (seat.name.clone(), bucket.clone(), key.clone());
            self.ledger.commit(vec![Change::Settle { store, bucket, key, seq: debt.seq }]).await?;
            return Ok(Paid::Yes { bytes: 0 });
        }
        if foreign && let Err(error) = self.keep_conflict(seat, bucket, key, &found).await {
            return Ok(Paid::Later { why: error.to_string(), fault: Some(error.fault) });
        }
        if entry.is_none()
            && let Err(closed) = self.may_still_go(seat, bucket)
        {
            // It would be put under a name that a late removal of the bucket's former life may take away.
            return Ok(later(closed.to_string()));
        }
        if entry.is_none() && broken(Mutant::LeftoverAdopted) {
            let (bucket, key, entry) = (bucket.clone(), key.clone(), Box::new(found_entry(&found, self.now())));
            self.ledger.commit(vec![Change::SetEntry { bucket, key, entry, digests: None }]).await?;
            return Ok(later("it is the entry now"));
        }
        if entry.is_none()
            && !broken(Mutant::LeftoverNotKept)
            && let Err(error) = self.keep_leftover(seat, bucket, key, &found).await
        {
            return Ok(Paid::Later { why: error.to_string(), fault: Some(error.fault) });
        }
        self.remove(seat, debt, &state, ghost.write, &found, lane).await
    }

    /// The DELETE call with its mark, fenced on what was just seen.
    async fn remove(
        self: &Arc<Self>,
        seat: &Arc<Seat>,
        debt: &Debt,
        state: &KeyState,
        write: outlast_rules::WriteId,
        found: &Found,
        lane: LaneGuard,
    ) -> Result<Paid, LedgerError> {
        asserted::may_be_removed(state);
        let (bucket, key) = (&debt.bucket, &debt.key);
        let powers = seat.powers(bucket, Operation::Delete);
        let fence = (powers.fenced && !powers.pinned).then(|| Fence::Matches(found.pin.etag.clone()));
        if closed_by(powers, write, Leaves::Absence, state.marks_on(&seat.name)).is_some() {
            return Ok(later("a call that may still apply could bring the key back"));
        }
        let mark = Mark {
            call: self.new_call(),
            store: seat.name.clone(),
            bucket: bucket.clone(),
            key: key.clone(),
            write,
            fence: fence.clone(),
            since: self.now(),
        };
        let call = mark.call;
        self.ledger.commit(vec![Change::AddMark(mark)]).await?;
        drop(lane);
        let at = seat.at(bucket, key);
        let answer = seat.watched(OpClass::Delete, seat.store.delete(&at, None, fence.as_ref())).await;
        match answer {
            Ok(()) => {
                self.ledger.commit(vec![Change::DropMark { call }]).await?;
                self.seen_without(seat, debt, state).await
            }
            Err(error) => {
                let (store, bucket, key) = (seat.name.clone(), bucket.clone(), key.clone());
                let certain = error.applied != Applied::Unknown || seat.limits().never_given_up;
                let certain = certain || broken(Mutant::UnknownDropsMark);
                let now = self.now();
                let change = if certain {
                    Change::DropMark { call }
                } else {
                    Change::RestartKeyMarks { bucket, key, store, now }
                };
                self.ledger.commit(vec![change]).await?;
                Ok(Paid::Later { why: error.to_string(), fault: Some(error.fault) })
            }
        }
    }

    async fn seen_without(
        self: &Arc<Self>,
        seat: &Arc<Seat>,
        debt: &Debt,
        state: &KeyState,
    ) -> Result<Paid, LedgerError> {
        let powers = seat.powers(&debt.bucket, Operation::Delete);
        let write = state.entry.as_ref().map_or(ghost(debt).write, |entry| entry.write);
        if closed_by(powers, write, Leaves::Absence, state.marks_on(&seat.name)).is_some() {
            return Ok(later("a call that may still apply could bring the key back"));
        }
        let (store, bucket, key) = (seat.name.clone(), debt.bucket.clone(), debt.key.clone());
        let seen = Change::SetSeen {
            bucket: bucket.clone(),
            key: key.clone(),
            store: store.clone(),
            seen: Seen { write: None, pin: None },
        };
        self.ledger.commit(vec![seen, Change::Settle { store, bucket, key, seq: debt.seq }]).await?;
        Ok(Paid::Yes { bytes: 0 })
    }

    /// Does the entry stand on `min_copies` safe store copies, none of which is owed anything?
    pub(crate) fn stands_on_enough(
        &self,
        bucket: &outlast_rules::BucketName,
        state: &outlast_rules::KeyState,
        entry: &Entry,
    ) -> bool {
        let safe = entry.holders.iter().filter(|(name, pin)| {
            self.seat(name).is_some_and(|seat| {
                let powers = seat.powers(bucket, Operation::Put);
                is_safe(powers, entry.write, Leaves::Etag(&pin.etag), state.marks_on(name)) && seat.is_fit(bucket)
            }) && !state.debts.iter().any(|debt| &debt.store == *name)
        });
        safe.filter(|(name, _)| !self.is_leaving(name)).count() >= self.placement(bucket).min_copies
    }

    /// With `min_copies` safe store copies the spool lets go of the body, and the entry of its predecessors.
    pub(crate) async fn trim_spool(
        self: &Arc<Self>,
        bucket: &outlast_rules::BucketName,
        key: &outlast_rules::Key,
    ) -> Result<(), LedgerError> {
        let below_min = self.ledger.entry(bucket, key).await?.is_some_and(|entry| !entry.predecessors.is_empty());
        if self.spool.is_empty() && !below_min {
            return Ok(());
        }
        let state = self.ledger.key_state(bucket, key).await?;
        let Some(entry) = state.object() else { return Ok(()) };
        if !self.stands_on_enough(bucket, &state, entry) && !broken(Mutant::SpoolTrimmedEarly) {
            return Ok(());
        }
        if below_min {
            // Enough safe places at last: what it displaced is no longer anybody's choice.
            self.ledger
                .commit(vec![Change::ForgetPredecessors {
                    bucket: bucket.clone(),
                    key: key.clone(),
                    write: entry.write,
                }])
                .await?;
        }
        if !state.spooled.contains(&entry.write) {
            return Ok(());
        }
        self.ledger.commit(vec![Change::SpoolReleases { write: entry.write }]).await?;
        self.spool.release(&crate::spool::body_name(entry.write));
        Ok(())
    }

    /// Calls that were out when a write was decided have all come back. `owed`: who lacked it when it was decided; None: it was not.
    pub(crate) async fn after_write(
        self: &Arc<Self>,
        bucket: &outlast_rules::BucketName,
        key: &outlast_rules::Key,
        owed: Option<Vec<StoreName>>,
    ) {
        if let Err(error) = self.trim_spool(bucket, key).await {
            tracing::error!("trimming the spool: {error}");
        }
        match owed {
            Some(owed) => owed.iter().filter_map(|name| self.seat(name)).for_each(|seat| seat.bell.notify_one()),
            None => self.owe_resolution(bucket, key),
        }
    }

    /// Bytes with our stamp and no entry: a write that was rolled back. Kept aside, never adopted (protocol.md 4).
    async fn keep_leftover(
        self: &Arc<Self>,
        seat: &Arc<Seat>,
        bucket: &outlast_rules::BucketName,
        key: &outlast_rules::Key,
        found: &Found,
    ) -> Answer<()> {
        let Some(stamp) = &found.dress.stamp else { return Ok(()) };
        let to = seat.record_at(bucket, &trash_name(bucket, key, stamp.write));
        let spec = outlast_store::PutSpec { dress: found.dress.clone(), fence: None, md5: None };
        let pin = self.keep_there(seat, (bucket, key), found, &to, spec).await?;
        let shelf = Shelf { pin: seat.pin(bucket, pin), native: false };
        let trashed = leftover(bucket, key, found, self.now(), (seat.name.clone(), shelf));
        if let Err(error) = self.ledger.commit(vec![Change::PutTrash(Box::new(trashed))]).await {
            tracing::error!("a leftover in the trash could not be written down: {error}");
        }
        self.note(
            "leftover",
            format!("{}: a copy of {bucket}/{key} that no entry knows; kept as {}", seat.name, to.key),
        )
        .await;
        Ok(())
    }
}

/// Nobody was ever told of it: it is kept for as long as anything is, and then it goes.
fn leftover(bucket: &BucketName, key: &Key, found: &Found, now: Moment, (store, shelf): (StoreName, Shelf)) -> Trashed {
    Trashed {
        bucket: bucket.clone(),
        key: key.clone(),
        entry: found_entry(found, now),
        by: WriteId(0),
        why: Displaced::Leftover,
        at: now,
        until: Some(now.plus_ms(UNDELETE_MS_DEFAULT)),
        user: None,
        returned: None,
        shelves: BTreeMap::from([(store, shelf)]),
    }
}

/// Stands for the entry of a key that has none: older than everything.
fn ghost(debt: &Debt) -> Entry {
    Entry {
        write: outlast_rules::WriteId(0),
        seq: outlast_rules::Seq(0),
        kind: outlast_rules::EntryKind::Tombstone,
        size: 0,
        etag: String::new(),
        modified: debt.since,
        head: outlast_rules::Head::default(),
        layout: outlast_rules::Layout::Whole,
        checksums: vec![],
        holders: Default::default(),
        adopted_from: None,
        predecessors: vec![],
        record: None,
    }
}
