//! What the stores are told of the ledger: restored from it, a new ledger says the same, whatever happened and in whatever
//! pieces it was told.

mod support;

use outlast_ledger::{Change, Durability, Embedded, Ledger, Mode, Row, RowPlace, rows_of};
use outlast_rules::*;
use std::collections::BTreeMap;
use support::*;

/// Draws that are the same each time.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % n
    }
}

fn new_ledger() -> (tempfile::TempDir, Embedded) {
    let dir = tempfile::tempdir().unwrap();
    let ledger = Embedded::open_with(dir.path(), Mode::Inline, Durability::Process).unwrap();
    (dir, ledger)
}

async fn restore(to: &dyn Ledger, lines: &[u8]) {
    let rows = rows_of(lines).map(|row| Change::Restore(Box::new(row.unwrap())));
    to.commit(rows.collect()).await.unwrap();
}

/// Ships everything that waits, in pages of `bytes`.
async fn drain(from: &dyn Ledger, to: &dyn Ledger, bytes: usize) {
    loop {
        let page = from.unshipped(bytes).await.unwrap();
        assert_eq!(page.rows.rows, page.rows.lines.iter().filter(|byte| **byte == b'\n').count() as u64);
        restore(to, &page.rows.lines).await;
        from.commit(vec![Change::Shipped { through: page.through }]).await.unwrap();
        if !page.more {
            return;
        }
    }
}

async fn whole(ledger: &dyn Ledger, bytes: usize) -> Vec<Row> {
    let (mut rows, mut after) = (Vec::new(), None::<RowPlace>);
    loop {
        let (lines, next) = ledger.rows_after(after.as_ref(), bytes).await.unwrap();
        rows.extend(rows_of(&lines.lines).map(Result::unwrap));
        match next {
            Some(next) => after = Some(next),
            None => return rows,
        }
    }
}

fn trashed(name: &str, entry: Entry, by: u64) -> Trashed {
    Trashed {
        bucket: bkt(),
        key: key(name),
        entry,
        by: WriteId(by.into()),
        why: Displaced::Overwritten,
        at: Moment(by),
        until: Some(Moment(by + 100)),
        user: None,
        returned: None,
        shelves: BTreeMap::new(),
    }
}

/// One step of a history: a write that is committed, one that is rolled back, a delete, a tombstone that goes, and the rest.
fn step(dice: &mut Dice, n: u64, state: &KeyState, name: &str) -> Vec<Change> {
    let digests = Some(Digests { maps: vec![BlockMap::of(&[n as u8; 70_000])] });
    let (bucket, at) = (bkt(), key(name));
    let ends = Change::EndWrite { bucket: bucket.clone(), key: at.clone(), write: WriteId(n.into()) };
    match dice.below(8) {
        0..=2 => {
            let entry = held_by(object(n), &["nas"]);
            let old = state.object().map(|old| Change::PutTrash(Box::new(trashed(name, old.clone(), n))));
            let set = Change::SetEntry { bucket, key: at, entry: Box::new(entry.clone()), digests };
            old.into_iter().chain([begin(name, entry), set, ends]).collect()
        }
        3 => vec![begin(name, object(n)), ends],
        4 => vec![begin(name, tombstone(n)), set(name, tombstone(n)), ends],
        5 => match &state.entry {
            Some(entry) if !entry.is_object() => vec![Change::DropEntry { bucket, key: at, write: entry.write }],
            Some(entry) => {
                let (store, pin) = (store("b2"), pin("late"));
                let (write, powers, now) = (entry.write, FENCED, Moment(n));
                vec![Change::Landed { bucket, key: at, store, write, pin, powers, call: None, now }]
            }
            None => vec![],
        },
        6 => vec![Change::SetFact { name: format!("fact/{name}"), value: n.to_string() }],
        _ => match dice.below(3) {
            0 => vec![Change::DropFact { name: format!("fact/{name}") }],
            1 => vec![Change::PutBucket(outlast_ledger::Bucket { incarnation: n, ..serving("bkt") })],
            _ => match &state.entry {
                Some(entry) => vec![Change::DropTrash { bucket, key: at, write: entry.write }],
                None => vec![],
            },
        },
    }
}

#[test]
fn whatever_happened_a_restored_ledger_says_the_same() {
    runtime(Mode::Inline).block_on(async {
        for seed in 0..20 {
            let mut dice = Dice(seed);
            let ((_a, from), (_b, to)) = (new_ledger(), new_ledger());
            for n in 1..200 {
                let name = format!("k{}", dice.below(6));
                let state = from.key_state(&bkt(), &key(&name)).await.unwrap();
                from.commit(step(&mut dice, n, &state, &name)).await.unwrap();
                match dice.below(10) {
                    0 => drain(&from, &to, 1).await,
                    1 => drain(&from, &to, 5000).await,
                    _ => {}
                }
            }
            drain(&from, &to, 1 << 20).await;
            assert_eq!(from.unshipped_count().await.unwrap(), 0);
            let said = whole(&from, 1 << 20).await;
            assert!(said.len() > 6, "{said:#?}");
            // Rolled-back writes that a newer entry has outdone are told no more, and do no harm where they were told.
            let told = |rows: Vec<Row>| {
                rows.into_iter().filter(|row| !matches!(row, Row::RolledBack { .. })).collect::<Vec<_>>()
            };
            assert_eq!(told(whole(&to, 700).await), told(said.clone()), "seed {seed}");
            for name in 0..6 {
                let at = key(&format!("k{name}"));
                let (mine, theirs) =
                    (from.rolled_back(&bkt(), &at).await.unwrap(), to.rolled_back(&bkt(), &at).await.unwrap());
                assert!(mine.iter().all(|one| theirs.contains(one)), "seed {seed}: {mine:?} in {theirs:?}");
            }
            // A snapshot alone says it all too.
            let (_c, anew) = new_ledger();
            let rows = whole(&from, 3000).await.into_iter().map(|row| Change::Restore(Box::new(row)));
            anew.commit(rows.collect()).await.unwrap();
            assert_eq!(whole(&anew, 1 << 20).await, said);
            assert!(anew.take_seq().await.unwrap() > Seq(199 - 30), "seqs go on above what was restored");
            assert_eq!(anew.bucket_totals(&bkt()).await.unwrap(), from.bucket_totals(&bkt()).await.unwrap());
        }
    });
}

#[test]
fn what_changes_while_it_is_shipped_is_shipped_again() {
    on_each(|ledger| async move {
        ledger.commit(vec![set("a", object(1)), set("b", object(2))]).await.unwrap();
        let page = ledger.unshipped(1 << 20).await.unwrap();
        assert_eq!((page.rows.rows, page.more), (2, false));
        ledger.commit(vec![set("b", object(3))]).await.unwrap();
        ledger.commit(vec![Change::Shipped { through: page.through }]).await.unwrap();
        let again = ledger.unshipped(1 << 20).await.unwrap();
        let rows: Vec<Row> = rows_of(&again.rows.lines).map(Result::unwrap).collect();
        let is = Some(Box::new(object(3)));
        assert_eq!(rows, [Row::Entry { bucket: bkt(), key: key("b"), is, digests: None }]);
        // Even when nothing else waits, a number that was told is not used again.
        ledger.commit(vec![Change::Shipped { through: again.through }]).await.unwrap();
        ledger.commit(vec![set("b", object(4))]).await.unwrap();
        ledger.commit(vec![Change::Shipped { through: again.through }]).await.unwrap();
        assert_eq!(ledger.unshipped_count().await.unwrap(), 1);
    });
}

#[test]
fn what_is_no_news_is_not_shipped() {
    on_each(|ledger| async move {
        let digests = Digests { maps: vec![BlockMap::of(b"abc")] };
        ledger
            .commit(vec![
                begin("k", object(1)),
                Change::SetDigests { bucket: bkt(), key: key("k"), write: WriteId(1), digests: digests.clone() },
                Change::AddMark(mark(1, "nas", "k", 1, None)),
                Change::Owe(debt("nas", "k", DebtKind::Copy, 1)),
                Change::SetFact { name: "ship.state".into(), value: "1".into() },
            ])
            .await
            .unwrap();
        assert_eq!(ledger.unshipped_count().await.unwrap(), 0);
        // Digests that are found later are.
        ledger.commit(vec![set("k", object(1))]).await.unwrap();
        let through = ledger.unshipped(1 << 20).await.unwrap().through;
        ledger.commit(vec![Change::Shipped { through }]).await.unwrap();
        let found = Change::SetDigests { bucket: bkt(), key: key("k"), write: WriteId(1), digests: digests.clone() };
        ledger.commit(vec![found]).await.unwrap();
        let page = ledger.unshipped(1 << 20).await.unwrap();
        let rows: Vec<Row> = rows_of(&page.rows.lines).map(Result::unwrap).collect();
        let [Row::Entry { digests: told, .. }] = &rows[..] else { panic!("{rows:?}") };
        assert_eq!(told.as_ref(), Some(&digests));
    });
}

/// Superseded by what was committed is not rolled back; ended without any newer entry is.
#[test]
fn only_what_nobody_outdid_was_rolled_back() {
    on_each(|ledger| async move {
        let ends = |n: u64| Change::EndWrite { bucket: bkt(), key: key("k"), write: WriteId(n.into()) };
        let begun = [begin("k", object(1)), begin("k", object(2)), begin("k", object(3))];
        ledger.commit(begun.to_vec()).await.unwrap();
        ledger.commit(vec![set("k", object(2)), ends(1), ends(2)]).await.unwrap();
        assert_eq!(ledger.rolled_back(&bkt(), &key("k")).await.unwrap(), []);
        ledger.commit(vec![ends(3), ends(9)]).await.unwrap();
        assert_eq!(ledger.rolled_back(&bkt(), &key("k")).await.unwrap(), [(WriteId(3), Seq(3))]);
        ledger.commit(vec![set("k", tombstone(4))]).await.unwrap();
        assert_eq!(ledger.rolled_back(&bkt(), &key("k")).await.unwrap(), []);
    });
}
