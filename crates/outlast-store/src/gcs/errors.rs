//! What an answer that is no success means: its class, and whether the call may have been applied (protocol.md 1). Statuses and
//! reasons are those of cloud.google.com, "HTTP status and error codes for JSON".

use crate::wire::{Refused, Words, certainly_not, fault_by_status};
use crate::{Applied, Fault};
use http::StatusCode;
use serde::Deserialize;

/// What was asked, as far as it matters to judge the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Asked {
    pub about: About,
    /// Changes something.
    pub writes: bool,
}

/// What a 404 misses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum About {
    /// A bucket, or something new in one.
    Bucket,
    /// An object that should be there.
    Object,
}

impl Asked {
    pub const READ: Asked = Asked { about: About::Object, writes: false };
    pub const READ_BUCKET: Asked = Asked { about: About::Bucket, writes: false };
    pub const WRITE: Asked = Asked { about: About::Object, writes: true };
    pub const WRITE_NEW: Asked = Asked { about: About::Bucket, writes: true };
}

#[derive(Debug, Deserialize)]
struct Document {
    error: Told,
}

#[derive(Debug, Deserialize)]
struct Told {
    #[serde(default)]
    message: String,
    #[serde(default)]
    errors: Vec<One>,
}

#[derive(Debug, Deserialize)]
struct One {
    #[serde(default)]
    reason: String,
}

/// Reads an answer that is not 2xx.
pub(super) fn words_of(refused: &Refused<'_>, asked: Asked) -> Words {
    let document = serde_json::from_str::<Document>(refused.text).ok().map(|document| document.error);
    // Bodies of objects are refused in plain words.
    let plain = refused.text.starts_with("No such object");
    let own_words = document.is_some() || plain;
    let message = document.as_ref().map_or(refused.text, |told| told.message.as_str()).to_owned();
    let reason = document.and_then(|told| told.errors.into_iter().next()).map(|one| one.reason).unwrap_or_default();
    let fault = fault_of(refused.status, &reason, &message, own_words, asked);
    let applied = if certainly_not(refused.status, own_words, asked.writes) { Applied::No } else { Applied::Unknown };
    let code = Some(reason).filter(|reason| !reason.is_empty());
    let message = Some(message).filter(|message| own_words && !message.is_empty());
    Words { fault, applied, code, message, request_id: None, cause: None }
}

fn fault_of(status: StatusCode, reason: &str, message: &str, own_words: bool, asked: Asked) -> Fault {
    match status.as_u16() {
        404 if own_words && (asked.about == About::Bucket || message.contains("bucket does not exist")) => {
            Fault::NoBucket
        }
        404 if own_words => Fault::NoKey,
        401..=403 if reason.ends_with("LimitExceeded") => Fault::Throttled,
        _ => fault_by_status(status, own_words),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderMap;

    fn document(reason: &str, message: &str) -> String {
        format!(
            r#"{{"error":{{"code":1,"message":"{message}","errors":[{{"domain":"global","reason":"{reason}"}}]}}}}"#
        )
    }

    fn check(status: u16, text: &str, asked: Asked, fault: Fault, applied: Applied) {
        let status = StatusCode::from_u16(status).expect("a status");
        let words = words_of(&Refused { status, headers: &HeaderMap::new(), text }, asked);
        assert_eq!((words.fault, words.applied), (fault, applied), "{status} {text} {asked:?}");
    }

    #[test]
    fn outcomes() {
        use Applied::{No, Unknown};
        let no_key = document("notFound", "No such object: b/o");
        let no_bucket = document("notFound", "The specified bucket does not exist.");
        let met = document("conditionNotMet", "At least one of the pre-conditions you specified did not hold.");
        check(404, &no_key, Asked::READ, Fault::NoKey, No);
        check(404, &no_key, Asked::WRITE, Fault::NoKey, No);
        check(404, &no_bucket, Asked::READ, Fault::NoBucket, No);
        check(404, &document("notFound", "Not Found"), Asked::WRITE_NEW, Fault::NoBucket, No);
        check(404, "No such object: b/o", Asked::READ, Fault::NoKey, No);
        check(404, "<html>nginx</html>", Asked::READ, Fault::BadAnswer, No);
        check(404, "<html>nginx</html>", Asked::WRITE, Fault::BadAnswer, Unknown);
        check(412, &met, Asked::WRITE_NEW, Fault::Precondition, No);
        check(412, "", Asked::READ, Fault::Precondition, No);
        check(412, "", Asked::WRITE, Fault::Precondition, Unknown);
        check(401, &document("authError", "Invalid Credentials"), Asked::WRITE, Fault::Denied, No);
        check(403, &document("accountDisabled", "disabled"), Asked::WRITE, Fault::Denied, No);
        check(403, &document("userRateLimitExceeded", "slow"), Asked::READ, Fault::Throttled, No);
        check(429, &document("rateLimitExceeded", "slow"), Asked::WRITE, Fault::Throttled, Unknown);
        check(400, &document("invalid", "md5Hash"), Asked::WRITE_NEW, Fault::BadRequest, No);
        check(409, &document("conflict", "not empty"), Asked::WRITE_NEW, Fault::BadRequest, No);
        check(416, "", Asked::READ, Fault::BadRequest, No);
        check(503, &document("backendError", "again"), Asked::WRITE, Fault::Server, Unknown);
        check(308, "", Asked::WRITE, Fault::BadRequest, No);
    }
}
