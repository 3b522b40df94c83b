//! Which writes' whole bodies the fsynced spool holds.

use super::fault::Fault;
use super::rows::{all, bucket, id_bytes, int, key, number, run, write};
use crate::SpoolItem;
use outlast_rules::{BucketName, Key, WriteId};
use rusqlite::{Connection, params};

pub(super) fn hold(conn: &Connection, bucket: &BucketName, key: &Key, write: WriteId, size: u64) -> Result<(), Fault> {
    run(
        conn,
        "INSERT INTO spool (write, bucket, key, size) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT DO UPDATE SET bucket = excluded.bucket, key = excluded.key, size = excluded.size",
        params![id_bytes(write.0), bucket.as_str().as_bytes(), key.as_str().as_bytes(), int(size)?],
    )?;
    Ok(())
}

pub(super) fn release(conn: &Connection, write: WriteId) -> Result<(), Fault> {
    run(conn, "DELETE FROM spool WHERE write = ?1", [id_bytes(write.0)])?;
    Ok(())
}

pub(super) fn of_key(conn: &Connection, bucket: &BucketName, key: &Key) -> Result<Vec<WriteId>, Fault> {
    let sql = "SELECT write FROM spool WHERE bucket = ?1 AND key = ?2 ORDER BY write";
    all(conn, sql, params![bucket.as_str().as_bytes(), key.as_str().as_bytes()], write)
}

pub(super) fn items(conn: &Connection) -> Result<Vec<SpoolItem>, Fault> {
    all(conn, "SELECT * FROM spool ORDER BY write", [], |row| {
        Ok(SpoolItem { write: write(row)?, bucket: bucket(row)?, key: key(row)?, size: number(row, "size")? })
    })
}
