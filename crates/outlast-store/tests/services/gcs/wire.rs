//! What goes over the wire, and what is made of answers: written after cloud.google.com, "HTTP status and error codes for JSON".

use super::support;
use crate::script::{answer, answering, header, impatience};
use outlast_rules::{Fence, Pin};
use outlast_store::{Applied, At, Body, Fault, GcsConfig, GcsStore, PutSpec, Store, StoreError};

fn impatient(endpoint: &str) -> GcsConfig {
    let mut config = support::config(endpoint);
    config.timeouts = impatience();
    config
}

fn at() -> At {
    At::new("photos", "a/cat.jpg")
}

async fn put_at(endpoint: &str) -> Result<Pin, StoreError> {
    let spec = PutSpec { fence: Some(Fence::Matches("17".into())), md5: Some([0; 16]), ..PutSpec::default() };
    support::store(impatient(endpoint)).put(&at(), &spec, Body::Whole("meow".into())).await
}

fn error(status: &str, reason: &str) -> String {
    let body = format!(
        r#"{{"error":{{"code":1,"message":"words of {reason}","errors":[{{"domain":"global","reason":"{reason}"}}]}}}}"#
    );
    answer(status, "x-guploader-uploadid: R1\r\n", &body)
}

#[tokio::test]
async fn one_answer_one_verdict() {
    use Applied::{No, Unknown};
    let table = [
        (error("401 No", "authError"), Fault::Denied, No),
        (error("403 No", "accountDisabled"), Fault::Denied, No),
        (error("403 No", "rateLimitExceeded"), Fault::Throttled, No),
        (error("404 No", "notFound"), Fault::NoBucket, No),
        (error("412 No", "conditionNotMet"), Fault::Precondition, No),
        (error("400 No", "invalid"), Fault::BadRequest, No),
        (error("429 Slow", "rateLimitExceeded"), Fault::Throttled, Unknown),
        (error("503 Busy", "backendError"), Fault::Server, Unknown),
        (answer("403 No", "", "<html>go away</html>"), Fault::Denied, Unknown),
        (answer("200 OK", "", "{}"), Fault::BadAnswer, Unknown),
        (answer("200 OK", "", r#"{"generation":"18""#), Fault::BadAnswer, Unknown),
        (answer("200 OK", "", "<html>Welcome</html>"), Fault::BadAnswer, Unknown),
    ];
    for (text, fault, applied) in table {
        let peer = answering(vec![text.clone()]).await;
        let error = put_at(&peer.endpoint).await.expect_err(&text);
        assert_eq!((error.fault, error.applied), (fault, applied), "{text}: {error}");
        assert_eq!(peer.heard.lock().unwrap().len(), 1, "one attempt: {text}");
    }
    let peer = answering(vec![error("403 No", "accountDisabled")]).await;
    let said = put_at(&peer.endpoint).await.expect_err("disabled").to_string();
    assert!(said.contains("words of accountDisabled (403 accountDisabled) [request R1]"), "{said}");
}

#[tokio::test]
async fn what_a_put_says() {
    let peer = answering(vec![answer("200 OK", "", r#"{"generation":"18","size":"4"}"#)]).await;
    let pin = put_at(&peer.endpoint).await.expect("put");
    assert_eq!(pin, Pin { etag: "18".into(), version: None });
    let (head, body) = peer.heard.lock().unwrap().remove(0);
    let path = "POST /upload/storage/v1/b/photos/o?uploadType=multipart&ifGenerationMatch=17 HTTP/1.1\r\n";
    assert!(head.starts_with(path), "{head}");
    let boundary = header(&head, "content-type").and_then(|text| text.strip_prefix("multipart/related; boundary="));
    let boundary = boundary.expect("two parts");
    let about = r#"{"name":"a/cat.jpg","contentType":"binary/octet-stream","md5Hash":"AAAAAAAAAAAAAAAAAAAAAA==","metadata":{}}"#;
    let expected = format!(
        "--{boundary}\r\nContent-Type: application/json; charset=UTF-8\r\n\r\n{about}\r\n--{boundary}\r\n\
         Content-Type: binary/octet-stream\r\n\r\nmeow\r\n--{boundary}--\r\n"
    );
    assert_eq!(String::from_utf8(body).expect("text"), expected);
}

/// Bytes of another generation, or of none that is told, are no answer.
#[tokio::test]
async fn bytes_say_whose_they_are() {
    let shown = answer("200 OK", "", r#"{"generation":"17","size":"4"}"#);
    let bytes = |header: &str| answer("200 OK", header, "meow");
    for (header, fault) in [("x-goog-generation: 18\r\n", Fault::Precondition), ("", Fault::BadAnswer)] {
        let peer = answering(vec![shown.clone(), bytes(header)]).await;
        let error = support::store(impatient(&peer.endpoint)).get(&at(), None, None).await.map(drop).expect_err(header);
        assert_eq!(error.fault, fault, "{error}");
    }
    let peer = answering(vec![shown, bytes("x-goog-generation: 17\r\n")]).await;
    support::store(impatient(&peer.endpoint)).get(&at(), None, None).await.map(drop).expect("the right one");
    let (head, _) = peer.heard.lock().unwrap().remove(1);
    assert!(head.starts_with("GET /storage/v1/b/photos/o/a%2Fcat.jpg?alt=media&ifGenerationMatch=17 "), "{head}");
    assert_eq!(header(&head, "accept-encoding"), Some("gzip"), "else what is stored as gzip comes unpacked");
}

#[tokio::test]
async fn no_page_of_a_proxy_is_a_listing() {
    for text in ["{}", r#"{"kind":"storage#buckets"}"#, "<html></html>"] {
        let peer = answering(vec![answer("200 OK", "", text)]).await;
        let error = support::store(impatient(&peer.endpoint)).list("photos", "", None).await.expect_err(text);
        assert_eq!(error.fault, Fault::BadAnswer, "{error}");
    }
}

#[test]
fn what_cannot_work_is_said_at_once() {
    let refused = |credentials: &str| {
        let mut config = support::config("http://127.0.0.1:1");
        config.credentials = Some(credentials.to_owned());
        GcsStore::new(config).err().map(|error| error.to_string()).unwrap_or_default()
    };
    assert_eq!(refused(&support::credentials("http://127.0.0.1:1")), "");
    assert!(refused("{}").starts_with("credentials: not the key of a service account"), "{}", refused("{}"));
    let broken = support::credentials("http://127.0.0.1:1").replace("MII", "nnn");
    assert!(refused(&broken).starts_with("credentials: its private_key cannot sign"), "{}", refused(&broken));
}
