//! Signature V4: the head by reqsign, the chunks of a streamed body by ourselves, chained to the head's signature.

use super::config::S3Config;
use crate::wire::{CHUNK_BYTES, ServiceConfigError};
use http::request::Parts;
use reqsign_aws_v4::{Credential, RequestSigner};
use reqsign_core::hash::{hex_hmac_sha256, hmac_sha256};
use reqsign_core::{Context, SignRequest};

/// SHA-256 of nothing.
pub(super) const EMPTY_SHA256: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
pub(super) const UNSIGNED: &str = "UNSIGNED-PAYLOAD";
pub(super) const STREAMED: &str = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD";

const LAST_CHUNK_LINE: u64 = 1;
/// `;chunk-signature=` and 64 hex digits and CR LF, then CR LF after the chunk.
const CHUNK_SIGNATURE_BYTES: u64 = 17 + 64 + 2 + 2;

/// Our account at one store, ready to sign.
#[derive(Debug)]
pub(super) struct Signer {
    signer: RequestSigner,
    context: Context,
    credential: Credential,
    region: String,
}

impl Signer {
    pub fn new(config: &S3Config) -> Result<Signer, ServiceConfigError> {
        for (what, text) in
            [("region", &config.region), ("access_key", &config.access_key), ("secret_key", &config.secret_key)]
        {
            if text.is_empty() {
                return Err(ServiceConfigError::Empty(what));
            }
        }
        Ok(Signer {
            signer: RequestSigner::new("s3", &config.region).with_standard_session_token(),
            context: Context::new(),
            credential: Credential {
                access_key_id: config.access_key.clone(),
                secret_access_key: config.secret_key.clone(),
                session_token: config.session_token.clone(),
                expires_in: None,
            },
            region: config.region.clone(),
        })
    }

    /// Signs every header that is there now; what proxies may change (Accept-Encoding, User-Agent) is added afterwards.
    /// The URI is absolute and stays byte for byte as it is.
    pub async fn sign(&self, head: &mut Parts) -> Result<(), String> {
        self.signer
            .sign_request(&self.context, head, Some(&self.credential), None)
            .await
            .map_err(|error| format!("the request cannot be signed: {error}"))
    }

    /// The chain of chunk signatures that begins with a signed head.
    pub fn chain(&self, head: &Parts) -> Result<ChunkChain, String> {
        let text = |name: &str| head.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let date = text("x-amz-date").to_owned();
        let (_, seed) = text("authorization").rsplit_once("Signature=").ok_or("the head is not signed")?;
        let day = date.get(..8).ok_or("the head has no date")?;
        let secret = format!("AWS4{}", self.credential.secret_access_key);
        let mut key = hmac_sha256(secret.as_bytes(), day.as_bytes());
        for step in [self.region.as_str(), "s3", "aws4_request"] {
            key = hmac_sha256(&key, step.as_bytes());
        }
        let scope = format!("{day}/{}/s3/aws4_request", self.region);
        Ok(ChunkChain { key, date, scope, previous: seed.to_owned() })
    }
}

/// Each chunk's signature covers the one before, so chunks can be neither changed, dropped nor moved.
pub(super) struct ChunkChain {
    key: Vec<u8>,
    date: String,
    scope: String,
    previous: String,
}

impl ChunkChain {
    /// `size;chunk-signature=…\r\n`, the line before a chunk's bytes. The last chunk is empty.
    pub fn head_of(&mut self, chunk: &[u8]) -> String {
        let hashed = reqsign_core::hash::hex_sha256(chunk);
        let to_sign = format!(
            "AWS4-HMAC-SHA256-PAYLOAD\n{}\n{}\n{}\n{EMPTY_SHA256}\n{hashed}",
            self.date, self.scope, self.previous
        );
        self.previous = hex_hmac_sha256(&self.key, to_sign.as_bytes());
        format!("{:x};chunk-signature={}\r\n", chunk.len(), self.previous)
    }
}

/// Bytes on the wire of a body of `len` bytes signed in chunks.
pub(crate) fn chunked_len(len: u64) -> u64 {
    let framed = |size: u64| format!("{size:x}").len() as u64 + CHUNK_SIGNATURE_BYTES + size;
    let full = len / CHUNK_BYTES as u64;
    let rest = len % CHUNK_BYTES as u64;
    let tail = if rest == 0 { 0 } else { framed(rest) };
    full * framed(CHUNK_BYTES as u64) + tail + LAST_CHUNK_LINE + CHUNK_SIGNATURE_BYTES
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The worked example of Amazon's page "Transferring payload in multiple chunks".
    #[test]
    fn the_published_example() {
        let mut key = hmac_sha256(b"AWS4wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", b"20130524");
        for step in ["us-east-1", "s3", "aws4_request"] {
            key = hmac_sha256(&key, step.as_bytes());
        }
        let mut chain = ChunkChain {
            key,
            date: "20130524T000000Z".into(),
            scope: "20130524/us-east-1/s3/aws4_request".into(),
            previous: "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9".into(),
        };
        let a = vec![b'a'; 65536];
        let lines = [chain.head_of(&a), chain.head_of(&a[..1024]), chain.head_of(b"")];
        assert_eq!(
            lines,
            [
                "10000;chunk-signature=ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648\r\n",
                "400;chunk-signature=0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497\r\n",
                "0;chunk-signature=b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9\r\n",
            ]
        );
    }

    #[test]
    fn lengths_of_signed_chunks() {
        // The published example: 66,560 bytes in chunks of 64 KiB are 66,824 on the wire.
        assert_eq!(chunked_len(66_560), 66_824);
        assert_eq!(chunked_len(0), 86);
    }
}
