//! A second store asked beside the first, within a budget: what the readers of one gateway share for it (protocol.md 3.3).

use outlast_rules::HedgeBudget;
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
