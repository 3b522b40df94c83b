//! What deletes and overwrites displaced and can still be brought back.

use super::digests;
use super::fault::Fault;
use super::list::end_of;
use super::rows::{all, first, id_bytes, int, json, number, rows_max, run, to_json};
use crate::TrashTotals;
use outlast_rules::{BucketName, Key, Moment, Shelf, StoreName, Trashed, WriteId};
use rusqlite::{Connection, Row, params};

fn decode(row: &Row<'_>) -> Result<Trashed, Fault> {
    json(row, "body")
}

pub(super) fn one(conn: &Connection, bucket: &BucketName, key: &Key, write: WriteId) -> Result<Option<Trashed>, Fault> {
    let names = params![bucket.as_str().as_bytes(), key.as_str().as_bytes(), id_bytes(write.0)];
    first(conn, "SELECT body FROM trash WHERE bucket = ?1 AND key = ?2 AND write = ?3", names, decode)
}

pub(super) fn put_row(conn: &Connection, trashed: &Trashed) -> Result<(), Fault> {
    run(
        conn,
        "INSERT INTO trash (bucket, key, write, size, until, body) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
         ON CONFLICT DO UPDATE SET until = excluded.until, body = excluded.body",
        params![
            trashed.bucket.as_str().as_bytes(),
            trashed.key.as_str().as_bytes(),
            id_bytes(trashed.entry.write.0),
            int(trashed.entry.size)?,
            trashed.until.map(|until| int(until.0)).transpose()?,
            to_json(trashed)?,
        ],
    )?;
    Ok(())
}

/// Shelves that are filled already stay: an earlier attempt to displace the same write may have filled them.
pub(super) fn put(conn: &Connection, trashed: &Trashed) -> Result<(), Fault> {
    let mut new = trashed.clone();
    if let Some(old) = one(conn, &new.bucket, &new.key, new.entry.write)? {
        let mut shelves = old.shelves;
        shelves.append(&mut new.shelves);
        new.shelves = shelves;
    }
    put_row(conn, &new)
}

pub(super) fn shelve(
    conn: &Connection,
    bucket: &BucketName,
    key: &Key,
    write: WriteId,
    store: &StoreName,
    shelf: &Shelf,
) -> Result<(), Fault> {
    let Some(mut trashed) = one(conn, bucket, key, write)? else { return Ok(()) };
    trashed.shelves.insert(store.clone(), shelf.clone());
    put_row(conn, &trashed)
}

pub(super) fn release(
    conn: &Connection,
    bucket: &BucketName,
    key: &Key,
    write: WriteId,
    until: Moment,
) -> Result<(), Fault> {
    let Some(mut trashed) = one(conn, bucket, key, write)? else { return Ok(()) };
    trashed.until = Some(until);
    put_row(conn, &trashed)
}

pub(super) fn drop_one(conn: &Connection, bucket: &BucketName, key: &Key, write: WriteId) -> Result<(), Fault> {
    let names = params![bucket.as_str().as_bytes(), key.as_str().as_bytes(), id_bytes(write.0)];
    run(conn, "DELETE FROM trash WHERE bucket = ?1 AND key = ?2 AND write = ?3", names)?;
    digests::forget_strays(conn, bucket, key)
}

/// In the order of the displaced writes.
pub(super) fn of_key(conn: &Connection, bucket: &BucketName, key: &Key) -> Result<Vec<Trashed>, Fault> {
    let names = params![bucket.as_str().as_bytes(), key.as_str().as_bytes()];
    let mut found = all(conn, "SELECT body FROM trash WHERE bucket = ?1 AND key = ?2", names, decode)?;
    found.sort_by_key(|trashed| (trashed.entry.seq, trashed.entry.write));
    Ok(found)
}

pub(super) fn page(
    conn: &Connection,
    bucket: &BucketName,
    prefix: &str,
    after: Option<&Key>,
    limit: usize,
) -> Result<Vec<Trashed>, Fault> {
    let after = after.map_or("", Key::as_str);
    let sql =
        "SELECT body FROM trash WHERE bucket = ?1 AND key > ?2 AND key >= ?3 AND key < ?4 ORDER BY key, write LIMIT ?5";
    let from = prefix.as_bytes();
    let limit = rows_max(limit.max(1));
    let names = params![bucket.as_str().as_bytes(), after.as_bytes(), from, end_of(from), limit];
    let mut found = all(conn, sql, names, decode)?;
    // The last key's rows may go on behind the page: it is read whole, or left for the next one.
    if found.len() as i64 == limit
        && let Some(last) = found.last().map(|trashed| trashed.key.clone())
    {
        found.retain(|trashed| trashed.key != last);
        if found.is_empty() {
            return of_key(conn, bucket, &last);
        }
    }
    Ok(found)
}

pub(super) fn over(conn: &Connection, now: Moment, limit: usize) -> Result<Vec<Trashed>, Fault> {
    let sql = "SELECT body FROM trash WHERE until IS NOT NULL AND until <= ?1 ORDER BY until LIMIT ?2";
    all(conn, sql, params![int(now.0)?, rows_max(limit)], decode)
}

pub(super) fn totals(conn: &Connection, bucket: &BucketName) -> Result<TrashTotals, Fault> {
    let sql = "SELECT objects, bytes, held FROM trash_totals WHERE bucket = ?1";
    let counted = first(conn, sql, [bucket.as_str().as_bytes()], |row| {
        Ok(TrashTotals { objects: number(row, "objects")?, bytes: number(row, "bytes")?, held: number(row, "held")? })
    })?;
    Ok(counted.unwrap_or_default())
}
