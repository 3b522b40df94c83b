//! How long each stage of a call to a service may take.

use std::time::Duration;

/// Name, TCP and TLS together. A healthy service needs well under a second, one lost SYN costs one more, two cost three.
pub const CONNECT_MAX: Duration = Duration::from_secs(4);
/// The store takes no byte of our body for this long. Longer than the retransmissions of one lost segment.
pub const WRITE_IDLE_MAX: Duration = Duration::from_secs(20);
/// From the last byte of the request to the head of the answer. Commit calls of large uploads take long on honest stores;
/// readers have far shorter deadlines of their own above.
pub const FIRST_BYTE_MAX: Duration = Duration::from_secs(60);
/// No byte of the answer's body for this long while somebody reads it.
pub const READ_IDLE_MAX: Duration = Duration::from_secs(20);
/// From the call to its answer, the request's body included, a streamed answer's body not. Below the shortest
/// `settle_time`, and below the 15 minutes for which S3 honours a signature.
pub const REQUEST_MAX: Duration = Duration::from_secs(600);

/// How long each stage of a call may take; every one ends the call with `Fault::Timeout`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    pub connect: Duration,
    pub write_idle: Duration,
    pub first_byte: Duration,
    pub read_idle: Duration,
    pub request: Duration,
}

impl Default for Timeouts {
    fn default() -> Timeouts {
        Timeouts {
            connect: CONNECT_MAX,
            write_idle: WRITE_IDLE_MAX,
            first_byte: FIRST_BYTE_MAX,
            read_idle: READ_IDLE_MAX,
            request: REQUEST_MAX,
        }
    }
}
