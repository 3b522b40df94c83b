//! The listings of stores beside the ledger, key by key, in one pass over all: what adopting, scrub and verify stand on.

use crate::engine::Engine;
use crate::seats::Seat;
use outlast_ledger::LedgerError;
use outlast_rules::{BucketName, Entry, Key, OpClass, RESERVED_PREFIX};
use outlast_store::{ListedCopy, StoreError};
use std::collections::VecDeque;
use std::sync::Arc;

/// Entries read at a time; memory is one page of each side.
const PAGE: usize = 1_000;

#[derive(Debug, thiserror::Error)]
pub enum CompareError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

/// One key, and what stands under it on each side.
pub(crate) struct Beside {
    pub key: String,
    /// By source, in the order in which the sources were named.
    pub copies: Vec<Option<ListedCopy>>,
    /// Tombstones too.
    pub entry: Option<(Key, Entry)>,
}

struct Listing {
    seat: Arc<Seat>,
    native: String,
    page: VecDeque<ListedCopy>,
    next: Option<String>,
    is_done: bool,
    /// The key that was shown last.
    last: Option<String>,
}

impl Listing {
    async fn fill(&mut self) -> Result<(), CompareError> {
        while self.page.is_empty() && !self.is_done {
            let call = self.seat.store.list(&self.native, "", self.next.as_deref());
            let page = self.seat.watched(OpClass::List, call).await?;
            self.in_order(&page.copies)?;
            self.page.extend(page.copies.into_iter().filter(|copy| !copy.key.starts_with(RESERVED_PREFIX)));
            self.is_done = page.next.is_none();
            self.next = page.next;
        }
        Ok(())
    }

    /// Beside others, a listing in another order would show objects as missing that are there.
    fn in_order(&mut self, copies: &[ListedCopy]) -> Result<(), CompareError> {
        for copy in copies {
            if let Some(last) = self.last.as_ref().filter(|last| **last >= copy.key) {
                let what = format!("list {}", self.native);
                let why = format!("{:?} comes after {last:?}: it does not list in the order of keys", copy.key);
                return Err(self.seat.unreadable(&what, &why).into());
            }
            self.last = Some(copy.key.clone());
        }
        Ok(())
    }
}

pub(crate) struct SideBySide {
    engine: Arc<Engine>,
    bucket: BucketName,
    listings: Vec<Listing>,
    entries: VecDeque<(Key, Entry)>,
    after: Option<Key>,
    entries_done: bool,
}

impl SideBySide {
    pub fn new(engine: &Arc<Engine>, seats: &[Arc<Seat>], bucket: &BucketName) -> SideBySide {
        let listing = |seat: &Arc<Seat>| Listing {
            seat: seat.clone(),
            native: seat.names.native(bucket),
            page: VecDeque::new(),
            next: None,
            is_done: false,
            last: None,
        };
        SideBySide {
            engine: engine.clone(),
            bucket: bucket.clone(),
            listings: seats.iter().map(listing).collect(),
            entries: VecDeque::new(),
            after: None,
            entries_done: false,
        }
    }

    /// In the byte order of keys; None at the end of all.
    pub async fn next(&mut self) -> Result<Option<Beside>, CompareError> {
        for listing in &mut self.listings {
            listing.fill().await?;
        }
        while self.entries.is_empty() && !self.entries_done {
            let page = self.engine.ledger.entries(&self.bucket, self.after.as_ref(), PAGE).await?;
            self.entries_done = page.len() < PAGE;
            self.after = page.last().map(|(key, _)| key.clone());
            self.entries.extend(page);
        }
        let listed = self.listings.iter().filter_map(|listing| listing.page.front().map(|copy| copy.key.as_str()));
        let known = self.entries.front().map(|(key, _)| key.as_str());
        let Some(key) = listed.chain(known).min().map(str::to_owned) else { return Ok(None) };
        let copies =
            self.listings.iter_mut().map(|listing| listing.page.pop_front_if(|copy| copy.key == key)).collect();
        let entry = self.entries.pop_front_if(|(other, _)| other.as_str() == key);
        Ok(Some(Beside { key, copies, entry }))
    }
}
