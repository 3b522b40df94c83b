//! Signature V4 written from its definition, apart from the code that verifies it.

use outlast_rules::Moment;
use sha2::{Digest, Sha256};

pub const ACCESS_KEY: &str = "APPKEY";
pub const SECRET_KEY: &str = "a secret that only tests know";
pub const EMPTY_SHA256: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

const BLOCK: usize = 64;

pub fn sha256_hex(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

fn hmac(key: &[u8], text: &[u8]) -> Vec<u8> {
    let mut block = [0; BLOCK];
    if key.len() > BLOCK {
        block[..32].copy_from_slice(&Sha256::digest(key));
    } else {
        block[..key.len()].copy_from_slice(key);
    }
    let keyed = |mask: u8, rest: &[u8]| Sha256::digest([block.map(|b| b ^ mask).as_slice(), rest].concat()).to_vec();
    keyed(0x5c, &keyed(0x36, text))
}

/// `20261121T101500Z`
pub fn amz_date(at: Moment) -> String {
    let time = time::OffsetDateTime::from_unix_timestamp((at.0 / 1000) as i64).unwrap();
    let format = time::macros::format_description!("[year][month][day]T[hour][minute][second]Z");
    time.format(format).unwrap()
}

pub fn encoded(text: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.~".contains(&b);
    text.bytes().map(|b| if plain(b) { (b as char).to_string() } else { format!("%{b:02X}") }).collect()
}

/// What is signed, and with which scope.
pub struct Signing<'a> {
    pub secret: &'a str,
    pub date: String,
    pub region: &'a str,
}

/// The chain that signed chunks continue.
pub struct Chain {
    key: Vec<u8>,
    scope: String,
    date: String,
    pub last: String,
}

impl Signing<'_> {
    pub fn scope(&self) -> String {
        format!("{}/{}/s3/aws4_request", &self.date[..8], self.region)
    }

    fn key(&self) -> Vec<u8> {
        let key = hmac(format!("AWS4{}", self.secret).as_bytes(), &self.date.as_bytes()[..8]);
        hmac(&hmac(&hmac(&key, self.region.as_bytes()), b"s3"), b"aws4_request")
    }

    /// `query` and `headers` as (encoded) pairs; `headers` in lower case. The signature and the chain for chunks.
    pub fn sign(
        &self,
        method: &str,
        path: &str,
        query: &[(String, String)],
        headers: &[(String, String)],
        payload: &str,
    ) -> Chain {
        let mut query: Vec<String> = query.iter().map(|(name, value)| format!("{name}={value}")).collect();
        query.sort();
        let lines: String = headers.iter().map(|(name, value)| format!("{name}:{}\n", value.trim())).collect();
        let names = signed_names(headers);
        let request = format!("{method}\n{path}\n{}\n{lines}\n{names}\n{payload}", query.join("&"));
        let scope = self.scope();
        let text = format!("AWS4-HMAC-SHA256\n{}\n{scope}\n{}", self.date, sha256_hex(request.as_bytes()));
        let key = self.key();
        let last = hex(&hmac(&key, text.as_bytes()));
        Chain { key, scope, date: self.date.clone(), last }
    }
}

pub fn signed_names(headers: &[(String, String)]) -> String {
    headers.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(";")
}

impl Chain {
    /// One signed chunk, framing included.
    pub fn chunk(&mut self, bytes: &[u8]) -> Vec<u8> {
        let text = format!(
            "AWS4-HMAC-SHA256-PAYLOAD\n{}\n{}\n{}\n{EMPTY_SHA256}\n{}",
            self.date,
            self.scope,
            self.last,
            sha256_hex(bytes)
        );
        self.last = hex(&hmac(&self.key, text.as_bytes()));
        let head = format!("{:x};chunk-signature={}\r\n", bytes.len(), self.last);
        [head.as_bytes(), bytes, b"\r\n"].concat()
    }

    /// The last chunk, the trailers and their signature.
    pub fn end_with_trailer(&mut self, name: &str, value: &str) -> Vec<u8> {
        let last = self.chunk(b"");
        let end = last.strip_suffix(b"\r\n").unwrap().to_vec();
        let text = format!(
            "AWS4-HMAC-SHA256-TRAILER\n{}\n{}\n{}\n{}",
            self.date,
            self.scope,
            self.last,
            sha256_hex(format!("{name}:{value}\n").as_bytes())
        );
        let signature = hex(&hmac(&self.key, text.as_bytes()));
        let trailer = format!("{name}:{value}\r\nx-amz-trailer-signature:{signature}\r\n\r\n");
        [end.as_slice(), trailer.as_bytes()].concat()
    }
}
