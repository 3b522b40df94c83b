//! Buckets and uploads at their edges: a process that dies in a bucket's deletion, a bucket made again while its removal is
//! still owed, uploads that nobody asks about any more.

mod support;

use outlast_engine::*;
use outlast_ledger::{Durability, Embedded, Ledger, Mode, UploadState};
use outlast_rules::{Conditions, Head};
use outlast_store::{At, Body, MemoryTraits, PutSpec, Store};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use support::puppet::{Mood, Puppet, Trick};
use support::{START, World, bucket, bytes, client_body, key, name};

const B3: [MemoryTraits; 3] = [MemoryTraits::B; 3];

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
        Hall { world, puppets: puppets.into_inner().unwrap(), alive }
    }

    fn all(&self, mood: Mood) {
        self.puppets.iter().for_each(|puppet| puppet.set(mood));
    }

    fn trick_all(&self, trick: Trick) {
        self.puppets.iter().for_each(|puppet| puppet.trick(trick));
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
        let clock = Arc::new(TokioClock::new(START.plus_ms(60_000)));
        let engine = Engine::open(self.world.settings.clone(), clock, ledger.clone(), setups.collect()).await.unwrap();
        Hall { world: World { engine, ledger, ..self.world }, puppets: self.puppets, alive }
    }

    fn engine(&self) -> &Arc<Engine> {
        &self.world.engine
    }

    async fn create(&self, at: &str) -> Result<String, UploadError> {
        let ask =
            CreateUploadAsk { bucket: bucket(), key: key(at), head: Head::default(), checksum: None, composite: None };
        self.engine().create_upload(ask).await
    }

    async fn part(&self, at: &str, upload: &str, number: u32, body: &[u8]) -> Result<PartFacts, UploadError> {
        let (bucket, key, upload) = (bucket(), key(at), upload.to_owned());
        self.engine().put_part(PutPartAsk { bucket, key, upload, number, body: client_body(body) }).await
    }

    async fn complete(&self, at: &str, upload: &str, parts: &[PartFacts]) -> Result<Written, UploadError> {
        let parts = parts.iter().map(|part| (part.number, part.etag.clone())).collect();
        let (bucket, key, upload, conditions) = (bucket(), key(at), upload.to_owned(), Conditions::default());
        let ask = CompleteAsk {
            bucket,
            key,
            upload,
            parts,
            part_checksums: Default::default(),
            checksum: None,
            size: None,
            conditions,
        };
        self.engine().complete_upload(ask).await
    }

    async fn state(&self, upload: &str) -> Option<UploadState> {
        self.world.ledger.upload(upload).await.unwrap().map(|upload| upload.state)
    }
}

async fn seconds(n: u64) {
    tokio::time::sleep(Duration::from_secs(n)).await;
}

#[tokio::test(start_paused = true)]
async fn a_process_that_dies_in_the_deletion_of_a_bucket_leaves_its_objects_readable() {
    let hall = Hall::new(&B3).await;
    hall.world.put("kept", b"kept").await.unwrap();
    hall.trick_all(Trick::Fail);
    hall.world.put("undecided", b"x").await.unwrap_err();
    hall.all(Mood::Hang);
    let engine = hall.engine().clone();
    let deleting = tokio::spawn(async move { engine.delete_bucket(bucket()).await });
    seconds(1).await;
    hall.all(Mood::Well);
    assert_eq!(
        hall.world.get("kept").await.unwrap(),
        "kept",
        "while somebody tries to delete a bucket that is not empty"
    );
    hall.all(Mood::Hang);
    let hall = hall.dies().await;
    assert!(!deleting.is_finished());
    hall.all(Mood::Well);
    assert_eq!(hall.world.get("kept").await.unwrap(), "kept");
    hall.world.put("more", b"more").await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_bucket_made_again_is_not_swept_away_by_its_former_life() {
    let hall = Hall::new(&B3).await;
    hall.engine().start_workers();
    hall.puppets[2].set(Mood::Hang);
    hall.engine().delete_bucket(bucket()).await.unwrap();
    let minute = Duration::from_secs(60).as_millis() as u64;
    // Into the middle of a sweep, which waits for the hanging store.
    let into = minute + 5_000 - hall.engine().now().since_ms(START) % minute;
    tokio::time::sleep(Duration::from_millis(into)).await;
    hall.engine().create_bucket(bucket()).await.unwrap();
    hall.world.put("k", b"new life").await.unwrap();
    seconds(50).await;
    assert_eq!(hall.world.get("k").await.unwrap(), "new life");
    hall.puppets[2].set(Mood::Well);
    seconds(200).await;
    hall.world.settle().await;
    assert_eq!(hall.world.get("k").await.unwrap(), "new life");
    for i in 0..3 {
        assert_eq!(hall.world.on_store(i).await, ["k"]);
    }
    hall.engine().stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_a_bucket_left_behind_does_not_close_its_next_life() {
    let hall = Hall::new(&B3).await;
    hall.world.put("old", b"old").await.unwrap();
    hall.puppets[2].set(Mood::Refuse);
    hall.world.delete("old").await.unwrap();
    hall.engine().delete_bucket(bucket()).await.unwrap();
    hall.puppets[2].set(Mood::Well);
    hall.engine().create_bucket(bucket()).await.unwrap();
    hall.world.put("new", b"new").await.unwrap();
    hall.engine().start_workers();
    hall.world.settle().await;
    for i in 0..3 {
        assert_eq!(hall.world.on_store(i).await, ["new"]);
    }
    hall.engine().stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_upload_never_begins_in_a_bucket_that_went_meanwhile() {
    let hall = Hall::new(&B3).await;
    hall.puppets[0].set(Mood::Hang);
    let engine = hall.engine().clone();
    let create = tokio::spawn(async move {
        let (bucket, key) = (bucket(), key("film"));
        engine
            .create_upload(CreateUploadAsk { bucket, key, head: Head::default(), checksum: None, composite: None })
            .await
    });
    tokio::time::sleep(Duration::from_millis(50)).await;
    hall.engine().delete_bucket(bucket()).await.unwrap();
    let created = create.await.unwrap();
    assert!(matches!(created, Err(UploadError::Write(WriteError::NoBucket))), "{created:?}");
}

/// Stores remove a bucket that holds nothing but uploads.
#[tokio::test(start_paused = true)]
async fn no_part_stands_where_an_earlier_removal_of_the_bucket_may_still_apply() {
    let hall = Hall::new(&B3).await;
    hall.puppets[2].bucket_trick(Trick::Swallow);
    hall.engine().delete_bucket(bucket()).await.unwrap();
    hall.engine().create_bucket(bucket()).await.unwrap();
    let upload = hall.create("film").await.unwrap();
    let natives = hall.world.ledger.upload(&upload).await.unwrap().unwrap().natives;
    assert_eq!(natives.keys().collect::<Vec<_>>(), [&name(0), &name(1)]);
    let parts = [hall.part("film", &upload, 1, &bytes(1000, 1)).await.unwrap()];
    assert_eq!(hall.puppets[2].land().await, ["applied"]);
    hall.complete("film", &upload, &parts).await.unwrap();
    assert_eq!(hall.world.get("film").await.unwrap(), bytes(1000, 1));
}

#[tokio::test(start_paused = true)]
async fn a_complete_that_nobody_repeats_is_finished_all_the_same() {
    let hall = Hall::new(&B3).await;
    let upload = hall.create("film").await.unwrap();
    let parts = [hall.part("film", &upload, 1, &bytes(1000, 1)).await.unwrap()];
    hall.trick_all(Trick::Fail);
    hall.complete("film", &upload, &parts).await.unwrap_err();
    hall.engine().start_workers();
    seconds(3000).await;
    assert_eq!(hall.world.get("film").await.unwrap(), bytes(1000, 1));
    let state = hall.state(&upload).await;
    assert!(matches!(state, Some(UploadState::Completed { .. })), "{state:?}");
    hall.world.delete("film").await.unwrap();
    hall.engine().delete_bucket(bucket()).await.unwrap();
    hall.engine().stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_complete_that_can_never_be_is_rolled_back_and_leaves_its_upload_open() {
    let hall = Hall::new(&B3).await;
    let upload = hall.create("film").await.unwrap();
    let parts = [hall.part("film", &upload, 1, &bytes(1000, 1)).await.unwrap()];
    // A lifecycle rule of the stores ended the native uploads.
    let natives = hall.world.ledger.upload(&upload).await.unwrap().unwrap().natives;
    for puppet in &hall.puppets {
        puppet.inner.abort_upload(&At::new("photos", "film"), &natives[puppet.inner.name()]).await.unwrap();
    }
    hall.complete("film", &upload, &parts).await.unwrap_err();
    hall.engine().start_workers();
    seconds(3000).await;
    assert_eq!(hall.world.ledger.intents(10).await.unwrap().len(), 0);
    let state = hall.state(&upload).await;
    assert!(matches!(state, Some(UploadState::Open)), "{state:?}");
    hall.engine().abort_upload(bucket(), key("film"), upload).await.unwrap();
    seconds(1).await;
    hall.engine().delete_bucket(bucket()).await.unwrap();
    hall.engine().stop().await;
}

/// The client's retry of a part whose first attempt was acknowledged must not cost that part its place.
#[tokio::test(start_paused = true)]
async fn a_part_sent_again_in_vain_keeps_the_place_it_had() {
    let hall = Hall::new(&[MemoryTraits::B; 2]).await;
    let upload = hall.create("film").await.unwrap();
    hall.engine().start_workers();
    hall.puppets[0].set(Mood::Refuse);
    let body = bytes(1000, 1);
    let parts = [hall.part("film", &upload, 1, &body).await.unwrap()];
    let held = hall.engine().status().await.spool.bytes;
    assert_eq!(held, 1000);
    hall.all(Mood::Refuse);
    hall.part("film", &upload, 1, &body).await.unwrap_err();
    hall.puppets[1].set(Mood::Well);
    seconds(60).await;
    assert_eq!(hall.engine().status().await.spool.bytes, held, "what was acknowledged stays");
    hall.part("film", &upload, 1, &body).await.unwrap();
    assert_eq!(hall.engine().status().await.spool.bytes, held, "one body is counted once");
    let written = hall.complete("film", &upload, &parts).await.unwrap();
    assert_eq!(written.places, ["s1", "spool"]);
    hall.puppets[0].set(Mood::Well);
    hall.world.settle().await;
    assert_eq!(hall.engine().status().await.spool.bytes, 0, "the spool lets go");
    hall.engine().stop().await;
}

/// A large body takes its time: the call that carries it may apply for `settle_time` after it was given up.
#[tokio::test(start_paused = true)]
async fn the_clock_of_a_mark_starts_when_its_call_is_given_up() {
    let hall = Hall::new(&B3).await;
    hall.puppets[0].trick(Trick::FailLate);
    hall.puppets[1].set(Mood::Refuse);
    hall.puppets[2].set(Mood::Refuse);
    let sent = hall.engine().now();
    hall.world.put("k", b"x").await.unwrap_err();
    assert!(hall.engine().now().since_ms(sent) >= 9_000);
    assert_eq!(hall.world.ledger.marks_count(&name(0)).await.unwrap(), 1);
    assert_eq!(hall.world.ledger.marks_since(&name(0), sent.plus_ms(8_000), 10).await.unwrap(), []);
}

#[tokio::test(start_paused = true)]
async fn the_spool_lets_go_of_a_write_that_was_resolved_to_every_store() {
    let hall = Hall::new(&B3).await;
    hall.trick_all(Trick::Swallow);
    hall.world.put("k", b"undecided").await.unwrap_err();
    assert_eq!(hall.engine().status().await.spool.bytes, 9);
    hall.engine().start_workers();
    seconds(3000).await;
    hall.world.settle().await;
    assert_eq!(hall.world.get("k").await.unwrap(), "undecided");
    assert_eq!(hall.engine().status().await.spool.bytes, 0);
    hall.engine().stop().await;
}

/// Garage drops slashes at the start of a key: `/a` would lie on top of `a`.
#[tokio::test(start_paused = true)]
async fn a_key_that_one_store_cannot_tell_from_another_is_refused() {
    let drops = MemoryTraits { drops_slashes: true, ..MemoryTraits::B };
    let hall = Hall::new(&[MemoryTraits::B, drops, MemoryTraits::B]).await;
    hall.world.put("a", b"plain").await.unwrap();
    for slashed in ["/a", "//a", "/"] {
        let refused = hall.world.put(slashed, b"another").await;
        assert!(matches!(refused, Err(WriteError::KeyNotHeld { .. })), "{slashed}: {refused:?}");
        let refused = hall.create(slashed).await;
        assert!(matches!(refused, Err(UploadError::Write(WriteError::KeyNotHeld { .. }))), "{slashed}: {refused:?}");
    }
    hall.world.delete("/a").await.unwrap();
    hall.world.put("a/", b"a folder").await.unwrap();
    hall.world.put("a//b", b"in between").await.unwrap();
    hall.engine().start_workers();
    hall.world.settle().await;
    for i in 0..3 {
        assert_eq!(hall.world.on_store(i).await, ["a", "a/", "a//b"]);
    }
    assert_eq!(hall.world.get("a").await.unwrap(), "plain");
    hall.engine().stop().await;
}

/// A CreateBucket without a quorum leaves nothing behind: what it made goes, over a restart too; what was there before stays, and so
/// does what somebody uses.
#[tokio::test(start_paused = true)]
async fn what_a_bucket_made_in_vain_goes_again() {
    let hall = Hall::new(&B3).await;
    let name = |text: &str| outlast_rules::BucketName::parse(text).unwrap();
    let natives = async |hall: &Hall, i: usize| {
        let all = hall.world.stores[i].list_buckets().await.unwrap();
        all.into_iter().filter(|name| ["vain", "found", "used", "again"].contains(&name.as_str())).collect::<Vec<_>>()
    };
    hall.world.stores[0].create_bucket("found").await.unwrap();
    for i in [1, 2] {
        hall.puppets[i].set(Mood::Refuse);
    }
    for bucket in ["vain", "found", "used", "again"] {
        let refused = hall.engine().create_bucket(name(bucket)).await;
        assert!(matches!(refused, Err(BucketError::NoQuorum(_))), "{refused:?}");
    }
    assert_eq!(natives(&hall, 0).await, ["again", "found", "used", "vain"]);
    hall.all(Mood::Well);
    hall.engine().create_bucket(name("again")).await.unwrap();
    let at = At::new("used", "theirs");
    hall.world.stores[0].put(&at, &PutSpec::default(), Body::Whole("x".into())).await.unwrap();
    let hall = hall.dies().await;
    hall.engine().start_workers();
    seconds(300).await;
    assert_eq!(natives(&hall, 0).await, ["again", "found", "used"]);
    assert_eq!(hall.world.ledger.facts("bucket-made/", "", 10).await.unwrap(), []);
    hall.engine().create_bucket(name("vain")).await.unwrap();
    seconds(300).await;
    assert_eq!(natives(&hall, 0).await, ["again", "found", "used", "vain"]);
    hall.engine().stop().await;
}

/// Nothing happens and a store is away, that is owed a bucket's removal and an upload's end: nothing new is written for the stores to
/// be told, however long it takes.
#[tokio::test(start_paused = true)]
async fn an_idle_gateway_with_a_store_away_has_no_news() {
    for away in [Mood::Refuse, Mood::Hang] {
        let hall = Hall::new(&B3).await;
        hall.engine().identify().await.unwrap();
        let other = outlast_rules::BucketName::parse("other").unwrap();
        hall.engine().create_bucket(other.clone()).await.unwrap();
        hall.world.put("k", b"k").await.unwrap();
        let upload = hall.create("film").await.unwrap();
        hall.puppets[2].set(away);
        hall.engine().start_workers();
        seconds(60).await;
        hall.engine().delete_bucket(other).await.unwrap();
        hall.world.put("later", b"later").await.unwrap();
        hall.engine().abort_upload(bucket(), key("film"), upload).await.unwrap();
        seconds(1_800).await;
        let news = async || hall.world.ledger.unshipped(1 << 20).await.unwrap().through;
        let before = news().await;
        seconds(3_600).await;
        assert_eq!(news().await, before, "{away:?}: written in an hour in which nothing happened");
        hall.puppets[2].set(Mood::Well);
        seconds(1_800).await;
        hall.world.settle().await;
        assert_eq!(hall.world.on_store(2).await, ["k", "later"]);
        hall.world.stores[2].head_bucket("other").await.expect_err("it is gone");
        assert_eq!(hall.world.stores[2].list_uploads("photos").await.unwrap(), []);
        hall.engine().stop().await;
    }
}

/// What was found empty under the name of a bucket that is gone is not taken away with it.
#[tokio::test(start_paused = true)]
async fn what_was_found_under_a_gone_bucket_stays() {
    let hall = Hall::new(&B3).await;
    hall.puppets[2].set(Mood::Refuse);
    hall.engine().delete_bucket(bucket()).await.unwrap();
    hall.world.stores[0].create_bucket("photos").await.unwrap();
    hall.puppets[1].set(Mood::Refuse);
    let refused = hall.engine().create_bucket(bucket()).await;
    assert!(matches!(refused, Err(BucketError::NoQuorum(_))), "{refused:?}");
    hall.all(Mood::Well);
    hall.engine().start_workers();
    seconds(300).await;
    hall.world.stores[0].head_bucket("photos").await.expect("it is not ours");
    hall.world.stores[2].head_bucket("photos").await.expect_err("it was ours");
    hall.engine().stop().await;
}
