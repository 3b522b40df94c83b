//! What goes over the wire, and what is made of answers that Azurite never gives: written after the service's documents
//! (learn.microsoft.com, "Copy Blob", "Put Blob", "Blob Storage error codes", "Authorize with Shared Key").

use super::support;
use crate::script::{answer, answering, header, impatience};
use outlast_rules::{Fence, Pin};
use outlast_store::{Applied, At, AzureConfig, AzureStore, Body, Fault, PutSpec, Store, StoreError};

fn impatient(endpoint: &str) -> AzureConfig {
    let mut config = support::config(endpoint);
    config.timeouts = impatience();
    config
}

fn at() -> At {
    At::new("photos", "cat.jpg")
}

fn small() -> Body {
    Body::Whole("meow".into())
}

/// The service's document, with the mark that it begins with.
fn error(status: &str, code: &str) -> String {
    let body = format!(
        "\u{feff}<?xml version=\"1.0\" encoding=\"utf-8\"?><Error><Code>{code}</Code><Message>Words of {code}.\n\
         RequestId:R1\nTime:2026-11-21T00:00:00Z</Message></Error>"
    );
    answer(status, &format!("x-ms-error-code: {code}\r\nx-ms-request-id: R1\r\n"), &body)
}

async fn put_at(endpoint: &str) -> Result<Pin, StoreError> {
    let store = AzureStore::new(impatient(endpoint)).expect("a good configuration");
    let spec = PutSpec { fence: Some(Fence::Matches("0x8D1".into())), ..PutSpec::default() };
    store.put(&at(), &spec, small()).await
}

#[tokio::test]
async fn one_answer_one_verdict() {
    use Applied::{No, Unknown};
    let table = [
        (error("403 No", "AuthenticationFailed"), Fault::Denied, No),
        (error("403 No", "AccountIsDisabled"), Fault::Denied, No),
        (error("404 No", "ContainerNotFound"), Fault::NoBucket, No),
        (error("409 No", "ContainerBeingDeleted"), Fault::NoBucket, No),
        (error("412 No", "ConditionNotMet"), Fault::Precondition, No),
        (error("404 No", "BlobNotFound"), Fault::Precondition, No),
        (error("409 No", "PendingCopyOperation"), Fault::Throttled, No),
        (error("400 No", "Md5Mismatch"), Fault::BadRequest, No),
        (error("500 Oops", "OperationTimedOut"), Fault::Timeout, Unknown),
        (error("503 Busy", "ServerBusy"), Fault::Throttled, Unknown),
        (answer("403 No", "", "<html>go away</html>"), Fault::Denied, Unknown),
        (answer("201 Created", "", ""), Fault::BadAnswer, Unknown),
    ];
    for (text, fault, applied) in table {
        let peer = answering(vec![text.clone()]).await;
        let error = put_at(&peer.endpoint).await.expect_err(&text);
        assert_eq!((error.fault, error.applied), (fault, applied), "{text}: {error}");
        assert_eq!(peer.heard.lock().unwrap().len(), 1, "one attempt: {text}");
    }
    let peer = answering(vec![error("403 No", "AccountIsDisabled")]).await;
    let said = put_at(&peer.endpoint).await.expect_err("disabled").to_string();
    assert!(said.contains("Words of AccountIsDisabled. (403 AccountIsDisabled) [request R1]"), "{said}");
}

#[tokio::test]
async fn what_a_put_says() {
    let peer = answering(vec![answer("201 Created", "ETag: \"0x8D2\"\r\nx-ms-version-id: 2026-11-21T0\r\n", "")]).await;
    let store = AzureStore::new(support::config(&peer.endpoint)).expect("a good configuration");
    let mut spec = PutSpec { fence: Some(Fence::Absent), md5: Some([0; 16]), ..PutSpec::default() };
    spec.dress.head.metadata.insert("x-colour".into(), "grün".into());
    let pin = store.put(&At::new("photos", "a b/c+d"), &spec, small()).await.expect("put");
    assert_eq!(pin, Pin { etag: "0x8D2".into(), version: None }, "versions are not used");
    let (head, body) = peer.heard.lock().unwrap().remove(0);
    let says = |name: &str| header(&head, name).unwrap_or_else(|| panic!("no {name} in {head}"));
    assert!(head.starts_with("PUT /acme/photos/a%20b/c%2Bd HTTP/1.1\r\n"), "{head}");
    assert_eq!(body, b"meow");
    assert_eq!(says("host"), peer.endpoint.trim_start_matches("http://"));
    assert_eq!(says("if-none-match"), "*");
    assert_eq!(says("content-md5"), "AAAAAAAAAAAAAAAAAAAAAA==");
    assert_eq!(says("x-ms-blob-type"), "BlockBlob");
    assert_eq!(says("x-ms-blob-content-type"), "binary/octet-stream");
    assert_eq!(says("x-ms-meta-x_2dcolour"), "=?Utf-8?b?Z3LDvG4=?=");
    assert!(says("authorization").starts_with("SharedKey acme:"), "{head}");
}

fn copied(status: &str) -> String {
    answer("202 Accepted", &format!("ETag: \"0x8D3\"\r\nx-ms-copy-id: c1\r\nx-ms-copy-status: {status}\r\n"), "")
}

/// Only a copy that is finished when it is answered counts.
#[tokio::test]
async fn a_copy_that_is_pending_is_no_copy_yet() {
    let source = "HTTP/1.1 200 OK\r\nETag: \"0x8D1\"\r\nContent-Type: binary/octet-stream\r\nContent-Length: 4\r\n\r\n";
    let pin = Pin { etag: "0x8D1".into(), version: None };
    for (status, done) in [("success", true), ("pending", false), ("failed", false)] {
        let peer = answering(vec![source.to_owned(), copied(status)]).await;
        let store = AzureStore::new(support::config(&peer.endpoint)).expect("a good configuration");
        let spec = PutSpec { fence: Some(Fence::Absent), ..PutSpec::default() };
        let answer = store.copy(&at(), &pin, &At::new("photos", "dog.jpg"), &spec).await;
        assert_eq!(answer.as_ref().ok().map(|pin| pin.etag.as_str()), done.then_some("0x8D3"), "{status}");
        if let Err(error) = answer {
            assert_eq!(error.applied, Applied::Unknown, "{error}");
        }
        let (head, _) = peer.heard.lock().unwrap().remove(1);
        assert_eq!(header(&head, "x-ms-copy-source"), Some(format!("{}/acme/photos/cat.jpg", peer.endpoint).as_str()));
        assert_eq!(header(&head, "x-ms-source-if-match"), Some("\"0x8D1\""));
        assert_eq!(header(&head, "if-none-match"), Some("*"));
        assert_eq!(header(&head, "x-ms-meta-_none"), Some("1"), "else it would take the source's metadata");
    }
}

#[tokio::test]
async fn what_a_copy_leaves_half_done() {
    let stamp = "1.1..AAAAAAAAAAAAAAAAAAAABQ.AQEBAQEBAQEBAQEBAQEBAQ..";
    let blob = |status: &str| {
        format!(
            "HTTP/1.1 200 OK\r\nETag: \"0x8D3\"\r\nContent-Length: 0\r\nx-ms-meta-outlast: {stamp}\r\n\
             x-ms-copy-status: {status}\r\n\r\n"
        )
    };
    let head = async |status: &str| {
        let peer = answering(vec![blob(status)]).await;
        AzureStore::new(support::config(&peer.endpoint)).expect("good").head(&at(), None).await
    };
    assert!(head("success").await.expect("a copy").dress.stamp.is_some());
    assert_eq!(head("failed").await.expect("something").dress.stamp, None, "it is not what its stamp says");
    let error = head("pending").await.expect_err("neither there nor absent");
    assert_eq!((error.fault, error.applied), (Fault::Server, Applied::No), "{error}");
}

#[test]
fn what_cannot_work_is_said_at_once() {
    let refused = |change: fn(&mut AzureConfig)| {
        let mut config = support::config("http://127.0.0.1:1");
        change(&mut config);
        AzureStore::new(config).err().map(|error| error.to_string())
    };
    assert_eq!(refused(|_| ()), None);
    assert_eq!(refused(|config| config.account.clear()).as_deref(), Some("account is empty"));
    assert_eq!(refused(|config| config.account_key = "no!".into()).as_deref(), Some("account_key: it is not base64"));
    assert!(refused(|config| config.endpoint = "acme".into()).is_some());
}
