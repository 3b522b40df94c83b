//! One request, before it is signed.

use super::outgoing::Outgoing;
use super::signature::encoded;
use bytes::Bytes;
use http::Method;

/// What is asked of which bucket and key.
#[derive(Debug)]
pub struct Ask {
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) query: Vec<(String, String)>,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Outgoing,
}

impl Ask {
    fn new(method: Method, bucket: &str, key: &str) -> Ask {
        let slash = if key.is_empty() { "" } else { "/" };
        let path = format!("/{bucket}{slash}{}", encoded(key, b"/"));
        Ask { method, path, query: Vec::new(), headers: Vec::new(), body: Outgoing::default() }
    }

    pub fn get(bucket: &str, key: &str) -> Ask {
        Ask::new(Method::GET, bucket, key)
    }

    pub fn head(bucket: &str, key: &str) -> Ask {
        Ask::new(Method::HEAD, bucket, key)
    }

    pub fn delete(bucket: &str, key: &str) -> Ask {
        Ask::new(Method::DELETE, bucket, key)
    }

    pub fn put(bucket: &str, key: &str, body: impl Into<Outgoing>) -> Ask {
        Ask { body: body.into(), ..Ask::new(Method::PUT, bucket, key) }
    }

    pub fn post(bucket: &str, key: &str, body: impl Into<Bytes>) -> Ask {
        Ask { body: Outgoing::from(body.into()), ..Ask::new(Method::POST, bucket, key) }
    }

    /// A page of the bucket's listing (version 2).
    pub fn list(bucket: &str) -> Ask {
        Ask::get(bucket, "").with("list-type", "2")
    }

    pub fn with(mut self, name: &str, value: impl ToString) -> Ask {
        self.query.push((encoded(name, b""), encoded(&value.to_string(), b"")));
        self
    }

    /// `name` in lower case.
    pub fn header(mut self, name: &str, value: impl ToString) -> Ask {
        self.headers.push((name.to_owned(), value.to_string()));
        self
    }

    /// For messages: `PUT /bucket/key?partNumber=1`.
    pub fn words(&self) -> String {
        let query = self.query.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("&");
        let mark = if query.is_empty() { "" } else { "?" };
        format!("{} {}{mark}{query}", self.method, self.path)
    }
}
