//! What every kind of store must do, said once and run on all of them: memory, disk, every S3 peer.
//!
//! The suite panics with words at the first thing that is not as it should be. It needs a bucket of its own and leaves it
//! empty.

mod bodies;
mod buckets;
mod expect;
mod fences;
mod keys;
mod listing;
mod objects;
mod say;
mod uploads;
mod versions;

pub use expect::{Expect, Keys};

use crate::Store;

/// The whole suite, in a bucket that it makes or finds empty.
pub async fn all(store: &dyn Store, bucket: &str, expect: Expect) {
    buckets::begin(store, bucket).await;
    objects::run(store, bucket, expect).await;
    bodies::run(store, bucket, expect).await;
    keys::run(store, bucket, expect).await;
    listing::run(store, bucket, expect).await;
    fences::run(store, bucket, expect).await;
    versions::run(store, bucket, expect).await;
    uploads::run(store, bucket, expect).await;
    buckets::end(store, bucket).await;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{DiskStore, Fences, MemoryStore, MemoryTraits};
    use outlast_rules::{Powers, StoreName};

    fn powers(traits: MemoryTraits) -> Powers {
        let fenced = traits.fences == Fences::Honoured;
        Powers { pinned: traits.keeps_versions, fenced, unique: fenced && traits.unique_etags }
    }

    #[tokio::test]
    async fn memory_of_every_grade() {
        for traits in [MemoryTraits::A, MemoryTraits::B, MemoryTraits::B_UNIQUE, MemoryTraits::DISK, MemoryTraits::C] {
            let store = MemoryStore::counting(StoreName::parse("m").unwrap(), traits);
            let expect = Expect { checks_md5: true, ..Expect::everything(Expect::grades(powers(traits))) };
            all(&store, "suite", expect).await;
        }
    }

    #[tokio::test]
    async fn disk() {
        let root = tempfile::tempdir().unwrap();
        let store = DiskStore::open(StoreName::parse("d").unwrap(), root.path()).unwrap();
        let powers = Powers { pinned: false, fenced: true, unique: true };
        all(&store, "suite", Expect::everything(Expect::grades(powers))).await;
        let left: Vec<_> = std::fs::read_dir(root.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert_eq!(left, [".outlast.lock"], "a deleted bucket leaves nothing");
    }
}
