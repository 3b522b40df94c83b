//! A copy landed on a store. Whether it makes a holder is judged here, inside the transaction, with the marks of this moment.

use super::fault::Fault;
use super::{debts, intents, keys, marks, seen};
use outlast_rules::{
    BucketName, CallId, Debt, DebtKind, Entry, Key, Leaves, Moment, Mutant, Pin, Powers, Seen, Seq, StoreName, WriteId,
    broken, is_safe,
};
use rusqlite::Connection;

/// What an answered call says.
pub(super) struct Landing<'a> {
    pub bucket: &'a BucketName,
    pub key: &'a Key,
    pub store: &'a StoreName,
    pub write: WriteId,
    pub pin: &'a Pin,
    pub powers: Powers,
    pub call: Option<CallId>,
    pub now: Moment,
}

pub(super) fn landed(conn: &Connection, landing: &Landing<'_>) -> Result<(), Fault> {
    let Landing { bucket, key, store, write, pin, .. } = *landing;
    if let Some(call) = landing.call {
        marks::drop_call(conn, call)?;
    }
    let entry = keys::entry(conn, bucket, key)?;
    let undecided = intents::entry_of(conn, bucket, key, write)?;
    let of_write = entry.as_ref().filter(|entry| entry.write == write).or(undecided.as_ref());
    let is_delete = of_write.is_some_and(|entry| !entry.is_object());
    let leaves = if is_delete { Leaves::Absence } else { Leaves::Etag(&pin.etag) };
    let shown = Seen { write: Some(write), pin: (!is_delete).then(|| pin.clone()) };

    let entry = match entry {
        Some(entry) if entry.write == write || broken(Mutant::LateDoneCounts) => {
            let marks = marks::of_key(conn, bucket, key)?;
            let safe = is_safe(landing.powers, write, leaves, marks.iter().filter(|mark| &mark.store == store));
            Some(of_the_entry(conn, landing, entry, safe)?)
        }
        Some(entry) => Some(of_another_write(conn, landing, entry)?),
        None => {
            owe_look(conn, landing, None)?;
            None
        }
    };
    if let Some(undecided) = undecided {
        intents::gather(conn, bucket, key, undecided, store, pin)?;
    }
    seen::set(conn, bucket, key, store, &shown, entry.as_ref())
}

fn of_the_entry(conn: &Connection, landing: &Landing<'_>, mut entry: Entry, safe: bool) -> Result<Entry, Fault> {
    let Landing { bucket, key, store, pin, .. } = *landing;
    // A holder stays one when the copy that landed on top of its own is not safe: it is right, and reads need its new pin.
    if safe || entry.holders.contains_key(store) {
        entry.holders.insert(store.clone(), pin.clone());
        entry.adopted_from = entry.adopted_from.and_then(|adopted| adopted.without(store));
        keys::update_holders(conn, bucket, key, &entry)?;
    }
    if safe {
        debts::settle(conn, store, bucket, key, entry.seq)?;
    } else {
        owe_look(conn, landing, Some(&entry))?;
    }
    Ok(entry)
}

fn of_another_write(conn: &Connection, landing: &Landing<'_>, mut entry: Entry) -> Result<Entry, Fault> {
    let Landing { bucket, key, store, .. } = *landing;
    // Its mark is gone now, so nothing else would say that the entry's copy there may have been overwritten.
    if !landing.powers.pinned && entry.holders.remove(store).is_some() {
        keys::update_holders(conn, bucket, key, &entry)?;
    }
    owe_look(conn, landing, Some(&entry))?;
    Ok(entry)
}

fn owe_look(conn: &Connection, landing: &Landing<'_>, entry: Option<&Entry>) -> Result<(), Fault> {
    debts::owe(
        conn,
        &Debt {
            store: landing.store.clone(),
            bucket: landing.bucket.clone(),
            key: landing.key.clone(),
            kind: DebtKind::Look,
            seq: entry.map_or(Seq(0), |entry| entry.seq),
            size: entry.map_or(0, |entry| entry.size),
            since: landing.now,
            not_before: landing.now,
            attempts: 0,
        },
    )
}
