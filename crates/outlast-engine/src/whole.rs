//! All bytes of one store's copy, read for what they are: where nothing else tells whether two copies are the same.

use crate::digest::hex;
use crate::seats::Seat;
use futures_util::StreamExt;
use md5::{Digest, Md5};
use outlast_rules::OpClass;
use outlast_store::{Answer, At, Fault, Found, StoreError};
use std::time::Duration;

pub(crate) struct WholeDigests {
    /// In hexadecimal, as ETags have it.
    pub md5: String,
    pub blake3: [u8; 32],
}

impl Seat {
    /// Of the very copy that was found, as a stream: memory holds a piece of it.
    ///
    /// # Errors
    /// It is not there any more, or its bytes did not come to their end.
    pub(crate) async fn digests_of(&self, at: &At, found: &Found) -> Answer<WholeDigests> {
        let (_, mut bytes) = self.watched(OpClass::Read, self.store.get(at, Some(&found.pin), None)).await?;
        let (mut md5, mut blake3, mut len) = (Md5::new(), blake3::Hasher::new(), 0);
        let broken = |message: String| StoreError {
            fault: Fault::Broken,
            message,
            ..self.silence(&format!("read {}/{}", at.bucket, at.key), Duration::ZERO)
        };
        while let Some(piece) = bytes.next().await {
            let piece = piece.map_err(|error| broken(error.to_string()))?;
            md5.update(&piece);
            blake3.update(&piece);
            len += piece.len() as u64;
        }
        if len != found.size {
            return Err(broken(format!("{len} of {} bytes came", found.size)));
        }
        Ok(WholeDigests { md5: hex(&md5.finalize()), blake3: *blake3.finalize().as_bytes() })
    }
}
