//! What must be known to speak to one S3-compatible service.

use crate::wire::Timeouts;
use outlast_rules::StoreName;
use std::fmt;
use std::path::PathBuf;

/// One S3-compatible service and our account there.
#[derive(Clone)]
pub struct S3Config {
    pub name: StoreName,
    /// `https://host[:port][/prefix]`, or `http://` where the network is trusted.
    pub endpoint: String,
    pub region: String,
    pub access_key: String,
    pub secret_key: String,
    pub session_token: Option<String>,
    /// `endpoint/bucket/key`; otherwise `bucket.endpoint/key`.
    pub path_style: bool,
    /// PEM certificates to trust *instead of* the built-in public roots: an own CA, or the system's bundle.
    pub ca_file: Option<PathBuf>,
    pub timeouts: Timeouts,
    /// Over TLS only: bodies are not hashed for the signature (TLS and Content-MD5 guard them). Ignored on plain http.
    pub unsigned_payload: bool,
    /// The vendor's own documents say that a request answered 429 / 503 SlowDown was not applied. We know of none that
    /// does; Amazon's says the contrary of 500. While false such an answer is `Unknown`.
    pub throttled_is_refused: bool,
    /// The ETag of a single PUT is the body's MD5. Not so with KMS keys or where the store makes ETags up.
    pub etag_is_md5: bool,
    /// Every request costs money.
    pub metered: bool,
    /// The service is an Outlast itself: our own names, which it keeps for itself, are spelt otherwise there.
    pub nested: bool,
}

impl S3Config {
    /// The usual service: path style, public roots, default timeouts.
    pub fn new(
        name: StoreName,
        endpoint: impl Into<String>,
        region: impl Into<String>,
        access_key: impl Into<String>,
        secret_key: impl Into<String>,
    ) -> S3Config {
        S3Config {
            name,
            endpoint: endpoint.into(),
            region: region.into(),
            access_key: access_key.into(),
            secret_key: secret_key.into(),
            session_token: None,
            path_style: true,
            ca_file: None,
            timeouts: Timeouts::default(),
            unsigned_payload: true,
            throttled_is_refused: false,
            etag_is_md5: true,
            metered: true,
            nested: false,
        }
    }
}

impl fmt::Debug for S3Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("S3Config")
            .field("name", &self.name)
            .field("endpoint", &self.endpoint)
            .field("region", &self.region)
            .field("access_key", &self.access_key)
            .field("secret_key", &"[redacted]")
            .field("session_token", &self.session_token.as_ref().map(|_| "[redacted]"))
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
        let name = StoreName::parse("b2").expect("a store name");
        let mut config = S3Config::new(name, "https://h", "r", "AK", "very-secret");
        config.session_token = Some("token-secret".into());
        let shown = format!("{config:?}");
        assert!(shown.contains("AK") && !shown.contains("very-secret") && !shown.contains("token-secret"), "{shown}");
    }
}
