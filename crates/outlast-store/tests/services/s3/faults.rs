//! What the client makes of peers that misbehave: fault, outcome, words.

use crate::s3::support;
use crate::script::{Act, PATIENCE, Script, answer, error, impatience, play};
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use outlast_rules::{Fence, Pin};
use outlast_store::{
    Answer, Applied, At, Body, ByteRange, Fault, NativePart, PutSpec, S3Config, S3Store, Store, StoreError, Timeouts,
};
use std::time::Duration;

pub fn impatient(endpoint: &str) -> S3Config {
    let mut config = support::config(endpoint);
    config.timeouts = impatience();
    config
}

fn store_at(endpoint: &str) -> S3Store {
    S3Store::new(impatient(endpoint)).expect("a good configuration")
}

pub fn at() -> At {
    At::new("photos", "cat.jpg")
}

pub fn small() -> Body {
    Body::Whole(Bytes::from_static(b"meow"))
}

#[derive(Debug, Clone, Copy)]
enum Call {
    Put,
    FencedPut,
    Head,
    Get,
    Part,
    Complete,
    Copy,
    List,
    Delete,
    HeadBucket,
}

async fn call(store: &S3Store, call: Call) -> Answer<()> {
    let spec = PutSpec::default();
    let pin = Pin { etag: "e1".into(), version: None };
    let part = NativePart { number: 1, size: 4, etag: "p1".into() };
    match call {
        Call::Put => store.put(&at(), &spec, small()).await.map(drop),
        Call::FencedPut => {
            let fenced = PutSpec { fence: Some(Fence::Matches("e0".into())), ..spec };
            store.put(&at(), &fenced, small()).await.map(drop)
        }
        Call::Head => store.head(&at(), None).await.map(drop),
        Call::Get => store.get(&at(), Some(&pin), Some(ByteRange { start: 2, end: 6 })).await.map(drop),
        Call::Part => store.put_part(&at(), "u1", 1, small(), None).await.map(drop),
        Call::Complete => store.complete_upload(&at(), "u1", &[part], None).await.map(drop),
        Call::Copy => store.copy(&at(), &pin, &At::new("photos", "dog.jpg"), &spec).await.map(drop),
        Call::List => store.list("photos", "", None).await.map(drop),
        Call::Delete => store.delete(&at(), None, None).await,
        Call::HeadBucket => store.head_bucket("photos").await,
    }
}

async fn fails(acts: Vec<Act>, what: Call) -> (StoreError, Script) {
    let peer = play(acts.clone()).await;
    match call(&store_at(&peer.endpoint), what).await {
        Ok(()) => panic!("{what:?} was done: {acts:?}"),
        Err(error) => (error, peer),
    }
}

#[tokio::test]
async fn one_answer_one_verdict() {
    use Applied::{No, Unknown};
    let table: Vec<(Call, String, Fault, Applied)> = vec![
        (Call::Put, error("403 Forbidden", "AccessDenied"), Fault::Denied, No),
        (Call::Put, error("403 Forbidden", "RequestTimeTooSkewed"), Fault::ClockSkew, No),
        (Call::Put, answer("403 Forbidden", "", "<html>go away</html>"), Fault::Denied, Unknown),
        (Call::Put, error("404 Not Found", "NoSuchBucket"), Fault::NoBucket, No),
        (Call::Put, error("500 Oops", "InternalError"), Fault::Server, Unknown),
        (Call::Put, error("503 Busy", "SlowDown"), Fault::Throttled, Unknown),
        (Call::Put, error("501 No", "NotImplemented"), Fault::Unsupported, No),
        (Call::Put, answer("307 Elsewhere", "Location: http://other/\r\n", ""), Fault::BadRequest, No),
        (Call::Put, error("408 Late", "RequestTimeout"), Fault::Timeout, Unknown),
        (Call::Put, answer("200 OK", "", ""), Fault::BadAnswer, Unknown),
        (Call::FencedPut, error("412 No", "PreconditionFailed"), Fault::Precondition, No),
        (Call::FencedPut, error("409 No", "ConditionalRequestConflict"), Fault::Precondition, No),
        (Call::FencedPut, error("404 No", "NoSuchKey"), Fault::Precondition, No),
        (Call::Head, "HTTP/1.1 404 Not Found\r\nContent-Length: 99\r\n\r\n".into(), Fault::NoKey, No),
        (Call::Head, "HTTP/1.1 403 Forbidden\r\n\r\n".into(), Fault::Denied, No),
        (Call::Head, answer("405 No", "x-amz-delete-marker: true\r\n", ""), Fault::NoKey, No),
        (Call::HeadBucket, "HTTP/1.1 404 Not Found\r\n\r\n".into(), Fault::NoBucket, No),
        (Call::Get, answer("404 Not Found", "", "no such page"), Fault::BadAnswer, No),
        (Call::Get, error("404 Not Found", "NoSuchKey"), Fault::NoKey, No),
        (Call::Get, answer("200 OK", "ETag: \"e1\"\r\n", "0123456789"), Fault::BadAnswer, Unknown),
        (Call::Get, part_of("0-3/10", "e1", "0123"), Fault::BadAnswer, Unknown),
        (Call::Get, part_of("2-4/10", "e1", "234"), Fault::BadAnswer, Unknown),
        (Call::Get, part_of("2-5/10", "e1", "23"), Fault::BadAnswer, Unknown),
        (Call::Get, part_of("2-5/10", "e2", "2345"), Fault::Precondition, No),
        (Call::Complete, error("200 OK", "InternalError"), Fault::BadAnswer, Unknown),
        (Call::Complete, answer("200 OK", "", "<CompleteMultipartUploadResult><ETag>\"e"), Fault::BadAnswer, Unknown),
        (Call::Complete, answer("200 OK", "", "garbage"), Fault::BadAnswer, Unknown),
        (Call::Complete, error("404 No", "NoSuchUpload"), Fault::NoUpload, No),
        (Call::Copy, error("200 OK", "SlowDown"), Fault::BadAnswer, Unknown),
        (Call::Part, error("404 No", "NoSuchUpload"), Fault::NoUpload, No),
        (Call::List, answer("200 OK", "", "<html><body>Welcome</body></html>"), Fault::BadAnswer, Unknown),
        (
            Call::List,
            answer("200 OK", "", "<ListBucketResult><Contents></ListBucketResult>"),
            Fault::BadAnswer,
            Unknown,
        ),
        (Call::List, answer("200 OK", "", &endless()), Fault::BadAnswer, Unknown),
        (Call::Delete, error("403 Forbidden", "AccountProblem"), Fault::Denied, No),
        (Call::Put, "HTTP/1.1 nonsense\r\n\r\n".into(), Fault::BadAnswer, Unknown),
        (Call::List, "HTTP/1.1 200 OK\r\nContent-Length: 4000\r\n\r\n<List".into(), Fault::BadAnswer, Unknown),
        (Call::Put, "HTTP/1.1 403 No\r\nContent-Length: 4000\r\n\r\n<Error><Code>Ac".into(), Fault::Denied, Unknown),
    ];
    for (what, text, fault, applied) in table {
        let (error, peer) = fails(vec![Act::Read, Act::Say(text.clone()), Act::Close], what).await;
        assert_eq!((error.fault, error.applied), (fault, applied), "{what:?} {text:?}: {error}");
        assert_eq!(peer.heard.lock().unwrap().len(), 1, "one attempt: {what:?} {text:?}");
    }
}

fn part_of(span: &str, etag: &str, body: &str) -> String {
    answer("206 Partial Content", &format!("Content-Range: bytes {span}\r\nETag: \"{etag}\"\r\n"), body)
}

fn endless() -> String {
    "<ListBucketResult><IsTruncated>true</IsTruncated></ListBucketResult>".to_owned()
}

#[tokio::test]
async fn silence_and_breaks() {
    use Applied::Unknown;
    let (error, _) = fails(vec![Act::Read, Act::Hang], Call::Put).await;
    assert_eq!((error.fault, error.applied), (Fault::Timeout, Unknown), "{error}");
    assert!(error.elapsed >= PATIENCE && error.elapsed < 10 * PATIENCE, "{error}");
    let (error, _) = fails(vec![Act::Read, Act::Close], Call::Put).await;
    assert_eq!((error.fault, error.applied), (Fault::Broken, Unknown), "{error}");
    let half = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n<List".to_owned();
    let (error, _) = fails(vec![Act::Read, Act::Say(half.clone()), Act::Hang], Call::List).await;
    assert_eq!((error.fault, error.applied), (Fault::Timeout, Unknown), "{error}");
    let mut config = impatient(&play(vec![Act::Read, Act::Say(half.clone()), Act::Hang]).await.endpoint);
    config.timeouts = Timeouts { request: PATIENCE, read_idle: Duration::from_secs(60), ..config.timeouts };
    let error = call(&S3Store::new(config).expect("good"), Call::List).await.expect_err("never whole");
    assert!(error.fault == Fault::Timeout && error.message.contains("request's time"), "{error}");
    let half = "HTTP/1.1 200 OK\r\nContent-Le".to_owned();
    let (error, _) = fails(vec![Act::Read, Act::Say(half), Act::Hang], Call::Put).await;
    assert_eq!((error.fault, error.applied), (Fault::Timeout, Unknown), "{error}");
}

#[tokio::test]
async fn nobody_there() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let error = call(&store_at(&format!("http://127.0.0.1:{port}")), Call::Put).await.unwrap_err();
    assert_eq!((error.fault, error.applied), (Fault::ConnectRefused, Applied::NotSent), "{error}");
    let error = call(&store_at("http://nowhere.invalid"), Call::Put).await.unwrap_err();
    assert_eq!((error.fault, error.applied), (Fault::NameNotResolved, Applied::NotSent), "{error}");
    assert!(error.to_string().contains("put photos/cat.jpg on peer: nowhere.invalid does not resolve"), "{error}");
}

#[tokio::test]
async fn the_store_stops_reading() {
    let peer = play(vec![Act::ReadHead, Act::Hang]).await;
    let large = Body::Whole(Bytes::from(vec![7; 64 * 1024 * 1024]));
    let error = store_at(&peer.endpoint).put(&at(), &PutSpec::default(), large).await.unwrap_err();
    assert_eq!((error.fault, error.applied), (Fault::Timeout, Applied::Unknown), "{error}");
    assert!(error.message.contains("takes no more of the body"), "{error}");
}

#[tokio::test]
async fn a_slow_source_is_not_the_stores_fault() {
    let peer = play(vec![Act::Read, Act::Say(answer("200 OK", "ETag: \"e\"\r\n", ""))]).await;
    // The source has to be late; the wait is the thing under test.
    let slow = stream::iter(0..4).then(|_| async {
        tokio::time::sleep(PATIENCE).await;
        Ok(Bytes::from_static(b"byte"))
    });
    let body = Body::Stream { len: 16, bytes: slow.boxed() };
    let pin = store_at(&peer.endpoint).put(&at(), &PutSpec::default(), body).await.expect("patience");
    assert_eq!(pin.etag, "e");
}

#[tokio::test]
async fn odd_but_good_answers() {
    let good = answer("200 OK", "ETag: \"e9\"\r\nx-amz-version-id: null\r\n", "");
    let early = format!("HTTP/1.1 100 Continue\r\n\r\n{good}");
    for act in [Act::Say(early), Act::Drip(good)] {
        let peer = play(vec![Act::Read, act]).await;
        let pin = store_at(&peer.endpoint).put(&at(), &PutSpec::default(), small()).await.expect("a good answer");
        assert_eq!(pin, Pin { etag: "e9".into(), version: None });
    }
    // S3 sends white space while a Complete runs.
    let late = format!(
        "<?xml version=\"1.0\"?>\n{}<CompleteMultipartUploadResult><ETag>\"c1-1\"</ETag></CompleteMultipartUploadResult>",
        " \n".repeat(50)
    );
    let peer = play(vec![Act::Read, Act::Say(answer("200 OK", "", &late))]).await;
    call(&store_at(&peer.endpoint), Call::Complete).await.expect("white space before the answer");
}

/// The bytes that came before the stream's error, and the error.
async fn until_broken(text: &str, then: Act) -> (Vec<u8>, std::io::ErrorKind) {
    let peer = play(vec![Act::Read, Act::Say(text.to_owned()), then]).await;
    let (found, mut bytes) = store_at(&peer.endpoint).get(&at(), None, None).await.expect("a good head");
    assert_eq!(found.size, 10);
    let mut got = Vec::new();
    while let Some(next) = bytes.next().await {
        match next {
            Ok(chunk) => got.extend_from_slice(&chunk),
            Err(error) => return (got, error.kind()),
        }
    }
    panic!("the body ended as if whole after {got:?}");
}

#[tokio::test]
async fn bodies_that_end_early() {
    let cut = "HTTP/1.1 200 OK\r\nETag: \"e\"\r\nContent-Length: 10\r\n\r\n0123";
    let (got, kind) = until_broken(cut, Act::Close).await;
    assert_eq!((got.as_slice(), kind), (b"0123".as_slice(), std::io::ErrorKind::ConnectionReset));
    let (got, kind) = until_broken(cut, Act::Hang).await;
    assert_eq!((got.as_slice(), kind), (b"0123".as_slice(), std::io::ErrorKind::TimedOut));
}

#[tokio::test]
async fn connections_are_kept_and_not_reused_after_a_break() {
    let good = answer("200 OK", "ETag: \"e\"\r\n", "");
    let peer = play(vec![Act::Read, Act::Say(good.clone()), Act::Read, Act::Say(good.clone()), Act::Close]).await;
    let store = store_at(&peer.endpoint);
    for _ in 0..6 {
        call(&store, Call::Put).await.expect("each is answered");
    }
    assert_eq!(peer.heard.lock().unwrap().len(), 6);
    assert_eq!(*peer.connections.lock().unwrap(), 3, "two calls on each connection");
}

#[tokio::test]
async fn a_body_read_to_its_last_byte_leaves_its_connection() {
    let good = answer("200 OK", "ETag: \"e\"\r\n", "0123456789");
    let peer = play(vec![Act::Read, Act::Say(good.clone()), Act::Read, Act::Say(good), Act::Hang]).await;
    let store = store_at(&peer.endpoint);
    for _ in 0..2 {
        let (found, mut bytes) = store.get(&at(), None, None).await.expect("a good head");
        let mut got = 0;
        // As a reader does who knows the length: it never asks whether there is more.
        while got < found.size {
            got += bytes.next().await.expect("more is due").expect("good bytes").len() as u64;
        }
        drop(bytes);
        // The connection comes back when hyper's task has had its turn.
        tokio::task::yield_now().await;
    }
    assert_eq!(*peer.connections.lock().unwrap(), 1);
}

#[tokio::test]
async fn a_body_left_unread_does_not_poison_the_next_call() {
    let text = "HTTP/1.1 200 OK\r\nETag: \"e\"\r\nContent-Length: 10\r\n\r\n01234".to_owned();
    let peer = play(vec![Act::Read, Act::Say(text), Act::Hang]).await;
    let store = store_at(&peer.endpoint);
    drop(store.get(&at(), None, None).await.expect("a good head"));
    drop(store.get(&at(), None, None).await.expect("a good head"));
    assert_eq!(*peer.connections.lock().unwrap(), 2);
}
