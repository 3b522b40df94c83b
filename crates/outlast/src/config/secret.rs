//! What must never be printed. `Debug` says `***`, and reading it is a word that can be searched for.

use std::fmt;

/// A secret key or token. There is no `Display`, so that no log line can hold it by mistake.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    pub fn new(text: impl Into<String>) -> Secret {
        Secret(text.into())
    }

    /// The bytes themselves: for signing, and for the lines that a first start prints.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}
