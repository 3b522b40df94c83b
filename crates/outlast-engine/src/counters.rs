//! What happened, counted; for `status` and the metrics.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// Since the start of the process.
        #[derive(Debug, Default)]
        pub struct Counters { $($(#[$doc])* pub $name: AtomicU64,)* }
        impl Counters {
            pub fn all(&self) -> BTreeMap<String, u64> {
                BTreeMap::from([$((stringify!($name).to_owned(), self.$name.load(Ordering::Relaxed)),)*])
            }
        }
    };
}

counters! {
    /// Writes answered with 200.
    writes_committed,
    /// Writes that found fewer than `min_copies` places.
    writes_without_quorum,
    /// Writes for which the spool stood in.
    writes_spooled,
    deletes_committed,
    /// Deletes above their budget: acknowledged, and undoable until released.
    deletes_over_budget,
    /// Overwrites that went on before enough stores had put aside what they displaced.
    overwrites_not_kept,
    /// Writes that the trash let go of.
    trash_emptied,
    reads,
    /// Reads that went on from another store, before or inside the body.
    reads_failed_over,
    /// Reads that asked a second store while the first was silent longer than usual, and how often that one came first.
    reads_hedged,
    hedges_won,
    /// Reads that no holder could finish.
    reads_failed,
    /// Blocks whose bytes were not those that were written.
    blocks_bad,
    /// Copies of foreign objects that were kept under `.outlast/conflicts/`.
    conflicts_kept,
    debts_paid,
    debts_postponed,
    undecided_committed,
    undecided_rolled_back,
    second_looks,
}

pub fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_names_every_counter() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/STATUS.md");
        let page = std::fs::read_to_string(path).expect("the page is there");
        let counters = Counters::default().all();
        assert!(counters.len() > 10, "{counters:?}");
        for name in counters.keys() {
            assert!(page.contains(&format!("`{name}`")), "docs/STATUS.md does not say what {name} counts");
        }
    }
}
