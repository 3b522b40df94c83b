//! DeleteObjects is the one request whose damaged body destroys: its Content-MD5 or checksum is verified before s3s reads it.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http::{HeaderMap, Method, Request};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use s3s::crypto::{Checksum, Crc32, Crc32c, Crc64Nvme, Md5, Sha1, Sha256};
use s3s::{Body, S3Error, S3ErrorCode, S3Result};

/// 1000 keys of 1024 bytes, each byte escaped, with room for the tags.
pub const DELETE_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Passes other requests through. Only plain bodies are held here: chunked ones carry their own framing.
pub async fn check(request: Request<Body>) -> S3Result<Request<Body>> {
    let is_delete = request.method() == Method::POST && request.uri().query().is_some_and(names_delete);
    let claims = claims(request.headers());
    if !is_delete || claims.is_empty() || request.headers().contains_key("x-amz-decoded-content-length") {
        return Ok(request);
    }
    let (parts, body) = request.into_parts();
    let bytes = match Limited::new(body, DELETE_BYTES_MAX).collect().await {
        Ok(collected) => collected.to_bytes(),
        Err(error) if error.is::<LengthLimitError>() => {
            return Err(S3Error::new(S3ErrorCode::MaxMessageLengthExceeded));
        }
        Err(error) => return Err(S3Error::with_message(S3ErrorCode::IncompleteBody, error.to_string())),
    };
    for (name, digest, claimed) in claims {
        let well_formed =
            STANDARD.decode(claimed.trim()).is_ok_and(|claimed| claimed.len() == digest(&Bytes::new()).len());
        if !well_formed {
            let words = format!("The {name} you specified is not valid.");
            return Err(S3Error::with_message(S3ErrorCode::InvalidDigest, words));
        }
        if STANDARD.encode(digest(&bytes)) != claimed.trim() {
            let words = format!("The {name} you specified did not match what we received.");
            return Err(S3Error::with_message(S3ErrorCode::BadDigest, words));
        }
    }
    Ok(Request::from_parts(parts, Body::from(bytes)))
}

fn names_delete(query: &str) -> bool {
    query.split('&').any(|pair| pair == "delete" || pair == "delete=")
}

type Digest = fn(&Bytes) -> Vec<u8>;

fn of<C: Checksum>(bytes: &Bytes) -> Vec<u8> {
    C::checksum(bytes).as_ref().to_vec()
}

const DIGESTS: [(&str, Digest); 6] = [
    ("content-md5", of::<Md5>),
    ("x-amz-checksum-crc32", of::<Crc32>),
    ("x-amz-checksum-crc32c", of::<Crc32c>),
    ("x-amz-checksum-crc64nvme", of::<Crc64Nvme>),
    ("x-amz-checksum-sha1", of::<Sha1>),
    ("x-amz-checksum-sha256", of::<Sha256>),
];

fn claims(headers: &HeaderMap) -> Vec<(&'static str, Digest, String)> {
    let claim = |(name, digest): (&'static str, Digest)| {
        let value = headers.get(name)?;
        Some((name, digest, String::from_utf8_lossy(value.as_bytes()).into_owned()))
    };
    DIGESTS.into_iter().filter_map(claim).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn code(uri: &str, headers: &[(&str, &str)]) -> String {
        let mut request = Request::builder().method(Method::POST).uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Body::from(Bytes::from_static(b"hello"))).expect("a request");
        match check(request).await {
            Ok(request) => {
                let bytes = request.into_body().collect().await.expect("in memory").to_bytes();
                assert_eq!(bytes, Bytes::from_static(b"hello"), "the body goes on unchanged");
                "passes".to_owned()
            }
            Err(error) => error.code().as_str().to_owned(),
        }
    }

    #[tokio::test]
    async fn a_damaged_list_of_deletes_is_refused() {
        assert_eq!(code("/b?delete", &[("content-md5", "XUFAKrxLKna5cZ2REBfFkg==")]).await, "passes");
        assert_eq!(code("/b?delete", &[("content-md5", "1B2M2Y8AsgTpgAmY7PhCfg==")]).await, "BadDigest");
        assert_eq!(code("/b?delete", &[("content-md5", "short")]).await, "InvalidDigest");
        assert_eq!(code("/b?delete=", &[("x-amz-checksum-crc32", "NhCmhg==")]).await, "passes");
        assert_eq!(code("/b?delete&x=1", &[("x-amz-checksum-crc32", "AAAAAA==")]).await, "BadDigest");
        assert_eq!(code("/b?delete", &[]).await, "passes");
        assert_eq!(code("/b/k?uploads", &[("content-md5", "1B2M2Y8AsgTpgAmY7PhCfg==")]).await, "passes");
    }
}
