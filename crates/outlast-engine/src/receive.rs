//! A client's body comes in whole and is checked before anything is sent anywhere (protocol.md 2.1).

use crate::aside::aside;
use crate::asks::{BodyFault, ClientBody, ClientStream, Declared, DeclaredValue, WriteError};
use crate::digest::{BodyDigester, WholeDigests, hex, name_of};
use crate::held::Held;
use crate::spool::Spool;
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use outlast_rules::{BlockMap, Checksum, ChecksumKind};
use outlast_store::Shared;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;

/// Bodies up to this size are held in memory while there is room in the pool (protocol.md 2.1).
pub const MEMORY_BODY_MAX: u64 = 16 * 1024 * 1024;
/// Longer than a client on a bad line needs between two packets; shorter than anybody's patience.
const CLIENT_SILENCE_MAX: Duration = Duration::from_secs(60);
/// Up to here hashing is quicker than the hop to another thread (MD5 at 0.7 GB/s: 1.5 ms per MiB).
const HASH_INLINE_MAX: usize = 256 * 1024;
/// Chunks on their way to the file writer: bounds memory per upload at 8 chunks of at most 1 MiB.
const CHUNKS_QUEUED: usize = 8;

/// A body or a part, whole and verified.
#[derive(Debug, Clone)]
pub struct Received {
    pub held: Held,
    /// None for a part of ours: its body's MD5 is of the whole.
    pub md5: Option<[u8; 16]>,
    pub blocks: BlockMap,
    pub checksums: Vec<Checksum>,
}

impl Received {
    /// The MD5 that clients see; a part of ours is named by its blocks.
    pub fn etag(&self) -> String {
        self.md5.map_or_else(|| name_of(&self.blocks), |md5| hex(&md5))
    }
}

/// Takes the whole body, or says why not. A wrong or short body ends here.
pub async fn receive(body: ClientBody, spool: &Arc<Spool>, pool: &Arc<Semaphore>) -> Result<Received, WriteError> {
    let ClientBody { len, bytes, declared } = body;
    let digester = BodyDigester::new(len, kinds(&declared));
    let (held, digester) = hold(bytes, len, digester, spool, pool).await?;
    let (digests, blocks) = digester.finish();
    let checksums = verify(declared, &digests)?;
    Ok(Received { held, md5: Some(digests.md5), blocks, checksums })
}

/// What has to be computed for these declarations.
pub fn kinds(declared: &Declared) -> BTreeSet<ChecksumKind> {
    let mut kinds: BTreeSet<ChecksumKind> = declared.checksums.iter().map(|sum| sum.kind).collect();
    // Always computed besides: it costs a ninetieth of the MD5, and current clients ask for it.
    kinds.insert(ChecksumKind::Crc64nvme);
    kinds.extend(declared.compute);
    kinds
}

/// Exactly `len` bytes, digested: in memory while the pool has room and they are few, else in a file.
pub async fn hold(
    bytes: ClientStream,
    len: u64,
    digester: BodyDigester,
    spool: &Arc<Spool>,
    pool: &Arc<Semaphore>,
) -> Result<(Held, BodyDigester), WriteError> {
    let few = len <= MEMORY_BODY_MAX;
    let permit = if few { pool.clone().try_acquire_many_owned(len.max(1) as u32).ok() } else { None };
    let Some(permit) = permit else { return to_file(bytes, len, digester, spool).await };
    let whole = gather(bytes, len).await?;
    let (whole, digester) = hash(whole, digester).await;
    Ok((Held::Memory { shared: Shared::new(whole), _permit: Some(Arc::new(permit)) }, digester))
}

async fn next_chunk(bytes: &mut ClientStream) -> Result<Option<Bytes>, BodyFault> {
    match tokio::time::timeout(CLIENT_SILENCE_MAX, bytes.next()).await {
        Ok(None) => Ok(None),
        Ok(Some(chunk)) => chunk.map(Some),
        Err(_) => Err(BodyFault::Gone(format!("nothing for {} s", CLIENT_SILENCE_MAX.as_secs()))),
    }
}

async fn gather(mut bytes: ClientStream, len: u64) -> Result<Bytes, BodyFault> {
    let mut whole: Option<Bytes> = None;
    let mut more = BytesMut::new();
    let mut got = 0;
    while let Some(chunk) = next_chunk(&mut bytes).await? {
        got += chunk.len() as u64;
        if got > len {
            return Err(BodyFault::Long { expected: len });
        }
        match whole.take() {
            None if more.is_empty() => whole = Some(chunk),
            None => more.extend_from_slice(&chunk),
            Some(first) => {
                more.reserve(len as usize);
                more.extend_from_slice(&first);
                more.extend_from_slice(&chunk);
            }
        }
    }
    if got < len {
        return Err(BodyFault::Short { got, expected: len });
    }
    Ok(whole.unwrap_or_else(|| more.freeze()))
}

async fn hash(whole: Bytes, mut digester: BodyDigester) -> (Bytes, BodyDigester) {
    if whole.len() <= HASH_INLINE_MAX {
        digester.update(&whole);
        return (whole, digester);
    }
    let bytes = whole.clone();
    let hashed = aside(move || {
        digester.update(&bytes);
        digester
    });
    (whole, hashed.await.expect("hashing neither panics nor is cancelled"))
}

async fn to_file(
    mut bytes: ClientStream,
    len: u64,
    mut digester: BodyDigester,
    spool: &Arc<Spool>,
) -> Result<(Held, BodyDigester), WriteError> {
    let full = |error: std::io::Error| {
        WriteError::Full(format!("a body of {len} bytes does not fit on our own disk: {error}"))
    };
    if !spool.has_room(len) {
        return Err(full(std::io::ErrorKind::StorageFull.into()));
    }
    let file = spool.unsynced(len).map_err(full)?;
    let (sender, mut chunks) = tokio::sync::mpsc::channel::<Bytes>(CHUNKS_QUEUED);
    let (target, into) = (file.clone(), spool.clone());
    let writer = tokio::task::spawn_blocking(move || -> std::io::Result<BodyDigester> {
        while let Some(chunk) = chunks.blocking_recv() {
            into.write(&target, &chunk)?;
            digester.update(&chunk);
        }
        Ok(digester)
    });
    let mut got = 0;
    while let Some(chunk) = next_chunk(&mut bytes).await? {
        got += chunk.len() as u64;
        if got > len {
            return Err(BodyFault::Long { expected: len }.into());
        }
        if sender.send(chunk).await.is_err() {
            break;
        }
    }
    drop(sender);
    let digester = writer.await.expect("the writer does not panic and is not cancelled").map_err(full)?;
    if got < len {
        return Err(BodyFault::Short { got, expected: len }.into());
    }
    Ok((Held::File { file, len }, digester))
}

/// Everything that was declared must be true. Returns the checksums that clients get back.
pub fn verify(declared: Declared, digests: &WholeDigests) -> Result<Vec<Checksum>, BodyFault> {
    let Declared { md5, checksums: declared, compute } = declared;
    if md5.is_some_and(|md5| md5 != digests.md5) {
        return Err(BodyFault::Md5);
    }
    let computed = |kind| {
        let found = digests.checksums.iter().find(|(k, _)| *k == kind);
        found.map(|(_, value)| value.clone()).expect("every declared kind was computed")
    };
    let mut kept = BTreeSet::new();
    for sum in declared {
        let kind = sum.kind;
        let value = match sum.value {
            DeclaredValue::Now(value) => value,
            DeclaredValue::Trailer(take) => take().ok_or_else(|| BodyFault::TrailerMissing(trailer_name(kind)))?,
        };
        let ours = computed(kind);
        if value.trim() != ours {
            return Err(BodyFault::Checksum { kind, declared: value, computed: ours });
        }
        kept.insert(kind);
    }
    kept.extend(compute);
    if kept.is_empty() {
        kept.insert(ChecksumKind::Crc64nvme);
    }
    Ok(kept.into_iter().map(|kind| Checksum { kind, value: computed(kind), composite: false }).collect())
}

fn trailer_name(kind: ChecksumKind) -> String {
    format!("x-amz-checksum-{kind:?}").to_lowercase()
}
