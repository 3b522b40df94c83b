//! Writes of a bucket pass together; its deletion waits for them and passes alone.

use outlast_rules::BucketName;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use tokio::sync::{OwnedRwLockReadGuard, OwnedRwLockWriteGuard, RwLock};

/// One gate per bucket ever used by this process: buckets are few.
#[derive(Default)]
pub(crate) struct Gates(Mutex<BTreeMap<BucketName, Arc<RwLock<()>>>>);

impl Gates {
    pub async fn read(&self, bucket: &BucketName) -> OwnedRwLockReadGuard<()> {
        self.gate(bucket).read_owned().await
    }

    pub async fn write(&self, bucket: &BucketName) -> OwnedRwLockWriteGuard<()> {
        self.gate(bucket).write_owned().await
    }

    fn gate(&self, bucket: &BucketName) -> Arc<RwLock<()>> {
        let mut gates = self.0.lock().expect("no code panics while it holds the gates");
        gates.entry(bucket.clone()).or_default().clone()
    }
}
