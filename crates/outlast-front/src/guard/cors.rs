//! Cross-origin requests: S3's rules, one list for all buckets. Without rules every preflight is refused.

use crate::settings::CorsRule;
use http::header::{self, HeaderName};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use s3s::{Body, HttpResponse, S3Error, S3ErrorCode, S3Result};

const VARY: &str = "Origin, Access-Control-Request-Headers, Access-Control-Request-Method";

/// The rules, tried in order; the first that fits decides.
#[derive(Debug, Clone, Default)]
pub struct Cors(Vec<CorsRule>);

impl Cors {
    pub fn new(rules: &[CorsRule]) -> Cors {
        Cors(rules.to_vec())
    }

    /// The answer to OPTIONS. 403 when no rule fits; 400 without the headers that make it a preflight.
    pub fn preflight(&self, asked: &HeaderMap) -> S3Result<HttpResponse> {
        let (Some(origin), Some(method)) =
            (asked.get(header::ORIGIN), asked.get(header::ACCESS_CONTROL_REQUEST_METHOD))
        else {
            let words = "Insufficient information. Origin request header needed.";
            let mut error = S3Error::with_message(S3ErrorCode::Custom("BadRequest".into()), words);
            error.set_status_code(StatusCode::BAD_REQUEST);
            return Err(error);
        };
        let headers: Vec<String> = match asked.get(header::ACCESS_CONTROL_REQUEST_HEADERS) {
            Some(list) => {
                text(list).split(',').map(|name| name.trim().to_ascii_lowercase()).filter(|n| !n.is_empty()).collect()
            }
            None => Vec::new(),
        };
        let fits = |rule: &&CorsRule| {
            rule.takes(&text(origin), &text(method))
                && headers
                    .iter()
                    .all(|name| rule.headers.iter().any(|pattern| matches(&pattern.to_ascii_lowercase(), name)))
        };
        let Some(rule) = self.0.iter().find(fits) else {
            let words = "CORSResponse: This CORS request is not allowed. No rule of this installation allows the origin, method or headers.";
            let mut error = S3Error::with_message(S3ErrorCode::Custom("AccessForbidden".into()), words);
            error.set_status_code(StatusCode::FORBIDDEN);
            return Err(error);
        };
        let mut response = HttpResponse::new(Body::empty());
        let answer = response.headers_mut();
        rule.describe(origin, answer);
        if !headers.is_empty() {
            put(answer, header::ACCESS_CONTROL_ALLOW_HEADERS, &headers.join(", "));
        }
        if let Some(age) = rule.max_age {
            put(answer, header::ACCESS_CONTROL_MAX_AGE, &age.as_secs().to_string());
        }
        Ok(response)
    }

    /// On the answer to a real request, whatever it was: a browser may read an error too.
    pub fn allow(&self, origin: &HeaderValue, method: &Method, answer: &mut HeaderMap) {
        if answer.contains_key(header::ACCESS_CONTROL_ALLOW_ORIGIN) {
            return;
        }
        if let Some(rule) = self.0.iter().find(|rule| rule.takes(&text(origin), method.as_str())) {
            rule.describe(origin, answer);
        }
    }
}

impl CorsRule {
    fn takes(&self, origin: &str, method: &str) -> bool {
        self.origins.iter().any(|pattern| matches(pattern, origin))
            && self.methods.iter().any(|one| one.eq_ignore_ascii_case(method))
    }

    fn describe(&self, origin: &HeaderValue, answer: &mut HeaderMap) {
        if self.origins.iter().any(|pattern| pattern == "*") {
            put(answer, header::ACCESS_CONTROL_ALLOW_ORIGIN, "*");
        } else {
            answer.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
            put(answer, header::ACCESS_CONTROL_ALLOW_CREDENTIALS, "true");
        }
        put(answer, header::ACCESS_CONTROL_ALLOW_METHODS, &self.methods.join(", "));
        if !self.expose.is_empty() {
            put(answer, header::ACCESS_CONTROL_EXPOSE_HEADERS, &self.expose.join(", "));
        }
        put(answer, header::VARY, VARY);
    }
}

/// A rule that no header can hold is left out: the browser then refuses, which is the safe side.
fn put(answer: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        answer.insert(name, value);
    }
}

fn text(value: &HeaderValue) -> String {
    String::from_utf8_lossy(value.as_bytes()).into_owned()
}

/// At most one `*`, anywhere.
fn matches(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((before, after)) => {
            text.len() >= before.len() + after.len() && text.starts_with(before) && text.ends_with(after)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn rule(origin: &str) -> CorsRule {
        CorsRule {
            origins: vec![origin.into()],
            methods: vec!["GET".into(), "PUT".into()],
            headers: vec!["x-amz-*".into(), "Content-Type".into()],
            expose: vec!["ETag".into()],
            max_age: Some(Duration::from_secs(300)),
        }
    }

    fn ask(cors: &Cors, pairs: &[(&'static str, &'static str)]) -> Result<HeaderMap, u16> {
        let headers = pairs.iter().map(|(n, v)| (HeaderName::from_static(n), HeaderValue::from_static(v))).collect();
        match cors.preflight(&headers) {
            Ok(response) => Ok(response.headers().clone()),
            Err(error) => Err(error.status_code().map_or(0, |status| status.as_u16())),
        }
    }

    const PUT_FROM: [(&str, &str); 2] =
        [("origin", "https://app.example.com"), ("access-control-request-method", "PUT")];

    #[test]
    fn no_rules_no_preflight() {
        assert_eq!(ask(&Cors::default(), &PUT_FROM), Err(403));
        assert_eq!(ask(&Cors::default(), &[("origin", "https://x")]), Err(400));
    }

    #[test]
    fn a_rule_that_fits() {
        let cors = Cors::new(&[rule("https://*.example.com")]);
        let mut asked = PUT_FROM.to_vec();
        asked.push(("access-control-request-headers", "X-Amz-Date, content-type"));
        let answer = ask(&cors, &asked).expect("allowed");
        let of = |name: &str| answer.get(name).map(text);
        assert_eq!(of("access-control-allow-origin").as_deref(), Some("https://app.example.com"));
        assert_eq!(of("access-control-allow-headers").as_deref(), Some("x-amz-date, content-type"));
        assert_eq!(of("access-control-max-age").as_deref(), Some("300"));
        asked.pop();
        asked.push(("access-control-request-headers", "authorization"));
        assert_eq!(ask(&cors, &asked), Err(403), "a header that no pattern names");
        let elsewhere = [("origin", "https://example.org"), ("access-control-request-method", "GET")];
        assert_eq!(ask(&cors, &elsewhere), Err(403));
        let delete = [("origin", "https://app.example.com"), ("access-control-request-method", "DELETE")];
        assert_eq!(ask(&cors, &delete), Err(403));
    }

    #[test]
    fn real_answers_carry_it_too() {
        let cors = Cors::new(&[rule("*")]);
        let mut answer = HeaderMap::new();
        cors.allow(&HeaderValue::from_static("https://any.net"), &Method::GET, &mut answer);
        assert_eq!(answer.get("access-control-allow-origin").map(text).as_deref(), Some("*"));
        assert!(!answer.contains_key("access-control-allow-credentials"));
        let mut none = HeaderMap::new();
        cors.allow(&HeaderValue::from_static("https://any.net"), &Method::DELETE, &mut none);
        assert!(none.is_empty());
    }

    #[test]
    fn one_star_anywhere() {
        assert!(matches("*", "") && matches("a*b", "ab") && matches("a*b", "axb") && !matches("ab*ba", "aba"));
    }
}
