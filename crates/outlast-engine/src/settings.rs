//! What the engine is told at its start. Settings are data; stores and ledger are components and come beside them.

use outlast_rules::{Allowed, BucketName, Placement, StoreName, Undelete};
use outlast_store::Store;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

/// Deletes that one user may ask for in an hour before what they remove is kept until released.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DeleteLimits {
    /// In a bucket, and below each of its first folders; None: what is learnt.
    pub an_hour: Option<u64>,
    /// Below `bucket/prefix`, the longest that fits; what is deleted there counts nowhere else.
    pub below: BTreeMap<String, u64>,
}

#[derive(Debug, Clone)]
pub struct EngineSettings {
    /// Ledger, spool and keys lie below; the spool is `<data_dir>/spool`.
    pub data_dir: PathBuf,
    /// Bytes that the spool may hold.
    pub spool_max: u64,
    /// Bytes of bodies held in memory at once; what does not fit goes through a file.
    pub body_memory_max: u64,
    /// How long a write may stay in its commit phase, and a read may wait for one.
    pub commit_deadline_ms: u64,
    /// For every bucket without an exception.
    pub defaults: Placement,
    pub buckets: BTreeMap<BucketName, Placement>,
    /// What is kept of deletes and overwrites, for every bucket without an exception.
    pub undelete_default: Undelete,
    pub undelete: BTreeMap<BucketName, Undelete>,
    /// By user; without: what is learnt.
    pub delete_budgets: BTreeMap<String, DeleteLimits>,
    /// What deep scrub may read; a store that is not named is not scrubbed deeply.
    pub deep_scrub: BTreeMap<StoreName, Allowed>,
    /// Seconds between canaries of a store that is well; None: by the store's kind.
    pub canary_every_ms: Option<u64>,
    /// Seeds write ids and jitter; None: from the system.
    pub seed: Option<u64>,
}

impl EngineSettings {
    pub fn placement(&self, bucket: &BucketName) -> &Placement {
        self.buckets.get(bucket).unwrap_or(&self.defaults)
    }
}

/// One store and what the configuration says of it.
pub struct StoreSetup {
    pub store: Arc<dyn Store>,
    pub names: NativeNames,
    /// How long a call may live on after it was given up (protocol.md 1).
    pub settle_ms: u64,
    /// Money per GiB read; orders reads among stores that stand alike.
    pub read_cost: f64,
}

/// How the client's buckets are called on one store.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NativeNames {
    pub prefix: String,
    /// One by one; never made or removed by us.
    pub buckets: BTreeMap<BucketName, String>,
    /// Where our own records go instead of `.outlast/` in each native bucket.
    pub system_bucket: Option<String>,
}

/// The native bucket that a store's home is made as when the configuration names none.
pub const HOME_SUFFIX: &str = "outlast-home";

impl NativeNames {
    pub fn native(&self, bucket: &BucketName) -> String {
        self.buckets.get(bucket).cloned().unwrap_or_else(|| format!("{}{bucket}", self.prefix))
    }

    /// The client's name of a native bucket, if it can have one.
    pub fn client(&self, native: &str) -> Option<BucketName> {
        if let Some((bucket, _)) = self.buckets.iter().find(|(_, name)| *name == native) {
            return Some(bucket.clone());
        }
        BucketName::parse(native.strip_prefix(&self.prefix)?).ok()
    }

    pub fn is_configured(&self, bucket: &BucketName) -> bool {
        self.buckets.contains_key(bucket)
    }

    /// Where identity and bucket records lie when nothing else was recorded at the first start.
    pub fn home(&self) -> String {
        let first = || self.buckets.values().next().cloned();
        self.system_bucket.clone().or_else(first).unwrap_or_else(|| format!("{}{HOME_SUFFIX}", self.prefix))
    }
}

/// Stores by name, in the order of their names.
pub type Setups = BTreeMap<StoreName, StoreSetup>;
