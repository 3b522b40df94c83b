//! What clients were told: the only thing that reads and stores are compared with.

use super::content::Content;
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard};

/// One key. Only one client writes it, one request at a time.
#[derive(Debug, Clone, Default)]
struct Known {
    /// None: never written, or its delete was acknowledged.
    acknowledged: Option<Content>,
    /// Writes and deletes (None) that failed since: each may have been applied all the same.
    doubtful: Vec<Option<Content>>,
}

/// Acknowledged writes, by key.
#[derive(Debug, Default)]
pub struct Oracle {
    keys: Mutex<BTreeMap<String, Known>>,
}

impl Oracle {
    pub fn acknowledged(&self, key: &str, content: Option<Content>) {
        self.keys().insert(key.to_owned(), Known { acknowledged: content, doubtful: vec![] });
    }

    pub fn failed(&self, key: &str, content: Option<Content>) {
        self.keys().entry(key.to_owned()).or_default().doubtful.push(content);
    }

    /// What a read of this key may find: one thing, unless a write of it has failed.
    pub fn may_be(&self, key: &str) -> Vec<Option<Content>> {
        let known = self.keys().get(key).cloned().unwrap_or_default();
        [vec![known.acknowledged], known.doubtful].concat()
    }

    /// Keys whose last write failed.
    pub fn doubtful(&self) -> Vec<String> {
        let keys = self.keys();
        keys.iter().filter(|(_, known)| !known.doubtful.is_empty()).map(|(key, _)| key.clone()).collect()
    }

    /// Every object that must be there; nothing else may be.
    pub fn objects(&self) -> BTreeMap<String, Content> {
        self.keys().iter().filter_map(|(key, known)| Some((key.clone(), known.acknowledged?))).collect()
    }

    fn keys(&self) -> MutexGuard<'_, BTreeMap<String, Known>> {
        self.keys.lock().expect("no holder of this lock can panic")
    }
}
