//! A bucket that was there before us is taken over: what changed there between two tries is seen, and nobody else waits.

mod support;

use outlast_engine::*;
use outlast_ledger::{Bucket, BucketState, Change, Durability, Embedded, Ledger, Mode};
use outlast_rules::{BucketName, Conditions, Head, Key};
use outlast_store::{At, Body, Dress, MemoryStore, MemoryTraits, PutSpec, Store};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;
use support::puppet::{Puppet, Trick};
use support::{START, World, key, name};
use tokio::sync::mpsc;

fn old() -> BucketName {
    BucketName::parse("old-photos").unwrap()
}

fn at(key: &str) -> At {
    At::new("old-photos", key)
}

/// As somebody does it who knows nothing of us.
async fn lay(store: &MemoryStore, key: &str, body: &'static [u8], content_type: &str) {
    let head = Head { content_type: Some(content_type.into()), ..Head::default() };
    let spec = PutSpec { dress: Dress { head, stamp: None }, fence: None, md5: None };
    store.put(&at(key), &spec, Body::Whole(body.into())).await.unwrap();
}

async fn adopt(world: &World) -> Result<AdoptReport, AdoptError> {
    world.engine.adopt(&old(), "s0", false, mpsc::channel(1).0).await
}

/// An adoption that was killed before its last commit, and a new process on the same disk.
async fn killed_before_it_serves(world: World) -> World {
    let bucket = world.ledger.bucket(&old()).await.unwrap().unwrap();
    let found = Bucket { state: BucketState::Found { on: vec![name(0)] }, ..bucket };
    world.ledger.commit(vec![Change::PutBucket(found)]).await.unwrap();
    world.engine.stop().await;
    let World { ledger, engine, stores, dir, settings } = world;
    drop((ledger, engine));
    let ledger = Arc::new(Embedded::open_with(dir.path(), Mode::Inline, Durability::Process).unwrap());
    let setup = |store: &Arc<MemoryStore>| {
        let names = NativeNames::default();
        (store.name().clone(), StoreSetup { store: store.clone(), names, settle_ms: 900_000, read_cost: 0.0 })
    };
    let setups: BTreeMap<_, _> = stores.iter().map(setup).collect();
    let clock = Arc::new(TokioClock::new(START));
    let engine = Engine::open(settings.clone(), clock, ledger.clone(), setups).await.unwrap();
    World { engine, ledger, stores, dir, settings }
}

async fn read(world: &World, at: &str) -> (Vec<u8>, Option<String>) {
    let ask = GetAsk { bucket: old(), key: key(at), range: None, conditions: Conditions::default() };
    let answer = world.engine.get(ask).await.unwrap();
    let kind = answer.facts.head.content_type.clone();
    let pieces: Vec<bytes::Bytes> = futures_util::TryStreamExt::try_collect(answer.bytes).await.unwrap();
    (pieces.concat(), kind)
}

/// Of every grade: where versions are kept the old pin still reads, and reads what is no longer there.
#[tokio::test(start_paused = true)]
async fn what_changed_on_the_source_between_two_tries_is_taken_as_it_is_now() {
    for traits in [MemoryTraits::A, MemoryTraits::B, MemoryTraits::DISK] {
        let world = World::new(&[traits; 3]).await;
        world.stores[0].create_bucket("old-photos").await.unwrap();
        for key in ["same", "bytes", "headers"] {
            lay(&world.stores[0], key, b"first", "text/plain").await;
        }
        let report = adopt(&world).await.unwrap();
        assert_eq!((report.adopted, report.changed, report.known), (3, 0, 0));
        world.engine.start_workers();
        world.settle().await;
        let before = world.ledger.entry(&old(), &key("same")).await.unwrap();

        let world = killed_before_it_serves(world).await;
        tokio::time::sleep(Duration::from_secs(5)).await;
        lay(&world.stores[0], "bytes", b"second, and longer", "text/plain").await;
        lay(&world.stores[0], "headers", b"first", "image/png").await;
        lay(&world.stores[0], "new", b"new", "text/plain").await;
        let report = adopt(&world).await.unwrap();
        assert_eq!((report.adopted, report.changed, report.known), (1, 2, 1), "{traits:?}");
        assert_eq!((report.vanished, report.skipped.len()), (0, 0));
        assert_eq!(world.ledger.entry(&old(), &key("same")).await.unwrap(), before, "what is right is left alone");

        assert_eq!(read(&world, "bytes").await.0, b"second, and longer", "{traits:?}");
        world.engine.start_workers();
        world.settle().await;
        for at in ["same", "bytes", "headers", "new"] {
            let entry = world.ledger.entry(&old(), &key(at)).await.unwrap().unwrap();
            assert_eq!(entry.holders.len(), 3, "{traits:?} {at}");
        }
        for i in 0..3 {
            let found = world.stores[i].head(&self::at("headers"), None).await.unwrap();
            assert_eq!(found.dress.head.content_type.as_deref(), Some("image/png"), "{traits:?} s{i}");
            assert_eq!(world.stores[i].head(&self::at("bytes"), None).await.unwrap().size, 18, "{traits:?} s{i}");
        }
        assert_eq!(read(&world, "headers").await, (b"first".to_vec(), Some("image/png".to_owned())));
        world.engine.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_went_from_the_source_is_told_and_comes_back_from_where_it_still_is() {
    let world = World::new(&[MemoryTraits::B; 3]).await;
    world.stores[0].create_bucket("old-photos").await.unwrap();
    lay(&world.stores[0], "stays", b"first", "text/plain").await;
    lay(&world.stores[0], "went", b"first", "text/plain").await;
    adopt(&world).await.unwrap();
    world.engine.start_workers();
    world.settle().await;

    let world = killed_before_it_serves(world).await;
    world.stores[0].lose(&at("went"));
    let report = adopt(&world).await.unwrap();
    assert_eq!((report.known, report.vanished, report.changed), (1, 1, 0));
    world.engine.start_workers();
    world.settle().await;
    assert_eq!(world.stores[0].head(&at("went"), None).await.unwrap().size, 5, "nothing goes on one store's word");
    assert_eq!(read(&world, "went").await.0, b"first");
    world.engine.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_would_change_is_told_without_being_done() {
    let world = World::new(&[MemoryTraits::B; 3]).await;
    world.stores[0].create_bucket("old-photos").await.unwrap();
    lay(&world.stores[0], "k", b"first", "text/plain").await;
    adopt(&world).await.unwrap();
    let world = killed_before_it_serves(world).await;
    lay(&world.stores[0], "k", b"second", "text/plain").await;
    let before = world.ledger.entry(&old(), &key("k")).await.unwrap();
    let report = world.engine.adopt(&old(), "s0", true, mpsc::channel(1).0).await.unwrap();
    assert_eq!((report.changed, report.dry_run), (1, true));
    assert_eq!(world.ledger.entry(&old(), &key("k")).await.unwrap(), before);
    assert!(matches!(world.engine.head_bucket(old()).await, Err(BucketError::NotServed(_))));
}

/// Longer than making a bucket takes where every store answers, and far shorter than the adoption waits for one that does not.
const BUCKET_TAKES: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn a_bucket_is_made_while_another_is_taken_over_and_nobody_takes_it_over_twice() {
    let alive = Arc::new(AtomicBool::new(true));
    let puppets = std::sync::Mutex::new(Vec::new());
    let wrap = |store| {
        let puppet = Puppet::new(store);
        puppets.lock().unwrap().push(puppet.clone());
        puppet.seen_by(alive.clone())
    };
    let world = World::with_memory(&[MemoryTraits::B; 3], |_| {}, wrap).await;
    let puppets = puppets.into_inner().unwrap();
    world.stores[0].create_bucket("old-photos").await.unwrap();
    lay(&world.stores[0], "k", b"first", "text/plain").await;
    puppets[2].bucket_trick(Trick::Swallow);
    let engine = world.engine.clone();
    let slow = tokio::spawn(async move { engine.adopt(&old(), "s0", false, mpsc::channel(1).0).await });
    tokio::time::sleep(Duration::from_millis(1)).await;

    let other = BucketName::parse("other").unwrap();
    tokio::time::timeout(BUCKET_TAKES, world.engine.create_bucket(other)).await.expect("it does not wait").unwrap();
    assert!(!slow.is_finished());
    assert!(matches!(adopt(&world).await, Err(AdoptError::Running(_))));

    assert!(slow.await.unwrap().is_err(), "a store that cannot be made room on ends it");
    assert_eq!(adopt(&world).await.unwrap().adopted, 1, "and it can be tried again");
    let keys: Vec<Key> = world.ledger.entries(&old(), None, 9).await.unwrap().into_iter().map(|(key, _)| key).collect();
    assert_eq!(keys, [key("k")]);
}
