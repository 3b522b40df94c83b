//! Between our words and the columns of a row. What does not read back as ours is damage, never a guess.

use super::fault::Fault;
use outlast_rules::{BucketName, CallId, Key, Moment, Seq, StoreName, WriteId};
use rusqlite::{Connection, Params, Row, types::FromSql};
use serde::{Serialize, de::DeserializeOwned};

/// SQLite's integers end at 2^63 - 1; a larger number is a mistake of the caller.
pub(super) fn int(number: u64) -> Result<i64, Fault> {
    i64::try_from(number).map_err(|_| Fault::refused(format!("{number} is more than a ledger can hold")))
}

/// A limit as SQL takes it.
pub(super) fn rows_max(limit: usize) -> i64 {
    i64::try_from(limit.min(crate::PAGE_ROWS_MAX)).expect("PAGE_ROWS_MAX fits")
}

pub(super) fn number(row: &Row<'_>, column: &str) -> Result<u64, Fault> {
    let value: i64 = get(row, column)?;
    u64::try_from(value).map_err(|_| Fault::damaged(format!("{column} is negative")))
}

pub(super) fn moment(row: &Row<'_>, column: &str) -> Result<Moment, Fault> {
    number(row, column).map(Moment)
}

pub(super) fn seq(row: &Row<'_>) -> Result<Seq, Fault> {
    number(row, "seq").map(Seq)
}

pub(super) fn write(row: &Row<'_>) -> Result<WriteId, Fault> {
    Ok(WriteId(u128::from_be_bytes(get(row, "write")?)))
}

pub(super) fn call(row: &Row<'_>) -> Result<CallId, Fault> {
    Ok(CallId(u128::from_be_bytes(get(row, "call")?)))
}

pub(super) fn get<T: FromSql>(row: &Row<'_>, column: &str) -> Result<T, Fault> {
    row.get(column).map_err(|error| match error {
        rusqlite::Error::SqliteFailure(..) => Fault::Sql(error),
        other => Fault::damaged(other.to_string()),
    })
}

fn text<'r>(row: &'r Row<'_>, column: &str) -> Result<&'r str, Fault> {
    let value = row.get_ref(column)?;
    let bytes = value.as_bytes().map_err(|_| Fault::damaged(format!("{column} is neither text nor bytes")))?;
    std::str::from_utf8(bytes).map_err(|_| Fault::damaged(format!("{column} is not UTF-8")))
}

pub(super) fn bucket(row: &Row<'_>) -> Result<BucketName, Fault> {
    BucketName::parse(text(row, "bucket")?).map_err(|error| Fault::damaged(error.to_string()))
}

pub(super) fn key(row: &Row<'_>) -> Result<Key, Fault> {
    Key::parse(text(row, "key")?).map_err(|error| Fault::damaged(error.to_string()))
}

pub(super) fn store(row: &Row<'_>) -> Result<StoreName, Fault> {
    StoreName::parse(text(row, "store")?).map_err(|error| Fault::damaged(error.to_string()))
}

/// A column of JSON text.
pub(super) fn json<T: DeserializeOwned>(row: &Row<'_>, column: &str) -> Result<T, Fault> {
    serde_json::from_str(text(row, column)?).map_err(|error| Fault::damaged(format!("{column}: {error}")))
}

pub(super) fn to_json<T: Serialize>(value: &T) -> Result<String, Fault> {
    serde_json::to_string(value).map_err(|error| Fault::refused(error.to_string()))
}

pub(super) fn id_bytes(id: u128) -> [u8; 16] {
    id.to_be_bytes()
}

/// All rows of a statement, decoded.
pub(super) fn all<T>(
    conn: &Connection,
    sql: &str,
    params: impl Params,
    decode: impl Fn(&Row<'_>) -> Result<T, Fault>,
) -> Result<Vec<T>, Fault> {
    let mut statement = conn.prepare_cached(sql)?;
    let mut rows = statement.query(params)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(decode(row)?);
    }
    Ok(found)
}

/// The first row of a statement, decoded.
pub(super) fn first<T>(
    conn: &Connection,
    sql: &str,
    params: impl Params,
    decode: impl Fn(&Row<'_>) -> Result<T, Fault>,
) -> Result<Option<T>, Fault> {
    let mut statement = conn.prepare_cached(sql)?;
    let mut rows = statement.query(params)?;
    rows.next()?.map(decode).transpose()
}

/// Runs a statement that changes rows; how many it changed.
pub(super) fn run(conn: &Connection, sql: &str, params: impl Params) -> Result<usize, Fault> {
    Ok(conn.prepare_cached(sql)?.execute(params)?)
}
