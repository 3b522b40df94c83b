//! An undecided write is finished in the background, and nobody who writes the key anew waits for that.

mod support;

use outlast_engine::EngineSettings;
use outlast_ledger::Ledger;
use outlast_rules::{Displaced, Undelete};
use outlast_store::{At, Class, Faulty, MemoryTraits, Setting, Store, Switch, Trouble};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use support::{World, bucket, bytes, key};
use tokio::time::Instant;

/// Far beyond every deadline of a client.
const SLOW: Duration = Duration::from_secs(3600);

async fn world() -> (World, Vec<Arc<Switch>>) {
    world_of(3, |settings| settings.defaults.spool_counts = false).await
}

async fn world_of(stores: usize, change: impl FnOnce(&mut EngineSettings)) -> (World, Vec<Arc<Switch>>) {
    let switches = Mutex::new(Vec::new());
    let wrap = |store: Arc<dyn Store>| -> Arc<dyn Store> {
        let switch = Arc::new(Switch::default());
        switches.lock().unwrap().push(switch.clone());
        Arc::new(Faulty::new(store, switch))
    };
    let world = World::with(&vec![MemoryTraits::B; stores], change, wrap).await;
    (world, switches.into_inner().unwrap())
}

#[tokio::test(start_paused = true)]
async fn a_client_waits_for_no_copy_of_an_undecided_write() {
    let (world, switches) = world().await;
    world.engine.start_workers();
    world.put("k", &bytes(1000, 1)).await.unwrap();
    world.settle().await;
    for switch in &switches[1..] {
        switch.set(Setting::on(&[Class::Commit], Trouble::Refuse));
    }
    world.put("k", &bytes(1000, 2)).await.unwrap_err();
    assert_eq!(world.ledger.intents(10).await.unwrap().len(), 1, "undecided, on one store");

    // Now it can be finished; one of the stores that lack it takes its time.
    for switch in &switches[1..] {
        switch.clear();
    }
    switches[1].set(Setting::on(&[Class::Commit], Trouble::delay(SLOW)).below("k").times(1));
    // Long enough that both are trusted again, and the copies on their way.
    tokio::time::sleep(Duration::from_secs(300)).await;
    let began = Instant::now();
    let written = world.put("k", &bytes(1000, 3)).await.unwrap();
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    assert_eq!(written.places, ["s0", "s2"], "the third is still busy with the copy");

    tokio::time::sleep(SLOW).await;
    world.settle().await;
    for i in 0..3 {
        assert_eq!(world.on_store(i).await, ["k"]);
    }
    assert!(world.get("k").await.unwrap() == bytes(1000, 3));
}

/// Committed below `min_copies`: the write that it displaced is offered, and what its bytes are judged by is kept with it.
#[tokio::test(start_paused = true)]
async fn a_predecessor_keeps_its_digests() {
    let keep_nothing = |settings: &mut EngineSettings| {
        settings.defaults.spool_counts = false;
        settings.undelete_default = Undelete { window_ms: 0, overwrites: false };
    };
    let (world, switches) = world_of(2, keep_nothing).await;
    world.put("k", &bytes(1000, 1)).await.unwrap();
    let old = world.ledger.entry(&bucket(), &key("k")).await.unwrap().unwrap();
    world.stores[0].lose(&At::new("photos", "k"));
    switches[1].set(Setting::all(Trouble::Refuse));
    world.put("k", &bytes(1000, 2)).await.unwrap_err();
    world.engine.start_workers();
    tokio::time::sleep(Duration::from_secs(60)).await;
    let new = world.ledger.entry(&bucket(), &key("k")).await.unwrap().unwrap();
    assert_eq!(new.predecessors.iter().map(|one| one.write).collect::<Vec<_>>(), [old.write]);
    let rows = world.ledger.trash_of(&bucket(), &key("k")).await.unwrap();
    assert_eq!(rows.iter().map(|row| (row.entry.write, row.why)).collect::<Vec<_>>(), [(old.write, Displaced::Below)]);
    assert!(world.ledger.digests(&bucket(), &key("k"), old.write).await.unwrap().is_some());
    world.engine.stop().await;
}
