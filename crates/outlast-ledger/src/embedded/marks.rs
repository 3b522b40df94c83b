//! Calls that may still apply, by call, by key and by store.

use super::fault::Fault;
use super::rows::{all, bucket, call, first, id_bytes, int, json, key, moment, rows_max, run, store, to_json, write};
use outlast_rules::{BucketName, CallId, Key, Mark, Moment, StoreName};
use rusqlite::{Connection, Row, params};

fn decode(row: &Row<'_>) -> Result<Mark, Fault> {
    Ok(Mark {
        call: call(row)?,
        store: store(row)?,
        bucket: bucket(row)?,
        key: key(row)?,
        write: write(row)?,
        fence: match row.get_ref("fence")? {
            rusqlite::types::ValueRef::Null => None,
            _ => Some(json(row, "fence")?),
        },
        since: moment(row, "since")?,
    })
}

pub(super) fn add(conn: &Connection, mark: &Mark) -> Result<(), Fault> {
    let fence = mark.fence.as_ref().map(to_json).transpose()?;
    run(
        conn,
        "INSERT INTO marks (call, store, bucket, key, write, fence, since) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
         ON CONFLICT DO UPDATE SET store = excluded.store, bucket = excluded.bucket, key = excluded.key,
             write = excluded.write, fence = excluded.fence, since = excluded.since",
        params![
            id_bytes(mark.call.0),
            mark.store.as_str(),
            mark.bucket.as_str().as_bytes(),
            mark.key.as_str().as_bytes(),
            id_bytes(mark.write.0),
            fence,
            int(mark.since.0)?,
        ],
    )?;
    Ok(())
}

pub(super) fn drop_call(conn: &Connection, call: CallId) -> Result<(), Fault> {
    run(conn, "DELETE FROM marks WHERE call = ?1", [id_bytes(call.0)])?;
    Ok(())
}

/// "Since" is the latest of its starting points, so it never goes back.
pub(super) fn restart(conn: &Connection, store: &StoreName, now: Moment) -> Result<(), Fault> {
    let sql = "UPDATE marks SET since = ?2 WHERE store = ?1 AND since < ?2";
    run(conn, sql, params![store.as_str(), int(now.0)?])?;
    Ok(())
}

pub(super) fn restart_key(
    conn: &Connection,
    bucket: &BucketName,
    key: &Key,
    store: &StoreName,
    now: Moment,
) -> Result<(), Fault> {
    // The plus keeps SQLite to the index by key: a key has few marks, a store may have many.
    run(
        conn,
        "UPDATE marks SET since = ?4 WHERE bucket = ?1 AND key = ?2 AND +store = ?3 AND since < ?4",
        params![bucket.as_str().as_bytes(), key.as_str().as_bytes(), store.as_str(), int(now.0)?],
    )?;
    Ok(())
}

pub(super) fn of_key(conn: &Connection, bucket: &BucketName, key: &Key) -> Result<Vec<Mark>, Fault> {
    let sql = "SELECT * FROM marks WHERE bucket = ?1 AND key = ?2 ORDER BY since, call";
    all(conn, sql, params![bucket.as_str().as_bytes(), key.as_str().as_bytes()], decode)
}

pub(super) fn since(conn: &Connection, store: &StoreName, since: Moment, limit: usize) -> Result<Vec<Mark>, Fault> {
    let sql = "SELECT * FROM marks WHERE store = ?1 AND since <= ?2 ORDER BY since, call LIMIT ?3";
    all(conn, sql, params![store.as_str(), int(since.0)?, rows_max(limit)], decode)
}

pub(super) fn count(conn: &Connection, store: &StoreName) -> Result<u64, Fault> {
    let sql = "SELECT count(*) AS marks FROM marks WHERE store = ?1";
    let found = first(conn, sql, [store.as_str()], |row| super::rows::number(row, "marks"))?;
    Ok(found.unwrap_or(0))
}

pub(super) fn forget_store(conn: &Connection, store: &StoreName) -> Result<(), Fault> {
    run(conn, "DELETE FROM marks WHERE store = ?1", [store.as_str()])?;
    Ok(())
}
