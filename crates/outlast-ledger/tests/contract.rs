//! What every ledger promises, against `dyn Ledger`: each test runs inline and with threads.

mod support;

use outlast_ledger::{BucketState, Change, DebtTotals, Ledger, LedgerError, Part, TrashTotals, Upload, UploadState};
use outlast_rules::*;
use std::collections::{BTreeMap, BTreeSet};
use support::*;

async fn state(ledger: &dyn Ledger, name: &str) -> KeyState {
    ledger.key_state(&bkt(), &key(name)).await.unwrap()
}

#[test]
fn an_entry_reads_back_whole() {
    on_each(|ledger| async move {
        let mut full = held_by(object(7), &["nas", "b2"]);
        full.head.metadata.insert("colour".into(), "grün".into());
        full.layout = Layout::Parts(vec![5, 6]);
        full.checksums = vec![Checksum { kind: ChecksumKind::Crc32c, value: "AAAA".into(), composite: true }];
        full.adopted_from = Adopted::of([store("nas"), store("b2")]);
        full.predecessors = vec![Predecessor {
            write: WriteId(3),
            seq: Seq(3),
            size: 1,
            etag: "old".into(),
            holders: BTreeMap::from([(store("b2"), pin("old"))]),
        }];
        full.record = Some(WriteId(9));
        ledger.commit(vec![set("a", full.clone())]).await.unwrap();
        assert_eq!(ledger.entry(&bkt(), &key("a")).await.unwrap(), Some(full));
        assert_eq!(ledger.entry(&bkt(), &key("b")).await.unwrap(), None);
        assert_eq!(ledger.entry(&bucket("other"), &key("a")).await.unwrap(), None);
    });
}

#[test]
fn one_source_of_an_adopted_entry_is_written_as_it_always_was() {
    let (one, two) = (Adopted::of([store("nas")]).unwrap(), Adopted::of([store("nas"), store("b2")]).unwrap());
    for (adopted, json) in [(one.clone(), "\"nas\""), (two.clone(), "[\"b2\",\"nas\"]")] {
        assert_eq!(serde_json::to_string(&adopted).unwrap(), json);
        assert_eq!(serde_json::from_str::<Adopted>(json).unwrap(), adopted);
    }
    assert_eq!(two.without(&store("b2")), Some(one.clone()));
    assert_eq!(one.without(&store("nas")), None);
    assert_eq!(Adopted::of([]), None);
}

#[test]
fn everything_of_a_key_is_read_in_one_go() {
    on_each(|ledger| async move {
        let (early, late) = (intent("k", object(5)), intent("k", object(6)));
        let marks =
            [mark(1, "nas", "k", 5, Some(Fence::Absent)), mark(2, "b2", "k", 6, Some(Fence::Matches("e".into())))];
        let owed = debt("b2", "k", DebtKind::Look, 4);
        let seen = Seen { write: None, pin: None };
        ledger
            .commit(vec![
                set("k", held_by(object(4), &["nas"])),
                Change::BeginWrite(Box::new(late.clone())),
                Change::BeginWrite(Box::new(early.clone())),
                Change::AddMark(marks[0].clone()),
                Change::AddMark(marks[1].clone()),
                Change::SetSeen { bucket: bkt(), key: key("k"), store: store("b2"), seen: seen.clone() },
                Change::Owe(owed.clone()),
                Change::SpoolHolds { bucket: bkt(), key: key("k"), write: WriteId(6), size: 106 },
                Change::IntentSpooled { bucket: bkt(), key: key("k"), write: WriteId(6) },
                begin("other", object(9)),
            ])
            .await
            .unwrap();
        let expected = KeyState {
            entry: Some(held_by(object(4), &["nas"])),
            intents: vec![early, Intent { spooled: true, ..late }],
            marks: marks.to_vec(),
            seen: BTreeMap::from([
                (store("nas"), Seen { write: Some(WriteId(4)), pin: Some(pin("etag-4")) }),
                (store("b2"), seen),
            ]),
            debts: vec![owed],
            spooled: vec![WriteId(6)],
        };
        assert_eq!(state(&*ledger, "k").await, expected);

        ledger
            .commit(vec![
                Change::EndWrite { bucket: bkt(), key: key("k"), write: WriteId(5) },
                Change::EndWrite { bucket: bkt(), key: key("k"), write: WriteId(6) },
                Change::DropMark { call: CallId(1) },
                Change::DropMark { call: CallId(2) },
                Change::DropMark { call: CallId(3) },
                Change::SpoolReleases { write: WriteId(6) },
            ])
            .await
            .unwrap();
        let after = state(&*ledger, "k").await;
        assert_eq!((after.intents, after.marks, after.spooled), (vec![], vec![], vec![]));
        assert_eq!(ledger.intents(10).await.unwrap().len(), 1);
    });
}

#[test]
fn seq_does_not_go_back_and_a_refused_batch_leaves_nothing() {
    on_each(|ledger| async move {
        ledger.commit(vec![set("k", object(5))]).await.unwrap();
        let other_write = Entry { write: WriteId(77), ..object(5) };
        for bad in [object(4), other_write] {
            let batch = vec![set("neighbour", object(6)), set("k", bad)];
            assert!(is_refused(ledger.commit(batch).await));
            assert_eq!(ledger.entry(&bkt(), &key("neighbour")).await.unwrap(), None);
            assert_eq!(ledger.entry(&bkt(), &key("k")).await.unwrap(), Some(object(5)));
        }
        let same = held_by(object(5), &["nas"]);
        ledger.commit(vec![set("k", same.clone())]).await.unwrap();
        assert_eq!(ledger.entry(&bkt(), &key("k")).await.unwrap(), Some(same));
    });
}

#[test]
fn digests_belong_to_one_write() {
    on_each(|ledger| async move {
        let digests = Digests { maps: vec![BlockMap::of(&vec![1; 200_000]), BlockMap::of(b""), BlockMap::of(b"x")] };
        let read = |n: u128| {
            let ledger = &ledger;
            async move { ledger.digests(&bkt(), &key("k"), WriteId(n)).await.unwrap() }
        };
        let with = |n: u64, digests: Option<Digests>| Change::SetEntry {
            bucket: bkt(),
            key: key("k"),
            entry: Box::new(object(n)),
            digests,
        };
        ledger.commit(vec![with(1, Some(digests.clone()))]).await.unwrap();
        assert_eq!(read(1).await, Some(digests.clone()));
        ledger.commit(vec![with(1, None)]).await.unwrap();
        assert_eq!(read(1).await, Some(digests.clone()));
        ledger.commit(vec![with(2, None)]).await.unwrap();
        assert_eq!((read(1).await, read(2).await), (None, None));
        let late =
            |n: u128| Change::SetDigests { bucket: bkt(), key: key("k"), write: WriteId(n), digests: digests.clone() };
        ledger.commit(vec![with(6, None), late(4), late(6)]).await.unwrap();
        assert_eq!((read(4).await, read(6).await), (None, Some(digests.clone())));
        let read = ledger.object(&bkt(), &key("k")).await.unwrap();
        assert_eq!(read, Some((object(6), Some(digests))));
        ledger.commit(vec![set("k", object(7))]).await.unwrap();
        assert_eq!(ledger.object(&bkt(), &key("k")).await.unwrap(), Some((object(7), None)));
        ledger.commit(vec![set("k", tombstone(8))]).await.unwrap();
        assert_eq!(ledger.object(&bkt(), &key("k")).await.unwrap(), None);
    });
}

#[test]
fn tombstones_hide_objects_and_go() {
    on_each(|ledger| async move {
        ledger.commit(vec![set("a", held_by(object(1), &["nas"])), set("b", object(2))]).await.unwrap();
        assert_eq!(ledger.bucket_totals(&bkt()).await.unwrap(), (2, 203));
        ledger.commit(vec![set("a", tombstone(3))]).await.unwrap();
        assert_eq!(ledger.bucket_totals(&bkt()).await.unwrap(), (1, 102));
        let all = ledger.entries(&bkt(), None, 10).await.unwrap();
        assert_eq!(all, vec![(key("a"), tombstone(3)), (key("b"), object(2))]);
        assert_eq!(ledger.entries(&bkt(), None, 1).await.unwrap().len(), 1);
        assert_eq!(ledger.tombstones(&bkt(), None, 10).await.unwrap(), vec![(key("a"), tombstone(3))]);
        assert_eq!(ledger.tombstones(&bkt(), Some(&key("a")), 10).await.unwrap(), vec![]);
        assert_eq!(ledger.entries(&bkt(), Some(&key("a")), 10).await.unwrap(), vec![(key("b"), object(2))]);
        let kept = state(&*ledger, "a").await.seen;
        assert_eq!(kept[&store("nas")], Seen { write: Some(WriteId(1)), pin: Some(pin("etag-1")) });

        let gone = |name: &str, n: u128| Change::DropEntry { bucket: bkt(), key: key(name), write: WriteId(n) };
        ledger.commit(vec![gone("a", 1), gone("never", 1)]).await.unwrap();
        assert_eq!(ledger.entry(&bkt(), &key("a")).await.unwrap(), Some(tombstone(3)));
        assert!(is_refused(ledger.commit(vec![gone("b", 2)]).await));
        ledger.commit(vec![gone("a", 3)]).await.unwrap();
        assert_eq!(state(&*ledger, "a").await, KeyState::default());
        ledger.commit(vec![set("a", object(9))]).await.unwrap();
        assert_eq!(ledger.bucket_totals(&bkt()).await.unwrap(), (2, 211));
    });
}

/// Counter-example 7 and rule 2.5: every grade, with and without a mark of another write.
#[test]
fn what_landed_is_judged_with_the_marks_there() {
    on_each(|ledger| async move {
        let unfenced = || mark(9, "nas", "k", 99, None);
        let absent = || mark(9, "nas", "k", 99, Some(Fence::Absent));
        let same = || mark(9, "nas", "k", 99, Some(Fence::Matches("etag-1".into())));
        let elsewhere = || mark(9, "b2", "k", 99, None);
        let own = || mark(9, "nas", "k", 1, None);
        let table: [(Powers, Option<Mark>, bool); 9] = [
            (NEITHER, None, true),
            (NEITHER, Some(absent()), false),
            (NEITHER, Some(own()), true),
            (NEITHER, Some(elsewhere()), true),
            (FENCED, Some(unfenced()), false),
            (FENCED, Some(absent()), true),
            (FENCED, Some(same()), false),
            (PINNED, Some(unfenced()), true),
            (PINNED, Some(same()), true),
        ];
        for (round, (powers, other, safe)) in (1..).zip(table) {
            let name = format!("k{round}");
            let mut batch = vec![
                set(&name, object(1)),
                Change::Owe(debt("nas", &name, DebtKind::Copy, 1)),
                Change::AddMark(Mark { key: key(&name), ..mark(100, "nas", "k", 1, None) }),
            ];
            batch.extend(other.map(|mark| Change::AddMark(Mark { key: key(&name), ..mark })));
            ledger.commit(batch).await.unwrap();
            let landing = Change::Landed {
                bucket: bkt(),
                key: key(&name),
                store: store("nas"),
                write: WriteId(1),
                pin: pin("etag-1"),
                powers,
                call: Some(CallId(100)),
                now: Moment(70),
            };
            ledger.commit(vec![landing, Change::DropMark { call: CallId(9) }]).await.unwrap();
            let after = state(&*ledger, &name).await;
            assert_eq!(after.entry.unwrap().holders.contains_key(&store("nas")), safe, "round {round}");
            assert_eq!(after.marks, vec![], "round {round}");
            assert_eq!(after.seen[&store("nas")], Seen { write: Some(WriteId(1)), pin: Some(pin("etag-1")) });
            // The copy debt that stood is not weakened to a look.
            let owed: Vec<_> = after.debts.iter().map(|debt| (debt.kind, debt.since, debt.not_before)).collect();
            let expected = if safe { vec![] } else { vec![(DebtKind::Copy, Moment(50), Moment(70))] };
            assert_eq!(owed, expected, "round {round}");
        }
    });
}

#[test]
fn another_writes_landing_makes_no_holder_and_may_unmake_one() {
    on_each(|ledger| async move {
        for (name, powers, stays) in [("a", PINNED, true), ("b", FENCED, false), ("c", NEITHER, false)] {
            let entry = held_by(object(2), &["nas", "b2"]);
            ledger.commit(vec![set(name, entry), begin(name, object(3))]).await.unwrap();
            let landing = |write: u128, etag: &str| Change::Landed {
                bucket: bkt(),
                key: key(name),
                store: store("nas"),
                write: WriteId(write),
                pin: pin(etag),
                powers,
                call: None,
                now: Moment(70),
            };
            ledger.commit(vec![landing(3, "etag-3")]).await.unwrap();
            let after = state(&*ledger, name).await;
            let holders: Vec<_> = after.entry.unwrap().holders.into_keys().collect();
            let expected = if stays { vec![store("b2"), store("nas")] } else { vec![store("b2")] };
            assert_eq!(holders, expected);
            assert_eq!(after.intents[0].entry.holders, BTreeMap::from([(store("nas"), pin("etag-3"))]));
            assert_eq!(after.seen[&store("nas")], Seen { write: Some(WriteId(3)), pin: Some(pin("etag-3")) });
            assert_eq!(after.seen[&store("b2")], Seen { write: Some(WriteId(2)), pin: Some(pin("etag-2")) });
            let [look] = &after.debts[..] else { panic!("{:?}", after.debts) };
            assert_eq!((look.kind, look.seq, look.size, look.since), (DebtKind::Look, Seq(2), 102, Moment(70)));

            // The entry's own copy lands again: a holder, and nothing is owed.
            ledger.commit(vec![landing(2, "etag-2")]).await.unwrap();
            let after = state(&*ledger, name).await;
            assert_eq!(after.entry.unwrap(), held_by(object(2), &["nas", "b2"]));
            assert_eq!(after.debts, vec![]);
            assert_eq!(after.seen[&store("nas")], Seen { write: Some(WriteId(2)), pin: Some(pin("etag-2")) });
        }
    });
}

#[test]
fn a_delete_leaves_absence_and_an_unknown_write_a_look() {
    on_each(|ledger| async move {
        let landing = |name: &str, write: u128| Change::Landed {
            bucket: bkt(),
            key: key(name),
            store: store("nas"),
            write: WriteId(write),
            pin: pin(""),
            powers: FENCED,
            call: None,
            now: Moment(70),
        };
        // A call that waits for absence to write would bring the key back: a delete there is not safe.
        let waits = Mark { key: key("d"), ..mark(9, "nas", "d", 1, Some(Fence::Absent)) };
        ledger.commit(vec![set("d", tombstone(2)), Change::AddMark(waits), landing("d", 2)]).await.unwrap();
        let after = state(&*ledger, "d").await;
        assert_eq!(after.entry, Some(tombstone(2)));
        assert_eq!(after.seen[&store("nas")], Seen { write: Some(WriteId(2)), pin: None });
        assert_eq!(after.debts.len(), 1);
        ledger.commit(vec![Change::DropMark { call: CallId(9) }, landing("d", 2)]).await.unwrap();
        assert_eq!(state(&*ledger, "d").await.debts, vec![]);

        ledger.commit(vec![landing("never-heard-of", 5)]).await.unwrap();
        let after = state(&*ledger, "never-heard-of").await;
        assert_eq!((after.debts[0].kind, after.debts[0].seq), (DebtKind::Look, Seq(0)));
    });
}

#[test]
fn a_restamped_source_is_adopted_no_more() {
    on_each(|ledger| async move {
        let mut adopted = held_by(object(1), &["old"]);
        adopted.adopted_from = Adopted::of([store("old")]);
        ledger.commit(vec![set("k", adopted)]).await.unwrap();
        let seen = state(&*ledger, "k").await.seen;
        assert_eq!(seen[&store("old")], Seen { write: None, pin: Some(pin("etag-1")) });
        let restamped = Change::Landed {
            bucket: bkt(),
            key: key("k"),
            store: store("old"),
            write: WriteId(1),
            pin: pin("etag-new"),
            powers: FENCED,
            call: None,
            now: Moment(70),
        };
        ledger.commit(vec![restamped]).await.unwrap();
        let after = state(&*ledger, "k").await;
        let entry = after.entry.unwrap();
        assert_eq!((entry.adopted_from, entry.holders[&store("old")].etag.as_str()), (None, "etag-new"));
        assert_eq!(after.seen[&store("old")], Seen { write: Some(WriteId(1)), pin: Some(pin("etag-new")) });
    });
}

#[test]
fn seen_outlives_holders_and_entries() {
    on_each(|ledger| async move {
        let nas = |write: Option<u128>, etag: Option<&str>| Seen { write: write.map(WriteId), pin: etag.map(pin) };
        let set_seen = |seen: Seen| Change::SetSeen { bucket: bkt(), key: key("k"), store: store("nas"), seen };
        let not_holder =
            |n: u128| Change::NotHolder { bucket: bkt(), key: key("k"), store: store("nas"), write: WriteId(n) };
        let now = |ledger: &dyn Ledger| {
            let (bucket, key) = (bkt(), key("k"));
            at_once(ledger.key_state(&bucket, &key)).seen.get(&store("nas")).cloned()
        };
        let of_1 = nas(Some(1), Some("etag-1"));
        ledger.commit(vec![set_seen(of_1.clone()), set("k", held_by(object(1), &["nas"]))]).await.unwrap();
        assert_eq!(now(&*ledger), Some(of_1.clone()));
        ledger.commit(vec![not_holder(7)]).await.unwrap();
        assert!(state(&*ledger, "k").await.entry.unwrap().holders.contains_key(&store("nas")));
        ledger.commit(vec![not_holder(1)]).await.unwrap();
        assert_eq!(state(&*ledger, "k").await.entry.unwrap().holders, BTreeMap::new());
        assert_eq!(now(&*ledger), Some(of_1.clone()));
        ledger.commit(vec![set("k", held_by(object(1), &["nas"])), set("k", object(2))]).await.unwrap();
        assert_eq!(now(&*ledger), Some(of_1));
        let foreign = nas(None, Some("x"));
        ledger.commit(vec![set_seen(foreign.clone()), set("k", object(3))]).await.unwrap();
        assert_eq!(now(&*ledger), Some(foreign));
        ledger.commit(vec![set("k", held_by(object(4), &["nas"]))]).await.unwrap();
        assert_eq!(now(&*ledger), Some(nas(Some(4), Some("etag-4"))));
        let absent = nas(None, None);
        ledger.commit(vec![set_seen(absent.clone()), not_holder(4)]).await.unwrap();
        assert_eq!(now(&*ledger), Some(absent));
    });
}

#[test]
fn a_store_leaves_key_by_key_while_enough_others_stand() {
    on_each(|ledger| async move {
        let leave = |write: u64, others: &[&str], floor: usize| Change::Leave {
            bucket: bkt(),
            key: key("k"),
            store: store("nas"),
            write: WriteId(u128::from(write)),
            others: others.iter().map(|other| store(other)).collect(),
            floor,
        };
        let held_by_nas = |ledger: &dyn Ledger| {
            let (bucket, key) = (bkt(), key("k"));
            at_once(ledger.entry(&bucket, &key)).unwrap().holders.contains_key(&store("nas"))
        };
        let owe = |of: &str, seq: u64| Change::Owe(debt(of, "k", DebtKind::Copy, seq));
        ledger.commit(vec![set("k", held_by(object(2), &["b2", "nas", "r2"])), owe("r2", 2)]).await.unwrap();
        for (what, refused) in [
            ("another write", leave(1, &["b2", "r2"], 1)),
            ("one of them is owed", leave(2, &["b2", "r2"], 2)),
            ("itself is no other", leave(2, &["b2", "nas"], 2)),
            ("not asked of", leave(2, &["r2"], 1)),
        ] {
            ledger.commit(vec![refused]).await.unwrap();
            assert!(held_by_nas(&*ledger), "{what}");
        }
        ledger.commit(vec![owe("nas", 2), leave(2, &["b2", "r2"], 1)]).await.unwrap();
        assert!(!held_by_nas(&*ledger));
        assert_eq!(ledger.debt_totals(&store("nas")).await.unwrap().objects, 0, "nothing is owed to who has left");
        ledger.commit(vec![set("k", held_by(object(3), &["nas"])), leave(3, &[], 0)]).await.unwrap();
        assert!(!held_by_nas(&*ledger), "without a floor nothing keeps it");

        ledger.commit(vec![set("k", held_by(object(4), &["b2", "nas"])), begin("k", object(5))]).await.unwrap();
        ledger.commit(vec![leave(4, &["b2"], 1)]).await.unwrap();
        assert!(held_by_nas(&*ledger), "while a write is undecided nobody knows what will stand");
    });
}

#[test]
fn who_has_left_is_forgotten_and_nobody_else() {
    on_each(|ledger| async move {
        for of in ["nas", "b2"] {
            let seen = Seen { write: Some(WriteId(7)), pin: Some(pin("x")) };
            let call = if of == "nas" { 1 } else { 2 };
            let set = Change::SetSeen { bucket: bkt(), key: key("k"), store: store(of), seen };
            let owe = Change::Owe(debt(of, "k", DebtKind::Look, 7));
            ledger.commit(vec![owe, Change::AddMark(mark(call, of, "k", 7, None)), set]).await.unwrap();
        }
        ledger.commit(vec![Change::ForgetStore { store: store("nas") }]).await.unwrap();
        let left = state(&*ledger, "k").await;
        assert_eq!(left.debts.iter().map(|debt| debt.store.as_str()).collect::<Vec<_>>(), ["b2"]);
        assert_eq!(left.marks.iter().map(|mark| mark.store.as_str()).collect::<Vec<_>>(), ["b2"]);
        assert_eq!(left.seen.keys().map(|store| store.as_str()).collect::<Vec<_>>(), ["b2"]);
        assert_eq!(ledger.debt_totals(&store("nas")).await.unwrap().objects, 0);
    });
}

/// Polls a read that is ready at once, as point reads are.
fn at_once<T>(read: impl Future<Output = Result<T, LedgerError>>) -> T {
    let mut read = std::pin::pin!(read);
    match read.as_mut().poll(&mut std::task::Context::from_waker(std::task::Waker::noop())) {
        std::task::Poll::Ready(found) => found.unwrap(),
        std::task::Poll::Pending => panic!("a point read waited"),
    }
}

#[test]
fn debts_coalesce() {
    use DebtKind::{Copy, Look, Remove, Rewrite};
    on_each(|ledger| async move {
        // (owed already, owed now, what stands): kind and seq.
        let table = [
            ((Look, 1), (Copy, 2), (Copy, 2)),
            ((Copy, 1), (Remove, 2), (Remove, 2)),
            ((Copy, 1), (Look, 2), (Look, 2)),
            ((Copy, 2), (Look, 2), (Copy, 2)),
            ((Remove, 2), (Look, 2), (Remove, 2)),
            ((Look, 2), (Copy, 2), (Copy, 2)),
            ((Rewrite, 2), (Copy, 2), (Rewrite, 2)),
            ((Copy, 2), (Rewrite, 2), (Rewrite, 2)),
            ((Rewrite, 2), (Copy, 3), (Copy, 3)),
            ((Copy, 2), (Remove, 1), (Copy, 2)),
            ((Look, 2), (Copy, 1), (Look, 2)),
        ];
        for (round, (old, new, stands)) in table.into_iter().enumerate() {
            let name = format!("k{round}");
            let first = Debt { size: 1000, attempts: 4, not_before: Moment(900), ..debt("nas", &name, old.0, old.1) };
            let second = Debt { since: Moment(80), not_before: Moment(80), ..debt("nas", &name, new.0, new.1) };
            ledger.commit(vec![Change::Owe(first.clone()), Change::Owe(second)]).await.unwrap();
            let [owed] = &state(&*ledger, &name).await.debts[..] else { panic!() };
            assert_eq!((owed.kind, owed.seq.0), stands, "round {round}");
            assert_eq!(owed.since, Moment(50), "round {round}");
            let from_new = new.1 >= old.1;
            assert_eq!((owed.attempts, owed.not_before), if from_new { (0, Moment(80)) } else { (4, Moment(900)) });

            let settle = |seq| Change::Settle { store: store("nas"), bucket: bkt(), key: key(&name), seq: Seq(seq) };
            ledger.commit(vec![settle(stands.1 - 1)]).await.unwrap();
            assert_eq!(state(&*ledger, &name).await.debts.len(), 1, "round {round}");
            ledger.commit(vec![settle(stands.1)]).await.unwrap();
            assert_eq!(state(&*ledger, &name).await.debts, vec![], "round {round}");
        }
        // Coming earlier, it makes the whole older.
        let early = Debt { since: Moment(3), ..debt("nas", "k", Look, 1) };
        ledger.commit(vec![Change::Owe(debt("nas", "k", Copy, 2)), Change::Owe(early)]).await.unwrap();
        assert_eq!(state(&*ledger, "k").await.debts, vec![Debt { since: Moment(3), ..debt("nas", "k", Copy, 2) }]);
    });
}

#[test]
fn debts_are_counted_and_paid_in_turn() {
    on_each(|ledger| async move {
        let nas = store("nas");
        let owe = |name: &str, since: u64, not_before: u64, size: u64| {
            let at = debt("nas", name, DebtKind::Copy, 1);
            Change::Owe(Debt { since: Moment(since), not_before: Moment(not_before), size, ..at })
        };
        assert_eq!(ledger.debt_totals(&nas).await.unwrap(), DebtTotals::default());
        assert_eq!(ledger.next_debt_at(&nas).await.unwrap(), None);
        ledger
            .commit(vec![
                owe("big-old", 10, 10, 5000),
                owe("small-old", 11, 11, 1),
                owe("tiny-new", 30, 0, 0),
                owe("failed", 5, 40, 7),
                owe("later", 20, 99, 3),
                Change::Owe(debt("b2", "big-old", DebtKind::Copy, 1)),
            ])
            .await
            .unwrap();
        let totals = DebtTotals { objects: 5, bytes: 5011, oldest: Some(Moment(5)) };
        assert_eq!(ledger.debt_totals(&nas).await.unwrap(), totals);
        assert_eq!(ledger.next_debt_at(&nas).await.unwrap(), Some(Moment(10)));
        let due = |now: u64, limit: usize| {
            let (ledger, nas) = (&ledger, &nas);
            async move {
                let due = ledger.debts_due(nas, Moment(now), limit).await.unwrap();
                due.into_iter().map(|debt| debt.key.as_str().to_owned()).collect::<Vec<_>>()
            }
        };
        assert_eq!(due(9, 10).await, Vec::<String>::new());
        assert_eq!(due(50, 2).await, ["small-old", "big-old"]);
        assert_eq!(due(50, 10).await, ["tiny-new", "small-old", "failed", "big-old"]);
        assert_eq!(due(99, 10).await.len(), 5);
        // Growing, shrinking and paying are all counted.
        ledger.commit(vec![owe("small-old", 11, 12, 11), owe("big-old", 10, 10, 4000)]).await.unwrap();
        assert_eq!(ledger.debt_totals(&nas).await.unwrap().bytes, 4021);
        for name in ["big-old", "small-old", "tiny-new", "failed", "later"] {
            let settle = Change::Settle { store: nas.clone(), bucket: bkt(), key: key(name), seq: Seq(1) };
            ledger.commit(vec![settle]).await.unwrap();
        }
        assert_eq!(ledger.debt_totals(&nas).await.unwrap(), DebtTotals::default());
        assert_eq!(ledger.debt_totals(&store("b2")).await.unwrap().objects, 1);
    });
}

/// A large debt is in the first batch however many small ones come after it.
#[test]
fn no_debt_starves() {
    on_each(|ledger| async move {
        let nas = store("nas");
        let owe = |name: String, since: u64, size: u64| {
            let at = debt("nas", &name, DebtKind::Copy, 1);
            Change::Owe(Debt { since: Moment(since), not_before: Moment(since), size, ..at })
        };
        ledger.commit(vec![owe("large".into(), 1, 1 << 40)]).await.unwrap();
        let small = (2..200).map(|n| owe(format!("small-{n}"), n, n)).collect();
        ledger.commit(small).await.unwrap();
        let due = ledger.debts_due(&nas, Moment(1000), 10).await.unwrap();
        assert_eq!(due.last().unwrap().key, key("large"));
        assert!(due.is_sorted_by_key(|debt| debt.size));
    });
}

#[test]
fn an_emptied_store_is_owed_all_it_held() {
    on_each(|ledger| async move {
        let mut batch: Vec<Change> =
            (1..=2500).map(|n| set(&format!("k{n:04}"), held_by(object(n), &["nas", "b2"]))).collect();
        batch.push(set("gone", held_by(tombstone(2501), &["nas"])));
        batch.push(set("elsewhere", held_by(object(2502), &["b2"])));
        ledger.commit(batch).await.unwrap();
        ledger.commit(vec![Change::OweEverything { store: store("nas"), now: Moment(9) }]).await.unwrap();
        let totals = ledger.debt_totals(&store("nas")).await.unwrap();
        assert_eq!((totals.objects, totals.oldest), (2501, Some(Moment(9))));
        let one = state(&*ledger, "k0007").await;
        assert_eq!(one.entry, Some(held_by(object(7), &["b2"])));
        assert_eq!((one.debts[0].kind, one.debts[0].seq, one.debts[0].size), (DebtKind::Copy, Seq(7), 107));
        assert_eq!(one.seen.keys().collect::<Vec<_>>(), [&store("b2")]);
        assert_eq!(state(&*ledger, "gone").await.debts[0].kind, DebtKind::Remove);
        assert_eq!(state(&*ledger, "elsewhere").await.debts, vec![]);
    });
}

#[test]
fn marks_start_anew() {
    on_each(|ledger| async move {
        let nas = store("nas");
        ledger
            .commit(vec![
                Change::AddMark(mark(1, "nas", "a", 1, None)),
                Change::AddMark(Mark { since: Moment(500), ..mark(2, "nas", "a", 2, Some(Fence::Absent)) }),
                Change::AddMark(mark(3, "nas", "b", 3, None)),
                Change::AddMark(mark(4, "b2", "a", 4, None)),
            ])
            .await
            .unwrap();
        let old = |until: u64| {
            let (ledger, nas) = (&ledger, &nas);
            async move {
                let marks = ledger.marks_since(nas, Moment(until), 10).await.unwrap();
                marks.into_iter().map(|mark| mark.call.0).collect::<Vec<_>>()
            }
        };
        assert_eq!(ledger.marks_count(&nas).await.unwrap(), 3);
        assert_eq!((old(9).await, old(10).await, old(500).await), (vec![], vec![1, 3], vec![1, 3, 2]));
        let key_anew = Change::RestartKeyMarks { bucket: bkt(), key: key("a"), store: nas.clone(), now: Moment(100) };
        ledger.commit(vec![key_anew]).await.unwrap();
        assert_eq!((old(10).await, old(100).await, old(499).await), (vec![3], vec![3, 1], vec![3, 1]));
        ledger.commit(vec![Change::RestartMarks { stores: vec![nas.clone()], now: Moment(300) }]).await.unwrap();
        assert_eq!((old(299).await, old(300).await, old(500).await), (vec![], vec![1, 3], vec![1, 3, 2]));
        assert_eq!(ledger.marks_since(&store("b2"), Moment(10), 10).await.unwrap().len(), 1);
        assert_eq!(ledger.marks_since(&nas, Moment(500), 2).await.unwrap().len(), 2);
    });
}

#[test]
fn intents_come_lowest_seq_first() {
    on_each(|ledger| async move {
        let order = [("z", 3), ("a", 9), ("m", 1)];
        ledger.commit(order.map(|(name, n)| begin(name, object(n))).to_vec()).await.unwrap();
        let seqs = |limit| {
            let ledger = &ledger;
            async move { ledger.intents(limit).await.unwrap().iter().map(|i| i.entry.seq.0).collect::<Vec<_>>() }
        };
        assert_eq!(seqs(10).await, [1, 3, 9]);
        assert_eq!(seqs(2).await, [1, 3]);
        let again = Intent { upload: Some("u".into()), ..intent("z", held_by(object(3), &["nas"])) };
        ledger.commit(vec![Change::BeginWrite(Box::new(again.clone()))]).await.unwrap();
        assert_eq!(ledger.intents(10).await.unwrap()[1], again);
    });
}

#[test]
fn buckets_go_only_when_empty() {
    on_each(|ledger| async move {
        let states = [
            BucketState::Serving,
            BucketState::Found { on: vec![store("nas")] },
            BucketState::Leaving,
            BucketState::Gone { owed: vec![store("b2")] },
        ];
        for state in states {
            let one = outlast_ledger::Bucket { state, ..serving("bkt") };
            ledger.commit(vec![Change::PutBucket(one.clone())]).await.unwrap();
            assert_eq!(ledger.bucket(&bkt()).await.unwrap(), Some(one));
        }
        ledger.commit(vec![Change::PutBucket(serving("aaa"))]).await.unwrap();
        let names: Vec<_> = ledger.buckets().await.unwrap().into_iter().map(|one| one.name).collect();
        assert_eq!(names, [bucket("aaa"), bkt()]);

        let go = || vec![Change::DropBucket { name: bkt() }];
        let end = Change::EndWrite { bucket: bkt(), key: key("k"), write: WriteId(1) };
        let closed = Upload { state: UploadState::Aborted { owed: vec![] }, ..upload("u1", "k") };
        for (holds, frees) in [
            (set("k", object(1)), set("k", tombstone(2))),
            (begin("k", object(1)), end),
            (Change::PutUpload(Box::new(upload("u1", "k"))), Change::PutUpload(Box::new(closed))),
        ] {
            ledger.commit(vec![holds]).await.unwrap();
            assert!(is_refused(ledger.commit(go()).await));
            ledger.commit(vec![frees]).await.unwrap();
        }
        ledger.commit(go()).await.unwrap();
        assert_eq!(ledger.bucket(&bkt()).await.unwrap(), None);
    });
}

fn upload(id: &str, name: &str) -> Upload {
    Upload {
        id: id.into(),
        bucket: bkt(),
        key: key(name),
        began: Moment(100),
        head: Head { content_type: Some("a/b".into()), ..Head::default() },
        checksum: Some(ChecksumKind::Sha256),
        composite: Some(true),
        internal: false,
        write: WriteId(4),
        natives: BTreeMap::from([(store("nas"), "native".into())]),
        state: UploadState::Open,
    }
}

fn part(id: &str, number: u32) -> Part {
    Part {
        upload: id.into(),
        number,
        size: 70_000,
        etag: format!("md5-{number}"),
        modified: Moment(200),
        checksums: vec![Checksum { kind: ChecksumKind::Sha256, value: "x".into(), composite: false }],
        digests: BlockMap::of(&[3; 70_000]),
        holders: BTreeMap::from([(store("nas"), "etag".into())]),
        spooled: number.is_multiple_of(2),
    }
}

#[test]
fn uploads_and_parts() {
    on_each(|ledger| async move {
        let put = |upload: Upload| Change::PutUpload(Box::new(upload));
        let uploads = [upload("u2", "a"), upload("u1", "a"), upload("u3", "ab"), upload("u4", "b")];
        ledger.commit(uploads.iter().cloned().map(put).collect()).await.unwrap();
        assert_eq!(ledger.upload("u3").await.unwrap(), Some(upload("u3", "ab")));
        assert_eq!(ledger.upload("u9").await.unwrap(), None);
        let listed = |prefix: &'static str, after: (&'static str, &'static str), limit| {
            let ledger = &ledger;
            async move {
                let found = ledger.uploads(&bkt(), prefix, after, limit).await.unwrap();
                found.into_iter().map(|one| one.id).collect::<Vec<_>>()
            }
        };
        assert_eq!(listed("", ("", ""), 10).await, ["u1", "u2", "u3", "u4"]);
        assert_eq!(listed("a", ("", ""), 10).await, ["u1", "u2", "u3"]);
        assert_eq!(listed("", ("a", "u1"), 2).await, ["u2", "u3"]);
        assert_eq!(listed("b", ("a", "u1"), 2).await, ["u4"]);

        let give = |one: Part| Change::PutPart(Box::new(one));
        assert!(is_refused(ledger.commit(vec![give(part("u9", 1))]).await));
        ledger.commit(vec![give(part("u1", 10)), give(part("u1", 9)), give(part("u2", 1))]).await.unwrap();
        let again = Part { etag: "other".into(), digests: BlockMap::of(b"y"), ..part("u1", 9) };
        ledger.commit(vec![give(again.clone())]).await.unwrap();
        assert_eq!(ledger.parts("u1", 0, 10).await.unwrap(), vec![again, part("u1", 10)]);
        assert_eq!(ledger.parts("u1", 9, 10).await.unwrap(), vec![part("u1", 10)]);
        assert_eq!(ledger.parts("u1", 0, 1).await.unwrap().len(), 1);

        let untouched = |before: u64| {
            let ledger = &ledger;
            async move {
                // One by one: each page goes on strictly after the last.
                let (mut found, mut after) = (BTreeSet::new(), (Moment(0), String::new()));
                while let Some((touched, one)) =
                    ledger.uploads_before(Moment(before), (after.0, &after.1), 1).await.unwrap().pop()
                {
                    assert!((touched, &one.id) > (after.0, &after.1));
                    after = (touched, one.id.clone());
                    assert!(found.insert(one.id));
                }
                found
            }
        };
        assert_eq!(untouched(100).await, BTreeSet::new());
        assert_eq!(untouched(200).await, BTreeSet::from(["u3".to_owned(), "u4".into()]));
        let completed = UploadState::Completed { etag: "e".into(), at: Moment(900) };
        ledger.commit(vec![put(Upload { state: completed, ..upload("u4", "b") })]).await.unwrap();
        assert_eq!(untouched(201).await.len(), 3);
        assert_eq!(untouched(901).await.len(), 4);
        assert_eq!(listed("", ("", ""), 10).await, ["u1", "u2", "u3"]);
        let completing = UploadState::Completing { parts: vec![9, 10] };
        ledger.commit(vec![put(Upload { state: completing, ..upload("u1", "a") })]).await.unwrap();
        assert_eq!(listed("", ("", ""), 10).await, ["u1", "u2", "u3"]);
        ledger.commit(vec![Change::DropUpload { id: "u1".into() }]).await.unwrap();
        assert_eq!(ledger.upload("u1").await.unwrap(), None);
        assert_eq!(ledger.parts("u1", 0, 10).await.unwrap(), vec![]);
        assert_eq!(ledger.parts("u2", 0, 10).await.unwrap().len(), 1);
    });
}

#[test]
fn facts_history_and_spool() {
    on_each(|ledger| async move {
        let fact = |value: &str| Change::SetFact { name: "installation".into(), value: value.into() };
        ledger.commit(vec![fact("1"), fact("2")]).await.unwrap();
        assert_eq!(ledger.fact("installation").await.unwrap().as_deref(), Some("2"));
        assert_eq!(ledger.fact("other").await.unwrap(), None);
        let put_fact = |name: &str| Change::SetFact { name: name.into(), value: "0".into() };
        ledger.commit(["a/2", "a/1", "a/3", "a", "b/1", "a/"].map(put_fact).to_vec()).await.unwrap();
        let names = |after: &'static str, limit| {
            let ledger = &ledger;
            async move { ledger.facts("a/", after, limit).await.unwrap().into_iter().map(|(name, _)| name) }
        };
        assert_eq!(names("", 10).await.collect::<Vec<_>>(), ["a/1", "a/2", "a/3"]);
        assert_eq!(names("a/1", 1).await.collect::<Vec<_>>(), ["a/2"]);
        assert_eq!(names("a/3", 10).await.count(), 0);
        let drop_fact = |name: &str| Change::DropFact { name: name.into() };
        ledger.commit(vec![drop_fact("a/2"), drop_fact("nothing")]).await.unwrap();
        assert_eq!(names("", 10).await.collect::<Vec<_>>(), ["a/1", "a/3"]);

        let note = |n: u64, text: String| Change::Note { at: Moment(n), kind: "store".into(), text };
        ledger.commit(vec![note(0, "ü".repeat(5000))]).await.unwrap();
        assert_eq!(ledger.history(1).await.unwrap()[0].text.len(), 4096);
        ledger.commit((1..=10_050).map(|n| note(n, format!("line {n}"))).collect()).await.unwrap();
        let lines = ledger.history(usize::MAX).await.unwrap();
        assert_eq!((lines.len(), lines[0].at, lines[9_999].at), (10_000, Moment(10_050), Moment(51)));
        assert_eq!((lines[0].kind.as_str(), lines[0].text.as_str()), ("store", "line 10050"));

        let hold = |n: u128| Change::SpoolHolds { bucket: bkt(), key: key("k"), write: WriteId(n), size: 5 };
        ledger.commit(vec![hold(2), hold(1), Change::SpoolReleases { write: WriteId(9) }]).await.unwrap();
        assert_eq!(state(&*ledger, "k").await.spooled, [WriteId(1), WriteId(2)]);
        ledger.commit(vec![set("k", object(1))]).await.unwrap();
        let items: Vec<_> = ledger.spool_items().await.unwrap().iter().map(|item| (item.write.0, item.size)).collect();
        assert_eq!(items, [(1, 5), (2, 5)]);
    });
}

#[test]
fn numbers_that_no_row_holds_are_refused() {
    on_each(|ledger| async move {
        let huge = Entry { size: u64::MAX, ..object(1) };
        assert!(is_refused(ledger.commit(vec![set("k", huge)]).await));
        ledger.commit(vec![set("k", object(1))]).await.unwrap();
    });
}

#[test]
fn seqs_are_never_repeated_and_follow_what_came_from_elsewhere() {
    on_each(|ledger| async move {
        let mut taken = BTreeSet::new();
        for _ in 0..3000 {
            assert!(taken.insert(ledger.take_seq().await.unwrap()));
        }
        let imported = Seq(1_000_000);
        let entry = Entry { seq: imported, ..object(1) };
        ledger.commit(vec![set("k", entry)]).await.unwrap();
        let next = ledger.take_seq().await.unwrap();
        assert!(next > imported && next > *taken.last().unwrap());
    });
}

#[test]
fn a_closed_ledger_says_so() {
    on_each(|ledger| async move {
        ledger.commit(vec![set("k", object(1))]).await.unwrap();
        ledger.close().await;
        ledger.close().await;
        assert!(matches!(ledger.commit(vec![set("k", object(2))]).await, Err(LedgerError::Closed)));
        assert!(matches!(ledger.entry(&bkt(), &key("k")).await, Err(LedgerError::Closed)));
        assert!(matches!(ledger.entries(&bkt(), None, 1).await, Err(LedgerError::Closed)));
    });
}

fn trashed(name: &str, n: u64, until: Option<u64>) -> Trashed {
    Trashed {
        bucket: bkt(),
        key: key(name),
        entry: held_by(object(n), &["nas", "b2"]),
        by: WriteId(u128::from(n + 1)),
        why: Displaced::Deleted,
        at: Moment(10 * n),
        until: until.map(Moment),
        user: Some("app".into()),
        returned: None,
        shelves: BTreeMap::new(),
    }
}

#[test]
fn the_trash_keeps_writes_with_their_digests_until_it_is_told_otherwise() {
    on_each(async |ledger| {
        let digests = Digests { maps: vec![BlockMap::of(&[7; 100])] };
        let entry = Box::new(held_by(object(1), &["nas", "b2"]));
        let first = Change::SetEntry { bucket: bkt(), key: key("k"), entry, digests: Some(digests.clone()) };
        ledger.commit(vec![first]).await.unwrap();
        ledger
            .commit(vec![Change::PutTrash(Box::new(trashed("k", 1, Some(500)))), set("k", tombstone(2))])
            .await
            .unwrap();
        assert_eq!(ledger.digests(&bkt(), &key("k"), WriteId(1)).await.unwrap(), Some(digests.clone()));
        assert_eq!(ledger.trash_totals(&bkt()).await.unwrap(), TrashTotals { objects: 1, bytes: 101, held: 0 });

        let shelf = Shelf { pin: pin("etag-1"), native: false };
        let shelve = |write: u128| Change::Shelve {
            bucket: bkt(),
            key: key("k"),
            write: WriteId(write),
            store: store("nas"),
            shelf: shelf.clone(),
        };
        ledger.commit(vec![shelve(1), shelve(99)]).await.unwrap();
        // Said again, held now: the filled shelf stays.
        ledger.commit(vec![Change::PutTrash(Box::new(trashed("k", 1, None)))]).await.unwrap();
        let kept = ledger.trash_of(&bkt(), &key("k")).await.unwrap();
        let shelves = BTreeMap::from([(store("nas"), shelf)]);
        assert_eq!(kept, [Trashed { shelves, ..trashed("k", 1, None) }]);
        assert_eq!(ledger.trash_totals(&bkt()).await.unwrap(), TrashTotals { objects: 1, bytes: 101, held: 1 });
        assert_eq!(ledger.trash_over(Moment(u64::MAX >> 1), 9).await.unwrap(), []);

        let write = WriteId(1);
        ledger
            .commit(vec![Change::ReleaseTrash { bucket: bkt(), key: key("k"), write, until: Moment(700) }])
            .await
            .unwrap();
        assert_eq!(ledger.trash_over(Moment(699), 9).await.unwrap(), []);
        assert_eq!(ledger.trash_over(Moment(700), 9).await.unwrap().len(), 1);
        ledger.commit(vec![Change::DropTrash { bucket: bkt(), key: key("k"), write }]).await.unwrap();
        assert_eq!(ledger.digests(&bkt(), &key("k"), write).await.unwrap(), None);
        assert_eq!(ledger.trash_totals(&bkt()).await.unwrap(), TrashTotals::default());
    });
}

#[test]
fn a_page_of_the_trash_never_cuts_a_key() {
    on_each(async |ledger| {
        let put = |name: &str, n: u64| Change::PutTrash(Box::new(trashed(name, n, Some(1000 - n))));
        let mut batch = vec![put("a/1", 1), put("b", 9)];
        batch.extend((2..7).map(|n| put("a/2", n)));
        batch.push(put("a/3", 7));
        ledger.commit(batch).await.unwrap();
        let page = async |prefix: &str, after: Option<&str>, limit: usize| -> Vec<String> {
            let after = after.map(key);
            let found = ledger.trash(&bkt(), prefix, after.as_ref(), limit).await.unwrap();
            found.iter().map(|one| format!("{} {}", one.key, one.entry.seq)).collect()
        };
        assert_eq!(page("a/", None, 3).await, ["a/1 1"]);
        assert_eq!(page("a/", Some("a/1"), 3).await, ["a/2 2", "a/2 3", "a/2 4", "a/2 5", "a/2 6"]);
        assert_eq!(page("a/", Some("a/2"), 3).await, ["a/3 7"]);
        assert_eq!(page("a/", Some("a/3"), 3).await, [""; 0]);
        assert_eq!(page("", Some("a/2"), 9).await, ["a/3 7", "b 9"]);
        let over: Vec<u64> =
            ledger.trash_over(Moment(995), 2).await.unwrap().iter().map(|one| one.entry.seq.0).collect();
        assert_eq!(over, [9, 7], "the longest overdue first");
    });
}
