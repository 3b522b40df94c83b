//! Native buckets are folders of the root; and what an earlier process left in them when it died.

use super::core::{Core, Private, open_in};
use super::errors::{after, before, is_absence};
use super::names::{is_bucket, piece_of};
use super::read::{Where, find_in};
use super::record::{forget_side, parse_side};
use super::root::names_in;
use super::uploads;
use crate::At;
use crate::refusal::Refusal;
use rustix::fd::OwnedFd;
use rustix::fs::{AtFlags, Mode, OFlags, openat, statat};
use rustix::io::Errno;
use std::fs::File;

pub(crate) fn create(core: &Core, bucket: &str) -> Result<(), Refusal> {
    if !is_bucket(bucket) {
        return Err(Refusal::bad(400, "InvalidBucketName", format!("{bucket:?} cannot be the name of a folder")));
    }
    if core.root.is_gone() {
        core.bucket(bucket)?;
    }
    let lock = core.folder_lock(bucket).write().unwrap_or_else(|poisoned| poisoned.into_inner());
    let fail = before("make the bucket");
    core.make_folder_in(core.root.as_folder(), bucket).map_err(&fail)?;
    for which in [Private::Temp, Private::Keys] {
        core.make_folders(bucket, &which.path()).map_err(&fail)?;
    }
    drop(lock);
    Ok(())
}

/// Only a bucket in which nothing lies but our own empty folders goes.
pub(crate) fn remove(core: &Core, bucket: &str) -> Result<(), Refusal> {
    let folder = core.bucket(bucket)?;
    let _changing = core.folder_lock(bucket).write().unwrap_or_else(|poisoned| poisoned.into_inner());
    let fail = before("look into the bucket");
    let only = |dir: &OwnedFd, name: &str| names_in(dir).map(|names| names.iter().all(|seen| seen == name));
    let records = match open_in(&folder, ".outlast") {
        Err(Errno::NOENT) => None,
        other => Some(other.map_err(&fail)?),
    };
    let empty = only(&folder, ".outlast").map_err(&fail)?
        && records.as_ref().map_or(Ok(true), |dir| only(dir, ".disk")).map_err(&fail)?
        && has_no_escaped_keys(core, bucket)?;
    if !empty {
        return Err(Refusal::bucket_not_empty());
    }
    let gone = records.map_or(Ok(()), |records| {
        remove_tree(core, &records, ".disk")?;
        core.remove_folder(&folder, ".outlast")
    });
    gone.and_then(|()| core.remove_folder(core.root.as_folder(), bucket)).map_err(|errno| match errno {
        Errno::NOTEMPTY => Refusal::bucket_not_empty(),
        _ => after("remove the bucket")(errno),
    })?;
    core.sync_folder(core.root.as_folder()).map_err(after("sync the root"))
}

fn has_no_escaped_keys(core: &Core, bucket: &str) -> Result<bool, Refusal> {
    match core.root.folder(&Private::Keys.of(bucket)).and_then(names_in) {
        Ok(names) => Ok(!names.iter().any(|name| piece_of(name).is_some())),
        Err(errno) if is_absence(errno) => Ok(true),
        Err(errno) => Err(before("look into the bucket")(errno)),
    }
}

fn remove_tree(core: &Core, dir: &OwnedFd, name: &str) -> rustix::io::Result<()> {
    let folder = match open_in(dir, name) {
        Ok(folder) => folder,
        Err(Errno::NOENT) => return Ok(()),
        Err(Errno::NOTDIR | Errno::LOOP) => return core.unlink(dir, name),
        Err(errno) => return Err(errno),
    };
    for below in names_in(&folder)? {
        remove_tree(core, &folder, &below)?;
    }
    core.remove_folder(dir, name)
}

/// At open: unfinished files and their records, and uploads that are none.
pub(crate) fn sweep(core: &Core, bucket: &str) -> Result<(), Refusal> {
    uploads::sweep(core, bucket)?;
    let fail = before("tidy up");
    let temp = match core.root.folder(&Private::Temp.of(bucket)) {
        Ok(temp) => temp,
        Err(errno) if is_absence(errno) => return Ok(()),
        Err(errno) => return Err(fail(errno)),
    };
    for name in names_in(&temp).map_err(&fail)? {
        sweep_side(core, bucket, &temp, &name)?;
        core.unlink(&temp, &name).map_err(&fail)?;
    }
    Ok(())
}

/// A record beside an unfinished file goes with it; not when the file had its name already and only the power failed.
fn sweep_side(core: &Core, bucket: &str, temp: &OwnedFd, name: &str) -> Result<(), Refusal> {
    let fail = before("tidy up");
    let hash = name.split('-').next().unwrap_or_default();
    let Ok(stat) = statat(temp, name, AtFlags::SYMLINK_NOFOLLOW) else { return Ok(()) };
    let Some(fan) = hash.get(..2) else { return Ok(()) };
    let Ok(dir) = core.root.folder(&format!("{}/{fan}", Private::Side.of(bucket))) else { return Ok(()) };
    let side_name = format!("{hash}-{:x}", stat.st_ino);
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = match openat(&dir, &side_name, flags, Mode::empty()) {
        Ok(file) => File::from(file),
        Err(_) => return Ok(()),
    };
    let Some(side) = parse_side(file).map_err(&fail)? else {
        return core.unlink(&dir, &side_name).map_err(&fail);
    };
    let at = At::new(bucket, side.key);
    for place in [Where::Plain, Where::Escaped] {
        if find_in(core, &at, place)?.is_some_and(|lying| lying.stat.st_ino == stat.st_ino) {
            return Ok(());
        }
    }
    forget_side(core, bucket, &at.key, stat.st_ino);
    Ok(())
}
