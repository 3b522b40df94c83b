//! Native multipart uploads.

use super::call::{Ask, Caller};
use super::dress::put_dress;
use super::errors::Asked;
use super::objects::{ANSWER_BYTES_MAX, LIST_BYTES_MAX, fence_headers};
use super::xml::{self, CopyResult, InitiateResult, PartsResult, UploadsResult};
use crate::wire::{bare, md5_header};
use crate::{Answer, Applied, At, Body, Dress, Fault, NativePart};
use bytes::Bytes;
use http::Method;
use http::header::{CONTENT_TYPE, ETAG, HeaderValue};
use outlast_rules::{Fence, Pin};

/// 10,000 parts in pages of at most 1,000; stores may give smaller pages, but not for ever.
const PARTS_PAGES_MAX: usize = 1_000;
/// A million open uploads. Whoever has more has another problem, and would not fit into memory.
const UPLOADS_PAGES_MAX: usize = 1_000;

impl Caller {
    pub async fn create_upload(&self, at: &At, dress: &Dress) -> Answer<String> {
        let asked = Asked::Write { fenced: false };
        let mut ask = Ask::new("create upload", asked, Method::POST, &at.bucket, &at.key).query("uploads", "");
        put_dress(dress, &mut ask.headers, self.spelling())
            .map_err(|why| self.trace(&ask.what).error(Fault::BadRequest, Applied::NotSent, why))?;
        let (_, _, trace, text) = self.send(ask).await?.read(ANSWER_BYTES_MAX).await?;
        let result: InitiateResult = self.document(&trace, &text, "InitiateMultipartUploadResult")?;
        if result.upload_id.is_empty() {
            return Err(trace.bad_answer("an upload without an id"));
        }
        Ok(result.upload_id)
    }

    pub async fn put_part(
        &self,
        at: &At,
        upload: &str,
        number: u32,
        body: Body,
        md5: Option<[u8; 16]>,
    ) -> Answer<String> {
        let asked = Asked::Write { fenced: false };
        let mut ask = Ask::new(&format!("put part {number} of"), asked, Method::PUT, &at.bucket, &at.key)
            .query("partNumber", number.to_string())
            .query("uploadId", upload);
        md5_header(md5, &mut ask.headers);
        ask.body = body;
        let (_, headers, trace, _) = self.send(ask).await?.read(ANSWER_BYTES_MAX).await?;
        let etag = headers.get(ETAG).and_then(|value| value.to_str().ok()).map(bare).unwrap_or_default();
        if etag.is_empty() { Err(trace.bad_answer("a part without an ETag")) } else { Ok(etag) }
    }

    pub async fn complete_upload(
        &self,
        at: &At,
        upload: &str,
        parts: &[NativePart],
        fence: Option<&Fence>,
    ) -> Answer<Pin> {
        let asked = Asked::Write { fenced: fence.is_some() };
        let mut ask = Ask::new("complete", asked, Method::POST, &at.bucket, &at.key).query("uploadId", upload);
        fence_headers(fence, &mut ask.headers);
        ask.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/xml"));
        ask.body = Body::Whole(Bytes::from(xml::complete_document(parts)));
        let (_, headers, trace, text) = self.send(ask).await?.read(ANSWER_BYTES_MAX).await?;
        let result: CopyResult = self.document(&trace, &text, "CompleteMultipartUploadResult")?;
        Ok(self.unversioned().pin(&at.bucket, bare(&result.etag), &headers))
    }

    pub async fn abort_upload(&self, at: &At, upload: &str) -> Answer<()> {
        let asked = Asked::Write { fenced: false };
        let ask = Ask::new("abort", asked, Method::DELETE, &at.bucket, &at.key).query("uploadId", upload);
        self.send(ask).await?.read(ANSWER_BYTES_MAX).await.map(|_| ())
    }

    pub async fn list_parts(&self, at: &At, upload: &str) -> Answer<Vec<NativePart>> {
        let mut parts = Vec::new();
        let mut marker: Option<u32> = None;
        for _ in 0..PARTS_PAGES_MAX {
            let mut ask =
                Ask::new("list parts of", Asked::Read, Method::GET, &at.bucket, &at.key).query("uploadId", upload);
            if let Some(marker) = marker {
                ask = ask.query("part-number-marker", marker.to_string());
            }
            let (_, _, trace, text) = self.send(ask).await?.read(LIST_BYTES_MAX).await?;
            let result: PartsResult = self.document(&trace, &text, "ListPartsResult")?;
            parts.extend(result.part.into_iter().map(|part| NativePart {
                number: part.part_number,
                size: part.size,
                etag: bare(&part.etag),
            }));
            if !result.is_truncated {
                return Ok(parts);
            }
            match result.next_part_number_marker {
                Some(next) if marker.is_none_or(|before| next > before) => marker = Some(next),
                _ => return Err(trace.bad_answer("a list of parts that goes on, but not where")),
            }
        }
        Err(self.trace("list parts").bad_answer("a list of parts without end"))
    }

    pub async fn list_uploads(&self, bucket: &str) -> Answer<Vec<(String, String)>> {
        let mut uploads = Vec::new();
        let mut after: Option<(String, String)> = None;
        for _ in 0..UPLOADS_PAGES_MAX {
            let mut ask = Ask::new("list uploads of", Asked::Read, Method::GET, bucket, "")
                .query("uploads", "")
                .query("encoding-type", "url");
            if let Some((key, upload)) = &after {
                ask = ask.query("key-marker", key).query("upload-id-marker", upload);
            }
            let (_, _, trace, text) = self.send(ask).await?.read(LIST_BYTES_MAX).await?;
            let result: UploadsResult = self.document(&trace, &text, "ListMultipartUploadsResult")?;
            let encoding = result.encoding_type.as_deref();
            let decoded = |key: &str| xml::listed_key(key, encoding).map_err(|why| trace.bad_answer(why));
            for upload in result.upload {
                uploads.push((self.spelling().here(decoded(&upload.key)?), upload.upload_id));
            }
            if !result.is_truncated {
                return Ok(uploads);
            }
            let key = decoded(result.next_key_marker.as_deref().unwrap_or_default())?;
            let next = Some((key, result.next_upload_id_marker.unwrap_or_default()));
            if next == after {
                return Err(trace.bad_answer("a list of uploads that goes on, but not where"));
            }
            after = next;
        }
        Err(self.trace("list uploads").bad_answer("a list of uploads without end"))
    }
}
