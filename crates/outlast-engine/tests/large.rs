//! Large bodies of one PUT: cut into parts of ours on their way, one body for the client, nothing left behind when they fail.

mod support;

use futures_util::StreamExt;
use outlast_engine::*;
use outlast_ledger::Ledger;
use outlast_rules::{Conditions, Head, Key, Moment};
use outlast_store::{MemoryTraits, Store};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use support::puppet::{Mood, Puppet};
use support::{World, bucket, bytes, client_body, key};

const MIB: usize = 1024 * 1024;
const KINDS: [&[MemoryTraits]; 3] = [
    &[MemoryTraits::B, MemoryTraits::B, MemoryTraits::B],
    &[MemoryTraits::A, MemoryTraits::B, MemoryTraits::DISK],
    &[MemoryTraits::B, MemoryTraits::B],
];

async fn world(kinds: &[MemoryTraits]) -> (World, Vec<Arc<Puppet>>) {
    let puppets = std::sync::Mutex::new(Vec::new());
    let alive = Arc::new(AtomicBool::new(true));
    let wrap = |store| {
        let puppet = Puppet::new(store);
        puppets.lock().unwrap().push(puppet.clone());
        puppet.seen_by(alive.clone())
    };
    let world = World::with_memory(kinds, |_| {}, wrap).await;
    (world, puppets.into_inner().unwrap())
}

fn ask(at: &Key, body: ClientBody) -> PutAsk {
    PutAsk { bucket: bucket(), key: at.clone(), head: Head::default(), body, conditions: Conditions::default() }
}

async fn nothing_left(world: &World) {
    tokio::time::sleep(std::time::Duration::from_secs(120)).await;
    for store in &world.stores {
        assert_eq!(store.list_uploads("photos").await.unwrap(), [], "{}", store.name());
        let listed = store.list("photos", "", None).await.unwrap().copies;
        let ours = listed.iter().filter(|copy| !copy.key.starts_with(".outlast/")).count();
        assert_eq!(ours, 0, "{listed:?}");
    }
    assert_eq!(world.ledger.uploads_before(world.engine.now(), (Moment(0), ""), 10).await.unwrap(), []);
    assert_eq!(world.engine.status().await.spool.bytes, 0);
    let unsynced = world.dir.path().join("spool/unsynced");
    assert_eq!(std::fs::read_dir(unsynced).unwrap().count(), 0);
}

#[tokio::test(start_paused = true)]
async fn one_body_for_the_client() {
    for kinds in KINDS {
        let (world, _) = world(kinds).await;
        world.engine.start_workers();
        for len in [16 * MIB + 1, 32 * MIB, 40 * MIB + 12_345] {
            let body = bytes(len, 5);
            let written = world.put("big", &body).await.unwrap();
            assert!(!written.etag.contains('-'), "a single PUT has an MD5 for its ETag: {}", written.etag);
            assert!(world.get("big").await.unwrap() == body, "{len}");
            let across = RangeAsk::FromTo(16 * MIB as u64 - 5, 16 * MIB as u64);
            assert_eq!(world.get_range("big", Some(across)).await.unwrap(), body[16 * MIB - 5..16 * MIB + 1]);
            let head = GetAsk { bucket: bucket(), key: key("big"), range: None, conditions: Conditions::default() };
            assert_eq!(world.engine.head(head).await.unwrap().parts, None);
        }
        let uploads =
            world.engine.list_uploads(bucket(), String::new(), String::new(), String::new(), 10).await.unwrap();
        assert_eq!(uploads.uploads, [], "clients see no upload of ours");
        world.settle().await;
        for i in 0..kinds.len() {
            assert_eq!(world.on_store(i).await, ["big"]);
        }
        world.delete("big").await.unwrap();
        world.settle().await;
        nothing_left(&world).await;
        world.engine.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_dies_in_the_middle() {
    for kinds in KINDS {
        let (world, puppets) = world(kinds).await;
        world.engine.start_workers();
        let body = bytes(50 * MIB, 7);
        let mut whole = client_body(&body);
        let dying = puppets[0].clone();
        let mut seen = 0;
        whole.bytes = whole
            .bytes
            .map(move |chunk| {
                seen += chunk.as_ref().map_or(0, |chunk| chunk.len());
                if seen > 30 * MIB {
                    dying.set(Mood::Refuse);
                }
                chunk
            })
            .boxed();
        world.engine.put(ask(&key("big"), whole)).await.unwrap_or_else(|error| panic!("{kinds:?}: {error}"));
        assert!(world.get("big").await.unwrap() == body);
        puppets[0].set(Mood::Well);
        world.settle().await;
        for i in 0..kinds.len() {
            assert_eq!(world.on_store(i).await, ["big"], "{kinds:?}");
        }
        assert_eq!(world.engine.status().await.spool.bytes, 0, "{kinds:?}");
        world.engine.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_that_is_not_what_was_declared_leaves_nothing() {
    let (world, _) = world(KINDS[0]).await;
    world.engine.start_workers();
    let body = bytes(40 * MIB, 3);
    let declared = |change: fn(&mut ClientBody)| {
        let mut whole = client_body(&body);
        change(&mut whole);
        whole
    };
    let cases: [(ClientBody, fn(&BodyFault) -> bool); 4] = [
        (declared(|whole| whole.len += 1), |fault| matches!(fault, BodyFault::Short { .. })),
        (declared(|whole| whole.len -= 1), |fault| matches!(fault, BodyFault::Long { .. })),
        (declared(|whole| whole.declared.md5 = Some([0; 16])), |fault| *fault == BodyFault::Md5),
        (
            declared(|whole| {
                let cut = std::mem::replace(&mut whole.bytes, futures_util::stream::empty().boxed()).take(500);
                let gone = futures_util::stream::iter([Err(BodyFault::Gone("the client went away".into()))]);
                whole.bytes = cut.chain(gone).boxed();
            }),
            |fault| matches!(fault, BodyFault::Gone(_)),
        ),
    ];
    for (whole, expected) in cases {
        match world.engine.put(ask(&key("big"), whole)).await {
            Err(WriteError::Body(fault)) => assert!(expected(&fault), "{fault}"),
            other => panic!("{other:?}"),
        }
        assert!(matches!(world.get("big").await, Err(ReadError::NoKey)));
    }
    nothing_left(&world).await;
    world.engine.stop().await;
}
