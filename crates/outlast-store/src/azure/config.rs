//! What must be known to speak to one Azure storage account.

use crate::wire::Timeouts;
use outlast_rules::StoreName;
use std::fmt;
use std::path::PathBuf;

/// One storage account.
#[derive(Clone)]
pub struct AzureConfig {
    pub name: StoreName,
    /// The account's name: it is signed, and is part of the path where `path_style` says so.
    pub account: String,
    /// One of the account's two keys, in base64 as the portal shows it.
    pub account_key: String,
    /// `https://ACCOUNT.blob.core.windows.net`, or wherever else the account answers.
    pub endpoint: String,
    /// `endpoint/account/container/blob`, as emulators want it; otherwise the endpoint's host says the account.
    pub path_style: bool,
    /// PEM certificates to trust *instead of* the built-in public roots.
    pub ca_file: Option<PathBuf>,
    pub timeouts: Timeouts,
    /// Every request costs money.
    pub metered: bool,
}

impl AzureConfig {
    /// An account at its usual address, default timeouts.
    pub fn new(name: StoreName, account: impl Into<String>, account_key: impl Into<String>) -> AzureConfig {
        let account = account.into();
        AzureConfig {
            name,
            endpoint: format!("https://{account}.blob.core.windows.net"),
            account,
            account_key: account_key.into(),
            path_style: false,
            ca_file: None,
            timeouts: Timeouts::default(),
            metered: true,
        }
    }
}

impl fmt::Debug for AzureConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AzureConfig")
            .field("name", &self.name)
            .field("account", &self.account)
            .field("account_key", &"[redacted]")
            .field("endpoint", &self.endpoint)
            .field("path_style", &self.path_style)
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
        let name = StoreName::parse("az").expect("a store name");
        let config = AzureConfig::new(name, "acme", "c2VjcmV0");
        let shown = format!("{config:?}");
        assert!(shown.contains("https://acme.blob.core.windows.net") && !shown.contains("c2VjcmV0"), "{shown}");
    }
}
