//! Bodies that are slow, break off, stand still or lie.

use super::switch::Hold;
use crate::{Body, ByteStream, Shared};
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use std::time::Duration;
use tokio::time::sleep;

pub(super) const BROKE: &str = "the connection broke";

/// How long so many bytes take at this pace.
fn time_for(bytes: usize, bytes_per_second: u64) -> Duration {
    Duration::from_secs_f64(bytes as f64 / bytes_per_second.max(1) as f64)
}

pub(super) fn paced(bytes: ByteStream, pace: u64) -> ByteStream {
    bytes
        .then(move |chunk| async move {
            if let Ok(chunk) = &chunk {
                sleep(time_for(chunk.len(), pace)).await;
            }
            chunk
        })
        .boxed()
}

pub(super) fn paced_body(body: Body, pace: u64) -> Body {
    let len = body.len();
    let bytes = match body {
        Body::Whole(bytes) | Body::Shared(Shared { bytes, .. }) => stream::iter([Ok(bytes)]).boxed(),
        Body::Stream { bytes, .. } => bytes,
    };
    Body::Stream { len, bytes: paced(bytes, pace) }
}

fn broken() -> std::io::Result<Bytes> {
    Err(std::io::Error::new(std::io::ErrorKind::ConnectionReset, BROKE))
}

/// A body that stands still and breaks off with the line.
pub(super) fn on_line(bytes: ByteStream, line: Hold, breaks: Hold) -> ByteStream {
    stream::unfold(Some((bytes, line, breaks)), |state| async {
        let (mut bytes, mut line, mut breaks) = state?;
        let chunk = tokio::select! {
            biased;
            () = breaks.breaks() => return Some((broken(), None)),
            chunk = async {
                line.flows().await;
                bytes.next().await
            } => chunk?,
        };
        Some((chunk, Some((bytes, line, breaks))))
    })
    .boxed()
}

pub(super) fn cut(bytes: ByteStream, after: u64) -> ByteStream {
    let state = Some((bytes, after));
    stream::unfold(state, move |state| async move {
        let (mut bytes, left) = state?;
        match bytes.next().await? {
            Ok(_) if left == 0 => Some((broken(), None)),
            Ok(chunk) if chunk.len() as u64 > left => {
                Some((Ok(chunk.slice(..left as usize)), Some((stream::once(async move { broken() }).boxed(), 1))))
            }
            Ok(chunk) => {
                let left = left - chunk.len() as u64;
                Some((Ok(chunk), Some((bytes, left))))
            }
            error => Some((error, None)),
        }
    })
    .boxed()
}

/// Ends after so many bytes as if there were no more.
pub(super) fn ended(bytes: ByteStream, after: u64) -> ByteStream {
    stream::unfold((bytes, after), move |(mut bytes, left)| async move {
        if left == 0 {
            return None;
        }
        let chunk = bytes.next().await?.map(|chunk| chunk.slice(..chunk.len().min(left as usize)));
        let left = left - chunk.as_ref().map_or(left, |chunk| chunk.len() as u64);
        Some((chunk, (bytes, left)))
    })
    .boxed()
}

/// Each chunk's first byte is another one.
pub(super) fn wrong(bytes: ByteStream) -> ByteStream {
    let spoil = |chunk: Bytes| {
        let mut chunk = chunk.to_vec();
        if let Some(first) = chunk.first_mut() {
            *first ^= 0x55;
        }
        Bytes::from(chunk)
    };
    bytes.map(move |chunk| chunk.map(spoil)).boxed()
}
