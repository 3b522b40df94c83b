//! Opening, closing, locking, older and foreign files, and many askers at once.

mod support;

use outlast_ledger::{
    Change, DebtTotals, Durability, Embedded, Ledger, LedgerError, ListQuery, Mode, Part, Upload, UploadState,
};
use outlast_rules::*;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use support::*;

fn open(dir: &Path, mode: Mode) -> Result<Embedded, LedgerError> {
    Embedded::open(dir, mode)
}

#[test]
fn a_ledger_has_one_owner() {
    for mode in [Mode::Inline, Mode::Threads] {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("deep/er");
        let first = open(&path, mode).unwrap();
        assert!(matches!(open(&path, mode), Err(LedgerError::InUse { .. })));
        runtime(mode).block_on(first.close());
        let second = open(&path, mode).unwrap();
        drop(first);
        assert!(matches!(open(&path, mode), Err(LedgerError::InUse { .. })));
        drop(second);
        open(&path, mode).unwrap();
    }
}

#[test]
fn what_was_committed_is_there_again() {
    for mode in [Mode::Inline, Mode::Threads] {
        let dir = tempfile::tempdir().unwrap();
        runtime(mode).block_on(async {
            for n in 1..5 {
                let ledger = open(dir.path(), mode).unwrap();
                assert_eq!(ledger.entries(&bkt(), None, 10).await.unwrap().len() as u64, n - 1);
                ledger.commit(vec![set(&format!("k{n}"), object(n))]).await.unwrap();
                if n % 2 == 0 {
                    ledger.close().await;
                }
            }
        });
    }
}

/// The files as they are at some moment are what kill -9 leaves behind.
#[test]
fn seqs_of_a_killed_life_are_not_given_again() {
    runtime(Mode::Inline).block_on(async {
        let dir = tempfile::tempdir().unwrap();
        let ledger = open(dir.path(), Mode::Inline).unwrap();
        let mut highest = Seq(0);
        for _ in 0..5 {
            for _ in 0..400 {
                highest = highest.max(ledger.take_seq().await.unwrap());
            }
            let left = tempfile::tempdir().unwrap();
            for file in ["ledger.sqlite", "ledger.sqlite-wal"] {
                std::fs::copy(dir.path().join(file), left.path().join(file)).unwrap();
            }
            let next = open(left.path(), Mode::Inline).unwrap().take_seq().await.unwrap();
            assert!(next > highest, "{next:?} after {highest:?}");
        }
    });
}

#[test]
fn foreign_and_newer_files_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("ledger.sqlite");
    let refused = |word: &str| match open(dir.path(), Mode::Inline) {
        Err(LedgerError::Damaged { why }) => assert!(why.contains(word), "{why}"),
        other => panic!("{:?}", other.err()),
    };
    std::fs::write(&file, "this is a diary, not a ledger, and long enough to be looked at").unwrap();
    refused("not a database");
    std::fs::remove_file(&file).unwrap();
    rusqlite::Connection::open(&file).unwrap().execute_batch("CREATE TABLE diary (day TEXT)").unwrap();
    refused("not a ledger");
    std::fs::remove_file(&file).unwrap();
    drop(open(dir.path(), Mode::Inline).unwrap());
    rusqlite::Connection::open(&file).unwrap().execute_batch("PRAGMA user_version = 99").unwrap();
    refused("newer");
}

/// A hundred askers share a few fsyncs; each hears its own answer.
#[test]
fn a_refused_batch_does_not_poison_its_group() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = Arc::new(open(dir.path(), Mode::Threads).unwrap());
    runtime(Mode::Threads).block_on(async {
        ledger.commit(vec![set("taken", object(1_000_000))]).await.unwrap();
        let asked: Vec<_> = (1..=200u64)
            .map(|n| {
                let ledger = ledger.clone();
                tokio::spawn(async move {
                    let mut batch = vec![
                        set(&format!("k{n:03}"), object(n)),
                        Change::Owe(debt("nas", &format!("k{n:03}"), DebtKind::Copy, n)),
                    ];
                    if n % 3 == 0 {
                        batch.push(set("taken", object(n)));
                    }
                    let answer = ledger.commit(batch).await;
                    let seen = ledger.entry(&bkt(), &key(&format!("k{n:03}"))).await.unwrap();
                    (n, answer, seen)
                })
            })
            .collect();
        for one in asked {
            let (n, answer, seen) = one.await.unwrap();
            if n % 3 == 0 {
                assert!(is_refused(answer));
                assert_eq!(seen, None);
            } else {
                answer.unwrap();
                assert_eq!(seen, Some(object(n)));
            }
        }
        let totals = ledger.debt_totals(&store("nas")).await.unwrap();
        assert_eq!((totals.objects, totals.bytes), (134, 13_400));
        let everything = ListQuery { limit: 1000, ..ListQuery::default() };
        assert_eq!(ledger.list(&bkt(), everything).await.unwrap().items.len(), 135);
    });
}

#[test]
fn seqs_are_unique_among_many_takers() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = Arc::new(open(dir.path(), Mode::Threads).unwrap());
    runtime(Mode::Threads).block_on(async {
        let takers: Vec<_> = (0..20)
            .map(|_| {
                let ledger = ledger.clone();
                tokio::spawn(async move {
                    let mut mine = Vec::new();
                    for _ in 0..500 {
                        mine.push(ledger.take_seq().await.unwrap());
                    }
                    assert!(mine.is_sorted());
                    mine
                })
            })
            .collect();
        let mut all = std::collections::BTreeSet::new();
        for taker in takers {
            all.extend(taker.await.unwrap());
        }
        assert_eq!(all.len(), 10_000);
    });
}

/// One of everything, as it is kept in `tests/old_ledgers/`.
fn one_of_everything() -> Vec<Change> {
    let digests = Digests { maps: vec![BlockMap::of(&vec![7; 100_000])] };
    let mut entry = held_by(object(7), &["nas", "b2"]);
    entry.head.metadata.insert("colour".into(), "green".into());
    entry.layout = Layout::Parts(vec![60, 47]);
    entry.checksums = vec![Checksum { kind: ChecksumKind::Crc64nvme, value: "AAAAAAAAAAA=".into(), composite: false }];
    let seen = Seen { write: Some(WriteId(3)), pin: Some(Pin { etag: "old".into(), version: Some("v1".into()) }) };
    vec![
        Change::PutBucket(serving("bkt")),
        Change::SetEntry { bucket: bkt(), key: key("photos/cat.jpg"), entry: Box::new(entry), digests: Some(digests) },
        set("gone", tombstone(8)),
        Change::SetSeen { bucket: bkt(), key: key("photos/cat.jpg"), store: store("r2"), seen },
        begin("begun", object(9)),
        Change::AddMark(mark(1, "r2", "begun", 9, Some(Fence::Matches("e".into())))),
        Change::Owe(debt("r2", "photos/cat.jpg", DebtKind::Copy, 7)),
        Change::SpoolHolds { bucket: bkt(), key: key("begun"), write: WriteId(9), size: 109 },
        Change::PutUpload(Box::new(Upload {
            id: "u1".into(),
            bucket: bkt(),
            key: key("big"),
            began: Moment(100),
            head: Head::default(),
            checksum: None,
            composite: None,
            internal: false,
            write: WriteId(4),
            natives: BTreeMap::from([(store("nas"), "native".into())]),
            state: UploadState::Open,
        })),
        Change::PutPart(Box::new(Part {
            upload: "u1".into(),
            number: 1,
            size: 3,
            etag: "md5".into(),
            modified: Moment(200),
            checksums: Vec::new(),
            digests: BlockMap::of(b"abc"),
            holders: BTreeMap::from([(store("nas"), "etag".into())]),
            spooled: true,
        })),
        Change::SetFact { name: "installation".into(), value: "\"0123\"".into() },
        Change::Note { at: Moment(1), kind: "start".into(), text: "first start".into() },
    ]
}

/// Everything that can be read, for comparing two ledgers.
async fn all_of(ledger: &dyn Ledger) -> String {
    let (nas, r2) = (store("nas"), store("r2"));
    let mut keys = Vec::new();
    for name in ["photos/cat.jpg", "gone", "begun"] {
        keys.push(ledger.key_state(&bkt(), &key(name)).await.unwrap());
    }
    let list = ledger.list(&bkt(), ListQuery { delimiter: "/".into(), limit: 10, ..ListQuery::default() }).await;
    let digests = ledger.digests(&bkt(), &key("photos/cat.jpg"), WriteId(7)).await.unwrap();
    let totals = (ledger.debt_totals(&r2).await.unwrap(), ledger.bucket_totals(&bkt()).await.unwrap());
    let marks = (ledger.marks_since(&r2, Moment(99), 9).await.unwrap(), ledger.marks_count(&nas).await.unwrap());
    let uploads = (ledger.uploads(&bkt(), "", ("", ""), 9).await.unwrap(), ledger.parts("u1", 0, 9).await.unwrap());
    let rest =
        (ledger.buckets().await.unwrap(), ledger.fact("installation").await.unwrap(), ledger.history(9).await.unwrap());
    assert_ne!(totals.0, DebtTotals::default());
    format!("{keys:#?}\n{list:#?}\n{digests:?}\n{totals:?}\n{marks:#?}\n{uploads:#?}\n{rest:#?}")
}

/// Old files open for ever. `OUTLAST_REWRITE=1` writes the file of a version that has none yet.
#[test]
fn old_ledgers_open() {
    const VERSIONS: [&str; 4] = ["v1", "v2", "v3", "v4"];
    runtime(Mode::Inline).block_on(async {
        let fresh_dir = tempfile::tempdir().unwrap();
        let fresh = Embedded::open_with(fresh_dir.path(), Mode::Inline, Durability::Process).unwrap();
        fresh.commit(one_of_everything()).await.unwrap();
        let expected = all_of(&fresh).await;
        for version in VERSIONS {
            let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/old_ledgers/{version}.sqlite"));
            if std::env::var_os("OUTLAST_REWRITE").is_some() && !kept.exists() {
                fresh.close().await;
                std::fs::copy(fresh_dir.path().join("ledger.sqlite"), &kept).unwrap();
            }
            let dir = tempfile::tempdir().unwrap();
            std::fs::copy(&kept, dir.path().join("ledger.sqlite")).unwrap();
            let old = open(dir.path(), Mode::Inline).unwrap();
            assert_eq!(all_of(&old).await, expected, "{version}");
            // And it goes on from there, with seqs above what it knows.
            assert!(old.take_seq().await.unwrap() > Seq(9));
            old.commit(vec![set("photos/cat.jpg", object(10))]).await.unwrap();
        }
    });
}
