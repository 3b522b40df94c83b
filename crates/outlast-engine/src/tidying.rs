//! What we leave goes again: tombstones, records, finished and abandoned uploads, native buckets still owed a removal.

use crate::asks::BucketError;
use crate::delete::tomb_name;
use crate::engine::Engine;
use crate::records::{Kept, RECORD_FACTS};
use outlast_ledger::{BucketState, Change, LedgerError, Upload, UploadState};
use outlast_rules::{BucketName, Entry, Key, Moment, Mutant, WriteId, broken};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// Nobody waits for it, and each round reads every tombstone once.
const TIDY_EVERY: Duration = Duration::from_secs(60);
const PAGE: usize = 500;
/// Uploads that nobody has completed for so long are abandoned; answers of finished ones are kept as long.
const UPLOAD_KEPT_MS: u64 = 7 * 24 * 3600 * 1000;
/// Pages of records, and of uploads, that one round looks at; the next goes on after them. A million records are looked at
/// once in less than two hours, and no round keeps the ledger busy for more than about a second.
const ROUND_PAGES_MAX: usize = 20;

/// Where the next round goes on. A process that starts anew begins anew: everything is judged by the ledger.
#[derive(Default)]
pub(crate) struct Rounds {
    record: String,
    upload: (Moment, String),
}

impl Engine {
    pub(crate) async fn tidy(self: Arc<Self>) {
        let mut rounds = Rounds::default();
        while !self.stopping.is_cancelled() {
            tokio::select! {
                biased;
                () = self.stopping.cancelled() => return,
                () = tokio::time::sleep(TIDY_EVERY) => {}
            }
            if let Err(error) = self.tidy_once(&mut rounds).await {
                tracing::error!("tidying stands still: {error}");
            }
        }
    }

    pub(crate) async fn tidy_once(self: &Arc<Self>, rounds: &mut Rounds) -> Result<(), LedgerError> {
        if self.is_frozen() {
            return Ok(());
        }
        self.settle_bucket_marks().await?;
        self.sweep_made_in_vain().await?;
        self.empty_trash().await?;
        // A tombstone that no store was told of must not go, and its records neither: a rebuild would know of no delete.
        let keeps_up = self.shipping.keeps_up(self.now());
        for bucket in self.ledger.buckets().await? {
            if matches!(bucket.state, BucketState::Gone { .. }) {
                let _lane = self.bucket_lane.lock().await;
                match self.sweep_gone_bucket(&bucket.name).await {
                    Err(BucketError::Ledger(error)) => return Err(error),
                    Err(error) => tracing::info!("the bucket {} goes later: {error}", bucket.name),
                    Ok(()) => {}
                }
                continue;
            }
            if bucket.state == BucketState::Leaving {
                self.go_on_leaving(&bucket.name).await?;
                continue;
            }
            if keeps_up {
                self.tidy_tombstones(&bucket.name).await?;
            }
        }
        if keeps_up {
            self.record_round(rounds).await?;
        }
        self.upload_round(rounds).await
    }

    /// A deletion whose tombstone could not be written, or whose process died.
    async fn go_on_leaving(self: &Arc<Self>, name: &BucketName) -> Result<(), LedgerError> {
        let _lane = self.bucket_lane.lock().await;
        let Some(bucket) = self.cached_bucket(name).filter(|bucket| bucket.state == BucketState::Leaving) else {
            return Ok(());
        };
        match self.finish_leaving(bucket).await {
            Err(BucketError::Ledger(error)) => Err(error),
            Err(error) => {
                tracing::warn!("{error}");
                Ok(())
            }
            Ok(()) => Ok(()),
        }
    }

    async fn record_round(self: &Arc<Self>, rounds: &mut Rounds) -> Result<(), LedgerError> {
        for _ in 0..ROUND_PAGES_MAX {
            let page = self.ledger.facts(RECORD_FACTS, &rounds.record, PAGE).await?;
            let Some((last, _)) = page.last() else {
                rounds.record.clear();
                return Ok(());
            };
            rounds.record = last.clone();
            self.tidy_records(page).await?;
        }
        Ok(())
    }

    async fn upload_round(self: &Arc<Self>, rounds: &mut Rounds) -> Result<(), LedgerError> {
        for _ in 0..ROUND_PAGES_MAX {
            let (touched, id) = &rounds.upload;
            let page = self.ledger.uploads_before(self.now(), (*touched, id), PAGE).await?;
            let Some((touched, last)) = page.last() else {
                rounds.upload = Default::default();
                return Ok(());
            };
            rounds.upload = (*touched, last.id.clone());
            self.tidy_uploads(page.into_iter().map(|(_, upload)| upload).collect()).await?;
        }
        Ok(())
    }

    /// Tombstone and records go when every store of the placement has been seen without the key and no mark is left. Where
    /// native versions are kept they stay: the versions below could come back in a rebuild (counter-example 23).
    async fn tidy_tombstones(self: &Arc<Self>, bucket: &BucketName) -> Result<(), LedgerError> {
        let native_versions =
            self.seats_of(bucket).iter().any(|seat| seat.grades(&seat.names.native(bucket)).put.pinned);
        if native_versions && !broken(Mutant::TombstoneGoesWithVersions) {
            return Ok(());
        }
        let mut waiting: BTreeSet<WriteId> = BTreeSet::new();
        let mut done: BTreeMap<WriteId, Vec<(Key, Entry)>> = BTreeMap::new();
        let mut after: Option<Key> = None;
        loop {
            let page = self.ledger.tombstones(bucket, after.as_ref(), PAGE).await?;
            let Some((last, _)) = page.last() else { break };
            after = Some(last.clone());
            for (key, entry) in page {
                let record = entry.record.unwrap_or(entry.write);
                let state = self.ledger.key_state(bucket, &key).await?;
                let in_trash = !self.ledger.trash_of(bucket, &key).await?.is_empty();
                let over = !in_trash && state.debts.is_empty() && state.marks.is_empty() && state.intents.is_empty();
                if over && state.entry.as_ref().is_some_and(|now| now.write == entry.write) {
                    done.entry(record).or_default().push((key, entry));
                } else {
                    waiting.insert(record);
                }
            }
        }
        for (record, keys) in done {
            // A record with several keys stays until this holds for all of them.
            if !waiting.contains(&record) {
                self.drop_tombstones(bucket, record, keys).await?;
            }
        }
        Ok(())
    }

    /// Their records go later, by what the ledger remembers of them (`record_round`).
    async fn drop_tombstones(
        &self,
        bucket: &BucketName,
        record: WriteId,
        keys: Vec<(Key, Entry)>,
    ) -> Result<(), LedgerError> {
        let own = keys.iter().map(|(_, entry)| entry.write);
        let mut batch = Vec::new();
        for name in own.chain([record]).map(tomb_name).collect::<BTreeSet<String>>() {
            // One from before records were remembered says nothing that is not over with its tombstones.
            if self.ledger.fact(&Kept::fact_name(bucket, &name)).await?.is_none() {
                batch.push(
                    Kept { bucket: bucket.clone(), name, since: self.now(), writes: vec![], life: None }.change(),
                );
            }
        }
        let drops =
            keys.into_iter().map(|(key, entry)| Change::DropEntry { bucket: bucket.clone(), key, write: entry.write });
        batch.extend(drops);
        self.ledger.commit(batch).await
    }

    async fn tidy_uploads(self: &Arc<Self>, page: Vec<Upload>) -> Result<(), LedgerError> {
        let old = Moment(self.now().0.saturating_sub(UPLOAD_KEPT_MS));
        for upload in page {
            let abandoned = upload.began <= old;
            if upload.internal && !matches!(upload.state, UploadState::Aborted { .. }) {
                if let Err(error) = self.tidy_internal(upload).await {
                    tracing::info!("a large PUT that broke off stays for now: {error}");
                }
                continue;
            }
            match &upload.state {
                UploadState::Aborted { .. } => self.clone().abort_natives(upload).await,
                UploadState::Open if abandoned => {
                    let (bucket, key, id) = (upload.bucket.clone(), upload.key.clone(), upload.id.clone());
                    if let Err(error) = self.abort_upload(bucket, key, id).await {
                        tracing::info!("an abandoned upload stays for now: {error}");
                    }
                }
                // A store that was given a copy instead still has its parts.
                UploadState::Completed { .. } if abandoned => {
                    let owed = upload.natives.keys().cloned().collect();
                    let ends = Upload { state: UploadState::Aborted { owed }, ..upload };
                    self.ledger.commit(vec![Change::PutUpload(Box::new(ends))]).await?;
                }
                UploadState::Completing { .. } => self.settle_upload(upload).await?,
                UploadState::Open | UploadState::Completed { .. } => {}
            }
        }
        Ok(())
    }
}
