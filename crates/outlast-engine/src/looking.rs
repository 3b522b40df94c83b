//! Buckets that the ledger does not know are looked for on the stores: bounded, once for all who ask, and not again at once.

use crate::engine::Engine;
use crate::native_bucket::{Gate, holds_objects};
use crate::seats::Seat;
use crate::unknown::{Ask, Found};
use outlast_ledger::{Bucket, BucketState};
use outlast_rules::{BucketName, OpClass, Standing, StoreName};
use outlast_store::{Fault, StoreError};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

/// A request that names an unknown bucket does not wait longer than this for the stores.
const FOUND_DEADLINE: Duration = Duration::from_secs(1);
/// Nobody waits for it; an account may have thousands of buckets.
const NAMES_DEADLINE: Duration = Duration::from_secs(10);
/// Names of others' buckets that are kept per store, under 100 bytes each; a store with more is one that is not known.
const STRANGERS_MAX: usize = 10_000;

impl Engine {
    /// A bucket that the ledger does not know may lie full on a store: then it is 503 until it is adopted, never 404. Where a
    /// store that may have it cannot be asked nobody knows: the words say so.
    pub(crate) async fn look_for_unknown(self: &Arc<Self>, name: &BucketName) -> Found {
        while self.cached_bucket(name).is_none() && self.claimed_by_another(name).is_none() {
            let mut end = match self.unknown.ask(name, self.now()) {
                Ask::Absent => return Ok(()),
                Ask::TooMany => return self.recall_unknown(name),
                Ask::Wait(end) => end,
                Ask::Look(tell) => {
                    let found = self.look_on_stores(name).await;
                    tell.send_replace(Some(found.clone()));
                    return found;
                }
            };
            // Dropped without an end: its client went away. Somebody else looks then.
            if let Ok(found) = end.wait_for(Option::is_some).await {
                return found.clone().expect("waited for");
            }
        }
        Ok(())
    }

    async fn look_on_stores(self: &Arc<Self>, name: &BucketName) -> Found {
        let looks = self.seats_of(name).into_iter().map(|seat| {
            let native = seat.names.native(name);
            async move {
                // Health must not hear of it: a 403 on a name that anybody may type says nothing of the store.
                let found = match seat.is_itself("list") {
                    Ok(()) => holds_objects(&seat, &native, FOUND_DEADLINE, Gate::Identity).await,
                    Err(error) => Err(error),
                };
                (seat, found)
            }
        });
        let looks = futures_util::future::join_all(looks).await;
        let holds = looks.iter().filter(|(_, found)| matches!(found, Ok(true)));
        let on: Vec<StoreName> = holds.map(|(seat, _)| seat.name.clone()).collect();
        if !on.is_empty() {
            let bucket =
                Bucket { name: name.clone(), created: self.now(), incarnation: 0, state: BucketState::Found { on } };
            self.cache_bucket(name, Some(bucket));
            return Ok(());
        }
        let why: Vec<String> = looks.iter().filter_map(|(_, found)| Some(found.as_ref().err()?.to_string())).collect();
        let nobody = why.len() == looks.len();
        // Keys that may not see this bucket on a store that is well could not adopt it either; on one that fails, 403 says nothing.
        let refused = |seat: &Seat, error: &StoreError| {
            error.fault == Fault::Denied && seat.standing(OpClass::List) == Standing::Up
        };
        let open = looks.iter().any(|(seat, found)| {
            found.as_ref().is_err_and(|error| !refused(seat, error)) && seat.strangers.may_have(name)
        });
        if nobody || open { Err(not_known(name, &why.join("; "))) } else { Ok(()) }
    }

    /// Without asking anybody: as of the last time that each store was.
    fn recall_unknown(&self, name: &BucketName) -> Found {
        let seats = self.seats_of(name);
        let may_have = seats.iter().find(|seat| seat.strangers.may_have(name));
        let why = |seat: &Arc<Seat>| format!("{}: too many unknown names are asked for at once", seat.name);
        may_have.map_or(Ok(()), |seat| Err(not_known(name, &why(seat))))
    }

    /// What else lies on a store that is well, for the time when it cannot be asked.
    pub(crate) async fn learn_strangers(self: &Arc<Self>, seat: &Arc<Seat>) {
        if seat.strangers.were_asked_for() {
            return;
        }
        // Keys that are bound to some buckets may not ask this: health must not hear of it, and it is not asked again before the
        // store was down once more.
        let names = match seat.in_time("list buckets", NAMES_DEADLINE, seat.store.list_buckets()).await {
            Ok(natives) => {
                let clients = natives.iter().filter_map(|native| seat.names.client(native));
                Some(clients.filter(|name| self.cached_bucket(name).is_none()).collect())
            }
            Err(error) => {
                tracing::debug!("{error}: not known which other buckets it has");
                None
            }
        };
        seat.strangers.learn(names.filter(|names: &BTreeSet<BucketName>| names.len() <= STRANGERS_MAX));
    }
}

fn not_known(name: &BucketName, why: &str) -> String {
    format!("the bucket {name} is not known here, and not every store could be asked whether it has it: {why}")
}
