//! One store as it really is, whatever the gateway believes of it.

use crate::plan::Kind;
use outlast_rules::StoreName;
use outlast_store::MemoryStore;
use std::sync::Arc;

pub struct Place {
    pub name: StoreName,
    pub kind: Kind,
    pub memory: Arc<MemoryStore>,
}
