//! The XML that S3 speaks: a few documents to read, three to write.

use crate::NativePart;
use percent_encoding::percent_decode_str;
use serde::Deserialize;
use std::fmt::Write as _;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct CopyResult {
    #[serde(rename = "ETag")]
    pub etag: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct InitiateResult {
    pub upload_id: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct ListResult {
    pub is_truncated: bool,
    pub next_continuation_token: Option<String>,
    pub encoding_type: Option<String>,
    pub contents: Vec<ListedObject>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ListedObject {
    pub key: String,
    pub size: u64,
    #[serde(rename = "ETag", default)]
    pub etag: String,
    pub last_modified: Option<String>,
}

/// Versions and delete markers come in one order, mixed; the markers are not asked for.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct VersionsResult {
    pub is_truncated: bool,
    pub next_key_marker: Option<String>,
    pub next_version_id_marker: Option<String>,
    pub encoding_type: Option<String>,
    pub version: Vec<ListedVersionXml>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ListedVersionXml {
    pub key: String,
    #[serde(default)]
    pub version_id: String,
    #[serde(default)]
    pub is_latest: bool,
    pub size: u64,
    #[serde(rename = "ETag", default)]
    pub etag: String,
    pub last_modified: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct PartsResult {
    pub is_truncated: bool,
    pub next_part_number_marker: Option<u32>,
    pub part: Vec<ListedPart>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ListedPart {
    pub part_number: u32,
    pub size: u64,
    #[serde(rename = "ETag")]
    pub etag: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct UploadsResult {
    pub is_truncated: bool,
    pub next_key_marker: Option<String>,
    pub next_upload_id_marker: Option<String>,
    pub encoding_type: Option<String>,
    pub upload: Vec<ListedUpload>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ListedUpload {
    pub key: String,
    pub upload_id: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct BucketsResult {
    pub buckets: ListedBuckets,
    pub continuation_token: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct ListedBuckets {
    pub bucket: Vec<ListedBucket>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ListedBucket {
    pub name: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct VersioningResult {
    pub status: Option<String>,
}

/// A key as a listing gives it. With `encoding-type=url` a space may come as `+`, and a plus never does.
pub(super) fn listed_key(text: &str, encoding: Option<&str>) -> Result<String, String> {
    if encoding != Some("url") {
        return Ok(text.to_owned());
    }
    percent_decode_str(&text.replace('+', " "))
        .decode_utf8()
        .map(|key| key.into_owned())
        .map_err(|_| format!("the key {text:?} is not UTF-8"))
}

pub(super) fn complete_document(parts: &[NativePart]) -> String {
    let mut out = String::from(r#"<CompleteMultipartUpload xmlns="http://s3.amazonaws.com/doc/2006-03-01/">"#);
    for part in parts {
        let etag = quick_xml::escape::escape(part.etag.as_str());
        // Writing to a String cannot fail.
        let _ = write!(out, "<Part><PartNumber>{}</PartNumber><ETag>&quot;{etag}&quot;</ETag></Part>", part.number);
    }
    out.push_str("</CompleteMultipartUpload>");
    out
}

pub(super) fn location_document(region: &str) -> String {
    let region = quick_xml::escape::escape(region);
    format!(
        r#"<CreateBucketConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><LocationConstraint>{region}</LocationConstraint></CreateBucketConfiguration>"#
    )
}

pub(super) const VERSIONING_ON: &str = r#"<VersioningConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Status>Enabled</Status></VersioningConfiguration>"#;

#[cfg(test)]
mod fuzz;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{ErrorDocument, bare, parse_xml};

    #[test]
    fn documents() {
        let cut = "<Error><Code>AccessDenied</Code><Message>no";
        assert!(ErrorDocument::read(cut).is_none());
        assert!(ErrorDocument::read("<html><body>502</body></html>").is_none());
        assert!(ErrorDocument::read("<Error><Message>no code</Message></Error>").is_none());
        let whole = "<?xml version=\"1.0\"?>\n  <Error><Code>SlowDown</Code><Extra><X/></Extra></Error>";
        assert_eq!(ErrorDocument::read(whole).expect("whole").code, "SlowDown");
        let listing = "<ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><IsTruncated>false</IsTruncated>\
            <EncodingType>url</EncodingType><Contents><Key>a%2Fb</Key><Size>3</Size><ETag>&quot;e&quot;</ETag>\
            <Owner><ID>1</ID></Owner></Contents><Contents><Key>c</Key><Size>4</Size></Contents></ListBucketResult>";
        let list: ListResult = parse_xml(listing, "ListBucketResult").expect("readable");
        assert_eq!(list.contents.len(), 2);
        assert_eq!(bare(&list.contents[0].etag), "e");
        assert!(parse_xml::<ListResult>(&listing[..listing.len() - 9], "ListBucketResult").is_err());
        assert!(parse_xml::<ListResult>(whole, "ListBucketResult").is_err());
    }

    #[test]
    fn versions_between_delete_markers() {
        let one = |kind: &str, id: &str, more: &str| {
            format!("<{kind}><Key>k</Key><VersionId>{id}</VersionId>{more}</{kind}>")
        };
        let copy = "<IsLatest>false</IsLatest><Size>3</Size><ETag>&quot;e&quot;</ETag><Owner><ID>1</ID></Owner>";
        let (marker, version) = (one("DeleteMarker", "m", "<IsLatest>true</IsLatest>"), one("Version", "v1", copy));
        let text = format!(
            "<ListVersionsResult><Name>b</Name><KeyMarker/><IsTruncated>true</IsTruncated><NextKeyMarker>k</NextKeyMarker>\
             <NextVersionIdMarker>v2</NextVersionIdMarker>{marker}{version}{marker}{}</ListVersionsResult>",
            one("Version", "v2", "<IsLatest>true</IsLatest><Size>4</Size>")
        );
        let list: VersionsResult = parse_xml(&text, "ListVersionsResult").expect("readable");
        let ids: Vec<_> = list.version.iter().map(|one| (one.version_id.as_str(), one.is_latest, one.size)).collect();
        assert_eq!(ids, [("v1", false, 3), ("v2", true, 4)]);
        assert_eq!((list.is_truncated, list.next_version_id_marker.as_deref()), (true, Some("v2")));
    }

    #[test]
    fn endings_of_names_differ() {
        let check = |root: &str, due: &str, good: bool| {
            let text = format!("<{root}><UploadId>7</UploadId></{root}>");
            assert_eq!(parse_xml::<InitiateResult>(&text, due).is_ok(), good, "{root} for {due}");
        };
        let due = "InitiateMultipartUploadResult";
        check(due, due, true);
        check("InitiateMultipartUploadResponse", due, true);
        check("InitiateMultipartUpload", due, true);
        check("InitiateMultipart", due, false);
        check("ErrorResponse", "Error", false);
    }

    #[test]
    fn keys_of_listings() {
        assert_eq!(listed_key("a%2Fb+c%2Bd", Some("url")).as_deref(), Ok("a/b c+d"));
        assert_eq!(listed_key("a%2Fb+c", None).as_deref(), Ok("a%2Fb+c"));
        assert!(listed_key("%ff", Some("url")).is_err());
    }

    #[test]
    fn complete_lists_parts() {
        let part = NativePart { number: 2, size: 1, etag: "e<1>".into() };
        assert!(complete_document(&[part]).contains("<PartNumber>2</PartNumber><ETag>&quot;e&lt;1&gt;&quot;</ETag>"));
    }
}
