//! What a copy carries besides its bytes, to and from Azure's headers (docs/decisions/0012-azure.md).

use crate::wire::{NO_TYPE, from_wire, to_wire};
use crate::{Dress, STAMP_NAME};
use http::header::{
    CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_ENCODING, CONTENT_LANGUAGE, CONTENT_TYPE, HeaderMap, HeaderName,
    HeaderValue,
};
use outlast_rules::{Head, Stamp};
use std::fmt::Write as _;

const META: &str = "x-ms-meta-";
/// Azure has no Expires. Names of clients never begin so: what follows their underscore is two hexadecimal digits.
const EXPIRES: &str = "_expires";
/// A copy without metadata would get that of its source; with this it has some.
const NONE: &str = "_none";

/// The headers that Put Blob, Put Block List and Set Blob Properties take.
pub(super) fn put_properties(head: &Head, headers: &mut HeaderMap) {
    let fixed = [
        ("x-ms-blob-content-encoding", &head.content_encoding),
        ("x-ms-blob-content-disposition", &head.content_disposition),
        ("x-ms-blob-content-language", &head.content_language),
        ("x-ms-blob-cache-control", &head.cache_control),
    ];
    for (name, value) in fixed {
        if let Some(value) = value {
            headers.insert(HeaderName::from_static(name), to_wire(value));
        }
    }
    let content_type = head.content_type.as_deref().map_or(HeaderValue::from_static(NO_TYPE), to_wire);
    headers.insert(HeaderName::from_static("x-ms-blob-content-type"), content_type);
}

/// User metadata, Expires and our stamp.
pub(super) fn put_metadata(dress: &Dress, headers: &mut HeaderMap) {
    for (name, value) in &dress.head.metadata {
        put_item(&identifier(name), value, headers);
    }
    if let Some(expires) = &dress.head.expires {
        put_item(EXPIRES, expires, headers);
    }
    if let Some(stamp) = &dress.stamp {
        put_item(STAMP_NAME, &stamp.encode(), headers);
    }
}

/// The same for Copy Blob, which takes the source's metadata where it is given none.
pub(super) fn put_metadata_anew(dress: &Dress, headers: &mut HeaderMap) {
    put_metadata(dress, headers);
    if !headers.keys().any(|name| name.as_str().starts_with(META)) {
        put_item(NONE, "1", headers);
    }
}

/// One metadata item; its name is an identifier.
pub(super) fn put_item(name: &str, value: &str, headers: &mut HeaderMap) {
    let name = HeaderName::try_from(format!("{META}{name}")).expect("an identifier is a header name");
    headers.insert(name, to_wire(value));
}

pub(super) fn item_of<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(format!("{META}{name}")).and_then(|value| value.to_str().ok())
}

/// The other way round. Metadata called `outlast` that is no stamp of ours counts as absent.
pub(super) fn take_dress(headers: &HeaderMap) -> Dress {
    let stamp = item_of(headers, STAMP_NAME).and_then(|text| Stamp::parse(text).ok());
    let ours = stamp.is_some();
    let text = |name: HeaderName| headers.get(name).map(|value| from_wire(value, ours));
    let mut dress = Dress { stamp, ..Dress::default() };
    dress.head.content_type = text(CONTENT_TYPE).filter(|one| one != NO_TYPE);
    dress.head.content_encoding = text(CONTENT_ENCODING);
    dress.head.content_disposition = text(CONTENT_DISPOSITION);
    dress.head.content_language = text(CONTENT_LANGUAGE);
    dress.head.cache_control = text(CACHE_CONTROL);
    for (name, value) in headers {
        let Some(short) = name.as_str().strip_prefix(META) else { continue };
        match short {
            STAMP_NAME | NONE => {}
            EXPIRES => dress.head.expires = Some(from_wire(value, ours)),
            _ => {
                let name = if ours { name_of(short) } else { short.to_owned() };
                dress.head.metadata.insert(name, from_wire(value, ours));
            }
        }
    }
    dress
}

/// Are the headers that only a write sets the same?
pub(super) fn same_properties(a: &Head, b: &Head) -> bool {
    let properties = |head: &Head| Head { metadata: Default::default(), expires: None, ..head.clone() };
    properties(a) == properties(b)
}

/// Azure's metadata names are identifiers of C#: letters, digits, underscore, no digit first. Every other byte becomes an
/// underscore and its two hexadecimal digits; so does the underscore itself.
fn identifier(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    for (at, byte) in name.bytes().enumerate() {
        match byte {
            b'a'..=b'z' => out.push(char::from(byte)),
            b'0'..=b'9' if at > 0 => out.push(char::from(byte)),
            // Writing to a String cannot fail.
            _ => drop(write!(out, "_{byte:02x}")),
        }
    }
    out
}

/// What does not read as such a name is somebody else's and stays as it is.
fn name_of(identifier: &str) -> String {
    let mut bytes = Vec::with_capacity(identifier.len());
    let mut rest = identifier.as_bytes();
    while let [first, tail @ ..] = rest {
        rest = tail;
        if *first != b'_' {
            bytes.push(*first);
            continue;
        }
        let digits = tail.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
        match digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => bytes.push(byte),
            None => return identifier.to_owned(),
        }
        rest = &tail[2..];
    }
    String::from_utf8(bytes).unwrap_or_else(|_| identifier.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use outlast_rules::{Epoch, Seq, WriteId};

    fn stamp() -> Stamp {
        Stamp { epoch: Epoch(3), seq: Some(Seq(9)), write: WriteId(5), name: [1; 16], size: Some(7), digest: None }
    }

    /// As the service gives back what it was given.
    fn given_back(dress: &Dress) -> HeaderMap {
        let mut sent = HeaderMap::new();
        put_properties(&dress.head, &mut sent);
        put_metadata_anew(dress, &mut sent);
        let mut back = HeaderMap::new();
        for (name, value) in &sent {
            let plain = name.as_str().replace("x-ms-blob-", "");
            back.insert(HeaderName::try_from(plain).expect("a name"), value.clone());
        }
        back
    }

    #[test]
    fn what_is_put_comes_back() {
        let metadata = [("x-y_z", "a  b"), ("1st", "ü"), ("plain", "p"), ("_", ""), ("expires", "e"), ("none", "n")];
        let head = Head {
            content_type: Some("text/plain".into()),
            content_encoding: Some("br".into()),
            expires: Some("Wed, 21 Oct 2026 07:28:00 GMT".into()),
            metadata: metadata.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
            ..Head::default()
        };
        for dress in [Dress { head, stamp: Some(stamp()) }, Dress::default()] {
            let back = given_back(&dress);
            assert_eq!(take_dress(&back), dress, "{back:?}");
        }
    }

    #[test]
    fn names_are_identifiers_and_none_is_lost() {
        for name in ["a", "a-b", "a_b", "_2d", "1a", "é", "a.b", "-", "a__b", "_expires", "_none", "z~"] {
            let made = identifier(name);
            assert!(made.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_'), "{made}");
            assert!(!made.starts_with(|c: char| c.is_ascii_digit()) && made != EXPIRES && made != NONE, "{made}");
            assert_eq!(name_of(&made), name);
        }
        for odd in ["_", "_x", "_2", "a_zz", "_ff", "_é"] {
            assert_eq!(name_of(odd), odd, "somebody else's");
        }
    }

    #[test]
    fn without_our_stamp_nothing_is_decoded() {
        let mut headers = HeaderMap::new();
        headers.insert("x-ms-meta-a_2db", HeaderValue::from_static("=?Utf-8?b?w7w=?="));
        put_item(STAMP_NAME, "not a stamp", &mut headers);
        let dress = take_dress(&headers);
        assert_eq!((dress.stamp, dress.head.metadata.len()), (None, 1));
        assert_eq!(dress.head.metadata["a_2db"], "=?Utf-8?b?w7w=?=");
    }
}
