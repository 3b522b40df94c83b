//! What clients may ask and Outlast does not do: refused by name, because a promise that is silently ignored is a lie.

use super::errors;
use crate::trace::Trace;
use http::HeaderMap;
use percent_encoding::percent_decode_str;
use s3s::S3Result;
use s3s::dto::StorageClass;
use s3s::{S3Error, S3ErrorCode};

const DECODED_LENGTH: &str = "x-amz-decoded-content-length";
/// Canned ACLs that say what is the case anyway: one owner, no strangers.
const HARMLESS_ACLS: [&str; 2] = ["private", "bucket-owner-full-control"];

/// The fields of a write that would change what is kept or who may see it.
macro_rules! refuse_extras {
    ($input:expr) => {{
        let asked = [
            ("server-side encryption with the client's key (SSE-C)", $input.sse_customer_algorithm.is_some()),
            ("server-side encryption", $input.server_side_encryption.is_some() || $input.ssekms_key_id.is_some()),
            ("object lock", $input.object_lock_mode.is_some() || $input.object_lock_legal_hold_status.is_some()),
            ("object tags", $input.tagging.is_some()),
            ("website redirects", $input.website_redirect_location.is_some()),
        ];
        let granted = [
            $input.grant_full_control.is_some(),
            $input.grant_read.is_some(),
            $input.grant_read_acp.is_some(),
            $input.grant_write_acp.is_some(),
        ];
        $crate::s3::refuse::check(&asked, $input.acl.as_ref().map(|acl| acl.as_str()), &granted)?;
        $crate::s3::refuse::storage_class($input.storage_class.as_ref())?;
    }};
}
pub(super) use refuse_extras;

/// NotImplemented for what we lack, AccessControlListNotSupported for ACLs that open a bucket or an object.
pub fn check(asked: &[(&str, bool)], acl: Option<&str>, granted: &[bool]) -> S3Result<()> {
    if let Some((what, _)) = asked.iter().find(|(_, is_asked)| *is_asked) {
        return Err(errors::not_here(what));
    }
    if granted.contains(&true) || acl.is_some_and(|acl| !HARMLESS_ACLS.contains(&acl)) {
        return Err(S3Error::new(S3ErrorCode::AccessControlListNotSupported));
    }
    Ok(())
}

pub fn storage_class(class: Option<&StorageClass>) -> S3Result<()> {
    match class {
        Some(class) if class.as_str() != StorageClass::STANDARD => Err(S3Error::with_message(
            S3ErrorCode::InvalidStorageClass,
            format!(
                "{}: every object is STANDARD here; the stores' own classes are set at the stores.",
                class.as_str()
            ),
        )),
        _ => Ok(()),
    }
}

/// What S3 keeps beside an object or a bucket, by the name in the query.
const SUBRESOURCES: [&str; 42] = [
    "abac",
    "accelerate",
    "acl",
    "analytics",
    "annotation",
    "attributes",
    "cors",
    "delete",
    "encryption",
    "intelligent-tiering",
    "inventory",
    "legal-hold",
    "lifecycle",
    "location",
    "logging",
    "metadataAnnotationTable",
    "metadataConfiguration",
    "metadataInventoryTable",
    "metadataJournalTable",
    "metadataTable",
    "metrics",
    "notification",
    "object-lock",
    "ownershipControls",
    "partNumber",
    "policy",
    "policyStatus",
    "publicAccessBlock",
    "renameObject",
    "replication",
    "requestPayment",
    "restore",
    "retention",
    "select",
    "session",
    "tagging",
    "torrent",
    "uploadId",
    "uploads",
    "versioning",
    "versions",
    "website",
];

/// s3s takes a method that a sub-resource does not have for the same method on the object or bucket itself: `DELETE
/// key?acl` would delete the object, `PUT key?partNumber=1` without an upload would overwrite it. S3 answers 405.
pub fn subresource(uri: &http::Uri) -> S3Result<()> {
    for pair in uri.query().unwrap_or_default().split('&') {
        let name = percent_decode_str(pair.split('=').next().unwrap_or_default()).decode_utf8_lossy();
        if SUBRESOURCES.contains(&name.as_ref()) {
            let words = format!("The specified method is not allowed against this resource ({name}).");
            return Err(S3Error::with_message(S3ErrorCode::MethodNotAllowed, words));
        }
    }
    Ok(())
}

/// S3 writes new versions and never into an old one.
pub fn version_to_write(uri: &http::Uri) -> S3Result<()> {
    let mut names = uri.query().unwrap_or_default().split('&').map(|pair| pair.split('=').next().unwrap_or_default());
    if names.any(|name| percent_decode_str(name).decode_utf8_lossy() == "versionId") {
        return Err(errors::invalid("This operation does not accept a version-id."));
    }
    Ok(())
}

/// MissingContentLength for a body whose length the client did not say, not even with zero: it may have been cut off whole.
pub fn lengthless(headers: &HeaderMap, trace: Option<&Trace>) -> S3Result<()> {
    let is_said =
        headers.contains_key(DECODED_LENGTH) || trace.is_none_or(|trace| trace.content_length.get().is_some());
    if is_said { Ok(()) } else { Err(S3Error::new(S3ErrorCode::MissingContentLength)) }
}

/// Buckets never had versioning on: the only version is `null`.
pub fn version_to_read(id: Option<&str>) -> S3Result<()> {
    match id {
        None | Some("null") => Ok(()),
        Some(_) => Err(S3Error::new(S3ErrorCode::NoSuchVersion)),
    }
}

/// Removing a version that cannot exist is refused rather than answered as if something had happened.
pub fn version_to_remove(id: Option<&str>) -> S3Result<()> {
    match id {
        None | Some("null") => Ok(()),
        Some(_) => Err(errors::invalid("Invalid version id specified: versioning was never on.")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn acls_that_say_nothing_new_pass() {
        assert!(check(&[], Some("private"), &[false]).is_ok());
        assert!(check(&[], None, &[]).is_ok());
        let open = check(&[], Some("public-read"), &[]).expect_err("refused");
        assert_eq!(*open.code(), S3ErrorCode::AccessControlListNotSupported);
        assert!(check(&[], None, &[false, true]).is_err());
    }

    #[test]
    fn what_is_missing_is_named() {
        let refused = check(&[("object lock", false), ("object tags", true)], None, &[]).expect_err("refused");
        assert_eq!(*refused.code(), S3ErrorCode::NotImplemented);
        assert!(refused.message().is_some_and(|words| words.contains("object tags")));
    }

    #[test]
    fn a_subresource_is_never_taken_for_the_thing_itself() {
        let judge = |uri: &str| subresource(&http::Uri::try_from(uri).expect("a URI"));
        for refused in ["/b/k?acl", "/b?versions=", "/b/k?x-id=PutObject&partNumber=1", "/b/k?uploadId=u", "/b/k?%61cl"]
        {
            let error = judge(refused).expect_err(refused);
            assert_eq!(*error.code(), S3ErrorCode::MethodNotAllowed, "{refused}");
        }
        for passes in ["/b/k", "/b/acl", "/b/k?x-id=PutObject", "/b/k?X-Amz-Expires=5&acls=1"] {
            assert!(judge(passes).is_ok(), "{passes}");
        }
    }

    #[test]
    fn bodies_without_a_length() {
        let code = |headers: &HeaderMap, trace: &Trace| lengthless(headers, Some(trace)).map_err(|e| e.code().clone());
        let (unsaid, said, mut chunked) = (Trace::new(None), Trace::new(None), HeaderMap::new());
        said.content_length.get_or_init(|| 0);
        assert_eq!(code(&HeaderMap::new(), &unsaid), Err(S3ErrorCode::MissingContentLength));
        assert_eq!(code(&HeaderMap::new(), &said), Ok(()));
        chunked.insert(DECODED_LENGTH, http::HeaderValue::from_static("5"));
        assert_eq!(code(&chunked, &unsaid), Ok(()));
    }

    #[test]
    fn classes_and_versions() {
        assert!(storage_class(Some(&StorageClass::from_static(StorageClass::STANDARD))).is_ok());
        assert!(storage_class(Some(&StorageClass::from_static(StorageClass::GLACIER))).is_err());
        assert!(version_to_read(Some("null")).is_ok() && version_to_read(Some("3f")).is_err());
        assert!(version_to_remove(None).is_ok() && version_to_remove(Some("3f")).is_err());
    }
}
