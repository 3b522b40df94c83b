//! Copies in the trash of a store that no row of the ledger knows: the process died between the copy and its row, or the row
//! went with a lost ledger. They are old before they are removed, so that nothing on its way is taken for one.

use crate::engine::Engine;
use crate::seats::Seat;
use outlast_ledger::Change;
use outlast_rules::{BucketName, Key, OpClass, RESERVED_PREFIX, UNDELETE_MS_DEFAULT, WriteId};
use outlast_store::{At, Fault};
use std::sync::Arc;

/// Clocks of stores differ from ours, and a window may have been longer when the copy was made.
const SLACK_MS: u64 = 24 * 3_600_000;

impl Engine {
    /// One pass over one store's trash. How many were removed.
    pub(crate) async fn sweep_orphans(
        self: &Arc<Self>,
        seat: &Arc<Seat>,
        bucket: &BucketName,
    ) -> Result<u64, crate::side_by_side::CompareError> {
        let prefix = format!("{RESERVED_PREFIX}trash/");
        let native = seat.record_at(bucket, &prefix).bucket;
        let kept_ms = self.undelete_of(bucket).window_ms.max(UNDELETE_MS_DEFAULT) + SLACK_MS;
        let (mut removed, mut after) = (0, None);
        loop {
            let page = seat.store.list(&native, &prefix, after.as_deref());
            let page = seat.watched(OpClass::List, page).await?;
            for copy in page.copies {
                let is_old = copy.modified.is_some_and(|at| at.plus_ms(kept_ms) < self.now());
                let Some((write, key)) = parse(copy.key.strip_prefix(&prefix).unwrap_or_default()) else { continue };
                if !is_old || self.is_frozen() || self.is_known(write, &key).await? {
                    continue;
                }
                let at = At::new(native.clone(), copy.key.clone());
                let call = seat.store.delete(&at, None, None);
                match seat.watched(OpClass::Delete, call).await {
                    Ok(()) => removed += 1,
                    Err(error) if error.fault == Fault::NoKey => {}
                    Err(error) => return Err(error.into()),
                }
                let text = format!("{}: {} was in no row of the trash, and old: removed", seat.name, copy.key);
                self.ledger.commit(vec![Change::Note { at: self.now(), kind: "orphan".to_owned(), text }]).await?;
            }
            match page.next {
                Some(next) => after = Some(next),
                None => return Ok(removed),
            }
        }
    }

    /// A `system_bucket` holds the trash of every bucket, so each is asked.
    async fn is_known(&self, write: WriteId, key: &Key) -> Result<bool, crate::side_by_side::CompareError> {
        for bucket in self.ledger.buckets().await? {
            let state = self.ledger.key_state(&bucket.name, key).await?;
            let entries = state.entry.iter().chain(state.intents.iter().map(|intent| &intent.entry));
            let rows = self.ledger.trash_of(&bucket.name, key).await?;
            if entries.chain(rows.iter().map(|row| &row.entry)).any(|entry| entry.write == write) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// `<write id>/<key>`. A name with a hash instead of its key tells no key, and stays.
fn parse(name: &str) -> Option<(WriteId, Key)> {
    let (write, key) = name.split_once('/')?;
    if key.starts_with('~') {
        return None;
    }
    Some((WriteId::parse(write)?, Key::parse(key).ok()?))
}
