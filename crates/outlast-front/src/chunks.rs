//! A chunked body ends with an empty chunk. s3s takes the end of the connection for it; here the end must have been said.

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use s3s::StdError;
use std::pin::Pin;
use std::task::{Context, Poll};

/// A chunk's size needs 16 digits at most; longer heads are s3s's to refuse.
const SIZE_DIGITS_MAX: usize = 16;

/// The body ended and its last, empty chunk had not come: what a signature covers is not complete.
#[derive(Debug, thiserror::Error)]
#[error("the chunked body ended without its last, empty chunk")]
pub struct NoLastChunk;

/// Passes bytes through and follows their framing. What is malformed passes too: s3s reads the same bytes and says why.
pub struct Chunked {
    inner: s3s::Body,
    framing: Framing,
    is_over: bool,
}

impl Chunked {
    pub fn new(inner: s3s::Body) -> Chunked {
        Chunked { inner, framing: Framing::default(), is_over: false }
    }
}

impl Body for Chunked {
    type Data = Bytes;
    type Error = StdError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, StdError>>> {
        if self.is_over {
            return Poll::Ready(None);
        }
        let polled = Pin::new(&mut self.inner).poll_frame(cx);
        match &polled {
            Poll::Ready(Some(Ok(frame))) => {
                if let Some(bytes) = frame.data_ref() {
                    self.framing.follow(bytes);
                }
            }
            Poll::Ready(None) if !self.framing.has_ended() => {
                self.is_over = true;
                return Poll::Ready(Some(Err(Box::new(NoLastChunk))));
            }
            _ => {}
        }
        polled
    }

    fn size_hint(&self) -> SizeHint {
        Body::size_hint(&self.inner)
    }
}

/// Where in the framing the next byte lies.
#[derive(Debug)]
enum Framing {
    /// In a chunk's first line; its size so far, and whether digits still come.
    Head { size: u64, digits: usize, in_size: bool },
    /// So many bytes of the chunk and of the line end after it are still to come.
    Data(u64),
    /// The empty chunk's line was read: trailers, or nothing more.
    Ended,
    /// No framing that we understand: s3s refuses it.
    Lost,
}

impl Default for Framing {
    fn default() -> Framing {
        Framing::Head { size: 0, digits: 0, in_size: true }
    }
}

impl Framing {
    fn has_ended(&self) -> bool {
        matches!(self, Framing::Ended | Framing::Lost)
    }

    fn follow(&mut self, mut bytes: &[u8]) {
        while let Some((&first, rest)) = bytes.split_first() {
            match self {
                Framing::Ended | Framing::Lost => return,
                Framing::Data(left) => {
                    let skipped = usize::try_from(*left).map_or(bytes.len(), |left| left.min(bytes.len()));
                    *left -= skipped as u64;
                    bytes = &bytes[skipped..];
                    if *left == 0 {
                        *self = Framing::default();
                    }
                }
                Framing::Head { size, digits, in_size } => {
                    bytes = rest;
                    match (first, char::from(first).to_digit(16)) {
                        (b'\n', _) if *digits == 0 => *self = Framing::Lost,
                        (b'\n', _) if *size == 0 => *self = Framing::Ended,
                        (b'\n', _) => *self = Framing::Data(size.saturating_add(2)),
                        (_, Some(digit)) if *in_size && *digits < SIZE_DIGITS_MAX => {
                            *size = *size << 4 | u64::from(digit);
                            *digits += 1;
                        }
                        (_, Some(_)) if *in_size => *self = Framing::Lost,
                        _ => *in_size = false,
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod fuzz;

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt;

    fn ends(text: &str, step: usize) -> bool {
        let mut framing = Framing::default();
        text.as_bytes().chunks(step).for_each(|piece| framing.follow(piece));
        framing.has_ended()
    }

    #[test]
    fn only_the_empty_chunk_is_an_end() {
        for step in [1, 2, 3, 1000] {
            assert!(ends("5;chunk-signature=00\r\nhello\r\n0;chunk-signature=00\r\n\r\n", step));
            assert!(ends("5\r\nhello\r\n0\r\nx-amz-checksum-crc32:AA\r\n\r\n", step));
            assert!(ends("0;chunk-signature=00\r\n\r\n", step), "an empty body");
            assert!(ends("1a\r\nabcdefghijklmnopqrstuvwxyz\r\n0\r\n", step), "sizes are hexadecimal");
            for early in ["", "5\r\nhello\r\n", "5\r\nhel", "5\r\nhello\r\n0", "5\r\nhello\r\n0;chunk-signature=0"] {
                assert!(!ends(early, step), "{early:?}");
            }
            assert!(!ends("18\r\n0;chunk-signature=00\r\n\r\n\r\n", step), "the bytes of an object are no framing");
            for lost in ["junk\r\n", "00000000000000000\r\n"] {
                assert!(ends(lost, step), "s3s says what is wrong with {lost:?}");
            }
        }
    }

    #[tokio::test]
    async fn the_missing_end_is_an_error_after_all_bytes() {
        let mut body = Chunked::new(s3s::Body::from(Bytes::from_static(b"2\r\nhi\r\n")));
        let first = body.frame().await.and_then(Result::ok).and_then(|frame| frame.into_data().ok());
        assert_eq!(first, Some(Bytes::from_static(b"2\r\nhi\r\n")));
        let error = body.frame().await.and_then(Result::err).expect("it has not ended");
        assert!(error.is::<NoLastChunk>());
        assert!(body.frame().await.is_none());
    }
}
