//! The engine: what every verb and worker shares, and how it starts and stops.

use crate::adopting::Adopting;
use crate::attempts::Attempts;
use crate::bucket_marks::BucketMarks;
use crate::budgets::Budgets;
use crate::clock::Clock;
use crate::counters::Counters;
use crate::deep_progress::DeepRounds;
use crate::drilling::Drills;
use crate::epoch::Superseded;
use crate::frozen::Frozen;
use crate::gates::Gates;
use crate::hedging::Hedges;
use crate::lanes::Lanes;
use crate::leaving::Leaving;
use crate::ledger_disk::LedgerDisk;
use crate::seats::Seat;
use crate::settings::{EngineSettings, Setups};
use crate::shipping::Shipping;
use crate::spool::Spool;
use crate::unknown::Unknown;
use outlast_ledger::{Bucket, BucketState, Change, Ledger, LedgerError};
use outlast_rules::{
    BucketName, CallId, Departure, Epoch, Moment, Mutant, Placement, StoreName, WriteId, broken, placement_without,
};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::{Arc, Mutex};
use tokio::sync::{Notify, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Everything that verbs and workers share. One per process.
pub struct Engine {
    pub(crate) settings: EngineSettings,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) ledger: Arc<dyn Ledger>,
    pub(crate) seats: BTreeMap<StoreName, Arc<Seat>>,
    pub(crate) lanes: Lanes,
    pub(crate) upload_lanes: Lanes,
    pub(crate) attempts: Attempts,
    pub(crate) spool: Arc<Spool>,
    /// Bytes of bodies held in memory.
    pub(crate) pool: Arc<Semaphore>,
    pub(crate) counters: Counters,
    pub(crate) ledger_disk: LedgerDisk,
    pub(crate) tasks: TaskTracker,
    pub(crate) stopping: CancellationToken,
    pub(crate) epoch: Epoch,
    pub(crate) installation: String,
    pub(crate) opened: Moment,
    pub(crate) buckets: BucketCache,
    /// Making and removing buckets: one at a time.
    pub(crate) bucket_lane: tokio::sync::Mutex<()>,
    pub(crate) bucket_marks: BucketMarks,
    pub(crate) adopting: Arc<Adopting>,
    pub(crate) gates: Gates,
    pub(crate) unknown: Unknown,
    pub(crate) frozen: Frozen,
    pub(crate) leaving: Leaving,
    /// One store leaves, or comes back, at a time.
    pub(crate) leave_lane: tokio::sync::Mutex<()>,
    pub(crate) budgets: Budgets,
    pub(crate) hedges: Hedges,
    pub(crate) deep_rounds: DeepRounds,
    pub(crate) drills: Drills,
    pub(crate) shipping: Shipping,
    pub(crate) superseded: Arc<Superseded>,
    /// Rung when a write was left undecided.
    pub(crate) undecided_bell: Notify,
    chance: Mutex<SmallRng>,
}

/// Buckets are few and asked for by every request.
pub(crate) type BucketCache = Mutex<BTreeMap<BucketName, Bucket>>;

/// Why the engine did not start. Its words are for the operator.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    #[error("the spool folder cannot be used: {0}")]
    Spool(#[from] io::Error),
    #[error("{0}")]
    Identity(String),
}

impl Engine {
    /// Opens everything; no worker runs yet and nothing was sent to a store.
    pub async fn open(
        settings: EngineSettings,
        clock: Arc<dyn Clock>,
        ledger: Arc<dyn Ledger>,
        stores: Setups,
    ) -> Result<Arc<Engine>, StartError> {
        let mut chance = match settings.seed {
            Some(seed) => SmallRng::seed_from_u64(seed),
            None => SmallRng::from_os_rng(),
        };
        let known: BTreeSet<String> = crate::kept::known_to_spool(&*ledger).await?;
        let spool = Spool::open(&settings.data_dir.join("spool"), settings.spool_max, &known)?;
        let installation = installation_of(&*ledger, &mut chance).await?;
        let frozen = Frozen::recall(&*ledger).await?;
        let leaving = Leaving::recall(&*ledger, stores.keys()).await?;
        let budgets = Budgets::recall(&*ledger).await?;
        let bucket_marks = BucketMarks::recall(&*ledger).await?;
        let epoch = ledger.fact("epoch").await?.and_then(|text| text.parse().ok()).unwrap_or(1);
        let seats: BTreeMap<StoreName, Arc<Seat>> = stores
            .into_iter()
            .map(|(name, setup)| {
                (name.clone(), Arc::new(Seat::new(name, setup, clock.clone(), settings.canary_every_ms)))
            })
            .collect();
        let superseded = Arc::new(Superseded::default());
        let token = ledger.fact("epoch.token").await?.unwrap_or_default();
        for seat in seats.values() {
            seat.epoch.begin(Epoch(epoch), token.clone(), superseded.clone());
        }
        let buckets = ledger.buckets().await?.into_iter().map(|bucket| (bucket.name.clone(), bucket)).collect();
        let engine = Engine {
            pool: Arc::new(Semaphore::new(settings.body_memory_max.min(Semaphore::MAX_PERMITS as u64) as usize)),
            settings,
            opened: clock.now(),
            clock,
            ledger,
            seats,
            lanes: Lanes::default(),
            upload_lanes: Lanes::default(),
            attempts: Attempts::default(),
            spool: Arc::new(spool),
            counters: Counters::default(),
            ledger_disk: LedgerDisk::default(),
            tasks: TaskTracker::new(),
            stopping: CancellationToken::new(),
            epoch: Epoch(epoch),
            installation,
            buckets: Mutex::new(buckets),
            bucket_lane: tokio::sync::Mutex::new(()),
            bucket_marks,
            adopting: Arc::default(),
            gates: Gates::default(),
            unknown: Unknown::default(),
            frozen,
            leaving,
            leave_lane: tokio::sync::Mutex::new(()),
            budgets,
            hedges: Hedges::default(),
            deep_rounds: DeepRounds::default(),
            drills: Drills::default(),
            shipping: Shipping::default(),
            superseded,
            undecided_bell: Notify::new(),
            chance: Mutex::new(chance),
        };
        engine.refuse_shared_names()?;
        engine.restart_marks().await?;
        engine.recall_probes().await?;
        Ok(Arc::new(engine))
    }

    /// After a crash every mark counts anew (protocol.md 2.8). On disks whose lock this process took no call of a dead
    /// process can live on: marks from before `opened` get their second look at once.
    async fn restart_marks(&self) -> Result<(), LedgerError> {
        if broken(Mutant::MarksNotRestarted) {
            return Ok(());
        }
        let anew = self.seats.values().filter(|seat| !seat.limits().never_given_up);
        let stores = anew.map(|seat| seat.name.clone()).collect();
        self.ledger.commit(vec![Change::RestartMarks { stores, now: self.opened }]).await
    }

    /// No new request is taken; running ones and their commit phases end; then the ledger closes.
    pub async fn stop(&self) {
        self.stopping.cancel();
        // A call that a drill holds back would be waited for.
        self.end_faults(None);
        self.tasks.close();
        self.tasks.wait().await;
        self.ledger.close().await;
    }

    pub fn now(&self) -> Moment {
        self.clock.now()
    }

    pub(crate) fn new_write(&self) -> WriteId {
        WriteId(self.random())
    }

    pub(crate) fn new_call(&self) -> CallId {
        CallId(self.random())
    }

    pub(crate) fn random(&self) -> u128 {
        self.chance.lock().expect("drawing a number does not panic").random()
    }

    pub(crate) fn seat(&self, name: &StoreName) -> Option<&Arc<Seat>> {
        self.seats.get(name)
    }

    /// Is there a store of this name?
    pub fn has_store(&self, name: &str) -> bool {
        self.seats.keys().any(|store| store.as_str() == name)
    }

    /// Does the ledger know this bucket, in whatever state? One that was deleted too, while something of it is left.
    pub fn knows_bucket(&self, name: &BucketName) -> bool {
        self.cached_bucket(name).is_some()
    }

    /// The stores of a bucket's placement, in its order, and none that was removed: all that may hold something of it.
    pub(crate) fn seats_of(&self, bucket: &BucketName) -> Vec<Arc<Seat>> {
        let used = |name: &&StoreName| self.leaving.of(name) != Some(Departure::Removed);
        let placement = self.settings.placement(bucket);
        placement.stores.iter().filter(used).filter_map(|name| self.seats.get(name).cloned()).collect()
    }

    pub(crate) fn is_leaving(&self, store: &StoreName) -> bool {
        self.leaving.of(store).is_some()
    }

    /// Where new copies of this bucket go, and how many make a write durable.
    pub(crate) fn placement(&self, bucket: &BucketName) -> Placement {
        placement_without(self.settings.placement(bucket), |store| self.is_leaving(store))
    }

    /// The stores that take new copies.
    pub(crate) fn seats_taking(&self, bucket: &BucketName) -> Vec<Arc<Seat>> {
        let mut seats = self.seats_of(bucket);
        seats.retain(|seat| !self.is_leaving(&seat.name));
        seats
    }

    /// The bucket if clients may use it now.
    pub(crate) fn cached_bucket(&self, name: &BucketName) -> Option<Bucket> {
        self.buckets.lock().expect("no code panics while it holds the buckets").get(name).cloned()
    }

    pub(crate) fn cache_bucket(&self, name: &BucketName, bucket: Option<Bucket>) {
        let mut buckets = self.buckets.lock().expect("no code panics while it holds the buckets");
        match bucket {
            Some(bucket) => buckets.insert(name.clone(), bucket),
            None => buckets.remove(name),
        };
    }

    pub(crate) fn serving_buckets(&self) -> Vec<Bucket> {
        let buckets = self.buckets.lock().expect("no code panics while it holds the buckets");
        buckets.values().filter(|bucket| bucket.state == BucketState::Serving).cloned().collect()
    }

    pub(crate) async fn note(&self, kind: &str, text: String) {
        tracing::warn!(kind, "{text}");
        let note = Change::Note { at: self.now(), kind: kind.to_owned(), text };
        if let Err(error) = self.ledger.commit(vec![note]).await {
            tracing::error!("history: {error}");
        }
    }
}

/// Who this ledger belongs to; drawn once, when it is new.
async fn installation_of(ledger: &dyn Ledger, chance: &mut SmallRng) -> Result<String, LedgerError> {
    if let Some(id) = ledger.fact("installation").await? {
        return Ok(id);
    }
    let id = format!("{:032x}", chance.random::<u128>());
    ledger.commit(vec![Change::SetFact { name: "installation".into(), value: id.clone() }]).await?;
    Ok(id)
}
