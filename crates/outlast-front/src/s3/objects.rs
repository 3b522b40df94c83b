//! PutObject, GetObject, HeadObject.

use super::body_in::client_body;
use super::checksums::{self, declared_of, give_checksums};
use super::conditions::{conditions, if_range, on_write};
use super::convert::{self, head_of};
use super::gateway::{Gateway, bucket_name, key_to_create, key_to_read, trace};
use super::refuse::{self, refuse_extras};
use super::{body_out, errors};
use http::{HeaderMap, HeaderName, HeaderValue};
use outlast_engine::{GetAsk, ObjectFacts, PutAsk, RangeAsk, ReadError};
use outlast_rules::{Conditions, Refusal};
use s3s::dto::*;
use s3s::{S3Error, S3Request, S3Response, S3Result};

const SOURCE: HeaderName = HeaderName::from_static("x-outlast-source");
const VERIFIED: HeaderName = HeaderName::from_static("x-outlast-verified");

impl Gateway {
    pub(super) async fn put(&self, req: S3Request<PutObjectInput>) -> S3Result<S3Response<PutObjectOutput>> {
        refuse::subresource(&req.uri)?;
        refuse::version_to_write(&req.uri)?;
        refuse::lengthless(&req.headers, trace(&req.extensions).as_deref())?;
        let mut input = req.input;
        refuse_extras!(input);
        if input.write_offset_bytes.is_some() {
            return Err(errors::not_here("appending to an object"));
        }
        let given = declared_of!(input);
        let declared =
            checksums::declared(input.content_md5.as_deref(), given, &req.headers, req.trailing_headers.as_ref())?;
        let ask = PutAsk {
            bucket: bucket_name(&input.bucket)?,
            key: key_to_create(&input.key)?,
            head: convert::head(head_of!(input))?,
            conditions: on_write(input.if_match.as_ref(), input.if_none_match.as_ref(), &req.headers),
            body: client_body(input.body, input.content_length, declared)?,
        };
        let written = self.engine.put(ask).await.map_err(errors::from_write)?;
        let mut output = PutObjectOutput { e_tag: Some(convert::etag(&written.etag)), ..Default::default() };
        output.checksum_type = checksums::checksum_type(&written.checksums);
        give_checksums!(output, &written.checksums);
        Ok(S3Response::new(output))
    }

    pub(super) async fn get(&self, req: S3Request<GetObjectInput>) -> S3Result<S3Response<GetObjectOutput>> {
        let input = &req.input;
        refuse::version_to_read(input.version_id.as_deref())?;
        if input.sse_customer_algorithm.is_some() {
            return Err(errors::not_here("server-side encryption with the client's key (SSE-C)"));
        }
        let range = range_ask(input.range.as_ref(), input.part_number)?;
        let given = conditions(
            input.if_match.as_ref(),
            input.if_none_match.as_ref(),
            input.if_modified_since.as_ref(),
            input.if_unmodified_since.as_ref(),
        );
        let given = Conditions { if_range: if_range(&req.headers), ..given };
        let ask =
            GetAsk { bucket: bucket_name(&input.bucket)?, key: key_to_read(&input.key)?, range, conditions: given };
        let answer = match self.engine.get(ask.clone()).await {
            Ok(answer) => answer,
            Err(fault) => return Err(self.refused_read(fault, ask).await),
        };
        if let Some(trace) = trace(&req.extensions) {
            trace.source.get_or_init(|| answer.source.clone());
        }
        let mut headers = HeaderMap::new();
        headers.insert(VERIFIED, HeaderValue::from_static(answer.verified));
        if let Ok(source) = HeaderValue::from_str(&answer.source) {
            headers.insert(SOURCE, source);
        }
        let facts = answer.facts;
        let mut output = GetObjectOutput {
            body: (answer.len > 0).then(|| body_out::blob(answer.bytes, answer.len)),
            content_length: Some(convert::signed(answer.len)),
            content_range: content_range(&facts),
            parts_count: parts_count(&facts, range),
            ..Default::default()
        };
        let shown = shows_checksums(input.checksum_mode.as_ref(), &facts);
        describe!(output, facts, shown);
        Ok(S3Response::with_headers(output, headers))
    }

    pub(super) async fn head(&self, req: S3Request<HeadObjectInput>) -> S3Result<S3Response<HeadObjectOutput>> {
        let input = &req.input;
        refuse::version_to_read(input.version_id.as_deref())?;
        let range = range_ask(input.range.as_ref(), input.part_number)?;
        let given = conditions(
            input.if_match.as_ref(),
            input.if_none_match.as_ref(),
            input.if_modified_since.as_ref(),
            input.if_unmodified_since.as_ref(),
        );
        let given = Conditions { if_range: if_range(&req.headers), ..given };
        let ask =
            GetAsk { bucket: bucket_name(&input.bucket)?, key: key_to_read(&input.key)?, range, conditions: given };
        let facts = match self.engine.head(ask.clone()).await {
            Ok(facts) => facts,
            Err(fault) => return Err(self.refused_read(fault, ask).await),
        };
        let len = facts.range.map_or(facts.size, |(start, end)| end - start);
        let mut output = HeadObjectOutput {
            content_length: Some(convert::signed(len)),
            content_range: content_range(&facts),
            parts_count: parts_count(&facts, range),
            ..Default::default()
        };
        let shown = shows_checksums(input.checksum_mode.as_ref(), &facts);
        describe!(output, facts, shown);
        let mut response = S3Response::new(output);
        overrides(&mut response.headers, input)?;
        Ok(response)
    }

    /// 304 carries what a cache needs to go on; a part that is not there is no range fault.
    async fn refused_read(&self, fault: ReadError, ask: GetAsk) -> S3Error {
        match fault {
            ReadError::Refused(Refusal::NotModified) => {
                let mut error = errors::from_read(fault);
                let plain = GetAsk { conditions: Conditions::default(), range: None, ..ask };
                if let Ok(facts) = self.engine.head(plain).await {
                    error.set_headers(cache_headers(&facts));
                }
                error
            }
            ReadError::Range { .. } if matches!(ask.range, Some(RangeAsk::Part(_))) => errors::no_such_part(),
            ReadError::Range { size } => {
                let mut error = errors::from_read(fault);
                let mut headers = HeaderMap::new();
                if let Ok(value) = HeaderValue::from_str(&format!("bytes */{size}")) {
                    headers.insert(http::header::CONTENT_RANGE, value);
                }
                headers.insert(http::header::CONTENT_TYPE, HeaderValue::from_static("application/xml"));
                error.set_headers(headers);
                error
            }
            other => errors::from_read(other),
        }
    }
}

/// Everything that GET and HEAD say alike.
macro_rules! describe {
    ($output:expr, $facts:expr, $checksums:expr) => {{
        $output.accept_ranges = Some("bytes".to_owned());
        $output.e_tag = Some(convert::etag(&$facts.etag));
        $output.last_modified = Some(convert::timestamp($facts.modified));
        $output.content_type =
            Some($facts.head.content_type.unwrap_or_else(|| convert::DEFAULT_CONTENT_TYPE.to_owned()));
        $output.content_encoding = $facts.head.content_encoding;
        $output.content_disposition = $facts.head.content_disposition;
        $output.content_language = $facts.head.content_language;
        $output.cache_control = $facts.head.cache_control;
        $output.expires = $facts.head.expires;
        $output.metadata = Some($facts.head.metadata.into_iter().collect());
        if $checksums {
            $output.checksum_type = checksums::checksum_type(&$facts.checksums);
            give_checksums!($output, &$facts.checksums);
        }
    }};
}
use describe;

fn range_ask(range: Option<&Range>, part: Option<i32>) -> S3Result<Option<RangeAsk>> {
    match (range, part) {
        (Some(_), Some(_)) => {
            Err(errors::invalid_request("Cannot specify both Range header and partNumber query parameter"))
        }
        (None, Some(number)) => match u32::try_from(number) {
            Ok(number) if (1..=10_000).contains(&number) => Ok(Some(RangeAsk::Part(number))),
            _ => Err(errors::invalid("Part number must be an integer between 1 and 10000, inclusive")),
        },
        (Some(Range::Int { first, last: Some(last) }), None) => Ok(Some(RangeAsk::FromTo(*first, *last))),
        (Some(Range::Int { first, last: None }), None) => Ok(Some(RangeAsk::From(*first))),
        (Some(Range::Suffix { length }), None) => Ok(Some(RangeAsk::Last(*length))),
        (None, None) => Ok(None),
    }
}

/// An empty range has no way to be written: the whole empty object is answered instead.
fn content_range(facts: &ObjectFacts) -> Option<String> {
    let (start, end) = facts.range.filter(|(start, end)| start < end)?;
    Some(format!("bytes {start}-{}/{}", end - 1, facts.size))
}

/// S3 says how many parts there are when it was asked for one.
fn parts_count(facts: &ObjectFacts, range: Option<RangeAsk>) -> Option<i32> {
    let parts = facts.parts.filter(|_| matches!(range, Some(RangeAsk::Part(_))))?;
    i32::try_from(parts).ok()
}

/// A checksum of the whole says nothing about a part of it.
fn shows_checksums(mode: Option<&ChecksumMode>, facts: &ObjectFacts) -> bool {
    mode.is_some_and(|mode| mode.as_str() == ChecksumMode::ENABLED)
        && facts.range.is_none_or(|range| range == (0, facts.size))
}

fn cache_headers(facts: &ObjectFacts) -> HeaderMap {
    let mut headers = HeaderMap::new();
    if let Ok(value) = HeaderValue::from_str(&format!("\"{}\"", facts.etag)) {
        headers.insert(http::header::ETAG, value);
    }
    let mut date = Vec::new();
    if convert::timestamp(facts.modified).format(TimestampFormat::HttpDate, &mut date).is_ok()
        && let Ok(value) = HeaderValue::from_bytes(&date)
    {
        headers.insert(http::header::LAST_MODIFIED, value);
    }
    let kept = [(http::header::CACHE_CONTROL, &facts.head.cache_control), (http::header::EXPIRES, &facts.head.expires)];
    for (name, value) in kept {
        if let Some(Ok(value)) = value.as_deref().map(HeaderValue::from_str) {
            headers.insert(name, value);
        }
    }
    headers
}

/// s3s applies response-* to GET by itself, not to HEAD.
fn overrides(headers: &mut HeaderMap, input: &HeadObjectInput) -> S3Result<()> {
    let mut expires = Vec::new();
    if let Some(time) = &input.response_expires {
        time.format(TimestampFormat::HttpDate, &mut expires)
            .map_err(|_| errors::invalid("response-expires is no time"))?;
    }
    let expires = (!expires.is_empty()).then(|| String::from_utf8_lossy(&expires).into_owned());
    let asked = [
        (http::header::CONTENT_TYPE, &input.response_content_type),
        (http::header::CONTENT_LANGUAGE, &input.response_content_language),
        (http::header::CACHE_CONTROL, &input.response_cache_control),
        (http::header::CONTENT_DISPOSITION, &input.response_content_disposition),
        (http::header::CONTENT_ENCODING, &input.response_content_encoding),
        (http::header::EXPIRES, &expires),
    ];
    for (name, value) in asked {
        if let Some(value) = value {
            let value = HeaderValue::from_str(value)
                .map_err(|_| errors::invalid(format!("response-{name} is no header value")))?;
            headers.insert(name, value);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use outlast_rules::{Head, Moment};

    fn facts(size: u64, range: Option<(u64, u64)>) -> ObjectFacts {
        ObjectFacts {
            etag: "e".into(),
            size,
            modified: Moment(1_700_000_000_000),
            head: Head::default(),
            checksums: Vec::new(),
            parts: Some(3),
            range,
        }
    }

    #[test]
    fn ranges_and_parts() {
        let parse = |text: &str| Range::parse(text).expect("a range");
        assert_eq!(range_ask(Some(&parse("bytes=2-5")), None).ok(), Some(Some(RangeAsk::FromTo(2, 5))));
        assert_eq!(range_ask(Some(&parse("bytes=2-")), None).ok(), Some(Some(RangeAsk::From(2))));
        assert_eq!(range_ask(Some(&parse("bytes=-5")), None).ok(), Some(Some(RangeAsk::Last(5))));
        assert_eq!(range_ask(None, Some(3)).ok(), Some(Some(RangeAsk::Part(3))));
        assert!(range_ask(Some(&parse("bytes=0-1")), Some(1)).is_err());
        assert!(range_ask(None, Some(0)).is_err() && range_ask(None, Some(10_001)).is_err());
    }

    #[test]
    fn what_is_said_of_a_range() {
        assert_eq!(content_range(&facts(10, Some((2, 6)))).as_deref(), Some("bytes 2-5/10"));
        assert_eq!(content_range(&facts(0, Some((0, 0)))), None);
        assert_eq!(content_range(&facts(10, None)), None);
        assert_eq!(parts_count(&facts(10, None), Some(RangeAsk::Part(1))), Some(3));
        assert_eq!(parts_count(&facts(10, None), None), None);
    }

    #[test]
    fn checksums_are_shown_of_the_whole_only() {
        let enabled = ChecksumMode::from_static(ChecksumMode::ENABLED);
        assert!(shows_checksums(Some(&enabled), &facts(10, None)));
        assert!(shows_checksums(Some(&enabled), &facts(10, Some((0, 10)))));
        assert!(!shows_checksums(Some(&enabled), &facts(10, Some((0, 9)))));
        assert!(!shows_checksums(None, &facts(10, None)));
    }
}
