//! Keys that were written twice with the same bytes: where a store gives an ETag twice, a listing cannot tell which write a copy is
//! of, and its stamp is asked for (protocol.md 6).

use crate::engine::Engine;
use crate::identity::fact;
use crate::seats::Seat;
use futures_util::stream::{self, StreamExt};
use outlast_ledger::{Change, LedgerError};
use outlast_rules::{BucketName, Entry, Key, StoreName, WriteId};
use outlast_store::Fault;
use std::collections::VecDeque;
use std::sync::Arc;

/// Keys read from the ledger together.
const PAGE: usize = 1_000;
/// Stamps asked for together, and how many of them at once: a far store's latency is hidden, and clients do not feel it.
const TOGETHER: usize = 256;
const AT_ONCE: usize = 8;
/// HEADs of one pass: where everything is written again each night everything is a twin, and each costs money. The next pass goes
/// on from there.
const LOOKS_MAX: usize = 50_000;

/// The last key that was asked for by a pass that ended before its end.
pub(crate) fn twins_fact(store: &StoreName, bucket: &BucketName) -> String {
    fact(store, &format!("twins.{bucket}"))
}

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
    looks: usize,
    /// The store answers no more: a pass does not wait for it key by key.
    is_silent: bool,
}

impl Twins {
    /// Goes on where the last pass had asked enough.
    pub async fn new(engine: &Engine, seat: &Arc<Seat>, bucket: &BucketName) -> Result<Twins, LedgerError> {
        let tells = seat.grades(&seat.names.native(bucket)).put.unique;
        let last = engine.ledger.fact(&twins_fact(&seat.name, bucket)).await?.and_then(|key| Key::parse(&key).ok());
        let (seat, bucket, page, asked) = (seat.clone(), bucket.clone(), VecDeque::new(), Vec::new());
        Ok(Twins { seat, bucket, tells, page, last, is_over: tells, asked, looks: 0, is_silent: false })
    }

    /// A copy that is listed as it should be; in the order of keys. True: enough are kept to be asked for.
    pub async fn meet(&mut self, engine: &Engine, key: &Key, entry: &Entry) -> Result<bool, LedgerError> {
        // What was adopted has no stamp, and the pin of that very copy.
        let has_stamp = entry.holders.contains_key(&self.seat.name) && !entry.is_adopted_on(&self.seat.name);
        if !self.tells && self.looks < LOOKS_MAX && self.is_twin(engine, key).await? && has_stamp {
            self.asked.push((key.clone(), entry.clone()));
            self.looks += 1;
        }
        Ok(self.asked.len() >= TOGETHER)
    }

    /// Where the next pass goes on: behind the last key that was asked for, or at the beginning.
    pub async fn end(self, engine: &Engine) -> Result<(), LedgerError> {
        let name = twins_fact(&self.seat.name, &self.bucket);
        let change = match self.page.front().filter(|_| self.looks >= LOOKS_MAX) {
            Some(key) => Change::SetFact { name, value: key.to_string() },
            None => Change::DropFact { name },
        };
        engine.ledger.commit(vec![change]).await
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

    /// Those of the kept ones whose copy is not of the write that the ledger knows. No answer says nothing.
    pub async fn wrong(&mut self) -> Vec<(Key, Entry)> {
        let asked = std::mem::take(&mut self.asked);
        if self.is_silent {
            return Vec::new();
        }
        let (seat, bucket) = (&self.seat, &self.bucket);
        let asks = asked.into_iter().map(|(key, entry)| async move {
            match seat.look(bucket, &key).await {
                Ok(found) if is_of(found.dress.stamp.as_ref().map(|stamp| stamp.write), &entry) => Ok(None),
                Ok(_) => Ok(Some((key, entry))),
                Err(error) if error.fault == Fault::NoKey => Ok(Some((key, entry))),
                Err(error) => Err(error),
            }
        });
        let mut looks = stream::iter(asks).buffered(AT_ONCE);
        let (mut wrong, mut failed) = (Vec::new(), 0);
        while let Some(look) = looks.next().await {
            match look {
                Ok(found) => wrong.extend(found),
                Err(error) => {
                    tracing::debug!("{error}: whose copy that is stays open until the next pass");
                    failed += 1;
                }
            }
            if failed >= AT_ONCE {
                break;
            }
        }
        drop(looks);
        self.is_silent = failed >= AT_ONCE;
        wrong
    }
}

fn is_of(stamp: Option<WriteId>, entry: &Entry) -> bool {
    stamp == Some(entry.write)
}
