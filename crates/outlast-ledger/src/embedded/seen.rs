//! What was last seen under a key on each store: the next fence. A row exists only where it says more than the entry's holders.

use super::fault::Fault;
use super::rows::{all, get, id_bytes, run, store};
use outlast_rules::{BucketName, Entry, Key, Pin, Seen, StoreName, WriteId};
use rusqlite::{Connection, params};
use std::collections::BTreeMap;

/// What an entry itself says was seen: its holders showed its pins. A copy that it was adopted from has no stamp.
fn said_by(entry: &Entry) -> BTreeMap<StoreName, Seen> {
    if !entry.is_object() {
        return BTreeMap::new();
    }
    let said = |(store, pin): (&StoreName, &Pin)| {
        let write = (!entry.is_adopted_on(store)).then_some(entry.write);
        (store.clone(), Seen { write, pin: Some(pin.clone()) })
    };
    entry.holders.iter().map(said).collect()
}

fn rows_of(conn: &Connection, bucket: &BucketName, key: &Key) -> Result<BTreeMap<StoreName, Seen>, Fault> {
    let sql = "SELECT store, write, etag, version FROM seen WHERE bucket = ?1 AND key = ?2";
    let found = all(conn, sql, params![bucket.as_str().as_bytes(), key.as_str().as_bytes()], |row| {
        let write: Option<[u8; 16]> = get(row, "write")?;
        let etag: Option<String> = get(row, "etag")?;
        let version = get(row, "version")?;
        let pin = etag.map(|etag| Pin { etag, version });
        Ok((store(row)?, Seen { write: write.map(|id| WriteId(u128::from_be_bytes(id))), pin }))
    })?;
    Ok(found.into_iter().collect())
}

/// Everything last seen of a key whose entry is `entry`.
pub(super) fn read(
    conn: &Connection,
    bucket: &BucketName,
    key: &Key,
    entry: Option<&Entry>,
) -> Result<BTreeMap<StoreName, Seen>, Fault> {
    let mut seen = entry.map(said_by).unwrap_or_default();
    seen.extend(rows_of(conn, bucket, key)?);
    Ok(seen)
}

pub(super) fn set(
    conn: &Connection,
    bucket: &BucketName,
    key: &Key,
    store: &StoreName,
    seen: &Seen,
    entry: Option<&Entry>,
) -> Result<(), Fault> {
    if entry.map(said_by).unwrap_or_default().get(store) == Some(seen) {
        return forget(conn, bucket, key, store);
    }
    run(
        conn,
        "INSERT INTO seen VALUES (?1, ?2, ?3, ?4, ?5, ?6)
         ON CONFLICT DO UPDATE SET write = excluded.write, etag = excluded.etag, version = excluded.version",
        params![
            bucket.as_str().as_bytes(),
            key.as_str().as_bytes(),
            store.as_str(),
            seen.write.map(|write| id_bytes(write.0)),
            seen.pin.as_ref().map(|pin| &pin.etag),
            seen.pin.as_ref().and_then(|pin| pin.version.as_ref()),
        ],
    )?;
    Ok(())
}

fn forget(conn: &Connection, bucket: &BucketName, key: &Key, store: &StoreName) -> Result<(), Fault> {
    let names = params![bucket.as_str().as_bytes(), key.as_str().as_bytes(), store.as_str()];
    run(conn, "DELETE FROM seen WHERE bucket = ?1 AND key = ?2 AND store = ?3", names)?;
    Ok(())
}

/// The key's entry changes from `old` to `new`: what the old one said of stores that the new one is silent about is kept in
/// rows; what the new one says replaces rows.
pub(super) fn entry_changes(
    conn: &Connection,
    bucket: &BucketName,
    key: &Key,
    old: Option<&Entry>,
    new: &Entry,
) -> Result<(), Fault> {
    let rows = rows_of(conn, bucket, key)?;
    let new_says = said_by(new);
    for (store, seen) in old.map(said_by).unwrap_or_default() {
        if !new_says.contains_key(&store) && !rows.contains_key(&store) {
            set(conn, bucket, key, &store, &seen, None)?;
        }
    }
    for store in rows.keys().filter(|store| new_says.contains_key(*store)) {
        forget(conn, bucket, key, store)?;
    }
    Ok(())
}

/// `store` is about to be taken from the holders of `entry`; what was seen there does not change by that.
pub(super) fn holder_leaves(
    conn: &Connection,
    bucket: &BucketName,
    key: &Key,
    store: &StoreName,
    entry: &Entry,
) -> Result<(), Fault> {
    match said_by(entry).get(store) {
        Some(seen) if !rows_of(conn, bucket, key)?.contains_key(store) => set(conn, bucket, key, store, seen, None),
        _ => Ok(()),
    }
}

pub(super) fn forget_key(conn: &Connection, bucket: &BucketName, key: &Key) -> Result<(), Fault> {
    let names = params![bucket.as_str().as_bytes(), key.as_str().as_bytes()];
    run(conn, "DELETE FROM seen WHERE bucket = ?1 AND key = ?2", names)?;
    Ok(())
}

pub(super) fn forget_store(conn: &Connection, store: &StoreName) -> Result<(), Fault> {
    run(conn, "DELETE FROM seen WHERE store = ?1", [store.as_str()])?;
    Ok(())
}
