//! The answers of the commit calls, counted until the tally knows; the spool where it must stand in (protocol.md 2.1, 2.5).

use super::Phase;
use crate::call::{End, Report};
use crate::counters::count;
use crate::held::Held;
use crate::spool::body_name;
use outlast_rules::{KeyState, OpClass, Outcome, StoreName, Verdict, is_safe};
use outlast_store::outcome_of;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::Instant;

/// A body flows at least this fast to a store that is well; slower, and the spool stands in.
const BODY_BYTES_PER_MS_MIN: u64 = 4 * 1024;

impl Phase {
    /// Counts answers until the tally knows.
    pub(super) async fn gather(&mut self, reports: &mut mpsc::Receiver<Report>) -> Verdict {
        let started = Instant::now();
        let body = Duration::from_millis(self.draft.size / BODY_BYTES_PER_MS_MIN);
        let give_up = started + Duration::from_millis(self.engine.settings.commit_deadline_ms) + body;
        let mut late: Vec<(Instant, StoreName)> = self
            .called
            .iter()
            .filter_map(|name| Some((started + self.engine.seat(name)?.deadline(OpClass::Write) + body, name.clone())))
            .collect();
        late.sort();
        let mut late = late.into_iter().peekable();
        let mut spooling: Option<tokio::task::JoinHandle<std::io::Result<()>>> = None;
        let mut verdict = self.tally.verdict();
        loop {
            match verdict {
                Verdict::Wait { spool: true } if spooling.is_none() => spooling = Some(self.spool_body()),
                Verdict::Wait { .. } => {}
                Verdict::Durable | Verdict::NoQuorum => break,
            }
            let wake = late.peek().map_or(give_up, |(at, _)| (*at).min(give_up));
            tokio::select! {
                biased;
                report = reports.recv() => match report {
                    Some(report) => verdict = self.record(report).await,
                    None if spooling.is_none() => break,
                    None => verdict = self.finish_spool(&mut spooling).await,
                },
                kept = async { spooling.as_mut().expect("guarded").await }, if spooling.is_some() => {
                    spooling = None;
                    verdict = self.spool_result(kept);
                }
                () = tokio::time::sleep_until(wake) => {
                    if wake >= give_up {
                        break;
                    }
                    if let Some((_, name)) = late.next() {
                        verdict = self.tally.late(&name);
                    }
                }
            }
        }
        if let Some(spooling) = spooling {
            // The file may have become durable although nobody counts it any more.
            spooling.await.ok();
            if verdict != Verdict::Durable || !self.tally.is_spooled() {
                self.engine.spool.release(&body_name(self.entry.write));
            }
        }
        if verdict == Verdict::Durable { verdict } else { Verdict::NoQuorum }
    }

    pub(super) async fn finish_spool(
        &mut self,
        spooling: &mut Option<tokio::task::JoinHandle<std::io::Result<()>>>,
    ) -> Verdict {
        match spooling.take() {
            Some(handle) => {
                let kept = handle.await;
                self.spool_result(kept)
            }
            None => self.tally.verdict(),
        }
    }

    pub(super) fn spool_body(&self) -> tokio::task::JoinHandle<std::io::Result<()>> {
        count(&self.engine.counters.writes_spooled);
        let held = self.draft.loads.held().cloned().unwrap_or_else(|| Held::chain(vec![]));
        let (spool, name) = (self.engine.spool.clone(), body_name(self.entry.write));
        tokio::spawn(async move { spool.keep_aside(name, held).await })
    }

    pub(super) fn spool_result(&mut self, kept: Result<std::io::Result<()>, tokio::task::JoinError>) -> Verdict {
        match kept {
            Ok(Ok(())) => self.tally.spooled(),
            Ok(Err(error)) => {
                tracing::warn!("the spool cannot stand in: {error}");
                self.no_spool = Some(format!("the spool could not keep it: {error}"));
                self.tally.spool_failed()
            }
            Err(join) => {
                tracing::error!("the spool broke off: {join}");
                self.no_spool = Some(format!("the spool broke off: {join}"));
                self.tally.spool_failed()
            }
        }
    }

    pub(super) async fn record(&mut self, report: Report) -> Verdict {
        let outcome = match &report.end {
            End::Done(pin) => Outcome::Done(pin.clone()),
            End::Closed | End::Superseded | End::Ledger(_) => Outcome::Rejected,
            End::Error(error) => outcome_of(&Err(error.clone())),
        };
        let safe = match &outcome {
            Outcome::Done(pin) => self.is_place(&report.store, pin).await,
            _ => false,
        };
        let verdict = self.tally.record(&report.store, &outcome, safe);
        self.reports.insert(report.store.clone(), report);
        verdict
    }

    /// Is the copy safe? Marks that lived when the write was planned may have ended since: whoever waited for an earlier
    /// call to a store waited for just that.
    pub(super) async fn is_place(&self, store: &StoreName, pin: &outlast_rules::Pin) -> bool {
        let (bucket, key) = (&self.draft.bucket, &self.draft.key);
        let Some(seat) = self.engine.seat(store).filter(|seat| seat.is_fit(bucket)) else { return false };
        let powers = seat.powers(bucket, self.draft.loads.operation());
        let is_safe_in = |state: &KeyState| {
            is_safe(powers, self.entry.write, outlast_rules::Leaves::Etag(&pin.etag), state.marks_on(store))
        };
        if is_safe_in(&self.before) {
            return true;
        }
        match self.engine.ledger.key_state(bucket, key).await {
            Ok(now) => is_safe_in(&now),
            Err(error) => {
                tracing::error!("a copy counts for nothing, its marks cannot be read: {error}");
                false
            }
        }
    }
}
