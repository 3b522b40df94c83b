//! A store leaves: everything is elsewhere before it goes, nobody goes below the floor unasked, and dying half-way changes nothing.

mod support;

use outlast_engine::*;
use outlast_ledger::{Change, Durability, Embedded, Ledger, Mode};
use outlast_rules::{Departure, Entry};
use outlast_store::{At, MemoryStore, MemoryTraits, Store};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;
use support::puppet::{Mood, Puppet};
use support::{START, World, bucket, bytes, key, name};
use tokio::sync::mpsc;

const KINDS: [MemoryTraits; 4] = [MemoryTraits::A, MemoryTraits::B, MemoryTraits::B_UNIQUE, MemoryTraits::DISK];

fn ask(store: usize, step: LeaveStep) -> LeaveAsk {
    LeaveAsk { store: name(store), step, dry_run: false, accept_risk: None }
}

async fn leave(world: &World, ask: LeaveAsk) -> Result<LeaveReport, LeaveError> {
    // Held, so that somebody listens.
    let (progress, _lines) = mpsc::channel(1);
    world.engine.leave(ask, progress).await
}

async fn plan(world: &World, store: usize, step: LeaveStep) -> LeaveReport {
    leave(world, LeaveAsk { dry_run: true, ..ask(store, step) }).await.unwrap()
}

async fn entries(world: &World) -> Vec<(String, Entry)> {
    let all = world.ledger.entries(&bucket(), None, 10_000).await.unwrap();
    all.into_iter().filter(|(_, entry)| entry.is_object()).map(|(key, entry)| (key.to_string(), entry)).collect()
}

fn holders(entry: &Entry) -> String {
    entry.holders.keys().map(|store| store.as_str()).collect::<Vec<_>>().join(" ")
}

/// Stores that can be made silent, and their moods.
async fn puppets(kinds: &[MemoryTraits]) -> (World, Vec<Arc<Puppet>>, Arc<AtomicBool>) {
    let alive = Arc::new(AtomicBool::new(true));
    let puppets = std::sync::Mutex::new(Vec::new());
    let wrap = |store| {
        let puppet = Puppet::new(store);
        puppets.lock().unwrap().push(puppet.clone());
        puppet.seen_by(alive.clone())
    };
    let world = World::with_memory(kinds, |_| {}, wrap).await;
    (world, puppets.into_inner().unwrap(), alive)
}

/// The next process over the same ledger and stores, so much later than the first began.
async fn reopened(world: World, later_ms: u64) -> World {
    let World { ledger, engine, stores, dir, settings } = world;
    engine.stop().await;
    drop((ledger, engine));
    let ledger = Arc::new(Embedded::open_with(dir.path(), Mode::Inline, Durability::Process).unwrap());
    let setup = |store: &Arc<MemoryStore>| {
        let names = NativeNames::default();
        (store.name().clone(), StoreSetup { store: store.clone(), names, settle_ms: 900_000, read_cost: 0.0 })
    };
    let setups: BTreeMap<_, _> = stores.iter().map(setup).collect();
    let clock = Arc::new(TokioClock::new(START.plus_ms(later_ms)));
    let engine = Engine::open(settings.clone(), clock, ledger.clone(), setups).await.unwrap();
    World { engine, ledger, stores, dir, settings }
}

/// Objects that s2 lacks: it was away when they were written.
async fn written_without_s2(kinds: &[MemoryTraits]) -> (World, Vec<Arc<Puppet>>, Arc<AtomicBool>) {
    let (world, puppets, alive) = puppets(kinds).await;
    puppets[2].set(Mood::Refuse);
    for i in 0..30 {
        world.put(&format!("k{i:02}"), &bytes(1000 * i, i as u8)).await.unwrap();
    }
    (world, puppets, alive)
}

#[tokio::test(start_paused = true)]
async fn what_only_it_and_one_other_hold_is_elsewhere_before_it_goes() {
    for kind in KINDS {
        let (world, puppets, _) = written_without_s2(&[kind; 3]).await;
        let planned = plan(&world, 0, LeaveStep::Drain).await;
        assert_eq!((planned.objects, planned.bytes, planned.at_risk), (30, 435_000, 0), "{kind:?}");
        assert_eq!(planned.copies, BTreeMap::from([(name(2), Owed { objects: 30, bytes: 435_000 })]));
        let now = plan(&world, 0, LeaveStep::Remove).await;
        assert_eq!((now.at_risk, now.last), (30, 0), "as things stand each would have one copy");
        assert!(matches!(leave(&world, ask(0, LeaveStep::Remove)).await, Err(LeaveError::AtRisk { at_risk: 30, .. })));
        assert_eq!(world.engine.status().await.stores[0].leaving, None, "refused, nothing has changed");

        world.engine.start_workers();
        puppets[2].set(Mood::Well);
        let drained = leave(&world, ask(0, LeaveStep::Drain)).await.unwrap();
        assert!(drained.done, "{kind:?}");
        for (key, entry) in entries(&world).await {
            assert!(entry.holders.contains_key(&name(1)) && entry.holders.contains_key(&name(2)), "{kind:?} {key}");
        }
        world.put("new", b"new").await.unwrap();
        world.put("k01", b"overwritten").await.unwrap();
        world.delete("k02").await.unwrap();
        world.settle().await;
        let there = world.on_store(0).await;
        assert!(!there.contains(&"new".to_owned()), "{kind:?}: it gets nothing new");
        assert!(!there.contains(&"k02".to_owned()), "{kind:?}: and is told of deletes");

        let removed = leave(&world, ask(0, LeaveStep::Remove)).await.unwrap();
        assert_eq!((removed.at_risk, removed.done), (0, true), "{kind:?}");
        for (key, entry) in entries(&world).await {
            assert_eq!(holders(&entry), "s1 s2", "{kind:?} {key}");
        }
        assert_eq!(world.ledger.debt_totals(&name(0)).await.unwrap().objects, 0);
        assert_eq!(world.ledger.marks_count(&name(0)).await.unwrap(), 0);
        assert!(world.on_store(0).await.contains(&"k00".to_owned()), "{kind:?}: its objects stay on it");
        assert_eq!(world.engine.status().await.stores[0].leaving, Some(Departure::Removed));
        world.stores[0].empty();
        puppets[0].set(Mood::Refuse);
        for i in 3..30 {
            assert!(world.get(&format!("k{i:02}")).await.unwrap() == bytes(1000 * i, i as u8)[..], "{kind:?}");
        }
        assert_eq!(world.get("k01").await.unwrap(), b"overwritten"[..]);
        world.delete("k03").await.unwrap();
        world.put("k04", b"after").await.unwrap();
        world.settle().await;
        // Said again, it changes nothing.
        let again = leave(&world, ask(0, LeaveStep::Remove)).await.unwrap();
        assert_eq!((again.objects, again.done), (0, true));
        world.engine.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn nobody_goes_below_the_floor_without_saying_the_number() {
    let world = World::new(&[MemoryTraits::B; 2]).await;
    world.engine.start_workers();
    for i in 0..7 {
        world.put(&format!("k{i}"), b"body").await.unwrap();
    }
    world.settle().await;
    for step in [LeaveStep::Drain, LeaveStep::Remove] {
        let planned = plan(&world, 1, step).await;
        assert_eq!((planned.objects, planned.at_risk, planned.last), (7, 7, 0));
        assert_eq!(planned.lowered, ["the bucket photos: 1 instead of 2", "new buckets: 1 instead of 2"]);
        for wrong in [None, Some(6), Some(8)] {
            let refused = leave(&world, LeaveAsk { accept_risk: wrong, ..ask(1, step) }).await;
            assert!(matches!(refused, Err(LeaveError::AtRisk { at_risk: 7, .. })), "{wrong:?}");
        }
    }
    world.put("k7", b"body").await.unwrap();
    world.settle().await;
    assert_eq!(world.on_store(1).await.len(), 8, "refused, it is used as before");

    let accepted = LeaveAsk { accept_risk: Some(8), ..ask(1, LeaveStep::Remove) };
    assert!(leave(&world, accepted).await.unwrap().done);
    let written = world.put("k8", b"body").await.unwrap();
    assert_eq!(written.places, ["s0"], "what was accepted: one copy is all there can be");
    for (key, entry) in entries(&world).await {
        assert_eq!(holders(&entry), "s0", "{key}");
    }
    for step in [LeaveStep::Drain, LeaveStep::Remove] {
        let only = leave(&world, LeaveAsk { accept_risk: Some(9), ..ask(0, step) }).await;
        assert!(matches!(only, Err(LeaveError::Only { .. })), "somebody must hold the bucket");
    }
    world.engine.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_store_that_dies_half_way_is_waited_for_and_what_it_lacks_keeps_the_other() {
    let (world, puppets, _) = written_without_s2(&[MemoryTraits::B; 3]).await;
    world.engine.start_workers();
    let (progress, mut lines) = mpsc::channel(16);
    let engine = world.engine.clone();
    let draining = tokio::spawn(async move { engine.leave(ask(0, LeaveStep::Drain), progress).await });
    for _ in 0..20 {
        lines.recv().await.expect("it tells how far it is");
    }
    assert!(!draining.is_finished(), "who is to get the copies is away");
    assert!(matches!(leave(&world, ask(1, LeaveStep::Drain)).await, Err(LeaveError::Running)), "one at a time");
    assert!(matches!(
        leave(&world, LeaveAsk { dry_run: true, ..ask(0, LeaveStep::Remove) }).await.map(|plan| plan.at_risk),
        Ok(30)
    ));
    assert_eq!(world.put("meanwhile", b"new").await.unwrap().places, ["s1", "spool"], "it gets nothing new");
    puppets[2].set(Mood::Well);
    let listen = tokio::spawn(async move { while lines.recv().await.is_some() {} });
    assert!(draining.await.unwrap().unwrap().done);
    listen.await.unwrap();
    world.settle().await;
    assert_eq!(world.on_store(2).await.len(), 31);
    world.engine.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_process_that_dies_half_way_goes_on_by_itself() {
    let (world, _, _) = written_without_s2(&[MemoryTraits::B; 3]).await;
    // Nobody listens: it is begun, and not waited for.
    let (progress, lines) = mpsc::channel(1);
    drop(lines);
    let begun = world.engine.leave(ask(0, LeaveStep::Drain), progress).await.unwrap();
    assert!(!begun.done);
    // What was owed before the process died is lost with a damaged journal, say: it is found again.
    for (key, entry) in world.ledger.entries(&bucket(), None, 100).await.unwrap() {
        world
            .ledger
            .commit(vec![Change::Settle { store: name(2), bucket: bucket(), key, seq: entry.seq }])
            .await
            .unwrap();
    }
    let world = reopened(world, 3_600_000).await;
    world.engine.start_workers();
    world.put("new", b"new").await.unwrap();
    tokio::time::sleep(Duration::from_secs(60)).await;
    world.settle().await;
    for (key, entry) in entries(&world).await {
        assert!(entry.holders.contains_key(&name(1)) && entry.holders.contains_key(&name(2)), "{key}");
    }
    assert!(!world.on_store(0).await.contains(&"new".to_owned()), "it was not forgotten");
    assert!(leave(&world, ask(0, LeaveStep::Drain)).await.unwrap().done);
    assert!(leave(&world, ask(0, LeaveStep::Remove)).await.unwrap().done);
    world.engine.stop().await;
}

/// Killed while a store that is used again is being owed what it lacks: the next process owes it the rest.
#[tokio::test(start_paused = true)]
async fn a_return_that_dies_half_way_goes_on_by_itself() {
    let world = World::new(&[MemoryTraits::B; 3]).await;
    for i in 0..10 {
        world.put(&format!("k{i}"), b"body").await.unwrap();
    }
    world.engine.start_workers();
    world.settle().await;
    assert!(leave(&world, ask(0, LeaveStep::Drain)).await.unwrap().done);
    assert!(leave(&world, ask(0, LeaveStep::Remove)).await.unwrap().done);
    world.engine.stop().await;
    let world = reopened(world, 3_600_000).await;
    assert!(leave(&world, ask(0, LeaveStep::Undo)).await.unwrap().done);
    assert_eq!(world.ledger.fact("store.s0.returning").await.unwrap(), None, "all of it is owed");
    // As it was in the middle: its first step is durable, and not one debt.
    for (key, entry) in entries(&world).await {
        let (store, bucket, key) = (name(0), bucket(), support::key(&key));
        world.ledger.commit(vec![Change::Settle { store, bucket, key, seq: entry.seq }]).await.unwrap();
    }
    let begun = Change::SetFact { name: "store.s0.returning".into(), value: "true".into() };
    world.ledger.commit(vec![begun]).await.unwrap();
    let world = reopened(world, 7_200_000).await;
    world.engine.start_workers();
    tokio::time::sleep(Duration::from_secs(60)).await;
    world.settle().await;
    for (key, entry) in entries(&world).await {
        assert_eq!(holders(&entry), "s0 s1 s2", "{key}");
    }
    assert_eq!(world.ledger.fact("store.s0.returning").await.unwrap(), None);
    world.engine.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_lost_store_is_removed_without_being_asked() {
    let (world, puppets, _) = written_without_s2(&[MemoryTraits::B; 3]).await;
    puppets[0].set(Mood::Refuse);
    puppets[2].set(Mood::Well);
    world.engine.start_workers();
    world.settle().await;
    // s2 has caught up from s1; what is owed to s0 meanwhile will never be paid.
    let removed = leave(&world, ask(0, LeaveStep::Remove)).await.unwrap();
    assert_eq!((removed.objects, removed.at_risk, removed.done), (30, 0, true));
    world.delete("k00").await.unwrap();
    world.put("k01", b"two").await.unwrap();
    world.settle().await;
    for (key, entry) in entries(&world).await {
        assert_eq!(holders(&entry), "s1 s2", "{key}");
    }
    world.engine.stop().await;
}

#[tokio::test(start_paused = true)]
async fn the_only_copies_go_by_their_number_alone() {
    let (world, puppets, _) = puppets(&[MemoryTraits::B; 3]).await;
    for i in 0..4 {
        world.put(&format!("k{i}"), b"body").await.unwrap();
    }
    world.engine.start_workers();
    world.settle().await;
    // Three of them are lost on the others, which have noticed.
    for i in [1, 2] {
        for at in ["k0", "k1", "k2"] {
            world.stores[i].lose(&At::new("photos", at));
        }
    }
    puppets[0].set(Mood::Refuse);
    for i in [1, 2] {
        world.engine.scrub(&name(i), &bucket()).await.unwrap();
    }
    tokio::time::sleep(Duration::from_secs(30)).await;
    let planned = plan(&world, 0, LeaveStep::Remove).await;
    assert_eq!((planned.objects, planned.at_risk, planned.last), (4, 3, 3));
    let refused = leave(&world, ask(0, LeaveStep::Remove)).await;
    assert!(matches!(refused, Err(LeaveError::AtRisk { at_risk: 3, last: 3 })));
    let accepted = LeaveAsk { accept_risk: Some(3), ..ask(0, LeaveStep::Remove) };
    assert!(leave(&world, accepted).await.unwrap().done);
    assert_eq!(world.get("k3").await.unwrap(), b"body"[..]);
    world.engine.stop().await;
}

#[tokio::test(start_paused = true)]
async fn taken_back_it_becomes_what_the_others_are() {
    for kind in KINDS {
        let world = World::new(&[kind; 3]).await;
        world.engine.start_workers();
        for i in 0..10 {
            world.put(&format!("k{i}"), b"one").await.unwrap();
        }
        world.settle().await;
        assert!(leave(&world, ask(0, LeaveStep::Drain)).await.unwrap().done);
        assert!(leave(&world, ask(0, LeaveStep::Remove)).await.unwrap().done);
        world.put("k1", b"two").await.unwrap();
        world.put("new", b"new").await.unwrap();
        world.delete("k2").await.unwrap();
        world.settle().await;
        assert!(leave(&world, ask(0, LeaveStep::Undo)).await.unwrap().done);
        assert_eq!(world.engine.status().await.stores[0].leaving, None);
        world.settle().await;
        // A key that was deleted meanwhile, and whose tombstone may be gone: scrub finds it.
        world.engine.scrub(&name(0), &bucket()).await.unwrap();
        world.settle().await;
        assert_eq!(world.on_store(0).await, world.list().await, "{kind:?}");
        for (key, entry) in entries(&world).await {
            assert_eq!(holders(&entry), "s0 s1 s2", "{kind:?} {key}");
        }
        let found = world.stores[0].head(&At::new("photos", "k1"), None).await.unwrap();
        assert_eq!(
            found.dress.stamp.unwrap().write,
            world.ledger.entry(&bucket(), &key("k1")).await.unwrap().unwrap().write
        );
        world.engine.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn writers_do_not_notice_that_a_store_goes() {
    let world = Arc::new(World::new(&[MemoryTraits::B; 3]).await);
    world.engine.start_workers();
    for i in 0..100 {
        world.put(&format!("k{i:02}"), &bytes(500, i as u8)).await.unwrap();
    }
    let other = world.clone();
    let writing = tokio::spawn(async move {
        let mut last: BTreeMap<String, Option<Vec<u8>>> = BTreeMap::new();
        for i in 0..400_usize {
            let key = format!("k{:02}", (i * 37) % 100);
            if i % 7 == 3 {
                other.delete(&key).await.unwrap();
                last.insert(key, None);
            } else {
                let body = format!("body {i}").into_bytes();
                other.put(&key, &body).await.unwrap();
                last.insert(key, Some(body));
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        last
    });
    assert!(leave(&world, ask(1, LeaveStep::Drain)).await.unwrap().done);
    assert!(leave(&world, ask(1, LeaveStep::Remove)).await.unwrap().done);
    assert!(!writing.is_finished(), "all of it happened under load");
    let last = writing.await.unwrap();
    world.settle().await;
    world.stores[1].empty();
    for (key, body) in &last {
        match body {
            Some(body) => assert_eq!(world.get(key).await.unwrap(), body[..], "{key}"),
            None => assert!(matches!(world.get(key).await, Err(ReadError::NoKey)), "{key}"),
        }
    }
    let held: BTreeSet<String> = entries(&world).await.iter().map(|(_, entry)| holders(entry)).collect();
    assert_eq!(held, BTreeSet::from(["s0 s2".to_owned()]));
    world.engine.stop().await;
}

/// What makes a delete durable must not go with the store that leaves.
#[tokio::test(start_paused = true)]
async fn tombstone_records_stand_on_the_others_too() {
    let (world, puppets, _) = written_without_s2(&[MemoryTraits::B; 3]).await;
    world.delete("k00").await.unwrap();
    let tombs = async |i: usize| world.stores[i].list("photos", ".outlast/tomb/", None).await.unwrap().copies;
    assert_eq!((tombs(0).await.len(), tombs(1).await.len(), tombs(2).await.len()), (1, 1, 0));
    puppets[2].set(Mood::Well);
    world.engine.start_workers();
    world.settle().await;
    assert!(leave(&world, ask(0, LeaveStep::Drain)).await.unwrap().done);
    let bytes_of = |i: usize, key: &str| world.stores[i].lying(&At::new("photos", key))[0].bytes.clone();
    let record = tombs(2).await.pop().expect("written again").key;
    assert_eq!(bytes_of(2, &record), bytes_of(1, &record), "and it says the same");
    world.engine.stop().await;
}
