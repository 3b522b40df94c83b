//! Buckets as clients see them.

use super::fault::Fault;
use super::rows::{all, bucket, first, int, json, moment, number, run, to_json};
use super::{intents, uploads};
use crate::Bucket;
use outlast_rules::{BucketName, Mutant, broken};
use rusqlite::{Connection, Row, params};

fn decode(row: &Row<'_>) -> Result<Bucket, Fault> {
    Ok(Bucket {
        name: bucket(row)?,
        created: moment(row, "created")?,
        incarnation: number(row, "incarnation")?,
        state: json(row, "state")?,
    })
}

pub(super) fn put(conn: &Connection, bucket: &Bucket) -> Result<(), Fault> {
    run(
        conn,
        "INSERT INTO buckets VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT DO UPDATE SET created = excluded.created, incarnation = excluded.incarnation, state = excluded.state",
        params![
            bucket.name.as_str().as_bytes(),
            int(bucket.created.0)?,
            int(bucket.incarnation)?,
            to_json(&bucket.state)?
        ],
    )?;
    Ok(())
}

/// The engine's look before (`empty_and_decided`) keeps the same rule; this one holds where that one errs.
pub(super) fn drop_bucket(conn: &Connection, name: &BucketName) -> Result<(), Fault> {
    let held = if totals(conn, name)?.0 > 0 {
        "objects"
    } else if intents::any_in(conn, name)? && !broken(Mutant::UndecidedInGoneBucket) {
        "undecided writes"
    } else if uploads::any_live_in(conn, name)? {
        "uploads"
    } else {
        run(conn, "DELETE FROM buckets WHERE name = ?1", [name.as_str().as_bytes()])?;
        return Ok(());
    };
    Err(Fault::refused(format!("bucket {name} still has {held}")))
}

pub(super) fn all_of_them(conn: &Connection) -> Result<Vec<Bucket>, Fault> {
    all(conn, "SELECT name AS bucket, * FROM buckets ORDER BY name", [], decode)
}

pub(super) fn of_name(conn: &Connection, name: &BucketName) -> Result<Option<Bucket>, Fault> {
    first(conn, "SELECT name AS bucket, * FROM buckets WHERE name = ?1", [name.as_str().as_bytes()], decode)
}

/// Objects and their bytes.
pub(super) fn totals(conn: &Connection, name: &BucketName) -> Result<(u64, u64), Fault> {
    let sql = "SELECT objects, bytes FROM bucket_totals WHERE bucket = ?1";
    let counted =
        first(conn, sql, [name.as_str().as_bytes()], |row| Ok((number(row, "objects")?, number(row, "bytes")?)))?;
    Ok(counted.unwrap_or_default())
}
