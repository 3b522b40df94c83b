//! How keys are called on Google Cloud Storage: what they are, but for those that it refuses.
//!
//! Its rules (cloud.google.com, "About Cloud Storage objects", naming): 1 to 1,024 bytes of UTF-8; no carriage return, no line
//! feed; not `.` and not `..`; not below `.well-known/acme-challenge/`.

use std::borrow::Cow;

/// Where escaped keys lie. The service lists names by their bytes, and so do these among themselves.
pub(super) const ESCAPED: &str = ".outlast/keys/";
const CHALLENGE: &str = ".well-known/acme-challenge/";

/// Which names a listing looks through: each range is in the order of its keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Area {
    Plain,
    Escaped,
}

/// The name of a key's object.
pub(super) fn there(key: &str) -> Cow<'_, str> {
    if is_plain(key) { Cow::Borrowed(key) } else { Cow::Owned(format!("{ESCAPED}{}", escape(key))) }
}

/// The key of a listed name, and from which area it came; None for a name in our area that we did not make.
pub(super) fn here(name: &str) -> Option<(Area, String)> {
    match name.strip_prefix(ESCAPED) {
        Some(rest) => Some((Area::Escaped, unescape(rest)?)),
        None => Some((Area::Plain, name.to_owned())),
    }
}

/// The prefix of all names of an area whose keys begin with `prefix`.
pub(super) fn prefix_there(area: Area, prefix: &str) -> String {
    match area {
        Area::Plain => prefix.to_owned(),
        Area::Escaped => format!("{ESCAPED}{}", escape(prefix)),
    }
}

fn is_plain(key: &str) -> bool {
    !key.contains(['\r', '\n'])
        && !matches!(key, "." | "..")
        && !key.starts_with(CHALLENGE)
        && !key.starts_with(ESCAPED)
        && !key.starts_with(UPLOADS)
}

/// Control characters below carriage return and the escape itself sort as they did: `!` is the lowest letter that is used, and
/// what stood below it stands behind it in its own order.
fn escape(key: &str) -> String {
    let mut out = String::with_capacity(key.len() + 8);
    for c in key.chars() {
        match c {
            '\0'..='!' => out.push_str(&format!("!{:02x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out
}

fn unescape(text: &str) -> Option<String> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        if c != '!' {
            out.push(c);
            continue;
        }
        let digits: String = rest.by_ref().take(2).collect();
        out.push(u32::from_str_radix(&digits, 16).ok().and_then(char::from_u32)?);
    }
    Some(out)
}

/// Where uploads gather their parts. Hidden in listings: what lies there is no copy.
pub(super) const UPLOADS: &str = ".outlast/uploads/";
/// An escaped name can be longer than the service allows: up to three bytes for one, and the area's own.
pub(super) const NAME_BYTES_MAX: usize = 1024;

#[cfg(test)]
mod fuzz;
#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_service_holds_is_called_what_it_is() {
        for plain in ["a", "a//b", "/a", "a/", "...", "a b", "é/日本/🐈", ".outlast/tomb/1", ".well-known/x", "a\t"]
        {
            assert_eq!(there(plain), plain);
            assert_eq!(here(plain), Some((Area::Plain, plain.to_owned())));
        }
        for (odd, name) in [(".", ".outlast/keys/."), ("a\nb!", ".outlast/keys/a!0ab!21")] {
            assert_eq!(there(odd), name);
            assert_eq!(here(name), Some((Area::Escaped, odd.to_owned())));
        }
        for odd in ["..", ".well-known/acme-challenge/t", ".outlast/keys/x", "\r"] {
            let name = there(odd);
            assert!(name.starts_with(ESCAPED) && !name.contains(['\r', '\n']), "{name}");
            assert_eq!(here(&name), Some((Area::Escaped, odd.to_owned())));
            assert!(name.starts_with(&prefix_there(Area::Escaped, &odd[..1])));
        }
        assert_eq!(here(".outlast/keys/!zz"), None, "not made by us");
    }

    #[test]
    fn escaped_names_sort_as_their_keys() {
        let letters = ['\0', '\n', '\r', ' ', '!', '"', '.', '/', 'a', '~', 'é'];
        let mut keys: Vec<String> = letters.iter().map(char::to_string).collect();
        for _ in 0..2 {
            let more: Vec<String> = keys.iter().flat_map(|k| letters.iter().map(move |c| format!("{k}{c}"))).collect();
            keys.extend(more);
        }
        keys.sort();
        keys.dedup();
        let names: Vec<String> = keys.iter().map(|key| escape(key)).collect();
        assert!(names.is_sorted());
        assert!(keys.iter().zip(&names).all(|(key, name)| unescape(name).as_ref() == Some(key)));
    }
}
