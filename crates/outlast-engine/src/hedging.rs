//! A second store asked beside the first, within a budget: what the readers of one gateway share for it (protocol.md 3.3).

use crate::engine::Engine;
use outlast_rules::{HedgeBudget, OpClass, ReadNow, Standing, StoreName};
use outlast_store::{Answer, ByteStream, Found};
use std::future::Future;
use std::pin::Pin;
use std::sync::Mutex;

/// A GET on its way to its first byte.
pub(crate) type Opening = Pin<Box<dyn Future<Output = Answer<(Found, ByteStream)>> + Send>>;

#[derive(Default)]
pub(crate) struct Hedges(Mutex<HedgeBudget>);

impl Hedges {
    pub fn earn(&self) {
        self.with(HedgeBudget::earn);
    }

    pub fn spend(&self) -> bool {
        self.with(HedgeBudget::spend)
    }

    fn with<T>(&self, change: impl FnOnce(&mut HedgeBudget) -> T) -> T {
        change(&mut self.0.lock().expect("counting does not panic"))
    }
}

impl Engine {
    /// What planning a read, or a hedge, knows of this store.
    pub(crate) fn read_now(&self, store: &StoreName) -> ReadNow {
        let Some(seat) = self.seat(store) else {
            return ReadNow { standing: Standing::Down, latency_ms: 0.0, cost: 0.0, late: true };
        };
        seat.health(|health| ReadNow {
            standing: health.standing(OpClass::Read),
            latency_ms: health.recent_read_ms(),
            cost: seat.read_cost,
            late: health.is_late(OpClass::Read),
        })
    }

    /// Nobody reads its body any more; how long its first byte took is learnt all the same, and its silence too.
    pub(crate) fn learn_from(&self, opening: Opening) {
        self.tasks.spawn(async move { drop(opening.await) });
    }
}
