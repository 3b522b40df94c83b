//! Which buckets are being taken over now: each by one at a time, and no bucket waits for another's.

use outlast_rules::BucketName;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

/// As many as operators have asked for at once.
#[derive(Default)]
pub(crate) struct Adopting(Mutex<BTreeSet<BucketName>>);

/// Dropping it lets somebody else take the bucket over.
pub(crate) struct Adoption {
    all: Arc<Adopting>,
    bucket: BucketName,
}

impl Adopting {
    /// None: somebody is at it.
    pub fn begin(self: &Arc<Self>, bucket: &BucketName) -> Option<Adoption> {
        let is_first = self.0.lock().expect("a set of names does not panic").insert(bucket.clone());
        is_first.then(|| Adoption { all: self.clone(), bucket: bucket.clone() })
    }
}

impl Drop for Adoption {
    fn drop(&mut self) {
        self.all.0.lock().expect("a set of names does not panic").remove(&self.bucket);
    }
}
