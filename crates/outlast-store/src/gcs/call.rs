//! One call: build, give it its token, send once.

use super::config::GcsConfig;
use super::dress::Told;
use super::errors::{Asked, words_of};
use super::names;
use super::token::{Account, Tokens};
use crate::wire::{
    AGENT, Answered, Endpoint, Ids, Line, Progress, Refused, Resolve, ServiceConfigError, Trace, WireBody,
};
use crate::{Answer, Applied, Body, ByteStream, Fault, Shared};
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::header::{
    ACCEPT_ENCODING, AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, HOST, HeaderMap, HeaderValue, USER_AGENT,
};
use http::{Method, Request, Uri};
use outlast_rules::Fence;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::de::DeserializeOwned;
use std::sync::Arc;

/// Names are one segment of the path, slashes and all.
const NAME: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
/// A body held whole is told in pieces of this size, so that progress can be seen.
const PIECE_BYTES: usize = 128 * 1024;
/// Answers that say a few words, and one object with its metadata.
pub(super) const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// The means of every call.
pub(super) struct Caller {
    config: GcsConfig,
    line: Line,
    tokens: Option<Tokens>,
    project: Option<String>,
    ids: Ids,
}

/// What to ask.
pub(super) struct Ask {
    /// `put photos/cat.jpg`
    pub what: String,
    pub asked: Asked,
    pub method: Method,
    /// Encoded, from the slash on.
    pub path: String,
    pub query: Vec<(&'static str, String)>,
    pub headers: HeaderMap,
    pub body: Body,
}

impl Ask {
    pub fn new(what: impl Into<String>, asked: Asked, method: Method, path: String) -> Ask {
        let (query, headers) = (Vec::new(), HeaderMap::new());
        Ask { what: what.into(), asked, method, path, query, headers, body: Body::Whole(Bytes::new()) }
    }

    pub fn query(mut self, name: &'static str, value: impl Into<String>) -> Ask {
        self.query.push((name, value.into()));
        self
    }

    pub fn fence(self, fence: Option<&Fence>) -> Ask {
        match fence {
            None => self,
            Some(fence) => self.query("ifGenerationMatch", generation_of(fence)),
        }
    }

    pub fn json(mut self, value: &impl serde::Serialize) -> Ask {
        self.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json; charset=utf-8"));
        self.body = Body::Whole(Bytes::from(serde_json::to_vec(value).expect("texts are JSON")));
        self
    }
}

/// 0 is absence. What is no number was never a generation here; 1 is one that no object of ours has (they count
/// microseconds).
fn generation_of(fence: &Fence) -> String {
    match fence {
        Fence::Absent => "0".to_owned(),
        Fence::Matches(etag) if etag.parse::<i64>().is_ok_and(|number| number > 0) => etag.clone(),
        Fence::Matches(_) => "1".to_owned(),
    }
}

pub(super) fn bucket_path(bucket: &str) -> String {
    format!("/storage/v1/b/{}", utf8_percent_encode(bucket, NAME))
}

pub(super) fn object_path(bucket: &str, name: &str) -> String {
    format!("{}/o/{}", bucket_path(bucket), utf8_percent_encode(name, NAME))
}

impl Caller {
    pub fn new(config: GcsConfig, resolver: Arc<dyn Resolve>) -> Result<Caller, ServiceConfigError> {
        let account = config.credentials.as_deref().map(Account::parse).transpose()?;
        let project = config.project.clone().or_else(|| account.as_ref()?.project_id.clone());
        let ca_file = config.ca_file.as_deref();
        let tokens = account
            .map(|account| Tokens::new(config.name.clone(), account, ca_file, config.timeouts, resolver.clone()))
            .transpose()?;
        let endpoint = Endpoint::parse(&config.endpoint)?;
        let line = Line::new(config.name.clone(), endpoint, ca_file, config.timeouts, resolver)?;
        Ok(Caller { config, line, tokens, project, ids: Ids::new() })
    }

    pub fn config(&self) -> &GcsConfig {
        &self.config
    }

    pub fn endpoint(&self) -> &Endpoint {
        self.line.endpoint()
    }

    pub fn trace(&self, what: &str) -> Trace {
        self.line.trace(what)
    }

    /// For calls about buckets.
    pub fn project(&self, what: &str) -> Answer<String> {
        let message = "no project: neither the configuration nor the credentials name one";
        self.project.clone().ok_or_else(|| self.trace(what).error(Fault::BadRequest, Applied::NotSent, message))
    }

    pub fn ids(&self) -> &Ids {
        &self.ids
    }

    /// The name of a key's object, if the service can hold it.
    pub fn name_of(&self, what: &str, key: &str) -> Answer<String> {
        let name = names::there(key);
        if name.len() > names::NAME_BYTES_MAX {
            let message = "the key, spelt as the service can hold it, is too long";
            return Err(self.trace(what).error(Fault::BadRequest, Applied::No, message));
        }
        Ok(name.into_owned())
    }

    /// One attempt. Ok is a 2xx with its body still to be read; every other answer is an error.
    pub async fn send(&self, ask: Ask) -> Answer<Answered> {
        let bearer = match &self.tokens {
            Some(tokens) => Some(tokens.bearer(&ask.what).await?),
            None => None,
        };
        let (trace, asked) = (self.trace(&ask.what), ask.asked);
        let progress = Progress::new();
        let request = async { self.request(ask, bearer, &progress) };
        let judge = |refused: &Refused<'_>| words_of(refused, asked);
        self.line.send(trace, &self.endpoint().host, progress.clone(), request, judge).await
    }

    /// A whole JSON answer.
    pub async fn tell<T: DeserializeOwned>(&self, ask: Ask, max: usize) -> Answer<(T, Trace)> {
        let (_, _, trace, text) = self.send(ask).await?.read(max).await?;
        match serde_json::from_str(&text) {
            Ok(value) => Ok((value, trace)),
            Err(error) => Err(trace.bad_answer(format!("not readable: {error}"))),
        }
    }

    fn request(&self, ask: Ask, bearer: Option<HeaderValue>, progress: &Progress) -> Result<Request<WireBody>, String> {
        let mut target = format!("{}{}", self.endpoint().prefix, ask.path);
        for (at, (name, value)) in ask.query.iter().enumerate() {
            target.push(if at == 0 { '?' } else { '&' });
            target.push_str(name);
            target.push('=');
            target.extend(utf8_percent_encode(value, NAME));
        }
        let uri: Uri = target.parse().map_err(|error| format!("no address for this bucket and key: {error}"))?;
        let (mut head, ()) = Request::new(()).into_parts();
        head.uri = uri;
        head.method = ask.method;
        head.headers = ask.headers;
        let len = ask.body.len();
        if len > 0 || matches!(head.method, Method::PUT | Method::POST) {
            head.headers.insert(CONTENT_LENGTH, HeaderValue::from(len));
        }
        let host = HeaderValue::try_from(self.endpoint().authority.as_str()).map_err(|error| error.to_string())?;
        head.headers.insert(HOST, host);
        head.headers.entry(ACCEPT_ENCODING).or_insert(HeaderValue::from_static("identity"));
        head.headers.insert(USER_AGENT, HeaderValue::from_static(AGENT));
        if let Some(bearer) = bearer {
            head.headers.insert(AUTHORIZATION, bearer);
        }
        let body = match ask.body {
            Body::Whole(bytes) | Body::Shared(Shared { bytes, .. }) => WireBody::whole(bytes, progress.clone()),
            Body::Stream { len, bytes } => WireBody::stream(bytes, len, progress.clone()),
        };
        Ok(Request::from_parts(head, body))
    }

    /// One object with its metadata, in one request: cloud.google.com, "Uploads and downloads", multipart upload.
    pub fn insert(&self, what: &str, bucket: &str, told: &Told, body: Body) -> Ask {
        let boundary = format!("outlast-{}", self.ids.draw());
        let path = format!("/upload{}/o", bucket_path(bucket));
        let mut ask = Ask::new(what, Asked::WRITE_NEW, Method::POST, path).query("uploadType", "multipart");
        let value = HeaderValue::try_from(format!("multipart/related; boundary={boundary}"));
        ask.headers.insert(CONTENT_TYPE, value.expect("hexadecimal digits are a header value"));
        let about = serde_json::to_string(told).expect("texts are JSON");
        let mut head = format!(
            "--{boundary}\r\nContent-Type: application/json; charset=UTF-8\r\n\r\n{about}\r\n--{boundary}\r\nContent-Type: "
        )
        .into_bytes();
        // The type stands in the metadata; here it must be a header value, and the metadata decides.
        let plain = HeaderValue::try_from(told.content_type.as_str()).is_ok() && told.content_type.is_ascii();
        head.extend_from_slice(if plain { told.content_type.as_bytes() } else { b"application/octet-stream" });
        head.extend_from_slice(b"\r\n\r\n");
        let tail = format!("\r\n--{boundary}--\r\n");
        let len = (head.len() + tail.len()) as u64 + body.len();
        let ends = |text: Vec<u8>| stream::iter([Ok(Bytes::from(text))]);
        let bytes = ends(head).chain(pieces(body)).chain(ends(tail.into_bytes())).boxed();
        ask.body = Body::Stream { len, bytes };
        ask
    }
}

/// A source that is too short or too long must not be made up for by what stands behind it.
fn pieces(body: Body) -> ByteStream {
    match body {
        Body::Whole(bytes) | Body::Shared(Shared { bytes, .. }) => {
            let starts = (0..bytes.len()).step_by(PIECE_BYTES);
            stream::iter(starts.map(move |at| Ok(bytes.slice(at..bytes.len().min(at + PIECE_BYTES))))).boxed()
        }
        Body::Stream { len, bytes } => exactly(len, bytes),
    }
}

fn exactly(len: u64, bytes: ByteStream) -> ByteStream {
    let state = (Some(bytes), len);
    let next = |(bytes, left): (Option<ByteStream>, u64)| async move {
        let mut bytes = bytes?;
        match bytes.next().await {
            Some(Ok(piece)) if piece.len() as u64 > left => {
                Some((Err(std::io::Error::other("the body goes on after its declared length")), (None, 0)))
            }
            Some(Ok(piece)) => {
                let left = left - piece.len() as u64;
                Some((Ok(piece), (Some(bytes), left)))
            }
            Some(Err(error)) => Some((Err(error), (None, 0))),
            None if left > 0 => {
                Some((Err(std::io::Error::other(format!("the body ended {left} bytes early"))), (None, 0)))
            }
            None => None,
        }
    };
    stream::unfold(state, next).boxed()
}
