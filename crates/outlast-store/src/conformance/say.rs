//! The suite's own verbs: short calls that panic with what was asked and what came.

use crate::{
    Answer, Applied, At, Body, ByteRange, ByteStream, Dress, Fault, Found, ListedCopy, PutSpec, Store, StoreError,
};
use bytes::{Bytes, BytesMut};
use futures_util::{StreamExt, stream};
use outlast_rules::{BucketName, Epoch, Fence, Head, Key, Pin, Seq, Stamp, WriteId, name_hash};

/// Bytes that differ in each place and for each seed.
pub(super) fn bytes_of(seed: u64, len: usize) -> Bytes {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut bytes = Vec::with_capacity(len + 8);
    while bytes.len() < len {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(len);
    Bytes::from(bytes)
}

pub(super) fn text(text: &str) -> Body {
    Body::Whole(Bytes::from(text.to_owned()))
}

/// A body in pieces; `len` is what is said, whatever comes.
pub(super) fn streamed(bytes: Bytes, piece: usize, len: u64) -> Body {
    let pieces: Vec<std::io::Result<Bytes>> =
        (0..bytes.len()).step_by(piece).map(|at| Ok(bytes.slice(at..bytes.len().min(at + piece)))).collect();
    Body::Stream { len, bytes: stream::iter(pieces).boxed() }
}

/// A body that breaks after its bytes.
pub(super) fn breaking(bytes: Bytes, len: u64) -> Body {
    let pieces = [Ok(bytes), Err(std::io::Error::other("the client went away"))];
    Body::Stream { len, bytes: stream::iter(pieces).boxed() }
}

pub(super) fn stamp(bucket: &str, key: &str, write: u128, size: u64) -> Stamp {
    let bucket = BucketName::parse(bucket).expect("the suite's bucket is one that a client may name");
    let name = name_hash(&bucket, &Key::parse(key).expect("the suite's keys are S3's"));
    Stamp { epoch: Epoch(1), seq: Some(Seq(7)), write: WriteId(write), name, size: Some(size), digest: Some([9; 16]) }
}

pub(super) fn dress(head: Head, stamp: Option<Stamp>) -> Dress {
    Dress { head, stamp }
}

pub(super) fn fenced(fence: Fence) -> PutSpec {
    PutSpec { fence: Some(fence), ..PutSpec::default() }
}

pub(super) async fn collect(mut stream: ByteStream) -> std::io::Result<Bytes> {
    let mut whole = BytesMut::new();
    while let Some(chunk) = stream.next().await {
        let chunk = chunk?;
        assert!(!chunk.is_empty(), "an empty chunk says nothing");
        whole.extend_from_slice(&chunk);
    }
    Ok(whole.freeze())
}

/// Demands success.
pub(super) fn ok<T>(what: &str, answer: Answer<T>) -> T {
    answer.unwrap_or_else(|error| panic!("{what}: {error} ({:?}, {:?})", error.fault, error.applied))
}

/// Demands a refusal of this kind that applied nothing.
pub(super) fn refused<T>(what: &str, answer: Answer<T>, fault: Fault) -> StoreError {
    match answer {
        Ok(_) => panic!("{what}: was done, {fault:?} expected"),
        Err(error) => {
            assert_eq!(error.fault, fault, "{what}: {error}");
            assert_eq!(error.applied, Applied::No, "{what}: {error}");
            error
        }
    }
}

/// The body's own fault. Over a network nobody can promise that a store discards what it got, so `Unknown` is honest too;
/// that it does, the reads that follow show.
pub(super) fn broke_off<T>(what: &str, answer: Answer<T>) {
    let error = answer.err().unwrap_or_else(|| panic!("{what}: was done"));
    assert_eq!(error.fault, Fault::Body, "{what}: {error}");
    assert_ne!(error.applied, Applied::NotSent, "{what}: {error}");
}

pub(super) async fn put(store: &dyn Store, at: &At, content: &str) -> Pin {
    ok(&format!("put {at:?}"), store.put(at, &PutSpec::default(), text(content)).await)
}

pub(super) async fn read(store: &dyn Store, at: &At, pin: Option<&Pin>, range: Option<ByteRange>) -> (Found, Bytes) {
    let what = format!("get {at:?} {pin:?} {range:?}");
    let (found, stream) = ok(&what, store.get(at, pin, range).await);
    let bytes = collect(stream).await.unwrap_or_else(|error| panic!("{what}: the body broke: {error}"));
    (found, bytes)
}

pub(super) async fn is(store: &dyn Store, at: &At, content: &str) {
    let (found, bytes) = read(store, at, None, None).await;
    assert_eq!(bytes, content, "content of {at:?}");
    assert_eq!(found.size, content.len() as u64, "size of {at:?}");
}

pub(super) async fn is_absent(store: &dyn Store, at: &At) {
    refused(&format!("head of absent {at:?}"), store.head(at, None).await, Fault::NoKey);
    let got = store.get(at, None, None).await.map(drop);
    refused(&format!("get of absent {at:?}"), got, Fault::NoKey);
}

pub(super) async fn remove(store: &dyn Store, at: &At) {
    ok(&format!("delete {at:?}"), store.delete(at, None, None).await);
}

/// Calls of one kind at a time: a suite of thousands of keys ends sooner on a store that is far away.
const AT_ONCE: usize = 8;

/// Puts many keys, each with itself as content.
pub(super) async fn put_all(store: &dyn Store, bucket: &str, keys: &[String]) {
    let puts = stream::iter(keys).for_each_concurrent(AT_ONCE, |key| async move {
        put(store, &At::new(bucket, key.as_str()), key).await;
    });
    puts.await;
}

/// Every page, checked: byte order, no more than a page holds, no key twice.
pub(super) async fn list(store: &dyn Store, bucket: &str, prefix: &str) -> Vec<ListedCopy> {
    let mut all: Vec<ListedCopy> = Vec::new();
    let mut after: Option<String> = None;
    loop {
        let page = ok(&format!("list {prefix:?} after {after:?}"), store.list(bucket, prefix, after.as_deref()).await);
        assert!(page.copies.len() <= 1000, "a page of {}", page.copies.len());
        for copy in page.copies {
            assert!(copy.key.starts_with(prefix), "{:?} lacks the prefix {prefix:?}", copy.key);
            assert!(all.last().is_none_or(|last| last.key < copy.key), "{:?} out of order", copy.key);
            all.push(copy);
        }
        match page.next {
            None => return all,
            next => after = next,
        }
    }
}

/// Removes everything, versions too where their ids are known to the caller.
pub(super) async fn clear(store: &dyn Store, bucket: &str) {
    let deletes = stream::iter(list(store, bucket, "").await).for_each_concurrent(AT_ONCE, |copy| async move {
        remove(store, &At::new(bucket, copy.key)).await;
    });
    deletes.await;
    assert!(list(store, bucket, "").await.is_empty(), "a deleted key is still listed");
}
