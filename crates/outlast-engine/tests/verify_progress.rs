//! How far a `verify` is: it is told within one large object, and what is missing counts as looked at.

mod support;

use outlast_engine::Progress;
use outlast_store::{At, Class, Faulty, MemoryTraits, Setting, Store, Switch, Trouble};
use std::sync::Arc;
use std::time::Duration;
use support::{World, bucket, bytes};
use tokio::sync::mpsc;

const LARGE: usize = 8 << 20;

#[tokio::test(start_paused = true)]
async fn within_a_large_object_and_over_missing_ones() {
    let switch = Arc::new(Switch::default());
    let wrap = |store| -> Arc<dyn Store> { Arc::new(Faulty::new(store, switch.clone())) };
    let world = World::with(&[MemoryTraits::B; 2], |_| {}, wrap).await;
    world.put("large", &bytes(LARGE, 1)).await.unwrap();
    for at in ["missing-1", "missing-2"] {
        world.put(at, b"cat").await.unwrap();
        let at = At { bucket: "photos".to_owned(), key: at.to_owned() };
        world.stores[1].delete(&at, None, None).await.unwrap();
    }
    let slow = Trouble::Slow { before: Duration::ZERO, after: Duration::ZERO, bytes_per_second: Some(1 << 20) };
    switch.set(Setting::on(&[Class::Get], slow));
    let (sender, mut told) = mpsc::channel(1_000);
    let report = world.engine.verify(&bucket(), true, sender).await.unwrap();
    assert_eq!(report.stores["s1"].missing, 2, "{report:?}");
    let mut of_s1: Vec<Progress> = Vec::new();
    while let Some(progress) = told.recv().await {
        if progress.store == "s1" {
            of_s1.push(progress);
        }
    }
    // Eight seconds, told five times a second or once for each piece that comes.
    let within: Vec<u64> = of_s1.iter().filter(|at| at.objects == 0).map(|at| at.bytes).collect();
    assert!(within.len() >= 7 && within.is_sorted(), "{of_s1:?}");
    let last = of_s1.last().expect("it ends with a word");
    assert_eq!((last.objects, last.of_objects), (3, 3), "{last:?}");
    assert_eq!((last.bytes, last.of_bytes), (LARGE as u64 + 6, LARGE as u64 + 6), "{last:?}");
}
