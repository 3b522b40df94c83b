//! ListObjects v1 and v2.

use crate::house::House;
use crate::wire::{Reply, ask};

async fn with_keys(keys: &[&str]) -> House {
    let house = House::new().await;
    for key in keys {
        house.put(key, b"x").await;
    }
    house
}

fn prefixes(reply: &Reply) -> Vec<String> {
    reply.all("CommonPrefixes").iter().map(|line| line.replace("<Prefix>", "").replace("</Prefix>", "")).collect()
}

#[tokio::test]
async fn pages_meet_without_a_gap() {
    let keys = ["a", "b/1", "b/2", "c", "d/1", "e", "ü"];
    let house = with_keys(&keys).await;
    for size in 1..=8 {
        let (mut seen, mut token) = (Vec::new(), String::new());
        loop {
            let more = if token.is_empty() { String::new() } else { format!("&continuation-token={token}") };
            let reply = house.send(ask("GET", &format!("/photos?list-type=2&max-keys={size}{more}"))).await;
            assert_eq!(reply.status, 200, "{}", reply.text());
            let page = reply.all("Key");
            assert_eq!(reply.element("KeyCount"), page.len().to_string());
            seen.extend(page);
            token = reply.element("NextContinuationToken");
            assert_eq!(reply.element("IsTruncated"), (!token.is_empty()).to_string());
            if token.is_empty() {
                break;
            }
        }
        assert_eq!(seen, keys, "pages of {size}");
    }
}

#[tokio::test]
async fn delimiters_and_markers() {
    let house = with_keys(&["a", "b/1", "b/2", "c/x/1", "c/y", "d"]).await;
    let list = |query: &'static str| house.send(ask("GET", &format!("/photos?{query}")));
    let top = list("list-type=2&delimiter=/").await;
    assert_eq!((top.all("Key"), prefixes(&top)), (vec!["a".into(), "d".into()], vec!["b/".into(), "c/".into()]));
    let inner = list("list-type=2&delimiter=/&prefix=c/").await;
    assert_eq!((inner.all("Key"), prefixes(&inner)), (vec!["c/y".into()], vec!["c/x/".into()]));
    let after = list("list-type=2&start-after=b/1").await;
    assert_eq!(after.all("Key"), ["b/2", "c/x/1", "c/y", "d"]);
    let mut marker = String::new();
    let mut pages = Vec::new();
    loop {
        let reply = house.send(ask("GET", &format!("/photos?delimiter=/&max-keys=1&marker={marker}"))).await;
        pages.push(reply.all("Key").into_iter().chain(prefixes(&reply)).collect::<Vec<_>>().join(","));
        marker = reply.element("NextMarker");
        if marker.is_empty() {
            break;
        }
    }
    assert_eq!(pages, ["a", "b/", "c/", "d"]);
}

#[tokio::test]
async fn sizes_owners_and_nonsense() {
    let house = with_keys(&["a b"]).await;
    let list = |query: &'static str| house.send(ask("GET", &format!("/photos?{query}")));
    let none = list("list-type=2&max-keys=0").await;
    assert_eq!((none.status, none.all("Key").len(), none.element("IsTruncated").as_str()), (200, 0, "false"));
    assert_eq!(list("list-type=2&max-keys=100000").await.element("MaxKeys"), "1000");
    assert_eq!(list("list-type=2&max-keys=-1").await.said(), "400 InvalidArgument");
    assert_eq!(list("list-type=2&max-keys=many").await.said(), "400 InvalidArgument");
    assert_eq!(list("list-type=2&continuation-token=!").await.said(), "400 InvalidArgument");
    assert_eq!(list("list-type=2&encoding-type=rot13").await.said(), "400 InvalidArgument");
    let coded = list("list-type=2&encoding-type=url&fetch-owner=true").await;
    assert_eq!((coded.element("Key").as_str(), coded.element("EncodingType").as_str()), ("a%20b", "url"));
    assert_eq!(coded.element("ID"), "outlast");
    assert_eq!(list("list-type=2").await.all("Owner").len(), 0);
    let line = list("").await;
    assert_eq!((line.element("Size").as_str(), line.element("StorageClass").as_str()), ("1", "STANDARD"));
    assert!(line.element("ETag").contains("9dd4e461268c8034f5c8564e155c67a6"), "{}", line.text());
    assert_eq!(house.send(ask("GET", "/nowhere?list-type=2")).await.said(), "404 NoSuchBucket");
    assert_eq!(house.send(ask("GET", "/nowhere?list-type=2&max-keys=0")).await.said(), "404 NoSuchBucket");
}
