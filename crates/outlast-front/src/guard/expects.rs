//! Clients that ask before they send a body (`Expect: 100-continue`) and are answered without having been told to go on.
//!
//! botocore 1.43 keeps such an answer's status line for the next answer on the same connection, takes that one's own status
//! line for a header, so misses its length, and waits for a body that never ends, 60 s long (`AWSConnection.request` resets
//! the class of the answer only for a request without `Expect`). aws-cli asks for empty objects too, to which hyper has no
//! body to ask for and says no `100 Continue`. A connection that ends with its answer carries no second one.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, header};
use http_body::{Frame, SizeHint};
use s3s::{Body, StdError};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

/// What one request expects, and whether it was told to go on.
pub struct Expects(Option<Arc<AtomicBool>>);

impl Expects {
    /// Whoever reads the body of the request that this gives back tells its client to go on.
    pub fn of(request: Request<Body>) -> (Expects, Request<Body>) {
        let asks = |value: &HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"100-continue");
        if !request.headers().get(header::EXPECT).is_some_and(asks) {
            return (Expects(None), request);
        }
        let told = Arc::new(AtomicBool::new(false));
        let seen = told.clone();
        (Expects(Some(told)), request.map(|inner| Body::http_body(Asked { inner, told: seen })))
    }

    /// Ends the connection with this answer where the client was not told to go on.
    pub fn finish(&self, answer: &mut HeaderMap) {
        if let Some(told) = &self.0
            && !told.load(Ordering::Acquire)
        {
            answer.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
    }
}

struct Asked {
    inner: Body,
    told: Arc<AtomicBool>,
}

impl http_body::Body for Asked {
    type Data = Bytes;
    type Error = StdError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, StdError>>> {
        if !http_body::Body::is_end_stream(&self.inner) {
            self.told.store(true, Ordering::Release);
        }
        Pin::new(&mut self.inner).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        http_body::Body::is_end_stream(&self.inner)
    }

    fn size_hint(&self) -> SizeHint {
        http_body::Body::size_hint(&self.inner)
    }
}
