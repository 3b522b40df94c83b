//! Asks the running gateway through its admin address.

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::Request;
use hyper_util::rt::TokioIo;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::TcpStream;

/// The gateway answers from memory and its ledger; whoever needs longer is not well.
const ANSWER_MAX: Duration = Duration::from_secs(10);

/// Why there was no answer.
#[derive(Debug)]
pub enum AskError {
    /// Nobody listens there.
    NotRunning,
    /// It says that what was asked for is not there or cannot be; in words. Nothing was begun.
    Wrong(String),
    /// Somebody does, and the answer is not what was asked for; in words.
    Bad(String),
}

/// The body of a 200 answer.
///
/// # Errors
/// Nobody listens, or no good answer came within `ANSWER_MAX`.
pub async fn get(admin: SocketAddr, path: &str) -> Result<Bytes, AskError> {
    let ask = async {
        let stream = match TcpStream::connect(admin).await {
            Ok(stream) => stream,
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionRefused => return Err(AskError::NotRunning),
            Err(error) => return Err(AskError::Bad(format!("{admin}: {error}"))),
        };
        let bad = |error: hyper::Error| AskError::Bad(format!("{admin}{path}: {error}"));
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(bad)?;
        let driver = tokio::spawn(connection);
        let request = Request::get(path)
            .header("host", admin.to_string())
            .body(Empty::<Bytes>::new())
            .map_err(|error| AskError::Bad(error.to_string()))?;
        let answer = sender.send_request(request).await.map_err(bad)?;
        let status = answer.status();
        let body = answer.into_body().collect().await.map_err(bad)?.to_bytes();
        driver.abort();
        if status.is_success() {
            return Ok(body);
        }
        let said = String::from_utf8_lossy(&body).trim().to_owned();
        Err(AskError::Bad(format!("{admin}{path} answers {status}: {said}")))
    };
    match tokio::time::timeout(ANSWER_MAX, ask).await {
        Ok(answer) => answer,
        Err(_) => Err(AskError::Bad(format!("{admin}{path}: no answer within {} s", ANSWER_MAX.as_secs()))),
    }
}
