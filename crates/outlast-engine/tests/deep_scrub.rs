//! Deep scrub: bad copies are found and mended, adopted objects get digests, and no more is read than is allowed.

mod support;

use bytes::Bytes;
use outlast_engine::*;
use outlast_ledger::Ledger;
use outlast_rules::{Allowed, BucketName};
use outlast_store::{At, Body, Dress, MemoryTraits, PutSpec, Store};
use std::time::Duration;
use support::{World, bytes, key, name};
use tokio::sync::mpsc;

async fn world(bytes_a_day: u64) -> World {
    let allowed = Allowed { bytes_a_day: Some(bytes_a_day), ..Allowed::default() };
    let all = (0..3).map(|i| (name(i), allowed)).collect();
    World::with(&[MemoryTraits::B; 3], |settings| settings.deep_scrub = all, |store| store).await
}

async fn round(world: &World, i: usize) -> DeepRound {
    let status = world.engine.status().await;
    let (now, last) = status.stores[i].deep_scrub.clone().expect("it is allowed to read");
    last.unwrap_or(now)
}

#[tokio::test(start_paused = true)]
async fn a_rotten_copy_is_found_unasked_and_written_anew() {
    let world = world(1 << 40).await;
    let body = bytes(200_000, 1);
    for i in 0..5 {
        world.put(&format!("k{i}"), &body).await.unwrap();
    }
    let mut rotten = body.clone();
    rotten[150_000] ^= 1;
    assert!(world.stores[1].rot(&At::new("photos", "k3"), Bytes::from(rotten)));
    world.engine.start_workers();
    tokio::time::sleep(Duration::from_secs(120)).await;
    world.settle().await;
    let found: Vec<DeepRound> = [round(&world, 0).await, round(&world, 1).await, round(&world, 2).await].into();
    assert_eq!(found.iter().map(|round| round.bad).collect::<Vec<_>>(), [0, 1, 0]);
    assert!(
        found.iter().all(|round| round.objects == 5 && round.bytes == 1_000_000 && round.ended.is_some()),
        "{found:?}"
    );
    let (_, stream) = world.stores[1].get(&At::new("photos", "k3"), None, None).await.unwrap();
    let pieces: Vec<Bytes> = futures_util::TryStreamExt::try_collect(stream).await.unwrap();
    assert!(pieces.concat() == body, "its bytes are right again");
    let told = world.ledger.history(99).await.unwrap();
    assert!(told.iter().any(|line| line.kind == "bad-copy" && line.text.contains("s1: photos/k3")), "{told:?}");
    world.engine.stop().await;
}

/// 2,400,000 bytes are to be read at 100,000 an hour: after six hours about a quarter has been, and never much more.
#[tokio::test(start_paused = true)]
async fn no_more_is_read_than_is_allowed() {
    let world = world(2_400_000).await;
    for i in 0..240 {
        world.put(&format!("k{i:03}"), &bytes(10_000, i as u8)).await.unwrap();
    }
    world.engine.start_workers();
    for hour in 1..=6 {
        tokio::time::sleep(Duration::from_secs(3600)).await;
        let read = round(&world, 0).await.bytes;
        assert!((hour * 100_000..=(hour + 1) * 100_000 + 20_000).contains(&read), "{read} after {hour} h");
    }
    world.engine.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_key_that_no_listing_could_name_is_reported_and_not_adopted() {
    let world = world(0).await;
    let old = BucketName::parse("old-photos").unwrap();
    world.stores[0].create_bucket("old-photos").await.unwrap();
    for at in ["good", "bad\u{1}"] {
        let spec = PutSpec { dress: Dress::default(), fence: None, md5: None };
        world.stores[0].put(&At::new("old-photos", at), &spec, Body::Whole(bytes(10, 5).into())).await.unwrap();
    }
    let report = world.engine.adopt(&old, "s0", false, mpsc::channel(1).0).await.unwrap();
    assert_eq!((report.adopted, report.unreadable), (1, vec!["bad\u{1}".to_owned()]));
    world.engine.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_adopted_object_gets_digests_only_from_bytes_that_its_etag_vouches_for() {
    let world = world(1 << 40).await;
    let old = BucketName::parse("old-photos").unwrap();
    world.stores[0].create_bucket("old-photos").await.unwrap();
    let body = bytes(100_000, 5);
    for at in ["good", "rotten"] {
        let spec = PutSpec { dress: Dress::default(), fence: None, md5: None };
        world.stores[0].put(&At::new("old-photos", at), &spec, Body::Whole(body.clone().into())).await.unwrap();
    }
    world.engine.adopt(&old, "s0", false, mpsc::channel(1).0).await.unwrap();
    let mut rotten = body.clone();
    rotten[7] ^= 1;
    world.stores[0].rot(&At::new("old-photos", "rotten"), Bytes::from(rotten));
    world.engine.start_workers();
    tokio::time::sleep(Duration::from_secs(300)).await;
    let of = async |at: &str| {
        let entry = world.ledger.entry(&old, &key(at)).await.unwrap().unwrap();
        world.ledger.digests(&old, &key(at), entry.write).await.unwrap()
    };
    assert_eq!(of("good").await.map(|digests| digests.maps[0].clone()), Some(outlast_rules::BlockMap::of(&body)));
    assert_eq!(of("rotten").await, None, "what nobody vouches for is no measure of other copies");
    world.engine.stop().await;
}
