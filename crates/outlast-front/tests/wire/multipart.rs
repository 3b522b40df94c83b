//! Uploads in parts.

use crate::house::House;
use crate::wire::{Reply, ask};

/// S3's smallest part that is not the last.
const PART: usize = 5 * 1024 * 1024;

async fn begin(house: &House, key: &str) -> String {
    let reply = house.send(ask("POST", &format!("/photos/{key}?uploads")).header("x-amz-meta-a", "1")).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    reply.element("UploadId")
}

async fn part(house: &House, key: &str, id: &str, number: u32, body: &[u8]) -> String {
    let reply = house.send(ask("PUT", &format!("/photos/{key}?partNumber={number}&uploadId={id}")).body(body)).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    reply.header("etag")
}

async fn complete(house: &House, key: &str, id: &str, parts: &[(u32, &str)]) -> Reply {
    let line =
        |(number, etag): &(u32, &str)| format!("<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>");
    let lines: String = parts.iter().map(line).collect();
    let body = format!("<CompleteMultipartUpload>{lines}</CompleteMultipartUpload>");
    house.send(ask("POST", &format!("/photos/{key}?uploadId={id}")).body(body)).await
}

#[tokio::test]
async fn an_upload_from_beginning_to_end() {
    let house = House::new().await;
    let id = begin(&house, "big").await;
    let first = part(&house, "big", &id, 1, &vec![1; PART]).await;
    let second = part(&house, "big", &id, 2, b"end").await;
    let parts = house.send(ask("GET", &format!("/photos/big?uploadId={id}&max-parts=1"))).await;
    assert_eq!((parts.all("PartNumber"), parts.element("IsTruncated").as_str()), (vec!["1".into()], "true"));
    let more = house.send(ask("GET", &format!("/photos/big?uploadId={id}&part-number-marker=1"))).await;
    assert_eq!((more.all("PartNumber"), more.element("Size").as_str()), (vec!["2".into()], "3"));
    let open = house.send(ask("GET", "/photos?uploads")).await;
    assert_eq!((open.all("Key"), open.all("UploadId")), (vec!["big".into()], vec![id.clone()]));
    assert_eq!(house.get("big").await.said(), "404 NoSuchKey");

    let done = complete(&house, "big", &id, &[(1, &first), (2, &second)]).await;
    assert_eq!(done.status, 200, "{}", done.text());
    assert!(done.element("ETag").trim_end_matches("&quot;").trim_end_matches('"').ends_with("-2"), "{}", done.text());
    let again = complete(&house, "big", &id, &[(1, &first), (2, &second)]).await;
    assert_eq!((again.status, again.element("ETag")), (200, done.element("ETag")), "a repeat hears the same");
    let got = house.get("big").await;
    assert_eq!((got.body.len(), got.header("x-amz-meta-a").as_str()), (PART + 3, "1"));
    let last = house.send(ask("GET", "/photos/big?partNumber=2")).await;
    assert_eq!((last.status, last.text().as_str(), last.header("x-amz-mp-parts-count").as_str()), (206, "end", "2"));
    assert_eq!(house.send(ask("GET", "/photos/big?partNumber=3")).await.said(), "416 InvalidPartNumber");
}

#[tokio::test]
async fn uploads_that_are_wrong() {
    let house = House::new().await;
    let id = begin(&house, "x").await;
    let small = part(&house, "x", &id, 1, b"small").await;
    let last = part(&house, "x", &id, 2, b"last").await;
    for (parts, said) in [
        (vec![(2, last.as_str()), (1, small.as_str())], "400 InvalidPartOrder"),
        (vec![(1, small.as_str()), (2, last.as_str())], "400 EntityTooSmall"),
        (vec![(1, "\"other\"")], "400 InvalidPart"),
        (vec![(3, small.as_str())], "400 InvalidPart"),
        (vec![], "400 MalformedXML"),
    ] {
        assert_eq!(complete(&house, "x", &id, &parts).await.said(), said);
    }
    assert_eq!(complete(&house, "x", "none", &[(1, &small)]).await.said(), "404 NoSuchUpload");
    let bad = ask("PUT", &format!("/photos/x?partNumber=0&uploadId={id}")).body("x");
    assert_eq!(house.send(bad).await.said(), "400 InvalidArgument");
    let damaged = ask("PUT", &format!("/photos/x?partNumber=3&uploadId={id}"))
        .header("content-md5", "1B2M2Y8AsgTpgAmY7PhCfg==")
        .body("x");
    assert_eq!(house.send(damaged).await.said(), "400 BadDigest");
    assert_eq!(house.send(ask("DELETE", &format!("/photos/x?uploadId={id}"))).await.status, 204);
    assert_eq!(house.send(ask("DELETE", &format!("/photos/x?uploadId={id}"))).await.said(), "404 NoSuchUpload");
    let late = ask("PUT", &format!("/photos/x?partNumber=1&uploadId={id}")).body("x");
    assert_eq!(house.send(late).await.said(), "404 NoSuchUpload");
    assert_eq!(house.get("x").await.said(), "404 NoSuchKey");
}

#[tokio::test]
async fn checksums_of_parts_are_compared() {
    let house = House::new().await;
    let begin = ask("POST", "/photos/x?uploads").header("x-amz-checksum-algorithm", "CRC32");
    let id = house.send(begin).await.element("UploadId");
    let put = |name: &str, value: &str| {
        ask("PUT", &format!("/photos/x?partNumber=1&uploadId={id}")).header(name, value).body("hello")
    };
    let other = put("x-amz-checksum-sha1", "qvTGHdzF6KLavt4PO0gs2a6pQ00=");
    assert_eq!(house.send(other).await.said(), "400 InvalidRequest", "the upload is one of CRC32");
    let stored = house.send(put("x-amz-checksum-crc32", "NhCmhg==")).await;
    assert_eq!(stored.status, 200, "{}", stored.text());
    let etag = stored.header("etag");
    let complete = |sums: &str| {
        let part = format!("<Part><PartNumber>1</PartNumber><ETag>{etag}</ETag>{sums}</Part>");
        let body = format!("<CompleteMultipartUpload>{part}</CompleteMultipartUpload>");
        house.send(ask("POST", &format!("/photos/x?uploadId={id}")).body(body))
    };
    let wrong = complete("<ChecksumCRC32>AAAAAA==</ChecksumCRC32>").await;
    assert_eq!(wrong.said(), "400 InvalidPart");
    let never_computed = complete("<ChecksumSHA1>qvTGHdzF6KLavt4PO0gs2a6pQ00=</ChecksumSHA1>").await;
    assert_eq!(never_computed.said(), "400 InvalidPart");
    assert_eq!(house.get("x").await.said(), "404 NoSuchKey");
    let right = complete("<ChecksumCRC32>NhCmhg==</ChecksumCRC32>").await;
    assert_eq!(right.status, 200, "{}", right.text());
    assert_eq!(house.get("x").await.text(), "hello");
}

#[tokio::test]
async fn checksum_types_that_an_algorithm_does_not_have() {
    let house = House::new().await;
    for (algorithm, kind, said) in [
        ("SHA256", "FULL_OBJECT", "400 InvalidRequest"),
        ("CRC64NVME", "COMPOSITE", "400 InvalidRequest"),
        ("SHA256", "COMPOSITE", "200"),
        ("CRC64NVME", "FULL_OBJECT", "200"),
    ] {
        let begin = ask("POST", "/photos/x?uploads").header("x-amz-checksum-algorithm", algorithm);
        assert_eq!(house.send(begin.header("x-amz-checksum-type", kind)).await.said(), said, "{algorithm} {kind}");
    }
}

#[tokio::test]
async fn parts_that_are_copies() {
    let house = House::new().await;
    house.put("from", b"0123456789").await;
    let id = begin(&house, "to").await;
    let copy = |range: &'static str| {
        let ask = ask("PUT", &format!("/photos/to?partNumber=1&uploadId={id}"));
        ask.header("x-amz-copy-source", "/photos/from").header("x-amz-copy-source-range", range)
    };
    assert_eq!(house.send(copy("bytes=4-")).await.said(), "400 InvalidArgument");
    assert_eq!(house.send(copy("bytes=4-10")).await.said(), "400 InvalidArgument");
    let reply = house.send(copy("bytes=4-6")).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let etag = reply.element("ETag").replace("&quot;", "");
    assert_eq!(complete(&house, "to", &id, &[(1, &etag)]).await.status, 200);
    assert_eq!(house.get("to").await.text(), "456");
}

#[tokio::test]
async fn open_uploads_are_listed_in_pages() {
    let house = House::new().await;
    for key in ["a", "b/1", "b/2", "c"] {
        begin(&house, key).await;
    }
    let (mut seen, mut markers) = (Vec::new(), String::new());
    loop {
        let reply = house.send(ask("GET", &format!("/photos?uploads&delimiter=/&max-uploads=1{markers}"))).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        seen.extend(reply.all("Key"));
        seen.extend(
            reply.all("CommonPrefixes").iter().map(|line| line.replace("<Prefix>", "").replace("</Prefix>", "")),
        );
        if reply.element("IsTruncated") != "true" {
            break;
        }
        let (key, id) = (reply.element("NextKeyMarker"), reply.element("NextUploadIdMarker"));
        markers = format!("&key-marker={key}&upload-id-marker={id}");
        assert!(seen.len() < 10, "each page goes on: {seen:?}");
    }
    assert_eq!(seen, ["a", "b/", "c"]);
}
