//! The whole suite, and the probe, against the service as its documents tell it.

use super::google::Google;
use super::support::{config, credentials, store};
use outlast_rules::{Fence, Grades, Powers};
use outlast_store::conformance::{self, Expect};
use outlast_store::{At, Body, Dress, Fault, GcsConfig, NativePart, PutSpec, Store, probe};

/// Every operation fenced, each fence unique, nothing pinned.
const POWERS: Powers = Powers { pinned: false, fenced: true, unique: true };

fn text(text: &str) -> Body {
    Body::Whole(text.to_owned().into())
}

fn with_account(google: &Google) -> GcsConfig {
    let mut config = config(&google.endpoint);
    config.project = None;
    config.credentials = Some(credentials(&google.endpoint));
    config
}

#[tokio::test]
async fn the_documents_conform() {
    let google = Google::start(false).await;
    let expect = Expect { checks_md5: true, races: 5, ..Expect::everything(Expect::grades(POWERS)) };
    conformance::all(&store(config(&google.endpoint)), "suite", expect).await;
}

#[tokio::test]
async fn the_probe_finds_what_it_can() {
    let google = Google::start(true).await;
    let store = store(with_account(&google));
    store.create_bucket("bkt").await.expect("made");
    let report = probe(&store, "bkt", "t1").await.expect("probed");
    let Grades { put, complete, copy, delete } = report.grades;
    assert_eq!([put, complete, copy, delete], [POWERS; 4], "{report:?}");
    assert_eq!(report.findings, [""; 0]);
    assert!(report.stamp_kept && report.read_after_write && !report.etag_is_md5);
    assert_eq!(google.names("bkt"), [""; 0], "the probe leaves nothing, of ours neither");
    store.delete_bucket("bkt").await.expect("empty");
    assert_eq!(google.tokens_given(), 1, "one token for all calls");
}

#[tokio::test]
async fn calls_at_once_ask_for_one_token() {
    let google = Google::start(true).await;
    let store = store(with_account(&google));
    let asks = (0..20).map(|_| store.list_buckets());
    for answer in futures_util::future::join_all(asks).await {
        answer.expect("with a token");
    }
    assert_eq!(google.tokens_given(), 1);
}

/// One that is over at once is not kept, and one that says it never ends is kept for the hour that was asked for.
#[tokio::test]
async fn how_long_a_token_is_kept() {
    let google = Google::start(true).await;
    let store = store(with_account(&google));
    google.tokens_live(0);
    for tokens in 1..=2 {
        store.list_buckets().await.expect("with a token");
        assert_eq!(google.tokens_given(), tokens);
    }
    google.tokens_live(u64::MAX);
    for _ in 0..2 {
        store.list_buckets().await.expect("with a token");
        assert_eq!(google.tokens_given(), 3);
    }
}

#[tokio::test]
async fn an_account_that_is_refused() {
    let google = Google::start(true).await;
    let mut config = with_account(&google);
    config.credentials = config.credentials.map(|text| text.replace("outlast@", "nobody@"));
    let store = store(config);
    let error = store.put(&At::new("bkt", "k"), &PutSpec::default(), text("x")).await.expect_err("no token");
    assert_eq!((error.fault, error.applied), (Fault::Denied, outlast_store::Applied::NotSent), "{error}");
    assert!(error.to_string().contains("put bkt/k on peer: no token for this account: invalid_grant"), "{error}");
    let unsigned = super::support::store(super::support::config(&google.endpoint));
    assert_eq!(unsigned.list_buckets().await.expect_err("no token").fault, Fault::Denied);
}

/// More than one composite may be made of: in two levels, and nothing of them stays.
#[tokio::test]
async fn uploads_of_many_parts() {
    let google = Google::start(false).await;
    let store = store(config(&google.endpoint));
    store.create_bucket("bkt").await.expect("made");
    let at = At::new("bkt", "many");
    let id = store.create_upload(&at, &Dress::default()).await.expect("created");
    let mut parts = Vec::new();
    for number in (1..=70).rev() {
        let content = format!("<{number}>");
        let size = content.len() as u64;
        let etag = store.put_part(&at, &id, number, text(&content), None).await.expect("put");
        parts.push(NativePart { number, size, etag });
    }
    store.complete_upload(&at, &id, &parts, Some(&Fence::Absent)).await.expect("completed");
    let (_, bytes) = store.get(&at, None, None).await.expect("there");
    let whole: Vec<u8> =
        futures_util::TryStreamExt::try_concat(futures_util::TryStreamExt::map_ok(bytes, |b| b.to_vec()))
            .await
            .expect("whole");
    let expected: String = (1..=70).map(|number| format!("<{number}>")).collect();
    assert_eq!(String::from_utf8(whole).expect("text"), expected);
    assert_eq!(google.names("bkt"), ["many"]);
}

/// Parts say their key: what a process that died has left without its record is found, and goes with an abort.
#[tokio::test]
async fn parts_without_a_record_are_found() {
    let google = Google::start(false).await;
    let store = store(config(&google.endpoint));
    store.create_bucket("bkt").await.expect("made");
    let at = At::new("bkt", "k");
    let id = store.create_upload(&at, &Dress::default()).await.expect("created");
    store.put_part(&at, &id, 1, text("part"), None).await.expect("put");
    let record = At::new("bkt", format!(".outlast/uploads/{id}/record"));
    google.forget(&record.bucket, &record.key);
    assert_eq!(store.list_uploads("bkt").await.expect("listed"), [("k".to_owned(), id.clone())]);
    assert_eq!(store.abort_upload(&at, &id).await.expect_err("over").fault, Fault::NoUpload);
    assert_eq!(google.names("bkt"), [""; 0]);
}

#[tokio::test]
async fn a_version_is_never_there() {
    let google = Google::start(false).await;
    let store = store(config(&google.endpoint));
    store.create_bucket("bkt").await.expect("made");
    let at = At::new("bkt", "k");
    store.delete(&at, Some("null"), None).await.expect("nothing there");
    store.put(&at, &PutSpec::default(), text("current")).await.expect("put");
    store.delete(&at, Some("null"), None).await.expect("no such version");
    assert_eq!(store.head(&at, None).await.expect("untouched").size, 7);
    assert_eq!(store.head(&at, Some("null")).await.expect_err("no such version").fault, Fault::NoKey);
}
