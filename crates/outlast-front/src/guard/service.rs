//! The guard's order of questions, from the cheapest to s3s.

use super::ended::{Answer, Running};
use super::expects::Expects;
use super::{answer, cors::Cors, ignored, late, limits, signature, whole_body};
use crate::chunks::Chunked;
use crate::metrics::Metrics;
use crate::trace::Trace;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use s3s::service::S3Service;
use s3s::{Body, HttpError, HttpResponse, S3Error, S3ErrorCode, S3Result};
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

const CONTENT_SHA256: &str = "x-amz-content-sha256";
/// How the value begins that says: the body comes in chunks.
const STREAMING: &[u8] = b"STREAMING-";

/// One for all connections.
pub struct Guard {
    s3: S3Service,
    /// Asks for no signature: it is called when `s3` has found one right.
    proven: S3Service,
    cors: Cors,
    metrics: Arc<Metrics>,
    requests: Arc<Semaphore>,
    stopping: CancellationToken,
}

impl Guard {
    pub fn new(
        (s3, proven): (S3Service, S3Service),
        cors: Cors,
        metrics: Arc<Metrics>,
        requests_max: usize,
        stopping: CancellationToken,
    ) -> Guard {
        let requests = Arc::new(Semaphore::new(requests_max.min(Semaphore::MAX_PERMITS)));
        Guard { s3, proven, cors, metrics, requests, stopping }
    }

    /// Never fails: whatever goes wrong is an answer.
    pub async fn handle(&self, request: Request<Body>, peer: Option<SocketAddr>) -> Response<Answer> {
        let trace = Trace::new(peer);
        let (expects, mut request) = Expects::of(request);
        let head = Seen::of(&request);
        let running =
            Running::begin(head.method.clone(), head.length.unwrap_or(0), trace.clone(), self.metrics.clone());
        if let Some(length) = head.length {
            trace.content_length.get_or_init(|| length);
        }
        request.extensions_mut().insert(trace.clone());
        let (permit, response) = match self.permit() {
            Ok(permit) => (Some(permit), self.judge(request).await.unwrap_or_else(answer::of_error)),
            Err(error) => (None, answer::of_error(error)),
        };
        let mut response = answer::finish(response, &trace, &head.path, head.method == Method::HEAD).await;
        if let Some(origin) = &head.origin {
            self.cors.allow(origin, &head.method, response.headers_mut());
        }
        expects.finish(response.headers_mut());
        if self.stopping.is_cancelled() {
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        let status = response.status().as_u16();
        response.map(|body| running.answer(body, status, permit))
    }

    fn permit(&self) -> S3Result<OwnedSemaphorePermit> {
        if self.stopping.is_cancelled() {
            let words = "Outlast is stopping; ask again in a moment.";
            return Err(S3Error::with_message(S3ErrorCode::ServiceUnavailable, words));
        }
        self.requests.clone().try_acquire_owned().map_err(|_| {
            S3Error::with_message(S3ErrorCode::SlowDown, "More requests at once than this gateway serves; try again.")
        })
    }

    async fn judge(&self, mut request: Request<Body>) -> S3Result<HttpResponse> {
        limits::check(request.uri(), request.headers())?;
        if request.method() == Method::OPTIONS {
            return self.cors.preflight(request.headers());
        }
        signature::check(request.method(), request.uri(), request.headers())?;
        let trace = request.extensions().get::<Arc<Trace>>().cloned();
        let meant = ignored::drop_ignored(&mut request);
        let request = whole_body::check(request).await?;
        let framed = request.headers().get(CONTENT_SHA256).is_some_and(|kind| kind.as_bytes().starts_with(STREAMING));
        let request = if framed { request.map(|body| Body::http_body(Chunked::new(body))) } else { request };
        if let (true, None, Some(trace)) = (late::may_take_long(&request), &meant, &trace) {
            let (s3, path) = (self.s3.clone(), request.uri().path().to_owned());
            let call = async move { s3.call(request).await.unwrap_or_else(|error| answer::of_error(broken(error))) };
            return Ok(late::in_time(Box::pin(call), trace.clone(), path).await);
        }
        let answer = self.s3.call(request).await.map_err(broken)?;
        match meant {
            Some(meant)
                if answer.status() == StatusCode::BAD_REQUEST && trace.is_some_and(|trace| trace.is_signed()) =>
            {
                self.proven.call(meant).await.map_err(broken)
            }
            _ => Ok(answer),
        }
    }
}

/// s3s could not make an answer at all: the only thing that it alone knows, and its own log is off.
fn broken(error: HttpError) -> S3Error {
    tracing::error!("no answer could be made: {error}");
    S3Error::internal_error(error)
}

/// What is needed of the request after s3s has taken it.
struct Seen {
    method: Method,
    path: String,
    origin: Option<HeaderValue>,
    length: Option<u64>,
}

impl Seen {
    fn of(request: &Request<Body>) -> Seen {
        let length = request.headers().get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
        Seen {
            method: request.method().clone(),
            path: request.uri().path().to_owned(),
            origin: request.headers().get(header::ORIGIN).cloned(),
            length,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use s3s::dto::{ListBucketsInput, ListBucketsOutput};
    use s3s::service::S3ServiceBuilder;
    use s3s::{S3, S3Request, S3Response};

    /// Answers nobody.
    struct Silent;

    #[async_trait::async_trait]
    impl S3 for Silent {
        async fn list_buckets(&self, _: S3Request<ListBucketsInput>) -> S3Result<S3Response<ListBucketsOutput>> {
            std::future::pending().await
        }
    }

    /// What hyper does when a client hangs up: nobody asks for the answer any more.
    #[tokio::test]
    async fn a_request_that_is_dropped_is_counted() {
        let metrics = Arc::new(Metrics::default());
        let service = || S3ServiceBuilder::new(Silent).build();
        let services = (service(), service());
        let guard = Guard::new(services, Cors::new(&[]), metrics.clone(), 10, CancellationToken::new());
        let printed = || {
            let mut text = String::new();
            metrics.write(&mut text).expect("a string takes everything");
            text
        };
        let request = Request::get("/").header(header::HOST, "localhost").body(Body::empty()).expect("a request");
        {
            let call = guard.handle(request, None);
            tokio::pin!(call);
            tokio::select! {
                biased;
                answer = &mut call => panic!("answered with {}", answer.status()),
                () = tokio::task::yield_now() => {}
            }
            assert!(printed().contains("outlast_s3_requests_running 1"), "{}", printed());
        }
        let text = printed();
        assert!(text.contains("outlast_s3_requests_running 0") && text.contains(r#"status="499"} 1"#), "{text}");
    }
}
