//! A peer that answers what it is told to: no real server misbehaves on demand.

use outlast_store::Timeouts;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// Long enough for an answer of this machine, short enough to wait for.
pub const PATIENCE: Duration = Duration::from_millis(300);

/// For clients of peers that say nothing.
pub fn impatience() -> Timeouts {
    Timeouts {
        connect: Duration::from_secs(5),
        write_idle: PATIENCE,
        first_byte: PATIENCE,
        read_idle: PATIENCE,
        request: Duration::from_secs(10),
    }
}

/// What the peer does once it has read what comes before.
#[derive(Debug, Clone)]
pub enum Act {
    /// Reads one request, its body included.
    Read,
    /// Reads one request's head only.
    ReadHead,
    Say(String),
    /// One byte at a time, each in a packet of its own.
    Drip(String),
    /// Keeps the connection and says nothing more.
    Hang,
    /// Ends the connection.
    Close,
}

/// Requests as they came over the wire.
pub type Heard = Arc<Mutex<Vec<(String, Vec<u8>)>>>;

/// A peer that plays the same script on each connection.
pub struct Script {
    pub endpoint: String,
    pub port: u16,
    pub heard: Heard,
    pub connections: Arc<Mutex<usize>>,
}

pub async fn play(acts: Vec<Act>) -> Script {
    start(acts, None).await
}

/// A peer that reads a request before each of these answers.
pub async fn answering(said: Vec<String>) -> Script {
    play(said.into_iter().flat_map(|text| [Act::Read, Act::Say(text)]).collect()).await
}

/// The same as `play` behind TLS.
pub async fn play_secure(acts: Vec<Act>, tls: TlsAcceptor) -> Script {
    start(acts, Some(tls)).await
}

async fn start(acts: Vec<Act>, tls: Option<TlsAcceptor>) -> Script {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let port = listener.local_addr().expect("a bound address").port();
    let heard: Heard = Arc::default();
    let connections: Arc<Mutex<usize>> = Arc::default();
    let (record, count) = (heard.clone(), connections.clone());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            *count.lock().expect("not poisoned") += 1;
            let (acts, record, tls) = (acts.clone(), record.clone(), tls.clone());
            tokio::spawn(async move {
                match tls {
                    None => perform(stream, acts, record).await,
                    // Whoever does not like our certificate goes away here.
                    Some(tls) => {
                        if let Ok(stream) = tls.accept(stream).await {
                            perform(stream, acts, record).await;
                        }
                    }
                }
            });
        }
    });
    Script { endpoint: format!("http://127.0.0.1:{port}"), port, heard, connections }
}

async fn perform<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S, acts: Vec<Act>, heard: Heard) {
    for act in acts {
        let done = match act {
            Act::Read => read(&mut stream, &heard, true).await,
            Act::ReadHead => read(&mut stream, &heard, false).await,
            Act::Say(text) => stream.write_all(text.as_bytes()).await.is_ok(),
            Act::Drip(text) => drip(&mut stream, &text).await,
            Act::Hang => std::future::pending().await,
            Act::Close => false,
        };
        if !done {
            return;
        }
    }
    std::future::pending::<()>().await;
}

async fn drip<S: AsyncWrite + Unpin>(stream: &mut S, text: &str) -> bool {
    for byte in text.as_bytes() {
        if stream.write_all(&[*byte]).await.is_err() {
            return false;
        }
        tokio::task::yield_now().await;
    }
    true
}

async fn read<S: AsyncRead + Unpin>(stream: &mut S, heard: &Heard, with_body: bool) -> bool {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => return false,
        }
    }
    let head = String::from_utf8(head).expect("our heads are ASCII");
    let length = header(&head, "content-length").and_then(|text| text.parse().ok()).unwrap_or(0);
    let mut body = vec![0; if with_body { length } else { 0 }];
    if stream.read_exact(&mut body).await.is_err() {
        return false;
    }
    heard.lock().expect("not poisoned").push((head, body));
    true
}

/// A header of a head as text.
pub fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().skip(1).find_map(|line| {
        let (found, value) = line.split_once(':')?;
        found.eq_ignore_ascii_case(name).then(|| value.trim())
    })
}

/// An answer with its length.
pub fn answer(status: &str, headers: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {}\r\n\r\n{body}", body.len())
}

pub fn error(status: &str, code: &str) -> String {
    answer(
        status,
        "x-amz-request-id: R1\r\n",
        &format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>words of {code}</Message></Error>"),
    )
}
