//! One process per ledger: a lock file beside the database, held by the kernel for as long as the process lives.

use crate::LedgerError;
use std::fs::{File, TryLockError};
use std::path::Path;

/// Held until dropped.
pub(super) struct DirLock {
    _file: File,
}

impl DirLock {
    pub fn take(path: &Path) -> Result<DirLock, LedgerError> {
        let failed = |error: std::io::Error| LedgerError::MustReopen { why: format!("{}: {error}", path.display()) };
        let file = File::options().create(true).truncate(false).write(true).open(path).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => Ok(DirLock { _file: file }),
            Err(TryLockError::WouldBlock) => Err(LedgerError::InUse { path: path.display().to_string() }),
            Err(TryLockError::Error(error)) => Err(failed(error)),
        }
    }
}
