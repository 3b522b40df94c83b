//! Connections that only read: handed out, taken back, never waited for.

use super::core::{at_one_moment, open_reader};
use super::fault::Fault;
use crate::LedgerError;
use rusqlite::Connection;
use std::path::PathBuf;
use std::sync::Mutex;

/// Idle connections kept: as many as threads usually read at once. Each holds its page cache.
const READERS_KEPT: usize = 8;

/// All readers of one ledger. There are as many as threads that read at this moment.
pub(super) struct Readers {
    dir: PathBuf,
    /// None: closed.
    idle: Mutex<Option<Vec<Connection>>>,
}

impl Readers {
    pub fn of(dir: PathBuf) -> Readers {
        Readers { dir, idle: Mutex::new(Some(Vec::new())) }
    }

    /// Runs `read` on one connection, at one moment of the ledger.
    pub fn read<T>(&self, read: impl FnOnce(&Connection) -> Result<T, Fault>) -> Result<T, LedgerError> {
        let idle = match self.lock().as_mut() {
            Some(idle) => idle.pop(),
            None => return Err(LedgerError::Closed),
        };
        let conn = match idle {
            Some(conn) => conn,
            None => open_reader(&self.dir).map_err(Fault::of_read)?,
        };
        // A connection that failed is not used again: it is dropped with the error.
        let found = at_one_moment(&conn, read).map_err(Fault::of_read)?;
        if let Some(idle) = self.lock().as_mut()
            && idle.len() < READERS_KEPT
        {
            idle.push(conn);
        }
        Ok(found)
    }

    pub fn close(&self) {
        self.lock().take();
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Vec<Connection>>> {
        self.idle.lock().expect("nothing panics while it is held")
    }
}
