//! Native versions: where they are claimed, a later write or delete hides a copy and destroys none.

use super::expect::Expect;
use super::say::{is, is_absent, list, ok, put, read, refused, remove};
use crate::{At, Fault, Store};
use outlast_rules::Pin;

pub(super) async fn run(store: &dyn Store, bucket: &str, expect: Expect) {
    let pinned = expect.grades.put.pinned;
    if pinned {
        ok("keep versions", store.keep_versions(bucket).await);
    }
    assert_eq!(ok("ask versioning", store.keeps_versions(bucket).await), pinned, "versions are kept as claimed");
    let at = At::new(bucket, "versioned");
    if !pinned {
        let pin = put(store, &at, "only").await;
        assert_eq!(pin.version, None, "a pin has no version where none is kept");
        remove(store, &at).await;
        return;
    }
    let first = put(store, &at, "first").await;
    let second = put(store, &at, "second").await;
    assert!(first.version.is_some() && first.version != second.version, "{first:?} {second:?}");
    assert_eq!(read(store, &at, Some(&first), None).await.1, "first", "an overwritten version is still there");
    let found = ok("head of a version", store.head(&at, first.version.as_deref()).await);
    assert_eq!(found.pin, first);
    if expect.lists_versions {
        assert_eq!(versions(store, bucket, "versioned").await, [(&second, true), (&first, false)].map(owned));
    }
    remove(store, &at).await;
    is_absent(store, &at).await;
    assert!(list(store, bucket, "versioned").await.is_empty(), "a hidden key is not listed");
    assert_eq!(read(store, &at, Some(&second), None).await.1, "second", "a delete hides and destroys nothing");
    if expect.lists_versions {
        assert_eq!(versions(store, bucket, "versioned").await, [(&second, false), (&first, false)].map(owned));
        many(store, bucket, expect.many_keys).await;
    }
    let third = put(store, &at, "third").await;
    for pin in [&second, &first] {
        let id = pin.version.as_deref();
        ok("delete of one version", store.delete(&at, id, None).await);
        ok("the same again", store.delete(&at, id, None).await);
        refused("head of a deleted version", store.head(&at, id).await, Fault::NoKey);
    }
    is(store, &at, "third").await;
    ok("delete of the last version", store.delete(&at, third.version.as_deref(), None).await);
    is_absent(store, &at).await;
}

fn owned((pin, is_current): (&Pin, bool)) -> (Pin, bool) {
    (pin.clone(), is_current)
}

/// All versions of all pages: the newest of a key first, and whether it is what the key shows.
async fn versions(store: &dyn Store, bucket: &str, prefix: &str) -> Vec<(Pin, bool)> {
    let (mut all, mut after) = (Vec::new(), None);
    loop {
        let page = ok("list versions", store.list_versions(bucket, prefix, after.as_deref()).await);
        assert!(page.versions.len() <= 1_000, "{} on one page", page.versions.len());
        all.extend(page.versions.into_iter().map(|one| {
            assert!(one.key.starts_with(prefix), "{}", one.key);
            (Pin { etag: one.etag, version: one.version }, one.is_current)
        }));
        let Some(next) = page.next else { return all };
        after = Some(next);
    }
}

/// Versions of one key over more pages than one: each once, and in their order.
async fn many(store: &dyn Store, bucket: &str, count: usize) {
    let at = At::new(bucket, "version of many");
    let mut pins = Vec::with_capacity(count);
    for i in 0..count {
        pins.push(put(store, &at, &i.to_string()).await);
    }
    let listed = versions(store, bucket, "version of many").await;
    assert!(listed.iter().map(|(pin, _)| pin).eq(pins.iter().rev()), "{count} versions, {} listed", listed.len());
    assert!(listed.iter().enumerate().all(|(i, (_, is_current))| *is_current == (i == 0)));
    for pin in pins {
        ok("delete of one version", store.delete(&at, pin.version.as_deref(), None).await);
    }
    assert!(versions(store, bucket, "version of many").await.is_empty());
}
