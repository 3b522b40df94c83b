//! What an answer that is no success means: its class, and whether the call may have been applied (protocol.md 1).

use crate::wire::{ErrorDocument, Refused, Words, certainly_not, fault_by_status};
use crate::{Applied, Cause, Fault};
use http::StatusCode;

/// What was asked, as far as it matters to judge the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asked {
    /// GET: answers errors with a document.
    Read,
    /// HEAD of a key: answers without a body.
    HeadKey,
    /// HEAD of a bucket.
    HeadBucket,
    /// Changes something.
    Write { fenced: bool },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Verdict {
    pub fault: Fault,
    pub applied: Applied,
}

/// Reads an answer that is not 2xx.
pub(super) fn words_of(refused: &Refused<'_>, asked: Asked, throttled_is_refused: bool) -> Words {
    let document = ErrorDocument::read(refused.text);
    // S3 answers HEAD of a hidden key with 405 or 404 and says so.
    let marked = refused.headers.get("x-amz-delete-marker").is_some_and(|value| value == "true");
    let Verdict { fault, applied } = judge(refused.status, document.as_ref(), asked, throttled_is_refused);
    let fault = if marked && asked == Asked::HeadKey { Fault::NoKey } else { fault };
    let cause = region_of(refused, document.as_ref()).map(Cause::Region);
    match document {
        None => Words { fault, applied, code: None, message: None, request_id: None, cause },
        Some(ErrorDocument { code, message, request_id, .. }) => {
            let message = if message.is_empty() { code.clone() } else { message };
            Words { fault, applied, code: Some(code), message: Some(message), request_id, cause }
        }
    }
}

/// The region in which the service would answer, where it says so instead of answering.
fn region_of(refused: &Refused<'_>, document: Option<&ErrorDocument>) -> Option<String> {
    let of_region = match document.map(|document| document.code.as_str()) {
        Some("AuthorizationHeaderMalformed" | "PermanentRedirect" | "TemporaryRedirect") => true,
        Some(_) => false,
        None => matches!(refused.status.as_u16(), 301 | 307 | 400),
    };
    if !of_region {
        return None;
    }
    let header = refused.headers.get("x-amz-bucket-region").and_then(|value| value.to_str().ok());
    let document = document.map(|document| (document.region.as_deref(), document.message.as_str()));
    let region = header.or_else(|| document.and_then(|(region, message)| region.or_else(|| in_words(message))))?;
    // It is to be typed by somebody: nothing is passed on that is no region's name.
    let is_name =
        !region.is_empty() && region.len() <= 64 && region.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
    is_name.then(|| region.to_owned())
}

/// Amazon: `the region 'us-east-1' is wrong; expecting 'eu-west-1'`. Garage: the whole scope that it expected.
fn in_words(message: &str) -> Option<&str> {
    if let Some((_, rest)) = message.split_once("expecting '") {
        return rest.split('\'').next();
    }
    let (_, scope) = message.rsplit_once("expected: ")?;
    let parts: Vec<&str> = scope.trim_matches(|c: char| !c.is_ascii_alphanumeric()).split('/').collect();
    match parts[..] {
        [_date, region, "s3", "aws4_request"] => Some(region),
        _ => None,
    }
}

/// Judges an answer that is not 2xx. `document` is the store's own, whole error document.
pub(super) fn judge(
    status: StatusCode,
    document: Option<&ErrorDocument>,
    asked: Asked,
    throttled_is_refused: bool,
) -> Verdict {
    let code = document.map(|document| document.code.as_str());
    let fault = fault_of(status, code, asked);
    let own_words = document.is_some();
    let no = match status.as_u16() {
        429 | 503 => own_words && throttled_is_refused && fault == Fault::Throttled,
        501 => code == Some("NotImplemented"),
        _ => certainly_not(status, own_words, matches!(asked, Asked::Write { .. })),
    };
    Verdict { fault, applied: if no { Applied::No } else { Applied::Unknown } }
}

fn fault_of(status: StatusCode, code: Option<&str>, asked: Asked) -> Fault {
    match code {
        Some("NoSuchBucket") => Fault::NoBucket,
        Some("NoSuchUpload") => Fault::NoUpload,
        // If-Match on a key that is not there: the condition failed.
        Some("NoSuchKey") if asked == (Asked::Write { fenced: true }) => Fault::Precondition,
        Some("NoSuchKey" | "NoSuchVersion") => Fault::NoKey,
        Some("RequestTimeTooSkewed") => Fault::ClockSkew,
        Some("RequestTimeout") => Fault::Timeout,
        Some("ConditionalRequestConflict" | "PreconditionFailed") => Fault::Precondition,
        Some("OperationAborted") if asked == (Asked::Write { fenced: true }) => Fault::Precondition,
        Some("SlowDown" | "ServerBusy" | "TooManyRequests" | "SlowDownRead" | "SlowDownWrite") => Fault::Throttled,
        Some("NotImplemented") => Fault::Unsupported,
        Some("QuotaExceeded" | "InsufficientCapacity" | "XMinioStorageFull" | "XMinioAdminBucketQuotaExceeded") => {
            Fault::Full
        }
        Some("InvalidAccessKeyId" | "SignatureDoesNotMatch" | "AccountProblem" | "AccessDenied" | "ExpiredToken") => {
            Fault::Denied
        }
        _ => by_status(status, code.is_some(), asked),
    }
}

fn by_status(status: StatusCode, own_words: bool, asked: Asked) -> Fault {
    match (status, asked) {
        // A HEAD cannot say what is missing. Absence of the key is the likelier; the engine never trusts one store's.
        (StatusCode::NOT_FOUND, Asked::HeadKey) => Fault::NoKey,
        (StatusCode::NOT_FOUND, Asked::HeadBucket) => Fault::NoBucket,
        _ => fault_by_status(status, own_words),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn check(status: u16, code: &str, asked: Asked, fault: Fault, applied: Applied) {
        let document = ErrorDocument { code: code.to_owned(), ..ErrorDocument::default() };
        let document = if code.is_empty() { None } else { Some(&document) };
        let status = StatusCode::from_u16(status).expect("a status");
        assert_eq!(judge(status, document, asked, false), Verdict { fault, applied }, "{status} {code:?} {asked:?}");
    }

    #[test]
    fn outcomes() {
        use Applied::{No, Unknown};
        let put = Asked::Write { fenced: false };
        let fenced = Asked::Write { fenced: true };
        check(403, "AccessDenied", put, Fault::Denied, No);
        check(403, "", put, Fault::Denied, Unknown);
        check(403, "RequestTimeTooSkewed", put, Fault::ClockSkew, No);
        check(403, "AccountProblem", put, Fault::Denied, No);
        check(402, "PaymentRequired", put, Fault::Denied, No);
        check(404, "NoSuchBucket", put, Fault::NoBucket, No);
        check(404, "NoSuchKey", fenced, Fault::Precondition, No);
        check(404, "NoSuchKey", Asked::Read, Fault::NoKey, No);
        check(404, "NoSuchUpload", put, Fault::NoUpload, No);
        check(404, "", Asked::Read, Fault::BadAnswer, No);
        check(412, "", Asked::Read, Fault::Precondition, No);
        check(404, "", Asked::HeadKey, Fault::NoKey, No);
        check(404, "", Asked::HeadBucket, Fault::NoBucket, No);
        check(408, "RequestTimeout", put, Fault::Timeout, Unknown);
        check(400, "RequestTimeout", put, Fault::Timeout, No);
        check(409, "ConditionalRequestConflict", fenced, Fault::Precondition, No);
        check(409, "OperationAborted", fenced, Fault::Precondition, No);
        check(409, "BucketNotEmpty", put, Fault::BadRequest, No);
        check(412, "PreconditionFailed", fenced, Fault::Precondition, No);
        check(412, "", fenced, Fault::Precondition, Unknown);
        check(429, "TooManyRequests", put, Fault::Throttled, Unknown);
        check(499, "", put, Fault::Timeout, Unknown);
        check(301, "PermanentRedirect", put, Fault::BadRequest, No);
        check(307, "", put, Fault::BadRequest, No);
        check(500, "InternalError", put, Fault::Server, Unknown);
        check(501, "NotImplemented", put, Fault::Unsupported, No);
        check(501, "", put, Fault::Unsupported, Unknown);
        check(503, "SlowDown", put, Fault::Throttled, Unknown);
        check(503, "ServiceUnavailable", put, Fault::Server, Unknown);
        check(503, "", put, Fault::Server, Unknown);
        check(507, "XMinioStorageFull", put, Fault::Full, Unknown);
    }

    #[test]
    fn regions() {
        let check = |status: u16, header: Option<&'static str>, code: &str, inside: &str, region: Option<&str>| {
            let headers =
                header.map(|name| ("x-amz-bucket-region".parse().expect("a name"), HeaderValue::from_static(name)));
            let text = format!("<Error><Code>{code}</Code>{inside}</Error>");
            let text = if code.is_empty() { "" } else { &text };
            let status = StatusCode::from_u16(status).expect("a status");
            let refused = Refused { status, headers: &headers.into_iter().collect(), text };
            let words = words_of(&refused, Asked::Read, false);
            assert_eq!(words.cause, region.map(|name| Cause::Region(name.to_owned())), "{status} {code} {inside}");
        };
        let eu = Some("eu-west-1");
        check(301, eu, "", "", eu);
        check(400, eu, "", "", eu);
        check(301, eu, "PermanentRedirect", "", eu);
        check(400, None, "AuthorizationHeaderMalformed", "<Region>eu-west-1</Region>", eu);
        let aws = "<Message>The authorization header is malformed; the region 'us-east-1' is wrong; expecting 'eu-west-1'</Message>";
        check(400, None, "AuthorizationHeaderMalformed", aws, eu);
        let garage = "<Message>Authorization header malformed, unexpected scope: 20260101/us/s3/aws4_request, expected: 20260101/eu-west-1/s3/aws4_request</Message>";
        check(400, None, "AuthorizationHeaderMalformed", garage, eu);
        check(400, None, "AuthorizationHeaderMalformed", "<Region>\"; rm</Region>", None);
        check(400, None, "AuthorizationHeaderMalformed", "<Message>bad</Message>", None);
        check(403, eu, "AccessDenied", "", None);
        check(404, eu, "NoSuchKey", "", None);
    }

    #[test]
    fn throttled_where_the_vendor_says_so() {
        let document = ErrorDocument { code: "SlowDown".into(), ..ErrorDocument::default() };
        let put = Asked::Write { fenced: false };
        let status = StatusCode::SERVICE_UNAVAILABLE;
        assert_eq!(judge(status, Some(&document), put, true).applied, Applied::No);
        assert_eq!(judge(status, None, put, true).applied, Applied::Unknown);
        assert_eq!(judge(StatusCode::INTERNAL_SERVER_ERROR, Some(&document), put, true).applied, Applied::Unknown);
    }
}
