//! Multipart uploads: parts missed and given later, unanswered Completes, repeats, restarts (protocol.md 5).

mod support;

use futures_util::{StreamExt, stream};
use outlast_engine::*;
use outlast_ledger::{Durability, Embedded, Ledger, Mode};
use outlast_rules::{Conditions, Head};
use outlast_store::{Apply, At, Class, Faulty, MemoryStore, MemoryTraits, Setting, Store, Switch, Trouble};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use support::puppet::{Mood, Puppet, Trick};
use support::{World, bucket, bytes, client_body, key, name};

const MIB: usize = 1024 * 1024;

struct Hall {
    world: World,
    puppets: Vec<Arc<Puppet>>,
    alive: Arc<AtomicBool>,
}

impl Hall {
    async fn new(kinds: &[MemoryTraits]) -> Hall {
        let puppets = std::sync::Mutex::new(Vec::new());
        let alive = Arc::new(AtomicBool::new(true));
        let world = World::with_memory(
            kinds,
            |_| {},
            |store| {
                let puppet = Puppet::new(store);
                puppets.lock().unwrap().push(puppet.clone());
                puppet.seen_by(alive.clone())
            },
        )
        .await;
        Hall { world, puppets: puppets.into_inner().unwrap(), alive }
    }

    fn engine(&self) -> &Arc<Engine> {
        &self.world.engine
    }

    async fn create(&self, at: &str) -> String {
        let head = Head { content_type: Some("video/mp4".into()), ..Head::default() };
        let ask = CreateUploadAsk { bucket: bucket(), key: key(at), head, checksum: None, composite: None };
        self.engine().create_upload(ask).await.unwrap()
    }

    async fn part(&self, at: &str, upload: &str, number: u32, body: &[u8]) -> Result<PartFacts, UploadError> {
        let (bucket, key, upload) = (bucket(), key(at), upload.to_owned());
        self.engine().put_part(PutPartAsk { bucket, key, upload, number, body: client_body(body) }).await
    }

    /// The first part again, whose bytes come after so long.
    async fn slow_part(&self, at: &str, upload: &str, body: &[u8], after: Duration) -> Result<PartFacts, UploadError> {
        let late = client_body(body);
        let wait = stream::once(tokio::time::sleep(after)).filter_map(|()| async { None });
        let body = ClientBody { bytes: wait.chain(late.bytes).boxed(), ..late };
        let (bucket, key, upload) = (bucket(), key(at), upload.to_owned());
        self.engine().put_part(PutPartAsk { bucket, key, upload, number: 1, body }).await
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

    async fn no_upload_left(&self) {
        for store in &self.world.stores {
            assert_eq!(store.list_uploads("photos").await.unwrap(), [], "{}", store.name());
        }
    }
}

const KINDS: [&[MemoryTraits]; 4] = [
    &[MemoryTraits::B, MemoryTraits::B, MemoryTraits::B],
    &[MemoryTraits::A, MemoryTraits::A, MemoryTraits::A],
    &[MemoryTraits::DISK, MemoryTraits::DISK, MemoryTraits::DISK],
    &[MemoryTraits::A, MemoryTraits::B, MemoryTraits::DISK],
];

fn three_parts() -> [Vec<u8>; 3] {
    [bytes(5 * MIB, 1), bytes(6 * MIB + 1, 2), bytes(100, 3)]
}

#[tokio::test(start_paused = true)]
async fn all_well() {
    for kinds in KINDS {
        let hall = Hall::new(kinds).await;
        hall.engine().start_workers();
        let upload = hall.create("film").await;
        let bodies = three_parts();
        let mut parts = Vec::new();
        for (i, body) in bodies.iter().enumerate() {
            parts.push(hall.part("film", &upload, i as u32 + 1, body).await.unwrap());
        }
        assert!(matches!(hall.world.get("film").await, Err(ReadError::NoKey)), "nothing is visible before Complete");
        let listed = hall.engine().list_parts(bucket(), key("film"), upload.clone(), 1, 1).await.unwrap();
        assert_eq!((listed.parts[0].number, listed.truncated), (2, true));
        let written = hall.complete("film", &upload, &parts).await.unwrap();
        assert!(written.etag.ends_with("-3"), "{}", written.etag);
        let again = hall.complete("film", &upload, &parts).await.unwrap();
        assert_eq!(again.etag, written.etag, "a repeat answers as the first did");
        let whole = bodies.concat();
        assert_eq!(hall.world.get("film").await.unwrap(), whole);
        let part = hall.world.get_range("film", Some(RangeAsk::Part(2))).await.unwrap();
        assert_eq!(part, bodies[1]);
        let across = RangeAsk::FromTo(5 * MIB as u64 - 10, 11 * MIB as u64 + 10);
        assert_eq!(hall.world.get_range("film", Some(across)).await.unwrap(), whole[5 * MIB - 10..11 * MIB + 11]);
        hall.world.settle().await;
        for i in 0..3 {
            assert_eq!(hall.world.on_store(i).await, ["film"]);
        }
        hall.no_upload_left().await;
        hall.engine().stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn wrong_lists_are_refused_and_leave_the_upload_open() {
    let hall = Hall::new(KINDS[0]).await;
    let upload = hall.create("film").await;
    let small = hall.part("film", &upload, 1, b"small").await.unwrap();
    let last = hall.part("film", &upload, 2, b"last").await.unwrap();
    let too_small = hall.complete("film", &upload, &[small.clone(), last.clone()]).await;
    assert!(matches!(too_small, Err(UploadError::TooSmall { number: 1, .. })));
    let backwards = hall.complete("film", &upload, &[last.clone(), small.clone()]).await;
    assert!(matches!(backwards, Err(UploadError::PartOrder)));
    let wrong = PartFacts { etag: "0".repeat(32), ..last.clone() };
    assert!(matches!(hall.complete("film", &upload, &[wrong]).await, Err(UploadError::InvalidPart(2))));
    assert!(matches!(hall.complete("other", &upload, std::slice::from_ref(&last)).await, Err(UploadError::NoUpload)));
    // A name that no upload of ours has, as long as a key may be.
    for id in ["x".repeat(1015), "x".repeat(4000)] {
        let part = PartFacts { number: u32::MAX, ..last.clone() };
        let told = hall.complete("film", &id, &[part]).await;
        assert!(matches!(told, Err(UploadError::NoUpload)), "{told:?}");
    }
    hall.complete("film", &upload, &[last]).await.unwrap();
    assert_eq!(hall.world.get("film").await.unwrap(), "last", "only the listed parts count");
}

#[tokio::test(start_paused = true)]
async fn a_part_that_one_store_missed_is_given_to_it_later() {
    for kinds in KINDS {
        let hall = Hall::new(kinds).await;
        hall.engine().start_workers();
        let upload = hall.create("film").await;
        let bodies = three_parts();
        let mut parts = Vec::new();
        for (i, body) in bodies.iter().enumerate() {
            // s0 misses the second part, s1 the third: without the spool no store but s2 would hold all (counter-example 25).
            hall.puppets[0].set(if i == 1 { Mood::Refuse } else { Mood::Well });
            hall.puppets[1].set(if i == 2 { Mood::Refuse } else { Mood::Well });
            parts.push(hall.part("film", &upload, i as u32 + 1, body).await.unwrap());
        }
        hall.puppets[1].set(Mood::Well);
        let written = hall.complete("film", &upload, &parts).await.unwrap();
        assert!(written.places.len() >= 2, "{written:?}");
        assert_eq!(hall.world.get("film").await.unwrap(), bodies.concat());
        hall.world.settle().await;
        for i in 0..3 {
            assert_eq!(hall.world.on_store(i).await, ["film"], "{kinds:?}");
        }
        assert_eq!(hall.engine().status().await.spool.bytes, 0, "the spool lets go");
        hall.engine().stop().await;
    }
}

/// A proxy on the way changes a bit and keeps the length; the store takes it, and its ETag says so. It holds the part only when the
/// right bytes were given to it.
#[tokio::test(start_paused = true)]
async fn a_part_that_arrived_as_other_bytes_is_not_held() {
    let hall = Hall::new(&[MemoryTraits::B; 3]).await;
    hall.engine().identify().await.unwrap();
    hall.engine().start_workers();
    tokio::time::sleep(Duration::from_secs(60)).await;
    let upload = hall.create("film").await;
    let bodies = three_parts();
    let mut parts = Vec::new();
    for (i, body) in bodies.iter().enumerate() {
        hall.puppets[0].garbles_parts.store(i == 0, Ordering::SeqCst);
        parts.push(hall.part("film", &upload, i as u32 + 1, body).await.unwrap());
    }
    let etag = hall.complete("film", &upload, &parts).await.unwrap().etag;
    hall.world.settle().await;
    let whole = bodies.concat();
    for store in &hall.world.stores {
        let at = At::new("photos", "film");
        let lying = store.lying(&at).into_iter().find(|lying| lying.is_current).expect("every store has it");
        assert!(lying.bytes == whole && lying.found.pin.etag == etag, "{} holds other bytes", store.name());
    }
    hall.engine().stop().await;
}

#[tokio::test(start_paused = true)]
async fn unanswered_completes_are_repeated_and_nothing_is_lost() {
    for trick in [Trick::Swallow, Trick::Deaf, Trick::Fail, Trick::ApplyAndFail] {
        for kinds in KINDS {
            let hall = Hall::new(kinds).await;
            let upload = hall.create("film").await;
            let body = bytes(300_000, 9);
            let parts = [hall.part("film", &upload, 1, &body).await.unwrap()];
            for puppet in &hall.puppets {
                puppet.trick(trick);
            }
            let first = hall.complete("film", &upload, &parts).await;
            hall.engine().start_workers();
            let mut end = first;
            for _ in 0..200 {
                if end.is_ok() {
                    break;
                }
                tokio::time::sleep(Duration::from_secs(10)).await;
                end = hall.complete("film", &upload, &parts).await;
            }
            end.unwrap_or_else(|error| panic!("{trick:?} {kinds:?}: {error}"));
            assert_eq!(hall.world.get("film").await.unwrap(), body, "{trick:?} {kinds:?}");
            hall.world.settle().await;
            for i in 0..3 {
                assert_eq!(hall.world.on_store(i).await, ["film"], "{trick:?} {kinds:?}");
            }
            hall.engine().stop().await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn aborted_uploads_leave_nothing() {
    for kinds in KINDS {
        let hall = Hall::new(kinds).await;
        let upload = hall.create("film").await;
        hall.part("film", &upload, 1, &bytes(1000, 1)).await.unwrap();
        hall.engine().abort_upload(bucket(), key("film"), upload.clone()).await.unwrap();
        assert!(matches!(hall.part("film", &upload, 2, b"x").await, Err(UploadError::NoUpload)));
        tokio::time::sleep(Duration::from_secs(1)).await;
        hall.no_upload_left().await;
        assert!(hall.world.ledger.upload(&upload).await.unwrap().is_none());
    }
}

#[tokio::test(start_paused = true)]
async fn uploads_survive_a_crash() {
    let hall = Hall::new(KINDS[2]).await;
    let upload = hall.create("film").await;
    let bodies = three_parts();
    let mut parts = vec![hall.part("film", &upload, 1, &bodies[0]).await.unwrap()];
    hall.alive.store(false, Ordering::SeqCst);
    hall.world.ledger.close().await;

    let ledger = Arc::new(Embedded::open_with(hall.world.dir.path(), Mode::Inline, Durability::Process).unwrap());
    let alive = Arc::new(AtomicBool::new(true));
    let clock = Arc::new(TokioClock::new(support::START));
    let setups = hall.puppets.iter().map(|puppet| {
        let (store, names) = (puppet.seen_by(alive.clone()), NativeNames::default());
        (puppet.inner.name().clone(), StoreSetup { store, names, settle_ms: 900_000, read_cost: 0.0 })
    });
    let engine = Engine::open(hall.world.settings.clone(), clock, ledger.clone(), setups.collect()).await.unwrap();
    let hall = Hall { world: World { engine, ledger, ..hall.world }, ..hall };
    for (number, body) in [(2, &bodies[1]), (3, &bodies[2])] {
        parts.push(hall.part("film", &upload, number, body).await.unwrap());
    }
    hall.complete("film", &upload, &parts).await.unwrap();
    assert_eq!(hall.world.get("film").await.unwrap(), bodies.concat());
}

/// As S3 has it: what is made of the parts' checksums needs them said again, what is one over all bytes does not.
#[tokio::test(start_paused = true)]
async fn a_completion_lists_the_checksums_that_its_upload_is_made_of() {
    use outlast_rules::ChecksumKind::{Crc32, Crc64nvme, Sha256};
    let hall = Hall::new(KINDS[0]).await;
    for (checksum, composite, needed) in [
        (None, None, false),
        (Some(Sha256), None, true),
        (Some(Crc32), None, true),
        (Some(Crc32), Some(true), true),
        (Some(Crc32), Some(false), false),
        (Some(Crc64nvme), None, false),
    ] {
        let ask = CreateUploadAsk { bucket: bucket(), key: key("film"), head: Head::default(), checksum, composite };
        let upload = hall.engine().create_upload(ask).await.unwrap();
        let body = ClientBody { declared: Declared { compute: checksum, ..Declared::default() }, ..client_body(b"x") };
        let ask = PutPartAsk { bucket: bucket(), key: key("film"), upload: upload.clone(), number: 1, body };
        let part = hall.engine().put_part(ask).await.unwrap();
        let refused = hall.complete("film", &upload, std::slice::from_ref(&part)).await;
        assert_eq!(
            matches!(refused, Err(UploadError::PartChecksumMissing { number: 1, .. })),
            needed,
            "{checksum:?}, {composite:?}: {refused:?}"
        );
        if !needed {
            continue;
        }
        let said = [(1, part.checksums.iter().map(|sum| (sum.kind, sum.value.clone())).collect())].into();
        let ask = || CompleteAsk {
            bucket: bucket(),
            key: key("film"),
            upload: upload.clone(),
            parts: vec![(1, part.etag.clone())],
            part_checksums: std::collections::BTreeMap::clone(&said),
            checksum: None,
            size: None,
            conditions: Conditions::default(),
        };
        let first = hall.engine().complete_upload(ask()).await.unwrap();
        let again = hall.engine().complete_upload(ask()).await.unwrap();
        assert!(!first.checksums.is_empty(), "{checksum:?}");
        assert_eq!((again.etag, again.checksums), (first.etag, first.checksums), "a repeat answers as the first did");
    }
}

/// Stores behind switches.
async fn switched(count: usize, change: impl FnOnce(&mut EngineSettings)) -> (Hall, Vec<Arc<Switch>>) {
    let switches: Vec<Arc<Switch>> = (0..count).map(|_| Arc::default()).collect();
    let wrap = |store: Arc<MemoryStore>| -> Arc<dyn Store> {
        let nth = (0..count).find(|nth| store.name() == &name(*nth)).expect("one of them");
        Arc::new(Faulty::new(store, switches[nth].clone()))
    };
    let world = World::with_memory(&vec![MemoryTraits::B; count], change, wrap).await;
    (Hall { world, puppets: vec![], alive: Arc::new(AtomicBool::new(true)) }, switches)
}

/// The next part is not answered, and lands after 20 s.
fn lands_late() -> Setting {
    Setting::on(&[Class::Upload], Trouble::Hang(Apply::After(Duration::from_secs(20)))).times(1)
}

/// Where earlier bytes may still land, later ones are not held, whatever the store answers: not acknowledged without another
/// place. The same bytes again are.
#[tokio::test(start_paused = true)]
async fn where_other_bytes_may_land_a_part_is_not_held() {
    let (hall, switches) = switched(2, |settings| settings.defaults.spool_counts = false).await;
    let upload = hall.create("film").await;
    switches[0].set(lands_late());
    let first = bytes(5 * MIB, 1);
    // Given again at once, it is answered: nothing but these bytes can be there.
    hall.part("film", &upload, 1, &first).await.unwrap();
    let refused = hall.part("film", &upload, 1, &bytes(5 * MIB, 2)).await.expect_err("the first bytes may still land");
    assert!(refused.to_string().contains("fewer than 2 places"), "{refused}");
    let first = hall.part("film", &upload, 1, &first).await.unwrap();
    tokio::time::sleep(Duration::from_secs(30)).await;
    hall.complete("film", &upload, &[first]).await.unwrap();
}

/// A Complete that one store took, while nobody who holds the old object answers, is committed below `min_copies` rather than lost;
/// it is no 200 before it stands on enough places, however often it is repeated.
#[tokio::test(start_paused = true)]
async fn a_complete_below_min_copies_is_no_200() {
    let (hall, switches) = switched(3, |_| {}).await;
    switches[2].set(Setting::all(Trouble::Refuse));
    hall.world.put("film", b"old").await.unwrap();
    switches[2].clear();
    let upload = hall.create("film").await;
    let part = hall.part("film", &upload, 1, &bytes(100, 1)).await.unwrap();
    for switch in &switches[..2] {
        switch.set(Setting::on(&[Class::Commit], Trouble::Refuse));
    }
    hall.complete("film", &upload, std::slice::from_ref(&part)).await.expect_err("one place of two");
    for switch in &switches[..2] {
        switch.set(Setting::all(Trouble::Refuse));
    }
    hall.engine().start_workers();
    tokio::time::sleep(Duration::from_secs(60)).await;
    let state = hall.world.ledger.key_state(&bucket(), &key("film")).await.unwrap();
    let entry = state.entry.expect("it is committed below");
    assert_eq!((entry.size, entry.holders.len(), entry.predecessors.len()), (100, 1, 1));
    let refused = hall.complete("film", &upload, std::slice::from_ref(&part)).await.expect_err("still one place");
    assert!(refused.to_string().contains("fewer places"), "{refused}");
    switches[..2].iter().for_each(|switch| switch.clear());
    tokio::time::sleep(Duration::from_secs(1200)).await;
    hall.complete("film", &upload, &[part]).await.unwrap();
    assert_eq!(hall.world.get("film").await.unwrap(), bytes(100, 1));
}

/// A part is sent, not answered by one store, and sent again with other bytes, which that store takes at once. Then the first
/// bytes land there. That store was never counted, so Complete needs nothing of it, and it is given the object afterwards.
#[tokio::test(start_paused = true)]
async fn bytes_of_an_earlier_attempt_land_late() {
    let (hall, switches) = switched(3, |_| {}).await;
    hall.engine().start_workers();
    let upload = hall.create("film").await;
    switches[0].set(lands_late());
    hall.part("film", &upload, 1, &bytes(5 * MIB, 1)).await.unwrap();
    let second = hall.part("film", &upload, 1, &bytes(5 * MIB, 2)).await.unwrap();
    tokio::time::sleep(Duration::from_secs(30)).await;
    let written = hall.complete("film", &upload, &[second]).await.expect("two stores have all of it");
    assert!(written.etag.ends_with("-1"));
    assert_eq!(hall.world.get("film").await.unwrap(), bytes(5 * MIB, 2));
    tokio::time::sleep(Duration::from_secs(2_000)).await;
    hall.world.settle().await;
    for nth in 0..3 {
        let (found, _) = hall.world.stores[nth].get(&At::new("photos", "film"), None, None).await.unwrap();
        let entry = hall.world.ledger.entry(&bucket(), &key("film")).await.unwrap().unwrap();
        assert_eq!(found.dress.stamp.unwrap().write, entry.write, "s{nth}");
    }
}

/// While a Complete is decided, a part of its list that is sent again with other bytes waits, and finds the upload gone; an Abort
/// answers as what Complete did says. Neither touches the native parts.
#[tokio::test(start_paused = true)]
async fn parts_and_abort_wait_for_a_complete() {
    for kinds in KINDS {
        let hall = Hall::new(kinds).await;
        let upload = hall.create("film").await;
        let (body, other) = (bytes(300_000, 9), &bytes(300_000, 10));
        let parts = [hall.part("film", &upload, 1, &body).await.unwrap()];
        for puppet in &hall.puppets {
            puppet.trick(Trick::Slow);
        }
        let (part, complete, abort) = tokio::join!(
            hall.slow_part("film", &upload, other, Duration::from_secs(1)),
            hall.complete("film", &upload, &parts),
            async {
                tokio::time::sleep(Duration::from_secs(1)).await;
                hall.engine().abort_upload(bucket(), key("film"), upload.clone()).await
            },
        );
        complete.unwrap_or_else(|error| panic!("{kinds:?}: {error}"));
        assert!(matches!(part, Err(UploadError::NoUpload)), "{kinds:?}: {part:?}");
        assert!(matches!(abort, Err(UploadError::NoUpload)), "{kinds:?}: {abort:?}");
        assert_eq!(hall.world.get("film").await.unwrap(), body, "{kinds:?}");
        hall.engine().start_workers();
        hall.world.settle().await;
        for i in 0..3 {
            assert_eq!(hall.world.on_store(i).await, ["film"], "{kinds:?}");
        }
        hall.engine().stop().await;
    }
}

/// A part whose bytes take a minute, and meanwhile its upload is completed, undecided: the completion that is repeated needs the
/// native parts as they were listed.
#[tokio::test(start_paused = true)]
async fn a_slow_part_does_not_reach_an_undecided_complete() {
    let hall = Hall::new(KINDS[0]).await;
    let upload = hall.create("film").await;
    let (body, other) = (bytes(300_000, 9), &bytes(300_000, 10));
    let parts = [hall.part("film", &upload, 1, &body).await.unwrap()];
    for puppet in &hall.puppets {
        puppet.trick(Trick::Swallow);
    }
    let slow = hall.slow_part("film", &upload, other, Duration::from_secs(60));
    let (part, complete) = tokio::join!(slow, hall.complete("film", &upload, &parts));
    complete.expect_err("nobody has answered");
    assert!(matches!(part, Err(UploadError::Completing)), "{part:?}");
    hall.engine().start_workers();
    tokio::time::sleep(Duration::from_secs(2_000)).await;
    hall.complete("film", &upload, &parts).await.unwrap();
    assert_eq!(hall.world.get("film").await.unwrap(), body);
    hall.world.settle().await;
    for i in 0..3 {
        assert_eq!(hall.world.on_store(i).await, ["film"]);
    }
    hall.engine().stop().await;
}

/// Native uploads that nobody will use are ended, also where their store is away when they should be: those of a client's upload that
/// too few stores could take, and one that a store made when nobody waited for it any more.
#[tokio::test(start_paused = true)]
async fn native_uploads_begun_in_vain_are_ended() {
    let (hall, switches) = switched(3, |settings| settings.defaults.spool_counts = false).await;
    hall.engine().start_workers();
    let create = || {
        let (bucket, key, head) = (bucket(), key("film"), Head::default());
        hall.engine().create_upload(CreateUploadAsk { bucket, key, head, checksum: None, composite: None })
    };
    let natives = async |nth: usize| hall.world.stores[nth].list_uploads("photos").await.unwrap().len();
    for switch in &switches[1..] {
        switch.set(Setting::all(Trouble::Refuse));
    }
    let refused = create().await.expect_err("one store of three");
    assert!(refused.to_string().contains("fewer than 2 places"), "{refused}");
    switches[1..].iter().for_each(|switch| switch.clear());
    tokio::time::sleep(Duration::from_secs(120)).await;
    assert_eq!(natives(0).await, 0);

    let late = Trouble::Slow { before: Duration::from_secs(3), after: Duration::ZERO, bytes_per_second: None };
    switches[2].set(Setting::on(&[Class::Upload], late).times(1));
    let upload = create().await.unwrap();
    switches[2].set(Setting::on(&[Class::Upload], Trouble::Refuse));
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert_eq!(natives(2).await, 1, "it was made, and cannot be ended yet");
    switches[2].clear();
    tokio::time::sleep(Duration::from_secs(300)).await;
    assert_eq!(natives(2).await, 0);
    hall.engine().abort_upload(bucket(), key("film"), upload).await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    hall.no_upload_left().await;
    hall.engine().stop().await;
}
