//! The configuration after it was found good: nobody checks it again.

use super::secret::Secret;
use outlast_rules::{Allowed, BucketName, Placement, StoreName, Undelete};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;

#[derive(Debug, Clone)]
pub struct Config {
    /// Ledger, spool and keys.
    pub data_dir: PathBuf,
    pub s3: S3Listen,
    pub admin: SocketAddr,
    /// At least one.
    pub users: Vec<User>,
    /// At least one.
    pub stores: BTreeMap<StoreName, StoreConfig>,
    pub defaults: Placement,
    pub buckets: BTreeMap<BucketName, Placement>,
    /// What is kept of deletes and overwrites.
    pub undelete_default: Undelete,
    pub undelete: BTreeMap<BucketName, Undelete>,
    pub timeouts: Timeouts,
    /// Bytes of bodies held in memory at once.
    pub body_memory_max: u64,
    /// Bytes that the spool may hold.
    pub spool_max: u64,
    /// None: by the store's kind.
    pub canary_every_ms: Option<u64>,
    pub ledger: LedgerConfig,
    pub log: Log,
}

/// How the ledger is told to the stores.
#[derive(Debug, Clone)]
pub struct LedgerConfig {
    /// None: one is made and kept in `data_dir`.
    pub key: Option<Secret>,
    pub ship_every_ms: u64,
    pub snapshot_every_ms: u64,
}

#[derive(Debug, Clone)]
pub struct S3Listen {
    pub listen: SocketAddr,
    pub tls: Option<TlsFiles>,
    /// Names under which `bucket.name` is a virtual host.
    pub domains: Vec<String>,
    /// Origins that browsers may call from.
    pub cors: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    pub certificate: PathBuf,
    pub key: PathBuf,
}

#[derive(Debug, Clone)]
pub struct User {
    pub name: String,
    pub access_key: String,
    pub secret_key: Secret,
    /// Deletes an hour; None: learnt.
    pub delete_budget: Option<u64>,
    /// The same below each `bucket/prefix`.
    pub delete_budgets: BTreeMap<String, u64>,
}

#[derive(Debug, Clone)]
pub struct StoreConfig {
    pub kind: StoreKind,
    pub names: Names,
    /// None: by the store's kind.
    pub settle_ms: Option<u64>,
    pub price: Price,
    /// What its deep scrub may read.
    pub deep_scrub: Allowed,
}

/// How the client's buckets are called on one store.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Names {
    pub prefix: String,
    pub buckets: BTreeMap<BucketName, String>,
    pub system_bucket: Option<String>,
}

#[derive(Debug, Clone)]
pub enum StoreKind {
    Disk(DiskConfig),
    S3(Box<S3Config>),
    Azure(Box<AzureConfig>),
    Gcs(Box<GcsConfig>),
}

impl StoreKind {
    /// For people: kind and place.
    pub fn place(&self) -> String {
        match self {
            StoreKind::Disk(disk) => format!("disk {}", disk.path.display()),
            StoreKind::S3(s3) => format!("s3 {}", s3.endpoint),
            StoreKind::Azure(azure) => format!("azure {}", azure.place()),
            StoreKind::Gcs(gcs) => format!("gcs {}", gcs.endpoint),
        }
    }

    /// Whose account or endpoint it is, where it is a service: two stores that share it fail together.
    pub fn service(&self) -> Option<String> {
        match self {
            StoreKind::Disk(_) => None,
            StoreKind::S3(s3) => Some(s3.endpoint.clone()),
            StoreKind::Azure(azure) => Some(azure.place()),
            // Names of buckets are one world's there, whatever the account.
            StoreKind::Gcs(gcs) => Some(gcs.endpoint.clone()),
        }
    }
}

#[derive(Debug, Clone)]
pub struct DiskConfig {
    pub path: PathBuf,
    /// NFS, SMB and their kin: a call may live on after its return.
    pub network_fs: bool,
}

#[derive(Debug, Clone)]
pub struct S3Config {
    /// Scheme, host and port; no path.
    pub endpoint: String,
    pub region: String,
    pub access_key: String,
    pub secret_key: Secret,
    pub session_token: Option<Secret>,
    pub path_style: bool,
    pub ca_file: Option<PathBuf>,
    /// None: metered, unless the endpoint is on this machine.
    pub metered: Option<bool>,
    /// The service is an Outlast itself.
    pub nested: bool,
}

#[derive(Debug, Clone)]
pub struct AzureConfig {
    pub account: String,
    pub account_key: Secret,
    /// Scheme, host and port; no path.
    pub endpoint: String,
    pub path_style: bool,
    pub ca_file: Option<PathBuf>,
    /// None: metered, unless the endpoint is on this machine.
    pub metered: Option<bool>,
}

impl AzureConfig {
    fn place(&self) -> String {
        if self.path_style { format!("{}/{}", self.endpoint, self.account) } else { self.endpoint.clone() }
    }
}

#[derive(Debug, Clone)]
pub struct GcsConfig {
    /// The JSON text of a service account's key. None: on this machine only, an emulator.
    pub credentials: Option<Secret>,
    pub project: Option<String>,
    pub location: Option<String>,
    /// Scheme, host and port; no path.
    pub endpoint: String,
    pub ca_file: Option<PathBuf>,
    /// None: metered, unless the endpoint is on this machine.
    pub metered: Option<bool>,
}

/// What the vendor asks for, where the configuration says so.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Price {
    pub write_per_1000: Option<f64>,
    pub read_per_1000: Option<f64>,
    pub egress_per_gib: Option<f64>,
}

/// All in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    pub connect_ms: u64,
    pub first_byte_ms: u64,
    pub idle_ms: u64,
    pub request_ms: u64,
    pub commit_ms: u64,
}

impl Default for Timeouts {
    fn default() -> Timeouts {
        Timeouts {
            // Name, TCP and TLS; two lost packets cost three seconds.
            connect_ms: 4_000,
            // Completing a large upload takes long on honest stores; readers have far shorter deadlines of their own.
            first_byte_ms: 60_000,
            // A body that does not move for this long has stopped.
            idle_ms: 20_000,
            // Below the shortest settle_time, and below the 15 minutes for which S3 honours a signature.
            request_ms: 600_000,
            // Longer than the slowest honest commit; readers of a key being written wait no longer.
            commit_ms: 20_000,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Log {
    pub format: LogFormat,
    pub filter: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// Human in a terminal, JSON elsewhere.
    Auto,
    Human,
    Json,
}

/// A mark ends after this long where the configuration says nothing: longer than any call can live (protocol.md 1).
pub const SETTLE_MS_DEFAULT: u64 = 15 * 60 * 1000;
/// Holds four bodies of the largest size that is received whole.
pub const BODY_MEMORY_DEFAULT: u64 = 64 << 20;
/// An hour of writes at 3 MiB/s while a store is away.
pub const SPOOL_MAX_DEFAULT: u64 = 10 << 30;
/// What a loss of the gateway's disk costs at most, in seconds of headers that every HEAD finds again.
pub const SHIP_MS_DEFAULT: u64 = 5_000;
/// A rebuild asks for every object that was written since by itself.
pub const SNAPSHOT_MS_DEFAULT: u64 = 24 * 3600 * 1000;
/// Two independent places: one may burn.
pub const MIN_COPIES_DEFAULT: usize = 2;
pub const S3_LISTEN_DEFAULT: &str = "127.0.0.1:9000";
pub const ADMIN_LISTEN_DEFAULT: &str = "127.0.0.1:9001";
pub const DATA_DIR_DEFAULT: &str = "outlast-data";
/// The filter of the log where nothing is said. `s3s::ops` calls every 404 an error.
pub const LOG_FILTER_DEFAULT: &str = "info,s3s::ops=off,s3s=warn,hyper=warn,rustls=warn";
