//! A store leaves: its copies are let go of one by one, while enough others stand, and then its rows.

use super::fault::Fault;
use super::rows::run;
use super::{debts, intents, keys, marks, seen};
use outlast_rules::{BucketName, Key, StoreName, WriteId};
use rusqlite::Connection;
use std::collections::BTreeSet;

pub(super) struct Left<'a> {
    pub bucket: &'a BucketName,
    pub key: &'a Key,
    pub store: &'a StoreName,
    pub write: WriteId,
    pub others: &'a [StoreName],
    pub floor: usize,
}

pub(super) fn leave(conn: &Connection, left: &Left<'_>) -> Result<(), Fault> {
    let Left { bucket, key, store, write, others, floor } = *left;
    let Some(entry) = keys::entry(conn, bucket, key)?.filter(|entry| entry.write == write) else { return Ok(()) };
    let owed: BTreeSet<StoreName> = debts::of_key(conn, bucket, key)?.into_iter().map(|debt| debt.store).collect();
    let stands = |other: &&StoreName| *other != store && entry.holders.contains_key(*other) && !owed.contains(*other);
    if others.iter().filter(stands).count() < floor || !intents::of_key(conn, bucket, key)?.is_empty() {
        return Ok(());
    }
    keys::not_holder(conn, bucket, key, store, write)?;
    debts::settle(conn, store, bucket, key, entry.seq)
}

pub(super) fn forget(conn: &Connection, store: &StoreName) -> Result<(), Fault> {
    run(conn, "DELETE FROM debts WHERE store = ?1", [store.as_str()])?;
    marks::forget_store(conn, store)?;
    seen::forget_store(conn, store)
}
