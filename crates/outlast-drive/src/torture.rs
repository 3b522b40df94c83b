//! Rounds of load, kill -9 at a drawn moment, restart, and the comparison of everything with what was promised.

use crate::asking::{BUCKET, Shared};
use crate::client::{Account, Connection};
use crate::compare::{self, Seen};
use crate::crew::Crew;
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
    crew: Crew,
    chance: SmallRng,
    gateway: Option<Gateway>,
    kills: u32,
    seen: Seen,
}

impl<'a> Run<'a> {
    async fn begin(plan: &'a Plan, stage: Stage) -> Result<Run<'a>, String> {
        let gateway = stage.launch.start().await?;
        let account = stage.account()?;
        let worker = |number, shared: &Arc<Shared>| Worker::new(number, plan.seed, shared, &gateway.s3, &account);
        let crew = Crew::sign_on(&gateway, &account, worker, CLIENTS).await?;
        Ok(Run {
            plan,
            account,
            crew,
            chance: SmallRng::seed_from_u64(plan.seed),
            gateway: Some(gateway),
            stage,
            kills: 0,
            seen: Seen::default(),
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
        self.crew.turn_to(&gateway);
        self.gateway = Some(gateway);
        self.crew.read_all("after the restart").await?;
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
        let clients = self.crew.send();
        let load_ms = self.chance.random_range(LOAD_MS);
        self.stage.disturb(&mut self.chance, load_ms).await.map_err(one)?;
        self.crew.shared.dying.store(true, Ordering::SeqCst);
        if let Some(gateway) = self.gateway.take() {
            gateway.kill();
            self.kills += 1;
        }
        self.crew.call_back(clients).await
    }

    /// How long the catch-up took, milliseconds.
    async fn compare(&mut self) -> Result<u128, Vec<String>> {
        let begun = Instant::now();
        let Some(gateway) = &self.gateway else { return Err(vec!["no gateway runs".to_owned()]) };
        gateway.caught_up().await.map_err(|why| vec![why])?;
        let caught_up_ms = begun.elapsed().as_millis();
        let mut connection = Connection::new(&gateway.s3, &self.account);
        let truths = compare::through_gateway(&mut connection, &self.crew.shared.oracle).await?;
        let stores = self.stage.stores.iter();
        let wrong: Vec<String> =
            stores.flat_map(|(name, folder)| compare::plain_files(name, &folder.join(BUCKET), &truths)).collect();
        if !wrong.is_empty() {
            return Err(wrong);
        }
        self.stage.launch.verify_deep(BUCKET).await.map_err(|why| vec![why])?;
        self.seen.add(&truths);
        Ok(caught_up_ms)
    }

    fn tally(&self) -> Tally {
        Tally { kills: self.kills, ..Tally::of(&self.crew.shared.done, &self.seen) }
    }
}
