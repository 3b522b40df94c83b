//! One store's plain listing beside the ledger, key by key, in one pass over both: what scrub and verify stand on.

use crate::engine::Engine;
use crate::seats::Seat;
use outlast_ledger::LedgerError;
use outlast_rules::{BucketName, Entry, Key, Moment, OpClass, RESERVED_PREFIX};
use outlast_store::{ListedCopy, StoreError};
use std::collections::VecDeque;
use std::sync::Arc;

/// Entries read at a time; memory is one page of each side.
const PAGE: usize = 1_000;

/// What stands under one key on either side.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Beside {
    /// The listing shows what the entry says of this store, and when it was written there.
    Alike(Key, Entry, Option<Moment>),
    /// An object of the ledger that the store does not list.
    Missing(Key, Entry),
    /// Listed, with another size, or with another ETag than the holder's pin.
    Differs(Key, Entry, String),
    /// Listed, and no object of the ledger.
    Extra(String, u64),
}

#[derive(Debug, thiserror::Error)]
pub enum CompareError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

/// Walks both sides in key order.
pub(crate) struct Comparison {
    engine: Arc<Engine>,
    seat: Arc<Seat>,
    bucket: BucketName,
    native: String,
    listed: VecDeque<ListedCopy>,
    next: Option<String>,
    listed_all: bool,
    entries: VecDeque<(Key, Entry)>,
    after: Option<Key>,
    entries_all: bool,
}

impl Comparison {
    pub fn new(engine: &Arc<Engine>, seat: &Arc<Seat>, bucket: &BucketName) -> Comparison {
        Comparison {
            engine: engine.clone(),
            seat: seat.clone(),
            bucket: bucket.clone(),
            native: seat.names.native(bucket),
            listed: VecDeque::new(),
            next: None,
            listed_all: false,
            entries: VecDeque::new(),
            after: None,
            entries_all: false,
        }
    }

    /// None at the end of both.
    pub async fn next(&mut self) -> Result<Option<Beside>, CompareError> {
        self.fill().await?;
        let order = match (self.listed.front(), self.entries.front()) {
            (None, None) => return Ok(None),
            (Some(_), None) => std::cmp::Ordering::Less,
            (None, Some(_)) => std::cmp::Ordering::Greater,
            (Some(copy), Some((key, _))) => copy.key.as_str().cmp(key.as_str()),
        };
        let copy = if order.is_le() { self.listed.pop_front() } else { None };
        let entry = if order.is_ge() { self.entries.pop_front() } else { None };
        Ok(Some(match (copy, entry) {
            (Some(copy), Some((key, entry))) => self.side_by_side(copy, key, entry),
            (Some(copy), None) => Beside::Extra(copy.key, copy.size),
            (None, Some((key, entry))) => Beside::Missing(key, entry),
            (None, None) => return Ok(None),
        }))
    }

    fn side_by_side(&self, copy: ListedCopy, key: Key, entry: Entry) -> Beside {
        let pin = entry.holders.get(&self.seat.name);
        let why = match pin {
            _ if copy.size != entry.size => Some(format!("{} bytes instead of {}", copy.size, entry.size)),
            None => Some("not known to be right".to_owned()),
            Some(pin) if pin.etag != copy.etag => Some(format!("ETag {} instead of {}", copy.etag, pin.etag)),
            Some(_) => None,
        };
        match why {
            Some(why) => Beside::Differs(key, entry, why),
            None => Beside::Alike(key, entry, copy.modified),
        }
    }

    async fn fill(&mut self) -> Result<(), CompareError> {
        while self.listed.is_empty() && !self.listed_all {
            let call = self.seat.store.list(&self.native, "", self.next.as_deref());
            let page = self.seat.watched(OpClass::List, call).await?;
            self.listed.extend(page.copies.into_iter().filter(|copy| !copy.key.starts_with(RESERVED_PREFIX)));
            self.listed_all = page.next.is_none();
            self.next = page.next;
        }
        while self.entries.is_empty() && !self.entries_all {
            let page = self.engine.ledger.entries(&self.bucket, self.after.as_ref(), PAGE).await?;
            self.entries_all = page.len() < PAGE;
            self.after = page.last().map(|(key, _)| key.clone());
            self.entries.extend(page.into_iter().filter(|(_, entry)| entry.is_object()));
        }
        Ok(())
    }
}
