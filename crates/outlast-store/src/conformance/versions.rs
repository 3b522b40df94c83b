//! Native versions: where they are claimed, a later write or delete hides a copy and destroys none.

use super::expect::Expect;
use super::say::{is, is_absent, list, ok, put, read, refused, remove};
use crate::{At, Fault, Store};

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
    remove(store, &at).await;
    is_absent(store, &at).await;
    assert!(list(store, bucket, "versioned").await.is_empty(), "a hidden key is not listed");
    assert_eq!(read(store, &at, Some(&second), None).await.1, "second", "a delete hides and destroys nothing");
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
