//! Listing scrub: compares each store's LIST with the ledger and owes a look where they differ (protocol.md 6).

use crate::compare::{Beside, Comparison};
use crate::engine::Engine;
use crate::identity::fact;
use crate::seats::Seat;
use crate::short_list::ShortList;
use crate::side_by_side::CompareError;
use outlast_ledger::{BucketState, Change};
use outlast_rules::{BucketName, Debt, DebtKind, Entry, Key, Moment, OpClass, Standing, StoreName, is_suddenly_short};
use std::sync::Arc;
use std::time::Duration;

/// A LIST of everything costs money on metered stores: once a day finds what nothing else does.
const SCRUB_EVERY_MS: u64 = 24 * 3_600_000;
/// How often it is looked whether a day has passed; a store that is down then has its turn when it is back.
const LOOK_EVERY: Duration = Duration::from_secs(15 * 60);
/// Debts written down together.
const BATCH: usize = 500;
/// What is missing is owed only when it is known whether the list as a whole is short. So many are held back meanwhile, about
/// 10 MiB; then the bucket's own count decides.
const HELD_BACK_MAX: usize = 20_000;

/// What one pass over one store's copy of a bucket found.
#[derive(Debug, Default, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Scrubbed {
    pub alike: u64,
    pub missing: u64,
    pub differing: u64,
    pub extra: u64,
    /// Old copies in the trash that no row knew.
    pub orphans: u64,
    /// So much is missing that the store is in doubt: nothing that is missing was owed, and it is down.
    pub is_short: bool,
}

/// One pass on its way.
#[derive(Default)]
struct Pass {
    found: Scrubbed,
    /// To be written down.
    owed: Vec<Change>,
    /// Of what is missing though the store is known to hold it.
    held_back: Vec<Change>,
    missing: u64,
    /// What the store is known to hold, as far as the pass has come.
    held: u64,
    /// Every missing one whose number is a power of two: a few, from all over the list.
    samples: Vec<Key>,
    /// It was judged before its end, and found long enough.
    is_judged: bool,
}

impl Pass {
    fn take(&mut self, store: &StoreName, bucket: &BucketName, beside: Beside, now: Moment) {
        let look =
            |key: &Key, entry: Option<&Entry>| Change::Owe(Debt::begin(store, bucket, key, DebtKind::Look, entry, now));
        let holds = |entry: &Entry| u64::from(entry.holders.contains_key(store));
        match beside {
            Beside::Alike(_, entry, _) => {
                self.found.alike += 1;
                self.held += holds(&entry);
            }
            Beside::Missing(key, entry) => {
                self.found.missing += 1;
                self.held += holds(&entry);
                if holds(&entry) == 0 || self.is_judged {
                    self.owed.push(look(&key, Some(&entry)));
                    return;
                }
                self.missing += 1;
                self.held_back.push(look(&key, Some(&entry)));
                if self.missing.is_power_of_two() {
                    self.samples.push(key);
                }
            }
            Beside::Differs(key, entry, _) => {
                self.found.differing += 1;
                self.held += holds(&entry);
                self.owed.push(look(&key, Some(&entry)));
            }
            Beside::Extra(key, _) => {
                self.found.extra += 1;
                if let Ok(key) = Key::parse(&key) {
                    self.owed.push(look(&key, None));
                }
            }
        }
    }

    /// `of`: the objects that should be listed in all. None: it is long enough, and what was held back is owed.
    fn judge(&mut self, bucket: &BucketName, of: u64) -> Option<ShortList> {
        if is_suddenly_short(self.missing, of) {
            let samples = std::mem::take(&mut self.samples);
            return Some(ShortList { bucket: bucket.clone(), missing: self.missing, of, samples });
        }
        self.is_judged = true;
        self.owed.append(&mut self.held_back);
        None
    }
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

    /// As one that was compared last at the beginning of time: the next round is due at once.
    pub(crate) fn is_to_be_scrubbed(&self, store: &StoreName, bucket: &BucketName) -> Change {
        Change::SetFact { name: scrubbed_fact(store, bucket), value: "0".to_owned() }
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
                if found.is_short {
                    // Due again as soon as it is believed again.
                    return Ok(());
                }
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

    /// One pass. Everything that differs is owed a look: the worker that pays it decides with the key's lane in its hand. A list that
    /// is short as a whole is believed in nothing.
    async fn scrub_listing(self: &Arc<Self>, seat: &Arc<Seat>, bucket: &BucketName) -> Result<Scrubbed, CompareError> {
        let mut pass = Pass::default();
        let mut comparison = Comparison::new(self, seat, bucket);
        while let Some(beside) = comparison.next().await? {
            pass.take(&seat.name, bucket, beside, self.now());
            if pass.held_back.len() >= HELD_BACK_MAX {
                let of = self.ledger.bucket_totals(bucket).await?.0;
                if let Some(short) = pass.judge(bucket, of) {
                    return self.ends_short(seat, pass.found, &short).await;
                }
            }
            if pass.owed.len() >= BATCH {
                self.owe(&mut pass.owed).await?;
            }
        }
        let held = pass.held;
        if !pass.is_judged
            && let Some(short) = pass.judge(bucket, held)
        {
            return self.ends_short(seat, pass.found, &short).await;
        }
        self.owe(&mut pass.owed).await?;
        pass.found.orphans = self.sweep_orphans(seat, bucket).await?;
        seat.bell.notify_one();
        Ok(pass.found)
    }

    async fn owe(&self, owed: &mut Vec<Change>) -> Result<(), CompareError> {
        while !owed.is_empty() {
            let rest = owed.split_off(owed.len().min(BATCH));
            self.ledger.commit(std::mem::replace(owed, rest)).await?;
        }
        Ok(())
    }

    async fn ends_short(&self, seat: &Arc<Seat>, found: Scrubbed, short: &ShortList) -> Result<Scrubbed, CompareError> {
        self.condemn_short(seat, short).await?;
        Ok(Scrubbed { is_short: true, ..found })
    }
}
