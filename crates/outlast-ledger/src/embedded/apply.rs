//! One change to the tables. The whole batch is a transaction of the core; here nothing begins or ends one.

use super::fault::Fault;
use super::landed::{Landing, landed};
use super::{buckets, debts, facts, intents, keys, leave, marks, seen, spool, trash, unshipped, uploads};
use crate::Change;
use outlast_rules::Seq;
use rusqlite::Connection;

/// The highest seq that a batch brings: the counter must never come to it again.
pub(super) fn newest_seq(batch: &[Change]) -> Option<Seq> {
    batch
        .iter()
        .filter_map(|change| match change {
            Change::BeginWrite(intent) => Some(intent.entry.seq),
            Change::SetEntry { entry, .. } => Some(entry.seq),
            Change::Restore(row) => unshipped::seq_of(row),
            Change::RaiseSeq { to } => Some(*to),
            _ => None,
        })
        .max()
}

pub(super) fn apply(conn: &Connection, change: &Change) -> Result<(), Fault> {
    match change {
        Change::BeginWrite(intent) => intents::begin(conn, intent),
        Change::IntentSpooled { bucket, key, write } => intents::spooled(conn, bucket, key, *write),
        Change::EndWrite { bucket, key, write } => intents::end(conn, bucket, key, *write),
        Change::AddMark(mark) => marks::add(conn, mark),
        Change::DropMark { call } => marks::drop_call(conn, *call),
        Change::RestartMarks { stores, now } => stores.iter().try_for_each(|store| marks::restart(conn, store, *now)),
        Change::RestartKeyMarks { bucket, key, store, now } => marks::restart_key(conn, bucket, key, store, *now),
        Change::SetEntry { bucket, key, entry, digests } => keys::set_entry(conn, bucket, key, entry, digests.as_ref()),
        Change::DropEntry { bucket, key, write } => keys::drop_entry(conn, bucket, key, *write),
        Change::SetDigests { bucket, key, write, digests } => keys::set_digests(conn, bucket, key, *write, digests),
        Change::Landed { bucket, key, store, write, pin, powers, call, now } => {
            let landing = Landing { bucket, key, store, write: *write, pin, powers: *powers, call: *call, now: *now };
            landed(conn, &landing)
        }
        Change::NotHolder { bucket, key, store, write } => keys::not_holder(conn, bucket, key, store, *write),
        Change::Leave { bucket, key, store, write, others, floor } => {
            leave::leave(conn, &leave::Left { bucket, key, store, write: *write, others, floor: *floor })
        }
        Change::ForgetStore { store } => leave::forget(conn, store),
        Change::ForgetPredecessors { bucket, key, write } => keys::forget_predecessors(conn, bucket, key, *write),
        Change::SetSeen { bucket, key, store, seen } => {
            let entry = keys::entry(conn, bucket, key)?;
            seen::set(conn, bucket, key, store, seen, entry.as_ref())
        }
        Change::Owe(debt) => debts::owe(conn, debt),
        Change::Settle { store, bucket, key, seq } => debts::settle(conn, store, bucket, key, *seq),
        Change::OweEverything { store, now } => keys::owe_everything(conn, store, *now),
        Change::PutTrash(trashed) => trash::put(conn, trashed),
        Change::Shelve { bucket, key, write, store, shelf } => trash::shelve(conn, bucket, key, *write, store, shelf),
        Change::ReleaseTrash { bucket, key, write, until } => trash::release(conn, bucket, key, *write, *until),
        Change::DropTrash { bucket, key, write } => trash::drop_one(conn, bucket, key, *write),
        Change::PutBucket(bucket) => buckets::put(conn, bucket),
        Change::DropBucket { name } => buckets::drop_bucket(conn, name),
        Change::PutUpload(upload) => uploads::put(conn, upload),
        Change::PutPart(part) => uploads::put_part(conn, part),
        Change::DropUpload { id } => uploads::drop_upload(conn, id),
        Change::SpoolHolds { bucket, key, write, size } => spool::hold(conn, bucket, key, *write, *size),
        Change::SpoolReleases { write } => spool::release(conn, *write),
        Change::SetFact { name, value } => facts::set(conn, name, value),
        Change::DropFact { name } => facts::drop_name(conn, name),
        Change::Shipped { through } => unshipped::shipped(conn, *through),
        Change::Restore(row) => unshipped::restore(conn, row),
        // The counter follows the newest seq of every batch.
        Change::RaiseSeq { .. } => Ok(()),
        Change::Note { at, kind, text } => facts::note(conn, *at, kind, text),
    }
}
