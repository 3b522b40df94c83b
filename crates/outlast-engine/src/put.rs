//! PUT: the body is received whole, then committed.

use crate::asks::{PutAsk, WriteError, Written};
use crate::commit::{Draft, Loads};
use crate::engine::Engine;
use crate::receive::{MEMORY_BODY_MAX, Received, receive};
use outlast_rules::{BucketName, Digests, Head, Key, Layout};
use std::sync::Arc;

/// S3's bound for user metadata; a store of the placement may have a smaller one.
const METADATA_BYTES_MAX: usize = 2048;
/// Kept free of every store's metadata for the stamp (protocol.md 0).
const STAMP_RESERVE: usize = 200;

impl Engine {
    pub async fn put(self: &Arc<Self>, ask: PutAsk) -> Result<Written, WriteError> {
        let life = self.writable_or_found(&ask.bucket).await?;
        self.check_key(&ask.bucket, &ask.key)?;
        self.check_head(&ask.bucket, &ask.head)?;
        if ask.body.len > MEMORY_BODY_MAX {
            return self.put_large(ask, life).await;
        }
        let received = receive(ask.body, &self.spool, &self.pool).await?;
        self.commit_write(draft((ask.bucket, life), ask.key, ask.head, received, ask.conditions)).await
    }

    /// Every store of the placement can tell this key from others.
    pub(crate) fn check_key(&self, bucket: &BucketName, key: &Key) -> Result<(), WriteError> {
        match self.seats_of(bucket).into_iter().find(|seat| !seat.can_hold(bucket, key)) {
            Some(seat) => Err(WriteError::KeyNotHeld { store: seat.name.clone(), key: key.clone() }),
            None => Ok(()),
        }
    }

    /// What the smallest store of the placement can keep beside the stamp.
    pub(crate) fn check_head(&self, bucket: &BucketName, head: &Head) -> Result<(), WriteError> {
        let smallest = self.seats_of(bucket).iter().map(|seat| seat.limits().metadata_bytes_max).min();
        let max =
            smallest.map_or(METADATA_BYTES_MAX, |bytes| bytes.saturating_sub(STAMP_RESERVE).min(METADATA_BYTES_MAX));
        let got = head.metadata_bytes();
        if got > max { Err(WriteError::MetadataTooLarge { got, max }) } else { Ok(()) }
    }
}

pub(crate) fn draft(
    (bucket, life): (BucketName, u64),
    key: Key,
    head: Head,
    received: Received,
    conditions: outlast_rules::Conditions,
) -> Draft {
    Draft {
        bucket,
        life,
        key,
        head,
        etag: received.etag(),
        size: received.held.len(),
        layout: Layout::Whole,
        checksums: received.checksums,
        digests: Some(Digests { maps: vec![received.blocks] }),
        conditions,
        loads: Loads::Body { held: received.held, md5: received.md5 },
    }
}
