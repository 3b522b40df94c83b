//! How our own names are spelt on a service. On one that is an Outlast itself they cannot be the usual ones, which it
//! keeps for its own records and stamps.

use crate::STAMP_NAME;
use std::borrow::Cow;

/// Where our records lie, as everybody above this file knows it.
#[cfg(test)]
const USUAL: &str = ".outlast/";
/// How the folder of our records begins; below an Outlast one `UPPER` follows, below two of them two.
const FOLDER: &str = ".outlast";
/// One Outlast further down. Names that have it already get another one, so that no two names become the same: a client's
/// `.outlast-upper/a` and our `.outlast/a` would otherwise lie in one place.
const UPPER: &str = "-upper";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Spelling {
    nested: bool,
}

impl Spelling {
    #[cfg(test)]
    pub const USUAL: Spelling = Spelling { nested: false };

    pub fn new(nested: bool) -> Spelling {
        Spelling { nested }
    }

    /// The metadata name of the stamp.
    pub fn stamp(self) -> Cow<'static, str> {
        self.metadata_there(STAMP_NAME)
    }

    /// A metadata name as the service shall see it.
    pub fn metadata_there(self, name: &str) -> Cow<'_, str> {
        match name.strip_prefix(STAMP_NAME) {
            Some(rest) if self.nested && are_uppers(rest) => Cow::Owned(format!("{STAMP_NAME}{UPPER}{rest}")),
            _ => Cow::Borrowed(name),
        }
    }

    /// A metadata name that the service gave.
    pub fn metadata_here(self, name: &str) -> String {
        match name.strip_prefix(STAMP_NAME).and_then(|rest| rest.strip_prefix(UPPER)) {
            Some(rest) if self.nested && are_uppers(rest) => format!("{STAMP_NAME}{rest}"),
            _ => name.to_owned(),
        }
    }

    /// A key, or the beginning of one up to a slash, as the service shall see it.
    pub fn there(self, key: &str) -> Cow<'_, str> {
        match uppers_of(key) {
            Some(rest) if self.nested => Cow::Owned(format!("{FOLDER}{UPPER}{rest}")),
            _ => Cow::Borrowed(key),
        }
    }

    /// A key that the service listed.
    pub fn here(self, key: String) -> String {
        match uppers_of(&key).and_then(|rest| rest.strip_prefix(UPPER)) {
            Some(rest) if self.nested => format!("{FOLDER}{rest}"),
            _ => key,
        }
    }
}

/// What follows the beginning of our folder, or of the one of an Outlast further up.
fn uppers_of(key: &str) -> Option<&str> {
    let rest = key.strip_prefix(FOLDER)?;
    let (uppers, _) = rest.split_once('/')?;
    are_uppers(uppers).then_some(rest)
}

fn are_uppers(text: &str) -> bool {
    text.as_bytes().chunks(UPPER.len()).all(|piece| piece == UPPER.as_bytes())
}

#[cfg(test)]
mod fuzz;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_names_change_and_only_there() {
        let (plain, nested) = (Spelling::new(false), Spelling::new(true));
        for key in [".outlast/tomb/1", "photos/cat.jpg", ".outlastx", ".outlast/"] {
            assert_eq!(plain.there(key), key);
            assert_eq!(nested.here(nested.there(key).into_owned()), key);
        }
        assert_eq!(
            nested.there(".outlast-upper/tomb/1"),
            ".outlast-upper-upper/tomb/1",
            "a client's, or of a third one"
        );
        assert_eq!(nested.here(".outlast-upper-upper/tomb/1".into()), ".outlast-upper/tomb/1");
        assert_eq!(nested.there(".outlast-uppers/1"), ".outlast-uppers/1");
        assert_eq!(nested.metadata_there("outlast-upper"), "outlast-upper-upper");
        assert_eq!(nested.there(".outlast/tomb/1"), ".outlast-upper/tomb/1");
        assert_eq!(nested.there("a/.outlast/x"), "a/.outlast/x");
        let many = format!(".outlast{}/x", "-upper".repeat(1_000_000));
        assert_eq!(nested.here(nested.there(&many).into_owned()), many, "a service lists what it wants");
        assert_eq!((plain.stamp().as_ref(), nested.stamp().as_ref()), ("outlast", "outlast-upper"));
    }
}
