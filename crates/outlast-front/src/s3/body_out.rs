//! Bytes on their way out. An error in them cuts the connection: hyper drops it instead of ending the body as if whole.

use bytes::Bytes;
use futures_util::Stream;
use futures_util::stream::BoxStream;
use outlast_engine::ReadError;
use s3s::StdError;
use s3s::dto::StreamingBlob;
use s3s::stream::{ByteStream, RemainingLength};
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll};

type Source = BoxStream<'static, Result<Bytes, ReadError>>;

/// The engine's stream as s3s wants it: `Sync`, and with its exact length, so that a short body is noticed by hyper too.
struct Outgoing {
    /// Never locked while it runs: s3s polls it through `&mut`. The lock is what makes it `Sync`.
    source: Mutex<Source>,
    left: u64,
}

pub fn blob(source: Source, len: u64) -> StreamingBlob {
    StreamingBlob::new(Outgoing { source: Mutex::new(source), left: len })
}

impl Stream for Outgoing {
    type Item = Result<Bytes, StdError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let source = self.source.get_mut().unwrap_or_else(PoisonError::into_inner);
        let polled = source.as_mut().poll_next(cx);
        polled.map(|item| match item {
            Some(Ok(bytes)) => {
                self.left = self.left.saturating_sub(bytes.len() as u64);
                Some(Ok(bytes))
            }
            Some(Err(fault)) => {
                tracing::warn!("a body is cut with {} bytes to go: {fault}", self.left);
                Some(Err(Box::new(fault) as StdError))
            }
            None if self.left > 0 => {
                let left = self.left;
                Some(Err(std::io::Error::other(format!("the body ended {left} bytes early")).into()))
            }
            None => None,
        })
    }
}

impl ByteStream for Outgoing {
    fn remaining_length(&self) -> RemainingLength {
        usize::try_from(self.left).map_or_else(|_| RemainingLength::unknown(), RemainingLength::new_exact)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::StreamExt;

    fn parts(items: Vec<Result<&'static str, ReadError>>) -> Source {
        futures_util::stream::iter(items).map(|item| item.map(|text| Bytes::from_static(text.as_bytes()))).boxed()
    }

    #[tokio::test]
    async fn an_error_stays_an_error_and_an_early_end_becomes_one() {
        let mut whole = blob(parts(vec![Ok("ab"), Ok("c")]), 3);
        assert_eq!(whole.remaining_length().exact(), Some(3));
        assert_eq!(whole.next().await.and_then(Result::ok), Some(Bytes::from_static(b"ab")));
        assert_eq!(whole.next().await.and_then(Result::ok), Some(Bytes::from_static(b"c")));
        assert!(whole.next().await.is_none());

        let mut cut = blob(parts(vec![Ok("ab"), Err(ReadError::NoHolder("b2 is down".into()))]), 3);
        assert!(matches!(cut.next().await, Some(Ok(_))));
        assert!(matches!(cut.next().await, Some(Err(_))));

        let mut early = blob(parts(vec![Ok("ab")]), 3);
        assert!(matches!(early.next().await, Some(Ok(_))));
        assert!(matches!(early.next().await, Some(Err(_))));
    }
}
