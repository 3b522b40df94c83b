//! A store leaves: first it gets nothing new and the others get what it holds, then it is let go of, object by object, while
//! enough others stand. Every step is durable before it is acted on, so each can be broken off and asked for again.

use crate::asks::WriteError;
use crate::engine::Engine;
use crate::leaving::Leaving;
use crate::owed::Owed;
use crate::pay::Paid;
use crate::records::{Kept, RECORD_FACTS};
use crate::seats::{Operation, Seat};
use crate::verify::Progress;
use outlast_ledger::{Change, LedgerError};
use outlast_rules::{
    BucketName, Debt, DebtKind, Departure, Elsewhere, Entry, Key, KeyState, Leaves, StoreName, elsewhere, is_safe,
    may_leave,
};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;

/// Entries read, and changes written, together: a page of a listing, about a megabyte.
const PAGE: usize = 1_000;
/// Between two looks at what is still on its way: small copies take less, and looking is cheap.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// A drain that nobody waits for any more ends with its next look.
const ALONE_WAIT: Duration = Duration::from_secs(5);
/// Late answers may name the store again while its copies are let go of; they come within a call's life, and not for ever.
const ROUNDS_MAX: usize = 5;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LeaveStep {
    /// No new copies there, and its objects to the others; waits until they are there.
    Drain,
    /// The ledger lets go of it.
    Remove,
    /// It is used again, and owed everything that it lacks.
    Undo,
}

#[derive(Debug, Clone)]
pub struct LeaveAsk {
    pub store: StoreName,
    pub step: LeaveStep,
    pub dry_run: bool,
    /// The number of objects at risk, as it was told: nothing else goes below the floor.
    pub accept_risk: Option<u64>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LeaveReport {
    pub store: StoreName,
    pub step: LeaveStep,
    pub dry_run: bool,
    /// Copies that the ledger knows there now.
    pub objects: u64,
    pub bytes: u64,
    /// What each of the other stores is to get (drain), or what this one is owed again (undo).
    pub copies: BTreeMap<StoreName, Owed>,
    /// Objects that would have fewer than `min_copies` copies without it: for good (drain), or as things stand (remove).
    pub at_risk: u64,
    /// Of these, objects of which no other copy counts.
    pub last: u64,
    /// Buckets whose writes will be acknowledged with fewer copies, in words.
    pub lowered: Vec<String>,
    /// Deleted or overwritten objects that can be brought back from this store only. They are not moved.
    pub trash: u64,
    /// What was asked is done to the end.
    pub done: bool,
}

#[derive(Debug, thiserror::Error)]
pub enum LeaveError {
    #[error("there is no store {0} in the configuration")]
    Unknown(StoreName),
    #[error("{store} is the only store left for {whose}: give it another one first")]
    Only { store: StoreName, whose: String },
    #[error(
        "{at_risk} objects would be left with fewer copies than min_copies, {last} of them with none that counts; \
         nothing was changed (--accept-risk {at_risk} goes on all the same)"
    )]
    AtRisk { at_risk: u64, last: u64 },
    #[error("{0} stays until its objects are elsewhere; ask again, it goes on where it stopped")]
    Unfinished(StoreName),
    #[error("a store is leaving already; ask again when that has ended")]
    Running,
    #[error("{0}")]
    Record(WriteError),
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

/// One object that the leaving store holds.
struct Held {
    bucket: BucketName,
    key: Key,
    entry: Entry,
    staying: Vec<StoreName>,
    floor: usize,
    elsewhere: Elsewhere,
    /// Stores that lack it and are owed it already.
    owed: BTreeSet<StoreName>,
}

/// Where a walk over everything stands.
#[derive(Default)]
struct Walk {
    bucket: Option<BucketName>,
    after: Option<Key>,
}

impl Engine {
    /// Says what it is about (`dry_run`) or does it; each step is idempotent, and goes on where it was broken off.
    ///
    /// # Errors
    /// More at risk than was accepted, or nobody left to hold a bucket: nothing was changed then.
    pub async fn leave(
        self: &Arc<Self>,
        ask: LeaveAsk,
        progress: mpsc::Sender<Progress>,
    ) -> Result<LeaveReport, LeaveError> {
        let seat = self.seat(&ask.store).cloned().ok_or_else(|| LeaveError::Unknown(ask.store.clone()))?;
        if ask.dry_run {
            return self.plan_leave(&seat, &ask, &progress).await;
        }
        // Whoever was broken off a moment ago is noticed within it.
        let alone = tokio::time::timeout(ALONE_WAIT, self.leave_lane.lock()).await;
        let _alone = alone.map_err(|_| LeaveError::Running)?;
        let mut report = self.plan_leave(&seat, &ask, &progress).await?;
        if !may_leave(report.at_risk, ask.accept_risk) {
            return Err(LeaveError::AtRisk { at_risk: report.at_risk, last: report.last });
        }
        match ask.step {
            LeaveStep::Undo => self.take_back(&seat).await?,
            LeaveStep::Drain | LeaveStep::Remove => {
                self.begin_draining(&seat).await?;
                self.owe_elsewhere(&seat.name).await?;
                self.restate_records(&seat.name).await?;
            }
        }
        report.done = match ask.step {
            LeaveStep::Undo => true,
            LeaveStep::Drain => self.wait_until_moved(&seat, &report, &progress).await?,
            LeaveStep::Remove => {
                self.let_go(&seat, report.at_risk).await?;
                true
            }
        };
        Ok(report)
    }

    async fn plan_leave(
        self: &Arc<Self>,
        seat: &Arc<Seat>,
        ask: &LeaveAsk,
        progress: &mpsc::Sender<Progress>,
    ) -> Result<LeaveReport, LeaveError> {
        let mut report = LeaveReport {
            store: ask.store.clone(),
            step: ask.step,
            dry_run: ask.dry_run,
            objects: 0,
            bytes: 0,
            copies: BTreeMap::new(),
            at_risk: 0,
            last: 0,
            lowered: vec![],
            trash: 0,
            done: false,
        };
        if ask.step == LeaveStep::Undo {
            return self.plan_return(seat, report).await;
        }
        report.lowered = self.lowered(&seat.name).await?;
        report.trash = self.only_in_trash(&seat.name).await?;
        let mut walk = Walk::default();
        while let Some(page) = self.held_page(&seat.name, &mut walk).await? {
            for held in page {
                report.objects += 1;
                report.bytes += held.entry.size;
                for store in &held.elsewhere.lacking {
                    report.copies.entry(store.clone()).or_default().add(held.entry.size);
                }
                let at_risk = match ask.step {
                    LeaveStep::Remove => held.elsewhere.is_at_risk(held.floor),
                    LeaveStep::Drain | LeaveStep::Undo => held.elsewhere.stays_at_risk(held.floor),
                };
                report.at_risk += u64::from(at_risk);
                report.last += u64::from(at_risk && held.elsewhere.is_last());
            }
            tell(progress, &seat.name, report.objects, report.bytes, (0, 0));
        }
        Ok(report)
    }

    /// Buckets, and the defaults, that will ask for fewer copies; an error where none would be left.
    async fn lowered(&self, store: &StoreName) -> Result<Vec<String>, LeaveError> {
        let mut lowered = Vec::new();
        let leaves = |other: &StoreName| other == store || self.is_leaving(other);
        let buckets = self.ledger.buckets().await?.into_iter().map(|bucket| bucket.name);
        let placements = buckets.map(|name| (format!("the bucket {name}"), self.settings.placement(&name)));
        for (whose, placement) in placements.chain([("new buckets".to_owned(), &self.settings.defaults)]) {
            if !placement.stores.contains(store) {
                continue;
            }
            let left = outlast_rules::placement_without(placement, leaves);
            if left.stores.is_empty() {
                return Err(LeaveError::Only { store: store.clone(), whose });
            }
            if left.min_copies < placement.min_copies {
                lowered.push(format!("{whose}: {} instead of {}", left.min_copies, placement.min_copies));
            }
        }
        Ok(lowered)
    }

    async fn only_in_trash(&self, store: &StoreName) -> Result<u64, LedgerError> {
        let mut only = 0;
        for bucket in self.ledger.buckets().await? {
            let mut after: Option<Key> = None;
            loop {
                let page = self.ledger.trash(&bucket.name, "", after.as_ref(), PAGE).await?;
                let Some(last) = page.last() else { break };
                after = Some(last.key.clone());
                let here = page.iter().filter(|row| row.shelves.len() == 1 && row.shelves.contains_key(store));
                only += here.count() as u64;
            }
        }
        Ok(only)
    }

    /// From the commit on nothing new goes there; writes that were planned before it have ended when this returns.
    async fn begin_draining(&self, seat: &Seat) -> Result<(), LedgerError> {
        if self.leaving.of(&seat.name).is_none() {
            let stays_away = Change::DropFact { name: returning_fact(&seat.name) };
            self.ledger.commit(vec![Leaving::change(&seat.name, Some(Departure::Draining)), stays_away]).await?;
            self.leaving.set(&seat.name, Some(Departure::Draining));
            self.note("draining", format!("{}: it gets no new copies, and the others what it holds", seat.name)).await;
        }
        for bucket in self.ledger.buckets().await? {
            drop(self.gates.write(&bucket.name).await);
        }
        Ok(())
    }

    /// After a restart: what was to be owed is owed, to the others or to a store that is used again. Nobody waits for it.
    pub(crate) async fn go_on_departures(self: Arc<Self>) {
        for (store, seat) in &self.seats {
            if self.stopping.is_cancelled() {
                return;
            }
            let owed = match self.leaving.of(store) {
                Some(Departure::Draining) => self.owe_elsewhere(store).await,
                Some(Departure::Removed) => Ok(()),
                None => match self.ledger.fact(&returning_fact(store)).await {
                    Ok(Some(_)) => self.owe_returned(seat).await,
                    Ok(None) => Ok(()),
                    Err(error) => Err(error),
                },
            };
            if let Err(error) = owed {
                tracing::error!(%store, "what its leaving or its return owes is not written down: {error}");
            }
        }
    }

    /// Every store that stays is owed what only others hold.
    async fn owe_elsewhere(self: &Arc<Self>, store: &StoreName) -> Result<(), LedgerError> {
        let mut walk = Walk::default();
        while let Some(page) = self.held_page(store, &mut walk).await? {
            if self.stopping.is_cancelled() {
                return Ok(());
            }
            self.owe_lacking(&page).await?;
        }
        Ok(())
    }

    async fn owe_lacking(&self, page: &[Held]) -> Result<(), LedgerError> {
        let now = self.now();
        let mut batch = Vec::new();
        for held in page {
            for store in held.elsewhere.lacking.iter().filter(|store| !held.owed.contains(*store)) {
                let debt = Debt::begin(store, &held.bucket, &held.key, DebtKind::Copy, Some(&held.entry), now);
                batch.push(Change::Owe(debt));
            }
        }
        if !batch.is_empty() {
            self.ledger.commit(batch).await?;
            self.seats.values().for_each(|seat| seat.bell.notify_one());
        }
        Ok(())
    }

    /// Tombstone and order records stand on enough of the stores that stay.
    async fn restate_records(self: &Arc<Self>, store: &StoreName) -> Result<(), LeaveError> {
        let serving: BTreeSet<BucketName> = self.serving_buckets().into_iter().map(|bucket| bucket.name).collect();
        let concerns = |kept: &Kept| {
            serving.contains(&kept.bucket) && self.settings.placement(&kept.bucket).stores.contains(store)
        };
        let mut after = String::new();
        loop {
            let page = self.ledger.facts(RECORD_FACTS, &after, PAGE).await?;
            let Some((last, _)) = page.last() else { return Ok(()) };
            after = last.clone();
            for (_, text) in page {
                if let Some(kept) = serde_json::from_str::<Kept>(&text).ok().filter(concerns) {
                    self.restate(kept).await.map_err(LeaveError::Record)?;
                }
            }
        }
    }

    /// In key order, as catch-up goes too. False: whoever asked is gone, or we stop; the copies go on.
    async fn wait_until_moved(
        self: &Arc<Self>,
        seat: &Arc<Seat>,
        of: &LeaveReport,
        progress: &mpsc::Sender<Progress>,
    ) -> Result<bool, LedgerError> {
        let (mut walk, mut moved) = (Walk::default(), Owed::default());
        while let Some(page) = self.held_page(&seat.name, &mut walk).await? {
            let mut waiting = page;
            loop {
                let (gone, left): (Vec<Held>, Vec<Held>) =
                    waiting.into_iter().partition(|held| held.elsewhere.is_moved(held.floor));
                gone.iter().for_each(|held| moved.add(held.entry.size));
                tell(progress, &seat.name, moved.objects, moved.bytes, (of.objects, of.bytes));
                if left.is_empty() {
                    break;
                }
                if progress.is_closed() || self.stopping.is_cancelled() {
                    return Ok(false);
                }
                self.owe_lacking(&left).await?;
                tokio::time::sleep(LOOK_EVERY).await;
                waiting = self.held_again(&seat.name, left).await?;
            }
        }
        Ok(true)
    }

    /// Its copies leave the ledger, each while enough others stand; `accepted` of them all the same.
    async fn let_go(self: &Arc<Self>, seat: &Arc<Seat>, accepted: u64) -> Result<(), LeaveError> {
        let store = &seat.name;
        let mut spent = 0;
        for _ in 0..ROUNDS_MAX {
            let (mut walk, mut any) = (Walk::default(), false);
            while let Some(page) = self.held_page(store, &mut walk).await? {
                let (mut batch, mut risky) = (Vec::new(), Vec::new());
                for held in page {
                    any = true;
                    let Held { bucket, key, entry, staying: others, mut floor, elsewhere, .. } = held;
                    if elsewhere.is_at_risk(floor) && spent + (risky.len() as u64) < accepted {
                        risky.push((bucket.clone(), key.clone()));
                        floor = 0;
                    }
                    batch.push(Change::Leave { bucket, key, store: store.clone(), write: entry.write, others, floor });
                }
                self.ledger.commit(batch).await?;
                for (bucket, key) in risky {
                    spent += u64::from(self.held(store, &bucket, key).await?.is_none());
                }
            }
            if !any {
                // What was owed to it is no debt any more, in the same breath in which nobody owes it anything new.
                let removed = Leaving::change(store, Some(Departure::Removed));
                self.ledger.commit(vec![removed, Change::ForgetStore { store: store.clone() }]).await?;
                self.leaving.set(store, Some(Departure::Removed));
                self.note("removed", format!("{store}: it holds nothing any more that the ledger knows")).await;
                return Ok(());
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        Err(LeaveError::Unfinished(store.clone()))
    }

    /// A debt of a store that leaves: it gets no copy, and what it was believed to hold is not there.
    pub(crate) async fn let_off(
        self: &Arc<Self>,
        seat: &Arc<Seat>,
        debt: &Debt,
        entry: &Entry,
    ) -> Result<Paid, LedgerError> {
        let (bucket, key, store) = (debt.bucket.clone(), debt.key.clone(), seat.name.clone());
        let not_holder =
            Change::NotHolder { bucket: bucket.clone(), key: key.clone(), store: store.clone(), write: entry.write };
        let settled = Change::Settle { store, bucket, key, seq: debt.seq.max(entry.seq) };
        self.ledger.commit(vec![not_holder, settled]).await?;
        Ok(Paid::Yes { bytes: 0 })
    }

    async fn plan_return(&self, seat: &Seat, mut report: LeaveReport) -> Result<LeaveReport, LeaveError> {
        let mut owed = Owed::default();
        for bucket in self.ledger.buckets().await? {
            if self.settings.placement(&bucket.name).stores.contains(&seat.name) {
                let (objects, bytes) = self.ledger.bucket_totals(&bucket.name).await?;
                owed.objects += objects;
                owed.bytes += bytes;
            }
        }
        report.copies.insert(seat.name.clone(), owed);
        Ok(report)
    }

    /// Whatever it holds is looked at, key by key: right copies count again, the rest is written anew or removed. It is used from
    /// the first step on; that the rest is still to be owed is written down with it.
    async fn take_back(self: &Arc<Self>, seat: &Arc<Seat>) -> Result<(), LedgerError> {
        let begun = Change::SetFact { name: returning_fact(&seat.name), value: "true".to_owned() };
        self.ledger.commit(vec![Leaving::change(&seat.name, None), begun]).await?;
        self.leaving.set(&seat.name, None);
        if let Err(error) = self.make_missing_buckets(seat).await {
            tracing::warn!("{error}: its native buckets are made when it answers");
        }
        self.note("returned", format!("{}: it is used again, and owed what it lacks", seat.name)).await;
        self.owe_returned(seat).await
    }

    /// Every key that this store is not known to hold; begun anew where it was broken off.
    async fn owe_returned(self: &Arc<Self>, seat: &Arc<Seat>) -> Result<(), LedgerError> {
        for bucket in self.ledger.buckets().await?.into_iter().map(|bucket| bucket.name) {
            if !self.settings.placement(&bucket).stores.contains(&seat.name) {
                continue;
            }
            let mut after: Option<Key> = None;
            loop {
                if self.stopping.is_cancelled() {
                    return Ok(());
                }
                let page = self.ledger.entries(&bucket, after.as_ref(), PAGE).await?;
                let Some((last, _)) = page.last() else { break };
                after = Some(last.clone());
                let now = self.now();
                let lacking = page.iter().filter(|(_, entry)| !entry.holders.contains_key(&seat.name));
                let debts = lacking.map(|(key, entry)| {
                    let kind = if entry.is_object() { DebtKind::Look } else { DebtKind::Remove };
                    Change::Owe(Debt::begin(&seat.name, &bucket, key, kind, Some(entry), now))
                });
                self.ledger.commit(debts.collect()).await?;
                seat.bell.notify_one();
            }
        }
        self.ledger.commit(vec![Change::DropFact { name: returning_fact(&seat.name) }]).await
    }

    /// The next objects that this store holds. None: there are no more.
    async fn held_page(&self, store: &StoreName, walk: &mut Walk) -> Result<Option<Vec<Held>>, LedgerError> {
        let buckets = self.ledger.buckets().await?;
        for bucket in buckets.into_iter().map(|bucket| bucket.name) {
            match &walk.bucket {
                Some(at) if bucket < *at => continue,
                Some(at) if bucket == *at => {}
                _ => *walk = Walk { bucket: Some(bucket.clone()), after: None },
            }
            loop {
                let page = self.ledger.entries(&bucket, walk.after.as_ref(), PAGE).await?;
                let Some((last, _)) = page.last() else { break };
                walk.after = Some(last.clone());
                let here = page.into_iter().filter(|(_, entry)| entry.is_object() && entry.holders.contains_key(store));
                let mut found = Vec::new();
                for (key, _) in here {
                    found.extend(self.held(store, &bucket, key).await?);
                }
                if !found.is_empty() {
                    return Ok(Some(found));
                }
            }
        }
        Ok(None)
    }

    async fn held_again(&self, store: &StoreName, before: Vec<Held>) -> Result<Vec<Held>, LedgerError> {
        let mut again = Vec::new();
        for held in before {
            again.extend(self.held(store, &held.bucket, held.key).await?);
        }
        Ok(again)
    }

    /// The object as it is now, and where else; None: this store does not hold it any more.
    async fn held(&self, store: &StoreName, bucket: &BucketName, key: Key) -> Result<Option<Held>, LedgerError> {
        let state = self.ledger.key_state(bucket, &key).await?;
        let Some(entry) = state.object().filter(|entry| entry.holders.contains_key(store)).cloned() else {
            return Ok(None);
        };
        let staying = outlast_rules::placement_without(self.settings.placement(bucket), |other| {
            other == store || self.is_leaving(other)
        });
        let holders: BTreeSet<StoreName> = entry.holders.keys().cloned().collect();
        let counted =
            entry.holders.keys().filter(|other| self.counts(bucket, &state, &entry, other)).cloned().collect();
        let owed = state.debts.iter().map(|debt| debt.store.clone()).collect();
        let floor = self.settings.placement(bucket).min_copies;
        let elsewhere = elsewhere(&staying.stores, &holders, &counted);
        Ok(Some(Held { bucket: bucket.clone(), key, entry, staying: staying.stores, floor, elsewhere, owed }))
    }

    /// Safe, on a store that is fit, and owed nothing; while a write is undecided nobody knows what will be there.
    fn counts(&self, bucket: &BucketName, state: &KeyState, entry: &Entry, store: &StoreName) -> bool {
        let (Some(seat), Some(pin)) = (self.seat(store), entry.holders.get(store)) else { return false };
        let powers = seat.powers(bucket, Operation::Put);
        state.intents.is_empty()
            && is_safe(powers, entry.write, Leaves::Etag(&pin.etag), state.marks_on(store))
            && seat.is_fit(bucket)
            && !state.debts.iter().any(|debt| &debt.store == store)
    }
}

/// There while a store that is used again is not yet owed all that it lacks.
fn returning_fact(store: &StoreName) -> String {
    format!("store.{store}.returning")
}

fn tell(progress: &mpsc::Sender<Progress>, store: &StoreName, objects: u64, bytes: u64, of: (u64, u64)) {
    let told = Progress { store: store.to_string(), objects, bytes, of_objects: of.0, of_bytes: of.1 };
    // Nobody listening is no reason to stop.
    progress.try_send(told).ok();
}
