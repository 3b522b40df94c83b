//! Calls about one object: PUT, HEAD, GET, copy, DELETE, and the listing.

use super::call::{Ask, Caller, copy_source};
use super::dress::{put_dress, take_dress};
use super::errors::Asked;
use super::xml::{self, CopyResult, ListResult, VersionsResult};
use crate::wire::{
    ErrorDocument, Trace, bare, http_date, is_page, md5_header, number, parse_xml, quoted, shown, span_of, stream_of,
    xml_date,
};
use crate::{
    Answer, Applied, At, Body, ByteRange, ByteStream, Cause, CopyPage, Fault, Found, ListedCopy, ListedVersion,
    PutSpec, StoreError, VersionPage,
};
use http::Method;
use http::header::{CONTENT_LENGTH, ETAG, HeaderMap, HeaderName, HeaderValue, IF_MATCH, IF_NONE_MATCH, RANGE};
use outlast_rules::{Fence, Pin};

/// A page of 1,000 keys of 1,024 bytes, each byte escaped, with room for what vendors add to each.
pub(super) const LIST_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Answers that say a few words.
pub(super) const ANSWER_BYTES_MAX: usize = 64 * 1024;
const PAGE_MAX: &str = "1000";

const COPY_SOURCE: HeaderName = HeaderName::from_static("x-amz-copy-source");
const COPY_SOURCE_IF_MATCH: HeaderName = HeaderName::from_static("x-amz-copy-source-if-match");
const METADATA_DIRECTIVE: HeaderName = HeaderName::from_static("x-amz-metadata-directive");

pub(super) fn fence_headers(fence: Option<&Fence>, headers: &mut HeaderMap) {
    match fence {
        None => {}
        Some(Fence::Absent) => {
            headers.insert(IF_NONE_MATCH, HeaderValue::from_static("*"));
        }
        Some(Fence::Matches(etag)) => {
            headers.insert(IF_MATCH, quoted(etag));
        }
    }
}

fn etag_of(headers: &HeaderMap) -> Option<String> {
    headers.get(ETAG).and_then(|value| value.to_str().ok()).map(bare).filter(|etag| !etag.is_empty())
}

impl Caller {
    pub async fn put(&self, at: &At, spec: &PutSpec, body: Body) -> Answer<Pin> {
        let asked = Asked::Write { fenced: spec.fence.is_some() };
        let mut ask = Ask::new("put", asked, Method::PUT, &at.bucket, &at.key);
        self.dressed(&mut ask, spec)?;
        md5_header(spec.md5, &mut ask.headers);
        ask.body = body;
        let (_, headers, trace, _) = self.send(ask).await?.read(ANSWER_BYTES_MAX).await?;
        self.pin_of(&at.bucket, &headers, &trace)
    }

    fn dressed(&self, ask: &mut Ask<'_>, spec: &PutSpec) -> Answer<()> {
        put_dress(&spec.dress, &mut ask.headers, self.spelling())
            .map_err(|why| self.trace(&ask.what).error(Fault::BadRequest, Applied::NotSent, why))?;
        fence_headers(spec.fence.as_ref(), &mut ask.headers);
        Ok(())
    }

    pub async fn head_key(&self, at: &At, version: Option<&str>) -> Answer<Found> {
        let mut ask = Ask::new("head", Asked::HeadKey, Method::HEAD, &at.bucket, &at.key);
        if let Some(version) = version {
            ask = ask.query("versionId", version);
        }
        let (_, headers, trace, _) = self.send(ask).await?.read(ANSWER_BYTES_MAX).await?;
        let size = number(&headers, CONTENT_LENGTH).ok_or_else(|| trace.bad_answer("a HEAD without a length"))?;
        self.found(&at.bucket, &headers, size, &trace)
    }

    pub async fn get(&self, at: &At, pin: Option<&Pin>, range: Option<ByteRange>) -> Answer<(Found, ByteStream)> {
        let mut ask = Ask::new("get", Asked::Read, Method::GET, &at.bucket, &at.key);
        match pin {
            Some(Pin { version: Some(version), .. }) => ask = ask.query("versionId", version),
            Some(Pin { etag, version: None }) => {
                ask.headers.insert(IF_MATCH, quoted(etag));
            }
            None => {}
        }
        if let Some(range) = range {
            if range.start >= range.end {
                let message = format!("the range {}..{} is empty", range.start, range.end);
                return Err(self.trace(&ask.what).error(Fault::BadRequest, Applied::NotSent, message));
            }
            let value = format!("bytes={}-{}", range.start, range.end - 1);
            ask.headers.insert(RANGE, HeaderValue::try_from(value).expect("digits are a header value"));
        }
        let answered = self.send(ask).await?;
        let (start, end, size) = span_of(&answered, range).map_err(|why| answered.trace.bad_answer(why))?;
        let found = self.found(&at.bucket, &answered.headers, size, &answered.trace)?;
        // A store that ignores If-Match gives another copy with a 200.
        if let Some(pin) = pin
            && pin.etag != found.pin.etag
        {
            let message = format!("asked for {}, got {}", pin.etag, found.pin.etag);
            return Err(answered.trace.error(Fault::Precondition, Applied::No, message));
        }
        Ok((found, stream_of(answered, end - start)))
    }

    pub async fn copy(&self, from: &At, pin: &Pin, to: &At, spec: &PutSpec) -> Answer<Pin> {
        let asked = Asked::Write { fenced: spec.fence.is_some() };
        let mut ask = Ask::new("copy to", asked, Method::PUT, &to.bucket, &to.key);
        self.dressed(&mut ask, spec)?;
        let mut source = copy_source(&from.bucket, &self.spelling().there(&from.key));
        match &pin.version {
            Some(version) => {
                source.push_str("?versionId=");
                source.extend(percent_encoding::utf8_percent_encode(version, percent_encoding::NON_ALPHANUMERIC));
            }
            None => {
                ask.headers.insert(COPY_SOURCE_IF_MATCH, quoted(&pin.etag));
            }
        }
        ask.headers.insert(COPY_SOURCE, HeaderValue::try_from(source).expect("percent-encoded text is a header value"));
        ask.headers.insert(METADATA_DIRECTIVE, HeaderValue::from_static("REPLACE"));
        let (_, headers, trace, text) = self.send(ask).await?.read(ANSWER_BYTES_MAX).await?;
        let result: CopyResult = self.document(&trace, &text, "CopyObjectResult")?;
        Ok(self.unversioned().pin(&to.bucket, bare(&result.etag), &headers))
    }

    pub async fn delete(&self, at: &At, version: Option<&str>, fence: Option<&Fence>) -> Answer<()> {
        let asked = Asked::Write { fenced: fence.is_some() };
        let mut ask = Ask::new("delete", asked, Method::DELETE, &at.bucket, &at.key);
        if let Some(version) = version {
            ask = ask.query("versionId", version);
        }
        fence_headers(fence, &mut ask.headers);
        match self.send(ask).await {
            Ok(answered) => answered.read(ANSWER_BYTES_MAX).await.map(|_| ()),
            // Some stores say NoSuchKey or NoSuchVersion where S3 says 204: what was to go is gone.
            Err(error) if error.fault == Fault::NoKey && error.applied == Applied::No => Ok(()),
            Err(error) => Err(error),
        }
    }

    pub async fn list(&self, bucket: &str, prefix: &str, after: Option<&str>) -> Answer<CopyPage> {
        let mut ask = Ask::new("list", Asked::Read, Method::GET, bucket, "")
            .query("list-type", "2")
            .query("encoding-type", "url")
            .query("max-keys", PAGE_MAX);
        if !prefix.is_empty() {
            ask = ask.query("prefix", self.spelling().there(prefix));
        }
        if let Some(after) = after {
            ask = ask.query("continuation-token", after);
        }
        let (_, _, trace, text) = self.send(ask).await?.read(LIST_BYTES_MAX).await?;
        let result: ListResult = self.document(&trace, &text, "ListBucketResult")?;
        let encoding = result.encoding_type.as_deref();
        let mut copies = Vec::with_capacity(result.contents.len());
        for object in result.contents {
            copies.push(ListedCopy {
                key: self.spelling().here(xml::listed_key(&object.key, encoding).map_err(|why| trace.bad_answer(why))?),
                size: object.size,
                etag: bare(&object.etag),
                modified: object.last_modified.as_deref().and_then(xml_date),
            });
        }
        let next = if result.is_truncated { result.next_continuation_token } else { None };
        if result.is_truncated && (next.is_none() || next.as_deref() == after) {
            return Err(trace.bad_answer("a listing that goes on, but not where"));
        }
        Ok(CopyPage { copies, next })
    }

    /// The token names the last version of the page before: its key, and behind a zero byte, which no key holds, its id.
    pub async fn list_versions(&self, bucket: &str, prefix: &str, after: Option<&str>) -> Answer<VersionPage> {
        let mut ask = Ask::new("list versions of", Asked::Read, Method::GET, bucket, "")
            .query("versions", "")
            .query("encoding-type", "url")
            .query("max-keys", PAGE_MAX);
        if !prefix.is_empty() {
            ask = ask.query("prefix", self.spelling().there(prefix));
        }
        if let Some((key, version)) = after.and_then(|after| after.split_once('\0')) {
            ask = ask.query("key-marker", key).query("version-id-marker", version);
        }
        let (_, _, trace, text) = self.send(ask).await?.read(LIST_BYTES_MAX).await?;
        let result: VersionsResult = self.document(&trace, &text, "ListVersionsResult")?;
        let encoding = result.encoding_type.as_deref();
        let decoded = |key: &str| xml::listed_key(key, encoding).map_err(|why| trace.bad_answer(why));
        let mut versions = Vec::with_capacity(result.version.len());
        for one in result.version {
            versions.push(ListedVersion {
                key: self.spelling().here(decoded(&one.key)?),
                version: Some(one.version_id).filter(|id| !id.is_empty() && id != "null"),
                is_current: one.is_latest,
                size: one.size,
                etag: bare(&one.etag),
                modified: one.last_modified.as_deref().and_then(xml_date),
            });
        }
        if !result.is_truncated {
            return Ok(VersionPage { versions, next: None });
        }
        let key = decoded(result.next_key_marker.as_deref().unwrap_or_default())?;
        let next = format!("{key}\0{}", result.next_version_id_marker.unwrap_or_default());
        if key.is_empty() || after == Some(&next) {
            return Err(trace.bad_answer("a listing that goes on, but not where"));
        }
        Ok(VersionPage { versions, next: Some(next) })
    }

    fn pin_of(&self, bucket: &str, headers: &HeaderMap, trace: &Trace) -> Answer<Pin> {
        let etag = etag_of(headers).ok_or_else(|| trace.bad_answer("a success without an ETag"))?;
        Ok(self.unversioned().pin(bucket, etag, headers))
    }

    fn found(&self, bucket: &str, headers: &HeaderMap, size: u64, trace: &Trace) -> Answer<Found> {
        let modified = headers.get("last-modified").and_then(|value| value.to_str().ok()).and_then(http_date);
        Ok(Found {
            pin: self.pin_of(bucket, headers, trace)?,
            size,
            dress: take_dress(headers, self.spelling()),
            modified,
        })
    }

    /// A success's document. S3 may say `<Error>` inside a 200: then nothing is certain.
    pub fn document<T: serde::de::DeserializeOwned>(&self, trace: &Trace, text: &str, root: &str) -> Answer<T> {
        if let Some(error) = ErrorDocument::read(text) {
            let mut bad = trace.bad_answer(format!("a success that says: {}", shown(&error.message)));
            bad.code = Some(shown(&error.code));
            return Err(bad);
        }
        parse_xml(text, root).map_err(|why| {
            let cause = is_page(text).then_some(Cause::Page);
            StoreError { cause, ..trace.bad_answer(why) }
        })
    }
}
