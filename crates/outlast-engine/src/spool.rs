//! The local, fsynced place that may stand for one store: bodies that must not be lost and parts that a store still lacks.

mod seam;

use crate::aside::aside;
use crate::held::{Held, HeldFile};
use outlast_rules::WriteId;
use seam::{Open, Seam, Step};
use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

/// A folder with one file per body. What it holds durably, the ledger says.
pub struct Spool {
    dir: PathBuf,
    max: u64,
    used: Arc<AtomicU64>,
    /// Names that it holds, those of empty bodies too.
    kept: AtomicU64,
    next: AtomicU64,
    seam: Arc<dyn Seam>,
    /// The first fsync that failed. What the kernel could not write it forgets, and the next fsync says yes: nothing is kept
    /// here any more until it is reopened.
    latched: OnceLock<String>,
    /// Names are made durable one after the other: one that was synced beside a failing sync is none.
    naming: Mutex<()>,
}

impl Spool {
    /// Opens the folder, forgets unsynced bodies of an earlier process and every file that is not in `known`.
    pub fn open(dir: &Path, max: u64, known: &BTreeSet<String>) -> io::Result<Spool> {
        Spool::open_through(Arc::new(Open), dir, max, known)
    }

    fn open_through(seam: Arc<dyn Seam>, dir: &Path, max: u64, known: &BTreeSet<String>) -> io::Result<Spool> {
        let unsynced = dir.join("unsynced");
        if unsynced.exists() {
            seam.step(Step::Unlink)?;
            fs::remove_dir_all(&unsynced)?;
        }
        let is_new = !dir.exists();
        seam.step(Step::MakeFolder)?;
        fs::create_dir_all(&unsynced)?;
        let (mut used, mut kept) = (0, 0);
        for file in fs::read_dir(dir)? {
            let file = file?;
            if !file.file_type()?.is_file() {
                continue;
            }
            if known.contains(file.file_name().to_string_lossy().as_ref()) {
                used += file.metadata()?.len();
                kept += 1;
            } else {
                seam.step(Step::Unlink)?;
                fs::remove_file(file.path())?;
            }
        }
        sync_folder(&*seam, dir)?;
        if is_new {
            // What is fsynced in a folder is gone with the folder's own name.
            let parent = dir.parent().filter(|parent| !parent.as_os_str().is_empty());
            sync_folder(&*seam, parent.unwrap_or(Path::new(".")))?;
        }
        let used = Arc::new(AtomicU64::new(used));
        let (kept, next) = (AtomicU64::new(kept), AtomicU64::new(0));
        Ok(Spool { dir: dir.to_owned(), max, used, kept, next, seam, latched: OnceLock::new(), naming: Mutex::new(()) })
    }

    /// Why nothing is kept here any more, if so.
    pub fn latched(&self) -> Option<&str> {
        self.latched.get().map(String::as_str)
    }

    fn is_open(&self) -> io::Result<()> {
        self.latched.get().map_or(Ok(()), |why| Err(io::Error::other(why.clone())))
    }

    fn latch(&self, error: io::Error) -> io::Error {
        let why =
            format!("the spool keeps nothing since an fsync of it failed ({error}): restart when its disk is well");
        if self.latched.set(why).is_ok() {
            tracing::error!("{}", self.latched().unwrap_or_default());
        }
        error
    }

    fn sync_file(&self, file: &File) -> io::Result<()> {
        self.is_open()?;
        self.seam.step(Step::SyncFile(file)).and_then(|()| file.sync_all()).map_err(|error| self.latch(error))
    }

    fn sync_names(&self) -> io::Result<()> {
        let _alone = self.naming.lock().expect("no code panics while it syncs names");
        self.is_open()?;
        sync_folder(&*self.seam, &self.dir).map_err(|error| self.latch(error))
    }

    pub fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }

    /// Holds it no body at all? An empty one takes no room and is a body.
    pub fn is_empty(&self) -> bool {
        self.kept.load(Ordering::Relaxed) == 0
    }

    pub fn max(&self) -> u64 {
        self.max
    }

    fn full(&self) -> io::Error {
        io::Error::new(io::ErrorKind::StorageFull, format!("the spool's {} bytes are used", self.max))
    }

    pub fn has_room(&self, len: u64) -> bool {
        self.used().saturating_add(len) <= self.max
    }

    /// Why a body of this length cannot be kept, if so.
    pub fn trouble(&self, len: u64) -> Option<String> {
        if let Some(why) = self.latched() {
            return Some(why.to_owned());
        }
        let (used, max) = (self.used(), self.max);
        (!self.has_room(len)).then(|| format!("the spool is full, {used} of its {max} bytes are used"))
    }

    /// A file for a body of `len` bytes that is coming in; gone with its last user unless it is kept. Its room is taken at
    /// once, so that many bodies at a time cannot fill the ledger's disk together.
    pub fn unsynced(&self, len: u64) -> io::Result<Arc<HeldFile>> {
        if self.used.fetch_add(len, Ordering::Relaxed).saturating_add(len) > self.max {
            self.used.fetch_sub(len, Ordering::Relaxed);
            return Err(self.full());
        }
        let room = Some((self.used.clone(), len));
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let path = self.dir.join("unsynced").join(number.to_string());
        let create = || OpenOptions::new().read(true).write(true).create_new(true).open(&path);
        let file = self.seam.step(Step::Create).and_then(|()| create()).inspect_err(|_| {
            self.used.fetch_sub(len, Ordering::Relaxed);
        })?;
        Ok(Arc::new(HeldFile { file, path, keep: AtomicBool::new(false), room }))
    }

    /// More of a body that is coming in. Blocks.
    pub fn write(&self, to: &HeldFile, chunk: &[u8]) -> io::Result<()> {
        self.seam.step(Step::Write)?;
        (&to.file).write_all(chunk)
    }

    /// Makes the body durable under this name. Blocks on fsync: call it from a blocking thread.
    ///
    /// # Errors
    /// No room, or the disk failed; after a failed fsync every later call fails, until the spool is reopened.
    pub fn keep(&self, name: &str, held: &Held) -> io::Result<()> {
        self.is_open()?;
        if !self.has_room(held.len()) {
            return Err(self.full());
        }
        let place = self.dir.join(name);
        if place.exists() {
            // A part that is sent again: its name tells its content, and a name stands only for what was fsynced.
            return self.sync_names();
        }
        match held {
            Held::Memory { .. } | Held::Chain { .. } => {
                let file = self.unsynced(held.len())?;
                self.seam.step(Step::Write)?;
                held.write_to(&mut &file.file)?;
                self.sync_file(&file.file)?;
                self.seam.step(Step::Rename)?;
                fs::rename(&file.path, &place)?;
                file.keep.store(true, Ordering::Release);
            }
            Held::File { file, .. } => {
                self.sync_file(&file.file)?;
                self.seam.step(Step::Link)?;
                fs::hard_link(&file.path, &place)?;
            }
        }
        self.sync_names()?;
        self.used.fetch_add(held.len(), Ordering::Relaxed);
        self.kept.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// `keep`, for who may not block.
    pub async fn keep_aside(self: Arc<Self>, name: String, held: Held) -> io::Result<()> {
        aside(move || self.keep(&name, &held)).await.unwrap_or_else(|join| Err(io::Error::other(join)))
    }

    pub fn open_body(&self, name: &str) -> io::Result<Held> {
        let path = self.dir.join(name);
        let file = File::open(&path)?;
        let len = file.metadata()?.len();
        Ok(Held::File { file: Arc::new(HeldFile { file, path, keep: AtomicBool::new(true), room: None }), len })
    }

    /// A name that is not there is released already.
    pub fn release(&self, name: &str) {
        let path = self.dir.join(name);
        if let Ok(meta) = fs::metadata(&path)
            && self.seam.step(Step::Unlink).is_ok()
            && fs::remove_file(&path).is_ok()
        {
            self.used.fetch_sub(meta.len(), Ordering::Relaxed);
            self.kept.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

fn sync_folder(seam: &dyn Seam, folder: &Path) -> io::Result<()> {
    seam.step(Step::SyncFolder(folder))?;
    File::open(folder)?.sync_all()
}

/// The spool's name of a write's body.
pub fn body_name(write: WriteId) -> String {
    write.to_string()
}

/// The spool's name of one part of an upload.
pub fn part_name(upload: &str, number: u32, etag: &str) -> String {
    format!("part-{upload}-{number}-{etag}")
}

#[cfg(test)]
mod tests {
    mod full;
    mod power;

    use super::*;
    use bytes::Bytes;

    #[test]
    fn keeps_what_it_is_told_and_forgets_the_rest() {
        let folder = tempfile::tempdir().unwrap();
        let known = BTreeSet::from(["a".to_owned(), "b".to_owned()]);
        let spool = Spool::open(folder.path(), 10, &known).unwrap();
        spool.keep("a", &Held::memory(Bytes::from_static(b"1234"))).unwrap();
        let file = spool.unsynced(2).unwrap();
        (&file.file).write_all(b"56").unwrap();
        spool.keep("b", &Held::File { file: file.clone(), len: 2 }).unwrap();
        spool.keep("stray", &Held::memory(Bytes::from_static(b"x"))).unwrap();
        assert_eq!(spool.used(), 9, "a body that is coming in takes its room too");
        let full = spool.keep("c", &Held::memory(Bytes::from_static(b"1234"))).unwrap_err();
        assert_eq!(full.kind(), io::ErrorKind::StorageFull);
        assert_eq!(spool.unsynced(2).unwrap_err().kind(), io::ErrorKind::StorageFull);
        drop(file);
        assert_eq!(spool.used(), 7);

        let spool = Spool::open(folder.path(), 10, &known).unwrap();
        assert_eq!(spool.used(), 6);
        assert_eq!(spool.open_body("b").unwrap().len(), 2);
        assert!(spool.open_body("stray").is_err());
        spool.release("a");
        spool.release("a");
        assert_eq!(spool.used(), 2);
    }
}
