//! The switch in production: what it holds back was never sent, and what was sent is left alone; leases end by themselves.

use super::{Apply, Class, Faulty, Setting, Switch, Trouble};
use crate::{Answer, Applied, At, Body, Fault, MemoryStore, MemoryTraits, PutSpec, Store};
use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt};
use outlast_rules::{Pin, StoreName};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, timeout};

const PATIENCE: Duration = Duration::from_secs(60);
const SECOND: Duration = Duration::from_secs(1);

struct Drill {
    memory: Arc<MemoryStore>,
    faulty: Faulty,
    switch: Arc<Switch>,
    at: At,
}

async fn drill(traits: MemoryTraits) -> Drill {
    let memory = Arc::new(MemoryStore::counting(StoreName::parse("m").unwrap(), traits));
    memory.create_bucket("bkt").await.unwrap();
    let switch = Arc::new(Switch::default());
    let faulty = Faulty::for_drills(memory.clone(), switch.clone(), PATIENCE);
    Drill { memory, faulty, switch, at: At::new("bkt", "k") }
}

impl Drill {
    async fn put(&self, body: Vec<u8>) -> Answer<Pin> {
        self.faulty.put(&self.at, &PutSpec::default(), Body::Whole(Bytes::from(body))).await
    }

    async fn holds(&self) -> Option<u64> {
        self.memory.head(&self.at, None).await.ok().map(|found| found.size)
    }
}

#[tokio::test(start_paused = true)]
async fn the_suite_passes_and_the_limits_stay() {
    let disk = drill(MemoryTraits::DISK).await;
    assert!(disk.faulty.limits().never_given_up, "a disk stays one whose calls are never given up");
    let b = drill(MemoryTraits::B).await;
    assert!(!b.faulty.limits().never_given_up);
    b.memory.delete_bucket("bkt").await.unwrap();
    let powers = outlast_rules::Powers { pinned: false, fenced: true, unique: false };
    let expect = crate::conformance::Expect::everything(crate::conformance::Expect::grades(powers));
    crate::conformance::all(&b.faulty, "suite", expect).await;
}

/// Whatever a drill may do, on every kind of store: an error says that nothing was sent, and nothing was, then or later.
#[tokio::test(start_paused = true)]
async fn an_error_of_a_drill_is_a_call_that_was_never_sent() {
    for traits in [MemoryTraits::DISK, MemoryTraits::B] {
        for (trouble, fault) in
            [(Trouble::Refuse, Fault::ConnectRefused), (Trouble::Hang(Apply::Never), Fault::Timeout)]
        {
            let w = drill(traits).await;
            w.switch.set(Setting::all(trouble));
            let error = w.put(b"abc".to_vec()).await.unwrap_err();
            assert_eq!((error.fault, error.applied), (fault, Applied::NotSent), "{error}");
            assert_eq!(w.faulty.head(&w.at, None).await.unwrap_err().applied, Applied::NotSent);
            w.switch.clear();
            tokio::time::sleep(PATIENCE * 10).await;
            assert_eq!(w.holds().await, None, "held back is not sent later");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_held_call_is_answered_when_patience_or_the_fault_is_over() {
    let w = drill(MemoryTraits::DISK).await;
    let began = Instant::now();
    let id = w.switch.set(Setting::all(Trouble::Hang(Apply::Never)));
    w.put(b"abc".to_vec()).await.unwrap_err();
    assert_eq!(began.elapsed(), PATIENCE);
    let ends = async {
        tokio::time::sleep(SECOND).await;
        w.switch.unset(id);
    };
    let (held, ()) = tokio::join!(w.put(b"abc".to_vec()), ends);
    assert_eq!(held.unwrap_err().applied, Applied::NotSent);
    assert_eq!(began.elapsed(), PATIENCE + SECOND);
    w.put(b"abc".to_vec()).await.unwrap();
}

/// A call that somebody stopped waiting for: on a disk nobody asks again whether it applied.
#[tokio::test(start_paused = true)]
async fn a_held_call_that_is_dropped_is_over() {
    let w = drill(MemoryTraits::DISK).await;
    w.switch.set(Setting::all(Trouble::Hang(Apply::Never)));
    assert!(timeout(SECOND, w.put(b"abc".to_vec())).await.is_err());
    w.switch.clear();
    tokio::time::sleep(PATIENCE * 2).await;
    assert_eq!(w.holds().await, None);
}

#[tokio::test(start_paused = true)]
async fn slow_holds_back_the_answer_of_a_call_that_is_over() {
    let w = drill(MemoryTraits::DISK).await;
    w.switch.set(Setting::all(Trouble::Slow { before: SECOND, after: SECOND, bytes_per_second: None }));
    let began = Instant::now();
    assert!(timeout(SECOND, w.put(b"abc".to_vec())).await.is_err());
    assert_eq!(w.holds().await, Some(3), "it had returned before it was held back");
    w.put(b"abcd".to_vec()).await.unwrap();
    assert_eq!(began.elapsed(), SECOND * 3);
}

#[tokio::test(start_paused = true)]
async fn a_pace_ends_with_its_fault() {
    let w = drill(MemoryTraits::DISK).await;
    let pace = Trouble::Slow { before: Duration::ZERO, after: Duration::ZERO, bytes_per_second: Some(1024) };
    let (id, _) = w.switch.lease(Setting::all(pace), Instant::now() + SECOND * 1000);
    let began = Instant::now();
    w.put(vec![7; 3 * 1024]).await.unwrap();
    assert_eq!(began.elapsed().as_secs(), 3);
    w.switch.unset(id);
    w.put(vec![7; 1024 * 1024]).await.unwrap();
    assert_eq!(began.elapsed().as_secs(), 3, "all is well again");

    let pace = Trouble::Slow { before: Duration::ZERO, after: Duration::ZERO, bytes_per_second: Some(10_240) };
    w.switch.lease(Setting::on(&Class::READS, pace), Instant::now() + SECOND * 5);
    let (_, mut body) = w.faulty.get(&w.at, None, None).await.unwrap();
    let first = body.next().await.unwrap().unwrap();
    assert!(first.len() <= 1024, "a slow body comes in small pieces, not after a long silence");
    let rest: Vec<Bytes> = body.try_collect().await.unwrap();
    assert_eq!(first.len() + rest.iter().map(Bytes::len).sum::<usize>(), 1024 * 1024);
    assert_eq!(began.elapsed().as_secs(), 8, "100 s at its pace; the lease was for five");
}

#[tokio::test(start_paused = true)]
async fn what_no_drill_may_do_does_nothing() {
    for trouble in [
        Trouble::WrongBytes,
        Trouble::FailAfterApplying,
        Trouble::DENIED,
        Trouble::CutBodies { after: 1 },
        Trouble::EndBodies { after: 1 },
        Trouble::ServerError { status: 500, applies: false },
    ] {
        let w = drill(MemoryTraits::B).await;
        w.switch.set(Setting::all(trouble.clone()));
        w.put(b"abc".to_vec()).await.unwrap();
        let (_, bytes) = w.faulty.get(&w.at, None, None).await.unwrap();
        let bytes: Vec<Bytes> = bytes.try_collect().await.unwrap();
        assert_eq!(bytes.concat(), b"abc", "{trouble:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_lease_ends_by_itself_unless_it_is_renewed() {
    let w = drill(MemoryTraits::B).await;
    let begun = Instant::now();
    let (id, mut over) = w.switch.lease(Setting::all(Trouble::Refuse), begun + SECOND * 15);
    tokio::time::advance(SECOND * 14).await;
    assert!(w.put(b"a".to_vec()).await.is_err());
    assert!(w.switch.renew(id, begun + SECOND * 29));
    tokio::time::advance(SECOND * 14).await;
    assert!(w.put(b"a".to_vec()).await.is_err(), "renewed");
    over.wait().await;
    assert_eq!(begun.elapsed(), SECOND * 29);
    w.put(b"a".to_vec()).await.unwrap();
    assert!(w.switch.is_clear());
    assert!(!w.switch.renew(id, Instant::now() + SECOND), "what is over stays over");
    w.put(b"ab".to_vec()).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_call_held_by_a_lease_is_let_go_at_its_end() {
    let w = drill(MemoryTraits::B).await;
    let begun = Instant::now();
    let (id, _) = w.switch.lease(Setting::all(Trouble::Hang(Apply::Never)), begun + SECOND * 5);
    let renews = async {
        tokio::time::sleep(SECOND * 4).await;
        w.switch.renew(id, begun + SECOND * 9);
    };
    let (held, ()) = tokio::join!(w.put(b"a".to_vec()), renews);
    assert_eq!(held.unwrap_err().applied, Applied::NotSent);
    assert_eq!(begun.elapsed(), SECOND * 9);
}
