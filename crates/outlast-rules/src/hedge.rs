//! May a read be asked of a second store while the first has said nothing yet? (protocol.md 3.3)

use crate::{ReadNow, Standing};

/// Thousandths of a hedge that each read earns: a budget of 5 % (protocol.md 3.3). Without one, a store that turns slow would make
/// every read two, and the stores slower still.
const EARNED: u32 = 50;
const COST: u32 = 1_000;
/// So much is saved up and no more: the first slow answers of a store are hedged at once, and an hour of them is not.
const SAVED_MAX: u32 = 10 * COST;

/// What one gateway may still hedge. Full at the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HedgeBudget {
    saved: u32,
}

impl Default for HedgeBudget {
    fn default() -> HedgeBudget {
        HedgeBudget { saved: SAVED_MAX }
    }
}

impl HedgeBudget {
    /// A client reads.
    pub fn earn(&mut self) {
        self.saved = (self.saved + EARNED).min(SAVED_MAX);
    }

    /// False: there is not enough for a hedge now.
    pub fn spend(&mut self) -> bool {
        let enough = self.saved >= COST;
        if enough {
            self.saved -= COST;
        }
        enough
    }
}

/// Is `other` worth asking while the first store has been silent for `soft_ms`? Never one that is slow itself: when all stores are
/// slow a second request only makes them slower. And never one that costs more per byte than the first: nobody pays for a hunch.
pub fn is_worth_hedging(soft_ms: u64, first_cost: f64, other: ReadNow) -> bool {
    other.standing == Standing::Up && !other.late && other.latency_ms <= soft_ms as f64 && other.cost <= first_cost
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_of_a_hundred_and_ten_at_once() {
        let mut budget = HedgeBudget::default();
        let at_once = (0..100).filter(|_| budget.spend()).count();
        assert_eq!(at_once, 10);
        let mut spent = 0;
        for _ in 0..1_000 {
            budget.earn();
            spent += u32::from(budget.spend());
        }
        assert_eq!(spent, 50);
        (0..10_000).for_each(|_| budget.earn());
        assert_eq!(budget, HedgeBudget::default(), "a quiet day saves up no storm");
    }

    #[test]
    fn only_a_store_that_is_quicker_and_no_dearer() {
        let good = ReadNow { standing: Standing::Up, latency_ms: 20.0, cost: 0.0, late: false };
        assert!(is_worth_hedging(40, 0.0, good));
        for (other, why) in [
            (ReadNow { standing: Standing::Trial, ..good }, "nobody knows whether it answers"),
            (ReadNow { standing: Standing::Down, ..good }, "it does not"),
            (ReadNow { late: true, ..good }, "its last answer was late too"),
            (ReadNow { latency_ms: 41.0, ..good }, "it takes longer than was waited already"),
            (ReadNow { cost: 0.09, ..good }, "it costs more"),
        ] {
            assert!(!is_worth_hedging(40, 0.0, other), "{why}");
        }
        assert!(is_worth_hedging(40, 0.09, ReadNow { cost: 0.01, ..good }));
    }
}
