//! Drills: faults that an operator sets on stores of the running gateway, to see what would happen.

use crate::drilling::{
    Active, Drills, FAULTS_MAX, FaultAsk, FaultError, FaultStatus, LEASE_MAX, LEASE_MIN, stopped_by,
};
use crate::engine::Engine;
use outlast_rules::{OpClass, Placement, Standing, StoreName, placement_without};
use outlast_store::{Over, Switch};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

impl Engine {
    /// The switches before its stores, said once. Without, no fault can be set.
    pub fn allow_drills(&self, switches: BTreeMap<StoreName, Arc<Switch>>) {
        self.drills.give(switches);
    }

    /// Sets a fault, from the next call on, until its lease is over.
    ///
    /// # Errors
    /// Why not; nothing was changed.
    pub fn set_fault(self: &Arc<Self>, ask: FaultAsk) -> Result<FaultStatus, FaultError> {
        let lease = self.judge_fault(&ask)?;
        let switch = self.drills.switch(&ask.store).ok_or(FaultError::NoSwitch)?;
        let mut faults = self.drills.faults();
        if self.stopping.is_cancelled() {
            return Err(FaultError::Stopping);
        }
        if faults.len() >= FAULTS_MAX {
            return Err(FaultError::TooMany);
        }
        if !ask.accept_risk && ask.setting.stops_writes() {
            let mut stopped = stopped_by(&faults);
            stopped.insert(ask.store.clone());
            let risk = self.fault_risk(&stopped);
            if !risk.is_empty() {
                return Err(FaultError::Risk(risk));
            }
        }
        // Drawn and not counted: who renews a fault that a process before this one had must not meet another's.
        let id = format!("{:016x}", self.random() as u64);
        let until = Instant::now() + lease;
        let (on_switch, over) = switch.lease(ask.setting.clone(), until);
        tracing::warn!(store = %ask.store, fault = id, "DRILL: {}; ends in {lease:?} unless renewed", ask.setting);
        let active = Active { store: ask.store, setting: ask.setting, on_switch, since: self.now(), until };
        let status = Drills::status_of(&id, &active);
        faults.insert(id.clone(), active);
        drop(faults);
        self.tasks.spawn(self.clone().watch_fault(id, over));
        Ok(status)
    }

    fn judge_fault(&self, ask: &FaultAsk) -> Result<Duration, FaultError> {
        if !self.has_store(ask.store.as_str()) {
            return Err(FaultError::NoStore(ask.store.clone()));
        }
        ask.setting.is_for_drills().map_err(FaultError::NotForDrills)?;
        lease_of(ask.lease_ms)
    }

    /// The switch ends it by itself; this tells it.
    async fn watch_fault(self: Arc<Self>, id: String, mut over: Over) {
        over.wait().await;
        if let Some(ended) = self.drills.end(&id) {
            tracing::warn!(store = ended.store, fault = id, "DRILL over, not renewed: {}", ended.what);
        }
    }

    /// From now on these end after `lease_ms`. What is not in the answer is over.
    ///
    /// # Errors
    /// No such lease can be given.
    pub fn renew_faults(&self, ids: &[String], lease_ms: u64) -> Result<Vec<FaultStatus>, FaultError> {
        let until = Instant::now() + lease_of(lease_ms)?;
        let mut faults = self.drills.faults();
        let mut renewed = Vec::new();
        for id in ids {
            let Some(active) = faults.get_mut(id) else { continue };
            if self.drills.switch(&active.store).is_some_and(|switch| switch.renew(active.on_switch, until)) {
                active.until = until;
                renewed.push(Drills::status_of(id, active));
            }
        }
        Ok(renewed)
    }

    /// Ends these, or all. The answer has those that were not over yet.
    pub fn end_faults(&self, ids: Option<&[String]>) -> Vec<FaultStatus> {
        let all: Vec<String> = match ids {
            Some(ids) => ids.to_vec(),
            None => self.drills.faults().keys().cloned().collect(),
        };
        let ended: Vec<FaultStatus> = all.iter().filter_map(|id| self.drills.end(id)).collect();
        for fault in &ended {
            tracing::warn!(store = fault.store, fault = fault.id, "DRILL over: {}", fault.what);
        }
        ended
    }

    /// All that are set, in the order in which they were.
    pub fn faults(&self) -> Vec<FaultStatus> {
        let mut all: Vec<FaultStatus> =
            self.drills.faults().iter().map(|(id, active)| Drills::status_of(id, active)).collect();
        all.sort_by(|a, b| (a.since, &a.id).cmp(&(b.since, &b.id)));
        all
    }

    /// What writes would lack if none of these stores, and none that has a fault now, took any: one line for each placement.
    pub fn risk_without(&self, stores: &[StoreName]) -> Vec<String> {
        let mut stopped = stopped_by(&self.drills.faults());
        stopped.extend(stores.iter().cloned());
        self.fault_risk(&stopped)
    }

    fn fault_risk(&self, stopped: &BTreeSet<StoreName>) -> Vec<String> {
        let takes = |store: &StoreName| {
            let up = |seat: &Arc<crate::seats::Seat>| seat.standing(OpClass::Write) != Standing::Down;
            !stopped.contains(store) && self.seats.get(store).is_some_and(up)
        };
        let placements =
            self.settings.buckets.iter().map(|(bucket, placement)| (format!("the bucket {bucket}"), placement));
        let all = std::iter::once(("every bucket without a table of its own".to_owned(), &self.settings.defaults));
        all.chain(placements)
            .filter_map(|(whose, placement)| {
                let now = placement_without(placement, |store| self.is_leaving(store));
                lacking(&whose, &now, takes)
            })
            .collect()
    }
}

fn lease_of(lease_ms: u64) -> Result<Duration, FaultError> {
    let lease = Duration::from_millis(lease_ms);
    if (LEASE_MIN..=LEASE_MAX).contains(&lease) { Ok(lease) } else { Err(FaultError::Lease) }
}

fn lacking(whose: &str, placement: &Placement, takes: impl Fn(&StoreName) -> bool) -> Option<String> {
    let left = placement.stores.iter().filter(|store| takes(store)).count();
    if left >= placement.min_copies {
        return None;
    }
    let spool = if placement.spool_counts { "; the spool may stand in for one" } else { "" };
    let (all, needs) = (placement.stores.len(), placement.min_copies);
    Some(format!("{whose}: {left} of {all} stores would take writes, and a write needs {needs}{spool}"))
}
