//! One request, one connection, and an answer that knows whether it came whole.

use crate::signer::{
    ACCESS_KEY, Chain, EMPTY_SHA256, SECRET_KEY, Signing, amz_date, encoded, sha256_hex, signed_names,
};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use outlast_engine::{Clock, SystemClock};
use outlast_rules::Moment;
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// How the body's hash is declared.
#[derive(Clone, PartialEq)]
pub enum Payload {
    Signed,
    Unsigned,
    /// Any other value of x-amz-content-sha256.
    Named(&'static str),
}

#[derive(Clone)]
pub struct Ask {
    method: &'static str,
    path: String,
    query: Vec<(String, String)>,
    headers: Vec<(String, String)>,
    body: Bytes,
    payload: Payload,
    access_key: String,
    secret: String,
    region: String,
    host: Option<String>,
    /// Milliseconds that the client's clock is ahead.
    skew: i64,
}

/// Keys are given as they are and encoded here; `/` stays.
pub fn ask(method: &'static str, path: &str) -> Ask {
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let path = path.split('/').map(encoded).collect::<Vec<_>>().join("/");
    let pairs = query.split('&').filter(|pair| !pair.is_empty()).map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    Ask {
        method,
        path,
        query: pairs.map(|(name, value)| (encoded(name), encoded(value))).collect(),
        headers: Vec::new(),
        body: Bytes::new(),
        payload: Payload::Signed,
        access_key: ACCESS_KEY.into(),
        secret: SECRET_KEY.into(),
        region: "eu-anywhere-1".into(),
        host: None,
        skew: 0,
    }
}

impl Ask {
    pub fn header(mut self, name: &str, value: &str) -> Ask {
        self.headers.push((name.to_ascii_lowercase(), value.to_owned()));
        self
    }

    pub fn body(mut self, body: impl AsRef<[u8]>) -> Ask {
        self.body = Bytes::copy_from_slice(body.as_ref());
        self
    }

    pub fn payload(mut self, payload: Payload) -> Ask {
        self.payload = payload;
        self
    }

    pub fn access_key(mut self, key: &str) -> Ask {
        self.access_key = key.into();
        self
    }

    pub fn secret(mut self, secret: &str) -> Ask {
        self.secret = secret.into();
        self
    }

    pub fn region(mut self, region: &str) -> Ask {
        self.region = region.into();
        self
    }

    pub fn host(mut self, host: &str) -> Ask {
        self.host = Some(host.into());
        self
    }

    pub fn skew(mut self, ms: i64) -> Ask {
        self.skew = ms;
        self
    }

    pub fn path(&self) -> &str {
        &self.path
    }

    pub fn set_path(&mut self, path: &str) {
        self.path = path.to_owned();
    }

    pub fn headers(&self) -> impl Iterator<Item = (&str, &str)> {
        self.headers.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    fn signing(&self) -> Signing<'_> {
        let now = Moment(SystemClock.now().0.saturating_add_signed(self.skew));
        Signing { secret: &self.secret, date: amz_date(now), region: &self.region }
    }

    /// Signs the header way: the head's lines, and the chain for chunks.
    pub fn signed(mut self, at: SocketAddr) -> (Ask, Chain) {
        let payload = match &self.payload {
            Payload::Signed if self.body.is_empty() => EMPTY_SHA256.to_owned(),
            Payload::Signed => sha256_hex(&self.body),
            Payload::Unsigned => "UNSIGNED-PAYLOAD".to_owned(),
            Payload::Named(name) => (*name).to_owned(),
        };
        let signing = self.signing();
        let mut headers = self.headers.clone();
        headers.push(("host".into(), self.host.clone().unwrap_or_else(|| at.to_string())));
        headers.push(("x-amz-content-sha256".into(), payload.clone()));
        headers.push(("x-amz-date".into(), signing.date.clone()));
        headers.sort();
        let chain = signing.sign(self.method, &self.path, &self.query, &headers, &payload);
        let authorization = format!(
            "AWS4-HMAC-SHA256 Credential={}/{}, SignedHeaders={}, Signature={}",
            self.access_key,
            signing.scope(),
            signed_names(&headers),
            chain.last
        );
        headers.push(("authorization".into(), authorization));
        self.headers = headers;
        (self, chain)
    }

    /// Signs the query way. The URL's path and query.
    pub fn presigned(&self, at: SocketAddr, expires: u64) -> String {
        let signing = self.signing();
        let mut query = self.query.clone();
        let pairs = [
            ("X-Amz-Algorithm", "AWS4-HMAC-SHA256".to_owned()),
            ("X-Amz-Credential", format!("{}/{}", self.access_key, signing.scope())),
            ("X-Amz-Date", signing.date.clone()),
            ("X-Amz-Expires", expires.to_string()),
            ("X-Amz-SignedHeaders", "host".to_owned()),
        ];
        query.extend(pairs.map(|(name, value)| (name.to_owned(), encoded(&value))));
        let headers = [("host".to_owned(), at.to_string())];
        let chain = signing.sign(self.method, &self.path, &query, &headers, "UNSIGNED-PAYLOAD");
        query.push(("X-Amz-Signature".into(), chain.last));
        let query: Vec<String> = query.into_iter().map(|(name, value)| format!("{name}={value}")).collect();
        format!("{}?{}", self.path, query.join("&"))
    }

    pub async fn send(self, at: SocketAddr) -> Reply {
        let (ask, _) = self.signed(at);
        ask.send_unsigned(at).await
    }

    /// As it stands.
    pub async fn send_unsigned(self, at: SocketAddr) -> Reply {
        let stream = TcpStream::connect(at).await.expect("the front listens");
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
        let running = tokio::spawn(connection);
        let query: Vec<String> = self.query.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let uri = if query.is_empty() { self.path.clone() } else { format!("{}?{}", self.path, query.join("&")) };
        let mut request = http::Request::builder().method(self.method).uri(uri);
        if !self.headers.iter().any(|(name, _)| name == "host") {
            request = request.header("host", at.to_string());
        }
        // hyper leaves it out where there is no body.
        if self.method == "PUT" && self.body.is_empty() {
            request = request.header("content-length", "0");
        }
        for (name, value) in &self.headers {
            request = request.header(name, http::HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        let response =
            sender.send_request(request.body(Full::new(self.body)).unwrap()).await.expect("an answer's head");
        let reply = Reply::of(response).await;
        drop(sender);
        running.abort();
        reply
    }

    /// The request's head as bytes, for bodies that no honest client sends. `length` is what Content-Length says.
    pub fn head_bytes(&self, length: Option<u64>) -> Vec<u8> {
        let query: Vec<String> = self.query.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let mut head = format!("{} {}?{} HTTP/1.1\r\n", self.method, self.path, query.join("&"));
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        if let Some(length) = length {
            head.push_str(&format!("content-length: {length}\r\n"));
        }
        head.push_str("\r\n");
        head.into_bytes()
    }
}

/// Sends bytes as they are, ends the sending side if asked, and reads what comes until the server ends.
pub async fn raw(at: SocketAddr, bytes: &[u8], ends: bool) -> String {
    let mut stream = TcpStream::connect(at).await.expect("the front listens");
    stream.write_all(bytes).await.expect("the front reads");
    if ends {
        stream.shutdown().await.expect("still connected");
    }
    let mut answer = Vec::new();
    // A reset after the answer is how a server ends a connection whose request it did not read to its end.
    let _ended = stream.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}

#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub headers: http::HeaderMap,
    pub body: Bytes,
    /// False: the connection was cut inside the body.
    pub whole: bool,
}

impl Reply {
    pub async fn of(response: http::Response<hyper::body::Incoming>) -> Reply {
        let (parts, mut body) = response.into_parts();
        let mut bytes = Vec::new();
        let mut whole = true;
        while let Some(frame) = body.frame().await {
            match frame {
                Ok(frame) => bytes.extend_from_slice(frame.data_ref().map_or(&[][..], |data| data)),
                Err(_) => {
                    whole = false;
                    break;
                }
            }
        }
        Reply { status: parts.status.as_u16(), headers: parts.headers, body: bytes.into(), whole }
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn header(&self, name: &str) -> String {
        self.headers.get(name).map_or_else(String::new, |value| String::from_utf8_lossy(value.as_bytes()).into_owned())
    }

    /// Every value of an XML element, in order.
    pub fn all(&self, element: &str) -> Vec<String> {
        let (open, close) = (format!("<{element}>"), format!("</{element}>"));
        let text = self.text();
        let pieces = text.split(&open).skip(1).filter_map(|rest| rest.split_once(&close));
        pieces.map(|(value, _)| value.to_owned()).collect()
    }

    pub fn element(&self, name: &str) -> String {
        self.all(name).into_iter().next().unwrap_or_default()
    }

    /// The status, and the error's code where there is one: `404 NoSuchKey`.
    pub fn said(&self) -> String {
        let code = self.element("Code");
        if code.is_empty() { self.status.to_string() } else { format!("{} {code}", self.status) }
    }
}
