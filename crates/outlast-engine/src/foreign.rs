//! Objects that somebody else put under our names: told apart, kept, reported, then overwritten (protocol.md 2.4).

use crate::counters::count;
use crate::engine::Engine;
use crate::seats::Seat;
use outlast_rules::{BucketName, Entry, Key, Mutant, OpClass, StoreName, broken, name_hash};
use outlast_store::{Answer, Dress, Found, PutSpec};
use std::sync::Arc;

impl Engine {
    /// Is what was found a right copy of this entry?
    pub(crate) fn is_copy_of(
        &self,
        bucket: &BucketName,
        key: &Key,
        entry: &Entry,
        store: &StoreName,
        found: &Found,
    ) -> bool {
        if found.size != entry.size {
            return false;
        }
        match &found.dress.stamp {
            Some(stamp) => {
                stamp.is_of(entry.write, name_hash(bucket, key), entry.size)
                    && !self.is_other_md5(bucket, entry, store, &found.pin.etag)
            }
            None => {
                let pinned = entry.holders.get(store).is_some_and(|pin| pin.etag == found.pin.etag);
                entry.is_adopted_on(store) && pinned
            }
        }
    }

    /// Stamp and size are right and the bytes cannot be: both ETags are the MD5 of a body sent whole, and they differ.
    pub(crate) fn is_other_md5(&self, bucket: &BucketName, entry: &Entry, store: &StoreName, there: &str) -> bool {
        let is_md5 = |etag: &str| etag.len() == 32 && etag.bytes().all(|byte| byte.is_ascii_hexdigit());
        let says_md5 = self
            .seat(store)
            .is_some_and(|seat| seat.probe_of(&seat.names.native(bucket)).is_some_and(|probe| probe.etag_is_md5));
        says_md5 && is_md5(there) && is_md5(&entry.etag) && !there.eq_ignore_ascii_case(&entry.etag)
    }

    /// A copy of this entry that has lost its stamp: size and ETag are those of the copy that was there (counter-example 28).
    pub(crate) fn is_stripped(&self, entry: &Entry, store: &StoreName, found: &Found) -> bool {
        let pinned = entry.holders.get(store).is_some_and(|pin| pin.etag == found.pin.etag);
        !broken(Mutant::StrippedIsForeign)
            && found.dress.stamp.is_none()
            && found.size == entry.size
            && (pinned || found.pin.etag == entry.etag)
    }

    /// Keeps a foreign object under `.outlast/conflicts/` on its own store before it is overwritten.
    pub(crate) async fn keep_conflict(
        &self,
        seat: &Arc<Seat>,
        bucket: &BucketName,
        key: &Key,
        found: &Found,
    ) -> Answer<()> {
        if broken(Mutant::ForeignNotKept) {
            return Ok(());
        }
        let from = seat.at(bucket, key);
        let to = seat.record_at(bucket, &format!(".outlast/conflicts/{:032x}/{key}", self.random()));
        let spec = PutSpec { dress: Dress { head: found.dress.head.clone(), stamp: None }, fence: None, md5: None };
        seat.watched(OpClass::Write, seat.store.copy(&from, &found.pin, &to, &spec)).await?;
        count(&self.counters.conflicts_kept);
        self.note(
            "conflict",
            format!("{}: an object that is not ours lay under {bucket}/{key}; kept as {}", seat.name, to.key),
        )
        .await;
        Ok(())
    }
}
