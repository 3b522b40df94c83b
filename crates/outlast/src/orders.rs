//! Long work asked of the running gateway: one JSON line per step of progress, then a report or an error.

use crate::asking::AskError;
use bytes::{Buf, Bytes, BytesMut};
use http_body_util::{BodyExt, Full};
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::TcpStream;

/// A gateway at work says so every 20 seconds, at the least by an empty line; one that says nothing for so long is not well.
const SILENCE_MAX: Duration = Duration::from_secs(300);

/// How far the gateway says it is.
#[derive(Debug, Clone, Deserialize)]
pub struct Progress {
    pub store: String,
    pub objects: u64,
    pub bytes: u64,
    pub of_objects: u64,
    pub of_bytes: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Line<T> {
    Progress(Progress),
    Report(T),
    Wrong(String),
    Error(String),
}

/// Posts the order and hands every line of progress to `tell` until the report comes.
///
/// # Errors
/// Nobody listens, the gateway refuses in words, or the answer was cut before its report.
pub async fn give<T: DeserializeOwned>(
    admin: SocketAddr,
    path: &str,
    order: serde_json::Value,
    mut tell: impl FnMut(&Progress),
) -> Result<T, AskError> {
    let bad = |why: String| AskError::Bad(format!("{admin}{path}: {why}"));
    let stream = match TcpStream::connect(admin).await {
        Ok(stream) => stream,
        Err(error) if error.kind() == std::io::ErrorKind::ConnectionRefused => return Err(AskError::NotRunning),
        Err(error) => return Err(bad(error.to_string())),
    };
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|error| bad(error.to_string()))?;
    let driver = tokio::spawn(connection);
    let request = Request::post(path)
        .header("host", admin.to_string())
        .header("content-type", "application/json")
        .body(Full::new(Bytes::from(order.to_string())))
        .map_err(|error| bad(error.to_string()))?;
    let answer = sender.send_request(request).await.map_err(|error| bad(error.to_string()))?;
    let status = answer.status();
    let mut body = answer.into_body();
    if !status.is_success() {
        let said = body.collect().await.map_err(|error| bad(error.to_string()))?.to_bytes();
        let said = String::from_utf8_lossy(&said).trim().to_owned();
        return Err(match status {
            StatusCode::BAD_REQUEST | StatusCode::NOT_FOUND if !said.is_empty() => AskError::Wrong(said),
            _ => bad(format!("{status}: {said}")),
        });
    }
    let mut held = BytesMut::new();
    loop {
        while let Some(end) = held.iter().position(|byte| *byte == b'\n') {
            let line = held.split_to(end);
            held.advance(1);
            if line.is_empty() {
                // The work goes on, and has nothing to tell.
                continue;
            }
            match serde_json::from_slice(&line).map_err(|error| bad(format!("not understood: {error}")))? {
                Line::Progress(progress) => tell(&progress),
                Line::Report(report) => {
                    driver.abort();
                    return Ok(report);
                }
                Line::Wrong(words) => return Err(AskError::Wrong(words)),
                Line::Error(words) => return Err(AskError::Bad(words)),
            }
        }
        let frame =
            tokio::time::timeout(SILENCE_MAX, body.frame()).await.map_err(|_| bad("no word for too long".into()))?;
        match frame {
            None => return Err(bad("the answer ended without its report".into())),
            Some(Err(error)) => return Err(bad(error.to_string())),
            Some(Ok(frame)) => held.extend_from_slice(&frame.into_data().unwrap_or_default()),
        }
    }
}
