//! The real thing, small: three disk stores with a fault switch each, the embedded ledger and the engine, in a folder
//! that goes at the end.

use crate::exit::Failure;
use outlast_engine::{Engine, EngineSettings, NativeNames, StoreSetup, SystemClock};
use outlast_ledger::{Embedded, Ledger, Mode};
use outlast_rules::{BucketName, Placement, StoreName};
use outlast_store::{Apply, DiskStore, Faulty, Setting, Store, Switch, Trouble};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tempfile::TempDir;
use tokio::time::Instant;

pub const STORES: [&str; 3] = ["one", "two", "three"];
const BUCKET: &str = "demo";
/// A call that broke off is a disk's system call that still runs: over in a moment, and far within this.
const SETTLE_MS: u64 = 3_000;
/// The parts of the long upload lie here while a store is away, and single writes for which it stands in.
const SPOOL_MAX: u64 = 128 << 20;
const BODY_MEMORY_MAX: u64 = 64 << 20;
/// A client's patience. Only `--min-copies 3 --no-spool` ever waits so long.
const COMMIT_DEADLINE_MS: u64 = 8_000;
/// Probing three empty folders takes a tenth of a second.
const PROBES_PATIENCE: Duration = Duration::from_secs(5);
const PROBES_LOOK: Duration = Duration::from_millis(50);
/// What a store in another town is away. From the next folder catch-up would be over before anybody has seen it.
const LINE_DELAY: Duration = Duration::from_millis(20);
pub const LINE_BYTES_PER_S: u64 = 24 << 20;
/// Calls that run end in milliseconds once no store is held back.
const CLOSE_PATIENCE: Duration = Duration::from_secs(5);

pub struct Stage {
    pub engine: Arc<Engine>,
    pub ledger: Arc<Embedded>,
    pub bucket: BucketName,
    pub actors: Vec<Actor>,
    pub placement: Placement,
    /// None once it is removed.
    dir: Mutex<Option<TempDir>>,
}

/// One store, seen from behind the scene.
pub struct Actor {
    pub name: StoreName,
    /// The store alone, past the switch.
    pub disk: Arc<DiskStore>,
    switch: Arc<Switch>,
}

impl Actor {
    /// As under SIGSTOP: answers and bodies on their way stand still, what comes after is never answered.
    pub fn stall(&self) {
        self.switch.set(Setting::all(Trouble::Hang(Apply::Never)));
        self.switch.stall();
    }

    /// As under SIGKILL: what is on its way breaks off, what comes after is refused.
    pub fn kill(&self) {
        self.switch.set(Setting::all(Trouble::Refuse));
        self.switch.break_off();
    }

    /// It answers again, on a line of `LINE_BYTES_PER_S`.
    pub fn bring_back(&self) {
        self.switch.clear();
        let (before, after) = (LINE_DELAY, Duration::ZERO);
        self.switch.set(Setting::all(Trouble::Slow { before, after, bytes_per_second: Some(LINE_BYTES_PER_S) }));
    }

    /// All is as it was.
    pub fn make_well(&self) {
        self.switch.clear();
    }
}

impl Stage {
    /// Nothing is outside of a temporary folder. Every store's powers are known when it returns.
    ///
    /// # Errors
    /// No temporary folder can be made or used; in words.
    pub async fn open(min_copies: usize, spool_counts: bool, seed: u64) -> Result<Stage, Failure> {
        let cannot = |what: &str, why: &dyn std::fmt::Display| Failure::cannot_start(format!("demo: {what}: {why}"));
        let dir = tempfile::Builder::new()
            .prefix("outlast-demo-")
            .tempdir()
            .map_err(|error| cannot("no temporary folder (TMPDIR names another place)", &error))?;
        let actors = open_stores(dir.path()).map_err(|error| cannot("a disk store does not open", &error))?;
        let data_dir = dir.path().join("gateway");
        std::fs::create_dir_all(&data_dir).map_err(|error| cannot("a folder for the ledger", &error))?;
        let ledger = Embedded::open(&data_dir, Mode::Threads).map_err(|error| cannot("the ledger", &error))?;
        let ledger = Arc::new(ledger);
        let placement =
            Placement { stores: actors.iter().map(|actor| actor.name.clone()).collect(), min_copies, spool_counts };
        let settings = EngineSettings {
            data_dir,
            spool_max: SPOOL_MAX,
            body_memory_max: BODY_MEMORY_MAX,
            commit_deadline_ms: COMMIT_DEADLINE_MS,
            defaults: placement.clone(),
            buckets: BTreeMap::new(),
            undelete_default: outlast_rules::Undelete::default(),
            undelete: BTreeMap::new(),
            delete_budgets: Default::default(),
            deep_scrub: Default::default(),
            canary_every_ms: None,
            seed: Some(seed),
        };
        let setups = actors.iter().map(|actor| (actor.name.clone(), setup(actor))).collect();
        let engine = Engine::open(settings, Arc::new(SystemClock), ledger.clone(), setups)
            .await
            .map_err(|error| cannot("the engine", &error))?;
        let bucket = BucketName::parse(BUCKET).expect("a constant that is a bucket's name");
        engine.create_bucket(bucket.clone()).await.map_err(|error| cannot("the bucket", &error))?;
        engine.start_workers();
        let stage = Stage { engine, ledger, bucket, actors, placement, dir: Mutex::new(Some(dir)) };
        stage.wait_for_probes().await;
        Ok(stage)
    }

    /// Without its powers known, a store is trusted less than it deserves; that is slower, never wrong.
    async fn wait_for_probes(&self) {
        let began = Instant::now();
        while began.elapsed() < PROBES_PATIENCE {
            let status = self.engine.status().await;
            if status.stores.iter().all(|store| store.probed.is_some()) {
                return;
            }
            tokio::time::sleep(PROBES_LOOK).await;
        }
    }

    pub fn actor(&self, name: &str) -> &Actor {
        self.actors.iter().find(|actor| actor.name.as_str() == name).unwrap_or(&self.actors[0])
    }

    /// Lets go of every store, so that nothing hangs, closes, and removes the folder; clients that were just dropped may
    /// still hold the stage.
    ///
    /// # Errors
    /// The folder, or something in it, cannot be removed; in words.
    pub async fn close(&self) -> Result<(), Failure> {
        for actor in &self.actors {
            actor.switch.break_off();
            actor.switch.clear();
        }
        if tokio::time::timeout(CLOSE_PATIENCE, self.engine.stop()).await.is_err() {
            // Everything in this folder is thrown away next.
            self.ledger.close().await;
        }
        let dir = self.dir.lock().expect("no holder of this lock can panic").take();
        dir.map_or(Ok(()), TempDir::close)
            .map_err(|error| Failure::differs(format!("demo: its temporary folder cannot be removed: {error}")))
    }
}

fn open_stores(dir: &Path) -> Result<Vec<Actor>, outlast_store::DiskOpenError> {
    let open = |name: &str| {
        let name = StoreName::parse(name).expect("a constant that is a store's name");
        let disk = Arc::new(DiskStore::open_or_make(name.clone(), &dir.join(name.as_str()))?);
        Ok(Actor { name, disk, switch: Arc::new(Switch::default()) })
    };
    STORES.into_iter().map(open).collect()
}

fn setup(actor: &Actor) -> StoreSetup {
    let disk: Arc<dyn Store> = actor.disk.clone();
    StoreSetup {
        store: Arc::new(Faulty::new(disk, actor.switch.clone())),
        names: NativeNames::default(),
        settle_ms: SETTLE_MS,
        read_cost: 0.0,
    }
}
