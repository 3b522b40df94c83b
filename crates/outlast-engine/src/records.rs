//! Our small records on the stores: unique names, never overwritten, durable on `min_copies` stores before anybody hears 200.

use crate::asks::WriteError;
use crate::asserted;
use crate::counters::count;
use crate::engine::Engine;
use crate::seats::Seat;
use bytes::Bytes;
use futures_util::stream::{FuturesUnordered, StreamExt};
use outlast_ledger::{BucketState, Change, LedgerError};
use outlast_rules::{
    BucketName, Entry, Fence, Key, Moment, Mutant, OpClass, Seq, Standing, StoreName, WriteId, broken, is_record_over,
};
use outlast_store::{Answer, At, Body, Dress, Fault, PutSpec};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// Facts of the ledger that begin so tell of records that stand on stores, or may.
pub(crate) const RECORD_FACTS: &str = "record/";
/// Records that are removed at once: enough to hide a store's latency, few enough to leave clients theirs.
const REMOVALS_AT_ONCE: usize = 16;

/// What the ledger remembers of a record, from before its first call until it is gone from every store.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Kept {
    pub bucket: BucketName,
    /// `.outlast/...`, as on the stores.
    pub name: String,
    /// When its calls were last sent.
    pub since: Moment,
    /// What it says; it goes when all of this is said by something else.
    pub writes: Vec<KeptWrite>,
    /// A bucket tombstone's: it lies in the homes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub life: Option<Life>,
}

/// Which life of a bucket ended, and when among all writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Life {
    pub incarnation: u64,
    pub seq: Seq,
}

/// Where a record lies on each store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Folder {
    /// With the bucket that it is about (or in the `system_bucket`).
    Bucket,
    /// What it is about goes with its native bucket.
    Home,
}

impl Folder {
    fn at(self, seat: &Seat, bucket: &BucketName, name: &str) -> At {
        match self {
            Folder::Bucket => seat.record_at(bucket, name),
            Folder::Home => At::new(seat.home(), name),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct KeptWrite {
    pub key: Key,
    pub write: WriteId,
    pub seq: Seq,
}

/// One line of a tombstone record, as it lies on the stores (docs/formats/records.md).
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub(crate) struct Deleted {
    pub bucket: BucketName,
    pub key: Key,
    pub write: WriteId,
    pub seq: Seq,
}

#[derive(Debug, serde::Serialize, serde::Deserialize)]
pub(crate) struct TombRecord {
    pub format: u32,
    pub epoch: u64,
    pub deletes: Vec<Deleted>,
}

impl Kept {
    pub(crate) fn fact_name(bucket: &BucketName, name: &str) -> String {
        format!("{RECORD_FACTS}{bucket}/{name}")
    }

    /// Durable before the first call that writes the record.
    pub(crate) fn change(&self) -> Change {
        let value = serde_json::to_string(self).expect("strings and numbers are always JSON");
        Change::SetFact { name: Kept::fact_name(&self.bucket, &self.name), value }
    }
}

/// Why a store that took a record is no place for it.
const COUNTS_NOT: &str = "it took the record, but what lies there counts for nothing";

impl Engine {
    /// The record on `min_copies` stores, one fewer when the ledger must stand in. Its name is unique and never overwritten.
    pub(crate) async fn write_record(
        self: &Arc<Self>,
        bucket: &BucketName,
        name: &str,
        body: Bytes,
    ) -> Result<(), WriteError> {
        self.write_record_in(Folder::Bucket, bucket, name, body).await
    }

    /// In the homes nothing stands in: a bucket's deletion can wait.
    pub(crate) async fn write_record_in(
        self: &Arc<Self>,
        folder: Folder,
        bucket: &BucketName,
        name: &str,
        body: Bytes,
    ) -> Result<(), WriteError> {
        let placement = self.placement(bucket);
        let deadline = Duration::from_millis(self.settings.commit_deadline_ms);
        let mut calls = FuturesUnordered::new();
        for seat in self.seats_taking(bucket) {
            let at = folder.at(&seat, bucket, name);
            let (engine, body) = (self.clone(), body.clone());
            // Where copies count for nothing, a record is one more chance to be found again, and no place either.
            let counts = seat.is_fit(bucket) && seat.health(|health| health.condemned()).is_none();
            let call = self.tasks.spawn(async move {
                if folder == Folder::Home
                    && let Err(error) = engine.make_home(&seat).await
                {
                    return (seat.name.clone(), Err(error.message));
                }
                // A store that refuses conditions takes it without: the name is unique, so nothing can be overwritten.
                let fence = seat.grades(&at.bucket).put.fenced.then_some(Fence::Absent);
                let spec = PutSpec { dress: Dress::default(), fence, md5: None };
                let answer = seat.watched(OpClass::Write, seat.store.put(&at, &spec, Body::Whole(body))).await;
                let counts = stands(answer).and_then(|()| if counts { Ok(()) } else { Err(COUNTS_NOT.to_owned()) });
                (seat.name.clone(), counts)
            });
            calls.push(call);
        }
        let mut why: BTreeMap<StoreName, String> = BTreeMap::new();
        let mut stand = 0;
        let stands_in = placement.spool_counts && folder == Folder::Bucket;
        let enough_late = placement.min_copies.saturating_sub(usize::from(stands_in)).max(1);
        let learnt = tokio::time::sleep(self.learnt_deadline(bucket));
        tokio::pin!(learnt);
        let mut is_late = false;
        let give_up = tokio::time::sleep(deadline);
        tokio::pin!(give_up);
        loop {
            if stand >= placement.min_copies || (stand >= enough_late && (is_late || calls.is_empty())) {
                asserted::record(stand, stands_in, placement.min_copies);
                return Ok(());
            }
            if calls.is_empty() {
                break;
            }
            tokio::select! {
                biased;
                Some(call) = calls.next() => match call {
                    Ok((_, Ok(()))) => stand += 1,
                    Ok((store, Err(error))) => drop(why.insert(store, error)),
                    Err(join) => tracing::error!("a record broke off: {join}"),
                },
                () = &mut learnt, if !is_late => is_late = true,
                () = &mut give_up => break,
            }
        }
        count(&self.counters.writes_without_quorum);
        let words: Vec<String> = why.into_iter().map(|(store, why)| format!("{store}: {why}")).collect();
        Err(WriteError::NoQuorum(format!(
            "fewer than {} stores took the record {name}: {}",
            placement.min_copies,
            words.join("; ")
        )))
    }

    /// A native upload made before the lane has a stamp without seq: its order must stand on the stores (counter-example 10).
    pub(crate) async fn write_order(
        self: &Arc<Self>,
        bucket: &BucketName,
        key: &Key,
        write: WriteId,
        seq: Seq,
    ) -> Result<(), WriteError> {
        if broken(Mutant::OrderRecordLeftOut) {
            return Ok(());
        }
        let body = order_body(self.epoch.0, bucket, &KeptWrite { key: key.clone(), write, seq });
        self.write_record(bucket, &order_name(write, seq), body).await
    }

    /// Written again, for stores that lack it: a record's name is unique, and what it says never changes. `writes` says it all
    /// but for a bucket's tombstone, whose deletion goes on by itself while it has none on enough homes.
    pub(crate) async fn restate(self: &Arc<Self>, kept: Kept) -> Result<(), WriteError> {
        // What says nothing by itself any more goes soon.
        let Some(line) = kept.writes.first() else { return Ok(()) };
        let kept = &Kept { since: self.now(), ..kept.clone() };
        self.ledger.commit(vec![kept.change()]).await?;
        let body = if kept.name == order_name(line.write, line.seq) {
            order_body(self.epoch.0, &kept.bucket, line)
        } else {
            tomb_body(self.epoch.0, &kept.bucket, &kept.writes)
        };
        self.write_record(&kept.bucket, &kept.name, body).await
    }

    pub(crate) fn order_kept(&self, bucket: &BucketName, key: &Key, entry: &Entry) -> Change {
        let writes = vec![KeptWrite { key: key.clone(), write: entry.write, seq: entry.seq }];
        Kept { bucket: bucket.clone(), name: order_name(entry.write, entry.seq), since: self.now(), writes, life: None }
            .change()
    }

    /// Removes the records of one page of facts that have nothing to say any more.
    pub(crate) async fn tidy_records(self: &Arc<Self>, facts: Vec<(String, String)>) -> Result<(), LedgerError> {
        let removals = futures_util::stream::iter(facts.into_iter().map(|(fact, value)| {
            let engine = self.clone();
            async move {
                let kept: Kept = match serde_json::from_str(&value) {
                    Ok(kept) => kept,
                    Err(error) => {
                        tracing::error!("the fact {fact} does not read as a record: {error}");
                        return Ok(());
                    }
                };
                if !engine.is_over(&kept).await? || !engine.remove_record(&kept).await {
                    return Ok(());
                }
                engine.ledger.commit(vec![Change::DropFact { name: fact }]).await
            }
        }));
        let mut removals = removals.buffer_unordered(REMOVALS_AT_ONCE);
        while let Some(removed) = removals.next().await {
            removed?;
        }
        Ok(())
    }

    /// Not before every call that wrote it must have ended: one that lands later would leave a record that nobody knows of.
    async fn is_over(&self, kept: &Kept) -> Result<bool, LedgerError> {
        if broken(Mutant::RecordsGoEarly) {
            return Ok(true);
        }
        let seats = self.seats_of(&kept.bucket);
        let settle_ms = seats.iter().map(|seat| seat.settle_ms()).max().unwrap_or_default();
        if self.now() < kept.since.plus_ms(settle_ms) || seats.iter().any(|seat| !seat.is_settled()) {
            return Ok(false);
        }
        // A bucket that is gone from the ledger was seen gone on every store: nothing is left that a record could order.
        let Some(bucket) = self.cached_bucket(&kept.bucket) else { return Ok(true) };
        if let Some(life) = kept.life {
            // Made again, what is left of its former life is the new one's.
            return Ok(bucket.state == BucketState::Serving && bucket.incarnation != life.incarnation);
        }
        for line in &kept.writes {
            let state = self.ledger.key_state(&kept.bucket, &line.key).await?;
            let stands = state.object().is_some_and(|entry| self.stands_on_enough(&kept.bucket, &state, entry));
            if !is_record_over(line.write, line.seq, &state, stands) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// True: every store of the placement has answered that it is not there any more.
    async fn remove_record(&self, kept: &Kept) -> bool {
        let (seats, name) = (self.seats_of(&kept.bucket), &kept.name);
        let folder = if kept.life.is_some() { Folder::Home } else { Folder::Bucket };
        if seats.iter().any(|seat| seat.standing(OpClass::Delete) == Standing::Down) {
            return false;
        }
        let calls = seats.iter().map(|seat| async move {
            let at = folder.at(seat, &kept.bucket, name);
            match seat.watched(OpClass::Delete, seat.store.delete(&at, None, None)).await {
                Ok(()) => true,
                Err(error) if matches!(error.fault, Fault::NoKey | Fault::NoBucket) => true,
                Err(error) => {
                    tracing::debug!("{error}: the record {name} stays for now");
                    false
                }
            }
        });
        futures_util::future::join_all(calls).await.into_iter().all(|gone| gone)
    }

    /// Past it a store that is silent counts as one that cannot take this write now.
    fn learnt_deadline(&self, bucket: &BucketName) -> Duration {
        self.seats_of(bucket).iter().map(|seat| seat.deadline(OpClass::Write)).max().unwrap_or(Duration::from_secs(1))
    }
}

fn order_body(epoch: u64, bucket: &BucketName, line: &KeptWrite) -> Bytes {
    let KeptWrite { key, write, seq } = line;
    let body = serde_json::json!({
        "format": 1, "epoch": epoch, "bucket": bucket, "key": key, "write": write, "seq": seq,
    });
    body.to_string().into()
}

pub(crate) fn record_of(epoch: u64, deletes: Vec<Deleted>) -> Bytes {
    let body = TombRecord { format: 1, epoch, deletes };
    Bytes::from(serde_json::to_vec(&body).expect("a record of strings and numbers is always JSON"))
}

/// The same record from what the ledger remembers of it.
fn tomb_body(epoch: u64, bucket: &BucketName, writes: &[KeptWrite]) -> Bytes {
    let line =
        |one: &KeptWrite| Deleted { bucket: bucket.clone(), key: one.key.clone(), write: one.write, seq: one.seq };
    record_of(epoch, writes.iter().map(line).collect())
}

fn order_name(write: WriteId, seq: Seq) -> String {
    format!(".outlast/order/{write}-{seq}")
}

/// A record that lies there already is this very record: its name is unique.
fn stands(answer: Answer<outlast_rules::Pin>) -> Result<(), String> {
    match answer {
        Ok(_) => Ok(()),
        Err(error) if error.fault == Fault::Precondition => Ok(()),
        Err(error) => Err(error.message),
    }
}
