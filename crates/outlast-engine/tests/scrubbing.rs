//! Listing scrub on its own: once a day, whatever became of the process meanwhile.

mod support;

use outlast_engine::*;
use outlast_ledger::{Durability, Embedded, Ledger, Mode};
use outlast_store::{At, MemoryTraits, Store};
use std::sync::Arc;
use std::time::Duration;
use support::{START, World, bucket, bytes, name};

const HOUR: Duration = Duration::from_secs(3600);

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

    let setup = |store: &Arc<outlast_store::MemoryStore>| StoreSetup {
        store: store.clone() as Arc<dyn Store>,
        names: NativeNames::default(),
        settle_ms: 900_000,
        read_cost: 0.0,
    };
    let setups = world.stores.iter().enumerate().map(|(i, store)| (name(i), setup(store))).collect();
    let clock = Arc::new(TokioClock::new(START.plus_ms(15 * 3_600_000)));
    let ledger = Arc::new(Embedded::open_with(world.dir.path(), Mode::Inline, Durability::Process).unwrap());
    let engine = Engine::open(world.settings.clone(), clock, ledger, setups).await.unwrap();
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
