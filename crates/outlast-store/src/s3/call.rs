//! One call: build, sign, send once.

use super::config::S3Config;
use super::errors::{Asked, words_of};
use super::sign::{EMPTY_SHA256, STREAMED, Signer, UNSIGNED, chunked_len};
use super::spelling::Spelling;
use super::versions::Unversioned;
use crate::wire::{AGENT, Answered, Endpoint, Line, Progress, Refused, Resolve, ServiceConfigError, Trace, WireBody};
use crate::{Answer, Body, Shared};
use bytes::Bytes;
use http::header::{ACCEPT_ENCODING, CONTENT_LENGTH, HeaderMap, HeaderName, HeaderValue, USER_AGENT};
use http::request::Parts;
use http::{Method, Request, Uri};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqsign_core::hash::hex_sha256;
use std::sync::Arc;

/// What S3 leaves as it is when it canonicalises; everything else of a query is percent-encoded, once.
const QUERY: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
/// In a path slashes stay too: `a//b` and `/a` are keys like any other.
const PATH: &AsciiSet = &QUERY.remove(b'/');
const CONTENT_SHA256: HeaderName = HeaderName::from_static("x-amz-content-sha256");
const DECODED_LENGTH: HeaderName = HeaderName::from_static("x-amz-decoded-content-length");

/// The means of every call to one store.
pub(super) struct Caller {
    config: S3Config,
    line: Line,
    signer: Signer,
    unversioned: Unversioned,
}

/// What to ask.
pub(super) struct Ask<'a> {
    /// `put photos/cat.jpg`
    pub what: String,
    pub asked: Asked,
    pub method: Method,
    /// Empty: the service itself.
    pub bucket: &'a str,
    pub key: &'a str,
    pub query: Vec<(&'static str, String)>,
    pub headers: HeaderMap,
    pub body: Body,
}

impl<'a> Ask<'a> {
    pub fn new(verb: &str, asked: Asked, method: Method, bucket: &'a str, key: &'a str) -> Ask<'a> {
        let what = match (bucket, key) {
            ("", _) => verb.to_owned(),
            (bucket, "") => format!("{verb} {bucket}"),
            (bucket, key) => format!("{verb} {bucket}/{key}"),
        };
        let body = Body::Whole(Bytes::new());
        Ask { what, asked, method, bucket, key, query: Vec::new(), headers: HeaderMap::new(), body }
    }

    pub fn query(mut self, name: &'static str, value: impl Into<String>) -> Ask<'a> {
        self.query.push((name, value.into()));
        self
    }
}

impl Caller {
    pub fn new(config: S3Config, resolver: Arc<dyn Resolve>) -> Result<Caller, ServiceConfigError> {
        let endpoint = Endpoint::parse(&config.endpoint)?;
        let signer = Signer::new(&config)?;
        let line = Line::new(config.name.clone(), endpoint, config.ca_file.as_deref(), config.timeouts, resolver)?;
        Ok(Caller { config, line, signer, unversioned: Unversioned::default() })
    }

    pub fn config(&self) -> &S3Config {
        &self.config
    }

    pub fn endpoint(&self) -> &Endpoint {
        self.line.endpoint()
    }

    pub fn unversioned(&self) -> &Unversioned {
        &self.unversioned
    }

    pub fn trace(&self, what: &str) -> Trace {
        self.line.trace(what)
    }

    /// One attempt. Ok is a 2xx with its body still to be read; every other answer is an error.
    pub async fn send(&self, ask: Ask<'_>) -> Answer<Answered> {
        let (trace, host, asked) = (self.trace(&ask.what), self.host_of(ask.bucket), ask.asked);
        let progress = Progress::new();
        let request = self.request(ask, &progress);
        let judge = |refused: &Refused<'_>| words_of(refused, asked, self.config.throttled_is_refused);
        self.line.send(trace, &host, progress.clone(), request, judge).await
    }

    /// The name that is looked up, connected to and checked against the certificate.
    fn host_of(&self, bucket: &str) -> String {
        let host = &self.endpoint().host;
        if self.config.path_style || bucket.is_empty() { host.clone() } else { format!("{bucket}.{host}") }
    }

    async fn request(&self, ask: Ask<'_>, progress: &Progress) -> Result<Request<WireBody>, String> {
        let mut head = self.head(&ask)?;
        let len = ask.body.len();
        let guarded = self.endpoint().tls && self.config.unsigned_payload;
        let (hash, wire_len) = match &ask.body {
            Body::Whole(bytes) if bytes.is_empty() => (EMPTY_SHA256.to_owned(), len),
            _ if guarded => (UNSIGNED.to_owned(), len),
            Body::Whole(bytes) => (hex_sha256(bytes), len),
            Body::Shared(shared) => (shared.sha256().await.to_owned(), len),
            Body::Stream { .. } => (STREAMED.to_owned(), chunked_len(len)),
        };
        let streamed = hash == STREAMED;
        head.headers.insert(CONTENT_SHA256, HeaderValue::try_from(hash).map_err(|e| e.to_string())?);
        if streamed {
            head.headers.insert(DECODED_LENGTH, HeaderValue::from(len));
        }
        self.signer.sign(&mut head).await?;
        if wire_len > 0 || matches!(head.method, Method::PUT | Method::POST) {
            head.headers.insert(CONTENT_LENGTH, HeaderValue::from(wire_len));
        }
        head.headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        head.headers.insert(USER_AGENT, HeaderValue::from_static(AGENT));
        let body = match ask.body {
            Body::Whole(bytes) | Body::Shared(Shared { bytes, .. }) => WireBody::whole(bytes, progress.clone()),
            Body::Stream { bytes, .. } if streamed => {
                let mut chain = self.signer.chain(&head)?;
                let head_of = Box::new(move |chunk: &[u8]| chain.head_of(chunk));
                WireBody::chunked(bytes, len, wire_len, head_of, progress.clone())
            }
            Body::Stream { len, bytes } => WireBody::stream(bytes, len, progress.clone()),
        };
        let target = head.uri.path_and_query().cloned().ok_or("a request without a path")?;
        head.uri = Uri::from(target);
        Ok(Request::from_parts(head, body))
    }

    /// How our own names are spelt there.
    pub fn spelling(&self) -> Spelling {
        Spelling::new(self.config.nested)
    }

    /// The head with an absolute URI, as it is signed.
    fn head(&self, ask: &Ask<'_>) -> Result<Parts, String> {
        let own_host = !self.config.path_style && !ask.bucket.is_empty();
        let authority = if own_host {
            format!("{}.{}", ask.bucket, self.endpoint().authority)
        } else {
            self.endpoint().authority.to_string()
        };
        let mut target = format!("{}/", self.endpoint().prefix);
        if !own_host && !ask.bucket.is_empty() {
            target.extend(utf8_percent_encode(ask.bucket, PATH));
            if !ask.key.is_empty() {
                target.push('/');
            }
        }
        target.extend(utf8_percent_encode(&self.spelling().there(ask.key), PATH));
        for (at, (name, value)) in ask.query.iter().enumerate() {
            target.push(if at == 0 { '?' } else { '&' });
            target.push_str(name);
            target.push('=');
            target.extend(utf8_percent_encode(value, QUERY));
        }
        let uri = Uri::builder()
            .scheme(if self.endpoint().tls { "https" } else { "http" })
            .authority(authority)
            .path_and_query(target)
            .build()
            .map_err(|error| format!("no address for this bucket and key: {error}"))?;
        let (mut head, ()) = Request::new(()).into_parts();
        head.method = ask.method.clone();
        head.uri = uri;
        head.headers = ask.headers.clone();
        Ok(head)
    }
}

/// `/bucket/key` as the copy source wants it.
pub(super) fn copy_source(bucket: &str, key: &str) -> String {
    format!("/{}/{}", utf8_percent_encode(bucket, PATH), utf8_percent_encode(key, PATH))
}
