//! What must be known to speak to Google Cloud Storage.

use crate::wire::Timeouts;
use outlast_rules::StoreName;
use std::fmt;
use std::path::PathBuf;

/// Google Cloud Storage and our service account there.
#[derive(Clone)]
pub struct GcsConfig {
    pub name: StoreName,
    pub endpoint: String,
    /// The JSON text of a service account's key. None: requests are not signed, as emulators want it.
    pub credentials: Option<String>,
    /// In which new buckets are made and buckets listed. None: the service account's own.
    pub project: Option<String>,
    /// Where new buckets lie. None: as the service chooses.
    pub location: Option<String>,
    /// PEM certificates to trust *instead of* the built-in public roots.
    pub ca_file: Option<PathBuf>,
    pub timeouts: Timeouts,
    /// Every request costs money.
    pub metered: bool,
}

impl GcsConfig {
    /// The service at its usual address, default timeouts.
    pub fn new(name: StoreName, credentials: Option<String>) -> GcsConfig {
        GcsConfig {
            name,
            endpoint: "https://storage.googleapis.com".to_owned(),
            credentials,
            project: None,
            location: None,
            ca_file: None,
            timeouts: Timeouts::default(),
            metered: true,
        }
    }
}

impl fmt::Debug for GcsConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GcsConfig")
            .field("name", &self.name)
            .field("endpoint", &self.endpoint)
            .field("credentials", &self.credentials.as_ref().map(|_| "[redacted]"))
            .field("project", &self.project)
            .field("location", &self.location)
            .field("ca_file", &self.ca_file)
            .field("timeouts", &self.timeouts)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_not_printed() {
        let config = GcsConfig::new(StoreName::parse("g").expect("a store name"), Some("very-secret".into()));
        let shown = format!("{config:?}");
        assert!(shown.contains("storage.googleapis.com") && !shown.contains("very-secret"), "{shown}");
    }
}
