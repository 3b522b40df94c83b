//! One holder per key at a time: the lane of a key's commit phase, and the one call in flight per key and store.

use outlast_rules::{BucketName, Key};
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard};

/// How long catch-up, which keeps a store from the key's writers meanwhile, waits for the key's lane: a commit phase that
/// goes well is far shorter, and one that waits for this very store must not wait for long.
pub const LANE_WAIT: Duration = Duration::from_millis(250);

type Name = (BucketName, Key);

/// Locks by key, first come first served. Only keys in use take memory.
#[derive(Default)]
pub struct Lanes {
    lanes: Arc<Mutex<HashMap<Name, Arc<AsyncMutex<()>>>>>,
}

/// Dropping it lets the next one in.
pub struct LaneGuard {
    guard: Option<OwnedMutexGuard<()>>,
    lanes: Arc<Mutex<HashMap<Name, Arc<AsyncMutex<()>>>>>,
    name: Name,
}

impl Lanes {
    pub async fn lock(&self, bucket: &BucketName, key: &Key) -> LaneGuard {
        let name = (bucket.clone(), key.clone());
        let lane = self.lane(&name);
        // Made before the wait: whoever stops waiting cleans up behind himself.
        let mut waiting = LaneGuard { guard: None, lanes: self.lanes.clone(), name };
        waiting.guard = Some(lane.lock_owned().await);
        waiting
    }

    pub fn try_lock(&self, bucket: &BucketName, key: &Key) -> Option<LaneGuard> {
        let name = (bucket.clone(), key.clone());
        let guard = self.lane(&name).try_lock_owned().ok()?;
        Some(LaneGuard { guard: Some(guard), lanes: self.lanes.clone(), name })
    }

    /// None: whoever holds it did not let go in time.
    pub async fn lock_within(&self, bound: Duration, bucket: &BucketName, key: &Key) -> Option<LaneGuard> {
        tokio::time::timeout(bound, self.lock(bucket, key)).await.ok()
    }

    /// Does somebody hold or await it now?
    pub fn is_busy(&self, bucket: &BucketName, key: &Key) -> bool {
        self.table().contains_key(&(bucket.clone(), key.clone()))
    }

    fn lane(&self, name: &Name) -> Arc<AsyncMutex<()>> {
        self.table().entry(name.clone()).or_default().clone()
    }

    fn table(&self) -> std::sync::MutexGuard<'_, HashMap<Name, Arc<AsyncMutex<()>>>> {
        self.lanes.lock().expect("no code panics while it holds the table of lanes")
    }
}

impl Drop for LaneGuard {
    fn drop(&mut self) {
        let mut table = self.lanes.lock().expect("no code panics while it holds the table of lanes");
        self.guard = None;
        // Two owners are the table and whoever is cloning it: with only the table left, nobody waits.
        if table.get(&self.name).is_some_and(|lane| Arc::strong_count(lane) == 1) {
            table.remove(&self.name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_at_a_time_and_nothing_left_behind() {
        let lanes = Arc::new(Lanes::default());
        let (bucket, key) = (BucketName::parse("bkt").unwrap(), Key::parse("k").unwrap());
        let inside = Arc::new(std::sync::atomic::AtomicUsize::new(0));
        let mut tasks = Vec::new();
        for _ in 0..50 {
            let (lanes, bucket, key, inside) = (lanes.clone(), bucket.clone(), key.clone(), inside.clone());
            tasks.push(tokio::spawn(async move {
                let _lane = lanes.lock(&bucket, &key).await;
                assert_eq!(inside.fetch_add(1, std::sync::atomic::Ordering::SeqCst), 0);
                tokio::task::yield_now().await;
                inside.fetch_sub(1, std::sync::atomic::Ordering::SeqCst);
            }));
        }
        for task in tasks {
            task.await.unwrap();
        }
        assert!(!lanes.is_busy(&bucket, &key));
        let held = lanes.try_lock(&bucket, &key).unwrap();
        {
            let waiting = lanes.lock(&bucket, &key);
            tokio::pin!(waiting);
            assert!(futures_util::poll!(waiting.as_mut()).is_pending());
            drop(held);
        }
        assert!(!lanes.is_busy(&bucket, &key), "who stops waiting leaves nothing behind");
        let held = lanes.try_lock(&bucket, &key).unwrap();
        assert!(lanes.try_lock(&bucket, &key).is_none());
        drop(held);
        assert!(!lanes.is_busy(&bucket, &key));
    }
}
