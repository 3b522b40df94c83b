//! Power fails at every moment of a scripted life, and every sync and write fails once: what was acknowledged is whole, what
//! was not is whole or absent, and a ledger that cannot know says so.

mod power {
    pub mod disk;
    pub mod vfs;
}
mod support;

use outlast_ledger::{Change, Core, Durability, Embedded, Ledger, LedgerError};
use outlast_rules::*;
use power::disk::{Disk, Event, Image, Platter, Trouble};
use power::vfs::Mounted;
use support::*;

/// Enough for several checkpoints: each batch fills some 120 pages of the WAL.
const BATCHES: u64 = 20;

/// Blocks of a batch's digests: half a megabyte.
const BLOCKS: usize = 30_000;

fn name(n: u64) -> String {
    format!("k{n:02}")
}

fn digests(n: u64) -> Digests {
    let map = BlockMap { len: BLOCKS as u64 * BLOCK_SMALL, block: BLOCK_SMALL, digests: vec![[n as u8; 16]; BLOCKS] };
    Digests { maps: vec![map] }
}

/// The n-th batch touches many tables and many pages; half of it must never be seen.
fn batch(n: u64) -> Vec<Change> {
    let mut changes = vec![
        Change::SetFact { name: "batch".into(), value: n.to_string() },
        Change::SetEntry {
            bucket: bkt(),
            key: key(&name(n)),
            entry: Box::new(held_by(object(n), &["nas"])),
            digests: Some(digests(n)),
        },
        Change::Owe(debt("b2", &name(n), DebtKind::Copy, n)),
        Change::Note { at: Moment(n), kind: "batch".into(), text: name(n) },
        begin(&name(n + 1), object(n + 1)),
        Change::EndWrite { bucket: bkt(), key: key(&name(n)), write: WriteId(u128::from(n)) },
    ];
    // The key of the batch before is overwritten by a delete, so that pages change as well as come.
    if n > 1 {
        changes.push(set(&name(n - 1), Entry { seq: Seq(n), ..tombstone(n + 1000) }));
    }
    changes
}

fn open(mounted: &Mounted) -> Result<Embedded, LedgerError> {
    open_with(mounted, Durability::Power)
}

fn open_with(mounted: &Mounted, durability: Durability) -> Result<Embedded, LedgerError> {
    let conn = mounted.connect().map_err(|error| LedgerError::MustReopen { why: error.to_string() })?;
    Core::over(conn, durability).map(Embedded::inline)
}

/// How many batches the ledger has; panics when one is there by half.
async fn whole_batches(ledger: &Embedded) -> u64 {
    let count = ledger.fact("batch").await.unwrap().map_or(0, |text| text.parse().unwrap());
    let entries = ledger.entries(&bkt(), None, 1000).await.unwrap();
    let expected: Vec<_> = (1..=count)
        .map(|n| {
            let deleted = Entry { seq: Seq(n + 1), ..tombstone(n + 1001) };
            (key(&name(n)), if n < count { deleted } else { held_by(object(n), &["nas"]) })
        })
        .collect();
    assert_eq!(entries, expected);
    assert_eq!(ledger.debt_totals(&store("b2")).await.unwrap().objects, count);
    assert_eq!(ledger.history(1000).await.unwrap().len() as u64, count);
    let intents: Vec<_> = ledger.intents(10).await.unwrap().iter().map(|intent| intent.entry.seq.0).collect();
    assert_eq!(intents, if count > 0 { vec![count + 1] } else { vec![] });
    if count > 0 {
        let found = ledger.digests(&bkt(), &key(&name(count)), WriteId(u128::from(count))).await.unwrap();
        assert!(found == Some(digests(count)), "the digests of batch {count} are not whole");
        assert_eq!(ledger.bucket_totals(&bkt()).await.unwrap(), (1, 100 + count));
    }
    count
}

/// Opens what the power left and holds it against what was said.
async fn check_image(image: Image, said: u64, highest_seq: Seq, moment: &str) {
    let mounted = Mounted::new(Disk::holding(image.clone()));
    let ledger = open(&mounted).unwrap_or_else(|error| panic!("{moment}: {error}"));
    let found = whole_batches(&ledger).await;
    assert!(found == said || found == said + 1, "{moment}: {said} batches were acknowledged, {found} are there");
    let next = ledger.take_seq().await.unwrap();
    assert!(next > highest_seq, "{moment}: seq {next} is given again");
    drop(ledger);

    // The power fails again while the ledger is being opened.
    let mut platter = Platter::holding(image);
    let log = std::mem::take(&mut mounted.disk.lock().unwrap().log);
    for event in &log {
        if matches!(event, Event::Sync { .. }) {
            let mounted = Mounted::new(Disk::holding(platter.some_of_it(3)));
            let again = open(&mounted).unwrap_or_else(|error| panic!("{moment}, again: {error}"));
            assert!(again.fact("batch").await.unwrap().map_or(0, |text| text.parse().unwrap()) >= said, "{moment}");
        }
        platter.replay(event);
    }
}

fn say(mounted: &Mounted, what: u64) {
    mounted.disk.lock().unwrap().log.push(Event::Said(what));
}

/// Seqs and batches share the log of what was said; seqs are told by this.
const SEQ_SAID: u64 = 1 << 32;

/// The scripted life: batches, with a seq taken now and then. Ends at the first error.
async fn live(mounted: &Mounted, ledger: &Embedded, from: u64) -> Result<(), (u64, LedgerError)> {
    for n in from..=BATCHES {
        if n % 4 == 0 {
            let seq = ledger.take_seq().await.map_err(|error| (n, error))?;
            say(mounted, SEQ_SAID + seq.0);
        }
        ledger.commit(batch(n)).await.map_err(|error| (n, error))?;
        say(mounted, n);
    }
    Ok(())
}

/// Holds every moment of a log at which power could fail against what had been said by then. Returns the syncs seen.
async fn check_every_moment(log: &[Event]) -> usize {
    check_moments(log, 0, usize::MAX).await
}

/// The same from one place in the log on, for so many syncs.
async fn check_moments(log: &[Event], from: usize, syncs_max: usize) -> usize {
    let (mut platter, mut said, mut highest, mut syncs) = (Platter::default(), 0, Seq(0), 0);
    for (at, event) in log.iter().enumerate() {
        match event {
            Event::Said(what) if *what >= SEQ_SAID => highest = highest.max(Seq(what - SEQ_SAID)),
            Event::Said(what) => said = *what,
            Event::Sync { .. } if at >= from && syncs < syncs_max => {
                syncs += 1;
                check_image(platter.nothing_more(), said, highest, &format!("at sync {syncs}, nothing more")).await;
                check_image(platter.all_of_it(), said, highest, &format!("at sync {syncs}, all of it")).await;
                for seed in 1..3 {
                    let image = platter.some_of_it(seed + 7 * syncs as u64);
                    check_image(image, said, highest, &format!("at sync {syncs}, some of it, seed {seed}")).await;
                }
            }
            _ => {}
        }
        platter.replay(event);
    }
    check_image(platter.nothing_more(), said, highest, "at the end").await;
    syncs
}

/// The log of a life in which nothing goes wrong, and the syncs and writes that it makes.
async fn calm_life(durability: Durability) -> (Vec<Event>, usize, usize) {
    let mounted = Mounted::new(Disk::default());
    let ledger = open_with(&mounted, durability).unwrap();
    live(&mounted, &ledger, 1).await.unwrap();
    let mut disk = mounted.disk.lock().unwrap();
    (std::mem::take(&mut disk.log), disk.syncs, disk.writes)
}

#[test]
fn power_fails_at_every_sync() {
    inline(async {
        let (log, syncs, _) = calm_life(Durability::Power).await;
        let database_syncs =
            log.iter().filter(|event| matches!(event, Event::Sync { name } if name == "ledger.sqlite")).count();
        assert!(database_syncs >= 3, "the script must run through checkpoints, and saw {database_syncs}");
        assert!(syncs as u64 > BATCHES);
        assert_eq!(check_every_moment(&log).await, syncs);
    });
}

/// The disk does forget: a ledger that does not sync is caught.
#[test]
#[should_panic(expected = "20 batches were acknowledged")]
fn without_fsync_acknowledged_batches_are_lost() {
    inline(async {
        let (log, ..) = calm_life(Durability::Process).await;
        check_every_moment(&log).await;
    });
}

/// Lives until the disk fails once; then what is latched, what is read, and what is there after reopening and another end.
async fn live_through(trouble: Trouble, syncs_looked_at: usize) {
    let mounted = Mounted::new(Disk::troubled(trouble));
    let mut acknowledged = 0;
    match open(&mounted) {
        Err(error) => assert!(matches!(error, LedgerError::MustReopen { .. }), "{trouble:?}: {error}"),
        Ok(ledger) => {
            let Err((n, error)) = live(&mounted, &ledger, 1).await else {
                panic!("{trouble:?} was hidden");
            };
            assert!(matches!(error, LedgerError::MustReopen { .. }), "{trouble:?}: {error}");
            for _ in 0..2 {
                let later = ledger.commit(vec![Change::SetFact { name: "later".into(), value: "x".into() }]).await;
                assert!(matches!(later, Err(LedgerError::MustReopen { .. })), "{trouble:?}: {later:?}");
            }
            acknowledged = n - 1;
            let read = whole_batches(&ledger).await;
            assert!(read == n - 1 || read == n, "{trouble:?}: {read} are read after {acknowledged}");
            assert_eq!(ledger.fact("later").await.unwrap(), None);
        }
    }
    let from = mounted.disk.lock().unwrap().log.len();
    let ledger = open(&mounted).unwrap_or_else(|error| panic!("{trouble:?}: {error}"));
    let found = whole_batches(&ledger).await;
    assert!(found == acknowledged || found == acknowledged + 1, "{trouble:?}: {found} after {acknowledged}");
    // Somebody has read it now, so it must not vanish again.
    say(&mounted, found);
    live(&mounted, &ledger, found + 1).await.unwrap();
    drop(ledger);
    let log = std::mem::take(&mut mounted.disk.lock().unwrap().log);
    // The first syncs after reopening rest on what the failed one may have lost; later ones do not.
    check_moments(&log, from, syncs_looked_at).await;
}

#[test]
fn a_failed_sync_is_never_hidden() {
    inline(async {
        let (_, syncs, _) = calm_life(Durability::Power).await;
        for n in 1..=syncs {
            live_through(Trouble::Sync(n), 4).await;
        }
    });
}

#[test]
fn a_failed_write_is_never_hidden() {
    inline(async {
        let (_, _, writes) = calm_life(Durability::Power).await;
        // Each of the first ones, when the file is made; then a sample with a step that falls on every kind of page.
        for n in (1..30).chain((30..=writes).step_by(131)) {
            live_through(Trouble::Write(n), 1).await;
        }
    });
}

#[test]
fn a_full_disk_refuses_and_goes_on() {
    inline(async {
        let (_, _, writes) = calm_life(Durability::Power).await;
        let mut refused = 0;
        for n in (1..=writes).step_by(61) {
            let mounted = Mounted::new(Disk::troubled(Trouble::Full(n)));
            let ledger = match open(&mounted) {
                Ok(ledger) => ledger,
                // Full when it is made: said, and all is well once there is room.
                Err(_) => open(&mounted).unwrap(),
            };
            // A checkpoint that finds no room is not an error: the WAL holds everything.
            if let Err((at, error)) = live(&mounted, &ledger, 1).await {
                assert!(matches!(error, LedgerError::Full { .. }), "write {n}: {error}");
                assert_eq!(whole_batches(&ledger).await, at - 1, "write {n}");
                live(&mounted, &ledger, at).await.unwrap();
                refused += 1;
            }
            assert_eq!(whole_batches(&ledger).await, BATCHES, "write {n}");
            drop(ledger);
            let log = std::mem::take(&mut mounted.disk.lock().unwrap().log);
            check_moments(&log, log.len(), 0).await;
        }
        assert!(refused > 10, "only {refused} writes were refused");
    });
}

fn inline(test: impl Future<Output = ()>) {
    runtime(outlast_ledger::Mode::Inline).block_on(test);
}
