//! What deletes and overwrites displace: put aside before it is destroyed, brought back on request, gone after its window; on
//! stores of every grade, through crashes.

mod support;

use outlast_engine::*;
use outlast_ledger::Ledger;
use outlast_rules::{BucketName, Head, Moment, Undelete};
use outlast_store::{MemoryTraits, Store};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use support::puppet::{Mood, Puppet};
use support::{World, bucket, bytes, client_body, key};
use tokio::sync::mpsc;

/// Days of paused time take their time too: every worker wakes every few seconds.
const WINDOW: Duration = Duration::from_secs(7200);
const KINDS: [MemoryTraits; 5] =
    [MemoryTraits::A, MemoryTraits::B, MemoryTraits::B_UNIQUE, MemoryTraits::DISK, MemoryTraits::C];

async fn new_world(kind: MemoryTraits) -> World {
    let undelete = Undelete { window_ms: WINDOW.as_millis() as u64, overwrites: true };
    // A store that lies about conditions is no place: it stands beside two that are.
    let kinds = if kind == MemoryTraits::C { [kind, MemoryTraits::B, MemoryTraits::B] } else { [kind; 3] };
    World::with(&kinds, |settings| settings.undelete_default = undelete, |store| store).await
}

async fn undelete(world: &World, prefix: &str, since: Option<Moment>, dry_run: bool) -> UndeleteReport {
    let ask = UndeleteAsk { bucket: bucket(), prefix: prefix.into(), since, dry_run };
    world.engine.undelete(ask, mpsc::channel(1).0).await.unwrap()
}

/// Copies that store `i` keeps in the trash, by name.
async fn in_trash(world: &World, i: usize) -> Vec<String> {
    let page = world.stores[i].list("photos", ".outlast/trash/", None).await.unwrap();
    page.copies.into_iter().map(|copy| copy.key).collect()
}

async fn trash_is_empty_everywhere(world: &World) -> bool {
    let mut copies = 0;
    for i in 0..world.stores.len() {
        copies += in_trash(world, i).await.len();
    }
    copies == 0 && world.ledger.trash_totals(&bucket()).await.unwrap().objects == 0
}

#[tokio::test(start_paused = true)]
async fn a_delete_is_undone_on_every_grade() {
    for kind in KINDS {
        let world = new_world(kind).await;
        world.engine.start_workers();
        let bodies = [bytes(0, 1), bytes(100, 2), bytes(300_000, 3)];
        for (i, body) in bodies.iter().enumerate() {
            world.put(&format!("a/{i}"), body).await.unwrap();
        }
        world.settle().await;
        for i in 0..bodies.len() {
            world.delete(&format!("a/{i}")).await.unwrap();
        }
        world.settle().await;
        for i in 0..3 {
            assert!(world.on_store(i).await.is_empty(), "{kind:?}: the key is gone from each store's plain listing");
        }
        assert!(world.list().await.is_empty());
        let listed = world.engine.list_trash(&bucket(), "a/", None).await.unwrap();
        assert_eq!(listed.lines.len(), 3);
        assert!(listed.lines.iter().all(|line| line.kept_on.len() >= 2), "{listed:?}");

        assert_eq!(undelete(&world, "b/", None, false).await.brought, 0);
        let planned = undelete(&world, "a/", None, true).await;
        assert_eq!((planned.brought, planned.bytes, planned.failed), (3, 300_100, 0));
        assert!(world.list().await.is_empty(), "a dry run changes nothing");
        let done = undelete(&world, "a/", None, false).await;
        assert_eq!((done.brought, done.failed), (3, 0), "{kind:?}: {done:?}");
        for (i, body) in bodies.iter().enumerate() {
            assert!(world.get(&format!("a/{i}")).await.unwrap() == body[..], "{kind:?}");
        }
        world.settle().await;
        for i in 0..3 {
            assert_eq!(world.on_store(i).await.len(), 3);
        }
        let again = undelete(&world, "a/", None, false).await;
        assert_eq!((again.brought, again.left.get("exists")), (0, Some(&3)), "run again, it changes nothing");
        world.engine.stop().await;
    }
}

/// It comes back as one body, under another ETag: asked again, it is found to be back. What was not there then stays.
#[tokio::test(start_paused = true)]
async fn a_multipart_upload_comes_back_once() {
    let world = new_world(MemoryTraits::B).await;
    world.engine.start_workers();
    let head = Head { content_type: Some("video/mp4".into()), ..Head::default() };
    let ask = CreateUploadAsk { bucket: bucket(), key: key("film"), head, checksum: None, composite: None };
    let upload = world.engine.create_upload(ask).await.unwrap();
    let mut parts = Vec::new();
    for (number, body) in [(1, bytes(5 << 20, 1)), (2, bytes(100, 2))] {
        let (bucket, key, upload) = (bucket(), key("film"), upload.clone());
        let part = PutPartAsk { bucket, key, upload, number, body: client_body(&body) };
        parts.push((number, world.engine.put_part(part).await.unwrap().etag));
    }
    let complete = CompleteAsk {
        bucket: bucket(),
        key: key("film"),
        upload,
        parts,
        part_checksums: Default::default(),
        checksum: None,
        size: None,
        conditions: Default::default(),
    };
    world.engine.complete_upload(complete).await.unwrap();
    world.settle().await;
    tokio::time::sleep(Duration::from_secs(10)).await;
    let then = world.engine.now();
    tokio::time::sleep(Duration::from_secs(10)).await;
    world.put("film", b"gone").await.unwrap();
    for body in [b"new", b"old"] {
        world.put("later", body).await.unwrap();
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    world.delete("later").await.unwrap();
    world.settle().await;
    let back = undelete(&world, "", Some(then), false).await;
    assert_eq!((back.brought, back.left.get("absent")), (1, Some(&1)), "{back:?}");
    assert_eq!(world.get("film").await.unwrap(), [bytes(5 << 20, 1), bytes(100, 2)].concat()[..]);
    assert!(world.get("later").await.is_err(), "it did not exist then");
    let again = undelete(&world, "", Some(then), false).await;
    assert_eq!((again.brought, again.left.get("same")), (0, Some(&1)), "{again:?}");
    world.engine.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_overwrite_is_undone_to_a_time() {
    for kind in KINDS {
        let world = new_world(kind).await;
        world.engine.start_workers();
        world.put("k", b"one").await.unwrap();
        world.settle().await;
        tokio::time::sleep(Duration::from_secs(10)).await;
        let then = world.engine.now();
        for body in [b"two", b"six"] {
            world.put("k", body).await.unwrap();
            tokio::time::sleep(Duration::from_secs(10)).await;
        }
        world.put("new", b"since then").await.unwrap();
        world.settle().await;
        assert_eq!(undelete(&world, "", None, false).await.left.get("exists"), Some(&1), "no time, no overwrite");
        let done = undelete(&world, "", Some(then), false).await;
        assert_eq!((done.brought, done.failed), (1, 0), "{kind:?}: {done:?}");
        assert_eq!(world.get("k").await.unwrap(), b"one"[..]);
        assert_eq!(world.get("new").await.unwrap(), b"since then"[..], "what is new since then stays");
        // The undoing was a write: it can be undone as well.
        tokio::time::sleep(Duration::from_secs(10)).await;
        assert_eq!(undelete(&world, "", Some(then), false).await.left.get("same"), Some(&1));
        let before_undoing = Moment(world.engine.now().0 - 15_000);
        assert_eq!(undelete(&world, "", Some(before_undoing), false).await.brought, 1);
        assert_eq!(world.get("k").await.unwrap(), b"six"[..]);
        world.engine.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn the_trash_is_emptied_after_its_window_and_not_before() {
    for kind in KINDS {
        let world = new_world(kind).await;
        world.engine.start_workers();
        world.put("k", b"one").await.unwrap();
        world.put("k", b"two").await.unwrap();
        world.settle().await;
        world.delete("k").await.unwrap();
        world.settle().await;
        tokio::time::sleep(WINDOW - Duration::from_secs(600)).await;
        assert_eq!(world.ledger.trash_totals(&bucket()).await.unwrap().objects, 2, "{kind:?}");
        assert_eq!(undelete(&world, "", None, true).await.brought, 1);
        tokio::time::sleep(Duration::from_secs(1200)).await;
        assert!(trash_is_empty_everywhere(&world).await, "{kind:?}");
        assert_eq!(undelete(&world, "", None, false).await.brought, 0);
        world.engine.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn frozen_nothing_is_removed_and_it_outlives_the_process() {
    let world = new_world(MemoryTraits::B).await;
    world.engine.start_workers();
    world.put("k", b"one").await.unwrap();
    world.put("gone", b"old").await.unwrap();
    world.delete("gone").await.unwrap();
    world.settle().await;
    world.engine.freeze().await.unwrap();
    world.delete("k").await.unwrap();
    assert!(world.get("k").await.is_err(), "the delete is acknowledged");
    tokio::time::sleep(2 * WINDOW).await;
    for i in 0..3 {
        assert_eq!(world.on_store(i).await, ["k"], "no copy was removed");
    }
    assert!(world.engine.status().await.frozen.is_some());
    assert_eq!(world.ledger.trash_totals(&bucket()).await.unwrap().objects, 2, "the trash was not emptied");
    assert!(world.ledger.fact("frozen").await.unwrap().is_some_and(|since| since != "0"), "durable");
    world.engine.thaw().await.unwrap();
    world.settle().await;
    for i in 0..3 {
        assert!(world.on_store(i).await.is_empty());
    }
    world.engine.stop().await;
}

/// While removal is frozen the bytes stay wherever they went: where overwrites are not kept otherwise, and where nothing is.
#[tokio::test(start_paused = true)]
async fn frozen_nothing_goes_even_where_nothing_is_kept() {
    for off in [Undelete { window_ms: 0, overwrites: false }, Undelete { overwrites: false, ..Undelete::default() }] {
        let world = World::with(&[MemoryTraits::B; 3], |settings| settings.undelete_default = off, |store| store).await;
        world.engine.start_workers();
        world.put("over", b"one").await.unwrap();
        world.put("gone", b"old").await.unwrap();
        world.settle().await;
        world.engine.freeze().await.unwrap();
        let frozen = world.engine.now();
        tokio::time::sleep(Duration::from_millis(5)).await;
        world.put("over", b"two").await.unwrap();
        world.delete("gone").await.unwrap();
        tokio::time::sleep(Duration::from_secs(120)).await;
        let held = world.engine.held_back().await.unwrap();
        assert_eq!(held.removals.values().sum::<u64>(), 3, "{held:?}");
        world.engine.thaw().await.unwrap();
        world.settle().await;
        assert_eq!(undelete(&world, "", Some(frozen), false).await.brought, 2);
        assert_eq!(world.get("over").await.unwrap(), b"one"[..]);
        assert_eq!(world.get("gone").await.unwrap(), b"old"[..]);
        world.engine.stop().await;
    }
}

/// What an overwrite replaces cannot be put aside: while removal is frozen it is refused rather than destroying it.
#[tokio::test(start_paused = true)]
async fn frozen_an_overwrite_that_would_destroy_is_refused() {
    let (puppets, alive) = (Mutex::new(Vec::new()), Arc::new(AtomicBool::new(true)));
    let wrap = |store| {
        let puppet = Puppet::new(store);
        puppets.lock().unwrap().push(puppet.clone());
        puppet.seen_by(alive.clone())
    };
    let world = World::with_memory(&[MemoryTraits::B; 3], |_| {}, wrap).await;
    let puppets = puppets.into_inner().unwrap();
    let all = |mood| puppets.iter().for_each(|puppet| puppet.set(mood));
    world.put("k", b"one").await.unwrap();
    all(Mood::NoCopy);
    world.put("k", b"two").await.unwrap();
    world.engine.freeze().await.unwrap();
    let refused = world.put("k", b"three").await.unwrap_err();
    assert!(refused.to_string().contains("frozen"), "{refused}");
    assert_eq!(world.get("k").await.unwrap(), b"two"[..]);
    all(Mood::Well);
    world.put("k", b"three").await.unwrap();
    world.engine.stop().await;
}

#[tokio::test(start_paused = true)]
async fn with_no_window_nothing_is_kept() {
    let off = Undelete { window_ms: 0, overwrites: true };
    let world = World::with(&[MemoryTraits::B; 3], |settings| settings.undelete_default = off, |store| store).await;
    world.engine.start_workers();
    world.put("k", b"one").await.unwrap();
    world.put("k", b"two").await.unwrap();
    world.delete("k").await.unwrap();
    world.settle().await;
    assert!(trash_is_empty_everywhere(&world).await);
    world.engine.stop().await;
}

/// The only holder that is left puts its copy aside, and gives another store one, before it removes it.
#[tokio::test(start_paused = true)]
async fn a_last_copy_goes_only_when_enough_stores_keep_it() {
    let world = new_world(MemoryTraits::B).await;
    world.engine.start_workers();
    world.put("k", b"one").await.unwrap();
    world.settle().await;
    for i in 1..3 {
        let at = outlast_store::At::new("photos", "k");
        world.stores[i].delete(&at, None, None).await.unwrap();
    }
    world.delete("k").await.unwrap();
    world.settle().await;
    assert!(world.on_store(0).await.is_empty());
    let mut copies = 0;
    for i in 0..3 {
        copies += in_trash(&world, i).await.len();
    }
    assert_eq!(copies, 2);
    assert_eq!(undelete(&world, "", None, false).await.brought, 1);
    assert_eq!(world.get("k").await.unwrap(), b"one"[..]);
    world.engine.stop().await;
}

/// A bucket that was emptied and deleted still has its trash: made again, it gives everything back.
#[tokio::test(start_paused = true)]
async fn a_deleted_bucket_keeps_its_trash() {
    let world = new_world(MemoryTraits::B).await;
    world.engine.start_workers();
    world.put("k", b"one").await.unwrap();
    world.delete("k").await.unwrap();
    world.engine.delete_bucket(bucket()).await.unwrap();
    world.settle().await;
    let ask = UndeleteAsk { bucket: bucket(), prefix: String::new(), since: None, dry_run: false };
    assert!(world.engine.undelete(ask, mpsc::channel(1).0).await.is_err(), "no such bucket now");
    world.engine.create_bucket(bucket()).await.unwrap();
    assert_eq!(undelete(&world, "", None, false).await.brought, 1);
    assert_eq!(world.get("k").await.unwrap(), b"one"[..]);

    // And without anything to bring back it goes from the stores.
    world.delete("k").await.unwrap();
    world.engine.delete_bucket(bucket()).await.unwrap();
    tokio::time::sleep(WINDOW + Duration::from_secs(600)).await;
    for store in &world.stores {
        assert!(!store.list_buckets().await.unwrap().contains(&"photos".to_owned()));
    }
    world.engine.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_client_that_writes_meanwhile_wins() {
    let world = new_world(MemoryTraits::B).await;
    world.engine.start_workers();
    world.put("k", b"one").await.unwrap();
    world.delete("k").await.unwrap();
    world.settle().await;
    let none = BucketName::parse("nowhere").unwrap();
    assert!(world.engine.list_trash(&none, "", None).await.unwrap().lines.is_empty());
    let (back, written) = tokio::join!(undelete(&world, "", None, false), world.put("k", b"two"));
    written.unwrap();
    let now = world.get("k").await.unwrap();
    assert!(now == b"two"[..] || (back.brought == 1 && now == b"one"[..]), "{back:?} {now:?}");
    world.engine.stop().await;
}

/// Above the budget a delete is acknowledged like any other, and what it displaced stays until somebody releases it.
#[tokio::test(start_paused = true)]
async fn deletes_above_their_budget_stay_undoable() {
    let change = |settings: &mut EngineSettings| {
        settings.undelete_default = Undelete { window_ms: 0, overwrites: false };
        let below = [(format!("{}/logs/", bucket()), 3)].into();
        settings.delete_budgets.insert("app".into(), DeleteLimits { an_hour: Some(7), below });
    };
    let world = World::with(&[MemoryTraits::B; 3], change, |store| store).await;
    world.engine.start_workers();
    for i in 0..6 {
        world.put(&format!("logs/{i}"), b"line").await.unwrap();
        world.put(&format!("other/{i}"), b"line").await.unwrap();
    }
    for i in 0..6 {
        world.delete(&format!("logs/{i}")).await.unwrap();
    }
    world.delete("other/0").await.unwrap();
    world.settle().await;
    tokio::time::sleep(WINDOW).await;
    let status = world.engine.status().await;
    assert_eq!(
        (status.trash.held, status.counters["deletes_over_budget"]),
        (3, 3),
        "a path of its own has its own budget"
    );
    let alerts =
        world.ledger.history(99).await.unwrap().into_iter().filter(|line| line.kind == "delete-budget").count();
    assert_eq!(alerts, 1, "one alert an hour, not one a delete");
    for i in 0..3 {
        assert_eq!(world.on_store(i).await.len(), 5, "they are gone from the plain listings all the same");
    }
    assert_eq!(undelete(&world, "logs/", None, false).await.brought, 3);
    assert_eq!(world.get("logs/5").await.unwrap(), b"line"[..]);
    let plan = world.engine.release_trash(&bucket(), "", true).await.unwrap();
    assert_eq!((plan.objects, plan.bytes), (3, 12));
    assert_eq!(world.engine.status().await.trash.held, 3, "a dry run releases nothing");
    assert_eq!(world.engine.release_trash(&bucket(), "", false).await.unwrap().objects, 3);
    assert_eq!(world.engine.release_trash(&bucket(), "", false).await.unwrap().objects, 0, "once is enough");
    tokio::time::sleep(Duration::from_secs(120)).await;
    assert!(trash_is_empty_everywhere(&world).await);
    world.engine.stop().await;
}

/// A copy in the trash that no row knows is removed when it is old, and not before; one that a row knows is not.
#[tokio::test(start_paused = true)]
async fn orphans_of_the_trash_go_when_they_are_old() {
    let year = Undelete { window_ms: 365 * 24 * 3600 * 1000, overwrites: true };
    let world = World::with(&[MemoryTraits::B; 3], |settings| settings.undelete_default = year, |store| store).await;
    world.put("k", b"one").await.unwrap();
    world.put("k", b"two").await.unwrap();
    let orphan = outlast_store::At::new("photos", format!(".outlast/trash/{:032x}/lost/key", 7));
    let spec = outlast_store::PutSpec { dress: Default::default(), fence: None, md5: None };
    world.stores[0].put(&orphan, &spec, outlast_store::Body::Whole("lost".into())).await.unwrap();
    let before = in_trash(&world, 0).await.len();
    assert_eq!(world.engine.scrub(&support::name(0), &bucket()).await.unwrap().orphans, 0);
    tokio::time::sleep(Duration::from_secs(365 * 24 * 3600 + 60)).await;
    assert_eq!(world.engine.scrub(&support::name(0), &bucket()).await.unwrap().orphans, 0, "clocks differ");
    tokio::time::sleep(Duration::from_secs(24 * 3600)).await;
    assert_eq!(world.engine.scrub(&support::name(0), &bucket()).await.unwrap().orphans, 1);
    let left = in_trash(&world, 0).await;
    assert!(left.len() == before - 1 && !left.contains(&orphan.key), "what a row knows goes with its row: {left:?}");
    world.engine.stop().await;
}
