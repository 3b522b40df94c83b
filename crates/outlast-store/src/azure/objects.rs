//! Calls about one object: PUT, HEAD, GET, DELETE.

use super::call::{Ask, Caller};
use super::dress::{put_metadata, put_properties, take_dress};
use super::errors::Asked;
use crate::wire::{Answered, Trace, bare, http_date, md5_header, number, quoted, span_of, stream_of};
use crate::{Answer, Applied, At, Body, ByteRange, ByteStream, Fault, Found, PutSpec};
use http::Method;
use http::header::{CONTENT_LENGTH, CONTENT_RANGE, ETAG, HeaderMap, HeaderValue, IF_MATCH, LAST_MODIFIED, RANGE};
use outlast_rules::{Fence, Pin};

/// Answers that say a few words.
pub(super) const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// No blob has this ETag.
const NEVER: &str = "0x0";

pub(super) fn pin_of(headers: &HeaderMap, trace: &Trace) -> Answer<Pin> {
    let etag = headers.get(ETAG).and_then(|value| value.to_str().ok()).map(bare).filter(|etag| !etag.is_empty());
    let etag = etag.ok_or_else(|| trace.bad_answer("a success without an ETag"))?;
    // An account that keeps versions says their ids; they are not used (docs/decisions/0012-azure.md).
    Ok(Pin { etag, version: None })
}

impl Caller {
    pub async fn put(&self, at: &At, spec: &PutSpec, body: Body) -> Answer<Pin> {
        let asked = Asked::Write { fenced: spec.fence.is_some() };
        let mut ask = Ask::key("put", asked, Method::PUT, &at.bucket, &at.key)
            .header("x-ms-blob-type", HeaderValue::from_static("BlockBlob"))
            .fence(spec.fence.as_ref());
        put_properties(&spec.dress.head, &mut ask.headers);
        put_metadata(&spec.dress, &mut ask.headers);
        md5_header(spec.md5, &mut ask.headers);
        ask.body = body;
        let (_, headers, trace, _) = self.send(ask).await?.read(ANSWER_BYTES_MAX).await?;
        pin_of(&headers, &trace)
    }

    pub async fn head_key(&self, at: &At) -> Answer<Found> {
        let ask = Ask::key("head", Asked::Read, Method::HEAD, &at.bucket, &at.key);
        let (headers, trace) = self.head(ask).await?;
        let size = number(&headers, CONTENT_LENGTH).ok_or_else(|| trace.bad_answer("a HEAD without a length"))?;
        found(&headers, size, &trace)
    }

    pub async fn head(&self, ask: Ask<'_>) -> Answer<(HeaderMap, Trace)> {
        let (_, headers, trace, _) = self.send(ask).await?.read(ANSWER_BYTES_MAX).await?;
        Ok((headers, trace))
    }

    pub async fn get(&self, at: &At, pin: Option<&Pin>, range: Option<ByteRange>) -> Answer<(Found, ByteStream)> {
        let mut ask = Ask::key("get", Asked::Read, Method::GET, &at.bucket, &at.key);
        if let Some(pin) = pin {
            self.unversioned(&ask.what, pin.version.as_deref())?;
            ask.headers.insert(IF_MATCH, quoted(&pin.etag));
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
        if let Some(range) = range
            && begins_past_the_end(&answered, range)
        {
            let message = format!("the range {}..{} begins past the end", range.start, range.end);
            return Err(answered.trace.error(Fault::BadRequest, Applied::No, message));
        }
        let (start, end, size) = span_of(&answered, range).map_err(|why| answered.trace.bad_answer(why))?;
        let found = found(&answered.headers, size, &answered.trace)?;
        if let Some(pin) = pin
            && pin.etag != found.pin.etag
        {
            let message = format!("asked for {}, got {}", pin.etag, found.pin.etag);
            return Err(answered.trace.error(Fault::Precondition, Applied::No, message));
        }
        Ok((found, stream_of(answered, end - start)))
    }

    pub async fn delete(&self, at: &At, version: Option<&str>, fence: Option<&Fence>) -> Answer<()> {
        let asked = Asked::Write { fenced: fence.is_some() };
        let ask = Ask::key("delete", asked, Method::DELETE, &at.bucket, &at.key);
        if version.is_none() {
            return self.gone(ask.fence(fence)).await;
        }
        // No version is ever there, so it is gone; but only who may delete is told so.
        match self.gone(ask.fence(Some(&Fence::Matches(NEVER.to_owned())))).await {
            Err(error) if error.fault == Fault::Precondition => Ok(()),
            other => other,
        }
    }

    /// What was not there is gone too.
    pub async fn gone(&self, ask: Ask<'_>) -> Answer<()> {
        match self.send(ask).await {
            Ok(answered) => answered.read(ANSWER_BYTES_MAX).await.map(|_| ()),
            Err(error) if error.fault == Fault::NoKey && error.applied == Applied::No => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// No version is ever there, whatever is current.
    pub async fn head_version(&self, at: &At, version: &str) -> Answer<Found> {
        self.head_key(at).await?;
        let trace = self.trace(&format!("head {}/{}", at.bucket, at.key));
        Err(trace.error(Fault::NoKey, Applied::No, format!("there is no version {version}: they are not used here")))
    }

    /// No pin of ours has a version here: whoever asks for one means another store, and must not get what is current.
    pub fn unversioned(&self, what: &str, version: Option<&str>) -> Answer<()> {
        match version {
            None => Ok(()),
            Some(_) => {
                let message = "versions of Azure blobs are not used";
                Err(self.trace(what).error(Fault::Unsupported, Applied::NotSent, message))
            }
        }
    }
}

/// Azurite answers a range that begins exactly at the end with a part of nothing.
fn begins_past_the_end(answered: &Answered, range: ByteRange) -> bool {
    let size = answered.text_of(CONTENT_RANGE.as_str()).and_then(|text| text.rsplit('/').next()?.parse::<u64>().ok());
    size.is_some_and(|size| range.start >= size)
}

pub(super) fn found(headers: &HeaderMap, size: u64, trace: &Trace) -> Answer<Found> {
    let mut dress = take_dress(headers);
    match headers.get("x-ms-copy-status").map(HeaderValue::as_bytes) {
        // Its bytes are still on their way: neither there nor absent.
        Some(b"pending") => {
            let message = "the service is still copying it";
            return Err(trace.error(Fault::Server, Applied::No, message));
        }
        // What a copy that failed leaves has the stamp of what it should have become.
        Some(b"failed" | b"aborted") => dress.stamp = None,
        _ => {}
    }
    let modified = headers.get(LAST_MODIFIED).and_then(|value| value.to_str().ok()).and_then(http_date);
    Ok(Found { pin: pin_of(headers, trace)?, size, dress, modified })
}
