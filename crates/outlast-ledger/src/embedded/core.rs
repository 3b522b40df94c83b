//! The ledger itself: one connection, whole batches, no thread, no clock, no chance. The shell around it adds those.

use super::apply::{apply, newest_seq};
use super::fault::{Fault, Reach};
use super::lock::DirLock;
use super::{schema, seqs};
use crate::{Change, LedgerError};
use outlast_rules::{Mutant, Seq, broken};
use rusqlite::config::DbConfig;
use rusqlite::types::FromSql;
use rusqlite::{Connection, ErrorCode, OpenFlags, ffi};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Pages in the WAL after which a commit copies them into the database: 4 MiB, SQLite's own default.
const CHECKPOINT_PAGES: i32 = 1000;

/// What the WAL file is cut to when it starts anew. A burst may grow it; the disk gets that back.
const WAL_BYTES_KEPT: i64 = 64 * 1024 * 1024;

/// Page cache of the writer; the system's own cache stands behind it.
const WRITER_CACHE_KIB: i64 = 16 * 1024;

/// Page cache of each reader: inner pages and one listing page's leaves.
const READER_CACHE_KIB: i64 = 4 * 1024;

/// Prepared statements kept per connection; there are fewer than this in the whole ledger.
const STATEMENTS_KEPT: usize = 128;

/// How long another program's hand on the file (somebody's `sqlite3`) is waited for.
const FOREIGN_LOCK_WAIT: Duration = Duration::from_secs(2);

/// What a commit that returned Ok outlives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// Power loss: every commit is fsynced.
    Power,
    /// The process only. For tests that start and stop thousands of ledgers.
    Process,
}

/// What one caller asks of a group commit.
#[derive(Debug)]
pub(super) enum Work {
    Batch(Vec<Change>),
    /// Raise the counter of seqs to this.
    Reserve(Seq),
}

/// What a refused batch takes back with it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Undo {
    /// The whole transaction.
    Group,
    /// Itself alone: each batch stands behind a savepoint.
    Batch,
}

/// The synchronous, deterministic ledger.
pub struct Core {
    conn: Connection,
    /// Why nothing is acknowledged any more.
    latched: Option<String>,
    /// The counter of seqs stands at least here.
    reserved: Seq,
    /// Released after the connection is closed: fields drop in order.
    _lock: Option<DirLock>,
}

fn file_of(dir: &Path) -> PathBuf {
    dir.join("ledger.sqlite")
}

fn open_failed(path: &Path, fault: Fault) -> LedgerError {
    let prefix = |why: String| format!("{}: {why}", path.display());
    match fault.of_read() {
        LedgerError::Damaged { why } => LedgerError::Damaged { why: prefix(why) },
        LedgerError::MustReopen { why } => LedgerError::MustReopen { why: prefix(why) },
        other => other,
    }
}

/// Makes the folder's own name, and its parents', durable.
fn make_dir(dir: &Path) -> std::io::Result<()> {
    if dir.is_dir() {
        return Ok(());
    }
    let parent = dir.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    make_dir(parent)?;
    match std::fs::create_dir(dir) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    File::open(parent)?.sync_all()
}

/// Bytes copied at once when the WAL is written again.
const WRITE_AGAIN_BYTES: usize = 1024 * 1024;

/// Writes a file over itself and fsyncs it.
///
/// After a failed fsync the system may show pages in its cache that the disk has never got, and say Ok to the next fsync.
/// Were such a WAL believed and copied into the database, a power loss in the middle would leave half of a batch there, with
/// nothing to finish or undo it by.
fn write_again(path: &Path) -> std::io::Result<()> {
    let file = match File::options().read(true).write(true).open(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        opened => opened?,
    };
    let mut buffer = vec![0; WRITE_AGAIN_BYTES];
    let mut at = 0;
    loop {
        match file.read_at(&mut buffer, at)? {
            0 => return file.sync_all(),
            read => {
                file.write_all_at(&buffer[..read], at)?;
                at += read as u64;
            }
        }
    }
}

impl Core {
    /// Opens or makes the ledger in the folder `dir`, and takes its lock. InUse: another process, or this one, has it.
    pub fn open(dir: &Path, durability: Durability) -> Result<Core, LedgerError> {
        let failed = |error: std::io::Error| LedgerError::MustReopen { why: format!("{}: {error}", dir.display()) };
        make_dir(dir).map_err(failed)?;
        let lock = DirLock::take(&dir.join("ledger.lock"))?;
        let file = file_of(dir);
        write_again(&dir.join("ledger.sqlite-wal")).map_err(failed)?;
        let conn = Connection::open(&file).map_err(|error| open_failed(&file, error.into()))?;
        let core = Core::start(conn, durability, Some(lock)).map_err(|fault| open_failed(&file, fault))?;
        File::open(dir).and_then(|dir| dir.sync_all()).map_err(failed)?;
        Ok(core)
    }

    /// A ledger over a connection that the caller opened, on whatever file layer. The caller answers for the lock, and for
    /// the WAL being on the disk and not only in a cache.
    pub fn over(conn: Connection, durability: Durability) -> Result<Core, LedgerError> {
        Core::start(conn, durability, None).map_err(Fault::of_read)
    }

    fn start(mut conn: Connection, durability: Durability, lock: Option<DirLock>) -> Result<Core, Fault> {
        keep_statements(&conn)?;
        let synchronous = match durability {
            Durability::Power if !broken(Mutant::LedgerNotSynced) => "FULL",
            Durability::Power | Durability::Process => "OFF",
        };
        // Checkpoints run in the hook below, because SQLite's own would hide a failed fsync of the database file.
        conn.execute_batch(&format!(
            "PRAGMA page_size = 4096; PRAGMA mmap_size = 0; PRAGMA cache_size = -{WRITER_CACHE_KIB};
             PRAGMA temp_store = MEMORY; PRAGMA synchronous = {synchronous};
             PRAGMA journal_size_limit = {WAL_BYTES_KEPT}; PRAGMA wal_autocheckpoint = 0;"
        ))?;
        let mode: String = pragma(&conn, "PRAGMA journal_mode = WAL")?;
        if mode != "wal" && mode != "memory" {
            let why = format!("the journal stays in mode {mode:?} instead of \"wal\"");
            return Err(rusqlite::Error::SqliteFailure(ffi::Error::new(ffi::SQLITE_IOERR), Some(why)).into());
        }
        schema::prepare(&conn)?;
        conn.wal_hook(Some(|wal: &mut rusqlite::hooks::Wal, pages| {
            if pages < CHECKPOINT_PAGES {
                return Ok(());
            }
            match wal.checkpoint() {
                // Busy: somebody else copies. Full: the WAL still holds everything, and is copied when there is room.
                Err(error)
                    if !matches!(
                        error.sqlite_error_code(),
                        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked | ErrorCode::DiskFull)
                    ) =>
                {
                    Err(error)
                }
                _ => Ok(()),
            }
        }))?;
        let reserved = seqs::reserved(&conn)?;
        Ok(Core { conn, latched: None, reserved, _lock: lock })
    }

    /// Applies one batch, whole or not at all; durable when it returns Ok.
    pub fn commit(&mut self, batch: Vec<Change>) -> Result<(), LedgerError> {
        self.commit_group(&[Work::Batch(batch)]).pop().expect("one answer for each asker")
    }

    /// Everything up to this seq may have been given to somebody.
    pub fn seq_reserved(&self) -> Seq {
        self.reserved
    }

    /// Why nothing is acknowledged any more, if so.
    pub fn latched(&self) -> Option<&str> {
        self.latched.as_deref()
    }

    pub(super) fn reader(&self) -> &Connection {
        &self.conn
    }

    /// A read and the steps that SQLite's machine took for it: a measure of work that is the same on every machine.
    #[cfg(test)]
    pub(super) fn steps_of<T>(&mut self, read: impl FnOnce(&Connection) -> T) -> (T, u64) {
        let steps = std::sync::Arc::new(std::sync::atomic::AtomicU64::new(0));
        let counter = steps.clone();
        let count = move || {
            counter.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            false
        };
        self.conn.progress_handler(1, Some(count)).expect("a handler can be set");
        let found = read(&self.conn);
        self.conn.progress_handler(0, None::<fn() -> bool>).expect("a handler can be removed");
        (found, steps.load(std::sync::atomic::Ordering::Relaxed))
    }

    /// Several askers, one fsync. What is refused to one does not touch the others.
    pub(super) fn commit_group(&mut self, group: &[Work]) -> Vec<Result<(), LedgerError>> {
        if let Some(why) = &self.latched {
            return group.iter().map(|_| Err(LedgerError::MustReopen { why: why.clone() })).collect();
        }
        let tried = match self.try_group(group, Undo::Group) {
            // Rare, so that the common group pays for no savepoint (and for none of their temporary files).
            Err(Reach::Batch(_)) if group.len() > 1 => {
                self.undo().map_err(Reach::from).and_then(|()| self.try_group(group, Undo::Batch))
            }
            tried => tried,
        };
        match tried {
            Ok(answers) => answers,
            Err(reach) => {
                let error = self.give_up(reach);
                group.iter().map(|_| Err(error.clone())).collect()
            }
        }
    }

    fn try_group(&mut self, group: &[Work], undo: Undo) -> Result<Vec<Result<(), LedgerError>>, Reach> {
        let statement = |sql: &str| self.conn.prepare_cached(sql)?.execute([]).map(|_| ());
        statement("BEGIN IMMEDIATE")?;
        let mut reserved = self.reserved;
        let mut answers = Vec::with_capacity(group.len());
        for work in group {
            if undo == Undo::Batch {
                statement("SAVEPOINT batch")?;
            }
            match apply_work(&self.conn, work, reserved).map_err(Fault::reach) {
                Ok(raised) => {
                    reserved = raised;
                    answers.push(Ok(()));
                }
                Err(Reach::Batch(error)) if undo == Undo::Batch => {
                    statement("ROLLBACK TO batch")?;
                    answers.push(Err(error));
                }
                Err(reach) => return Err(reach),
            }
            if undo == Undo::Batch {
                statement("RELEASE batch")?;
            }
        }
        statement("COMMIT")?;
        self.reserved = reserved;
        Ok(answers)
    }

    /// Ends a transaction that failed, where SQLite has not done so itself.
    fn undo(&self) -> rusqlite::Result<()> {
        if self.conn.is_autocommit() { Ok(()) } else { self.conn.execute_batch("ROLLBACK") }
    }

    /// The group was not kept, or nobody knows: undo what is open, latch where nobody knows.
    fn give_up(&mut self, reach: Reach) -> LedgerError {
        let why = match (reach, self.undo()) {
            (Reach::Batch(error) | Reach::Group(error), Ok(())) => return error,
            (Reach::Latch(why), _) => why,
            (_, Err(error)) => error.to_string(),
        };
        // What the WAL holds now must be judged by recovery, not copied into the database on the way out.
        if let Err(error) = self.conn.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true) {
            tracing::error!(%error, "the latched ledger will be checkpointed when it closes");
        }
        tracing::error!(%why, "the ledger acknowledges nothing more until it is reopened");
        self.latched = Some(why.clone());
        LedgerError::MustReopen { why }
    }
}

/// The first column of a PRAGMA's answer, run to its end: one that writes commits only after its row, and may fail there.
fn pragma<T: FromSql>(conn: &Connection, sql: &str) -> rusqlite::Result<T> {
    let mut statement = conn.prepare(sql)?;
    let mut rows = statement.query([])?;
    let told = rows.next()?.ok_or(rusqlite::Error::QueryReturnedNoRows)?.get(0)?;
    while rows.next()?.is_some() {}
    Ok(told)
}

/// Where the counter of seqs stands afterwards.
fn apply_work(conn: &Connection, work: &Work, reserved: Seq) -> Result<Seq, Fault> {
    let through = match work {
        Work::Batch(batch) => {
            batch.iter().try_for_each(|change| apply(conn, change))?;
            newest_seq(batch)
        }
        Work::Reserve(through) => Some(*through),
    };
    match through.filter(|through| *through > reserved) {
        Some(through) => seqs::reserve(conn, through).map(|()| through),
        None => Ok(reserved),
    }
}

/// Statements are compiled once. Without the stability guarantee SQLite compiles each one anew whose plan the bound values might
/// better, `LIMIT ?1` among them: fourteen of them for every PUT. No statement here has two plans to choose from.
fn keep_statements(conn: &Connection) -> Result<(), Fault> {
    conn.busy_timeout(FOREIGN_LOCK_WAIT)?;
    conn.set_prepared_statement_cache_capacity(STATEMENTS_KEPT);
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    Ok(())
}

/// A connection that reads the ledger in `dir` and cannot write it.
pub(super) fn open_reader(dir: &Path) -> Result<Connection, Fault> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags(file_of(dir), flags)?;
    keep_statements(&conn)?;
    conn.execute_batch(&format!("PRAGMA mmap_size = 0; PRAGMA cache_size = -{READER_CACHE_KIB};"))?;
    Ok(conn)
}

/// Runs a read of several statements so that all see one moment.
pub(super) fn at_one_moment<T>(
    conn: &Connection,
    read: impl FnOnce(&Connection) -> Result<T, Fault>,
) -> Result<T, Fault> {
    let statement = |sql: &str| conn.prepare_cached(sql)?.execute([]).map(|_| ());
    statement("BEGIN")?;
    let found = read(conn);
    // Nothing was written, so it is all the same how it ends, as long as it ends.
    statement("COMMIT")?;
    found
}

#[cfg(test)]
mod tests {
    use super::super::rows::all;
    use super::*;
    use crate::Durability;
    use rusqlite::StatementStatus;

    #[test]
    fn writing_again_changes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("wal");
        write_again(&path).unwrap();
        assert!(!path.exists());
        let bytes: Vec<u8> = (0..=u8::MAX).cycle().take(2 * WRITE_AGAIN_BYTES + 7).collect();
        std::fs::write(&path, &bytes).unwrap();
        write_again(&path).unwrap();
        assert!(std::fs::read(&path).unwrap() == bytes);
    }

    #[test]
    fn statements_are_compiled_once() {
        let dir = tempfile::tempdir().unwrap();
        let core = Core::open(dir.path(), Durability::Process).unwrap();
        let reader = open_reader(dir.path()).unwrap();
        let page = "SELECT turn FROM debts WHERE store = ?1 AND turn <= ?2 ORDER BY turn LIMIT ?3";
        let of_key = "SELECT call FROM marks WHERE bucket = ?1 AND key = ?2 ORDER BY since, call";
        for conn in [core.reader(), &reader] {
            for number in 1..4 {
                all(conn, page, rusqlite::params!["s", number, number], |_| Ok(())).unwrap();
                all(conn, of_key, rusqlite::params!["b", b"k"], |_| Ok(())).unwrap();
            }
            for sql in [page, of_key] {
                let kept = conn.prepare_cached(sql).unwrap();
                let (runs, again) =
                    (kept.get_status(StatementStatus::Run), kept.get_status(StatementStatus::RePrepare));
                assert_eq!((runs, again), (3, 0), "{sql}");
            }
        }
    }
}
