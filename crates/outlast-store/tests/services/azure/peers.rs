//! The whole suite, and the probe, against Azurite.

use super::support;
use outlast_rules::{Fence, Grades, Head, Powers};
use outlast_store::conformance::{self, Expect};
use outlast_store::{At, Body, Dress, Fault, NativePart, PutSpec, Store, probe};

/// Every operation fenced, each fence unique, nothing pinned.
const POWERS: Powers = Powers { pinned: false, fenced: true, unique: true };

fn text(text: &str) -> Body {
    Body::Whole(text.to_owned().into())
}

#[tokio::test]
async fn azurite_conforms() {
    let Some(peer) = support::azurite() else { return };
    let expect = Expect { checks_md5: true, races: 5, ..Expect::everything(Expect::grades(POWERS)) };
    conformance::all(&support::store(&peer.endpoint), "suite", expect).await;
}

#[tokio::test]
async fn the_probe_finds_what_it_can() {
    let Some(peer) = support::azurite() else { return };
    let store = support::store(&peer.endpoint);
    store.create_bucket("bkt").await.expect("made");
    let report = probe(&store, "bkt", "t1").await.expect("probed");
    let Grades { put, complete, copy, delete } = report.grades;
    assert_eq!([put, complete, copy, delete], [POWERS; 4], "{report:?}");
    assert_eq!(report.findings, [""; 0]);
    assert!(report.stamp_kept && report.read_after_write && !report.etag_is_md5);
    store.delete_bucket("bkt").await.expect("the probe leaves nothing");
}

#[tokio::test]
async fn a_wrong_key_is_found_out() {
    let Some(peer) = support::azurite() else { return };
    let mut config = support::config(&peer.endpoint);
    config.account_key = "YW5vdGhlciBrZXk=".into();
    let store = outlast_store::AzureStore::new(config).expect("a good configuration");
    let error = store.head_bucket("bkt").await.expect_err("signed with another key");
    assert_eq!(error.fault, Fault::Denied, "{error}");
}

/// Azure would forget the parts of a key with each write to it; an upload of ours has its parts elsewhere.
#[tokio::test]
async fn uploads_of_one_key_do_not_disturb_each_other() {
    let Some(peer) = support::azurite() else { return };
    let store = support::store(&peer.endpoint);
    store.create_bucket("bkt").await.expect("made");
    let at = At::new("bkt", "one key");
    let begin = async |content: &str| {
        let id = store.create_upload(&at, &Dress::default()).await.expect("created");
        let etag = store.put_part(&at, &id, 1, text(content), None).await.expect("put");
        (id, [NativePart { number: 1, size: content.len() as u64, etag }])
    };
    let (first, first_parts) = begin("first").await;
    let (second, second_parts) = begin("second").await;
    let pin = store.put(&at, &PutSpec::default(), text("between")).await.expect("put");
    let there = Fence::Matches(pin.etag);
    let pin = store.complete_upload(&at, &first, &first_parts, Some(&there)).await.expect("the first");
    let there = Fence::Matches(pin.etag);
    store.complete_upload(&at, &second, &second_parts, Some(&there)).await.expect("the second");
    assert_eq!(store.head(&at, None).await.expect("there").size, 6);
    assert_eq!(store.list_uploads("bkt").await.expect("listed"), []);
    let keys: Vec<_> = store.list("bkt", "", None).await.expect("listed").copies.into_iter().map(|c| c.key).collect();
    assert_eq!(keys, ["one key"], "nothing of ours is left or shown");
    assert!(store.is_plain(&at).await.expect("known"), "anybody finds it under its key");
    assert!(!store.is_plain(&At::new("bkt", "one//key")).await.expect("known"));
}

/// The canary deletes so where it could write nothing: it must show who may delete, and remove nothing.
#[tokio::test]
async fn a_version_is_never_there() {
    let Some(peer) = support::azurite() else { return };
    let store = support::store(&peer.endpoint);
    store.create_bucket("bkt").await.expect("made");
    let at = At::new("bkt", "k");
    store.delete(&at, Some("null"), None).await.expect("nothing there");
    store.put(&at, &PutSpec::default(), text("current")).await.expect("put");
    store.delete(&at, Some("null"), None).await.expect("no such version");
    assert_eq!(store.head(&at, None).await.expect("untouched").size, 7);
    assert_eq!(store.head(&at, Some("null")).await.expect_err("no such version").fault, Fault::NoKey);
    let mut config = support::config(&peer.endpoint);
    config.account_key = "YW5vdGhlciBrZXk=".into();
    let stranger = outlast_store::AzureStore::new(config).expect("a good configuration");
    assert_eq!(stranger.delete(&at, Some("null"), None).await.expect_err("not allowed").fault, Fault::Denied);
}

/// Who completes after an unanswered Complete finds parts that are committed already.
#[tokio::test]
async fn complete_can_be_repeated_as_long_as_its_fence_refuses() {
    let Some(peer) = support::azurite() else { return };
    let store = support::store(&peer.endpoint);
    store.create_bucket("bkt").await.expect("made");
    let at = At::new("bkt", "k");
    store.put(&at, &PutSpec::default(), text("there")).await.expect("put");
    let head = Head { content_type: Some("text/plain".into()), ..Head::default() };
    let id = store.create_upload(&at, &Dress { head: head.clone(), stamp: None }).await.expect("created");
    let etag = store.put_part(&at, &id, 1, text("parts"), None).await.expect("put");
    let parts = [NativePart { number: 1, size: 5, etag }];
    for _ in 0..2 {
        let error =
            store.complete_upload(&at, &id, &parts, Some(&Fence::Absent)).await.expect_err("something is there");
        assert_eq!(error.fault, Fault::Precondition, "{error}");
        assert_eq!(store.list_parts(&at, &id).await.expect("still open"), parts);
    }
    store.complete_upload(&at, &id, &parts, None).await.expect("completed");
    let found = store.head(&at, None).await.expect("there");
    assert_eq!((found.size, found.dress.head), (5, head));
}
