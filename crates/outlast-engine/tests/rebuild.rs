//! The gateway's disk is gone: everything that was acknowledged is found again from the stores (P8), wherever in a history the
//! ledger was lost, with what it had told and without, and whatever was still on its way.

mod support;

use outlast_engine::*;
use outlast_ledger::{Durability, Embedded, Ledger, Mode, SegmentKey};
use outlast_rules::{BucketName, Conditions, Epoch, Head, Moment, StoreName};
use outlast_store::{At, Body, Dress, MemoryTraits, PutSpec, Store};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use support::puppet::{Mood, Puppet, Trick};
use support::{START, World, bucket, bytes, client_body, key, name};

const A3: [MemoryTraits; 3] = [MemoryTraits::A; 3];
const B3: [MemoryTraits; 3] = [MemoryTraits::B; 3];
const DISK3: [MemoryTraits; 3] = [MemoryTraits::DISK; 3];
const MIXED: [MemoryTraits; 3] = [MemoryTraits::A, MemoryTraits::B, MemoryTraits::DISK];
const SETTLE_MS: u64 = 900_000;
/// What was on its way has landed before a rebuild begins: it need not wait for it.
const SETTLED_MS: u64 = 1_000;

/// Draws that are the same each time.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % n
    }
}

fn secret() -> SegmentKey {
    SegmentKey::of("secret")
}

fn setup(store: Arc<dyn Store>, settle_ms: u64) -> (StoreName, StoreSetup) {
    let names = NativeNames::default();
    (store.name().clone(), StoreSetup { store, names, settle_ms, read_cost: 0.0 })
}

struct Hall {
    world: World,
    puppets: Vec<Arc<Puppet>>,
    alive: Arc<AtomicBool>,
    /// Each write of each key in order: its bytes (None: a delete), and whether it was acknowledged.
    told: BTreeMap<String, Vec<(Option<Vec<u8>>, bool)>>,
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
        let hall = Hall { world, puppets: puppets.into_inner().unwrap(), alive, told: BTreeMap::new() };
        hall.world.engine.identify().await.unwrap();
        hall.world.engine.start_workers();
        hall
    }

    fn ship(&self) {
        let settings = ShipSettings { key: secret(), every_ms: 5_000, snapshot_every_ms: 300_000 };
        self.world.engine.start_shipping(settings);
    }

    fn tell(&mut self, at: &str, what: Option<Vec<u8>>, acknowledged: bool) {
        self.told.entry(at.to_owned()).or_default().push((what, acknowledged));
    }

    async fn put(&mut self, at: &str, body: Vec<u8>) {
        let put = self.world.put(at, &body).await;
        self.tell(at, Some(body), put.is_ok());
    }

    async fn delete(&mut self, at: &str) {
        let deleted = self.world.delete(at).await;
        self.tell(at, None, deleted.is_ok());
    }

    async fn upload(&mut self, at: &str, body: Vec<u8>) {
        let whole = self.complete(at, &body).await;
        self.tell(at, Some(body), whole.is_ok());
    }

    async fn complete(&self, at: &str, body: &[u8]) -> Result<Written, UploadError> {
        let (engine, at) = (&self.world.engine, key(at));
        let (checksum, composite) = (None, None);
        let ask = CreateUploadAsk { bucket: bucket(), key: at.clone(), head: Head::default(), checksum, composite };
        let upload = engine.create_upload(ask).await?;
        let body = client_body(body);
        let ask = PutPartAsk { bucket: bucket(), key: at.clone(), upload: upload.clone(), number: 1, body };
        let part = engine.put_part(ask).await?;
        let ask = CompleteAsk {
            bucket: bucket(),
            key: at,
            upload,
            parts: vec![(1, part.etag)],
            part_checksums: Default::default(),
            checksum: None,
            size: None,
            conditions: Conditions::default(),
        };
        engine.complete_upload(ask).await
    }

    /// The process dies, and its disk with it. What it had on its way reaches the stores before anybody looks.
    async fn lose(&self) {
        self.alive.store(false, Ordering::SeqCst);
        self.world.ledger.close().await;
        // Its workers end; what waits for an answer waits for ever.
        let engine = self.world.engine.clone();
        tokio::spawn(async move { engine.stop().await });
        tokio::task::yield_now().await;
        for puppet in &self.puppets {
            puppet.set(Mood::Well);
            puppet.land().await;
        }
    }

    fn reach(&self) -> (Arc<Reach>, Arc<dyn Clock>) {
        let clock: Arc<dyn Clock> = Arc::new(TokioClock::new(Moment(START.0 + 86_400_000)));
        let setups = self.world.stores.iter().map(|store| setup(store.clone(), SETTLED_MS)).collect();
        (Arc::new(Reach::new(setups, &clock)), clock)
    }

    fn ask(&self, key: Option<SegmentKey>) -> RebuildAsk {
        RebuildAsk { settings: self.world.settings.clone(), key, dry_run: false, token: "t1".into() }
    }

    async fn rebuild(&self, key: Option<SegmentKey>) -> (Anew, RebuildReport) {
        let dir = tempfile::tempdir().unwrap();
        let ledger = Arc::new(Embedded::open_with(dir.path(), Mode::Inline, Durability::Process).unwrap());
        let (reach, clock) = self.reach();
        let survey = reach.survey(&BTreeSet::new()).await.unwrap();
        let (told, _) = tokio::sync::mpsc::channel(1);
        let report = Rebuild::new(reach, survey, self.ask(key), ledger.clone(), clock, told).run().await.unwrap();
        (self.anew(dir, ledger).await, report)
    }

    /// A gateway over the new ledger.
    async fn anew(&self, dir: tempfile::TempDir, ledger: Arc<Embedded>) -> Anew {
        let clock = Arc::new(TokioClock::new(Moment(START.0 + 2 * 86_400_000)));
        let setups = self.world.stores.iter().map(|store| setup(store.clone(), SETTLE_MS)).collect();
        let settings = EngineSettings { data_dir: dir.path().to_owned(), ..self.world.settings.clone() };
        let engine = Engine::open(settings.clone(), clock, ledger.clone(), setups).await.unwrap();
        engine.identify().await.expect("the stores belong to the ledger that was made of them");
        engine.start_workers();
        Anew { world: World { engine, ledger, stores: self.world.stores.clone(), dir, settings } }
    }

    /// P8: what was acknowledged, or something newer that was not.
    async fn nothing_is_lost(&self, anew: &Anew, context: &str) {
        for (at, writes) in &self.told {
            let newest = writes.iter().rposition(|(_, acknowledged)| *acknowledged);
            let found = match anew.world.get(at).await {
                Ok(body) => Some(body.to_vec()),
                Err(ReadError::NoKey) => None,
                Err(error) => panic!("{context}: {at}: {error}"),
            };
            let allowed: Vec<&Option<Vec<u8>>> = match newest {
                Some(newest) => writes[newest..].iter().map(|(what, _)| what).collect(),
                None => writes.iter().map(|(what, _)| what).chain([&None]).collect(),
            };
            let sizes = |what: &Option<Vec<u8>>| what.as_ref().map(|body| (body.len(), body[0]));
            assert!(
                allowed.contains(&&found),
                "{context}: {at} is {:?}, allowed {:?}",
                sizes(&found),
                allowed.iter().map(|what| sizes(what)).collect::<Vec<_>>()
            );
        }
    }
}

struct Anew {
    world: World,
}

impl Anew {
    /// P4: every debt is paid, and each store lists what the ledger does.
    async fn the_stores_become_equal(&self, context: &str) {
        self.world.settle().await;
        let listed = self.world.list().await;
        for i in 0..self.world.stores.len() {
            assert_eq!(self.world.on_store(i).await, listed, "{context}: s{i}");
        }
    }
}

async fn seconds(n: u64) {
    tokio::time::sleep(Duration::from_secs(n)).await;
}

/// One step of a history, with one store at most in trouble at a time.
async fn step(hall: &mut Hall, dice: &mut Dice, n: u64) {
    let at = format!("k{}", dice.below(7));
    let one = dice.below(3) as usize;
    match dice.below(10) {
        0 => hall.puppets[one].trick(Trick::Swallow),
        1 => hall.puppets[one].trick(Trick::Deaf),
        2 => hall.puppets[one].trick(Trick::ApplyAndFail),
        3 => {
            for puppet in &hall.puppets {
                puppet.set(Mood::Well);
            }
            hall.puppets[one].set(Mood::Refuse);
        }
        4 => hall.puppets.iter().for_each(|puppet| puppet.set(Mood::Well)),
        _ => {}
    }
    match dice.below(6) {
        0 => hall.delete(&at).await,
        1 => hall.upload(&at, bytes(1500 + n as usize, n as u8)).await,
        _ => hall.put(&at, bytes(100 + n as usize, n as u8)).await,
    }
    tokio::time::sleep(Duration::from_millis(dice.below(9_000))).await;
}

#[tokio::test(start_paused = true)]
async fn wherever_the_ledger_is_lost_what_was_acknowledged_is_found_again() {
    for (kinds, words) in [(A3, "A"), (B3, "B"), (DISK3, "disk"), (MIXED, "mixed")] {
        for seed in 0..6u64 {
            let mut dice = Dice(seed * 77 + 5);
            let mut hall = Hall::new(&kinds).await;
            if seed % 3 != 0 {
                hall.ship();
            }
            for n in 0..4 + dice.below(30) {
                step(&mut hall, &mut dice, n).await;
            }
            hall.lose().await;
            for key in [Some(secret()), None] {
                let context = format!("{words}, seed {seed}, segments {}", key.is_some());
                let (anew, report) = hall.rebuild(key).await;
                hall.nothing_is_lost(&anew, &format!("{context}, before catch-up: {report:#?}")).await;
                anew.the_stores_become_equal(&context).await;
                hall.nothing_is_lost(&anew, &format!("{context}, after catch-up")).await;
                anew.world.engine.stop().await;
            }
        }
    }
}

/// Two records of one key come on one page, the later one first for half of the keys: the later delete counts, so that a copy
/// from between the two, which a late call brought back, stays deleted.
#[tokio::test(start_paused = true)]
async fn of_two_deletes_on_one_page_the_later_counts() {
    let mut hall = Hall::new(&B3).await;
    let mut between = Vec::new();
    for n in 0..16 {
        let at = format!("k{n}");
        for body in [bytes(100, 1), bytes(200, 2)] {
            hall.put(&at, body.clone()).await;
            let native = At::new("photos", at.as_str());
            let found = hall.puppets[2].inner.head(&native, None).await.expect("all stores are well");
            between.push((native, found.dress, body));
            hall.delete(&at).await;
        }
    }
    hall.lose().await;
    for (native, dress, body) in between {
        let spec = PutSpec { dress, ..PutSpec::default() };
        hall.puppets[2].inner.put(&native, &spec, Body::Whole(body.into())).await.unwrap();
    }
    let (anew, report) = hall.rebuild(None).await;
    hall.nothing_is_lost(&anew, &format!("{report:#?}")).await;
}

/// Killed after its ledger was whole and before it took its place: asked again it is done, whatever lies on the stores now. When
/// another rebuild has begun meanwhile, its ledger is over.
#[tokio::test(start_paused = true)]
async fn a_rebuild_that_is_done_is_not_done_again() {
    let mut hall = Hall::new(&B3).await;
    hall.put("k", bytes(100, 1)).await;
    hall.lose().await;
    let dir = tempfile::tempdir().unwrap();
    let ledger = Arc::new(Embedded::open_with(dir.path(), Mode::Inline, Durability::Process).unwrap());
    let run = async || {
        let (reach, clock) = hall.reach();
        let survey = reach.survey(&BTreeSet::new()).await.unwrap();
        let (told, _) = tokio::sync::mpsc::channel(1);
        Rebuild::new(reach, survey, hall.ask(None), ledger.clone(), clock, told).run().await
    };
    let first = run().await.unwrap();
    for puppet in &hall.puppets {
        let native = At::new("photos", "k");
        let put = puppet.inner.put(&native, &PutSpec::default(), Body::Whole(bytes(7, 7).into())).await;
        put.expect("somebody writes past the gateway");
    }
    assert_eq!(run().await.unwrap(), first);
    hall.rebuild(None).await;
    let over = run().await.expect_err("another rebuild has begun");
    assert!(matches!(&over, RebuildError::Refused(words) if words.contains("another rebuild")), "{over}");
}

/// With what was told, nothing differs for clients, and nothing has to be asked for where ETags or versions are given once.
#[tokio::test(start_paused = true)]
async fn what_was_told_needs_only_listings() {
    for (kinds, asks) in [(A3, false), (DISK3, false), (B3, true)] {
        let mut hall = Hall::new(&kinds).await;
        hall.ship();
        for n in 0..20 {
            hall.put(&format!("k{n}"), bytes(1000 + n, n as u8)).await;
        }
        hall.delete("k3").await;
        seconds(30).await;
        hall.world.settle().await;
        seconds(10).await;
        let before = hall.world.ledger.entries(&bucket(), None, 100).await.unwrap();
        hall.lose().await;
        let (anew, report) = hall.rebuild(Some(secret())).await;
        assert_eq!(anew.world.ledger.entries(&bucket(), None, 100).await.unwrap(), before, "{report:#?}");
        assert_eq!((report.objects, report.tombstones, report.entries_from_stores), (19, 1, 0), "{report:#?}");
        assert_eq!(report.asked > 0, asks, "written since the snapshot: {report:#?}");
        assert!(report.is_whole() && report.owed == 0, "{report:#?}");
        assert_eq!(anew.world.engine.status().await.epoch, 2);
        anew.world.engine.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn old_copies_are_known_by_their_age() {
    let mut hall = Hall::new(&B3).await;
    hall.ship();
    for n in 0..20 {
        hall.put(&format!("k{n}"), bytes(1000 + n, n as u8)).await;
    }
    seconds(1_500).await;
    hall.put("young", bytes(50, 1)).await;
    seconds(20).await;
    hall.lose().await;
    let (_anew, report) = hall.rebuild(Some(secret())).await;
    assert_eq!((report.asked, report.from_listings, report.by_clocks.unchanged), (1, 20, 60), "{report:#?}");
    // The same bytes under other headers: only their age tells, and it does.
    let mut hall = Hall::new(&B3).await;
    hall.ship();
    hall.put("k", bytes(100, 1)).await;
    seconds(1_500).await;
    for puppet in &hall.puppets {
        puppet.inner.list("photos", "", None).await.unwrap();
    }
    let head = Head { content_type: Some("image/png".into()), ..Head::default() };
    let (bucket, key, body) = (bucket(), key("k"), client_body(&bytes(100, 1)));
    let ask = PutAsk { bucket, key, head, body, conditions: Conditions::default() };
    hall.world.engine.put(ask).await.unwrap();
    hall.lose().await;
    let (anew, report) = hall.rebuild(Some(secret())).await;
    let entry = anew.world.ledger.entry(&support::bucket(), &support::key("k")).await.unwrap().unwrap();
    assert_eq!(entry.head.content_type.as_deref(), Some("image/png"), "{report:#?}");
}

/// Killed anywhere, it goes on, and comes to the same.
#[tokio::test(start_paused = true)]
async fn a_rebuild_that_dies_goes_on() {
    for key in [Some(secret()), None] {
        let mut hall = Hall::new(&B3).await;
        hall.ship();
        let mut dice = Dice(9);
        for n in 0..40 {
            step(&mut hall, &mut dice, n).await;
        }
        hall.lose().await;
        let dir = tempfile::tempdir().unwrap();
        let mut polls = 1;
        let report = loop {
            let ledger = Arc::new(Embedded::open_with(dir.path(), Mode::Inline, Durability::Process).unwrap());
            let (reach, clock) = hall.reach();
            let survey = reach.survey(&BTreeSet::new()).await.unwrap();
            let (told, _) = tokio::sync::mpsc::channel(1);
            let rebuild = Rebuild::new(reach, survey, hall.ask(key.clone()), ledger.clone(), clock, told);
            let ended = polled(rebuild.run(), polls).await;
            ledger.close().await;
            match ended {
                Some(report) => break report.unwrap(),
                None => polls += 1 + polls / 8,
            }
        };
        assert_eq!(report.epoch, Some(Epoch(2)), "each attempt is the same life");
        let ledger = Arc::new(Embedded::open_with(dir.path(), Mode::Inline, Durability::Process).unwrap());
        let anew = hall.anew(dir, ledger).await;
        hall.nothing_is_lost(&anew, "after many deaths").await;
        anew.the_stores_become_equal("after many deaths").await;
        anew.world.engine.stop().await;
    }
}

/// Dropped after so many polls.
async fn polled<T>(work: impl Future<Output = T>, polls: usize) -> Option<T> {
    let mut work = Box::pin(work);
    let mut left = polls;
    std::future::poll_fn(|context| {
        left = left.saturating_sub(1);
        match work.as_mut().poll(context) {
            std::task::Poll::Ready(done) => std::task::Poll::Ready(Some(done)),
            std::task::Poll::Pending if left == 0 => std::task::Poll::Ready(None),
            std::task::Poll::Pending => std::task::Poll::Pending,
        }
    })
    .await
}

/// A gateway of the life before sees the epoch before it calls a store again, and ends.
#[tokio::test(start_paused = true)]
async fn the_epoch_ends_the_old_gateway() {
    let mut hall = Hall::new(&B3).await;
    hall.put("k", bytes(10, 1)).await;
    let (reach, clock) = hall.reach();
    let survey = reach.survey(&BTreeSet::new()).await.unwrap();
    assert_eq!((survey.epoch, survey.wait_ms), (Epoch(2), SETTLED_MS + 60_000));
    let dir = tempfile::tempdir().unwrap();
    let ledger = Arc::new(Embedded::open_with(dir.path(), Mode::Inline, Durability::Process).unwrap());
    let (told, _) = tokio::sync::mpsc::channel(1);
    let rebuild = Rebuild::new(reach, survey, hall.ask(None), ledger, clock, told);
    let rebuilding = tokio::spawn(rebuild.run());
    seconds(61).await;
    let refused = hall.world.put("k", b"of the old life").await;
    assert!(refused.is_err(), "{refused:?}");
    let words = hall.world.engine.superseded().await;
    assert!(words.contains("epoch 2"), "{words}");
    assert!(hall.world.engine.ready().await.is_err());
    rebuilding.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn two_rebuilds_at_once_end_one() {
    let mut hall = Hall::new(&B3).await;
    hall.put("k", bytes(10, 1)).await;
    hall.lose().await;
    let mut running = Vec::new();
    for token in ["one", "two"] {
        let dir = tempfile::tempdir().unwrap();
        let ledger = Arc::new(Embedded::open_with(dir.path(), Mode::Inline, Durability::Process).unwrap());
        let (reach, clock) = hall.reach();
        let survey = reach.survey(&BTreeSet::new()).await.unwrap();
        let (told, _) = tokio::sync::mpsc::channel(1);
        let ask = RebuildAsk { token: token.into(), ..hall.ask(None) };
        running.push((dir, tokio::spawn(Rebuild::new(reach, survey, ask, ledger, clock, told).run())));
        seconds(5).await;
    }
    let mut ends = Vec::new();
    for (_dir, one) in running {
        ends.push(one.await.unwrap().map(|report| report.objects).map_err(|error| error.to_string()));
    }
    assert!(ends[0].as_ref().is_err_and(|words| words.contains("epoch 3")), "{ends:?}");
    assert_eq!(ends[1], Ok(1));
}

#[tokio::test(start_paused = true)]
async fn buckets_are_what_their_owners_were_told() {
    for ships in [true, false] {
        let hall = Hall::new(&B3).await;
        if ships {
            hall.ship();
        }
        let [empty, gone, again] = ["empty", "gone", "again"].map(|name| BucketName::parse(name).unwrap());
        for bucket in [&empty, &gone, &again] {
            hall.world.engine.create_bucket(bucket.clone()).await.unwrap();
        }
        hall.puppets[2].set(Mood::Refuse);
        seconds(20).await;
        hall.world.engine.delete_bucket(gone.clone()).await.unwrap();
        hall.world.engine.delete_bucket(again.clone()).await.unwrap();
        hall.puppets[2].set(Mood::Well);
        seconds(200).await;
        hall.world.engine.create_bucket(again.clone()).await.unwrap();
        let (head, conditions) = (Head::default(), Conditions::default());
        let ask = PutAsk { bucket: again.clone(), key: key("k"), head, body: client_body(b"new"), conditions };
        hall.world.engine.put(ask).await.unwrap();
        // Somebody else's, on one store.
        let s0 = &hall.world.stores[0];
        s0.create_bucket("foreign").await.unwrap();
        let spec = PutSpec { dress: Dress::default(), ..PutSpec::default() };
        s0.put(&At::new("foreign", "theirs"), &spec, Body::Whole("x".into())).await.unwrap();
        hall.lose().await;
        let (anew, report) = hall.rebuild(ships.then(secret)).await;
        let served: Vec<String> =
            anew.world.engine.list_buckets().await.unwrap().into_iter().map(|bucket| bucket.name.to_string()).collect();
        assert_eq!(served, ["again", "empty", "photos"], "{ships}: {report:#?}");
        let foreign = anew.world.engine.head_bucket(BucketName::parse("foreign").unwrap()).await;
        assert!(matches!(foreign, Err(BucketError::NotServed(_))), "{foreign:?}");
        assert_eq!(report.foreign.count, 1, "{report:#?}");
        anew.world.engine.stop().await;
    }
}

/// A rebuild is not begun where it could not be whole, and says why.
#[tokio::test(start_paused = true)]
async fn a_store_that_is_not_itself_stops_it() {
    let mut hall = Hall::new(&B3).await;
    hall.put("k", bytes(10, 1)).await;
    hall.world.settle().await;
    hall.lose().await;
    let s1 = &hall.world.stores[1];
    let marker = At::new(HOME_SUFFIX, ".outlast/store.json");
    let kept = s1.lying(&marker).pop().unwrap().bytes;
    s1.lose(&marker);
    let (reach, _) = hall.reach();
    let refused = reach.survey(&BTreeSet::new()).await.unwrap_err().to_string();
    assert!(refused.contains("--empty s1"), "{refused}");
    let survey = reach.survey(&BTreeSet::from([name(1)])).await.unwrap();
    assert!(survey.stores[1].empty);
    let damaged = String::from_utf8(kept.to_vec()).unwrap().replacen("\"installation\":\"", "\"installation\":\"f", 1);
    s1.put(&marker, &PutSpec::default(), Body::Whole(damaged.into())).await.unwrap();
    let refused = hall.reach().0.survey(&BTreeSet::new()).await.unwrap_err().to_string();
    assert!(refused.contains("has other bytes than were written"), "{refused}");
    let foreign = r#"{"installation":"ffff","store":"s1","made":1}"#;
    s1.put(&marker, &PutSpec::default(), Body::Whole(foreign.into())).await.unwrap();
    let refused = hall.reach().0.survey(&BTreeSet::new()).await.unwrap_err().to_string();
    assert!(refused.contains("two Outlasts"), "{refused}");
    // It writes nothing but its epoch, and a trial not even that.
    s1.put(&marker, &PutSpec::default(), Body::Whole(kept)).await.unwrap();
    let shown = |hall: &Hall| -> Vec<Vec<String>> {
        let stores = hall.world.stores.iter();
        stores.flat_map(|store| [store.shown("photos"), store.shown(HOME_SUFFIX)]).collect()
    };
    let before = shown(&hall);
    let (reach, clock) = hall.reach();
    let survey = reach.survey(&BTreeSet::new()).await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    let ledger = Arc::new(Embedded::open_with(dir.path(), Mode::Inline, Durability::Process).unwrap());
    let (told, _) = tokio::sync::mpsc::channel(1);
    let ask = RebuildAsk { dry_run: true, ..hall.ask(None) };
    let tried = Rebuild::new(reach, survey, ask, ledger, clock, told).run().await.unwrap();
    assert_eq!(shown(&hall), before);
    let (anew, done) = hall.rebuild(None).await;
    anew.world.engine.stop().await;
    assert_eq!((tried.objects, tried.heads), (done.objects, done.heads));
    for (before, after) in before.iter().zip(shown(&hall)) {
        let new: Vec<String> = after.into_iter().filter(|key| !before.contains(key)).collect();
        assert!(new.is_empty() || new == [".outlast/epoch.json"], "{new:?}");
    }
}
