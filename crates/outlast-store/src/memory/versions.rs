//! The listing of all native versions, noncurrent ones too.

use super::{MemoryStore, PAGE_MAX};
use crate::refusal::Refusal;
use crate::{ListedVersion, VersionPage};

impl MemoryStore {
    /// All versions of as many keys as fit; at least one key's.
    pub(super) fn version_page(&self, bucket: &str, prefix: &str, after: Option<&str>) -> Result<VersionPage, Refusal> {
        let world = self.world();
        let mut page = VersionPage::default();
        let from = after.filter(|after| *after > prefix).unwrap_or(prefix);
        let keys = world.bucket(bucket)?.keys.range(from.to_owned()..);
        let is_next = |key: &&String| after.is_none_or(|after| key.as_str() > after);
        for (key, versions) in keys.take_while(|(key, _)| key.starts_with(prefix)).filter(|(key, _)| is_next(key)) {
            if page.versions.len() >= PAGE_MAX {
                page.next = page.versions.last().map(|last| last.key.clone());
                break;
            }
            let last = versions.len() - 1;
            let shown = versions.iter().enumerate().filter_map(|(n, version)| {
                let copy = version.copy.as_ref()?;
                Some(ListedVersion {
                    key: key.clone(),
                    version: version.id.clone(),
                    is_current: n == last,
                    size: copy.bytes.len() as u64,
                    etag: copy.etag.clone(),
                    modified: Some(copy.modified),
                })
            });
            page.versions.extend(shown);
        }
        Ok(page)
    }
}
