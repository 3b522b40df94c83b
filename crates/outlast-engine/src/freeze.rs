//! Freeze: while something is wrong with what people or programs ask for, nothing is removed anywhere. Durable.

use crate::engine::Engine;
use crate::frozen::FROZEN;
use outlast_ledger::{Change, LedgerError};
use outlast_rules::Moment;
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Counted so far before a thaw: beyond it a person knows what he needs to know.
const COUNTED_MAX: usize = 100_000;

/// What freeze holds back now, and a thaw lets go.
#[derive(Debug, Default, Clone, Serialize, PartialEq, Eq)]
pub struct HeldBack {
    /// None: nothing is frozen.
    pub since: Option<Moment>,
    /// By store, the objects that are to be removed there; at most 100,000 are counted.
    pub removals: BTreeMap<String, u64>,
    /// What can be brought back still and then no longer, because its time is over.
    pub trash_objects: u64,
    pub trash_bytes: u64,
}

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

    /// What a thaw would let go.
    ///
    /// # Errors
    /// The ledger cannot be read.
    pub async fn held_back(&self) -> Result<HeldBack, LedgerError> {
        let mut held = HeldBack { since: self.frozen_since(), ..HeldBack::default() };
        if held.since.is_none() {
            return Ok(held);
        }
        // What waits to be tried again is held back too.
        let ever = Moment(i64::MAX as u64);
        for store in self.seats.keys() {
            let count = self.ledger.removals_due(store, ever, COUNTED_MAX).await?.len() as u64;
            if count > 0 {
                held.removals.insert(store.to_string(), count);
            }
        }
        let over = self.ledger.trash_over(self.now(), COUNTED_MAX).await?;
        held.trash_objects = over.len() as u64;
        held.trash_bytes = over.iter().map(|row| row.entry.size).sum();
        Ok(held)
    }

    /// What was held back is removed from now on, as if it had been asked for now. What went while it was frozen where nothing
    /// is kept otherwise stays until it is released.
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
