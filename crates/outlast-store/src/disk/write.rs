//! A copy comes to be (temp file, sync, rename, sync of the folder) and goes again.

use super::claims::Claim;
use super::core::{Core, Private};
use super::errors::{after, before, cannot_lie_here, refuse};
use super::read::{Lying, Where, find, find_in};
use super::record::{Record, describe, forget_side, key_hash, new_file};
use crate::refusal::{Refusal, judge_fence};
use crate::{Applied, At, Dress, PutSpec};
use outlast_rules::{Fence, Pin};
use rustix::fd::OwnedFd;
use rustix::fs::{AtFlags, FileType, fstat, statat};
use rustix::io::Errno;
use std::fs::File;
use std::sync::Arc;

/// A file on its way to its name. Dropped before that, it is removed.
pub(crate) struct Temp {
    core: Arc<Core>,
    at: At,
    dir: OwnedFd,
    name: String,
    file: File,
    etag: String,
    written: u64,
    /// Its record lies beside it, under this inode.
    aside: Option<u64>,
    fate: Fate,
}

/// What becomes of the file when it is dropped.
enum Fate {
    /// It has no name that counts: it goes.
    Unnamed,
    Named,
    /// It is the body of an open upload, and stays.
    Body,
    /// A place in such a body.
    Slot(Slot),
}

/// Where a part lies in its upload's body, and that nobody else writes there.
pub(crate) struct Slot {
    pub offset: u64,
    pub _claim: Claim,
}

impl Temp {
    pub fn new(core: &Arc<Core>, at: &At) -> Result<Temp, Refusal> {
        if at.key.is_empty() {
            return Err(Refusal::bad(400, "InvalidRequest", "a key has at least one byte"));
        }
        let dir = core.private(&at.bucket, Private::Temp)?;
        let etag = core.new_id();
        let name = format!("{}-{etag}", key_hash(&at.key));
        let file = match new_file(&dir, &name) {
            // The bucket went while we looked.
            Err(Errno::NOENT) => return Err(Refusal::no_bucket()),
            other => other.map_err(before("make a file"))?,
        };
        Ok(Temp::of(core, at, dir, (name, etag), file, Fate::Unnamed))
    }

    fn of(core: &Arc<Core>, at: &At, dir: OwnedFd, (name, etag): (String, String), file: File, fate: Fate) -> Temp {
        Temp { core: Arc::clone(core), at: at.clone(), dir, name, file, etag, written: 0, aside: None, fate }
    }

    /// A part that is written where it stays; `file` stands at its place.
    pub fn in_slot(core: &Arc<Core>, at: &At, folder: OwnedFd, file: File, slot: Slot) -> Temp {
        Temp::of(core, at, folder, (String::new(), core.new_id()), file, Fate::Slot(slot))
    }

    /// The body of an upload on its way to the key's name.
    pub fn of_body(core: &Arc<Core>, at: &At, folder: OwnedFd, name: &str, file: File) -> Temp {
        Temp::of(core, at, folder, (name.to_owned(), core.new_id()), file, Fate::Body)
    }

    /// Where the part lies, if it lies in its upload's body.
    pub fn offset(&self) -> Option<u64> {
        if let Fate::Slot(slot) = &self.fate { Some(slot.offset) } else { None }
    }

    /// A whole file, put at a place of this one.
    pub fn put_at(&mut self, offset: u64, source: &File, len: u64) -> Result<(), Refusal> {
        std::io::Seek::seek(&mut self.file, std::io::SeekFrom::Start(offset))
            .map_err(|e| before("copy the file")(super::core::errno_of(e)))?;
        self.append(source, len)
    }

    /// The file is so long, whatever was written into it.
    pub fn end_at(&mut self, len: u64) -> Result<(), Refusal> {
        self.core.set_len(&self.file, len).map_err(before("end the file"))?;
        self.written = len;
        Ok(())
    }

    pub fn write(&mut self, bytes: &[u8]) -> Result<(), Refusal> {
        self.core.write(&self.file, bytes).map_err(before("write the file"))?;
        self.written += bytes.len() as u64;
        Ok(())
    }

    /// Appends a whole file; the file system shares or copies the bytes by itself where it can.
    pub fn append(&mut self, mut source: &File, len: u64) -> Result<(), Refusal> {
        self.core.write(&self.file, b"").map_err(before("copy the file"))?;
        let mut from = std::io::Read::take(&mut source, len);
        let copied =
            std::io::copy(&mut from, &mut &self.file).map_err(|e| before("copy the file")(super::core::errno_of(e)))?;
        if copied != len {
            return Err(refuse(Applied::No, &format!("copy the file, {copied} of {len} bytes"), Errno::IO));
        }
        self.written += len;
        Ok(())
    }

    pub fn written(&self) -> u64 {
        self.written
    }

    pub fn etag(&self) -> &str {
        &self.etag
    }

    /// Everything that will be under the name is durable before it gets the name.
    pub fn make_durable(&mut self, dress: Option<&Dress>) -> Result<(), Refusal> {
        if let Some(dress) = dress {
            let inode = fstat(&self.file).map_err(before("ask about the file"))?.st_ino;
            let record = Record::new(&self.etag, self.written, dress);
            if describe(&self.core, &self.at, &self.file, &record)? {
                self.aside = Some(inode);
            }
        }
        self.core.sync_file(&self.file).map_err(before("sync the file"))
    }

    /// Moves the file into an open folder of ours.
    pub fn name_in(&mut self, folder: &OwnedFd, name: &str) -> rustix::io::Result<()> {
        self.core.rename(&self.dir, &self.name, folder, name)?;
        self.fate = Fate::Named;
        Ok(())
    }

    /// Judged and applied under the key's lock; durable when it returns.
    pub fn commit(mut self, spec: &PutSpec) -> Result<Pin, Refusal> {
        self.make_durable(Some(&spec.dress))?;
        let core = Arc::clone(&self.core);
        let at = self.at.clone();
        let _key = core.lock_key(&at);
        let old = find(&core, &at)?;
        judge_fence(spec.fence.as_ref(), old.as_ref().map(|lying| lying.described.etag.as_str()))?;
        let folder = match &old {
            Some(lying) => self.name_at(lying.place).map_err(|e| rename_failed(&core, &at, e))?,
            None => self.name_anew()?,
        };
        core.sync_folder(&folder).map_err(after("sync the folder"))?;
        if let Some(old) = old.filter(|old| old.described.aside) {
            forget_side(&core, &at.bucket, &at.key, old.stat.st_ino);
        }
        Ok(Pin { etag: self.etag.clone(), version: None })
    }

    fn name_anew(&mut self) -> Result<OwnedFd, Refusal> {
        let (core, at) = (Arc::clone(&self.core), self.at.clone());
        if core.rules.is_plain(&at.key) && !is_occupied(&core, &at)? {
            match self.name_at(Where::Plain) {
                Err(errno) if cannot_lie_here(errno) => {}
                other => return other.map_err(|e| rename_failed(&core, &at, e)),
            }
        }
        self.name_at(Where::Escaped).map_err(|e| rename_failed(&core, &at, e))
    }

    /// Renames to the key's place; folders that lack are made, and are durable, before.
    fn name_at(&mut self, place: Where) -> rustix::io::Result<OwnedFd> {
        let core = Arc::clone(&self.core);
        let bucket = self.at.bucket.clone();
        let path = place.path(&self.at.key);
        let (parents, name) = path.rsplit_once('/').unwrap_or(("", &path));
        let below = if parents.is_empty() { bucket.clone() } else { format!("{bucket}/{parents}") };
        let lock = core.folder_lock(&bucket);
        {
            let _standing = lock.read().unwrap_or_else(|poisoned| poisoned.into_inner());
            match core.root.folder(&below) {
                Ok(folder) => return self.name_in(&folder, name).map(|()| folder),
                Err(Errno::NOENT) => {}
                Err(errno) => return Err(errno),
            }
        }
        let _changing = lock.write().unwrap_or_else(|poisoned| poisoned.into_inner());
        let made = core.make_folders(&bucket, parents).and_then(|folder| {
            self.name_in(&folder, name)?;
            Ok(folder)
        });
        if made.is_err() {
            remove_empty_parents(&core, &bucket, parents);
        }
        made
    }
}

impl Drop for Temp {
    fn drop(&mut self) {
        if matches!(self.fate, Fate::Named) {
            return;
        }
        if let Some(inode) = self.aside {
            forget_side(&self.core, &self.at.bucket, &self.at.key, inode);
        }
        if !matches!(self.fate, Fate::Unnamed) {
            return;
        }
        // What can't be removed now is removed at the next open.
        if let Err(errno) = self.core.unlink(&self.dir, &self.name) {
            tracing::debug!(name = self.name, %errno, "an unfinished file stays behind");
        }
    }
}

/// A rename that failed changed nothing, unless the disk itself failed.
fn rename_failed(core: &Core, at: &At, errno: Errno) -> Refusal {
    match errno {
        Errno::IO => refuse(Applied::Unknown, "rename", errno),
        Errno::NOENT => core.bucket(&at.bucket).err().unwrap_or_else(|| refuse(Applied::No, "rename", errno)),
        _ => refuse(Applied::No, "rename", errno),
    }
}

/// Does something that isn't a file of a key lie under the plain name? An empty folder gives way.
fn is_occupied(core: &Core, at: &At) -> Result<bool, Refusal> {
    let (parents, name) = at.key.rsplit_once('/').unwrap_or(("", &at.key));
    let below = if parents.is_empty() { at.bucket.clone() } else { format!("{}/{parents}", at.bucket) };
    let lock = core.folder_lock(&at.bucket);
    let standing = lock.read().unwrap_or_else(|poisoned| poisoned.into_inner());
    let Ok(folder) = core.root.folder(&below) else { return Ok(false) };
    match statat(&folder, name, AtFlags::SYMLINK_NOFOLLOW) {
        Err(_) => Ok(false),
        Ok(stat) if FileType::from_raw_mode(stat.st_mode) == FileType::Directory => {
            drop(standing);
            let _removing = lock.write().unwrap_or_else(|poisoned| poisoned.into_inner());
            Ok(core.remove_folder(&folder, name).is_err())
        }
        Ok(stat) => Ok(FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile),
    }
}

/// Removes a key, durably. An absent one is Ok.
pub(crate) fn remove(core: &Core, at: &At, fence: Option<&Fence>) -> Result<(), Refusal> {
    drop(core.bucket(&at.bucket)?);
    let _key = core.lock_key(at);
    let plain = if core.rules.is_plain(&at.key) { find_in(core, at, Where::Plain)? } else { None };
    let escaped = find_in(core, at, Where::Escaped)?;
    let current = plain.as_ref().or(escaped.as_ref()).map(|lying| lying.described.etag.as_str());
    judge_fence(fence, current)?;
    // Escaped first: were only one of them removed, the current one would still be the one that is found.
    for lying in [escaped, plain].into_iter().flatten() {
        remove_at(core, at, &lying)?;
    }
    Ok(())
}

fn remove_at(core: &Core, at: &At, lying: &Lying) -> Result<(), Refusal> {
    let path = lying.place.path(&at.key);
    let (parents, name) = path.rsplit_once('/').unwrap_or(("", &path));
    let below = if parents.is_empty() { at.bucket.clone() } else { format!("{}/{parents}", at.bucket) };
    let folder = core.root.folder(&below).map_err(before("open the folder"))?;
    core.unlink(&folder, name).map_err(|errno| match errno {
        Errno::IO => after("remove the file")(errno),
        _ => before("remove the file")(errno),
    })?;
    core.sync_folder(&folder).map_err(after("sync the folder"))?;
    if lying.described.aside {
        forget_side(core, &at.bucket, &at.key, lying.stat.st_ino);
    }
    drop(folder);
    let lock = core.folder_lock(&at.bucket);
    let _changing = lock.write().unwrap_or_else(|poisoned| poisoned.into_inner());
    remove_empty_parents(core, &at.bucket, parents);
    Ok(())
}

/// Folders without a file go, from the lowest up to the bucket; our own stay. The caller holds the folder lock for
/// writing. Nothing rests on it: an empty folder that stays, or comes back after a power loss, holds no key.
fn remove_empty_parents(core: &Core, bucket: &str, parents: &str) {
    let mut path = parents;
    while !path.is_empty() && path != ".outlast" && path != Private::Keys.path() {
        let (above, name) = path.rsplit_once('/').unwrap_or(("", path));
        let below = if above.is_empty() { bucket.to_owned() } else { format!("{bucket}/{above}") };
        let removed = core.root.folder(&below).and_then(|folder| core.remove_folder(&folder, name));
        if removed.is_err() {
            return;
        }
        path = above;
    }
}
