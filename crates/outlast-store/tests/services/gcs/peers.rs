//! fake-gcs-server, written by others: what it does of the interface. It judges ifGenerationMatch on uploads and on nothing
//! else, names no missing bucket, and breaks (500) where a part to be composed is not there; so it can't be asked for the
//! whole suite.

use super::support;
use futures_util::TryStreamExt;
use outlast_rules::{Fence, Head, Powers};
use outlast_store::{At, Body, ByteRange, Dress, Fault, GcsStore, NativePart, PutSpec, Store, probe};

fn text(text: &str) -> Body {
    Body::Whole(text.to_owned().into())
}

async fn read(store: &GcsStore, at: &At, range: Option<ByteRange>) -> Vec<u8> {
    let (_, bytes) = store.get(at, None, range).await.expect("there");
    bytes.map_ok(|piece| piece.to_vec()).try_concat().await.expect("whole")
}

#[tokio::test]
async fn objects_uploads_copies_and_listings() {
    let Some(peer) = support::fake() else { return };
    let store = support::store(support::config(&peer.endpoint));
    store.create_bucket("bkt").await.expect("made");
    store.create_bucket("bkt").await.expect("ours already");
    assert_eq!(store.list_buckets().await.expect("listed"), ["bkt"]);
    let head = Head {
        content_type: Some("image/jpeg".into()),
        cache_control: Some("max-age=60".into()),
        expires: Some("Wed, 21 Oct 2026 07:28:00 GMT".into()),
        metadata: [("x-y".to_owned(), "a  b ü".to_owned())].into(),
        ..Head::default()
    };
    let spec = PutSpec { dress: Dress { head, stamp: None }, fence: Some(Fence::Absent), md5: None };
    let keys = ["a//b", "/a", "a/", "a b+%2F?#", "é/日本/🐈", "..", "line\nfeed"];
    for key in keys {
        let at = At::new("bkt", key);
        let pin = store.put(&at, &spec, text(key)).await.unwrap_or_else(|error| panic!("{key:?}: {error}"));
        let found = store.head(&at, None).await.expect("there");
        assert_eq!((&found.pin, &found.dress), (&pin, &spec.dress), "{key:?}");
        assert_eq!(read(&store, &at, None).await, key.as_bytes());
        let again = store.put(&at, &spec, text("x")).await.expect_err("something is there");
        assert_eq!(again.fault, Fault::Precondition, "{again}");
    }
    let listed: Vec<String> =
        store.list("bkt", "", None).await.expect("listed").copies.into_iter().map(|copy| copy.key).collect();
    let mut sorted = keys.map(str::to_owned);
    sorted.sort();
    assert_eq!(listed, sorted);
    assert_eq!(read(&store, &At::new("bkt", "a//b"), Some(ByteRange { start: 1, end: 3 })).await, b"//");

    let (from, to) = (At::new("bkt", "a//b"), At::new("bkt", "copy"));
    let pin = store.head(&from, None).await.expect("there").pin;
    let plain = PutSpec { dress: Dress::default(), ..PutSpec::default() };
    store.copy(&from, &pin, &to, &plain).await.expect("copied");
    assert_eq!(read(&store, &to, None).await, b"a//b");
    let id = store.create_upload(&to, &spec.dress).await.expect("created");
    assert_eq!(store.list_uploads("bkt").await.expect("listed"), [("copy".to_owned(), id.clone())]);
    let mut parts = Vec::new();
    for number in [2, 1] {
        let etag = store.put_part(&to, &id, number, text(&number.to_string()), None).await.expect("put");
        parts.push(NativePart { number, size: 1, etag });
    }
    store.complete_upload(&to, &id, &parts, None).await.expect("completed");
    assert_eq!(read(&store, &to, None).await, b"12");
    assert_eq!(store.list_uploads("bkt").await.expect("listed"), []);
}

/// A pin that is not honoured is found out by what comes back.
#[tokio::test]
async fn the_probe_finds_out_what_it_ignores() {
    let Some(peer) = support::fake() else { return };
    let store = support::store(support::config(&peer.endpoint));
    store.create_bucket("bkt").await.expect("made");
    let report = probe(&store, "bkt", "t1").await.expect("probed");
    let fenced = Powers { pinned: false, fenced: true, unique: true };
    assert_eq!(report.grades.put, fenced, "{report:?}");
    for ignoring in [report.grades.complete, report.grades.copy, report.grades.delete] {
        assert_eq!(ignoring, Powers::default(), "{report:?}");
    }
    assert!(report.fit_as_place().is_ok() && report.stamp_kept, "{report:?}");
    let at = At::new("bkt", "k");
    let old = store.put(&at, &PutSpec::default(), text("old")).await.expect("put");
    store.put(&at, &PutSpec::default(), text("new")).await.expect("put");
    let error = store.get(&at, Some(&old), None).await.map(drop).expect_err("it is gone");
    assert_eq!(error.fault, Fault::Precondition, "{error}");
}
