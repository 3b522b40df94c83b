//! PUT and copy: the body is received whole, then committed.

use crate::asks::{BodyFault, CopyAsk, PutAsk, ReadError, WriteError, Written};
use crate::commit::{Draft, Loads};
use crate::digest::BodyDigester;
use crate::engine::Engine;
use crate::get::RESTARTS_MAX;
use crate::receive::{MEMORY_BODY_MAX, Received, hold, receive};
use futures_util::StreamExt;
use outlast_rules::{BucketName, Checksum, ChecksumKind, Digests, Entry, Head, Key, Layout, judge_read};
use std::sync::{Arc, Mutex};

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

    /// A copy is a new write: the source is read as any reader would, and committed like a PUT.
    pub async fn copy(self: &Arc<Self>, ask: CopyAsk) -> Result<Written, WriteError> {
        let life = self.writable_or_found(&ask.bucket).await?;
        self.check_key(&ask.bucket, &ask.key)?;
        let judge = |entry: &Entry| {
            judge_read(&ask.from_conditions, entry)
                .map_err(|_| WriteError::Refused(outlast_rules::Refusal::PreconditionFailed))?;
            self.check_head(&ask.bucket, ask.head.as_ref().unwrap_or(&entry.head))?;
            let kind = ask.checksum.or(entry.checksums.first().filter(|sum| !sum.composite).map(|sum| sum.kind));
            Ok(((0, entry.size), kind.unwrap_or(ChecksumKind::Crc64nvme)))
        };
        let (entry, received) = self.fetch_present(&ask.from_bucket, &ask.from_key, judge).await?;
        let head = ask.head.unwrap_or(entry.head);
        self.commit_write(draft((ask.bucket, life), ask.key, head, received, ask.conditions)).await
    }

    /// What a client may see under a key now. `judge`: the range that is wanted of it, and the checksum. Like any read it begins
    /// again with the entry of that moment when the key moves under it (protocol.md 3.2).
    pub(crate) async fn fetch_present(
        self: &Arc<Self>,
        bucket: &BucketName,
        key: &Key,
        judge: impl Fn(&Entry) -> Result<((u64, u64), ChecksumKind), WriteError>,
    ) -> Result<(Entry, Received), WriteError> {
        let source = |error| WriteError::Source(Box::new(error));
        let mut restarts = 0;
        loop {
            let entry = self.visible(bucket, key).await.map_err(source)?;
            let (range, kind) = judge(&entry)?;
            let error = match self.fetch_range(bucket, key, entry.clone(), range, kind).await {
                Ok(received) => return Ok((entry, received)),
                Err(error) => error,
            };
            let misses = matches!(&error, WriteError::Source(fault) if matches!(**fault, ReadError::NoHolder(_)));
            restarts += 1;
            if !misses || restarts == RESTARTS_MAX || !self.moved_on(bucket, key, &entry).await.map_err(source)? {
                return Err(error);
            }
        }
    }

    /// These bytes of an entry, held and digested anew.
    pub(crate) async fn fetch_range(
        self: &Arc<Self>,
        bucket: &BucketName,
        key: &Key,
        entry: Entry,
        range: (u64, u64),
        kind: ChecksumKind,
    ) -> Result<Received, WriteError> {
        let source = |error| WriteError::Source(Box::new(error));
        let size = range.1 - range.0;
        let reading = self.reading(bucket, key, Arc::new(entry), range).await.map_err(source)?;
        let broken = Arc::new(Mutex::new(None));
        let told = broken.clone();
        let bytes = reading.stream().map(move |piece| {
            piece.map_err(|error| {
                let words = error.to_string();
                *told.lock().expect("no code panics while it holds an error") = Some(error);
                BodyFault::Gone(words)
            })
        });
        let held = hold(bytes.boxed(), size, BodyDigester::new(size, [kind]), &self.spool, &self.pool).await;
        let (held, digester) = held.map_err(|error| {
            let read = broken.lock().expect("no code panics while it holds an error").take();
            read.map_or(error, source)
        })?;
        let (digests, blocks) = digester.finish();
        let checksums = digests.checksums.into_iter().map(|(kind, value)| Checksum { kind, value, composite: false });
        Ok(Received { held, md5: Some(digests.md5), blocks, checksums: checksums.collect() })
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

fn draft(
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
