//! Listings: pages of at most 1,000, every key once, in byte order, from anywhere.

use super::expect::Expect;
use super::say::{clear, list, ok, put, put_all};
use crate::{At, Store};

pub(super) async fn run(store: &dyn Store, bucket: &str, expect: Expect) {
    let mut keys: Vec<String> = (0..expect.many_keys)
        .map(|n| match n % 3 {
            0 => format!("many/{n:05}"),
            1 => format!("many/{:02}/{n:05}.x", n % 7),
            _ => format!("many/{n:05}/y"),
        })
        .collect();
    put_all(store, bucket, &keys).await;
    put(store, &At::new(bucket, "man"), "before").await;
    put(store, &At::new(bucket, "manz"), "after").await;
    keys.sort();
    let listed = list(store, bucket, "many/").await;
    assert!(listed.iter().map(|copy| &copy.key).eq(keys.iter()), "every key once, in order");
    assert!(listed.iter().all(|copy| copy.size == copy.key.len() as u64 && !copy.etag.is_empty()), "sizes and ETags");
    assert_eq!(list(store, bucket, "").await.len(), keys.len() + 2);
    assert!(list(store, bucket, "nothing/").await.is_empty());

    let first = ok("first page", store.list(bucket, "many/", None).await);
    assert_eq!(first.next.is_some(), keys.len() > 1000, "a next page is promised exactly where there is one");
    let found = ok("head", store.head(&At::new(bucket, keys[0].as_str()), None).await);
    assert_eq!(first.copies[0].etag, found.pin.etag, "LIST shows the ETag that HEAD shows");
    clear(store, bucket).await;
}
