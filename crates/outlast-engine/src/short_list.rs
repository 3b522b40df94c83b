//! A store whose list is suddenly short may be half mounted, or be another one with our marker: it is not mended copy by copy, and
//! nothing is written there, until what is missing is back or somebody has looked.

use crate::compare::{Beside, Comparison};
use crate::engine::Engine;
use crate::identity::{MARKER_DEADLINE, NotTold, fact};
use crate::seats::{JudgedAs, Seat};
use crate::side_by_side::CompareError;
use outlast_ledger::{Change, LedgerError};
use outlast_rules::{BucketName, Debt, DebtKind, Entry, Key, Reason, Seen, StoreName};
use outlast_store::Fault;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Changes written down together.
const BATCH: usize = 500;

/// What was found, kept in the ledger: a restart changes nothing about it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct ShortList {
    pub bucket: BucketName,
    pub missing: u64,
    pub of: u64,
    /// Some of the missing ones, from all over the list; when these are back, so are the others.
    pub samples: Vec<Key>,
}

impl ShortList {
    fn reason(&self) -> Reason {
        Reason::Short { missing: self.missing, of: self.of }
    }
}

fn short_fact(store: &StoreName) -> String {
    fact(store, "short")
}

impl Engine {
    /// What ends it, beside what was done about it.
    pub(crate) fn forget_short(&self, store: &StoreName) -> Change {
        Change::DropFact { name: short_fact(store) }
    }

    /// Down from now on, whatever it answers.
    /// False: it was accepted since that pass began, and what the pass found is owed already.
    pub(crate) async fn condemn_short(
        &self,
        seat: &Arc<Seat>,
        then: JudgedAs,
        found: &ShortList,
    ) -> Result<bool, LedgerError> {
        if !seat.is_still(then) {
            return Ok(false);
        }
        let value = serde_json::to_string(found).expect("plain data");
        self.ledger.commit(vec![Change::SetFact { name: short_fact(&seat.name), value }]).await?;
        if !self.condemn(seat, then, found.reason()).await {
            // Accepted while it was written down.
            self.ledger.commit(vec![self.forget_short(&seat.name)]).await?;
            return Ok(false);
        }
        tracing::error!(store = %seat.name, bucket = %found.bucket, "{}", found.reason());
        Ok(true)
    }

    /// At the start: what an earlier process found.
    pub(crate) async fn remember_short(&self, seat: &Arc<Seat>) -> Result<(), LedgerError> {
        if let Some(found) = self.short_list(seat).await? {
            self.condemn(seat, seat.judged_as(), found.reason()).await;
        }
        Ok(())
    }

    async fn short_list(&self, seat: &Seat) -> Result<Option<ShortList>, LedgerError> {
        let kept = self.ledger.fact(&short_fact(&seat.name)).await?;
        Ok(kept.and_then(|text| serde_json::from_str(&text).ok()))
    }

    /// Looks at the samples: how many that should be there are, and how many are not.
    pub(crate) async fn look_at_samples(&self, seat: &Seat, found: &ShortList) -> Result<(usize, usize), NotTold> {
        let (mut there, mut missing) = (0, 0);
        for key in &found.samples {
            // Deleted or written anew meanwhile: no longer expected there.
            let entry = self.ledger.key_state(&found.bucket, key).await?.entry;
            if !entry.is_some_and(|entry| entry.is_object() && entry.holders.contains_key(&seat.name)) {
                continue;
            }
            let at = seat.at(&found.bucket, key);
            let what = format!("head {}/{key}", found.bucket);
            match seat.in_time(&what, MARKER_DEADLINE, seat.store.head(&at, None)).await {
                Ok(_) => there += 1,
                Err(error) if matches!(error.fault, Fault::NoKey | Fault::NoBucket) => missing += 1,
                Err(error) => return Err(error.into()),
            }
        }
        Ok((there, missing))
    }

    /// For a short store that is accepted: what its list lacks, or shows otherwise than the ledger knows it, it holds no more. What is
    /// listed as it should be stays, or reads that have nobody else would fail until it was all copied again. Returns how many
    /// went; None: a native bucket is gone, and with it all that was known.
    pub(crate) async fn owe_what_is_missing(self: &Arc<Self>, seat: &Arc<Seat>) -> Result<Option<u64>, NotTold> {
        let mut missing = 0;
        self.make_missing_buckets(seat).await?;
        for bucket in self.serving_buckets() {
            if !self.settings.placement(&bucket.name).stores.contains(&seat.name) {
                continue;
            }
            let mut comparison = Comparison::new(self, seat, &bucket.name);
            let mut batch = Vec::new();
            loop {
                let beside = match comparison.next().await {
                    Ok(beside) => beside,
                    Err(CompareError::Store(error)) if error.fault == Fault::NoBucket => return Ok(None),
                    Err(CompareError::Store(error)) => return Err(error.into()),
                    Err(CompareError::Ledger(error)) => return Err(error.into()),
                };
                let is_last = beside.is_none();
                let gone = match beside {
                    Some(Beside::Missing(key, entry)) => Some((key, entry, true)),
                    Some(Beside::Differs(key, entry, _)) => Some((key, entry, false)),
                    Some(Beside::Alike(..) | Beside::Extra(..)) | None => None,
                };
                if let Some((key, entry, absent)) = gone.filter(|(_, entry, _)| entry.holders.contains_key(&seat.name))
                {
                    missing += 1;
                    batch.extend(self.holds_no_more(seat, &bucket.name, &key, &entry, absent));
                }
                if is_last || batch.len() >= BATCH {
                    self.ledger.commit(std::mem::take(&mut batch)).await?;
                }
                if is_last {
                    break;
                }
            }
        }
        self.ledger.commit(vec![self.forget_short(&seat.name)]).await?;
        Ok(Some(missing))
    }

    fn holds_no_more(&self, seat: &Seat, bucket: &BucketName, key: &Key, entry: &Entry, absent: bool) -> Vec<Change> {
        let (store, write) = (seat.name.clone(), entry.write);
        let debt = Debt::begin(&store, bucket, key, DebtKind::Copy, Some(entry), self.now());
        let gone = Change::NotHolder { bucket: bucket.clone(), key: key.clone(), store: store.clone(), write };
        let seen = Seen { write: None, pin: None };
        let seen = absent.then(|| Change::SetSeen { bucket: bucket.clone(), key: key.clone(), store, seen });
        [gone, Change::Owe(debt)].into_iter().chain(seen).collect()
    }

    /// The samples first, because a listing costs; when none is missing any more, the whole list decides.
    pub(crate) async fn is_still_short(self: &Arc<Self>, seat: &Arc<Seat>, then: JudgedAs) -> Result<bool, NotTold> {
        let Some(found) = self.short_list(seat).await? else { return Ok(false) };
        let is_served = self.serving_buckets().iter().any(|bucket| bucket.name == found.bucket);
        if is_served {
            let (_, missing) = self.look_at_samples(seat, &found).await?;
            if missing > 0 {
                return Ok(self.condemn(seat, then, found.reason()).await);
            }
            match self.scrub(&seat.name, &found.bucket).await {
                Ok(scrubbed) if !scrubbed.is_short => {}
                // Condemned anew, for what is missing now.
                Ok(_) => return Ok(true),
                Err(error) => {
                    tracing::debug!(store = %seat.name, "its list cannot be read: {error}");
                    return Ok(true);
                }
            }
        }
        self.ledger.commit(vec![self.forget_short(&seat.name)]).await?;
        self.note("standing", format!("{}: what was missing from its list is back", seat.name)).await;
        Ok(false)
    }
}
