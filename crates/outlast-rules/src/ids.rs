//! Identities and orders. Each is its own type, so that none can be taken for another.

use serde::{Deserialize, Serialize};
use std::fmt;

/// Unique id of one PUT, copy, completed upload or delete. Never compared for order (protocol.md 1).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct WriteId(pub u128);

/// One call to a store; names its mark.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct CallId(pub u128);

macro_rules! hex_id {
    ($name:ident) => {
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { write!(f, "{:032x}", self.0) }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { write!(f, "{:032x}", self.0) }
        }
        impl From<$name> for String {
            fn from(id: $name) -> String { id.to_string() }
        }
        impl TryFrom<String> for $name {
            type Error = String;
            fn try_from(text: String) -> Result<Self, String> {
                $name::parse(&text).ok_or_else(|| format!("not 32 hexadecimal digits: {text:?}"))
            }
        }
        impl $name {
            /// Exactly 32 lower-case hexadecimal digits.
            pub fn parse(text: &str) -> Option<Self> {
                let digits = text.len() == 32 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
                if digits { u128::from_str_radix(text, 16).ok().map($name) } else { None }
            }
        }
    };
}
hex_id!(WriteId);
hex_id!(CallId);

/// From one ledger-wide counter that never goes back and is never reused. The order of writes is the order of seq.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Seq(pub u64);

/// The life of one ledger; a rebuild begins the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Epoch(pub u64);

/// Milliseconds since the Unix epoch. Rules are told the time; they never ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, Default)]
pub struct Moment(pub u64);

impl Moment {
    pub fn plus_ms(self, ms: u64) -> Moment {
        Moment(self.0.saturating_add(ms))
    }
    /// Milliseconds from `earlier` to here; 0 when the clock was set back.
    pub fn since_ms(self, earlier: Moment) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

impl fmt::Display for Seq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_read_back() {
        let id = WriteId(0x1234);
        assert_eq!(WriteId::parse(&id.to_string()), Some(id));
        assert_eq!(WriteId::parse("+0000000000000000000000000000001"), None);
        assert_eq!(WriteId::parse("12"), None);
    }
}
