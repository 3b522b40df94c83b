//! CopyObject, and the reading of what is copied: a copy is a new write of what any reader would get.

use crate::asks::{BodyFault, ClientBody, ClientStream, CopyAsk, Declared, PutAsk, ReadError, WriteError, Written};
use crate::digest::BodyDigester;
use crate::engine::Engine;
use crate::get::RESTARTS_MAX;
use crate::put::draft;
use crate::reading::Reading;
use crate::receive::{MEMORY_BODY_MAX, Received, hold};
use futures_util::StreamExt;
use outlast_rules::{BucketName, Checksum, ChecksumKind, Entry, Key, judge_read};
use std::sync::{Arc, Mutex};

/// S3's bound for what one CopyObject, or one UploadPartCopy, may copy.
pub(crate) const COPY_BYTES_MAX: u64 = 5 << 30;

impl Engine {
    /// A copy is a new write: the source is read as any reader would, and committed like a PUT. A large one goes in parts to
    /// the stores while it is read.
    pub async fn copy(self: &Arc<Self>, ask: CopyAsk) -> Result<Written, WriteError> {
        let life = self.writable_or_found(&ask.bucket).await?;
        self.check_key(&ask.bucket, &ask.key)?;
        let judge = |entry: &Entry| {
            judge_read(&ask.from_conditions, entry)
                .map_err(|_| WriteError::Refused(outlast_rules::Refusal::PreconditionFailed))?;
            self.check_head(&ask.bucket, ask.head.as_ref().unwrap_or(&entry.head))?;
            if entry.size > COPY_BYTES_MAX {
                return Err(WriteError::SourceTooLarge { max: COPY_BYTES_MAX });
            }
            let kind = ask.checksum.or(entry.checksums.first().filter(|sum| !sum.composite).map(|sum| sum.kind));
            Ok(((0, entry.size), kind.unwrap_or(ChecksumKind::Crc64nvme)))
        };
        let mut restarts = 0;
        loop {
            let entry = self.visible(&ask.from_bucket, &ask.from_key).await.map_err(of_source)?;
            let (range, kind) = judge(&entry)?;
            match self.copy_entry(&ask, life, entry.clone(), range, kind).await {
                Ok(written) => return Ok(written),
                Err(error) => self.begin_again(&ask.from_bucket, &ask.from_key, &entry, error, &mut restarts).await?,
            }
        }
    }

    async fn copy_entry(
        self: &Arc<Self>,
        ask: &CopyAsk,
        life: u64,
        entry: Entry,
        range: (u64, u64),
        kind: ChecksumKind,
    ) -> Result<Written, WriteError> {
        let head = ask.head.clone().unwrap_or_else(|| entry.head.clone());
        let (bucket, key, conditions) = (ask.bucket.clone(), ask.key.clone(), ask.conditions.clone());
        if entry.size <= MEMORY_BODY_MAX {
            let received = self.fetch_range(&ask.from_bucket, &ask.from_key, entry, range, kind).await?;
            return self.commit_write(draft((bucket, life), key, head, received, conditions)).await;
        }
        let size = entry.size;
        let reading = self.reading(&ask.from_bucket, &ask.from_key, Arc::new(entry), range).await.map_err(of_source)?;
        let (bytes, broken) = as_body(reading);
        let declared = Declared { compute: Some(kind), ..Declared::default() };
        let body = ClientBody { len: size, bytes, declared };
        let put = PutAsk { bucket, key, head, body, conditions };
        self.put_large(put, life).await.map_err(|error| broken.instead_of(error))
    }

    /// These bytes of what a client may see under a key now, held. `judge`: the range that is wanted of it, and the checksum.
    pub(crate) async fn fetch_present(
        self: &Arc<Self>,
        bucket: &BucketName,
        key: &Key,
        judge: impl Fn(&Entry) -> Result<((u64, u64), ChecksumKind), WriteError>,
    ) -> Result<Received, WriteError> {
        let mut restarts = 0;
        loop {
            let entry = self.visible(bucket, key).await.map_err(of_source)?;
            let (range, kind) = judge(&entry)?;
            match self.fetch_range(bucket, key, entry.clone(), range, kind).await {
                Ok(received) => return Ok(received),
                Err(error) => self.begin_again(bucket, key, &entry, error, &mut restarts).await?,
            }
        }
    }

    /// Like any read a copy begins again with the entry of that moment when the key moves under it (protocol.md 3.2). Every
    /// other error stays one.
    async fn begin_again(
        self: &Arc<Self>,
        bucket: &BucketName,
        key: &Key,
        entry: &Entry,
        error: WriteError,
        restarts: &mut usize,
    ) -> Result<(), WriteError> {
        let misses = matches!(&error, WriteError::Source(fault) if matches!(**fault, ReadError::NoHolder(_)));
        *restarts += 1;
        if !misses || *restarts == RESTARTS_MAX || !self.moved_on(bucket, key, entry).await.map_err(of_source)? {
            return Err(error);
        }
        Ok(())
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
        let size = range.1 - range.0;
        let reading = self.reading(bucket, key, Arc::new(entry), range).await.map_err(of_source)?;
        let (bytes, broken) = as_body(reading);
        let held = hold(bytes, size, BodyDigester::new(size, [kind]), &self.spool, &self.pool).await;
        let (held, digester) = held.map_err(|error| broken.instead_of(error))?;
        let (digests, blocks) = digester.finish();
        let checksums = digests.checksums.into_iter().map(|(kind, value)| Checksum { kind, value, composite: false });
        Ok(Received { held, md5: Some(digests.md5), blocks, checksums: checksums.collect() })
    }
}

fn of_source(error: ReadError) -> WriteError {
    WriteError::Source(Box::new(error))
}

/// What is read as a body to be written, and why it broke off, if it did: to the writer every fault is one of the body.
fn as_body(reading: Reading) -> (ClientStream, Broken) {
    let broken = Broken::default();
    let told = broken.clone();
    let bytes = reading.stream().map(move |piece| {
        piece.map_err(|error| {
            let words = error.to_string();
            *told.0.lock().expect("no code panics while it holds an error") = Some(error);
            BodyFault::Gone(words)
        })
    });
    (bytes.boxed(), broken)
}

#[derive(Default, Clone)]
struct Broken(Arc<Mutex<Option<ReadError>>>);

impl Broken {
    fn instead_of(&self, error: WriteError) -> WriteError {
        let read = self.0.lock().expect("no code panics while it holds an error").take();
        read.map_or(error, of_source)
    }
}
