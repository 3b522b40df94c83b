//! The embedded ledger: one SQLite file, one writer, many readers. Table by table in docs/formats/ledger.md.

mod fault;
mod rows;
mod schema;

mod buckets;
mod debts;
mod digests;
mod facts;
mod intents;
mod list;
mod marks;
mod rolled_back;
mod seen;
mod spool;
mod trash;
mod uploads;

mod keys;
mod landed;
mod leave;
mod unshipped;

mod apply;
mod core;
mod lock;
mod readers;
mod seqs;
mod shell;
mod writer;

pub use self::core::{Core, Durability};
pub use shell::{Embedded, Mode};
