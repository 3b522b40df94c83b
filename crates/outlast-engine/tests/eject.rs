//! The walk-away proof: what one store alone holds, said truly while others write, and not at all where it cannot be said.

mod support;

use outlast_engine::*;
use outlast_ledger::{Change, Ledger};
use outlast_rules::{CallId, EjectReport, Mark, WriteId};
use outlast_store::{
    Apply, At, Body, Class, Dress, Fault, Faulty, MemoryStore, MemoryTraits, PutSpec, Setting, Store, Switch, Trouble,
};
use sha2::{Digest, Sha256};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;
use support::puppet::{Mood, Puppet};
use support::{World, bucket, bytes, key, name};
use tokio::sync::mpsc;

fn at(key: &str) -> At {
    At::new("photos", key)
}

async fn eject(world: &World, store: usize, deep: bool) -> Result<EjectReport, EjectError> {
    let ask = EjectAsk { bucket: bucket(), store: name(store), deep };
    let signed = world.engine.eject(ask, mpsc::channel(1).0).await?;
    let own = own_public_key(world.dir.path()).unwrap().expect("it has signed");
    let path = world.dir.path().join("report.json");
    std::fs::write(&path, serde_json::to_vec_pretty(&signed).unwrap()).unwrap();
    let report = read_signed(&path, &own).expect("it is signed with the installation's key");
    Ok(serde_json::from_value(report).unwrap())
}

fn sha256(text: &str) -> String {
    Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect()
}

async fn world_with(kind: MemoryTraits, objects: usize) -> World {
    let world = World::new(&[kind; 3]).await;
    world.engine.start_workers();
    for i in 0..objects {
        world.put(&format!("a/{i:04}"), &bytes(i * 700, i as u8)).await.unwrap();
    }
    world.settle().await;
    world
}

#[tokio::test(start_paused = true)]
async fn a_store_that_holds_everything_is_told_so_with_digests_that_others_can_make() {
    for kind in [MemoryTraits::A, MemoryTraits::B, MemoryTraits::DISK] {
        let world = world_with(kind, 150).await;
        let (mut listing, mut content) = (String::new(), String::new());
        for listed in world.stores[1].list("photos", "a/", None).await.unwrap().copies {
            listing.push_str(&format!("{}\t\"{}\"\t{}\n", listed.size, listed.etag, listed.key));
            let i: usize = listed.key[2..].parse().unwrap();
            let sum: String = Sha256::digest(bytes(i * 700, i as u8)).iter().map(|b| format!("{b:02x}")).collect();
            content.push_str(&format!("{sum}  {}\n", listed.key));
        }
        for deep in [false, true] {
            let report = eject(&world, 1, deep).await.unwrap();
            assert!(report.complete && report.holds_everything(), "{kind:?} {report:?}");
            assert_eq!((report.objects, report.held, report.extra), (150, 150, 0));
            assert_eq!(report.bytes, (0..150).map(|i| i * 700).sum::<u64>());
            assert_eq!(report.listing_sha256, sha256(&listing));
            assert_eq!(report.content_sha256, deep.then(|| sha256(&content)));
            assert_eq!((report.read, report.undigested), if deep { (150, 0) } else { (0, 0) });
        }
        world.engine.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_one_store_lacks_is_listed_whatever_the_others_hold() {
    // No workers yet: what is found is owed, and nothing is mended under the test's hands.
    let world = World::new(&[MemoryTraits::B; 3]).await;
    for i in 0..10 {
        world.put(&format!("a/{i:04}"), &bytes(i * 700, i as u8)).await.unwrap();
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    world.stores[1].lose(&at("a/0003"));
    let head = world.stores[1].head(&at("a/0004"), None).await.unwrap();
    let foreign = PutSpec { dress: Dress { stamp: None, ..head.dress }, fence: None, md5: None };
    world.stores[1].put(&at("a/0004"), &foreign, Body::Whole(vec![7; 2800].into())).await.unwrap();
    world.stores[1].put(&at("nobody's"), &foreign, Body::Whole("x".into())).await.unwrap();
    let report = eject(&world, 1, false).await.unwrap();
    assert!(!report.complete);
    assert_eq!((report.objects, report.held, report.missing, report.differing), (10, 8, 1, 1));
    assert_eq!(report.extra, 1);
    assert_eq!(report.lines[0], "a/0003: missing");
    assert!(report.lines[1].starts_with("a/0004: the copy there is of another write"), "{:?}", report.lines);
    assert!(eject(&world, 0, true).await.unwrap().complete, "the others are whole");
    world.engine.start_workers();
    world.settle().await;
    assert!(eject(&world, 1, true).await.unwrap().complete, "what was found was owed, and is mended");
    world.engine.stop().await;
}

#[tokio::test(start_paused = true)]
async fn deep_sees_bytes_and_headers_that_no_listing_shows() {
    let world = World::new(&[MemoryTraits::B; 3]).await;
    for at in ["bytes", "headers", "good"] {
        world.put(at, &bytes(200_000, 1)).await.unwrap();
    }
    assert!(world.stores[2].rot(&at("bytes"), bytes(200_000, 2).into()));
    let found = world.stores[2].head(&at("headers"), None).await.unwrap();
    let mut dress = found.dress.clone();
    dress.head.content_type = Some("image/png".into());
    let spec = PutSpec { dress, fence: None, md5: None };
    world.stores[2].copy(&at("headers"), &found.pin, &at("headers"), &spec).await.unwrap();
    assert!(eject(&world, 2, false).await.unwrap().complete, "a listing shows neither");
    let report = eject(&world, 2, true).await.unwrap();
    assert_eq!((report.held, report.differing, report.missing), (1, 2, 0), "{report:?}");
    assert!(report.lines.iter().any(|line| line.starts_with("headers: Content-Type")), "{:?}", report.lines);
    assert!(report.lines.iter().any(|line| line.starts_with("bytes: ")), "{:?}", report.lines);
    world.engine.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_copy_that_a_late_call_could_overwrite_is_no_proof() {
    let world = World::new(&[MemoryTraits::C, MemoryTraits::B, MemoryTraits::B]).await;
    world.put("k", b"body").await.unwrap();
    world.engine.start_workers();
    world.settle().await;
    assert!(eject(&world, 1, true).await.unwrap().complete);
    let late = Mark {
        call: CallId(1),
        store: name(1),
        bucket: bucket(),
        key: key("k"),
        write: WriteId(99),
        fence: None,
        since: world.engine.now(),
    };
    world.ledger.commit(vec![Change::AddMark(late)]).await.unwrap();
    let report = eject(&world, 1, true).await.unwrap();
    assert_eq!((report.held, report.differing), (0, 1), "{report:?}");
    assert!(report.lines[0].contains("may still apply"), "{:?}", report.lines);
    world.engine.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_store_that_cannot_be_asked_to_the_end_gives_no_report() {
    let alive = Arc::new(AtomicBool::new(true));
    let puppets = std::sync::Mutex::new(Vec::new());
    let wrap = |store| {
        let puppet = Puppet::new(store);
        puppets.lock().unwrap().push(puppet.clone());
        puppet.seen_by(alive.clone())
    };
    let world = World::with_memory(&[MemoryTraits::B; 3], |_| {}, wrap).await;
    let puppets = puppets.into_inner().unwrap();
    world.put("k", b"body").await.unwrap();
    puppets[1].set(Mood::Refuse);
    assert!(matches!(eject(&world, 1, false).await, Err(EjectError::Store(_))));
    puppets[1].set(Mood::Well);
    assert!(eject(&world, 1, false).await.unwrap().complete);
    let nowhere = EjectAsk { bucket: bucket(), store: outlast_rules::StoreName::parse("s9").unwrap(), deep: false };
    assert!(matches!(world.engine.eject(nowhere, mpsc::channel(1).0).await, Err(EjectError::NoStore(_))));
    world.engine.stop().await;
}

/// It lists and answers HEADs, and its bodies never come: nothing is known of its copies, and nothing is said of them.
#[tokio::test(start_paused = true)]
async fn bodies_that_never_come_are_not_bad_bytes() {
    let switches: [Arc<Switch>; 3] = Default::default();
    let wrap = |store: Arc<MemoryStore>| -> Arc<dyn Store> {
        let nth = (0..3).find(|nth| store.name() == &name(*nth)).expect("one of three");
        Arc::new(Faulty::new(store, switches[nth].clone()))
    };
    let world = World::with_memory(&[MemoryTraits::B; 3], |_| {}, wrap).await;
    for at in ["a", "b"] {
        world.put(at, &bytes(2_000, 1)).await.unwrap();
    }
    let silent = switches[1].set(Setting::on(&[Class::Get], Trouble::Hang(Apply::Never)));
    let error = eject(&world, 1, true).await.expect_err("not one body came");
    assert!(matches!(&error, EjectError::Store(error) if error.fault == Fault::Timeout), "{error}");
    let report = world.engine.verify(&bucket(), true, mpsc::channel(1).0).await.unwrap();
    let of = &report.stores["s1"];
    assert_eq!((of.bad, of.read), (0, 0), "{report:?}");
    assert!(of.error.is_some() && report.lines.is_empty(), "{report:?}");
    switches[1].unset(silent);
    assert!(eject(&world, 1, true).await.unwrap().complete);
    world.engine.stop().await;
}

/// Writers, deleters and the proof at once: whatever is true of some moment of each key is true of the report.
#[tokio::test(start_paused = true)]
async fn others_write_meanwhile_and_nothing_is_told_wrong() {
    let world = Arc::new(world_with(MemoryTraits::B, 200).await);
    for round in 0..5_u8 {
        let other = world.clone();
        let writing = tokio::spawn(async move {
            for i in 0..60_usize {
                let key = format!("a/{:04}", (i * 7) % 200);
                if i % 5 == 4 {
                    other.delete(&key).await.unwrap();
                } else {
                    other.put(&key, &bytes(1000 + i, round)).await.unwrap();
                }
                other.put(&format!("a/new-{round}-{i:02}"), b"new").await.unwrap();
            }
        });
        let report = eject(&world, 2, round % 2 == 0).await.unwrap();
        assert_eq!(report.missing + report.differing, 0, "{:?}", report.lines);
        assert!(report.complete && report.objects > 0);
        writing.await.unwrap();
        world.settle().await;
    }
    world.engine.stop().await;
}

/// Which key, on which store, and which of its bytes: a store that has answered is not said to be silent.
#[tokio::test(start_paused = true)]
async fn a_rotten_copy_is_told_as_what_it_is() {
    let world = World::new(&[MemoryTraits::B; 3]).await;
    let body = bytes(200_000, 1);
    world.put("k", &body).await.unwrap();
    world.settle().await;
    let mut rotten = body.clone();
    rotten[150_000] ^= 1;
    assert!(world.stores[1].rot(&At::new("photos", "k"), rotten.into()));
    let report = world.engine.verify(&bucket(), true, mpsc::channel(1).0).await.unwrap();
    assert_eq!(report.stores["s1"].bad, 1, "{report:?}");
    let told = "s1: photos/k: its bytes differ: bytes 131072..196608 are not those that were written";
    assert!(report.lines.iter().any(|line| line.starts_with(told)), "{:?}", report.lines);
    world.engine.stop().await;
}
