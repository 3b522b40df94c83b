//! What can go wrong with one call to a store, in classes that health and the engine tell apart.

use serde::{Deserialize, Serialize};

/// What went wrong, in classes that health and the engine tell apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// NoSuchKey of an existing bucket, or no such version.
    NoKey,
    NoBucket,
    NoUpload,
    /// 412, or 409 of a racing condition.
    Precondition,
    /// 403 and its kin.
    Denied,
    /// 429, 503 SlowDown / ServerBusy.
    Throttled,
    /// 501: the store does not do this.
    Unsupported,
    /// Our clock and the store's differ too much.
    ClockSkew,
    /// Any other 4xx.
    BadRequest,
    /// 5xx.
    Server,
    ConnectRefused,
    Unreachable,
    NameNotResolved,
    Certificate,
    /// No answer in time, before or inside the answer.
    Timeout,
    /// The connection broke.
    Broken,
    /// A success that is not whole or not readable.
    BadAnswer,
    /// The disk or the account is full.
    Full,
    /// A local disk said no (EIO, read-only file system).
    Disk,
    /// Nothing lies where the disk should be.
    NotMounted,
    /// The bytes that the client sends ended early or were refused: not the store's fault.
    Body,
    /// The store's identity marker is missing or foreign.
    Identity,
}

impl Fault {
    /// It tells of the store as it is now, and nothing of one copy there.
    pub fn is_of_the_store(self) -> bool {
        matches!(
            self,
            Fault::Denied
                | Fault::Throttled
                | Fault::ClockSkew
                | Fault::ConnectRefused
                | Fault::Unreachable
                | Fault::NameNotResolved
                | Fault::Certificate
                | Fault::Timeout
                | Fault::NotMounted
                | Fault::Identity
        )
    }
}
