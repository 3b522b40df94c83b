//! Objects that somebody else put under our names: told apart, kept, reported, then overwritten (protocol.md 2.4).

use crate::counters::count;
use crate::elsewhere::{Elsewhere, cut};
use crate::engine::Engine;
use crate::seats::Seat;
use outlast_rules::{
    Adopted, BucketName, Entry, EntryKind, Key, Layout, Moment, Mutant, OpClass, Pin, Seq, StoreName, WriteId, broken,
    conflict_name, name_hash,
};
use outlast_store::{Answer, At, Dress, Found, PutSpec};
use std::collections::BTreeMap;
use std::sync::Arc;

/// An MD5, and of how many parts' MD5s it is one. None: an ETag of another make.
fn md5_and_parts(etag: &str) -> Option<(&str, Option<u32>)> {
    let (md5, parts) = match etag.split_once('-') {
        Some((md5, parts)) => (md5, Some(parts.parse().ok()?)),
        None => (etag, None),
    };
    (md5.len() == 32 && md5.bytes().all(|byte| byte.is_ascii_hexdigit())).then_some((md5, parts))
}

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

    /// Stamp and size are right and the bytes cannot be: both ETags are the MD5 of a body sent whole, or of the same parts, and
    /// they differ.
    pub(crate) fn is_other_md5(&self, bucket: &BucketName, entry: &Entry, store: &StoreName, there: &str) -> bool {
        let Some(seat) = self.seat(store).filter(|seat| seat.says_md5(&seat.names.native(bucket))) else {
            return false;
        };
        let alike = match (md5_and_parts(there), md5_and_parts(&entry.etag)) {
            (Some((_, None)), Some((_, None))) => true,
            // Elsewhere cut, where a store's limits want it.
            (Some((_, there)), Some((_, here))) => {
                let sizes = if let Layout::Parts(sizes) = &entry.layout { Some(sizes) } else { None };
                there == here && sizes.is_some() && cut(seat, entry).as_ref() == sizes
            }
            _ => false,
        };
        alike && !there.eq_ignore_ascii_case(&entry.etag)
    }

    /// A copy of this entry that has lost its stamp: size and ETag are those of the copy that was there (counter-example 28).
    pub(crate) fn is_stripped(&self, entry: &Entry, store: &StoreName, found: &Found) -> bool {
        let pinned = entry.holders.get(store).is_some_and(|pin| pin.etag == found.pin.etag);
        !broken(Mutant::StrippedIsForeign)
            && found.dress.stamp.is_none()
            && found.size == entry.size
            && (pinned || found.pin.etag == entry.etag)
    }

    /// Copies what lies there to another name on the same store; through us where it is too large for one copy of the store's own.
    pub(crate) async fn keep_there(
        self: &Arc<Self>,
        seat: &Arc<Seat>,
        (bucket, key): (&BucketName, &Key),
        found: &Found,
        to: &At,
        spec: PutSpec,
    ) -> Answer<Pin> {
        if found.size <= seat.limits().copy_bytes_max {
            let from = seat.at(bucket, key);
            return seat.watched(OpClass::Write, seat.store.copy(&from, &found.pin, to, &spec)).await;
        }
        let entry = Arc::new(Entry {
            holders: BTreeMap::from([(seat.name.clone(), found.pin.clone())]),
            // Only its own pin vouches for it.
            adopted_from: Adopted::of([seat.name.clone()]),
            ..found_entry(found, self.now())
        });
        let there = Elsewhere { engine: self, seat, bucket, key, entry: &entry, digests: None, spooled: false };
        there.send(to, spec).await
    }

    /// Keeps a foreign object under `.outlast/conflicts/` on its own store before it is overwritten.
    pub(crate) async fn keep_conflict(
        self: &Arc<Self>,
        seat: &Arc<Seat>,
        bucket: &BucketName,
        key: &Key,
        found: &Found,
    ) -> Answer<()> {
        if broken(Mutant::ForeignNotKept) {
            return Ok(());
        }
        let to = seat.record_at(bucket, &conflict_name(bucket, key, self.random()));
        let spec = PutSpec { dress: Dress { head: found.dress.head.clone(), stamp: None }, fence: None, md5: None };
        self.keep_there(seat, (bucket, key), found, &to, spec).await?;
        count(&self.counters.conflicts_kept);
        self.note(
            "conflict",
            format!("{}: an object that is not ours lay under {bucket}/{key}; kept as {}", seat.name, to.key),
        )
        .await;
        Ok(())
    }
}

/// What lies there and no entry knows, as an entry that nobody holds.
pub(crate) fn found_entry(found: &Found, now: Moment) -> Entry {
    let stamp = found.dress.stamp.as_ref();
    Entry {
        write: stamp.map_or(WriteId(0), |stamp| stamp.write),
        seq: stamp.and_then(|stamp| stamp.seq).unwrap_or(Seq(0)),
        kind: EntryKind::Object,
        size: found.size,
        etag: found.pin.etag.clone(),
        modified: found.modified.unwrap_or(now),
        head: found.dress.head.clone(),
        layout: Layout::Whole,
        checksums: vec![],
        holders: BTreeMap::new(),
        adopted_from: None,
        predecessors: vec![],
        record: None,
    }
}
