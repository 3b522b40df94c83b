//! The ledger's truth about one key: the entry, writes that have begun, calls that may still apply, what stores last showed.

use crate::{BucketName, Checksum, Head, Key, Moment, Pin, Seq, StoreName, WriteId};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// The current truth for a key (protocol.md 1).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    pub write: WriteId,
    pub seq: Seq,
    pub kind: EntryKind,
    pub size: u64,
    /// The ETag shown to clients, without quotes.
    pub etag: String,
    /// What clients see as Last-Modified.
    pub modified: Moment,
    #[serde(default)]
    pub head: Head,
    #[serde(default)]
    pub layout: Layout,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub checksums: Vec<Checksum>,
    /// Stores known to have a right copy, and how to name it there.
    #[serde(default)]
    pub holders: BTreeMap<StoreName, Pin>,
    /// Where the entry was adopted from: these copies have no stamp, their pins alone name them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub adopted_from: Option<Adopted>,
    /// Committed below `min_copies` (rule 2.7d): what it replaced, until it has enough places. Never chosen automatically.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub predecessors: Vec<Predecessor>,
    /// A tombstone's record on the stores: `.outlast/tomb/<this id>`; one record may carry a whole batch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub record: Option<WriteId>,
}

/// Stores whose copies were there before their entry was; never none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "OneOrMore", into = "OneOrMore")]
pub struct Adopted(BTreeSet<StoreName>);

/// One is written as it always was: its name.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum OneOrMore {
    One(StoreName),
    More(BTreeSet<StoreName>),
}

impl From<OneOrMore> for Adopted {
    fn from(stores: OneOrMore) -> Adopted {
        match stores {
            OneOrMore::One(store) => Adopted(BTreeSet::from([store])),
            OneOrMore::More(stores) => Adopted(stores),
        }
    }
}

impl From<Adopted> for OneOrMore {
    fn from(adopted: Adopted) -> OneOrMore {
        match adopted.0.iter().next() {
            Some(store) if adopted.0.len() == 1 => OneOrMore::One(store.clone()),
            _ => OneOrMore::More(adopted.0),
        }
    }
}

impl Adopted {
    /// None: no stores.
    pub fn of(stores: impl IntoIterator<Item = StoreName>) -> Option<Adopted> {
        let stores: BTreeSet<StoreName> = stores.into_iter().collect();
        (!stores.is_empty()).then_some(Adopted(stores))
    }

    /// Those of them that `known` still says yes to; None: no store.
    pub fn among(self, known: impl Fn(&StoreName) -> bool) -> Option<Adopted> {
        Adopted::of(self.0.into_iter().filter(known))
    }

    /// The copy there has a stamp now.
    pub fn without(mut self, store: &StoreName) -> Option<Adopted> {
        self.0.remove(store);
        (!self.0.is_empty()).then_some(self)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EntryKind {
    Object,
    /// A delete. Its places are tombstone records, not absences.
    Tombstone,
}

/// How the bytes are cut on the stores, so that copies made later get the same native ETags where limits permit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "snake_case")]
pub enum Layout {
    #[default]
    Whole,
    /// Sizes of the client's parts, in order.
    Parts(Vec<u64>),
    /// One body for the client, cut by us for the stores: sizes in order.
    Cut(Vec<u64>),
}

/// An older truth that an entry below `min_copies` may have displaced.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Predecessor {
    pub write: WriteId,
    pub seq: Seq,
    pub size: u64,
    pub etag: String,
    pub holders: BTreeMap<StoreName, Pin>,
}

/// A write that has begun and is undecided. Durable before its first commit call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Intent {
    pub bucket: BucketName,
    pub key: Key,
    pub began: Moment,
    /// What the entry will be if this write is committed; `holders` gathers what was seen.
    pub entry: Entry,
    /// True when the fsynced spool holds its whole body.
    #[serde(default)]
    pub spooled: bool,
    /// The client upload that this write completes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upload: Option<String>,
}

/// What was last seen under a key on one store, kept apart from the holders: the next fence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// None: no stamp of ours, or absence.
    pub write: Option<WriteId>,
    /// None: absent.
    pub pin: Option<Pin>,
}

impl Entry {
    /// Is the copy there one that was there before this entry: without our stamp, and right by its pin?
    pub fn is_adopted_on(&self, store: &StoreName) -> bool {
        self.adopted_from.as_ref().is_some_and(|adopted| adopted.0.contains(store))
    }

    pub fn is_object(&self) -> bool {
        self.kind == EntryKind::Object
    }
}
