//! Which signatures are taken at all: Signature V4, in one place, of a user with lasting keys, that covers the host.

use http::{HeaderMap, Method, Uri, header};
use percent_encoding::percent_decode_str;
use s3s::{S3Error, S3ErrorCode, S3Result};

const SECURITY_TOKEN: &str = "x-amz-security-token";

/// s3s verifies; this refuses what must not even be tried. Each refusal is S3's own.
pub fn check(method: &Method, uri: &Uri, headers: &HeaderMap) -> S3Result<()> {
    let authorization = headers.get(header::AUTHORIZATION).map(|value| String::from_utf8_lossy(value.as_bytes()));
    let query = Query::of(uri);
    if authorization.as_deref().is_some_and(|text| text.starts_with("AWS "))
        || query.has("Signature")
        || query.has("AWSAccessKeyId")
    {
        let words = "The authorization mechanism you have provided is not supported. Please use AWS4-HMAC-SHA256.";
        return Err(S3Error::with_message(S3ErrorCode::InvalidRequest, words));
    }
    let presigned = query.has("X-Amz-Signature") || query.has("X-Amz-Algorithm");
    if authorization.is_some() && presigned {
        let words = "Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter or the Authorization header should be specified";
        return Err(S3Error::with_message(S3ErrorCode::InvalidArgument, words));
    }
    if headers.contains_key(SECURITY_TOKEN) || query.has("X-Amz-Security-Token") {
        let words = "Outlast gives out no session tokens; sign with the access key alone.";
        return Err(S3Error::with_message(S3ErrorCode::InvalidToken, words));
    }
    if *method == Method::POST && is_form(headers) {
        let words = "Browser form uploads (POST Object): Outlast does not have this, and does not pretend to.";
        return Err(S3Error::with_message(S3ErrorCode::NotImplemented, words));
    }
    // Without the host among them a signature could be sent to another bucket's host name.
    match signed_names(uri, headers) {
        Some(names) if !names.iter().any(|name| name == "host") => {
            let words = "The Host header must be among the signed headers.";
            Err(S3Error::with_message(S3ErrorCode::AccessDenied, words))
        }
        _ => Ok(()),
    }
}

/// What the signature covers, in lower case: such a header must reach s3s as it came. None: no signature.
pub fn signed_names(uri: &Uri, headers: &HeaderMap) -> Option<Vec<String>> {
    let names = match headers.get(header::AUTHORIZATION).map(|value| String::from_utf8_lossy(value.as_bytes())) {
        Some(text) => text.split_once("SignedHeaders=")?.1.split(',').next().unwrap_or_default().to_owned(),
        None => Query::of(uri).value("X-Amz-SignedHeaders")?,
    };
    Some(names.trim().split(';').map(str::to_ascii_lowercase).collect())
}

/// The same address without what signs it.
pub fn without_signature(uri: &Uri) -> Uri {
    let signs = |pair: &&str| pair.get(..6).is_some_and(|name| name.eq_ignore_ascii_case("x-amz-"));
    let kept: Vec<&str> = uri.query().unwrap_or_default().split('&').filter(|pair| !signs(pair)).collect();
    let path =
        if kept.concat().is_empty() { uri.path().to_owned() } else { format!("{}?{}", uri.path(), kept.join("&")) };
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = path.parse().ok();
    Uri::from_parts(parts).unwrap_or_else(|_| uri.clone())
}

fn is_form(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).map(|value| value.as_bytes().to_ascii_lowercase());
    kind.is_some_and(|kind| kind.starts_with(b"multipart/form-data"))
}

struct Query(Vec<(String, String)>);

impl Query {
    fn of(uri: &Uri) -> Query {
        let decoded = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
        let pairs = uri.query().unwrap_or_default().split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
        Query(pairs.map(|(name, value)| (decoded(name), decoded(value))).collect())
    }

    fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(found, _)| found == name)
    }

    fn value(&self, name: &str) -> Option<String> {
        self.0.iter().find(|(found, _)| found == name).map(|(_, value)| value.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn code(method: &Method, uri: &str, headers: &[(&'static str, &str)]) -> String {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.insert(*name, HeaderValue::from_str(value).expect("a value"));
        }
        let uri = Uri::try_from(uri).expect("a URI");
        check(method, &uri, &map).err().map_or("passes".to_owned(), |error| error.code().as_str().to_owned())
    }

    const V4: &str =
        "AWS4-HMAC-SHA256 Credential=K/20261121/eu/s3/aws4_request, SignedHeaders=host;x-amz-date, Signature=00";

    #[test]
    fn only_v4_passes() {
        let get = |uri: &str, headers: &[(&'static str, &str)]| code(&Method::GET, uri, headers);
        assert_eq!(get("/b/k", &[("authorization", V4)]), "passes");
        assert_eq!(get("/b/k", &[]), "passes", "s3s refuses the anonymous");
        assert_eq!(get("/b/k", &[("authorization", "AWS key:c2ln")]), "InvalidRequest");
        assert_eq!(get("/b/k?AWSAccessKeyId=k&Expires=1&Signature=s", &[]), "InvalidRequest");
        assert_eq!(get("/b/k?%53ignature=s", &[]), "InvalidRequest");
        assert_eq!(get("/b/k?X-Amz-Signature=s&X-Amz-SignedHeaders=host", &[]), "passes");
        assert_eq!(get("/b/k?X-Amz-Signature=s", &[("authorization", V4)]), "InvalidArgument");
    }

    #[test]
    fn no_sessions_no_forms_and_the_host_is_signed() {
        let session = [("authorization", V4), ("x-amz-security-token", "t")];
        assert_eq!(code(&Method::GET, "/b/k", &session), "InvalidToken");
        assert_eq!(code(&Method::GET, "/b/k?X-Amz-Security-Token=t&X-Amz-Signature=s", &[]), "InvalidToken");
        let form = [("content-type", "Multipart/Form-Data; boundary=x")];
        assert_eq!(code(&Method::POST, "/b", &form), "NotImplemented");
        assert_eq!(code(&Method::PUT, "/b/k", &form), "passes", "an object may be of any type");
        let hostless = V4.replace("host;", "");
        assert_eq!(code(&Method::GET, "/b/k", &[("authorization", &hostless)]), "AccessDenied");
        assert_eq!(code(&Method::GET, "/b/k?X-Amz-Signature=s&X-Amz-SignedHeaders=range", &[]), "AccessDenied");
        assert_eq!(code(&Method::GET, "/b/k?X-Amz-Signature=s&X-Amz-SignedHeaders=host%3Brange", &[]), "passes");
    }
}
