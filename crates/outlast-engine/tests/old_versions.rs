//! Native versions that nothing in the ledger names any more go again, once a day; what somebody may still want stays.

mod support;

use outlast_ledger::{Change, Ledger};
use outlast_rules::Undelete;
use outlast_store::{At, Body, Class, Fault, Faulty, MemoryTraits, PutSpec, Setting, Store, Switch, Trouble};
use std::sync::Arc;
use std::time::Duration;
use support::{World, bucket, key, name};
use tokio::time::sleep;

const HOUR: Duration = Duration::from_secs(3600);
const KINDS: [MemoryTraits; 3] = [MemoryTraits::A, MemoryTraits::A, MemoryTraits::B];

async fn world(undelete_days: u64) -> World {
    world_that_keeps(Undelete { window_ms: undelete_days * 24 * 3_600_000, overwrites: true }).await
}

async fn world_that_keeps(undelete: Undelete) -> World {
    World::with(&KINDS, |settings| settings.undelete_default = undelete, |store| store).await
}

/// The bytes of every version under a key, oldest first.
fn versions(world: &World, store: usize, at: &str) -> Vec<String> {
    let lying = world.stores[store].lying(&At::new("photos", at));
    lying.iter().map(|one| String::from_utf8_lossy(&one.bytes).into_owned()).collect()
}

async fn swept(world: &World, store: usize) -> u64 {
    world.engine.scrub(&name(store), &bucket()).await.unwrap().old_versions
}

/// Two overwrites, a late call of the first write, and a version of somebody else, on the first store.
async fn written_over(world: &World) {
    let at = At::new("photos", "k");
    world.put("k", b"one").await.unwrap();
    let one = world.stores[0].lying(&at).remove(0);
    let late = PutSpec { dress: one.found.dress, ..PutSpec::default() };
    world.stores[0].put(&at, &late, Body::Whole(one.bytes)).await.unwrap();
    world.put("k", b"two").await.unwrap();
    world.stores[0].put(&at, &PutSpec::default(), Body::Whole("not ours".into())).await.unwrap();
    world.put("k", b"three").await.unwrap();
    assert_eq!(versions(world, 0, "k"), ["one", "one", "two", "not ours", "three"]);
    assert_eq!(versions(world, 1, "k"), ["one", "two", "three"]);
}

#[tokio::test(start_paused = true)]
async fn what_nothing_names_goes_and_what_is_not_ours_stays() {
    let world = world(0).await;
    written_over(&world).await;
    assert_eq!(swept(&world, 0).await, 0, "a read may still be at the old version");
    sleep(25 * HOUR).await;
    world.engine.freeze().await.unwrap();
    assert_eq!(swept(&world, 0).await, 0, "frozen, nothing is removed");
    world.engine.thaw().await.unwrap();
    assert_eq!(swept(&world, 0).await, 3);
    assert_eq!(versions(&world, 0, "k"), ["not ours", "three"]);
    assert_eq!((swept(&world, 1).await, swept(&world, 2).await), (2, 0));
    assert_eq!(versions(&world, 1, "k"), ["three"]);
    assert_eq!(world.get("k").await.unwrap(), "three");
    assert_eq!(swept(&world, 0).await, 0);
    world.engine.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_can_still_be_brought_back_stays() {
    let world = world(7).await;
    written_over(&world).await;
    sleep(25 * HOUR).await;
    for store in 0..3 {
        assert_eq!(swept(&world, store).await, 0);
    }
    assert_eq!(versions(&world, 1, "k"), ["one", "two", "three"]);
    world.engine.stop().await;
}

/// The entry stands on one store alone: the older bytes are the better half of what there is.
#[tokio::test(start_paused = true)]
async fn while_the_entry_is_not_safe_nothing_goes() {
    let world = world(0).await;
    written_over(&world).await;
    sleep(25 * HOUR).await;
    let write = world.ledger.entry(&bucket(), &key("k")).await.unwrap().unwrap().write;
    for store in [1, 2].map(name) {
        let gone = Change::NotHolder { bucket: bucket(), key: key("k"), store, write };
        world.ledger.commit(vec![gone]).await.unwrap();
    }
    assert_eq!(swept(&world, 0).await, 0);
    assert_eq!(versions(&world, 0, "k").len(), 5);
    world.engine.stop().await;
}

/// By the gateway itself: overwritten and deleted keys leave nothing on a store that keeps versions.
#[tokio::test(start_paused = true)]
async fn a_day_or_two_later_it_is_done() {
    let world = world(0).await;
    world.engine.start_workers();
    for at in ["k", "gone"] {
        for body in [&b"one"[..], b"two"] {
            world.put(at, body).await.unwrap();
        }
    }
    world.delete("gone").await.unwrap();
    sleep(60 * HOUR).await;
    for store in [0, 1] {
        assert_eq!(versions(&world, store, "k"), ["two"]);
        assert_eq!(versions(&world, store, "gone"), [""; 0]);
    }
    world.engine.stop().await;
}

/// Overwritten twice a day: what has been below another version for a day goes, however young the entry is.
#[tokio::test(start_paused = true)]
async fn a_key_that_is_never_left_alone_is_cleaned_too() {
    let world = world(0).await;
    for body in ["one", "two", "three", "four", "five"] {
        world.put("k", body.as_bytes()).await.unwrap();
        sleep(12 * HOUR + HOUR / 2).await;
    }
    assert_eq!(swept(&world, 0).await, 3);
    assert_eq!(versions(&world, 0, "k"), ["four", "five"]);
    world.engine.stop().await;
}

/// A version that may not be looked at, or not be deleted, ends no pass.
#[tokio::test(start_paused = true)]
async fn a_right_that_is_missing_ends_no_pass() {
    let switch = Arc::new(Switch::default());
    let undelete = Undelete { window_ms: 0, overwrites: true };
    let wrap = |store: Arc<dyn Store>| -> Arc<dyn Store> {
        if store.name() == &name(0) { Arc::new(Faulty::new(store, switch.clone())) } else { store }
    };
    let world = World::with(&KINDS, |settings| settings.undelete_default = undelete, wrap).await;
    written_over(&world).await;
    sleep(25 * HOUR).await;
    let denied = Trouble::Answer { fault: Fault::Denied, status: 403, code: "AccessDenied".into() };
    for class in [Class::Head, Class::Delete] {
        switch.set(Setting::on(&[class], denied.clone()));
        let found = world.engine.scrub(&name(0), &bucket()).await.unwrap();
        assert_eq!((found.alike, found.old_versions), (1, 0), "{class:?}");
        switch.clear();
    }
    assert_eq!(swept(&world, 0).await, 3);
    world.engine.stop().await;
}

/// Overwrites are not kept here, so no row of the trash names their versions: the window holds all the same (protocol.md 6).
#[tokio::test(start_paused = true)]
async fn nothing_goes_before_the_undelete_window_is_over() {
    let world = world_that_keeps(Undelete { window_ms: 3 * 24 * 3_600_000, overwrites: false }).await;
    written_over(&world).await;
    sleep(71 * HOUR).await;
    assert_eq!(swept(&world, 0).await, 0);
    sleep(2 * HOUR).await;
    assert_eq!(swept(&world, 0).await, 3);
    world.engine.stop().await;
}
