//! An upload begins, is listed, ends without an object.

use crate::asks::{CreateUploadAsk, PartFacts, PartsPage, UploadError, UploadFacts, UploadsPage, WriteError};
use crate::engine::Engine;
use crate::kept::PARTS_MAX;
use crate::spool::part_name;
use outlast_ledger::{Change, Part, Upload, UploadState};
use outlast_rules::{BucketName, Head, Key, OpClass, Stamp, Standing, StoreName, name_hash};
use outlast_store::{Dress, Fault};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// What a store's control plane may take for a new upload.
const CREATE_DEADLINE: Duration = Duration::from_secs(5);

impl Engine {
    pub async fn create_upload(self: &Arc<Self>, ask: CreateUploadAsk) -> Result<String, UploadError> {
        if self.stopping.is_cancelled() {
            return Err(WriteError::Stopping.into());
        }
        let life = self.writable_or_found(&ask.bucket).await?;
        self.check_key(&ask.bucket, &ask.key)?;
        self.check_head(&ask.bucket, &ask.head)?;
        let engine = self.clone();
        let begun =
            self.tasks.spawn(async move { engine.begin_upload(ask, life, false).await.map(|upload| upload.id) });
        begun.await.unwrap_or_else(|join| Err(WriteError::NoQuorum(format!("the call broke off: {join}")).into()))
    }

    /// Runs to its end even when the client goes away, or native uploads would be left that no record names.
    /// `internal`: for one large PUT of a client that does not know of it.
    pub(crate) async fn begin_upload(
        self: &Arc<Self>,
        ask: CreateUploadAsk,
        life: u64,
        internal: bool,
    ) -> Result<Upload, UploadError> {
        let write = self.new_write();
        let name = name_hash(&ask.bucket, &ask.key);
        let stamp = Stamp { epoch: self.epoch, seq: None, write, name, size: None, digest: None };
        let dress = Dress { head: ask.head.clone(), stamp: Some(stamp) };
        let (natives, why) = self.create_natives(&ask.bucket, &ask.key, &dress).await;
        let placement = self.placement(&ask.bucket);
        let too_few = natives.is_empty() || natives.len() + usize::from(placement.spool_counts) < placement.min_copies;
        let upload = Upload {
            id: format!("{:032x}", self.random()),
            bucket: ask.bucket,
            key: ask.key,
            began: self.now(),
            head: ask.head,
            checksum: ask.checksum,
            composite: ask.composite,
            internal,
            write,
            natives,
            state: UploadState::Open,
        };
        if too_few {
            if !upload.natives.is_empty() {
                self.give_up_upload(upload).await?;
            }
            let (min_copies, why) = (placement.min_copies, why.join("; "));
            let words = format!("fewer than {min_copies} places can take an upload: {why}");
            return Err(WriteError::NoQuorum(words).into());
        }
        // Its bucket may have gone while the stores were asked: an upload in no bucket could neither be used nor go.
        let _gate = self.gates.read(&upload.bucket).await;
        if let Err(error) = self.writable_in(&upload.bucket, life) {
            self.give_up_upload(upload).await?;
            return Err(error.into());
        }
        self.commit_heard(vec![Change::PutUpload(Box::new(upload.clone()))]).await.map_err(WriteError::from)?;
        Ok(upload)
    }

    /// An upload on every store that answers in time; a slow one is waited for only while it is needed.
    async fn create_natives(
        self: &Arc<Self>,
        bucket: &BucketName,
        key: &Key,
        dress: &Dress,
    ) -> (BTreeMap<StoreName, String>, Vec<String>) {
        let seats = self.seats_taking(bucket);
        let (sender, mut receiver) = tokio::sync::mpsc::channel(seats.len().max(1));
        let (mut why, mut late) = (Vec::new(), Duration::ZERO);
        for seat in seats {
            if seat.standing(OpClass::Write) == Standing::Down {
                let reason = seat.health(|health| health.reason()).map_or("down".to_owned(), |r| r.to_string());
                why.push(format!("{}: {reason}", seat.name));
                continue;
            }
            // Stores remove a bucket in which nothing but uploads is, and these with it.
            if let Err(closed) = self.may_still_go(&seat, bucket) {
                why.push(closed.to_string());
                continue;
            }
            late = late.max(seat.deadline(OpClass::Write));
            let (engine, sender, dress) = (self.clone(), sender.clone(), dress.clone());
            let (bucket, key) = (bucket.clone(), key.clone());
            self.tasks.spawn(async move {
                let at = seat.at(&bucket, &key);
                let create = seat.store.create_upload(&at, &dress);
                let made = seat.within(OpClass::Write, CREATE_DEADLINE, "create upload", create).await;
                // Nobody waits any more: nobody will ever write to it or end it.
                if let Err(unheard) = sender.send((seat.name.clone(), made)).await
                    && let (store, Ok(native)) = unheard.0
                {
                    let late = engine.unused_upload(bucket, key, store, native);
                    if let Err(error) = engine.give_up_upload(late).await {
                        tracing::error!("an upload that came too late stays behind on {}: {error}", seat.name);
                    }
                }
            });
        }
        drop(sender);
        let min_copies = self.placement(bucket).min_copies;
        let learnt = tokio::time::sleep(late);
        tokio::pin!(learnt);
        let mut natives = BTreeMap::new();
        let mut is_late = false;
        while !is_late || natives.len() < min_copies {
            tokio::select! {
                biased;
                answer = receiver.recv() => match answer {
                    None => break,
                    Some((store, Ok(native))) => drop(natives.insert(store, native)),
                    Some((store, Err(error))) => why.push(format!("{store}: {error}")),
                },
                () = &mut learnt, if !is_late => is_late = true,
            }
        }
        (natives, why)
    }

    /// A native upload of which no client knows. As a record it is ended however long its store is away.
    fn unused_upload(&self, bucket: BucketName, key: Key, store: StoreName, native: String) -> Upload {
        Upload {
            id: format!("{:032x}", self.random()),
            bucket,
            key,
            began: self.now(),
            head: Head::default(),
            checksum: None,
            composite: None,
            internal: true,
            write: self.new_write(),
            natives: [(store, native)].into(),
            state: UploadState::Open,
        }
    }

    /// The upload, if the client names it rightly.
    pub(crate) async fn upload_of(&self, bucket: &BucketName, key: &Key, id: &str) -> Result<Upload, UploadError> {
        let upload = self.ledger.upload(id).await.map_err(WriteError::from)?;
        upload
            .filter(|upload| &upload.bucket == bucket && &upload.key == key && !upload.internal)
            .ok_or(UploadError::NoUpload)
    }

    pub(crate) async fn all_parts(&self, upload: &str) -> Result<Vec<Part>, UploadError> {
        Ok(self.ledger.parts(upload, 0, PARTS_MAX).await.map_err(WriteError::from)?)
    }

    pub async fn list_parts(
        self: &Arc<Self>,
        bucket: BucketName,
        key: Key,
        upload: String,
        after: u32,
        limit: usize,
    ) -> Result<PartsPage, UploadError> {
        let record = self.upload_of(&bucket, &key, &upload).await?;
        if !matches!(record.state, UploadState::Open | UploadState::Completing { .. }) {
            return Err(UploadError::NoUpload);
        }
        let mut parts = self.ledger.parts(&upload, after, limit + 1).await.map_err(WriteError::from)?;
        let truncated = parts.len() > limit;
        parts.truncate(limit);
        Ok(PartsPage { upload: upload_facts(&record), parts: parts.iter().map(part_facts).collect(), truncated })
    }

    pub async fn list_uploads(
        self: &Arc<Self>,
        bucket: BucketName,
        prefix: String,
        after_key: String,
        after_upload: String,
        limit: usize,
    ) -> Result<UploadsPage, UploadError> {
        self.writable_or_found(&bucket).await?;
        let mut open = Vec::new();
        let mut after = (after_key, after_upload);
        loop {
            let page = self
                .ledger
                .uploads(&bucket, &prefix, (&after.0, &after.1), limit + 1)
                .await
                .map_err(WriteError::from)?;
            let Some(last) = page.last() else { break };
            after = (last.key.to_string(), last.id.clone());
            open.extend(page.into_iter().filter(|upload| upload.state == UploadState::Open && !upload.internal));
            if open.len() > limit {
                break;
            }
        }
        let truncated = open.len() > limit;
        open.truncate(limit);
        Ok(UploadsPage { uploads: open.iter().map(upload_facts).collect(), truncated })
    }

    pub async fn abort_upload(
        self: &Arc<Self>,
        bucket: BucketName,
        key: Key,
        upload: String,
    ) -> Result<(), UploadError> {
        let _lane = self.upload_lane(&bucket, &upload).await;
        let record = self.upload_of(&bucket, &key, &upload).await?;
        match record.state {
            UploadState::Open => self.give_up_upload(record).await,
            UploadState::Completing { .. } => Err(UploadError::Completing),
            UploadState::Completed { .. } | UploadState::Aborted { .. } => Err(UploadError::NoUpload),
        }
    }

    /// Aborted for good; the stores hear of it in the background.
    pub(crate) async fn give_up_upload(self: &Arc<Self>, record: Upload) -> Result<(), UploadError> {
        let owed: Vec<StoreName> = record.natives.keys().cloned().collect();
        let aborted = Upload { state: UploadState::Aborted { owed }, ..record };
        self.ledger.commit(vec![Change::PutUpload(Box::new(aborted.clone()))]).await.map_err(WriteError::from)?;
        for part in self.all_parts(&aborted.id).await? {
            self.spool.release(&part_name(&aborted.id, part.number, &part.etag));
        }
        let engine = self.clone();
        self.tasks.spawn(async move { engine.abort_natives(aborted).await });
        Ok(())
    }

    /// Aborts on every store that still owes it; the record goes with the last.
    pub(crate) async fn abort_natives(self: Arc<Self>, upload: Upload) {
        let UploadState::Aborted { owed } = &upload.state else { return };
        let mut left = Vec::new();
        for store in owed {
            let (Some(seat), Some(native)) = (self.seat(store), upload.natives.get(store)) else { continue };
            let at = seat.at(&upload.bucket, &upload.key);
            match seat.watched(OpClass::Delete, seat.store.abort_upload(&at, native)).await {
                Ok(()) => {}
                Err(error) if matches!(error.fault, Fault::NoUpload | Fault::NoBucket) => {}
                Err(error) => {
                    tracing::info!("{error}: the upload is aborted there later");
                    left.push(store.clone());
                }
            }
        }
        let change = if left.is_empty() {
            Change::DropUpload { id: upload.id.clone() }
        } else if &left == owed && self.ledger.upload(&upload.id).await.is_ok_and(|kept| kept.as_ref() == Some(&upload))
        {
            return;
        } else {
            Change::PutUpload(Box::new(Upload { state: UploadState::Aborted { owed: left }, ..upload }))
        };
        if let Err(error) = self.ledger.commit(vec![change]).await {
            tracing::error!("an aborted upload could not be written down: {error}");
        }
    }

    /// Parts are judged one at a time, and never while the upload is being completed.
    pub(crate) async fn upload_lane(&self, bucket: &BucketName, upload: &str) -> crate::lanes::LaneGuard {
        let name = Key::parse(upload).unwrap_or_else(|_| Key::parse("-").expect("a valid key"));
        self.upload_lanes.lock(bucket, &name).await
    }
}

pub(crate) fn upload_facts(upload: &Upload) -> UploadFacts {
    UploadFacts { id: upload.id.clone(), key: upload.key.clone(), began: upload.began, checksum: upload.checksum }
}

pub(crate) fn part_facts(part: &Part) -> PartFacts {
    PartFacts {
        number: part.number,
        size: part.size,
        etag: part.etag.clone(),
        modified: part.modified,
        checksums: part.checksums.clone(),
    }
}
