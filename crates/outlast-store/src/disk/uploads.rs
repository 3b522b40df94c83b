//! Multipart uploads: a folder each, a file per part; Complete joins them into one file.

use super::core::{Core, Private, errno_of, is_id, open_in};
use super::errors::{after, before, is_absence};
use super::in_place::{self, Lies, Placed};
use super::record::new_file;
use super::root::names_in;
use super::write::Temp;
use crate::refusal::Refusal;
use crate::{At, Dress, NativePart, PutSpec};
use outlast_rules::{Fence, Head, Pin, Stamp};
use rustix::fd::OwnedFd;
use rustix::fs::{AtFlags, fstat, statat};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::fs::File;
use std::io::Read;
use std::sync::Arc;

/// Says what the upload is of; without it the folder is rubbish.
const ABOUT: &str = "about";
const FORMAT: u32 = 1;
/// A key, headers and metadata are far smaller.
const ABOUT_BYTES_MAX: u64 = 1 << 20;
/// S3's highest part number.
const PART_NUMBER_MAX: u32 = 10_000;

#[derive(Debug, Serialize, Deserialize)]
struct About {
    format: u32,
    key: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    stamp: Option<String>,
    #[serde(default)]
    head: Head,
}

pub(crate) fn create(core: &Core, at: &At, dress: &Dress) -> Result<String, Refusal> {
    if at.key.is_empty() {
        return Err(Refusal::bad(400, "InvalidRequest", "a key has at least one byte"));
    }
    let id = core.new_id();
    let folder = core.private_below(&at.bucket, &format!("{}/{id}", Private::Uploads.path()))?;
    let stamp = dress.stamp.as_ref().map(Stamp::encode);
    let about = About { format: FORMAT, key: at.key.clone(), stamp, head: dress.head.clone() };
    let fail = before("write what the upload is of");
    let text = serde_json::to_vec(&about).map_err(|_| fail(Errno::INVAL))?;
    let written = new_file(&folder, ABOUT)
        .and_then(|file| core.write(&file, &text).and_then(|()| core.sync_file(&file)))
        .and_then(|()| core.sync_folder(&folder));
    match written {
        Ok(()) => Ok(id),
        Err(errno) => {
            clear(core, &at.bucket, &id, &folder);
            Err(fail(errno))
        }
    }
}

/// The folder of an open upload of this key.
fn open(core: &Core, at: &At, id: &str) -> Result<(OwnedFd, About), Refusal> {
    core.bucket(&at.bucket)?;
    if !is_id(id) {
        return Err(Refusal::no_upload());
    }
    let (folder, about) = open_any(core, &at.bucket, id)?.ok_or_else(Refusal::no_upload)?;
    if about.key == at.key { Ok((folder, about)) } else { Err(Refusal::no_upload()) }
}

fn open_any(core: &Core, bucket: &str, id: &str) -> Result<Option<(OwnedFd, About)>, Refusal> {
    let fail = before("open the upload");
    let path = format!("{}/{id}", Private::Uploads.of(bucket));
    let (folder, file) =
        match core.root.folder(&path).and_then(|dir| Ok((dir, core.root.file(&format!("{path}/{ABOUT}"))?))) {
            Ok(both) => both,
            Err(errno) if is_absence(errno) => return Ok(None),
            Err(errno) => return Err(fail(errno)),
        };
    let mut text = Vec::new();
    file.take(ABOUT_BYTES_MAX).read_to_end(&mut text).map_err(|e| fail(errno_of(e)))?;
    let about: Option<About> = serde_json::from_slice(&text).ok();
    if in_place::is_over(&folder).map_err(fail)? {
        return Ok(None);
    }
    Ok(about.filter(|about| about.format == FORMAT).map(|about| (folder, about)))
}

/// Where the bytes of a part (its number and length) go: to their place in the upload's body, else into a file of their own.
/// NoUpload before any of them is taken.
pub(crate) fn begin_part(core: &Arc<Core>, at: &At, id: &str, part: (u32, u64)) -> Result<Temp, Refusal> {
    if !(1..=PART_NUMBER_MAX).contains(&part.0) {
        return Err(Refusal::bad(400, "InvalidArgument", format!("part numbers are 1 to {PART_NUMBER_MAX}")));
    }
    let placed = {
        let _upload = core.lock_upload(&at.bucket, id);
        let (folder, _) = open(core, at, id)?;
        in_place::claim(core, at, id, &folder, part)?
    };
    placed.map_or_else(|| Temp::new(core, at), Ok)
}

pub(crate) fn put_part(core: &Core, at: &At, id: &str, number: u32, mut temp: Temp) -> Result<String, Refusal> {
    temp.make_durable(None)?;
    let _upload = core.lock_upload(&at.bucket, id);
    let (folder, _) = open(core, at, id)?;
    let etag = temp.etag().to_owned();
    match temp.offset() {
        Some(offset) => {
            let placed = Placed { number, etag: &etag, offset, size: temp.written() };
            new_file(&folder, &placed.name()).map(drop).map_err(before("name the part"))?;
        }
        None => temp.name_in(&folder, &part_name(number, &etag)).map_err(before("rename the part"))?,
    }
    core.sync_folder(&folder).map_err(after("sync the upload"))?;
    // Two files of one number do no harm: Complete names its parts by ETag, and a listing shows the newer one. One that says
    // that a part lies in the body stays in any case: its place is not given again.
    for name in names_in(&folder).map_err(after("read the upload"))? {
        if part_of(&name).is_some_and(|(n, e)| n == number && e != etag) && core.unlink(&folder, &name).is_err() {
            tracing::debug!(bucket = at.bucket, key = at.key, name, "an older part stays behind");
        }
    }
    Ok(etag)
}

fn part_name(number: u32, etag: &str) -> String {
    format!("{number:05}-{etag}")
}

fn part_of(name: &str) -> Option<(u32, &str)> {
    let (number, etag) = name.split_once('-')?;
    let number = number.parse().ok().filter(|_| number.len() == 5)?;
    is_id(etag).then_some((number, etag))
}

pub(crate) fn parts(core: &Core, at: &At, id: &str) -> Result<Vec<NativePart>, Refusal> {
    let (folder, _) = open(core, at, id)?;
    let mut seen = Vec::new();
    for name in names_in(&folder).map_err(before("read the upload"))? {
        let placed = Placed::parse(&name);
        let alone = part_of(&name);
        let Some((number, etag)) = alone.or(placed.map(|one| (one.number, one.etag))) else { continue };
        match statat(&folder, &name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => {
                let changed = (stat.st_mtime, stat.st_mtime_nsec);
                let size = placed.map_or(stat.st_size as u64, |one| one.size);
                seen.push((number, changed, NativePart { number, size, etag: etag.to_owned() }));
            }
            Err(Errno::NOENT) => {}
            Err(errno) => return Err(before("ask about a part")(errno)),
        }
    }
    seen.sort_by(|a, b| (a.0, b.1, &b.2.etag).cmp(&(b.0, a.1, &a.2.etag)));
    seen.dedup_by_key(|(number, _, _)| *number);
    Ok(seen.into_iter().map(|(_, _, part)| part).collect())
}

pub(crate) fn complete(
    core: &Arc<Core>,
    at: &At,
    id: &str,
    parts: &[NativePart],
    fence: Option<&Fence>,
) -> Result<Pin, Refusal> {
    if parts.is_empty() || !parts.is_sorted_by(|a, b| a.number < b.number) {
        return Err(Refusal::bad(400, "InvalidPartOrder", "parts must ascend, and there must be one"));
    }
    let _upload = core.lock_upload(&at.bucket, id);
    let (folder, about) = open(core, at, id)?;
    let lying = lying(&folder, parts)?;
    let temp = match in_place::whole(core, at, id, &folder, &lying)? {
        Some(whole) => whole,
        None => joined(core, at, &folder, &lying)?,
    };
    let stamp = about.stamp.as_deref().and_then(|text| Stamp::parse(text).ok());
    let dress = Dress { head: about.head, stamp };
    let pin = temp.commit(&PutSpec { dress, fence: fence.cloned(), md5: None })?;
    clear(core, &at.bucket, id, &folder);
    Ok(pin)
}

/// Where the named parts are; InvalidPart where one of them is not.
fn lying(folder: &OwnedFd, parts: &[NativePart]) -> Result<Vec<Lies>, Refusal> {
    let names = names_in(folder).map_err(before("read the upload"))?;
    let placed: HashMap<(u32, &str), Placed<'_>> =
        names.iter().filter_map(|name| Placed::parse(name)).map(|one| ((one.number, one.etag), one)).collect();
    let find = |part: &NativePart| {
        let wrong = || Refusal::bad(400, "InvalidPart", format!("part {} is not the one named", part.number));
        if let Some(Placed { offset, size, .. }) = placed.get(&(part.number, part.etag.as_str())) {
            return Ok(Lies::Placed { offset: *offset, size: *size });
        }
        if !is_id(&part.etag) {
            return Err(wrong());
        }
        let file = match open_part(folder, &part_name(part.number, &part.etag)) {
            Err(Errno::NOENT) => return Err(wrong()),
            other => other.map_err(before("open a part"))?,
        };
        let size = fstat(&file).map_err(before("ask about a part"))?.st_size as u64;
        Ok(Lies::Alone(file, size))
    };
    parts.iter().map(find).collect()
}

/// The parts copied into one new file.
fn joined(core: &Arc<Core>, at: &At, folder: &OwnedFd, parts: &[Lies]) -> Result<Temp, Refusal> {
    let mut temp = Temp::new(core, at)?;
    let mut body = None;
    for part in parts {
        match part {
            Lies::Alone(file, size) => temp.append(file, *size)?,
            Lies::Placed { offset, size } => {
                let body = match &mut body {
                    Some(body) => body,
                    none => none.insert(in_place::body(folder).map_err(before("open the parts"))?),
                };
                in_place::seek_to(body, *offset)?;
                temp.append(body, *size)?;
            }
        }
    }
    Ok(temp)
}

fn open_part(folder: &OwnedFd, name: &str) -> rustix::io::Result<File> {
    use rustix::fs::{Mode, OFlags, openat};
    openat(folder, name, OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty()).map(File::from)
}

pub(crate) fn abort(core: &Core, at: &At, id: &str) -> Result<(), Refusal> {
    let _upload = core.lock_upload(&at.bucket, id);
    let (folder, _) = open(core, at, id)?;
    core.unlink(&folder, ABOUT).map_err(before("abort the upload"))?;
    core.sync_folder(&folder).map_err(after("sync the upload"))?;
    clear(core, &at.bucket, id, &folder);
    Ok(())
}

/// Removes an upload's folder, what it is of first: without that it is no upload. What stays goes at the next open.
fn clear(core: &Core, bucket: &str, id: &str, folder: &OwnedFd) {
    let emptied = core.unlink(folder, ABOUT).and_then(|()| {
        for name in names_in(folder)? {
            core.unlink(folder, &name)?;
        }
        core.remove_folder(&core.root.folder(&Private::Uploads.of(bucket))?, id)
    });
    if let Err(errno) = emptied {
        tracing::debug!(bucket, id, %errno, "an ended upload's folder stays behind");
    }
}

pub(crate) fn list(core: &Core, bucket: &str) -> Result<Vec<(String, String)>, Refusal> {
    core.bucket(bucket)?;
    let mut open = Vec::new();
    for id in ids(core, bucket)? {
        if let Some((_, about)) = open_any(core, bucket, &id)? {
            open.push((about.key, id));
        }
    }
    open.sort();
    Ok(open)
}

fn ids(core: &Core, bucket: &str) -> Result<Vec<String>, Refusal> {
    match core.root.folder(&Private::Uploads.of(bucket)).and_then(names_in) {
        Ok(names) => Ok(names.into_iter().filter(|name| is_id(name)).collect()),
        Err(errno) if is_absence(errno) => Ok(Vec::new()),
        Err(errno) => Err(before("read the uploads")(errno)),
    }
}

/// At open: folders that say of nothing what they are of were begun or ended by a process that died.
pub(crate) fn sweep(core: &Core, bucket: &str) -> Result<(), Refusal> {
    for id in ids(core, bucket)? {
        if open_any(core, bucket, &id)?.is_none() {
            let folder = core.root.folder(&Private::Uploads.of(bucket)).and_then(|dir| open_in(&dir, &id));
            clear(core, bucket, &id, &folder.map_err(before("open the upload"))?);
        }
    }
    Ok(())
}
