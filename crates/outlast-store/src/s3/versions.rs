//! Version ids, and from whom they are not believed.

use http::HeaderMap;
use outlast_rules::Pin;
use std::collections::BTreeSet;
use std::sync::Mutex;

/// Buckets that were asked and keep no versions. Garage gives every PUT a version id all the same; as a pin it would
/// name nothing.
#[derive(Debug, Default)]
pub(super) struct Unversioned(Mutex<BTreeSet<String>>);

impl Unversioned {
    fn buckets(&self) -> std::sync::MutexGuard<'_, BTreeSet<String>> {
        self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// What the store said when it was asked.
    pub fn learn(&self, bucket: &str, keeps: bool) {
        if keeps {
            self.buckets().remove(bucket);
        } else {
            self.buckets().insert(bucket.to_owned());
        }
    }

    /// The pin that an answer of this bucket gives.
    pub fn pin(&self, bucket: &str, etag: String, headers: &HeaderMap) -> Pin {
        let version = version_of(headers).filter(|_| !self.buckets().contains(bucket));
        Pin { etag, version }
    }
}

/// `null` names whatever was written last without versioning: never a pin.
fn version_of(headers: &HeaderMap) -> Option<String> {
    let version = headers.get("x-amz-version-id").and_then(|value| value.to_str().ok())?;
    if version.is_empty() || version == "null" { None } else { Some(version.to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[test]
    fn ids_that_are_none() {
        let known = Unversioned::default();
        let mut headers = HeaderMap::new();
        let version = |known: &Unversioned, headers: &HeaderMap| known.pin("b", "e".into(), headers).version;
        assert_eq!(version(&known, &headers), None);
        headers.insert("x-amz-version-id", HeaderValue::from_static("null"));
        assert_eq!(version(&known, &headers), None);
        headers.insert("x-amz-version-id", HeaderValue::from_static("v1"));
        assert_eq!(version(&known, &headers).as_deref(), Some("v1"));
        known.learn("b", false);
        assert_eq!(version(&known, &headers), None);
        known.learn("b", true);
        assert_eq!(version(&known, &headers).as_deref(), Some("v1"));
    }
}
