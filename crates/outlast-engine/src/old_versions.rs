//! Native versions below the current ones that nothing in the ledger names any more: late calls, catch-up and overwrites leave them
//! on stores that keep versions, and they are paid for until somebody deletes them (protocol.md 6).

use crate::engine::Engine;
use crate::identity::fact;
use crate::seats::Seat;
use crate::side_by_side::CompareError;
use outlast_ledger::Change;
use outlast_rules::{
    BucketName, Key, KeyState, OpClass, RESERVED_PREFIX, StoreName, Told, is_left_for_good, name_hash,
};
use outlast_store::{Fault, ListedVersion};
use std::sync::Arc;

/// A read that began before the overwrite may still be at the old version.
const STANDS_MS: u64 = 24 * 3_600_000;
/// HEADs of one pass: they cost money, and versions that are not ours are asked for each time. The next pass goes on from there.
const LOOKS_MAX: usize = 10_000;

/// Where the last pass ended before its end; it goes with the bucket.
pub(crate) fn versions_fact(store: &StoreName, bucket: &BucketName) -> String {
    fact(store, &format!("versions.{bucket}"))
}

impl Engine {
    /// One pass over one store's noncurrent versions. How many were deleted.
    pub(crate) async fn sweep_versions(
        self: &Arc<Self>,
        seat: &Arc<Seat>,
        bucket: &BucketName,
    ) -> Result<u64, CompareError> {
        let native = seat.names.native(bucket);
        if !seat.grades(&native).put.pinned {
            return Ok(0);
        }
        let name = versions_fact(&seat.name, bucket);
        let mut after = self.ledger.fact(&name).await?;
        let (mut removed, mut looks) = (0, 0);
        loop {
            let page = seat.store.list_versions(&native, "", after.as_deref());
            let page = match seat.watched(OpClass::List, page).await {
                Err(error) if error.fault == Fault::Unsupported => return Ok(0),
                page => page?,
            };
            for version in page.versions {
                if self.is_frozen() || self.stopping.is_cancelled() {
                    return Ok(removed);
                }
                if version.is_current || version.version.is_none() || version.key.starts_with(RESERVED_PREFIX) {
                    continue;
                }
                let Ok(key) = Key::parse(&version.key) else { continue };
                removed += u64::from(self.sweep_version(seat, bucket, &key, &version, &mut looks).await?);
            }
            let is_enough = looks >= LOOKS_MAX;
            match page.next {
                Some(next) if is_enough => {
                    self.ledger.commit(vec![Change::SetFact { name, value: next }]).await?;
                    break;
                }
                Some(next) => after = Some(next),
                None => {
                    self.ledger.commit(vec![Change::DropFact { name }]).await?;
                    break;
                }
            }
        }
        if removed > 0 {
            let text = format!("{}: {removed} old native versions in {bucket} that nothing named: removed", seat.name);
            self.note("old-versions", text).await;
        }
        Ok(removed)
    }

    /// With the key's lane in hand: nothing begins or ends meanwhile.
    async fn sweep_version(
        self: &Arc<Self>,
        seat: &Arc<Seat>,
        bucket: &BucketName,
        key: &Key,
        version: &ListedVersion,
        looks: &mut usize,
    ) -> Result<bool, CompareError> {
        let id = version.version.as_deref();
        let _lane = self.lanes.lock(bucket, key).await;
        let state = self.ledger.key_state(bucket, key).await?;
        if !self.may_have_left(&state, &seat.name, id) {
            return Ok(false);
        }
        let trash = self.ledger.trash_of(bucket, key).await?;
        let is_shelved = |row: &outlast_rules::Trashed| {
            row.shelves.get(&seat.name).is_some_and(|shelf| shelf.pin.version.as_deref() == id)
        };
        if trash.iter().any(is_shelved) {
            return Ok(false);
        }
        *looks += 1;
        let at = seat.at(bucket, key);
        let found = match seat.watched(OpClass::Read, seat.store.head(&at, id)).await {
            Ok(found) => found,
            Err(error) if error.fault == Fault::NoKey => return Ok(false),
            Err(error) => return Err(error.into()),
        };
        let name = name_hash(bucket, key);
        let Some(stamp) = found.dress.stamp.filter(|stamp| stamp.is_bound_to(name)) else { return Ok(false) };
        let rolled_back = self.ledger.rolled_back(bucket, key).await?;
        let is_safe = self.is_entry_safe(bucket, &state);
        let (trash, rolled_back, epoch) = (&trash[..], &rolled_back[..], self.epoch);
        if !is_left_for_good(&stamp, Told { state: &state, trash, rolled_back, is_safe, epoch }) {
            return Ok(false);
        }
        match seat.watched(OpClass::Delete, seat.store.delete(&at, id, None)).await {
            Ok(()) => Ok(true),
            Err(error) if error.fault == Fault::NoKey => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// What the ledger alone can say without asking the store: the entry has stood for a while, nothing is owed or on its way there,
    /// and this is no version that it reads.
    fn may_have_left(&self, state: &KeyState, store: &StoreName, id: Option<&str>) -> bool {
        let Some(entry) = &state.entry else { return false };
        let is_read = entry.holders.get(store).is_some_and(|pin| pin.version.as_deref() == id);
        let is_busy = state.marks_on(store).next().is_some() || state.debts.iter().any(|debt| &debt.store == store);
        entry.modified.plus_ms(STANDS_MS) < self.now() && !is_read && !is_busy
    }
}
