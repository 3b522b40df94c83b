//! A client's bytes on their way in: counted, and every way in which they can be wrong has a name.

use crate::chunks::NoLastChunk;
use futures_util::StreamExt;
use outlast_engine::{BodyFault, ClientBody, Declared};
use s3s::dto::StreamingBlob;
use s3s::stream::aws_chunked_stream::AwsChunkedStreamError;
use s3s::stream::upload_stream::UploadStreamError;
use s3s::{BodySizeLimitExceeded, S3Error, S3ErrorCode, S3Result};
use std::error::Error;
use std::io::ErrorKind;

/// S3's bound for one PUT or one part.
pub const BODY_BYTES_MAX: u64 = 5 * 1024 * 1024 * 1024;

/// The body with its declared length. MissingContentLength without one: we never guess where a body ends.
pub fn client_body(blob: Option<StreamingBlob>, len: Option<i64>, declared: Declared) -> S3Result<ClientBody> {
    let len = len.and_then(|len| u64::try_from(len).ok());
    let expected = len.ok_or_else(|| S3Error::new(S3ErrorCode::MissingContentLength))?;
    let Some(blob) = blob else {
        return Ok(ClientBody { len: expected, bytes: futures_util::stream::empty().boxed(), declared });
    };
    let mut got = 0;
    let bytes = blob.map(move |chunk| match chunk {
        Ok(bytes) => {
            got += bytes.len() as u64;
            Ok(bytes)
        }
        Err(error) => Err(fault(error.as_ref(), got, expected)),
    });
    Ok(ClientBody { len: expected, bytes: bytes.boxed(), declared })
}

/// s3s says these as errors of the stream; the innermost cause that we know decides.
fn fault(error: &(dyn Error + 'static), got: u64, expected: u64) -> BodyFault {
    let mut found = None;
    let mut cause = Some(error);
    while let Some(error) = cause {
        found = known(error, got, expected).or(found);
        cause = error.source();
    }
    found.unwrap_or_else(|| BodyFault::Gone(error.to_string()))
}

fn known(error: &(dyn Error + 'static), got: u64, expected: u64) -> Option<BodyFault> {
    let short = || BodyFault::Short { got, expected };
    if let Some(error) = error.downcast_ref::<UploadStreamError>() {
        return match error {
            UploadStreamError::Sha256Mismatch => Some(BodyFault::Sha256),
            UploadStreamError::LengthMismatch => Some(BodyFault::Long { expected }),
            UploadStreamError::Incomplete => Some(short()),
            UploadStreamError::Underlying(inner) => known(inner.as_ref(), got, expected),
        };
    }
    if let Some(error) = error.downcast_ref::<AwsChunkedStreamError>() {
        use AwsChunkedStreamError as Chunked;
        return match error {
            Chunked::SignatureMismatch => Some(BodyFault::ChunkSignature),
            Chunked::Incomplete => Some(short()),
            Chunked::LengthMismatch => Some(BodyFault::Long { expected }),
            Chunked::FormatError => Some(BodyFault::Framing("a chunk's head, end or trailer is malformed".into())),
            Chunked::ChunkDataTooLarge(size, max) => Some(BodyFault::Framing(format!(
                "a signed chunk of {size} bytes; at most {max} are held to be verified"
            ))),
            Chunked::ChunkMetaTooLarge(size, max) | Chunked::TrailersTooLarge(size, max) => {
                Some(BodyFault::Framing(format!("chunk head or trailer of {size} bytes; at most {max} are read")))
            }
            Chunked::TooManyTrailerHeaders(count, max) => {
                Some(BodyFault::Framing(format!("{count} trailers; at most {max} are read")))
            }
            Chunked::Underlying(inner) => known(inner.as_ref(), got, expected),
        };
    }
    if error.is::<NoLastChunk>() {
        return Some(if got < expected { short() } else { BodyFault::NoLastChunk });
    }
    if error.is::<BodySizeLimitExceeded>() {
        return Some(BodyFault::TooLarge { max: BODY_BYTES_MAX });
    }
    let wire = error.downcast_ref::<hyper::Error>()?;
    let kind = wire.source().and_then(|cause| cause.downcast_ref::<std::io::Error>()).map(std::io::Error::kind);
    Some(match kind {
        _ if wire.is_incomplete_message() => short(),
        Some(ErrorKind::UnexpectedEof) => short(),
        Some(ErrorKind::InvalidInput | ErrorKind::InvalidData) => BodyFault::Framing(chain(wire)),
        _ => BodyFault::Gone(chain(wire)),
    })
}

/// hyper keeps the reason in the source.
fn chain(error: &dyn Error) -> String {
    match error.source() {
        Some(source) => format!("{error}: {}", chain(source)),
        None => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    fn seen(error: impl Error + Send + Sync + 'static) -> BodyFault {
        let error: Box<dyn Error + Send + Sync> = Box::new(error);
        fault(error.as_ref(), 3, 10)
    }

    #[test]
    fn every_fault_of_the_wire_has_a_name() {
        use AwsChunkedStreamError as Chunked;
        let short = BodyFault::Short { got: 3, expected: 10 };
        assert_eq!(seen(UploadStreamError::Sha256Mismatch), BodyFault::Sha256);
        assert_eq!(seen(UploadStreamError::LengthMismatch), BodyFault::Long { expected: 10 });
        assert_eq!(seen(UploadStreamError::Incomplete), short);
        assert_eq!(
            seen(UploadStreamError::Underlying(Box::new(Chunked::SignatureMismatch))),
            BodyFault::ChunkSignature
        );
        assert_eq!(seen(Chunked::Incomplete), short);
        assert_eq!(seen(Chunked::Underlying(Box::new(NoLastChunk))), short);
        let whole = Chunked::Underlying(Box::new(NoLastChunk));
        assert_eq!(fault(&whole, 10, 10), BodyFault::NoLastChunk);
        assert_eq!(seen(Chunked::LengthMismatch), BodyFault::Long { expected: 10 });
        assert_eq!(seen(Chunked::SignatureMismatch), BodyFault::ChunkSignature);
        for framing in [Chunked::FormatError, Chunked::ChunkDataTooLarge(9, 8), Chunked::TooManyTrailerHeaders(9, 8)] {
            assert!(matches!(seen(framing), BodyFault::Framing(_)));
        }
        let nested = Chunked::Underlying(Box::new(Chunked::ChunkMetaTooLarge(9, 8)));
        assert!(matches!(seen(nested), BodyFault::Framing(_)));
        assert!(
            matches!(seen(std::io::Error::other("reset by peer")), BodyFault::Gone(words) if words.contains("reset"))
        );
    }

    #[tokio::test]
    async fn the_length_is_mandatory_and_an_absent_body_is_empty() {
        let missing = client_body(None, None, Declared::default()).err().expect("refused");
        assert_eq!(*missing.code(), S3ErrorCode::MissingContentLength);
        let mut empty = client_body(None, Some(0), Declared::default()).expect("an empty body is one");
        assert_eq!(empty.len, 0);
        assert_eq!(empty.bytes.next().await, None);
    }

    #[tokio::test]
    async fn bytes_pass_as_they_come() {
        let blob = StreamingBlob::from_bytes(Bytes::from_static(b"hello"));
        let body = client_body(Some(blob), Some(5), Declared::default()).expect("a body");
        let chunks: Vec<_> = body.bytes.collect().await;
        assert_eq!(chunks, [Ok(Bytes::from_static(b"hello"))]);
    }
}
