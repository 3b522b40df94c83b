//! The ledger's changes on their way to the stores, so that it can be made again when its disk is gone (protocol.md 7). One
//! worker in the background: no request ever waits for it, and a store that is down costs only lag.

use crate::aside::aside;
use crate::engine::Engine;
use crate::seats::Seat;
use crate::shipping::{ShipSettings, ShipState, Snapshot};
use bytes::Bytes;
use futures_util::future::join_all;
use futures_util::stream::{FuturesUnordered, StreamExt};
use outlast_ledger::{
    Change, LedgerError, RowLines, RowPlace, SEGMENT_FOLDER, SEGMENT_ROW_BYTES, SegmentHead, SegmentKind, SegmentName,
    seal_segment,
};
use outlast_rules::{Moment, OpClass, RESERVED_PREFIX, Standing};
use outlast_store::{Answer, At, Body, Fault, PutSpec};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

const STATE_FACT: &str = "ship.state";
/// A few megabytes on a slow line.
const PUT_DEADLINE: Duration = Duration::from_secs(30);
/// With enough stores, the others are waited for so long: a segment that all have survives more.
const OTHERS_WAIT: Duration = Duration::from_secs(2);
/// After attempts that failed: twice as long each time, up to this.
const RETRY_MAX: Duration = Duration::from_secs(60);
/// A gateway that stops ships what it still has, if that does not keep it.
const LAST_WORDS: Duration = Duration::from_secs(5);
/// Snapshots whose segments, and all since, are kept: should the newer one be damaged on a store, there is one more.
const SNAPSHOTS_KEPT: usize = 2;
/// Old segments removed at once from one store.
const REMOVALS_AT_ONCE: usize = 8;

/// Why a round ended early.
#[derive(Debug, thiserror::Error)]
enum ShipError {
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    #[error("{0}")]
    NoQuorum(String),
}

/// A snapshot on its way, part by part. A process that starts anew begins anew.
struct Walk {
    after: Option<RowPlace>,
    first: u64,
    began: Moment,
}

struct Ship {
    engine: Arc<Engine>,
    settings: ShipSettings,
    state: ShipState,
    walk: Option<Walk>,
}

impl Engine {
    /// From here on the stores are told. Call it once.
    pub fn start_shipping(self: &Arc<Self>, settings: ShipSettings) {
        let engine = self.clone();
        self.tasks.spawn(async move {
            let state = match engine.ledger.fact(STATE_FACT).await {
                Ok(text) => text.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default(),
                Err(error) => {
                    tracing::error!("the ledger is not shipped: {error}");
                    return;
                }
            };
            engine.shipping.begin(&state, engine.now());
            Ship { engine, settings, state, walk: None }.run().await;
        });
    }
}

impl Ship {
    async fn run(mut self) {
        let every = Duration::from_millis(self.settings.every_ms);
        let mut wait = every;
        let stopping = self.engine.stopping.clone();
        while !stopping.is_cancelled() {
            wait = match self.round().await {
                Ok(()) => every,
                Err(error) => {
                    self.engine.shipping.failed(&error.to_string());
                    tracing::warn!("the ledger's changes wait to be shipped: {error}");
                    (wait * 2).min(RETRY_MAX).max(every)
                }
            };
            tokio::select! {
                biased;
                () = stopping.cancelled() => {}
                () = tokio::time::sleep(wait) => {}
            }
        }
        // Nobody waits for what does not go through now: the next process ships it.
        if let Ok(Err(error)) = tokio::time::timeout(LAST_WORDS, self.ship_changes()).await {
            tracing::info!("the last changes of the ledger were not shipped: {error}");
        }
    }

    /// What has changed; then, when it is time, a snapshot, with what changes meanwhile between its parts.
    async fn round(&mut self) -> Result<(), ShipError> {
        self.ship_changes().await?;
        while !self.engine.stopping.is_cancelled() && (self.walk.is_some() || self.is_snapshot_due()) {
            self.ship_part().await?;
            self.ship_changes().await?;
        }
        Ok(())
    }

    fn is_snapshot_due(&self) -> bool {
        let last = self.state.snapshots.last();
        last.is_none_or(|last| self.engine.now().since_ms(last.began) >= self.settings.snapshot_every_ms)
    }

    async fn ship_changes(&mut self) -> Result<(), ShipError> {
        loop {
            let now = self.engine.now();
            let page = self.engine.ledger.unshipped(SEGMENT_ROW_BYTES).await?;
            let told = Change::Shipped { through: page.through };
            if page.rows.rows > 0 {
                let number = self.take_number().await?;
                self.stand(number, SegmentKind::Changes, now, None, page.rows, vec![told]).await?;
            } else if page.through > 0 {
                self.engine.ledger.commit(vec![told]).await?;
            }
            if !page.more {
                self.engine.shipping.is_clean(now);
                return Ok(());
            }
        }
    }

    async fn ship_part(&mut self) -> Result<(), ShipError> {
        let now = self.engine.now();
        let number = self.take_number().await?;
        let walk = self.walk.take().unwrap_or(Walk { after: None, first: number, began: now });
        let (rows, next) = self.engine.ledger.rows_after(walk.after.as_ref(), SEGMENT_ROW_BYTES).await?;
        let (first, began) = (walk.first, walk.began);
        let kind = if next.is_some() { SegmentKind::Snapshot } else { SegmentKind::SnapshotEnd { first } };
        let before = self.state.snapshots.clone();
        if next.is_none() {
            self.state.snapshots.push(Snapshot { first, last: number, began });
            let surplus = self.state.snapshots.len().saturating_sub(SNAPSHOTS_KEPT);
            self.state.snapshots.drain(..surplus);
        }
        match (self.stand(number, kind, now, Some(began), rows, vec![]).await, next) {
            (Err(error), _) => {
                self.state.snapshots = before;
                self.walk = Some(walk);
                Err(error)
            }
            (Ok(()), Some(next)) => {
                self.walk = Some(Walk { after: Some(next), first, began });
                Ok(())
            }
            (Ok(()), None) => {
                self.forget_old().await;
                Ok(())
            }
        }
    }

    /// Durable before it is used: what two lives of this process ship never has one name.
    async fn take_number(&mut self) -> Result<u64, ShipError> {
        self.state.number += 1;
        self.engine.ledger.commit(vec![self.remembered()]).await?;
        Ok(self.state.number)
    }

    fn remembered(&self) -> Change {
        let value = serde_json::to_string(&self.state).expect("the state of shipping is plain data");
        Change::SetFact { name: STATE_FACT.into(), value }
    }

    /// Seals the rows and puts them on the stores; `then` is committed when enough have them.
    async fn stand(
        &mut self,
        number: u64,
        kind: SegmentKind,
        at: Moment,
        began: Option<Moment>,
        rows: RowLines,
        mut then: Vec<Change>,
    ) -> Result<(), ShipError> {
        let head = SegmentHead {
            installation: self.engine.installation.clone(),
            epoch: self.engine.epoch,
            number,
            kind,
            after: self.state.stood,
            at,
            rows: rows.rows,
            began,
        };
        let name = head.name();
        let key = self.settings.key.clone();
        let mut salt = [0; 32];
        salt[..16].copy_from_slice(&self.engine.random().to_le_bytes());
        salt[16..].copy_from_slice(&self.engine.random().to_le_bytes());
        let sealed = aside(move || seal_segment(&key, &head, &rows.lines, salt)).await;
        let sealed = sealed.map_err(|join| ShipError::NoQuorum(format!("sealing {name} broke off: {join}")))?;
        self.put_everywhere(name, sealed.into()).await?;
        self.state.stood = number;
        self.state.at = Some(at);
        then.push(self.remembered());
        self.engine.ledger.commit(then).await?;
        self.engine.shipping.went_well(&self.state);
        Ok(())
    }

    /// On every store that takes writes; enough when `min_copies` have it.
    async fn put_everywhere(&self, name: SegmentName, bytes: Bytes) -> Result<(), ShipError> {
        let seats: Vec<Arc<Seat>> = self.engine.seats.values().cloned().collect();
        let needed = self.engine.settings.defaults.min_copies.min(seats.len()).max(1);
        let mut why = Vec::new();
        let mut calls = FuturesUnordered::new();
        for seat in seats {
            if seat.standing(OpClass::Write) == Standing::Down {
                why.push(format!("{} is down", seat.name));
                continue;
            }
            let (engine, bytes) = (self.engine.clone(), bytes.clone());
            calls.push(self.engine.tasks.spawn(async move { engine.put_segment(&seat, name, bytes).await }));
        }
        let mut stand = 0;
        let mut patience = Instant::now() + PUT_DEADLINE;
        while !calls.is_empty() {
            tokio::select! {
                biased;
                Some(call) = calls.next() => match call {
                    Ok(Ok(())) => {
                        stand += 1;
                        if stand == needed {
                            patience = patience.min(Instant::now() + OTHERS_WAIT);
                        }
                    }
                    Ok(Err(error)) => why.push(error.to_string()),
                    Err(join) => why.push(format!("a call broke off: {join}")),
                },
                () = tokio::time::sleep_until(patience) => break,
            }
        }
        if stand >= needed {
            return Ok(());
        }
        Err(ShipError::NoQuorum(format!("{name} stands on {stand} of {needed} stores: {}", why.join("; "))))
    }

    /// What lies before the older of the two newest snapshots has nothing to say any more. What can't be removed now is
    /// removed after the next one.
    async fn forget_old(&self) {
        let Some(oldest) = self.state.snapshots.first().filter(|_| self.state.snapshots.len() == SNAPSHOTS_KEPT) else {
            return;
        };
        if self.engine.is_frozen() {
            return;
        }
        for seat in self.engine.seats.values() {
            if let Err(error) = self.engine.remove_segments(seat, oldest.first).await {
                tracing::info!("{error}: old segments of the ledger stay for now");
            }
        }
    }
}

impl Engine {
    /// Its name is unique, so it needs no condition: whoever writes it twice writes the same.
    async fn put_segment(&self, seat: &Arc<Seat>, name: SegmentName, bytes: Bytes) -> Answer<()> {
        self.make_home(seat).await?;
        let at = At::new(seat.home(), name.to_string());
        let spec = PutSpec::default();
        let put = seat.store.put(&at, &spec, Body::Whole(bytes));
        seat.within(OpClass::Write, PUT_DEADLINE, &format!("put {}/{}", at.bucket, at.key), put).await.map(|_| ())
    }

    /// Removes this epoch's segments below `first`, and all of earlier epochs. By version id where the store keeps versions:
    /// nothing of ours stays behind.
    async fn remove_segments(&self, seat: &Arc<Seat>, first: u64) -> Answer<()> {
        let home = seat.home();
        let folder = format!("{RESERVED_PREFIX}{SEGMENT_FOLDER}");
        let mut after = None;
        loop {
            let page = seat.watched(OpClass::List, seat.store.list(&home, &folder, after.as_deref())).await?;
            let is_old = |name: SegmentName| (name.epoch, name.number) < (self.epoch, first);
            let mut old = Vec::new();
            for copy in page.copies {
                if SegmentName::parse(&copy.key).is_some_and(is_old) {
                    old.push(At::new(&home, copy.key));
                }
            }
            for some in old.chunks(REMOVALS_AT_ONCE) {
                for removed in join_all(some.iter().map(|at| remove_segment(seat, at))).await {
                    removed?;
                }
            }
            match page.next {
                Some(next) => after = Some(next),
                None => return Ok(()),
            }
        }
    }
}

async fn remove_segment(seat: &Seat, at: &At) -> Answer<()> {
    let found = match seat.watched(OpClass::Read, seat.store.head(at, None)).await {
        Err(error) if error.fault == Fault::NoKey => return Ok(()),
        found => found?,
    };
    let version = found.pin.version.as_deref();
    seat.watched(OpClass::Delete, seat.store.delete(at, version, None)).await
}
