//! One trait, said once: what the engine may ask of a store, and how it hears that something did not work.

use crate::cause::Cause;
use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::BoxStream;
pub use outlast_rules::Fault;
use outlast_rules::{Fence, Head, Moment, Outcome, Pin, Stamp, StoreName};
use reqsign_core::hash::hex_sha256;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::OnceCell;

/// The metadata name of our stamp on every copy: `x-amz-meta-outlast`, `x-ms-meta-outlast`, xattr.
pub const STAMP_NAME: &str = "outlast";

/// A native bucket and a native key, byte for byte. Our own records have keys under `.outlast/`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct At {
    pub bucket: String,
    pub key: String,
}

impl At {
    pub fn new(bucket: impl Into<String>, key: impl Into<String>) -> At {
        At { bucket: bucket.into(), key: key.into() }
    }
}

/// Bytes of a body on its way; an error ends it.
pub type ByteStream = BoxStream<'static, std::io::Result<Bytes>>;

/// A body of known length.
pub enum Body {
    Whole(Bytes),
    /// The same bytes go to several stores.
    Shared(Shared),
    Stream {
        len: u64,
        bytes: ByteStream,
    },
}

impl Body {
    pub fn len(&self) -> u64 {
        match self {
            Body::Whole(bytes) | Body::Shared(Shared { bytes, .. }) => bytes.len() as u64,
            Body::Stream { len, .. } => *len,
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Bytes that several stores are sent, with what any of them had to compute of them: computed once for all.
#[derive(Debug, Clone)]
pub struct Shared {
    pub bytes: Bytes,
    sha256: Arc<OnceCell<String>>,
}

/// Up to here hashing is quicker than the hop to another thread.
const HASH_INLINE_MAX: usize = 256 * 1024;

impl Shared {
    pub fn new(bytes: Bytes) -> Shared {
        Shared { bytes, sha256: Arc::default() }
    }

    /// In lower-case hexadecimal, as signatures want it. Computed by whoever asks first; the others wait for it.
    pub async fn sha256(&self) -> &str {
        let compute = async {
            if self.bytes.len() <= HASH_INLINE_MAX {
                return hex_sha256(&self.bytes);
            }
            let bytes = self.bytes.clone();
            let hashed = tokio::task::spawn_blocking(move || hex_sha256(&bytes)).await;
            // The runtime is shutting down: nobody will wait for the request itself.
            hashed.unwrap_or_else(|_| hex_sha256(&self.bytes))
        };
        self.sha256.get_or_init(|| compute).await
    }
}

/// What a copy carries besides its bytes.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Dress {
    pub head: Head,
    /// Our stamp; None only on our own records and canaries.
    pub stamp: Option<Stamp>,
}

/// A conditional PUT, Complete or copy.
#[derive(Debug, Clone, Default)]
pub struct PutSpec {
    pub dress: Dress,
    pub fence: Option<Fence>,
    /// MD5 of the whole body where known: sent so that the store can refuse what the wire changed.
    pub md5: Option<[u8; 16]>,
}

/// What lies under a key.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    pub pin: Pin,
    pub size: u64,
    pub dress: Dress,
    pub modified: Option<Moment>,
}

/// `start..end`, end exclusive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ByteRange {
    pub start: u64,
    pub end: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedCopy {
    pub key: String,
    pub size: u64,
    /// Without quotes.
    pub etag: String,
    pub modified: Option<Moment>,
}

/// One page of a plain listing, in byte order of the keys.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CopyPage {
    pub copies: Vec<ListedCopy>,
    /// Give this back to go on; None at the end.
    pub next: Option<String>,
}

/// One native version of a key; delete markers are not shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedVersion {
    pub key: String,
    /// None where what was written has no version id of its own (S3's `null`).
    pub version: Option<String>,
    /// What a request without a version id gets.
    pub is_current: bool,
    pub size: u64,
    pub etag: String,
    pub modified: Option<Moment>,
}

/// One page of all native versions, in byte order of the keys, all versions of a key together; a page may end between them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct VersionPage {
    pub versions: Vec<ListedVersion>,
    /// Give this back to go on; None at the end.
    pub next: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NativePart {
    pub number: u32,
    pub size: u64,
    pub etag: String,
}

/// What happened to the request, as far as can be known (protocol.md 1, "outcome").
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Applied {
    /// The store itself said no.
    No,
    /// No byte of the request was sent.
    NotSent,
    Unknown,
}

/// One attempt that did not work. Its text says what, where, how long.
#[derive(Debug, Clone, PartialEq)]
pub struct StoreError {
    pub store: StoreName,
    /// `put photos/cat.jpg`
    pub what: String,
    pub fault: Fault,
    pub applied: Applied,
    pub status: Option<u16>,
    /// The store's own error code.
    pub code: Option<String>,
    pub message: String,
    pub request_id: Option<String>,
    /// What only the place where it happened could tell; `help` makes words of it.
    pub cause: Option<Cause>,
    pub elapsed: Duration,
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} on {}: {}", self.what, self.store, self.message)?;
        match (self.status, &self.code) {
            (Some(status), Some(code)) => write!(f, " ({status} {code})")?,
            (Some(status), None) => write!(f, " ({status})")?,
            _ => {}
        }
        if let Some(id) = &self.request_id {
            write!(f, " [request {id}]")?;
        }
        write!(f, " after {:.1} s", self.elapsed.as_secs_f64())?;
        if self.applied == Applied::Unknown {
            f.write_str(", outcome unknown")?;
        }
        Ok(())
    }
}

impl std::error::Error for StoreError {}

pub type Answer<T> = Result<T, StoreError>;

/// The outcome of a commit call.
pub fn outcome_of(answer: &Answer<Pin>) -> Outcome {
    match answer {
        Ok(pin) => Outcome::Done(pin.clone()),
        Err(error) => match error.applied {
            Applied::No => Outcome::Rejected,
            Applied::NotSent => Outcome::Failed,
            Applied::Unknown => Outcome::Unknown,
        },
    }
}

/// What kind of store this is and what it can hold (stores.md; each kind's module cites its sources).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// "disk", "s3", "memory".
    pub kind: &'static str,
    /// Names and values of user metadata together, the stamp included.
    pub metadata_bytes_max: usize,
    /// Largest body of one PutObject.
    pub put_bytes_max: u64,
    pub part_bytes_min: u64,
    pub part_bytes_max: u64,
    pub parts_max: u32,
    /// All parts but the last have one size.
    pub parts_alike: bool,
    /// Largest source of one server-side copy.
    pub copy_bytes_max: u64,
    /// Calls are never given up: a mark ends with the call's return (a local disk).
    pub never_given_up: bool,
    /// The ETag of a single PUT is the MD5 of the body, so it can be foretold.
    pub etag_is_md5: bool,
    /// Every request costs money: the canary comes every 60 s only.
    pub metered: bool,
}

/// One independent place that keeps bytes.
///
/// # Contract
/// - One call is one attempt; a store never retries. Only the engine does, and counts it.
/// - Keys are kept byte for byte as the engine gives them; what the store cannot hold it escapes by its documented rule,
///   and `list` gives the engine's key back.
/// - Success means: the whole success answer was read and understood.
/// - `Applied::No` and `NotSent` are promises; whoever is in doubt says `Unknown`.
/// - A call whose future is dropped may still apply.
/// - A fence that the store does not honour is sent all the same; whether it is honoured, the probe decides.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    fn name(&self) -> &StoreName;
    fn limits(&self) -> &Limits;
    /// For `status` and `check`: `disk /srv/objects`, `s3 https://…`.
    fn place(&self) -> String;

    async fn put(&self, at: &At, spec: &PutSpec, body: Body) -> Answer<Pin>;
    /// The current copy, or the one with this native version id.
    async fn head(&self, at: &At, version: Option<&str>) -> Answer<Found>;
    /// Does the copy lie under exactly this key, so that anybody finds it without us? False: under another name, by the rule that
    /// the kind documents. A kind that never escapes keeps this answer.
    async fn is_plain(&self, _at: &At) -> Answer<bool> {
        Ok(true)
    }
    /// Pinned: by version id where the pin has one, else by If-Match on its ETag. `range` of an empty object is an error; don't ask.
    async fn get(&self, at: &At, pin: Option<&Pin>, range: Option<ByteRange>) -> Answer<(Found, ByteStream)>;
    /// Server-side copy within this store, source pinned, dress REPLACEd.
    async fn copy(&self, from: &At, pin: &Pin, to: &At, spec: &PutSpec) -> Answer<Pin>;
    /// An absent key is Ok. With a version id: that version and nothing else. On a store with versions and without id: hides.
    async fn delete(&self, at: &At, version: Option<&str>, fence: Option<&Fence>) -> Answer<()>;
    /// `after`: a `next` of an earlier page. At most 1,000 a page. Our own records are shown like any key.
    async fn list(&self, bucket: &str, prefix: &str, after: Option<&str>) -> Answer<CopyPage>;

    /// Every native version, noncurrent ones too; of one key the newest first. Unsupported where the store cannot show them.
    async fn list_versions(&self, bucket: &str, prefix: &str, after: Option<&str>) -> Answer<VersionPage> {
        let _not_asked = after;
        Err(StoreError {
            store: self.name().clone(),
            what: format!("list versions of {bucket}/{prefix}"),
            fault: Fault::Unsupported,
            applied: Applied::No,
            status: None,
            code: None,
            message: "native versions cannot be listed here".to_owned(),
            request_id: None,
            cause: None,
            elapsed: Duration::ZERO,
        })
    }

    async fn create_upload(&self, at: &At, dress: &Dress) -> Answer<String>;
    /// The part's ETag.
    async fn put_part(&self, at: &At, upload: &str, number: u32, body: Body, md5: Option<[u8; 16]>) -> Answer<String>;
    async fn complete_upload(&self, at: &At, upload: &str, parts: &[NativePart], fence: Option<&Fence>) -> Answer<Pin>;
    /// An upload that is gone is NoUpload.
    async fn abort_upload(&self, at: &At, upload: &str) -> Answer<()>;
    async fn list_parts(&self, at: &At, upload: &str) -> Answer<Vec<NativePart>>;
    /// (key, upload id) of every open upload of a bucket.
    async fn list_uploads(&self, bucket: &str) -> Answer<Vec<(String, String)>>;

    /// An existing bucket of ours is Ok.
    async fn create_bucket(&self, bucket: &str) -> Answer<()>;
    async fn delete_bucket(&self, bucket: &str) -> Answer<()>;
    /// NoBucket when it is not there.
    async fn head_bucket(&self, bucket: &str) -> Answer<()>;
    async fn list_buckets(&self) -> Answer<Vec<String>>;
    /// Are native versions kept for this bucket now?
    async fn keeps_versions(&self, bucket: &str) -> Answer<bool>;
    /// Keep native versions from now on; Unsupported where the store cannot.
    async fn keep_versions(&self, bucket: &str) -> Answer<()>;
    /// What an earlier process was told by `keeps_versions`. Some stores answer with version ids and keep no versions: whoever
    /// was not asked, and is not told, would take them for pins.
    fn learn_versions(&self, _bucket: &str, _keeps: bool) {}
}
