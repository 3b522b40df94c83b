//! The disk that forgets, borrowed from the ledger's own tests: it is the one crate that may hold SQLite's C interface.

#[allow(dead_code, reason = "the ledger's own tests make all of its troubles")]
#[path = "../../outlast-ledger/tests/power/disk.rs"]
pub mod disk;
#[path = "../../outlast-ledger/tests/power/vfs.rs"]
pub mod vfs;
