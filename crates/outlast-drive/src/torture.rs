//! Rounds of load, kill -9 at a drawn moment, restart, and the comparison of everything with what was promised.

use crate::asking::{BUCKET, Shared, Stop};
use crate::client::{Account, Ask, Connection};
use crate::compare;
use crate::gateway::Gateway;
use crate::plan::{Broken, Plan, Tally};
use crate::siege;
use crate::worker::Worker;
use crate::world::{Stage, World};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

/// Clients at once: enough that a group commit carries several writes.
const CLIENTS: u32 = 6;
/// A round's load: long enough for a body of each kind to be under way.
const LOAD_MS: std::ops::Range<u64> = 100..2_500;

/// As many rounds as the plan wants, in its world.
///
/// # Errors
/// A promise is broken, or the gateway does not start.
pub async fn torture(plan: &Plan) -> Result<Tally, Broken> {
    if plan.world == World::Mixed {
        return siege::rounds(plan).await;
    }
    let mut round = 0;
    let broken = |round: u32, what: Vec<String>| Broken { seed: plan.seed, round, world: plan.world.name(), what };
    let stage = Stage::set(plan.world, &plan.program, &plan.dir).await.map_err(|why| broken(0, vec![why]))?;
    let mut run = Run::begin(plan, stage).await.map_err(|why| broken(0, vec![why]))?;
    while round < plan.rounds {
        round += 1;
        let outcome = run.round(round, round == plan.rounds).await;
        if let Err(mut what) = outcome {
            what.push(format!("the end of its log:\n{}", run.stage.log()));
            return Err(broken(round, what));
        }
    }
    Ok(run.tally())
}

struct Run<'a> {
    plan: &'a Plan,
    stage: Stage,
    account: Arc<Account>,
    shared: Arc<Shared>,
    workers: Vec<Worker>,
    chance: SmallRng,
    gateway: Option<Gateway>,
    kills: u32,
    compared: u32,
}

impl<'a> Run<'a> {
    async fn begin(plan: &'a Plan, stage: Stage) -> Result<Run<'a>, String> {
        let gateway = stage.launch.start().await?;
        let account = stage.account()?;
        let made = Connection::new(&gateway.s3, &account).ask(Ask::put(BUCKET, "", bytes::Bytes::new())).await;
        let made = made.map_err(|lost| format!("CreateBucket: {lost}"))?;
        if !made.is_good() {
            return Err(format!("CreateBucket: {} {}", made.status, made.text()));
        }
        let shared = Arc::new(Shared::default());
        let worker = |number| Worker::new(number, plan.seed, &shared, &gateway.s3, &account);
        Ok(Run {
            plan,
            account: account.clone(),
            workers: (0..CLIENTS).map(worker).collect(),
            shared: shared.clone(),
            chance: SmallRng::seed_from_u64(plan.seed),
            gateway: Some(gateway),
            stage,
            kills: 0,
            compared: 0,
        })
    }

    async fn round(&mut self, round: u32, last: bool) -> Result<(), Vec<String>> {
        let begun = Instant::now();
        self.load_and_kill().await?;
        let one = |why: String| vec![why];
        // Now and then it dies again while it takes up what the last life left.
        while self.chance.random_bool(0.25) {
            let starting = self.stage.launch.spawn().map_err(one)?;
            sleep(Duration::from_millis(self.chance.random_range(0..500))).await;
            drop(starting);
            self.kills += 1;
        }
        self.stage.calm(&mut self.chance).await.map_err(one)?;
        let gateway = self.stage.launch.start().await.map_err(one)?;
        let ready_ms = begun.elapsed().as_millis();
        for worker in &mut self.workers {
            worker.turn_to(&gateway.s3, &self.account);
        }
        self.gateway = Some(gateway);
        self.read_all().await?;
        let read_ms = begun.elapsed().as_millis();
        // Half of the rounds go on at once: the next kill meets what this one left undone.
        let compares = last || self.chance.random_bool(0.5);
        let caught_up_ms = if compares { Some(self.compare().await?) } else { None };
        if self.plan.told {
            let then = caught_up_ms.map_or("went on at once".to_owned(), |ms| {
                format!("caught up in {ms} ms, compared at {} ms", begun.elapsed().as_millis())
            });
            println!("round {round}: ready again at {ready_ms} ms, every key read at {read_ms} ms, {then}");
        }
        Ok(())
    }

    async fn load_and_kill(&mut self) -> Result<(), Vec<String>> {
        let one = |why: String| vec![why];
        self.shared.dying.store(false, Ordering::SeqCst);
        let mut clients = JoinSet::new();
        for mut worker in self.workers.drain(..) {
            clients.spawn(async move {
                let outcome = worker.work().await;
                (worker, outcome)
            });
        }
        let load_ms = self.chance.random_range(LOAD_MS);
        self.stage.disturb(&mut self.chance, load_ms).await.map_err(one)?;
        self.shared.dying.store(true, Ordering::SeqCst);
        if let Some(gateway) = self.gateway.take() {
            gateway.kill();
            self.kills += 1;
        }
        let mut wrong = Vec::new();
        while let Some(ended) = clients.join_next().await {
            match ended {
                Ok((worker, outcome)) => {
                    self.workers.push(worker);
                    wrong.extend(outcome.err());
                }
                Err(error) => wrong.push(format!("a client ended: {error}")),
            }
        }
        if wrong.is_empty() { Ok(()) } else { Err(wrong) }
    }

    /// At once after the start, while undecided writes are still being resolved.
    async fn read_all(&mut self) -> Result<(), Vec<String>> {
        self.shared.dying.store(false, Ordering::SeqCst);
        let mut wrong = Vec::new();
        let keys = self.shared.oracle.all().into_keys();
        for (key, number) in keys.zip((0..self.workers.len()).cycle()) {
            match self.workers[number].read(&key).await {
                Ok(()) => {}
                Err(Stop::Killed | Stop::Refused) => wrong.push(format!("GET {key}: the gateway ended by itself")),
                Err(Stop::Broken(why)) => wrong.push(format!("after the restart: {why}")),
            }
        }
        if wrong.is_empty() { Ok(()) } else { Err(wrong) }
    }

    /// How long the catch-up took, milliseconds.
    async fn compare(&mut self) -> Result<u128, Vec<String>> {
        let begun = Instant::now();
        let Some(gateway) = &self.gateway else { return Err(vec!["no gateway runs".to_owned()]) };
        gateway.caught_up().await.map_err(|why| vec![why])?;
        let caught_up_ms = begun.elapsed().as_millis();
        let mut connection = Connection::new(&gateway.s3, &self.account);
        let truths = compare::through_gateway(&mut connection, &self.shared.oracle).await?;
        let stores = self.stage.stores.iter();
        let wrong: Vec<String> =
            stores.flat_map(|(name, folder)| compare::plain_files(name, &folder.join(BUCKET), &truths)).collect();
        self.compared += 1;
        if wrong.is_empty() { Ok(caught_up_ms) } else { Err(wrong) }
    }

    fn tally(&self) -> Tally {
        Tally { kills: self.kills, compared: self.compared, ..Tally::of(&self.shared.done) }
    }
}
