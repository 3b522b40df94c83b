//! The journal: what each store is owed. Coalescing, counted by triggers, paid oldest turn first.

use super::fault::Fault;
use super::rows::{all, bucket, first, int, json, key, moment, number, rows_max, run, seq, store, to_json};
use crate::DebtTotals;
use outlast_rules::{BucketName, Debt, DebtKind, Key, Moment, Mutant, Seq, StoreName, broken};
use rusqlite::{Connection, Row, params};

fn decode(row: &Row<'_>) -> Result<Debt, Fault> {
    Ok(Debt {
        store: store(row)?,
        bucket: bucket(row)?,
        key: key(row)?,
        kind: json(row, "kind")?,
        seq: seq(row)?,
        size: number(row, "size")?,
        since: moment(row, "since")?,
        not_before: moment(row, "not_before")?,
        attempts: u32::try_from(number(row, "attempts")?).unwrap_or(u32::MAX),
    })
}

/// What is owed when `new` comes to `old`: only the newest truth, and since the earliest moment.
fn merged(old: &Debt, new: &Debt) -> Debt {
    let since = old.since.min(new.since);
    if new.seq < old.seq {
        return Debt { since, ..old.clone() };
    }
    let weaker = new.seq == old.seq && new.kind < old.kind;
    let (kind, size) = if weaker { (old.kind, old.size) } else { (new.kind, new.size) };
    Debt { kind, size, since, ..new.clone() }
}

pub(super) fn owe(conn: &Connection, debt: &Debt) -> Result<(), Fault> {
    let names = params![debt.store.as_str(), debt.bucket.as_str().as_bytes(), debt.key.as_str().as_bytes()];
    let sql = "SELECT * FROM debts WHERE store = ?1 AND bucket = ?2 AND key = ?3";
    let debt = match first(conn, sql, names, decode)? {
        Some(old) => merged(&old, debt),
        None => debt.clone(),
    };
    run(
        conn,
        "INSERT INTO debts (store, bucket, key, kind, seq, size, since, not_before, attempts)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
         ON CONFLICT DO UPDATE SET kind = excluded.kind, seq = excluded.seq, size = excluded.size,
             since = excluded.since, not_before = excluded.not_before, attempts = excluded.attempts",
        params![
            debt.store.as_str(),
            debt.bucket.as_str().as_bytes(),
            debt.key.as_str().as_bytes(),
            to_json(&debt.kind)?,
            int(debt.seq.0)?,
            int(debt.size)?,
            int(debt.since.0)?,
            int(debt.not_before.0)?,
            debt.attempts,
        ],
    )?;
    Ok(())
}

pub(super) fn settle(
    conn: &Connection,
    store: &StoreName,
    bucket: &BucketName,
    key: &Key,
    seq: Seq,
) -> Result<(), Fault> {
    let seq = if broken(Mutant::OldSettlesNew) { Seq(i64::MAX as u64) } else { seq };
    run(
        conn,
        "DELETE FROM debts WHERE store = ?1 AND bucket = ?2 AND key = ?3 AND seq <= ?4",
        params![store.as_str(), bucket.as_str().as_bytes(), key.as_str().as_bytes(), int(seq.0)?],
    )?;
    Ok(())
}

pub(super) fn of_key(conn: &Connection, bucket: &BucketName, key: &Key) -> Result<Vec<Debt>, Fault> {
    // One seek per store: each that was ever owed anything has a row of totals. CROSS keeps SQLite to that order.
    let sql = "SELECT debts.* FROM debt_totals CROSS JOIN debts USING (store)
               WHERE debt_totals.objects > 0 AND bucket = ?1 AND key = ?2 ORDER BY store";
    all(conn, sql, params![bucket.as_str().as_bytes(), key.as_str().as_bytes()], decode)
}

pub(super) fn due(conn: &Connection, store: &StoreName, now: Moment, limit: usize) -> Result<Vec<Debt>, Fault> {
    let sql = "SELECT * FROM debts WHERE store = ?1 AND turn <= ?2 ORDER BY turn, bucket, key LIMIT ?3";
    let mut due = all(conn, sql, params![store.as_str(), int(now.0)?, rows_max(limit)], decode)?;
    due.sort_by_key(|debt| debt.size);
    Ok(due)
}

pub(super) fn removals_due(
    conn: &Connection,
    store: &StoreName,
    now: Moment,
    limit: usize,
) -> Result<Vec<Debt>, Fault> {
    let sql = "SELECT * FROM debts WHERE store = ?1 AND turn <= ?2 AND kind = ?4 ORDER BY turn, bucket, key LIMIT ?3";
    let kind = to_json(&DebtKind::Remove)?;
    all(conn, sql, params![store.as_str(), int(now.0)?, rows_max(limit), kind], decode)
}

pub(super) fn next_at(conn: &Connection, store: &StoreName) -> Result<Option<Moment>, Fault> {
    let sql = "SELECT turn FROM debts WHERE store = ?1 ORDER BY turn LIMIT 1";
    first(conn, sql, [store.as_str()], |row| moment(row, "turn"))
}

pub(super) fn totals(conn: &Connection, store: &StoreName) -> Result<DebtTotals, Fault> {
    let sql = "SELECT objects, bytes FROM debt_totals WHERE store = ?1";
    let counted = first(conn, sql, [store.as_str()], |row| Ok((number(row, "objects")?, number(row, "bytes")?)))?;
    let (objects, bytes) = counted.unwrap_or_default();
    let sql = "SELECT since FROM debts WHERE store = ?1 ORDER BY since LIMIT 1";
    let oldest = first(conn, sql, [store.as_str()], |row| moment(row, "since"))?;
    Ok(DebtTotals { objects, bytes, oldest })
}

#[cfg(test)]
mod tests {
    use super::super::core::{Core, Durability};
    use super::*;
    use crate::Change;

    /// Whatever else is owed, totals and the next debts cost the same.
    #[test]
    fn work_does_not_grow_with_the_journal() {
        let nas = StoreName::parse("nas").unwrap();
        let mut core = Core::over(Connection::open_in_memory().unwrap(), Durability::Process).unwrap();
        let owe = |n: u64, not_before: u64| {
            Change::Owe(Debt {
                store: nas.clone(),
                bucket: BucketName::parse("bkt").unwrap(),
                key: Key::parse(&format!("k{n:06}")).unwrap(),
                kind: DebtKind::Copy,
                seq: Seq(n),
                size: 10,
                since: Moment(n),
                not_before: Moment(not_before),
                attempts: 0,
            })
        };
        let key = Key::parse("k000005").unwrap();
        let bucket = BucketName::parse("bkt").unwrap();
        let mut cost = |batch: Vec<Change>| {
            core.commit(batch).unwrap();
            core.steps_of(|conn| {
                let due = due(conn, &nas, Moment(200), 5).unwrap();
                let owed = of_key(conn, &bucket, &key).unwrap();
                (due.len(), owed.len(), totals(conn, &nas).unwrap().objects, next_at(conn, &nas).unwrap())
            })
        };
        let (few, few_steps) = cost((1..=10).map(|n| owe(n, n)).collect());
        // A thousand that were tried and wait, older than all that is due, and a thousand that are due later.
        let (many, many_steps) = cost((1000..3000).map(|n| owe(n, 9000)).collect());
        assert_eq!(few, (5, 1, 10, Some(Moment(1))));
        assert_eq!(many, (5, 1, 2010, Some(Moment(1))));
        assert!(many_steps <= few_steps, "{many_steps} steps after {few_steps}");
    }
}
