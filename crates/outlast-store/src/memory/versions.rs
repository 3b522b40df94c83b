//! The listing of all native versions, noncurrent ones too.

use super::{MemoryStore, PAGE_MAX};
use crate::refusal::Refusal;
use crate::{ListedVersion, VersionPage};

impl MemoryStore {
    /// All versions of as many keys as fit; at least one key's.
    pub(super) fn version_page(&self, bucket: &str, prefix: &str, after: Option<&str>) -> Result<VersionPage, Refusal> {
        let world = self.world();
        let mut page = VersionPage::default();
        // Key and version id of the last version that was shown; ids of a key grow from write to write.
        let after = after.and_then(|after| after.split_once('\0'));
        let from = after.map_or(prefix, |(key, _)| key);
        let keys = world.bucket(bucket)?.keys.range(from.to_owned()..);
        let newest_first = keys.take_while(|(key, _)| key.starts_with(prefix)).flat_map(|(key, versions)| {
            let last = versions.len() - 1;
            versions.iter().enumerate().rev().map(move |(n, version)| (key, n == last, version))
        });
        for (key, is_current, version) in newest_first {
            let id = version.id.as_deref().unwrap_or_default();
            let is_next = after.is_none_or(|(after, last)| key.as_str() > after || id < last);
            let Some(copy) = version.copy.as_ref().filter(|_| is_next) else { continue };
            if page.versions.len() >= PAGE_MAX {
                let last = page.versions.last();
                page.next = last.map(|last| format!("{}\0{}", last.key, last.version.as_deref().unwrap_or_default()));
                break;
            }
            page.versions.push(ListedVersion {
                key: key.clone(),
                version: version.id.clone(),
                is_current,
                size: copy.bytes.len() as u64,
                etag: copy.etag.clone(),
                modified: Some(copy.modified),
            });
        }
        Ok(page)
    }
}
