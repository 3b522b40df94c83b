//! Bounds of a request's head.

use http::{HeaderMap, StatusCode, Uri};
use s3s::{S3Error, S3ErrorCode, S3Result};

/// A key of 1024 bytes takes three times that percent-encoded; the rest is for a presigned query.
pub const URI_BYTES_MAX: usize = 8 * 1024;
/// S3 takes 8 KiB of headers, 2 KiB of them metadata; twice that leaves room for what proxies add.
pub const HEADER_BYTES_MAX: usize = 16 * 1024;

pub fn check(uri: &Uri, headers: &HeaderMap) -> S3Result<()> {
    let uri_bytes = uri.path().len() + uri.query().map_or(0, |query| query.len() + 1);
    if uri_bytes > URI_BYTES_MAX {
        let words = format!("The request's URI has {uri_bytes} bytes; at most {URI_BYTES_MAX} are taken.");
        let mut error = S3Error::with_message(S3ErrorCode::InvalidURI, words);
        error.set_status_code(StatusCode::URI_TOO_LONG);
        return Err(error);
    }
    let header_bytes: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
    if header_bytes > HEADER_BYTES_MAX {
        let words = format!("The request's headers have {header_bytes} bytes; at most {HEADER_BYTES_MAX} are taken.");
        return Err(S3Error::with_message(S3ErrorCode::RequestHeaderSectionTooLarge, words));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[test]
    fn heads_are_bounded() {
        let uri = |len: usize| Uri::try_from(format!("/b/{}", "k".repeat(len - 3))).expect("a URI");
        let headers = |len: usize| {
            let mut map = HeaderMap::new();
            map.insert("x-amz-meta-a", HeaderValue::from_str(&"v".repeat(len - 12)).expect("a value"));
            map
        };
        assert!(check(&uri(URI_BYTES_MAX), &headers(HEADER_BYTES_MAX)).is_ok());
        let long = check(&uri(URI_BYTES_MAX + 1), &HeaderMap::new()).expect_err("refused");
        assert_eq!(long.status_code(), Some(StatusCode::URI_TOO_LONG));
        let fat = check(&uri(10), &headers(HEADER_BYTES_MAX + 1)).expect_err("refused");
        assert_eq!(*fat.code(), S3ErrorCode::RequestHeaderSectionTooLarge);
    }
}
