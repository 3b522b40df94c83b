//! One connection that stays open, and answers that are whole or are errors.

use super::ask::Ask;
use super::outgoing::Outgoing;
use super::signature::{Account, PAYLOAD};
use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body::Body;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

/// Longer than any honest answer here, commit deadlines included: whoever waits longer has found something.
const ANSWER_WAIT: Duration = Duration::from_secs(60);

/// Why there is no whole answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lost {
    /// No connection came about: nothing was asked.
    NotSent(String),
    /// The request may have been carried out.
    NoAnswer(String),
    /// Nothing came for so long that the client gave up.
    Silence,
}

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Lost::NotSent(why) => write!(f, "no connection: {why}"),
            Lost::NoAnswer(why) => write!(f, "no whole answer: {why}"),
            Lost::Silence => write!(f, "no answer for as long as the client waits"),
        }
    }
}

/// A whole answer.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Answer {
    pub fn is_good(&self) -> bool {
        (200..300).contains(&self.status)
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// With its quotes, as a header or an element of Complete wants it.
    pub fn etag(&self) -> Option<&str> {
        self.headers.get("etag")?.to_str().ok()
    }

    /// The text between `<name>` and `</name>`, where it is first found.
    pub fn element(&self, name: &str) -> Option<String> {
        let text = self.text();
        let (_, rest) = text.split_once(&format!("<{name}>"))?;
        rest.split_once(&format!("</{name}>")).map(|(inside, _)| inside.to_owned())
    }
}

/// One client with one connection; it is made when it is needed and made anew after it broke, but nothing is sent twice.
pub struct Connection {
    address: String,
    account: Arc<Account>,
    sender: Option<SendRequest<Outgoing>>,
    patience: Duration,
}

impl Connection {
    /// `address` as `127.0.0.1:9000`.
    pub fn new(address: &str, account: &Arc<Account>) -> Connection {
        Connection { address: address.to_owned(), account: account.clone(), sender: None, patience: ANSWER_WAIT }
    }

    /// Waits so long for an answer, its own body's way included: for clients that are slow themselves.
    pub fn patient(self, patience: Duration) -> Connection {
        Connection { patience, ..self }
    }

    /// Signed and ready: what a bench does before it looks at the clock.
    pub fn prepare(&self, mut ask: Ask) -> Request<Outgoing> {
        ask.query.sort_unstable();
        let query = ask.query.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("&");
        let (date, authorization) =
            self.account.sign(ask.method.as_str(), &self.address, &ask.path, &query, &ask.headers);
        let uri = if query.is_empty() { ask.path } else { format!("{}?{query}", ask.path) };
        let is_empty_put = ask.method == http::Method::PUT && ask.body.is_end_stream();
        let mut request = Request::builder().method(ask.method).uri(uri).header("host", &self.address);
        // hyper leaves it out where there is no body, and S3 wants it of every PUT.
        if is_empty_put {
            request = request.header("content-length", "0");
        }
        for (name, value) in ask.headers {
            request = request.header(name, value);
        }
        request
            .header("x-amz-content-sha256", PAYLOAD)
            .header("x-amz-date", date)
            .header("authorization", authorization)
            .body(ask.body)
            .expect("paths are encoded and headers are ours")
    }

    /// Opens the connection if there is none.
    ///
    /// # Errors
    /// Nobody listens.
    pub async fn connect(&mut self) -> Result<&mut SendRequest<Outgoing>, Lost> {
        let usable = match &mut self.sender {
            Some(sender) => sender.ready().await.is_ok(),
            None => false,
        };
        if !usable {
            self.sender = Some(self.dial().await?);
        }
        Ok(self.sender.as_mut().expect("it was just set"))
    }

    async fn dial(&self) -> Result<SendRequest<Outgoing>, Lost> {
        let not_sent = |error: &dyn fmt::Display| Lost::NotSent(error.to_string());
        let stream = TcpStream::connect(&self.address).await.map_err(|error| not_sent(&error))?;
        stream.set_nodelay(true).map_err(|error| not_sent(&error))?;
        let (sender, driver) = handshake(TokioIo::new(stream)).await.map_err(|error| not_sent(&error))?;
        tokio::spawn(async move {
            // What went wrong with it is told to whoever waits for its answer.
            driver.await.ok();
        });
        Ok(sender)
    }

    /// The head of the answer, with its body still to be read.
    ///
    /// # Errors
    /// Nothing, or no head, came back.
    pub async fn open(&mut self, request: Request<Outgoing>) -> Result<Response<Incoming>, Lost> {
        let patience = self.patience;
        let sender = self.connect().await?;
        match timeout(patience, sender.send_request(request)).await {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(error)) => {
                self.sender = None;
                Err(Lost::NoAnswer(error.to_string()))
            }
            Err(_) => {
                self.sender = None;
                Err(Lost::Silence)
            }
        }
    }

    /// The whole answer.
    ///
    /// # Errors
    /// There is none, or it was cut.
    pub async fn exchange(&mut self, request: Request<Outgoing>) -> Result<Answer, Lost> {
        let (head, body) = self.open(request).await?.into_parts();
        let body = match timeout(self.patience, body.collect()).await {
            Ok(Ok(body)) => body.to_bytes(),
            Ok(Err(error)) => {
                self.sender = None;
                return Err(Lost::NoAnswer(format!("the body was cut: {error}")));
            }
            Err(_) => {
                self.sender = None;
                return Err(Lost::Silence);
            }
        };
        Ok(Answer { status: head.status.as_u16(), headers: head.headers, body })
    }

    /// Reads a body to its end and keeps nothing of it, with a pause after each piece of at least `piece` bytes: how many
    /// bytes came.
    ///
    /// # Errors
    /// No success, no answer, or one that was cut.
    pub async fn drain(&mut self, request: Request<Outgoing>, pause: Option<(usize, Duration)>) -> Result<u64, Lost> {
        let (head, mut body) = self.open(request).await?.into_parts();
        if !head.status.is_success() {
            return Err(Lost::NoAnswer(format!("status {}", head.status)));
        }
        let (mut bytes, mut since) = (0, 0);
        loop {
            match timeout(self.patience, body.frame()).await {
                Ok(None) => return Ok(bytes),
                Ok(Some(Ok(frame))) => {
                    let len = frame.data_ref().map_or(0, Bytes::len);
                    bytes += len as u64;
                    since += len;
                }
                Ok(Some(Err(error))) => {
                    self.sender = None;
                    return Err(Lost::NoAnswer(format!("the body was cut after {bytes} bytes: {error}")));
                }
                Err(_) => {
                    self.sender = None;
                    return Err(Lost::Silence);
                }
            }
            if let Some((piece, pause)) = pause
                && since >= piece
            {
                since = 0;
                sleep(pause).await;
            }
        }
    }

    /// Signs, asks, and reads the whole answer.
    ///
    /// # Errors
    /// There is none, or it was cut.
    pub async fn ask(&mut self, ask: Ask) -> Result<Answer, Lost> {
        let request = self.prepare(ask);
        self.exchange(request).await
    }
}
