//! What HTTP has a server ignore, s3s refuses: ranges that are none and times that are none are taken out of a read.

use super::signature::{signed_names, without_signature};
use http::header::{AUTHORIZATION, HeaderName, IF_MODIFIED_SINCE, IF_UNMODIFIED_SINCE, RANGE};
use http::{HeaderMap, HeaderValue, Method, Request};
use s3s::Body;
use s3s::dto::{Timestamp, TimestampFormat};

/// The largest position that s3s reads; no object reaches it.
const POSITION_MAX: u64 = i64::MAX as u64;

/// Rewrites the headers that no signature covers. One that the signature covers stays as it came, or the signature would no longer
/// fit; then the same read is returned as it is meant, without its signature: for the time when the signature has proven right.
pub fn drop_ignored(request: &mut Request<Body>) -> Option<Request<Body>> {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return None;
    }
    let changes: Vec<(HeaderName, Option<HeaderValue>)> =
        [RANGE, IF_MODIFIED_SINCE, IF_UNMODIFIED_SINCE].into_iter().filter_map(|name| change(request, name)).collect();
    if changes.is_empty() {
        return None;
    }
    let signed = signed_names(request.uri(), request.headers()).unwrap_or_default();
    let is_signed = |name: &HeaderName| signed.iter().any(|one| one == name.as_str());
    let meant = changes.iter().any(|(name, _)| is_signed(name)).then(|| {
        let mut meant = unsigned(request);
        changes.iter().for_each(|(name, value)| put(meant.headers_mut(), name, value));
        meant
    });
    let free = changes.iter().filter(|(name, _)| !is_signed(name));
    free.for_each(|(name, value)| put(request.headers_mut(), name, value));
    meant
}

/// What this header should be for s3s; None: as it is.
fn change(request: &Request<Body>, name: HeaderName) -> Option<(HeaderName, Option<HeaderValue>)> {
    let value = request.headers().get(&name)?;
    let text = value.to_str().unwrap_or_default();
    let meant = if name == RANGE {
        meant_range(text)
    } else {
        Timestamp::parse(TimestampFormat::HttpDate, text).ok().map(|_| text.to_owned())
    };
    let meant = meant.and_then(|text| HeaderValue::from_str(&text).ok());
    (meant.as_ref() != Some(value)).then_some((name, meant))
}

fn put(headers: &mut HeaderMap, name: &HeaderName, value: &Option<HeaderValue>) {
    match value {
        Some(value) => headers.insert(name, value.clone()),
        None => headers.remove(name),
    };
}

/// The same question, asked by nobody in particular.
fn unsigned(request: &Request<Body>) -> Request<Body> {
    let mut asked = Request::new(Body::empty());
    (*asked.method_mut(), *asked.uri_mut()) = (request.method().clone(), without_signature(request.uri()));
    *asked.headers_mut() = request.headers().clone();
    asked.headers_mut().remove(AUTHORIZATION);
    *asked.extensions_mut() = request.extensions().clone();
    asked
}

/// One range as s3s reads it, or None for what S3 answers with the whole object: several ranges, another unit, no range.
pub(super) fn meant_range(text: &str) -> Option<String> {
    let (unit, range) = text.split_once('=')?;
    let (first, last) = range.trim().split_once('-').filter(|_| unit.trim().eq_ignore_ascii_case("bytes"))?;
    match (first, position(last)) {
        ("", last) => Some(format!("bytes=-{}", last?)),
        (first, _) if last.is_empty() => Some(format!("bytes={}-", position(first)?.min(POSITION_MAX))),
        (first, last_at) => {
            let (cut_first, cut_last) = (position(first)?.min(POSITION_MAX), last_at?.min(POSITION_MAX));
            (written(first) <= written(last)).then(|| format!("bytes={cut_first}-{cut_last}"))
        }
    }
}

/// Digits only. A number that u64 cannot hold is as good as the largest: it lies beyond every object.
fn position(digits: &str) -> Option<u64> {
    let is_number = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    is_number.then(|| digits.parse().unwrap_or(u64::MAX))
}

/// Numbers of any length, in their order.
fn written(digits: &str) -> (usize, &str) {
    let digits = digits.trim_start_matches('0');
    (digits.len(), digits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_as_they_are_meant() {
        let max = "9223372036854775807";
        for (said, meant) in [
            ("bytes=0-499", Some("bytes=0-499".to_owned())),
            ("bytes=5-", Some("bytes=5-".to_owned())),
            ("bytes=-5", Some("bytes=-5".to_owned())),
            ("Bytes = 0-4", Some("bytes=0-4".to_owned())),
            ("bytes=2-18446744073709551615", Some(format!("bytes=2-{max}"))),
            ("bytes=2-99999999999999999999999", Some(format!("bytes=2-{max}"))),
            ("bytes=18446744073709551615-", Some(format!("bytes={max}-"))),
            ("bytes=-99999999999999999999999", Some(format!("bytes=-{}", u64::MAX))),
            ("bytes=007-10", Some("bytes=7-10".to_owned())),
            ("bytes=5-3", None),
            ("bytes=99999999999999999999999-99999999999999999999", None),
            ("bytes=0-1,3-4", None),
            ("bytes=a-b", None),
            ("bytes=", None),
            ("bytes=-", None),
            ("bytes=+1-2", None),
            ("bytes=1", None),
            ("lines=0-1", None),
            ("junk", None),
        ] {
            assert_eq!(meant_range(said), meant, "{said}");
        }
    }

    fn left(method: Method, signed: &str, name: &'static str, value: &'static str) -> Option<String> {
        let authorization = format!("AWS4-HMAC-SHA256 Credential=K, SignedHeaders={signed}, Signature=00");
        let request = Request::builder().method(method).uri("/b/k").header("authorization", authorization);
        let mut request = request.header(name, value).body(Body::empty()).expect("a request");
        drop_ignored(&mut request);
        request.headers().get(name).map(|value| value.to_str().expect("text").to_owned())
    }

    #[test]
    fn only_what_no_signature_covers_is_touched() {
        assert_eq!(left(Method::GET, "host", "range", "bytes=5-3"), None);
        assert_eq!(left(Method::HEAD, "host;x-amz-date", "if-modified-since", "yesterday"), None);
        assert_eq!(left(Method::GET, "host", "if-unmodified-since", "soon"), None);
        let date = "Thu, 01 Jan 1970 00:00:07 GMT";
        assert_eq!(left(Method::GET, "host", "if-modified-since", date).as_deref(), Some(date));
        assert_eq!(left(Method::GET, "host;Range", "range", "bytes=5-3").as_deref(), Some("bytes=5-3"));
        assert_eq!(left(Method::PUT, "host", "range", "bytes=5-3").as_deref(), Some("bytes=5-3"), "no read");
    }

    #[test]
    fn a_signed_one_is_meant_without_its_signature() {
        let authorization = "AWS4-HMAC-SHA256 Credential=K, SignedHeaders=host;range, Signature=00";
        let meant = |range: &'static str| {
            let request =
                Request::get("/b/k?versionId=7").header("authorization", authorization).header("range", range);
            let mut request = request.header("if-modified-since", "soon").body(Body::empty()).expect("a request");
            drop_ignored(&mut request).map(|meant| (meant.uri().to_string(), meant.headers().clone()))
        };
        let (uri, headers) = meant("bytes=5-3").expect("s3s would refuse it");
        assert_eq!((uri.as_str(), headers.len()), ("/b/k?versionId=7", 0));
        let (_, headers) = meant("Bytes = 0-4").expect("s3s would refuse it");
        assert_eq!((headers["range"].as_bytes(), headers.len()), (&b"bytes=0-4"[..], 1));
        assert!(meant("bytes=0-4").is_none(), "s3s can read it");
        let query =
            "X-Amz-Algorithm=A&versionId=7&x-amz-credential=K&X-Amz-SignedHeaders=host%3Brange&X-Amz-Signature=00";
        let presigned = Request::get(format!("/b/k?{query}")).header("range", "junk").body(Body::empty());
        let meant = drop_ignored(&mut presigned.expect("a request")).expect("signed as well");
        assert_eq!((meant.uri().to_string().as_str(), meant.headers().len()), ("/b/k?versionId=7", 0));
    }
}
