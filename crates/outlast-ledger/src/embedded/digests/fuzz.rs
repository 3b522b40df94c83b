//! Fuzz target: the bytes of block digests are read in one way, and take no more memory than they are.

use super::*;

#[test]
fn maps() {
    bolero::check!(name = "block-maps").for_each(|bytes: &[u8]| {
        let Ok(maps) = decode_maps(bytes) else { return };
        assert_eq!(encode_maps(&maps), bytes);
        assert_eq!(crate::maps::len_of(&maps), bytes.len());
    });
}

#[test]
fn maps_of_all_kinds() {
    let maps = bolero::check!(name = "block-maps-sent").with_type::<Vec<(u64, u64, Vec<[u8; 16]>)>>().cloned();
    maps.for_each(|given| {
        let maps: Vec<BlockMap> =
            given.into_iter().map(|(len, block, digests)| BlockMap { len, block, digests }).collect();
        let bytes = encode_maps(&maps);
        assert_eq!(decode_maps(&bytes).expect("it was just written"), maps);
        let short = bytes.len().saturating_sub(1);
        assert!(maps.is_empty() || decode_maps(&bytes[..short]).is_err(), "cut by a byte");
    });
}
