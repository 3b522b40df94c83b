//! What runs beside the verbs: one catch-up worker per store, the resolver of undecided writes, second looks.

use crate::counters::count;
use crate::engine::Engine;
use crate::lanes::LANE_WAIT;
use crate::pay::Paid;
use crate::seats::Seat;
use futures_util::stream::{FuturesUnordered, StreamExt};
use outlast_ledger::{Change, LedgerError};
use outlast_rules::{
    BucketName, Debt, DebtKind, DebtQueue, Key, Mark, Moment, Mutant, OpClass, Pace, Standing, broken,
};
use outlast_store::Fault;
use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

/// A worker with nothing to do looks again at least this often; a bell wakes it sooner.
const IDLE: Duration = Duration::from_secs(5);
/// While the last copies of a queue are on their way, the journal is asked this often whether something else is due.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// Copies on their way to one store: enough to fill a line with small objects, few enough to leave clients theirs.
const COPIES_AT_ONCE_MAX: usize = 16;
/// Marks are looked at in pages.
const MARKS_PAGE: usize = 256;
const INTENTS_PAGE: usize = 256;
/// Keys whose undecided writes are settled at a time: a body or two of each may be on its way.
const RESOLVED_AT_ONCE: usize = 16;

impl Engine {
    /// Starts the workers. Each ends with `stop`.
    pub fn start_workers(self: &Arc<Self>) {
        for seat in self.seats.values() {
            let (engine, seat, same) = (self.clone(), seat.clone(), seat.clone());
            self.tasks.spawn(async move { engine.catch_up(seat).await });
            let (engine, seat, last) = (self.clone(), same.clone(), same);
            self.tasks.spawn(async move { engine.watch(seat).await });
            let engine = self.clone();
            self.tasks.spawn(async move { engine.scrub_deep(last).await });
        }
        let engine = self.clone();
        self.tasks.spawn(async move { engine.go_on_departures().await });
        let engine = self.clone();
        self.tasks.spawn(async move { engine.resolve_undecided().await });
        let engine = self.clone();
        self.tasks.spawn(async move { engine.look_again().await });
        let engine = self.clone();
        self.tasks.spawn(async move { engine.watch_epochs().await });
        let engine = self.clone();
        self.tasks.spawn(async move { engine.probe_all().await });
        let engine = self.clone();
        self.tasks.spawn(async move { engine.tidy().await });
        let engine = self.clone();
        self.tasks.spawn(async move { engine.scrub_listings().await });
    }

    /// Pays one store's debts until the engine stops.
    async fn catch_up(self: Arc<Self>, seat: Arc<Seat>) {
        let mut pace = Pace::new(COPIES_AT_ONCE_MAX);
        while !self.stopping.is_cancelled() {
            let wait = match self.pay_due(&seat, &mut pace).await {
                Ok(true) => continue,
                Ok(false) => self.until_next_debt(&seat).await,
                Err(error) => {
                    tracing::error!(store = %seat.name, "catch-up stands still: {error}");
                    IDLE
                }
            };
            tokio::select! {
                biased;
                () = self.stopping.cancelled() => {}
                () = seat.bell.notified() => {}
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    async fn until_next_debt(&self, seat: &Seat) -> Duration {
        match self.ledger.next_debt_at(&seat.name).await {
            Ok(Some(at)) => Duration::from_millis(at.since_ms(self.now()).max(10)).min(IDLE),
            _ => IDLE,
        }
    }

    /// What may be asked of the store now decides which debts can be paid at all.
    async fn payable(&self, seat: &Seat, limit: usize) -> Result<Vec<Debt>, LedgerError> {
        let down = |class| seat.standing(class) == Standing::Down;
        match (down(OpClass::Read), down(OpClass::Write), down(OpClass::Delete)) {
            (false, false, _) => self.ledger.debts_due(&seat.name, self.now(), limit).await,
            // A full store takes no writes until what it owes to deletes has gone.
            (false, true, false) => self.ledger.removals_due(&seat.name, self.now(), limit).await,
            _ => Ok(vec![]),
        }
    }

    /// Pays what is due until nothing is, the store goes down or the engine stops. True: something was paid.
    ///
    /// The queue is filled again before it is empty: a round that waits for its last large body leaves the line idle.
    pub(crate) async fn pay_due(self: &Arc<Self>, seat: &Arc<Seat>, pace: &mut Pace) -> Result<bool, LedgerError> {
        if seat.standing(OpClass::Write) == Standing::Down {
            pace.restart();
        }
        let mut queue = DebtQueue::default();
        let mut paying = FuturesUnordered::new();
        let (mut any, mut more, mut failed) = (false, true, None);
        while failed.is_none() && seat.standing(OpClass::Read) != Standing::Down && !self.stopping.is_cancelled() {
            if more && queue.wants_more() {
                match self.payable(seat, queue.limit()).await {
                    Ok(due) => more = queue.refill(due),
                    Err(error) => failed = Some(error),
                }
            }
            while paying.len() < pace.width() && failed.is_none() {
                let Some(debt) = queue.next(pace.width()) else { break };
                let (engine, seat) = (self.clone(), seat.clone());
                paying.push(async move { (engine.pay(&seat, &debt).await, debt) });
            }
            let (paid, debt) = tokio::select! {
                biased;
                paid = paying.next() => match paid {
                    Some(paid) => paid,
                    None => break,
                },
                // What is owed since then, or was put off, need not wait for a large body that is on its way.
                () = seat.bell.notified(), if !more => {
                    more = true;
                    continue;
                }
                () = tokio::time::sleep(LOOK_AGAIN), if !more => {
                    more = true;
                    continue;
                }
            };
            queue.done(&debt);
            match paid {
                Ok(Paid::Yes { bytes }) => {
                    any = true;
                    let is_full = pace.went_well();
                    seat.arrival(|arrival| {
                        arrival.paid(seat.now(), bytes);
                        if is_full {
                            arrival.ramped();
                        }
                    });
                }
                Ok(Paid::Later { fault: Some(fault), .. }) => pace.failed(fault),
                Ok(Paid::Later { .. }) => {}
                Err(error) => failed = Some(error),
            }
        }
        if !any && (seat.standing(OpClass::Read) == Standing::Down || seat.standing(OpClass::Write) == Standing::Down) {
            seat.arrival(|arrival| arrival.restart());
        }
        // What is still on its way is finished, not dropped: a dropped call may apply unseen.
        while let Some((paid, _)) = paying.next().await {
            failed = failed.or(paid.err());
        }
        failed.map_or(Ok(any), Err)
    }

    /// Undecided writes are tried at the start, when the bell rings, and every few seconds. Several at once: one that waits
    /// for a slow store holds no other key up.
    async fn resolve_undecided(self: Arc<Self>) {
        let mut waiting: VecDeque<(BucketName, Key)> = VecDeque::new();
        let mut resolving = FuturesUnordered::new();
        let mut keys = BTreeSet::new();
        while !self.stopping.is_cancelled() {
            if waiting.is_empty() {
                match self.ledger.intents(INTENTS_PAGE).await {
                    Ok(intents) => waiting.extend(intents.into_iter().map(|intent| (intent.bucket, intent.key))),
                    Err(error) => tracing::error!("undecided writes cannot be read: {error}"),
                }
            }
            loop {
                while resolving.len() < RESOLVED_AT_ONCE {
                    let Some(next) = waiting.pop_front() else { break };
                    if keys.insert(next.clone()) {
                        let engine = self.clone();
                        resolving.push(async move { (engine.resolve_key(&next.0, &next.1).await, next) });
                    }
                }
                tokio::select! {
                    biased;
                    () = self.stopping.cancelled() => break,
                    Some((resolved, key)) = resolving.next() => {
                        keys.remove(&key);
                        if let Err(error) = resolved {
                            tracing::error!("an undecided write stays so: {error}");
                        }
                    }
                    () = self.undecided_bell.notified(), if waiting.is_empty() => break,
                    () = tokio::time::sleep(IDLE), if waiting.is_empty() => break,
                }
            }
        }
        // Finished, not dropped: a dropped call may apply unseen.
        while resolving.next().await.is_some() {}
    }

    /// Marks whose `settle_time` has passed end with a second look (protocol.md 1).
    async fn look_again(self: Arc<Self>) {
        while !self.stopping.is_cancelled() {
            for seat in self.seats.values() {
                if let Err(error) = self.settle_marks(seat).await {
                    tracing::error!(store = %seat.name, "second looks stand still: {error}");
                }
            }
            tokio::select! {
                biased;
                () = self.stopping.cancelled() => {}
                () = tokio::time::sleep(IDLE) => {}
            }
        }
    }

    pub(crate) async fn settle_marks(self: &Arc<Self>, seat: &Arc<Seat>) -> Result<(), LedgerError> {
        // Marks of the calls of a living process on a disk end with the call; those of a dead one start from zero.
        let ripe = if seat.limits().never_given_up {
            Moment(self.opened.0.saturating_sub(1))
        } else if !seat.is_settled() {
            return Ok(());
        } else {
            let settle_ms = if broken(Mutant::MarksEndAtOnce) { 0 } else { seat.settle_ms() };
            Moment(self.now().0.saturating_sub(settle_ms))
        };
        for mark in self.ledger.marks_since(&seat.name, ripe, MARKS_PAGE).await? {
            self.second_look(seat, &mark).await?;
        }
        Ok(())
    }

    async fn second_look(self: &Arc<Self>, seat: &Arc<Seat>, mark: &Mark) -> Result<(), LedgerError> {
        let (bucket, key) = (&mark.bucket, &mark.key);
        let Some(_flight) = seat.flights.try_lock(bucket, key) else { return Ok(()) };
        // Looked at before the lane, as debts are; what could not be judged now is looked at again by the next round.
        let found = self.look_for_what_goes(seat, bucket, key).await;
        let Some(_lane) = self.lanes.lock_within(LANE_WAIT, bucket, key).await else { return Ok(()) };
        let store = seat.name.clone();
        if !seat.limits().never_given_up && !seat.is_settled() {
            // This very answer ended a silence: the call may have been held through it.
            return Ok(());
        }
        if let Err(error) = &found
            && error.fault != Fault::NoKey
            && !(error.fault == Fault::NoBucket && self.is_gone(bucket))
        {
            if seat.limits().never_given_up {
                // Its mark ended with the process that set it; counted anew from here it would never be ripe again.
                return Ok(());
            }
            let (bucket, key, now) = (bucket.clone(), key.clone(), self.now());
            return self.ledger.commit(vec![Change::RestartKeyMarks { bucket, key, store, now }]).await;
        }
        count(&self.counters.second_looks);
        let state = self.ledger.key_state(bucket, key).await?;
        let mut batch = vec![Change::DropMark { call: mark.call }];
        let right = match (&found, state.object()) {
            (Ok(found), Some(entry)) => self.is_copy_of(bucket, key, entry, &seat.name, found),
            (Err(_), None) => true,
            _ => false,
        };
        if !right && !broken(Mutant::SecondLookBlind) {
            let kind = if state.object().is_some() { DebtKind::Look } else { DebtKind::Remove };
            batch.push(Change::Owe(Debt::begin(&store, bucket, key, kind, state.entry.as_ref(), self.now())));
        }
        self.ledger.commit(batch).await?;
        // A copy that only this mark kept from being safe may be the last that the spool waited for.
        self.trim_spool(bucket, key).await?;
        seat.bell.notify_one();
        self.undecided_bell.notify_one();
        Ok(())
    }
}
