//! "A call of write w with fence f to this store may still apply." Durable before the call is sent (protocol.md 1).

use crate::{BucketName, CallId, Fence, Key, Moment, StoreName, WriteId};
use serde::{Deserialize, Serialize};

/// One call that may still apply. A mark without a fence could overwrite anything.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    pub call: CallId,
    pub store: StoreName,
    pub bucket: BucketName,
    pub key: Key,
    pub write: WriteId,
    pub fence: Option<Fence>,
    /// The latest of its starting points: caller gave up, restarted, the store was silent, a call was left unanswered.
    pub since: Moment,
}

impl Mark {
    /// When time alone ends this mark. A store whose calls are never given up has none.
    pub fn settles_at(&self, settle_ms: u64) -> Moment {
        self.since.plus_ms(settle_ms)
    }
}
