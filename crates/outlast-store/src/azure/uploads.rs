//! Uploads in parts. Azure keeps the parts of a blob beside the blob itself, and loses them with the next write to it; so they
//! are gathered under a name of ours, one per upload, and Complete is a copy from there to the key.
//!
//! `.outlast/uploads/<id>`: an empty blob with the upload's record as metadata, and parts as its uncommitted blocks.

use super::aside::Aside;
use super::call::{Ask, Caller};
use super::copies::Copying;
use super::dress::{item_of, put_item, put_properties};
use super::errors::Asked;
use super::listing::{Blob, Include};
use super::names::{self, UPLOADS};
use super::objects::{ANSWER_BYTES_MAX, pin_of};
use super::xml;
use crate::wire::{RECORD, Record, before, is_id, md5_header};
use crate::{Answer, Applied, At, Body, Dress, Fault, NativePart, StoreError};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::Method;
use http::header::HeaderValue;
use outlast_rules::{Fence, Pin};

/// 10,000 parts, each with its id and size, and as many that were sent again.
const BLOCKS_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Open uploads are few; a million pages of them are a mistake of the service.
const UPLOADS_PAGES_MAX: usize = 1_000;

/// All ids of one blob must have one length. The ETag, new with each attempt, is part of it: so exactly the attempt that
/// Complete names is taken.
fn block_id(number: u32, etag: &str) -> String {
    STANDARD.encode(format!("{number:05}-{etag}"))
}

fn part_of(id: &str, size: u64) -> Option<NativePart> {
    let text = String::from_utf8(STANDARD.decode(id).ok()?).ok()?;
    let (number, etag) = text.split_once('-')?;
    Some(NativePart { number: number.parse().ok()?, size, etag: etag.to_owned() })
}

impl Caller {
    pub async fn create_upload(&self, at: &At, dress: &Dress) -> Answer<String> {
        let (id, name) = self.name_aside();
        let mut ask = Ask::container("", Asked::Write { fenced: true }, Method::PUT, &at.bucket)
            .header("x-ms-blob-type", HeaderValue::from_static("BlockBlob"))
            .fence(Some(&Fence::Absent));
        ask.what = format!("create upload {}/{}", at.bucket, at.key);
        ask.name = name;
        self.put_record(&ask.what, at, dress, &mut ask.headers)?;
        self.send(ask).await?.read(ANSWER_BYTES_MAX).await?;
        Ok(id)
    }

    /// The open upload of this key, and the ETag of its blob.
    async fn open(&self, what: &str, at: &At, id: &str) -> Answer<(Record, Aside)> {
        let none = || self.trace(what).error(Fault::NoUpload, Applied::No, "there is no such upload");
        if !is_id(id) {
            return Err(none());
        }
        let name = format!("{UPLOADS}{id}");
        let mut ask = Ask::container(what, Asked::Read, Method::HEAD, &at.bucket);
        what.clone_into(&mut ask.what);
        ask.name.clone_from(&name);
        let (headers, trace) = match self.head(ask).await {
            Err(error) if error.fault == Fault::NoKey => return Err(StoreError { fault: Fault::NoUpload, ..error }),
            other => other?,
        };
        let etag = pin_of(&headers, &trace)?.etag;
        let record = item_of(&headers, RECORD).and_then(Record::parse).filter(|record| record.key == at.key);
        Ok((record.ok_or_else(none)?, Aside { name, etag }))
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
        let etag = self.ids().draw();
        let mut ask = Ask::container("", Asked::Write { fenced: false }, Method::PUT, &at.bucket)
            .query("comp", "block")
            .query("blockid", block_id(number, &etag));
        ask.what.clone_from(&what);
        ask.name = format!("{UPLOADS}{upload}");
        md5_header(md5, &mut ask.headers);
        ask.body = body;
        let sent = async { self.send(ask).await?.read(ANSWER_BYTES_MAX).await.map(|_| ()) };
        // Azure takes blocks for blobs that are not there. Those of an upload that is over go by themselves after a week.
        let (open, sent) = futures_util::future::join(self.open(&what, at, upload), sent).await;
        match (open, sent) {
            (Err(error), _) if error.fault == Fault::NoUpload => Err(error),
            (_, Err(error)) | (Err(error), Ok(())) => Err(error),
            (Ok(_), Ok(())) => Ok(etag),
        }
    }

    pub async fn complete_upload(
        &self,
        at: &At,
        upload: &str,
        parts: &[NativePart],
        fence: Option<&Fence>,
    ) -> Answer<Pin> {
        let what = format!("complete {}/{}", at.bucket, at.key);
        let (record, aside) = self.open(&what, at, upload).await.map_err(before)?;
        let aside = self.gather(&what, &at.bucket, &record, aside, parts).await.map_err(before)?;
        let name = names::there(&at.key);
        let copying =
            Copying { what: &what, from: (&at.bucket, &aside.name), pin: &aside.etag, to: (&at.bucket, &name), fence };
        match self.copy_blob(&copying, &record.dress()).await {
            Ok(pin) => {
                self.drop_aside(&at.bucket, &aside.name).await;
                Ok(pin)
            }
            // The source is gone, or is not what was gathered: another call has ended this upload.
            Err(error) if error.fault == Fault::NoKey || error.code.as_deref() == Some("SourceConditionNotMet") => {
                Err(StoreError { fault: Fault::NoUpload, ..error })
            }
            Err(error) => Err(error),
        }
    }

    /// The named parts, in order of their numbers, become the body of the upload's own blob.
    async fn gather(
        &self,
        what: &str,
        container: &str,
        record: &Record,
        aside: Aside,
        parts: &[NativePart],
    ) -> Answer<Aside> {
        if let Some(part) = parts.iter().find(|part| !is_id(&part.etag)) {
            let message = format!("part {} has no ETag of ours: {}", part.number, part.etag);
            return Err(self.trace(what).error(Fault::BadRequest, Applied::No, message));
        }
        let mut sorted: Vec<&NativePart> = parts.iter().collect();
        sorted.sort_by_key(|part| part.number);
        let ids: Vec<String> = sorted.iter().map(|part| block_id(part.number, &part.etag)).collect();
        let mut ask = Ask::container("", Asked::Write { fenced: true }, Method::PUT, container)
            .query("comp", "blocklist")
            .fence(Some(&Fence::Matches(aside.etag)));
        what.clone_into(&mut ask.what);
        ask.name.clone_from(&aside.name);
        put_properties(&record.head, &mut ask.headers);
        put_item(RECORD, &record.encode(), &mut ask.headers);
        ask.body = Body::Whole(Bytes::from(xml::block_list(&ids)));
        let answered = match self.send(ask).await {
            // Whoever was quicker has aborted it, or is completing it.
            Err(error) if error.fault == Fault::Precondition => {
                return Err(StoreError { fault: Fault::NoUpload, ..error });
            }
            other => other?,
        };
        let (_, headers, trace, _) = answered.read(ANSWER_BYTES_MAX).await?;
        Ok(Aside { name: aside.name, etag: pin_of(&headers, &trace)?.etag })
    }

    pub async fn abort_upload(&self, at: &At, upload: &str) -> Answer<()> {
        let what = format!("abort {}/{}", at.bucket, at.key);
        let (_, aside) = self.open(&what, at, upload).await.map_err(before)?;
        let mut ask = Ask::container("", Asked::Write { fenced: false }, Method::DELETE, &at.bucket);
        ask.what = what;
        ask.name = aside.name;
        match self.send(ask).await {
            Ok(answered) => answered.read(ANSWER_BYTES_MAX).await.map(|_| ()),
            Err(error) if error.fault == Fault::NoKey => Err(StoreError { fault: Fault::NoUpload, ..error }),
            Err(error) => Err(error),
        }
    }

    pub async fn list_parts(&self, at: &At, upload: &str) -> Answer<Vec<NativePart>> {
        let what = format!("list parts of {}/{}", at.bucket, at.key);
        let (_, aside) = self.open(&what, at, upload).await?;
        let mut ask = Ask::container("", Asked::Read, Method::GET, &at.bucket)
            .query("comp", "blocklist")
            .query("blocklisttype", "all");
        ask.what = what;
        ask.name = aside.name;
        let (_, _, trace, text) = self.send(ask).await?.read(BLOCKS_BYTES_MAX).await?;
        let mut parts: Vec<NativePart> = Vec::new();
        let (mut name, mut size) = (String::new(), 0);
        let read = xml::read(&text, "BlockList", |ended| match ended.path.last().map(String::as_str) {
            Some("Name") => ended.text.clone_into(&mut name),
            Some("Size") => size = ended.text.trim().parse().unwrap_or(0),
            Some("Block") => parts.extend(part_of(&name, size)),
            _ => {}
        });
        read.map_err(|why| trace.bad_answer(why))?;
        // Of several attempts of one process the last is the highest. Between processes no order is known; Complete names
        // the attempt that was acknowledged in any case.
        parts.sort_by(|a, b| (a.number, &a.etag).cmp(&(b.number, &b.etag)));
        parts.reverse();
        parts.dedup_by_key(|part| part.number);
        parts.reverse();
        Ok(parts)
    }

    pub async fn list_uploads(&self, bucket: &str) -> Answer<Vec<(String, String)>> {
        let mut uploads = Vec::new();
        let mut marker: Option<String> = None;
        for _ in 0..UPLOADS_PAGES_MAX {
            let (blobs, next) = self.blobs(bucket, UPLOADS, marker.as_deref(), Include::Metadata).await?;
            uploads.extend(blobs.into_iter().filter_map(|Blob { name, metadata, .. }| {
                let id = name.strip_prefix(UPLOADS).filter(|id| is_id(id))?;
                let record =
                    metadata.iter().find(|(name, _)| name == RECORD).and_then(|(_, text)| Record::parse(text))?;
                Some((record.key, id.to_owned()))
            }));
            if next.is_none() {
                return Ok(uploads);
            }
            marker = next;
        }
        Err(self.trace("list uploads").bad_answer("a list of uploads without end"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_read_back() {
        let etag = "0".repeat(32);
        let part = NativePart { number: 10_000, size: 7, etag: etag.clone() };
        assert_eq!(part_of(&block_id(10_000, &etag), 7), Some(part));
        assert_eq!(block_id(1, &etag).len(), block_id(10_000, &etag).len());
        assert_eq!(part_of("c29tZWJvZHkgZWxzZSdz", 7), None);
    }
}
