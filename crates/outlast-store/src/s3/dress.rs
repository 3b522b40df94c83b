//! What a copy carries besides its bytes, to and from S3 headers. The escape rule of this file is in
//! docs/decisions/0002-store-client.md.

use super::spelling::Spelling;
use crate::Dress;
use crate::wire::{NO_TYPE, from_wire, to_wire};
use http::header::{
    CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_ENCODING, CONTENT_LANGUAGE, CONTENT_TYPE, EXPIRES, HeaderMap,
    HeaderName, HeaderValue,
};
use outlast_rules::Stamp;

const META: &str = "x-amz-meta-";

/// Content-* headers, user metadata and our stamp. The error names a metadata name that no header can carry.
pub(super) fn put_dress(dress: &Dress, headers: &mut HeaderMap, spelling: Spelling) -> Result<(), String> {
    let head = &dress.head;
    let fixed = [
        (CONTENT_TYPE, &head.content_type),
        (CONTENT_ENCODING, &head.content_encoding),
        (CONTENT_DISPOSITION, &head.content_disposition),
        (CONTENT_LANGUAGE, &head.content_language),
        (CACHE_CONTROL, &head.cache_control),
        (EXPIRES, &head.expires),
    ];
    for (name, value) in fixed {
        if let Some(value) = value {
            headers.insert(name, to_wire(value));
        }
    }
    headers.entry(CONTENT_TYPE).or_insert(HeaderValue::from_static(NO_TYPE));
    for (name, value) in &head.metadata {
        let name = HeaderName::try_from(format!("{META}{}", spelling.metadata_there(name)))
            .map_err(|_| format!("no header can carry the metadata name {name:?}"))?;
        headers.insert(name, to_wire(value));
    }
    if let Some(stamp) = &dress.stamp {
        let name =
            HeaderName::try_from(format!("{META}{}", spelling.stamp())).expect("our stamp's name is a header name");
        headers.insert(name, to_wire(&stamp.encode()));
    }
    Ok(())
}

/// The other way round. Metadata called `outlast` that is no stamp of ours counts as absent.
pub(super) fn take_dress(headers: &HeaderMap, spelling: Spelling) -> Dress {
    let stamp = headers
        .get(format!("{META}{}", spelling.stamp()))
        .and_then(|value| value.to_str().ok())
        .and_then(|text| Stamp::parse(text).ok());
    let ours = stamp.is_some();
    let text = |name: HeaderName| headers.get(name).map(|value| from_wire(value, ours));
    let mut dress = Dress { stamp, ..Dress::default() };
    dress.head.content_type = text(CONTENT_TYPE).filter(|one| one != NO_TYPE);
    dress.head.content_encoding = text(CONTENT_ENCODING).and_then(without_chunking);
    dress.head.content_disposition = text(CONTENT_DISPOSITION);
    dress.head.content_language = text(CONTENT_LANGUAGE);
    dress.head.cache_control = text(CACHE_CONTROL);
    dress.head.expires = text(EXPIRES);
    for (name, value) in headers {
        if let Some(short) = name.as_str().strip_prefix(META)
            && short != spelling.stamp()
        {
            dress.head.metadata.insert(spelling.metadata_here(short), from_wire(value, ours));
        }
    }
    dress
}

/// Some stores keep `aws-chunked`, a matter of the upload's framing, as if it were the content's encoding.
fn without_chunking(encoding: String) -> Option<String> {
    let rest: Vec<&str> =
        encoding.split(',').map(str::trim).filter(|one| !one.is_empty() && *one != "aws-chunked").collect();
    if rest.is_empty() { None } else { Some(rest.join(",")) }
}

#[cfg(test)]
mod fuzz;

#[cfg(test)]
mod tests {
    use super::*;
    use outlast_rules::{Epoch, Head, Seq, WriteId};

    const USUAL: Spelling = Spelling::USUAL;

    fn stamp() -> Stamp {
        Stamp { epoch: Epoch(3), seq: Some(Seq(9)), write: WriteId(5), name: [1; 16], size: Some(7), digest: None }
    }

    fn round(value: &str, stamp: Option<Stamp>) -> (String, String) {
        let mut dress = Dress { stamp, head: Head::default() };
        dress.head.metadata.insert("m".into(), value.into());
        let mut headers = HeaderMap::new();
        put_dress(&dress, &mut headers, USUAL).expect("a good name");
        let wire = headers["x-amz-meta-m"].to_str().expect("ASCII on the wire").to_owned();
        (wire, take_dress(&headers, USUAL).head.metadata["m"].clone())
    }

    #[test]
    fn values_read_back_exactly() {
        for plain in ["", "a", "a b", "=?UTF-8?B?w7w=?=", "=?utf-8?b?w7w=?=", "\"quoted\"", "a,b;c=d"] {
            assert_eq!(round(plain, Some(stamp())), (plain.to_owned(), plain.to_owned()));
        }
        for odd in ["ü", " a", "a ", "a  b", "a\tb", "=?Utf-8?b?w7w=?=", "a\nb", "日本"] {
            let (wire, back) = round(odd, Some(stamp()));
            assert!(wire.starts_with("=?Utf-8?b?") && back == odd, "{odd:?}: {wire}");
        }
        let (wire, back) = round("ü", None);
        assert_eq!(wire, back, "without our stamp nothing is decoded: somebody else wrote it");
    }

    #[test]
    fn stamps_and_names() {
        let mut headers = HeaderMap::new();
        headers.insert("x-amz-meta-outlast", HeaderValue::from_static("not a stamp"));
        headers.insert("content-encoding", HeaderValue::from_static("aws-chunked,gzip"));
        let dress = take_dress(&headers, USUAL);
        assert_eq!((dress.stamp, dress.head.metadata.len()), (None, 0));
        assert_eq!(dress.head.content_encoding.as_deref(), Some("gzip"));
        let mut bad = Dress::default();
        bad.head.metadata.insert("a b".into(), "v".into());
        assert!(put_dress(&bad, &mut HeaderMap::new(), USUAL).is_err());
    }
}
