//! How keys are called on Azure. Almost every key is called what it is; what the service cannot hold, or would change on its
//! way, lies under `.outlast/keys/` in a spelling that people can read and that sorts as the keys do.
//!
//! Azure's rules (learn.microsoft.com, "Naming and referencing containers, blobs, and metadata"): 1 to 1,024 characters, at
//! most 254 segments between slashes; no name, and no segment, should end with a dot or a slash, or a sequence of both. A path
//! of dots is resolved as a path. A backslash is taken for a slash by clients, and control characters are no XML.

use std::borrow::Cow;

/// Where escaped keys lie.
pub(super) const ESCAPED: &str = ".outlast/keys/";
/// Where those lie whose escaped name would be longer than a name may be.
pub(super) const PACKED: &str = ".outlast/packed/";
/// Where uploads gather their parts. Hidden in listings: what lies there is no copy.
pub(super) const UPLOADS: &str = ".outlast/uploads/";
/// UTF-16 units, as the service counts.
const NAME_CHARACTERS_MAX: usize = 1024;
const SEGMENTS_MAX: usize = 254;
/// 4,096 characters in a row that are letters of one script, alike in every normal form, and sort by their value both as
/// UTF-8 and as UTF-16: CJK ideographs from U+4E00 on. Each carries 12 bits.
const PACK_BASE: u32 = 0x4E00;
const PACK_BITS: u32 = 12;
const PACK_MASK: u32 = (1 << PACK_BITS) - 1;
const BYTE_BITS: u32 = 9;
/// So many bytes are whole characters.
const PACK_GROUP: usize = 4;

/// Where a key is looked for: three ranges of names, each in the order of its keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Area {
    Plain,
    Escaped,
    Packed,
}

/// The name of a key's blob.
pub(super) fn there(key: &str) -> Cow<'_, str> {
    if is_plain(key) {
        return Cow::Borrowed(key);
    }
    let escaped = format!("{ESCAPED}{}", escape(key));
    if escaped.encode_utf16().count() <= NAME_CHARACTERS_MAX {
        return Cow::Owned(escaped);
    }
    Cow::Owned(format!("{PACKED}{}", pack(key.as_bytes())))
}

/// The key of a listed name, and from which area it came; None for a name in our areas that we did not make.
pub(super) fn here(name: &str) -> Option<(Area, String)> {
    if let Some(rest) = name.strip_prefix(ESCAPED) {
        return Some((Area::Escaped, unescape(rest)?));
    }
    if let Some(rest) = name.strip_prefix(PACKED) {
        return Some((Area::Packed, String::from_utf8(unpack(rest)?).ok()?));
    }
    Some((Area::Plain, name.to_owned()))
}

/// The prefix of all names of an area whose keys begin with `prefix`; it may let more through.
pub(super) fn prefix_there(area: Area, prefix: &str) -> String {
    match area {
        Area::Plain => prefix.to_owned(),
        Area::Escaped => format!("{ESCAPED}{}", escape(prefix)),
        // Only whole groups are a prefix.
        Area::Packed => {
            format!("{PACKED}{}", pack(&prefix.as_bytes()[..prefix.len() / PACK_GROUP * PACK_GROUP]))
        }
    }
}

fn is_plain(key: &str) -> bool {
    let good = |segment: &str| !segment.is_empty() && !segment.ends_with('.');
    let odd = |c: char| c.is_control() || c == '\\' || is_noncharacter(c);
    key.split('/').all(good)
        && key.split('/').count() <= SEGMENTS_MAX
        && !key.chars().any(odd)
        && key.encode_utf16().count() <= NAME_CHARACTERS_MAX
        && !key.starts_with(ESCAPED)
        && !key.starts_with(PACKED)
        && !key.starts_with(UPLOADS)
}

/// Not allowed in XML.
fn is_noncharacter(c: char) -> bool {
    matches!(u32::from(c) & 0xFFFF, 0xFFFE | 0xFFFF)
}

/// Every character that must not stand there, and its neighbour in the order, gets a spelling of two or more characters that
/// sorts between the same neighbours. (U+FFFE and U+FFFF sort lower than they should: 0x7E before the rest.)
fn escape(key: &str) -> String {
    let mut out = String::with_capacity(key.len() + 8);
    for c in key.chars() {
        match c {
            '\0'..=' ' => out.push_str(&format!(" {:02x}", u32::from(c))),
            '-' => out.push_str("-0"),
            '.' => out.push_str("-1"),
            '/' => out.push_str("-2"),
            '[' => out.push_str("[0"),
            '\\' => out.push_str("[1"),
            '~' => out.push_str("~0"),
            c if c.is_control() || is_noncharacter(c) => out.push_str(&format!("~1{:06x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out
}

fn unescape(text: &str) -> Option<String> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        let number = |digits: String| u32::from_str_radix(&digits, 16).ok().and_then(char::from_u32);
        out.push(match c {
            ' ' => number(rest.by_ref().take(2).collect())?,
            '-' => match rest.next()? {
                '0' => '-',
                '1' => '.',
                '2' => '/',
                _ => return None,
            },
            '[' => match rest.next()? {
                '0' => '[',
                '1' => '\\',
                _ => return None,
            },
            '~' => match rest.next()? {
                '0' => '~',
                '1' => number(rest.by_ref().take(6).collect())?,
                _ => return None,
            },
            c => c,
        });
    }
    Some(out)
}

/// Nine bits a byte, one more than its value, so that nothing is smaller than a key's end; twelve bits a character, the last
/// one filled with zeros.
fn pack(bytes: &[u8]) -> String {
    let letter = |bits: u32| char::from_u32(PACK_BASE + (bits & PACK_MASK)).expect("no surrogate is near");
    let mut out = String::new();
    let (mut held, mut count) = (0u32, 0);
    for byte in bytes {
        held = held << BYTE_BITS | (u32::from(*byte) + 1);
        count += BYTE_BITS;
        while count >= PACK_BITS {
            count -= PACK_BITS;
            out.push(letter(held >> count));
            held &= (1 << count) - 1;
        }
    }
    if count > 0 {
        out.push(letter(held << (PACK_BITS - count)));
    }
    out
}

fn unpack(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let (mut held, mut count) = (0u32, 0);
    for c in text.chars() {
        held = held << PACK_BITS | u32::from(c).checked_sub(PACK_BASE).filter(|value| *value <= PACK_MASK)?;
        count += PACK_BITS;
        while count >= BYTE_BITS {
            count -= BYTE_BITS;
            match held >> count {
                0 => return Some(bytes),
                byte => bytes.push(u8::try_from(byte - 1).ok()?),
            }
            held &= (1 << count) - 1;
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod fuzz;
#[cfg(test)]
mod tests {
    use super::*;

    /// Every character that is escaped, and its neighbours.
    const ODD: [char; 22] = [
        '\0', '\u{1}', '\u{1f}', ' ', '!', ',', '-', '.', '/', '0', 'Z', '[', '\\', ']', '}', '~', '\u{7f}', '\u{9f}',
        '\u{a0}', 'é', '\u{d7ff}', '🐈',
    ];

    fn keys() -> Vec<String> {
        let mut keys: Vec<String> = ODD.iter().map(char::to_string).collect();
        for _ in 0..2 {
            let longer = keys.iter().flat_map(|key| ODD.iter().map(move |c| format!("{key}{c}"))).collect::<Vec<_>>();
            keys.extend(longer);
        }
        keys.sort();
        keys.dedup();
        keys
    }

    #[test]
    fn every_key_comes_back_and_keeps_its_place_in_its_range() {
        let keys = keys();
        let long = "d".repeat(1000);
        for (area, made) in [
            (Area::Escaped, keys.iter().map(|key| format!("{ESCAPED}{}", escape(key))).collect::<Vec<_>>()),
            (Area::Packed, keys.iter().map(|key| format!("{PACKED}{}", pack(key.as_bytes()))).collect()),
        ] {
            for (key, name) in keys.iter().zip(&made) {
                assert_eq!(here(name), Some((area, key.clone())), "{name:?}");
            }
            assert!(made.is_sorted(), "{area:?}");
            let units: Vec<Vec<u16>> = made.iter().map(|name| name.encode_utf16().collect()).collect();
            assert!(units.is_sorted(), "{area:?}, sorted as UTF-16");
        }
        for key in keys.iter().chain([&format!("{long}//"), &format!("{long}/{}", ".".repeat(20))]) {
            let name = there(key);
            assert_eq!(here(&name).map(|(_, key)| key).as_ref(), Some(key), "{name:?}");
            assert!(name.encode_utf16().count() <= NAME_CHARACTERS_MAX, "{name}");
        }
    }

    #[test]
    fn prefixes_let_every_key_through() {
        for key in keys().iter().step_by(7) {
            for (end, _) in key.char_indices() {
                let prefix = &key[..end];
                let escaped = format!("{ESCAPED}{}", escape(key));
                assert!(escaped.starts_with(&prefix_there(Area::Escaped, prefix)), "{key:?} {prefix:?}");
                let packed = format!("{PACKED}{}", pack(key.as_bytes()));
                assert!(packed.starts_with(&prefix_there(Area::Packed, prefix)), "{key:?} {prefix:?}");
            }
        }
    }

    #[test]
    fn what_azure_holds_is_called_what_it_is() {
        for plain in ["photos/cat.jpg", ".outlast/tomb/1", ".hidden", "a b", " a", "a ", "ü/日本/🐈", "%2F", "a?#&=+"]
        {
            assert_eq!(there(plain), plain);
        }
        for (odd, name) in [("a//b", ".outlast/keys/a-2-2b"), ("a/", ".outlast/keys/a-2"), ("..", ".outlast/keys/-1-1")]
        {
            assert_eq!(there(odd), name);
        }
        assert!(there(&"/".repeat(1024)).starts_with(PACKED));
        assert!(there(&"a/".repeat(300)).starts_with(ESCAPED), "too many segments");
        assert!(there(".outlast/keys/a").starts_with(".outlast/keys/-1outlast-2keys-2a"), "our own names are no keys");
        for odd in [".outlast/keys/a-9", ".outlast/keys/ zz", ".outlast/packed/abc"] {
            assert_eq!(here(odd), None, "not made by us");
        }
    }
}
