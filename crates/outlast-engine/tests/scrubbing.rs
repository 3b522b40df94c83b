//! Listing scrub on its own: once a day, whatever became of the process meanwhile.

mod support;

use outlast_engine::*;
use outlast_ledger::{Durability, Embedded, Ledger, Mode};
use outlast_rules::{Conditions, Head, WriteId};
use outlast_store::{Apply, At, Body, Class, Faulty, MemoryTraits, PutSpec, Setting, Store, Switch, Trouble};
use std::sync::Arc;
use std::time::Duration;
use support::{START, World, bucket, bytes, client_body, key, name, setups};

const HOUR: Duration = Duration::from_secs(3600);
const OBJECTS: u8 = 200;

/// Another process over the same ledger and stores, so long after the first one's start.
async fn restarted(world: &World, after: Duration) -> Arc<Engine> {
    let setups = setups(&world.stores, |store| store);
    let clock = Arc::new(TokioClock::new(START.plus_ms(after.as_millis() as u64)));
    let ledger = Arc::new(Embedded::open_with(world.dir.path(), Mode::Inline, Durability::Process).unwrap());
    Engine::open(world.settings.clone(), clock, ledger, setups).await.unwrap()
}

/// A copy is lost behind our back. The gateway never runs for a whole day, and finds it all the same.
#[tokio::test(start_paused = true)]
async fn restarts_do_not_put_it_off() {
    let world = World::new(&[MemoryTraits::B; 3]).await;
    world.put("k", &bytes(1_000, 1)).await.unwrap();
    world.engine.start_workers();
    tokio::time::sleep(HOUR).await;
    world.stores[1].lose(&At::new("photos", "k"));
    tokio::time::sleep(14 * HOUR).await;
    assert_eq!(world.on_store(1).await, [""; 0], "nobody has looked yet");
    world.engine.stop().await;

    let engine = restarted(&world, 15 * HOUR).await;
    engine.start_workers();
    tokio::time::sleep(10 * HOUR).await;
    assert_eq!(world.on_store(1).await, ["k"]);
    engine.stop().await;
}

#[tokio::test(start_paused = true)]
async fn its_date_goes_with_the_bucket() {
    let world = World::new(&[MemoryTraits::B; 3]).await;
    world.engine.identify().await.unwrap();
    world.engine.start_workers();
    tokio::time::sleep(HOUR).await;
    let date = "store.s1.scrubbed.photos";
    assert!(world.ledger.fact(date).await.unwrap().is_some());
    world.engine.delete_bucket(bucket()).await.unwrap();
    tokio::time::sleep(HOUR).await;
    assert_eq!(world.ledger.buckets().await.unwrap(), []);
    assert_eq!(world.ledger.fact(date).await.unwrap(), None);
    world.engine.stop().await;
}

/// Holds 200 objects on each of three stores; the last store loses these many of them.
async fn short_by(lost: usize) -> World {
    let world = World::new(&[MemoryTraits::B; 3]).await;
    world.engine.identify().await.unwrap();
    for i in 0..OBJECTS {
        world.put(&format!("k{i:03}"), &bytes(100, i)).await.unwrap();
    }
    world.engine.start_workers();
    world.settle().await;
    assert_eq!(world.on_store(2).await.len(), usize::from(OBJECTS));
    for i in 0..lost {
        world.stores[2].lose(&At::new("photos", format!("k{:03}", i)));
    }
    world
}

async fn told(world: &World, store: usize) -> (String, String) {
    let store = world.engine.status().await.stores.swap_remove(store);
    (store.standing, store.reason)
}

#[tokio::test(start_paused = true)]
async fn a_list_that_is_a_little_short_is_mended_key_by_key() {
    let world = short_by(99).await;
    let found = world.engine.scrub(&name(2), &bucket()).await.unwrap();
    assert_eq!((found.missing, found.is_short), (99, false), "{found:?}");
    world.settle().await;
    assert_eq!(world.on_store(2).await.len(), usize::from(OBJECTS));
    assert_eq!(told(&world, 2).await.0, "up");
    world.engine.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_list_that_is_suddenly_short_is_not_filled_until_it_is_accepted() {
    let world = short_by(120).await;
    let found = world.engine.scrub(&name(2), &bucket()).await.unwrap();
    assert_eq!((found.missing, found.is_short), (120, true), "{found:?}");
    tokio::time::sleep(30 * HOUR).await;
    let (standing, reason) = told(&world, 2).await;
    assert_eq!(standing, "down");
    assert!(reason.starts_with("its list is suddenly short: 120 of 200 objects"), "{reason}");
    assert_eq!(world.on_store(2).await.len(), 80, "nothing was filled, and nothing removed elsewhere");
    for i in 0..OBJECTS {
        assert_eq!(world.get(&format!("k{i:03}")).await.unwrap(), bytes(100, i));
    }
    world.put("later", b"later").await.unwrap();
    assert_eq!(world.on_store(2).await.len(), 80);
    // Not even a tombstone record: nothing at all is written there.
    world.put("gone", b"gone").await.unwrap();
    world.delete("gone").await.unwrap();
    let records = world.stores[2].list("photos", ".outlast/tomb/", None).await.unwrap();
    assert_eq!(records.copies, []);

    world.engine.accept_store(&name(2)).await.unwrap();
    tokio::time::sleep(HOUR).await;
    world.settle().await;
    assert_eq!(world.on_store(2).await, world.on_store(0).await);
    assert_eq!((told(&world, 2).await.0, world.on_store(2).await.len()), ("up".to_owned(), 201));
    assert_eq!(world.ledger.fact("store.s2.short").await.unwrap(), None);
    world.engine.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_list_that_is_whole_again_is_believed_again() {
    let world = World::new(&[MemoryTraits::B; 3]).await;
    world.engine.identify().await.unwrap();
    for i in 0..OBJECTS {
        world.put(&format!("k{i:03}"), &bytes(100, i)).await.unwrap();
    }
    world.engine.start_workers();
    world.settle().await;
    // Half of it is on a disk that is not mounted.
    let mut away = Vec::new();
    for i in (0..OBJECTS).step_by(2) {
        let at = At::new("photos", format!("k{i:03}"));
        let found = world.stores[2].head(&at, None).await.unwrap();
        away.push((at.clone(), found.dress, bytes(100, i)));
        world.stores[2].lose(&at);
    }
    assert!(world.engine.scrub(&name(2), &bucket()).await.unwrap().is_short);
    tokio::time::sleep(HOUR).await;
    assert_eq!(told(&world, 2).await.0, "down");
    for (at, dress, body) in away {
        let spec = PutSpec { dress, ..PutSpec::default() };
        world.stores[2].put(&at, &spec, Body::Whole(body.into())).await.unwrap();
    }
    tokio::time::sleep(HOUR).await;
    world.settle().await;
    assert_eq!(told(&world, 2).await, ("up".to_owned(), String::new()));
    let found = world.engine.scrub(&name(2), &bucket()).await.unwrap();
    assert_eq!((found.alike, found.missing), (200, 0), "{found:?}");
    world.engine.stop().await;
}

/// What an earlier process found holds for the next one, also where the store cannot be asked at its start.
#[tokio::test(start_paused = true)]
async fn a_restart_does_not_forget_that_a_list_is_short() {
    let world = short_by(120).await;
    assert!(world.engine.scrub(&name(2), &bucket()).await.unwrap().is_short);
    world.engine.stop().await;
    let engine = restarted(&world, HOUR).await;
    engine.identify().await.unwrap();
    engine.start_workers();
    tokio::time::sleep(30 * HOUR).await;
    let short = engine.status().await.stores.swap_remove(2);
    assert!(short.reason.starts_with("its list is suddenly short"), "{short:?}");
    assert_eq!(world.on_store(2).await.len(), 80);
    engine.stop().await;
}

/// What lies under a key on this store: which write it is of, and its content type.
fn lying(world: &World, store: usize, at: &str) -> (WriteId, Option<String>) {
    let copies = world.stores[store].lying(&At::new("photos", at));
    let dress = &copies.iter().find(|copy| copy.is_current).unwrap().found.dress;
    (dress.stamp.as_ref().unwrap().write, dress.head.content_type.clone())
}

/// A late call of an older write brings the same bytes under other headers: no listing shows it, its stamp does.
#[tokio::test(start_paused = true)]
async fn a_copy_of_an_older_write_with_the_same_bytes_is_found() {
    let world = World::new(&[MemoryTraits::B; 3]).await;
    world.engine.start_workers();
    let older: Vec<_> = ["k", "once"].map(|at| At::new("photos", at)).into();
    for at in &older {
        world.put(&at.key, &bytes(1_000, 1)).await.unwrap();
    }
    world.settle().await;
    let late: Vec<_> = older.iter().map(|at| world.stores[1].lying(at).remove(0)).collect();
    // The other one was deleted before it was written again: its last two entries are no twins.
    world.delete("once").await.unwrap();
    let ask = |at: &str| PutAsk {
        bucket: bucket(),
        key: key(at),
        head: Head { content_type: Some("image/png".into()), ..Head::default() },
        body: client_body(&bytes(1_000, 1)),
        conditions: Conditions::default(),
    };
    for at in ["k", "once", "new"] {
        world.engine.put(ask(at)).await.unwrap();
    }
    world.settle().await;
    for (at, copy) in older.iter().zip(&late) {
        let spec = PutSpec { dress: copy.found.dress.clone(), ..PutSpec::default() };
        world.stores[1].put(at, &spec, Body::Whole(copy.bytes.clone())).await.unwrap();
    }
    assert_eq!(lying(&world, 1, "k").1.as_deref(), Some("text/plain"));

    let found = world.engine.scrub(&name(1), &bucket()).await.unwrap();
    assert_eq!((found.alike, found.differing), (2, 1), "{found:?}");
    world.settle().await;
    let newest = world.ledger.entry(&bucket(), &key("k")).await.unwrap().unwrap();
    assert_eq!(lying(&world, 1, "k"), (newest.write, Some("image/png".to_owned())));
    let found = world.engine.scrub(&name(1), &bucket()).await.unwrap();
    assert_eq!((found.alike, found.differing), (3, 0), "{found:?}");

    // Other bytes: a listing tells them apart again, and nobody is asked.
    world.put("k", b"other bytes").await.unwrap();
    world.settle().await;
    assert_eq!(world.ledger.twins(&bucket(), None, 9).await.unwrap(), []);
    world.engine.stop().await;
}

#[tokio::test(start_paused = true)]
async fn more_twins_than_a_page_are_all_asked_for() {
    const KEYS: usize = 1_100;
    let world = World::new(&[MemoryTraits::B, MemoryTraits::B, MemoryTraits::DISK]).await;
    for i in (0..KEYS).chain(0..KEYS) {
        world.put(&format!("k{i:04}"), b"the same bytes").await.unwrap();
    }
    world.settle().await;
    let twins = world.ledger.twins(&bucket(), None, 2 * KEYS).await.unwrap();
    assert_eq!(twins.len(), KEYS);
    for i in [0, 500, KEYS - 1] {
        let at = At::new("photos", format!("k{i:04}"));
        let mut dress = world.stores[0].lying(&at).remove(0).found.dress;
        dress.stamp.as_mut().unwrap().write = WriteId(7);
        let spec = PutSpec { dress, ..PutSpec::default() };
        world.stores[0].put(&at, &spec, Body::Whole("the same bytes".into())).await.unwrap();
    }
    for (store, differing) in [(0, 3), (1, 0), (2, 0)] {
        let found = world.engine.scrub(&name(store), &bucket()).await.unwrap();
        assert_eq!((found.alike, found.differing), (KEYS as u64 - differing, differing), "{found:?}");
    }
    world.engine.stop().await;
}

/// A store that lost every stamp: the first keys of the list are all twins, and all wrong.
#[tokio::test(start_paused = true)]
async fn twins_that_are_all_wrong_are_all_told() {
    const KEYS: usize = 300;
    let world = World::new(&[MemoryTraits::B; 3]).await;
    for i in (0..KEYS).chain(0..KEYS) {
        world.put(&format!("k{i:03}"), b"the same bytes").await.unwrap();
    }
    world.settle().await;
    world.stores[0].strip();
    let found = world.engine.scrub(&name(0), &bucket()).await.unwrap();
    assert_eq!((found.alike, found.differing), (0, KEYS as u64), "{found:?}");
    world.engine.stop().await;
}

/// The store lists and answers no HEAD: what is missing there is owed all the same, and the pass does not wait key by key.
#[tokio::test(start_paused = true)]
async fn twins_that_nobody_can_look_at_hold_nothing_up() {
    const KEYS: usize = 600;
    let switch = Arc::new(Switch::default());
    let wrap = |store: Arc<dyn Store>| -> Arc<dyn Store> {
        if store.name() == &name(0) { Arc::new(Faulty::new(store, switch.clone())) } else { store }
    };
    let world = World::with(&[MemoryTraits::B; 3], |_| {}, wrap).await;
    for i in (0..KEYS).chain(0..KEYS) {
        world.put(&format!("k{i:03}"), b"the same bytes").await.unwrap();
    }
    world.settle().await;
    world.stores[0].lose(&At::new("photos", "k300"));
    switch.set(Setting::on(&[Class::Head], Trouble::Hang(Apply::Never)));
    let begun = tokio::time::Instant::now();
    let found = world.engine.scrub(&name(0), &bucket()).await.unwrap();
    assert_eq!((found.alike, found.missing), (KEYS as u64 - 1, 1), "{found:?}");
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    assert_eq!(world.ledger.debt_totals(&name(0)).await.unwrap().objects, 1);
    world.engine.stop().await;
}
