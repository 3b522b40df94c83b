//! Keys that were written twice with the same bytes: where a store gives an ETag twice, a listing cannot tell which write a copy is
//! of, and its stamp is asked for (protocol.md 6).

use crate::engine::Engine;
use crate::seats::Seat;
use crate::side_by_side::CompareError;
use futures_util::stream::{self, StreamExt, TryStreamExt};
use outlast_ledger::LedgerError;
use outlast_rules::{BucketName, Entry, Key, WriteId};
use outlast_store::Fault;
use std::collections::VecDeque;
use std::sync::Arc;

/// Keys read from the ledger together.
const PAGE: usize = 1_000;
/// Stamps asked for together, and how many of them at once: a far store's latency is hidden, and clients do not feel it.
const TOGETHER: usize = 256;
const AT_ONCE: usize = 8;

/// Walks the twins of a bucket in key order, beside a listing, and keeps those whose stamps are to be asked for.
pub(crate) struct Twins {
    seat: Arc<Seat>,
    bucket: BucketName,
    /// This store gives no ETag twice: its pins tell.
    tells: bool,
    page: VecDeque<Key>,
    last: Option<Key>,
    is_over: bool,
    asked: Vec<(Key, Entry)>,
}

impl Twins {
    pub fn new(seat: &Arc<Seat>, bucket: &BucketName) -> Twins {
        let tells = seat.grades(&seat.names.native(bucket)).put.unique;
        let (seat, bucket) = (seat.clone(), bucket.clone());
        Twins { seat, bucket, tells, page: VecDeque::new(), last: None, is_over: tells, asked: Vec::new() }
    }

    /// A copy that is listed as it should be; in the order of keys. True: enough are kept to be asked for.
    pub async fn meet(&mut self, engine: &Engine, key: &Key, entry: &Entry) -> Result<bool, LedgerError> {
        // What was adopted has no stamp, and the pin of that very copy.
        let has_stamp = entry.holders.contains_key(&self.seat.name) && !entry.is_adopted_on(&self.seat.name);
        if !self.tells && self.is_twin(engine, key).await? && has_stamp {
            self.asked.push((key.clone(), entry.clone()));
        }
        Ok(self.asked.len() >= TOGETHER)
    }

    async fn is_twin(&mut self, engine: &Engine, key: &Key) -> Result<bool, LedgerError> {
        loop {
            while self.page.front().is_some_and(|first| first < key) {
                self.page.pop_front();
            }
            if !self.page.is_empty() || self.is_over {
                return Ok(self.page.front() == Some(key));
            }
            let page = engine.ledger.twins(&self.bucket, self.last.as_ref(), PAGE).await?;
            self.is_over = page.len() < PAGE;
            self.last = page.last().cloned();
            self.page = page.into();
        }
    }

    /// Those of the kept ones whose copy is not of the write that the ledger knows.
    pub async fn wrong(&mut self) -> Result<Vec<(Key, Entry)>, CompareError> {
        let (seat, bucket) = (&self.seat, &self.bucket);
        let asks = std::mem::take(&mut self.asked).into_iter().map(|(key, entry)| async move {
            let is_right = match seat.look(bucket, &key).await {
                Ok(found) => is_of(found.dress.stamp.map(|stamp| stamp.write), &entry),
                Err(error) if error.fault == Fault::NoKey => false,
                Err(error) => return Err(CompareError::Store(error)),
            };
            Ok((!is_right).then_some((key, entry)))
        });
        let wrong: Vec<_> = stream::iter(asks).buffered(AT_ONCE).try_collect().await?;
        Ok(wrong.into_iter().flatten().collect())
    }
}

fn is_of(stamp: Option<WriteId>, entry: &Entry) -> bool {
    stamp == Some(entry.write)
}
