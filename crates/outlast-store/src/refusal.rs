//! What our own stores say when they say no, before it is dressed with the store's name and the time spent.

use crate::{Applied, Body, Fault, Shared, StoreError};
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use outlast_rules::{Fence, StoreName};
use std::time::Duration;

/// One refusal, with S3's status and code so that every kind of store is read the same way.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Refusal {
    pub fault: Fault,
    pub applied: Applied,
    pub status: Option<u16>,
    pub code: Option<&'static str>,
    pub message: String,
}

impl Refusal {
    fn said(fault: Fault, status: u16, code: &'static str, message: impl Into<String>) -> Refusal {
        Refusal { fault, applied: Applied::No, status: Some(status), code: Some(code), message: message.into() }
    }

    pub fn no_key() -> Refusal {
        Refusal::said(Fault::NoKey, 404, "NoSuchKey", "there is no such key")
    }

    pub fn no_version() -> Refusal {
        Refusal::said(Fault::NoKey, 404, "NoSuchVersion", "there is no such version")
    }

    pub fn no_bucket() -> Refusal {
        Refusal::said(Fault::NoBucket, 404, "NoSuchBucket", "there is no such bucket")
    }

    pub fn no_upload() -> Refusal {
        Refusal::said(Fault::NoUpload, 404, "NoSuchUpload", "there is no such upload")
    }

    pub fn precondition() -> Refusal {
        Refusal::said(Fault::Precondition, 412, "PreconditionFailed", "something else lies there")
    }

    pub fn bucket_not_empty() -> Refusal {
        Refusal::said(Fault::BadRequest, 409, "BucketNotEmpty", "the bucket is not empty")
    }

    pub fn unsupported(what: &str) -> Refusal {
        Refusal::said(Fault::Unsupported, 501, "NotImplemented", what)
    }

    pub fn bad(status: u16, code: &'static str, message: impl Into<String>) -> Refusal {
        Refusal::said(Fault::BadRequest, status, code, message)
    }

    /// The body ended early or with an error; nothing was applied, and the store is not to blame.
    pub fn body(message: impl Into<String>) -> Refusal {
        Refusal { fault: Fault::Body, applied: Applied::No, status: None, code: None, message: message.into() }
    }

    pub fn short_body(got: u64, expected: u64) -> Refusal {
        Refusal::body(format!("the body ended after {got} of {expected} bytes"))
    }

    pub fn long_body(expected: u64) -> Refusal {
        Refusal::body(format!("the body goes on after its {expected} bytes"))
    }

    pub fn dressed(self, store: &StoreName, what: String, elapsed: Duration) -> StoreError {
        StoreError {
            store: store.clone(),
            what,
            fault: self.fault,
            applied: self.applied,
            status: self.status,
            code: self.code.map(str::to_owned),
            message: self.message,
            request_id: None,
            cause: None,
            elapsed,
        }
    }
}

/// Does the fence hold for what lies there now? `current` is its ETag; None: absent.
pub(crate) fn judge_fence(fence: Option<&Fence>, current: Option<&str>) -> Result<(), Refusal> {
    let holds = match (fence, current) {
        (None, _) | (Some(Fence::Absent), None) => true,
        (Some(Fence::Absent), Some(_)) | (Some(Fence::Matches(_)), None) => false,
        (Some(Fence::Matches(etag)), Some(current)) => etag == current,
    };
    if holds { Ok(()) } else { Err(Refusal::precondition()) }
}

/// The whole body in memory, its length checked.
pub(crate) async fn receive_whole(body: Body) -> Result<Bytes, Refusal> {
    let (len, mut stream) = match body {
        Body::Whole(bytes) | Body::Shared(Shared { bytes, .. }) => return Ok(bytes),
        Body::Stream { len, bytes } => (len, bytes),
    };
    let mut whole = BytesMut::new();
    while let Some(chunk) = stream.next().await {
        whole.extend_from_slice(&chunk.map_err(|e| Refusal::body(format!("the body broke off: {e}")))?);
        if whole.len() as u64 > len {
            return Err(Refusal::long_body(len));
        }
    }
    if (whole.len() as u64) < len {
        return Err(Refusal::short_body(whole.len() as u64, len));
    }
    Ok(whole.freeze())
}

/// `start..end` within `size` bytes; an end past the last byte is cut, a start past it is S3's 416.
pub(crate) fn fit_range(range: Option<crate::ByteRange>, size: u64) -> Result<(u64, u64), Refusal> {
    match range {
        None => Ok((0, size)),
        Some(range) if range.start >= range.end || range.start >= size => {
            Err(Refusal::bad(416, "InvalidRange", format!("{}..{} of {size} bytes", range.start, range.end)))
        }
        Some(range) => Ok((range.start, range.end.min(size))),
    }
}
