//! One look at everything, for whoever shows it: standings and debts from the engine, copies from the ledger's holders.

use super::score::{Score, Standings};
use super::stage::Stage;
use outlast_engine::StoreStatus;
use outlast_ledger::Ledger;
use outlast_rules::Key;
use std::collections::BTreeMap;
use std::time::Duration;

/// The demo has a few hundred keys.
const ENTRIES_PAGE: usize = 1000;

#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    pub at: Duration,
    pub stores: Vec<StoreNow>,
    pub score: Standings,
    /// Writes for which the spool stands in now.
    pub spooled: u64,
    pub undecided: u64,
    /// Reads that went on from another store so far.
    pub failed_over: u64,
}

#[derive(Debug, Clone)]
pub struct StoreNow {
    pub name: String,
    /// `up`, `down`, `trial`.
    pub standing: String,
    /// Words; empty when up.
    pub reason: String,
    pub copies: u64,
    pub owed_objects: u64,
    pub owed_bytes: u64,
    /// Ms until it has everything; None: not known.
    pub arrival_ms: Option<u64>,
}

impl Snapshot {
    pub async fn take(stage: &Stage, score: &Score) -> Snapshot {
        let status = stage.engine.status().await;
        let copies = copies(stage).await;
        let now = status.now;
        let store = |store: StoreStatus| StoreNow {
            copies: copies.get(store.name.as_str()).copied().unwrap_or_default(),
            arrival_ms: store.arrival.map(|at| at.since_ms(now)),
            name: store.name,
            standing: store.standing,
            reason: store.reason,
            owed_objects: store.owed_objects,
            owed_bytes: store.owed_bytes,
        };
        // In the order of the cast, not of the alphabet.
        let mut stores: Vec<StoreNow> = status.stores.into_iter().map(store).collect();
        let place = |name: &str| stage.actors.iter().position(|actor| actor.name.as_str() == name);
        stores.sort_by_key(|store| place(&store.name));
        Snapshot {
            at: score.elapsed(),
            stores,
            score: score.standings(),
            spooled: status.spool.objects,
            undecided: status.undecided,
            failed_over: status.counters.get("reads_failed_over").copied().unwrap_or_default(),
        }
    }

    pub fn owed(&self) -> u64 {
        self.stores.iter().map(|store| store.owed_objects).sum()
    }

    pub fn is_settled(&self) -> bool {
        self.owed() == 0 && self.undecided == 0
    }
}

async fn copies(stage: &Stage) -> BTreeMap<String, u64> {
    let mut copies = BTreeMap::new();
    let mut after: Option<Key> = None;
    loop {
        // A ledger that cannot be read shows in the engine's own words; the picture goes on without the figure.
        let Ok(page) = stage.ledger.entries(&stage.bucket, after.as_ref(), ENTRIES_PAGE).await else { break };
        let full = page.len() == ENTRIES_PAGE;
        for (_, entry) in page.iter().filter(|(_, entry)| entry.is_object()) {
            for holder in entry.holders.keys() {
                *copies.entry(holder.to_string()).or_default() += 1;
            }
        }
        after = page.into_iter().last().map(|(key, _)| key);
        if !full {
            break;
        }
    }
    copies
}
