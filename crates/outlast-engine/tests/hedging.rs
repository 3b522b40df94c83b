//! A second store is asked while the first is silent longer than usual: within a budget, never when all are slow, and what is
//! learnt by it moves the next reads away (protocol.md 3.3).

mod support;

use outlast_store::{Apply, Class, Faulty, MemoryStore, MemoryTraits, Setting, Store, Switch, Trouble};
use std::sync::Arc;
use std::time::Duration;
use support::{World, bytes, name};
use tokio::time::Instant;

const USUAL: Duration = Duration::from_millis(20);
/// Within the hard deadline of a store that usually takes 20 ms.
const SLOW: Duration = Duration::from_millis(200);

fn reads(trouble: Trouble) -> Setting {
    Setting::on(&[Class::Head, Class::Get], trouble)
}

/// Three stores that hold everything and answer reads in 20 ms; what the first takes is known.
async fn learnt() -> (World, [Arc<Switch>; 3]) {
    let switches: [Arc<Switch>; 3] = Default::default();
    let wrap = |store: Arc<MemoryStore>| -> Arc<dyn Store> {
        let nth = (0..3).find(|nth| store.name() == &name(*nth)).expect("one of three");
        Arc::new(Faulty::new(store, switches[nth].clone()))
    };
    let world = World::with_memory(&[MemoryTraits::B; 3], |_| {}, wrap).await;
    for switch in &switches {
        switch.set(reads(Trouble::delay(USUAL)));
    }
    world.engine.start_workers();
    world.put("k", &bytes(5_000, 1)).await.unwrap();
    world.settle().await;
    for _ in 0..160 {
        read(&world).await;
    }
    assert_eq!(counted(&world, "reads_hedged").await, 0, "nobody is asked twice for what comes as usual");
    (world, switches)
}

/// How long it took.
async fn read(world: &World) -> Duration {
    let began = Instant::now();
    assert_eq!(world.get("k").await.unwrap(), bytes(5_000, 1)[..]);
    began.elapsed()
}

async fn counted(world: &World, what: &str) -> u64 {
    world.engine.status().await.counters[what]
}

#[tokio::test(start_paused = true)]
async fn readers_hardly_notice_that_a_store_turns_slow() {
    let (world, switches) = learnt().await;
    switches[0].set(reads(Trouble::delay(SLOW)));
    let mut longest = Duration::ZERO;
    for _ in 0..60 {
        longest = longest.max(read(&world).await);
        // Long enough for the slow answer to be learnt from.
        tokio::time::sleep(SLOW).await;
    }
    assert!(longest < 3 * USUAL, "{longest:?}");
    let (hedged, won) = (counted(&world, "reads_hedged").await, counted(&world, "hedges_won").await);
    assert!((3..=10).contains(&hedged), "{hedged}: until its slowness is known, and not after");
    assert_eq!(won, hedged);
    world.engine.stop().await;
}

#[tokio::test(start_paused = true)]
async fn nobody_asks_twice_when_all_are_slow() {
    let (world, switches) = learnt().await;
    for switch in &switches {
        switch.set(reads(Trouble::delay(SLOW)));
    }
    for _ in 0..60 {
        read(&world).await;
    }
    let hedged = counted(&world, "reads_hedged").await;
    assert!(
        (1..=4).contains(&hedged),
        "{hedged}: until it is known of each store, where the budget would allow thirteen"
    );
    world.engine.stop().await;
}

/// Silence of a store is learnt of although its readers got their bytes elsewhere.
#[tokio::test(start_paused = true)]
async fn a_silent_store_goes_down_beside_its_hedges() {
    let (world, switches) = learnt().await;
    switches[0].set(Setting::all(Trouble::Hang(Apply::Never)));
    let mut longest = Duration::ZERO;
    for _ in 0..10 {
        longest = longest.max(read(&world).await);
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    assert!(longest < 3 * USUAL, "{longest:?}");
    let status = world.engine.status().await;
    assert_eq!(status.stores[0].standing, "down", "{:?}", status.stores[0]);
    world.engine.stop().await;
}

/// A hundred readers at once: ten of them are helped, and the stores see no storm.
#[tokio::test(start_paused = true)]
async fn the_budget_bounds_a_burst() {
    let (world, switches) = learnt().await;
    let world = Arc::new(world);
    switches[0].set(reads(Trouble::delay(SLOW)));
    let readers: Vec<_> = (0..100)
        .map(|_| {
            let world = world.clone();
            tokio::spawn(async move { read(&world).await })
        })
        .collect();
    let mut quick = 0;
    for reader in readers {
        quick += u64::from(reader.await.unwrap() < SLOW);
    }
    let hedged = counted(&world, "reads_hedged").await;
    assert_eq!((hedged, quick), (10, 10));
    world.engine.stop().await;
}
