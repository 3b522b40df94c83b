//! Uploads in parts. The service has none over JSON: a resumable upload takes bytes in order only, and of one sender. So each
//! part is an object of ours, and Complete composes them into the key.
//!
//! `.outlast/uploads/<id>/record`: empty, what the upload is of as metadata. `.outlast/uploads/<id>/<number>-<attempt>`: a part.
//! `.outlast/uploads/<id>/+<level>-<number>`: parts composed already, on the way to one object. Both say their key as metadata,
//! so that what a process that died has left can be found and aborted.

use super::call::{ANSWER_BYTES_MAX, Ask, Caller, object_path};
use super::dress::{Shown, Told};
use super::errors::Asked;
use super::listing::Include;
use super::names::UPLOADS;
use super::objects::pin_of;
use crate::wire::{NO_TYPE, RECORD, Record, Trace, before, is_id};
use crate::{Answer, Applied, At, Body, Dress, Fault, NativePart, StoreError};
use futures_util::{StreamExt, TryStreamExt, stream};
use http::Method;
use outlast_rules::{Fence, Pin};
use serde::Serialize;
use std::collections::BTreeMap;

/// cloud.google.com, "Composite objects".
const COMPOSED_MAX: usize = 32;
/// Composing and removing: enough to hide the way there and back, few enough not to be throttled.
const AT_ONCE: usize = 8;
/// Open uploads are few; a million pages of them are a mistake of the service.
const PAGES_MAX: usize = 1_000;

/// What an object of ours is on the way to.
fn record_of(shown: &Shown) -> Option<Record> {
    Record::parse(shown.metadata.get(RECORD)?)
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Compose<'a> {
    source_objects: Vec<Source<'a>>,
    destination: &'a Told,
}

#[derive(Debug, Serialize)]
struct Source<'a> {
    name: &'a str,
}

/// An object of ours on the way to this key.
fn aside(key: &str) -> Told {
    let metadata = [(RECORD.to_owned(), Record::of(key, &Dress::default()).encode())].into();
    Told { content_type: NO_TYPE.to_owned(), metadata, ..Told::default() }
}

fn record_name(id: &str) -> String {
    format!("{UPLOADS}{id}/record")
}

/// The ETag is new with each attempt: so exactly the attempt that Complete names is taken, and no part is ever overwritten.
fn part_name(id: &str, number: u32, etag: &str) -> String {
    format!("{UPLOADS}{id}/{number:05}-{etag}")
}

fn part_of(name: &str, id: &str, size: &str) -> Option<NativePart> {
    let (number, etag) = name.strip_prefix(UPLOADS)?.strip_prefix(id)?.strip_prefix('/')?.split_once('-')?;
    // What is composed already has a number of its own behind the hyphen.
    is_id(etag).then_some(())?;
    Some(NativePart { number: number.parse().ok()?, size: size.parse().ok()?, etag: etag.to_owned() })
}

impl Caller {
    pub async fn create_upload(&self, at: &At, dress: &Dress) -> Answer<String> {
        let what = format!("create upload {}/{}", at.bucket, at.key);
        self.name_of(&what, &at.key)?;
        let record = Record::of(&at.key, dress).encode_to_fit();
        let record = record.map_err(|why| self.trace(&what).error(Fault::BadRequest, Applied::NotSent, why))?;
        let id = self.ids().draw();
        let mut told = Told { content_type: NO_TYPE.to_owned(), ..Told::default() }.named(&record_name(&id));
        told.metadata.insert(RECORD.to_owned(), record);
        let body = Body::Whole(bytes::Bytes::new());
        let ask = self.insert(&what, &at.bucket, &told, body).fence(Some(&Fence::Absent));
        self.tell::<Shown>(ask, ANSWER_BYTES_MAX).await?;
        Ok(id)
    }

    /// The open upload of this key.
    async fn open(&self, what: &str, at: &At, id: &str) -> Answer<Record> {
        let none = |trace: &Trace| trace.error(Fault::NoUpload, Applied::No, "there is no such upload");
        if !is_id(id) {
            return Err(none(&self.trace(what)));
        }
        match self.shown(what, &at.bucket, &record_name(id), None).await {
            Ok((shown, trace)) => record_of(&shown).filter(|record| record.key == at.key).ok_or_else(|| none(&trace)),
            Err(error) if error.fault == Fault::NoKey => Err(StoreError { fault: Fault::NoUpload, ..error }),
            Err(error) => Err(error),
        }
    }

    pub async fn put_part(
        &self,
        at: &At,
        upload: &str,
        number: u32,
        body: Body,
        md5: Option<[u8; 16]>,
    ) -> Answer<String> {
        let what = format!("put part {number} of {}/{}", at.bucket, at.key);
        self.open(&what, at, upload).await.map_err(before)?;
        let etag = self.ids().draw();
        let name = part_name(upload, number, &etag);
        let told = aside(&at.key).md5(md5).named(&name);
        let ask = self.insert(&what, &at.bucket, &told, body).fence(Some(&Fence::Absent));
        self.tell::<Shown>(ask, ANSWER_BYTES_MAX).await?;
        Ok(etag)
    }

    pub async fn complete_upload(
        &self,
        at: &At,
        upload: &str,
        parts: &[NativePart],
        fence: Option<&Fence>,
    ) -> Answer<Pin> {
        let what = format!("complete {}/{}", at.bucket, at.key);
        let record = self.open(&what, at, upload).await.map_err(before)?;
        let to = self.name_of(&what, &at.key)?;
        if let Some(part) = parts.iter().find(|part| !is_id(&part.etag)) {
            let message = format!("part {} has no ETag of ours: {}", part.number, part.etag);
            return Err(self.trace(&what).error(Fault::BadRequest, Applied::No, message));
        }
        let mut sorted: Vec<&NativePart> = parts.iter().collect();
        sorted.sort_by_key(|part| part.number);
        let mut names: Vec<String> = sorted.iter().map(|part| part_name(upload, part.number, &part.etag)).collect();
        let mut level = 0;
        while names.len() > COMPOSED_MAX {
            names = self.gathered(&what, at, upload, &names, level).await.map_err(before)?;
            level += 1;
        }
        let answer = self.compose(&what, &at.bucket, &names, &to, &Told::of(&record.dress()), fence).await;
        match answer {
            Ok(pin) => {
                self.drop_upload(&what, &at.bucket, upload).await;
                Ok(pin)
            }
            Err(error) if error.fault == Fault::NoKey => Err(self.missing(&what, at, upload, error).await),
            Err(error) => Err(error),
        }
    }

    /// What a Complete meant that found something missing: the upload, or one of the parts that were named.
    async fn missing(&self, what: &str, at: &At, upload: &str, error: StoreError) -> StoreError {
        match self.open(what, at, upload).await {
            Err(gone) if gone.fault == Fault::NoUpload => gone,
            _ => StoreError {
                fault: Fault::BadRequest,
                message: format!("a part is not there: {}", error.message),
                ..error
            },
        }
    }

    /// Runs of parts, each composed into one.
    async fn gathered(&self, what: &str, at: &At, upload: &str, names: &[String], level: u32) -> Answer<Vec<String>> {
        let told = &aside(&at.key);
        let runs = names.chunks(COMPOSED_MAX).enumerate().map(|(run, names)| async move {
            let to = format!("{UPLOADS}{upload}/+{level}-{run:05}");
            match self.compose(what, &at.bucket, names, &to, told, None).await {
                Ok(_) => Ok(to),
                Err(error) if error.fault == Fault::NoKey => Err(self.missing(what, at, upload, error).await),
                Err(error) => Err(error),
            }
        });
        let runs: Vec<_> = runs.collect();
        stream::iter(runs).buffered(AT_ONCE).try_collect().await
    }

    async fn compose(
        &self,
        what: &str,
        bucket: &str,
        from: &[String],
        to: &str,
        told: &Told,
        fence: Option<&Fence>,
    ) -> Answer<Pin> {
        let path = format!("{}/compose", object_path(bucket, to));
        let source_objects = from.iter().map(|name| Source { name }).collect();
        let compose = Compose { source_objects, destination: told };
        let ask = Ask::new(what, Asked::WRITE, Method::POST, path).fence(fence).json(&compose);
        let (shown, trace) = self.tell::<Shown>(ask, ANSWER_BYTES_MAX).await?;
        pin_of(&shown, &trace)
    }

    async fn drop_parts(&self, what: &str, bucket: &str, upload: &str) -> Answer<()> {
        let prefix = format!("{UPLOADS}{upload}/");
        for _ in 0..PAGES_MAX {
            let (items, next) = self.objects(what, bucket, &prefix, None, None, Include::Nothing).await?;
            let record = record_name(upload);
            let parts = items.iter().filter(|item| item.name != record);
            let removals = parts.map(|item| async move {
                match self.remove(what, bucket, &item.name, None).await {
                    Err(error) if error.fault != Fault::NoKey => Err(error),
                    _ => Ok(()),
                }
            });
            let removals: Vec<_> = removals.collect();
            stream::iter(removals).buffer_unordered(AT_ONCE).try_collect::<Vec<()>>().await?;
            if next.is_none() {
                return Ok(());
            }
        }
        Err(self.trace(what).bad_answer("parts without end"))
    }

    /// What cannot be removed now is listed as an open upload, and removed as one.
    async fn drop_upload(&self, what: &str, bucket: &str, upload: &str) {
        let dropped = async {
            self.drop_parts(what, bucket, upload).await?;
            self.remove(what, bucket, &record_name(upload), None).await
        };
        match dropped.await {
            Err(error) if error.fault != Fault::NoKey => tracing::info!("{error}: it stays there as an open upload"),
            _ => {}
        }
    }

    /// The record first, so that whoever misses a part afterwards finds the upload gone. Without its parts no Complete can succeed
    /// any more, whenever it was sent.
    pub async fn abort_upload(&self, at: &At, upload: &str) -> Answer<()> {
        let what = format!("abort {}/{}", at.bucket, at.key);
        let open = self.open(&what, at, upload).await.map_err(before);
        if open.as_ref().is_err_and(|error| error.fault != Fault::NoUpload || !is_id(upload)) {
            return open.map(drop);
        }
        let ended = match self.remove(&what, &at.bucket, &record_name(upload), None).await {
            Err(error) if error.fault == Fault::NoKey => Err(StoreError { fault: Fault::NoUpload, ..error }),
            other => other,
        };
        self.drop_parts(&what, &at.bucket, upload).await?;
        open.map(drop).and(ended)
    }

    pub async fn list_parts(&self, at: &At, upload: &str) -> Answer<Vec<NativePart>> {
        let what = format!("list parts of {}/{}", at.bucket, at.key);
        self.open(&what, at, upload).await?;
        let prefix = format!("{UPLOADS}{upload}/");
        let mut attempts: Vec<(Option<u64>, NativePart)> = Vec::new();
        let mut token: Option<String> = None;
        for _ in 0..PAGES_MAX {
            let (items, next) =
                self.objects(&what, &at.bucket, &prefix, None, token.as_deref(), Include::Nothing).await?;
            let seen = items
                .iter()
                .filter_map(|item| Some((item.generation.parse().ok(), part_of(&item.name, upload, &item.size)?)));
            attempts.extend(seen);
            if next.is_none() {
                // Of several attempts the newest counts; generations grow with time.
                attempts.sort_by_key(|(generation, part)| (part.number, std::cmp::Reverse(*generation)));
                attempts.dedup_by_key(|(_, part)| part.number);
                return Ok(attempts.into_iter().map(|(_, part)| part).collect());
            }
            token = next;
        }
        Err(self.trace(&what).bad_answer("a list of parts without end"))
    }

    pub async fn list_uploads(&self, bucket: &str) -> Answer<Vec<(String, String)>> {
        let what = format!("list uploads of {bucket}");
        let mut uploads: BTreeMap<String, String> = BTreeMap::new();
        let mut token: Option<String> = None;
        for _ in 0..PAGES_MAX {
            let (items, next) = self.objects(&what, bucket, UPLOADS, None, token.as_deref(), Include::Metadata).await?;
            uploads.extend(items.iter().filter_map(|item| {
                let id = item.name.strip_prefix(UPLOADS)?.split('/').next().filter(|id| is_id(id))?;
                Some((id.to_owned(), record_of(item)?.key))
            }));
            if next.is_none() {
                return Ok(uploads.into_iter().map(|(id, key)| (key, id)).collect());
            }
            token = next;
        }
        Err(self.trace(&what).bad_answer("a list of uploads without end"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_read_back() {
        let (id, etag) = ("1".repeat(32), "0".repeat(32));
        let part = NativePart { number: 10_000, size: 7, etag: etag.clone() };
        assert_eq!(part_of(&part_name(&id, 10_000, &etag), &id, "7"), Some(part));
        for other in [record_name(&id), format!("{UPLOADS}{id}/+0-00001"), part_name(&etag, 1, &etag)] {
            assert_eq!(part_of(&other, &id, "7"), None, "{other}");
        }
    }
}
