//! What happens, in which order: load, a store that stops, dies and returns, catch-up, proof.

use super::clients::{CLIENTS, House};
use super::long::Source;
use super::proof::{Proven, prove, settle_doubts};
use super::score::{Long, Score};
use super::snapshot::Snapshot;
use super::stage::{Actor, LINE_BYTES_PER_S, STORES};
use super::times::Times;
use super::totals::Totals;
use crate::config::size_text;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until, timeout_at};

/// Nothing that the demo owes takes a store on this machine so long; longer is a failure.
const CATCH_UP_PATIENCE: Duration = Duration::from_secs(30);
const CATCH_UP_LOOK: Duration = Duration::from_millis(100);
/// Longer than the herald's.
const NOTICE_LOOK: Duration = Duration::from_millis(300);
/// A request that is not answered so long after the load's end hangs.
const LAST_ANSWERS_PATIENCE: Duration = Duration::from_secs(20);

/// Plays it all. Dropping it stops the load.
pub async fn play(house: House, times: Times) -> Totals {
    let began = Instant::now();
    let mut wrong = Vec::new();
    let source: Source = Arc::new(Mutex::new(None));
    let mut load = begin(&house, times, began, &source);
    let struck = strike(&house, times, began, &source).await;
    sleep_until(began + times.back).await;
    let back_at = Instant::now();
    struck.bring_back();
    house.score.event(format!("{} is back, on a line of {}/s", struck.name, size_text(LINE_BYTES_PER_S)));
    let patience = began + times.end + LAST_ANSWERS_PATIENCE;
    while let Ok(Some(ended)) = timeout_at(patience, load.join_next()).await {
        if let Err(error) = ended {
            wrong.push(format!("a client broke off: {error}"));
        }
    }
    if !load.is_empty() {
        wrong.push(format!("{} clients got no answer for {} s", load.len(), LAST_ANSWERS_PATIENCE.as_secs()));
    }
    let standings = house.score.standings();
    house.score.event(format!("the load ends: {} requests, {} failures", standings.requests, standings.failures));
    let caught_up = catch_up(&house, back_at, &mut wrong).await;
    struck.make_well();
    if let Err(words) = settle_doubts(&house.stage, &house.oracle).await {
        wrong.push(words);
    }
    let stores = prove_all(&house).await;
    Totals::of(house.seed, house.score.standings(), caught_up, stores, wrong)
}

fn begin(house: &House, times: Times, began: Instant, source: &Source) -> JoinSet<()> {
    let mut load = JoinSet::new();
    for number in 0..CLIENTS {
        load.spawn(house.clone().client(number, began + times.end));
    }
    let (downloading, source) = (house.clone(), source.clone());
    load.spawn(async move {
        sleep_until(began + times.long).await;
        downloading.download(times.long_takes, source).await;
    });
    let uploading = house.clone();
    load.spawn(async move {
        sleep_until(began + times.long).await;
        uploading.upload(times.long_takes).await;
    });
    house.score.event(format!("{CLIENTS} clients write, read, list and delete; all three stores are well"));
    load
}

/// The store that the download comes from stops answering, and then dies.
async fn strike<'a>(house: &'a House, times: Times, began: Instant, source: &Source) -> &'a Actor {
    sleep_until(began + times.stall).await;
    let name = source.lock().expect("no holder of this lock can panic").clone();
    let struck = house.stage.actor(name.as_deref().unwrap_or(STORES[1]));
    struck.stall();
    for long in [Long::Download, Long::Upload] {
        house.score.bar(long, |bar| bar.struck_at = Some(bar.done));
    }
    house.score.event(format!(
        "{} stops answering, in the middle of the upload and of the download that comes from it",
        struck.name
    ));
    sleep_until(began + times.kill).await;
    until_noticed(house, struck, began + times.kill_latest).await;
    struck.kill();
    house.score.event(format!("{} is killed: connections break off, new ones are refused", struck.name));
    struck
}

/// Until the silence of this store is known and told, or the latest moment: clients who read and write little notice it late,
/// since hedges and quorums leave a silent store behind.
async fn until_noticed(house: &House, struck: &Actor, latest: Instant) {
    let is_down =
        |now: Snapshot| now.stores.iter().any(|store| store.name == struck.name.as_str() && store.standing == "down");
    while Instant::now() < latest {
        let noticed = is_down(Snapshot::take(&house.stage, &house.score).await);
        // After the last look there is one more time for the herald's.
        sleep(NOTICE_LOOK).await;
        if noticed {
            return;
        }
    }
}

/// Until no store is owed anything and no write is undecided; ms since the store came back.
async fn catch_up(house: &House, back_at: Instant, wrong: &mut Vec<String>) -> Option<u64> {
    let began = Instant::now();
    loop {
        let now = Snapshot::take(&house.stage, &house.score).await;
        if now.is_settled() {
            let ms = back_at.elapsed().as_millis() as u64;
            house.score.event("nothing is owed any more: every store has everything");
            return Some(ms);
        }
        if began.elapsed() > CATCH_UP_PATIENCE {
            for store in now.stores.iter().filter(|store| store.owed_objects > 0) {
                wrong.push(format!(
                    "{} is still owed {} objects after {} s; it is {} {}",
                    store.name,
                    store.owed_objects,
                    CATCH_UP_PATIENCE.as_secs(),
                    store.standing,
                    store.reason,
                ));
            }
            if now.undecided > 0 {
                wrong.push(format!("{} writes are still undecided", now.undecided));
            }
            return None;
        }
        sleep(CATCH_UP_LOOK).await;
    }
}

async fn prove_all(house: &House) -> Vec<Proven> {
    let objects = house.oracle.objects();
    house.score.event(format!("each store alone: {} objects are read back and compared", objects.len()));
    let all_at_once = house.stage.actors.iter().map(|actor| async {
        let one = prove(actor, house.stage.bucket.as_str(), &objects).await;
        house.score.event(format!("{}: {} objects right, {} differ", actor.name, one.objects, one.differences));
        one
    });
    futures_util::future::join_all(all_at_once).await
}

/// What the load finds: the shared objects and the film, on every store. Before the clock starts.
///
/// # Errors
/// A write failed, or did not reach every store, although every store is well.
pub async fn prepare(house: &House) -> Result<(), String> {
    house.furnish().await?;
    house.shoot_film().await?;
    // A store may have been late with the film.
    let began = Instant::now();
    while !Snapshot::take(&house.stage, &house.score).await.is_settled() {
        if began.elapsed() > CATCH_UP_PATIENCE {
            return Err("a store is still owed something although every store is well".to_owned());
        }
        sleep(CATCH_UP_LOOK).await;
    }
    Ok(())
}

/// The clock starts anew when everything is prepared.
pub fn new_score() -> Arc<Score> {
    Arc::new(Score::new())
}
