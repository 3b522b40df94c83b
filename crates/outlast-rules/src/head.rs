//! What a client says about an object besides its bytes: Content-* headers, user metadata, checksums.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Headers and metadata that every copy carries as its own, plain native headers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(default)]
pub struct Head {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_encoding: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_disposition: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_language: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache_control: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires: Option<String>,
    /// User metadata: lower-case names without `x-amz-meta-`. Our stamp is never among them.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: BTreeMap<String, String>,
}

impl Head {
    /// Bytes of user metadata as S3 counts them: names and values.
    pub fn metadata_bytes(&self) -> usize {
        self.metadata.iter().map(|(name, value)| name.len() + value.len()).sum()
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ChecksumKind {
    Crc32,
    Crc32c,
    Crc64nvme,
    Sha1,
    Sha256,
}

/// A checksum that the client declared and we verified; given back on HEAD and GET.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checksum {
    pub kind: ChecksumKind,
    /// Base64 as S3 sends it; for composite ones with the suffix `-<parts>`.
    pub value: String,
    /// False: over the whole object. True: a checksum of part checksums.
    #[serde(default)]
    pub composite: bool,
}
