//! Fuzz targets: heads of requests before s3s sees them, against second readings of the same rules.

use super::ignored::{drop_ignored, meant_range};
use super::{limits, signature};
use crate::hosts::Domains;
use http::{HeaderMap, Method, Request};
use s3s::Body;
use s3s::dto::Range;
use s3s::host::S3Host;

/// A request written as its lines: method and target, then one header each.
fn request(text: &str) -> Option<Request<Body>> {
    let mut lines = text.lines();
    let (method, target) = lines.next()?.split_once(' ')?;
    let mut request = Request::builder().method(method).uri(target);
    for line in lines.take(64) {
        let (name, value) = line.split_once(':')?;
        request = request.header(name, value.trim());
    }
    request.body(Body::empty()).ok()
}

/// Names and values of a query, decoded byte by byte.
fn query(target: &str) -> Vec<(String, String)> {
    let decode = |text: &str| {
        let (bytes, mut out, mut at) = (text.as_bytes(), Vec::new(), 0);
        while at < bytes.len() {
            let hex = bytes.get(at + 1..at + 3).and_then(|two| std::str::from_utf8(two).ok());
            let byte = hex.filter(|two| two.bytes().all(|b| b.is_ascii_hexdigit()));
            match byte.and_then(|two| u8::from_str_radix(two, 16).ok()).filter(|_| bytes[at] == b'%') {
                Some(byte) => {
                    out.push(byte);
                    at += 3;
                }
                None => {
                    out.push(bytes[at]);
                    at += 1;
                }
            }
        }
        String::from_utf8_lossy(&out).into_owned()
    };
    let pairs = target.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    pairs.map(|(name, value)| (decode(name), decode(value))).collect()
}

fn judge_signature(request: &Request<Body>) {
    let (uri, headers) = (request.uri(), request.headers());
    let pairs = query(uri.query().unwrap_or_default());
    let named = |name: &str| pairs.iter().any(|(found, _)| found == name);
    let old = headers.get("authorization").is_some_and(|value| value.as_bytes().starts_with(b"AWS "));
    let twice = headers.contains_key("authorization") && (named("X-Amz-Signature") || named("X-Amz-Algorithm"));
    let token = headers.contains_key("x-amz-security-token") || named("X-Amz-Security-Token");
    let refused = signature::check(request.method(), uri, headers).is_err();
    let must = old || named("Signature") || named("AWSAccessKeyId") || twice || token;
    assert!(refused || !must, "passes: {uri} {headers:?}");
    if let Some(names) = signature::signed_names(uri, headers) {
        assert!(refused || names.iter().any(|name| name == "host"), "the host is not signed: {uri} {headers:?}");
        assert!(names.iter().all(|name| !name.bytes().any(|b| b.is_ascii_uppercase())), "{names:?}");
    }
}

/// Only three headers are ever taken out or changed, only in reads, and never what a signature covers.
fn judge_ignored(mut request: Request<Body>) {
    let before: HeaderMap = request.headers().clone();
    let signed = signature::signed_names(request.uri(), &before).unwrap_or_default();
    drop_ignored(&mut request);
    let reads = matches!(*request.method(), Method::GET | Method::HEAD);
    let after = request.headers();
    for (name, values) in before.keys().map(|name| (name, before.get_all(name))) {
        let free = reads && ["range", "if-modified-since", "if-unmodified-since"].contains(&name.as_str());
        if !free || signed.iter().any(|one| one == name.as_str()) {
            assert!(values.iter().eq(after.get_all(name)), "{name} changed: {before:?} to {after:?}");
        } else if let Some(value) = after.get(name).filter(|_| name == "range") {
            let text = value.to_str().expect("it was written anew");
            assert!(Range::parse(text).is_ok(), "{text}");
        }
    }
    assert!(after.keys().all(|name| before.contains_key(name)));
}

#[test]
fn heads() {
    bolero::check!(name = "request-head").for_each(|bytes: &[u8]| {
        let Some(request) = std::str::from_utf8(bytes).ok().and_then(request) else { return };
        judge_signature(&request);
        let target = request.uri().path().len() + request.uri().query().map_or(0, |query| query.len() + 1);
        let held: usize = request.headers().iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
        let fits = target <= limits::URI_BYTES_MAX && held <= limits::HEADER_BYTES_MAX;
        assert_eq!(limits::check(request.uri(), request.headers()).is_ok(), fits);
        judge_ignored(request);
    });
}

#[test]
fn hosts() {
    bolero::check!(name = "hosts").for_each(|bytes: &[u8]| {
        let Ok(host) = std::str::from_utf8(bytes) else { return };
        let domains = Domains::new(&["s3.example.com".to_owned(), "other.net:9000".to_owned()]);
        let parsed = domains.parse_host_header(host).expect("every host is served");
        let Some(bucket) = parsed.bucket() else { return };
        let (name, port) = host.rsplit_once(':').unwrap_or((host, "0"));
        let known = [".s3.example.com", ".other.net"];
        let whole = known.iter().any(|domain| {
            let due = format!("{bucket}{domain}");
            [host, name].iter().any(|given| given.to_ascii_lowercase().trim_end_matches('.') == due)
        });
        assert!(!bucket.is_empty() && whole, "{host:?} (port {port}) is bucket {bucket:?}");
    });
}

/// Which bytes of an object of this length a Range header means: None is all of them. RFC 9110 14.1.2, for one range.
fn meant(text: &str, len: u128) -> Option<Option<(u128, u128)>> {
    let (unit, set) = text.split_once('=')?;
    if !unit.trim().eq_ignore_ascii_case("bytes") {
        return None;
    }
    let number = |text: &str| {
        let digits = !text.is_empty() && text.chars().all(|c| c.is_ascii_digit());
        // No object is longer than 30 digits can say.
        digits.then(|| text.trim_start_matches('0')).map(|text| match text.len() {
            0 => 0,
            1..=30 => text.parse::<u128>().expect("30 digits"),
            _ => u128::MAX,
        })
    };
    let pieces: Vec<&str> = set.trim().split('-').collect();
    let [first, last] = pieces[..] else { return None };
    let (start, end) = match (first, last) {
        ("", last) => (len - number(last)?.min(len), len),
        (first, "") => (number(first)?, len),
        (first, last) if number(first)? <= number(last)? => {
            (number(first)?, (number(last)?.saturating_add(1)).min(len))
        }
        _ => return None,
    };
    Some((start < end).then_some((start, end)))
}

#[test]
fn ranges() {
    bolero::check!(name = "ranges").for_each(|bytes: &[u8]| {
        let Some((len, text)) = bytes.split_first_chunk::<2>() else { return };
        // Of an empty object the engine answers the whole, which is a range of no byte.
        let (len, Ok(text)) = (u64::from(u16::from_le_bytes(*len)) + 1, std::str::from_utf8(text)) else { return };
        let said = meant_range(text);
        let due = meant(text, len.into());
        assert_eq!(said.is_some(), due.is_some(), "{text:?}: {said:?}, but {due:?}");
        let (Some(said), Some(due)) = (said, due) else { return };
        let read = Range::parse(&said).unwrap_or_else(|_| panic!("s3s cannot read {said:?}, made of {text:?}"));
        let read = read.check(len).ok().map(|range| (u128::from(range.start), u128::from(range.end)));
        assert_eq!(read, due, "{text:?} of {len} bytes, as {said:?}");
    });
}
