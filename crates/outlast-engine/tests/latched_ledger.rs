//! The ledger's disk fails an fsync in the middle of a PUT: nothing is acknowledged from then on, everybody is told why, and what
//! was acknowledged is there after the next start. One that is only full refuses, and keeps nothing of what it refused.

#[allow(dead_code, reason = "the ledger's own tests use the rest of it")]
#[path = "../../outlast-ledger/tests/power/disk.rs"]
mod disk;
mod support;
#[path = "../../outlast-ledger/tests/power/vfs.rs"]
mod vfs;

use disk::{Disk, Platter, Trouble};
use outlast_engine::{CreateUploadAsk, LedgerError, PutPartAsk, ReadError, UploadError, WriteError};
use outlast_ledger::{Change, Core, Durability, Embedded, Ledger};
use outlast_rules::Head;
use outlast_store::MemoryTraits;
use std::time::Duration;
use support::{START, World, bucket, client_body, key};
use vfs::Mounted;

fn open(mounted: &Mounted) -> Embedded {
    let conn = mounted.connect().unwrap();
    Embedded::inline(Core::over(conn, Durability::Power).unwrap())
}

async fn world(mounted: &Mounted) -> World {
    let world = World::over(|_| open(mounted), &[MemoryTraits::B; 2], |_| {}, |store| store).await;
    world.engine.identify().await.unwrap();
    world.put("before", b"acknowledged").await.unwrap();
    assert_eq!(world.engine.ready().await, Ok(()));
    assert_eq!(world.engine.status().await.ledger, "ok");
    world
}

fn fail_sync(mounted: &Mounted, after: usize) {
    let mut disk = mounted.disk.lock().unwrap();
    disk.trouble = Some(Trouble::Sync(disk.syncs + after));
}

#[track_caller]
fn is_latched<T: std::fmt::Debug>(what: &str, done: Result<T, WriteError>) {
    match done {
        Err(error @ WriteError::Ledger(LedgerError::MustReopen { .. })) => {
            assert!(error.to_string().contains("the ledger must be reopened: "), "{what}: {error}");
        }
        other => panic!("{what}: {other:?}"),
    }
}

async fn is_told(world: &World) {
    let why = world.ledger.latched().expect("a sync failed");
    let told = world.engine.status().await.ledger;
    assert!(told.starts_with("NO WRITES for ") && told.contains(&why), "{told}");
    let ready = world.engine.ready().await.unwrap_err();
    assert!(ready.contains("must be reopened") && ready.contains(&why), "{ready}");
}

/// The process dies. `power`: with the power, so that nothing is left of what was not synced.
async fn restarted(world: World, mounted: Mounted, power: bool) -> (World, Mounted) {
    let log = std::mem::take(&mut mounted.disk.lock().unwrap().log);
    let mut platter = Platter::default();
    log.iter().for_each(|event| platter.replay(event));
    mounted.disk.lock().unwrap().trouble = None;
    let left = if power { Mounted::new(Disk::holding(platter.nothing_more())) } else { mounted };
    let world = world.reopened(|| open(&left), START.plus_ms(60_000)).await;
    world.engine.identify().await.unwrap();
    world.engine.start_workers();
    (world, left)
}

/// The n-th sync of a PUT fails. None: a PUT has fewer. Some: was it acknowledged all the same?
async fn put_over_a_failed_sync(n: usize, power: bool) -> Option<bool> {
    let mounted = Mounted::new(Disk::default());
    let world = world(&mounted).await;
    fail_sync(&mounted, n);
    let put = world.put("during", b"its disk fails").await;
    if world.ledger.latched().is_none() {
        put.unwrap();
        return None;
    }
    let acknowledged = put.is_ok();
    if !acknowledged {
        is_latched("the PUT itself", put);
    }
    is_latched("a PUT", world.put("after", b"never acknowledged").await);
    is_latched("a DELETE", world.delete("before").await);
    is_told(&world).await;
    assert_eq!(&world.get("before").await.unwrap()[..], b"acknowledged", "reads go on");
    assert!(world.list().await.contains(&"before".to_owned()), "lists too");

    let (world, _mounted) = restarted(world, mounted, power).await;
    assert_eq!(world.engine.ready().await, Ok(()));
    world.settle().await;
    assert_eq!(&world.get("before").await.unwrap()[..], b"acknowledged", "sync {n}, power {power}");
    match world.get("during").await {
        Ok(body) => assert_eq!(&body[..], b"its disk fails", "whole, if at all"),
        Err(ReadError::NoKey) => assert!(!acknowledged, "sync {n}, power {power}: acknowledged, and gone"),
        Err(other) => panic!("sync {n}, power {power}: {other:?}"),
    }
    assert!(matches!(world.get("after").await, Err(ReadError::NoKey)), "nothing of it was ever begun");
    world.put("after", b"acknowledged now").await.unwrap();
    Some(acknowledged)
}

#[tokio::test(start_paused = true)]
async fn nothing_is_acknowledged_after_a_failed_sync() {
    for power in [false, true] {
        let mut refused = 0;
        for n in 1.. {
            let Some(acknowledged) = put_over_a_failed_sync(n, power).await else { break };
            refused += usize::from(!acknowledged);
        }
        assert_eq!(refused, 2, "the intent and the decision are synced, and a PUT waits for both");
    }
}

/// No client has asked for a write since: whoever watches hears of it all the same.
#[tokio::test(start_paused = true)]
async fn one_that_a_worker_has_met_is_told_too() {
    let mounted = Mounted::new(Disk::default());
    let world = world(&mounted).await;
    fail_sync(&mounted, 1);
    let fact = Change::SetFact { name: "of-a-worker".into(), value: "1".into() };
    assert!(matches!(world.ledger.commit(vec![fact]).await, Err(LedgerError::MustReopen { .. })));
    is_told(&world).await;
    tokio::time::advance(Duration::from_secs(7)).await;
    assert!(world.engine.status().await.ledger.starts_with("NO WRITES for 7 s: "), "since it was first told");
    assert!(world.ledger.entry(&bucket(), &key("before")).await.unwrap().is_some());
}

/// The spool lies on the ledger's disk: bodies of parts that were refused for want of room would take what is left of it.
#[tokio::test(start_paused = true)]
async fn a_part_that_a_full_ledger_refuses_is_not_spooled() {
    let mounted = Mounted::new(Disk::default());
    let world = world(&mounted).await;
    let at = (bucket(), key("film"));
    let (bucket, key) = at.clone();
    let create = CreateUploadAsk { bucket, key, head: Head::default(), checksum: None, composite: None };
    let upload = world.engine.create_upload(create).await.unwrap();
    let part = async |body: &[u8]| {
        let ((bucket, key), upload) = (at.clone(), upload.clone());
        world.engine.put_part(PutPartAsk { bucket, key, upload, number: 1, body: client_body(body) }).await
    };
    let spooled = async || world.engine.status().await.spool.bytes;
    let full = || {
        let mut disk = mounted.disk.lock().unwrap();
        disk.trouble = Some(Trouble::Full(disk.writes + 1));
    };
    full();
    let refused = part(b"a part").await;
    assert!(matches!(refused, Err(UploadError::Write(WriteError::Ledger(LedgerError::Full { .. })))), "{refused:?}");
    assert_eq!(spooled().await, 0);
    part(b"a part").await.unwrap();
    assert_eq!(spooled().await, 6, "with two stores, parts are spooled");
    // The same bytes again: those that were acknowledged stay.
    full();
    let refused = part(b"a part").await;
    assert!(matches!(refused, Err(UploadError::Write(WriteError::Ledger(LedgerError::Full { .. })))), "{refused:?}");
    assert_eq!(spooled().await, 6);
}
