//! Fuzz targets: whatever a store gives back as a stamp is read in one way only, and what we write reads back.

use super::*;

/// Numbers may come with leading zeros and in capitals; a stamp has no other freedom.
fn one_spelling(text: &str) -> String {
    let fields = text.split('.').enumerate().map(|(at, field)| match (at, field) {
        (1 | 2 | 5, "") => String::new(),
        (1 | 2 | 5, number) => match number.trim_start_matches('0') {
            "" => "0".to_owned(),
            number => number.to_ascii_lowercase(),
        },
        _ => field.to_owned(),
    });
    fields.collect::<Vec<_>>().join(".")
}

#[test]
fn texts() {
    bolero::check!(name = "stamp-text").for_each(|bytes: &[u8]| {
        let Ok(text) = std::str::from_utf8(bytes) else { return };
        let Ok(stamp) = Stamp::parse(text) else { return };
        assert_eq!(stamp.encode(), one_spelling(text));
        assert_eq!(Stamp::parse(&stamp.encode()), Ok(stamp));
    });
}

/// Epoch, seq, write id, name, size, digest.
type Fields = (u64, Option<u64>, u128, [u8; 16], Option<u64>, Option<[u8; 16]>);

#[test]
fn fields() {
    bolero::check!(name = "stamp-fields").with_type::<Fields>().cloned().for_each(|fields| {
        let (epoch, seq, write, name, size, digest) = fields;
        let stamp = Stamp { epoch: Epoch(epoch), seq: seq.map(Seq), write: WriteId(write), name, size, digest };
        let text = stamp.encode();
        assert!(text.len() <= 128 && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b)), "{text}");
        assert_eq!(Stamp::parse(&text), Ok(stamp));
    });
}
