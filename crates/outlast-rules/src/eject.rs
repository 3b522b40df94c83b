//! Does one store alone hold everything of a bucket, so that its owner could walk away with it? What is counted, and when it is true.

use crate::{BucketName, Head, Moment, StoreName};
use serde::{Deserialize, Serialize};

/// The form of a report that this program writes.
pub const EJECT_FORMAT: &str = "outlast-eject-1";

/// What was found on one store, key by key, beside what the ledger holds. Signed as it stands: docs/formats/eject.md.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EjectReport {
    pub format: String,
    pub installation: String,
    pub bucket: BucketName,
    pub store: StoreName,
    /// Where the store is, in its own words.
    pub place: String,
    /// The bucket's name there.
    pub native_bucket: String,
    pub began: Moment,
    pub ended: Moment,
    /// Every byte of every copy was read, and compared where its digests are known.
    pub deep: bool,
    /// Objects and bytes of the bucket, each as the ledger held it when it was looked at.
    pub objects: u64,
    pub bytes: u64,
    /// Of these, right on this store under their names.
    pub held: u64,
    pub held_bytes: u64,
    /// Of those held, under a name that the store's limits made another, by its documented rule.
    pub escaped: u64,
    pub missing: u64,
    /// Other size, ETag, stamp, headers or bytes, or overwritten at any moment by a call that may still apply.
    pub differing: u64,
    /// Listed there, and no object of the ledger: they take nothing from the proof.
    pub extra: u64,
    /// Deep: objects whose bytes were compared with digests that we took when they were written.
    pub read: u64,
    /// Deep: objects whose bytes were read, and whose digests are not known: nothing but their ETag vouches for them.
    pub undigested: u64,
    /// Of the lines `SIZE<tab>"ETAG"<tab>KEY` of everything held, in the order of keys.
    pub listing_sha256: String,
    /// Deep: of the lines that `sha256sum` prints for everything held, in the order of keys.
    pub content_sha256: Option<String>,
    pub complete: bool,
    /// The first keys that are not held, and why.
    pub lines: Vec<String>,
}

impl EjectReport {
    /// The claim itself: this store alone holds everything.
    pub fn holds_everything(&self) -> bool {
        self.held == self.objects
            && self.held_bytes == self.bytes
            && self.missing == 0
            && self.differing == 0
            && (!self.deep || self.read + self.undigested == self.objects)
    }
}

/// The first header or metadata name that a copy does not carry as its entry has it. What it carries besides (a store's default
/// content type) is the store's own.
pub fn lacks_header(entry: &Head, copy: &Head) -> Option<String> {
    let headers = [
        ("Content-Type", &entry.content_type, &copy.content_type),
        ("Content-Encoding", &entry.content_encoding, &copy.content_encoding),
        ("Content-Disposition", &entry.content_disposition, &copy.content_disposition),
        ("Content-Language", &entry.content_language, &copy.content_language),
        ("Cache-Control", &entry.cache_control, &copy.cache_control),
        ("Expires", &entry.expires, &copy.expires),
    ];
    let header = headers.into_iter().find(|(_, wanted, found)| wanted.is_some() && wanted != found);
    let metadata = || entry.metadata.iter().find(|(name, value)| copy.metadata.get(*name) != Some(*value));
    header.map(|(name, ..)| name.to_owned()).or_else(|| metadata().map(|(name, _)| format!("metadata {name}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole() -> EjectReport {
        EjectReport {
            format: EJECT_FORMAT.into(),
            installation: "i".into(),
            bucket: BucketName::parse("photos").unwrap(),
            store: StoreName::parse("nas").unwrap(),
            place: "disk /srv".into(),
            native_bucket: "photos".into(),
            began: Moment(1),
            ended: Moment(2),
            deep: false,
            objects: 3,
            bytes: 30,
            held: 3,
            held_bytes: 30,
            escaped: 1,
            missing: 0,
            differing: 0,
            extra: 5,
            read: 0,
            undigested: 0,
            listing_sha256: String::new(),
            content_sha256: None,
            complete: true,
            lines: vec![],
        }
    }

    #[test]
    fn everything_means_each_object_and_each_byte() {
        assert!(whole().holds_everything(), "escaped names are counted, and what is no object of ours does not matter");
        assert!(!EjectReport { held: 2, ..whole() }.holds_everything());
        assert!(!EjectReport { held_bytes: 29, ..whole() }.holds_everything());
        assert!(!EjectReport { missing: 1, ..whole() }.holds_everything());
        assert!(!EjectReport { differing: 1, ..whole() }.holds_everything());
        let deep = EjectReport { deep: true, read: 2, undigested: 1, ..whole() };
        assert!(deep.holds_everything());
        assert!(!EjectReport { read: 1, ..deep }.holds_everything(), "deep means that every object was read");
    }

    #[test]
    fn every_header_of_the_entry_is_on_the_copy() {
        let some = |text: &str| Some(text.to_owned());
        let metadata = [("colour".to_owned(), "black".to_owned())].into();
        let entry = Head { content_type: some("image/png"), metadata, ..Head::default() };
        assert_eq!(lacks_header(&entry, &entry), None);
        assert_eq!(lacks_header(&Head::default(), &entry), None, "what a store adds is no lack");
        let other = Head { content_type: some("text/plain"), ..entry.clone() };
        assert_eq!(lacks_header(&entry, &other).as_deref(), Some("Content-Type"));
        let bare = Head { metadata: Default::default(), ..entry.clone() };
        assert_eq!(lacks_header(&entry, &bare).as_deref(), Some("metadata colour"));
        for set in [
            Head { content_encoding: some("gzip"), ..Head::default() },
            Head { content_disposition: some("inline"), ..Head::default() },
            Head { content_language: some("de"), ..Head::default() },
            Head { cache_control: some("no-store"), ..Head::default() },
            Head { expires: some("0"), ..Head::default() },
        ] {
            assert!(lacks_header(&set, &Head::default()).is_some(), "{set:?}");
        }
    }
}
