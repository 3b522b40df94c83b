//! Answers that take long: who copies gigabytes is kept with white space until it is done, as S3 does. s3s knows this for
//! CompleteMultipartUpload alone.

use super::answer;
use crate::trace::Trace;
use bytes::Bytes;
use futures_util::stream::{self, Stream};
use http::{HeaderValue, Method, Request, StatusCode, header};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use s3s::{Body, HttpResponse};
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

/// Shorter ones keep their honest status code: an error inside a 200 is what clients handle worst.
const KEEP_ALIVE_AFTER: Duration = Duration::from_secs(5);
/// Clients and proxies give up a connection that is silent for 30 s and more.
const BETWEEN: Duration = Duration::from_secs(5);
/// It stands before any white space, or the document is none.
const DECLARATION: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>";

type Running = Pin<Box<dyn Future<Output = HttpResponse> + Send>>;

/// CopyObject and UploadPartCopy: nothing else works on a body before it answers and is not Complete.
pub fn may_take_long<B>(request: &Request<B>) -> bool {
    request.method() == Method::PUT && request.headers().contains_key("x-amz-copy-source")
}

/// Its own answer when it comes soon; else a 200 that goes on until it is there, and holds its document, an error's too.
pub async fn in_time(mut running: Running, trace: Arc<Trace>, path: String) -> HttpResponse {
    if let Ok(answer) = tokio::time::timeout(KEEP_ALIVE_AFTER, &mut running).await {
        return answer;
    }
    let mut early = HttpResponse::new(Body::http_body_unsync(StreamBody::new(frames(running, trace, path))));
    *early.status_mut() = StatusCode::OK;
    early.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/xml"));
    early
}

enum Told {
    Nothing(Running),
    Declaration(Running),
    All,
}

fn frames(running: Running, trace: Arc<Trace>, path: String) -> impl Stream<Item = Result<Frame<Bytes>, Infallible>> {
    stream::unfold((Told::Nothing(running), trace, path), |(told, trace, path)| async move {
        let (bytes, told) = match told {
            Told::All => return None,
            Told::Nothing(running) => (Bytes::from_static(DECLARATION.as_bytes()), Told::Declaration(running)),
            Told::Declaration(mut running) => match tokio::time::timeout(BETWEEN, &mut running).await {
                Err(_) => (Bytes::from_static(b" "), Told::Declaration(running)),
                Ok(done) => (document(answer::finish(done, &trace, &path, false).await).await, Told::All),
            },
        };
        Some((Ok(Frame::data(bytes)), (told, trace, path)))
    })
}

/// Short, and in memory already.
async fn document(answer: HttpResponse) -> Bytes {
    let whole = answer.into_body().collect().await.map(|collected| collected.to_bytes()).unwrap_or_default();
    // The declaration is out, and may be written in another way than ours.
    match std::str::from_utf8(&whole).ok().and_then(|text| text.strip_prefix("<?xml")?.find("?>")) {
        Some(end) => whole.slice("<?xml".len() + end + "?>".len()..),
        None => whole,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use s3s::{S3Error, S3ErrorCode};

    async fn after(seconds: u64, answer: HttpResponse) -> (StatusCode, String) {
        let running = Box::pin(async move {
            tokio::time::sleep(Duration::from_secs(seconds)).await;
            answer
        });
        let answer = in_time(running, Trace::new(None), "/b/k".to_owned()).await;
        let status = answer.status();
        let bytes = answer.into_body().collect().await.expect("in memory").to_bytes();
        (status, String::from_utf8(bytes.to_vec()).expect("text"))
    }

    fn copied() -> HttpResponse {
        HttpResponse::new(Body::from(Bytes::from(format!("{DECLARATION}<CopyObjectResult/>"))))
    }

    #[tokio::test(start_paused = true)]
    async fn a_short_copy_keeps_its_status_and_a_long_one_its_client() {
        assert_eq!(after(1, copied()).await, (StatusCode::OK, format!("{DECLARATION}<CopyObjectResult/>")));
        let refused = after(1, answer::of_error(S3Error::new(S3ErrorCode::NoSuchKey))).await;
        assert_eq!(refused.0, StatusCode::NOT_FOUND);
        let (status, text) = after(28, copied()).await;
        assert_eq!((status, text), (StatusCode::OK, format!("{DECLARATION}    <CopyObjectResult/>")));
        let (status, text) = after(28, answer::of_error(S3Error::new(S3ErrorCode::NoSuchKey))).await;
        assert_eq!(status, StatusCode::OK, "it has been said already");
        assert!(text.starts_with(&format!("{DECLARATION}    ")) && text.matches("<?xml").count() == 1, "{text}");
        assert!(text.contains("<Code>NoSuchKey</Code>") && text.contains("<Resource>/b/k</Resource>"), "{text}");
    }
}
