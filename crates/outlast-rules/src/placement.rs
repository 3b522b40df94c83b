//! The list of stores that a bucket should live on, and how many places make a write durable.

use crate::{Grades, StoreName};
use serde::{Deserialize, Serialize};

/// From the configuration: `[defaults]` with the exceptions of `[bucket.NAME]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Placement {
    pub stores: Vec<StoreName>,
    /// Places needed before a 200; at least one of them is a store.
    pub min_copies: usize,
    /// May the spool stand for one store that cannot take a write now?
    pub spool_counts: bool,
}

/// What decisions need to know about one store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoreTraits {
    pub grades: Grades,
    /// Calls are never given up (a local disk): a mark ends with the call's return.
    pub never_given_up: bool,
    pub settle_ms: u64,
}
