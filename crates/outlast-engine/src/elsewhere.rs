//! A copy made from other holders: read as it is sent, every block checked, cut as the client cut it where limits permit.

use crate::engine::Engine;
use crate::reading::{NoFirstByte, Reading};
use crate::seats::Seat;
use futures_util::StreamExt;
use outlast_rules::{BucketName, Digests, Entry, Key, Layout, Mutant, OpClass, Pin, broken};
use outlast_store::{Answer, Applied, At, Body, Fault, NativePart, PutSpec, StoreError};
use std::sync::Arc;
use std::time::Duration;

/// Bodies up to this size are sent whole, so that the store can check them before it applies them.
const WHOLE_COPY_MAX: u64 = 1024 * 1024;
/// Parts of an object that is too large for one PUT and was not cut by its client.
const PART_BYTES: u64 = 512 * 1024 * 1024;

/// Where the bytes come from and where they go.
pub(crate) struct Elsewhere<'a> {
    pub engine: &'a Arc<Engine>,
    pub seat: &'a Arc<Seat>,
    pub bucket: &'a BucketName,
    pub key: &'a Key,
    /// Its holders are the sources.
    pub entry: &'a Arc<Entry>,
    pub digests: Option<Arc<Digests>>,
    pub spooled: bool,
}

impl Elsewhere<'_> {
    /// One attempt. Nothing was applied unless the last call, and that alone, says so or leaves it open.
    pub async fn send(&self, at: &At, spec: PutSpec) -> Answer<Pin> {
        if let Some(parts) = self.cut() {
            return self.send_parts(at, &spec, &parts).await;
        }
        let body = self.body((0, self.entry.size)).await?;
        self.seat.watched(OpClass::Write, self.seat.store.put(at, &spec, body)).await
    }

    fn cut(&self) -> Option<Vec<u64>> {
        cut(self.seat, self.entry)
    }

    async fn send_parts(&self, at: &At, spec: &PutSpec, sizes: &[u64]) -> Answer<Pin> {
        let store = &self.seat.store;
        // Whatever fails before Complete has certainly not touched the key.
        let before = |error: StoreError| StoreError { applied: Applied::NotSent, ..error };
        let upload = self.seat.watched(OpClass::Write, store.create_upload(at, &spec.dress)).await.map_err(before)?;
        let mut parts = Vec::new();
        let mut start = 0;
        for (index, size) in sizes.iter().enumerate() {
            let number = index as u32 + 1;
            let sent = match self.body((start, start + size)).await {
                Ok(body) => self.seat.watched(OpClass::Write, store.put_part(at, &upload, number, body, None)).await,
                Err(error) => Err(error),
            };
            match sent {
                Ok(etag) => parts.push(NativePart { number, size: *size, etag }),
                Err(error) => {
                    self.drop_upload(at, &upload).await;
                    return Err(before(error));
                }
            }
            start += size;
        }
        let done = store.complete_upload(at, &upload, &parts, spec.fence.as_ref());
        let answer = self.seat.watched(OpClass::Write, done).await;
        if answer.as_ref().is_err_and(|error| error.applied != Applied::Unknown) {
            self.drop_upload(at, &upload).await;
        }
        answer
    }

    /// Parts cost money until they are dropped; what cannot be dropped now, the store's own clean-up or an operator drops.
    async fn drop_upload(&self, at: &At, upload: &str) {
        if let Err(error) = self.seat.watched(OpClass::Delete, self.seat.store.abort_upload(at, upload)).await {
            tracing::info!("{error}: an upload of ours stays there");
        }
    }

    /// Bytes from other holders. Without a first byte nothing is sent at all.
    async fn body(&self, range: (u64, u64)) -> Answer<Body> {
        let digests = self.digests.clone().filter(|_| !broken(Mutant::CopiedUnchecked));
        let entry = self.entry.clone();
        let mut reading = Reading::of_a_copy(self.engine, (self.bucket, self.key), entry, digests, self.spooled, range);
        if let Err(NoFirstByte::Missed(words) | NoFirstByte::Failed(words)) = reading.begin().await {
            return Err(self.no_source(words));
        }
        let len = range.1 - range.0;
        let bytes = reading.stream().map(|piece| piece.map_err(std::io::Error::other)).boxed();
        if len > WHOLE_COPY_MAX {
            return Ok(Body::Stream { len, bytes });
        }
        let pieces: Result<Vec<_>, _> = bytes.collect::<Vec<_>>().await.into_iter().collect();
        pieces.map(|pieces| Body::Whole(pieces.concat().into())).map_err(|error| self.no_source(error.to_string()))
    }

    fn no_source(&self, message: String) -> StoreError {
        let what = format!("copy {}/{}", self.bucket, self.key);
        let error = self.seat.silence(&what, Duration::ZERO);
        StoreError { fault: Fault::Body, applied: Applied::NotSent, message, ..error }
    }
}

/// All but the last have one size, and that is no larger.
fn are_alike(sizes: &[u64]) -> bool {
    sizes.split_last().is_none_or(|(last, others)| others.iter().all(|size| *size == others[0] && last <= size))
}

/// The sizes of the parts, if a copy made from elsewhere is made of parts: then its native ETag is the one that clients see,
/// and its commit call is Complete.
pub(crate) fn cut(seat: &Seat, entry: &Entry) -> Option<Vec<u64>> {
    let limits = seat.limits();
    let too_large = entry.size > limits.put_bytes_max;
    let fits = |sizes: &[u64]| {
        let all_but_last = &sizes[..sizes.len().saturating_sub(1)];
        sizes.len() <= limits.parts_max as usize
            && sizes.iter().all(|size| *size <= limits.part_bytes_max)
            && all_but_last.iter().all(|size| *size >= limits.part_bytes_min)
            && (!limits.parts_alike || are_alike(sizes))
    };
    match &entry.layout {
        // On a disk the ETag is our own in any case: one pass instead of two.
        Layout::Parts(sizes) | Layout::Cut(sizes) if fits(sizes) && !limits.never_given_up => Some(sizes.clone()),
        _ if too_large => {
            let whole = entry.size / PART_BYTES;
            let rest = entry.size % PART_BYTES;
            Some((0..whole).map(|_| PART_BYTES).chain((rest > 0).then_some(rest)).collect())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alike() {
        for (sizes, alike) in [
            (&[][..], true),
            (&[7], true),
            (&[5, 1], true),
            (&[5, 5, 5], true),
            (&[5, 6, 1], false),
            (&[5, 5, 6], false),
        ] {
            assert_eq!(are_alike(sizes), alike, "{sizes:?}");
        }
    }
}
