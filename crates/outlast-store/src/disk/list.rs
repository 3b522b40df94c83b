//! A page of keys in byte order, out of folders that know no order: two walks, plain and escaped, merged.

use super::core::{Core, Private};
use super::errors::{before, is_absence};
use super::names::{Piece, decode, encode, piece_of};
use super::read::{Where, open_lying};
use crate::refusal::Refusal;
use crate::{At, CopyPage, ListedCopy};
use rustix::fd::OwnedFd;
use rustix::fs::{AtFlags, Dir, FileType, statat};
use rustix::io::Errno;
use std::cmp::Ordering;
use std::collections::BinaryHeap;

/// S3's page.
const PAGE_MAX: usize = 1000;
/// So many names of one folder are held at once; a larger folder is read again for the next ones.
pub(super) const NAMES_HELD_MAX: usize = 16 * 1024;

/// One name in a folder, ordered as the keys below it are.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Name {
    /// What it adds to the key; `/` ends it where it is a plain folder.
    adds: String,
    is_folder: bool,
}

impl Ord for Name {
    fn cmp(&self, other: &Name) -> Ordering {
        self.adds.cmp(&other.adds).then(self.is_folder.cmp(&other.is_folder))
    }
}

impl PartialOrd for Name {
    fn partial_cmp(&self, other: &Name) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// One open folder of a walk.
struct Level {
    /// Below the root.
    path: String,
    /// The keys in it begin so.
    begins: String,
    /// Largest first, so that the next one is popped.
    names: Vec<Name>,
    /// There are more names after these.
    more_after: Option<Name>,
}

/// A walk through one of the two trees. `prefix` and `after` are in the tree's own spelling, which keeps order.
struct Walk<'a> {
    core: &'a Core,
    place: Where,
    prefix: String,
    after: Option<String>,
    levels: Vec<Level>,
    next: Option<(String, String)>,
}

impl<'a> Walk<'a> {
    fn plain(core: &'a Core, bucket: &str, prefix: &str, after: Option<&str>) -> Result<Walk<'a>, Refusal> {
        let (folder, _) = prefix.rsplit_once('/').unwrap_or(("", prefix));
        let reachable = folder.is_empty() && !prefix.starts_with('/') || core.rules.is_plain(&format!("{folder}/x"));
        let (path, begins) = match folder {
            "" => (bucket.to_owned(), String::new()),
            folder => (format!("{bucket}/{folder}"), format!("{folder}/")),
        };
        let start = reachable.then_some((path, begins));
        Walk::start(core, Where::Plain, prefix.to_owned(), after.map(str::to_owned), start)
    }

    fn escaped(core: &'a Core, bucket: &str, prefix: &str, after: Option<&str>) -> Result<Walk<'a>, Refusal> {
        let start = Some((Private::Keys.of(bucket), String::new()));
        Walk::start(core, Where::Escaped, encode(prefix), after.map(encode), start)
    }

    fn start(
        core: &'a Core,
        place: Where,
        prefix: String,
        after: Option<String>,
        start: Option<(String, String)>,
    ) -> Result<Walk<'a>, Refusal> {
        let mut walk = Walk { core, place, prefix, after, levels: Vec::new(), next: None };
        if let Some((path, begins)) = start {
            walk.enter(path, begins, None)?;
        }
        walk.advance()?;
        Ok(walk)
    }

    /// The next key, and its path below the root.
    fn peek(&self) -> Option<&str> {
        self.next.as_ref().map(|(key, _)| key.as_str())
    }

    fn take(&mut self) -> Result<Option<(String, String)>, Refusal> {
        let taken = self.next.take();
        self.advance()?;
        Ok(taken)
    }

    fn advance(&mut self) -> Result<(), Refusal> {
        while let Some(level) = self.levels.last_mut() {
            let Some(name) = level.names.pop() else {
                let Level { path, begins, more_after, .. } = self.levels.pop().expect("it was there");
                if more_after.is_some() {
                    self.enter(path, begins, more_after)?;
                }
                continue;
            };
            let spelt = format!("{}{}", level.begins, name.adds);
            let path = format!("{}/{}", level.path, self.place.file_name(&name));
            if name.is_folder {
                self.enter(path, spelt, None)?;
                continue;
            }
            let key = match self.place {
                Where::Plain => Some(spelt).filter(|key| self.core.rules.is_plain(key)),
                Where::Escaped => decode(&spelt),
            };
            if let Some(key) = key {
                self.next = Some((key, path));
                return Ok(());
            }
        }
        Ok(())
    }

    /// Reads the smallest names of a folder that can hold keys of the page, from `floor` on.
    fn enter(&mut self, path: String, begins: String, floor: Option<Name>) -> Result<(), Refusal> {
        let folder = match self.core.root.folder(&path) {
            Ok(folder) => folder,
            // It went while we walked, or never was.
            Err(errno) if is_absence(errno) => return Ok(()),
            Err(errno) => return Err(before("open a folder")(errno)),
        };
        let mut smallest: BinaryHeap<Name> = BinaryHeap::new();
        let mut more = false;
        let fail = before("read a folder");
        for entry in Dir::read_from(&folder).map_err(&fail)? {
            let entry = entry.map_err(&fail)?;
            let Ok(text) = entry.file_name().to_str() else { continue };
            let Some(is_folder) = kind_of(&folder, text, entry.file_type()) else { continue };
            let private = self.place == Where::Plain && begins == ".outlast/" && text == ".disk";
            let Some(name) = self.place.name(text, is_folder).filter(|_| !private) else { continue };
            if floor.as_ref().is_some_and(|floor| name <= *floor) || !self.can_hold(&begins, &name) {
                continue;
            }
            smallest.push(name);
            if smallest.len() > NAMES_HELD_MAX {
                smallest.pop();
                more = true;
            }
        }
        let mut names = smallest.into_sorted_vec();
        let more_after = if more { names.last().cloned() } else { None };
        names.reverse();
        self.levels.push(Level { path, begins, names, more_after });
        Ok(())
    }

    /// Can a key at or below this name have the prefix and come after the last page?
    fn can_hold(&self, begins: &str, name: &Name) -> bool {
        let spelt = format!("{begins}{}", name.adds);
        let fits = spelt.starts_with(&self.prefix) || (name.is_folder && self.prefix.starts_with(&spelt));
        let later = |after: &String| spelt > *after || (name.is_folder && after.starts_with(&spelt));
        fits && self.after.as_ref().is_none_or(later)
    }
}

impl Where {
    fn name(self, text: &str, is_folder: bool) -> Option<Name> {
        match (self, is_folder) {
            (_, true) if text == "." || text == ".." => None,
            (Where::Plain, true) => Some(Name { adds: format!("{text}/"), is_folder }),
            (Where::Plain, false) => Some(Name { adds: text.to_owned(), is_folder }),
            (Where::Escaped, _) => match (piece_of(text)?, is_folder) {
                (Piece::GoesOn(piece), true) | (Piece::Ends(piece), false) => {
                    Some(Name { adds: piece.to_owned(), is_folder })
                }
                _ => None,
            },
        }
    }

    fn file_name(self, name: &Name) -> String {
        match (self, name.is_folder) {
            (Where::Plain, _) => name.adds.trim_end_matches('/').to_owned(),
            (Where::Escaped, true) => format!("{}+", name.adds),
            (Where::Escaped, false) => format!("{}=", name.adds),
        }
    }
}

/// Folder or file; None for links, sockets and whatever else holds no key.
fn kind_of(folder: &OwnedFd, name: &str, told: FileType) -> Option<bool> {
    let kind = match told {
        FileType::Unknown => FileType::from_raw_mode(statat(folder, name, AtFlags::SYMLINK_NOFOLLOW).ok()?.st_mode),
        known => known,
    };
    match kind {
        FileType::Directory => Some(true),
        FileType::RegularFile => Some(false),
        _ => None,
    }
}

pub(crate) fn page(core: &Core, bucket: &str, prefix: &str, after: Option<&str>) -> Result<CopyPage, Refusal> {
    core.bucket(bucket)?;
    let mut plain = Walk::plain(core, bucket, prefix, after)?;
    let mut escaped = Walk::escaped(core, bucket, prefix, after)?;
    let mut page = CopyPage::default();
    loop {
        let (first, place) = match (plain.peek(), escaped.peek()) {
            (None, None) => return Ok(page),
            (Some(_), None) => (&mut plain, Where::Plain),
            (None, Some(_)) => (&mut escaped, Where::Escaped),
            (Some(a), Some(b)) => match a.cmp(b) {
                Ordering::Less => (&mut plain, Where::Plain),
                Ordering::Greater => (&mut escaped, Where::Escaped),
                // The plain one is the one that is found.
                Ordering::Equal => {
                    escaped.take()?;
                    (&mut plain, Where::Plain)
                }
            },
        };
        let Some((key, path)) = first.take()? else { return Ok(page) };
        let at = At::new(bucket, key);
        let Some(lying) = open_lying(core, &at, place, &path)? else { continue };
        if page.copies.len() == PAGE_MAX {
            page.next = page.copies.last().map(|last| last.key.clone());
            return Ok(page);
        }
        let found = lying.found();
        page.copies.push(ListedCopy { key: at.key, size: found.size, etag: found.pin.etag, modified: found.modified });
    }
}

/// Native buckets: the root's folders that could be buckets.
pub(crate) fn buckets(core: &Core) -> Result<Vec<String>, Refusal> {
    let root = core.root.as_folder();
    if core.root.is_gone() {
        return Err(before("read the root")(Errno::NOENT));
    }
    let mut names = super::root::names_in(root).map_err(before("read the root"))?;
    names.retain(|name| super::names::is_bucket(name) && kind_of(root, name, FileType::Unknown) == Some(true));
    names.sort();
    Ok(names)
}
