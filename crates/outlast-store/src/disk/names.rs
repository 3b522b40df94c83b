//! Where a key lies on a disk: plainly wherever a file system can hold it, else under one reversible, order-keeping escape.
//!
//! Byte format and reasons: docs/formats/disk.md.

use serde::{Deserialize, Serialize};

/// The folder of our own things in each bucket. No plain key leads into it.
pub(crate) const PRIVATE: &str = ".outlast/.disk";
/// An escaped name is cut into pieces of this many letters: the shortest name limit that we know (eCryptfs) is 143.
const PIECE_LETTERS: usize = 120;
/// Ends the name of a folder whose key goes on below.
const GOES_ON: char = '+';
/// Ends the name of a file.
const ENDS: char = '=';
/// Letters that some file systems refuse in names (exFAT, NTFS, SMB shares).
const STRICT_LETTERS: &str = "\"*:<>?\\|";

/// What this disk's file system does to names; seen at open by writing some.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct NameRules {
    /// `Cat` and `cat` are one file.
    pub folds_case: bool,
    /// Two spellings of `é` are one file, or come back changed.
    pub normalises: bool,
    /// Letters like `:` or a space at the end are refused or changed.
    pub strict: bool,
    /// Longest name of one file, bytes.
    pub name_bytes_max: usize,
}

impl NameRules {
    #[cfg(test)]
    pub const LINUX: NameRules = NameRules { folds_case: false, normalises: false, strict: false, name_bytes_max: 255 };

    /// May this key lie under its own name? Where not, only its escaped place is ever looked at.
    pub fn is_plain(&self, key: &str) -> bool {
        let private = key == ".outlast" || key == PRIVATE || key.starts_with(".outlast/.disk/");
        !private && !key.contains('\0') && self.letters_fit(key) && key.split('/').all(|name| self.name_fits(name))
    }

    fn letters_fit(&self, key: &str) -> bool {
        let folds = self.folds_case && key.bytes().any(|b| b.is_ascii_uppercase());
        let spelt = (self.folds_case || self.normalises) && !key.is_ascii();
        let refused = self.strict && key.chars().any(|c| c.is_ascii_control() || STRICT_LETTERS.contains(c));
        !folds && !spelt && !refused
    }

    fn name_fits(&self, name: &str) -> bool {
        let ends_badly = self.strict && (name.ends_with(' ') || name.ends_with('.'));
        !name.is_empty() && name != "." && name != ".." && name.len() <= self.name_bytes_max && !ends_badly
    }
}

/// Letters `-`, `0`-`9`, `a`-`z` stand for themselves; every other byte is a lead and two hexadecimal digits. The lead
/// sorts where its bytes sort, so that escaped names have the order of the keys.
pub(crate) fn encode(key: &str) -> String {
    let mut text = String::with_capacity(key.len() * 2);
    for byte in key.bytes() {
        push_unit(&mut text, byte);
    }
    text
}

fn push_unit(text: &mut String, byte: u8) {
    match byte {
        b'-' | b'0'..=b'9' | b'a'..=b'z' => text.push(byte as char),
        _ => {
            text.push(lead_of(byte));
            for digit in [byte >> 4, byte & 15] {
                text.push(char::from_digit(u32::from(digit), 16).expect("a half byte is one digit"));
            }
        }
    }
}

fn lead_of(byte: u8) -> char {
    match byte {
        0x00..=0x2c => '%',
        0x2d..=0x39 => '.',
        0x3a..=0x60 => '@',
        _ => '~',
    }
}

/// The key of an encoded text; None where it isn't exactly what `encode` makes.
pub(crate) fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut letters = text.bytes();
    while let Some(letter) = letters.next() {
        match letter {
            b'-' | b'0'..=b'9' | b'a'..=b'z' => bytes.push(letter),
            _ => {
                let mut digit = || (letters.next()? as char).to_digit(16);
                bytes.push((digit()? << 4 | digit()?) as u8);
            }
        }
    }
    String::from_utf8(bytes).ok().filter(|key| encode(key) == text)
}

/// The escaped place of a key, below the folder of escaped keys.
pub(crate) fn escaped_path(key: &str) -> String {
    let mut path = String::with_capacity(key.len() * 2 + 8);
    let mut piece = 0;
    for byte in key.bytes() {
        if piece >= PIECE_LETTERS {
            path.push(GOES_ON);
            path.push('/');
            piece = 0;
        }
        let before = path.len();
        push_unit(&mut path, byte);
        piece += path.len() - before;
    }
    path.push(ENDS);
    path
}

/// One name in the folder of escaped keys.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Piece<'a> {
    GoesOn(&'a str),
    Ends(&'a str),
}

/// None: not one of our names.
pub(crate) fn piece_of(name: &str) -> Option<Piece<'_>> {
    name.strip_suffix(GOES_ON).map(Piece::GoesOn).or_else(|| name.strip_suffix(ENDS).map(Piece::Ends))
}

/// May this be the name of a native bucket? Anything else in the root (`lost+found`, our lock) is not ours to show.
pub(crate) fn is_bucket(name: &str) -> bool {
    let letter = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    !name.is_empty() && name.len() <= 255 && !name.starts_with('.') && name.bytes().all(letter)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn odd_keys() -> Vec<String> {
        let mut keys: Vec<String> = [
            "a",
            "a/b",
            "a//b",
            "/a",
            "a/",
            "/",
            "//",
            ".",
            "..",
            "a/../b",
            "./a",
            " ",
            "a b",
            "A",
            "É",
            "e\u{301}",
            "a=",
            "a+",
            "a.",
            "%2f",
            ".2f",
            "@41",
            "~7e",
            "a-b",
            "a.b",
            "\n",
            "\u{10ffff}",
            ".outlast",
            "zz",
            "a\0b",
        ]
        .map(str::to_owned)
        .to_vec();
        keys.push("k".repeat(1024));
        keys.push("/".repeat(1024));
        keys.push("é".repeat(512));
        for n in 117..=123 {
            keys.push("x".repeat(n));
            keys.push(format!("{}Y", "x".repeat(n)));
            keys.push(format!("{}/z", "x".repeat(n)));
        }
        keys
    }

    #[test]
    fn escape_reads_back_and_keeps_the_order() {
        let keys = odd_keys();
        for a in &keys {
            assert_eq!(decode(&encode(a)).as_ref(), Some(a), "{a:?}");
            for b in &keys {
                assert_eq!(a.cmp(b), encode(a).cmp(&encode(b)), "{a:?} {b:?}");
                assert_eq!(b.starts_with(a.as_str()), encode(b).starts_with(&encode(a)), "{a:?} {b:?}");
            }
        }
        for byte in 0..=127u8 {
            let key = (byte as char).to_string();
            assert_eq!(decode(&encode(&key)), Some(key));
        }
    }

    #[test]
    fn escaped_paths_are_safe_names_and_read_back() {
        for key in odd_keys() {
            let path = escaped_path(&key);
            let names: Vec<&str> = path.split('/').collect();
            let mut text = String::new();
            for (at, name) in names.iter().enumerate() {
                assert!(name.len() <= PIECE_LETTERS + 3, "{name}");
                assert!(!name.starts_with("..") && !name.bytes().any(|b| b.is_ascii_uppercase()), "{name}");
                match piece_of(name) {
                    Some(Piece::GoesOn(piece)) if at + 1 < names.len() => text.push_str(piece),
                    Some(Piece::Ends(piece)) if at + 1 == names.len() => text.push_str(piece),
                    other => panic!("{other:?} in {path}"),
                }
            }
            assert_eq!(decode(&text), Some(key));
        }
    }

    #[test]
    fn decode_takes_only_what_encode_makes() {
        for bad in ["%", "%2", "%61", "A", "~2f", ".ff", "~ff", "a%2F", "_"] {
            assert_eq!(decode(bad), None, "{bad}");
        }
    }

    #[test]
    fn plain_or_not() {
        let linux = NameRules::LINUX;
        let long = "k".repeat(256);
        for plain in
            ["photos/cat.jpg", "a b", "É", "A", ".outlast/store.json", ".outlast/.diskette", "a:b", "...", "%2f"]
        {
            assert!(linux.is_plain(plain), "{plain}");
        }
        for escaped in
            ["", "a//b", "/a", "a/", "..", "a/./b", "a\0b", ".outlast", ".outlast/.disk", ".outlast/.disk/tmp/x", &long]
        {
            assert!(!linux.is_plain(escaped), "{escaped}");
        }
        let folding = NameRules { folds_case: true, ..linux };
        assert!(folding.is_plain("photos/cat.jpg") && !folding.is_plain("Photos/cat.jpg") && !folding.is_plain("é"));
        let normalising = NameRules { normalises: true, ..linux };
        assert!(normalising.is_plain("Photos") && !normalising.is_plain("é"));
        let strict = NameRules { strict: true, ..linux };
        for escaped in ["a:b", "a?", "a\\b", "a./b", "a /b", "a\n"] {
            assert!(!strict.is_plain(escaped), "{escaped}");
        }
    }

    #[test]
    fn buckets() {
        assert!(is_bucket("acme-photos.eu"));
        for bad in ["", ".", "..", ".outlast.lock", "lost+found", "a/b", "ä"] {
            assert!(!is_bucket(bad), "{bad}");
        }
    }
}
