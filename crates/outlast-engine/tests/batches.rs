//! Deletes of many keys at once beside each other.

mod support;

use outlast_engine::WriteError;
use outlast_rules::{Conditions, Key};
use outlast_store::MemoryTraits;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use support::puppet::{Puppet, Trick};
use support::{World, bucket, key};
use tokio::time::{sleep, timeout};

async fn delete(world: &World, keys: [&str; 3]) -> Vec<(Key, Result<(), WriteError>)> {
    let keys = keys.map(|text| (key(text), Conditions::default())).to_vec();
    world.engine.delete_many(bucket(), "app".to_owned(), keys).await
}

/// The lane of the key in the middle is held while both begin: had each of them taken the lane of the key that it names first,
/// each would wait for the other's.
#[tokio::test(start_paused = true)]
async fn two_batches_in_opposite_order_both_end() {
    let puppets = Mutex::new(Vec::new());
    let wrap = |store| {
        let puppet = Puppet::new(store);
        puppets.lock().unwrap().push(puppet.clone());
        puppet.seen_by(Arc::new(true.into()))
    };
    let world = World::with_memory(&[MemoryTraits::B; 2], |_| {}, wrap).await;
    for at in ["a", "m", "z"] {
        world.put(at, b"cat").await.unwrap();
    }
    puppets.into_inner().unwrap().iter().for_each(|puppet| puppet.trick(Trick::Slow));
    let batches = async {
        // The PUT is in its lane by now, for four seconds more.
        sleep(Duration::from_secs(1)).await;
        tokio::join!(delete(&world, ["a", "m", "z"]), delete(&world, ["z", "m", "a"]))
    };
    let all = async { tokio::join!(world.put("m", b"in between"), batches) };
    let (put, (one, other)) = timeout(Duration::from_secs(60), all).await.expect("each waits for the other");
    put.unwrap();
    for (key, done) in one.iter().chain(&other) {
        assert!(done.is_ok(), "{key}: {done:?}");
    }
    assert_eq!((one.len(), other.len()), (3, 3));
    assert!(world.list().await.is_empty(), "the PUT was in its lane before them");
}
