//! The client's names, parsed once: after `parse` nobody checks them again.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;

/// Our own small files on a store lie under this prefix; clients neither see nor may use it (protocol.md 0).
pub const RESERVED_PREFIX: &str = ".outlast/";

/// S3 refuses longer keys, and so does every store we know.
const KEY_BYTES_MAX: usize = 1024;

/// Why a name was refused; the text is fit for a client.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    #[error("a bucket name has 3 to 63 letters, this one has {0}")]
    BucketLength(usize),
    #[error(
        "a bucket name holds lower-case letters, digits, '-' and '.', and starts and ends with a letter or digit (see character {at})"
    )]
    BucketLetter { at: usize },
    #[error("a key has 1 to 1024 bytes, this one has {0}")]
    KeyLength(usize),
    #[error("keys under .outlast/ are reserved for Outlast's own records")]
    KeyReserved,
    #[error(
        "a key cannot hold the character U+{:04X}: XML, in which S3 lists keys, has no way to write it", *.0 as u32
    )]
    KeyLetter(char),
    #[error(
        "a store name has 1 to 32 lower-case letters, digits, '-' and '_', and starts with a letter or digit: {0:?}"
    )]
    Store(String),
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Arc<str>);
        impl $name {
            pub fn as_str(&self) -> &str { &self.0 }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { f.write_str(&self.0) }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { write!(f, "{:?}", &self.0) }
        }
        impl From<$name> for String {
            fn from(name: $name) -> String { name.0.as_ref().to_owned() }
        }
        impl TryFrom<String> for $name {
            type Error = NameError;
            fn try_from(text: String) -> Result<Self, NameError> { Self::parse(&text) }
        }
    };
}

/// The first character that XML 1.0 cannot carry (section 2.2, Char), not even escaped: an answer that names it is no XML.
pub fn beyond_xml(text: &str) -> Option<char> {
    let carried = |c: char| matches!(c, '\t' | '\n' | '\r') || (c >= ' ' && !matches!(c, '\u{FFFE}' | '\u{FFFF}'));
    text.chars().find(|c| !carried(*c))
}

name!(
    /// The client's bucket. S3's rules for new buckets.
    BucketName
);
name!(
    /// The client's key: 1 to 1024 bytes of UTF-8, kept byte for byte (`a//b`, `/a`, `dir/` are keys like any other).
    Key
);
name!(
    /// The name of a store in the configuration, in tables, metrics and phone calls.
    StoreName
);

impl BucketName {
    pub fn parse(text: &str) -> Result<BucketName, NameError> {
        if !(3..=63).contains(&text.len()) {
            return Err(NameError::BucketLength(text.len()));
        }
        let edge = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
        let bytes = text.as_bytes();
        let last = bytes.len() - 1;
        for (at, &b) in bytes.iter().enumerate() {
            let doubled = b == b'.' && at > 0 && bytes[at - 1] == b'.';
            if !(edge(b) || ((b == b'-' || b == b'.') && at != 0 && at != last && !doubled)) {
                return Err(NameError::BucketLetter { at });
            }
        }
        Ok(BucketName(text.into()))
    }
}

impl Key {
    /// A key that comes to us now, from a client or with a bucket that is adopted. Besides what `parse` refuses, it could be
    /// listed: one key that no listing can name closes the listing of all others.
    pub fn admit(text: &str) -> Result<Key, NameError> {
        let key = Key::parse(text)?;
        match beyond_xml(text) {
            Some(letter) => Err(NameError::KeyLetter(letter)),
            None => Ok(key),
        }
    }

    /// A key that may be recorded already, to be read or removed. The reserved prefix is refused.
    pub fn parse(text: &str) -> Result<Key, NameError> {
        if text.starts_with(RESERVED_PREFIX) || text == ".outlast" {
            return Err(NameError::KeyReserved);
        }
        if text.is_empty() || text.len() > KEY_BYTES_MAX {
            return Err(NameError::KeyLength(text.len()));
        }
        if text.contains('\0') {
            return Err(NameError::KeyLetter('\0'));
        }
        Ok(Key(text.into()))
    }
}

impl StoreName {
    pub fn parse(text: &str) -> Result<StoreName, NameError> {
        let letter = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
        let ok = (1..=32).contains(&text.len())
            && letter(text.as_bytes()[0])
            && text.bytes().all(|b| letter(b) || b == b'-' || b == b'_');
        if ok { Ok(StoreName(text.into())) } else { Err(NameError::Store(text.to_owned())) }
    }
}

#[cfg(test)]
mod fuzz;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets() {
        for good in ["photos", "a.b-c", "123", "acme-photos-eu"] {
            assert!(BucketName::parse(good).is_ok(), "{good}");
        }
        for bad in ["Photos", "ab", "-ab", "ab-", "a..b", "a_b", "", &"a".repeat(64)] {
            assert!(BucketName::parse(bad).is_err(), "{bad}");
        }
        assert_eq!(BucketName::parse("Photos"), Err(NameError::BucketLetter { at: 0 }));
    }

    #[test]
    fn keys() {
        for good in ["a", "a//b", "/a", "a/", "..", "ü", " ", ".outlastx", &"k".repeat(1024)] {
            assert!(Key::parse(good).is_ok(), "{good}");
        }
        for bad in ["", ".outlast/x", ".outlast", "a\0b", &"k".repeat(1025)] {
            assert!(Key::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn keys_that_no_listing_could_name_are_kept_and_not_admitted() {
        for good in ["a\tb", "a\nb", "a\rb", "\u{7f}", "\u{85}", "\u{FFFD}", "\u{10FFFF}", "ü€😀"] {
            assert!(Key::admit(good).is_ok(), "{good:?}");
        }
        for bad in ['\u{1}', '\u{8}', '\u{b}', '\u{c}', '\u{e}', '\u{1b}', '\u{1f}', '\u{FFFE}', '\u{FFFF}'] {
            let name = format!("a{bad}b");
            assert_eq!(Key::admit(&name), Err(NameError::KeyLetter(bad)));
            assert!(Key::parse(&name).is_ok(), "written by an earlier version, it can be read and removed");
        }
        assert_eq!(Key::admit(".outlast/x"), Err(NameError::KeyReserved));
        let words = NameError::KeyLetter('\u{1}').to_string();
        assert!(words.contains("U+0001"), "{words}");
    }

    #[test]
    fn stores() {
        assert!(StoreName::parse("b2").is_ok());
        assert!(StoreName::parse("B2").is_err());
        assert!(StoreName::parse("").is_err());
    }
}
