//! Request bodies on their way out: in small frames, bounded, counted, in signed chunks where the kind of store asks for them.

use crate::ByteStream;
use bytes::{Buf, Bytes, BytesMut};
use http_body::{Body as HttpBody, Frame, SizeHint};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, ready};
use tokio::time::Instant;

/// What one stream holds before it is signed and sent. S3 wants at least 8 KiB; more would only cost memory.
pub(crate) const CHUNK_BYTES: usize = 64 * 1024;
/// A body held whole goes to the socket in frames, so that progress can be seen.
const FRAME_BYTES: usize = 128 * 1024;

/// The line before a chunk's bytes, signature included; the chunk that ends the body is empty.
pub(crate) type ChunkHead = Box<dyn FnMut(&[u8]) -> String + Send>;

/// Who is waited for while a body goes out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// The store should take bytes.
    Sending,
    /// Our own source has none ready: no fault of the store.
    Source,
    /// All is handed over; the answer is due.
    Sent,
}

#[derive(Debug)]
struct Tally {
    phase: Phase,
    moved: Instant,
    source_error: Option<String>,
}

/// How far a body has come, seen by the body and by whoever watches the deadlines.
#[derive(Debug, Clone)]
pub(crate) struct Progress(Arc<Mutex<Tally>>);

impl Progress {
    pub fn new() -> Progress {
        Progress(Arc::new(Mutex::new(Tally { phase: Phase::Sending, moved: Instant::now(), source_error: None })))
    }

    fn tally(&self) -> MutexGuard<'_, Tally> {
        self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn enter(&self, phase: Phase) {
        let mut tally = self.tally();
        tally.phase = phase;
        tally.moved = Instant::now();
    }

    /// A connection is there: from now on the store is waited for.
    pub fn restart(&self) {
        self.enter(Phase::Sending);
    }

    /// The phase, and since when nothing has changed.
    pub fn seen(&self) -> (Phase, Instant) {
        let tally = self.tally();
        (tally.phase, tally.moved)
    }

    /// Why the source ended the body early, if it did.
    pub fn source_error(&self) -> Option<String> {
        self.tally().source_error.clone()
    }
}

enum Inner {
    Whole(Bytes),
    Stream { source: ByteStream, left: u64, last: Option<Bytes> },
    Chunked { source: ByteStream, left: u64, held: BytesMut, head_of: ChunkHead, ended: bool },
}

/// A request body of known length on the wire.
pub(crate) struct WireBody {
    inner: Inner,
    wire_left: u64,
    progress: Progress,
}

impl WireBody {
    pub fn whole(bytes: Bytes, progress: Progress) -> WireBody {
        let wire_left = bytes.len() as u64;
        if wire_left == 0 {
            progress.enter(Phase::Sent);
        }
        WireBody { inner: Inner::Whole(bytes), wire_left, progress }
    }

    pub fn stream(source: ByteStream, len: u64, progress: Progress) -> WireBody {
        WireBody { inner: Inner::Stream { source, left: len, last: None }, wire_left: len, progress }
    }

    /// `wire_len`: bytes of all chunks with their lines.
    pub fn chunked(source: ByteStream, len: u64, wire_len: u64, head_of: ChunkHead, progress: Progress) -> WireBody {
        let inner = Inner::Chunked { source, left: len, held: BytesMut::new(), head_of, ended: false };
        WireBody { inner, wire_left: wire_len, progress }
    }
}

fn broken(progress: &Progress, why: String) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
    progress.tally().source_error = Some(why.clone());
    Poll::Ready(Some(Err(std::io::Error::other(why))))
}

/// The next piece of the source, at most `left` bytes; None at its end. Errors say what the source did wrong.
fn pull(source: &mut ByteStream, left: &mut u64, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, String>> {
    loop {
        return match source.as_mut().poll_next(cx) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Some(Ok(bytes))) if bytes.is_empty() => continue,
            Poll::Ready(Some(Ok(bytes))) if bytes.len() as u64 > *left => {
                Poll::Ready(Err("the body goes on after its declared length".to_owned()))
            }
            Poll::Ready(Some(Ok(bytes))) => {
                *left -= bytes.len() as u64;
                Poll::Ready(Ok(Some(bytes)))
            }
            Poll::Ready(Some(Err(error))) => Poll::Ready(Err(format!("the body broke off: {error}"))),
            Poll::Ready(None) if *left > 0 => Poll::Ready(Err(format!("the body ended {left} bytes early"))),
            Poll::Ready(None) => Poll::Ready(Ok(None)),
        };
    }
}

impl Inner {
    /// The next bytes for the wire; None when all are out.
    fn next(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, String>> {
        match self {
            Inner::Whole(bytes) if bytes.is_empty() => Poll::Ready(Ok(None)),
            Inner::Whole(bytes) => Poll::Ready(Ok(Some(bytes.split_to(bytes.len().min(FRAME_BYTES))))),
            Inner::Stream { source, left, last } => loop {
                let piece = ready!(pull(source, left, cx))?;
                match piece {
                    // Held back until the source has ended well: hyper stops asking at the declared length.
                    Some(piece) if *left == 0 => *last = Some(piece),
                    Some(piece) => return Poll::Ready(Ok(Some(piece))),
                    None => return Poll::Ready(Ok(last.take())),
                }
            },
            Inner::Chunked { source, left, held, head_of, ended } => {
                while held.len() < CHUNK_BYTES && !*ended {
                    match ready!(pull(source, left, cx))? {
                        None => *ended = true,
                        Some(bytes) => held.extend_from_slice(&bytes),
                    }
                }
                Poll::Ready(Ok(Some(framed(held, head_of))))
            }
        }
    }
}

fn framed(held: &mut BytesMut, head_of: &mut ChunkHead) -> Bytes {
    let chunk = held.split_to(held.len().min(CHUNK_BYTES));
    let line = head_of(&chunk);
    let mut out = BytesMut::with_capacity(line.len() + chunk.len() + 2);
    out.extend_from_slice(line.as_bytes());
    out.extend_from_slice(&chunk);
    out.extend_from_slice(b"\r\n");
    out.freeze()
}

impl HttpBody for WireBody {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
        let body = self.get_mut();
        if body.wire_left == 0 {
            return Poll::Ready(None);
        }
        match body.inner.next(cx) {
            Poll::Pending => {
                body.progress.enter(Phase::Source);
                Poll::Pending
            }
            Poll::Ready(Ok(Some(bytes))) => {
                body.wire_left = body.wire_left.saturating_sub(bytes.remaining() as u64);
                body.progress.enter(if body.wire_left == 0 { Phase::Sent } else { Phase::Sending });
                Poll::Ready(Some(Ok(Frame::data(bytes))))
            }
            Poll::Ready(Ok(None)) => broken(&body.progress, "the body ended early".to_owned()),
            Poll::Ready(Err(why)) => broken(&body.progress, why),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.wire_left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.wire_left)
    }
}
