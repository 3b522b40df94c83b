//! Faults that are set on stores of the running gateway: leases in memory, and the switches that hold them.

use outlast_rules::{Moment, StoreName};
use outlast_store::{Setting, SettingId, Switch};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};
use std::time::Duration;
use tokio::time::Instant;

/// Whoever set a fault and is gone is missed for so long at most.
pub const LEASE_MAX: Duration = Duration::from_secs(600);
/// Below, a lease would end between two renewals over a slow line.
pub const LEASE_MIN: Duration = Duration::from_secs(1);
/// Each call looks at each of them.
pub const FAULTS_MAX: usize = 64;

/// One fault that somebody wants.
#[derive(Debug, Clone, Deserialize, Serialize)]
pub struct FaultAsk {
    pub store: StoreName,
    pub setting: Setting,
    pub lease_ms: u64,
    /// Go on though a bucket would have fewer stores that take writes than a write needs.
    #[serde(default)]
    pub accept_risk: bool,
}

/// A fault that is set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FaultStatus {
    pub id: String,
    pub store: String,
    /// What it does, in words.
    pub what: String,
    pub since: Moment,
    /// Until it ends by itself.
    pub left_ms: u64,
}

/// Why a fault was not set. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FaultError {
    #[error("there is no store {0} in the configuration")]
    NoStore(StoreName),
    #[error("stores of this gateway have no fault switch")]
    NoSwitch,
    #[error("{0}")]
    NotForDrills(String),
    #[error("a lease is for {} s to {} s", LEASE_MIN.as_secs(), LEASE_MAX.as_secs())]
    Lease,
    #[error("{FAULTS_MAX} faults are set already")]
    TooMany,
    #[error("{}", .0.join("\n"))]
    Risk(Vec<String>),
    #[error("the gateway is stopping")]
    Stopping,
}

/// Faults that are set, and the switches to set them with.
#[derive(Default)]
pub(crate) struct Drills {
    switches: OnceLock<BTreeMap<StoreName, Arc<Switch>>>,
    faults: Mutex<BTreeMap<String, Active>>,
}

pub(crate) struct Active {
    pub store: StoreName,
    pub setting: Setting,
    pub on_switch: SettingId,
    pub since: Moment,
    pub until: Instant,
}

impl Drills {
    pub fn faults(&self) -> MutexGuard<'_, BTreeMap<String, Active>> {
        self.faults.lock().expect("no code panics while it holds the faults")
    }

    /// Said once.
    pub fn give(&self, switches: BTreeMap<StoreName, Arc<Switch>>) {
        self.switches.get_or_init(|| switches);
    }

    pub fn switch(&self, store: &StoreName) -> Option<&Arc<Switch>> {
        self.switches.get()?.get(store)
    }

    pub fn status_of(id: &str, active: &Active) -> FaultStatus {
        FaultStatus {
            id: id.to_owned(),
            store: active.store.to_string(),
            what: active.setting.to_string(),
            since: active.since,
            left_ms: active.until.saturating_duration_since(Instant::now()).as_millis() as u64,
        }
    }

    /// Takes it out of the list and off the switch. None: it was over.
    pub fn end(&self, id: &str) -> Option<FaultStatus> {
        let active = self.faults().remove(id)?;
        if let Some(switch) = self.switch(&active.store) {
            switch.unset(active.on_switch);
        }
        Some(Drills::status_of(id, &active))
    }
}

/// The stores that take no writes because of them.
pub(crate) fn stopped_by(faults: &BTreeMap<String, Active>) -> BTreeSet<StoreName> {
    faults.values().filter(|active| active.setting.stops_writes()).map(|active| active.store.clone()).collect()
}
