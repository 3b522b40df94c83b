//! A bucket as clients see it: below everything that keeps or ships it.

use outlast_rules::{BucketName, Moment, StoreName};
use serde::{Deserialize, Serialize};

/// A bucket as clients see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bucket {
    pub name: BucketName,
    pub created: Moment,
    /// Distinguishes lives of one name: a write's commit checks it.
    pub incarnation: u64,
    pub state: BucketState,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BucketState {
    Serving,
    /// A native bucket of this name was found with objects in it: 503 until it is adopted.
    Found {
        on: Vec<StoreName>,
    },
    /// DeleteBucket began: writes are refused; ends with removal or a return to serving.
    Leaving,
    /// Gone for clients; some stores have not been seen without it yet.
    Gone {
        owed: Vec<StoreName>,
    },
}
