//! A rebuild from its beginning to its end, in steps that are each written down: killed anywhere, it goes on from there.

use super::beginning::{Begun, wait_out};
use super::buckets::{Found, Natives, Seen, names, take_in};
use super::listing::Listing;
use super::notes::{Noted, Notes};
use super::reach::{Reach, RebuildError, may_pass};
use super::recall::recall;
use super::report::RebuildReport;
use super::survey::{Survey, marker_of};
use super::walk::Walk;
use super::weigh::{Scale, Weighed};
use crate::clock::Clock;
use crate::identity::fact as store_fact;
use crate::probing::kept_probe;
use crate::settings::EngineSettings;
use crate::verify::Progress;
use futures_util::stream::{self, StreamExt};
use outlast_ledger::{Change, Ledger, SegmentKey};
use outlast_rules::{BucketName, Epoch, Key, Moment, Mutant, Seq, Turn, broken};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use tokio::sync::mpsc;

const STATE_FACT: &str = "rebuild.state";
/// The report, in the ledger that is whole: a rebuild that was killed before its ledger took its place finds it done.
const REPORT_FACT: &str = "rebuilt";
/// Facts of a rebuild on its way; the finished ledger has none.
const OWN_FACTS: &str = "rebuild.";
/// Keys that are weighed at once: as many HEADs hide a store's latency. Memory: these keys, and a batch.
const KEYS_AT_ONCE: usize = 64;
/// Entries written down together: about a megabyte, and far more than an fsync costs.
const BATCH: usize = 2_000;
/// Keys that needed no writing are written down as done after so many, so that a rebuild that is killed need not step over more.
const PLACE_EVERY: u64 = 50_000;
/// Progress is told each time so many keys were looked at.
const TELL_EVERY: u64 = 2_000;
const FACTS_PAGE: usize = 1_000;
/// The new ledger gives seqs that are higher than any found by so much: the lost one may have given some to writes of which
/// nothing is left.
const SEQ_MARGIN: u64 = 1 << 20;

/// What is asked for.
#[derive(Debug, Clone)]
pub struct RebuildAsk {
    pub settings: EngineSettings,
    /// None: what was shipped cannot be read, every object is asked for.
    pub key: Option<SegmentKey>,
    /// Nothing is written to any store, and nobody is waited for: what is found may change meanwhile.
    pub dry_run: bool,
    /// Names this rebuild, should two run at once.
    pub token: String,
}

/// How far it is, in the ledger that it makes.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct State {
    epoch: Option<Epoch>,
    token: String,
    waited: bool,
    recalled: bool,
    noted: bool,
    ends: BTreeMap<BucketName, (u64, Turn)>,
    done: BTreeSet<BucketName>,
    /// The bucket that is walked, and the last of its keys that is done.
    at: Option<(BucketName, String)>,
    seen: SeenSoFar,
    newest: u64,
    report: RebuildReport,
}

#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
struct SeenSoFar {
    newest: Option<Turn>,
    ours: bool,
    foreign: bool,
}

pub struct Rebuild {
    reach: Arc<Reach>,
    survey: Survey,
    ask: RebuildAsk,
    ledger: Arc<dyn Ledger>,
    clock: Arc<dyn Clock>,
    told: mpsc::Sender<Progress>,
}

impl Rebuild {
    /// `ledger`: empty, or what an earlier attempt left of it.
    pub fn new(
        reach: Arc<Reach>,
        survey: Survey,
        ask: RebuildAsk,
        ledger: Arc<dyn Ledger>,
        clock: Arc<dyn Clock>,
        told: mpsc::Sender<Progress>,
    ) -> Rebuild {
        Rebuild { reach, survey, ask, ledger, clock, told }
    }

    /// # Errors
    /// A store does not answer; another rebuild has begun. Run it again: it goes on.
    pub async fn run(mut self) -> Result<RebuildReport, RebuildError> {
        if let Some(report) = self.finished().await? {
            return Ok(report);
        }
        let mut state = self.begin().await?;
        self.recall(&mut state).await?;
        let natives = self.reach.natives(&self.told_buckets(&state).await?).await?;
        self.note(&natives, &mut state).await?;
        self.recall_probes().await?;
        let started = tokio::time::Instant::now();
        let all = names(&self.reach, &self.ask.settings, &natives, self.told_buckets(&state).await?);
        for name in all {
            if !state.done.contains(&name) {
                self.bucket(&natives, &name, &mut state).await?;
            }
        }
        state.report.keys_ms += started.elapsed().as_millis() as u64;
        self.finish(state).await
    }

    /// What a rebuild of this ledger reported that came to its end. A ledger that was recalled brings the report of the rebuild
    /// that had made the lost one; until this one ends, its state lies beside it.
    async fn finished(&mut self) -> Result<Option<RebuildReport>, RebuildError> {
        if self.ledger.fact(STATE_FACT).await?.is_some() {
            return Ok(None);
        }
        let report = self.ledger.fact(REPORT_FACT).await?;
        let report: Option<RebuildReport> = report.and_then(|text| serde_json::from_str(&text).ok());
        let Some((report, epoch)) = report.and_then(|report| report.epoch.map(|epoch| (report, epoch))) else {
            return Ok(None);
        };
        // What was found then is true as long as no other rebuild has begun: its epoch keeps every gateway from writing.
        self.survey.epoch = epoch;
        let token = self.ledger.fact("epoch.token").await?.unwrap_or_default();
        if !report.dry_run {
            self.reach.is_still_ours(&self.survey, &token, Begun::Yes).await?;
        }
        Ok(Some(report))
    }

    /// The epoch first; then nothing of an old gateway may be on its way any more.
    async fn begin(&mut self) -> Result<State, RebuildError> {
        let kept = self.ledger.fact(STATE_FACT).await?;
        let mut state: State = kept.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
        let goes_on = state.epoch.is_some();
        match state.epoch {
            // Its own epoch is the newest that the survey found.
            Some(epoch) => {
                self.survey.epoch = epoch;
                self.ask.token = state.token.clone();
            }
            None => {
                state.epoch = Some(self.survey.epoch);
                state.token = self.ask.token.clone();
                state.report = RebuildReport {
                    installation: self.survey.installation.clone(),
                    epoch: Some(self.survey.epoch),
                    dry_run: self.ask.dry_run,
                    began: self.clock.now(),
                    ..RebuildReport::default()
                };
                self.keep(&state, vec![]).await?;
            }
        }
        if self.ask.dry_run {
            return Ok(state);
        }
        if goes_on {
            let begun = if state.waited { Begun::Yes } else { Begun::Perhaps };
            self.reach.is_still_ours(&self.survey, &self.ask.token, begun).await?;
        }
        if state.waited {
            return Ok(state);
        }
        self.reach.write_epoch(&self.survey, &self.ask.token, self.clock.now()).await?;
        let wait_ms = if broken(Mutant::RebuildAtOnce) { 0 } else { self.survey.wait_ms };
        wait_out(wait_ms, |waited| {
            self.tell("waiting for calls of an old gateway, seconds", waited / 1000, 0, wait_ms / 1000)
        })
        .await;
        self.reach.is_still_ours(&self.survey, &self.ask.token, Begun::Yes).await?;
        state.waited = true;
        self.keep(&state, vec![]).await?;
        Ok(state)
    }

    fn tell(&self, what: &str, objects: u64, bytes: u64, of_objects: u64) {
        let told = Progress { store: what.to_owned(), objects, bytes, of_objects, of_bytes: 0 };
        // Nobody listening is no reason to stop.
        self.told.try_send(told).ok();
    }

    async fn keep(&self, state: &State, mut batch: Vec<Change>) -> Result<(), RebuildError> {
        let value = serde_json::to_string(state).expect("the state of a rebuild is plain data");
        batch.push(Change::SetFact { name: STATE_FACT.into(), value });
        Ok(self.ledger.commit(batch).await?)
    }

    async fn recall(&self, state: &mut State) -> Result<(), RebuildError> {
        let Some(key) = self.ask.key.as_ref().filter(|_| !state.recalled) else { return Ok(()) };
        self.tell("segments of the lost ledger", 0, 0, 0);
        let started = tokio::time::Instant::now();
        let recalled = recall(&self.reach, &self.survey.installation, key, &*self.ledger).await?;
        state.report.recall_ms = started.elapsed().as_millis() as u64;
        state.report.recall = (recalled.segments + recalled.not_believed > 0).then_some(recalled);
        state.recalled = true;
        self.keep(state, vec![]).await
    }

    fn recalled_epoch(state: &State) -> Epoch {
        state.report.recall.as_ref().and_then(|recall| recall.epoch).unwrap_or(Epoch(0))
    }

    async fn told_buckets(&self, state: &State) -> Result<BTreeSet<BucketName>, RebuildError> {
        let recalled = self.ledger.buckets().await?.into_iter().map(|bucket| bucket.name);
        Ok(recalled.chain(state.ends.keys().cloned()).collect())
    }

    async fn note(&self, natives: &Natives, state: &mut State) -> Result<(), RebuildError> {
        if state.noted {
            return Ok(());
        }
        self.tell("records on the stores", 0, 0, 0);
        let told = self.told_buckets(state).await?;
        let notes = Notes {
            reach: &self.reach,
            ledger: &*self.ledger,
            buckets: names(&self.reach, &self.ask.settings, natives, told).into_iter().collect(),
            recalled: Self::recalled_epoch(state),
            now: self.clock.now(),
        };
        let mut noted = Noted::default();
        state.ends = notes.ends(&mut noted).await?;
        let read = notes.read().await?;
        state.newest = state.newest.max(noted.newest).max(read.newest);
        take_in(noted, &mut state.report);
        take_in(read, &mut state.report);
        state.noted = true;
        self.keep(state, vec![]).await
    }

    /// Which stores give no ETag twice, as the lost ledger had found out.
    async fn recall_probes(&self) -> Result<(), RebuildError> {
        for bucket in self.ledger.buckets().await? {
            for seat in self.reach.seats.values() {
                let native = seat.names.native(&bucket.name);
                if let Some((report, at)) = kept_probe(&*self.ledger, &seat.name, &native).await? {
                    seat.set_probe(&native, report, at);
                }
            }
        }
        Ok(())
    }

    async fn bucket(&self, natives: &Natives, name: &BucketName, state: &mut State) -> Result<(), RebuildError> {
        let recalled = self.ledger.bucket(name).await?;
        let found = Found::of(&self.reach, natives, name, recalled, &state.ends);
        let after = match state.at.take() {
            Some((bucket, after)) if bucket == *name => Key::parse(&after).ok(),
            _ => {
                state.seen = SeenSoFar::default();
                None
            }
        };
        let (scale, walk) = self.prepare(&found, after.clone(), state).await?;
        self.walk(name, &scale, walk, after, state).await?;
        state.seen.ours |= self.has_records(name).await?;
        let seen = Seen { newest: state.seen.newest, ours: state.seen.ours, foreign: state.seen.foreign };
        found.settle(&self.ask.settings, &*self.ledger, seen, &mut state.report, self.clock.now()).await?;
        for seat in &found.on {
            let native = seat.names.native(name);
            // Where uploads cannot be listed, nobody knows of any.
            let open = seat.ask("list uploads", || seat.store.list_uploads(&native)).await.unwrap_or_default();
            state.report.uploads += open.len() as u64;
        }
        state.done.insert(name.clone());
        state.at = None;
        self.keep(state, vec![]).await
    }

    async fn has_records(&self, name: &BucketName) -> Result<bool, RebuildError> {
        let facts = self.ledger.facts(&format!("{}{name}/.outlast/", crate::records::RECORD_FACTS), "", 1).await?;
        Ok(facts.iter().any(|(fact, _)| !fact.contains("/.outlast/bucket/")))
    }

    async fn prepare(&self, found: &Found, after: Option<Key>, state: &State) -> Result<(Scale, Walk), RebuildError> {
        let name = &found.name;
        let (mut versioned, mut listings) = (BTreeSet::new(), Vec::new());
        for seat in &found.on {
            let native = seat.names.native(name);
            let keeps = match seat.ask("ask for versions", || seat.store.keeps_versions(&native)).await {
                Ok(keeps) => keeps,
                Err(error) if may_pass(error.fault) => return Err(error.into()),
                // A store that does not know the question keeps none.
                Err(_) => false,
            };
            if keeps {
                versioned.insert(seat.name.clone());
            }
            listings.push(Listing::new(seat.clone(), native, keeps));
        }
        let is_unique = |seat: &&Arc<crate::seats::Seat>| {
            seat.limits().kind == "disk" || seat.grades(&seat.names.native(name)).put.unique
        };
        let undelete = self.ask.settings.undelete.get(name).copied().unwrap_or(self.ask.settings.undelete_default);
        let scale = Scale {
            ledger: self.ledger.clone(),
            bucket: name.clone(),
            placement: self.ask.settings.placement(name).clone(),
            undelete_ms: undelete.window_ms,
            versioned,
            unique: found.on.iter().filter(is_unique).map(|seat| seat.name.clone()).collect(),
            told: state.report.recall.as_ref().and_then(|recall| recall.snapshot),
            recalled: Self::recalled_epoch(state),
            ended: found.former(),
            now: self.clock.now(),
        };
        Ok((scale, Walk::new(self.ledger.clone(), name.clone(), listings, after)))
    }

    /// Keys in order, many at once; what they came to is written down in order.
    async fn walk(
        &self,
        name: &BucketName,
        scale: &Scale,
        walk: Walk,
        after: Option<Key>,
        state: &mut State,
    ) -> Result<(), RebuildError> {
        let groups = stream::try_unfold(walk, |mut walk| async move {
            let next = walk.next().await?;
            Ok::<_, RebuildError>(next.map(|group| (group, walk)))
        });
        let is_done = |key: &str| after.as_ref().is_some_and(|after| key <= after.as_str());
        let weighed = groups.map(|group| {
            let group = group.map(|group| (!is_done(&group.key)).then_some(group));
            async move {
                match group? {
                    Some(group) => scale.weigh(group).await.map(Some),
                    None => Ok(None),
                }
            }
        });
        let mut weighed = std::pin::pin!(weighed.buffered(KEYS_AT_ONCE));
        let (mut batch, mut since, mut told) = (Vec::new(), 0u64, 0u64);
        // What the lost ledger knew of it, for the time that is left.
        let of_objects = self.ledger.bucket_totals(name).await?.0;
        while let Some(one) = weighed.next().await {
            let Some(one) = one? else { continue };
            since += 1;
            told += 1;
            batch.extend(self.take(name, one, state));
            if batch.len() >= BATCH || since >= PLACE_EVERY {
                self.keep(state, std::mem::take(&mut batch)).await?;
                since = 0;
            }
            if told % TELL_EVERY == 0 {
                self.tell(name.as_str(), told, state.report.bytes, of_objects);
            }
        }
        self.keep(state, batch).await
    }

    fn take(&self, name: &BucketName, one: Weighed, state: &mut State) -> Vec<Change> {
        state.report.take_in(one.report);
        state.seen.newest = state.seen.newest.max(one.newest);
        state.seen.ours |= one.ours;
        state.seen.foreign |= one.foreign;
        state.newest = state.newest.max(one.seq);
        state.at = Some((name.clone(), one.key));
        one.changes
    }

    /// The last step makes it a ledger: before, no gateway would take it for one.
    async fn finish(&self, mut state: State) -> Result<RebuildReport, RebuildError> {
        if !self.ask.dry_run {
            self.reach.is_still_ours(&self.survey, &self.ask.token, Begun::Yes).await?;
        }
        let now = self.clock.now();
        state.report.took_ms = now.since_ms(state.report.began);
        loop {
            let page = self.ledger.facts(OWN_FACTS, "", FACTS_PAGE).await?;
            let passing: Vec<Change> = page
                .into_iter()
                .filter(|(name, _)| name != STATE_FACT)
                .map(|(name, _)| Change::DropFact { name })
                .collect();
            if passing.is_empty() {
                break;
            }
            self.ledger.commit(passing).await?;
        }
        let mut batch = vec![
            set("installation", self.survey.installation.clone()),
            set("epoch", self.survey.epoch.0.to_string()),
            set("epoch.token", self.ask.token.clone()),
            set(REPORT_FACT, serde_json::to_string(&state.report).expect("a report is plain data")),
            Change::RaiseSeq { to: Seq(state.newest + SEQ_MARGIN) },
            Change::DropFact { name: STATE_FACT.into() },
        ];
        for store in self.survey.stores.iter().filter(|store| !store.empty) {
            let home = serde_json::to_string(&store.home).expect("a name is plain data");
            batch.push(set(&store_fact(&store.name, "home"), home));
            batch.push(set(&store_fact(&store.name, "marker"), marker_of(&self.survey.installation, &store.name, now)));
        }
        batch.push(note(&state.report, now));
        // The new life tells the stores everything anew, beginning with a snapshot.
        batch.push(Change::Shipped { through: i64::MAX as u64 });
        self.ledger.commit(batch).await?;
        Ok(state.report)
    }
}

fn set(name: &str, value: String) -> Change {
    Change::SetFact { name: name.to_owned(), value }
}

fn note(report: &RebuildReport, at: Moment) -> Change {
    let text = format!(
        "made anew from the stores: {} objects, {} tombstones in {} buckets; {} keys by listings, {} asked for",
        report.objects, report.tombstones, report.buckets, report.from_listings, report.asked
    );
    Change::Note { at, kind: "rebuild".to_owned(), text }
}
