//! How a copy is named (pin), how a call is conditioned (fence), and what a store can do about both (grade).

use serde::{Deserialize, Serialize};

/// How a read names exactly one copy: the version id on pinned stores; elsewhere the ETag, checked together with the stamp.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Pin {
    /// The store's own ETag, without quotes.
    pub etag: String,
    /// The native version id where the store keeps versions; never `null`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
}

/// The condition on a call to a store. A call without one is `Option::None`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fence {
    /// `If-None-Match: *`
    Absent,
    /// `If-Match: <etag>`
    Matches(String),
}

/// What a store was seen to honour for one operation on one native bucket (probed live, kept with its date).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, Default)]
pub struct Powers {
    /// Native versions are kept: a copy can be hidden but not destroyed by a later write.
    pub pinned: bool,
    /// If-Match / If-None-Match are honoured.
    pub fenced: bool,
    /// A fence matches only the very copy or absence, never equal content (Azure, GCS, disk).
    #[serde(default)]
    pub unique: bool,
}

/// The three grades of protocol.md 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Grade {
    A,
    B,
    C,
}

impl Powers {
    pub fn grade(self) -> Grade {
        match (self.pinned, self.fenced) {
            (true, _) => Grade::A,
            (false, true) => Grade::B,
            (false, false) => Grade::C,
        }
    }
}

/// The powers per class of commit call; an operation without its bit is treated as C.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, Default)]
pub struct Grades {
    pub put: Powers,
    pub complete: Powers,
    pub copy: Powers,
    pub delete: Powers,
}

/// What is known about one call (protocol.md 1). "I don't know" is an outcome.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// A whole, parsed success body.
    Done(Pin),
    /// The store itself said no; nothing was applied.
    Rejected,
    /// No byte of the request was sent.
    Failed,
    /// Everything else. The call may still apply, until its mark ends.
    Unknown,
}
