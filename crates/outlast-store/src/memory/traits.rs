//! What kinds of store the one in memory can be.

/// What the store does with If-Match and If-None-Match.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fences {
    Honoured,
    /// Accepted and not looked at.
    Ignored,
    /// 501, as Backblaze B2 answers.
    Refused,
}

/// What kind of store to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemoryTraits {
    /// Every bucket keeps native versions.
    pub keeps_versions: bool,
    pub fences: Fences,
    /// A server-side copy is made of the very copy that its source names; otherwise of whatever lies there.
    pub pins_sources: bool,
    /// Each call leaves an ETag of its own; otherwise MD5 as S3 makes it.
    pub unique_etags: bool,
    /// As `Limits::never_given_up`.
    pub never_given_up: bool,
    /// Does the metadata, the stamp with it, stay with the copy?
    pub keeps_metadata: bool,
    /// Slashes at the start of a key are dropped: Garage.
    pub drops_slashes: bool,
    /// As `Limits::copy_bytes_max`.
    pub copy_bytes_max: u64,
    /// A Complete joins the very parts that it names; otherwise whatever was sent last under their numbers.
    pub checks_parts: bool,
}

impl MemoryTraits {
    /// Native versions and fences: Amazon S3 with versioning.
    pub const A: MemoryTraits = MemoryTraits { keeps_versions: true, ..MemoryTraits::B };
    /// Fences on MD5 ETags: R2.
    pub const B: MemoryTraits = MemoryTraits {
        keeps_versions: false,
        fences: Fences::Honoured,
        pins_sources: true,
        unique_etags: false,
        never_given_up: false,
        keeps_metadata: true,
        drops_slashes: false,
        copy_bytes_max: 5 << 30,
        checks_parts: true,
    };
    /// Fences on an ETag per call: Azure.
    pub const B_UNIQUE: MemoryTraits = MemoryTraits { unique_etags: true, ..MemoryTraits::B };
    /// As our disk store: unique fences, calls that are never given up.
    pub const DISK: MemoryTraits = MemoryTraits { never_given_up: true, ..MemoryTraits::B_UNIQUE };
    /// Neither versions nor fences on what it writes, and it does not say so: Garage.
    pub const C: MemoryTraits = MemoryTraits { fences: Fences::Ignored, ..MemoryTraits::B };
    /// Says yes to every condition and looks at none: rclone's `serve s3`.
    pub const LIAR: MemoryTraits = MemoryTraits { pins_sources: false, ..MemoryTraits::C };
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{At, Body, Dress, Fault, MemoryStore, NativePart, Store};
    use outlast_rules::StoreName;

    #[tokio::test]
    async fn who_checks_no_parts_joins_what_was_sent_last() {
        for (checks_parts, joined) in [(true, None), (false, Some("new"))] {
            let traits = MemoryTraits { checks_parts, ..MemoryTraits::B };
            let store = MemoryStore::counting(StoreName::parse("m").unwrap(), traits);
            store.create_bucket("bkt").await.unwrap();
            let at = At::new("bkt", "k");
            let upload = store.create_upload(&at, &Dress::default()).await.unwrap();
            let etag = store.put_part(&at, &upload, 1, Body::Whole("old".into()), None).await.unwrap();
            store.put_part(&at, &upload, 1, Body::Whole("new".into()), None).await.unwrap();
            let named = [NativePart { number: 1, size: 3, etag }];
            let done = store.complete_upload(&at, &upload, &named, None).await;
            assert!(done.is_ok() == joined.is_some() || done.is_err_and(|error| error.fault == Fault::BadRequest));
            let bytes = store.lying(&at).first().map(|copy| copy.bytes.clone());
            assert_eq!(bytes, joined.map(Into::into));
        }
    }
}
