//! Bodies that are slow, break off, stand still or lie.

use super::switch::{Hold, Over};
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

async fn ends(over: &mut Option<Over>) {
    match over {
        Some(over) => over.wait().await,
        None => std::future::pending().await,
    }
}

/// A body at a pace is handed on in pieces of so much time: nobody takes it for one that stands still.
const PIECES_PER_SECOND: u64 = 10;

/// At this pace until the setting is over, and then as fast as it comes; None: to its end.
pub(super) fn paced(bytes: ByteStream, pace: u64, over: Option<Over>) -> ByteStream {
    let piece = (pace / PIECES_PER_SECOND).clamp(1, usize::MAX as u64) as usize;
    let state = (bytes, Bytes::new(), over, false);
    stream::unfold(state, move |(mut bytes, mut rest, mut over, mut is_over)| async move {
        if rest.is_empty() {
            match bytes.next().await? {
                Ok(chunk) => rest = chunk,
                Err(error) => return Some((Err(error), (bytes, rest, over, is_over))),
            }
        }
        let next = if is_over { std::mem::take(&mut rest) } else { rest.split_to(piece.min(rest.len())) };
        if !is_over {
            tokio::select! {
                biased;
                () = ends(&mut over) => is_over = true,
                () = sleep(time_for(next.len(), pace)) => {}
            }
        }
        Some((Ok(next), (bytes, rest, over, is_over)))
    })
    .boxed()
}

pub(super) fn paced_body(body: Body, pace: u64, over: Option<Over>) -> Body {
    let len = body.len();
    let bytes = match body {
        Body::Whole(bytes) | Body::Shared(Shared { bytes, .. }) => stream::iter([Ok(bytes)]).boxed(),
        Body::Stream { bytes, .. } => bytes,
    };
    Body::Stream { len, bytes: paced(bytes, pace, over) }
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
