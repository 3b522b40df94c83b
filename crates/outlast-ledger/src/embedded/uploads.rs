//! Clients' multipart uploads and their parts.

use super::fault::Fault;
use super::rows::{all, first, get, int, json, moment, number, rows_max, run, to_json};
use super::{digests, list};
use crate::{Part, Upload, UploadState};
use outlast_rules::{BucketName, Moment};
use rusqlite::{Connection, Row, params};

/// Can it still become an object?
fn is_live(upload: &Upload) -> bool {
    matches!(upload.state, UploadState::Open | UploadState::Completing { .. })
}

pub(super) fn put(conn: &Connection, upload: &Upload) -> Result<(), Fault> {
    let touched = match &upload.state {
        UploadState::Completed { at, .. } => upload.began.max(*at),
        _ => upload.began,
    };
    run(
        conn,
        "INSERT INTO uploads VALUES (?1, ?2, ?3, ?4, ?5, ?6)
         ON CONFLICT DO UPDATE SET bucket = excluded.bucket, key = excluded.key, live = excluded.live,
             touched = max(touched, excluded.touched), body = excluded.body",
        params![
            upload.id,
            upload.bucket.as_str().as_bytes(),
            upload.key.as_str().as_bytes(),
            is_live(upload),
            int(touched.0)?,
            to_json(upload)?,
        ],
    )?;
    Ok(())
}

pub(super) fn put_part(conn: &Connection, part: &Part) -> Result<(), Fault> {
    let sql = "UPDATE uploads SET touched = max(touched, ?2) WHERE id = ?1";
    if run(conn, sql, params![part.upload, int(part.modified.0)?])? == 0 {
        return Err(Fault::refused(format!("part {} of the unknown upload {}", part.number, part.upload)));
    }
    run(
        conn,
        "INSERT INTO parts VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
         ON CONFLICT DO UPDATE SET size = excluded.size, etag = excluded.etag, modified = excluded.modified,
             spooled = excluded.spooled, holders = excluded.holders, checksums = excluded.checksums, map = excluded.map",
        params![
            part.upload,
            part.number,
            int(part.size)?,
            part.etag,
            int(part.modified.0)?,
            part.spooled,
            to_json(&part.holders)?,
            to_json(&part.checksums)?,
            digests::encode_maps(std::slice::from_ref(&part.digests)),
        ],
    )?;
    Ok(())
}

pub(super) fn drop_upload(conn: &Connection, id: &str) -> Result<(), Fault> {
    run(conn, "DELETE FROM parts WHERE upload = ?1", [id])?;
    run(conn, "DELETE FROM uploads WHERE id = ?1", [id])?;
    Ok(())
}

fn decode(row: &Row<'_>) -> Result<Upload, Fault> {
    json(row, "body")
}

fn decode_part(row: &Row<'_>) -> Result<Part, Fault> {
    let map: Vec<u8> = get(row, "map")?;
    Ok(Part {
        upload: get(row, "upload")?,
        number: get(row, "number")?,
        size: number(row, "size")?,
        etag: get(row, "etag")?,
        modified: moment(row, "modified")?,
        checksums: json(row, "checksums")?,
        digests: digests::decode_maps(&map)?.pop().ok_or_else(|| Fault::damaged("a part without digests"))?,
        holders: json(row, "holders")?,
        spooled: get(row, "spooled")?,
    })
}

pub(super) fn of_id(conn: &Connection, id: &str) -> Result<Option<Upload>, Fault> {
    first(conn, "SELECT body FROM uploads WHERE id = ?1", [id], decode)
}

pub(super) fn of_bucket(
    conn: &Connection,
    bucket: &BucketName,
    prefix: &str,
    after: (&str, &str),
    limit: usize,
) -> Result<Vec<Upload>, Fault> {
    let sql = "SELECT body FROM uploads WHERE live = 1 AND bucket = ?1 AND key >= ?2 AND key < ?3
               AND (key, id) > (?4, ?5) ORDER BY key, id LIMIT ?6";
    let end = list::end_of(prefix.as_bytes());
    let params =
        params![bucket.as_str().as_bytes(), prefix.as_bytes(), end, after.0.as_bytes(), after.1, rows_max(limit)];
    all(conn, sql, params, decode)
}

pub(super) fn any_live_in(conn: &Connection, bucket: &BucketName) -> Result<bool, Fault> {
    let sql = "SELECT 1 FROM uploads WHERE live = 1 AND bucket = ?1 LIMIT 1";
    Ok(first(conn, sql, [bucket.as_str().as_bytes()], |_| Ok(()))?.is_some())
}

pub(super) fn parts(conn: &Connection, upload: &str, after: u32, limit: usize) -> Result<Vec<Part>, Fault> {
    let sql = "SELECT * FROM parts WHERE upload = ?1 AND number > ?2 ORDER BY number LIMIT ?3";
    all(conn, sql, params![upload, after, rows_max(limit)], decode_part)
}

pub(super) fn untouched_since(
    conn: &Connection,
    moment: Moment,
    after: (Moment, &str),
    limit: usize,
) -> Result<Vec<(Moment, Upload)>, Fault> {
    let sql = "SELECT touched, body FROM uploads WHERE touched < ?1 AND (touched, id) > (?2, ?3)
               ORDER BY touched, id LIMIT ?4";
    all(conn, sql, params![int(moment.0)?, int(after.0.0)?, after.1, rows_max(limit)], |row| {
        Ok((self::moment(row, "touched")?, decode(row)?))
    })
}
