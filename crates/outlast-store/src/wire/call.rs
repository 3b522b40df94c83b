//! One call: send once, read the answer, each stage with its own deadline. Nothing here tries again.

use super::body::{Phase, Progress, WireBody};
use super::dial::{Dialer, Resolve};
use super::endpoint::{Endpoint, ServiceConfigError};
use super::pool::{Lent, Pool};
use super::timeouts::Timeouts;
use crate::{Answer, Applied, Cause, Fault, StoreError};
use bytes::BytesMut;
use http::header::{CONTENT_TYPE, HeaderMap, LOCATION};
use http::{Request, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use outlast_rules::StoreName;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep_until, timeout_at};

/// An error document is a few hundred bytes; what is longer is none.
const ERROR_BYTES_MAX: usize = 64 * 1024;
/// Of what a service says of an error, so many characters are kept and shown: more than any of its own words have.
const SHOWN_CHARS_MAX: usize = 500;
const NOT_IN_TIME: &str = "no whole answer within the request's time";
/// What every request says of who sends it.
pub(crate) const AGENT: &str = concat!("outlast/", env!("CARGO_PKG_VERSION"));

/// The way to one service: its address, its connections, its deadlines.
pub(crate) struct Line {
    store: StoreName,
    endpoint: Endpoint,
    timeouts: Timeouts,
    pool: Arc<Pool>,
}

/// A whole answer that is no success, to be judged by the kind of store.
pub(crate) struct Refused<'a> {
    pub status: StatusCode,
    pub headers: &'a HeaderMap,
    /// Empty where the body could not be read.
    pub text: &'a str,
}

/// What the kind of store reads out of it.
pub(crate) struct Words {
    pub fault: Fault,
    pub applied: Applied,
    pub code: Option<String>,
    /// None: not in the store's own words.
    pub message: Option<String>,
    pub request_id: Option<String>,
    pub cause: Option<Cause>,
}

/// Who asked what since when: makes the errors of one call.
#[derive(Debug, Clone)]
pub(crate) struct Trace {
    store: StoreName,
    what: String,
    started: Instant,
    request_id: Option<String>,
}

impl Trace {
    pub fn error(&self, fault: Fault, applied: Applied, message: impl Into<String>) -> StoreError {
        StoreError {
            store: self.store.clone(),
            what: self.what.clone(),
            fault,
            applied,
            status: None,
            code: None,
            message: message.into(),
            request_id: self.request_id.clone(),
            cause: None,
            elapsed: self.started.elapsed(),
        }
    }

    pub fn bad_answer(&self, message: impl Into<String>) -> StoreError {
        self.error(Fault::BadAnswer, Applied::Unknown, message)
    }
}

/// A 2xx whose body is still to be read.
pub(crate) struct Answered {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub trace: Trace,
    pub body: Incoming,
    pub lent: Lent,
    pub read_idle: Duration,
    /// When an answer that is read whole must have come.
    limit: Instant,
}

impl Line {
    /// Reads `ca_file`; makes no connection yet.
    pub fn new(
        store: StoreName,
        endpoint: Endpoint,
        ca_file: Option<&Path>,
        timeouts: Timeouts,
        resolver: Arc<dyn Resolve>,
    ) -> Result<Line, ServiceConfigError> {
        let pool = Pool::new(Dialer::new(endpoint.tls, ca_file, timeouts.connect, resolver)?);
        Ok(Line { store, endpoint, timeouts, pool })
    }

    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    pub fn trace(&self, what: &str) -> Trace {
        Trace { store: self.store.clone(), what: what.to_owned(), started: Instant::now(), request_id: None }
    }

    /// One attempt at `host`. Ok is a 2xx with its body still to be read; every other answer is an error. `progress` is that
    /// of the body of `request`, which is made when there is a connection.
    pub async fn send(
        &self,
        trace: Trace,
        host: &str,
        progress: Progress,
        request: impl Future<Output = Result<Request<WireBody>, String>>,
        judge: impl FnOnce(&Refused<'_>) -> Words,
    ) -> Answer<Answered> {
        let limit = trace.started + self.timeouts.request;
        match timeout_at(limit, self.exchange(host, progress, request, judge, trace.clone())).await {
            Ok(answer) => answer,
            Err(_) => Err(trace.error(Fault::Timeout, Applied::Unknown, NOT_IN_TIME)),
        }
    }

    async fn exchange(
        &self,
        host: &str,
        progress: Progress,
        request: impl Future<Output = Result<Request<WireBody>, String>>,
        judge: impl FnOnce(&Refused<'_>) -> Words,
        mut trace: Trace,
    ) -> Answer<Answered> {
        let mut lent = self.pool.lend(host, self.endpoint.port).await.map_err(|error| StoreError {
            cause: error.cause,
            ..trace.error(error.fault, Applied::NotSent, error.message)
        })?;
        progress.restart();
        let request = request.await.map_err(|why| trace.error(Fault::BadRequest, Applied::NotSent, why))?;
        let response = self.watch(lent.connection.exchange(request), &progress, &trace).await?;
        let (head, body) = response.into_parts();
        trace.request_id = request_id(&head.headers);
        let read_idle = self.timeouts.read_idle;
        let limit = trace.started + self.timeouts.request;
        let answered = Answered { status: head.status, headers: head.headers, trace, body, lent, read_idle, limit };
        if answered.status.is_success() { Ok(answered) } else { Err(answered.refuse(judge).await) }
    }

    /// Waits for the head of the answer; whoever is due to move is given his time, and no more.
    async fn watch(
        &self,
        sending: impl Future<
            Output = Result<http::Response<Incoming>, hyper::client::conn::TrySendError<Request<WireBody>>>,
        >,
        progress: &Progress,
        trace: &Trace,
    ) -> Answer<http::Response<Incoming>> {
        let times = &self.timeouts;
        let mut sending = std::pin::pin!(sending);
        loop {
            let (phase, moved) = progress.seen();
            let limit = match phase {
                Phase::Sending => moved + times.write_idle,
                Phase::Sent => moved + times.first_byte,
                Phase::Source => Instant::now() + times.write_idle,
            };
            tokio::select! {
                biased;
                answer = &mut sending => return answer.map_err(|error| self.unsent(error, progress, trace)),
                () = sleep_until(limit) => {}
            }
            let message = match progress.seen() {
                (Phase::Sending, moved) if moved.elapsed() >= times.write_idle => "the store takes no more of the body",
                (Phase::Sent, moved) if moved.elapsed() >= times.first_byte => "no answer",
                _ => continue,
            };
            let seconds = trace.started.elapsed().as_secs_f64();
            return Err(trace.error(Fault::Timeout, Applied::Unknown, format!("{message} in {seconds:.1} s")));
        }
    }

    /// The request got no answer. hyper gives the request back exactly when it has not begun to write it.
    fn unsent(
        &self,
        error: hyper::client::conn::TrySendError<Request<WireBody>>,
        progress: &Progress,
        trace: &Trace,
    ) -> StoreError {
        if let Some(why) = progress.source_error() {
            return trace.error(Fault::Body, Applied::Unknown, why);
        }
        if error.message().is_some() {
            let message = "the connection closed before anything was sent";
            return trace.error(Fault::Broken, Applied::NotSent, message);
        }
        let error = error.into_error();
        if error.is_parse() {
            let cause = (!self.endpoint.tls).then_some(Cause::NotHttp);
            return StoreError { cause, ..trace.error(Fault::BadAnswer, Applied::Unknown, with_causes(&error)) };
        }
        trace.error(Fault::Broken, Applied::Unknown, with_causes(&error))
    }
}

/// An answer that no storage service gives: a page for people, or what servers say to plain HTTP where they want TLS.
fn page(headers: &HeaderMap, text: &str) -> Option<Cause> {
    // Go's servers, nginx, Apache.
    let wants_tls =
        ["HTTP request to an HTTPS server", "HTTP request was sent to HTTPS port", "speaking plain HTTP to an SSL"];
    if wants_tls.iter().any(|words| text.contains(words)) {
        return Some(Cause::TlsWanted);
    }
    let kind = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    // HEAD is answered without a body. Google's plain words come as `text/html` too.
    (is_page(text) || (text.is_empty() && kind.starts_with("text/html"))).then_some(Cause::Page)
}

/// Does it begin as HTML does?
pub(crate) fn is_page(text: &str) -> bool {
    let start = text.trim_start().get(..14).unwrap_or(text.trim()).to_ascii_lowercase();
    start.starts_with("<!doctype html") || start.starts_with("<html")
}

/// What a service said, fit for a log: bounded, in one line.
pub(crate) fn shown(said: &str) -> String {
    said.chars().filter(|c| !c.is_control()).take(SHOWN_CHARS_MAX).collect()
}

fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        next = cause.source();
    }
    text
}

/// What the services call the id of a request: S3 and its kin, Azure, Google.
const REQUEST_IDS: [&str; 5] =
    ["x-amz-request-id", "x-amz-id-2", "x-request-id", "x-ms-request-id", "x-guploader-uploadid"];

fn request_id(headers: &HeaderMap) -> Option<String> {
    REQUEST_IDS
        .iter()
        .find_map(|name| headers.get(*name))
        .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
}

/// A step before the call that may change the target: whatever became of it, the target is untouched.
pub(crate) fn before(error: StoreError) -> StoreError {
    let applied = if error.applied == Applied::Unknown { Applied::NotSent } else { error.applied };
    StoreError { applied, ..error }
}

impl Answered {
    pub fn text_of(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The whole body, at most `max` bytes; then the connection is free again.
    pub async fn read(mut self, max: usize) -> Answer<(StatusCode, HeaderMap, Trace, String)> {
        let read = timeout_at(self.limit, self.read_text(max)).await;
        let read = read.unwrap_or_else(|_| Err((Fault::Timeout, NOT_IN_TIME.to_owned())));
        let text = read.map_err(|(fault, why)| self.trace.error(fault, Applied::Unknown, why))?;
        self.lent.keep();
        Ok((self.status, self.headers, self.trace, text))
    }

    async fn read_text(&mut self, max: usize) -> Result<String, (Fault, String)> {
        let mut whole = BytesMut::new();
        loop {
            let next = tokio::time::timeout(self.read_idle, self.lent.connection.driving(self.body.frame())).await;
            let frame = match next {
                Err(_) => return Err((Fault::Timeout, "the answer stopped in the middle".to_owned())),
                Ok(None) => break,
                Ok(Some(Err(error))) => {
                    return Err((Fault::BadAnswer, format!("the answer was cut: {}", with_causes(&error))));
                }
                Ok(Some(Ok(frame))) => frame,
            };
            if let Some(data) = frame.data_ref() {
                whole.extend_from_slice(data);
                if whole.len() > max {
                    return Err((Fault::BadAnswer, format!("the answer is longer than {max} bytes")));
                }
            }
        }
        String::from_utf8(whole.into()).map_err(|_| (Fault::BadAnswer, "the answer is not UTF-8".to_owned()))
    }

    /// An answer that is no success, in the store's own words where it has any.
    async fn refuse(mut self, judge: impl FnOnce(&Refused<'_>) -> Words) -> StoreError {
        let status = self.status;
        let read = self.read_text(ERROR_BYTES_MAX).await;
        let whole = read.is_ok();
        let text = read.unwrap_or_default();
        let words = judge(&Refused { status, headers: &self.headers, text: &text });
        let message = words.message.map_or_else(|| self.plain_words(&text), |said| shown(&said));
        let mut error = self.trace.error(words.fault, words.applied, message);
        error.status = Some(status.as_u16());
        error.cause = words.cause.or_else(|| if words.code.is_none() { page(&self.headers, &text) } else { None });
        error.code = words.code.map(|code| shown(&code));
        error.request_id = error.request_id.or(words.request_id).map(|id| shown(&id));
        if whole {
            self.lent.keep();
        }
        error
    }

    fn plain_words(&self, text: &str) -> String {
        if self.status.is_redirection() {
            let place = self.text_of(LOCATION.as_str()).or(self.text_of("x-amz-bucket-region")).unwrap_or("elsewhere");
            return format!("the store sends us to {place}");
        }
        let shown = shown(text);
        let reason = self.status.canonical_reason().unwrap_or("an answer without a name");
        if shown.is_empty() { reason.to_owned() } else { format!("{reason}, not in the store's words: {shown}") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_service_says_is_one_bounded_line() {
        assert_eq!(shown("no\r\nroom\u{1b}[2J"), "noroom[2J");
        assert_eq!(shown(&"a".repeat(1 << 20)).len(), SHOWN_CHARS_MAX);
    }

    #[test]
    fn pages_are_no_answers_of_a_service() {
        let check = |kind: &'static str, text: &str, cause: Option<Cause>| {
            let headers = HeaderMap::from_iter([(CONTENT_TYPE, http::HeaderValue::from_static(kind))]);
            assert_eq!(page(&headers, text), cause, "{kind} {text}");
        };
        check("text/html; charset=utf-8", "", Some(Cause::Page));
        check("text/plain", "\n<!DOCTYPE HTML><title>Console</title>", Some(Cause::Page));
        check("text/plain", "<html>", Some(Cause::Page));
        check("text/plain", "Client sent an HTTP request to an HTTPS server.\n", Some(Cause::TlsWanted));
        check("text/html", "<html>The plain HTTP request was sent to HTTPS port</html>", Some(Cause::TlsWanted));
        check("application/xml", "<Error/>", None);
        check("text/html; charset=UTF-8", "No such object: b/k", None);
        check("text/plain", "höchstens", None);
        check("", "", None);
    }
}
