//! A write whose bytes are ready, and how they reach each store.

use crate::call::Load;
use crate::held::Held;
use crate::seats::Operation;
use outlast_rules::{BucketName, Checksum, Conditions, Digests, Head, Key, Layout, StoreName, WriteId};
use outlast_store::NativePart;
use std::collections::BTreeMap;

/// A write whose bytes are ready.
pub(crate) struct Draft {
    pub bucket: BucketName,
    /// The incarnation of the bucket in which it was begun.
    pub life: u64,
    pub key: Key,
    pub head: Head,
    pub etag: String,
    pub size: u64,
    pub layout: Layout,
    pub checksums: Vec<Checksum>,
    pub digests: Option<Digests>,
    pub conditions: Conditions,
    pub loads: Loads,
}

/// Where the bytes are.
pub(crate) enum Loads {
    /// Here; every store gets the same body.
    Body { held: Held, md5: Option<[u8; 16]> },
    /// On the stores already, as the parts of native uploads; only these stores can complete.
    Complete {
        write: WriteId,
        upload: String,
        natives: BTreeMap<StoreName, (String, Vec<NativePart>)>,
        /// All parts, where the spool holds them.
        spooled: Option<Held>,
    },
}

impl Loads {
    pub(super) fn of(&self, store: &StoreName) -> Option<Load> {
        match self {
            Loads::Body { held, md5 } => Some(Load::Body { held: held.clone(), md5: *md5 }),
            Loads::Complete { natives, .. } => {
                let (upload, parts) = natives.get(store)?.clone();
                Some(Load::Complete { upload, parts })
            }
        }
    }

    /// What the spool would keep.
    pub(super) fn held(&self) -> Option<&Held> {
        match self {
            Loads::Body { held, .. } => Some(held),
            Loads::Complete { spooled, .. } => spooled.as_ref(),
        }
    }

    pub(super) fn operation(&self) -> Operation {
        match self {
            Loads::Body { .. } => Operation::Put,
            Loads::Complete { .. } => Operation::Complete,
        }
    }
}
