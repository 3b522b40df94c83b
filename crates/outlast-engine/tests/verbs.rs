//! The verbs on stores that are well: what a client sees, and what then lies on every store.

mod support;

use outlast_engine::*;
use outlast_ledger::Ledger;
use outlast_rules::{Conditions, DebtKind, Refusal, Stamp, WriteId};
use outlast_store::{At, Body, Dress, MemoryTraits, PutSpec, Store};
use support::{World, bucket, bytes, key, name};

const KINDS: [&[MemoryTraits]; 5] = [
    &[MemoryTraits::B, MemoryTraits::B, MemoryTraits::B],
    &[MemoryTraits::A, MemoryTraits::A, MemoryTraits::A],
    &[MemoryTraits::DISK, MemoryTraits::DISK, MemoryTraits::DISK],
    &[MemoryTraits::A, MemoryTraits::B, MemoryTraits::C],
    &[MemoryTraits::C, MemoryTraits::C, MemoryTraits::B_UNIQUE],
];

#[tokio::test(start_paused = true)]
async fn put_get_list_delete() {
    for kinds in KINDS {
        let world = World::new(kinds).await;
        world.engine.start_workers();
        for (at, len) in [("a", 0), ("dir/b", 1), ("dir/c", 70_000), ("ü/d e", 300_000)] {
            let body = bytes(len, 1);
            let written = world.put(at, &body).await.unwrap();
            assert!(written.places.len() >= 2, "{written:?}");
            assert_eq!(world.get(at).await.unwrap(), body, "{at}");
        }
        assert_eq!(world.list().await, ["a", "dir/b", "dir/c", "ü/d e"]);
        let body = bytes(300_000, 1);
        for (range, expected) in [
            (RangeAsk::FromTo(0, 0), &body[0..1]),
            (RangeAsk::FromTo(65_535, 65_536), &body[65_535..65_537]),
            (RangeAsk::FromTo(100, 1_000_000), &body[100..]),
            (RangeAsk::From(299_999), &body[299_999..]),
            (RangeAsk::Last(70_000), &body[230_000..]),
        ] {
            assert_eq!(world.get_range("ü/d e", Some(range)).await.unwrap(), expected, "{range:?}");
        }
        assert!(matches!(world.get_range("a", Some(RangeAsk::From(0))).await, Err(ReadError::Range { size: 0 })));
        world.settle().await;
        for i in 0..kinds.len() {
            assert_eq!(world.on_store(i).await, ["a", "dir/b", "dir/c", "ü/d e"], "store {i} of {kinds:?}");
        }
        world.delete("dir/b").await.unwrap();
        world.delete("never").await.unwrap();
        assert!(matches!(world.get("dir/b").await, Err(ReadError::NoKey)));
        world.settle().await;
        for i in 0..kinds.len() {
            assert_eq!(world.on_store(i).await, ["a", "dir/c", "ü/d e"], "store {i} of {kinds:?}");
        }
        world.engine.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn overwrites_deletes_and_writes_again() {
    for kinds in KINDS {
        let world = World::new(kinds).await;
        world.engine.start_workers();
        for round in 0..30u8 {
            let body = bytes(1000 + usize::from(round), round % 3);
            world.put("k", &body).await.unwrap_or_else(|error| panic!("round {round} {kinds:?}: {error}"));
            assert_eq!(world.get("k").await.unwrap(), body);
            if round % 4 == 3 {
                world.delete("k").await.unwrap_or_else(|error| panic!("round {round} {kinds:?}: {error}"));
                assert!(matches!(world.get("k").await, Err(ReadError::NoKey)));
            }
        }
        world.settle().await;
        assert_eq!(world.engine.status().await.counters["conflicts_kept"], 0, "nothing of ours is foreign: {kinds:?}");
        world.engine.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn sixteen_writers_and_readers_on_one_key() {
    for kinds in KINDS {
        let world = std::sync::Arc::new(World::new(kinds).await);
        world.engine.start_workers();
        world.put("k", b"0").await.unwrap();
        let mut tasks = Vec::new();
        for writer in 0..16u8 {
            let world = world.clone();
            tasks.push(tokio::spawn(async move {
                for round in 0..10u8 {
                    let body = vec![writer; 1 + usize::from(round)];
                    world.put("k", &body).await.unwrap_or_else(|error| panic!("writer {writer}: {error}"));
                    let read = world.get("k").await.unwrap_or_else(|error| panic!("reader {writer}: {error}"));
                    assert!(read.windows(2).all(|pair| pair[0] == pair[1]), "a body is of one write");
                }
            }));
        }
        for task in tasks {
            task.await.unwrap();
        }
        world.settle().await;
        world.engine.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn conditions_are_judged_by_the_ledger() {
    let world = World::new(KINDS[0]).await;
    let absent = Conditions { if_none_match: Some("*".into()), ..Conditions::default() };
    let first = world.put_if("k", b"1", absent.clone()).await.unwrap();
    let again = world.put_if("k", b"2", absent).await;
    assert!(matches!(again, Err(WriteError::Refused(Refusal::PreconditionFailed))));
    let matching = |etag: &str| Conditions { if_match: Some(format!("\"{etag}\"")), ..Conditions::default() };
    let second = world.put_if("k", b"2", matching(&first.etag)).await.unwrap();
    assert!(world.put_if("k", b"3", matching(&first.etag)).await.is_err());
    assert!(matches!(world.put_if("other", b"3", matching("x")).await, Err(WriteError::NoKey)));
    assert_eq!(world.get("k").await.unwrap(), "2");
    assert_eq!(second.etag, "c81e728d9d4c2f636f067f89cc14862c", "MD5 of the body, as S3 makes it");
}

/// Elsewhere than on pinned stores a pin is the ETag and the stamp: the same bytes of another write are not the copy that the
/// entry names, and are looked into.
#[tokio::test(start_paused = true)]
async fn a_copy_with_the_right_bytes_and_another_stamp_is_not_read() {
    let world = World::new(&[MemoryTraits::B; 3]).await;
    world.put("k", b"same").await.unwrap();
    let at = At::new("photos", "k");
    let found = world.stores[0].head(&at, None).await.unwrap();
    let stamp = found.dress.stamp.unwrap();
    let other = Stamp { write: WriteId(stamp.write.0 ^ 1), ..stamp };
    let spec = PutSpec { dress: Dress { stamp: Some(other), head: found.dress.head }, fence: None, md5: None };
    world.stores[0].put(&at, &spec, Body::Whole(bytes::Bytes::from_static(b"same"))).await.unwrap();
    let ask = GetAsk { bucket: bucket(), key: key("k"), range: None, conditions: Conditions::default() };
    let answer = world.engine.get(ask).await.unwrap();
    assert_eq!(answer.source, "s1");
    let debts = world.ledger.key_state(&bucket(), &key("k")).await.unwrap().debts;
    assert!(debts.iter().any(|debt| debt.store == name(0) && debt.kind == DebtKind::Look), "{debts:?}");
}

/// What every store has lost was acknowledged all the same: it is unavailable, never "not there" (protocol.md 3.1).
#[tokio::test(start_paused = true)]
async fn a_404_of_every_store_is_no_404_for_the_client() {
    let world = World::new(&[MemoryTraits::B; 3]).await;
    world.put("k", b"kept").await.unwrap();
    for store in &world.stores {
        store.lose(&At::new("photos", "k"));
    }
    let lost = world.get("k").await;
    assert!(matches!(lost, Err(ReadError::NoHolder(_))), "{lost:?}");
    assert_eq!(world.list().await, ["k"]);
}
