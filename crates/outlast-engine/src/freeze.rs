//! Freeze: while something is wrong with what people or programs ask for, nothing is removed anywhere. Durable.

use crate::engine::Engine;
use crate::frozen::FROZEN;
use outlast_ledger::{Change, LedgerError};
use outlast_rules::Moment;
use std::sync::Arc;

impl Engine {
    pub(crate) fn is_frozen(&self) -> bool {
        self.frozen_since().is_some()
    }

    pub(crate) fn frozen_since(&self) -> Option<Moment> {
        self.frozen.since()
    }

    /// From the moment of the answer on no copy is deleted, the trash is not emptied and no tombstone goes; deletes are still
    /// acknowledged. Calls that are on their way end. Said again, it changes nothing.
    ///
    /// # Errors
    /// The ledger cannot write it down: then nothing is frozen.
    pub async fn freeze(self: &Arc<Self>) -> Result<Moment, LedgerError> {
        if let Some(since) = self.frozen_since() {
            return Ok(since);
        }
        let now = self.now();
        self.ledger.commit(vec![Change::SetFact { name: FROZEN.to_owned(), value: now.0.to_string() }]).await?;
        self.frozen.set(Some(now));
        self.note("frozen", "nothing is removed any more, on any store, until: outlast thaw".to_owned()).await;
        Ok(now)
    }

    /// What was held back is removed from now on, as if it had been asked for now.
    ///
    /// # Errors
    /// The ledger cannot write it down: then it stays frozen.
    pub async fn thaw(self: &Arc<Self>) -> Result<(), LedgerError> {
        if !self.is_frozen() {
            return Ok(());
        }
        self.ledger.commit(vec![Change::SetFact { name: FROZEN.to_owned(), value: "0".to_owned() }]).await?;
        self.frozen.set(None);
        self.note("thawed", "what was held back is removed again".to_owned()).await;
        for seat in self.seats.values() {
            seat.bell.notify_one();
        }
        Ok(())
    }
}
