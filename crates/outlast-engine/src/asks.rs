//! What the outside may ask of the engine, and what it hears: plain structs, no HTTP.

use crate::deep_progress::DeepRound;
use crate::shipping::ShippingStatus;
use bytes::Bytes;
use futures_util::stream::BoxStream;
pub use outlast_ledger::LedgerError;
use outlast_rules::{BucketName, Checksum, ChecksumKind, Conditions, Entry, Head, Key, Moment, Refusal, StoreName};
use std::collections::BTreeMap;

/// Why a client's body is not taken. Nothing was committed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BodyFault {
    #[error("the body ended after {got} of {expected} bytes")]
    Short { got: u64, expected: u64 },
    #[error("the chunked body ended without its last, empty chunk")]
    NoLastChunk,
    #[error("the body goes on after its declared {expected} bytes")]
    Long { expected: u64 },
    #[error("the body is longer than the {max} bytes that are allowed")]
    TooLarge { max: u64 },
    #[error("Content-MD5 does not match the body")]
    Md5,
    #[error("x-amz-content-sha256 does not match the body")]
    Sha256,
    #[error("the {kind:?} checksum declared, {declared}, does not match the body's, {computed}")]
    Checksum { kind: ChecksumKind, declared: String, computed: String },
    #[error("the trailer {0} was declared and did not come")]
    TrailerMissing(String),
    #[error("a chunk signature does not match")]
    ChunkSignature,
    #[error("the body's framing is broken: {0}")]
    Framing(String),
    #[error("the client went away or sent nothing for too long: {0}")]
    Gone(String),
}

/// Bytes from a client as they come.
pub type ClientStream = BoxStream<'static, Result<Bytes, BodyFault>>;

/// A body on its way in.
pub struct ClientBody {
    /// Declared length (decoded length of chunked bodies); always known for S3.
    pub len: u64,
    pub bytes: ClientStream,
    pub declared: Declared,
}

/// What the client says its bytes will add up to. All of it is checked before anything is committed.
#[derive(Default)]
pub struct Declared {
    pub md5: Option<[u8; 16]>,
    pub checksums: Vec<DeclaredChecksum>,
    /// Compute this kind and keep it although no value was declared (x-amz-checksum-algorithm of an upload).
    pub compute: Option<ChecksumKind>,
}

pub struct DeclaredChecksum {
    pub kind: ChecksumKind,
    pub value: DeclaredValue,
}

pub enum DeclaredValue {
    /// In a header: base64.
    Now(String),
    /// In a trailer: asked once the body has ended; None: it did not come.
    Trailer(Box<dyn FnOnce() -> Option<String> + Send + Sync>),
}

pub struct PutAsk {
    pub bucket: BucketName,
    pub key: Key,
    pub head: Head,
    pub body: ClientBody,
    pub conditions: Conditions,
}

/// An accepted write.
#[derive(Debug, Clone, PartialEq)]
pub struct Written {
    pub etag: String,
    pub modified: Moment,
    pub checksums: Vec<Checksum>,
    /// Places that hold it at the answer: store names, and `spool`.
    pub places: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RangeAsk {
    /// `bytes=a-b`, b inclusive.
    FromTo(u64, u64),
    /// `bytes=a-`
    From(u64),
    /// `bytes=-n`
    Last(u64),
    /// `partNumber=n`
    Part(u32),
}

#[derive(Debug, Clone)]
pub struct GetAsk {
    pub bucket: BucketName,
    pub key: Key,
    pub range: Option<RangeAsk>,
    pub conditions: Conditions,
}

/// What is known about an object, for HEAD, GET and copies.
#[derive(Debug, Clone, PartialEq)]
pub struct ObjectFacts {
    pub etag: String,
    pub size: u64,
    pub modified: Moment,
    pub head: Head,
    pub checksums: Vec<Checksum>,
    pub parts: Option<u32>,
    /// The part's number of all, and the range answered: `start..end`; None for a whole object.
    pub range: Option<(u64, u64)>,
}

pub struct GetAnswer {
    pub facts: ObjectFacts,
    /// Bytes of the answer.
    pub len: u64,
    /// An error in here means: cut the connection, never end as if whole.
    pub bytes: BoxStream<'static, Result<Bytes, ReadError>>,
    /// Which store answers first: `x-outlast-source`.
    pub source: String,
    /// `blocks`: every byte checked; `transport`: adopted and not yet scrubbed. `x-outlast-verified`.
    pub verified: &'static str,
}

pub struct CopyAsk {
    pub from_bucket: BucketName,
    pub from_key: Key,
    pub from_conditions: Conditions,
    pub bucket: BucketName,
    pub key: Key,
    /// None: the source's (COPY); Some: REPLACE.
    pub head: Option<Head>,
    pub conditions: Conditions,
    pub checksum: Option<ChecksumKind>,
}

pub struct DeleteAsk {
    pub bucket: BucketName,
    pub key: Key,
    pub conditions: Conditions,
    /// Who asks: whose budget it is.
    pub user: String,
}

#[derive(Debug, Clone, thiserror::Error)]
pub enum WriteError {
    #[error("the bucket does not exist")]
    NoBucket,
    #[error("{0}")]
    NotServed(String),
    #[error("the key does not exist")]
    NoKey,
    #[error(transparent)]
    Body(#[from] BodyFault),
    #[error("a precondition does not hold")]
    Refused(Refusal),
    #[error("The specified copy source is larger than the maximum allowable size for a copy source: {max}")]
    SourceTooLarge { max: u64 },
    #[error("metadata and headers take {got} bytes, the stores of this bucket hold {max}")]
    MetadataTooLarge { got: usize, max: usize },
    #[error(
        "the store {store} drops slashes at the start of a key, so that {key} would lie on top of another key there"
    )]
    KeyNotHeld { store: StoreName, key: Key },
    /// Fewer than `min_copies` places; undecided or not begun. The words say which store and why.
    #[error("{0}")]
    NoQuorum(String),
    /// Spool or ledger disk full.
    #[error("{0}")]
    Full(String),
    #[error("Outlast is stopping")]
    Stopping,
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    #[error("copying: {0}")]
    Source(Box<ReadError>),
}

#[derive(Debug, Clone, thiserror::Error)]
pub enum ReadError {
    #[error("the bucket does not exist")]
    NoBucket,
    #[error("{0}")]
    NotServed(String),
    #[error("the key does not exist")]
    NoKey,
    #[error("a precondition does not hold")]
    Refused(Refusal),
    #[error("the range lies outside the object's {size} bytes")]
    Range { size: u64 },
    /// No holder answers; the words say which and why.
    #[error("{0}")]
    NoHolder(String),
    #[error("Outlast is stopping")]
    Stopping,
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

/// Words for a read that finds no holder, where older writes are kept because the entry was committed below `min_copies`: nothing
/// chooses one of them but the operator (protocol 2.7d).
pub(crate) fn offered(bucket: &BucketName, key: &Key, entry: &Entry) -> String {
    if entry.predecessors.is_empty() {
        return String::new();
    }
    format!(
        "; it was committed below min_copies and older writes of it are kept: `outlast undelete {bucket} --prefix {key} --since TIME`, \
         with a time before that, may bring one back"
    )
}

#[derive(Debug, Clone, thiserror::Error)]
pub enum BucketError {
    #[error("the bucket does not exist")]
    NoBucket,
    #[error("the bucket is yours already")]
    Exists,
    #[error("the bucket is not empty")]
    NotEmpty,
    #[error("{0}")]
    NotServed(String),
    #[error("this bucket is named in the configuration and is never removed by a client")]
    Configured,
    #[error("no bucket can have this name here: {0}")]
    Reserved(String),
    #[error("{0}")]
    NoQuorum(String),
    #[error("Outlast is stopping")]
    Stopping,
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BucketFacts {
    pub name: BucketName,
    pub created: Moment,
}

/// Multipart.
pub struct CreateUploadAsk {
    pub bucket: BucketName,
    pub key: Key,
    pub head: Head,
    pub checksum: Option<ChecksumKind>,
    /// x-amz-checksum-type: true for COMPOSITE, false for FULL_OBJECT; None: the kind's default.
    pub composite: Option<bool>,
}

pub struct PutPartAsk {
    pub bucket: BucketName,
    pub key: Key,
    pub upload: String,
    pub number: u32,
    pub body: ClientBody,
}

pub struct CopyPartAsk {
    pub bucket: BucketName,
    pub key: Key,
    pub upload: String,
    pub number: u32,
    pub from_bucket: BucketName,
    pub from_key: Key,
    pub from_conditions: Conditions,
    /// `start..=end`
    pub range: Option<(u64, u64)>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct PartFacts {
    pub number: u32,
    pub size: u64,
    pub etag: String,
    pub modified: Moment,
    pub checksums: Vec<Checksum>,
}

pub struct CompleteAsk {
    pub bucket: BucketName,
    pub key: Key,
    pub upload: String,
    /// (number, ETag without quotes) in the client's order.
    pub parts: Vec<(u32, String)>,
    /// What the client lists beside a part's ETag, by part number; all of it must be true.
    pub part_checksums: BTreeMap<u32, Vec<(ChecksumKind, String)>>,
    /// Declared whole-object checksum (FULL_OBJECT) or composite one.
    pub checksum: Option<(ChecksumKind, String)>,
    /// x-amz-mp-object-size
    pub size: Option<u64>,
    pub conditions: Conditions,
}

#[derive(Debug, Clone, PartialEq)]
pub struct UploadFacts {
    pub id: String,
    pub key: Key,
    pub began: Moment,
    pub checksum: Option<ChecksumKind>,
}

#[derive(Debug, Clone, thiserror::Error)]
pub enum UploadError {
    #[error("the upload does not exist; it may have been completed or aborted")]
    NoUpload,
    #[error("part {0} was not uploaded, or its ETag or checksum is another")]
    InvalidPart(u32),
    #[error("the parts are not in ascending order")]
    PartOrder,
    #[error("part {number} has {size} bytes; all but the last need at least {min}")]
    TooSmall { number: u32, size: u64, min: u64 },
    #[error("part numbers go from 1 to 10000")]
    PartNumber,
    #[error("the upload is being completed")]
    Completing,
    #[error("the object's size or checksum is not the declared one")]
    Mismatch,
    #[error("the upload was begun with {upload:?} checksums; this one is {declared:?}")]
    OtherChecksum { upload: ChecksumKind, declared: ChecksumKind },
    #[error(
        "the upload was begun with composite {kind:?} checksums, so its completion lists one for each part; that of part \
         {number} is missing"
    )]
    PartChecksumMissing { number: u32, kind: ChecksumKind },
    #[error(transparent)]
    Write(#[from] WriteError),
}

/// For `status`, `/status.json` and the metrics.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Status {
    pub version: String,
    /// Of the ledger, as an absolute path.
    pub data_dir: String,
    pub now: Moment,
    pub epoch: u64,
    pub ledger: String,
    pub undecided: u64,
    pub spool: SpoolStatus,
    pub trash: TrashStatus,
    /// How far the stores know the ledger.
    pub shipping: ShippingStatus,
    /// Since when nothing is removed; None: not frozen.
    pub frozen: Option<Moment>,
    pub stores: Vec<StoreStatus>,
    pub counters: BTreeMap<String, u64>,
}

#[derive(Debug, Clone, serde::Serialize)]
pub struct SpoolStatus {
    pub objects: u64,
    pub bytes: u64,
    pub max: u64,
    /// Why it stands in for no store any more, if so.
    pub latched: Option<String>,
}

/// What deletes and overwrites displaced and can still be brought back.
#[derive(Debug, Clone, Default, serde::Serialize)]
pub struct TrashStatus {
    pub objects: u64,
    pub bytes: u64,
    /// Of the objects, those that stay until somebody releases them.
    pub held: u64,
}

#[derive(Debug, Clone, serde::Serialize)]
pub struct StoreStatus {
    pub name: String,
    pub place: String,
    pub kind: String,
    /// `up`, `down`, `trial`: the worst of all classes.
    pub standing: String,
    /// In words; empty when up.
    pub reason: String,
    /// What the store itself said last, where it is not up for that.
    pub said: Option<String>,
    /// What can be done about it, where somebody can do something.
    pub help: Option<String>,
    pub since: Moment,
    /// class -> (standing, reason)
    pub classes: BTreeMap<String, (String, String)>,
    pub grade: String,
    pub probed: Option<Moment>,
    /// Why the last probe came to nothing, if it did.
    pub unprobed: Option<String>,
    /// Why its copies count for nothing, though it gets them; None: they count.
    pub unfit: Option<String>,
    pub owed_objects: u64,
    pub owed_bytes: u64,
    /// Age of the oldest debt.
    pub lag_ms: u64,
    /// When the last debt will be paid at today's pace; None: not known.
    pub arrival: Option<Moment>,
    pub marks: u64,
    /// It is on its way out; None: it stays.
    pub leaving: Option<outlast_rules::Departure>,
    /// Its deep scrub: the round that runs, and the one before it. None: it may read nothing.
    pub deep_scrub: Option<(DeepRound, Option<DeepRound>)>,
    /// Faults that somebody has set on it, for a drill.
    pub faults: Vec<crate::drilling::FaultStatus>,
    /// Median of the last requests.
    pub latency_ms: f64,
}

/// A page of an upload's parts.
#[derive(Debug, Clone, PartialEq)]
pub struct PartsPage {
    pub upload: UploadFacts,
    pub parts: Vec<PartFacts>,
    pub truncated: bool,
}

/// A page of open uploads, in (key, id) order.
#[derive(Debug, Clone, PartialEq)]
pub struct UploadsPage {
    pub uploads: Vec<UploadFacts>,
    pub truncated: bool,
}
