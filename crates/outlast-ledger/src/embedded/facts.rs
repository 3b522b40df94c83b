//! Small named facts, and lines of history for people.

use super::fault::Fault;
use super::rows::{all, first, get, int, moment, rows_max, run};
use crate::HistoryLine;
use outlast_rules::Moment;
use rusqlite::{Connection, params};

/// A year of a store that fails a dozen times a day, in a few megabytes.
const HISTORY_LINES_MAX: i64 = 10_000;

/// A line is a sentence or two; what a store's error page adds to it is cut.
const HISTORY_TEXT_BYTES_MAX: usize = 4096;

pub(super) fn set(conn: &Connection, name: &str, value: &str) -> Result<(), Fault> {
    let sql = "INSERT INTO facts VALUES (?1, ?2) ON CONFLICT DO UPDATE SET value = excluded.value";
    run(conn, sql, [name, value])?;
    Ok(())
}

pub(super) fn of_name(conn: &Connection, name: &str) -> Result<Option<String>, Fault> {
    first(conn, "SELECT value FROM facts WHERE name = ?1", [name], |row| get(row, "value"))
}

pub(super) fn drop_name(conn: &Connection, name: &str) -> Result<(), Fault> {
    run(conn, "DELETE FROM facts WHERE name = ?1", [name])?;
    Ok(())
}

pub(super) fn of_prefix(
    conn: &Connection,
    prefix: &str,
    after: &str,
    limit: usize,
) -> Result<Vec<(String, String)>, Fault> {
    let sql = "SELECT name, value FROM facts WHERE name > ?1 ORDER BY name LIMIT ?2";
    let decode = |row: &rusqlite::Row<'_>| Ok((get::<String>(row, "name")?, get::<String>(row, "value")?));
    let mut found = all(conn, sql, params![prefix.max(after), rows_max(limit)], decode)?;
    found.retain(|(name, _)| name.starts_with(prefix));
    Ok(found)
}

pub(super) fn note(conn: &Connection, at: Moment, kind: &str, text: &str) -> Result<(), Fault> {
    let text = &text[..text.floor_char_boundary(HISTORY_TEXT_BYTES_MAX)];
    run(conn, "INSERT INTO history (at, kind, text) VALUES (?1, ?2, ?3)", params![int(at.0)?, kind, text])?;
    // Lines are numbered without gaps, so the newest number tells how many there are.
    run(conn, "DELETE FROM history WHERE id <= ?1", [conn.last_insert_rowid() - HISTORY_LINES_MAX])?;
    Ok(())
}

pub(super) fn history(conn: &Connection, limit: usize) -> Result<Vec<HistoryLine>, Fault> {
    all(conn, "SELECT at, kind, text FROM history ORDER BY id DESC LIMIT ?1", [rows_max(limit)], |row| {
        Ok(HistoryLine { at: moment(row, "at")?, kind: get(row, "kind")?, text: get(row, "text")? })
    })
}
