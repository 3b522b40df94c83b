//! The tables, their version, and how a file becomes a ledger. Meaning of every column: docs/formats/ledger.md.

use super::fault::Fault;
use crate::shipped::RowPlace;
use rusqlite::Connection;

/// Marks the file as ours: "OUTL".
const APPLICATION_ID: i64 = 0x4f55_544c;

/// The version that this program writes. An older one is brought up to it when opened; a newer one is refused.
const VERSION: i64 = 4;

const TABLES_V1: &str = "
CREATE TABLE counters (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT, WITHOUT ROWID;
INSERT INTO counters VALUES ('seq_reserved', 0);

CREATE TABLE objects (
    bucket BLOB NOT NULL, key BLOB NOT NULL,
    size INTEGER NOT NULL, etag TEXT NOT NULL, modified INTEGER NOT NULL,
    write BLOB NOT NULL, seq INTEGER NOT NULL, body TEXT NOT NULL,
    PRIMARY KEY (bucket, key)
) STRICT, WITHOUT ROWID;
CREATE TABLE tombstones (
    bucket BLOB NOT NULL, key BLOB NOT NULL,
    size INTEGER NOT NULL, etag TEXT NOT NULL, modified INTEGER NOT NULL,
    write BLOB NOT NULL, seq INTEGER NOT NULL, body TEXT NOT NULL,
    PRIMARY KEY (bucket, key)
) STRICT, WITHOUT ROWID;
CREATE TABLE digests (
    bucket BLOB NOT NULL, key BLOB NOT NULL, write BLOB NOT NULL, maps BLOB NOT NULL,
    PRIMARY KEY (bucket, key, write)
) STRICT, WITHOUT ROWID;
CREATE TABLE seen (
    bucket BLOB NOT NULL, key BLOB NOT NULL, store TEXT NOT NULL,
    write BLOB, etag TEXT, version TEXT,
    PRIMARY KEY (bucket, key, store)
) STRICT, WITHOUT ROWID;

CREATE TABLE intents (
    bucket BLOB NOT NULL, key BLOB NOT NULL, write BLOB NOT NULL,
    seq INTEGER NOT NULL, began INTEGER NOT NULL, spooled INTEGER NOT NULL, upload TEXT, entry TEXT NOT NULL,
    PRIMARY KEY (bucket, key, write)
) STRICT, WITHOUT ROWID;
CREATE INDEX intents_by_seq ON intents (seq);
CREATE TABLE marks (
    call BLOB PRIMARY KEY,
    store TEXT NOT NULL, bucket BLOB NOT NULL, key BLOB NOT NULL,
    write BLOB NOT NULL, fence TEXT, since INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX marks_by_key ON marks (bucket, key);
CREATE INDEX marks_by_store ON marks (store, since);
CREATE TABLE spool (
    write BLOB PRIMARY KEY, bucket BLOB NOT NULL, key BLOB NOT NULL, size INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX spool_by_key ON spool (bucket, key);

CREATE TABLE debts (
    store TEXT NOT NULL, bucket BLOB NOT NULL, key BLOB NOT NULL,
    kind TEXT NOT NULL, seq INTEGER NOT NULL, size INTEGER NOT NULL,
    since INTEGER NOT NULL, not_before INTEGER NOT NULL, attempts INTEGER NOT NULL,
    turn INTEGER NOT NULL GENERATED ALWAYS AS (max(since, not_before)) VIRTUAL,
    PRIMARY KEY (store, bucket, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX debts_by_turn ON debts (store, turn);
CREATE INDEX debts_by_since ON debts (store, since);
CREATE TABLE debt_totals (
    store TEXT PRIMARY KEY, objects INTEGER NOT NULL, bytes INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TRIGGER debts_added AFTER INSERT ON debts BEGIN
    INSERT INTO debt_totals VALUES (new.store, 1, new.size)
    ON CONFLICT (store) DO UPDATE SET objects = objects + 1, bytes = bytes + new.size;
END;
CREATE TRIGGER debts_changed AFTER UPDATE OF size ON debts WHEN old.size <> new.size BEGIN
    UPDATE debt_totals SET bytes = bytes + new.size - old.size WHERE store = new.store;
END;
CREATE TRIGGER debts_paid AFTER DELETE ON debts BEGIN
    UPDATE debt_totals SET objects = objects - 1, bytes = bytes - old.size WHERE store = old.store;
END;

CREATE TABLE buckets (
    name BLOB PRIMARY KEY, created INTEGER NOT NULL, incarnation INTEGER NOT NULL, state TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE bucket_totals (
    bucket BLOB PRIMARY KEY, objects INTEGER NOT NULL, bytes INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TRIGGER objects_added AFTER INSERT ON objects BEGIN
    INSERT INTO bucket_totals VALUES (new.bucket, 1, new.size)
    ON CONFLICT (bucket) DO UPDATE SET objects = objects + 1, bytes = bytes + new.size;
END;
CREATE TRIGGER objects_changed AFTER UPDATE OF size ON objects WHEN old.size <> new.size BEGIN
    UPDATE bucket_totals SET bytes = bytes + new.size - old.size WHERE bucket = new.bucket;
END;
CREATE TRIGGER objects_gone AFTER DELETE ON objects BEGIN
    UPDATE bucket_totals SET objects = objects - 1, bytes = bytes - old.size WHERE bucket = old.bucket;
END;

CREATE TABLE uploads (
    id TEXT PRIMARY KEY, bucket BLOB NOT NULL, key BLOB NOT NULL,
    live INTEGER NOT NULL, touched INTEGER NOT NULL, body TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX uploads_live ON uploads (bucket, key, id) WHERE live = 1;
CREATE INDEX uploads_by_touched ON uploads (touched);
CREATE TABLE parts (
    upload TEXT NOT NULL, number INTEGER NOT NULL,
    size INTEGER NOT NULL, etag TEXT NOT NULL, modified INTEGER NOT NULL,
    spooled INTEGER NOT NULL, holders TEXT NOT NULL, checksums TEXT NOT NULL, map BLOB NOT NULL,
    PRIMARY KEY (upload, number)
) STRICT, WITHOUT ROWID;

CREATE TABLE facts (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE history (id INTEGER PRIMARY KEY, at INTEGER NOT NULL, kind TEXT NOT NULL, text TEXT NOT NULL) STRICT;
";

/// The trash: what deletes and overwrites displaced and can still be brought back.
const TABLES_V2: &str = "
CREATE TABLE trash (
    bucket BLOB NOT NULL, key BLOB NOT NULL, write BLOB NOT NULL,
    size INTEGER NOT NULL, until INTEGER, body TEXT NOT NULL,
    PRIMARY KEY (bucket, key, write)
) STRICT, WITHOUT ROWID;
CREATE INDEX trash_by_until ON trash (until) WHERE until IS NOT NULL;
CREATE TABLE trash_totals (
    bucket BLOB PRIMARY KEY, objects INTEGER NOT NULL, bytes INTEGER NOT NULL, held INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TRIGGER trash_added AFTER INSERT ON trash BEGIN
    INSERT INTO trash_totals VALUES (new.bucket, 1, new.size, new.until IS NULL)
    ON CONFLICT (bucket) DO UPDATE SET objects = objects + 1, bytes = bytes + new.size, held = held + (new.until IS NULL);
END;
CREATE TRIGGER trash_changed AFTER UPDATE OF until ON trash WHEN (old.until IS NULL) <> (new.until IS NULL) BEGIN
    UPDATE trash_totals SET held = held + (new.until IS NULL) - (old.until IS NULL) WHERE bucket = new.bucket;
END;
CREATE TRIGGER trash_emptied AFTER DELETE ON trash BEGIN
    UPDATE trash_totals SET objects = objects - 1, bytes = bytes - old.size, held = held - (old.until IS NULL)
    WHERE bucket = old.bucket;
END;
";

/// What the stores have not been told yet: one row for each thing that changed, however often, in the order of the last change.
/// Triggers, so that no change can forget it. A turn is never used twice: what was read up to a turn is what it was.
const TABLES_V3: &str = "
CREATE TABLE rolled_back (
    bucket BLOB NOT NULL, key BLOB NOT NULL, write BLOB NOT NULL, seq INTEGER NOT NULL,
    PRIMARY KEY (bucket, key, write)
) STRICT, WITHOUT ROWID;
CREATE TABLE unshipped (
    turn INTEGER PRIMARY KEY AUTOINCREMENT,
    kind INTEGER NOT NULL, bucket BLOB NOT NULL, key BLOB NOT NULL, write BLOB NOT NULL,
    UNIQUE (kind, bucket, key, write)
) STRICT;
";

/// Keys whose last two entries have one ETag and one size: on a store that gives an ETag twice no listing can tell a copy of the one
/// from a copy of the other. Triggers, so that no change can forget it; an upsert overrides the OR IGNORE of its triggers, so they delete
/// first.
const TABLES_V4: &str = "
CREATE TABLE twins (bucket BLOB NOT NULL, key BLOB NOT NULL, PRIMARY KEY (bucket, key)) STRICT, WITHOUT ROWID;
CREATE TRIGGER twins_made AFTER UPDATE OF write ON objects
WHEN old.write <> new.write AND old.etag = new.etag AND old.size = new.size BEGIN
    DELETE FROM twins WHERE bucket = new.bucket AND key = new.key;
    INSERT INTO twins VALUES (new.bucket, new.key);
END;
CREATE TRIGGER twins_parted AFTER UPDATE OF write ON objects
WHEN old.write <> new.write AND (old.etag <> new.etag OR old.size <> new.size) BEGIN
    DELETE FROM twins WHERE bucket = new.bucket AND key = new.key;
END;
CREATE TRIGGER twins_gone AFTER DELETE ON objects BEGIN
    DELETE FROM twins WHERE bucket = old.bucket AND key = old.key;
END;
";

/// The tables whose rows are shipped: kind of `RowPlace`, table, and how a row of it is called.
const SHIPPED: [(u8, &str, [&str; 3]); 6] = [
    (RowPlace::BUCKET, "buckets", ["ROW.name", "x''", "x''"]),
    (RowPlace::FACT, "facts", ["x''", "CAST(ROW.name AS BLOB)", "x''"]),
    (RowPlace::ENTRY, "objects", ["ROW.bucket", "ROW.key", "x''"]),
    (RowPlace::ENTRY, "tombstones", ["ROW.bucket", "ROW.key", "x''"]),
    (RowPlace::TRASH, "trash", ["ROW.bucket", "ROW.key", "ROW.write"]),
    (RowPlace::ROLLED_BACK, "rolled_back", ["ROW.bucket", "ROW.key", "ROW.write"]),
];

/// Facts about shipping itself are no news: each segment would ask for the next.
const OWN_FACTS: &str = "substr(ROW.name, 1, 5) <> 'ship.'";

fn shipping_triggers() -> String {
    let mut sql = String::new();
    for (kind, table, [bucket, key, write]) in SHIPPED {
        for (event, row) in [("INSERT", "new"), ("UPDATE", "new"), ("DELETE", "old")] {
            let of = |column: &str| column.replace("ROW", row);
            let when = if table == "facts" { format!("WHEN {}", of(OWN_FACTS)) } else { String::new() };
            let (bucket, key, write) = (of(bucket), of(key), of(write));
            let name = event.to_lowercase();
            sql.push_str(&format!(
                "CREATE TRIGGER ship_{table}_{name} AFTER {event} ON {table} {when} BEGIN
                     DELETE FROM unshipped WHERE kind = {kind} AND bucket = {bucket} AND key = {key} AND write = {write};
                     INSERT INTO unshipped (kind, bucket, key, write) VALUES ({kind}, {bucket}, {key}, {write});
                 END;\n"
            ));
        }
    }
    sql
}

/// Makes the tables in an empty file, or sees that they are ours and of a version that we know.
pub(super) fn prepare(conn: &Connection) -> Result<(), Fault> {
    let version: i64 = conn.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    let id: i64 = conn.query_row("PRAGMA application_id", [], |row| row.get(0))?;
    let tables: i64 = conn.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    match (id, version) {
        (0, 0) if tables == 0 => {
            let triggers = shipping_triggers();
            conn.execute_batch(&format!(
                "BEGIN IMMEDIATE; {TABLES_V1} {TABLES_V2} {TABLES_V3} {triggers} {TABLES_V4}
                 PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {VERSION}; COMMIT;"
            ))?;
            Ok(())
        }
        (APPLICATION_ID, VERSION) => Ok(()),
        (APPLICATION_ID, old @ 1..VERSION) => {
            let trash = if old < 2 { TABLES_V2 } else { "" };
            let shipping = if old < 3 { format!("{TABLES_V3} {}", shipping_triggers()) } else { String::new() };
            conn.execute_batch(&format!(
                "BEGIN IMMEDIATE; {trash} {shipping} {TABLES_V4} PRAGMA user_version = {VERSION}; COMMIT;"
            ))?;
            Ok(())
        }
        (APPLICATION_ID, newer) if newer > VERSION => Err(Fault::damaged(format!(
            "it has version {newer}, this program knows up to {VERSION}: it was written by a newer Outlast"
        ))),
        _ => Err(Fault::damaged("the file is not a ledger of Outlast")),
    }
}
