//! Drills on a paused clock: clients do not notice, a lease ends by itself, and everything is as it was afterwards.

mod support;

use outlast_engine::*;
use outlast_rules::StoreName;
use outlast_store::*;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use support::{World, name};
use tokio::time::{Instant, sleep};

const LEASE_MS: u64 = 15_000;
const HANG: Trouble = Trouble::Hang(Apply::Never);

/// As `serve` does it: a switch before every store.
async fn at_work(kinds: &[MemoryTraits]) -> World {
    let made: Mutex<BTreeMap<StoreName, Arc<Switch>>> = Mutex::default();
    let world = World::with(
        kinds,
        |_| {},
        |store| {
            let switch = Arc::new(Switch::default());
            made.lock().unwrap().insert(store.name().clone(), switch.clone());
            Arc::new(Faulty::for_drills(store, switch, Duration::from_secs(60)))
        },
    )
    .await;
    world.engine.allow_drills(made.into_inner().unwrap());
    world.engine.identify().await.unwrap();
    world.engine.start_workers();
    sleep(Duration::from_secs(5)).await;
    world
}

fn ask(store: usize, setting: Setting) -> FaultAsk {
    FaultAsk { store: name(store), setting, lease_ms: LEASE_MS, accept_risk: false }
}

async fn marks(world: &World) -> u64 {
    world.engine.status().await.stores.iter().map(|store| store.marks).sum()
}

/// On disks, whose calls are never given up, and on services: writes go on, what the store misses is owed, and no call is left
/// of which nobody knows what became of it.
#[tokio::test(start_paused = true)]
async fn nobody_notices_and_nothing_is_left() {
    for kinds in [[MemoryTraits::DISK; 3], [MemoryTraits::B; 3]] {
        for trouble in [HANG, Trouble::Refuse, Trouble::delay(Duration::from_secs(3))] {
            let w = at_work(&kinds).await;
            w.put("before", b"old").await.unwrap();
            w.settle().await;
            let set = w.engine.set_fault(ask(0, Setting::all(trouble.clone()))).unwrap();
            let began = Instant::now();
            let mut n = 0;
            while began.elapsed() < Duration::from_secs(40) {
                n += 1;
                w.put(&format!("k{n}"), b"new").await.unwrap();
                w.put("before", format!("{n}").as_bytes()).await.unwrap();
                assert_eq!(w.get("before").await.unwrap(), format!("{n}"), "{trouble:?}");
                w.delete(&format!("k{}", n - 1)).await.ok();
                sleep(Duration::from_millis(500)).await;
                let renewed = w.engine.renew_faults(std::slice::from_ref(&set.id), LEASE_MS).unwrap();
                assert_eq!(renewed.len(), 1, "after {:?}", began.elapsed());
            }
            w.engine.end_faults(None);
            w.settle().await;
            assert_eq!(marks(&w).await, 0, "{trouble:?}: a drill leaves no call that may still apply");
            for i in 0..3 {
                assert_eq!(w.on_store(i).await, ["before".to_owned(), format!("k{n}")], "{trouble:?} on s{i}");
            }
            w.engine.stop().await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_is_not_renewed_ends_by_itself() {
    let w = at_work(&[MemoryTraits::DISK; 3]).await;
    let set = w.engine.set_fault(ask(1, Setting::all(Trouble::Refuse))).unwrap();
    let began = Instant::now();
    assert_eq!((set.store.as_str(), set.what.as_str(), set.left_ms), ("s1", "refuse", LEASE_MS));
    w.put("k", b"new").await.unwrap();
    sleep(Duration::from_secs(10)).await;
    w.engine.renew_faults(&[set.id.clone(), "another".to_owned()], LEASE_MS).unwrap();
    sleep(Duration::from_millis(14_900)).await;
    let told = w.engine.status().await;
    assert_eq!(told.stores[1].faults, w.engine.faults());
    assert_eq!(told.stores[1].faults.len(), 1, "{told:?}");
    assert!(told.stores[0].faults.is_empty());
    assert_eq!(told.stores[1].standing, "down");
    while !w.engine.faults().is_empty() {
        sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(began.elapsed().as_secs(), 25);
    assert_eq!(w.engine.renew_faults(&[set.id], LEASE_MS).unwrap(), [], "what is over stays over");
    sleep(Duration::from_secs(60)).await;
    assert_eq!(w.engine.status().await.stores[1].standing, "up");
}

#[tokio::test(start_paused = true)]
async fn what_is_refused_changes_nothing() {
    let w = at_work(&[MemoryTraits::DISK; 3]).await;
    let refused = |ask: FaultAsk| w.engine.set_fault(ask).unwrap_err().to_string();
    assert_eq!(
        refused(ask(0, Setting::all(Trouble::WrongBytes))),
        "\"wrong bytes\" is for tests: a drill may refuse, hang or slow"
    );
    assert_eq!(refused(ask(7, Setting::all(HANG))), "there is no store s7 in the configuration");
    for lease_ms in [0, 999, 600_001, u64::MAX] {
        let wrong = FaultAsk { lease_ms, ..ask(0, Setting::all(HANG)) };
        assert_eq!(refused(wrong), "a lease is for 1 s to 600 s");
    }
    assert_eq!(w.engine.faults(), []);
    let none = World::new(&[MemoryTraits::B, MemoryTraits::B]).await;
    assert_eq!(none.engine.set_fault(ask(0, Setting::all(HANG)).at_risk()), Err(FaultError::NoSwitch));
}

trait AtRisk {
    fn at_risk(self) -> Self;
}

impl AtRisk for FaultAsk {
    fn at_risk(self) -> FaultAsk {
        FaultAsk { accept_risk: true, ..self }
    }
}

#[tokio::test(start_paused = true)]
async fn too_few_stores_for_a_write_only_for_who_says_so() {
    let w = at_work(&[MemoryTraits::DISK; 3]).await;
    let words = "every bucket without a table of its own: 1 of 3 stores would take writes, and a write needs 2; \
                 the spool may stand in for one";
    assert_eq!(w.engine.risk_without(&[name(0)]), [""; 0]);
    assert_eq!(w.engine.risk_without(&[name(0), name(1)]), [words]);
    w.engine.set_fault(ask(0, Setting::on(&Class::READS, HANG))).unwrap();
    w.engine.set_fault(ask(1, Setting::all(Trouble::delay(Duration::from_secs(1))))).unwrap();
    w.engine.set_fault(ask(2, Setting::all(HANG))).unwrap();
    let error = w.engine.set_fault(ask(0, Setting::on(&Class::WRITES, Trouble::Refuse))).unwrap_err();
    assert_eq!(error, FaultError::Risk(vec![words.to_owned()]));
    w.engine.set_fault(ask(0, Setting::on(&Class::WRITES, Trouble::Refuse)).at_risk()).unwrap();
    assert_eq!(w.engine.end_faults(None).len(), 4);
    assert_eq!(w.engine.faults(), []);
}

/// The worst moment to stop: calls are held back, and whoever set the fault goes on renewing it.
#[tokio::test(start_paused = true)]
async fn a_gateway_stops_in_the_middle_of_a_drill() {
    let w = at_work(&[MemoryTraits::DISK; 3]).await;
    w.engine.set_fault(ask(0, Setting::all(HANG))).unwrap();
    w.put("k", b"new").await.unwrap();
    let began = Instant::now();
    w.engine.stop().await;
    assert!(began.elapsed() < Duration::from_secs(10), "it waited {:?}", began.elapsed());
    assert_eq!(w.engine.set_fault(ask(0, Setting::all(HANG))), Err(FaultError::Stopping));
}
