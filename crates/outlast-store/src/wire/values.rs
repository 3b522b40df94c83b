//! Values of headers and dates, to and from the wire. The escape rule of this file is in
//! docs/decisions/0002-store-client.md.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::header::{HeaderMap, HeaderName, HeaderValue};
use outlast_rules::Moment;
use time::OffsetDateTime;
use time::format_description::well_known::{Rfc2822, Rfc3339};

const CONTENT_MD5: HeaderName = HeaderName::from_static("content-md5");
/// What S3 gives an object that was put without a type. Sent in words, so that every store does the same; read back it is
/// none.
pub(crate) const NO_TYPE: &str = "binary/octet-stream";
/// An RFC 2047 word in a spelling that is valid for every reader of such words and that nobody else writes: so what
/// reads back with our stamp on the copy is exactly what was given.
const WORD: (&str, &str) = ("=?Utf-8?b?", "?=");

/// Values that every store keeps and signs alike go as they are: printable ASCII, no space at the ends, no two spaces
/// in a row (signatures collapse them). Others become one encoded word.
pub(crate) fn to_wire(value: &str) -> HeaderValue {
    let plain = value.bytes().all(|b| (0x20..0x7f).contains(&b))
        && !value.starts_with(' ')
        && !value.ends_with(' ')
        && !value.contains("  ")
        && !value.starts_with(WORD.0);
    let text = if plain { value.to_owned() } else { format!("{}{}{}", WORD.0, STANDARD.encode(value), WORD.1) };
    HeaderValue::try_from(text).expect("printable ASCII is a header value")
}

pub(crate) fn from_wire(value: &HeaderValue, ours: bool) -> String {
    let text = String::from_utf8_lossy(value.as_bytes()).into_owned();
    if !ours {
        return text;
    }
    text.strip_prefix(WORD.0)
        .and_then(|rest| rest.strip_suffix(WORD.1))
        .and_then(|word| STANDARD.decode(word).ok())
        .and_then(|bytes| String::from_utf8(bytes).ok())
        .unwrap_or(text)
}

pub(crate) fn md5_header(md5: Option<[u8; 16]>, headers: &mut HeaderMap) {
    if let Some(md5) = md5 {
        let value = HeaderValue::try_from(STANDARD.encode(md5)).expect("base64 is a header value");
        headers.insert(CONTENT_MD5, value);
    }
}

/// ETags come from stores and go back to them; one that no header can carry matches nothing.
pub(crate) fn quoted(etag: &str) -> HeaderValue {
    HeaderValue::try_from(format!("\"{etag}\"")).unwrap_or(HeaderValue::from_static("\"\""))
}

pub(crate) fn number(headers: &HeaderMap, name: HeaderName) -> Option<u64> {
    headers.get(name).and_then(|value| value.to_str().ok()).and_then(|text| text.trim().parse().ok())
}

/// An HTTP date.
pub(crate) fn http_date(text: &str) -> Option<Moment> {
    moment(OffsetDateTime::parse(text, &Rfc2822).ok()?)
}

/// A date inside XML.
pub(crate) fn xml_date(text: &str) -> Option<Moment> {
    moment(OffsetDateTime::parse(text, &Rfc3339).ok()?)
}

fn moment(date: OffsetDateTime) -> Option<Moment> {
    u64::try_from(date.unix_timestamp_nanos() / 1_000_000).ok().map(Moment)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates() {
        assert_eq!(http_date("Thu, 01 Jan 1970 00:00:01 GMT"), Some(Moment(1000)));
        assert_eq!(xml_date("1970-01-01T00:00:01.500Z"), Some(Moment(1500)));
        assert_eq!(http_date("yesterday"), None);
    }
}
