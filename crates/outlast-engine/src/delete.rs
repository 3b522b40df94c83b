//! DELETE: a write whose places are tombstone records; a 404 proves nothing (protocol.md 4).

use crate::asks::{DeleteAsk, WriteError};
use crate::budgets::Bill;
use crate::counters::count;
use crate::engine::Engine;
use crate::records::{Deleted, Kept, KeptWrite, record_of};
use crate::trash::Held;
use outlast_ledger::{Change, LedgerError};
use outlast_rules::{
    BucketName, Conditions, Debt, DebtKind, Displaced, Entry, EntryKind, Head, Intent, Key, KeyState, Layout, Mutant,
    Refusal, Trashed, WriteId, broken, judge_write,
};
use std::collections::BTreeMap;
use std::sync::Arc;

impl Engine {
    pub async fn delete(self: &Arc<Self>, ask: DeleteAsk) -> Result<(), WriteError> {
        let mut results = self.delete_many(ask.bucket, ask.user, vec![(ask.key, ask.conditions)]).await;
        results.pop().map_or(Ok(()), |(_, result)| result)
    }

    /// Lanes in key order; one tombstone record for all.
    /// `user`: whose budget it is.
    pub async fn delete_many(
        self: &Arc<Self>,
        bucket: BucketName,
        user: String,
        keys: Vec<(Key, Conditions)>,
    ) -> Vec<(Key, Result<(), WriteError>)> {
        let names: Vec<Key> = keys.iter().map(|(key, _)| key.clone()).collect();
        let all = |error: WriteError| names.iter().map(|key| (key.clone(), Err(error.clone()))).collect();
        if self.stopping.is_cancelled() {
            return all(WriteError::Stopping);
        }
        let life = match self.writable_or_found(&bucket).await {
            Ok(life) => life,
            Err(error) => return all(error),
        };
        let engine = self.clone();
        let done = self.tasks.spawn(async move { engine.delete_in_lanes((bucket, life), user, keys).await });
        done.await.unwrap_or_else(|join| all(WriteError::NoQuorum(format!("the delete broke off: {join}"))))
    }

    async fn delete_in_lanes(
        self: Arc<Self>,
        (bucket, life): (BucketName, u64),
        user: String,
        keys: Vec<(Key, Conditions)>,
    ) -> Vec<(Key, Result<(), WriteError>)> {
        let order: BTreeMap<Key, Conditions> = keys.into_iter().collect();
        let _gate = if broken(Mutant::GateSkipped) { None } else { Some(self.gates.read(&bucket).await) };
        let mut lanes = Vec::new();
        for key in order.keys() {
            lanes.push(self.lanes.lock(&bucket, key).await);
        }
        let mut results = BTreeMap::new();
        let mut dying = Vec::new();
        for (key, conditions) in order {
            match self.judge_delete((&bucket, life), &key, &conditions).await {
                Ok(Some(state)) => dying.push((key, state)),
                Ok(None) => drop(results.insert(key, Ok(()))),
                Err(error) => drop(results.insert(key, Err(error))),
            }
        }
        if !dying.is_empty() {
            let outcome = self.bury(&bucket, &user, &dying).await;
            for (key, _) in dying {
                results.insert(key, outcome.clone());
            }
        }
        results.into_iter().collect()
    }

    /// None: neither an entry nor an undecided write, so nothing is written.
    async fn judge_delete(
        self: &Arc<Self>,
        (bucket, life): (&BucketName, u64),
        key: &Key,
        conditions: &Conditions,
    ) -> Result<Option<KeyState>, WriteError> {
        self.writable_in(bucket, life)?;
        let state = self.settled_state(bucket, key).await?;
        judge_write(conditions, state.object()).map_err(|refusal| match refusal {
            Refusal::NoSuchKey => WriteError::NoKey,
            refusal => WriteError::Refused(refusal),
        })?;
        let nothing = state.object().is_none() && state.intents.is_empty();
        Ok((!nothing).then_some(state))
    }

    /// The deletes against the user's budget. Above it nothing is refused: a client that is right must not fail, and one that is
    /// wrong must not be able to do harm.
    async fn spend(&self, bucket: &BucketName, user: &str, dying: &[(Key, KeyState)]) -> Result<Bill, WriteError> {
        let (objects, _) = self.ledger.bucket_totals(bucket).await?;
        let limits = self.settings.delete_budgets.get(user).cloned().unwrap_or_default();
        let bill = self.budgets.spend(user, bucket, dying.iter().map(|(key, _)| key), objects, &limits, self.now());
        for alert in &bill.alerts {
            self.note("delete-budget", alert.clone()).await;
        }
        Ok(bill)
    }

    async fn bury(
        self: &Arc<Self>,
        bucket: &BucketName,
        user: &str,
        dying: &[(Key, KeyState)],
    ) -> Result<(), WriteError> {
        let bill = self.spend(bucket, user, dying).await?;
        let record = self.new_write();
        let mut intents = Vec::new();
        for (key, _) in dying {
            let entry = self.tombstone(record).await?;
            intents.push(Intent {
                bucket: bucket.clone(),
                key: key.clone(),
                began: self.now(),
                entry,
                spooled: false,
                upload: None,
            });
        }
        let mut began: Vec<Change> =
            intents.iter().cloned().map(|intent| Change::BeginWrite(Box::new(intent))).collect();
        // In the trash before it is displaced; its copies are put aside before the first of them is removed.
        began.extend(intents.iter().zip(dying).zip(&bill.over).filter_map(|((intent, (key, state)), over)| {
            let held = if *over { Held::UntilReleased } else { Held::ForItsWindow };
            let trashed = self.trashed(bucket, key, state.object()?, intent.entry.write, Displaced::Deleted, held)?;
            Some(Change::PutTrash(Box::new(Trashed { user: Some(user.to_owned()), ..trashed })))
        }));
        began.extend(bill.change);
        let deletes: Vec<Deleted> = intents.iter().map(deleted).collect();
        began.push(self.tomb_kept(bucket, record, &deletes));
        self.commit_heard(began).await?;
        if !broken(Mutant::DeleteWithoutRecord) {
            self.write_tomb(bucket, record, deletes).await?;
        }
        let mut batch = Vec::new();
        for (intent, (_, state)) in intents.iter().zip(dying) {
            batch.extend(self.tombstone_changes(intent, state));
        }
        self.commit_heard(batch).await?;
        for over in bill.over {
            if over {
                count(&self.counters.deletes_over_budget);
            }
        }
        for (_, state) in dying {
            for write in &state.spooled {
                self.spool.release(&crate::spool::body_name(*write));
            }
            count(&self.counters.deletes_committed);
        }
        self.ring(bucket);
        Ok(())
    }

    async fn tombstone(&self, record: WriteId) -> Result<Entry, LedgerError> {
        Ok(Entry {
            write: self.new_write(),
            seq: self.ledger.take_seq().await?,
            kind: EntryKind::Tombstone,
            size: 0,
            etag: String::new(),
            modified: self.now(),
            head: Head::default(),
            layout: Layout::Whole,
            checksums: vec![],
            holders: BTreeMap::new(),
            adopted_from: None,
            predecessors: vec![],
            record: Some(record),
        })
    }

    /// The tombstone becomes the entry; every store of the placement owes the removal.
    fn tombstone_changes(&self, intent: &Intent, state: &KeyState) -> Vec<Change> {
        let (bucket, key, now) = (&intent.bucket, &intent.key, self.now());
        let entry = Box::new(intent.entry.clone());
        let mut changes = vec![Change::SetEntry { bucket: bucket.clone(), key: key.clone(), entry, digests: None }];
        let ended = state.intents.iter().filter(|other| other.entry.seq < intent.entry.seq).chain([intent]);
        changes.extend(ended.map(|other| Change::EndWrite {
            bucket: bucket.clone(),
            key: key.clone(),
            write: other.entry.write,
        }));
        changes.extend(
            self.seats_of(bucket).iter().filter(|_| !broken(Mutant::RemovalForgotten)).map(|seat| {
                Change::Owe(Debt::begin(&seat.name, bucket, key, DebtKind::Remove, Some(&intent.entry), now))
            }),
        );
        changes.extend(state.spooled.iter().map(|write| Change::SpoolReleases { write: *write }));
        changes
    }

    fn tomb_kept(&self, bucket: &BucketName, record: WriteId, deletes: &[Deleted]) -> Change {
        let line = |one: &Deleted| KeptWrite { key: one.key.clone(), write: one.write, seq: one.seq };
        let writes = deletes.iter().map(line).collect();
        Kept { bucket: bucket.clone(), name: tomb_name(record), since: self.now(), writes, life: None }.change()
    }

    async fn write_tomb(
        self: &Arc<Self>,
        bucket: &BucketName,
        record: WriteId,
        deletes: Vec<Deleted>,
    ) -> Result<(), WriteError> {
        self.write_record(bucket, &tomb_name(record), record_of(self.epoch.0, deletes)).await
    }

    /// An undecided delete is resolved forward by writing its record (again).
    pub(crate) async fn forward_delete(
        self: &Arc<Self>,
        bucket: &BucketName,
        intent: &Intent,
    ) -> Result<bool, LedgerError> {
        // The batch's record may stand with other keys in it; one of its own names this key for certain.
        let record = intent.entry.write;
        let deletes = vec![deleted(intent)];
        self.ledger.commit(vec![self.tomb_kept(bucket, record, &deletes)]).await?;
        match self.write_tomb(bucket, record, deletes).await {
            _ if broken(Mutant::DeleteForwardWithoutRecord) => {}
            Ok(()) => {}
            Err(WriteError::Ledger(error)) => return Err(error),
            Err(_) => return Ok(false),
        }
        let state = self.ledger.key_state(bucket, &intent.key).await?;
        self.ledger.commit(self.tombstone_changes(intent, &state)).await?;
        for write in &state.spooled {
            self.spool.release(&crate::spool::body_name(*write));
        }
        self.ring(bucket);
        Ok(true)
    }
}

fn deleted(intent: &Intent) -> Deleted {
    Deleted { bucket: intent.bucket.clone(), key: intent.key.clone(), write: intent.entry.write, seq: intent.entry.seq }
}

pub(crate) fn tomb_name(record: WriteId) -> String {
    format!(".outlast/tomb/{record}")
}
