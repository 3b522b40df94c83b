//! Which bytes a digest covers, kept apart from the entries: LIST never reads them.

use super::fault::Fault;
use super::rows::{first, get, id_bytes, run};
use crate::maps;
use outlast_rules::{BlockMap, BucketName, Digests, Key, WriteId};
use rusqlite::{Connection, params};

pub(super) fn of_write(
    conn: &Connection,
    bucket: &BucketName,
    key: &Key,
    write: WriteId,
) -> Result<Option<Digests>, Fault> {
    let names = params![bucket.as_str().as_bytes(), key.as_str().as_bytes(), id_bytes(write.0)];
    let sql = "SELECT maps FROM digests WHERE bucket = ?1 AND key = ?2 AND write = ?3";
    let maps: Option<Vec<u8>> = first(conn, sql, names, |row| get(row, "maps"))?;
    maps.map(|bytes| decode_maps(&bytes).map(|maps| Digests { maps })).transpose()
}

pub(super) fn put(
    conn: &Connection,
    bucket: &BucketName,
    key: &Key,
    write: WriteId,
    digests: &Digests,
) -> Result<(), Fault> {
    run(
        conn,
        "INSERT INTO digests VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO UPDATE SET maps = excluded.maps",
        params![bucket.as_str().as_bytes(), key.as_str().as_bytes(), id_bytes(write.0), encode_maps(&digests.maps)],
    )?;
    Ok(())
}

/// Digests belong to the entry, to an undecided write or to one in the trash; what belongs to none goes.
pub(super) fn forget_strays(conn: &Connection, bucket: &BucketName, key: &Key) -> Result<(), Fault> {
    let names = params![bucket.as_str().as_bytes(), key.as_str().as_bytes()];
    let sql = "DELETE FROM digests WHERE bucket = ?1 AND key = ?2
               AND NOT EXISTS (SELECT 1 FROM objects o WHERE o.bucket = ?1 AND o.key = ?2 AND o.write = digests.write)
               AND NOT EXISTS (SELECT 1 FROM intents i WHERE i.bucket = ?1 AND i.key = ?2 AND i.write = digests.write)
               AND NOT EXISTS (SELECT 1 FROM trash t WHERE t.bucket = ?1 AND t.key = ?2 AND t.write = digests.write)";
    run(conn, sql, names)?;
    Ok(())
}

pub(super) fn encode_maps(found: &[BlockMap]) -> Vec<u8> {
    maps::encode(found)
}

pub(super) fn decode_maps(bytes: &[u8]) -> Result<Vec<BlockMap>, Fault> {
    maps::decode(bytes).ok_or_else(|| Fault::damaged("block digests end in the middle"))
}

#[cfg(test)]
mod fuzz;
