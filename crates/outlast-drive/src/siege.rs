//! Rounds of blows under load: heal, wait until nothing is owed, and compare every acknowledged write with what the gateway
//! says and what each store holds.

use crate::asking::{BUCKET, Shared};
use crate::blows::{Blow, Deck, Kind, Victim};
use crate::client::Connection;
use crate::compare::{self, Seen};
use crate::crew::Crew;
use crate::gateway::Gateway;
use crate::ground::Ground;
use crate::plan::{Broken, Plan, Tally};
use crate::worker::Worker;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// Clients at once: enough that a group commit carries several writes.
const CLIENTS: u32 = 4;
/// Before the first blow.
const BEFORE_MS: std::ops::Range<u64> = 200..1_500;
/// What was dated ahead by a clock that jumped, the second looks after it, and a store's way back.
const CATCH_UP_MAX: Duration = Duration::from_secs(150);

/// The rounds of a plan.
///
/// # Errors
/// A promise is broken, or the servers do not start.
pub(crate) async fn rounds(plan: &Plan) -> Result<Tally, Broken> {
    let broken = |round: u32, what: Vec<String>| Broken { seed: plan.seed, round, world: plan.world.name(), what };
    let begun = Instant::now();
    let mut siege = Siege::begin(plan).await.map_err(|why| broken(0, vec![why]))?;
    for round in 1..=plan.rounds {
        if plan.time_max.is_some_and(|max| begun.elapsed() > max) {
            println!("the time is over before round {round} of {}", plan.rounds);
            break;
        }
        if let Err(mut what) = siege.round(round).await {
            what.push(format!("the end of its log:\n{}", siege.ground.log()));
            return Err(broken(round, what));
        }
    }
    Ok(siege.tally())
}

struct Siege<'a> {
    plan: &'a Plan,
    /// Before the ground that it stands on: it goes first.
    gateway: Option<Gateway>,
    ground: Ground,
    crew: Crew,
    chance: SmallRng,
    deck: Deck,
    kills: u32,
    /// How often each kind happened to somebody.
    struck: BTreeMap<Kind, u32>,
    seen: Seen,
}

impl<'a> Siege<'a> {
    async fn begin(plan: &'a Plan) -> Result<Siege<'a>, String> {
        let ground = Ground::set(&plan.program, &plan.tools, &plan.dir).await?;
        let gateway = ground.launch.start().await?;
        let worker =
            |number, shared: &Arc<Shared>| Worker::new(number, plan.seed, shared, &gateway.s3, &ground.account).light();
        let crew = Crew::sign_on(&gateway, &ground.account, worker, CLIENTS).await?;
        for what in &ground.left_out {
            println!("LEFT OUT   {what}");
        }
        let mut chance = SmallRng::seed_from_u64(plan.seed);
        Ok(Siege {
            plan,
            crew,
            deck: Deck::shuffled(&mut chance, ground.able()),
            chance,
            gateway: Some(gateway),
            ground,
            kills: 0,
            struck: BTreeMap::new(),
            seen: Seen::default(),
        })
    }

    async fn round(&mut self, round: u32) -> Result<(), Vec<String>> {
        let begun = Instant::now();
        let count = if self.chance.random_bool(0.4) { 2 } else { 1 };
        let blows: Vec<Blow> = (0..count).map(|_| self.deck.deal(&mut self.chance)).collect();
        let said = blows.iter().map(Blow::to_string).collect::<Vec<_>>().join(", then ");
        let named = |mut what: Vec<String>| {
            what.insert(0, said.clone());
            what
        };
        self.under_blows(&blows).await.map_err(named)?;
        let healed_ms = begun.elapsed().as_millis();
        self.crew.read_all("after all is well again").await.map_err(named)?;
        let caught_up_ms = self.compare().await.map_err(named)?;
        if self.plan.told {
            println!("round {round}: {said}: healed at {healed_ms} ms, all paid {caught_up_ms} ms later, compared");
        }
        Ok(())
    }

    /// Load, blows, and everything well again.
    async fn under_blows(&mut self, blows: &[Blow]) -> Result<(), Vec<String>> {
        let one = |why: String| vec![why];
        self.crew.shared.resting.store(false, Ordering::SeqCst);
        let clients = self.crew.send();
        sleep(Duration::from_millis(self.chance.random_range(BEFORE_MS))).await;
        let mut struck = 0;
        for blow in blows {
            let meets_somebody = match blow.is_for() {
                Some(Victim::Gateway) => self.gateway.is_some(),
                Some(Victim::Garage) => self.ground.garage.runs(),
                None => true,
            };
            if !meets_somebody {
                self.deck.give_back(blow.kind());
                continue;
            }
            struck += 1;
            // One store of four costs no quorum, so nobody is refused by it; two may be all that hold a key yet.
            if struck > 1 || blow.hits_the_gateway() {
                self.crew.shared.rough.store(true, Ordering::SeqCst);
            }
            if *blow == Blow::KillGateway {
                self.kill();
            }
            self.ground.strike(*blow, self.gateway.as_ref()).await.map_err(one)?;
            *self.struck.entry(blow.kind()).or_default() += 1;
            sleep(Duration::from_millis(blow.lasts_ms(&mut self.chance))).await;
        }
        // Half of the time it has to start while its stores are as they are, and now and then it dies in that.
        while self.gateway.is_none() && self.chance.random_bool(0.5) {
            let starting = self.ground.launch.spawn().map_err(one)?;
            sleep(Duration::from_millis(self.chance.random_range(0..1_500))).await;
            drop(starting);
            self.kills += 1;
        }
        self.ground.heal(self.gateway.as_ref()).await.map_err(one)?;
        self.crew.shared.resting.store(true, Ordering::SeqCst);
        self.crew.call_back(clients).await?;
        if self.gateway.is_none() {
            let gateway = self.ground.launch.start().await.map_err(one)?;
            self.crew.turn_to(&gateway);
            self.gateway = Some(gateway);
        }
        self.crew.shared.rough.store(false, Ordering::SeqCst);
        self.crew.shared.dying.store(false, Ordering::SeqCst);
        Ok(())
    }

    fn kill(&mut self) {
        self.crew.shared.dying.store(true, Ordering::SeqCst);
        if let Some(gateway) = self.gateway.take() {
            gateway.kill();
            self.kills += 1;
        }
    }

    /// How long the catch-up took, milliseconds.
    async fn compare(&mut self) -> Result<u128, Vec<String>> {
        let begun = Instant::now();
        let Some(gateway) = &self.gateway else { return Err(vec!["no gateway runs".to_owned()]) };
        gateway.caught_up_within(CATCH_UP_MAX).await.map_err(|why| vec![why])?;
        let caught_up_ms = begun.elapsed().as_millis();
        let mut connection = Connection::new(&gateway.s3, &self.ground.account);
        let truths = compare::through_gateway(&mut connection, &self.crew.shared.oracle).await?;
        let mut wrong = Vec::new();
        for (name, folder) in &self.ground.disks {
            wrong.extend(compare::plain_files(name, &folder.join(BUCKET), &truths));
        }
        for (name, peer) in [("garage", &self.ground.garage), ("moto", &self.ground.moto)] {
            let mut connection = Connection::new(&peer.address, &peer.account);
            wrong.extend(compare::plain_objects(name, &mut connection, &truths).await);
        }
        if let Err(why) = self.ground.launch.verify_deep(BUCKET).await {
            wrong.push(why);
        }
        // All is well, so a write is taken; the last of all, for it leaves debts for a moment.
        let written = self.crew.workers[0].write_one().await;
        wrong.extend(written.err().map(|stop| format!("a write after all is well: {stop:?}")));
        if !wrong.is_empty() {
            return Err(wrong);
        }
        self.seen.add(&truths);
        Ok(caught_up_ms)
    }

    fn tally(&self) -> Tally {
        Tally {
            kills: self.kills,
            blows: self.struck.values().sum(),
            kinds: self.struck.len() as u32,
            kinds_able: Kind::all(self.ground.able()).len() as u32,
            ..Tally::of(&self.crew.shared.done, &self.seen)
        }
    }
}
