//! Seqs are reserved in durable blocks, so that taking one costs no fsync and a crash repeats none.

use super::fault::Fault;
use super::rows::{first, int, number, run};
use outlast_rules::{Mutant, Seq, broken};
use rusqlite::Connection;
use std::sync::atomic::{AtomicU64, Ordering};

/// Seqs per reservation: one small transaction in a thousand writes, and a restart skips no more than this.
const SEQ_BLOCK: u64 = 1024;

/// Everything up to this seq may have been given to somebody.
pub(super) fn reserved(conn: &Connection) -> Result<Seq, Fault> {
    let found = first(conn, "SELECT value FROM counters WHERE name = 'seq_reserved'", [], |row| number(row, "value"))?;
    found.map(Seq).ok_or_else(|| Fault::damaged("the counter of seqs is missing"))
}

/// Raises the counter to `through` at least; it never goes back.
pub(super) fn reserve(conn: &Connection, through: Seq) -> Result<(), Fault> {
    let sql = "UPDATE counters SET value = max(value, ?1) WHERE name = 'seq_reserved'";
    match run(conn, sql, [int(through.0)?])? {
        1 => Ok(()),
        _ => Err(Fault::damaged("the counter of seqs is missing")),
    }
}

/// Gives seqs out of what is reserved.
pub(super) struct SeqGiver {
    next: AtomicU64,
    reserved: AtomicU64,
}

/// What taking a seq came to.
pub(super) enum Taken {
    Seq(Seq),
    /// This seq is the taker's, once the counter has been raised to `through`.
    Beyond {
        seq: Seq,
        through: Seq,
    },
}

impl SeqGiver {
    /// Starts behind everything that an earlier life may have given.
    pub fn after(reserved: Seq) -> SeqGiver {
        let reserved = if broken(Mutant::SeqsRestart) { Seq(0) } else { reserved };
        SeqGiver { next: AtomicU64::new(reserved.0 + 1), reserved: AtomicU64::new(reserved.0) }
    }

    pub fn take(&self) -> Taken {
        let seq = self.next.fetch_add(1, Ordering::AcqRel);
        if seq <= self.reserved.load(Ordering::Acquire) {
            return Taken::Seq(Seq(seq));
        }
        Taken::Beyond { seq: Seq(seq), through: Seq(seq + SEQ_BLOCK - 1) }
    }

    /// The counter stands durably at `through` or higher.
    pub fn reserved(&self, through: Seq) {
        self.reserved.fetch_max(through.0, Ordering::AcqRel);
    }

    /// A batch brought `seq` from elsewhere: only higher ones are given from now on.
    pub fn seen(&self, seq: Seq) {
        self.next.fetch_max(seq.0 + 1, Ordering::AcqRel);
    }
}
