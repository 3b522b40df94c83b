//! One store's listing of one native bucket, key by key, a page read ahead.

use super::reach::RebuildError;
use crate::seats::Seat;
use outlast_rules::{Moment, RESERVED_PREFIX};
use outlast_store::{Answer, Fault};
use std::collections::VecDeque;
use std::sync::Arc;
use tokio::task::JoinHandle;

/// One copy under a key, as a listing shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Shown {
    /// Where native versions are listed: this one's id.
    pub version: Option<String>,
    pub is_current: bool,
    pub size: u64,
    pub etag: String,
    pub modified: Option<Moment>,
}

/// A page of either kind of listing.
struct Page {
    shown: Vec<(String, Shown)>,
    next: Option<String>,
}

/// Memory: the page that is walked, and the one that is on its way.
pub(super) struct Listing {
    pub seat: Arc<Seat>,
    native: String,
    /// All native versions are asked for, where the store keeps and lists them.
    versions: bool,
    queue: VecDeque<(String, Shown)>,
    ahead: Option<JoinHandle<Answer<Page>>>,
    /// Of the first page nobody was asked yet.
    is_new: bool,
    last: Option<String>,
}

async fn page(seat: Arc<Seat>, native: String, versions: bool, after: Option<String>) -> Answer<Page> {
    if !versions {
        let page = seat.page(&native, "", after.as_deref()).await?;
        let shown = page.copies.into_iter().map(|copy| {
            let shown =
                Shown { version: None, is_current: true, size: copy.size, etag: copy.etag, modified: copy.modified };
            (copy.key, shown)
        });
        return Ok(Page { shown: shown.collect(), next: page.next });
    }
    let what = format!("list versions of {native}");
    let page = seat.ask(&what, || seat.store.list_versions(&native, "", after.as_deref())).await?;
    let shown = page.versions.into_iter().map(|one| {
        let (version, is_current) = (one.version, one.is_current);
        (one.key, Shown { version, is_current, size: one.size, etag: one.etag, modified: one.modified })
    });
    Ok(Page { shown: shown.collect(), next: page.next })
}

impl Listing {
    /// `versions`: the store keeps native versions in this bucket.
    pub fn new(seat: Arc<Seat>, native: String, versions: bool) -> Listing {
        Listing { seat, native, versions, queue: VecDeque::new(), ahead: None, is_new: true, last: None }
    }

    /// The key that comes next; None at the end.
    pub async fn peek(&mut self) -> Result<Option<&str>, RebuildError> {
        while self.queue.is_empty() && (self.is_new || self.ahead.is_some()) {
            self.fill().await?;
        }
        Ok(self.queue.front().map(|(key, _)| key.as_str()))
    }

    /// Everything under the key that `peek` told.
    pub async fn take(&mut self) -> Result<Vec<Shown>, RebuildError> {
        let mut all = Vec::new();
        let Some((key, first)) = self.queue.pop_front() else { return Ok(all) };
        all.push(first);
        // A page may end between two versions of a key.
        while self.peek().await?.is_some_and(|next| next == key) {
            all.extend(self.queue.pop_front().map(|(_, shown)| shown));
        }
        if self.last.as_ref().is_some_and(|last| *last >= key) {
            return Err(RebuildError::Refused(format!(
                "{} lists {} out of order ({:?} after {:?}): its listing cannot be walked beside the others'",
                self.seat.name,
                self.native,
                key,
                self.last.as_deref().unwrap_or_default()
            )));
        }
        self.last = Some(key);
        Ok(all)
    }

    async fn fill(&mut self) -> Result<(), RebuildError> {
        let (seat, native) = (self.seat.clone(), self.native.clone());
        let asked = match self.ahead.take() {
            Some(ahead) => ahead.await.unwrap_or_else(|join| Err(seat.unreadable("list", &join.to_string()))),
            None => page(seat.clone(), native.clone(), self.versions, None).await,
        };
        let found = match asked {
            // Then the current copies are all that can be seen.
            Err(error) if self.is_new && self.versions && error.fault == Fault::Unsupported => {
                self.versions = false;
                page(seat.clone(), native.clone(), false, None).await?
            }
            found => found?,
        };
        self.is_new = false;
        if let Some(next) = found.next {
            self.ahead = Some(tokio::spawn(page(seat, native, self.versions, Some(next))));
        }
        self.queue.extend(found.shown.into_iter().filter(|(key, _)| !key.starts_with(RESERVED_PREFIX)));
        Ok(())
    }
}
