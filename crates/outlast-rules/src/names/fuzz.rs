//! Fuzz target: the client's names against a second reading of the rules, written as the documents say them.

use super::*;

fn is_bucket(text: &str) -> bool {
    let letters: Vec<char> = text.chars().collect();
    let inner = |c: &char| matches!(c, 'a'..='z' | '0'..='9' | '-' | '.');
    let edge = |c: Option<&char>| matches!(c, Some('a'..='z' | '0'..='9'));
    (3..=63).contains(&letters.len())
        && letters.iter().all(inner)
        && edge(letters.first())
        && edge(letters.last())
        && !text.contains("..")
}

/// XML 1.0, production 2: `Char`.
fn is_xml(letter: char) -> bool {
    let code = u32::from(letter);
    matches!(code, 0x9 | 0xa | 0xd | 0x20..=0xd7ff | 0xe000..=0xfffd | 0x1_0000..=0x10_ffff)
}

fn is_store(text: &str) -> bool {
    let mut letters = text.chars();
    matches!(letters.next(), Some('a'..='z' | '0'..='9'))
        && letters.all(|c| matches!(c, 'a'..='z' | '0'..='9' | '-' | '_'))
        && text.len() <= 32
}

#[test]
fn names() {
    bolero::check!(name = "names").for_each(|bytes: &[u8]| {
        let text = String::from_utf8_lossy(bytes);
        assert_eq!(BucketName::parse(&text).is_ok(), is_bucket(&text), "bucket {text:?}");
        assert_eq!(StoreName::parse(&text).is_ok(), is_store(&text), "store {text:?}");
        let ours = text == ".outlast" || text.starts_with(".outlast/");
        let is_key = !ours && !text.is_empty() && text.len() <= 1024 && !text.contains('\0');
        let admitted = is_key && text.chars().all(is_xml);
        assert_eq!(Key::parse(&text).is_ok(), is_key, "key {text:?}");
        assert_eq!(Key::admit(&text).is_ok(), admitted, "new key {text:?}");
        if let Ok(key) = Key::parse(&text) {
            assert_eq!(key.as_str(), text);
        }
        for refused in [BucketName::parse(&text).err(), Key::admit(&text).err(), StoreName::parse(&text).err()] {
            assert!(refused.is_none_or(|why| !why.to_string().is_empty()));
        }
    });
}
