//! The answer's body on its way to the client: when it ends, the request has ended. One log line, one count.

use crate::metrics::{Finished, Metrics};
use crate::trace::Trace;
use bytes::Bytes;
use http::Method;
use http_body::{Body as HttpBody, Frame, SizeHint};
use s3s::{Body, StdError};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::sync::OwnedSemaphorePermit;

/// Request lines have this target, so that they can be filtered apart. s3s logs each failed operation at ERROR under
/// `s3s::ops`, a 404 too, and dumps each 5xx under `s3s::service`: filter these targets (`s3s=off`), our lines say it better.
pub const LOG_TARGET: &str = "outlast::requests";

/// The status under which a request is counted whose client went away before there was an answer. No status of HTTP: it is
/// never sent, and is what other servers write into their logs for the same.
pub const CLIENT_GONE: u16 = 499;

/// A request that is being served. Dropped before its answer is made, it is counted all the same: its client has gone.
pub struct Running {
    method: Method,
    received: u64,
    trace: Arc<Trace>,
    metrics: Arc<Metrics>,
    is_answered: bool,
}

impl Running {
    pub fn begin(method: Method, received: u64, trace: Arc<Trace>, metrics: Arc<Metrics>) -> Running {
        metrics.begin();
        Running { method, received, trace, metrics, is_answered: false }
    }

    /// From here on the answer's end is the request's.
    pub fn answer(mut self, body: Body, status: u16, permit: Option<OwnedSemaphorePermit>) -> Answer {
        self.is_answered = true;
        let is_whole = self.method == Method::HEAD || HttpBody::is_end_stream(&body);
        let (method, trace, metrics) = (self.method.clone(), self.trace.clone(), self.metrics.clone());
        Answer { body, method, status, received: self.received, sent: 0, is_whole, trace, metrics, _permit: permit }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.is_answered {
            let (status, received) = (CLIENT_GONE, self.received);
            tell(&self.metrics, &self.trace, &self.method, Seen { status, received, sent: 0, cut: false });
        }
    }
}

/// Holds the request's place among those served at once until the last byte or the client has gone.
pub struct Answer {
    body: Body,
    method: Method,
    status: u16,
    received: u64,
    sent: u64,
    is_whole: bool,
    trace: Arc<Trace>,
    metrics: Arc<Metrics>,
    _permit: Option<OwnedSemaphorePermit>,
}

impl HttpBody for Answer {
    type Data = Bytes;
    type Error = StdError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, StdError>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        match &polled {
            Poll::Ready(Some(Ok(frame))) => {
                self.sent += frame.data_ref().map_or(0, |data| data.len() as u64);
                self.is_whole = HttpBody::is_end_stream(&self.body);
            }
            Poll::Ready(None) => self.is_whole = true,
            Poll::Ready(Some(Err(_))) | Poll::Pending => {}
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        HttpBody::is_end_stream(&self.body)
    }

    fn size_hint(&self) -> SizeHint {
        HttpBody::size_hint(&self.body)
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        let seen = Seen { status: self.status, received: self.received, sent: self.sent, cut: !self.is_whole };
        tell(&self.metrics, &self.trace, &self.method, seen);
    }
}

/// How a request ended.
struct Seen {
    status: u16,
    received: u64,
    sent: u64,
    cut: bool,
}

fn tell(metrics: &Metrics, trace: &Trace, method: &Method, seen: Seen) {
    let took = trace.began.elapsed();
    let Seen { status, received, sent, cut } = seen;
    let operation = trace.operation();
    metrics.finish(Finished { operation, status, took, received, sent, cut });
    let text = |cell: &std::sync::OnceLock<String>| cell.get().cloned().unwrap_or_default();
    let peer = trace.peer.map(|peer| peer.to_string()).unwrap_or_default();
    let words = words(method, trace, status, took.as_secs_f64());
    macro_rules! line {
        ($level:ident) => {
            tracing::$level!(
                target: LOG_TARGET,
                id = trace.id, user = text(&trace.user), peer, method = %method, operation,
                bucket = text(&trace.bucket), key = text(&trace.key), status, ms = took.as_secs_f64() * 1000.0,
                received, sent, source = text(&trace.source), cut,
                "{words}"
            )
        };
    }
    match status {
        500.. => line!(warn),
        _ if cut => line!(warn),
        400.. => line!(info),
        _ => line!(debug),
    }
}

/// One line for who reads the log at night: what was asked, what was answered, why, and what becomes of it.
fn words(method: &Method, trace: &Trace, status: u16, seconds: f64) -> String {
    let Some(reason) = trace.reason.get().filter(|_| status >= 500) else { return "request".to_owned() };
    let part = |cell: &std::sync::OnceLock<String>| cell.get().map(|name| format!("/{name}")).unwrap_or_default();
    let (bucket, key) = (part(&trace.bucket), part(&trace.key));
    let now = match (status, *method == Method::GET || *method == Method::HEAD) {
        (503, true) => "the client may ask again",
        (503, false) => "nothing was acknowledged, the client may try again",
        _ => "the client was told no more",
    };
    let reason = reason.trim_end_matches('.');
    format!("{method} {}{key} answered {status} after {seconds:.1} s: {reason}; {now}", bucket.trim_start_matches('/'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt;

    fn answer(body: Body, metrics: &Arc<Metrics>) -> Answer {
        Running::begin(Method::GET, 0, Trace::new(None), metrics.clone()).answer(body, 200, None)
    }

    fn printed(metrics: &Metrics) -> String {
        let mut text = String::new();
        metrics.write(&mut text).expect("a string takes everything");
        text
    }

    #[test]
    fn a_failure_is_one_readable_line() {
        let trace = Trace::new(None);
        trace.bucket.get_or_init(|| "photos".to_owned());
        trace.key.get_or_init(|| "2024/cat.jpg".to_owned());
        assert_eq!(words(&Method::PUT, &trace, 503, 0.25), "request", "nothing is known of it");
        trace.reason.get_or_init(|| "fewer than 2 places took this write: b2: no answer after 4.0 s".to_owned());
        assert_eq!(
            words(&Method::PUT, &trace, 503, 4.04),
            "PUT photos/2024/cat.jpg answered 503 after 4.0 s: fewer than 2 places took this write: b2: no answer after \
             4.0 s; nothing was acknowledged, the client may try again"
        );
        assert!(words(&Method::GET, &trace, 503, 4.04).ends_with("4.0 s; the client may ask again"));
        assert_eq!(words(&Method::GET, &trace, 404, 4.04), "request");
    }

    #[tokio::test]
    async fn whole_and_cut_bodies_are_told_apart() {
        let metrics = Arc::new(Metrics::default());
        let whole = answer(Body::from(Bytes::from_static(b"12345")), &metrics);
        assert_eq!(whole.collect().await.expect("in memory").to_bytes().len(), 5);
        let text = printed(&metrics);
        assert!(text.contains("outlast_s3_sent_bytes_total 5"), "{text}");
        assert!(text.contains(r#"outlast_s3_requests_total{operation="none",status="200"} 1"#), "{text}");
        assert!(!text.contains("outlast_s3_bodies_cut_total{"), "{text}");
        drop(answer(Body::from(Bytes::from_static(b"12345")), &metrics));
        let text = printed(&metrics);
        assert!(text.contains(r#"outlast_s3_bodies_cut_total{operation="none"} 1"#), "{text}");
        assert!(text.contains("outlast_s3_requests_running 0"), "{text}");
    }

    #[test]
    fn whoever_goes_before_the_answer_is_counted_once() {
        let metrics = Arc::new(Metrics::default());
        drop(Running::begin(Method::PUT, 7, Trace::new(None), metrics.clone()));
        let text = printed(&metrics);
        assert!(text.contains(r#"outlast_s3_requests_total{operation="none",status="499"} 1"#), "{text}");
        assert!(text.contains("outlast_s3_requests_running 0"), "{text}");
        assert!(text.contains("outlast_s3_received_bytes_total 7"), "{text}");
        assert!(!text.contains("outlast_s3_bodies_cut_total{"), "no answer was cut: {text}");
    }
}
