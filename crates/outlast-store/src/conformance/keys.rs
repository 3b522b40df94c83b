//! Keys are kept byte for byte, whatever a path, a URL or a file system would make of them.

use super::expect::{Expect, Keys};
use super::say::{clear, is, is_absent, list, put, remove};
use crate::{At, Store};

/// Names that a URL, a shell or an XML answer may trip over.
const AWKWARD: &[&str] = &[
    "a b",
    " lead",
    "trail ",
    "plus+plus",
    "per%cent",
    "%2F",
    "what?",
    "ha#sh",
    "a&b=c",
    "semi;colon",
    "quo\"te",
    "apo'strophe",
    "back\\slash",
    "co:lon",
    "st*ar",
    "<less>",
    "pi|pe",
    "tilde~",
    "at@",
    "comma,",
    "(round)",
    "[square]",
    "{curly}",
    "do$lar",
    "ex!claim",
    "Upper",
    "upper",
    "UPPER",
    "é",
    "e\u{301}",
    "日本/語",
    "🐈",
    "dot.",
    ".dot",
    "...",
    "a.b/c.d",
    "xn--a",
    "%",
    "a%",
    "=",
    "+",
    "~7e",
    "a=",
    "CON",
    "nul.txt",
];
/// Names that a file system would take for paths.
const PATHLIKE: &[&str] = &[
    "a",
    "a/b",
    "a//b",
    "a/",
    "/a",
    "/",
    "//",
    "a/b/",
    ".",
    "..",
    "./a",
    "a/../b",
    "../up",
    "a/./b",
    "a/..",
    "z/y/x",
    "z/y",
    "z",
    "folder/",
    "folder/file",
];

fn odd(keys: Keys) -> Vec<String> {
    let mut odd: Vec<String> = AWKWARD.iter().map(ToString::to_string).collect();
    odd.push("k".repeat(200));
    if keys != Keys::Pathlike {
        odd.extend(PATHLIKE.iter().map(ToString::to_string));
        odd.extend([255, 256, 1024].map(|len| "k".repeat(len)));
        odd.extend([format!("{}/x", "d".repeat(300)), "d/".repeat(500) + "x", "é".repeat(512), "/".repeat(1024)]);
    }
    odd.retain(|key| keys != Keys::NoLeadingSlash || !key.starts_with('/'));
    odd
}

pub(super) async fn run(store: &dyn Store, bucket: &str, expect: Expect) {
    let keys = odd(expect.keys);
    for key in &keys {
        put(store, &At::new(bucket, key.as_str()), &format!("content of {key}")).await;
    }
    let mut sorted = keys.clone();
    sorted.sort();
    let listed: Vec<String> = list(store, bucket, "").await.into_iter().map(|copy| copy.key).collect();
    assert_eq!(listed, sorted, "every odd key is listed, in byte order");
    for key in &keys {
        is(store, &At::new(bucket, key.as_str()), &format!("content of {key}")).await;
    }
    for prefix in ["a", "a/", "/", "z/", "%", ".", "é", "k", "日", "folder/", "a//", ".."] {
        let expected: Vec<&String> = sorted.iter().filter(|key| key.starts_with(prefix)).collect();
        let listed = list(store, bucket, prefix).await;
        let listed: Vec<&String> = listed.iter().map(|copy| &copy.key).collect();
        assert_eq!(listed, expected, "keys that begin with {prefix:?}");
    }
    each_is_one(store, bucket, &keys).await;
    if expect.keys != Keys::Pathlike {
        files_and_folders(store, bucket).await;
    }
    clear(store, bucket).await;
}

/// Overwriting or removing one key touches no other.
async fn each_is_one(store: &dyn Store, bucket: &str, keys: &[String]) {
    for key in keys.iter().step_by(2) {
        remove(store, &At::new(bucket, key.as_str())).await;
    }
    for (index, key) in keys.iter().enumerate() {
        let at = At::new(bucket, key.as_str());
        if index % 2 == 0 {
            is_absent(store, &at).await;
            put(store, &at, "again").await;
        } else {
            is(store, &at, &format!("content of {key}")).await;
        }
    }
    for key in keys.iter().step_by(2) {
        is(store, &At::new(bucket, key.as_str()), "again").await;
    }
    clear(store, bucket).await;
}

/// `a`, `a/b` and `a/b/c` stand beside each other in whatever order they come and go.
async fn files_and_folders(store: &dyn Store, bucket: &str) {
    let names = ["n", "n/m", "n/m/l"];
    for come in orders() {
        for go in orders() {
            for at in come {
                put(store, &At::new(bucket, names[at]), names[at]).await;
            }
            let mut left = vec![0, 1, 2];
            for gone in go {
                for &at in &left {
                    is(store, &At::new(bucket, names[at]), names[at]).await;
                }
                let listed = list(store, bucket, "n").await;
                assert!(listed.iter().map(|c| c.key.as_str()).eq(left.iter().map(|&at| names[at])), "{listed:?}");
                remove(store, &At::new(bucket, names[gone])).await;
                left.retain(|&at| at != gone);
                is_absent(store, &At::new(bucket, names[gone])).await;
            }
        }
    }
}

fn orders() -> [[usize; 3]; 6] {
    [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]]
}
