//! What every disk call shares: the root, the locks, the ids, and the steps that change the disk.

use super::claims::Claims;
use super::errors::{before, is_absence};
use super::names::{NameRules, PRIVATE, is_bucket};
use super::root::{Root, make_folder};
use super::seam::{Seam, Step};
use crate::At;
use crate::refusal::Refusal;
use crate::{Applied, Fault};
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{AtFlags, fsync, renameat, unlinkat};
use rustix::io::{Errno, Result};
use std::fs::File;
use std::hash::{BuildHasher, RandomState};
use std::io::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, RwLock};

/// A key's lock is held over two syncs of a slow disk; so many that strangers seldom meet in one.
const KEY_LOCKS: usize = 4096;
/// As many uploads at once as a busy gateway has; two that share a lock only wait for each other.
const UPLOAD_LOCKS: usize = 1024;
/// A bucket's folder lock is held while folders are made or removed.
const FOLDER_LOCKS: usize = 64;

pub(crate) struct Core {
    pub root: Root,
    pub rules: NameRules,
    seam: Box<dyn Seam>,
    hash: RandomState,
    first_id: u64,
    ids: AtomicU64,
    keys: Vec<Mutex<()>>,
    uploads: Vec<Mutex<()>>,
    folders: Vec<RwLock<()>>,
    pub claims: Claims,
}

/// Our own folders in each bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Private {
    /// Files on their way.
    Temp,
    /// Records that no attribute holds.
    Side,
    Uploads,
    /// Escaped keys.
    Keys,
}

impl Private {
    pub fn path(self) -> String {
        let name = match self {
            Private::Temp => "tmp",
            Private::Side => "side",
            Private::Uploads => "uploads",
            Private::Keys => "keys",
        };
        format!("{PRIVATE}/{name}")
    }

    /// Its path below the root.
    pub fn of(self, bucket: &str) -> String {
        format!("{bucket}/{}", self.path())
    }
}

impl Core {
    pub fn new(root: Root, rules: NameRules, seam: Box<dyn Seam>) -> Core {
        // Seeded by the operating system: ids of two processes do not meet, and no clock is asked.
        let hash = RandomState::new();
        Core {
            root,
            rules,
            seam,
            first_id: RandomState::new().hash_one("first id"),
            hash,
            ids: AtomicU64::new(0),
            keys: (0..KEY_LOCKS).map(|_| Mutex::default()).collect(),
            uploads: (0..UPLOAD_LOCKS).map(|_| Mutex::default()).collect(),
            folders: (0..FOLDER_LOCKS).map(|_| RwLock::default()).collect(),
            claims: Claims::default(),
        }
    }

    /// 16 hexadecimal digits that no other call on this disk has had or will have.
    pub fn new_id(&self) -> String {
        format!("{:016x}", self.first_id.wrapping_add(self.ids.fetch_add(1, Ordering::Relaxed)))
    }

    /// Held from judging a fence until what it allowed is durable.
    pub fn lock_key(&self, at: &At) -> MutexGuard<'_, ()> {
        // The lock guards no data of its own, so a panic under it leaves nothing half done in memory.
        self.key_lock(at).lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    pub(super) fn key_lock(&self, at: &At) -> &Mutex<()> {
        &self.keys[self.hash.hash_one(at) as usize % KEY_LOCKS]
    }

    /// Complete, Abort and parts of one upload come one after the other. Taken before a key's lock, never after: these locks
    /// are others than the keys', or a Complete would meet its own lock where both names have one hash.
    pub fn lock_upload(&self, bucket: &str, id: &str) -> MutexGuard<'_, ()> {
        let index = self.hash.hash_one((bucket, id)) as usize % UPLOAD_LOCKS;
        self.uploads[index].lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Read: rename into folders that stand and are durable. Write: make or remove folders.
    pub fn folder_lock(&self, bucket: &str) -> &RwLock<()> {
        &self.folders[self.hash.hash_one(bucket) as usize % FOLDER_LOCKS]
    }

    pub fn sync_file(&self, file: &File) -> Result<()> {
        self.seam.step(Step::SyncFile(file.as_fd()))?;
        fsync(file)
    }

    pub fn sync_folder(&self, dir: &OwnedFd) -> Result<()> {
        self.seam.step(Step::SyncFolder(dir.as_fd()))?;
        fsync(dir)
    }

    pub fn write(&self, mut file: &File, bytes: &[u8]) -> Result<()> {
        self.seam.step(Step::Write)?;
        file.write_all(bytes).map_err(errno_of)
    }

    pub fn set_len(&self, file: &File, len: u64) -> Result<()> {
        self.seam.step(Step::Write)?;
        file.set_len(len).map_err(errno_of)
    }

    /// Before attributes are set: they are as forgettable as bytes.
    pub fn describes(&self) -> Result<()> {
        self.seam.step(Step::Describe)
    }

    pub fn rename(&self, from: &OwnedFd, old: &str, to: &OwnedFd, new: &str) -> Result<()> {
        self.seam.step(Step::Rename)?;
        renameat(from, old, to, new)
    }

    /// An absent file is Ok.
    pub fn unlink(&self, dir: &OwnedFd, name: &str) -> Result<()> {
        self.seam.step(Step::Unlink)?;
        match unlinkat(dir, name, AtFlags::empty()) {
            Err(Errno::NOENT) => Ok(()),
            other => other,
        }
    }

    pub fn remove_folder(&self, dir: &OwnedFd, name: &str) -> Result<()> {
        self.seam.step(Step::RemoveFolder)?;
        unlinkat(dir, name, AtFlags::REMOVEDIR)
    }

    /// One new folder, durable; an existing one is opened.
    pub fn make_folder_in(&self, dir: &OwnedFd, name: &str) -> Result<OwnedFd> {
        match open_in(dir, name) {
            Err(Errno::NOENT) => {}
            other => return other,
        }
        self.seam.step(Step::MakeFolder)?;
        match make_folder(dir, name) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(errno) => return Err(errno),
        }
        self.sync_folder(dir)?;
        open_in(dir, name)
    }

    /// The folder `path` below a bucket, each new one durable in its parent. The caller holds the folder lock for writing.
    pub fn make_folders(&self, bucket: &str, path: &str) -> Result<OwnedFd> {
        let mut dir = self.root.folder(bucket)?;
        for name in path.split('/').filter(|name| !name.is_empty()) {
            dir = self.make_folder_in(&dir, name)?;
        }
        Ok(dir)
    }

    /// One of our own folders, made where a bucket was put there by somebody else.
    pub fn private(&self, bucket: &str, which: Private) -> std::result::Result<OwnedFd, Refusal> {
        self.private_below(bucket, &which.path())
    }

    pub fn private_below(&self, bucket: &str, path: &str) -> std::result::Result<OwnedFd, Refusal> {
        self.bucket_named(bucket)?;
        match self.root.folder(&format!("{bucket}/{path}")) {
            Ok(dir) => return Ok(dir),
            Err(Errno::NOENT) => {}
            Err(errno) => return Err(before("open our folder")(errno)),
        }
        let lock = self.folder_lock(bucket).write().unwrap_or_else(|poisoned| poisoned.into_inner());
        let made = self.make_folders(bucket, path);
        drop(lock);
        made.or_else(|errno| {
            self.bucket(bucket)?;
            Err(before("make our folder")(errno))
        })
    }

    fn bucket_named(&self, bucket: &str) -> std::result::Result<(), Refusal> {
        if is_bucket(bucket) { Ok(()) } else { Err(Refusal::no_bucket()) }
    }

    /// The bucket's folder; NoBucket where there is none.
    pub fn bucket(&self, bucket: &str) -> std::result::Result<OwnedFd, Refusal> {
        self.bucket_named(bucket)?;
        self.root.folder(bucket).map_err(|errno| {
            if !is_absence(errno) {
                return before("open the bucket")(errno);
            }
            if self.root.is_gone() { self.root_gone() } else { Refusal::no_bucket() }
        })
    }

    fn root_gone(&self) -> Refusal {
        let message = format!("{} is gone: the folder was removed while in use", self.root.path().display());
        Refusal { fault: Fault::Disk, applied: Applied::No, status: None, code: None, message }
    }
}

/// As `new_id` makes them.
pub(crate) fn is_id(id: &str) -> bool {
    id.len() == 16 && id.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

/// A folder in a folder, links not followed.
pub(crate) fn open_in(dir: &OwnedFd, name: &str) -> Result<OwnedFd> {
    use rustix::fs::{Mode, OFlags, openat};
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    openat(dir, name, flags, Mode::empty())
}

/// Of an error that came from a call of the operating system; anything else is an I/O error.
pub(crate) fn errno_of(error: std::io::Error) -> Errno {
    error.raw_os_error().map_or(Errno::IO, Errno::from_raw_os_error)
}
