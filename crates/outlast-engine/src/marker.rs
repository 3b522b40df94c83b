//! The identity marker as bytes: what is whole and says whose the store is, and what only proves that bytes are wrong. Another's
//! marker keeps a gateway from starting, so nothing less than a whole one counts as that.

use outlast_rules::{Moment, StoreName};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

pub(crate) const MARKER_KEY: &str = ".outlast/store.json";
/// Ours has about 160 bytes; whatever is larger is not ours.
const MARKER_BYTES_MAX: usize = 4096;
/// A changed byte passes with a chance of one in 2^64; sixteen digits keep the file readable.
const SUM_DIGITS: usize = 16;

/// What lies in a store's home, as JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Marker {
    pub installation: String,
    pub store: StoreName,
    pub made: Moment,
    /// Of the other three. None: written by a version that knew none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sum: Option<String>,
}

/// What is wrong with the bytes of a marker. Nothing is known of whose it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Damage {
    #[error("cannot be read as an identity marker")]
    Unreadable,
    #[error("has other bytes than were written")]
    Differs,
}

impl Marker {
    pub fn new(installation: &str, store: &StoreName, made: Moment) -> Marker {
        let sum = Some(sum(installation, store, made));
        Marker { installation: installation.to_owned(), store: store.clone(), made, sum }
    }

    /// Reads what a store showed. `kept`: what the ledger remembers of it.
    ///
    /// # Errors
    /// It is no whole marker, so that it says nothing of whose store this is.
    pub fn read(bytes: &[u8], kept: Option<&Marker>) -> Result<Marker, Damage> {
        let whole = bytes.len() <= MARKER_BYTES_MAX;
        let marker = serde_json::from_slice::<Marker>(bytes).ok().filter(|_| whole).ok_or(Damage::Unreadable)?;
        match &marker.sum {
            Some(said) if *said == sum(&marker.installation, &marker.store, marker.made) => Ok(marker),
            Some(_) => Err(Damage::Differs),
            None if !marker.installation.bytes().all(|byte| byte.is_ascii_hexdigit()) => Err(Damage::Differs),
            // Nobody else makes one in the very millisecond of ours.
            None if kept.is_some_and(|kept| kept.made == marker.made && *kept != marker) => Err(Damage::Differs),
            None => Ok(marker),
        }
    }
}

fn sum(installation: &str, store: &StoreName, made: Moment) -> String {
    let digest = Sha256::digest(format!("{installation}\n{store}\n{}", made.0));
    digest.iter().map(|byte| format!("{byte:02x}")).collect::<String>()[..SUM_DIGITS].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const OURS: &str = "00112233445566778899aabbccddeeff";

    fn ours() -> Marker {
        Marker::new(OURS, &StoreName::parse("nas").expect("a name"), Moment(1_750_000_000_000))
    }

    fn text(marker: &Marker) -> Vec<u8> {
        serde_json::to_vec(marker).expect("plain data")
    }

    #[test]
    fn a_whole_marker_reads_back_and_another_ones_too() {
        assert_eq!(Marker::read(&text(&ours()), None), Ok(ours()));
        let other = Marker::new("ff", &ours().store, Moment(1));
        assert_eq!(Marker::read(&text(&other), Some(&ours())), Ok(other), "whole, and not ours");
    }

    /// Each byte, each of three changes: what still reads is what was written.
    #[test]
    fn no_changed_byte_makes_it_another_ones() {
        let whole = text(&ours());
        for at in 0..whole.len() {
            for change in [0x01, 0x20, 0x80] {
                let mut bytes = whole.clone();
                bytes[at] ^= change;
                if let Ok(read) = Marker::read(&bytes, Some(&ours())) {
                    assert_eq!(read, ours(), "byte {at}: {}", String::from_utf8_lossy(&bytes));
                }
            }
        }
        for cut in 0..whole.len() {
            assert_eq!(Marker::read(&whole[..cut], None), Err(Damage::Unreadable), "{cut} bytes of it");
        }
        let long = [&whole[..], &[b' '; MARKER_BYTES_MAX]].concat();
        assert_eq!(Marker::read(&long, None), Err(Damage::Unreadable));
    }

    /// As the first version wrote it, for ever.
    #[test]
    fn a_marker_without_a_sum_is_read() {
        let old = format!(r#"{{"installation":"{OURS}","store":"nas","made":1750000000000}}"#);
        let read = Marker::read(old.as_bytes(), None).expect("an old one");
        assert_eq!((read.installation.as_str(), read.store.as_str(), read.made), (OURS, "nas", ours().made));
        assert_eq!(Marker::read(old.as_bytes(), Some(&read)), Ok(read.clone()));
        let changed = old.replace("0011", "0010");
        assert_eq!(Marker::read(changed.as_bytes(), Some(&read)), Err(Damage::Differs), "one byte of ours");
        assert_eq!(Marker::read(old.replace("0011", "001~").as_bytes(), None), Err(Damage::Differs), "no id");
        let others = changed.replace("1750000000000", "1750000000001");
        assert!(Marker::read(others.as_bytes(), Some(&read)).is_ok(), "whole, and another's");
    }
}
