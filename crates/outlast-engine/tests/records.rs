//! What we leave on the stores goes again: order records and tombstone records, when the ledger says that they are over, and
//! uploads, however many there are.

mod support;

use outlast_engine::*;
use outlast_ledger::{Change, Durability, Embedded, Ledger, Mode, Upload, UploadState};
use outlast_rules::{Conditions, Head, Moment, Undelete, WriteId};
use outlast_store::{At, MemoryTraits, Store};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use support::puppet::{Mood, Puppet, Trick};
use support::{START, World, bucket, bytes, client_body, key, name};

const B3: [MemoryTraits; 3] = [MemoryTraits::B; 3];

/// What can be undone keeps its tombstone for days.
const NO_UNDELETE: Undelete = Undelete { window_ms: 0, overwrites: false };

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
        let world = World::with_memory(kinds, |settings| settings.undelete_default = NO_UNDELETE, wrap).await;
        Hall { world, puppets: puppets.into_inner().unwrap(), alive }
    }

    /// kill -9, and a new process on the same disk.
    async fn dies(self) -> Hall {
        self.alive.store(false, Ordering::SeqCst);
        self.world.ledger.close().await;
        let alive = Arc::new(AtomicBool::new(true));
        let ledger = Arc::new(Embedded::open_with(self.world.dir.path(), Mode::Inline, Durability::Process).unwrap());
        let setups = self.puppets.iter().map(|puppet| {
            let store = puppet.seen_by(alive.clone());
            let names = NativeNames::default();
            (store.name().clone(), StoreSetup { store, names, settle_ms: 900_000, read_cost: 0.0 })
        });
        let clock = Arc::new(TokioClock::new(START));
        let engine = Engine::open(self.world.settings.clone(), clock, ledger.clone(), setups.collect()).await.unwrap();
        Hall { world: World { engine, ledger, ..self.world }, puppets: self.puppets, alive }
    }

    /// One object whose order stands in a record.
    async fn upload(&self, at: &str) -> Result<Written, UploadError> {
        let engine = &self.world.engine;
        let ask =
            CreateUploadAsk { bucket: bucket(), key: key(at), head: Head::default(), checksum: None, composite: None };
        let upload = engine.create_upload(ask).await?;
        let body = client_body(&bytes(1000, 1));
        let (number, at) = (1, key(at));
        let ask = PutPartAsk { bucket: bucket(), key: at.clone(), upload: upload.clone(), number, body };
        let part = engine.put_part(ask).await?;
        let (bucket, parts, conditions) = (bucket(), vec![(1, part.etag)], Conditions::default());
        let ask = CompleteAsk {
            bucket,
            key: at,
            upload,
            parts,
            part_checksums: Default::default(),
            checksum: None,
            size: None,
            conditions,
        };
        engine.complete_upload(ask).await
    }

    /// Records on each store.
    async fn records(&self) -> Vec<usize> {
        let mut found = Vec::new();
        for store in &self.world.stores {
            let mut count = 0;
            for folder in [".outlast/order/", ".outlast/tomb/"] {
                count += store.list("photos", folder, None).await.unwrap().copies.len();
            }
            found.push(count);
        }
        found
    }

    async fn remembered(&self) -> usize {
        self.world.ledger.facts("record/", "", 100).await.unwrap().len()
    }

    async fn nothing_left(&self) {
        assert_eq!(self.records().await, vec![0; self.puppets.len()]);
        assert_eq!(self.remembered().await, 0);
    }
}

/// `settle_time`, in which a call that wrote a record may still apply, and a round.
const SETTLED: Duration = Duration::from_secs(15 * 60 + 120);

async fn seconds(n: u64) {
    tokio::time::sleep(Duration::from_secs(n)).await;
}

#[tokio::test(start_paused = true)]
async fn an_order_record_stays_while_its_entry_does_and_goes_when_that_is_replaced() {
    for kinds in [[MemoryTraits::A; 3], [MemoryTraits::B; 3], [MemoryTraits::DISK; 3]] {
        let hall = Hall::new(&kinds).await;
        hall.world.engine.start_workers();
        hall.upload("film").await.unwrap();
        tokio::time::sleep(SETTLED * 4).await;
        assert_eq!(hall.records().await, [1, 1, 1], "nothing else tells the order of what was completed");
        hall.world.put("film", b"short").await.unwrap();
        seconds(120).await;
        hall.nothing_left().await;
        hall.world.engine.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_record_goes_only_when_the_newer_entry_is_safe() {
    let hall = Hall::new(&B3).await;
    hall.world.engine.start_workers();
    hall.upload("film").await.unwrap();
    tokio::time::sleep(SETTLED).await;
    hall.puppets[1].set(Mood::Refuse);
    hall.puppets[2].set(Mood::Refuse);
    let written = hall.world.put("film", b"short").await.unwrap();
    assert_eq!(written.places, ["s0", "spool"]);
    tokio::time::sleep(SETTLED).await;
    assert_eq!(hall.records().await, [1, 1, 1]);
    hall.puppets[1].set(Mood::Well);
    hall.world.engine.status().await;
    tokio::time::sleep(SETTLED).await;
    assert_eq!(hall.records().await, [1, 1, 1], "a store that is not asked may hold it still");
    hall.puppets[2].set(Mood::Well);
    tokio::time::sleep(SETTLED * 2).await;
    hall.nothing_left().await;
    hall.world.engine.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_tombstone_record_goes_when_all_its_keys_were_written_again_or_are_gone() {
    let hall = Hall::new(&B3).await;
    hall.world.engine.start_workers();
    for at in ["a", "b", "c"] {
        hall.world.put(at, b"first").await.unwrap();
    }
    let keys = ["a", "b"].map(|at| (key(at), Conditions::default())).to_vec();
    for (_, deleted) in hall.world.engine.delete_many(bucket(), String::new(), keys).await {
        deleted.unwrap();
    }
    hall.world.put("a", b"again").await.unwrap();
    seconds(200).await;
    assert_eq!(hall.records().await, [1, 1, 1], "calls that write a record may last for settle_time");
    hall.world.delete("c").await.unwrap();
    hall.world.put("c", b"again").await.unwrap();
    tokio::time::sleep(SETTLED * 2).await;
    hall.nothing_left().await;
    assert_eq!(hall.world.list().await, ["a", "c"]);
    hall.world.engine.stop().await;
}

#[tokio::test(start_paused = true)]
async fn records_of_a_dead_process_go_too() {
    let hall = Hall::new(&B3).await;
    hall.upload("film").await.unwrap();
    hall.world.put("k", b"first").await.unwrap();
    // Undecided when the process dies: its record may stand or not.
    hall.puppets.iter().for_each(|puppet| puppet.trick(Trick::Swallow));
    hall.upload("k").await.unwrap_err();
    hall.world.delete("film").await.unwrap();
    assert!(hall.remembered().await >= 3);
    let hall = hall.dies().await;
    hall.world.engine.start_workers();
    tokio::time::sleep(SETTLED * 3).await;
    hall.world.settle().await;
    assert_eq!(hall.remembered().await, 1, "the order of what k is now");
    hall.world.delete("k").await.unwrap();
    tokio::time::sleep(SETTLED * 3).await;
    hall.nothing_left().await;
    hall.world.engine.stop().await;
}

const HOME: &str = "outlast-home";

impl Hall {
    /// How many bucket tombstones stand in each home.
    async fn bucket_tombs(&self) -> Vec<usize> {
        let mut found = Vec::new();
        for store in &self.world.stores {
            let page = store.list(HOME, ".outlast/bucket/", None).await;
            found.push(page.map_or(0, |page| page.copies.len()));
        }
        found
    }

    async fn has_native(&self, i: usize) -> bool {
        self.world.stores[i].list_buckets().await.unwrap().contains(&"photos".to_owned())
    }

    async fn delete_bucket(&self) -> Result<(), BucketError> {
        self.world.engine.delete_bucket(bucket()).await
    }
}

#[tokio::test(start_paused = true)]
async fn a_bucket_tombstone_stands_until_every_store_was_seen_without_the_bucket() {
    let hall = Hall::new(&B3).await;
    hall.world.engine.start_workers();
    hall.puppets[2].set(Mood::Refuse);
    hall.delete_bucket().await.unwrap();
    assert_eq!(hall.bucket_tombs().await, [1, 1, 0]);
    tokio::time::sleep(SETTLED * 2).await;
    assert_eq!(hall.bucket_tombs().await, [1, 1, 0]);
    assert!(hall.has_native(2).await && !hall.has_native(1).await);
    hall.puppets[2].set(Mood::Well);
    tokio::time::sleep(SETTLED * 2).await;
    assert_eq!(hall.bucket_tombs().await, [0, 0, 0]);
    assert!(!hall.has_native(2).await);
    assert_eq!(hall.remembered().await, 0);
    hall.world.engine.stop().await;
}

/// Nobody hears that it is gone before its tombstone stands; once begun, its deletion goes on, also in another process.
#[tokio::test(start_paused = true)]
async fn a_deletion_that_could_not_be_told_of_goes_on_after_a_crash() {
    for dies in [false, true] {
        let mut hall = Hall::new(&B3).await;
        hall.puppets[0].set(Mood::Hang);
        hall.puppets[1].set(Mood::Hang);
        let error = hall.delete_bucket().await.unwrap_err();
        assert!(matches!(error, BucketError::NoQuorum(_)), "{error}");
        assert_eq!(hall.bucket_tombs().await, [0, 0, 1]);
        assert!(hall.has_native(2).await, "no bucket is removed before its tombstone stands");
        if dies {
            hall = hall.dies().await;
        }
        let refused = hall.world.put("k", b"x").await.unwrap_err();
        assert!(matches!(refused, WriteError::NotServed(_)), "{refused}");
        hall.puppets[0].set(Mood::Well);
        hall.puppets[1].set(Mood::Well);
        hall.world.engine.start_workers();
        tokio::time::sleep(SETTLED * 3).await;
        assert!(matches!(hall.delete_bucket().await, Err(BucketError::NoBucket)), "{dies}");
        for i in 0..3 {
            assert!(!hall.has_native(i).await);
        }
        assert_eq!(hall.bucket_tombs().await, [0, 0, 0]);
        assert_eq!(hall.remembered().await, 0);
        hall.world.engine.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_bucket_stays_while_its_tombstone_could_not_stand() {
    let hall = Hall::new(&B3).await;
    hall.world.engine.start_workers();
    hall.puppets[0].set(Mood::Refuse);
    hall.puppets[1].set(Mood::Refuse);
    seconds(120).await;
    let error = hall.delete_bucket().await.unwrap_err();
    assert!(matches!(error, BucketError::NoQuorum(_)), "{error}");
    hall.puppets[0].set(Mood::Well);
    seconds(120).await;
    hall.world.put("k", b"x").await.unwrap();
    hall.world.engine.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_bucket_made_again_outlives_the_tombstone_of_its_former_life() {
    let hall = Hall::new(&B3).await;
    hall.world.engine.start_workers();
    hall.puppets[2].set(Mood::Refuse);
    hall.delete_bucket().await.unwrap();
    seconds(1).await;
    hall.world.engine.create_bucket(bucket()).await.unwrap();
    hall.world.put("k", b"new life").await.unwrap();
    hall.puppets[2].set(Mood::Well);
    tokio::time::sleep(SETTLED * 2).await;
    assert_eq!(hall.bucket_tombs().await, [0, 0, 0]);
    assert_eq!(hall.world.get("k").await.unwrap(), "new life");
    hall.delete_bucket().await.unwrap_err();
    hall.world.delete("k").await.unwrap();
    hall.delete_bucket().await.unwrap();
    assert!(matches!(hall.delete_bucket().await, Err(BucketError::NoBucket)));
    hall.world.engine.stop().await;
}

/// More of them than a page holds are still open, and untouched for longer.
#[tokio::test(start_paused = true)]
async fn an_owed_abort_is_not_held_up_by_uploads_that_are_open() {
    let hall = Hall::new(&B3).await;
    let native = hall.world.stores[0].create_upload(&At::new("photos", "left"), &Default::default()).await.unwrap();
    let upload = |id: String, began: u64, state: UploadState| {
        Change::PutUpload(Box::new(Upload {
            id,
            bucket: bucket(),
            key: key("left"),
            began: Moment(START.0 - began),
            head: Head::default(),
            checksum: None,
            composite: None,
            internal: false,
            write: WriteId(1),
            natives: BTreeMap::from([(name(0), native.clone())]),
            state,
        }))
    };
    let mut batch: Vec<Change> = (0..600).map(|n| upload(format!("u{n}"), 1000, UploadState::Open)).collect();
    batch.push(upload("owed".into(), 1, UploadState::Aborted { owed: vec![name(0)] }));
    hall.world.ledger.commit(batch).await.unwrap();
    hall.world.engine.start_workers();
    seconds(61).await;
    assert_eq!(hall.world.ledger.upload("owed").await.unwrap(), None);
    assert_eq!(hall.world.stores[0].list_uploads("photos").await.unwrap(), []);
    hall.world.engine.stop().await;
}
