//! Power loss after every single step: what was kept is there and whole, what was not is gone.

use super::*;
use bytes::Bytes;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::io::Write;
use std::os::unix::fs::{DirEntryExt, FileExt, MetadataExt};
use tempfile::TempDir;

/// What of a change that was not synced the power loss takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Loss {
    /// Names and bytes.
    Everything,
    /// Bytes only: a name may be on the disk before its bytes are.
    Bytes,
}

/// What goes wrong at the chosen step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ends {
    /// The power: no step after it happens.
    Power,
    /// This one fsync: the kernel forgets what it could not write, and the next fsync of it says yes.
    Fsync,
    /// Every fsync of a file says yes and keeps nothing, so that the checks can be seen to fail.
    FilesLie,
    /// The same of folders.
    FoldersLie,
}

/// A disk that knows what has been synced.
struct Forgetful {
    state: Mutex<State>,
    at: usize,
    ends: Ends,
}

#[derive(Default)]
struct State {
    steps: usize,
    failed: bool,
    files: HashMap<u64, Vec<u8>>,
    folders: HashMap<PathBuf, BTreeMap<String, u64>>,
    /// Unwritten changes that the kernel has dropped.
    forgotten_files: HashSet<u64>,
    forgotten_folders: HashSet<PathBuf>,
    /// Kept open, so that no number is given twice.
    open: Vec<File>,
}

struct Shared(Arc<Forgetful>);

impl Seam for Shared {
    fn step(&self, step: Step<'_>) -> io::Result<()> {
        self.0.step(step)
    }
}

impl Forgetful {
    fn new(at: usize, ends: Ends) -> Arc<Forgetful> {
        Arc::new(Forgetful { state: Mutex::default(), at, ends })
    }

    fn step(&self, step: Step<'_>) -> io::Result<()> {
        let mut state = self.state.lock().unwrap();
        let is_sync = matches!(step, Step::SyncFile(_) | Step::SyncFolder(_));
        let counts = is_sync || self.ends == Ends::Power;
        let is_it = counts && state.steps == self.at;
        state.steps += usize::from(counts);
        if is_it || (state.failed && self.ends == Ends::Power) {
            state.failed = true;
            match step {
                Step::SyncFile(file) => drop(state.forgotten_files.insert(file.metadata()?.ino())),
                Step::SyncFolder(folder) => drop(state.forgotten_folders.insert(folder.to_owned())),
                _ => {}
            }
            return Err(io::Error::from_raw_os_error(5));
        }
        match step {
            Step::SyncFile(_) if self.ends == Ends::FilesLie => {}
            Step::SyncFolder(_) if self.ends == Ends::FoldersLie => {}
            Step::SyncFile(file) if !state.forgotten_files.contains(&file.metadata()?.ino()) => {
                let mut bytes = vec![0; file.metadata()?.len() as usize];
                file.read_exact_at(&mut bytes, 0)?;
                state.files.insert(file.metadata()?.ino(), bytes);
                state.open.push(file.try_clone()?);
            }
            Step::SyncFolder(folder) if !state.forgotten_folders.contains(folder) => {
                state.folders.insert(folder.to_owned(), names_of(folder));
            }
            _ => {}
        }
        Ok(())
    }

    fn has_failed(&self) -> bool {
        self.state.lock().unwrap().failed
    }

    /// Leaves below `folder` what a disk would show after the power came back.
    fn lose_power(&self, folder: &Path, loss: Loss) {
        let state = self.state.lock().unwrap();
        let names = match loss {
            Loss::Everything => state.folders.get(folder).cloned().unwrap_or_default(),
            Loss::Bytes => names_of(folder),
        };
        for entry in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap()) {
            let (path, name) = (entry.path(), entry.file_name().into_string().unwrap());
            match (names.contains_key(&name), entry.file_type().unwrap().is_dir()) {
                (true, true) => self.lose_within(&state, &path, loss),
                (false, true) => fs::remove_dir_all(path).unwrap(),
                (_, false) => fs::remove_file(path).unwrap(),
            }
        }
        for (name, number) in names {
            let path = folder.join(name);
            if !path.exists() {
                fs::write(path, state.files.get(&number).map_or(&[][..], |bytes| bytes)).unwrap();
            }
        }
    }

    fn lose_within(&self, state: &State, folder: &Path, loss: Loss) {
        let names = match loss {
            Loss::Everything => state.folders.get(folder).cloned().unwrap_or_default(),
            Loss::Bytes => names_of(folder),
        };
        let folders: HashSet<String> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap())
            .filter(|entry| entry.file_type().unwrap().is_dir())
            .map(|entry| entry.file_name().into_string().unwrap())
            .collect();
        fs::remove_dir_all(folder).unwrap();
        fs::create_dir(folder).unwrap();
        for (name, number) in names {
            let path = folder.join(&name);
            if folders.contains(&name) {
                // Nothing below is kept over a start.
                fs::create_dir(path).unwrap();
            } else {
                fs::write(path, state.files.get(&number).map_or(&[][..], |bytes| bytes)).unwrap();
            }
        }
    }
}

fn names_of(folder: &Path) -> BTreeMap<String, u64> {
    let entry = |entry: io::Result<fs::DirEntry>| {
        let entry = entry.unwrap();
        (entry.file_name().into_string().unwrap(), entry.ino())
    };
    fs::read_dir(folder).unwrap().map(entry).collect()
}

fn memory(content: &'static str) -> Held {
    Held::memory(Bytes::from_static(content.as_bytes()))
}

/// What the ledger would know.
#[derive(Default)]
struct Kept(BTreeMap<&'static str, &'static str>);

impl Kept {
    fn keep(&mut self, spool: &Spool, name: &'static str, held: &Held, content: &'static str) -> io::Result<()> {
        spool.keep(name, held)?;
        self.0.insert(name, content);
        Ok(())
    }

    fn names(&self) -> BTreeSet<String> {
        self.0.keys().map(|name| (*name).to_owned()).collect()
    }
}

/// A short life with everything in it that changes a disk. Goes on after an error, as the engine does.
fn live(spool: &Spool, kept: &mut Kept) {
    let mut failed = false;
    let mut told = |kept: io::Result<()>| failed |= kept.is_err();
    told(kept.keep(spool, "memory", &memory("held in memory"), "held in memory"));
    let file = spool.unsynced(11).and_then(|file| (&file.file).write_all(b"held in fil").map(|()| file));
    if let Ok(file) = file {
        told(kept.keep(spool, "file", &Held::File { file, len: 11 }, "held in fil"));
    }
    let chain = Held::chain(vec![memory("one "), memory("after the other")]);
    told(kept.keep(spool, "chain", &chain, "one after the other"));
    told(kept.keep(spool, "part-1", &memory("a part"), "a part"));
    // Sent again, after an answer or an error that the client did not like.
    told(kept.keep(spool, "part-1", &memory("a part"), "a part"));
    told(kept.keep(spool, "part-1", &memory("a part"), "a part"));
    // The ledger has let go of it before.
    kept.0.remove("memory");
    spool.release("memory");
    told(kept.keep(spool, "last", &memory("kept after a release"), "kept after a release"));
    told(kept.keep(spool, "last", &memory("kept after a release"), "kept after a release"));
}

fn check(folder: &Path, kept: &Kept, what: &str) {
    let spool = Spool::open(&folder.join("spool"), 1 << 20, &kept.names()).unwrap();
    for (name, content) in &kept.0 {
        let bytes = fs::read(folder.join("spool").join(name)).unwrap_or_else(|error| panic!("{what}: {name}: {error}"));
        assert_eq!(String::from_utf8_lossy(&bytes), *content, "{what}: {name} is whole");
    }
    let there: BTreeSet<String> =
        names_of(&folder.join("spool")).into_keys().filter(|name| name != "unsynced").collect();
    assert_eq!(there, kept.names(), "{what}: what was not kept is gone");
    assert_eq!(spool.used(), kept.0.values().map(|content| content.len() as u64).sum::<u64>(), "{what}");
    spool.keep("anew", &memory("taken by the next process")).unwrap();
}

fn opened(disk: &Arc<Forgetful>, folder: &Path, kept: &Kept) -> io::Result<Spool> {
    Spool::open_through(Arc::new(Shared(disk.clone())), &folder.join("spool"), 1 << 20, &kept.names())
}

fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

#[test]
fn what_was_kept_outlives_a_power_loss_at_every_step() {
    for loss in [Loss::Everything, Loss::Bytes] {
        for at in 0.. {
            let (folder, disk) = (folder(), Forgetful::new(at, Ends::Power));
            let mut kept = Kept::default();
            if let Ok(spool) = opened(&disk, folder.path(), &kept) {
                live(&spool, &mut kept);
            }
            let whole_life = !disk.has_failed();
            disk.lose_power(folder.path(), loss);
            check(folder.path(), &kept, &format!("step {at}, {loss:?}"));
            if whole_life {
                assert!(at > 25, "{at} steps are too few for such a life");
                break;
            }
        }
    }
}

/// The process lives on and asks again; what it is told must hold when the power goes later.
#[test]
fn nothing_is_kept_after_a_failed_fsync() {
    for loss in [Loss::Everything, Loss::Bytes] {
        for at in 0.. {
            let (folder, disk) = (folder(), Forgetful::new(at, Ends::Fsync));
            let mut kept = Kept::default();
            if let Ok(spool) = opened(&disk, folder.path(), &kept) {
                live(&spool, &mut kept);
                assert_eq!(spool.latched().is_some(), disk.has_failed());
                assert_eq!(spool.trouble(1).is_some(), disk.has_failed(), "a write does not count on it any more");
            }
            let whole_life = !disk.has_failed();
            disk.lose_power(folder.path(), loss);
            check(folder.path(), &kept, &format!("fsync {at}, {loss:?}"));
            if whole_life {
                assert!(at > 8, "{at} fsyncs are too few for such a life");
                break;
            }
        }
    }
}

fn life_over_a_liar(ends: Ends, loss: Loss) {
    let (folder, disk) = (folder(), Forgetful::new(usize::MAX, ends));
    let mut kept = Kept::default();
    live(&opened(&disk, folder.path(), &kept).unwrap(), &mut kept);
    assert!(!disk.has_failed());
    disk.lose_power(folder.path(), loss);
    check(folder.path(), &kept, "liar");
}

#[test]
#[should_panic(expected = "liar: chain is whole")]
fn bytes_that_were_not_synced_are_found_out() {
    life_over_a_liar(Ends::FilesLie, Loss::Bytes);
}

#[test]
#[should_panic(expected = "liar: chain: No such file")]
fn a_name_that_was_not_synced_is_found_out() {
    life_over_a_liar(Ends::FoldersLie, Loss::Everything);
}
