//! Block digests as bytes: in the ledger's rows and in what is shipped of them.

use outlast_rules::{BlockDigest, BlockMap};

/// Three numbers of eight bytes before the digests of each map: length, block, count.
const MAP_HEAD: usize = 24;

/// Maps one after the other, each with its head; numbers little-endian.
pub(crate) fn encode(maps: &[BlockMap]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(len_of(maps));
    for map in maps {
        for number in [map.len, map.block, map.digests.len() as u64] {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        bytes.extend_from_slice(map.digests.as_flattened());
    }
    bytes
}

/// Bytes that `encode` makes of them.
pub(crate) fn len_of(maps: &[BlockMap]) -> usize {
    maps.iter().map(|map| MAP_HEAD + 16 * map.digests.len()).sum()
}

/// None: they end in the middle.
pub(crate) fn decode(mut bytes: &[u8]) -> Option<Vec<BlockMap>> {
    let mut maps = Vec::new();
    while !bytes.is_empty() {
        let (numbers, rest) = bytes.split_first_chunk::<MAP_HEAD>()?;
        let number = |at: usize| u64::from_le_bytes(std::array::from_fn(|i| numbers[8 * at + i]));
        let end = usize::try_from(number(2)).ok()?.checked_mul(16)?;
        let (digests, rest) = rest.split_at_checked(end)?;
        let (digests, _) = digests.as_chunks::<{ size_of::<BlockDigest>() }>();
        maps.push(BlockMap { len: number(0), block: number(1), digests: digests.to_vec() });
        bytes = rest;
    }
    Some(maps)
}
