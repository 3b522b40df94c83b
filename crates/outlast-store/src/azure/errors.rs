//! What an answer that is no success means: its class, and whether the call may have been applied (protocol.md 1). Codes are
//! those of learn.microsoft.com, "Blob Storage error codes" and "Common REST API error codes".

use super::xml::without_mark;
use crate::wire::{ErrorDocument, Refused, Words, certainly_not, fault_by_status};
use crate::{Applied, Fault};
use http::StatusCode;

/// The service says its code here too, so that a HEAD can say what is missing.
const CODE: &str = "x-ms-error-code";

/// What was asked, as far as it matters to judge the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asked {
    Read,
    /// Changes something.
    Write {
        fenced: bool,
    },
}

/// Reads an answer that is not 2xx.
pub(super) fn words_of(refused: &Refused<'_>, asked: Asked) -> Words {
    let document = ErrorDocument::read(without_mark(refused.text));
    let header = refused.headers.get(CODE).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let code = document.as_ref().map(|document| document.code.clone()).or(header);
    let old_date = refused.text.contains("Request date header too old");
    let fault = if old_date { Fault::ClockSkew } else { fault_of(refused.status, code.as_deref(), asked) };
    let writes = asked != Asked::Read;
    let applied = if certainly_not(refused.status, code.is_some(), writes) { Applied::No } else { Applied::Unknown };
    // The service's own words go on with request id and time, which are told apart.
    let said = document.and_then(|document| document.message.lines().next().map(str::to_owned));
    let message = said.filter(|said| !said.is_empty()).or_else(|| code.clone());
    Words { fault, applied, code, message, request_id: None, cause: None }
}

fn fault_of(status: StatusCode, code: Option<&str>, asked: Asked) -> Fault {
    match code {
        Some("ContainerNotFound" | "ContainerBeingDeleted") => Fault::NoBucket,
        // If-Match on a key that is not there: the condition failed.
        Some("BlobNotFound") if asked == (Asked::Write { fenced: true }) => Fault::Precondition,
        Some("BlobNotFound" | "CannotVerifyCopySource" | "ResourceNotFound") => Fault::NoKey,
        Some("ConditionNotMet" | "SourceConditionNotMet" | "TargetConditionNotMet" | "BlobAlreadyExists") => {
            Fault::Precondition
        }
        Some("ServerBusy" | "TooManyRequests" | "PendingCopyOperation") => Fault::Throttled,
        Some("OperationTimedOut") => Fault::Timeout,
        Some("LeaseIdMissing" | "BlobImmutableDueToPolicy" | "AccountIsDisabled" | "ContainerDisabled") => {
            Fault::Denied
        }
        Some("NotImplemented" | "APINotImplemented" | "FeatureNotSupported") => Fault::Unsupported,
        _ => fault_by_status(status, code.is_some()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderMap, HeaderValue};

    fn judged(status: u16, code: &str, text: &str, asked: Asked) -> Words {
        let mut headers = HeaderMap::new();
        if !code.is_empty() {
            headers.insert(CODE, HeaderValue::from_str(code).expect("a code"));
        }
        let status = StatusCode::from_u16(status).expect("a status");
        words_of(&Refused { status, headers: &headers, text }, asked)
    }

    fn check(status: u16, code: &str, asked: Asked, fault: Fault, applied: Applied) {
        let words = judged(status, code, "", asked);
        assert_eq!((words.fault, words.applied), (fault, applied), "{status} {code:?} {asked:?}");
    }

    #[test]
    fn outcomes() {
        use Applied::{No, Unknown};
        let put = Asked::Write { fenced: false };
        let fenced = Asked::Write { fenced: true };
        check(403, "AuthenticationFailed", put, Fault::Denied, No);
        check(403, "", put, Fault::Denied, Unknown);
        check(403, "AccountIsDisabled", put, Fault::Denied, No);
        check(404, "ContainerNotFound", put, Fault::NoBucket, No);
        check(409, "ContainerBeingDeleted", put, Fault::NoBucket, No);
        check(404, "BlobNotFound", Asked::Read, Fault::NoKey, No);
        check(404, "BlobNotFound", fenced, Fault::Precondition, No);
        check(404, "BlobNotFound", put, Fault::NoKey, No);
        check(404, "", Asked::Read, Fault::BadAnswer, No);
        check(404, "", put, Fault::BadAnswer, Unknown);
        check(409, "BlobAlreadyExists", fenced, Fault::Precondition, No);
        check(412, "ConditionNotMet", fenced, Fault::Precondition, No);
        check(412, "LeaseIdMissing", put, Fault::Denied, No);
        check(412, "", fenced, Fault::Precondition, Unknown);
        check(400, "Md5Mismatch", put, Fault::BadRequest, No);
        check(400, "InvalidBlockList", put, Fault::BadRequest, No);
        check(416, "InvalidRange", Asked::Read, Fault::BadRequest, No);
        check(500, "InternalError", put, Fault::Server, Unknown);
        check(500, "OperationTimedOut", put, Fault::Timeout, Unknown);
        check(503, "ServerBusy", put, Fault::Throttled, Unknown);
        check(429, "TooManyRequests", put, Fault::Throttled, Unknown);
        check(501, "NotImplemented", put, Fault::Unsupported, No);
        check(501, "", put, Fault::Unsupported, Unknown);
        check(307, "", put, Fault::BadRequest, No);
    }

    #[test]
    fn the_documents_words() {
        let text = "\u{feff}<?xml version=\"1.0\" encoding=\"utf-8\"?><Error><Code>AuthenticationFailed</Code>\
            <Message>Server failed to authenticate the request.\nRequestId:7\nTime:2026-11-21</Message>\
            <AuthenticationErrorDetail>Request date header too old: 'x'</AuthenticationErrorDetail></Error>";
        let words = judged(403, "", text, Asked::Write { fenced: false });
        assert_eq!((words.fault, words.applied), (Fault::ClockSkew, Applied::No));
        assert_eq!(words.message.as_deref(), Some("Server failed to authenticate the request."));
        assert_eq!(words.code.as_deref(), Some("AuthenticationFailed"));
    }
}
