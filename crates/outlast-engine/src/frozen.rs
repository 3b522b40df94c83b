//! Is removal frozen, and since when: asked before every call that removes something, so it is kept in memory too.

use outlast_ledger::{Ledger, LedgerError};
use outlast_rules::Moment;
use std::sync::atomic::{AtomicU64, Ordering};

/// The fact under which the ledger remembers it.
pub(crate) const FROZEN: &str = "frozen";

/// 0: not frozen.
#[derive(Debug, Default)]
pub(crate) struct Frozen(AtomicU64);

impl Frozen {
    pub async fn recall(ledger: &dyn Ledger) -> Result<Frozen, LedgerError> {
        let since = ledger.fact(FROZEN).await?.and_then(|text| text.parse().ok()).unwrap_or(0);
        Ok(Frozen(AtomicU64::new(since)))
    }

    pub fn since(&self) -> Option<Moment> {
        Some(Moment(self.0.load(Ordering::SeqCst))).filter(|since| since.0 > 0)
    }

    pub fn set(&self, since: Option<Moment>) {
        self.0.store(since.map_or(0, |since| since.0), Ordering::SeqCst);
    }
}
