//! Several stores that hold one bucket already are taken over together: what is equal counts at once, what differs has one truth
//! and loses nothing, and what is right is not written anew.

mod support;

use outlast_engine::*;
use outlast_ledger::Ledger;
use outlast_rules::{BucketName, Conditions, Entry, Head};
use outlast_store::{At, Body, Dress, MemoryStore, MemoryTraits, PutSpec, Store};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use support::puppet::{Mood, Puppet};
use support::{World, bytes, key, name};
use tokio::sync::mpsc;

/// S3, S3 and a disk: two whose ETags tell of the bytes, and one whose do not.
const KINDS: [MemoryTraits; 3] = [MemoryTraits::B, MemoryTraits::B, MemoryTraits::DISK];

fn old() -> BucketName {
    BucketName::parse("old-photos").unwrap()
}

fn at(key: &str) -> At {
    At::new("old-photos", key)
}

/// As somebody does it who knows nothing of us.
async fn lay(store: &MemoryStore, key: &str, body: &[u8], content_type: &str) {
    let head = Head { content_type: Some(content_type.into()), ..Head::default() };
    let spec = PutSpec { dress: Dress { head, stamp: None }, fence: None, md5: None };
    store.put(&at(key), &spec, Body::Whole(body.to_vec().into())).await.unwrap();
}

async fn adopt(world: &World, from: &str, dry_run: bool) -> Result<AdoptReport, AdoptError> {
    world.engine.adopt(&old(), from, dry_run, mpsc::channel(1).0).await
}

async fn entry(world: &World, at: &str) -> Entry {
    world.ledger.entry(&old(), &key(at)).await.unwrap().unwrap()
}

fn holders(entry: &Entry) -> String {
    entry.holders.keys().map(|store| store.as_str()).collect::<Vec<_>>().join(" ")
}

async fn read(world: &World, at: &str) -> Vec<u8> {
    let ask = GetAsk { bucket: old(), key: key(at), range: None, conditions: Conditions::default() };
    let answer = world.engine.get(ask).await.unwrap();
    let pieces: Vec<bytes::Bytes> = futures_util::TryStreamExt::try_collect(answer.bytes).await.unwrap();
    pieces.concat()
}

async fn conflicts(world: &World, i: usize) -> Vec<Vec<u8>> {
    let page = world.stores[i].list("old-photos", ".outlast/conflicts/", None).await.unwrap();
    page.copies.iter().map(|copy| world.stores[i].lying(&at(&copy.key))[0].bytes.to_vec()).collect()
}

/// Five keys: equal on all, equal on two, on one only, another on each, as large but other bytes on the disk.
async fn laid(world: &World) {
    for store in &world.stores {
        store.create_bucket("old-photos").await.unwrap();
        lay(store, "all", &bytes(5_000, 1), "image/png").await;
    }
    for i in [0, 1] {
        lay(&world.stores[i], "two", &bytes(3_000, 2), "image/png").await;
    }
    lay(&world.stores[2], "one", b"only on the disk", "text/plain").await;
    lay(&world.stores[0], "other", b"the first is the truth", "text/plain").await;
    lay(&world.stores[1], "other", b"another", "text/plain").await;
    lay(&world.stores[0], "large", b"as large A", "text/plain").await;
    lay(&world.stores[2], "large", b"as large B", "text/plain").await;
}

#[tokio::test(start_paused = true)]
async fn what_is_equal_counts_at_once_and_what_differs_has_one_truth() {
    let world = World::new(&KINDS).await;
    laid(&world).await;
    let modified = |i: usize, key: &str| world.stores[i].lying(&at(key))[0].found.clone();
    let before: Vec<_> = (0..3).map(|i| modified(i, "all")).chain([modified(0, "two"), modified(1, "two")]).collect();

    let plan = adopt(&world, "s0,s1,s2", true).await.unwrap();
    assert_eq!((plan.adopted, plan.equal, plan.differing, plan.unsure), (5, 2, 1, 2), "{plan:#?}");
    assert_eq!(plan.unsure_bytes, 2 * 5_000 + 2 * 10, "the disk's copies and what they are compared with");
    assert_eq!(plan.missing[&name(2)].objects, 2, "two, and other: {plan:#?}");
    assert_eq!(plan.conflicts, ["other: s1 has another than s0"]);
    assert_eq!(world.ledger.entries(&old(), None, 10).await.unwrap(), [], "a plan writes nothing down");
    assert!(matches!(world.engine.head_bucket(old()).await, Err(BucketError::NotServed(_))));

    let report = adopt(&world, "s0,s1,s2", false).await.unwrap();
    assert_eq!((report.adopted, report.equal, report.differing, report.unsure), (5, 2, 2, 0), "{report:#?}");
    assert_eq!(holders(&entry(&world, "all").await), "s0 s1 s2", "three copies without a byte moved");
    assert_eq!(holders(&entry(&world, "two").await), "s0 s1");
    assert_eq!(holders(&entry(&world, "one").await), "s2");
    assert_eq!(holders(&entry(&world, "other").await), "s0");
    assert_eq!(holders(&entry(&world, "large").await), "s0", "its bytes were read, and are others");
    assert_eq!(world.engine.status().await.counters["debts_paid"], 0, "nothing was copied so far");

    world.engine.start_workers();
    world.settle().await;
    for at in ["all", "two", "one", "other", "large"] {
        assert_eq!(holders(&entry(&world, at).await), "s0 s1 s2", "{at}");
    }
    let after: Vec<_> = (0..3).map(|i| modified(i, "all")).chain([modified(0, "two"), modified(1, "two")]).collect();
    assert_eq!(before, after, "what is right was not written anew");
    assert_eq!(read(&world, "other").await, b"the first is the truth");
    assert_eq!(conflicts(&world, 1).await, [b"another".to_vec()], "and nothing is lost");
    assert_eq!(conflicts(&world, 2).await, [b"as large B".to_vec()]);
    assert_eq!(conflicts(&world, 0).await, [b""; 0]);
    // Every copy serves alone, the two that never had a stamp too.
    for gone in [[0, 1], [0, 2], [1, 2]] {
        let left = 3 - gone[0] - gone[1];
        let report =
            world.engine.eject(EjectAsk { bucket: old(), store: name(left), deep: true }, mpsc::channel(1).0).await;
        let report = report.unwrap().report;
        assert_eq!((&report["complete"], &report["held"]), (&true.into(), &5.into()), "s{left}: {report:#}");
    }
    world.engine.stop().await;
}

#[tokio::test(start_paused = true)]
async fn the_order_of_the_sources_is_the_order_of_truth() {
    let world = World::new(&KINDS).await;
    laid(&world).await;
    adopt(&world, "s1, s0", false).await.unwrap();
    assert_eq!(holders(&entry(&world, "other").await), "s1");
    assert_eq!(world.ledger.entries(&old(), None, 10).await.unwrap().len(), 4, "what only s2 has was not asked for");
    world.engine.start_workers();
    world.settle().await;
    assert_eq!(read(&world, "other").await, b"another");
    assert_eq!(conflicts(&world, 0).await, [b"the first is the truth".to_vec()]);
    assert_eq!(read(&world, "all").await, bytes(5_000, 1));
    world.engine.stop().await;
}

#[tokio::test(start_paused = true)]
async fn headers_are_the_first_ones_and_others_are_told() {
    let world = World::new(&KINDS).await;
    for (store, kind) in world.stores.iter().zip(["image/png", "image/png", "application/octet-stream"]) {
        store.create_bucket("old-photos").await.unwrap();
        lay(store, "k", b"same bytes", kind).await;
    }
    let report = adopt(&world, "s0,s1,s2", false).await.unwrap();
    assert_eq!((report.equal, report.undressed), (1, 1));
    let entry = entry(&world, "k").await;
    assert_eq!((holders(&entry).as_str(), entry.head.content_type.as_deref()), ("s0 s1 s2", Some("image/png")));
    world.engine.stop().await;
}

/// A source dies in the middle; asked again, it goes on, and neither truth nor copies change by that.
#[tokio::test(start_paused = true)]
async fn broken_off_and_asked_again_it_is_as_if_asked_once() {
    let alive = Arc::new(AtomicBool::new(true));
    let puppets = std::sync::Mutex::new(Vec::new());
    let wrap = |store| {
        let puppet = Puppet::new(store);
        puppets.lock().unwrap().push(puppet.clone());
        puppet.seen_by(alive.clone())
    };
    let world = World::with_memory(&KINDS, |_| {}, wrap).await;
    let puppets = puppets.into_inner().unwrap();
    for store in &world.stores {
        store.create_bucket("old-photos").await.unwrap();
        for i in 0..2_500 {
            lay(store, &format!("k{i:04}"), format!("body {i}").as_bytes(), "text/plain").await;
        }
    }
    puppets[1].tire_after(1_700);
    assert!(adopt(&world, "s0,s1,s2", false).await.is_err(), "a source that is lost half-way ends it");
    let known = world.ledger.entries(&old(), None, 10_000).await.unwrap();
    assert!(!known.is_empty() && known.len() < 2_500, "{}", known.len());
    assert!(matches!(world.engine.head_bucket(old()).await, Err(BucketError::NotServed(_))), "and it is not served");
    puppets[1].set(Mood::Well);
    // The store has to prove itself first.
    world.engine.start_workers();
    let report = loop {
        match adopt(&world, "s0,s1,s2", false).await {
            Ok(report) => break report,
            Err(_) => tokio::time::sleep(std::time::Duration::from_secs(1)).await,
        }
    };
    assert_eq!(report.adopted + report.known, 2_500, "{report:?}");
    assert!(report.known >= known.len() as u64);
    for (key, before) in known {
        assert_eq!(world.ledger.entry(&old(), &key).await.unwrap().unwrap(), before, "{key}");
    }
    let all = world.ledger.entries(&old(), None, 10_000).await.unwrap();
    assert_eq!(all.len(), 2_500);
    assert!(all.iter().all(|(_, entry)| holders(entry) == "s0 s1 s2"));
    for i in 0..3 {
        assert_eq!(
            world.ledger.debt_totals(&name(i)).await.unwrap().objects,
            0,
            "everything is equal: nothing is owed"
        );
    }
    world.engine.stop().await;
}

#[tokio::test(start_paused = true)]
async fn sources_that_cannot_be_are_named() {
    let world = World::new(&KINDS).await;
    world.stores[0].create_bucket("old-photos").await.unwrap();
    lay(&world.stores[0], "k", b"k", "text/plain").await;
    assert!(matches!(adopt(&world, "s0,s9", false).await, Err(AdoptError::NoStore(store)) if store == "s9"));
    assert!(matches!(adopt(&world, ",", false).await, Err(AdoptError::NoStore(_))));
    assert!(
        matches!(adopt(&world, "s0,s1", false).await, Err(AdoptError::NoNativeBucket(store, _)) if store == name(1))
    );
    assert_eq!(adopt(&world, "s0,s0", false).await.unwrap().adopted, 1, "named twice is named");
    world.engine.stop().await;
}
