//! A body that stands still moves on to another holder: after two seconds, and sooner when its store is known to be down.

mod support;

use futures_util::StreamExt;
use outlast_engine::{GetAnswer, GetAsk, ReadError};
use outlast_rules::Conditions;
use outlast_store::{Apply, Class, Faulty, MemoryTraits, Setting, Store, Switch, Trouble};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use support::{World, bucket, bytes, key};
use tokio::time::Instant;

/// Many blocks, so that most of the body is still to come when its store stops.
const BODY: usize = 3_000_000;

struct Watched {
    world: World,
    switches: BTreeMap<String, Arc<Switch>>,
}

async fn watched() -> Watched {
    let switches = Mutex::new(BTreeMap::new());
    let wrap = |store: Arc<dyn Store>| -> Arc<dyn Store> {
        let switch = Arc::new(Switch::default());
        switches.lock().unwrap().insert(store.name().to_string(), switch.clone());
        Arc::new(Faulty::new(store, switch))
    };
    let world = World::with(&[MemoryTraits::B; 3], |_| {}, wrap).await;
    Watched { world, switches: switches.into_inner().unwrap() }
}

async fn begin(world: &World, at: &str) -> GetAnswer {
    let ask = GetAsk { bucket: bucket(), key: key(at), range: None, conditions: Conditions::default() };
    world.engine.get(ask).await.unwrap()
}

/// The whole body, and the longest wait for a piece of it.
async fn rest(answer: GetAnswer) -> Result<(Vec<u8>, Duration), ReadError> {
    let mut body = answer.bytes;
    let (mut got, mut longest, mut last) = (Vec::new(), Duration::ZERO, Instant::now());
    while let Some(piece) = body.next().await {
        got.extend_from_slice(&piece?);
        longest = longest.max(last.elapsed());
        last = Instant::now();
    }
    Ok((got, longest))
}

#[tokio::test(start_paused = true)]
async fn alone_it_gets_a_second_and_a_half() {
    let Watched { world, switches } = watched().await;
    let body = bytes(BODY, 1);
    world.put("film", &body).await.unwrap();
    let answer = begin(&world, "film").await;
    switches[&answer.source].stall();
    let (got, longest) = rest(answer).await.unwrap();
    assert!(got == body, "every byte, once");
    assert_eq!(longest, Duration::from_millis(1500));
}

/// Its store answers, and stops before the first byte of the body: the client has seen nothing yet, and another holder is there.
#[tokio::test(start_paused = true)]
async fn before_the_first_byte_it_moves_on_sooner() {
    let Watched { world, switches } = watched().await;
    let body = bytes(5_000, 3);
    world.put("letter", &body).await.unwrap();
    let source = begin(&world, "letter").await.source;
    let never = Trouble::Slow { before: Duration::ZERO, after: Duration::ZERO, bytes_per_second: Some(1) };
    switches[&source].set(Setting::on(&[Class::Get], never));
    let began = Instant::now();
    assert_eq!(world.get("letter").await.unwrap(), body);
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
    // Where nobody else is left, it gets its time.
    for (name, switch) in &switches {
        if *name != source {
            switch.set(Setting::all(Trouble::Refuse));
        }
    }
    switches[&source].clear();
    let late = Trouble::Slow { before: Duration::ZERO, after: Duration::ZERO, bytes_per_second: Some(5_000) };
    switches[&source].set(Setting::on(&[Class::Get], late));
    assert_eq!(world.get("letter").await.unwrap(), body, "after a second");
}

#[tokio::test(start_paused = true)]
async fn where_other_calls_found_the_store_down_it_moves_on_at_once() {
    let Watched { world, switches } = watched().await;
    let body = bytes(BODY, 2);
    world.put("film", &body).await.unwrap();
    let answer = begin(&world, "film").await;
    let switch = &switches[&answer.source];
    switch.set(Setting::all(Trouble::Hang(Apply::Never)));
    switch.stall();
    let others = futures_util::future::join_all((0..6).map(|_| world.get("film")));
    let (rest, others) = tokio::join!(rest(answer), others);
    assert!(others.into_iter().all(|got| got.unwrap() == body), "reads that begin now find another holder");
    let (got, longest) = rest.unwrap();
    assert!(got == body, "every byte, once");
    assert!((Duration::from_millis(500)..Duration::from_secs(2)).contains(&longest), "{longest:?}");
}
