//! Fuzz targets: what clients write into queries, headers and tokens, against second readings of the same rules.

use super::checksums::declared;
use super::conditions::{if_range, on_write};
use super::listing::{Coding, from_token, to_token};
use super::refuse;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::{HeaderMap, HeaderValue, Uri};
use outlast_rules::{ChecksumKind, IfRange};
use percent_encoding::percent_decode_str;

#[test]
fn tokens() {
    bolero::check!(name = "list-token").for_each(|bytes: &[u8]| {
        let Ok(text) = std::str::from_utf8(bytes) else { return };
        assert_eq!(from_token(&to_token(text)).ok().as_deref(), Some(text));
        if let Ok(after) = from_token(text) {
            assert_eq!(to_token(&after), text, "two tokens for one place");
        }
        let coded = Coding::Url.text(text.to_owned());
        assert!(coded.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.~/%*".contains(&b)), "{coded:?}");
        assert_eq!(percent_decode_str(&coded).decode_utf8().ok().as_deref(), Some(text));
        if Coding::Plain.check([text]).is_ok() {
            let xml = format!("<Key>{}</Key>", text.replace('&', "&amp;").replace('<', "&lt;").replace('\r', "&#13;"));
            assert!(!xml.contains(['\u{0}', '\u{1}', '\u{8}', '\u{b}', '\u{1f}', '\u{fffe}', '\u{ffff}']), "{xml:?}");
        }
    });
}

/// Sub-resources by which `DELETE key?acl` would delete the object.
const SOME: [&str; 6] = ["acl", "tagging", "uploadId", "partNumber", "versions", "retention"];

#[test]
fn queries() {
    bolero::check!(name = "query").for_each(|bytes: &[u8]| {
        let Some(uri) = std::str::from_utf8(bytes).ok().and_then(|text| format!("/b/k?{text}").parse::<Uri>().ok())
        else {
            return;
        };
        let text = uri.query().unwrap_or_default();
        let names: Vec<String> = text
            .split('&')
            .map(|pair| percent_decode_str(pair.split('=').next().unwrap_or_default()).decode_utf8_lossy().into_owned())
            .collect();
        let refused = refuse::subresource(&uri).is_err();
        for name in SOME {
            assert!(refused || !names.iter().any(|found| found == name), "{name} passes in {text}");
        }
        assert_eq!(refuse::version_to_write(&uri).is_err(), names.iter().any(|name| name == "versionId"), "{text}");
        // What no client of S3 means by a sub-resource passes.
        let harmless = names.iter().all(|name| name.starts_with("x-") || name.starts_with("X-") || name.is_empty());
        assert!(!(harmless && refused), "{text} is refused");
    });
}

#[test]
fn declared_checksums() {
    bolero::check!(name = "checksums").for_each(|bytes: &[u8]| {
        let Ok(text) = std::str::from_utf8(bytes) else { return };
        let mut lines = text.splitn(3, '\n');
        let (kind, value, trailer) = (lines.next().unwrap_or_default(), lines.next(), lines.next());
        use ChecksumKind as K;
        let kinds = [(K::Crc32, 4), (K::Crc32c, 4), (K::Crc64nvme, 8), (K::Sha1, 20), (K::Sha256, 32)];
        let (kind, len) = kinds[kind.len() % kinds.len()];
        let given = kinds.map(|(one, _)| (one, value.filter(|_| one == kind).map(str::to_owned)));
        let mut headers = HeaderMap::new();
        if let Some(trailer) = trailer.and_then(|text| HeaderValue::from_str(text).ok()) {
            headers.insert("x-amz-trailer", trailer);
        }
        if let Ok(found) = declared(value, given, &headers, None) {
            // An MD5 has 16 bytes and no other checksum has: both cannot be right.
            assert!(value.is_none(), "{value:?} is an MD5 and a {kind:?}");
            assert!(found.checksums.len() <= 1 && found.md5.is_none());
        }
        let given = kinds.map(|(one, _)| (one, value.filter(|_| one == kind).map(str::to_owned)));
        let right = value.and_then(|text| STANDARD.decode(text.trim()).ok()).is_some_and(|bytes| bytes.len() == len);
        let taken = declared(None, given, &HeaderMap::new(), None).is_ok();
        assert_eq!(taken, right || value.is_none(), "{value:?} as {kind:?}");
    });
}

#[test]
fn conditions() {
    bolero::check!(name = "conditions").for_each(|bytes: &[u8]| {
        let Ok(value) = HeaderValue::from_bytes(bytes) else { return };
        let mut headers = HeaderMap::new();
        headers.insert("if-range", value.clone());
        assert_eq!(if_range(&headers), None, "without a range it means nothing");
        headers.insert("range", HeaderValue::from_static("bytes=0-1"));
        let text = value.to_str().unwrap_or_default().trim();
        match if_range(&headers).expect("there is a range") {
            IfRange::ETag(etag) => assert!(text == etag || text == format!("\"{etag}\""), "{etag:?} of {text:?}"),
            IfRange::Date(_) => assert!(text.ends_with("GMT"), "{text:?}"),
            IfRange::Never => assert!(text.is_empty() || text.bytes().any(|b| !b.is_ascii_alphanumeric()), "{text:?}"),
        }
        headers.insert("if-unmodified-since", value.clone());
        let time = on_write(None, None, &headers).if_unmodified_since;
        assert!(time.is_none() || text.ends_with("GMT"), "{text:?} is {time:?}");
    });
}
