//! Reads a page of a listing, whose keys are ours and need no unescaping.

use std::collections::BTreeMap;

#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Page {
    /// Keys and sizes.
    pub keys: BTreeMap<String, u64>,
    /// Where the next page goes on.
    pub next: Option<String>,
}

pub(crate) fn page(text: &str) -> Page {
    let inside = |text: &str, name: &str| -> Option<String> {
        let (_, rest) = text.split_once(&format!("<{name}>"))?;
        rest.split_once('<').map(|(inside, _)| inside.to_owned())
    };
    let object = |text: &str| Some((inside(text, "Key")?, inside(text, "Size")?.parse().ok()?));
    Page {
        keys: text.split("<Contents>").skip(1).filter_map(object).collect(),
        next: inside(text, "NextContinuationToken"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_sizes_and_what_follows() {
        let text = "<R><NextContinuationToken>abc</NextContinuationToken>\
                    <Contents><Key>a/b</Key><Size>12</Size></Contents><Contents><Key>c</Key><Size>0</Size></Contents></R>";
        let found = page(text);
        assert_eq!(found.keys, BTreeMap::from([("a/b".into(), 12), ("c".into(), 0)]));
        assert_eq!(found.next.as_deref(), Some("abc"));
        assert_eq!(page("<R></R>"), Page::default());
    }
}
