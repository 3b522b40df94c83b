//! A store that is full says how much of it is what could still be brought back.

mod support;

use outlast_store::MemoryTraits;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use support::World;
use support::puppet::{Mood, Puppet};
use tokio::time::{Instant, sleep};

#[tokio::test(start_paused = true)]
async fn a_full_store_names_the_trash() {
    let puppets = Mutex::new(Vec::new());
    let wrap = |store| {
        let puppet = Puppet::new(store);
        puppets.lock().unwrap().push(puppet.clone());
        puppet.seen_by(Arc::new(true.into()))
    };
    let world = World::with_memory(&[MemoryTraits::B; 3], |_| {}, wrap).await;
    let puppets = puppets.into_inner().unwrap();
    world.engine.identify().await.unwrap();
    world.engine.start_workers();
    world.put("k", b"twelve bytes").await.unwrap();
    world.settle().await;
    world.delete("k").await.unwrap();
    puppets[2].set(Mood::Full);
    let began = Instant::now();
    let store = loop {
        let store = world.engine.status().await.stores.swap_remove(2);
        if store.standing == "down" {
            break store;
        }
        assert!(began.elapsed() < Duration::from_secs(300), "it is full, and nobody notices: {store:?}");
        sleep(Duration::from_millis(250)).await;
    };
    assert!(store.reason.contains("full"), "{store:?}");
    let help = store.help.expect("somebody can do something");
    assert!(help.contains("make room") && help.contains("holds 1 object of 12 bytes"), "{help}");
    assert!(store.said.expect("it said so").contains(" on s2: "), "the store's own words");
}
