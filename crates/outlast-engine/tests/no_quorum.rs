//! A write that finds too few places says why: of each store, and of the spool where that would have been the place.

mod support;

use outlast_engine::*;
use outlast_store::MemoryTraits;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use support::World;
use support::puppet::{Mood, Puppet};
use tokio::time::{Instant, sleep};

const B2: [MemoryTraits; 2] = [MemoryTraits::B; 2];

async fn world(change: impl FnOnce(&mut EngineSettings)) -> (World, Vec<Arc<Puppet>>) {
    let puppets = Mutex::new(Vec::new());
    let wrap = |store| {
        let puppet = Puppet::new(store);
        puppets.lock().unwrap().push(puppet.clone());
        puppet.seen_by(Arc::new(true.into()))
    };
    let world = World::with_memory(&B2, change, wrap).await;
    (world, puppets.into_inner().unwrap())
}

async fn refused(world: &World) -> String {
    match world.put("k", b"cat").await {
        Err(WriteError::NoQuorum(words)) => words,
        other => panic!("one of two stores took it: {other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_full_spool_is_named() {
    let (world, puppets) = world(|settings| settings.spool_max = 2).await;
    puppets[1].set(Mood::Refuse);
    let words = refused(&world).await;
    assert!(words.contains("s0 has it; s1: ConnectRefused"), "{words}");
    assert!(words.ends_with("; the spool is full, 0 of its 2 bytes are used"), "{words}");
    puppets[1].set(Mood::Well);
    world.put("k", b"cat").await.expect("two stores need no spool");
}

#[tokio::test(start_paused = true)]
async fn a_spool_that_is_off_is_named() {
    let (world, puppets) = world(|settings| settings.defaults.spool_counts = false).await;
    puppets[1].set(Mood::Refuse);
    let words = refused(&world).await;
    assert!(words.ends_with("; the spool is off for this bucket, spool_counts = false"), "{words}");
}

#[tokio::test(start_paused = true)]
async fn a_spool_whose_folder_is_gone_is_named() {
    let (world, puppets) = world(|_| {}).await;
    puppets[1].set(Mood::Refuse);
    world.put("k", b"cat").await.expect("the spool stands in");
    std::fs::remove_dir_all(world.dir.path().join("spool")).unwrap();
    let words = refused(&world).await;
    assert!(words.contains("; the spool could not keep it: "), "{words}");
}

/// The spool stands for one store: where two are missing, it is not to blame.
#[tokio::test(start_paused = true)]
async fn a_spool_that_would_not_have_been_enough_is_not_named() {
    let (world, puppets) = world(|settings| settings.spool_max = 2).await;
    puppets.iter().for_each(|puppet| puppet.set(Mood::Refuse));
    let words = refused(&world).await;
    assert!(words.contains("; s1 ") && !words.contains("spool"), "{words}");
}

/// Nobody waits for a store of which it is known that it does not answer.
const AT_ONCE: Duration = Duration::from_millis(100);

async fn until_down(world: &World, stores: &[usize]) {
    let began = Instant::now();
    loop {
        let told = world.engine.status().await.stores;
        // Each class of calls has a standing of its own.
        if stores.iter().all(|i| told[*i].classes.values().all(|(standing, _)| standing == "down")) {
            return;
        }
        assert!(began.elapsed() < Duration::from_secs(300), "nobody notices: {told:?}");
        sleep(Duration::from_millis(250)).await;
    }
}

/// These stores hang and are known to be down; then a PUT is refused at once.
async fn is_said_at_once(change: impl FnOnce(&mut EngineSettings), down: &[usize]) {
    let (world, puppets) = world(change).await;
    world.engine.identify().await.unwrap();
    world.engine.start_workers();
    down.iter().for_each(|i| puppets[*i].set(Mood::Hang));
    until_down(&world, down).await;
    let began = Instant::now();
    let words = refused(&world).await;
    assert!(began.elapsed() < AT_ONCE, "a PUT took {:?}", began.elapsed());
    for i in down {
        assert!(words.contains(&format!("s{i}: accepts and does not answer")), "{words}");
    }
}

#[tokio::test(start_paused = true)]
async fn all_down_is_said_at_once() {
    is_said_at_once(|_| {}, &[0, 1]).await;
}

#[tokio::test(start_paused = true)]
async fn one_down_and_no_spool_is_said_at_once() {
    is_said_at_once(|settings| settings.defaults.spool_counts = false, &[1]).await;
}
