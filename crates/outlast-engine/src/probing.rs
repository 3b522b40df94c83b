//! Grades are probed live per native bucket and kept with their date; what was never probed has no powers.

use crate::engine::Engine;
use crate::seats::Seat;
use outlast_ledger::{Change, Ledger, LedgerError};
use outlast_rules::{Moment, StoreName};
use outlast_store::{Answer, ProbeReport, probe};
use std::sync::Arc;
use std::time::Duration;

/// A provider changes what it honours rarely, and then tells nobody.
const PROBE_AGAIN_MS: u64 = 24 * 3600 * 1000;
/// Longer than a slow provider takes for all of it.
const PROBE_DEADLINE: Duration = Duration::from_secs(30);
const SWEEP: Duration = Duration::from_secs(60);

#[derive(serde::Serialize, serde::Deserialize)]
struct KeptProbe {
    at: Moment,
    report: ProbeReport,
}

fn fact_name(store: &StoreName, native: &str) -> String {
    format!("store.{store}.probe.{native}")
}

/// What a ledger remembers of a probe.
pub(crate) async fn kept_probe(
    ledger: &dyn Ledger,
    store: &StoreName,
    native: &str,
) -> Result<Option<(ProbeReport, Moment)>, LedgerError> {
    let kept: Option<KeptProbe> =
        ledger.fact(&fact_name(store, native)).await?.and_then(|text| serde_json::from_str(&text).ok());
    Ok(kept.map(|kept| (kept.report, kept.at)))
}

/// One that asked less than is asked today counts as none.
fn asks_all(report: &ProbeReport) -> bool {
    report.drops_slashes.is_some() && report.keeps_versions.is_some()
}

impl Engine {
    /// The powers of a native bucket: from the ledger if young enough, else probed now.
    pub(crate) async fn ensure_probed(&self, seat: &Arc<Seat>, native: &str) -> Answer<()> {
        let name = fact_name(&seat.name, native);
        let kept: Option<KeptProbe> = match self.ledger.fact(&name).await {
            Ok(text) => text.and_then(|text| serde_json::from_str(&text).ok()),
            Err(error) => {
                tracing::error!("probes cannot be read: {error}");
                None
            }
        };
        let now = self.now();
        if let Some(kept) = kept
            && now.since_ms(kept.at) < PROBE_AGAIN_MS
            && asks_all(&kept.report)
        {
            seat.set_probe(native, kept.report, kept.at);
            return Ok(());
        }
        self.probe_anew(seat, native).await
    }

    /// Probed now, whatever is remembered.
    pub(crate) async fn probe_anew(&self, seat: &Arc<Seat>, native: &str) -> Answer<()> {
        let (name, now) = (fact_name(&seat.name, native), self.now());
        let report = self.probe_within(seat, native).await?;
        let value =
            serde_json::to_string(&KeptProbe { at: now, report: report.clone() }).expect("a probe is plain data");
        if let Err(error) = self.ledger.commit(vec![Change::SetFact { name, value }]).await {
            tracing::error!("a probe could not be kept: {error}");
        }
        seat.set_probe(native, report, now);
        Ok(())
    }

    /// A probe is a score of calls; a store that hangs in one of them stops nobody else.
    async fn probe_within(&self, seat: &Arc<Seat>, native: &str) -> Answer<ProbeReport> {
        let token = format!("{:032x}", self.random());
        match tokio::time::timeout(PROBE_DEADLINE, probe(&*seat.store, native, &token)).await {
            Ok(report) => report,
            Err(_) => Err(seat.silence(&format!("probe {native}"), PROBE_DEADLINE)),
        }
    }

    /// Every native bucket of every store: at the start, daily, and whenever one has no probe yet.
    pub(crate) async fn probe_all(self: Arc<Self>) {
        while !self.stopping.is_cancelled() {
            for bucket in self.serving_buckets() {
                for seat in self.seats_of(&bucket.name) {
                    let native = seat.names.native(&bucket.name);
                    let fresh = seat.probed_at(&native).is_some_and(|at| self.now().since_ms(at) < PROBE_AGAIN_MS);
                    if !fresh && let Err(error) = self.ensure_probed(&seat, &native).await {
                        let why = format!("{error}: it counts as grade C in {native} until it can be probed");
                        // Once: it is tried again every minute, and the status page keeps it.
                        if seat.set_unprobed(&why) {
                            tracing::warn!(store = %seat.name, "{why}");
                        }
                    }
                }
            }
            tokio::select! {
                biased;
                () = self.stopping.cancelled() => {}
                () = tokio::time::sleep(SWEEP) => {}
            }
        }
    }

    /// What the ledger remembers of every probe, before the first request.
    pub(crate) async fn recall_probes(&self) -> Result<(), outlast_ledger::LedgerError> {
        for bucket in self.serving_buckets() {
            for seat in self.seats_of(&bucket.name) {
                let native = seat.names.native(&bucket.name);
                let fact = self.ledger.fact(&fact_name(&seat.name, &native)).await?;
                if let Some(kept) = fact.and_then(|text| serde_json::from_str::<KeptProbe>(&text).ok())
                    && asks_all(&kept.report)
                {
                    seat.set_probe(&native, kept.report, kept.at);
                }
            }
        }
        Ok(())
    }
}
