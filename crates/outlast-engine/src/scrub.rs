//! Listing scrub: compares each store's LIST with the ledger and owes a look where they differ (protocol.md 6).

use crate::compare::{Beside, Comparison};
use crate::engine::Engine;
use crate::identity::fact;
use crate::old_versions::versions_fact;
use crate::seats::{JudgedAs, Seat};
use crate::short_list::ShortList;
use crate::side_by_side::CompareError;
use crate::twins::{Twins, twins_fact};
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
    /// Copies of another write too, where only the stamp tells.
    pub differing: u64,
    pub extra: u64,
    /// Old copies in the trash that no row knew.
    pub orphans: u64,
    /// Old native versions that nothing named any more.
    pub old_versions: u64,
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
    /// It was judged before its end, and found long enough so far; what the bucket has in all.
    judged_by: Option<u64>,
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
                let owed = look(&key, Some(&entry));
                if holds(&entry) == 0 {
                    self.owed.push(owed);
                    return;
                }
                self.missing += 1;
                if self.missing.is_power_of_two() {
                    self.samples.push(key);
                }
                if self.judged_by.is_some() { self.owed.push(owed) } else { self.held_back.push(owed) }
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

    /// Listed as they should be, and copies of another write.
    fn take_wrong(&mut self, store: &StoreName, bucket: &BucketName, wrong: Vec<(Key, Entry)>, now: Moment) {
        let owed = |(key, entry): &(Key, Entry)| {
            Change::Owe(Debt::begin(store, bucket, key, DebtKind::Look, Some(entry), now))
        };
        self.found.alike -= wrong.len() as u64;
        self.found.differing += wrong.len() as u64;
        self.owed.extend(wrong.iter().map(owed));
    }

    /// `of`: the objects that should be listed in all. None: it is long enough.
    fn judge(&self, bucket: &BucketName, of: u64) -> Option<ShortList> {
        is_suddenly_short(self.missing, of).then(|| ShortList {
            bucket: bucket.clone(),
            missing: self.missing,
            of,
            samples: self.samples.clone(),
        })
    }

    /// What was held back is owed, and so is what is missing from now on.
    fn let_go(&mut self, of: u64) {
        self.judged_by = Some(of);
        self.owed.append(&mut self.held_back);
    }
}

/// When this store's copy of a bucket was scrubbed last.
fn scrubbed_fact(store: &StoreName, bucket: &BucketName) -> String {
    fact(store, &format!("scrubbed.{bucket}"))
}

/// What scrubs remember of a bucket on one store; it goes with the bucket.
pub(crate) fn scrub_facts(store: &StoreName, bucket: &BucketName) -> [String; 3] {
    [scrubbed_fact(store, bucket), versions_fact(store, bucket), twins_fact(store, bucket)]
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
        let (mut pass, then) = (Pass::default(), seat.judged_as());
        let (mut comparison, mut twins) = (Comparison::new(self, seat, bucket), Twins::new(self, seat, bucket).await?);
        while let Some(beside) = comparison.next().await? {
            let is_enough = match &beside {
                Beside::Alike(key, entry, _) => twins.meet(self, key, entry).await?,
                _ => false,
            };
            pass.take(&seat.name, bucket, beside, self.now());
            if is_enough {
                pass.take_wrong(&seat.name, bucket, twins.wrong().await, self.now());
            }
            if pass.held_back.len() >= HELD_BACK_MAX {
                pass.let_go(self.ledger.bucket_totals(bucket).await?.0);
            }
            if let Some(short) = pass.judged_by.and_then(|of| pass.judge(bucket, of)) {
                if self.is_short_for_good(seat, &short).await {
                    return self.ends_short(seat, then, pass.found, &short).await;
                }
                // Once is enough.
                pass.let_go(u64::MAX);
            }
            if pass.owed.len() >= BATCH {
                self.owe(&mut pass.owed).await?;
            }
        }
        if pass.judged_by.is_none()
            && let Some(short) = pass.judge(bucket, pass.held)
            && self.is_short_for_good(seat, &short).await
        {
            return self.ends_short(seat, then, pass.found, &short).await;
        }
        pass.let_go(pass.held);
        pass.take_wrong(&seat.name, bucket, twins.wrong().await, self.now());
        twins.end(self).await?;
        self.owe(&mut pass.owed).await?;
        pass.found.orphans = self.sweep_orphans(seat, bucket).await?;
        // The pass is done whatever becomes of these: a right that only they need must not make it begin again.
        pass.found.old_versions = self.sweep_versions(seat, bucket).await.unwrap_or_else(|error| {
            tracing::warn!(store = %seat.name, %bucket, "old native versions: {error}");
            0
        });
        seat.bell.notify_one();
        Ok(pass.found)
    }

    /// A list that lags behind a burst of writes or deletes is short for a moment: what it lacks is looked for once more.
    async fn is_short_for_good(&self, seat: &Seat, short: &ShortList) -> bool {
        match self.look_at_samples(seat, short).await {
            Ok((there, missing)) => missing > there,
            // Nobody knows; it is no time to fill it.
            Err(_) => true,
        }
    }

    async fn owe(&self, owed: &mut Vec<Change>) -> Result<(), CompareError> {
        while !owed.is_empty() {
            let rest = owed.split_off(owed.len().min(BATCH));
            self.ledger.commit(std::mem::replace(owed, rest)).await?;
        }
        Ok(())
    }

    async fn ends_short(
        &self,
        seat: &Arc<Seat>,
        then: JudgedAs,
        found: Scrubbed,
        short: &ShortList,
    ) -> Result<Scrubbed, CompareError> {
        let is_short = self.condemn_short(seat, then, short).await?;
        Ok(Scrubbed { is_short, ..found })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use outlast_rules::{EntryKind, Head, Layout, Pin, Seq, WriteId};

    /// In a bucket so large that a tenth of it is more than may be held back, the verdict comes when the tenth is reached.
    #[test]
    fn what_was_let_go_is_counted_on() {
        let store = StoreName::parse("s0").unwrap();
        let bucket = BucketName::parse("photos").unwrap();
        let pin = Pin { etag: "e".into(), version: None };
        let entry = Entry {
            write: WriteId(1),
            seq: Seq(1),
            kind: EntryKind::Object,
            size: 1,
            etag: "e".into(),
            modified: Moment(1),
            head: Head::default(),
            layout: Layout::Whole,
            checksums: vec![],
            holders: [(store.clone(), pin)].into(),
            adopted_from: None,
            predecessors: vec![],
            record: None,
        };
        let mut pass = Pass::default();
        let miss = |pass: &mut Pass, nth: u64| {
            let key = Key::parse(&format!("k{nth:06}")).unwrap();
            pass.take(&store, &bucket, Beside::Missing(key, entry.clone()), Moment(2));
        };
        for nth in 0..100 {
            miss(&mut pass, nth);
        }
        assert_eq!((pass.held_back.len(), pass.owed.len()), (100, 0));
        pass.let_go(1_000);
        assert!(pass.judge(&bucket, 1_000).is_none());
        assert_eq!((pass.held_back.len(), pass.owed.len()), (0, 100));
        miss(&mut pass, 100);
        let short = pass.judge(&bucket, 1_000).expect("101 of 1,000");
        assert_eq!((short.missing, short.of, short.samples.len()), (101, 1_000, 7));
        assert_eq!(pass.owed.len(), 101);
    }
}
