//! Undelete: what the trash still holds is written again, as a new write with a new seq, only over what was there when it
//! was judged.

use crate::asks::{BodyFault, ClientBody, Declared, DeclaredChecksum, DeclaredValue, PutAsk, ReadError, WriteError};
use crate::engine::Engine;
use crate::reading::{NoFirstByte, Reading};
use crate::verify::Progress;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use outlast_ledger::{Change, LedgerError};
use outlast_rules::{
    BucketName, Conditions, Displaced, Key, KeyState, Moment, Present, Return, Stays, Trashed, judge_return, trash_name,
};
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::mpsc;

/// Rows of the trash read at once.
const PAGE: usize = 500;
/// Objects written again at once: enough to fill the line to the stores with small ones, few beside clients.
const AT_ONCE: usize = 8;
/// Lines kept for the report; beyond it they are only counted.
const LINES_MAX: usize = 1_000;

pub struct UndeleteAsk {
    pub bucket: BucketName,
    /// Empty: the whole bucket.
    pub prefix: String,
    /// None: what is deleted now comes back as it was last. Else every key that changed since goes back to what it was then.
    pub since: Option<Moment>,
    pub dry_run: bool,
}

#[derive(Debug, Default, Clone, Serialize, PartialEq, Eq)]
pub struct UndeleteReport {
    pub dry_run: bool,
    /// Objects brought back, or, with `dry_run`, that would be.
    pub brought: u64,
    pub bytes: u64,
    /// Keys in the trash that were left as they are, by reason.
    pub left: BTreeMap<String, u64>,
    pub failed: u64,
    /// The first keys in words.
    pub lines: Vec<String>,
}

#[derive(Debug, thiserror::Error)]
pub enum UndeleteError {
    #[error(transparent)]
    Bucket(#[from] WriteError),
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

/// What was held until somebody released it.
#[derive(Debug, Default, Clone, Serialize, PartialEq, Eq)]
pub struct Released {
    pub objects: u64,
    pub bytes: u64,
    /// By store, objects that are kept aside there.
    pub on: BTreeMap<String, u64>,
    /// From then on they can no longer be brought back.
    pub until: Moment,
}

/// One line of what can still be brought back.
#[derive(Debug, Clone, Serialize, PartialEq, Eq)]
pub struct TrashLine {
    pub key: String,
    pub size: u64,
    pub etag: String,
    pub why: Displaced,
    /// When it was displaced.
    pub at: Moment,
    /// The trash lets go of it then; None: not before it is released.
    pub until: Option<Moment>,
    /// Stores that keep its bytes aside.
    pub kept_on: Vec<String>,
}

#[derive(Debug, Clone, Serialize, PartialEq, Eq)]
pub struct TrashPage {
    pub lines: Vec<TrashLine>,
    /// Give it back to go on; None at the end.
    pub next: Option<String>,
}

impl Engine {
    /// What can still be brought back, in key order.
    ///
    /// # Errors
    /// The ledger cannot be read.
    pub async fn list_trash(
        self: &Arc<Self>,
        bucket: &BucketName,
        prefix: &str,
        after: Option<&Key>,
    ) -> Result<TrashPage, LedgerError> {
        let rows = self.ledger.trash(bucket, prefix, after, PAGE).await?;
        let next = rows.last().map(|row| row.key.to_string());
        let mut lines = Vec::new();
        for rows in by_key(rows) {
            let state = self.ledger.key_state(bucket, &rows[0].key).await?;
            lines.extend(rows.iter().filter(|row| is_gone(row, &state)).map(line_of));
        }
        Ok(TrashPage { lines, next })
    }

    /// What deletes above their budget displaced is let go of like everything else, after a whole window from now. `dry_run`:
    /// only counted.
    ///
    /// # Errors
    /// The ledger fails; what was released before stays so.
    pub async fn release_trash(
        self: &Arc<Self>,
        bucket: &BucketName,
        prefix: &str,
        dry_run: bool,
    ) -> Result<Released, LedgerError> {
        let until = self.now().plus_ms(self.undelete_of(bucket).window_ms);
        let (mut released, mut after) = (Released { until, ..Released::default() }, None);
        loop {
            let rows = self.ledger.trash(bucket, prefix, after.as_ref(), PAGE).await?;
            let Some(last) = rows.last() else { break };
            after = Some(last.key.clone());
            let held = || rows.iter().filter(|row| row.until.is_none());
            for row in held() {
                released.objects += 1;
                released.bytes += row.entry.size;
                for store in row.shelves.keys() {
                    *released.on.entry(store.to_string()).or_default() += 1;
                }
            }
            if dry_run {
                continue;
            }
            let release = |row: &Trashed| Change::ReleaseTrash {
                bucket: row.bucket.clone(),
                key: row.key.clone(),
                write: row.entry.write,
                until,
            };
            self.ledger.commit(held().map(release).collect()).await?;
        }
        if !dry_run && released.objects > 0 {
            let objects = released.objects;
            self.note("released", format!("{objects} deletes of {bucket}/{prefix} above their budget are released"))
                .await;
        }
        Ok(released)
    }

    /// Brings back what the rule chooses. Interrupted, it is simply run again: what is back is left as it is.
    ///
    /// # Errors
    /// The bucket is not served, or the ledger fails. That one object could not be brought back is told in the report.
    pub async fn undelete(
        self: &Arc<Self>,
        ask: UndeleteAsk,
        progress: mpsc::Sender<Progress>,
    ) -> Result<UndeleteReport, UndeleteError> {
        self.writable(&ask.bucket)?;
        let mut report = UndeleteReport { dry_run: ask.dry_run, ..UndeleteReport::default() };
        let mut after: Option<Key> = None;
        loop {
            let rows = self.ledger.trash(&ask.bucket, &ask.prefix, after.as_ref(), PAGE).await?;
            let Some(last) = rows.last() else { return Ok(report) };
            after = Some(last.key.clone());
            let mut bringing = FuturesUnordered::new();
            for rows in by_key(rows) {
                if bringing.len() >= AT_ONCE
                    && let Some(told) = bringing.next().await
                {
                    tell(&mut report, told?);
                }
                bringing.push(self.bring_key(rows, ask.since, ask.dry_run));
            }
            while let Some(told) = bringing.next().await {
                tell(&mut report, told?);
            }
            let (objects, bytes) = (report.brought, report.bytes);
            let told = Progress { store: String::new(), objects, bytes, of_objects: objects, of_bytes: bytes };
            // Nobody listening is no reason to stop.
            progress.try_send(told).ok();
        }
    }

    async fn bring_key(
        self: &Arc<Self>,
        rows: Vec<Trashed>,
        since: Option<Moment>,
        dry_run: bool,
    ) -> Result<Told, LedgerError> {
        let (bucket, key) = (rows[0].bucket.clone(), rows[0].key.clone());
        let state = self.ledger.key_state(&bucket, &key).await?;
        let present = match state.object() {
            _ if !state.intents.is_empty() => Present::Undecided,
            Some(entry) => Present::Object(entry),
            None => Present::Nothing,
        };
        match judge_return(&rows, present, since) {
            Return::Leave(stays) => Ok(Told::Left(stays)),
            Return::Bring(trashed) if dry_run => Ok(Told::Brought(key, trashed.entry.size)),
            Return::Bring(trashed) => {
                let conditions = match present {
                    Present::Object(entry) => {
                        Conditions { if_match: Some(entry.etag.clone()), ..Conditions::default() }
                    }
                    _ => Conditions { if_none_match: Some("*".to_owned()), ..Conditions::default() },
                };
                match self.bring_back(trashed, conditions).await {
                    Ok(etag) => {
                        self.remember_return(trashed, etag).await?;
                        Ok(Told::Brought(key, trashed.entry.size))
                    }
                    Err(WriteError::Ledger(error)) => Err(error),
                    Err(WriteError::Refused(_) | WriteError::NoKey) => {
                        Ok(Told::Failed(key, "a client has written it meanwhile".to_owned()))
                    }
                    Err(error) => Ok(Told::Failed(key, error.to_string())),
                }
            }
        }
    }

    /// Asked again for the same time, it is found to be back. A process that dies before this brings it back once more.
    async fn remember_return(&self, trashed: &Trashed, etag: String) -> Result<(), LedgerError> {
        if etag == trashed.entry.etag {
            return Ok(());
        }
        let (bucket, key) = (&trashed.bucket, &trashed.key);
        let _lane = self.lanes.lock(bucket, key).await;
        let rows = self.ledger.trash_of(bucket, key).await?;
        // Emptied meanwhile: a row would name copies that are gone.
        let Some(row) = rows.into_iter().find(|row| row.entry.write == trashed.entry.write) else { return Ok(()) };
        self.ledger.commit(vec![Change::PutTrash(Box::new(Trashed { returned: Some(etag), ..row }))]).await
    }

    /// The ETag under which it is back.
    async fn bring_back(self: &Arc<Self>, trashed: &Trashed, conditions: Conditions) -> Result<String, WriteError> {
        let (bucket, key) = (&trashed.bucket, &trashed.key);
        let entry = trashed.readable();
        let size = entry.size;
        let digests = self.ledger.digests(bucket, key, entry.write).await?.map(Arc::new);
        let name = trash_name(bucket, key, entry.write);
        let aside = trashed.shelves.iter().filter(|(_, shelf)| !shelf.native);
        let aside = aside.filter_map(|(store, _)| Some((store.clone(), self.seat(store)?.record_at(bucket, &name))));
        let mut reading = Reading::new(self, bucket, key, Arc::new(entry), digests, false, (0, size));
        reading.of_the_past(aside.collect());
        if let Err(NoFirstByte::Missed(words) | NoFirstByte::Failed(words)) = reading.begin().await {
            return Err(WriteError::Source(Box::new(ReadError::NoHolder(words))));
        }
        let bytes = reading.stream().map(|piece| piece.map_err(|error| BodyFault::Gone(error.to_string())));
        let whole = trashed.entry.checksums.iter().filter(|sum| !sum.composite);
        let checksums =
            whole.map(|sum| DeclaredChecksum { kind: sum.kind, value: DeclaredValue::Now(sum.value.clone()) });
        let declared = Declared { checksums: checksums.collect(), ..Declared::default() };
        let body = ClientBody { len: size, bytes: bytes.boxed(), declared };
        let head = trashed.entry.head.clone();
        let put = PutAsk { bucket: bucket.clone(), key: key.clone(), head, body, conditions };
        self.put(put).await.map(|written| written.etag)
    }
}

/// What came of one key.
enum Told {
    Brought(Key, u64),
    Left(Stays),
    Failed(Key, String),
}

fn tell(report: &mut UndeleteReport, told: Told) {
    let line = match told {
        Told::Brought(key, size) => {
            report.brought += 1;
            report.bytes += size;
            format!("{key}: {size} bytes")
        }
        Told::Left(stays) => {
            let why = match stays {
                Stays::Exists => "exists",
                Stays::Same => "same",
                Stays::Unchanged => "unchanged",
                Stays::Absent => "absent",
                Stays::OnlyLeftovers => "only_leftovers",
                Stays::Undecided => "undecided",
            };
            *report.left.entry(why.to_owned()).or_default() += 1;
            return;
        }
        Told::Failed(key, why) => {
            report.failed += 1;
            format!("{key}: not brought back: {why}")
        }
    };
    if report.lines.len() < LINES_MAX {
        report.lines.push(line);
    }
}

/// Not what is the entry still, or may be again: its displacing write is undecided or was rolled back.
fn is_gone(row: &Trashed, state: &KeyState) -> bool {
    let is_entry = state.entry.as_ref().is_some_and(|entry| entry.write == row.entry.write);
    !is_entry && !state.intents.iter().any(|intent| intent.entry.write == row.by)
}

fn line_of(row: &Trashed) -> TrashLine {
    TrashLine {
        key: row.key.to_string(),
        size: row.entry.size,
        etag: row.entry.etag.clone(),
        why: row.why,
        at: row.at,
        until: row.until,
        kept_on: row.shelves.keys().map(ToString::to_string).collect(),
    }
}

/// Rows come in key order.
fn by_key(rows: Vec<Trashed>) -> Vec<Vec<Trashed>> {
    let mut keys: Vec<Vec<Trashed>> = Vec::new();
    for row in rows {
        match keys.last_mut().filter(|same| same[0].key == row.key) {
            Some(same) => same.push(row),
            None => keys.push(vec![row]),
        }
    }
    keys
}
