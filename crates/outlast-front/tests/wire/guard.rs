//! Signatures, limits, CORS: what never reaches the engine.

use crate::house::House;
use crate::wire::{ask, raw};
use outlast_front::CorsRule;
use std::time::Duration;

const DAY: u64 = 24 * 60 * 60;

#[tokio::test]
async fn only_known_keys_with_the_right_secret() {
    let house = House::new().await;
    house.put("x", b"x").await;
    let get = || ask("GET", "/photos/x");
    for (what, ask, said) in [
        ("the secret", get().secret("wrong"), "403 SignatureDoesNotMatch"),
        ("the key", get().access_key("STRANGER"), "403 InvalidAccessKeyId"),
        ("a slow clock", get().skew(-16 * 60 * 1000), "403 RequestTimeTooSkewed"),
        ("a fast clock", get().skew(16 * 60 * 1000), "403 RequestTimeTooSkewed"),
        ("a clock a little off", get().skew(-14 * 60 * 1000), "200"),
        ("any region", get().region("mars-north-1"), "200"),
        ("a session token", get().header("x-amz-security-token", "t"), "400 InvalidToken"),
        ("another owner", get().header("x-amz-expected-bucket-owner", "111122223333"), "403 AccessDenied"),
    ] {
        let reply = house.send(ask).await;
        assert_eq!(reply.said(), said, "{what}: {}", reply.text());
    }
    assert_eq!(get().send_unsigned(house.s3).await.said(), "403 AccessDenied", "nobody is anonymous");
    let v2 = get().header("authorization", "AWS APPKEY:c2lnbmF0dXJl").header("date", "x");
    assert_eq!(v2.send_unsigned(house.s3).await.said(), "400 InvalidRequest");
    let (signed, _) = get().signed(house.s3);
    let added = signed.header("x-amz-meta-late", "1");
    assert_eq!(added.send_unsigned(house.s3).await.said(), "403 AccessDenied", "an amz header outside the signature");
}

#[tokio::test]
async fn presigned_urls_live_for_seven_days_at_most() {
    let house = House::new().await;
    house.put("a b", b"x").await;
    let open = async |url: String| {
        let head = format!("GET {url} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n\r\n", house.s3);
        raw(house.s3, head.as_bytes(), false).await
    };
    let get = || ask("GET", "/photos/a b");
    let good = open(get().presigned(house.s3, 7 * DAY)).await;
    assert!(good.starts_with("HTTP/1.1 200") && good.ends_with("\r\n\r\nx"), "{good}");
    let long = open(get().presigned(house.s3, 7 * DAY + 1)).await;
    assert!(long.contains("AuthorizationQueryParametersError"), "{long}");
    let old = open(get().skew(-120_000).presigned(house.s3, 60)).await;
    assert!(old.starts_with("HTTP/1.1 403") && old.contains("expired"), "{old}");
    let early = open(get().skew(20 * 60 * 1000).presigned(house.s3, 60)).await;
    assert!(early.starts_with("HTTP/1.1 403"), "{early}");
    let bent = open(get().presigned(house.s3, 60).replace("a%20b", "a%20c")).await;
    assert!(bent.contains("SignatureDoesNotMatch"), "{bent}");
    let v2 = open("/photos/x?AWSAccessKeyId=APPKEY&Expires=9999999999&Signature=abc".into()).await;
    assert!(v2.starts_with("HTTP/1.1 400") && v2.contains("AWS4-HMAC-SHA256"), "{v2}");
}

#[tokio::test]
async fn every_answer_has_a_name() {
    let house = House::new().await;
    let reply = house.get("never").await;
    let id = reply.header("x-amz-request-id");
    assert_eq!(reply.element("RequestId"), id);
    assert_eq!(reply.element("Resource"), "/photos/never");
    assert_eq!(reply.element("HostId"), reply.header("x-amz-id-2"));
    assert_ne!(house.get("never").await.header("x-amz-request-id"), id);
    let head = house.send(ask("HEAD", "/photos/never")).await;
    assert_eq!((head.status, head.body.len(), head.header("x-amz-request-id").len()), (404, 0, 16));
}

#[tokio::test]
async fn heads_that_are_too_large_or_double() {
    let house = House::new().await;
    let long = house.send(ask("GET", &format!("/photos?prefix={}", "p".repeat(9000)))).await;
    assert_eq!(long.said(), "414 InvalidURI");
    let fat = house.send(ask("GET", "/photos/x").header("x-amz-meta-a", &"v".repeat(20_000))).await;
    assert_eq!(fat.said(), "400 RequestHeaderSectionTooLarge");
    let fat = house.send(ask("PUT", "/photos/x").header("x-amz-meta-a", &"v".repeat(3000)).body("x")).await;
    assert_eq!(fat.said(), "400 MetadataTooLarge");
    let two_hosts = format!("GET /photos/x HTTP/1.1\r\nhost: {}\r\nhost: other\r\nconnection: close\r\n\r\n", house.s3);
    assert!(raw(house.s3, two_hosts.as_bytes(), false).await.starts_with("HTTP/1.1 400"));
    let form = ask("POST", "/photos").header("content-type", "multipart/form-data; boundary=b").body("--b--");
    assert_eq!(form.send_unsigned(house.s3).await.said(), "501 NotImplemented");
}

#[tokio::test]
async fn cross_origin_requests() {
    let preflight = || {
        let ask = ask("OPTIONS", "/photos/x").header("origin", "https://app.example.com");
        ask.header("access-control-request-method", "GET")
    };
    let closed = House::new().await;
    assert_eq!(preflight().send_unsigned(closed.s3).await.said(), "403 AccessForbidden");
    let rule = CorsRule {
        origins: vec!["https://*.example.com".into()],
        methods: vec!["GET".into()],
        max_age: Some(Duration::from_secs(60)),
        ..CorsRule::default()
    };
    let open = House::with(|settings| settings.cors = vec![rule]).await;
    let reply = preflight().send_unsigned(open.s3).await;
    assert_eq!((reply.status, reply.header("access-control-allow-origin").as_str()), (200, "https://app.example.com"));
    assert_eq!(reply.header("access-control-max-age"), "60");
    open.put("x", b"x").await;
    let real = open.send(ask("GET", "/photos/x").header("origin", "https://app.example.com")).await;
    assert_eq!((real.status, real.header("access-control-allow-origin").as_str()), (200, "https://app.example.com"));
    assert!(real.header("vary").contains("Origin"));
    let stranger = open.send(ask("GET", "/photos/x").header("origin", "https://example.org")).await;
    assert_eq!(stranger.header("access-control-allow-origin"), "");
}

#[tokio::test]
async fn more_requests_than_can_be_served_hear_so_at_once() {
    let house = House::with(|settings| settings.limits.requests = 0).await;
    let reply = house.get("x").await;
    assert_eq!(reply.said(), "503 SlowDown");
}

#[tokio::test]
async fn deletes_of_a_damaged_list_are_refused() {
    let house = House::new().await;
    house.put("a", b"x").await;
    let list = "<Delete><Object><Key>a</Key></Object></Delete>";
    let damaged = ask("POST", "/photos?delete").header("x-amz-checksum-crc32", "AAAAAA==").body(list);
    assert_eq!(house.send(damaged).await.said(), "400 BadDigest");
    assert_eq!(house.get("a").await.status, 200);
}
