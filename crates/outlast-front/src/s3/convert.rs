//! Headers, user metadata, times and owners: S3's words into ours and back.

use super::errors;
use crate::auth::OWNER;
use outlast_rules::{Head, Moment};
use s3s::S3Result;
use s3s::dto::{ETag, Metadata, Owner, Timestamp};
use std::collections::BTreeMap;

/// What S3 says of an object whose client said nothing.
pub const DEFAULT_CONTENT_TYPE: &str = "binary/octet-stream";
/// The stamp's name in user metadata (protocol.md 1).
const STAMP_NAME: &str = "outlast";
/// What a chunked body's framing is called in Content-Encoding; it is no property of the object.
const CHUNKED_CODING: &str = "aws-chunked";

/// The headers that an object keeps, as the client sent them.
#[derive(Debug, Default)]
pub struct HeadIn {
    pub content_type: Option<String>,
    pub content_encoding: Option<String>,
    pub content_disposition: Option<String>,
    pub content_language: Option<String>,
    pub cache_control: Option<String>,
    pub expires: Option<String>,
    pub metadata: Option<Metadata>,
}

/// Takes the seven out of any input that has them.
macro_rules! head_of {
    ($input:expr) => {
        $crate::s3::convert::HeadIn {
            content_type: $input.content_type.take(),
            content_encoding: $input.content_encoding.take(),
            content_disposition: $input.content_disposition.take(),
            content_language: $input.content_language.take(),
            cache_control: $input.cache_control.take(),
            expires: $input.expires.take(),
            metadata: $input.metadata.take(),
        }
    };
}
pub(super) use head_of;

/// InvalidArgument for our stamp's name and for control characters, which no store could keep in a header.
pub fn head(given: HeadIn) -> S3Result<Head> {
    let head = Head {
        content_type: given.content_type.or_else(|| Some(DEFAULT_CONTENT_TYPE.to_owned())),
        content_encoding: given.content_encoding.as_deref().and_then(without_chunking),
        content_disposition: given.content_disposition,
        content_language: given.content_language,
        cache_control: given.cache_control,
        expires: given.expires,
        metadata: metadata(given.metadata.unwrap_or_default())?,
    };
    Ok(head)
}

fn metadata(given: Metadata) -> S3Result<BTreeMap<String, String>> {
    let mut kept = BTreeMap::new();
    for (name, value) in given {
        let name = name.to_ascii_lowercase();
        if name == STAMP_NAME {
            return Err(errors::invalid(format!("x-amz-meta-{STAMP_NAME} is reserved for Outlast's own stamp")));
        }
        if value.chars().any(char::is_control) {
            return Err(errors::invalid(format!("x-amz-meta-{name} holds a control character")));
        }
        kept.insert(name, value);
    }
    Ok(kept)
}

fn without_chunking(codings: &str) -> Option<String> {
    let kept: Vec<&str> = codings
        .split(',')
        .map(str::trim)
        .filter(|c| !c.is_empty() && !c.eq_ignore_ascii_case(CHUNKED_CODING))
        .collect();
    if kept.is_empty() { None } else { Some(kept.join(",")) }
}

pub fn moment(time: &Timestamp) -> Moment {
    let time = time::OffsetDateTime::from(time.clone());
    Moment(u64::try_from(time.unix_timestamp_nanos() / 1_000_000).unwrap_or(0))
}

pub fn timestamp(moment: Moment) -> Timestamp {
    let nanos = i128::from(moment.0) * 1_000_000;
    // Times beyond the year 9999 are no times that S3 can write.
    time::OffsetDateTime::from_unix_timestamp_nanos(nanos).unwrap_or(time::OffsetDateTime::UNIX_EPOCH).into()
}

pub fn etag(text: &str) -> ETag {
    ETag::Strong(text.to_owned())
}

pub fn owner() -> Owner {
    Owner { display_name: Some(OWNER.to_owned()), id: Some(OWNER.to_owned()) }
}

/// Sizes and lengths: S3's DTOs count in i64.
pub fn signed(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use s3s::S3ErrorCode;

    fn with_metadata(pairs: &[(&str, &str)]) -> S3Result<Head> {
        let metadata = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        head(HeadIn { metadata: Some(metadata), ..HeadIn::default() })
    }

    #[test]
    fn metadata_names_are_lower_case_and_values_any_text() {
        let head = with_metadata(&[("Colour", "grün"), ("n", "")]).expect("both are fine");
        assert_eq!(head.metadata.get("colour").map(String::as_str), Some("grün"));
        assert_eq!(head.metadata.get("n").map(String::as_str), Some(""));
    }

    #[test]
    fn our_stamp_and_control_characters_are_refused() {
        for bad in [("outlast", "x"), ("Outlast", "x"), ("a", "line\nbreak"), ("a", "\u{7f}")] {
            let refused = with_metadata(&[bad]).expect_err("refused");
            assert_eq!(*refused.code(), S3ErrorCode::InvalidArgument, "{bad:?}");
        }
        assert!(with_metadata(&[("outlast2", "x")]).is_ok());
    }

    #[test]
    fn content_type_has_a_default_and_framing_is_no_coding() {
        let coded = |text: &str| {
            head(HeadIn { content_encoding: Some(text.to_owned()), ..HeadIn::default() })
                .expect("fine")
                .content_encoding
        };
        assert_eq!(head(HeadIn::default()).expect("fine").content_type.as_deref(), Some(DEFAULT_CONTENT_TYPE));
        assert_eq!(coded("aws-chunked"), None);
        assert_eq!(coded("aws-chunked,gzip"), Some("gzip".to_owned()));
        assert_eq!(coded("gzip, AWS-Chunked"), Some("gzip".to_owned()));
        assert_eq!(coded("gzip, br"), Some("gzip,br".to_owned()));
    }

    #[test]
    fn times_go_there_and_back() {
        for ms in [0, 1, 1_700_000_000_123] {
            assert_eq!(moment(&timestamp(Moment(ms))), Moment(ms));
        }
    }
}
