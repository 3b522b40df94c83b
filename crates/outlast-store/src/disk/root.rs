//! The root of a disk store, opened and locked once: every path is resolved below it, and links are never followed.

use super::errors::DiskOpenError;
use super::names::NameRules;
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{
    AtFlags, CWD, Dir, FlockOperation, Mode, OFlags, ResolveFlags, flock, fstat, fstatfs, fstatvfs, mkdirat, openat,
    openat2, statat, syncfs, unlinkat,
};
use rustix::io::{Errno, Result};
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// Held for the life of the process, so that two processes never write below one root.
const LOCK_NAME: &str = ".outlast.lock";
/// Names are tried out in this folder at open.
const TRIAL_NAME: &str = ".outlast.trial";
/// Of the note in the lock's file; a note is about 120.
const NOTE_BYTES: usize = 256;
const FOLDER_MODE: Mode = Mode::from_raw_mode(0o777);
pub(crate) const FILE_MODE: Mode = Mode::from_raw_mode(0o666);

/// File systems whose calls may outlive this process on another machine (statfs(2) magic numbers): NFS, SMB, SMB2,
/// CIFS, 9P, CephFS, FUSE, AFS, Coda, OCFS2, GFS2, Lustre.
const NETWORK_FILE_SYSTEMS: [u64; 12] = [
    0x6969,
    0x517b,
    0xfe53_4d42,
    0xff53_4d42,
    0x0102_1997,
    0x00c3_6400,
    0x6573_5546,
    0x5346_414f,
    0x7375_7245,
    0x7461_636f,
    0x0116_1970,
    0x0bd0_0bd0,
];

pub(crate) struct Root {
    dir: OwnedFd,
    path: PathBuf,
    /// openat2 (Linux 5.6) answers here; else each folder of a path is opened by itself.
    resolves: bool,
    /// Closing it gives up the lock.
    lock: File,
    /// What an earlier process saw the file system do to names.
    known: Option<NameRules>,
}

/// What the lock's file says: who holds it, and what was seen of names, for a disk too full to try them again.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
struct LockNote {
    process: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    names: Option<NameRules>,
}

impl Root {
    pub fn open(path: &Path) -> std::result::Result<Root, DiskOpenError> {
        let fail = |doing| {
            let path = path.to_owned();
            move |errno: Errno| match errno {
                Errno::NOENT => DiskOpenError::Missing(path),
                Errno::NOTDIR => DiskOpenError::NotAFolder(path),
                _ => DiskOpenError::Io { path, doing, source: errno.into() },
            }
        };
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let dir = openat(CWD, path, flags, Mode::empty()).map_err(fail("open the root"))?;
        let (lock, note) = lock(&dir, path)?;
        let tried = openat2(&dir, ".", flags, Mode::empty(), ResolveFlags::BENEATH);
        let root = Root { dir, path: path.to_owned(), resolves: tried.is_ok(), lock, known: note.names };
        // What an earlier process made and did not sync must not be built upon.
        syncfs(&root.dir).map_err(fail("sync the file system"))?;
        Ok(root)
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The folder that was opened at start no longer has a name: somebody removed it.
    pub fn is_gone(&self) -> bool {
        fstat(&self.dir).map_or(true, |stat| stat.st_nlink == 0)
    }

    pub fn is_on_network(&self) -> bool {
        fstatfs(&self.dir).is_ok_and(|fs| NETWORK_FILE_SYSTEMS.contains(&(fs.f_type as u64 & 0xffff_ffff)))
    }

    /// A folder below the root. Links on the way are ELOOP or ENOTDIR.
    pub fn folder(&self, path: &str) -> Result<OwnedFd> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        if self.resolves {
            let within = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
            return openat2(&self.dir, path, flags, Mode::empty(), within);
        }
        let mut dir = openat(&self.dir, ".", flags, Mode::empty())?;
        for name in path.split('/').filter(|name| !name.is_empty()) {
            dir = openat(&dir, name, flags, Mode::empty())?;
        }
        Ok(dir)
    }

    /// An existing file for reading; whatever it is, opening it does not wait.
    pub fn file(&self, path: &str) -> Result<File> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        if self.resolves {
            let within = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
            return openat2(&self.dir, path, flags, Mode::empty(), within).map(File::from);
        }
        let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
        openat(self.folder(folder)?, name, flags, Mode::empty()).map(File::from)
    }

    pub fn as_folder(&self) -> &OwnedFd {
        &self.dir
    }

    #[cfg(test)]
    pub fn names_known(&self) -> Option<NameRules> {
        self.known
    }

    /// Walk every path folder by folder, as on a kernel without openat2.
    #[cfg(test)]
    pub fn walk_by_hand(&mut self) {
        self.resolves = false;
    }

    /// What the file system does to names, seen by writing some; on a full disk, what was seen before.
    pub fn try_names(&self) -> std::result::Result<NameRules, DiskOpenError> {
        let fail =
            |errno: Errno| DiskOpenError::Io { path: self.path.clone(), doing: "try names", source: errno.into() };
        let rules = match (self.tried_names(), self.known) {
            (Err(Errno::NOSPC | Errno::DQUOT), Some(known)) => known,
            (tried, _) => tried.map_err(fail)?,
        };
        write_note(&self.lock, &LockNote { process: std::process::id(), names: Some(rules) });
        Ok(rules)
    }

    fn tried_names(&self) -> Result<NameRules> {
        let name_bytes_max = fstatvfs(&self.dir).map_or(255, |fs| fs.f_namemax.clamp(1, 255) as usize);
        match mkdirat(&self.dir, TRIAL_NAME, FOLDER_MODE) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(errno) => return Err(errno),
        }
        let dir = self.folder(TRIAL_NAME)?;
        let rules = try_names_in(&dir, name_bytes_max);
        empty_folder(&dir).and_then(|()| unlinkat(&self.dir, TRIAL_NAME, AtFlags::REMOVEDIR))?;
        rules
    }
}

fn lock(dir: &OwnedFd, path: &Path) -> std::result::Result<(File, LockNote), DiskOpenError> {
    let fail = |doing| move |errno: Errno| DiskOpenError::Io { path: path.to_owned(), doing, source: errno.into() };
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = openat(dir, LOCK_NAME, flags, FILE_MODE).map(File::from).map_err(fail("open the lock"))?;
    let note = read_note(&file);
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {
            write_note(&file, &LockNote { process: std::process::id(), ..note });
            Ok((file, note))
        }
        Err(Errno::WOULDBLOCK) => {
            let by = if note.process == 0 { String::new() } else { format!(" (process {})", note.process) };
            Err(DiskOpenError::Locked { path: path.to_owned(), by })
        }
        Err(errno) => Err(fail("lock the root")(errno)),
    }
}

/// Only words and a help for a full disk hang on it: a note that can't be read is none.
fn read_note(file: &File) -> LockNote {
    let mut text = vec![0; NOTE_BYTES];
    let len = file.read_at(&mut text, 0).unwrap_or(0);
    serde_json::from_slice(text[..len].trim_ascii_end()).unwrap_or_default()
}

/// Over itself in one write of one length, so that a full disk has room for it.
fn write_note(file: &File, note: &LockNote) {
    let mut text = serde_json::to_vec(note).unwrap_or_default();
    text.resize(NOTE_BYTES, b' ');
    text[NOTE_BYTES - 1] = b'\n';
    if let Err(error) = file.write_all_at(&text, 0) {
        tracing::debug!(%error, "the lock does not say who holds it");
    }
}

fn try_names_in(dir: &OwnedFd, name_bytes_max: usize) -> Result<NameRules> {
    empty_folder(dir)?;
    let make = |name: &str| openat(dir, name, OFlags::WRONLY | OFlags::CREATE | OFlags::CLOEXEC, FILE_MODE).map(drop);
    let there = |name: &str| statat(dir, name, AtFlags::SYMLINK_NOFOLLOW).is_ok();
    let kept = |name: &str| -> Result<bool> {
        match make(name) {
            Ok(()) => Ok(names_in(dir)?.iter().any(|seen| seen == name)),
            Err(Errno::NOSPC | Errno::DQUOT) => Err(Errno::NOSPC),
            Err(_) => Ok(false),
        }
    };
    let folds_case = !kept("Case")? || there("cASE");
    let composed = "caf\u{e9}";
    let decomposed = "cafe\u{301}";
    let normalises = !kept(composed)? || there(decomposed) || !kept(decomposed)?;
    let mut strict = false;
    for name in ["colon:", "star*", "ask?", "quote\"", "less<", "bar|", "back\\slash", "space ", "dot.", "line\n"] {
        strict |= !kept(name)?;
    }
    Ok(NameRules { folds_case, normalises, strict, name_bytes_max })
}

/// Names in a folder, without `.` and `..`. Those that are not UTF-8 are no keys and are left out.
pub(crate) fn names_in(dir: impl AsFd) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in Dir::read_from(dir)? {
        match entry?.file_name().to_str() {
            Ok("." | "..") | Err(_) => {}
            Ok(name) => names.push(name.to_owned()),
        }
    }
    Ok(names)
}

fn empty_folder(dir: &OwnedFd) -> Result<()> {
    for name in names_in(dir)? {
        unlinkat(dir, &name, AtFlags::empty())?;
    }
    Ok(())
}

/// A new folder may be there already.
pub(crate) fn make_folder(dir: impl AsFd, name: &str) -> Result<()> {
    mkdirat(dir, name, FOLDER_MODE)
}
