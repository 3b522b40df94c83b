//! What an upload is of, kept as one item of metadata where a service has no uploads that could say it, and ids of our own for
//! what is gathered beside the keys (docs/decisions/0012-azure.md, docs/decisions/0013-gcs.md).

use crate::Dress;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use outlast_rules::{Head, Stamp};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use serde::{Deserialize, Serialize};
use std::sync::atomic::{AtomicU64, Ordering};

/// The name of the item.
pub(crate) const RECORD: &str = "outlastupload";
const FORMAT: u32 = 1;
/// The services take 8 KiB of metadata, names included.
const RECORD_BYTES_MAX: usize = 8 * 1024 - 64;

/// What an upload is of.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Record {
    format: u32,
    pub key: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    stamp: Option<String>,
    #[serde(default)]
    pub head: Head,
}

impl Record {
    pub fn of(key: &str, dress: &Dress) -> Record {
        let stamp = dress.stamp.as_ref().map(Stamp::encode);
        Record { format: FORMAT, key: key.to_owned(), stamp, head: dress.head.clone() }
    }

    /// The item's value.
    pub fn encode(&self) -> String {
        URL_SAFE_NO_PAD.encode(serde_json::to_vec(self).expect("texts are JSON"))
    }

    /// The same for something new; the error says that it does not fit.
    pub fn encode_to_fit(&self) -> Result<String, &'static str> {
        Some(self.encode())
            .filter(|text| text.len() <= RECORD_BYTES_MAX)
            .ok_or("key, headers and metadata together are too long for an upload in parts here")
    }

    pub fn parse(text: &str) -> Option<Record> {
        let record: Record = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).ok()?).ok()?;
        (record.format == FORMAT).then_some(record)
    }

    pub fn dress(&self) -> Dress {
        let stamp = self.stamp.as_deref().and_then(|text| Stamp::parse(text).ok());
        Dress { head: self.head.clone(), stamp }
    }
}

/// Numbers that nobody else has had: begun at random, counted up.
pub(crate) struct Ids {
    first: u128,
    drawn: AtomicU64,
}

impl Ids {
    pub fn new() -> Ids {
        Ids { first: SmallRng::from_os_rng().random(), drawn: AtomicU64::new(0) }
    }

    /// 32 hexadecimal digits.
    pub fn draw(&self) -> String {
        format!("{:032x}", self.first.wrapping_add(u128::from(self.drawn.fetch_add(1, Ordering::Relaxed))))
    }
}

/// As `Ids` draws them.
pub(crate) fn is_id(id: &str) -> bool {
    id.len() == 32 && id.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_read_back() {
        let head = Head { content_type: Some("text/ü".into()), ..Head::default() };
        let record = Record { format: FORMAT, key: "a//b\u{1}".into(), stamp: None, head };
        assert_eq!(Record::parse(&record.encode()), Some(record.clone()));
        assert_eq!(Record::parse(&Record { format: 2, ..record }.encode()), None);
        assert_eq!(Record::parse("no record"), None);
        assert!(Record::of(&"k".repeat(RECORD_BYTES_MAX), &Dress::default()).encode_to_fit().is_err());
    }

    #[test]
    fn ids_are_new_and_known() {
        let ids = Ids::new();
        let (one, other) = (ids.draw(), ids.draw());
        assert!(is_id(&one) && is_id(&other) && one != other, "{one} {other}");
        assert!(!is_id("1") && !is_id(&"G".repeat(32)));
    }
}
