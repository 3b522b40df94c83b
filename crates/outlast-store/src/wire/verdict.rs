//! What the status of an answer says where the service's own code says nothing: its class, and whether the call may have been
//! applied (protocol.md 1). The same for every service; what one of them means by its codes is read by its kind.

use crate::Fault;
use http::StatusCode;

/// `own_words`: the answer is in the service's own words, so that it did not come from a proxy on the way.
pub(crate) fn fault_by_status(status: StatusCode, own_words: bool) -> Fault {
    match status.as_u16() {
        401..=403 => Fault::Denied,
        // A 404 without the service's own words may come from any proxy on the way and says nothing about the key.
        404 if !own_words => Fault::BadAnswer,
        408 | 499 => Fault::Timeout,
        412 => Fault::Precondition,
        429 => Fault::Throttled,
        304 => Fault::BadAnswer,
        300..=499 => Fault::BadRequest,
        501 => Fault::Unsupported,
        507 => Fault::Full,
        500.. => Fault::Server,
        _ => Fault::BadAnswer,
    }
}

/// Is it certain that the call was not applied? `writes`: it was to change something.
pub(crate) fn certainly_not(status: StatusCode, own_words: bool, writes: bool) -> bool {
    match status.as_u16() {
        408 | 429 | 499 => false,
        300..=399 => status != StatusCode::NOT_MODIFIED,
        // A read applies nothing, whoever refuses it.
        400..=499 => own_words || !writes,
        501 => own_words,
        _ => false,
    }
}
