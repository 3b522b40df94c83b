//! Bytes that can be made again: what was written is known to the last byte without being kept.

use bytes::Bytes;
use rand::rngs::SmallRng;
use rand::{RngCore, SeedableRng};

/// Made at a time: one block of the engine's digests.
pub const PIECE: u64 = 64 * 1024;
/// An odd number near 2^64 divided by the golden ratio: neighbouring pieces get seeds that have nothing in common.
const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;

/// A body: its seed and its length say every byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Content {
    pub seed: u64,
    pub len: u64,
}

impl Content {
    /// The piece that begins at `number * PIECE`; shorter at the end, empty beyond it.
    pub fn piece(&self, number: u64) -> Bytes {
        let len = self.len.saturating_sub(number * PIECE).min(PIECE);
        let mut bytes = vec![0; len as usize];
        let seed = self.seed.wrapping_add(number.wrapping_add(1).wrapping_mul(SPREAD));
        SmallRng::seed_from_u64(seed).fill_bytes(&mut bytes);
        Bytes::from(bytes)
    }

    pub fn pieces(self) -> impl Iterator<Item = Bytes> + Send + 'static {
        (0..self.len.div_ceil(PIECE)).map(move |number| self.piece(number))
    }
}

/// Compares a body with what it should be, as it comes.
pub struct Comparison {
    expected: Content,
    at: u64,
    piece: Bytes,
}

impl Comparison {
    pub fn with(expected: Content) -> Comparison {
        Comparison { expected, at: 0, piece: Bytes::new() }
    }

    /// Compared so far.
    pub fn at(&self) -> u64 {
        self.at
    }

    /// # Errors
    /// Where the first byte differs, or that there are too many.
    pub fn next(&mut self, mut got: &[u8]) -> Result<(), String> {
        while !got.is_empty() {
            let within = (self.at % PIECE) as usize;
            if within == 0 {
                self.piece = self.expected.piece(self.at / PIECE);
            }
            let rest = self.piece.get(within..).unwrap_or_default();
            let len = rest.len().min(got.len());
            if len == 0 {
                return Err(format!("goes on after its {} bytes", self.expected.len));
            }
            if rest[..len] != got[..len] {
                let same = rest.iter().zip(got).take_while(|(want, is)| want == is).count();
                return Err(format!("differs at byte {}", self.at + same as u64));
            }
            self.at += len as u64;
            got = &got[len..];
        }
        Ok(())
    }

    /// # Errors
    /// The body ended early.
    pub fn end(self) -> Result<(), String> {
        if self.at == self.expected.len {
            Ok(())
        } else {
            Err(format!("ended after {} of {} bytes", self.at, self.expected.len))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compare(expected: Content, got: &[u8], chunk: usize) -> Result<(), String> {
        let mut comparison = Comparison::with(expected);
        got.chunks(chunk).try_for_each(|chunk| comparison.next(chunk))?;
        comparison.end()
    }

    #[test]
    fn every_byte_is_compared() {
        for len in [0, 1, PIECE - 1, PIECE, PIECE + 1, 3 * PIECE + 7] {
            let content = Content { seed: 7, len };
            let bytes: Vec<u8> = content.pieces().flatten().collect();
            assert_eq!(bytes.len() as u64, len);
            for chunk in [1000, PIECE as usize, 1 << 20] {
                compare(content, &bytes, chunk).unwrap();
                let longer = [bytes.as_slice(), b"x"].concat();
                assert_eq!(compare(content, &longer, chunk), Err(format!("goes on after its {len} bytes")));
                let Some(last) = bytes.len().checked_sub(1) else { continue };
                let shorter = compare(content, &bytes[..last], chunk);
                assert_eq!(shorter, Err(format!("ended after {last} of {len} bytes")));
                for at in [0, last / 2, last] {
                    let mut wrong = bytes.clone();
                    wrong[at] ^= 1;
                    assert_eq!(compare(content, &wrong, chunk), Err(format!("differs at byte {at}")));
                }
            }
        }
    }

    #[test]
    fn other_seeds_and_other_pieces_are_other_bytes() {
        let one = Content { seed: 1, len: 2 * PIECE };
        assert_ne!(one.piece(0), one.piece(1));
        assert_ne!(one.piece(0), Content { seed: 2, ..one }.piece(0));
    }
}
