//! Bodies whose every byte is known from their name: nobody has to remember them.

use bytes::Bytes;
use std::cell::RefCell;
use std::collections::HashMap;

/// More than one run ever has.
const MADE_MAX: usize = 1000;

/// What a client sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Content {
    /// Bytes that no other write has.
    Own { write: u32, len: usize },
    /// Few bodies that come again and again: what makes an ETag come back (counter-example 6).
    Shared(u8),
}

impl Content {
    pub fn len(self) -> usize {
        match self {
            Content::Own { len, .. } => len,
            Content::Shared(_) => 6,
        }
    }

    /// Made once per thread and content: they are compared far more often than they are made.
    pub fn bytes(self) -> Bytes {
        thread_local! {
            static MADE: RefCell<HashMap<Content, Bytes>> = RefCell::default();
        }
        MADE.with_borrow_mut(|made| {
            if made.len() > MADE_MAX {
                made.clear();
            }
            made.entry(self).or_insert_with(|| self.make()).clone()
        })
    }

    fn make(self) -> Bytes {
        match self {
            Content::Own { write, len } => {
                let word =
                    |i: usize| (u64::from(write) << 24 ^ i as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes();
                let mut bytes: Vec<u8> = (0..len.div_ceil(8)).flat_map(word).collect();
                bytes.truncate(len);
                bytes.into()
            }
            Content::Shared(n) => Bytes::from(format!("same-{}", n % 10)),
        }
    }
}
