//! GET and HEAD: existence, headers and preconditions from the ledger alone; bytes from whoever holds them (protocol.md 3).

use crate::asks::{GetAnswer, GetAsk, ObjectFacts, RangeAsk, ReadError};
use crate::counters::count;
use crate::engine::Engine;
use crate::reading::{NoFirstByte, Reading};
use outlast_rules::{BucketName, Digests, Entry, Key, Layout, Mutant, broken, judge_read, keeps_range};
use std::sync::Arc;
use std::time::Duration;

/// A read that meets a key in motion starts again this often; each time the entry has really changed.
pub(crate) const RESTARTS_MAX: usize = 8;

impl Engine {
    pub async fn head(self: &Arc<Self>, ask: GetAsk) -> Result<ObjectFacts, ReadError> {
        let entry = self.visible(&ask.bucket, &ask.key).await?;
        judge_read(&ask.conditions, &entry).map_err(ReadError::Refused)?;
        let asked = ask.range.filter(|_| keeps_range(&ask.conditions, &entry));
        let range = resolve_range(&asked, &entry)?;
        Ok(facts(&entry, asked.is_some().then_some(range)))
    }

    pub async fn get(self: &Arc<Self>, ask: GetAsk) -> Result<GetAnswer, ReadError> {
        count(&self.counters.reads);
        self.hedges.earn();
        for _ in 0..RESTARTS_MAX {
            self.readable(&ask.bucket).await?;
            let object = self.ledger.object(&ask.bucket, &ask.key).await?;
            let (entry, digests) = object.filter(|(entry, _)| entry.is_object()).ok_or(ReadError::NoKey)?;
            let entry = Arc::new(entry);
            judge_read(&ask.conditions, &entry).map_err(ReadError::Refused)?;
            let asked = ask.range.filter(|_| keeps_range(&ask.conditions, &entry));
            let range = resolve_range(&asked, &entry)?;
            let mut reading = self.reading_with(&ask.bucket, &ask.key, entry.clone(), digests, range).await?;
            reading.may_hedge();
            match reading.begin().await {
                Ok(()) => {
                    return Ok(GetAnswer {
                        facts: facts(&entry, asked.is_some().then_some(range)),
                        len: range.1 - range.0,
                        source: reading.source(),
                        verified: if reading.is_checked() { "blocks" } else { "transport" },
                        bytes: reading.stream(),
                    });
                }
                Err(NoFirstByte::Failed(words)) => {
                    if !self.moved_on(&ask.bucket, &ask.key, &entry).await? {
                        count(&self.counters.reads_failed);
                        return Err(ReadError::NoHolder(words));
                    }
                }
                Err(NoFirstByte::Missed(words)) => {
                    if !self.moved_on(&ask.bucket, &ask.key, &entry).await? {
                        reading.blame_missers().await;
                        if broken(Mutant::Trusted404) {
                            return Err(ReadError::NoKey);
                        }
                        count(&self.counters.reads_failed);
                        return Err(ReadError::NoHolder(words));
                    }
                }
            }
        }
        Err(ReadError::NoHolder(format!("{}/{} is overwritten faster than it can be read", ask.bucket, ask.key)))
    }

    /// The entry that clients may see.
    pub(crate) async fn visible(self: &Arc<Self>, bucket: &BucketName, key: &Key) -> Result<Entry, ReadError> {
        self.readable(bucket).await?;
        match self.ledger.entry(bucket, key).await? {
            Some(entry) if entry.is_object() => Ok(entry),
            _ => Err(ReadError::NoKey),
        }
    }

    /// A body of an entry, from its holders or the spool.
    pub(crate) async fn reading(
        self: &Arc<Self>,
        bucket: &BucketName,
        key: &Key,
        entry: Arc<Entry>,
        range: (u64, u64),
    ) -> Result<Reading, ReadError> {
        let digests = self.ledger.digests(bucket, key, entry.write).await?;
        self.reading_with(bucket, key, entry, digests, range).await
    }

    async fn reading_with(
        self: &Arc<Self>,
        bucket: &BucketName,
        key: &Key,
        entry: Arc<Entry>,
        digests: Option<Digests>,
        range: (u64, u64),
    ) -> Result<Reading, ReadError> {
        let digests = digests.map(Arc::new);
        let spooled =
            !self.spool.is_empty() && self.ledger.key_state(bucket, key).await?.spooled.contains(&entry.write);
        Ok(Reading::new(self, bucket, key, entry, digests, spooled, range))
    }

    /// A miss while the key has a write in its commit phase or undecided, or after the entry has changed: wait for the
    /// decision and say that it is worth starting again. Such a miss makes no debt (protocol.md 3.2, counter-example 12).
    pub(crate) async fn moved_on(
        self: &Arc<Self>,
        bucket: &BucketName,
        key: &Key,
        entry: &Entry,
    ) -> Result<bool, ReadError> {
        if broken(Mutant::MissIsFinal) {
            return Ok(false);
        }
        let state = self.ledger.key_state(bucket, key).await?;
        let changed = |now: Option<&Entry>| {
            now.map(|now| (now.write, now.holders.clone())) != Some((entry.write, entry.holders.clone()))
        };
        if changed(state.entry.as_ref()) {
            return Ok(true);
        }
        if !self.lanes.is_busy(bucket, key) && state.intents.is_empty() {
            return Ok(false);
        }
        let deadline = Duration::from_millis(self.settings.commit_deadline_ms);
        let engine = self.clone();
        let (bucket, key) = (bucket.clone(), key.clone());
        // A task of its own: the reader may give up, the calls that resolve a write may not be dropped half way.
        let decided = self.tasks.spawn(async move { engine.resolve_key(&bucket, &key).await });
        match tokio::time::timeout(deadline, decided).await {
            Ok(Ok(state)) => Ok(changed(state?.entry.as_ref())),
            Ok(Err(_)) | Err(_) => Ok(false),
        }
    }
}

pub(crate) fn facts(entry: &Entry, range: Option<(u64, u64)>) -> ObjectFacts {
    ObjectFacts {
        etag: entry.etag.clone(),
        size: entry.size,
        modified: entry.modified,
        head: entry.head.clone(),
        checksums: entry.checksums.clone(),
        parts: match &entry.layout {
            Layout::Whole | Layout::Cut(_) => None,
            Layout::Parts(sizes) => Some(sizes.len() as u32),
        },
        range,
    }
}

/// `start..end` within the object, or 416.
fn resolve_range(ask: &Option<RangeAsk>, entry: &Entry) -> Result<(u64, u64), ReadError> {
    let size = entry.size;
    let outside = Err(ReadError::Range { size });
    match *ask {
        None => Ok((0, size)),
        Some(RangeAsk::FromTo(first, last)) if first < size && first <= last => {
            Ok((first, last.saturating_add(1).min(size)))
        }
        Some(RangeAsk::From(first)) if first < size => Ok((first, size)),
        Some(RangeAsk::Last(n)) if n > 0 && size > 0 => Ok((size.saturating_sub(n), size)),
        Some(RangeAsk::Part(number)) => match &entry.layout {
            Layout::Whole | Layout::Cut(_) if number == 1 => Ok((0, size)),
            Layout::Parts(sizes) if (1..=sizes.len() as u32).contains(&number) => {
                let start: u64 = sizes[..number as usize - 1].iter().sum();
                Ok((start, start + sizes[number as usize - 1]))
            }
            _ => outside,
        },
        Some(_) => outside,
    }
}
