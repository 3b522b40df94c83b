//! Plays faults over time on the running gateway: sets, renews and ends them, and tells what becomes of the stores.

use crate::asking;
use crate::config::{count_text, duration_text, size_text};
use crate::exit::{Ending, Failure};
use crate::running;
use crate::source::Source;
use crate::wire::Ends;
use outlast_rules::StoreName;
use outlast_store::{Planned, Schedule};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use tokio::time::{Instant, sleep_until};

/// A fault ends so long after this command is gone: long enough for one renewal that is answered late.
pub const LEASE: Duration = Duration::from_secs(15);
const RENEW_EVERY: Duration = Duration::from_secs(5);
/// How often the stores' standings are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// The gateway answers from memory; who needs longer is not well.
const ANSWER_MAX: Duration = Duration::from_secs(10);

/// What the gateway says of faults.
#[derive(Debug, Deserialize, Serialize)]
pub struct Told {
    pub faults: Vec<ToldFault>,
    pub risk: Vec<String>,
}

#[derive(Debug, Deserialize, Serialize)]
pub struct ToldFault {
    pub id: String,
    pub store: String,
    pub what: String,
    pub since: u64,
    pub left_ms: u64,
}

/// Gives the gateway an order about faults.
///
/// # Errors
/// It is not there, does not answer, or says why not.
pub async fn order(source: &Source, order: serde_json::Value) -> Result<Told, Failure> {
    let answer = tokio::time::timeout(ANSWER_MAX, running::order(source, "/admin/fault", order, true)).await;
    answer.unwrap_or_else(|_| Err(Failure::differs(format!("the gateway does not answer within {ANSWER_MAX:?}"))))
}

/// What writes would lack at any moment of it, one line each; asks the gateway, and changes nothing.
///
/// # Errors
/// The gateway does not answer.
pub async fn risk(source: &Source, schedule: &Schedule) -> Result<Vec<String>, Failure> {
    let mut sets: BTreeSet<Vec<&StoreName>> = BTreeSet::new();
    for planned in &schedule.faults {
        let beside = schedule.faults.iter().filter(|other| stops_writes(other) && is_on(other, planned.at));
        let stores: BTreeSet<&StoreName> = beside.map(|other| &other.store).collect();
        if !stores.is_empty() {
            sets.insert(stores.into_iter().collect());
        }
    }
    let mut lines = Vec::new();
    for stores in sets {
        let names: Vec<&str> = stores.iter().map(|store| store.as_str()).collect();
        let told = order(source, serde_json::json!({"step": "judge", "stores": stores})).await?;
        lines.extend(told.risk.into_iter().map(|risk| format!("AT RISK without {}: {risk}", names.join(" and "))));
    }
    Ok(lines)
}

fn stops_writes(planned: &Planned) -> bool {
    planned.for_drills().is_ok_and(|setting| setting.stops_writes())
}

fn is_on(planned: &Planned, at: Duration) -> bool {
    planned.at <= at && at < planned.at + planned.lasts
}

/// A drill that runs.
pub struct Drill<'a> {
    source: &'a Source,
    schedule: &'a Schedule,
    accept_risk: bool,
    began: Instant,
    /// By their place in the schedule.
    active: BTreeMap<usize, String>,
    standings: BTreeMap<String, String>,
}

impl<'a> Drill<'a> {
    pub fn new(source: &'a Source, schedule: &'a Schedule, accept_risk: bool) -> Drill<'a> {
        let (active, standings) = (BTreeMap::new(), BTreeMap::new());
        Drill { source, schedule, accept_risk, began: Instant::now(), active, standings }
    }

    /// Until the schedule is over, or a signal comes. Whatever happens, it tries to end what it has set.
    ///
    /// # Errors
    /// The gateway goes away, refuses a fault, or somebody else ended one.
    pub async fn run(mut self, ends: &mut Ends) -> Result<Over, Failure> {
        self.look().await;
        self.began = Instant::now();
        let played = self.play(ends).await;
        let ids: Vec<&String> = self.active.values().collect();
        let ended = if ids.is_empty() {
            Ok(())
        } else {
            order(self.source, serde_json::json!({"step": "end", "ids": ids})).await.map(|_| ())
        };
        let over = played?;
        if let Err(failure) = ended {
            let words = format!("{failure}\n    what was set ends by itself within {}", text(LEASE));
            return Err(Failure { ending: Ending::Interrupted, words });
        }
        for n in self.active.keys() {
            self.tell_end(&self.schedule.faults[*n]);
        }
        self.last_words().await;
        Ok(over)
    }

    /// A signal is heard between two orders: what was set is known, and can be ended.
    async fn play(&mut self, ends: &mut Ends) -> Result<Over, Failure> {
        let (mut renewed, mut begun) = (Instant::now(), 0);
        let mut order_of_begin: Vec<usize> = (0..self.schedule.faults.len()).collect();
        order_of_begin.sort_by_key(|n| self.schedule.faults[*n].at);
        loop {
            self.end_those_that_are_over().await?;
            while let Some(n) =
                order_of_begin.get(begun).filter(|n| self.schedule.faults[**n].at <= self.began.elapsed())
            {
                begun += 1;
                self.begin(*n).await?;
            }
            if renewed.elapsed() >= RENEW_EVERY {
                renewed = Instant::now();
                self.renew().await?;
            }
            self.look().await;
            let next = order_of_begin.get(begun).map(|n| self.began + self.schedule.faults[*n].at);
            if self.active.is_empty() && next.is_none() {
                return Ok(Over::Played);
            }
            let over = self.active.keys().map(|n| self.over_at(*n));
            let wake = over.chain(next).min().unwrap_or_else(Instant::now);
            tokio::select! {
                biased;
                signal = ends.next() => {
                    self.say(&format!("{signal}: everything ends"));
                    return Ok(Over::Signal);
                }
                () = sleep_until(wake.min(Instant::now() + LOOK_EVERY)) => {}
            }
        }
    }

    fn over_at(&self, n: usize) -> Instant {
        let planned = &self.schedule.faults[n];
        self.began + planned.at + planned.lasts
    }

    async fn begin(&mut self, n: usize) -> Result<(), Failure> {
        let planned = &self.schedule.faults[n];
        let setting = planned.for_drills().map_err(Failure::usage)?;
        let left = self.over_at(n).saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(());
        }
        let lease = left.clamp(outlast_engine::LEASE_MIN, LEASE);
        let told = order(
            self.source,
            serde_json::json!({
                "step": "set", "store": planned.store, "setting": setting,
                "lease_ms": lease.as_millis() as u64, "accept_risk": self.accept_risk,
            }),
        )
        .await
        .map_err(|why| Failure::differs(format!("{} was not set, and everything ends: {why}", planned.store)))?;
        self.active.extend(told.faults.into_iter().map(|fault| (n, fault.id)));
        self.say(&format!("{}: {setting}, for {}", planned.store, text(planned.lasts)));
        Ok(())
    }

    async fn end_those_that_are_over(&mut self) -> Result<(), Failure> {
        let now = Instant::now();
        let over: Vec<usize> = self.active.keys().copied().filter(|n| self.over_at(*n) <= now).collect();
        if over.is_empty() {
            return Ok(());
        }
        let ids: Vec<&String> = over.iter().map(|n| &self.active[n]).collect();
        order(self.source, serde_json::json!({"step": "end", "ids": ids})).await?;
        for n in over {
            self.active.remove(&n);
            self.tell_end(&self.schedule.faults[n]);
        }
        Ok(())
    }

    async fn renew(&mut self) -> Result<(), Failure> {
        let now = Instant::now();
        // One that is over before the next renewal ends on its own time, whatever becomes of this command.
        let long = |n: &usize| self.over_at(*n) > now + RENEW_EVERY;
        let renewed: Vec<(usize, String)> =
            self.active.iter().filter(|(n, _)| long(n)).map(|(n, id)| (*n, id.clone())).collect();
        if renewed.is_empty() {
            return Ok(());
        }
        let ids: Vec<&String> = renewed.iter().map(|(_, id)| id).collect();
        let lease_ms = LEASE.as_millis() as u64;
        let told = order(self.source, serde_json::json!({"step": "renew", "ids": ids, "lease_ms": lease_ms})).await?;
        let gone = renewed.iter().find(|(_, id)| told.faults.iter().all(|fault| fault.id != *id));
        match gone {
            None => Ok(()),
            Some((n, _)) => {
                let store = &self.schedule.faults[*n].store;
                Err(Failure::differs(format!("the fault on {store} was ended by somebody else; the rest ends with it")))
            }
        }
    }

    /// Tells every change of a store's standing.
    async fn look(&mut self) {
        let Some(stores) = self.stores().await else { return };
        for store in stores {
            let why = if store.reason.is_empty() { String::new() } else { format!(": {}", store.reason) };
            let is = format!("{} is {}{why}", store.name, store.standing);
            let was = self.standings.insert(store.name, is.clone());
            if was.is_some_and(|was| was != is) {
                self.say(&is);
            }
        }
    }

    /// None: not told now; whoever gives orders finds out why.
    async fn stores(&self) -> Option<Vec<ToldStore>> {
        let body = asking::get(running::address(self.source), "/status.json").await.ok()?;
        serde_json::from_slice::<ToldStatus>(&body).ok().map(|status| status.stores)
    }

    async fn last_words(&self) {
        for store in self.stores().await.unwrap_or_default() {
            if store.owed_objects > 0 {
                let owed = format!("{}, {}", count_text(store.owed_objects, "object"), size_text(store.owed_bytes));
                self.say(&format!("{} is owed {owed}; outlast status --watch shows how it gets them", store.name));
            }
        }
    }

    fn tell_end(&self, planned: &Planned) {
        self.say(&format!("{}: {} is over", planned.store, planned.what.word()));
    }

    fn say(&self, words: &str) {
        use std::io::Write;
        let mut out = std::io::stdout().lock();
        // Nobody reads any more; the drill goes on all the same.
        let _ = writeln!(out, "{:6.1} s  {words}", self.began.elapsed().as_secs_f64());
    }
}

/// How a drill ended well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Over {
    Played,
    Signal,
}

#[derive(Deserialize)]
struct ToldStatus {
    stores: Vec<ToldStore>,
}

#[derive(Deserialize)]
struct ToldStore {
    name: String,
    standing: String,
    #[serde(default)]
    reason: String,
    #[serde(default)]
    owed_objects: u64,
    #[serde(default)]
    owed_bytes: u64,
}

pub fn text(time: Duration) -> String {
    duration_text(time.as_millis() as u64)
}
