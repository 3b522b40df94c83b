//! Fuzz targets: what a store gives back as a segment, its rows, and the names under which segments lie.

use super::*;
use outlast_rules::{Epoch, Moment};

const KEPT: &[u8] = include_bytes!("../../tests/old_segments/v1.segment");
const CHECK_BYTES: usize = 16;

fn kept_name() -> SegmentName {
    SegmentName { epoch: Epoch(1), number: 42, kind: SegmentKind::Changes }
}

/// A true segment with bytes changed, its checksum made to fit again by whoever changed them.
#[test]
fn changed_segments() {
    let key = SegmentKey::of("secret");
    bolero::check!(name = "segments-changed").with_type::<Vec<(u16, u8)>>().for_each(|changes| {
        let mut bytes = KEPT.to_vec();
        let end = bytes.len() - CHECK_BYTES;
        for (at, change) in changes {
            bytes[usize::from(*at) % end] ^= change;
        }
        let check = *blake3::hash(&bytes[..end]).as_bytes();
        bytes[end..].copy_from_slice(&check[..CHECK_BYTES]);
        let opened = open(&key, "i1", kept_name(), &bytes);
        assert_eq!(opened.is_ok(), bytes == KEPT, "{:?}", opened.map(|(head, _)| head));
    });
}

/// Whatever lies there: without the installation's key nobody makes what opens.
#[test]
fn any_bytes() {
    let key = SegmentKey::of("secret");
    bolero::check!(name = "segments").for_each(|bytes: &[u8]| {
        assert!(bytes == KEPT || open(&key, "i1", kept_name(), bytes).is_err());
    });
}

#[test]
fn sealed_segments() {
    let sent =
        bolero::check!(name = "segments-sent").with_type::<(String, String, (u64, u64, u64), Vec<u8>, [u8; 32])>();
    sent.cloned().for_each(|(secret, installation, (epoch, number, at), lines, salt)| {
        // Ours is 32 letters.
        let installation: String = installation.chars().take(64).collect();
        let kind = if number % 2 == 0 { SegmentKind::Snapshot } else { SegmentKind::SnapshotEnd { first: at } };
        let after = number.saturating_sub(1);
        let rows = lines.len() as u64;
        let (epoch, at, began) = (Epoch(epoch), Moment(at), Some(Moment(at)));
        let head = SegmentHead { installation: installation.clone(), epoch, number, kind, after, at, rows, began };
        let key = SegmentKey::of(&secret);
        let sealed = seal(&key, &head, &lines, salt);
        assert!(sealed.len() as u64 <= SEGMENT_BYTES_MAX);
        let opened = open(&key, &installation, head.name(), &sealed);
        assert_eq!(opened, Ok((head, lines)));
    });
}

/// A row that reads is written again as what reads the same.
#[test]
fn rows() {
    bolero::check!(name = "segment-rows").for_each(|bytes: &[u8]| {
        for row in rows_of(bytes) {
            let Ok(row) = row else { continue };
            let mut line = Vec::new();
            row.write_line(&mut line).expect("a row that was read can be written");
            let again: Vec<_> = rows_of(&line).collect();
            assert_eq!(again, [Ok(row)]);
        }
    });
}

/// One name, one spelling.
#[test]
fn names() {
    bolero::check!(name = "segment-names").with_type::<String>().for_each(|text| {
        if let Some(name) = SegmentName::parse(text) {
            assert_eq!(&name.to_string(), text);
        }
    });
}
