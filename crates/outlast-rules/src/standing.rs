//! Is a store open for calls of one class? The words that health, plans and status share.

use serde::{Deserialize, Serialize};
use std::fmt;

/// Whether a store takes calls of one class now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    Up,
    /// Called like one that is up, but one failure is enough.
    Trial,
    /// Not called where it can be helped.
    Down,
}

impl fmt::Display for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Standing::Up => "up",
            Standing::Trial => "trial",
            Standing::Down => "down",
        })
    }
}

/// Judged apart, because real outages often leave some of them green.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OpClass {
    Read,
    List,
    Write,
    Delete,
}

impl OpClass {
    /// In the order in which tables show them.
    pub const fn all() -> [OpClass; 4] {
        [OpClass::Read, OpClass::List, OpClass::Write, OpClass::Delete]
    }

    fn plural(self) -> &'static str {
        match self {
            OpClass::Read => "reads",
            OpClass::List => "lists",
            OpClass::Write => "writes",
            OpClass::Delete => "deletes",
        }
    }
}

impl fmt::Display for OpClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            OpClass::Read => "read",
            OpClass::List => "list",
            OpClass::Write => "write",
            OpClass::Delete => "delete",
        })
    }
}

/// A set of classes; said as "reads and lists".
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Classes(u8);

impl Classes {
    pub fn of(classes: impl IntoIterator<Item = OpClass>) -> Classes {
        Classes(classes.into_iter().fold(0, |bits, class| bits | 1 << class as u8))
    }

    pub fn every() -> Classes {
        Classes::of(OpClass::all())
    }

    pub fn has(self, class: OpClass) -> bool {
        self.0 & (1 << class as u8) != 0
    }

    pub fn is_every(self) -> bool {
        self == Classes::every()
    }

    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The classes that are not in here.
    pub fn others(self) -> Classes {
        Classes::of(OpClass::all().into_iter().filter(|class| !self.has(*class)))
    }

    pub fn iter(self) -> impl Iterator<Item = OpClass> {
        OpClass::all().into_iter().filter(move |class| self.has(*class))
    }
}

impl fmt::Display for Classes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words: Vec<_> = self.iter().map(OpClass::plural).collect();
        match words.split_last() {
            None => f.write_str("nothing"),
            Some((only, [])) => f.write_str(only),
            Some((last, before)) => write!(f, "{} and {last}", before.join(", ")),
        }
    }
}
