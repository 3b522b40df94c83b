//! Fuzz target: headers, metadata and stamp of a copy come back from the wire as they were given.

use super::*;
use bolero::TypeGenerator;
use outlast_rules::{Epoch, Head, Seq, WriteId};
use std::collections::BTreeMap;

/// Letters of a metadata name after the front has seen it: what a header name may hold, without capitals.
const LETTERS: &[u8] = b"abcdefghijklmnopqrstuvwxyz0123456789-_.!#$%&'*+^`|~";

#[derive(Debug, TypeGenerator)]
struct Given {
    nested: bool,
    write: u128,
    seq: Option<u64>,
    content_type: Option<String>,
    cache_control: Option<String>,
    metadata: Vec<(u8, Vec<u8>, String)>,
}

fn name(kind: u8, letters: &[u8]) -> String {
    match kind % 8 {
        0 => "outlast-upper".to_owned(),
        1 => "outlast-upper-upper".to_owned(),
        _ => letters.iter().take(20).map(|b| char::from(LETTERS[usize::from(*b) % LETTERS.len()])).collect(),
    }
}

#[test]
fn round_trip() {
    bolero::check!(name = "dress").with_type::<Given>().for_each(|given| {
        let metadata: BTreeMap<String, String> =
            given.metadata.iter().take(8).map(|(kind, letters, value)| (name(*kind, letters), value.clone())).collect();
        let head = Head {
            content_type: given.content_type.clone().filter(|one| one != NO_TYPE),
            cache_control: given.cache_control.clone(),
            metadata: metadata.into_iter().filter(|(name, _)| !name.is_empty() && name != "outlast").collect(),
            ..Head::default()
        };
        let stamp = Stamp {
            epoch: Epoch(1),
            seq: given.seq.map(Seq),
            write: WriteId(given.write),
            name: [7; 16],
            size: Some(0),
            digest: None,
        };
        let dress = Dress { head, stamp: Some(stamp) };
        let spelling = Spelling::new(given.nested);
        let mut headers = HeaderMap::new();
        put_dress(&dress, &mut headers, spelling).expect("every name is a header name");
        assert!(headers.values().all(|value| value.to_str().is_ok()), "every store signs ASCII alike: {headers:?}");
        assert_eq!(take_dress(&headers, spelling), dress);
    });
}
