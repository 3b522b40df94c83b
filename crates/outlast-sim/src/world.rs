//! One run of one plan: boots, requests, faults, crashes; safety after every step, then everything is healed and must come right.

use crate::books::{Books, Detail};
use crate::chance::Chance;
use crate::client::{Client, bucket_of, key_of};
use crate::content::Content;
use crate::inspect::Look;
use crate::kept::Kept;
use crate::machine::Machine;
use crate::place::Place;
use crate::plan::{Act, CALM_AFTER, Keeps, Kind, Only, Op, Plan, SETTLE};
use crate::wire::{Pass, Pulse, Wire};
use outlast_engine::{Engine, EngineSettings, NativeNames, StoreSetup, TokioClock};
use outlast_ledger::{Embedded, Ledger};
use outlast_rules::{Broken, Moment, Placement, StoreName, Undelete};
use outlast_store::{
    Apply, At, Body, Dress, Faulty, Fences, MemoryStore, MemoryTraits, PutSpec, Setting, Store, Switch, Trouble,
};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::time::{Instant, sleep, sleep_until};

/// Trouble that comes so soon may still hit a request that begins now.
const CALM_BEFORE: Duration = Duration::from_secs(15);
/// All is well again: so long it may take until nothing is owed any more.
const HEAL_MAX: Duration = Duration::from_secs(3600);
const START: Moment = Moment(1_750_000_000_000);

/// How a run ended.
pub struct Ended {
    /// Equal for every run of the same plan: nothing but the plan decides.
    pub print: u64,
    pub trace: Vec<String>,
    /// The first promise that was broken.
    pub failure: Option<String>,
}

struct Life {
    engine: Arc<Engine>,
    ledger: Arc<Embedded>,
    pulse: Pulse,
}

struct World {
    plan: Plan,
    books: Books,
    clock: Arc<TokioClock>,
    places: Vec<Place>,
    switches: Vec<Arc<Switch>>,
    machine: Machine,
    image: BTreeMap<String, Vec<u8>>,
    life: Option<Life>,
    /// Of the last crash that was announced, for one in the ledger.
    keeps: Keeps,
    lives: u64,
    chance: Chance,
    way: Arc<Mutex<Chance>>,
    began: Instant,
    /// The end of the last trouble so far.
    troubled_until: Option<Instant>,
    damaged: BTreeSet<usize>,
    /// Not mounted now.
    away: Arc<Mutex<BTreeSet<usize>>>,
    rotten: BTreeSet<(usize, usize)>,
    kept: Kept,
}

/// Runs the plan to its end or to the first broken promise.
pub fn run(plan: &Plan, detail: Detail) -> Ended {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime without any thread can be made");
    let _broken = Broken::rule(plan.broken);
    let books = runtime.block_on(async { Books::open(detail) });
    crate::panics::watch(&books);
    // What panics has told the books already; the next run is none the worse for it.
    let play = || runtime.block_on(async { World::new(plan.clone(), books.clone()).play().await });
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(play)).ok();
    crate::panics::unwatch();
    runtime.shutdown_background();
    let mut pages = books.pages();
    Ended { print: pages.print(), trace: std::mem::take(&mut pages.trace), failure: pages.failure.take() }
}

fn traits(kind: Kind) -> MemoryTraits {
    match kind {
        Kind::A => MemoryTraits::A,
        Kind::B => MemoryTraits::B,
        Kind::Unique => MemoryTraits::B_UNIQUE,
        Kind::Disk => MemoryTraits::DISK,
        Kind::Refuser => MemoryTraits { fences: Fences::Refused, ..MemoryTraits::B },
        Kind::Liar => MemoryTraits::LIAR,
        Kind::Careless => MemoryTraits { checks_parts: false, ..MemoryTraits::B_UNIQUE },
    }
}

fn name_of(store: usize) -> StoreName {
    StoreName::parse(&format!("s{store}")).expect("the world's stores have good names")
}

impl World {
    fn new(plan: Plan, books: Books) -> World {
        let clock = Arc::new(TokioClock::new(START));
        let place = |(n, kind): (usize, &Kind)| {
            let now = clock.clone();
            let time: outlast_store::Now = Arc::new(move || outlast_engine::Clock::now(&*now));
            let memory = Arc::new(MemoryStore::new(name_of(n), traits(*kind), time));
            Place { name: name_of(n), kind: *kind, memory }
        };
        let places: Vec<Place> = plan.kinds.iter().enumerate().map(place).collect();
        let switches = places.iter().map(|_| Arc::new(Switch::default())).collect();
        books.pages().spools = plan.spool_counts;
        World {
            chance: Chance::new(plan.seed, 2),
            way: Arc::new(Mutex::new(Chance::new(plan.seed, 3))),
            plan,
            books,
            clock,
            places,
            switches,
            machine: Machine::new(),
            image: BTreeMap::new(),
            life: None,
            keeps: Keeps::Everything,
            lives: 0,
            began: Instant::now(),
            troubled_until: None,
            damaged: BTreeSet::new(),
            away: Arc::default(),
            rotten: BTreeSet::new(),
            kept: Kept::default(),
        }
    }

    async fn play(&mut self) {
        let kinds: Vec<String> = self.plan.kinds.iter().map(|kind| format!("{kind:?}")).collect();
        let spool = if self.plan.spool_counts { "the spool counts" } else { "without the spool" };
        self.books.tell(format!(
            "seed {}: stores {}, min_copies {}, {spool}",
            self.plan.seed,
            kinds.join(" "),
            self.plan.min_copies
        ));
        self.boot().await;
        self.first_bucket().await;
        let steps = self.plan.steps.clone();
        // The first boot takes its time; the plan counts from after it.
        self.began = Instant::now();
        for (n, step) in steps.iter().enumerate() {
            self.until(self.began + step.at).await;
            if self.books.has_failed() {
                return;
            }
            let soon = steps[n + 1..].iter().find(|later| !matches!(later.act, Act::Client { .. }));
            let calm = self.is_calm(soon.map(|later| self.began + later.at));
            self.act(step.act.clone(), calm).await;
            self.look(false).await;
        }
        self.heal().await;
    }

    /// Waits, and starts what died meanwhile again.
    async fn until(&mut self, moment: Instant) {
        loop {
            self.rise().await;
            // A process that dies in its ledger says so to nobody: it is found dead.
            let next = moment.min(Instant::now() + Duration::from_millis(500));
            sleep_until(next).await;
            if next >= moment || self.books.has_failed() {
                self.rise().await;
                return;
            }
        }
    }

    fn is_calm(&self, soon: Option<Instant>) -> bool {
        let now = Instant::now();
        self.troubled_until.is_none_or(|end| now > end + CALM_AFTER) && soon.is_none_or(|soon| soon > now + CALM_BEFORE)
    }

    fn trouble(&mut self, lasts: Duration) {
        let end = Instant::now() + lasts;
        self.troubled_until = Some(self.troubled_until.map_or(end, |until| until.max(end)));
    }

    async fn look(&mut self, at_the_end: bool) {
        self.machine.drain();
        let Some(life) = self.life.as_ref().filter(|life| life.pulse.beats()) else { return };
        let spool = self.machine.dir().join("spool");
        let away = self.away.lock().expect("a set of numbers does not panic").clone();
        let look = Look {
            places: &self.places,
            ledger: &life.ledger,
            spool: &spool,
            min_copies: self.plan.min_copies,
            damaged: &(&self.damaged | &away),
            rotten: &self.rotten,
        };
        if at_the_end {
            look.liveness(&self.books, &mut self.kept).await;
        } else {
            look.safety(&self.books, &mut self.kept).await;
        }
        look.afterlife(&self.books).await;
    }

    async fn act(&mut self, act: Act, calm: bool) {
        if !matches!(act, Act::Client { .. }) {
            self.books.tell(format!("* {act}"));
        }
        match act {
            Act::Client { id, op } => self.request(id, op, calm),
            Act::Fault { store, lasts, setting } => {
                self.trouble(lasts + SETTLE);
                let switch = self.switches[store].clone();
                let set = switch.set(setting);
                tokio::spawn(async move {
                    sleep(lasts).await;
                    switch.unset(set);
                });
            }
            Act::Stop { store, lasts, late } => {
                self.trouble(lasts + late + SETTLE);
                let switch = self.switches[store].clone();
                let set = switch.set(Setting::all(Trouble::Hang(Apply::AfterItFlows(late))));
                switch.stall();
                tokio::spawn(async move {
                    sleep(lasts).await;
                    switch.unset(set);
                    switch.go_on();
                });
            }
            Act::BreakOff { store } => {
                self.trouble(SETTLE);
                self.switches[store].break_off();
            }
            Act::Crash { keeps } => {
                self.trouble(SETTLE);
                self.keeps = keeps;
                if let Some(life) = &self.life {
                    self.machine.die(&life.pulse);
                }
                self.rise().await;
            }
            Act::CrashInLedger { events, keeps } => {
                self.trouble(SETTLE);
                self.keeps = keeps;
                if let Some(life) = self.life.as_ref().filter(|life| life.pulse.beats()) {
                    self.machine.arm(events, &life.pulse);
                }
            }
            Act::Unmount { store, lasts } => self.unmount(store, lasts),
            damage => self.damage(damage).await,
        }
    }

    fn unmount(&mut self, store: usize, lasts: Duration) {
        self.trouble(lasts + SETTLE);
        let (memory, away) = (self.places[store].memory.clone(), self.away.clone());
        let lay = memory.unmount();
        away.lock().expect("a set of numbers does not panic").insert(store);
        tokio::spawn(async move {
            sleep(lasts).await;
            memory.mount(lay);
            away.lock().expect("a set of numbers does not panic").remove(&store);
        });
    }

    fn request(&mut self, id: u32, op: Op, calm: bool) {
        let Some(life) = self.life.as_ref().filter(|life| life.pulse.beats()) else { return };
        self.books.tell(format!("#{id} {op}{}", if calm { ", all is well" } else { "" }));
        let client =
            Client { books: self.books.clone(), engine: life.engine.clone(), pulse: life.pulse.clone(), id, calm };
        tokio::spawn(client.run(op));
    }

    /// Would damage take the last copy of something? A write that was committed below `min_copies` was acknowledged to nobody,
    /// and stands alone until its predecessors can go.
    async fn is_bare(&self) -> bool {
        let Some(life) = &self.life else { return true };
        for key in 0..crate::plan::KEYS.len() {
            let (bucket, name) = key_of(key);
            let Ok(state) = life.ledger.key_state(&bucket, &name).await else { return true };
            if state.object().is_some_and(|entry| !entry.predecessors.is_empty()) {
                return true;
            }
        }
        false
    }

    async fn damage(&mut self, damage: Act) {
        if self.is_bare().await {
            self.books.tell("  not now: a key stands on one place");
            return;
        }
        self.trouble(SETTLE);
        let at = |key: usize| {
            let (bucket, name) = key_of(key);
            At::new(bucket.as_str(), name.as_str())
        };
        match damage {
            Act::Lose { store, key } => {
                self.kept.foreign.retain(|(on, of, _)| (*on, *of) != (store, key));
                self.damaged.insert(store);
                self.places[store].memory.lose(&at(key));
            }
            Act::Rot { store, key } => {
                self.kept.foreign.retain(|(on, of, _)| (*on, *of) != (store, key));
                self.damaged.insert(store);
                let lying = self.places[store].memory.lying(&at(key));
                if let Some(copy) = lying.iter().find(|copy| copy.is_current).filter(|copy| !copy.bytes.is_empty()) {
                    let mut bytes = copy.bytes.to_vec();
                    bytes[0] ^= 0x80;
                    self.places[store].memory.rot(&at(key), bytes.into());
                    self.rotten.insert((store, key));
                }
            }
            Act::Strip { store } => {
                self.damaged.insert(store);
                self.places[store].memory.strip();
            }
            Act::Foreign { store, key } => {
                self.damaged.insert(store);
                let spec = PutSpec { dress: Dress::default(), fence: None, md5: None };
                let bytes = bytes::Bytes::from(format!("not ours, {}", self.kept.foreign.len()));
                self.kept.foreign.retain(|(on, of, _)| (*on, *of) != (store, key));
                // A bucket that is not there takes nothing.
                let put = self.places[store].memory.put(&at(key), &spec, Body::Whole(bytes.clone())).await;
                if put.is_ok() && crate::plan::KEYS[key].0 == 0 {
                    self.kept.foreign.push((store, key, bytes));
                }
            }
            Act::ForeignCopy { store, from, key } => {
                self.kept.foreign.retain(|(on, of, _)| (*on, *of) != (store, key));
                self.damaged.insert(store);
                let memory = &self.places[store].memory;
                if let Some(copy) = memory.lying(&at(from)).into_iter().find(|copy| copy.is_current) {
                    let spec = PutSpec { dress: copy.found.dress.clone(), fence: None, md5: None };
                    memory.put(&at(key), &spec, Body::Whole(copy.bytes)).await.ok();
                }
            }
            _ => unreachable!("the others are no damage"),
        }
    }

    /// A process that is dead is started again, on what it left.
    async fn rise(&mut self) {
        let Some(life) = self.life.take_if(|life| !life.pulse.beats()) else { return };
        self.image = self.machine.crash(self.keeps);
        self.books.pages().died();
        self.books.tell("* it is dead");
        // Its workers end; whatever else it does reaches nobody.
        tokio::spawn(async move { life.engine.stop().await });
        sleep(Duration::from_millis(self.chance.within(100..=4_000))).await;
        self.boot().await;
        self.trouble(Duration::ZERO);
    }

    async fn boot(&mut self) {
        self.lives += 1;
        let pulse = Pulse::beating();
        let ledger = Arc::new(self.machine.boot(std::mem::take(&mut self.image)));
        let placement = Placement {
            stores: self.places.iter().map(|place| place.name.clone()).collect(),
            min_copies: self.plan.min_copies,
            spool_counts: self.plan.spool_counts,
        };
        let settings = EngineSettings {
            data_dir: self.machine.dir(),
            spool_max: 1 << 30,
            body_memory_max: 256 << 20,
            commit_deadline_ms: 5_000,
            defaults: placement,
            buckets: BTreeMap::new(),
            undelete_default: Undelete { window_ms: 0, overwrites: false },
            undelete: BTreeMap::new(),
            delete_budgets: BTreeMap::new(),
            deep_scrub: BTreeMap::new(),
            canary_every_ms: Some(20_000),
            seed: Some(self.plan.seed.wrapping_mul(1000).wrapping_add(self.lives)),
        };
        let setups = self.places.iter().zip(&self.switches).map(|(place, switch)| {
            let memory: Arc<dyn Store> = place.memory.clone();
            let wire = |pass, store| Wire {
                pass,
                store,
                pulse: pulse.clone(),
                books: self.books.clone(),
                chance: self.way.clone(),
            };
            // What is never given up must not pass a switch, which says otherwise: its troubles lie on the wire.
            let store: Arc<dyn Store> = if place.kind == Kind::Disk {
                Arc::new(Faulty::new(Arc::new(wire(Pass::Gate, memory)), switch.clone()).never_giving_up())
            } else {
                Arc::new(Faulty::new(memory, switch.clone()))
            };
            let wire: Arc<dyn Store> = Arc::new(wire(Pass::Way, store));
            let names = NativeNames::default();
            let settle_ms = SETTLE.as_millis() as u64;
            (place.name.clone(), StoreSetup { store: wire, names, settle_ms, read_cost: 0.0 })
        });
        let engine = Engine::open(settings, self.clock.clone(), ledger.clone(), setups.collect()).await;
        let engine = engine.expect("a gateway starts with what it left");
        if let Err(error) = engine.identify().await {
            self.books.fail(format!("it does not start again: {error}"));
        }
        engine.start_workers();
        self.books.tell(format!("* process {} starts", self.lives));
        self.life = Some(Life { engine, ledger, pulse });
    }

    async fn first_bucket(&mut self) {
        let life = self.life.as_ref().expect("it was started");
        life.engine.create_bucket(bucket_of(0)).await.expect("all stores are well, and the bucket is new");
        let mut pages = self.books.pages();
        let now = pages.tick();
        pages.buckets[0].begin(1_000_000, true, now);
        pages.buckets[0].end(1_000_000, crate::oracle::Told::Done, now + 1);
        pages.tick();
    }

    /// Everything is well from now on.
    async fn heal(&mut self) {
        self.books.tell("* everything is well from now on");
        for switch in &self.switches {
            switch.clear();
        }
        self.until(Instant::now() + Duration::from_secs(120)).await;
        let waiting = self.books.pages().on_their_way.clone();
        if !waiting.is_empty() {
            self.books
                .fail(format!("P4: all is well, and after two minutes these requests have no answer: {waiting:?}"));
        }
        let end = Instant::now() + HEAL_MAX;
        self.scrub().await;
        loop {
            self.until(Instant::now() + Duration::from_secs(10)).await;
            self.look(false).await;
            if self.books.has_failed() {
                return;
            }
            let left = self.work_left().await;
            if left.is_empty() {
                break;
            }
            if Instant::now() >= end {
                self.books.fail(format!("P4: an hour after all is well, {left}"));
                return;
            }
        }
        self.look(true).await;
        for key in 0..crate::plan::KEYS.len() {
            self.request(2_000_000 + key as u32, Op::Get { key, range: None }, true);
        }
        self.until(Instant::now() + Duration::from_secs(10)).await;
        self.write_again().await;
    }

    /// Whatever happened, each key of the bucket that always stood can be written.
    async fn write_again(&mut self) {
        for key in (0..crate::plan::KEYS.len()).filter(|key| crate::plan::KEYS[*key].0 == 0) {
            let id = 3_000_000 + key as u32;
            self.request(id, Op::Put { key, content: Content::Own { write: id, len: 10 }, only: Only::Always }, true);
        }
        self.until(Instant::now() + Duration::from_secs(10)).await;
        self.look(false).await;
    }

    async fn work_left(&self) -> String {
        let Some(life) = &self.life else { return "the process is down".to_owned() };
        let spool = self.machine.dir().join("spool");
        let look = Look {
            places: &self.places,
            ledger: &life.ledger,
            spool: &spool,
            min_copies: self.plan.min_copies,
            damaged: &self.damaged,
            rotten: &self.rotten,
        };
        look.work_left().await
    }

    /// What was damaged by hand is found by a scrub, which comes once a day.
    async fn scrub(&self) {
        let Some(life) = self.life.as_ref().filter(|_| !self.damaged.is_empty()) else { return };
        for place in &self.places {
            for bucket in 0..crate::plan::BUCKETS.len() {
                // A bucket that is not there has nothing to scrub.
                life.engine.scrub(&place.name, &bucket_of(bucket)).await.ok();
            }
        }
    }
}
