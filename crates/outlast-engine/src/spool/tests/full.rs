//! A disk without room: each write is refused in words, leaves nothing behind, and the spool goes on once there is room.

use super::*;
use crate::asks::WriteError;
use crate::digest::BodyDigester;
use crate::receive::hold;
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use std::sync::atomic::AtomicUsize;
use tokio::sync::Semaphore;

/// So many more steps that take room find some. An fsync takes none.
struct Small(AtomicUsize);

struct Shared(Arc<Small>);

impl Seam for Shared {
    fn step(&self, step: Step<'_>) -> io::Result<()> {
        if !matches!(step, Step::Create | Step::Write | Step::Rename | Step::Link) {
            return Ok(());
        }
        let left = &self.0.0;
        let takes = |left: usize| left.checked_sub(1);
        match left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, takes) {
            Ok(_) => Ok(()),
            Err(_) => Err(io::ErrorKind::StorageFull.into()),
        }
    }
}

impl Small {
    fn leave(&self, steps: usize) {
        self.0.store(steps, Ordering::SeqCst);
    }
}

fn small(folder: &Path) -> (Arc<Small>, Arc<Spool>) {
    let disk = Arc::new(Small(AtomicUsize::new(usize::MAX)));
    let spool = Spool::open_through(Arc::new(Shared(disk.clone())), folder, 1 << 20, &BTreeSet::new()).unwrap();
    (disk, Arc::new(spool))
}

fn files(folder: &Path) -> usize {
    let is_file = |entry: io::Result<fs::DirEntry>| entry.unwrap().path().is_file();
    let within = |folder: &Path| fs::read_dir(folder).unwrap().filter_map(|entry| is_file(entry).then_some(())).count();
    within(folder) + within(&folder.join("unsynced"))
}

/// 19 bytes in two pieces. A pool without room sends every body to a file.
async fn come_in(spool: &Arc<Spool>) -> Result<Held, WriteError> {
    let pieces = ["one ", "after the other"].map(|piece| Ok(Bytes::from_static(piece.as_bytes())));
    let digester = BodyDigester::new(19, BTreeSet::new());
    let held = hold(stream::iter(pieces).boxed(), 19, digester, spool, &Arc::new(Semaphore::new(0))).await;
    held.map(|(held, _)| held)
}

#[tokio::test]
async fn a_body_that_comes_in_is_refused_in_words_and_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (disk, spool) = small(folder.path());
    // Its file, its first piece, its second.
    for steps in 0..3 {
        disk.leave(steps);
        match come_in(&spool).await {
            Err(WriteError::Full(words)) => {
                assert!(words.starts_with("a body of 19 bytes does not fit on our own disk: "), "{words}");
                assert!(words.contains("no storage space"), "{words}");
            }
            other => panic!("{steps} steps: {other:?}"),
        }
        assert_eq!((spool.used(), files(folder.path())), (0, 0), "{steps} steps: its room is given back");
    }
    disk.leave(3);
    let held = come_in(&spool).await.unwrap();
    assert_eq!((spool.used(), files(folder.path())), (19, 1));
    drop(held);
    assert_eq!((spool.used(), files(folder.path())), (0, 0));
}

/// Where the disk itself refuses and not the seam: here, because the folder is gone.
#[test]
fn room_is_given_back_when_no_file_can_be_made() {
    let folder = tempfile::tempdir().unwrap();
    let (_, spool) = small(folder.path());
    fs::remove_dir(folder.path().join("unsynced")).unwrap();
    assert_eq!(spool.unsynced(1 << 20).unwrap_err().kind(), io::ErrorKind::NotFound);
    assert_eq!(spool.used(), 0, "otherwise it stays full until the next start");
}

#[test]
fn a_body_that_is_to_be_kept_is_refused_at_every_step_and_kept_later() {
    let folder = tempfile::tempdir().unwrap();
    let (disk, spool) = small(folder.path());
    let file = spool.unsynced(7).unwrap();
    spool.write(&file, b"in file").unwrap();
    // A file, its bytes and its name; or a name alone.
    let bodies = [("a", Held::memory(Bytes::from_static(b"in memory")), 3), ("b", Held::File { file, len: 7 }, 1)];
    for (name, held, steps) in &bodies {
        for left in 0..*steps {
            disk.leave(left);
            let error = spool.keep(name, held).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::StorageFull, "{name}, {left} steps");
            assert_eq!(
                (spool.used(), files(folder.path())),
                (7, 1),
                "{name}, {left} steps: only what came in is there"
            );
        }
    }
    assert!(spool.is_empty() && spool.latched().is_none(), "no fsync failed");
    for (name, held, steps) in &bodies {
        disk.leave(*steps);
        spool.keep(name, held).unwrap();
    }
    drop(bodies);
    assert_eq!((spool.used(), files(folder.path())), (16, 2));
}
