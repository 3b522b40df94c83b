//! If-Match and its kin, from HTTP into the rules' words.

use super::convert::moment;
use http::{HeaderMap, header};
use outlast_rules::{Conditions, IfRange};
use s3s::dto::{ETagCondition, Timestamp, TimestampFormat};

/// The four of a read, or of a copy's source.
pub fn conditions(
    if_match: Option<&ETagCondition>,
    if_none_match: Option<&ETagCondition>,
    if_modified_since: Option<&Timestamp>,
    if_unmodified_since: Option<&Timestamp>,
) -> Conditions {
    Conditions {
        if_match: if_match.map(text),
        if_none_match: if_none_match.map(text),
        if_modified_since: if_modified_since.map(moment),
        if_unmodified_since: if_unmodified_since.map(moment),
        if_range: None,
    }
}

/// If-Range, which s3s leaves to us; it means nothing without a Range.
pub fn if_range(headers: &HeaderMap) -> Option<IfRange> {
    let value = headers.get(header::IF_RANGE).filter(|_| headers.contains_key(header::RANGE))?;
    let text = value.to_str().unwrap_or_default().trim();
    if let Some(etag) = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
        return Some(IfRange::ETag(etag.to_owned()));
    }
    Some(match Timestamp::parse(TimestampFormat::HttpDate, text) {
        Ok(date) => IfRange::Date(moment(&date)),
        // S3's own clients leave out the quotes of an ETag often enough.
        Err(_) if !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') => {
            IfRange::ETag(text.to_owned())
        }
        Err(_) => IfRange::Never,
    })
}

/// Those of a write. s3s reads the two of S3; the times stand in the headers (R2 judges them too), and one that is no time is
/// ignored, as HTTP has it.
pub fn on_write(
    if_match: Option<&ETagCondition>,
    if_none_match: Option<&ETagCondition>,
    headers: &HeaderMap,
) -> Conditions {
    let time = |name| Timestamp::parse(TimestampFormat::HttpDate, headers.get(name)?.to_str().ok()?.trim()).ok();
    let (modified, unmodified) = (time(header::IF_MODIFIED_SINCE), time(header::IF_UNMODIFIED_SINCE));
    conditions(if_match, if_none_match, modified.as_ref(), unmodified.as_ref())
}

fn text(condition: &ETagCondition) -> String {
    match condition {
        ETagCondition::Any => "*".to_owned(),
        ETagCondition::ETag(etag) => etag.value().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use outlast_rules::Moment;

    #[test]
    fn forms_of_an_etag() {
        let parse = |text: &str| ETagCondition::parse_http_header(text.as_bytes()).expect("an ETag");
        let read =
            |header: &str| on_write(Some(&parse(header)), None, &HeaderMap::new()).if_match.expect("it was given");
        assert_eq!(read("*"), "*");
        assert_eq!(read("\"abc\""), "abc");
        assert_eq!(read("abc-2"), "abc-2");
        assert_eq!(read("W/\"abc\""), "abc");
        assert_eq!(read("\"a\", \"b\""), "a\", \"b", "a list keeps its inner quotes; the rules strip them");
    }

    #[test]
    fn times_of_writes() {
        let read = |value: &'static str| {
            let value = http::HeaderValue::from_static(value);
            let headers = [(header::IF_MODIFIED_SINCE, value.clone()), (header::IF_UNMODIFIED_SINCE, value)];
            let given = on_write(None, None, &headers.into_iter().collect());
            (given.if_modified_since, given.if_unmodified_since)
        };
        assert_eq!(read("Thu, 01 Jan 1970 00:00:07 GMT"), (Some(Moment(7_000)), Some(Moment(7_000))));
        assert_eq!(read("yesterday"), (None, None));
    }

    #[test]
    fn if_range_is_strong_or_nothing() {
        let read = |value: &'static str, range: Option<&'static str>| {
            let mut headers = HeaderMap::new();
            headers.insert(header::IF_RANGE, http::HeaderValue::from_static(value));
            if let Some(range) = range {
                headers.insert(header::RANGE, http::HeaderValue::from_static(range));
            }
            if_range(&headers)
        };
        let some = Some("bytes=0-1");
        assert_eq!(read("\"abc-2\"", some), Some(IfRange::ETag("abc-2".into())));
        assert_eq!(read("abc-2", some), Some(IfRange::ETag("abc-2".into())));
        assert_eq!(read("Thu, 01 Jan 1970 00:00:07 GMT", some), Some(IfRange::Date(Moment(7_000))));
        for never in ["W/\"abc\"", "\"a\", \"b", "", "yesterday, perhaps"] {
            assert_eq!(read(never, some), Some(IfRange::Never), "{never:?}");
        }
        assert_eq!(read("\"abc\"", None), None, "there is no range to be dropped");
        assert_eq!(if_range(&HeaderMap::new()), None);
    }

    #[test]
    fn times_before_1970_are_the_beginning() {
        let old = Timestamp::from(time::OffsetDateTime::UNIX_EPOCH - time::Duration::days(1));
        assert_eq!(conditions(None, None, Some(&old), None).if_modified_since, Some(Moment(0)));
    }
}
