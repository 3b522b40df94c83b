//! Outages of one store, as an operator meets them: found without traffic, told in words, and over when they are over.

mod support;

use bytes::Bytes;
use outlast_engine::*;
use outlast_ledger::{Durability, Embedded, Ledger, Mode};
use outlast_rules::BucketName;
use outlast_store::*;
use std::collections::BTreeMap;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use support::puppet::{Mood, Puppet};
use support::{START, World, bucket, bytes, key, name};
use tokio::time::{Instant, sleep};

const HOME: &str = "outlast-home";
const MARKER: &str = ".outlast/store.json";

struct Hall {
    world: World,
    switches: Vec<Arc<Switch>>,
}

impl Hall {
    async fn new(kinds: &[MemoryTraits]) -> Hall {
        let made: Mutex<BTreeMap<String, Arc<Switch>>> = Mutex::default();
        let world = World::with(
            kinds,
            |_| {},
            |store| {
                let switch = Arc::new(Switch::default());
                made.lock().unwrap().insert(store.name().to_string(), switch.clone());
                Arc::new(Faulty::new(store, switch))
            },
        )
        .await;
        let switches = made.into_inner().unwrap().into_values().collect();
        Hall { world, switches }
    }

    /// Identified, its workers at work, and after the first canaries.
    async fn at_work(kinds: &[MemoryTraits]) -> Hall {
        let hall = Hall::new(kinds).await;
        hall.world.engine.identify().await.unwrap();
        hall.world.engine.start_workers();
        sleep(Duration::from_secs(5)).await;
        hall
    }

    async fn told(&self, i: usize) -> (String, String) {
        let store = self.world.engine.status().await.stores.swap_remove(i);
        (store.standing, store.reason)
    }

    /// Waits until the store is told to be so; how long that took.
    async fn until(&self, i: usize, standing: &str, within: Duration) -> Duration {
        let began = Instant::now();
        loop {
            let told = self.told(i).await;
            if told.0 == standing {
                return began.elapsed();
            }
            assert!(began.elapsed() < within, "not {standing} within {within:?}: {told:?}");
            sleep(Duration::from_millis(250)).await;
        }
    }

    /// Keys of ours in a native bucket.
    async fn records(&self, i: usize, native: &str) -> Vec<String> {
        let page = self.world.stores[i].list(native, ".outlast/", None).await.unwrap();
        page.copies.into_iter().map(|copy| copy.key).collect()
    }

    async fn history(&self) -> String {
        let lines = self.world.ledger.history(100).await.unwrap();
        lines.into_iter().rev().map(|line| line.text + "\n").collect()
    }
}

const B3: [MemoryTraits; 3] = [MemoryTraits::B; 3];
const LONG: Duration = Duration::from_secs(120);

/// One outage of a store without any traffic: what is said of it, and that it passes.
async fn check(setting: Setting, standing: &str, words: &str) {
    let hall = Hall::at_work(&B3).await;
    hall.switches[1].set(setting.clone());
    hall.until(1, standing, LONG).await;
    sleep(LONG).await;
    assert_eq!(hall.told(1).await, (standing.to_owned(), words.to_owned()), "{setting:?}");
    for other in [0, 2] {
        assert_eq!(hall.told(other).await, ("up".to_owned(), String::new()), "{setting:?}");
    }
    hall.world.put("k", &bytes(10_000, 1)).await.unwrap();
    assert_eq!(hall.world.get("k").await.unwrap(), bytes(10_000, 1));
    hall.switches[1].clear();
    hall.until(1, "up", LONG).await;
    hall.world.settle().await;
    assert_eq!(hall.world.on_store(1).await, ["k"], "{setting:?}");
    let history = hall.history().await;
    let told = format!("s1 is down: {words}\ns1 is up again\n");
    assert!(history.ends_with(&told) || standing == "up", "{setting:?}: {history}");
    hall.world.engine.stop().await;
}

#[tokio::test(start_paused = true)]
async fn outages_in_words() {
    use Trouble::*;
    check(Setting::all(Refuse), "down", "connection refused: nothing listens at its address").await;
    check(Setting::all(Hang(Apply::Never)), "down", "accepts and does not answer").await;
    check(
        Setting::all(Trouble::DENIED),
        "down",
        "403 on every operation with keys that worked before: account suspended or key revoked",
    )
    .await;
    let changes = "refuses writes and deletes, goes on answering reads and lists (403: access denied)";
    check(Setting::on(&Class::WRITES, Trouble::DENIED), "down", changes).await;
    let full = Answer { fault: Fault::Full, status: 507, code: "InsufficientStorage".into() };
    check(Setting::on(&[Class::Commit], full), "down", "refuses writes only (full)").await;
    let internal = Answer { fault: Fault::Server, status: 500, code: "InternalError".into() };
    check(
        Setting::on(&[Class::List], internal),
        "down",
        "fails on lists, not seen on reads, writes and deletes (5xx: internal errors)",
    )
    .await;
    check(Setting::on(&[Class::Commit], FailAfterApplying), "down", "refuses writes only (connections break off)")
        .await;
    check(
        Setting::on(&[Class::Get], CutBodies { after: 100 }),
        "down",
        "fails on reads, not seen on lists, writes and deletes (connections break off)",
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn throttled_and_slow_stay_in_use() {
    let hall = Hall::at_work(&B3).await;
    hall.switches[0].set(Setting::all(Trouble::SLOW_DOWN).below(".outlast/canary/"));
    hall.switches[1].set(Setting::all(Trouble::delay(Duration::from_millis(1_200))));
    sleep(Duration::from_secs(340)).await;
    let slow = ("up".to_owned(), "too slow: one answer in twenty takes over 1200 ms".to_owned());
    assert_eq!(hall.told(1).await, slow);
    let throttled = ("up".to_owned(), "throttled: it asks us to slow down, and we do".to_owned());
    assert_eq!(hall.told(0).await, throttled);
    hall.world.engine.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_outage_is_found_without_traffic_and_its_end_as_well() {
    let hall = Hall::at_work(&B3).await;
    hall.switches[0].set(Setting::all(Trouble::Refuse));
    let found = hall.until(0, "down", LONG).await;
    assert!(found <= Duration::from_secs(26), "a canary and a second one: {found:?}");
    hall.switches[0].clear();
    let back = hall.until(0, "up", LONG).await;
    assert!(back <= Duration::from_secs(5), "the first wait and two proofs: {back:?}");
    sleep(Duration::from_secs(3600)).await;
    hall.switches[0].set(Setting::all(Trouble::Hang(Apply::Never)));
    let found = hall.until(0, "down", LONG).await;
    assert!(found <= Duration::from_secs(45), "three silent canaries: {found:?}");
    sleep(Duration::from_secs(3600)).await;
    hall.switches[0].clear();
    let back = hall.until(0, "up", LONG).await;
    assert!(back <= Duration::from_secs(70), "the longest wait and two proofs: {back:?}");
    hall.world.engine.stop().await;
}

#[tokio::test(start_paused = true)]
async fn canaries_leave_nothing_behind() {
    for kind in [MemoryTraits::A, MemoryTraits::B, MemoryTraits::C, MemoryTraits::DISK] {
        let hall = Hall::at_work(&[kind; 2]).await;
        // One canary is applied after its caller gave up.
        hall.switches[0]
            .set(Setting::on(&[Class::Commit], Trouble::Hang(Apply::AtOnce)).below(".outlast/canary/").times(1));
        sleep(Duration::from_secs(60)).await;
        let canaries =
            |records: Vec<String>| records.into_iter().filter(|key| key.starts_with(".outlast/canary/")).count();
        let left = canaries(hall.records(0, HOME).await) + canaries(hall.records(0, "photos").await);
        assert_eq!(left, 1, "{kind:?}");
        sleep(Duration::from_secs(3600)).await;
        assert_eq!(hall.told(0).await, ("up".to_owned(), String::new()));
        hall.world.engine.stop().await;
        let store = &hall.world.stores[0];
        assert_eq!(hall.records(0, HOME).await, [MARKER]);
        let marker = At::new(HOME, MARKER);
        let version = store.head(&marker, None).await.unwrap().pin.version;
        store.delete(&marker, version.as_deref(), None).await.unwrap();
        store.delete_bucket(HOME).await.expect("no version of any canary is left");
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_changes_bytes_is_condemned_until_it_stops() {
    let hall = Hall::at_work(&B3).await;
    hall.switches[2].set(Setting::on(&[Class::Get], Trouble::WrongBytes).below(".outlast/canary/"));
    hall.until(2, "down", LONG).await;
    assert_eq!(hall.told(2).await.1, "corrupting: bytes came back other than they were written");
    sleep(Duration::from_secs(3600)).await;
    assert_eq!(hall.told(2).await.0, "down");
    hall.switches[2].clear();
    let back = hall.until(2, "up", Duration::from_secs(600)).await;
    assert!(back > Duration::from_secs(160), "ten canaries have to come back right first: {back:?}");
    hall.world.engine.stop().await;
}

#[tokio::test(start_paused = true)]
async fn each_store_is_marked_and_known_again() {
    let hall = Hall::new(&B3).await;
    hall.world.engine.identify().await.unwrap();
    for i in 0..3 {
        assert_eq!(hall.records(i, HOME).await, [MARKER]);
    }
    hall.world.engine.identify().await.unwrap();
    let bucket = BucketName::parse(HOME).unwrap();
    assert!(matches!(hall.world.engine.create_bucket(bucket).await, Err(BucketError::Reserved(_))));

    // Two stores in one place: the marker names the other one.
    let read = |i: usize| hall.world.stores[i].clone();
    let (found, _) = read(1).get(&At::new(HOME, MARKER), None, None).await.unwrap();
    copy_marker(&read(1), &read(0)).await;
    let words = hall.world.engine.identify().await.expect_err("s0 shows s1's marker").to_string();
    assert!(words.contains("store s0") && words.contains("is the place of the store s1"), "{words}");
    assert!(found.size < 300);

    // Another installation over the same stores.
    let dir = tempfile::tempdir().unwrap();
    let ledger = Arc::new(Embedded::open_with(dir.path(), Mode::Inline, Durability::Process).unwrap());
    let setups = hall.world.stores.iter().map(|store| {
        let setup =
            StoreSetup { store: store.clone(), names: NativeNames::default(), settle_ms: 900_000, read_cost: 0.0 };
        (store.name().clone(), setup)
    });
    let settings = EngineSettings { data_dir: dir.path().to_owned(), seed: Some(8), ..hall.world.settings.clone() };
    let other = Engine::open(settings, Arc::new(TokioClock::new(START)), ledger, setups.collect()).await.unwrap();
    let words = other.identify().await.expect_err("the stores are marked").to_string();
    assert!(words.contains("belongs to another Outlast"), "{words}");
}

async fn copy_marker(from: &MemoryStore, to: &MemoryStore) {
    let at = At::new(HOME, MARKER);
    let pin = from.head(&at, None).await.unwrap().pin;
    let (_, stream) = from.get(&at, Some(&pin), None).await.unwrap();
    let pieces: Vec<Bytes> = futures_util::TryStreamExt::try_collect(stream).await.unwrap();
    to.put(&at, &PutSpec::default(), Body::Whole(pieces.concat().into())).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_emptied_store_is_not_believed_until_it_is_accepted() {
    for restarts in [false, true] {
        let hall = Hall::at_work(&B3).await;
        for i in 0..20 {
            hall.world.put(&format!("k{i:02}"), &bytes(1_000, i)).await.unwrap();
        }
        hall.world.settle().await;
        if restarts {
            // Away for a while, and back with nothing, as a store that keeps everything in memory.
            hall.switches[0].set(Setting::all(Trouble::Refuse));
            hall.until(0, "down", LONG).await;
        }
        hall.world.stores[0].empty();
        hall.switches[0].clear();
        hall.until(0, "down", LONG).await;
        sleep(Duration::from_secs(600)).await;
        let (standing, reason) = hall.told(0).await;
        assert_eq!(standing, "down");
        assert!(reason.starts_with("emptied or not mounted"), "{reason}");
        hall.world.put("later", b"later").await.unwrap();
        for i in 0..20 {
            assert_eq!(hall.world.get(&format!("k{i:02}")).await.unwrap(), bytes(1_000, i));
        }
        assert_eq!(hall.world.stores[0].list_buckets().await.unwrap(), Vec::<String>::new(), "nothing was filled");

        hall.world.engine.accept_store(&name(0)).await.unwrap();
        hall.until(0, "up", LONG).await;
        hall.world.settle().await;
        assert_eq!(hall.world.on_store(0).await.len(), 21);
        assert_eq!(hall.world.on_store(0).await, hall.world.on_store(1).await);
        let again = hall.world.engine.accept_store(&name(0)).await;
        assert!(matches!(again, Err(AcceptError::IsItself(_))), "{again:?}");
        hall.world.engine.stop().await;
    }
}

/// What was missing is back, as far as anybody looked, and the list itself cannot be read: that is no reason to believe it.
#[tokio::test(start_paused = true)]
async fn a_short_list_that_cannot_be_read_again_is_short_still() {
    let hall = Hall::at_work(&B3).await;
    for i in 0..200 {
        hall.world.put(&format!("k{i:03}"), &bytes(100, i)).await.unwrap();
    }
    hall.world.settle().await;
    let mut away = Vec::new();
    for i in 0..150 {
        let at = At::new("photos", format!("k{i:03}"));
        away.push((hall.world.stores[0].head(&at, None).await.unwrap().dress, i));
        hall.world.stores[0].lose(&at);
    }
    assert!(hall.world.engine.scrub(&name(0), &bucket()).await.unwrap().is_short);
    hall.switches[0].set(Setting::on(&[Class::List], Trouble::ServerError { status: 500, applies: false }));
    for (dress, i) in away {
        let spec = PutSpec { dress, ..PutSpec::default() };
        let at = At::new("photos", format!("k{i:03}"));
        hall.world.stores[0].put(&at, &spec, Body::Whole(bytes(100, i).into())).await.unwrap();
    }
    sleep(Duration::from_secs(3600)).await;
    let (standing, reason) = hall.told(0).await;
    assert!(standing == "down" && reason.starts_with("its list is suddenly short"), "{standing}: {reason}");
    hall.switches[0].clear();
    hall.until(0, "up", LONG).await;
    hall.world.engine.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_mounted_again_needs_nobody() {
    let hall = Hall::at_work(&B3).await;
    hall.world.put("k", b"one").await.unwrap();
    hall.world.settle().await;
    let kept = MemoryStore::counting(name(9), MemoryTraits::B);
    kept.create_bucket(HOME).await.unwrap();
    copy_marker(&hall.world.stores[0], &kept).await;
    hall.world.stores[0].delete(&At::new(HOME, MARKER), None, None).await.unwrap();
    hall.until(0, "down", LONG).await;
    copy_marker(&kept, &hall.world.stores[0]).await;
    hall.until(0, "up", LONG).await;
    assert!(matches!(hall.world.engine.accept_store(&name(0)).await, Err(AcceptError::IsItself(_))));
    let unknown = hall.world.engine.accept_store(&name(7)).await;
    assert!(matches!(unknown, Err(AcceptError::Unknown(_))));

    // Somebody else's marker at run time.
    let theirs = r#"{"installation":"ffff","store":"s0","made":1}"#;
    put_marker(&hall.world.stores[0], theirs).await;
    hall.until(0, "down", LONG).await;
    assert!(hall.told(0).await.1.starts_with("wrong store"));
    let refused = hall.world.engine.accept_store(&name(0)).await;
    assert!(matches!(refused, Err(AcceptError::Foreign(_))), "{refused:?}");
    hall.world.engine.stop().await;
}

async fn put_marker(store: &MemoryStore, text: &str) {
    let body = Body::Whole(text.to_owned().into_bytes().into());
    store.put(&At::new(HOME, MARKER), &PutSpec::default(), body).await.unwrap();
}

async fn marker_of(store: &MemoryStore) -> String {
    let (_, stream) = store.get(&At::new(HOME, MARKER), None, None).await.unwrap();
    let pieces: Vec<Bytes> = futures_util::TryStreamExt::try_collect(stream).await.unwrap();
    String::from_utf8(pieces.concat()).unwrap()
}

/// Wrong bytes are no other installation: the store is down while they last, is called by nobody, and needs nobody afterwards.
#[tokio::test(start_paused = true)]
async fn a_damaged_marker_is_told_as_that_and_mends_itself() {
    let hall = Hall::at_work(&B3).await;
    hall.world.put("k", b"one").await.unwrap();
    hall.world.settle().await;
    let whole = marker_of(&hall.world.stores[0]).await;
    let one_byte = whole.replacen("\"installation\":\"", "\"installation\":\"0", 1);
    for damaged in [one_byte.as_str(), "{}", "", "\u{fffd}", &whole[..whole.len() - 1], &" ".repeat(9_000)] {
        put_marker(&hall.world.stores[0], damaged).await;
        hall.until(0, "down", Duration::from_secs(70)).await;
        let store = hall.world.engine.status().await.stores.swap_remove(0);
        assert!(store.reason.starts_with("damaged: the bytes of its identity marker"), "{damaged:?}: {store:?}");
        assert!(store.help.is_some_and(|help| help.ends_with("outlast store accept s0")), "{damaged:?}");
        let refused = hall.world.engine.accept_store(&name(0)).await;
        assert!(matches!(refused, Err(AcceptError::Damaged(_))), "{damaged:?}: {refused:?}");
        put_marker(&hall.world.stores[0], &whole).await;
        hall.until(0, "up", Duration::from_secs(120)).await;
    }
    assert!(!hall.history().await.contains("wrong store"), "{}", hall.history().await);
    hall.world.engine.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_damaged_marker_keeps_nobody_from_starting() {
    let hall = Hall::new(&B3).await;
    hall.world.engine.identify().await.unwrap();
    let whole = marker_of(&hall.world.stores[0]).await;
    put_marker(&hall.world.stores[0], &whole.replacen("\"store\":\"s0", "\"store\":\"s1", 1)).await;
    hall.world.engine.identify().await.expect("wrong bytes are nobody's");
    let (standing, reason) = hall.told(0).await;
    assert_eq!(standing, "down");
    assert!(reason.starts_with("damaged: "), "{reason}");
    put_marker(&hall.world.stores[0], &whole).await;
    hall.world.engine.start_workers();
    hall.until(0, "up", LONG).await;
    hall.world.engine.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_empty_store_of_an_empty_ledger_is_marked_anew() {
    let hall = Hall::at_work(&B3).await;
    hall.world.stores[0].empty();
    sleep(Duration::from_secs(60)).await;
    assert_eq!(hall.told(0).await, ("up".to_owned(), String::new()));
    assert_eq!(hall.world.stores[0].list_buckets().await.unwrap(), [HOME, "photos"]);
    hall.world.engine.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_store_that_was_away_at_the_start_is_not_called_before_it_is_known() {
    let hall = Hall::new(&B3).await;
    hall.switches[0].set(Setting::all(Trouble::Hang(Apply::Never)));
    hall.world.engine.identify().await.unwrap();
    assert_eq!(hall.told(0).await, ("down".to_owned(), "accepts and does not answer".to_owned()));
    hall.world.engine.start_workers();
    hall.world.put("k", b"one").await.unwrap();
    hall.switches[0].clear();
    hall.until(0, "up", Duration::from_secs(20)).await;
    hall.world.settle().await;
    assert_eq!(hall.world.on_store(0).await, ["k"]);
    assert_eq!(hall.records(0, HOME).await, [MARKER]);
    hall.world.engine.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_bucket_that_a_store_missed_is_made_when_it_returns() {
    let hall = Hall::at_work(&B3).await;
    hall.switches[0].set(Setting::all(Trouble::Refuse));
    hall.until(0, "down", LONG).await;
    let later = BucketName::parse("later").unwrap();
    hall.world.engine.create_bucket(later.clone()).await.unwrap();
    let ask = PutAsk {
        bucket: later,
        key: support::key("k"),
        head: Default::default(),
        body: support::client_body(b"one"),
        conditions: Default::default(),
    };
    hall.world.engine.put(ask).await.unwrap();
    hall.switches[0].clear();
    hall.world.settle().await;
    sleep(LONG).await;
    assert_eq!(hall.told(0).await.0, "up");
    assert!(hall.world.stores[0].head(&At::new("later", "k"), None).await.is_ok());
    assert!(hall.history().await.contains("s0: the native bucket later was missing and was made"));
    assert_eq!(bucket().as_str(), "photos");
    hall.world.engine.stop().await;
}

#[tokio::test(start_paused = true)]
async fn marks_count_anew_from_the_end_of_a_silence() {
    let puppets: Mutex<Vec<Arc<Puppet>>> = Mutex::default();
    let alive = Arc::new(AtomicBool::new(true));
    let world = World::with_memory(
        &B3,
        |_| {},
        |store| {
            let puppet = Puppet::new(store);
            puppets.lock().unwrap().push(puppet.clone());
            puppet.seen_by(alive.clone())
        },
    )
    .await;
    let s0 = puppets.lock().unwrap()[0].clone();
    world.engine.identify().await.unwrap();
    world.engine.start_workers();
    sleep(Duration::from_secs(5)).await;
    s0.set(Mood::Hang);
    world.put("k", b"one").await.unwrap();
    // Longer than settle_time: the call may have been held through all of it.
    sleep(Duration::from_secs(3600)).await;
    assert_eq!(world.ledger.marks_count(&name(0)).await.unwrap(), 1);
    s0.set(Mood::Well);
    sleep(Duration::from_secs(14 * 60)).await;
    assert_eq!(world.ledger.marks_count(&name(0)).await.unwrap(), 1, "too early");
    sleep(Duration::from_secs(4 * 60)).await;
    assert_eq!(world.ledger.marks_count(&name(0)).await.unwrap(), 0);
    world.settle().await;
    assert_eq!(world.on_store(0).await, ["k"]);
    world.engine.stop().await;
}

#[tokio::test(start_paused = true)]
async fn our_own_network_is_told_apart() {
    let hall = Hall::at_work(&[MemoryTraits::B; 2]).await;
    let cut_off = Trouble::Answer { fault: Fault::Unreachable, status: 0, code: "".into() };
    hall.switches[0].set(Setting::all(cut_off.clone()));
    hall.until(0, "down", LONG).await;
    assert_eq!(hall.told(0).await.1, "unreachable: no way to its address");
    hall.switches[1].set(Setting::all(cut_off));
    hall.until(1, "down", LONG).await;
    for i in 0..2 {
        assert_eq!(hall.told(i).await.1, "our own network: every store beyond it failed at once");
    }
    let classes = hall.world.engine.status().await.stores.swap_remove(1).classes;
    assert_eq!(classes["write"], ("down".to_owned(), "unreachable: no way to its address".to_owned()));
    hall.world.engine.stop().await;
}

/// 200 objects on three stores; the first has lost 120 of them and holds another one otherwise, and was found out.
async fn short() -> Hall {
    let hall = Hall::at_work(&B3).await;
    for i in 0..200 {
        hall.world.put(&format!("k{i:03}"), &bytes(100, i)).await.unwrap();
    }
    hall.world.settle().await;
    for i in 0..120 {
        hall.world.stores[0].lose(&At::new("photos", format!("k{i:03}")));
    }
    let other = At::new("photos", "k150");
    hall.world.stores[0].put(&other, &PutSpec::default(), Body::Whole("other bytes".into())).await.unwrap();
    assert!(hall.world.engine.scrub(&name(0), &bucket()).await.unwrap().is_short);
    hall
}

async fn holders(hall: &Hall, at: &str) -> Vec<String> {
    let entry = hall.world.ledger.entry(&bucket(), &key(at)).await.unwrap().unwrap();
    entry.holders.keys().map(ToString::to_string).collect()
}

/// Taken as it is, a store whose list is short still serves what the list shows: with the others away, nobody else would.
#[tokio::test(start_paused = true)]
async fn an_accepted_short_store_serves_what_it_lists() {
    let hall = short().await;
    for switch in &hall.switches[1..] {
        switch.set(Setting::all(Trouble::Refuse));
    }
    sleep(LONG).await;
    hall.world.engine.accept_store(&name(0)).await.unwrap();
    for i in (120..200).filter(|i| *i != 150) {
        assert_eq!(hall.world.get(&format!("k{i:03}")).await.unwrap(), bytes(100, i));
    }
    for at in ["k000", "k119", "k150"] {
        assert_eq!(holders(&hall, at).await, ["s1", "s2"], "{at}");
        hall.world.get(at).await.expect_err("its list lacks it");
    }
    assert!(hall.history().await.contains("s0: taken as it is; 121 objects that its list lacks are owed to it"));
    hall.switches[1..].iter().for_each(|switch| switch.clear());
    sleep(Duration::from_secs(1_200)).await;
    hall.world.settle().await;
    assert_eq!(hall.world.on_store(0).await, hall.world.on_store(1).await);
    hall.world.engine.stop().await;
}

/// A pass that began before the store was accepted finds it as short as it was, and says so afterwards: that is over.
#[tokio::test(start_paused = true)]
async fn an_older_judgement_does_not_undo_an_accept() {
    let hall = short().await;
    // Nobody can fill it again before that pass has come to its end.
    for switch in &hall.switches[1..] {
        switch.set(Setting::all(Trouble::Refuse));
    }
    hall.switches[0].set(Setting::on(
        &[Class::Head],
        Trouble::Slow { before: Duration::from_secs(2), after: Duration::ZERO, bytes_per_second: None },
    ));
    let (bucket, s0) = (bucket(), name(0));
    let (scrubbed, accepted) = tokio::join!(hall.world.engine.scrub(&s0, &bucket), async {
        sleep(Duration::from_millis(500)).await;
        hall.switches[0].clear();
        hall.world.engine.accept_store(&s0).await
    });
    accepted.unwrap();
    assert!(!scrubbed.unwrap().is_short);
    assert_eq!(hall.world.ledger.fact("store.s0.short").await.unwrap(), None);
    assert_ne!(hall.told(0).await.0, "down");
    hall.world.engine.stop().await;
}
