//! The commit phase of a write: lane, intent with marks, calls to all stores at once, the decision (protocol.md 2.2 to 2.5).

mod decide;
mod draft;
mod gather;

pub(crate) use draft::{Draft, Loads};

use crate::asks::{WriteError, Written};
use crate::call::{Call, Report, foretold, leaves};
use crate::counters::count;
use crate::engine::Engine;
use crate::lanes::LaneGuard;
use crate::seats::Operation;
use outlast_ledger::{Change, LedgerError};
use outlast_rules::{
    CallId, Entry, EntryKind, Intent, Key, KeyState, Mark, Mutant, OpClass, Placement, Skip, Step, StoreName, StoreNow,
    Trashed, Verdict, WriteTally, broken, judge_write, plan_write,
};
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::mpsc;

/// Why an overwrite is refused while removal is frozen.
const FROZEN_BYTES: &str =
    "removal is frozen (outlast thaw), and the bytes that this write replaces could not be put aside on any store";

/// One write in its commit phase.
struct Phase {
    engine: Arc<Engine>,
    placement: Placement,
    before: Arc<KeyState>,
    entry: Arc<Entry>,
    draft: Draft,
    tally: WriteTally,
    reports: BTreeMap<StoreName, Report>,
    called: Vec<StoreName>,
    /// Why the spool stands in for no store.
    no_spool: Option<String>,
    /// What this write displaces, put aside.
    trashed: Option<Trashed>,
}

impl Engine {
    /// Commits a write. Runs to its end even when the client goes away.
    pub(crate) async fn commit_write(self: &Arc<Self>, draft: Draft) -> Result<Written, WriteError> {
        if self.stopping.is_cancelled() {
            return Err(WriteError::Stopping);
        }
        let engine = self.clone();
        let phase = self.tasks.spawn(async move { engine.commit_in_lane(draft).await });
        phase.await.unwrap_or_else(|join| Err(WriteError::NoQuorum(format!("the write broke off: {join}"))))
    }

    pub(crate) async fn commit_in_lane(self: Arc<Self>, draft: Draft) -> Result<Written, WriteError> {
        let _gate = if broken(Mutant::GateSkipped) { None } else { Some(self.gates.read(&draft.bucket).await) };
        let own = || Key::parse(&format!("{:x}", self.random())).expect("a number is a key");
        let lane_name = if broken(Mutant::LaneSkipped) { own() } else { draft.key.clone() };
        let lane = self.lanes.lock(&draft.bucket, &lane_name).await;
        self.writable_in(&draft.bucket, draft.life)?;
        let (before, flights) = self.settled_in_hand(&draft).await?;
        judge_write(&draft.conditions, before.object()).map_err(|refusal| match refusal {
            outlast_rules::Refusal::NoSuchKey => WriteError::NoKey,
            refusal => WriteError::Refused(refusal),
        })?;
        let entry = Arc::new(Entry {
            write: match &draft.loads {
                Loads::Body { .. } => self.new_write(),
                Loads::Complete { write, .. } => *write,
            },
            seq: self.ledger.take_seq().await?,
            kind: EntryKind::Object,
            size: draft.size,
            etag: draft.etag.clone(),
            modified: self.now(),
            head: draft.head.clone(),
            layout: draft.layout.clone(),
            checksums: draft.checksums.clone(),
            holders: BTreeMap::new(),
            adopted_from: None,
            predecessors: vec![],
            record: None,
        });
        let placement = self.placement(&draft.bucket);
        let plan = self.plan(&placement, &before, &entry, &draft, &flights);
        let no_spool = self.no_spool(&placement, &draft);
        let tally = WriteTally::new(&placement, &plan, no_spool.is_none());
        let phase = Phase {
            engine: self.clone(),
            placement,
            before: Arc::new(before),
            entry,
            draft,
            tally,
            reports: BTreeMap::new(),
            called: vec![],
            no_spool,
            trashed: None,
        };
        phase.run(plan, flights, lane).await
    }

    /// Why the spool cannot stand in for a store, if so.
    fn no_spool(&self, placement: &Placement, draft: &Draft) -> Option<String> {
        if !placement.spool_counts {
            return Some("the spool is off for this bucket, spool_counts = false".to_owned());
        }
        if draft.loads.held().is_none() {
            return Some("the spool does not hold every part of this upload".to_owned());
        }
        self.spool.trouble(draft.size)
    }

    /// The key's state, read with the flights in hand: catch-up, which holds no lane while bytes flow, may just have left a mark.
    async fn settled_in_hand(
        self: &Arc<Self>,
        draft: &Draft,
    ) -> Result<(KeyState, BTreeMap<StoreName, LaneGuard>), LedgerError> {
        let flights = self.flights(draft);
        let before = self.ledger.key_state(&draft.bucket, &draft.key).await?;
        if before.intents.is_empty() {
            return Ok((before, flights));
        }
        // Resolving what is undecided needs them.
        drop(flights);
        let settled = self.settled_state(&draft.bucket, &draft.key).await?;
        let flights = self.flights(draft);
        let again = self.ledger.key_state(&draft.bucket, &draft.key).await?;
        Ok((KeyState { intents: settled.intents, ..again }, flights))
    }

    /// Stores on which no earlier call of ours for this key is out.
    fn flights(&self, draft: &Draft) -> BTreeMap<StoreName, LaneGuard> {
        let seats = self.seats_taking(&draft.bucket).into_iter();
        seats.filter_map(|seat| Some((seat.name.clone(), seat.flights.try_lock(&draft.bucket, &draft.key)?))).collect()
    }

    fn plan(
        &self,
        placement: &Placement,
        before: &KeyState,
        entry: &Entry,
        draft: &Draft,
        flights: &BTreeMap<StoreName, LaneGuard>,
    ) -> Vec<(StoreName, Step)> {
        let mut plan = Vec::new();
        let now: Vec<StoreNow> = self
            .seats_taking(&draft.bucket)
            .into_iter()
            .map(|seat| StoreNow {
                name: seat.name.clone(),
                powers: seat.powers(&draft.bucket, draft.loads.operation()),
                standing: seat.standing(OpClass::Write),
                busy: !flights.contains_key(&seat.name),
                fit: seat.is_fit(&draft.bucket),
            })
            .collect();
        // What a copy leaves differs by store, so each store is planned with its own foretold ETag.
        // One that cannot take it at all is no reason not to wait for one that is busy.
        let able: Vec<StoreNow> = now.iter().filter(|store| draft.loads.of(&store.name).is_some()).cloned().collect();
        let mut busy_aside: BTreeMap<StoreName, Step> =
            plan_write(placement, before, entry.write, outlast_rules::Leaves::Unforetold, &able).into_iter().collect();
        for store in &now {
            let name = store.name.clone();
            let general = busy_aside.remove(&name).unwrap_or(Step::Skip(Skip::CannotTake));
            let seat = self.seat(&name).expect("planned stores have seats");
            let Some(load) = draft.loads.of(&name) else {
                plan.push((name, Step::Skip(Skip::CannotTake)));
                continue;
            };
            let etag = foretold(seat, &draft.bucket, &load);
            let own = plan_write(placement, before, entry.write, leaves(&etag), std::slice::from_ref(store));
            let step = match (&general, own.into_iter().next()) {
                (Step::Wait | Step::Skip(Skip::Busy), _) => general,
                (_, Some((_, step))) => step,
                (_, None) => general,
            };
            plan.push((name, step));
        }
        plan
    }
}

impl Phase {
    async fn run(
        mut self,
        plan: Vec<(StoreName, Step)>,
        flights: BTreeMap<StoreName, LaneGuard>,
        lane: LaneGuard,
    ) -> Result<Written, WriteError> {
        if let Verdict::NoQuorum = self.tally.verdict() {
            count(&self.engine.counters.writes_without_quorum);
            return Err(WriteError::NoQuorum(self.reason(&plan)));
        }
        if let Some(old) = self.before.object() {
            let (bucket, key) = (&self.draft.bucket, &self.draft.key);
            self.trashed = self.engine.keep_overwritten(bucket, key, old, self.entry.write).await;
            // A store that is away keeps its old copy until it is put aside there; nothing of the others may be all that was.
            if self.engine.is_frozen() && !self.trashed.as_ref().is_some_and(|kept| kept.is_kept(1)) {
                return Err(WriteError::NoQuorum(FROZEN_BYTES.to_owned()));
            }
        }
        let marks = self.begin(&plan).await?;
        let mut reports = self.send(plan, flights, marks);
        let verdict = self.gather(&mut reports).await;
        let result = match verdict {
            Verdict::Durable => match self.order_record().await {
                Ok(()) => self.decide().await,
                Err(error) => Err(error),
            },
            _ => {
                count(&self.engine.counters.writes_without_quorum);
                Err(WriteError::NoQuorum(self.reason(&[])))
            }
        };
        if result.is_err() {
            self.leave_undecided().await;
        }
        drop(lane);
        let engine = self.engine.clone();
        engine.tasks.spawn(self.see_off(reports, result.is_ok()));
        result
    }

    /// The intent with the marks of every store that is called at once: durable before the first call.
    async fn begin(&mut self, plan: &[(StoreName, Step)]) -> Result<BTreeMap<StoreName, CallId>, WriteError> {
        let mut marks = BTreeMap::new();
        let intent = Intent {
            bucket: self.draft.bucket.clone(),
            key: self.draft.key.clone(),
            began: self.engine.now(),
            entry: (*self.entry).clone(),
            spooled: false,
            upload: match &self.draft.loads {
                Loads::Body { .. } => None,
                Loads::Complete { upload, .. } => Some(upload.clone()),
            },
        };
        let mut batch = vec![Change::BeginWrite(Box::new(intent))];
        if broken(Mutant::IntentNotWritten) {
            batch.clear();
        }
        if broken(Mutant::VisibleAtIntent) {
            let (bucket, key, entry) = (self.draft.bucket.clone(), self.draft.key.clone(), (*self.entry).clone());
            batch.push(Change::SetEntry { bucket, key, entry: Box::new(entry), digests: None });
        }
        batch.extend(self.trashed.take().map(|trashed| Change::PutTrash(Box::new(trashed))));
        if self.draft.loads.operation() == Operation::Complete {
            batch.push(self.engine.order_kept(&self.draft.bucket, &self.draft.key, &self.entry));
        }
        if let Some(digests) = self.draft.digests.take() {
            let (bucket, key) = (self.draft.bucket.clone(), self.draft.key.clone());
            batch.push(Change::SetDigests { bucket, key, write: self.entry.write, digests });
        }
        for (store, step) in plan {
            if let Step::Call { fence } = step {
                let call = self.engine.new_call();
                marks.insert(store.clone(), call);
                if broken(Mutant::MarksNotWritten) {
                    continue;
                }
                batch.push(Change::AddMark(Mark {
                    call,
                    store: store.clone(),
                    bucket: self.draft.bucket.clone(),
                    key: self.draft.key.clone(),
                    write: self.entry.write,
                    fence: fence.clone(),
                    since: self.engine.now(),
                }));
            }
        }
        self.engine.commit_heard(batch).await?;
        Ok(marks)
    }

    fn send(
        &mut self,
        plan: Vec<(StoreName, Step)>,
        mut flights: BTreeMap<StoreName, LaneGuard>,
        marks: BTreeMap<StoreName, CallId>,
    ) -> mpsc::Receiver<Report> {
        let (sender, receiver) = mpsc::channel(plan.len().max(1));
        for (store, step) in plan {
            if matches!(step, Step::Skip(_)) {
                continue;
            }
            let seat = self.engine.seat(&store).expect("planned stores have seats").clone();
            let load = self.draft.loads.of(&store).expect("only stores that can take the write are called");
            self.called.push(store.clone());
            let call = Call {
                seat,
                bucket: self.draft.bucket.clone(),
                key: self.draft.key.clone(),
                entry: self.entry.clone(),
                epoch: self.engine.epoch,
                before: self.before.clone(),
                load,
                step,
                marked: marks.get(&store).copied(),
                anew: false,
                flight: flights.remove(&store),
                found: None,
            };
            let (engine, sender) = (self.engine.clone(), sender.clone());
            self.engine.tasks.spawn(async move {
                // The receiver outlives the phase: `see_off` reads on until every call has reported.
                sender.send(call.run(engine).await).await.ok();
            });
        }
        receiver
    }
}
