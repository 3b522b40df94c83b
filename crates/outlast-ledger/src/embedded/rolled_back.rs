//! Writes that were rolled back and that no newer entry has outdone: a copy that a late call brings must not count in a rebuild.

use super::fault::Fault;
use super::rows::{all, first, id_bytes, int, run, seq, write as write_of};
use outlast_rules::{BucketName, Key, Seq, WriteId};
use rusqlite::{Connection, params};

pub(super) fn put(conn: &Connection, bucket: &BucketName, key: &Key, write: WriteId, seq: Seq) -> Result<(), Fault> {
    run(
        conn,
        "INSERT INTO rolled_back VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO UPDATE SET seq = excluded.seq",
        params![bucket.as_str().as_bytes(), key.as_str().as_bytes(), id_bytes(write.0), int(seq.0)?],
    )?;
    Ok(())
}

pub(super) fn seq_of(conn: &Connection, bucket: &BucketName, key: &Key, write: WriteId) -> Result<Option<Seq>, Fault> {
    let names = params![bucket.as_str().as_bytes(), key.as_str().as_bytes(), id_bytes(write.0)];
    let sql = "SELECT seq FROM rolled_back WHERE bucket = ?1 AND key = ?2 AND write = ?3";
    first(conn, sql, names, seq)
}

/// All of a key.
pub(super) fn of_key(conn: &Connection, bucket: &BucketName, key: &Key) -> Result<Vec<(WriteId, Seq)>, Fault> {
    let names = params![bucket.as_str().as_bytes(), key.as_str().as_bytes()];
    let sql = "SELECT write, seq FROM rolled_back WHERE bucket = ?1 AND key = ?2";
    all(conn, sql, names, |row| Ok((write_of(row)?, seq(row)?)))
}

/// A newer entry says all that there was to say of them.
pub(super) fn entry_stands(conn: &Connection, bucket: &BucketName, key: &Key, seq: Seq) -> Result<(), Fault> {
    let names = params![bucket.as_str().as_bytes(), key.as_str().as_bytes(), int(seq.0)?];
    run(conn, "DELETE FROM rolled_back WHERE bucket = ?1 AND key = ?2 AND seq <= ?3", names)?;
    Ok(())
}
