//! Buckets: found, made, refused, and the three kinds of "not there" kept apart.

use super::say::{list, ok, put, refused, remove};
use crate::{At, Fault, Store};

pub(super) async fn begin(store: &dyn Store, bucket: &str) {
    ok("create the bucket", store.create_bucket(bucket).await);
    ok("create it again", store.create_bucket(bucket).await);
    ok("head of the bucket", store.head_bucket(bucket).await);
    assert!(ok("list buckets", store.list_buckets().await).iter().any(|name| name == bucket), "a bucket is not listed");
    assert!(list(store, bucket, "").await.is_empty(), "the suite needs an empty bucket");
    missing(store, bucket).await;
}

async fn missing(store: &dyn Store, bucket: &str) {
    let nowhere = format!("{bucket}-that-is-not-there");
    let at = At::new(&nowhere, "k");
    refused("head of a missing bucket", store.head_bucket(&nowhere).await, Fault::NoBucket);
    refused("get in a missing bucket", store.get(&at, None, None).await.map(drop), Fault::NoBucket);
    refused("list of a missing bucket", store.list(&nowhere, "", None).await, Fault::NoBucket);
    refused("delete in a missing bucket", store.delete(&at, None, None).await, Fault::NoBucket);
    let put = store.put(&at, &Default::default(), super::say::text("x")).await;
    refused("put in a missing bucket", put, Fault::NoBucket);
    let upload = store.create_upload(&at, &Default::default()).await;
    refused("upload in a missing bucket", upload, Fault::NoBucket);
    refused("delete of a missing bucket", store.delete_bucket(&nowhere).await, Fault::NoBucket);
}

pub(super) async fn end(store: &dyn Store, bucket: &str) {
    let at = At::new(bucket, "last");
    let pin = put(store, &at, "x").await;
    refused("delete of a bucket with a key", store.delete_bucket(bucket).await, Fault::BadRequest);
    super::say::is(store, &at, "x").await;
    remove(store, &at).await;
    // Where versions are kept the bucket holds them still, and goes by its owner's hand.
    if pin.version.is_none() {
        ok("delete of the empty bucket", store.delete_bucket(bucket).await);
        refused("head of the deleted bucket", store.head_bucket(bucket).await, Fault::NoBucket);
    }
}
