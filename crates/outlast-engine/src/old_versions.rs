//! Native versions below the current ones that nothing in the ledger names any more: late calls, catch-up and overwrites leave them
//! on stores that keep versions, and they are paid for until somebody deletes them (protocol.md 6).

use crate::engine::Engine;
use crate::identity::fact;
use crate::lanes::LANE_WAIT;
use crate::seats::Seat;
use crate::side_by_side::CompareError;
use outlast_ledger::{Change, LedgerError};
use outlast_rules::{
    BucketName, Key, KeyState, OpClass, Pin, RESERVED_PREFIX, Stamp, StoreName, Trashed, VersionFacts,
    may_destroy_version, name_hash,
};
use outlast_store::{Fault, ListedVersion};
use std::sync::Arc;

/// Where nothing can be brought back: a read that began before the overwrite may still be at the old version.
const STANDS_MS: u64 = 24 * 3_600_000;
/// HEADs of one pass that lead to nothing: they cost money, and versions that are not ours are asked for each time. The next pass
/// goes on from there.
const IDLE_LOOKS_MAX: usize = 10_000;

/// Where the last pass ended before its end.
pub(crate) fn versions_fact(store: &StoreName, bucket: &BucketName) -> String {
    fact(store, &format!("versions.{bucket}"))
}

/// One pass on its way.
struct Sweep<'a> {
    seat: &'a Arc<Seat>,
    bucket: &'a BucketName,
    removed: u64,
    idle_looks: usize,
    /// The version before in the listing: of one key the newest comes first, so this one took the next one's place.
    newer: Option<ListedVersion>,
}

impl Engine {
    /// One pass over one store's noncurrent versions. How many were deleted. What one version's call says against it ends nothing:
    /// it may be held by law, or be somebody else's.
    pub(crate) async fn sweep_versions(
        self: &Arc<Self>,
        seat: &Arc<Seat>,
        bucket: &BucketName,
    ) -> Result<u64, CompareError> {
        let native = seat.names.native(bucket);
        let grades = seat.grades(&native);
        if !grades.put.pinned || !grades.delete.pinned {
            return Ok(0);
        }
        let name = versions_fact(&seat.name, bucket);
        let mut after = self.ledger.fact(&name).await?;
        let mut sweep = Sweep { seat, bucket, removed: 0, idle_looks: 0, newer: None };
        let mut is_resumed = after.is_some();
        let rest = loop {
            let page = seat.watched(OpClass::List, seat.store.list_versions(&native, "", after.as_deref())).await;
            let page = match page {
                Ok(page) => page,
                Err(error) if error.fault == Fault::Unsupported => break None,
                // A marker of an earlier pass may name what is gone.
                Err(error) if is_resumed && !error.fault.is_of_the_store() => break None,
                Err(error) => return Err(error.into()),
            };
            is_resumed = false;
            for version in page.versions {
                if self.is_frozen() || self.stopping.is_cancelled() {
                    return Ok(sweep.removed);
                }
                self.sweep_version(&mut sweep, &version).await?;
                sweep.newer = Some(version);
            }
            match page.next {
                Some(next) if sweep.idle_looks < IDLE_LOOKS_MAX => after = Some(next),
                rest => break rest,
            }
        };
        let change = match rest {
            Some(value) => Change::SetFact { name, value },
            None => Change::DropFact { name },
        };
        self.ledger.commit(vec![change]).await?;
        let removed = sweep.removed;
        if removed > 0 {
            let text = format!("{}: {removed} old native versions in {bucket} that nothing named: removed", seat.name);
            self.note("old-versions", text).await;
        }
        Ok(removed)
    }

    /// The store is asked before the key's lane is taken: no client waits for its answer.
    async fn sweep_version(
        self: &Arc<Self>,
        sweep: &mut Sweep<'_>,
        version: &ListedVersion,
    ) -> Result<(), CompareError> {
        let (seat, bucket, id) = (sweep.seat, sweep.bucket, version.version.as_deref());
        let Ok(key) = Key::parse(&version.key) else { return Ok(()) };
        if version.is_current || id.is_none() || version.key.starts_with(RESERVED_PREFIX) {
            return Ok(());
        }
        // Where the one above is hidden no listing shows it, and the entry says since when.
        let newer = sweep.newer.as_ref().filter(|newer| newer.key == version.key).map(|newer| newer.modified);
        let state = self.ledger.key_state(bucket, &key).await?;
        let trash = self.ledger.trash_of(bucket, &key).await?;
        let Some(below_since) = newer.unwrap_or(state.entry.as_ref().map(|entry| entry.modified)) else {
            return Ok(());
        };
        let kept_ms = self.undelete_of(bucket).window_ms.max(STANDS_MS);
        if below_since.plus_ms(kept_ms) >= self.now() || is_in_use(&state, &trash, &seat.name, id) {
            return Ok(());
        }
        sweep.idle_looks += 1;
        let stamp = match seat.look_at(bucket, &key, id).await {
            Ok(found) => found.dress.stamp.filter(|stamp| stamp.is_bound_to(name_hash(bucket, &key))),
            Err(error) if error.fault.is_of_the_store() => return Err(error.into()),
            Err(error) => {
                tracing::debug!("{error}: that version stays");
                None
            }
        };
        let Some(stamp) = stamp else { return Ok(()) };
        // What nothing names now nothing names later: a write that comes back is a new one.
        if !self.is_outdone(bucket, &key, &stamp).await? || self.is_frozen() {
            return Ok(());
        }
        match seat.watched(OpClass::Delete, seat.store.delete(&seat.at(bucket, &key), id, None)).await {
            Ok(()) => {
                sweep.removed += 1;
                sweep.idle_looks -= 1;
            }
            Err(error) if error.fault.is_of_the_store() => return Err(error.into()),
            Err(error) => tracing::debug!("{error}: that version stays"),
        }
        Ok(())
    }

    /// Judged with the key's lane in hand: nothing begins or ends meanwhile.
    async fn is_outdone(&self, bucket: &BucketName, key: &Key, stamp: &Stamp) -> Result<bool, LedgerError> {
        let Some(_lane) = self.lanes.lock_within(LANE_WAIT, bucket, key).await else { return Ok(false) };
        let state = self.ledger.key_state(bucket, key).await?;
        let trash = self.ledger.trash_of(bucket, key).await?;
        let rolled_back = self.ledger.rolled_back(bucket, key).await?;
        let facts = VersionFacts {
            state: &state,
            trash: &trash,
            rolled_back: &rolled_back,
            entry_is_safe: self.is_entry_safe(bucket, &state),
            epoch: self.epoch,
        };
        Ok(may_destroy_version(stamp, facts))
    }
}

/// Said without asking the store: the entry or the trash reads this version, or something is owed or on its way there.
fn is_in_use(state: &KeyState, trash: &[Trashed], store: &StoreName, id: Option<&str>) -> bool {
    let is_it = |pin: &Pin| pin.version.as_deref() == id;
    let is_read = state.entry.iter().any(|entry| entry.holders.get(store).is_some_and(is_it));
    let is_shelved = trash.iter().any(|row| row.shelves.get(store).is_some_and(|shelf| is_it(&shelf.pin)));
    let is_busy = state.marks_on(store).next().is_some() || state.debts.iter().any(|debt| &debt.store == store);
    is_read || is_shelved || is_busy
}
