//! Bodies that say which they are: any of them can be told from its bytes, and a mix of two cannot be taken for one.

use bytes::Bytes;
use rand::rngs::SmallRng;
use rand::{RngCore, SeedableRng};
use std::fmt;

/// The name at the beginning of a body, bytes.
const NAME_BYTES: u64 = 16;

/// Which body. All its bytes follow from this.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct BodyId {
    seed: u64,
    size: u64,
}

impl BodyId {
    /// `size` grows to what the body's name needs.
    pub fn new(seed: u64, size: u64) -> BodyId {
        BodyId { seed, size: size.max(NAME_BYTES) }
    }

    pub fn size(self) -> u64 {
        self.size
    }

    /// Which body is it?
    ///
    /// # Errors
    /// None that was ever made, in words.
    pub fn of(bytes: &[u8]) -> Result<BodyId, String> {
        let word = |at: usize| bytes.get(at..at + 8).and_then(|word| word.try_into().ok()).map(u64::from_le_bytes);
        let (Some(seed), Some(size)) = (word(0), word(8)) else {
            return Err(format!("{} bytes, too few for any body", bytes.len()));
        };
        if size != bytes.len() as u64 {
            return Err(format!("{} bytes that begin like a body of {size}", bytes.len()));
        }
        let id = BodyId { seed, size };
        let right = bytes_of(id);
        // Whole first: the place of a difference is looked for only where there is one.
        if right == bytes {
            return Ok(id);
        }
        match right.iter().zip(bytes).position(|(right, found)| right != found) {
            None => Ok(id),
            Some(at) => Err(format!("body {id} with another byte at {at}")),
        }
    }
}

impl fmt::Display for BodyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x} ({} bytes)", self.seed, self.size)
    }
}

/// The body itself.
pub fn bytes_of(id: BodyId) -> Bytes {
    let mut bytes = vec![0; id.size as usize];
    SmallRng::seed_from_u64(id.seed).fill_bytes(&mut bytes);
    bytes[..8].copy_from_slice(&id.seed.to_le_bytes());
    bytes[8..16].copy_from_slice(&id.size.to_le_bytes());
    Bytes::from(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_known_by_its_bytes_and_a_mix_is_not() {
        let (one, two) = (BodyId::new(1, 100_000), BodyId::new(2, 100_000));
        let bytes = bytes_of(one);
        assert_eq!(BodyId::of(&bytes), Ok(one));
        let mixed = [&bytes[..50_000], &bytes_of(two)[50_000..]].concat();
        assert_eq!(BodyId::of(&mixed), Err(format!("body {one} with another byte at 50000")));
        assert!(BodyId::of(&bytes[..99_999]).is_err_and(|why| why.contains("begin like a body of 100000")));
        assert!(BodyId::of(b"").is_err());
        assert_eq!(BodyId::new(3, 0).size(), 16);
    }
}
