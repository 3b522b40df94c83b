//! Signature V4 written from its definition, apart from the code that verifies it.

use sha2::{Digest, Sha256};
use time::OffsetDateTime;
use time::macros::format_description;

const BLOCK: usize = 64;
/// The body's own hash is left out: what arrives is compared byte by byte by whoever reads it back.
pub(super) const PAYLOAD: &str = "UNSIGNED-PAYLOAD";
const REGION: &str = "us-east-1";

/// Who asks.
#[derive(Debug, Clone)]
pub struct Account {
    pub access_key: String,
    pub secret_key: String,
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

fn hmac(key: &[u8], text: &[u8]) -> [u8; 32] {
    let mut block = [0; BLOCK];
    if key.len() > BLOCK {
        block[..32].copy_from_slice(&Sha256::digest(key));
    } else {
        block[..key.len()].copy_from_slice(key);
    }
    let keyed = |mask: u8, rest: &[u8]| -> [u8; 32] {
        Sha256::new().chain_update(block.map(|b| b ^ mask)).chain_update(rest).finalize().into()
    };
    keyed(0x5c, &keyed(0x36, text))
}

/// RFC 3986, as Signature V4 wants it; `keep` stays as it is.
pub(super) fn encoded(text: &str, keep: &[u8]) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.~".contains(&b) || keep.contains(&b);
    text.bytes().map(|b| if plain(b) { (b as char).to_string() } else { format!("%{b:02X}") }).collect()
}

impl Account {
    /// `20261121T101500Z` and the value of Authorization. `path` and `query` encoded, `query` and `headers` sorted,
    /// names of headers in lower case; host, date and payload are added here.
    pub(super) fn sign(
        &self,
        method: &str,
        host: &str,
        path: &str,
        query: &str,
        headers: &[(String, String)],
    ) -> (String, String) {
        let format = format_description!("[year][month][day]T[hour][minute][second]Z");
        let date = OffsetDateTime::now_utc().format(&format).expect("the format has only what a date has");
        let own = [("host", host), ("x-amz-content-sha256", PAYLOAD), ("x-amz-date", date.as_str())];
        let given = headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let mut signed: Vec<(&str, &str)> = own.into_iter().chain(given).collect();
        signed.sort_unstable();
        let lines: String = signed.iter().map(|(name, value)| format!("{name}:{}\n", value.trim())).collect();
        let names = signed.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(";");
        let request = format!("{method}\n{path}\n{query}\n{lines}\n{names}\n{PAYLOAD}");
        let scope = format!("{}/{REGION}/s3/aws4_request", &date[..8]);
        let hashed = hex(&Sha256::digest(request.as_bytes()));
        let text = format!("AWS4-HMAC-SHA256\n{date}\n{scope}\n{hashed}");
        let mut key = hmac(format!("AWS4{}", self.secret_key).as_bytes(), &date.as_bytes()[..8]);
        for step in [REGION, "s3", "aws4_request"] {
            key = hmac(&key, step.as_bytes());
        }
        let signature = hex(&hmac(&key, text.as_bytes()));
        let who = &self.access_key;
        let words = format!("AWS4-HMAC-SHA256 Credential={who}/{scope}, SignedHeaders={names}, Signature={signature}");
        (date, words)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 4231, test case 2.
    #[test]
    fn hmac_of_the_standard() {
        let sum = hex(&hmac(b"Jefe", b"what do ya want for nothing?"));
        assert_eq!(sum, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    }
}
