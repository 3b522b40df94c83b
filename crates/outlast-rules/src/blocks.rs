//! Which bytes a digest covers: every byte that leaves us is checked by block, edges of ranges included (protocol.md 3.5).

use serde::{Deserialize, Serialize};

/// Blocks of bodies and parts up to `LARGE_BLOCKS_FROM`: 16 bytes per 64 KiB is 0.02 % and bounds a range's extra fetch.
pub const BLOCK_SMALL: u64 = 64 * 1024;
/// Blocks of larger ones: keeps a 5 TiB object's digests at 80 MiB.
pub const BLOCK_LARGE: u64 = 1024 * 1024;
/// Above this many bytes a body or part is cut into large blocks.
pub const LARGE_BLOCKS_FROM: u64 = 64 * 1024 * 1024;

/// BLAKE3 of one block, first 16 bytes.
pub type BlockDigest = [u8; 16];

/// Digests of one body or one part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlockMap {
    /// Bytes of this body or part.
    pub len: u64,
    /// Bytes per block; the last may be shorter.
    pub block: u64,
    pub digests: Vec<BlockDigest>,
}

/// Digests of an object: one map for a body, one per part for a multipart upload, in order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct Digests {
    pub maps: Vec<BlockMap>,
}

/// One block: bytes `start..end` of the object and the digest that they must have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Block {
    pub start: u64,
    pub end: u64,
    pub digest: BlockDigest,
}

pub fn digest_of(bytes: &[u8]) -> BlockDigest {
    let mut short = [0; 16];
    short.copy_from_slice(&blake3::hash(bytes).as_bytes()[..16]);
    short
}

impl BlockMap {
    /// The digests of a body or part held whole.
    pub fn of(bytes: &[u8]) -> BlockMap {
        let len = bytes.len() as u64;
        let block = BlockMap::block_for(len);
        BlockMap { len, block, digests: bytes.chunks(block as usize).map(digest_of).collect() }
    }

    pub fn block_for(len: u64) -> u64 {
        if len > LARGE_BLOCKS_FROM { BLOCK_LARGE } else { BLOCK_SMALL }
    }
}

impl Digests {
    pub fn len(&self) -> u64 {
        self.maps.iter().map(|map| map.len).sum()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The block that holds byte `at`; None past the end.
    pub fn block_at(&self, at: u64) -> Option<Block> {
        let mut base = 0;
        for map in &self.maps {
            if at < base + map.len {
                let index = (at - base) / map.block;
                let start = base + index * map.block;
                let end = (start + map.block).min(base + map.len);
                return map.digests.get(index as usize).map(|&digest| Block { start, end, digest });
            }
            base += map.len;
        }
        None
    }

    /// `start..end` widened to whole blocks.
    pub fn cover(&self, start: u64, end: u64) -> (u64, u64) {
        let first = self.block_at(start).map_or(start, |block| block.start);
        let last = if end > start { self.block_at(end - 1).map_or(end, |block| block.end) } else { end };
        (first, last)
    }

    /// Is every map complete, so that each byte has a digest?
    pub fn is_whole(&self) -> bool {
        self.maps.iter().all(|map| map.block > 0 && map.digests.len() as u64 == map.len.div_ceil(map.block))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_byte_has_one_block() {
        let part = |len: usize, fill: u8| BlockMap::of(&vec![fill; len]);
        let digests = Digests { maps: vec![part(100_000, 1), part(1, 2), part(0, 0), part(65_536, 3)] };
        assert!(digests.is_whole());
        assert_eq!(digests.len(), 165_537);
        let mut at = 0;
        while let Some(block) = digests.block_at(at) {
            assert_eq!(block.start, at);
            for inside in [block.start, (block.start + block.end) / 2, block.end - 1] {
                assert_eq!(digests.block_at(inside), Some(block));
            }
            at = block.end;
        }
        assert_eq!(at, digests.len());
        assert_eq!(digests.cover(70_000, 100_001), (65_536, 100_001));
        assert_eq!(digests.cover(5, 5), (0, 5));
    }

    #[test]
    fn empty_body() {
        let digests = Digests { maps: vec![BlockMap::of(b"")] };
        assert!(digests.is_whole());
        assert_eq!(digests.block_at(0), None);
    }
}
