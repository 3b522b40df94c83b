//! Finishes every answer: ids in the headers, and resource and ids in the error document.

use crate::trace::Trace;
use bytes::Bytes;
use http::{HeaderName, HeaderValue, StatusCode, header};
use http_body_util::BodyExt;
use s3s::{Body, HttpResponse, S3Error};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-amz-request-id");
const HOST_ID: HeaderName = HeaderName::from_static("x-amz-id-2");
const SERVER: &str = "Outlast";
const END: &str = "</Error>";

/// An error of the guard's own.
pub fn of_error(error: S3Error) -> HttpResponse {
    error.to_http_response().unwrap_or_else(|_| {
        let mut bare = HttpResponse::new(Body::empty());
        *bare.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
        bare
    })
}

pub async fn finish(response: HttpResponse, trace: &Trace, path: &str, is_head: bool) -> HttpResponse {
    let (mut parts, mut body) = response.into_parts();
    let headers = &mut parts.headers;
    headers.insert(header::SERVER, HeaderValue::from_static(SERVER));
    for (name, id) in [(REQUEST_ID, &trace.id), (HOST_ID, &trace.host_id)] {
        if let Ok(value) = HeaderValue::from_str(id) {
            headers.insert(name, value);
        }
    }
    let is_error = parts.status.is_client_error() || parts.status.is_server_error();
    if is_head {
        // s3s answers HEAD of a range with 200, whatever the handler says; S3 answers as it would the GET.
        if parts.status == StatusCode::OK && headers.contains_key(header::CONTENT_RANGE) {
            parts.status = StatusCode::PARTIAL_CONTENT;
        }
        if is_error {
            remember_reason(parts.status, &whole(body).await, trace);
            body = Body::empty();
        }
        return HttpResponse::from_parts(parts, body);
    }
    if is_error {
        let document = whole(body).await;
        remember_reason(parts.status, &document, trace);
        let document = with_ids(document, trace, path);
        headers.remove(header::CONTENT_LENGTH);
        body = Body::from(document);
    }
    HttpResponse::from_parts(parts, body)
}

/// Our own error documents are short and already in memory.
async fn whole(body: Body) -> Bytes {
    body.collect().await.map(|collected| collected.to_bytes()).unwrap_or_default()
}

/// For the log line, which is read by whoever can mend it.
fn remember_reason(status: StatusCode, document: &Bytes, trace: &Trace) {
    let text = std::str::from_utf8(document).unwrap_or_default();
    let said = text.split_once("<Message>").and_then(|(_, rest)| rest.split_once("</Message>"));
    if let Some((message, _)) = said.filter(|_| status.is_server_error()) {
        trace.reason.get_or_init(|| unescaped(message));
    }
}

fn with_ids(document: Bytes, trace: &Trace, path: &str) -> Bytes {
    let Ok(text) = std::str::from_utf8(&document) else { return document };
    let Some(before) = text.strip_suffix(END) else { return document };
    let id =
        if before.contains("<RequestId>") { String::new() } else { format!("<RequestId>{}</RequestId>", trace.id) };
    let resource = escaped(path);
    Bytes::from(format!("{before}<Resource>{resource}</Resource>{id}<HostId>{}</HostId>{END}", trace.host_id))
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// `&amp;` last: what it makes is no escape.
fn unescaped(text: &str) -> String {
    let pairs = [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&apos;", "'"), ("&amp;", "&")];
    pairs.iter().fold(text.to_owned(), |text, (escape, plain)| text.replace(escape, plain))
}

#[cfg(test)]
mod tests {
    use super::*;
    use s3s::S3ErrorCode;

    async fn text(response: HttpResponse) -> String {
        let bytes = response.into_body().collect().await.expect("in memory").to_bytes();
        String::from_utf8(bytes.to_vec()).expect("text")
    }

    #[tokio::test]
    async fn errors_name_resource_and_request() {
        let trace = Trace::new(None);
        let response = finish(of_error(S3Error::new(S3ErrorCode::NoSuchKey)), &trace, "/b/a&b", false).await;
        assert_eq!(
            response.headers().get(REQUEST_ID).map(|id| id.as_bytes().to_vec()),
            Some(trace.id.clone().into_bytes())
        );
        assert!(response.headers().contains_key(HOST_ID));
        let document = text(response).await;
        assert!(document.contains("<Code>NoSuchKey</Code>"), "{document}");
        assert!(document.contains("<Resource>/b/a&amp;b</Resource>"), "{document}");
        assert!(
            document
                .ends_with(&format!("<RequestId>{}</RequestId><HostId>{}</HostId></Error>", trace.id, trace.host_id))
        );
    }

    #[tokio::test]
    async fn the_reason_of_our_own_failures_is_kept_for_the_log() {
        let check = async |code: S3ErrorCode, words: &str, is_head: bool| {
            let trace = Trace::new(None);
            finish(of_error(S3Error::with_message(code, words.to_owned())), &trace, "/b/k", is_head).await;
            trace.reason.get().cloned()
        };
        let words = "nas has it; b2: \"<503> & more\" after 4.0 s";
        assert_eq!(check(S3ErrorCode::ServiceUnavailable, words, false).await.as_deref(), Some(words));
        assert_eq!(check(S3ErrorCode::ServiceUnavailable, words, true).await.as_deref(), Some(words), "HEAD too");
        assert_eq!(check(S3ErrorCode::NoSuchKey, "no such key", false).await, None, "the client's own business");
    }

    #[tokio::test]
    async fn head_has_no_body_and_success_is_not_touched() {
        let trace = Trace::new(None);
        let head = finish(of_error(S3Error::new(S3ErrorCode::NoSuchKey)), &trace, "/b/k", true).await;
        assert_eq!(head.status(), StatusCode::NOT_FOUND);
        assert_eq!(text(head).await, "");
        let fine = finish(HttpResponse::new(Body::from(Bytes::from_static(b"</Error>"))), &trace, "/b/k", false).await;
        assert_eq!(text(fine).await, "</Error>");
    }
}
