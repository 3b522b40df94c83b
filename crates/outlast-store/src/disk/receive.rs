//! A body on its way from the network to a file: no thread waits for a slow sender, and memory stays bounded.

use super::write::Temp;
use crate::refusal::Refusal;
use crate::{Applied, Body, Fault, Shared};
use bytes::Bytes;
use futures_util::StreamExt;

/// So much is gathered before a thread is asked to write it: a few visits per body, a bounded buffer per sender.
const GATHER_BYTES: usize = 1024 * 1024;

/// The whole body in the file, its length checked; or an error, and the file is gone.
pub(crate) async fn into(mut temp: Temp, body: Body) -> Result<Temp, Refusal> {
    let (len, mut stream) = match body {
        Body::Whole(bytes) | Body::Shared(Shared { bytes, .. }) => return write(temp, vec![bytes]).await,
        Body::Stream { len, bytes } => (len, bytes),
    };
    let mut gathered = Vec::new();
    let (mut waiting, mut got) = (0, 0);
    while let Some(chunk) = stream.next().await {
        let chunk = chunk.map_err(|e| Refusal::body(format!("the body broke off: {e}")))?;
        got += chunk.len() as u64;
        if got > len {
            return Err(Refusal::long_body(len));
        }
        waiting += chunk.len();
        gathered.push(chunk);
        if waiting >= GATHER_BYTES {
            temp = write(temp, std::mem::take(&mut gathered)).await?;
            waiting = 0;
        }
    }
    if got < len {
        return Err(Refusal::short_body(got, len));
    }
    let temp = write(temp, gathered).await?;
    assert_eq!(temp.written(), len, "what was received was written");
    Ok(temp)
}

async fn write(mut temp: Temp, chunks: Vec<Bytes>) -> Result<Temp, Refusal> {
    blocking(move || {
        for chunk in chunks {
            temp.write(&chunk)?;
        }
        Ok(temp)
    })
    .await
}

/// Runs on a thread that may wait for the disk; it runs to its end even when nobody waits for it.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Refusal> + Send + 'static,
) -> Result<T, Refusal> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|stopped| {
        Err(Refusal {
            fault: Fault::Disk,
            applied: Applied::Unknown,
            status: None,
            code: None,
            message: format!("the call was stopped in the middle: {stopped}"),
        })
    })
}
