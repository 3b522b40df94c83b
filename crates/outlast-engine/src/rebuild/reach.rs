//! The stores as a rebuild sees them: nothing is known of them yet, and no answer is final before it was asked for again.

use crate::clock::Clock;
use crate::seats::Seat;
use crate::settings::Setups;
use futures_util::future::join_all;
use outlast_ledger::LedgerError;
use outlast_rules::StoreName;
use outlast_store::{Answer, CopyPage, Fault, StoreError};
use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

/// A listing page or a HEAD from half around the world, by a store that is busy.
const ASK_DEADLINE: Duration = Duration::from_secs(30);
/// Attempts of one question: together they outlast a short stop of a store.
const ASKS_MAX: u32 = 6;
/// Before the second attempt; doubled each time.
const ASK_AGAIN: Duration = Duration::from_millis(500);

/// Why no ledger was made. Its words are for the operator.
#[derive(Debug, thiserror::Error)]
pub enum RebuildError {
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// One store less, and what only it holds would be missing.
    #[error(
        "{0}\n    every store must answer: what only this one holds would be missing. Bring it back; or, if it is gone for \
         good, take it out of the configuration"
    )]
    Store(#[from] StoreError),
    #[error("{0}")]
    Refused(String),
}

/// All stores of the configuration.
pub struct Reach {
    pub(crate) seats: BTreeMap<StoreName, Arc<Seat>>,
}

impl Reach {
    pub fn new(stores: Setups, clock: &Arc<dyn Clock>) -> Reach {
        let seats = stores.into_iter().map(|(name, setup)| {
            let seat = Seat::new(name.clone(), setup, clock.clone(), None);
            (name, Arc::new(seat))
        });
        Reach { seats: seats.collect() }
    }

    /// The same of every store at once.
    pub(crate) async fn of_each<T, F>(&self, ask: impl Fn(Arc<Seat>) -> F) -> Vec<(Arc<Seat>, T)>
    where
        F: Future<Output = T>,
    {
        let asks = self.seats.values().map(|seat| {
            let asked = ask(seat.clone());
            async move { (seat.clone(), asked.await) }
        });
        join_all(asks).await
    }
}

/// Worth asking again: nobody answered, or the store said that it could not now.
pub(super) fn may_pass(fault: Fault) -> bool {
    !matches!(
        fault,
        Fault::NoKey | Fault::NoBucket | Fault::Denied | Fault::Precondition | Fault::Unsupported | Fault::BadRequest
    )
}

impl Seat {
    /// One question, asked until it is answered or `ASKS_MAX` attempts have failed.
    pub(crate) async fn ask<T, F>(&self, what: &str, ask: impl Fn() -> F) -> Answer<T>
    where
        F: Future<Output = Answer<T>>,
    {
        self.ask_for(ASK_DEADLINE, what, ask).await
    }

    /// The same with another time for each attempt.
    pub(crate) async fn ask_for<T, F>(&self, deadline: Duration, what: &str, ask: impl Fn() -> F) -> Answer<T>
    where
        F: Future<Output = Answer<T>>,
    {
        let mut wait = ASK_AGAIN;
        for attempt in 1.. {
            match self.in_time(what, deadline, ask()).await {
                Err(error) if attempt < ASKS_MAX && may_pass(error.fault) => {
                    tracing::info!("{error}: asking again in {} ms", wait.as_millis());
                    tokio::time::sleep(wait).await;
                    wait *= 2;
                }
                answer => return answer,
            }
        }
        unreachable!("the last attempt returns")
    }

    /// A page of a listing; a bucket that is not there is empty.
    pub(crate) async fn page(&self, bucket: &str, prefix: &str, after: Option<&str>) -> Answer<CopyPage> {
        match self.ask(&format!("list {bucket}/{prefix}"), || self.store.list(bucket, prefix, after)).await {
            Err(error) if error.fault == Fault::NoBucket => Ok(CopyPage::default()),
            page => page,
        }
    }
}
