//! Finding the one place of a key, and sending its bytes.

use super::core::{Core, Private};
use super::errors::{before, is_absence};
use super::names::escaped_path;
use super::record::{Described, described};
use crate::refusal::{Refusal, fit_range};
use crate::{At, ByteRange, ByteStream, Found};
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use outlast_rules::{Moment, Pin};
use rustix::fs::{FileType, Stat, fstat};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use tokio::task::{JoinHandle, spawn_blocking};

/// One read from the disk: large enough for a disk's rhythm, small enough that two per reader fit in memory.
const READ_BYTES: u64 = 256 * 1024;

/// Where a key can lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Where {
    Plain,
    Escaped,
}

/// A copy as it lies on the disk, opened: a later overwrite doesn't change it.
pub(crate) struct Lying {
    pub place: Where,
    pub file: File,
    pub stat: Stat,
    pub described: Described,
}

impl Where {
    /// The path below the bucket.
    pub fn path(self, key: &str) -> String {
        match self {
            Where::Plain => key.to_owned(),
            Where::Escaped => format!("{}/{}", Private::Keys.path(), escaped_path(key)),
        }
    }
}

impl Lying {
    pub fn found(&self) -> Found {
        let seconds = u64::try_from(self.stat.st_mtime).unwrap_or(0);
        Found {
            pin: Pin { etag: self.described.etag.clone(), version: None },
            size: self.stat.st_size as u64,
            dress: self.described.dress.clone(),
            modified: Some(Moment(seconds * 1000 + self.stat.st_mtime_nsec / 1_000_000)),
        }
    }
}

/// What lies under a key: under its own name, else under its escaped one.
pub(crate) fn find(core: &Core, at: &At) -> Result<Option<Lying>, Refusal> {
    if core.rules.is_plain(&at.key)
        && let Some(lying) = find_in(core, at, Where::Plain)?
    {
        return Ok(Some(lying));
    }
    find_in(core, at, Where::Escaped)
}

pub(crate) fn find_in(core: &Core, at: &At, place: Where) -> Result<Option<Lying>, Refusal> {
    open_lying(core, at, place, &format!("{}/{}", at.bucket, place.path(&at.key)))
}

/// The same, where the path below the root is known.
pub(crate) fn open_lying(core: &Core, at: &At, place: Where, path: &str) -> Result<Option<Lying>, Refusal> {
    if !super::names::is_bucket(&at.bucket) {
        return Err(Refusal::no_bucket());
    }
    let file = match core.root.file(path) {
        Ok(file) => file,
        Err(errno) if is_absence(errno) => return Ok(None),
        Err(errno) => return Err(before("open the file")(errno)),
    };
    let stat = fstat(&file).map_err(before("ask about the file"))?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Ok(None);
    }
    let described = described(core, at, &file, &stat)?;
    Ok(Some(Lying { place, file, stat, described }))
}

/// What lies there, or why nothing does.
pub(crate) fn find_pinned(core: &Core, at: &At, pin: Option<&Pin>) -> Result<Lying, Refusal> {
    let Some(lying) = find(core, at)? else {
        core.bucket(&at.bucket)?;
        return Err(Refusal::no_key());
    };
    match pin {
        Some(Pin { version: Some(_), .. }) => Err(Refusal::no_version()),
        Some(pin) if pin.etag != lying.described.etag => Err(Refusal::precondition()),
        _ => Ok(lying),
    }
}

/// A read that has begun: its first bytes are there, the rest follows as the reader takes it.
pub(crate) struct Reading {
    file: Arc<File>,
    first: Bytes,
    at: u64,
    end: u64,
}

pub(crate) fn begin(
    core: &Core,
    at: &At,
    pin: Option<&Pin>,
    range: Option<ByteRange>,
) -> Result<(Found, Reading), Refusal> {
    let lying = find_pinned(core, at, pin)?;
    let found = lying.found();
    let (start, end) = fit_range(range, found.size)?;
    let until = end.min(start + READ_BYTES);
    let first =
        read_exactly(&lying.file, start, until).map_err(|e| before("read the file")(super::core::errno_of(e)))?;
    Ok((found, Reading { file: Arc::new(lying.file), first, at: until, end }))
}

fn read_exactly(file: &File, start: u64, end: u64) -> std::io::Result<Bytes> {
    let mut chunk = vec![0; (end - start) as usize];
    file.read_exact_at(&mut chunk, start)?;
    Ok(Bytes::from(chunk))
}

impl Reading {
    /// One chunk is read ahead while the reader works on the last; no thread waits for a slow reader.
    pub fn into_stream(self) -> ByteStream {
        if self.first.is_empty() {
            return stream::empty().boxed();
        }
        let next = read_ahead(&self.file, self.at, self.end);
        let state = (Some(self.first), next, self.file, self.end);
        let steps = stream::unfold(state, |(ready, ahead, file, end)| async move {
            if let Some(first) = ready {
                return Some((Ok(first), (None, ahead, file, end)));
            }
            let (at, handle) = ahead?;
            match handle.await {
                Ok(Ok(chunk)) => {
                    let next = read_ahead(&file, at + chunk.len() as u64, end);
                    Some((Ok(chunk), (None, next, file, end)))
                }
                Ok(Err(error)) => Some((Err(error), (None, None, file, end))),
                Err(_) => Some((Err(std::io::Error::other("the read was stopped")), (None, None, file, end))),
            }
        });
        steps.boxed()
    }
}

type Ahead = Option<(u64, JoinHandle<std::io::Result<Bytes>>)>;

fn read_ahead(file: &Arc<File>, at: u64, end: u64) -> Ahead {
    let until = end.min(at + READ_BYTES);
    let file = Arc::clone(file);
    (at < until).then(|| (at, spawn_blocking(move || read_exactly(&file, at, until))))
}
