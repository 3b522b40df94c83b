//! One store's plain listing beside the ledger, key by key, in one pass over both: what scrub and verify stand on.

use crate::engine::Engine;
use crate::seats::Seat;
use crate::side_by_side::{CompareError, SideBySide};
use outlast_rules::{BucketName, Entry, Key, Moment, StoreName};
use outlast_store::ListedCopy;
use std::sync::Arc;

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

/// Walks both sides in key order.
pub(crate) struct Comparison {
    both: SideBySide,
    store: StoreName,
}

impl Comparison {
    pub fn new(engine: &Arc<Engine>, seat: &Arc<Seat>, bucket: &BucketName) -> Comparison {
        let both = SideBySide::new(engine, std::slice::from_ref(seat), bucket);
        Comparison { both, store: seat.name.clone() }
    }

    /// None at the end of both.
    pub async fn next(&mut self) -> Result<Option<Beside>, CompareError> {
        while let Some(beside) = self.both.next().await? {
            let object = beside.entry.filter(|(_, entry)| entry.is_object());
            let copy = beside.copies.into_iter().next().flatten();
            match (copy, object) {
                (Some(copy), Some((key, entry))) => return Ok(Some(self.side_by_side(copy, key, entry))),
                (Some(copy), None) => return Ok(Some(Beside::Extra(copy.key, copy.size))),
                (None, Some((key, entry))) => return Ok(Some(Beside::Missing(key, entry))),
                (None, None) => {}
            }
        }
        Ok(None)
    }

    fn side_by_side(&self, copy: ListedCopy, key: Key, entry: Entry) -> Beside {
        let pin = entry.holders.get(&self.store);
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
}
