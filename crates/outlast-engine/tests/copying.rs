//! Server-side copies read like any reader: a source that is overwritten meanwhile is copied as it was at one moment.

mod support;

use outlast_engine::*;
use outlast_ledger::{Change, Ledger};
use outlast_rules::{Conditions, Entry, Head, Layout};
use outlast_store::{At, Body, Class, Dress, Faulty, MemoryTraits, PutSpec, Setting, Store, Switch, Trouble};
use std::sync::Arc;
use std::time::Duration;
use support::{World, bucket, bytes, key};

/// Three stores whose reads take longer than their writes: every pin goes stale on its way.
async fn in_motion() -> World {
    let switch = Arc::new(Switch::default());
    switch.set(Setting::on(&[Class::Get], Trouble::delay(Duration::from_millis(10))));
    let wrap = |store: Arc<dyn Store>| -> Arc<dyn Store> { Arc::new(Faulty::new(store, switch.clone())) };
    World::with(&[MemoryTraits::B; 3], |_| {}, wrap).await
}

/// Overwrites `a` until the engine stops, every few milliseconds.
fn overwrite(world: &Arc<World>) -> tokio::task::JoinHandle<()> {
    let world = world.clone();
    tokio::spawn(async move {
        for round in 0..200_u8 {
            world.put("a", &[round; 1_000]).await.unwrap();
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
    })
}

fn copy_ask(to: &str) -> CopyAsk {
    CopyAsk {
        from_bucket: bucket(),
        from_key: key("a"),
        from_conditions: Conditions::default(),
        bucket: bucket(),
        key: key(to),
        head: None,
        conditions: Conditions::default(),
        checksum: None,
    }
}

#[tokio::test(start_paused = true)]
async fn a_source_that_is_overwritten_is_copied_as_it_was_at_one_moment() {
    let world = Arc::new(in_motion().await);
    world.put("a", &bytes(1_000, 0)).await.unwrap();
    let writer = overwrite(&world);
    let head = Head::default();
    let ask = CreateUploadAsk { bucket: bucket(), key: key("parts"), head, checksum: None, composite: None };
    let upload = world.engine.create_upload(ask).await.unwrap();
    let mut number = 0;
    while !writer.is_finished() {
        world.engine.copy(copy_ask("b")).await.unwrap_or_else(|error| panic!("a copy: {error}"));
        let copied = world.get("b").await.unwrap();
        assert!(copied.iter().all(|byte| *byte == copied[0]), "of one write");
        number += 1;
        let part = CopyPartAsk {
            from_bucket: bucket(),
            from_key: key("a"),
            from_conditions: Conditions::default(),
            range: None,
            bucket: bucket(),
            key: key("parts"),
            upload: upload.clone(),
            number,
        };
        world.engine.copy_part(part).await.unwrap_or_else(|error| panic!("a part's copy: {error}"));
    }
    assert!(number > 30, "{number} copies of each kind");
    world.delete("a").await.unwrap();
    let gone = world.engine.copy(copy_ask("b")).await;
    assert!(matches!(&gone, Err(WriteError::Source(fault)) if matches!(**fault, ReadError::NoKey)), "{gone:?}");
    world.engine.stop().await;
}

/// Larger than what is held in memory: in parts to the stores while it is read, under the ETag of one body.
#[tokio::test(start_paused = true)]
async fn a_large_source_is_copied_in_parts() {
    for kind in [MemoryTraits::A, MemoryTraits::B, MemoryTraits::DISK] {
        let world = World::new(&[kind; 3]).await;
        world.engine.start_workers();
        let body = bytes(20 << 20, 7);
        let written = world.put("a", &body).await.unwrap();
        let copied = world.engine.copy(copy_ask("b")).await.unwrap();
        assert_eq!(copied.etag, written.etag, "{kind:?}");
        let entry = world.ledger.entry(&bucket(), &key("b")).await.unwrap().unwrap();
        assert!(matches!(&entry.layout, Layout::Cut(sizes) if sizes.len() == 2), "{kind:?}: {:?}", entry.layout);
        assert!(world.get("b").await.unwrap() == body[..]);
        world.settle().await;
        for i in 0..3 {
            assert_eq!(world.on_store(i).await, ["a", "b"], "{kind:?}: whole, under its plain name, on every store");
        }
        world.engine.stop().await;
    }
}

/// S3's bound, and S3's words.
#[tokio::test(start_paused = true)]
async fn a_source_of_more_than_five_gibibytes_is_refused() {
    let world = World::new(&[MemoryTraits::B; 3]).await;
    world.put("a", b"one").await.unwrap();
    let entry = world.ledger.entry(&bucket(), &key("a")).await.unwrap().unwrap();
    let vast = Entry { size: (5 << 30) + 1, ..entry };
    let set = Change::SetEntry { bucket: bucket(), key: key("a"), entry: Box::new(vast), digests: None };
    world.ledger.commit(vec![set]).await.unwrap();
    let refused = world.engine.copy(copy_ask("b")).await;
    assert!(matches!(refused, Err(WriteError::SourceTooLarge { max: 5_368_709_120 })), "{refused:?}");
    world.engine.stop().await;
}

/// What somebody else put under a key of ours, too large for one copy of the store's own, and under a name that grows
/// too long when it is kept.
#[tokio::test(start_paused = true)]
async fn what_is_not_ours_is_kept_once_however_large_and_however_named() {
    let small = MemoryTraits { copy_bytes_max: 1_000, ..MemoryTraits::B };
    let world = World::new(&[small, MemoryTraits::B, MemoryTraits::B]).await;
    let long = "n".repeat(1_020);
    for at in ["k", &long] {
        world.put(at, b"ours").await.unwrap();
        let spec = PutSpec { dress: Dress::default(), fence: None, md5: None };
        let theirs = Body::Whole(bytes(5_000, 9).into());
        world.stores[0].put(&At::new("photos", at), &spec, theirs).await.unwrap();
        world.put(at, b"ours again").await.unwrap();
    }
    world.engine.start_workers();
    world.settle().await;
    let shown = world.stores[0].shown("photos");
    let kept: Vec<&String> = shown.iter().filter(|key| key.starts_with(".outlast/conflicts/")).collect();
    assert_eq!(kept.len(), 2, "{shown:?}");
    for at in kept {
        assert!(at.len() <= 1_024, "{at}");
        let (_, stream) = world.stores[0].get(&At::new("photos", at.as_str()), None, None).await.unwrap();
        let pieces: Vec<bytes::Bytes> = futures_util::TryStreamExt::try_collect(stream).await.unwrap();
        assert!(pieces.concat() == bytes(5_000, 9), "every byte of it");
    }
    for at in ["k", &long] {
        let (_, stream) = world.stores[0].get(&At::new("photos", at), None, None).await.unwrap();
        let pieces: Vec<bytes::Bytes> = futures_util::TryStreamExt::try_collect(stream).await.unwrap();
        assert_eq!(pieces.concat(), b"ours again");
    }
    world.engine.stop().await;
}
