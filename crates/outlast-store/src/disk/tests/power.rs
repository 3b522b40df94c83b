//! Power loss after every single step: each key is wholly old or wholly new, and what was acknowledged is there.

use super::*;
use rustix::fd::{AsRawFd, BorrowedFd};
use rustix::fs::{AtFlags, CWD, XattrFlags, fgetxattr, fremovexattr, fsetxattr, linkat};
use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::os::unix::fs::{FileExt, MetadataExt};

/// What of a write that was not synced the power loss takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Loss {
    /// Names and bytes.
    Everything,
    /// Bytes only: a rename may be on the disk before the bytes are.
    Bytes,
}

/// An fsync that says yes and keeps nothing, so that the checks can be seen to fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lie {
    OfFiles,
    OfFolders,
}

/// How much of a record an attribute holds here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Attributes {
    All,
    OnlyShort,
    None,
}

#[derive(Debug, Clone, PartialEq)]
struct Synced {
    bytes: Vec<u8>,
    attribute: Option<Vec<u8>>,
}

/// A disk that knows what has been synced, and stops before a chosen step.
struct Forgetful {
    root: PathBuf,
    /// A second name for every file, so that a file keeps its number over the loss.
    pool: TempDir,
    attributes: Attributes,
    lie: Option<Lie>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    steps: usize,
    stop_at: Option<usize>,
    stopped: bool,
    refused_long: bool,
    files: HashMap<u64, Synced>,
    folders: HashMap<u64, BTreeMap<String, u64>>,
}

struct Shared(Arc<Forgetful>);

impl Seam for Shared {
    fn step(&self, step: Step<'_>) -> rustix::io::Result<()> {
        self.0.step(step)
    }
}

impl Forgetful {
    fn new(root: &Path, attributes: Attributes, lie: Option<Lie>) -> Arc<Forgetful> {
        let state = Mutex::default();
        Arc::new(Forgetful { root: root.to_owned(), pool: new_root(), attributes, lie, state })
    }

    fn step(&self, step: Step<'_>) -> rustix::io::Result<()> {
        let mut state = self.state.lock().unwrap();
        if state.stopped || state.stop_at == Some(state.steps) {
            state.stopped = true;
            return Err(Errno::IO);
        }
        state.steps += 1;
        match step {
            Step::SyncFile(_) if self.lie == Some(Lie::OfFiles) => {}
            Step::SyncFolder(_) if self.lie == Some(Lie::OfFolders) => {}
            Step::SyncFile(file) => self.file_synced(&mut state, file),
            Step::SyncFolder(folder) => self.folder_synced(&mut state, folder),
            Step::Describe if self.attributes == Attributes::None => return Err(Errno::NOTSUP),
            Step::Describe if self.attributes == Attributes::OnlyShort => {
                state.refused_long = !state.refused_long;
                if state.refused_long {
                    return Err(Errno::NOSPC);
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn file_synced(&self, state: &mut State, file: BorrowedFd<'_>) {
        let number = rustix::fs::fstat(file).unwrap().st_ino;
        let through = format!("/proc/self/fd/{}", file.as_raw_fd());
        // The second name may be there from an earlier sync.
        linkat(CWD, &through, CWD, self.pool.path().join(number.to_string()), AtFlags::SYMLINK_FOLLOW).unwrap_or(());
        state.files.insert(number, synced(&File::open(through).unwrap()));
    }

    fn folder_synced(&self, state: &mut State, folder: BorrowedFd<'_>) {
        let number = rustix::fs::fstat(folder).unwrap().st_ino;
        let names = names_of(Path::new(&format!("/proc/self/fd/{}", folder.as_raw_fd())));
        state.folders.insert(number, names);
    }

    /// What was there before the test counts as synced.
    fn settle(&self, stop_at: Option<usize>) {
        let mut state = self.state.lock().unwrap();
        let mut open = vec![self.root.clone()];
        while let Some(folder) = open.pop() {
            state.folders.insert(std::fs::metadata(&folder).unwrap().ino(), names_of(&folder));
            for entry in std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()) {
                match entry.is_dir() {
                    true => open.push(entry),
                    false => {
                        let file = File::open(&entry).unwrap();
                        state.files.insert(file.metadata().unwrap().ino(), synced(&file));
                    }
                }
            }
        }
        state.steps = 0;
        state.stop_at = stop_at;
    }

    fn steps(&self) -> usize {
        self.state.lock().unwrap().steps
    }

    /// Leaves below the root what a disk would show after the power came back.
    fn lose_power(&self, loss: Loss) {
        let state = self.state.lock().unwrap();
        let mut folders: HashMap<u64, BTreeMap<String, u64>> = HashMap::new();
        let mut are_folders = HashSet::new();
        let mut open = vec![self.root.clone()];
        while let Some(folder) = open.pop() {
            let number = std::fs::metadata(&folder).unwrap().ino();
            are_folders.insert(number);
            folders.insert(number, names_of(&folder));
            for entry in std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap()) {
                match entry.file_type().unwrap().is_dir() {
                    true => open.push(entry.path()),
                    false => {
                        let second = self.pool.path().join(entry.metadata().unwrap().ino().to_string());
                        std::fs::hard_link(entry.path(), second).unwrap_or(());
                    }
                }
            }
        }
        are_folders.extend(state.folders.keys());
        if loss == Loss::Everything {
            folders = state.folders.clone();
        } else {
            for (number, names) in &state.folders {
                folders.entry(*number).or_insert_with(|| names.clone());
            }
        }
        let root = std::fs::metadata(&self.root).unwrap().ino();
        for entry in std::fs::read_dir(&self.root).unwrap().map(|entry| entry.unwrap().path()) {
            if entry.is_dir() { std::fs::remove_dir_all(entry) } else { std::fs::remove_file(entry) }.unwrap();
        }
        self.rebuild(&state, &folders, &are_folders, root, &self.root);
    }

    fn rebuild(
        &self,
        state: &State,
        folders: &HashMap<u64, BTreeMap<String, u64>>,
        are_folders: &HashSet<u64>,
        number: u64,
        path: &Path,
    ) {
        for (name, below) in folders.get(&number).into_iter().flatten() {
            let here = path.join(name);
            if are_folders.contains(below) {
                std::fs::create_dir(&here).unwrap();
                self.rebuild(state, folders, are_folders, *below, &here);
                continue;
            }
            let second = self.pool.path().join(below.to_string());
            if !second.exists() {
                // Named, never synced, and gone again before the loss: an empty file at most.
                File::create(&second).unwrap();
            }
            let empty = Synced { bytes: Vec::new(), attribute: None };
            restore(&second, state.files.get(below).unwrap_or(&empty));
            std::fs::hard_link(&second, &here).unwrap();
        }
    }
}

fn names_of(folder: &Path) -> BTreeMap<String, u64> {
    let entry = |entry: std::io::Result<std::fs::DirEntry>| {
        let entry = entry.unwrap();
        (entry.file_name().into_string().unwrap(), std::os::unix::fs::DirEntryExt::ino(&entry))
    };
    std::fs::read_dir(folder).unwrap().map(entry).collect()
}

fn synced(file: &File) -> Synced {
    let mut bytes = vec![0; file.metadata().unwrap().len() as usize];
    file.read_exact_at(&mut bytes, 0).unwrap();
    let mut attribute = vec![0; 64 * 1024];
    let attribute = fgetxattr(file, record::ATTRIBUTE, &mut attribute[..]).ok().map(|len| attribute[..len].to_vec());
    Synced { bytes, attribute }
}

fn restore(path: &Path, synced: &Synced) {
    let file = std::fs::OpenOptions::new().write(true).read(true).open(path).unwrap();
    let now = self::synced(&file);
    if now == *synced {
        return;
    }
    if now.bytes != synced.bytes {
        file.set_len(synced.bytes.len() as u64).unwrap();
        file.write_all_at(&synced.bytes, 0).unwrap();
    }
    match &synced.attribute {
        Some(attribute) => fsetxattr(&file, record::ATTRIBUTE, attribute, XattrFlags::empty()).unwrap(),
        None => fremovexattr(&file, record::ATTRIBUTE).unwrap_or(()),
    }
}

/// What the caller knows of each key: what was acknowledged, and what may have been applied since.
#[derive(Default)]
struct Known {
    keys: BTreeMap<&'static str, (Option<u128>, Option<Option<u128>>)>,
    /// Sizes of the parts of the upload.
    cut: &'static [usize],
    upload: Option<String>,
    parts: Vec<NativePart>,
    completing: bool,
}

impl Known {
    fn begins(&mut self, key: &'static str, becomes: Option<u128>) {
        self.keys.entry(key).or_default().1 = Some(becomes);
    }

    fn is_told(&mut self, key: &'static str, answer: Answer<()>) -> Result<(), StoreStopped> {
        let known = self.keys.get_mut(key).unwrap();
        match answer {
            Ok(()) => {
                known.0 = known.1.take().unwrap();
                Ok(())
            }
            Err(error) => {
                if error.applied != Applied::Unknown {
                    known.1 = None;
                }
                Err(StoreStopped)
            }
        }
    }
}

struct StoreStopped;

const KEYS: [&str; 6] = ["a", "a/b", "d/e/f", "d/e/g", "x//y", "up"];

fn content(write: u128) -> String {
    format!("content of write {write} ").repeat(3)
}

async fn put_write(store: &DiskStore, known: &mut Known, key: &'static str, write: u128) -> Result<(), StoreStopped> {
    let content = content(write);
    let spec = PutSpec { dress: stamped(write, content.len()), ..PutSpec::default() };
    known.begins(key, Some(write));
    let answer = store.put(&At::new("bkt", key), &spec, Body::Whole(Bytes::from(content))).await;
    known.is_told(key, answer.map(drop))
}

async fn delete(store: &DiskStore, known: &mut Known, key: &'static str) -> Result<(), StoreStopped> {
    known.begins(key, None);
    let answer = store.delete(&At::new("bkt", key), None, None).await;
    known.is_told(key, answer)
}

/// All in one place, and one that has to be put there: disk/in_place.rs.
const CUTS: [&[usize]; 2] = [&[19, 19, 19], &[20, 37]];

/// A short life with everything in it that changes a disk.
async fn live(store: &DiskStore, known: &mut Known) -> Result<(), StoreStopped> {
    put_write(store, known, "a", 1).await?;
    put_write(store, known, "a/b", 2).await?;
    put_write(store, known, "d/e/f", 3).await?;
    put_write(store, known, "d/e/f", 4).await?;
    put_write(store, known, "x//y", 5).await?;
    delete(store, known, "a").await?;
    put_write(store, known, "a/b", 6).await?;
    put_write(store, known, "a", 7).await?;

    let pin = store.head(&At::new("bkt", "d/e/f"), None).await.map_err(|_| StoreStopped)?.pin;
    let spec = PutSpec { dress: stamped(4, content(4).len()), ..PutSpec::default() };
    known.begins("d/e/g", Some(4));
    let copied = store.copy(&At::new("bkt", "d/e/f"), &pin, &At::new("bkt", "d/e/g"), &spec).await;
    known.is_told("d/e/g", copied.map(drop))?;
    delete(store, known, "d/e/f").await?;
    delete(store, known, "d/e/g").await?;
    delete(store, known, "x//y").await?;

    let at = At::new("bkt", "up");
    let whole = content(8);
    let id = store.create_upload(&at, &stamped(8, whole.len())).await.map_err(|_| StoreStopped)?;
    known.upload = Some(id.clone());
    let mut rest = whole.as_str();
    for (size, number) in known.cut.iter().zip(1..) {
        let (part, after) = rest.split_at(*size);
        rest = after;
        let body = Body::Whole(Bytes::from(part.to_owned()));
        let etag = store.put_part(&at, &id, number, body, None).await.map_err(|_| StoreStopped)?;
        known.parts.push(NativePart { number, size: part.len() as u64, etag });
    }
    assert!(rest.is_empty(), "the parts are the whole");
    known.begins("up", Some(8));
    known.completing = true;
    let answer = store.complete_upload(&at, &id, &known.parts.clone(), None).await;
    known.is_told("up", answer.map(drop))?;
    put_write(store, known, "up", 9).await
}

async fn check(root: &Path, known: &Known, what: &str) {
    let store = DiskStore::open(named(), root).unwrap();
    let mut there = Vec::new();
    for key in KEYS {
        let (acknowledged, maybe) = known.keys.get(key).copied().unwrap_or_default();
        let found = match read(&store, key).await {
            Ok((found, bytes)) => {
                let stamp = found.dress.stamp.unwrap_or_else(|| panic!("{what}: {key} without a stamp: {bytes:?}"));
                assert_eq!(bytes, content(stamp.write.0), "{what}: {key} is whole");
                assert_eq!(found.dress.head.metadata["n"], stamp.write.0.to_string(), "{what}: {key} has its headers");
                there.push(key);
                Some(stamp.write.0)
            }
            Err(error) => {
                assert_eq!(error.fault, Fault::NoKey, "{what}: {key}: {error}");
                None
            }
        };
        assert!(
            found == acknowledged || Some(found) == maybe,
            "{what}: {key} is {found:?}, {acknowledged:?} or {maybe:?}"
        );
    }
    let listed = store.list("bkt", "", None).await.unwrap().copies;
    assert!(listed.iter().map(|copy| copy.key.as_str()).eq(there.iter().copied()), "{what}: {listed:?}");
    let temp = root.join("bkt/.outlast/.disk/tmp");
    assert!(!temp.exists() || files(&temp).is_empty(), "{what}: unfinished files stay behind");
    if let Some(id) = &known.upload
        && !known.completing
    {
        let parts = store.list_parts(&At::new("bkt", "up"), id).await.unwrap();
        for part in &known.parts {
            assert!(parts.contains(part), "{what}: an acknowledged part is lost");
        }
    }
    let mut again = Known { cut: known.cut, ..Known::default() };
    assert!(live(&store, &mut again).await.is_ok(), "{what}: the store works on");
}

/// Runs the life until step `stop_at`, then loses power. The number of steps when it came to its end.
async fn run(attributes: Attributes, loss: Loss, cut: &'static [usize], stop_at: Option<usize>) -> usize {
    run_on(attributes, None, loss, cut, stop_at).await
}

async fn run_on(
    attributes: Attributes,
    lie: Option<Lie>,
    loss: Loss,
    cut: &'static [usize],
    stop_at: Option<usize>,
) -> usize {
    let root = new_root();
    let disk = Forgetful::new(root.path(), attributes, lie);
    let store = DiskStore::open_on(named(), root.path(), Box::new(Shared(Arc::clone(&disk)))).unwrap();
    store.create_bucket("bkt").await.unwrap();
    disk.settle(stop_at);
    let mut known = Known { cut, ..Known::default() };
    let ended = live(&store, &mut known).await.is_ok();
    let steps = disk.steps();
    assert!(ended || stop_at.is_some(), "only a stop ends a life early");
    drop(store);
    disk.lose_power(loss);
    check(root.path(), &known, &format!("{attributes:?}, {loss:?} lost, {cut:?}, stopped at {stop_at:?}")).await;
    steps
}

async fn at_every_step(attributes: Attributes) {
    for (loss, cut) in [Loss::Everything, Loss::Bytes].into_iter().flat_map(|loss| CUTS.map(|cut| (loss, cut))) {
        let steps = run(attributes, loss, cut, None).await;
        assert!(steps > 80, "only {steps} steps");
        for stop_at in 0..steps {
            run(attributes, loss, cut, Some(stop_at)).await;
        }
    }
}

#[tokio::test]
async fn with_attributes() {
    at_every_step(Attributes::All).await;
}

#[tokio::test]
async fn with_records_beside_the_files() {
    at_every_step(Attributes::OnlyShort).await;
}

#[tokio::test]
async fn without_attributes() {
    at_every_step(Attributes::None).await;
}

/// What `live` would be worth over a disk that keeps nothing of a file's bytes when it is told to.
#[tokio::test]
#[should_panic(expected = ": a without a stamp")]
async fn a_file_that_was_not_synced_is_found_out() {
    run_on(Attributes::All, Some(Lie::OfFiles), Loss::Bytes, CUTS[0], None).await;
}

#[tokio::test]
#[should_panic(expected = "a is None, Some(7) or None")]
async fn a_name_that_was_not_synced_is_found_out() {
    run_on(Attributes::All, Some(Lie::OfFolders), Loss::Everything, CUTS[0], None).await;
}
