//! LIST: from the ledger alone; it touches no store (protocol.md 3.1).

use crate::asks::ReadError;
use crate::engine::Engine;
use outlast_ledger::{ListPage, ListQuery};
use outlast_rules::BucketName;
use std::sync::Arc;

impl Engine {
    pub async fn list(self: &Arc<Self>, bucket: BucketName, query: ListQuery) -> Result<ListPage, ReadError> {
        self.readable(&bucket).await?;
        Ok(self.ledger.list(&bucket, query).await?)
    }
}
