//! A body that we hold whole, in memory or in a file, and can send as often as it takes.

use crate::aside::aside;
use bytes::Bytes;
use futures_util::StreamExt;
use outlast_store::{Body, ByteStream, Shared};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::sync::OwnedSemaphorePermit;

/// Bytes read from a file at a time: large enough that the hop to a blocking thread does not count.
const FILE_CHUNK: u64 = 512 * 1024;

/// A file that goes away with its last user, unless the spool keeps it.
#[derive(Debug)]
pub struct HeldFile {
    pub file: File,
    pub path: PathBuf,
    pub keep: std::sync::atomic::AtomicBool,
    /// Room of the spool that this file may take while it lives; given back with it.
    pub room: Option<(Arc<std::sync::atomic::AtomicU64>, u64)>,
}

impl Drop for HeldFile {
    fn drop(&mut self) {
        if let Some((used, len)) = &self.room {
            used.fetch_sub(*len, std::sync::atomic::Ordering::Relaxed);
        }
        if !self.keep.load(std::sync::atomic::Ordering::Acquire) {
            // Left over at worst until the next start, which empties the folder.
            std::fs::remove_file(&self.path).ok();
        }
    }
}

/// Cheap to clone; the memory permit is given back with the last clone.
#[derive(Debug, Clone)]
pub enum Held {
    Memory {
        shared: Shared,
        _permit: Option<Arc<OwnedSemaphorePermit>>,
    },
    File {
        file: Arc<HeldFile>,
        len: u64,
    },
    /// The parts of an upload, one after the other.
    Chain {
        pieces: Arc<Vec<Held>>,
        len: u64,
    },
}

impl Held {
    #[cfg(test)]
    pub fn memory(bytes: Bytes) -> Held {
        Held::Memory { shared: Shared::new(bytes), _permit: None }
    }

    pub fn chain(pieces: Vec<Held>) -> Held {
        let len = pieces.iter().map(Held::len).sum();
        Held::Chain { pieces: Arc::new(pieces), len }
    }

    /// Writes the whole body; blocks.
    pub fn write_to(&self, out: &mut impl io::Write) -> io::Result<()> {
        match self {
            Held::Memory { shared, .. } => out.write_all(&shared.bytes),
            Held::File { file, .. } => {
                let mut reader = File::open(&file.path)?;
                io::copy(&mut reader, out).map(drop)
            }
            Held::Chain { pieces, .. } => pieces.iter().try_for_each(|piece| piece.write_to(out)),
        }
    }

    pub fn len(&self) -> u64 {
        match self {
            Held::Memory { shared, .. } => shared.bytes.len() as u64,
            Held::File { len, .. } | Held::Chain { len, .. } => *len,
        }
    }

    pub fn body(&self) -> Body {
        match self {
            Held::Memory { shared, .. } => Body::Shared(shared.clone()),
            Held::File { len, .. } | Held::Chain { len, .. } => Body::Stream { len: *len, bytes: self.stream(0, *len) },
        }
    }

    /// `start..end` of the body.
    pub fn stream(&self, start: u64, end: u64) -> ByteStream {
        match self {
            Held::Memory { shared, .. } => {
                let piece = shared.bytes.slice(start as usize..end as usize);
                futures_util::stream::once(async move { Ok(piece) }).boxed()
            }
            Held::File { file, .. } => file_stream(file.clone(), start, end),
            Held::Chain { pieces, .. } => {
                let mut from = 0;
                let mut streams = Vec::new();
                for piece in pieces.iter() {
                    let (first, last) = (start.max(from), end.min(from + piece.len()));
                    if first < last {
                        streams.push(piece.stream(first - from, last - from));
                    }
                    from += piece.len();
                }
                futures_util::stream::iter(streams).flatten().boxed()
            }
        }
    }
}

/// Reads a file on blocking threads, one chunk ahead of nobody: memory is one chunk per stream.
pub fn file_stream(file: Arc<HeldFile>, start: u64, end: u64) -> ByteStream {
    futures_util::stream::unfold((file, start), move |(file, at)| async move {
        if at >= end {
            return None;
        }
        let want = FILE_CHUNK.min(end - at) as usize;
        let reader = file.clone();
        let read = aside(move || {
            let mut chunk = vec![0; want];
            reader.file.read_exact_at(&mut chunk, at).map(|()| Bytes::from(chunk))
        })
        .await
        .unwrap_or_else(|join| Err(io::Error::other(join)));
        let next = read.as_ref().map_or(end, |chunk| at + chunk.len() as u64);
        Some((read, (file, next)))
    })
    .boxed()
}
