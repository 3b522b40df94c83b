//! What goes over the wire: keys byte for byte, headers, signatures of chunks.

use crate::s3::faults::{at, impatient, small};
use crate::script::{answer, answering, header};
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use outlast_rules::Fence;
use outlast_store::{At, Body, PutSpec, S3Config, S3Store, Store};

async fn request_for(config: impl Fn(&mut S3Config), at: &At, spec: &PutSpec, body: Body) -> (String, Vec<u8>) {
    let peer = answering(vec![answer("200 OK", "ETag: \"e\"\r\n", "")]).await;
    let mut own = impatient(&peer.endpoint);
    config(&mut own);
    S3Store::new(own).expect("good").put(at, spec, body).await.expect("a good answer");
    peer.heard.lock().unwrap().remove(0)
}

#[tokio::test]
async fn keys_go_byte_for_byte() {
    let keys = [
        ("a//b", "/photos/a//b"),
        ("/a", "/photos//a"),
        ("..", "/photos/.."),
        ("a/../b/./c", "/photos/a/../b/./c"),
        ("a/", "/photos/a/"),
        (" a+b%20?#&=", "/photos/%20a%2Bb%2520%3F%23%26%3D"),
        ("ü日", "/photos/%C3%BC%E6%97%A5"),
        ("~-._*'()", "/photos/~-._%2A%27%28%29"),
    ];
    for (key, path) in keys {
        let (head, _) = request_for(|_| {}, &At::new("photos", key), &PutSpec::default(), small()).await;
        assert_eq!(head.lines().next(), Some(format!("PUT {path} HTTP/1.1").as_str()));
    }
    let prefixed = |config: &mut S3Config| config.endpoint.push_str("/base/");
    let (head, _) = request_for(prefixed, &at(), &PutSpec::default(), small()).await;
    assert!(head.starts_with("PUT /base/photos/cat.jpg HTTP/1.1\r\n"), "{head}");
}

/// A walk-away proof rests on it.
#[tokio::test]
async fn what_lies_under_its_own_name() {
    let store = |nested: bool| {
        let mut config = impatient("http://127.0.0.1:1");
        config.nested = nested;
        S3Store::new(config).expect("good")
    };
    for (key, by_service, by_outlast) in
        [("photos/cat.jpg", true, true), (".outlast-upper/a", true, false), (".outlast-uppers/a", true, true)]
    {
        let at = At::new("photos", key);
        assert_eq!(store(false).is_plain(&at).await.expect("it asks nobody"), by_service, "{key}");
        assert_eq!(store(true).is_plain(&at).await.expect("it asks nobody"), by_outlast, "{key}");
    }
}

#[tokio::test]
async fn what_a_put_says() {
    let mut spec = PutSpec { fence: Some(Fence::Matches("e0".into())), md5: Some([0; 16]), ..PutSpec::default() };
    spec.dress.head.content_type = Some("text/plain".into());
    spec.dress.head.metadata.insert("colour".into(), "grün".into());
    let with_token = |config: &mut S3Config| config.session_token = Some("T0".into());
    let (head, body) = request_for(with_token, &at(), &spec, small()).await;
    let says = |name: &str| header(&head, name).unwrap_or_else(|| panic!("no {name} in {head}"));
    assert_eq!(body, b"meow");
    assert_eq!(says("if-match"), "\"e0\"");
    assert_eq!(says("content-md5"), "AAAAAAAAAAAAAAAAAAAAAA==");
    assert_eq!(says("content-type"), "text/plain");
    assert_eq!(says("x-amz-meta-colour"), "=?Utf-8?b?Z3LDvG4=?=");
    assert_eq!(says("accept-encoding"), "identity");
    assert_eq!(says("x-amz-security-token"), "T0");
    assert_eq!(says("x-amz-content-sha256"), "404cdd7bc109c432f8cc2443b45bcfe95980f5107215c645236e577929ac3e52");
    let signed = says("authorization");
    for name in ["host", "if-match", "content-md5", "x-amz-meta-colour", "x-amz-security-token", "x-amz-date"] {
        assert!(signed.contains(name), "{name} is not signed: {signed}");
    }
    assert!(!signed.contains("accept-encoding"), "proxies change it: {signed}");
}

#[tokio::test]
async fn streams_on_plain_http_are_signed_in_chunks() {
    let pieces = stream::iter(vec![Ok(Bytes::from(vec![1; 100_000])), Ok(Bytes::from(vec![2; 50_000]))]);
    let body = Body::Stream { len: 150_000, bytes: pieces.boxed() };
    let (head, body) = request_for(|_| {}, &at(), &PutSpec::default(), body).await;
    assert_eq!(header(&head, "x-amz-content-sha256"), Some("STREAMING-AWS4-HMAC-SHA256-PAYLOAD"));
    assert_eq!(header(&head, "x-amz-decoded-content-length"), Some("150000"));
    let (mut rest, mut plain, mut sizes) = (body.as_slice(), Vec::new(), Vec::new());
    while !rest.is_empty() {
        let end = rest.windows(2).position(|pair| pair == b"\r\n").expect("a chunk's line");
        let line = std::str::from_utf8(&rest[..end]).expect("ASCII");
        let (size, signature) = line.split_once(";chunk-signature=").expect("a signature");
        let size = usize::from_str_radix(size, 16).expect("a size");
        assert_eq!(signature.len(), 64);
        plain.extend_from_slice(&rest[end + 2..end + 2 + size]);
        assert_eq!(&rest[end + 2 + size..end + 4 + size], b"\r\n");
        rest = &rest[end + 4 + size..];
        sizes.push(size);
    }
    assert_eq!(sizes, [65_536, 65_536, 18_928, 0]);
    assert!(plain[..100_000].iter().all(|b| *b == 1) && plain[100_000..].iter().all(|b| *b == 2));
}
