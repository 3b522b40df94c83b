//! How far the stores know the ledger: what `status` and the metrics say, and what tidying asks.

use outlast_ledger::SegmentKey;
use outlast_rules::Moment;
use serde::{Deserialize, Serialize};
use std::sync::Mutex;

/// Behind by more than this, nothing goes that a rebuild would need instead: a third of the shortest time for which a record
/// is kept anyway.
const BEHIND_MS_MAX: u64 = 5 * 60_000;

/// How the ledger is shipped.
#[derive(Debug, Clone)]
pub struct ShipSettings {
    pub key: SegmentKey,
    /// Changes are gathered for so long.
    pub every_ms: u64,
    pub snapshot_every_ms: u64,
}

/// For `status`, `/status.json` and the metrics.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ShippingStatus {
    /// False: this process ships nothing.
    pub on: bool,
    /// Changed rows that the stores do not know yet.
    pub waiting: u64,
    /// For how long the stores have not known everything; 0: they do.
    pub lag_ms: u64,
    /// The last segment that stood on enough stores.
    pub number: u64,
    pub at: Option<Moment>,
    /// When the last whole snapshot was begun.
    pub snapshot: Option<Moment>,
    /// Why the last attempt failed; empty when it did not.
    pub problem: String,
}

/// A snapshot that stands on the stores.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Snapshot {
    pub first: u64,
    pub last: u64,
    pub began: Moment,
}

/// What the ledger remembers of shipping, in the fact `ship.state`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ShipState {
    /// The last number that was given to a segment; never given again.
    pub number: u64,
    /// The last segment that stood on enough stores, and when.
    pub stood: u64,
    pub at: Option<Moment>,
    /// The two newest, the older first.
    pub snapshots: Vec<Snapshot>,
}

/// What the worker tells everybody else.
#[derive(Default)]
pub(crate) struct Shipping(Mutex<Told>);

#[derive(Default)]
struct Told {
    on: bool,
    state: ShipState,
    /// When everything was last seen to be shipped.
    clean_at: Moment,
    problem: String,
}

impl Shipping {
    fn told<T>(&self, look: impl FnOnce(&mut Told) -> T) -> T {
        look(&mut self.0.lock().expect("no code panics while it holds the state of shipping"))
    }

    pub fn begin(&self, state: &ShipState, now: Moment) {
        self.told(|told| {
            let clean_at = state.at.unwrap_or(now);
            *told = Told { on: true, state: state.clone(), clean_at, problem: String::new() };
        });
    }

    pub fn went_well(&self, state: &ShipState) {
        self.told(|told| {
            told.state = state.clone();
            told.problem.clear();
        });
    }

    pub fn is_clean(&self, now: Moment) {
        self.told(|told| told.clean_at = now);
    }

    pub fn failed(&self, why: &str) {
        self.told(|told| told.problem = why.to_owned());
    }

    /// May something go from the stores that only they and the ledger know?
    pub fn keeps_up(&self, now: Moment) -> bool {
        self.told(|told| !told.on || now.since_ms(told.clean_at) <= BEHIND_MS_MAX)
    }

    pub fn status(&self, waiting: u64, now: Moment) -> ShippingStatus {
        self.told(|told| ShippingStatus {
            on: told.on,
            waiting: if told.on { waiting } else { 0 },
            lag_ms: if told.on && waiting > 0 { now.since_ms(told.clean_at) } else { 0 },
            number: told.state.stood,
            at: told.state.at,
            snapshot: told.state.snapshots.last().map(|snapshot| snapshot.began),
            problem: told.problem.clone(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Nothing goes from the stores that a rebuild would need because it was not told.
    #[test]
    fn what_is_not_told_for_long_keeps_everything_where_it_is() {
        let shipping = Shipping::default();
        assert!(shipping.keeps_up(Moment(u64::MAX)), "who ships nothing has no copy to rely on either");
        shipping.begin(&ShipState { at: Some(Moment(1_000)), ..ShipState::default() }, Moment(900_000));
        assert!(!shipping.keeps_up(Moment(900_000)), "the process before was behind");
        shipping.is_clean(Moment(900_000));
        assert!(shipping.keeps_up(Moment(900_000 + BEHIND_MS_MAX)));
        assert!(!shipping.keeps_up(Moment(900_001 + BEHIND_MS_MAX)));
        let behind = shipping.status(3, Moment(960_000));
        assert_eq!((behind.waiting, behind.lag_ms), (3, 60_000));
        assert_eq!(shipping.status(0, Moment(960_000)).lag_ms, 0);
    }
}
