//! One call: build, sign, send once.

use super::config::AzureConfig;
use super::errors::{Asked, words_of};
use super::names;
use crate::wire::{
    AGENT, Answered, Endpoint, Ids, Line, Progress, Refused, Resolve, ServiceConfigError, Trace, WireBody, quoted,
};
use crate::{Answer, Body, Shared};
use bytes::Bytes;
use http::header::{
    ACCEPT_ENCODING, CONTENT_LENGTH, HOST, HeaderMap, HeaderName, HeaderValue, IF_MATCH, IF_NONE_MATCH, USER_AGENT,
};
use http::{Method, Request, Uri};
use outlast_rules::Fence;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqsign_azure_storage::{Credential, RequestSigner};
use reqsign_core::hash::base64_decode;
use reqsign_core::{Context, SignRequest};
use std::sync::Arc;

/// Everything of a name and a query but these is percent-encoded, once.
const QUERY: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
const PATH: &AsciiSet = &QUERY.remove(b'/');
const VERSION: HeaderName = HeaderName::from_static("x-ms-version");
/// The oldest with everything that is asked here: blocks of 4,000 MiB, names in listings that are no XML.
const VERSION_ASKED: HeaderValue = HeaderValue::from_static("2021-12-02");

/// The means of every call to one account.
pub(super) struct Caller {
    config: AzureConfig,
    line: Line,
    signer: RequestSigner,
    context: Context,
    credential: Credential,
    ids: Ids,
}

/// What to ask.
pub(super) struct Ask<'a> {
    /// `put photos/cat.jpg`
    pub what: String,
    pub asked: Asked,
    pub method: Method,
    /// Empty: the account itself.
    pub container: &'a str,
    /// The blob's name there; empty: the container itself.
    pub name: String,
    pub query: Vec<(&'static str, String)>,
    pub headers: HeaderMap,
    pub body: Body,
}

impl<'a> Ask<'a> {
    /// About a key.
    pub fn key(verb: &str, asked: Asked, method: Method, container: &'a str, key: &str) -> Ask<'a> {
        let mut ask = Ask::container(verb, asked, method, container);
        ask.what = format!("{verb} {container}/{key}");
        ask.name = names::there(key).into_owned();
        ask
    }

    /// About a container, or about the account where that is empty.
    pub fn container(verb: &str, asked: Asked, method: Method, container: &'a str) -> Ask<'a> {
        let what = if container.is_empty() { verb.to_owned() } else { format!("{verb} {container}") };
        let body = Body::Whole(Bytes::new());
        let (query, headers) = (Vec::new(), HeaderMap::new());
        Ask { what, asked, method, container, name: String::new(), query, headers, body }
    }

    pub fn query(mut self, name: &'static str, value: impl Into<String>) -> Ask<'a> {
        self.query.push((name, value.into()));
        self
    }

    pub fn header(mut self, name: &'static str, value: HeaderValue) -> Ask<'a> {
        self.headers.insert(HeaderName::from_static(name), value);
        self
    }

    pub fn fence(mut self, fence: Option<&Fence>) -> Ask<'a> {
        match fence {
            None => {}
            Some(Fence::Absent) => drop(self.headers.insert(IF_NONE_MATCH, HeaderValue::from_static("*"))),
            Some(Fence::Matches(etag)) => drop(self.headers.insert(IF_MATCH, quoted(etag))),
        }
        self
    }
}

impl Caller {
    pub fn new(config: AzureConfig, resolver: Arc<dyn Resolve>) -> Result<Caller, ServiceConfigError> {
        for (what, text) in [("account", &config.account), ("account_key", &config.account_key)] {
            if text.is_empty() {
                return Err(ServiceConfigError::Empty(what));
            }
        }
        if base64_decode(&config.account_key).is_err() {
            return Err(ServiceConfigError::Unreadable("account_key", "it is not base64".to_owned()));
        }
        let endpoint = Endpoint::parse(&config.endpoint)?;
        let line = Line::new(config.name.clone(), endpoint, config.ca_file.as_deref(), config.timeouts, resolver)?;
        let credential = Credential::with_shared_key(&config.account, &config.account_key);
        let (signer, context) = (RequestSigner::new(), Context::new());
        Ok(Caller { config, line, signer, context, credential, ids: Ids::new() })
    }

    pub fn config(&self) -> &AzureConfig {
        &self.config
    }

    pub fn endpoint(&self) -> &Endpoint {
        self.line.endpoint()
    }

    pub fn trace(&self, what: &str) -> Trace {
        self.line.trace(what)
    }

    pub fn ids(&self) -> &Ids {
        &self.ids
    }

    /// One attempt. Ok is a 2xx with its body still to be read; every other answer is an error.
    pub async fn send(&self, ask: Ask<'_>) -> Answer<Answered> {
        let (trace, asked) = (self.trace(&ask.what), ask.asked);
        let progress = Progress::new();
        let request = self.request(ask, &progress);
        let judge = |refused: &Refused<'_>| words_of(refused, asked);
        self.line.send(trace, &self.endpoint().host, progress.clone(), request, judge).await
    }

    async fn request(&self, ask: Ask<'_>, progress: &Progress) -> Result<Request<WireBody>, String> {
        let (mut head, ()) = Request::new(()).into_parts();
        head.uri = self.address(ask.container, &ask.name, &ask.query)?;
        head.method = ask.method;
        head.headers = ask.headers;
        let len = ask.body.len();
        if len > 0 || head.method == Method::PUT {
            head.headers.insert(CONTENT_LENGTH, HeaderValue::from(len));
        }
        head.headers.insert(VERSION, VERSION_ASKED);
        self.signer
            .sign_request(&self.context, &mut head, Some(&self.credential), None)
            .await
            .map_err(|error| format!("the request cannot be signed: {error}"))?;
        let host = HeaderValue::try_from(self.endpoint().authority.as_str()).map_err(|error| error.to_string())?;
        head.headers.insert(HOST, host);
        head.headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        head.headers.insert(USER_AGENT, HeaderValue::from_static(AGENT));
        let body = match ask.body {
            Body::Whole(bytes) | Body::Shared(Shared { bytes, .. }) => WireBody::whole(bytes, progress.clone()),
            Body::Stream { len, bytes } => WireBody::stream(bytes, len, progress.clone()),
        };
        let target = head.uri.path_and_query().cloned().ok_or("a request without a path")?;
        head.uri = Uri::from(target);
        Ok(Request::from_parts(head, body))
    }

    /// The absolute address, as it is signed.
    fn address(&self, container: &str, name: &str, query: &[(&'static str, String)]) -> Result<Uri, String> {
        let mut target = self.path_of(container, name);
        for (at, (name, value)) in query.iter().enumerate() {
            target.push(if at == 0 { '?' } else { '&' });
            target.push_str(name);
            target.push('=');
            target.extend(utf8_percent_encode(value, QUERY));
        }
        Uri::builder()
            .scheme(self.scheme())
            .authority(self.endpoint().authority.as_str())
            .path_and_query(target)
            .build()
            .map_err(|error| format!("no address for this bucket and key: {error}"))
    }

    fn scheme(&self) -> &'static str {
        if self.endpoint().tls { "https" } else { "http" }
    }

    fn path_of(&self, container: &str, name: &str) -> String {
        let mut path = format!("{}/", self.endpoint().prefix);
        if self.config.path_style {
            path.push_str(&self.config.account);
            path.push('/');
        }
        path.extend(utf8_percent_encode(container, PATH));
        if !name.is_empty() {
            path.push('/');
            path.extend(utf8_percent_encode(name, PATH));
        }
        path
    }

    /// The whole address of a blob, as the source of a copy is named.
    pub fn source_of(&self, container: &str, name: &str) -> HeaderValue {
        let text = format!("{}://{}{}", self.scheme(), self.endpoint().authority, self.path_of(container, name));
        HeaderValue::try_from(text).expect("percent-encoded text is a header value")
    }
}
