//! How much: what is said to people before anything is moved.

use serde::Serialize;

/// Objects and bytes.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Owed {
    pub objects: u64,
    pub bytes: u64,
}

impl Owed {
    pub(crate) fn add(&mut self, bytes: u64) {
        self.objects += 1;
        self.bytes += bytes;
    }
}
