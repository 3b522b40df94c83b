//! One row of what is shipped: the whole state of one thing, so that a later row takes the place of an earlier one.

use crate::bucket::Bucket;
use crate::maps;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use outlast_rules::{BucketName, Digests, Entry, Key, Seq, Trashed, WriteId};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

/// Digests above this many bytes stay behind (an object of 64 GiB has as many): one row must not fill a segment. A deep scrub
/// makes them again.
pub const DIGEST_BYTES_SHIPPED_MAX: usize = 1024 * 1024;

/// What is shipped of the ledger. Intents, marks and debts are not: after a loss no call of ours is out any more, and what is
/// owed, the stores' listings show.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Row {
    Bucket {
        name: BucketName,
        is: Option<Bucket>,
    },
    Fact {
        name: String,
        is: Option<String>,
    },
    Entry {
        bucket: BucketName,
        key: Key,
        is: Option<Box<Entry>>,
        #[serde(default, skip_serializing_if = "Option::is_none", with = "coded")]
        digests: Option<Digests>,
    },
    Trash {
        bucket: BucketName,
        key: Key,
        write: WriteId,
        is: Option<Box<Trashed>>,
        #[serde(default, skip_serializing_if = "Option::is_none", with = "coded")]
        digests: Option<Digests>,
    },
    /// The client was told that this write failed, and the key has no newer entry: a copy of it on a store counts for nothing.
    RolledBack {
        bucket: BucketName,
        key: Key,
        write: WriteId,
        seq: Seq,
    },
}

/// Where a row stands in the order of a snapshot: buckets and facts first, because the rest is read with them in mind.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct RowPlace {
    pub kind: u8,
    pub bucket: String,
    pub key: String,
    pub write: Option<WriteId>,
}

impl RowPlace {
    pub(crate) const BUCKET: u8 = 0;
    pub(crate) const FACT: u8 = 1;
    pub(crate) const ENTRY: u8 = 2;
    pub(crate) const TRASH: u8 = 3;
    pub(crate) const ROLLED_BACK: u8 = 4;
}

impl Row {
    /// Digests that are not too large to be shipped.
    pub(crate) fn shipped(digests: Option<Digests>) -> Option<Digests> {
        digests.filter(|digests| maps::len_of(&digests.maps) <= DIGEST_BYTES_SHIPPED_MAX)
    }

    /// Appends the row's line.
    pub(crate) fn write_line(&self, lines: &mut Vec<u8>) -> Result<(), serde_json::Error> {
        serde_json::to_writer(&mut *lines, self)?;
        lines.push(b'\n');
        Ok(())
    }
}

/// Digests as base64 of their bytes: as an array of numbers they would be three times as long.
mod coded {
    use super::*;

    pub fn serialize<S: Serializer>(digests: &Option<Digests>, to: S) -> Result<S::Ok, S::Error> {
        digests.as_ref().map(|digests| STANDARD.encode(maps::encode(&digests.maps))).serialize(to)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Digests>, D::Error> {
        let Some(text) = Option::<String>::deserialize(from)? else { return Ok(None) };
        let bytes = STANDARD.decode(text).map_err(D::Error::custom)?;
        let maps = maps::decode(&bytes).ok_or_else(|| D::Error::custom("block digests end in the middle"))?;
        Ok(Some(Digests { maps }))
    }
}
