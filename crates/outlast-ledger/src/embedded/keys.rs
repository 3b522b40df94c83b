//! The current truth of each key: objects and tombstones in tables of their own, so that LIST never steps over deletes.

use super::fault::Fault;
use super::rows::{all, first, id_bytes, int, json, key as key_of, rows_max, run, seq, to_json, write};
use super::{debts, digests, intents, marks, rolled_back, seen, spool};
use crate::shipped::RowPlace;
use outlast_rules::{BucketName, Debt, DebtKind, Digests, Entry, EntryKind, Key, KeyState, Moment, StoreName, WriteId};
use rusqlite::{Connection, Row, params};

/// The body is the truth; the columns beside it are what LIST reads and what people look for.
fn decode(row: &Row<'_>) -> Result<Entry, Fault> {
    let entry: Entry = json(row, "body")?;
    if entry.write != write(row)? || entry.seq != seq(row)? {
        return Err(Fault::damaged(format!("the entry of write {} disagrees with its own columns", entry.write)));
    }
    Ok(entry)
}

pub(super) fn entry(conn: &Connection, bucket: &BucketName, key: &Key) -> Result<Option<Entry>, Fault> {
    match object(conn, bucket, key)? {
        Some(object) => Ok(Some(object)),
        None => {
            let sql = "SELECT write, seq, body FROM tombstones WHERE bucket = ?1 AND key = ?2";
            first(conn, sql, params![bucket.as_str().as_bytes(), key.as_str().as_bytes()], decode)
        }
    }
}

/// The entry if it is an object: what every read asks first, so it asks one table alone.
pub(super) fn object(conn: &Connection, bucket: &BucketName, key: &Key) -> Result<Option<Entry>, Fault> {
    let sql = "SELECT write, seq, body FROM objects WHERE bucket = ?1 AND key = ?2";
    first(conn, sql, params![bucket.as_str().as_bytes(), key.as_str().as_bytes()], decode)
}

/// With the digests of its bytes: of one moment, so they are of this very write.
pub(super) fn body(
    conn: &Connection,
    bucket: &BucketName,
    key: &Key,
) -> Result<Option<(Entry, Option<Digests>)>, Fault> {
    let Some(entry) = object(conn, bucket, key)? else { return Ok(None) };
    let digests = digests::of_write(conn, bucket, key, entry.write)?;
    Ok(Some((entry, digests)))
}

/// Call it inside one read transaction: its parts must be of one moment.
pub(super) fn state(conn: &Connection, bucket: &BucketName, key: &Key) -> Result<KeyState, Fault> {
    let entry = entry(conn, bucket, key)?;
    Ok(KeyState {
        intents: intents::of_key(conn, bucket, key)?,
        marks: marks::of_key(conn, bucket, key)?,
        seen: seen::read(conn, bucket, key, entry.as_ref())?,
        debts: debts::of_key(conn, bucket, key)?,
        spooled: spool::of_key(conn, bucket, key)?,
        entry,
    })
}

pub(super) fn page(
    conn: &Connection,
    bucket: &BucketName,
    after: Option<&Key>,
    limit: usize,
) -> Result<Vec<(Key, Entry)>, Fault> {
    let sql = "SELECT * FROM objects WHERE bucket = ?1 AND key > ?2
               UNION ALL SELECT * FROM tombstones WHERE bucket = ?1 AND key > ?2
               ORDER BY key LIMIT ?3";
    let after = after.map_or("", Key::as_str).as_bytes();
    let params = params![bucket.as_str().as_bytes(), after, rows_max(limit)];
    all(conn, sql, params, |row| Ok((key_of(row)?, decode(row)?)))
}

pub(super) fn tombstones(
    conn: &Connection,
    bucket: &BucketName,
    after: Option<&Key>,
    limit: usize,
) -> Result<Vec<(Key, Entry)>, Fault> {
    let sql = "SELECT * FROM tombstones WHERE bucket = ?1 AND key > ?2 ORDER BY key LIMIT ?3";
    let after = after.map_or("", Key::as_str).as_bytes();
    let params = params![bucket.as_str().as_bytes(), after, rows_max(limit)];
    all(conn, sql, params, |row| Ok((key_of(row)?, decode(row)?)))
}

/// Keys whose last two entries were objects of one ETag and one size, in their order.
pub(super) fn twins(
    conn: &Connection,
    bucket: &BucketName,
    after: Option<&Key>,
    limit: usize,
) -> Result<Vec<Key>, Fault> {
    let sql = "SELECT key FROM twins WHERE bucket = ?1 AND key > ?2 ORDER BY key LIMIT ?3";
    let after = after.map_or("", Key::as_str).as_bytes();
    all(conn, sql, params![bucket.as_str().as_bytes(), after, rows_max(limit)], key_of)
}

fn table(kind: EntryKind) -> &'static str {
    match kind {
        EntryKind::Object => "objects",
        EntryKind::Tombstone => "tombstones",
    }
}

/// Writes the row of an entry; its kind must be what the table holds already, or new.
fn put_row(conn: &Connection, bucket: &BucketName, key: &Key, entry: &Entry) -> Result<(), Fault> {
    let sql = format!(
        "INSERT INTO {} (bucket, key, size, etag, modified, write, seq, body)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
         ON CONFLICT DO UPDATE SET size = excluded.size, etag = excluded.etag, modified = excluded.modified,
             write = excluded.write, seq = excluded.seq, body = excluded.body",
        table(entry.kind)
    );
    run(
        conn,
        &sql,
        params![
            bucket.as_str().as_bytes(),
            key.as_str().as_bytes(),
            int(entry.size)?,
            entry.etag,
            int(entry.modified.0)?,
            id_bytes(entry.write.0),
            int(entry.seq.0)?,
            to_json(entry)?,
        ],
    )?;
    Ok(())
}

fn delete_row(conn: &Connection, bucket: &BucketName, key: &Key, kind: EntryKind) -> Result<(), Fault> {
    let sql = format!("DELETE FROM {} WHERE bucket = ?1 AND key = ?2", table(kind));
    run(conn, &sql, params![bucket.as_str().as_bytes(), key.as_str().as_bytes()])?;
    Ok(())
}

pub(super) fn set_entry(
    conn: &Connection,
    bucket: &BucketName,
    key: &Key,
    new: &Entry,
    found: Option<&Digests>,
) -> Result<(), Fault> {
    let old = entry(conn, bucket, key)?;
    if let Some(old) = &old {
        if new.seq < old.seq || (new.seq == old.seq && new.write != old.write) {
            return Err(Fault::refused(format!(
                "{bucket}/{key}: seq would go back from {} (write {}) to {} (write {})",
                old.seq, old.write, new.seq, new.write
            )));
        }
        if old.kind != new.kind {
            delete_row(conn, bucket, key, old.kind)?;
        }
    }
    seen::entry_changes(conn, bucket, key, old.as_ref(), new)?;
    put_row(conn, bucket, key, new)?;
    rolled_back::entry_stands(conn, bucket, key, new.seq)?;
    if old.is_some_and(|old| old.write != new.write) {
        digests::forget_strays(conn, bucket, key)?;
    }
    match found {
        Some(found) => digests::put(conn, bucket, key, new.write, found),
        None => Ok(()),
    }
}

/// Whatever the key had before, and whatever its seq was: for a ledger that is made anew.
pub(super) fn replace(conn: &Connection, bucket: &BucketName, key: &Key, new: Option<&Entry>) -> Result<(), Fault> {
    for kind in [EntryKind::Object, EntryKind::Tombstone] {
        if new.is_none_or(|new| new.kind != kind) {
            delete_row(conn, bucket, key, kind)?;
        }
    }
    if let Some(new) = new {
        put_row(conn, bucket, key, new)?;
    }
    digests::forget_strays(conn, bucket, key)
}

/// The same write's entry with other holders: nothing but its row changes.
pub(super) fn update_holders(conn: &Connection, bucket: &BucketName, key: &Key, entry: &Entry) -> Result<(), Fault> {
    put_row(conn, bucket, key, entry)
}

pub(super) fn forget_predecessors(
    conn: &Connection,
    bucket: &BucketName,
    key: &Key,
    write: WriteId,
) -> Result<(), Fault> {
    match entry(conn, bucket, key)? {
        Some(mut now) if now.write == write => {
            now.predecessors.clear();
            put_row(conn, bucket, key, &now)
        }
        _ => Ok(()),
    }
}

pub(super) fn drop_entry(conn: &Connection, bucket: &BucketName, key: &Key, write: WriteId) -> Result<(), Fault> {
    let Some(old) = entry(conn, bucket, key)?.filter(|old| old.write == write) else {
        return Ok(());
    };
    if old.is_object() {
        return Err(Fault::refused(format!("{bucket}/{key}: write {write} is an object; only a tombstone may go")));
    }
    delete_row(conn, bucket, key, EntryKind::Tombstone)?;
    seen::forget_key(conn, bucket, key)
}

pub(super) fn not_holder(
    conn: &Connection,
    bucket: &BucketName,
    key: &Key,
    store: &StoreName,
    write: WriteId,
) -> Result<(), Fault> {
    match entry(conn, bucket, key)? {
        Some(mut entry) if entry.write == write && entry.holders.contains_key(store) => {
            seen::holder_leaves(conn, bucket, key, store, &entry)?;
            entry.holders.remove(store);
            update_holders(conn, bucket, key, &entry)
        }
        _ => Ok(()),
    }
}

/// Entries are visited in pages, so that memory stays small however many there are.
const OWE_EVERYTHING_PAGE: usize = 1000;

pub(super) fn owe_everything(conn: &Connection, store: &StoreName, now: Moment) -> Result<(), Fault> {
    // A bucket may be gone while tombstones in it are not, so the entries are asked, not the buckets.
    let sql = "SELECT bucket FROM objects UNION SELECT bucket FROM tombstones ORDER BY bucket";
    for bucket in all(conn, sql, [], super::rows::bucket)? {
        let mut after: Option<Key> = None;
        loop {
            let entries = page(conn, &bucket, after.as_ref(), OWE_EVERYTHING_PAGE)?;
            let Some((last, _)) = entries.last() else { break };
            after = Some(last.clone());
            for (key, entry) in entries {
                owe_one(conn, store, now, &bucket, &key, entry)?;
            }
        }
    }
    seen::forget_store(conn, store)
}

fn owe_one(
    conn: &Connection,
    store: &StoreName,
    now: Moment,
    bucket: &BucketName,
    key: &Key,
    mut entry: Entry,
) -> Result<(), Fault> {
    if entry.holders.remove(store).is_none() {
        return Ok(());
    }
    update_holders(conn, bucket, key, &entry)?;
    debts::owe(
        conn,
        &Debt {
            store: store.clone(),
            bucket: bucket.clone(),
            key: key.clone(),
            kind: if entry.is_object() { DebtKind::Copy } else { DebtKind::Remove },
            seq: entry.seq,
            size: entry.size,
            since: now,
            not_before: now,
            attempts: 0,
        },
    )
}

pub(super) fn set_digests(
    conn: &Connection,
    bucket: &BucketName,
    key: &Key,
    write: WriteId,
    found: &Digests,
) -> Result<(), Fault> {
    let decided = entry(conn, bucket, key)?.is_some_and(|entry| entry.write == write);
    if decided {
        // No trigger sees it: digests of undecided writes are nobody's news.
        unshipped_entry(conn, bucket, key)?;
    }
    if decided || intents::entry_of(conn, bucket, key, write)?.is_some() {
        return digests::put(conn, bucket, key, write, found);
    }
    Ok(())
}

fn unshipped_entry(conn: &Connection, bucket: &BucketName, key: &Key) -> Result<(), Fault> {
    let names = params![RowPlace::ENTRY, bucket.as_str().as_bytes(), key.as_str().as_bytes()];
    run(conn, "DELETE FROM unshipped WHERE kind = ?1 AND bucket = ?2 AND key = ?3", names)?;
    run(conn, "INSERT INTO unshipped (kind, bucket, key, write) VALUES (?1, ?2, ?3, x'')", names)?;
    Ok(())
}
