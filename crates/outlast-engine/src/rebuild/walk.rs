//! Every store's listing of a bucket, what was recalled of it and what records say, side by side in the order of keys: one pass,
//! and memory for a page of each.

use super::listing::{Listing, Shown};
use super::notes::{TOMB_FACTS, Tomb};
use super::reach::RebuildError;
use crate::seats::Seat;
use outlast_ledger::Ledger;
use outlast_rules::{BucketName, Entry, Key};
use std::collections::VecDeque;
use std::sync::Arc;

/// Rows and facts read at a time.
const PAGE: usize = 1_000;

/// Everything that is known of one key without asking for it.
pub(super) struct Group {
    pub key: String,
    pub listed: Vec<(Arc<Seat>, Vec<Shown>)>,
    /// What the lost ledger said.
    pub row: Option<Entry>,
    pub tomb: Option<Tomb>,
}

pub(super) struct Walk {
    ledger: Arc<dyn Ledger>,
    bucket: BucketName,
    listings: Vec<Listing>,
    rows: VecDeque<(Key, Entry)>,
    rows_after: Option<Key>,
    rows_all: bool,
    tombs: VecDeque<(String, Tomb)>,
    tombs_after: String,
    tombs_all: bool,
}

impl Walk {
    /// `after`: keys up to this one are done. Listings can only begin at the beginning; what is done is stepped over.
    pub fn new(ledger: Arc<dyn Ledger>, bucket: BucketName, listings: Vec<Listing>, after: Option<Key>) -> Walk {
        let tombs_after = after.as_ref().map(|after| after.to_string()).unwrap_or_default();
        Walk {
            ledger,
            bucket,
            listings,
            rows: VecDeque::new(),
            rows_after: after,
            rows_all: false,
            tombs: VecDeque::new(),
            tombs_after,
            tombs_all: false,
        }
    }

    /// None at the end of all.
    pub async fn next(&mut self) -> Result<Option<Group>, RebuildError> {
        self.fill().await?;
        let row = self.rows.front().map(|(key, _)| key.as_str().to_owned());
        let tomb = self.tombs.front().map(|(key, _)| key.clone());
        let mut first: Option<String> = match (row, tomb) {
            (Some(row), Some(tomb)) => Some(row.min(tomb)),
            (row, tomb) => row.or(tomb),
        };
        for listing in &mut self.listings {
            if let Some(key) = listing.peek().await?
                && first.as_deref().is_none_or(|first| key < first)
            {
                first = Some(key.to_owned());
            }
        }
        let Some(key) = first else { return Ok(None) };
        let mut listed = Vec::new();
        for listing in &mut self.listings {
            if listing.peek().await? == Some(key.as_str()) {
                listed.push((listing.seat.clone(), listing.take().await?));
            }
        }
        let row = self.rows.pop_front_if(|(row, _)| row.as_str() == key).map(|(_, entry)| entry);
        let tomb = self.tombs.pop_front_if(|(tomb, _)| *tomb == key).map(|(_, tomb)| tomb);
        Ok(Some(Group { key, listed, row, tomb }))
    }

    async fn fill(&mut self) -> Result<(), RebuildError> {
        if self.rows.is_empty() && !self.rows_all {
            let page = self.ledger.entries(&self.bucket, self.rows_after.as_ref(), PAGE).await?;
            self.rows_all = page.len() < PAGE;
            self.rows_after = page.last().map(|(key, _)| key.clone()).or(self.rows_after.take());
            self.rows.extend(page);
        }
        if self.tombs.is_empty() && !self.tombs_all {
            let prefix = format!("{TOMB_FACTS}{}/", self.bucket);
            let page = self.ledger.facts(&prefix, &format!("{prefix}{}", self.tombs_after), PAGE).await?;
            self.tombs_all = page.len() < PAGE;
            for (name, value) in page {
                let key = name.strip_prefix(&prefix).unwrap_or_default().to_owned();
                self.tombs_after = key.clone();
                self.tombs.extend(serde_json::from_str(&value).ok().map(|tomb| (key, tomb)));
            }
        }
        Ok(())
    }
}
