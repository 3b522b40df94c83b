//! Bodies that are not what they say: each gets S3's own error, and leaves nothing behind.

use crate::house::House;
use crate::signer::sha256_hex;
use crate::wire::{Ask, Payload, ask, raw};

const SIGNED_CHUNKS: &str = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD";
const SIGNED_TRAILER: &str = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER";
const UNSIGNED_TRAILER: &str = "STREAMING-UNSIGNED-PAYLOAD-TRAILER";
/// CRC32 of `hello`.
const CRC32: &str = "NhCmhg==";

fn put() -> Ask {
    ask("PUT", "/photos/x")
}

/// An unsigned chunked body of `hello` with trailer lines, whole or without its end.
fn unsigned(trailers: &str) -> Ask {
    put()
        .payload(Payload::Named(UNSIGNED_TRAILER))
        .header("content-encoding", "aws-chunked")
        .header("x-amz-decoded-content-length", "5")
        .header("x-amz-trailer", "x-amz-checksum-crc32")
        .body(format!("5\r\nhello\r\n0\r\n{trailers}\r\n"))
}

async fn check(house: &House, what: &str, ask: Ask, said: &str) {
    let reply = house.send(ask).await;
    assert_eq!(reply.said(), said, "{what}: {}", reply.text());
    let stored = house.get("x").await;
    if said == "200" {
        assert_eq!(stored.text(), "hello", "{what}");
        assert_eq!(house.send(ask_delete()).await.status, 204);
    } else {
        assert_eq!(stored.said(), "404 NoSuchKey", "{what}: nothing is left behind");
    }
}

fn ask_delete() -> Ask {
    ask("DELETE", "/photos/x")
}

#[tokio::test]
async fn digests_in_headers() {
    let house = House::new().await;
    let hello = || put().body("hello");
    for (header, right, wrong) in [
        ("content-md5", "XUFAKrxLKna5cZ2REBfFkg==", "1B2M2Y8AsgTpgAmY7PhCfg=="),
        ("x-amz-checksum-crc32", CRC32, "AAAAAA=="),
        ("x-amz-checksum-crc32c", "mnG7TA==", "AAAAAA=="),
        ("x-amz-checksum-crc64nvme", "M3eFcAZSQlc=", "AAAAAAAAAAA="),
        ("x-amz-checksum-sha1", "qvTGHdzF6KLavt4PO0gs2a6pQ00=", "2jmj7l5rSw0yVb/vlWAYkK/YBwk="),
        (
            "x-amz-checksum-sha256",
            "LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=",
            "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=",
        ),
    ] {
        check(&house, header, hello().header(header, right), "200").await;
        check(&house, header, hello().header(header, wrong), "400 BadDigest").await;
    }
    check(&house, "md5", hello().header("content-md5", ""), "400 InvalidDigest").await;
    check(&house, "md5", hello().header("content-md5", "not base64"), "400 InvalidDigest").await;
    check(&house, "crc32", hello().header("x-amz-checksum-crc32", "short"), "400 InvalidRequest").await;
    let wish = hello().header("x-amz-sdk-checksum-algorithm", "CRC32");
    check(&house, "an SDK's wish without a value", wish, "200").await;
    let other = sha256_hex(b"other").leak();
    check(&house, "sha256 of another body", hello().payload(Payload::Named(other)), "400 XAmzContentSHA256Mismatch")
        .await;
    check(&house, "unsigned", hello().payload(Payload::Unsigned), "200").await;
}

#[tokio::test]
async fn checksums_come_back() {
    let house = House::new().await;
    let reply = house.send(put().header("x-amz-checksum-crc32", CRC32).body("hello")).await;
    assert_eq!(reply.header("x-amz-checksum-crc32"), CRC32);
    let head = house.send(ask("HEAD", "/photos/x").header("x-amz-checksum-mode", "ENABLED")).await;
    assert_eq!(
        (head.header("x-amz-checksum-crc32").as_str(), head.header("x-amz-checksum-type").as_str()),
        (CRC32, "FULL_OBJECT")
    );
    assert_eq!(house.get("x").await.header("x-amz-checksum-crc32"), "", "only when asked for");
    let range = ask("GET", "/photos/x").header("x-amz-checksum-mode", "ENABLED").header("range", "bytes=0-1");
    assert_eq!(house.send(range).await.header("x-amz-checksum-crc32"), "", "a part's bytes would not match it");
}

#[tokio::test]
async fn trailers() {
    let house = House::new().await;
    check(&house, "right", unsigned(&format!("x-amz-checksum-crc32:{CRC32}\r\n")), "200").await;
    check(&house, "wrong", unsigned("x-amz-checksum-crc32:AAAAAA==\r\n"), "400 BadDigest").await;
    check(&house, "absent", unsigned(""), "400 MalformedTrailerError").await;
    check(&house, "another", unsigned("x-amz-checksum-sha1:AAAA\r\n"), "400 MalformedTrailerError").await;
    let reply = house.send(unsigned(&format!("x-amz-checksum-crc32:{CRC32}\r\n"))).await;
    assert_eq!(reply.header("x-amz-checksum-crc32"), CRC32);
    assert_eq!(house.get("x").await.header("content-encoding"), "", "the framing is no property of the object");
}

#[tokio::test]
async fn chunked_bodies_that_end_early_or_late() {
    let house = House::new().await;
    let framed = |body: &str| unsigned("").body(body);
    let good = format!("x-amz-checksum-crc32:{CRC32}\r\n\r\n");
    check(&house, "no last chunk", framed("5\r\nhello\r\n"), "400 IncompleteBody").await;
    check(&house, "inside a chunk", framed("5\r\nhel"), "400 IncompleteBody").await;
    check(&house, "fewer than declared", framed(&format!("3\r\nhel\r\n0\r\n{good}")), "400 IncompleteBody").await;
    check(&house, "more than declared", framed(&format!("6\r\nhello!\r\n0\r\n{good}")), "400 IncompleteBody").await;
    check(&house, "no number", framed(&format!("xyz\r\nhello\r\n0\r\n{good}")), "400 InvalidRequest").await;
    let lengthless = put()
        .payload(Payload::Named(UNSIGNED_TRAILER))
        .header("x-amz-trailer", "x-amz-checksum-crc32")
        .body(format!("5\r\nhello\r\n0\r\n{good}"));
    check(&house, "no decoded length", lengthless, "411 MissingContentLength").await;
}

#[tokio::test]
async fn signed_chunks() {
    let house = House::new().await;
    let chunked = || put().payload(Payload::Named(SIGNED_CHUNKS)).header("x-amz-decoded-content-length", "5");
    let (ask, mut chain) = chunked().signed(house.s3);
    let body = [chain.chunk(b"hel"), chain.chunk(b"lo"), chain.chunk(b"")].concat();
    assert_eq!(ask.body(body).send_unsigned(house.s3).await.said(), "200");
    assert_eq!(house.get("x").await.text(), "hello");
    house.send(ask_delete()).await;

    let (ask, mut chain) = chunked().signed(house.s3);
    let mut body = [chain.chunk(b"hello"), chain.chunk(b"")].concat();
    let at = body.windows(5).position(|five| five == b"hello").unwrap();
    body[at] = b'j';
    assert_eq!(ask.body(body).send_unsigned(house.s3).await.said(), "403 SignatureDoesNotMatch");
    assert_eq!(house.get("x").await.said(), "404 NoSuchKey");

    let (ask, mut chain) = chunked().signed(house.s3);
    let endless = ask.body(chain.chunk(b"hello")).send_unsigned(house.s3).await;
    assert_eq!(endless.said(), "400 IncompleteBody", "the last signature did not come: {}", endless.text());
    assert_eq!(house.get("x").await.said(), "404 NoSuchKey");

    let with_trailer = put()
        .payload(Payload::Named(SIGNED_TRAILER))
        .header("x-amz-decoded-content-length", "5")
        .header("x-amz-trailer", "x-amz-checksum-crc32");
    let (ask, mut chain) = with_trailer.signed(house.s3);
    let body = [chain.chunk(b"hello"), chain.end_with_trailer("x-amz-checksum-crc32", CRC32)].concat();
    let reply = ask.body(body).send_unsigned(house.s3).await;
    assert_eq!((reply.said().as_str(), reply.header("x-amz-checksum-crc32").as_str()), ("200", CRC32));
}

#[tokio::test]
async fn a_signed_chunk_too_large_to_be_held_is_refused_at_its_head() {
    let house = House::new().await;
    let size = 17 * 1024 * 1024;
    let chunked =
        put().payload(Payload::Named(SIGNED_CHUNKS)).header("x-amz-decoded-content-length", &size.to_string());
    let (ask, _) = chunked.signed(house.s3);
    let mut bytes = ask.head_bytes(Some(size + 200));
    bytes.extend(format!("{size:x};chunk-signature={}\r\n", "0".repeat(64)).bytes());
    let answer = raw(house.s3, &bytes, false).await;
    assert!(answer.starts_with("HTTP/1.1 400") && answer.contains("InvalidRequest"), "{answer}");
}

#[tokio::test]
async fn plain_bodies_that_end_early() {
    let house = House::new().await;
    for payload in [Payload::Unsigned, Payload::Signed] {
        let (ask, _) = put().payload(payload).body("hello").signed(house.s3);
        let mut bytes = ask.head_bytes(Some(10));
        bytes.extend(b"hello");
        let answer = raw(house.s3, &bytes, true).await;
        assert!(answer.is_empty() || answer.contains("IncompleteBody"), "{answer}");
        assert_eq!(house.get("x").await.said(), "404 NoSuchKey");
    }
    let (ask, _) = put().payload(Payload::Unsigned).header("transfer-encoding", "chunked").signed(house.s3);
    let bytes = [ask.head_bytes(None).as_slice(), b"5\r\nhello\r\n0\r\n\r\n"].concat();
    let answer = raw(house.s3, &bytes, true).await;
    assert!(answer.contains("411") && answer.contains("MissingContentLength"), "{answer}");
    for payload in [Payload::Unsigned, Payload::Signed] {
        let (ask, _) = put().payload(payload).signed(house.s3);
        let answer = raw(house.s3, &ask.head_bytes(None), true).await;
        assert!(answer.contains("411") && answer.contains("MissingContentLength"), "{answer}");
        assert_eq!(house.get("x").await.said(), "404 NoSuchKey");
    }
    let (ask, _) = put().payload(Payload::Unsigned).signed(house.s3);
    let answer = raw(house.s3, &ask.head_bytes(Some(6 * 1024 * 1024 * 1024)), false).await;
    assert!(answer.contains("EntityTooLarge"), "{answer}");
}

/// botocore reads the answer after an unexpected one wrongly, on the same connection only.
#[tokio::test]
async fn who_is_not_told_to_go_on_gets_no_second_answer_on_the_connection() {
    let house = House::new().await;
    let asks = || put().header("expect", "100-continue");
    let answer = async |ask: Ask, body: &str| {
        let (ask, _) = ask.signed(house.s3);
        let mut bytes = ask.head_bytes(Some(body.len() as u64));
        bytes.extend_from_slice(body.as_bytes());
        raw(house.s3, &bytes, true).await.to_ascii_lowercase()
    };
    let ends = |answer: &str| answer.contains("\r\nconnection: close\r\n");

    let empty = answer(asks(), "").await;
    assert!(empty.starts_with("http/1.1 200 ok") && ends(&empty), "nothing to go on with: {empty}");
    let refused = answer(asks().secret("wrong"), "").await;
    assert!(refused.starts_with("http/1.1 403") && ends(&refused), "{refused}");
    let refused = answer(asks().body("hello").secret("wrong"), "hello").await;
    assert!(refused.starts_with("http/1.1 403") && ends(&refused), "{refused}");

    let told = answer(asks().body("hello"), "hello").await;
    assert!(told.starts_with("http/1.1 100 continue\r\n\r\nhttp/1.1 200 ok") && !ends(&told), "{told}");
    let unasked = answer(put(), "").await;
    assert!(unasked.starts_with("http/1.1 200 ok") && !ends(&unasked), "{unasked}");
}
