//! What a file says about itself: ETag, size, stamp and headers, in an attribute, or beside it where that doesn't fit.

use super::core::{Core, Private, errno_of};
use super::errors::{before, is_absence};
use crate::refusal::Refusal;
use crate::{At, Dress};
use outlast_rules::{Head, Stamp};
use rustix::fd::OwnedFd;
use rustix::fs::{Mode, OFlags, Stat, XattrFlags, fgetxattr, fsetxattr, fstat, openat};
use rustix::io::{Errno, Result};
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::Read;

/// The attribute that holds the record.
pub(crate) const ATTRIBUTE: &str = "user.outlast.copy";
const FORMAT: u32 = 1;
/// Most records are far smaller; larger ones are read in a second call.
const ATTRIBUTE_BYTES_USUAL: usize = 1024;
/// Linux's limit for one attribute.
const ATTRIBUTE_BYTES_MAX: usize = 64 * 1024;
/// A record beside its file is small; more is not ours.
const SIDE_BYTES_MAX: u64 = 1 << 20;

/// The record of one copy (docs/formats/disk.md).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Record {
    format: u32,
    pub etag: String,
    pub size: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    stamp: Option<String>,
    #[serde(default, skip_serializing_if = "is_bare")]
    head: Head,
    /// The rest lies beside the file.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    aside: bool,
}

/// A record beside its file, bound to it by key, inode, size and ETag or time.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Side {
    pub key: String,
    pub inode: u64,
    /// Where no attribute holds the ETag, the time of the last change tells our file from a foreign one in its inode.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    changed: Option<(i64, u64)>,
    record: Record,
}

/// What was read of a file.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Described {
    pub etag: String,
    pub dress: Dress,
    /// Its record lies beside it.
    pub aside: bool,
}

fn is_bare(head: &Head) -> bool {
    *head == Head::default()
}

impl Record {
    pub fn new(etag: &str, size: u64, dress: &Dress) -> Record {
        Record {
            format: FORMAT,
            etag: etag.to_owned(),
            size,
            stamp: dress.stamp.as_ref().map(Stamp::encode),
            head: dress.head.clone(),
            aside: false,
        }
    }

    fn into_described(self, aside: bool) -> Described {
        let stamp = self.stamp.as_deref().and_then(|text| Stamp::parse(text).ok());
        Described { etag: self.etag, dress: Dress { head: self.head, stamp }, aside }
    }
}

/// Hash of a key, for names of our own files.
pub(crate) fn key_hash(key: &str) -> String {
    blake3::hash(key.as_bytes()).to_hex()[..32].to_owned()
}

/// The folder (below the private one) and name of a record beside its file.
pub(crate) fn side_place(key: &str, inode: u64) -> (String, String) {
    let hash = key_hash(key);
    (hash[..2].to_owned(), format!("{hash}-{inode:x}"))
}

fn does_not_fit(errno: Errno) -> bool {
    matches!(errno, Errno::NOSPC | Errno::TOOBIG | Errno::NOTSUP | Errno::RANGE | Errno::PERM)
}

/// Describes a file before it gets its name. True: the record lies beside it, and is durable there.
pub(crate) fn describe(core: &Core, at: &At, file: &File, record: &Record) -> std::result::Result<bool, Refusal> {
    let set = |record: &Record| -> Result<()> {
        core.describes()?;
        let text = serde_json::to_vec(record).map_err(|_| Errno::INVAL)?;
        fsetxattr(file, ATTRIBUTE, &text, XattrFlags::empty())
    };
    match set(record) {
        Ok(()) => return Ok(false),
        Err(errno) if does_not_fit(errno) => {}
        Err(errno) => return Err(before("write the record")(errno)),
    }
    let short = Record { stamp: None, head: Head::default(), aside: true, ..record.clone() };
    let named = match set(&short) {
        Ok(()) => true,
        Err(errno) if does_not_fit(errno) => false,
        Err(errno) => return Err(before("write the record")(errno)),
    };
    let stat = fstat(file).map_err(before("ask for the file's number"))?;
    let changed = (!named).then_some((stat.st_mtime, stat.st_mtime_nsec));
    let side = Side { key: at.key.clone(), inode: stat.st_ino, changed, record: record.clone() };
    write_side(core, at, &side)?;
    Ok(true)
}

fn write_side(core: &Core, at: &At, side: &Side) -> std::result::Result<(), Refusal> {
    let (folder, name) = side_place(&side.key, side.inode);
    let dir = core.private_below(&at.bucket, &format!("{}/{folder}", Private::Side.path()))?;
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let fail = before("write the record beside the file");
    let file = openat(&dir, &name, flags, super::root::FILE_MODE).map(File::from).map_err(&fail)?;
    let text = serde_json::to_vec(side).map_err(|_| fail(Errno::INVAL))?;
    let written = core.write(&file, &text).and_then(|()| core.sync_file(&file)).and_then(|()| core.sync_folder(&dir));
    written.map_err(|errno| {
        // The first failure is the one to tell; a record without its file is removed at the next open.
        core.unlink(&dir, &name).unwrap_or_default();
        fail(errno)
    })
}

pub(crate) fn read_side(
    core: &Core,
    bucket: &str,
    key: &str,
    inode: u64,
) -> std::result::Result<Option<Side>, Refusal> {
    let (folder, name) = side_place(key, inode);
    let file = match core.root.file(&format!("{}/{folder}/{name}", Private::Side.of(bucket))) {
        Ok(file) => file,
        Err(errno) if is_absence(errno) => return Ok(None),
        Err(errno) => return Err(before("read the record beside the file")(errno)),
    };
    parse_side(file).map_err(before("read the record beside the file"))
}

pub(crate) fn parse_side(file: File) -> Result<Option<Side>> {
    let mut text = Vec::new();
    file.take(SIDE_BYTES_MAX).read_to_end(&mut text).map_err(errno_of)?;
    Ok(serde_json::from_slice(&text).ok())
}

/// Removes the record beside a file that is no longer under its key. A failure only leaves a small file behind.
pub(crate) fn forget_side(core: &Core, bucket: &str, key: &str, inode: u64) {
    let (folder, name) = side_place(key, inode);
    let dir: Result<OwnedFd> = core.root.folder(&format!("{}/{folder}", Private::Side.of(bucket)));
    if let Err(errno) = dir.and_then(|dir| core.unlink(&dir, &name)) {
        tracing::debug!(bucket, key, %errno, "a record without its file stays behind");
    }
}

/// Reads what a file says about itself. A file that isn't ours, or was changed by somebody, has no stamp and an ETag made
/// of what the file system knows.
pub(crate) fn described(core: &Core, at: &At, file: &File, stat: &Stat) -> std::result::Result<Described, Refusal> {
    let size = stat.st_size as u64;
    let record = read_attribute(file).map_err(before("read the record"))?;
    match record {
        Some(record) if record.size != size || record.format != FORMAT => return Ok(foreign(stat)),
        Some(record) if !record.aside => return Ok(record.into_described(false)),
        _ => {}
    }
    let Some(side) = read_side(core, &at.bucket, &at.key, stat.st_ino)? else { return Ok(foreign(stat)) };
    let same_file = match &record {
        Some(named) => named.etag == side.record.etag,
        None => side.changed == Some((stat.st_mtime, stat.st_mtime_nsec)),
    };
    let bound = side.key == at.key && side.inode == stat.st_ino && side.record.size == size;
    if same_file && bound && side.record.format == FORMAT {
        return Ok(side.record.into_described(true));
    }
    Ok(foreign(stat))
}

fn foreign(stat: &Stat) -> Described {
    let etag = format!("f-{:x}-{:x}.{:x}-{:x}", stat.st_ino, stat.st_mtime, stat.st_mtime_nsec, stat.st_size);
    Described { etag, dress: Dress::default(), aside: false }
}

fn read_attribute(file: &File) -> Result<Option<Record>> {
    let mut usual = [0u8; ATTRIBUTE_BYTES_USUAL];
    let text = match fgetxattr(file, ATTRIBUTE, &mut usual[..]) {
        Ok(len) => usual[..len].to_vec(),
        Err(Errno::RANGE) => {
            let mut large = vec![0u8; ATTRIBUTE_BYTES_MAX];
            let len = fgetxattr(file, ATTRIBUTE, &mut large[..])?;
            large.truncate(len);
            large
        }
        Err(Errno::NODATA | Errno::NOTSUP | Errno::PERM) => return Ok(None),
        Err(errno) => return Err(errno),
    };
    Ok(serde_json::from_slice(&text).ok())
}

/// A file opened for writing that nobody has seen yet.
pub(crate) fn new_file(dir: &OwnedFd, name: &str) -> Result<File> {
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    openat(dir, name, flags, Mode::from_raw_mode(0o666)).map(File::from)
}
