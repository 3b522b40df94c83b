//! Fuzz targets: documents that a store or a proxy on the way may send, and those that we send.

use super::*;
use crate::wire::{ErrorDocument, parse_xml};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

#[test]
fn answers() {
    bolero::check!(name = "s3-answers").for_each(|bytes: &[u8]| {
        let Ok(text) = std::str::from_utf8(bytes) else { return };
        if let Ok(list) = parse_xml::<ListResult>(text, "ListBucketResult") {
            // Memory: nothing is there that did not stand in the text.
            let held: usize = list.contents.iter().map(|one| one.key.len() + one.etag.len()).sum();
            assert!(held <= text.len() && list.contents.len() <= text.len(), "{held} bytes out of {}", text.len());
            for object in &list.contents {
                let key = listed_key(&object.key, list.encoding_type.as_deref());
                assert!(key.is_ok_and(|key| key.len() <= object.key.len()) || list.encoding_type.is_some());
            }
        }
        // Whether these read or not, they come to an end.
        let known = [
            parse_xml::<PartsResult>(text, "ListPartsResult").is_ok(),
            parse_xml::<UploadsResult>(text, "ListMultipartUploadsResult").is_ok(),
            parse_xml::<BucketsResult>(text, "ListAllMyBucketsResult").is_ok(),
            parse_xml::<InitiateResult>(text, "InitiateMultipartUploadResult").is_ok(),
            parse_xml::<CopyResult>(text, "CopyObjectResult").is_ok(),
            parse_xml::<VersioningResult>(text, "VersioningConfiguration").is_ok(),
            ErrorDocument::read(text).is_some(),
        ];
        assert!(known.iter().filter(|known| **known).count() <= 1, "one document is read as several");
        // "No" is only what was said whole: a store's error that was cut on the way decides nothing.
        if ErrorDocument::read(text).is_some() {
            let whole = text.trim_end();
            let end = whole.rfind("</").unwrap_or(0);
            for cut in (0..=end).rev().take(64).filter(|at| whole.is_char_boundary(*at)) {
                assert!(ErrorDocument::read(&whole[..cut]).is_none(), "cut at {cut}: {whole}");
            }
        }
    });
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Sent {
    #[serde(default)]
    part: Vec<SentPart>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct SentPart {
    part_number: u32,
    #[serde(rename = "ETag")]
    etag: String,
}

#[test]
fn documents_that_we_send() {
    bolero::check!(name = "s3-sent").with_type::<(Vec<(u32, Vec<u8>)>, String)>().for_each(|(parts, key)| {
        // An ETag came in a header.
        let letters = |bytes: &[u8]| bytes.iter().map(|b| char::from(b' ' + b % 95)).collect::<String>();
        let parts: Vec<NativePart> = parts
            .iter()
            .map(|(number, etag)| NativePart { number: *number, size: 1, etag: letters(etag).trim().to_owned() })
            .collect();
        let read: Sent = quick_xml::de::from_str(&complete_document(&parts)).expect("it is XML");
        let read: Vec<(u32, String)> = read.part.into_iter().map(|part| (part.part_number, part.etag)).collect();
        let sent: Vec<(u32, String)> = parts.iter().map(|part| (part.number, format!("\"{}\"", part.etag))).collect();
        assert_eq!(read, sent);
        let escaped = utf8_percent_encode(key, NON_ALPHANUMERIC).to_string();
        assert_eq!(listed_key(&escaped, Some("url")).as_ref(), Ok(key));
        assert_eq!(listed_key(key, None).as_ref(), Ok(key));
    });
}
