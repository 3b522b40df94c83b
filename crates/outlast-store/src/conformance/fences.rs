//! Fences: where they are claimed, a condition that doesn't hold changes nothing, and of two racers one wins.

use super::expect::Expect;
use super::say::{clear, fenced, is, is_absent, ok, put, refused, remove, text};
use crate::{Answer, At, Fault, Store};
use outlast_rules::{Fence, Pin};

pub(super) async fn run(store: &dyn Store, bucket: &str, expect: Expect) {
    if expect.grades.put.fenced {
        on_put(store, bucket, expect).await;
        races(store, bucket, expect).await;
    }
    if expect.grades.copy.fenced {
        on_copy(store, bucket).await;
    }
    if expect.grades.delete.fenced {
        on_delete(store, bucket).await;
    }
    clear(store, bucket).await;
}

fn matches(pin: &Pin) -> Fence {
    Fence::Matches(pin.etag.clone())
}

async fn on_put(store: &dyn Store, bucket: &str, expect: Expect) {
    let at = At::new(bucket, "fence/put");
    let try_put = async |fence, content: &str| store.put(&at, &fenced(fence), text(content)).await;
    let missing = try_put(Fence::Matches("0123456789abcdef0123456789abcdef".into()), "x").await;
    assert!(missing.is_err_and(|e| matches!(e.fault, Fault::Precondition | Fault::NoKey)), "If-Match on nothing");
    is_absent(store, &at).await;
    let first = ok("If-None-Match on nothing", try_put(Fence::Absent, "first").await);
    refused("If-None-Match on an object", try_put(Fence::Absent, "x").await, Fault::Precondition);
    is(store, &at, "first").await;
    let second = ok("If-Match on what is there", try_put(matches(&first), "second").await);
    refused("If-Match on what was there", try_put(matches(&first), "x").await, Fault::Precondition);
    is(store, &at, "second").await;
    let again = put(store, &at, "second").await;
    if expect.grades.put.unique {
        assert_ne!(again.etag, second.etag, "the same content put twice has two ETags");
        refused("If-Match on equal content", try_put(matches(&second), "x").await, Fault::Precondition);
    }
    remove(store, &at).await;
    ok("If-None-Match after a delete", try_put(Fence::Absent, "new").await);
}

async fn races(store: &dyn Store, bucket: &str, expect: Expect) {
    let at = At::new(bucket, "fence/race");
    for round in 0..expect.races {
        remove(store, &at).await;
        one_wins(store, &at, Fence::Absent, &format!("{round} absent")).await;
        let base = put(store, &at, &format!("base {round}")).await;
        one_wins(store, &at, matches(&base), &format!("{round} match")).await;
    }
}

async fn one_wins(store: &dyn Store, at: &At, fence: Fence, what: &str) {
    let contents: Vec<String> = (0..4).map(|n| format!("racer {n} of {what}")).collect();
    let spec = fenced(fence);
    let race = contents.iter().map(|content| store.put(at, &spec, text(content)));
    let answers: Vec<Answer<Pin>> = futures_util::future::join_all(race).await;
    let winners: Vec<usize> = (0..4).filter(|&n| answers[n].is_ok()).collect();
    assert_eq!(winners.len(), 1, "{what}: {answers:?}");
    for (n, answer) in answers.into_iter().enumerate().filter(|(n, _)| !winners.contains(n)) {
        refused(&format!("racer {n} of {what}"), answer, Fault::Precondition);
    }
    is(store, at, &contents[winners[0]]).await;
}

async fn on_copy(store: &dyn Store, bucket: &str) {
    let (from, to) = (At::new(bucket, "fence/from"), At::new(bucket, "fence/to"));
    let source = put(store, &from, "source").await;
    let try_copy = async |fence| store.copy(&from, &source, &to, &fenced(fence)).await;
    ok("copy where nothing is", try_copy(Fence::Absent).await);
    let there = put(store, &to, "there").await;
    refused("copy where something is", try_copy(Fence::Absent).await, Fault::Precondition);
    let other = Fence::Matches("0123456789abcdef0123456789abcdef".into());
    refused("copy over something else", try_copy(other).await, Fault::Precondition);
    is(store, &to, "there").await;
    ok("copy over what is there", try_copy(matches(&there)).await);
    is(store, &to, "source").await;
}

async fn on_delete(store: &dyn Store, bucket: &str) {
    let at = At::new(bucket, "fence/delete");
    let old = put(store, &at, "old").await;
    let new = put(store, &at, "new").await;
    let try_delete = async |pin: &Pin| store.delete(&at, None, Some(&matches(pin))).await;
    refused("delete of what was there", try_delete(&old).await, Fault::Precondition);
    is(store, &at, "new").await;
    ok("delete of what is there", try_delete(&new).await);
    is_absent(store, &at).await;
}
