//! Parts of one size lie in one file, each at its place, so that Complete renames it and copies nothing (docs/formats/disk.md).

use super::core::{Core, errno_of, is_id};
use super::errors::before;
use super::record::new_file;
use super::root::names_in;
use super::write::{Slot, Temp};
use crate::At;
use crate::refusal::Refusal;
use rustix::fd::OwnedFd;
use rustix::fs::{Mode, OFlags, openat};
use rustix::io::Errno;
use std::fs::File;
use std::io::{Seek, SeekFrom};
use std::sync::Arc;

/// The file of parts in place: `body-<bytes from one part's beginning to the next, hexadecimal>`.
const BODY: &str = "body-";
/// From its appearance on nothing is written into the body any more: it may be an object already.
const SEALED: &str = "sealed";
/// Clients cut at whole MiB; a last part seldom ends there. So a part that comes first and is not number 1 shows the size of
/// the others only if it ends there.
const ROUND: u64 = 1024 * 1024;
/// No file system that we know holds no file of this size; where one does not, parts lie in files of their own.
const BODY_BYTES_MAX: u64 = 1 << 40;

/// A part that lies in the body, as the name of its empty file says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Placed<'a> {
    pub number: u32,
    pub etag: &'a str,
    pub offset: u64,
    pub size: u64,
}

impl Placed<'_> {
    /// `00002-<etag>-<offset>-<size>`, hexadecimal.
    pub fn name(&self) -> String {
        format!("{:05}-{}-{:x}-{:x}", self.number, self.etag, self.offset, self.size)
    }

    pub fn parse(name: &str) -> Option<Placed<'_>> {
        let mut words = name.split('-');
        let (number, etag, offset, size) = (words.next()?, words.next()?, words.next()?, words.next()?);
        let is_whole = number.len() == 5 && is_id(etag) && words.next().is_none();
        let hex = |word: &str| u64::from_str_radix(word, 16).ok();
        let placed = Placed { number: number.parse().ok()?, etag, offset: hex(offset)?, size: hex(size)? };
        Some(placed).filter(|_| is_whole)
    }
}

/// One listed part, and where its bytes are.
pub(crate) enum Lies {
    Alone(File, u64),
    Placed { offset: u64, size: u64 },
}

impl Lies {
    pub fn size(&self) -> u64 {
        match self {
            Lies::Alone(_, size) | Lies::Placed { size, .. } => *size,
        }
    }
}

/// The body's name and the distance between its parts.
fn body_of(names: &[String]) -> Option<(&str, u64)> {
    names.iter().find_map(|name| Some((name.as_str(), u64::from_str_radix(name.strip_prefix(BODY)?, 16).ok()?)))
}

/// Did a Complete take the body away? Then the upload is over, whatever else still lies there.
pub(crate) fn is_over(folder: &OwnedFd) -> rustix::io::Result<bool> {
    match openat(folder, SEALED, OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty()) {
        Ok(_) => Ok(body_of(&names_in(folder)?).is_none()),
        Err(Errno::NOENT) => Ok(false),
        Err(errno) => Err(errno),
    }
}

/// A place in the body for this part, or None: it goes into a file of its own. The caller holds the upload's lock.
///
/// A place is given once: neither while somebody writes there, nor after a part there was acknowledged. A second attempt
/// would write over bytes that may be listed at Complete.
pub(crate) fn claim(
    core: &Arc<Core>,
    at: &At,
    id: &str,
    folder: &OwnedFd,
    part: (u32, u64),
) -> Result<Option<Temp>, Refusal> {
    let fail = before("find the part's place");
    let (number, len) = part;
    let names = names_in(folder).map_err(&fail)?;
    let is_taken = |name: &String| Placed::parse(name).is_some_and(|placed| placed.number == number);
    if len == 0 || names.iter().any(|name| name == SEALED || is_taken(name)) {
        return Ok(None);
    }
    let body = body_of(&names);
    let step = match body {
        Some((_, step)) => step,
        None if number == 1 || len.is_multiple_of(ROUND) => len,
        None => return Ok(None),
    };
    let offset = u64::from(number - 1).saturating_mul(step);
    if len > step || offset.saturating_add(len) > BODY_BYTES_MAX {
        return Ok(None);
    }
    let Some(claim) = core.claims.take(&at.bucket, id, number) else { return Ok(None) };
    let mut file = match body {
        Some((name, _)) => open_body(folder, name),
        None => new_file(folder, &format!("{BODY}{step:x}")),
    }
    .map_err(&fail)?;
    file.seek(SeekFrom::Start(offset)).map_err(|error| fail(errno_of(error)))?;
    let folder = folder.try_clone().map_err(|error| fail(errno_of(error)))?;
    Ok(Some(Temp::in_slot(core, at, folder, file, Slot { offset, _claim: claim })))
}

pub(crate) fn open_body(folder: &OwnedFd, name: &str) -> rustix::io::Result<File> {
    openat(folder, name, OFlags::RDWR | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty()).map(File::from)
}

/// For reading parts out of it.
pub(crate) fn body(folder: &OwnedFd) -> rustix::io::Result<File> {
    let names = names_in(folder)?;
    open_body(folder, body_of(&names).ok_or(Errno::NOENT)?.0)
}

/// The body as the whole object, if the listed parts fill it without a gap: what lies alone is put at its place. None: they
/// have to be copied together. The caller holds the upload's lock.
///
/// It is tried once per upload: after a crash the body may lie under the object's name and still under this one, and is
/// then only read.
pub(crate) fn whole(
    core: &Arc<Core>,
    at: &At,
    id: &str,
    folder: &OwnedFd,
    parts: &[Lies],
) -> Result<Option<Temp>, Refusal> {
    let fail = before("join the parts");
    let names = names_in(folder).map_err(&fail)?;
    let total: u64 = parts.iter().map(Lies::size).sum();
    let Some((name, _)) = body_of(&names) else { return Ok(None) };
    if core.claims.any(&at.bucket, id) || names.iter().any(|name| name == SEALED) || !fits(parts, &names) {
        return Ok(None);
    }
    new_file(folder, SEALED).and_then(|_| core.sync_folder(folder)).map_err(&fail)?;
    let file = open_body(folder, name).map_err(&fail)?;
    let folder = folder.try_clone().map_err(|error| fail(errno_of(error)))?;
    let mut temp = Temp::of_body(core, at, folder, name, file);
    let mut offset = 0;
    for part in parts {
        if let Lies::Alone(source, size) = part {
            temp.put_at(offset, source, *size)?;
        }
        offset += part.size();
    }
    temp.end_at(total)?;
    Ok(Some(temp))
}

/// Every part in place is where it has to be, and nothing that is not listed is in the way.
fn fits(parts: &[Lies], names: &[String]) -> bool {
    let mut listed = Vec::new();
    let mut at = 0;
    for part in parts {
        match part {
            Lies::Placed { offset, .. } if *offset != at => return false,
            Lies::Placed { offset, .. } => listed.push(*offset),
            Lies::Alone(..) => {}
        }
        at += part.size();
    }
    // A part of the body that is not listed may still be acknowledged: where this Complete is refused, another may list it.
    let mut others = names.iter().filter_map(|name| Placed::parse(name)).filter(|one| !listed.contains(&one.offset));
    !listed.is_empty() && others.next().is_none()
}

/// To where a part lies in the body, for somebody who copies it.
pub(crate) fn seek_to(mut body: &File, offset: u64) -> Result<(), Refusal> {
    body.seek(SeekFrom::Start(offset)).map_err(|error| before("open a part")(errno_of(error)))?;
    Ok(())
}
