//! Listing scrub: compares each store's LIST with the ledger and owes a look where they differ (protocol.md 6).

use crate::compare::{Beside, Comparison};
use crate::engine::Engine;
use crate::identity::fact;
use crate::seats::Seat;
use crate::side_by_side::CompareError;
use outlast_ledger::{BucketState, Change};
use outlast_rules::{BucketName, Debt, DebtKind, Entry, Key, Moment, OpClass, Standing, StoreName};
use std::sync::Arc;
use std::time::Duration;

/// A LIST of everything costs money on metered stores: once a day finds what nothing else does.
const SCRUB_EVERY_MS: u64 = 24 * 3_600_000;
/// How often it is looked whether a day has passed; a store that is down then has its turn when it is back.
const LOOK_EVERY: Duration = Duration::from_secs(15 * 60);
/// Debts written down together.
const BATCH: usize = 500;

/// What one pass over one store's copy of a bucket found.
#[derive(Debug, Default, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Scrubbed {
    pub alike: u64,
    pub missing: u64,
    pub differing: u64,
    pub extra: u64,
    /// Old copies in the trash that no row knew.
    pub orphans: u64,
}

/// When this store's copy of a bucket was scrubbed last; it goes with the bucket.
pub(crate) fn scrubbed_fact(store: &StoreName, bucket: &BucketName) -> String {
    fact(store, &format!("scrubbed.{bucket}"))
}

impl Engine {
    pub(crate) async fn scrub_listings(self: Arc<Self>) {
        loop {
            tokio::select! {
                biased;
                () = self.stopping.cancelled() => return,
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
            for bucket in self.serving_buckets() {
                for seat in self.seats_taking(&bucket.name) {
                    if seat.standing(OpClass::List) == Standing::Down || bucket.state != BucketState::Serving {
                        continue;
                    }
                    if let Err(error) = self.scrub_if_due(&seat, &bucket.name).await {
                        tracing::warn!(store = %seat.name, bucket = %bucket.name, "listing scrub: {error}");
                    }
                }
            }
        }
    }

    /// The day of the last pass is in the ledger: a gateway that is restarted every night scrubs all the same. A bucket that was
    /// never scrubbed is due a day after it was first looked at.
    async fn scrub_if_due(self: &Arc<Self>, seat: &Arc<Seat>, bucket: &BucketName) -> Result<(), CompareError> {
        let (name, now) = (scrubbed_fact(&seat.name, bucket), self.now());
        let last = self.ledger.fact(&name).await?.and_then(|text| text.parse().ok()).map(Moment);
        match last {
            Some(last) if now.since_ms(last) < SCRUB_EVERY_MS => return Ok(()),
            Some(_) => {
                let found = self.scrub_listing(seat, bucket).await?;
                tracing::info!(store = %seat.name, %bucket, ?found, "listing scrubbed");
            }
            None => {}
        }
        let value = now.0.to_string();
        Ok(self.ledger.commit(vec![Change::SetFact { name, value }]).await?)
    }

    /// One pass over one store by its name, now.
    pub async fn scrub(self: &Arc<Self>, store: &StoreName, bucket: &BucketName) -> Result<Scrubbed, CompareError> {
        match self.seat(store).cloned() {
            Some(seat) => self.scrub_listing(&seat, bucket).await,
            None => Ok(Scrubbed::default()),
        }
    }

    /// One pass. Everything that differs is owed a look: the worker that pays it decides with the key's lane in its hand.
    async fn scrub_listing(self: &Arc<Self>, seat: &Arc<Seat>, bucket: &BucketName) -> Result<Scrubbed, CompareError> {
        let mut found = Scrubbed::default();
        let mut batch = Vec::new();
        let mut comparison = Comparison::new(self, seat, bucket);
        while let Some(beside) = comparison.next().await? {
            let now = self.now();
            let look = |key: &Key, entry: Option<&Entry>| {
                Change::Owe(Debt::begin(&seat.name, bucket, key, DebtKind::Look, entry, now))
            };
            match beside {
                Beside::Alike(..) => found.alike += 1,
                Beside::Missing(key, entry) => {
                    found.missing += 1;
                    batch.push(look(&key, Some(&entry)));
                }
                Beside::Differs(key, entry, _) => {
                    found.differing += 1;
                    batch.push(look(&key, Some(&entry)));
                }
                Beside::Extra(key, _) => {
                    found.extra += 1;
                    if let Ok(key) = Key::parse(&key) {
                        batch.push(look(&key, None));
                    }
                }
            }
            if batch.len() >= BATCH {
                self.ledger.commit(std::mem::take(&mut batch)).await?;
            }
        }
        if !batch.is_empty() {
            self.ledger.commit(batch).await?;
        }
        found.orphans = self.sweep_orphans(seat, bucket).await?;
        seat.bell.notify_one();
        Ok(found)
    }
}
