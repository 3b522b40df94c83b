//! What the stores have not been told yet, and everything that they are told at all: rows as they are now.

use super::fault::Fault;
use super::rows::{first, get, id_bytes, int, number, run};
use super::{buckets, digests, facts, keys, rolled_back, trash};
use crate::shipped::{Row, RowPlace};
use crate::{RowLines, UNSHIPPED_COUNT_MAX, Unshipped};
use outlast_rules::{BucketName, Key, Seq, WriteId};
use rusqlite::{Connection, params};

/// Rows of one segment: a transaction that reads more would keep the WAL from starting anew for too long.
const ROWS_MAX: usize = 4096;

/// One thing that is shipped, by its columns.
struct Thing {
    kind: u8,
    bucket: Vec<u8>,
    key: Vec<u8>,
    write: Vec<u8>,
}

fn text(bytes: &[u8]) -> Result<&str, Fault> {
    std::str::from_utf8(bytes).map_err(|_| Fault::damaged("a name that is not UTF-8"))
}

fn parsed<T, E: ToString>(found: Result<T, E>) -> Result<T, Fault> {
    found.map_err(|error| Fault::damaged(error.to_string()))
}

impl Thing {
    fn bucket(&self) -> Result<BucketName, Fault> {
        parsed(BucketName::parse(text(&self.bucket)?))
    }

    fn key(&self) -> Result<Key, Fault> {
        parsed(Key::parse(text(&self.key)?))
    }

    fn write(&self) -> Result<WriteId, Fault> {
        let id: [u8; 16] = parsed(self.write.as_slice().try_into())?;
        Ok(WriteId(u128::from_be_bytes(id)))
    }

    fn place(&self) -> Result<RowPlace, Fault> {
        let write = if self.write.is_empty() { None } else { Some(self.write()?) };
        let (bucket, key) = (text(&self.bucket)?.to_owned(), text(&self.key)?.to_owned());
        Ok(RowPlace { kind: self.kind, bucket, key, write })
    }

    /// As it is now.
    fn row(&self, conn: &Connection) -> Result<Option<Row>, Fault> {
        Ok(Some(match self.kind {
            RowPlace::BUCKET => {
                let name = self.bucket()?;
                Row::Bucket { is: buckets::of_name(conn, &name)?, name }
            }
            RowPlace::FACT => {
                let name = text(&self.key)?.to_owned();
                Row::Fact { is: facts::of_name(conn, &name)?, name }
            }
            RowPlace::ENTRY => {
                let (bucket, key) = (self.bucket()?, self.key()?);
                let is = keys::entry(conn, &bucket, &key)?.map(Box::new);
                let digests = match is.as_ref().filter(|entry| entry.is_object()) {
                    Some(entry) => Row::shipped(digests::of_write(conn, &bucket, &key, entry.write)?),
                    None => None,
                };
                Row::Entry { bucket, key, is, digests }
            }
            RowPlace::TRASH => {
                let (bucket, key, write) = (self.bucket()?, self.key()?, self.write()?);
                let is = trash::one(conn, &bucket, &key, write)?.map(Box::new);
                let digests = match &is {
                    Some(_) => Row::shipped(digests::of_write(conn, &bucket, &key, write)?),
                    None => None,
                };
                Row::Trash { bucket, key, write, is, digests }
            }
            RowPlace::ROLLED_BACK => {
                let (bucket, key, write) = (self.bucket()?, self.key()?, self.write()?);
                let Some(seq) = rolled_back::seq_of(conn, &bucket, &key, write)? else { return Ok(None) };
                Row::RolledBack { bucket, key, write, seq }
            }
            other => return Err(Fault::damaged(format!("an unshipped row of the unknown kind {other}"))),
        }))
    }

    /// True: the lines have room for more.
    fn add(&self, conn: &Connection, bytes_max: usize, to: &mut RowLines) -> Result<bool, Fault> {
        if let Some(row) = self.row(conn)? {
            parsed(row.write_line(&mut to.lines))?;
            to.rows += 1;
        }
        Ok(to.lines.len() < bytes_max)
    }
}

fn thing(row: &rusqlite::Row<'_>, kind: u8) -> Result<Thing, Fault> {
    Ok(Thing { kind, bucket: get(row, "bucket")?, key: get(row, "key")?, write: get(row, "write")? })
}

pub(super) fn page(conn: &Connection, bytes_max: usize) -> Result<Unshipped, Fault> {
    let mut statement = conn.prepare_cached("SELECT * FROM unshipped ORDER BY turn LIMIT ?1")?;
    let mut found = statement.query([ROWS_MAX as i64])?;
    let mut page = Unshipped::default();
    let mut read = 0;
    while let Some(row) = found.next()? {
        page.through = number(row, "turn")?;
        read += 1;
        let kind = parsed(u8::try_from(number(row, "kind")?))?;
        if !thing(row, kind)?.add(conn, bytes_max, &mut page.rows)? {
            page.more = found.next()?.is_some() || read == ROWS_MAX;
            return Ok(page);
        }
    }
    page.more = read == ROWS_MAX;
    Ok(page)
}

pub(super) fn count(conn: &Connection) -> Result<u64, Fault> {
    let sql = "SELECT count(*) AS rows FROM (SELECT 1 FROM unshipped LIMIT ?1)";
    let found = first(conn, sql, [int(UNSHIPPED_COUNT_MAX)?], |row| number(row, "rows"))?;
    Ok(found.unwrap_or(0))
}

/// What changed since it was read has a higher turn.
pub(super) fn shipped(conn: &Connection, through: u64) -> Result<(), Fault> {
    run(conn, "DELETE FROM unshipped WHERE turn <= ?1", [int(through)?])?;
    Ok(())
}

/// In the order of `RowPlace`, each kind by its primary key.
const AFTER: [(u8, &str); 5] = [
    (
        RowPlace::BUCKET,
        "SELECT name AS bucket, x'' AS key, x'' AS write FROM buckets WHERE name > ?1 AND ?2 = ?2 AND ?3 = ?3
         ORDER BY name LIMIT ?4",
    ),
    (
        RowPlace::FACT,
        "SELECT x'' AS bucket, CAST(name AS BLOB) AS key, x'' AS write FROM facts
         WHERE name > CAST(?2 AS TEXT) AND substr(name, 1, 5) <> 'ship.' AND ?1 = ?1 AND ?3 = ?3
         ORDER BY name LIMIT ?4",
    ),
    (
        RowPlace::ENTRY,
        "SELECT bucket, key, x'' AS write FROM objects WHERE (bucket, key) > (?1, ?2)
         UNION ALL SELECT bucket, key, x'' AS write FROM tombstones WHERE (bucket, key) > (?1, ?2) AND ?3 = ?3
         ORDER BY bucket, key LIMIT ?4",
    ),
    (
        RowPlace::TRASH,
        "SELECT bucket, key, write FROM trash WHERE (bucket, key, write) > (?1, ?2, ?3)
         ORDER BY bucket, key, write LIMIT ?4",
    ),
    (
        RowPlace::ROLLED_BACK,
        "SELECT bucket, key, write FROM rolled_back WHERE (bucket, key, write) > (?1, ?2, ?3)
         ORDER BY bucket, key, write LIMIT ?4",
    ),
];

pub(super) fn rows_after(
    conn: &Connection,
    after: Option<&RowPlace>,
    bytes_max: usize,
) -> Result<(RowLines, Option<RowPlace>), Fault> {
    let mut lines = RowLines::default();
    for (kind, sql) in AFTER {
        let after = match after {
            Some(after) if after.kind > kind => continue,
            Some(after) if after.kind == kind => Some(after),
            _ => None,
        };
        let (bucket, key) = after.map_or((&b""[..], &b""[..]), |at| (at.bucket.as_bytes(), at.key.as_bytes()));
        let write = after.and_then(|at| at.write).map(|write| id_bytes(write.0).to_vec()).unwrap_or_default();
        let room = ROWS_MAX.saturating_sub(lines.rows as usize).max(1);
        let mut statement = conn.prepare_cached(sql)?;
        let mut found = statement.query(params![bucket, key, write, room as i64])?;
        let mut read = 0;
        while let Some(row) = found.next()? {
            let one = thing(row, kind)?;
            read += 1;
            if !one.add(conn, bytes_max, &mut lines)? || read == room {
                return Ok((lines, Some(one.place()?)));
            }
        }
    }
    Ok((lines, None))
}

/// Puts a row in the place of whatever is there.
pub(super) fn restore(conn: &Connection, row: &Row) -> Result<(), Fault> {
    match row {
        Row::Bucket { is: Some(bucket), .. } => buckets::put(conn, bucket),
        Row::Bucket { name, is: None } => {
            run(conn, "DELETE FROM buckets WHERE name = ?1", [name.as_str().as_bytes()])?;
            Ok(())
        }
        Row::Fact { name, is: Some(value) } => facts::set(conn, name, value),
        Row::Fact { name, is: None } => facts::drop_name(conn, name),
        Row::Entry { bucket, key, is, digests } => {
            keys::replace(conn, bucket, key, is.as_deref())?;
            match (is, digests) {
                (Some(entry), Some(found)) => digests::put(conn, bucket, key, entry.write, found),
                _ => Ok(()),
            }
        }
        Row::Trash { is: Some(trashed), digests, bucket, key, write } => {
            trash::put_row(conn, trashed)?;
            match digests {
                Some(found) => digests::put(conn, bucket, key, *write, found),
                None => Ok(()),
            }
        }
        Row::Trash { bucket, key, write, is: None, .. } => trash::drop_one(conn, bucket, key, *write),
        Row::RolledBack { bucket, key, write, seq } => rolled_back::put(conn, bucket, key, *write, *seq),
    }
}

/// The highest seq that a row brings.
pub(super) fn seq_of(row: &Row) -> Option<Seq> {
    match row {
        Row::Entry { is, .. } => is.as_ref().map(|entry| entry.seq),
        Row::Trash { is, .. } => is.as_ref().map(|trashed| trashed.entry.seq),
        Row::RolledBack { seq, .. } => Some(*seq),
        Row::Bucket { .. } | Row::Fact { .. } => None,
    }
}
