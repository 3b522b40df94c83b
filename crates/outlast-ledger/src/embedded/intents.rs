//! Writes that have begun and are undecided.

use super::fault::Fault;
use super::rows::{all, bucket, first, get, id_bytes, int, json, key, moment, rows_max, run, seq, to_json};
use super::{digests, rolled_back};
use outlast_rules::{BucketName, Entry, Intent, Key, Pin, Seq, StoreName, WriteId};
use rusqlite::{Connection, Row, params};

fn decode(row: &Row<'_>) -> Result<Intent, Fault> {
    Ok(Intent {
        bucket: bucket(row)?,
        key: key(row)?,
        began: moment(row, "began")?,
        entry: json(row, "entry")?,
        spooled: get(row, "spooled")?,
        upload: get(row, "upload")?,
    })
}

pub(super) fn begin(conn: &Connection, intent: &Intent) -> Result<(), Fault> {
    run(
        conn,
        "INSERT INTO intents (bucket, key, write, seq, began, spooled, upload, entry)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
         ON CONFLICT DO UPDATE SET seq = excluded.seq, began = excluded.began, spooled = excluded.spooled,
             upload = excluded.upload, entry = excluded.entry",
        params![
            intent.bucket.as_str().as_bytes(),
            intent.key.as_str().as_bytes(),
            id_bytes(intent.entry.write.0),
            int(intent.entry.seq.0)?,
            int(intent.began.0)?,
            intent.spooled,
            intent.upload,
            to_json(&intent.entry)?,
        ],
    )?;
    Ok(())
}

pub(super) fn spooled(conn: &Connection, bucket: &BucketName, key: &Key, write: WriteId) -> Result<(), Fault> {
    let names = params![bucket.as_str().as_bytes(), key.as_str().as_bytes(), id_bytes(write.0)];
    run(conn, "UPDATE intents SET spooled = 1 WHERE bucket = ?1 AND key = ?2 AND write = ?3", names)?;
    Ok(())
}

/// The intent goes. Where it is above the key's entry, nobody committed it: it was rolled back.
pub(super) fn end(conn: &Connection, bucket: &BucketName, key: &Key, write: WriteId) -> Result<(), Fault> {
    let names = params![bucket.as_str().as_bytes(), key.as_str().as_bytes(), id_bytes(write.0)];
    let begun = "SELECT seq FROM intents WHERE bucket = ?1 AND key = ?2 AND write = ?3";
    if let Some(seq) = first(conn, begun, names, seq)?
        && decided_seq(conn, bucket, key)?.is_none_or(|decided| decided < seq)
    {
        rolled_back::put(conn, bucket, key, write, seq)?;
    }
    run(conn, "DELETE FROM intents WHERE bucket = ?1 AND key = ?2 AND write = ?3", names)?;
    digests::forget_strays(conn, bucket, key)
}

fn decided_seq(conn: &Connection, bucket: &BucketName, key: &Key) -> Result<Option<Seq>, Fault> {
    let names = params![bucket.as_str().as_bytes(), key.as_str().as_bytes()];
    let sql = "SELECT seq FROM objects WHERE bucket = ?1 AND key = ?2
               UNION ALL SELECT seq FROM tombstones WHERE bucket = ?1 AND key = ?2";
    first(conn, sql, names, seq)
}

/// What the entry will be if that write is committed; None when it is not undecided.
pub(super) fn entry_of(
    conn: &Connection,
    bucket: &BucketName,
    key: &Key,
    write: WriteId,
) -> Result<Option<Entry>, Fault> {
    let names = params![bucket.as_str().as_bytes(), key.as_str().as_bytes(), id_bytes(write.0)];
    let sql = "SELECT entry FROM intents WHERE bucket = ?1 AND key = ?2 AND write = ?3";
    first(conn, sql, names, |row| json(row, "entry"))
}

/// The undecided write was seen on `store`.
pub(super) fn gather(
    conn: &Connection,
    bucket: &BucketName,
    key: &Key,
    mut entry: Entry,
    store: &StoreName,
    pin: &Pin,
) -> Result<(), Fault> {
    entry.holders.insert(store.clone(), pin.clone());
    run(
        conn,
        "UPDATE intents SET entry = ?4 WHERE bucket = ?1 AND key = ?2 AND write = ?3",
        params![bucket.as_str().as_bytes(), key.as_str().as_bytes(), id_bytes(entry.write.0), to_json(&entry)?],
    )?;
    Ok(())
}

pub(super) fn of_key(conn: &Connection, bucket: &BucketName, key: &Key) -> Result<Vec<Intent>, Fault> {
    let sql = "SELECT * FROM intents WHERE bucket = ?1 AND key = ?2 ORDER BY seq, write";
    all(conn, sql, params![bucket.as_str().as_bytes(), key.as_str().as_bytes()], decode)
}

pub(super) fn oldest(conn: &Connection, limit: usize) -> Result<Vec<Intent>, Fault> {
    let sql = "SELECT * FROM intents ORDER BY seq, bucket, key, write LIMIT ?1";
    all(conn, sql, [rows_max(limit)], decode)
}

pub(super) fn any_in(conn: &Connection, bucket: &BucketName) -> Result<bool, Fault> {
    let sql = "SELECT 1 FROM intents WHERE bucket = ?1 LIMIT 1";
    Ok(first(conn, sql, [bucket.as_str().as_bytes()], |_| Ok(()))?.is_some())
}
