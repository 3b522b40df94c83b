//! The ledger's changes reach the stores in the background, whatever stores do, and a new ledger made of them says the same.

mod support;

use outlast_engine::*;
use outlast_ledger::{Durability, Embedded, Ledger, Mode, Row, SegmentKey, rows_of};
use outlast_rules::{Moment, StoreName};
use outlast_store::{At, MemoryStore, MemoryTraits, Store};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use support::puppet::{Mood, Puppet};
use support::{START, World, bytes};

const B3: [MemoryTraits; 3] = [MemoryTraits::B; 3];
const HOME: &str = "outlast-home";
const EVERY_MS: u64 = 5_000;
/// Not a day: time that passes costs the workers of three stores real work.
const SNAPSHOTS: Duration = Duration::from_secs(300);

fn settings() -> ShipSettings {
    ShipSettings { key: SegmentKey::of("secret"), every_ms: EVERY_MS, snapshot_every_ms: SNAPSHOTS.as_millis() as u64 }
}

struct Hall {
    world: World,
    puppets: Vec<Arc<Puppet>>,
    alive: Arc<AtomicBool>,
}

impl Hall {
    async fn new(kinds: &[MemoryTraits]) -> Hall {
        let puppets = std::sync::Mutex::new(Vec::new());
        let alive = Arc::new(AtomicBool::new(true));
        let wrap = |store| {
            let puppet = Puppet::new(store);
            puppets.lock().unwrap().push(puppet.clone());
            puppet.seen_by(alive.clone())
        };
        let world = World::with_memory(kinds, |_| {}, wrap).await;
        let hall = Hall { world, puppets: puppets.into_inner().unwrap(), alive };
        hall.world.engine.start_workers();
        hall.world.engine.start_shipping(settings());
        hall
    }

    /// kill -9, and a new process on the same disk.
    async fn dies(self) -> Hall {
        self.alive.store(false, Ordering::SeqCst);
        self.world.ledger.close().await;
        let alive = Arc::new(AtomicBool::new(true));
        let ledger = Arc::new(Embedded::open_with(self.world.dir.path(), Mode::Inline, Durability::Process).unwrap());
        let setups = self.puppets.iter().map(|puppet| setup(puppet.seen_by(alive.clone()))).collect();
        let clock = Arc::new(TokioClock::new(START));
        let engine = Engine::open(self.world.settings.clone(), clock, ledger.clone(), setups).await.unwrap();
        engine.start_workers();
        engine.start_shipping(settings());
        Hall { world: World { engine, ledger, ..self.world }, puppets: self.puppets, alive }
    }

    async fn status(&self) -> ShippingStatus {
        self.world.engine.status().await.shipping
    }

    /// Until the stores know everything.
    async fn shipped(&self) {
        self.world.settle().await;
        for _ in 0..100 {
            seconds(EVERY_MS / 1000).await;
            if self.status().await.lag_ms == 0 {
                return;
            }
        }
        panic!("{:?}", self.status().await);
    }

    async fn recalled(&self, secret: &str) -> (tempfile::TempDir, Embedded, Recall) {
        let dir = tempfile::tempdir().unwrap();
        let ledger = Embedded::open_with(dir.path(), Mode::Inline, Durability::Process).unwrap();
        let setups = self.world.stores.iter().map(|store| setup(store.clone())).collect();
        let clock: Arc<dyn Clock> = Arc::new(TokioClock::new(START));
        let reach = Reach::new(setups, &clock);
        let installation = self.world.ledger.fact("installation").await.unwrap().unwrap();
        let recalled = recall(&reach, &installation, &SegmentKey::of(secret), &ledger).await.unwrap();
        (dir, ledger, recalled)
    }

    /// The recalled ledger says what the lost one said.
    async fn says_the_same(&self) -> Recall {
        let (_dir, ledger, recalled) = self.recalled("secret").await;
        assert_eq!(rows(&ledger).await, rows(&*self.world.ledger).await);
        recalled
    }

    fn segments(&self, i: usize) -> Vec<String> {
        let shown = self.world.stores[i].shown(HOME);
        shown.into_iter().filter(|key| key.starts_with(".outlast/ledger/")).collect()
    }
}

fn setup(store: Arc<dyn Store>) -> (StoreName, StoreSetup) {
    let names = NativeNames::default();
    (store.name().clone(), StoreSetup { store, names, settle_ms: 900_000, read_cost: 0.0 })
}

async fn rows(ledger: &dyn Ledger) -> Vec<Row> {
    let (lines, next) = ledger.rows_after(None, usize::MAX).await.unwrap();
    assert_eq!(next, None);
    let rows = rows_of(&lines.lines).map(Result::unwrap);
    rows.filter(|row| !matches!(row, Row::Fact { name, .. } if name.starts_with("rebuild."))).collect()
}

async fn seconds(n: u64) {
    tokio::time::sleep(Duration::from_secs(n)).await;
}

fn lose(store: &MemoryStore, key: &str) {
    store.lose(&At::new(HOME, key));
}

#[tokio::test(start_paused = true)]
async fn a_new_ledger_made_of_what_was_shipped_says_the_same() {
    for kinds in [B3, [MemoryTraits::A; 3], [MemoryTraits::DISK; 3]] {
        let hall = Hall::new(&kinds).await;
        for round in 0..3 {
            for n in 0..8 {
                let key = format!("k{}", (n * 7 + round) % 12);
                if (n + round) % 4 == 3 {
                    hall.world.delete(&key).await.unwrap();
                } else {
                    hall.world.put(&key, &bytes(1000 * n + 1, round as u8)).await.unwrap();
                }
            }
            hall.world.put("large", &bytes(1 << 20, round as u8)).await.unwrap();
            seconds(20).await;
        }
        hall.shipped().await;
        let recalled = hall.says_the_same().await;
        assert!(recalled.segments >= 4 && recalled.snapshot.is_some(), "{recalled:?}");
        assert_eq!((recalled.missing, recalled.not_believed), (0, 0), "{recalled:?}");
        // And so it does later, when the segments before the snapshots are gone.
        tokio::time::sleep(SNAPSHOTS * 3).await;
        hall.world.put("later", b"later").await.unwrap();
        hall.shipped().await;
        hall.says_the_same().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_away_costs_lag_and_no_client_waits() {
    let hall = Hall::new(&B3).await;
    hall.world.put("before", b"1").await.unwrap();
    hall.shipped().await;
    let well = hall.status().await;
    assert_eq!((well.waiting, well.lag_ms, well.problem.as_str()), (0, 0, ""));
    // One store is no quorum less.
    hall.puppets[0].set(Mood::Refuse);
    hall.world.put("one away", b"2").await.unwrap();
    seconds(30).await;
    assert_eq!(hall.status().await.lag_ms, 0);
    // Two are: one store and the spool still take the write, at once.
    hall.puppets[1].set(Mood::Refuse);
    seconds(60).await;
    let started = tokio::time::Instant::now();
    hall.world.put("two away", b"3").await.unwrap();
    assert!(started.elapsed() < Duration::from_secs(1), "{:?}", started.elapsed());
    seconds(60).await;
    let behind = hall.status().await;
    assert!(behind.waiting > 0 && behind.lag_ms >= 60_000, "{behind:?}");
    assert!(behind.problem.contains("stands on 1 of 2 stores"), "{behind:?}");
    for puppet in &hall.puppets {
        puppet.set(Mood::Well);
    }
    hall.shipped().await;
    hall.says_the_same().await;
}

/// Whenever the process dies, no number is used twice, and what was shipped goes together.
#[tokio::test(start_paused = true)]
async fn a_process_that_dies_leaves_segments_that_go_on() {
    let mut hall = Hall::new(&B3).await;
    for n in 0..12u64 {
        hall.world.put(&format!("k{}", n % 5), &bytes(3000, n as u8)).await.unwrap();
        tokio::time::sleep(Duration::from_millis(n * 617)).await;
        hall = hall.dies().await;
    }
    hall.shipped().await;
    let names = hall.segments(0);
    let mut numbers: Vec<&str> = names.iter().map(|name| name.split(['-', '.']).nth(2).unwrap()).collect();
    numbers.dedup();
    assert_eq!(numbers.len(), names.len(), "{names:?}");
    hall.says_the_same().await;
}

#[tokio::test(start_paused = true)]
async fn what_is_torn_or_foreign_is_told_and_not_believed() {
    let hall = Hall::new(&B3).await;
    for n in 0..5 {
        hall.world.put(&format!("k{n}"), b"body").await.unwrap();
        seconds(10).await;
    }
    hall.shipped().await;
    let last = hall.segments(0).pop().unwrap();
    let at = At::new(HOME, last.clone());
    // Torn on one store: another has it.
    let whole = hall.world.stores[0].lying(&at).pop().unwrap().bytes;
    assert!(hall.world.stores[0].rot(&at, whole.slice(..whole.len() / 2)));
    let recalled = hall.says_the_same().await;
    assert_eq!(recalled.not_believed, 1);
    assert!(recalled.lines[0].contains("torn") && recalled.lines[0].contains("on s0"), "{recalled:?}");
    // Torn on all: the rest is read, and what it names shows that it is missing.
    for store in &hall.world.stores {
        store.rot(&at, whole.slice(..40));
    }
    let (_dir, _, recalled) = hall.recalled("secret").await;
    assert_eq!(recalled.not_believed, 3, "{recalled:?}");
    hall.world.put("after", b"body").await.unwrap();
    hall.shipped().await;
    for store in &hall.world.stores {
        lose(store, &last);
    }
    let (_dir, ledger, recalled) = hall.recalled("secret").await;
    assert_eq!((recalled.missing, recalled.not_believed), (1, 0), "{recalled:?}");
    assert!(ledger.entry(&support::bucket(), &support::key("after")).await.unwrap().is_some());
    // Without the right key nothing of it can be read.
    let (_dir, ledger, recalled) = hall.recalled("guessed").await;
    assert_eq!((recalled.segments, rows(&ledger).await), (0, vec![]));
    assert!(recalled.lines[0].contains("another key"), "{recalled:?}");
}

/// A snapshot that lost a part is passed over for the one before it.
#[tokio::test(start_paused = true)]
async fn an_older_snapshot_helps_where_the_newer_is_damaged() {
    let hall = Hall::new(&B3).await;
    hall.world.put("k", b"1").await.unwrap();
    tokio::time::sleep(SNAPSHOTS * 2).await;
    hall.world.put("k", b"22").await.unwrap();
    hall.shipped().await;
    let newest = hall.segments(0).into_iter().rfind(|name| name.contains("snapshot-end")).unwrap();
    for store in &hall.world.stores {
        store.rot(&At::new(HOME, newest.clone()), b"nothing".as_slice().into());
    }
    let recalled = hall.says_the_same().await;
    assert_eq!(recalled.not_believed, 3, "once for each store: {recalled:?}");
    assert!(recalled.snapshot.unwrap() <= Moment(START.0 + SNAPSHOTS.as_millis() as u64), "{recalled:?}");
}

/// However long it runs, what lies on a store is two snapshots and what changed since the older.
#[tokio::test(start_paused = true)]
async fn old_segments_go() {
    for kinds in [B3, [MemoryTraits::A; 3]] {
        let hall = Hall::new(&kinds).await;
        for n in 0..12 {
            hall.world.put("k", &bytes(100, n)).await.unwrap();
            tokio::time::sleep(SNAPSHOTS / 2).await;
        }
        hall.shipped().await;
        for i in 0..3 {
            let names = hall.segments(i);
            let snapshots = names.iter().filter(|name| name.contains("snapshot-end")).count();
            assert_eq!(snapshots, 2, "{names:?}");
            assert!(names.len() < 30, "{} segments", names.len());
            for name in &names {
                let versions = hall.world.stores[i].lying(&At::new(HOME, name.clone())).len();
                assert_eq!(versions, 1, "{name}");
            }
        }
        let recalled = hall.says_the_same().await;
        assert_eq!((recalled.missing, recalled.not_believed), (0, 0), "{recalled:?}");
    }
}
