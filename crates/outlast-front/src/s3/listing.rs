//! ListObjects and ListObjectsV2.

use super::convert::{self, etag, owner, timestamp};
use super::errors;
use super::gateway::{Gateway, bucket_name};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use outlast_engine::{ListPage, ListQuery, Listed};
use outlast_rules::beyond_xml;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use s3s::dto::*;
use s3s::{S3Request, S3Response, S3Result};

/// S3's page, and the most that one page may have.
const PAGE_MAX: i32 = 1000;
/// What `encoding-type=url` leaves as it is.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~').remove(b'/');

impl Gateway {
    pub(super) async fn list_v1(&self, req: S3Request<ListObjectsInput>) -> S3Result<S3Response<ListObjectsOutput>> {
        let input = req.input;
        let coding = Coding::of(input.encoding_type.as_ref())?;
        let max = page_size(input.max_keys)?;
        let query = query(&input.prefix, &input.delimiter, input.marker.clone().unwrap_or_default(), max);
        coding.check([query.prefix.as_str(), &query.delimiter, &query.after])?;
        let (page, next) = self.page(&input.bucket, query).await?;
        let lines = Lines::of(page, coding, true)?;
        let output = ListObjectsOutput {
            name: Some(input.bucket),
            prefix: Some(coding.text(input.prefix.unwrap_or_default())),
            marker: Some(coding.text(input.marker.unwrap_or_default())),
            max_keys: Some(max),
            is_truncated: Some(next.is_some()),
            contents: lines.contents,
            common_prefixes: lines.prefixes,
            delimiter: input.delimiter.filter(|text| !text.is_empty()).map(|text| coding.text(text)),
            next_marker: next.map(|text| coding.text(text)),
            encoding_type: input.encoding_type,
            request_charged: None,
        };
        Ok(S3Response::new(output))
    }

    pub(super) async fn list_v2(
        &self,
        req: S3Request<ListObjectsV2Input>,
    ) -> S3Result<S3Response<ListObjectsV2Output>> {
        let input = req.input;
        let coding = Coding::of(input.encoding_type.as_ref())?;
        let max = page_size(input.max_keys)?;
        let after = match input.continuation_token.as_deref().filter(|token| !token.is_empty()) {
            Some(token) => from_token(token)?,
            None => input.start_after.clone().unwrap_or_default(),
        };
        let query = query(&input.prefix, &input.delimiter, after, max);
        coding.check([query.prefix.as_str(), &query.delimiter, input.start_after.as_deref().unwrap_or_default()])?;
        let (page, next) = self.page(&input.bucket, query).await?;
        let count = i32::try_from(page.items.len()).unwrap_or(PAGE_MAX);
        let lines = Lines::of(page, coding, input.fetch_owner == Some(true))?;
        let output = ListObjectsV2Output {
            name: Some(input.bucket),
            prefix: Some(coding.text(input.prefix.unwrap_or_default())),
            max_keys: Some(max),
            key_count: Some(count),
            continuation_token: input.continuation_token,
            is_truncated: Some(next.is_some()),
            next_continuation_token: next.as_deref().map(to_token),
            contents: lines.contents,
            common_prefixes: lines.prefixes,
            delimiter: input.delimiter.filter(|text| !text.is_empty()).map(|text| coding.text(text)),
            encoding_type: input.encoding_type,
            start_after: input.start_after.map(|text| coding.text(text)),
            request_charged: None,
        };
        Ok(S3Response::new(output))
    }

    /// The page, and what the next one comes after, if there is one.
    async fn page(&self, bucket: &str, query: ListQuery) -> S3Result<(ListPage, Option<String>)> {
        let bucket = bucket_name(bucket)?;
        if query.limit == 0 {
            self.engine.head_bucket(bucket).await.map_err(errors::from_bucket)?;
            return Ok((ListPage::default(), None));
        }
        let page = self.engine.list(bucket, query).await.map_err(errors::from_read)?;
        let last = page.items.last().map(|item| match item {
            Listed::Object(object) => object.key.to_string(),
            Listed::Prefix(prefix) => prefix.clone(),
        });
        let next = last.filter(|_| page.truncated);
        Ok((page, next))
    }
}

fn query(prefix: &Option<String>, delimiter: &Option<String>, after: String, max: i32) -> ListQuery {
    ListQuery {
        prefix: prefix.clone().unwrap_or_default(),
        delimiter: delimiter.clone().unwrap_or_default(),
        after,
        limit: usize::try_from(max).unwrap_or(0),
    }
}

/// Shared by all listings: `max-keys`, `max-parts`, `max-uploads`.
pub(super) fn page_size(asked: Option<i32>) -> S3Result<i32> {
    match asked.unwrap_or(PAGE_MAX) {
        negative if negative < 0 => Err(errors::invalid("A page cannot have a negative number of lines.")),
        size => Ok(size.min(PAGE_MAX)),
    }
}

/// Opaque to clients: the last item of the page, so that it is true for ever and costs no memory.
pub(super) fn to_token(after: &str) -> String {
    URL_SAFE_NO_PAD.encode(after)
}

pub(super) fn from_token(token: &str) -> S3Result<String> {
    let decoded = URL_SAFE_NO_PAD.decode(token).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    decoded.ok_or_else(|| errors::invalid("The continuation token provided is incorrect"))
}

/// How names are written in the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Coding {
    Plain,
    Url,
}

impl Coding {
    pub(super) fn of(asked: Option<&EncodingType>) -> S3Result<Coding> {
        match asked.map(EncodingType::as_str) {
            None => Ok(Coding::Plain),
            Some(EncodingType::URL) => Ok(Coding::Url),
            Some(_) => Err(errors::invalid("Invalid Encoding Method specified in Request")),
        }
    }

    /// InvalidArgument when an answer that repeats one of these could not be written.
    pub(super) fn check<'a>(self, names: impl IntoIterator<Item = &'a str>) -> S3Result<()> {
        if self == Coding::Url {
            return Ok(());
        }
        match names.into_iter().find_map(beyond_xml) {
            None => Ok(()),
            Some(letter) => Err(errors::invalid(format!(
                "The listing names the character U+{:04X}, which XML cannot carry: ask with encoding-type=url.",
                letter as u32
            ))),
        }
    }

    pub(super) fn text(self, text: String) -> String {
        match self {
            Coding::Plain => text,
            Coding::Url => utf8_percent_encode(&text, PLAIN).to_string(),
        }
    }
}

struct Lines {
    contents: Option<Vec<Object>>,
    prefixes: Option<Vec<CommonPrefix>>,
}

impl Lines {
    fn of(page: ListPage, coding: Coding, with_owner: bool) -> S3Result<Lines> {
        // Keys of an earlier version of Outlast: none comes in any more.
        coding.check(page.items.iter().map(|item| match item {
            Listed::Object(object) => object.key.as_str(),
            Listed::Prefix(prefix) => prefix,
        }))?;
        let (mut contents, mut prefixes) = (Vec::new(), Vec::new());
        for item in page.items {
            match item {
                Listed::Object(object) => contents.push(Object {
                    key: Some(coding.text(object.key.to_string())),
                    size: Some(convert::signed(object.size)),
                    e_tag: Some(etag(&object.etag)),
                    last_modified: Some(timestamp(object.modified)),
                    owner: with_owner.then(owner),
                    storage_class: Some(ObjectStorageClass::from_static(ObjectStorageClass::STANDARD)),
                    ..Default::default()
                }),
                Listed::Prefix(prefix) => prefixes.push(CommonPrefix { prefix: Some(coding.text(prefix)) }),
            }
        }
        Ok(Lines { contents: some(contents), prefixes: some(prefixes) })
    }
}

fn some<T>(list: Vec<T>) -> Option<Vec<T>> {
    if list.is_empty() { None } else { Some(list) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use outlast_engine::ListedObject;
    use outlast_rules::{Key, Moment};

    #[test]
    fn page_sizes() {
        assert_eq!(page_size(None).ok(), Some(1000));
        assert_eq!(page_size(Some(0)).ok(), Some(0));
        assert_eq!(page_size(Some(7)).ok(), Some(7));
        assert_eq!(page_size(Some(100_000)).ok(), Some(1000));
        assert!(page_size(Some(-1)).is_err());
    }

    #[test]
    fn tokens_go_there_and_back_and_nothing_else_does() {
        for after in ["a", "ü/ x", "a\u{1}b"] {
            assert_eq!(from_token(&to_token(after)).ok().as_deref(), Some(after));
        }
        assert!(from_token("not base64!").is_err());
        assert!(from_token("_w").is_err(), "0xff is no text");
    }

    #[test]
    fn url_coding() {
        let url = EncodingType::from_static(EncodingType::URL);
        assert_eq!(Coding::of(Some(&url)).ok(), Some(Coding::Url));
        assert!(Coding::of(Some(&EncodingType::from_static("rot13"))).is_err());
        assert_eq!(Coding::Url.text("a b+ü/\u{1}~.txt".into()), "a%20b%2B%C3%BC/%01~.txt");
        assert_eq!(Coding::Plain.text("a b".into()), "a b");
    }

    #[test]
    fn lines() {
        let key = Key::parse("a b").expect("a key");
        let object = ListedObject { key, size: 5, etag: "e".into(), modified: Moment(0) };
        let page = ListPage { items: vec![Listed::Object(object), Listed::Prefix("c d/".into())], truncated: false };
        let lines = Lines::of(page, Coding::Url, true).expect("any name can be written");
        let contents = lines.contents.expect("one object");
        assert_eq!(contents[0].key.as_deref(), Some("a%20b"));
        assert!(contents[0].owner.is_some());
        assert_eq!(lines.prefixes.expect("one prefix")[0].prefix.as_deref(), Some("c%20d/"));
        let none = Lines::of(ListPage::default(), Coding::Plain, false).expect("no name");
        assert!(none.contents.is_none() && none.prefixes.is_none());
        let old = Listed::Prefix("a\u{1}/".into());
        let page = ListPage { items: vec![old], truncated: false };
        let refused = Lines::of(page.clone(), Coding::Plain, false).err().expect("XML cannot carry it");
        assert!(refused.message().is_some_and(|words| words.contains("U+0001") && words.contains("encoding-type=url")));
        assert!(Lines::of(page, Coding::Url, false).is_ok());
    }
}
