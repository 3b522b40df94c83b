//! One large PUT: cut into parts of ours that stream to all stores while the next one comes in (protocol.md 2.1).

use crate::asks::{BodyFault, ClientStream, CreateUploadAsk, PutAsk, UploadError, WriteError, Written};
use crate::digest::{BlockDigester, BodyDigester, WholeDigester, hex};
use crate::engine::Engine;
use crate::multipart::complete::Shown;
use crate::receive::{Received, hold, kinds, verify};
use bytes::Bytes;
use futures_util::StreamExt;
use outlast_ledger::{Change, Upload, UploadState};
use outlast_rules::Layout;
use std::sync::{Arc, Mutex};

/// One part is in memory (or in a file, where the pool is used up) while the one before it is on its way: two of these per
/// upload. Every store takes parts of this size, and 5 GiB make 320.
const PART_BYTES: u64 = 16 * 1024 * 1024;

impl Engine {
    /// Runs to its end even when the client goes away: then its body ends in an error, and the upload is given up.
    pub(crate) async fn put_large(self: &Arc<Self>, ask: PutAsk, life: u64) -> Result<Written, WriteError> {
        if self.stopping.is_cancelled() {
            return Err(WriteError::Stopping);
        }
        let engine = self.clone();
        let put = self.tasks.spawn(async move { engine.put_in_parts(ask, life).await });
        put.await.unwrap_or_else(|join| Err(WriteError::NoQuorum(format!("the write broke off: {join}"))))
    }

    async fn put_in_parts(self: Arc<Self>, ask: PutAsk, life: u64) -> Result<Written, WriteError> {
        let (bucket, key) = (ask.bucket.clone(), ask.key.clone());
        let create = CreateUploadAsk { bucket, key, head: ask.head.clone(), checksum: None, composite: None };
        let upload = self.begin_upload(create, life, true).await.map_err(as_write)?;
        let (id, write) = (upload.id.clone(), upload.write);
        let written = self.stream_parts(&upload, ask).await;
        let state = self.ledger.key_state(&upload.bucket, &upload.key).await?;
        if state.intents.iter().any(|intent| intent.entry.write == write) {
            // Undecided: its parts are what resolution may need.
            return written;
        }
        match &written {
            Ok(_) => self.ledger.commit(vec![Change::DropUpload { id }]).await?,
            Err(_) => {
                // A part may still be on its way: in the lane it finds the upload given up, or is given up with it.
                let _lane = self.upload_lane(&upload.bucket, &upload.id).await;
                self.give_up_upload(upload.clone()).await.map_err(as_write)?;
            }
        }
        written
    }

    async fn stream_parts(self: &Arc<Self>, upload: &Upload, ask: PutAsk) -> Result<Written, WriteError> {
        let len = ask.body.len;
        let mut whole = WholeDigester::new(kinds(&ask.body.declared));
        let pieces = Arc::new(Mutex::new(Pieces { bytes: Some(ask.body.bytes), rest: Bytes::new() }));
        let mut sizes = Vec::new();
        let mut sending: Option<tokio::task::JoinHandle<Result<_, UploadError>>> = None;
        let mut at = 0;
        while at < len {
            let size = PART_BYTES.min(len - at);
            let digester = BodyDigester { whole, blocks: BlockDigester::new(size) };
            let (held, digester) = hold(take(&pieces, size), size, digester, &self.spool, &self.pool).await?;
            whole = digester.whole;
            sizes.push(size);
            at += size;
            if let Some(sent) = sending.take() {
                sent.await.map_err(broke_off)?.map_err(as_write)?;
            }
            let received = Received { held, md5: None, blocks: digester.blocks.finish(), checksums: vec![] };
            let (engine, upload, number) = (self.clone(), upload.clone(), sizes.len() as u32);
            sending = Some(tokio::spawn(async move { engine.store_part(upload, number, received).await }));
        }
        ended(&pieces, len).await?;
        let digests = whole.finish();
        let checksums = verify(ask.body.declared, &digests)?;
        if let Some(sent) = sending {
            sent.await.map_err(broke_off)?.map_err(as_write)?;
        }
        let parts = self.all_parts(&upload.id).await.map_err(as_write)?;
        let shown =
            Shown { etag: hex(&digests.md5), layout: Layout::Cut(sizes), checksums, conditions: ask.conditions };
        let _lane = self.upload_lane(&upload.bucket, &upload.id).await;
        self.finish_upload(upload.clone(), parts, shown).await.map_err(as_write)
    }

    /// Uploads of ours that a dead process left behind: what is decided goes, what is nowhere is given up.
    pub(crate) async fn tidy_internal(self: &Arc<Self>, upload: Upload) -> Result<(), WriteError> {
        let _lane = self.upload_lane(&upload.bucket, &upload.id).await;
        if upload.state == UploadState::Open && upload.began >= self.opened {
            // Its client is still sending.
            return Ok(());
        }
        let state = self.resolve_key(&upload.bucket, &upload.key).await?;
        if state.intents.iter().any(|intent| intent.entry.write == upload.write) {
            return Ok(());
        }
        if state.entry.is_some_and(|entry| entry.write == upload.write) {
            return Ok(self.ledger.commit(vec![Change::DropUpload { id: upload.id }]).await?);
        }
        self.give_up_upload(upload).await.map_err(as_write)
    }
}

/// The client's stream between two parts.
struct Pieces {
    bytes: Option<ClientStream>,
    /// What came with the last chunk and belongs to the next part.
    rest: Bytes,
}

/// Exactly the next `size` bytes as a stream of their own; shorter only when the client's ends.
fn take(pieces: &Arc<Mutex<Pieces>>, size: u64) -> ClientStream {
    let (bytes, rest) = {
        let mut pieces = pieces.lock().expect("no code panics while it holds the pieces");
        (pieces.bytes.take(), std::mem::take(&mut pieces.rest))
    };
    let pieces = pieces.clone();
    let state = (bytes, rest, size);
    futures_util::stream::unfold(state, move |(mut bytes, mut rest, left)| {
        let pieces = pieces.clone();
        async move {
            if left == 0 {
                let mut back = pieces.lock().expect("no code panics while it holds the pieces");
                (back.bytes, back.rest) = (bytes, rest);
                return None;
            }
            while rest.is_empty() {
                match bytes.as_mut()?.next().await? {
                    Ok(chunk) => rest = chunk,
                    Err(fault) => return Some((Err(fault), (None, Bytes::new(), left))),
                }
            }
            let piece = rest.split_to(rest.len().min(left as usize));
            let left = left - piece.len() as u64;
            Some((Ok(piece), (bytes, rest, left)))
        }
    })
    .boxed()
}

/// Nothing may come after the declared length; trailers are read with the end.
async fn ended(pieces: &Arc<Mutex<Pieces>>, len: u64) -> Result<(), BodyFault> {
    match take(pieces, 1).next().await {
        None => Ok(()),
        Some(Ok(_)) => Err(BodyFault::Long { expected: len }),
        Some(Err(fault)) => Err(fault),
    }
}

fn as_write(error: UploadError) -> WriteError {
    match error {
        UploadError::Write(error) => error,
        other => WriteError::NoQuorum(other.to_string()),
    }
}

fn broke_off(join: tokio::task::JoinError) -> WriteError {
    WriteError::NoQuorum(format!("a part broke off: {join}"))
}
