//! A bucket is taken over while clients are at work: others are served meanwhile, its own are told to wait and never that it is
//! empty, and from the moment it serves they may do what they like.

mod support;

use bytes::Bytes;
use futures_util::TryStreamExt;
use outlast_engine::*;
use outlast_ledger::Ledger;
use outlast_rules::{BucketName, Conditions, Head};
use outlast_store::*;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use support::{World, bytes, client_body, key, name};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep};

const KEYS: usize = 400;
/// 25 rounds of 16 looks.
const LOOK: Duration = Duration::from_millis(400);
const STEP: Duration = Duration::from_millis(50);

fn old() -> BucketName {
    BucketName::parse("old-photos").unwrap()
}

fn key_of(i: usize) -> String {
    format!("album/{i:03}")
}

async fn put(world: &World, at: &str, body: &[u8]) -> Result<Written, WriteError> {
    let ask = PutAsk {
        bucket: old(),
        key: key(at),
        head: Head::default(),
        body: client_body(body),
        conditions: Conditions::default(),
    };
    world.engine.put(ask).await
}

async fn get(world: &World, at: &str) -> Result<Vec<u8>, ReadError> {
    let ask = GetAsk { bucket: old(), key: key(at), range: None, conditions: Conditions::default() };
    let pieces: Vec<Bytes> = world.engine.get(ask).await?.bytes.try_collect().await?;
    Ok(pieces.concat())
}

async fn delete(world: &World, at: &str) -> Result<(), WriteError> {
    let ask = DeleteAsk { bucket: old(), key: key(at), conditions: Conditions::default(), user: "app".into() };
    world.engine.delete(ask).await
}

/// Three stores whose HEADs are slow, the first with a bucket that is not ours yet.
async fn laid() -> World {
    let slow = Trouble::Slow { before: LOOK, after: Duration::ZERO, bytes_per_second: None };
    let wrap = |store| {
        let switch = Arc::new(Switch::default());
        switch.set(Setting::on(&[Class::Head], slow.clone()));
        Arc::new(Faulty::new(store, switch)) as Arc<dyn Store>
    };
    let world = World::with(&[MemoryTraits::B; 3], |_| {}, wrap).await;
    world.stores[0].create_bucket("old-photos").await.unwrap();
    for i in 0..KEYS {
        let at = At::new("old-photos", key_of(i));
        world.stores[0].put(&at, &PutSpec::default(), Body::Whole(bytes(100, i as u8).into())).await.unwrap();
    }
    world
}

/// What the clients saw while the bucket was not theirs yet.
async fn beside(world: &World, is_over: impl Fn() -> bool) -> (usize, Duration) {
    let (mut rounds, mut longest) = (0, Duration::ZERO);
    while !is_over() {
        let begun = Instant::now();
        world.put(&format!("k{rounds}"), b"of another bucket").await.expect("other buckets are served");
        assert_eq!(world.get(&format!("k{rounds}")).await.unwrap(), "of another bucket");
        longest = longest.max(begun.elapsed());
        // It is over between two awaits: what is answered then is the bucket's own.
        let answers =
            (put(world, "new", b"").await.err(), get(world, &key_of(7)).await.err(), delete(world, "no").await.err());
        if !is_over() {
            let (put, get, delete) = answers;
            assert!(matches!(put, Some(WriteError::NotServed(_))), "{put:?}");
            assert!(matches!(get, Some(ReadError::NotServed(_))), "{get:?}");
            assert!(matches!(delete, Some(WriteError::NotServed(_))), "{delete:?}");
        }
        rounds += 1;
        sleep(STEP).await;
    }
    (rounds, longest)
}

/// Overwrites, deletes, new keys and reads, from the first moment on.
async fn at_once(world: &World) -> BTreeMap<String, Vec<u8>> {
    let mut there: BTreeMap<_, _> = (0..KEYS).map(|i| (key_of(i), bytes(100, i as u8))).collect();
    for i in 0..KEYS {
        let at = key_of(i);
        match i % 4 {
            0 => {
                put(world, &at, b"written over").await.unwrap();
                there.insert(at, b"written over".to_vec());
            }
            1 => {
                delete(world, &at).await.unwrap();
                there.remove(&at);
            }
            2 => {
                let new = format!("{at}/new");
                put(world, &new, b"beside it").await.unwrap();
                there.insert(new, b"beside it".to_vec());
            }
            _ => assert_eq!(get(world, &at).await.unwrap(), there[&at]),
        }
    }
    there
}

#[tokio::test(start_paused = true)]
async fn a_bucket_is_taken_over_under_load() {
    let world = laid().await;
    world.engine.start_workers();
    let over = Mutex::new(false);
    let is_over = || *over.lock().unwrap();
    let (report, (rounds, longest)) = tokio::join!(
        async {
            let report = world.engine.adopt(&old(), "s0", false, mpsc::channel(1).0).await.unwrap();
            *over.lock().unwrap() = true;
            report
        },
        beside(&world, is_over)
    );
    assert_eq!(report.adopted as usize, KEYS);
    assert!(rounds > 50, "{rounds} rounds only");
    assert!(longest < Duration::from_secs(1), "a client waited for {longest:?}");

    let owed = world.ledger.debt_totals(&name(1)).await.unwrap().objects;
    assert!(owed > 0, "it is filled while the clients are at work");
    let there = at_once(&world).await;
    world.settle().await;
    for (at, body) in &there {
        assert_eq!(&get(&world, at).await.unwrap(), body, "{at}");
    }
    for store in &world.stores {
        let page = store.list("old-photos", "album/", None).await.unwrap();
        assert!(page.copies.iter().map(|copy| &copy.key).eq(there.keys()), "{}", store.name());
        for (at, body) in &there {
            assert_eq!(store.lying(&At::new("old-photos", at))[0].bytes, *body, "{at} on {}", store.name());
        }
    }
    world.engine.stop().await;
}
