//! Why a store is not well, in words for somebody who was woken up.

use crate::{Classes, Fault, OpClass};
use serde::{Deserialize, Serialize};
use std::fmt;

/// What is wrong with a store. Its text is one sentence for `status`, logs and error messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// Calls of these classes fail in this way. `worked`: the store has answered us before.
    Fails { fault: Fault, on: Classes, worked: bool },
    /// Calls are thinned out by the store; it stays in use.
    Throttled,
    /// It answers, but later than anybody should wait. `p95_ms`: 19 of 20 answers come within this.
    Slow { p95_ms: u64 },
    /// What was written came back as other bytes.
    BytesDiffer,
    /// The identity marker is gone where the ledger has copies.
    Emptied,
    /// Its marker is there, and much of what it is known to hold is not in its list.
    Short { missing: u64, of: u64 },
    /// The identity marker is that of another installation or of another store.
    Foreign,
    /// There is an identity marker, and its bytes are wrong: nothing is known of whose it is.
    MarkerDamaged,
    /// Every store beyond the network failed at once: the fault is on this side.
    OurNetwork,
    /// It was in trouble, nothing is wrong now, and it has to prove that.
    Proving,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::Fails { fault, on, worked } => fails(f, *fault, *on, *worked),
            Reason::Throttled => f.write_str("throttled: it asks us to slow down, and we do"),
            Reason::Slow { p95_ms } => write!(f, "too slow: one answer in twenty takes over {p95_ms} ms"),
            Reason::BytesDiffer => f.write_str("corrupting: bytes came back other than they were written"),
            Reason::Emptied => {
                f.write_str("emptied or not mounted: its identity marker is missing, though it should hold copies")
            }
            Reason::Short { missing, of } => {
                write!(f, "its list is suddenly short: {missing} of {of} objects that it should hold are not there")
            }
            Reason::Foreign => {
                f.write_str("wrong store: its identity marker is another installation's or another store's")
            }
            Reason::MarkerDamaged => {
                f.write_str("damaged: the bytes of its identity marker differ from what was written or cannot be read")
            }
            Reason::OurNetwork => f.write_str("our own network: every store beyond it failed at once"),
            Reason::Proving => f.write_str("on trial: it has to answer well before it is trusted again"),
        }
    }
}

fn fails(f: &mut fmt::Formatter<'_>, fault: Fault, on: Classes, worked: bool) -> fmt::Result {
    let words = words(fault);
    if on.is_every() || is_of_the_whole_store(fault) {
        return match (fault, worked) {
            (Fault::Denied, true) => {
                f.write_str("403 on every operation with keys that worked before: account suspended or key revoked")
            }
            (Fault::Denied, false) => f.write_str("403 on every operation: these keys have not worked here yet"),
            _ => f.write_str(words),
        };
    }
    let writes = Classes::of([OpClass::Write]);
    let changes = Classes::of([OpClass::Write, OpClass::Delete]);
    if on == writes {
        write!(f, "refuses writes only ({words})")
    } else if on == changes {
        write!(f, "refuses writes and deletes, goes on answering reads and lists ({words})")
    } else {
        write!(f, "fails on {on}, not seen on {} ({words})", on.others())
    }
}

/// These come before the store can tell classes apart.
fn is_of_the_whole_store(fault: Fault) -> bool {
    matches!(
        fault,
        Fault::ConnectRefused
            | Fault::Unreachable
            | Fault::NameNotResolved
            | Fault::Certificate
            | Fault::Identity
            | Fault::NotMounted
    )
}

fn words(fault: Fault) -> &'static str {
    match fault {
        Fault::ConnectRefused => "connection refused: nothing listens at its address",
        Fault::Unreachable => "unreachable: no way to its address",
        Fault::NameNotResolved => "name does not resolve",
        Fault::Certificate => "certificate not accepted: expired, unknown issuer or another name",
        Fault::Timeout => "accepts and does not answer",
        Fault::Broken => "connections break off",
        Fault::BadAnswer => "answers are cut off or not readable",
        Fault::Server => "5xx: internal errors",
        Fault::Denied => "403: access denied",
        Fault::ClockSkew => "its clock and ours differ too much for signatures",
        Fault::NoBucket => "bucket gone",
        Fault::Full => "full",
        Fault::Disk => "disk error: see the kernel's log",
        Fault::NotMounted => "not mounted: nothing lies at its path; it is used from the moment that it is mounted",
        Fault::Identity => "its identity marker is missing or foreign",
        Fault::Throttled => "throttled",
        Fault::NoKey | Fault::NoUpload | Fault::Precondition | Fault::Unsupported | Fault::BadRequest | Fault::Body => {
            "requests refused"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(fault: Fault, on: &[OpClass], worked: bool, expected: &str) {
        let reason = Reason::Fails { fault, on: Classes::of(on.iter().copied()), worked };
        assert_eq!(reason.to_string(), expected);
    }

    #[test]
    fn words_for_the_night() {
        use OpClass::{Delete, List, Read, Write};
        let all = OpClass::all();
        check(
            Fault::Denied,
            &all,
            true,
            "403 on every operation with keys that worked before: account suspended or key revoked",
        );
        check(Fault::Denied, &all, false, "403 on every operation: these keys have not worked here yet");
        check(Fault::Denied, &[Write], true, "refuses writes only (403: access denied)");
        check(Fault::Full, &[Write], true, "refuses writes only (full)");
        check(
            Fault::Denied,
            &[Write, Delete],
            true,
            "refuses writes and deletes, goes on answering reads and lists (403: access denied)",
        );
        check(
            Fault::Timeout,
            &[Read, List],
            true,
            "fails on reads and lists, not seen on writes and deletes (accepts and does not answer)",
        );
        check(
            Fault::Timeout,
            &[Read],
            true,
            "fails on reads, not seen on lists, writes and deletes (accepts and does not answer)",
        );
        check(Fault::Timeout, &all, true, "accepts and does not answer");
        check(Fault::NameNotResolved, &[Read], true, "name does not resolve");
        let not_mounted = "not mounted: nothing lies at its path; it is used from the moment that it is mounted";
        check(Fault::NotMounted, &[List], false, not_mounted);
    }
}
