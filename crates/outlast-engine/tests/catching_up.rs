//! A store that returns is filled as fast as its line allows: no debt waits for one that it has nothing to do with.

mod support;

use outlast_ledger::Ledger;
use outlast_store::{Class, Fault, Faulty, MemoryTraits, Setting, Store, Switch, Trouble};
use std::sync::Arc;
use std::time::Duration;
use support::{World, bucket, bytes, name};

/// What one object needs that the line cannot do faster; within the deadline of a call.
const LONG: Duration = Duration::from_secs(5);

/// Three stores; the third refuses everything until it is told otherwise.
async fn without_the_third() -> (World, Arc<Switch>) {
    let switch = Arc::new(Switch::default());
    let third = switch.clone();
    let wrap = |store: Arc<dyn Store>| -> Arc<dyn Store> {
        if store.name() == &name(2) { Arc::new(Faulty::new(store, third.clone())) } else { store }
    };
    let world = World::with(&[MemoryTraits::B; 3], |_| {}, wrap).await;
    switch.set(Setting::all(Trouble::Refuse));
    (world, switch)
}

async fn owed(world: &World) -> u64 {
    world.ledger.debt_totals(&name(2)).await.unwrap().objects
}

/// More debts than wait in memory, and the long one is among the first.
#[tokio::test(start_paused = true)]
async fn a_long_copy_holds_no_other_up() {
    let (world, switch) = without_the_third().await;
    for i in 0..1_500 {
        world.put(&format!("short/{i:04}"), &bytes(100, 2)).await.unwrap();
        if i == 100 {
            world.put("long/film", &bytes(100, 1)).await.unwrap();
        }
    }
    assert_eq!(owed(&world).await, 1_501);
    let slow = Trouble::Slow { before: LONG, after: Duration::ZERO, bytes_per_second: None };
    switch.clear();
    switch.set(Setting::on(&[Class::Commit], slow).below("long/"));
    world.engine.start_workers();
    while owed(&world).await == 1_501 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    tokio::time::sleep(LONG / 2).await;
    assert_eq!(owed(&world).await, 1, "the long one alone is still on its way");
    // Neither does what is owed from now on wait for it.
    switch.set(
        Setting::on(&[Class::Commit], Trouble::ServerError { status: 500, applies: false }).below("later/").times(2),
    );
    world.put("later/letter", &bytes(1_000, 3)).await.unwrap();
    assert_eq!(owed(&world).await, 2);
    tokio::time::sleep(LONG / 4).await;
    assert_eq!(owed(&world).await, 1);
    world.settle().await;
    let shown = world.stores[2].shown("photos");
    assert_eq!(shown.iter().filter(|key| !key.starts_with(".outlast/")).count(), 1_502);
    world.engine.stop().await;
}

/// The third misses a removal, and then says once that there is no such bucket: that is no word on the key, which lies there still.
#[tokio::test(start_paused = true)]
async fn a_bucket_that_is_gone_for_a_moment_settles_no_removal() {
    let (world, switch) = without_the_third().await;
    switch.clear();
    world.put("k", b"one").await.unwrap();
    assert_eq!(world.on_store(2).await, ["k"]);
    let fails = Trouble::ServerError { status: 500, applies: false };
    switch.set(Setting::on(&[Class::Delete], fails).below("k").times(1));
    let gone = Trouble::Answer { fault: Fault::NoBucket, status: 404, code: "NoSuchBucket".into() };
    switch.set(Setting::on(&[Class::Head], gone).below("k").times(1));
    world.delete("k").await.unwrap();
    world.engine.start_workers();
    world.settle().await;
    assert_eq!(world.on_store(2).await, [""; 0]);
    world.engine.stop().await;
}

/// The bucket is deleted meanwhile: the store is still asked for it by itself before a key is taken for gone, and by the call that
/// removes it, whatever its listings say.
#[tokio::test(start_paused = true)]
async fn a_deleted_bucket_that_is_gone_for_a_moment_goes_with_its_keys() {
    let (world, switch) = without_the_third().await;
    switch.clear();
    world.put("k", b"one").await.unwrap();
    assert_eq!(world.on_store(2).await, ["k"]);
    let fails = Trouble::ServerError { status: 500, applies: false };
    switch.set(Setting::on(&[Class::Delete], fails).below("k").times(1));
    switch.set(Setting::on(&Class::READS, Trouble::GONE));
    world.delete("k").await.unwrap();
    world.engine.delete_bucket(bucket()).await.unwrap();
    world.engine.start_workers();
    tokio::time::sleep(Duration::from_secs(60)).await;
    let lies = || world.stores[2].shown("photos").iter().any(|key| key == "k");
    assert!(lies(), "it lies there still, and is said to be gone");
    switch.clear();
    world.settle().await;
    assert!(!lies(), "it was asked for again");
    world.engine.create_bucket(bucket()).await.expect("nothing is left of its former life");
    world.engine.stop().await;
}
