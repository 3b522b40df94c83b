//! Bodies: empty ones, large ones, streamed ones, and those that end too early and must leave nothing.

use super::expect::Expect;
use super::say::{breaking, broke_off, bytes_of, clear, is, is_absent, ok, put, read, streamed};
use crate::{At, Body, PutSpec, Store};
use bytes::Bytes;

pub(super) async fn run(store: &dyn Store, bucket: &str, expect: Expect) {
    empty(store, bucket).await;
    large(store, bucket, expect).await;
    broken(store, bucket).await;
    clear(store, bucket).await;
}

async fn empty(store: &dyn Store, bucket: &str) {
    let at = At::new(bucket, "empty");
    ok("put nothing", store.put(&at, &PutSpec::default(), Body::Whole(Bytes::new())).await);
    is(store, &at, "").await;
    ok("stream nothing", store.put(&at, &PutSpec::default(), streamed(Bytes::new(), 1, 0)).await);
    is(store, &at, "").await;
}

async fn large(store: &dyn Store, bucket: &str, expect: Expect) {
    let at = At::new(bucket, "large");
    let whole = bytes_of(6, expect.large_body_bytes);
    let pin =
        ok("stream", store.put(&at, &PutSpec::default(), streamed(whole.clone(), 100_003, whole.len() as u64)).await);
    let (found, bytes) = read(store, &at, Some(&pin), None).await;
    assert_eq!(found.size, whole.len() as u64);
    assert!(bytes == whole, "a large body comes back as it was");
}

async fn broken(store: &dyn Store, bucket: &str) {
    let bytes = bytes_of(7, 300_000);
    let at = At::new(bucket, "broken/off");
    let said = bytes.len() as u64 + 1;
    let bare = PutSpec::default();
    let tries = |body| store.put(&at, &bare, body);
    is_absent(store, &at).await;
    broke_off("a short body", tries(streamed(bytes.clone(), 70_000, said)).await);
    is_absent(store, &at).await;
    broke_off("a body that breaks", tries(breaking(bytes.clone(), said)).await);
    is_absent(store, &at).await;
    put(store, &at, "whole").await;
    broke_off("a short body over an object", tries(streamed(bytes, 70_000, said)).await);
    is(store, &at, "whole").await;
}
