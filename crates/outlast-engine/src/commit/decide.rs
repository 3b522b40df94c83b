//! What the ledger is told of a write: the decision, or that there is none yet, and what late answers say (protocol.md 2.5 to 2.7).

use super::{Loads, Phase};
use crate::asks::{WriteError, Written};
use crate::asserted;
use crate::call::{End, Report};
use crate::counters::count;
use crate::seats::Operation;
use crate::spool::body_name;
use outlast_ledger::Change;
use outlast_rules::{Debt, DebtKind, Mutant, Skip, Slot, Step, StoreName, broken};
use outlast_store::StoreError;
use tokio::sync::mpsc;

impl Phase {
    pub(super) async fn order_record(&self) -> Result<(), WriteError> {
        if self.draft.loads.operation() != Operation::Complete {
            return Ok(());
        }
        let (bucket, key) = (&self.draft.bucket, &self.draft.key);
        self.engine.write_order(bucket, key, self.entry.write, self.entry.seq).await
    }

    /// One transaction makes the entry visible; only then the client hears 200.
    pub(super) async fn decide(&mut self) -> Result<Written, WriteError> {
        let holders = self.tally.holders();
        asserted::places(holders.len(), self.tally.is_spooled(), self.placement.min_copies);
        let (bucket, key, now) = (self.draft.bucket.clone(), self.draft.key.clone(), self.engine.now());
        let mut entry = (*self.entry).clone();
        entry.holders = holders.clone();
        let mut batch =
            vec![Change::SetEntry { bucket: bucket.clone(), key: key.clone(), entry: Box::new(entry), digests: None }];
        let superseded = self.before.intents.iter().filter(|_| !broken(Mutant::SupersededStayUndecided));
        let ended = superseded.map(|intent| intent.entry.write).chain([self.entry.write]);
        batch.extend(ended.map(|write| Change::EndWrite { bucket: bucket.clone(), key: key.clone(), write }));
        for name in &self.placement.stores {
            let slot = self.tally.slots().get(name);
            if matches!(slot, Some(Slot::Safe(_))) {
                batch.push(Change::Settle {
                    store: name.clone(),
                    bucket: bucket.clone(),
                    key: key.clone(),
                    seq: self.entry.seq,
                });
                continue;
            }
            if broken(Mutant::DebtForgotten) {
                continue;
            }
            let look = matches!(slot, Some(Slot::Calling | Slot::Late | Slot::Unknown | Slot::Unsafe(_)));
            let kind = if look { DebtKind::Look } else { DebtKind::Copy };
            batch.push(Change::Owe(Debt::begin(name, &bucket, &key, kind, Some(&self.entry), now)));
        }
        batch.extend(self.told());
        if broken(Mutant::ForgottenCalls) {
            let state = self.engine.ledger.key_state(&bucket, &key).await?;
            let own = state.marks.into_iter().filter(|mark| mark.write == self.entry.write);
            batch.extend(own.map(|mark| Change::DropMark { call: mark.call }));
        }
        if let Loads::Complete { upload, .. } = &self.draft.loads {
            batch.extend(self.engine.completes(upload, &self.entry).await?);
        }
        if self.tally.is_spooled() {
            batch.push(Change::SpoolHolds { bucket, key, write: self.entry.write, size: self.draft.size });
        }
        let old_spool = self.before.spooled.clone();
        batch.extend(old_spool.iter().map(|write| Change::SpoolReleases { write: *write }));
        self.engine.commit_heard(batch).await?;
        for write in old_spool {
            self.engine.spool.release(&body_name(write));
        }
        count(&self.engine.counters.writes_committed);
        let mut places: Vec<String> = holders.keys().map(ToString::to_string).collect();
        if self.tally.is_spooled() {
            places.push("spool".to_owned());
        }
        Ok(Written {
            etag: self.entry.etag.clone(),
            modified: self.entry.modified,
            checksums: self.entry.checksums.clone(),
            places,
        })
    }

    /// Marks and sightings of the calls that have reported.
    pub(super) fn told(&mut self) -> Vec<Change> {
        let (bucket, key) = (&self.draft.bucket, &self.draft.key);
        let mut changes = Vec::new();
        let now = self.engine.now();
        for (store, report) in &mut self.reports {
            changes.extend(report.answered.drain(..).map(|call| Change::DropMark { call }));
            if let Some(call) = report.outstanding.filter(|_| broken(Mutant::UnknownDropsMark)) {
                changes.push(Change::DropMark { call });
            }
            if report.outstanding.take().is_some() {
                // Its clock starts when the call was given up, not when it was sent: a large body takes its time.
                let (bucket, key, store) = (bucket.clone(), key.clone(), store.clone());
                changes.push(Change::RestartKeyMarks { bucket, key, store, now });
            }
            if let Some(seen) = report.seen.take() {
                let (bucket, key, store) = (bucket.clone(), key.clone(), store.clone());
                changes.push(Change::SetSeen { bucket, key, store, seen });
            }
        }
        changes
    }

    /// No quorum: what was answered is written down; the intent stays for resolution (protocol.md 2.7).
    pub(super) async fn leave_undecided(&mut self) {
        let mut batch = self.told();
        if let Loads::Complete { natives, .. } = &self.draft.loads
            && broken(Mutant::CompletesAborted)
        {
            for (store, (upload, _)) in natives {
                let seat = self.engine.seat(store).expect("planned stores have seats");
                seat.store.abort_upload(&seat.at(&self.draft.bucket, &self.draft.key), upload).await.ok();
            }
        }
        if self.tally.is_spooled() {
            let (bucket, key) = (self.draft.bucket.clone(), self.draft.key.clone());
            batch.push(Change::SpoolHolds { bucket, key, write: self.entry.write, size: self.draft.size });
        }
        if let Err(error) = self.engine.ledger.commit(batch).await {
            tracing::error!("an undecided write could not be written down: {error}");
        }
        self.engine.owe_resolution(&self.draft.bucket, &self.draft.key);
    }

    /// Calls that were still out when the write was decided report here.
    pub(super) async fn see_off(mut self, mut reports: mpsc::Receiver<Report>, decided: bool) {
        let mut changes = self.told();
        while let Some(report) = reports.recv().await {
            let landed = if let End::Done(pin) = &report.end { Some(pin.clone()) } else { None };
            let outstanding = report.outstanding;
            let store = report.store.clone();
            self.reports.insert(store.clone(), report);
            changes.extend(self.told());
            let (bucket, key) = (self.draft.bucket.clone(), self.draft.key.clone());
            if let Some(pin) = landed {
                let seat = self.engine.seat(&store);
                let powers = seat.map(|seat| seat.powers(&bucket, self.draft.loads.operation())).unwrap_or_default();
                let (write, now) = (self.entry.write, self.engine.now());
                changes.push(Change::Landed { bucket, key, store, write, pin, powers, call: outstanding, now });
            }
            if let Err(error) = self.engine.ledger.commit(std::mem::take(&mut changes)).await {
                tracing::error!("a late answer could not be written down: {error}");
            }
        }
        if !changes.is_empty()
            && let Err(error) = self.engine.ledger.commit(changes).await
        {
            tracing::error!("answers could not be written down: {error}");
        }
        let owed = decided.then(|| {
            // Whoever had it by then is owed nothing: its worker has nothing to look for.
            let has_it = |name: &&StoreName| matches!(self.tally.slots().get(*name), Some(Slot::Safe(_)));
            self.placement.stores.iter().filter(|name| !has_it(name)).cloned().collect()
        });
        self.engine.after_write(&self.draft.bucket, &self.draft.key, owed).await;
    }

    /// Why there is no quorum, store by store.
    pub(super) fn reason(&self, plan: &[(StoreName, Step)]) -> String {
        let mut words = Vec::new();
        for name in &self.placement.stores {
            let planned = plan.iter().find(|(planned, _)| planned == name).map(|(_, step)| step);
            words.push(match (self.reports.get(name).map(|report| &report.end), planned) {
                (Some(End::Done(_)), _) => format!("{name} has it"),
                (Some(End::Error(error)), _) => describe(name, error),
                (Some(End::Closed), _) => format!("{name}: an earlier call for this key may still apply"),
                (Some(End::Superseded), _) => format!("{name} holds a newer write"),
                (Some(End::Ledger(error)), _) => format!("{name}: {error}"),
                (None, Some(Step::Skip(Skip::Closed))) => {
                    format!("{name}: an earlier call for this key may still apply")
                }
                _ => match self.engine.seat(name).and_then(|seat| seat.health(|h| h.reason())) {
                    Some(why) => format!("{name}: {why}"),
                    // Refused before anything was begun.
                    None if planned.is_some() => format!("{name} is well, and was not asked"),
                    None => format!("{name} has not answered"),
                },
            });
        }
        words.extend(self.spool_reason(plan));
        format!(
            "fewer than {} places took this write of {}/{}: {}",
            self.placement.min_copies,
            self.draft.bucket,
            self.draft.key,
            words.join("; ")
        )
    }

    /// Why the spool did not stand in, where with it the write would have been durable.
    fn spool_reason(&self, plan: &[(StoreName, Step)]) -> Option<String> {
        let stores = match plan {
            [] => self.tally.holders().len(),
            plan => plan.iter().filter(|(_, step)| !matches!(step, Step::Skip(_))).count(),
        };
        self.no_spool.clone().filter(|_| is_one_short(stores, self.placement.min_copies))
    }
}

/// Would one place more have been enough? The spool stands for one store, and never alone.
fn is_one_short(stores: usize, min_copies: usize) -> bool {
    stores >= 1 && stores + 1 == min_copies
}

fn describe(name: &StoreName, error: &StoreError) -> String {
    format!("{name}: {} after {:.1} s", error.message, error.elapsed.as_secs_f64())
}
