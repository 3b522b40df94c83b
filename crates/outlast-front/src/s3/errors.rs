//! Which S3 error code is this? The only table from the engine's errors to S3's.

use http::StatusCode;
use outlast_engine::{BodyFault, BucketError, ReadError, UploadError, WriteError};
use outlast_rules::{NameError, Refusal};
use s3s::{S3Error, S3ErrorCode};

fn error(code: S3ErrorCode, words: impl Into<String>) -> S3Error {
    S3Error::with_message(code, words.into())
}

/// Codes that S3 has and s3s does not know.
fn custom(code: &'static str, status: StatusCode, words: impl Into<String>) -> S3Error {
    let mut error = error(S3ErrorCode::Custom(code.into()), words);
    error.set_status_code(status);
    error
}

pub fn from_body(fault: BodyFault) -> S3Error {
    let words = fault.to_string();
    match fault {
        BodyFault::Short { .. } | BodyFault::NoLastChunk | BodyFault::Long { .. } => {
            error(S3ErrorCode::IncompleteBody, words)
        }
        BodyFault::TooLarge { .. } => error(S3ErrorCode::EntityTooLarge, words),
        BodyFault::Md5 | BodyFault::Checksum { .. } => error(S3ErrorCode::BadDigest, words),
        BodyFault::Sha256 => custom("XAmzContentSHA256Mismatch", StatusCode::BAD_REQUEST, words),
        BodyFault::TrailerMissing(_) => custom("MalformedTrailerError", StatusCode::BAD_REQUEST, words),
        BodyFault::ChunkSignature => error(S3ErrorCode::SignatureDoesNotMatch, words),
        BodyFault::Framing(_) => error(S3ErrorCode::InvalidRequest, words),
        BodyFault::Gone(_) => error(S3ErrorCode::RequestTimeout, words),
    }
}

fn from_refusal(refusal: Refusal) -> S3Error {
    match refusal {
        Refusal::NotModified => S3Error::new(S3ErrorCode::NotModified),
        Refusal::PreconditionFailed => S3Error::new(S3ErrorCode::PreconditionFailed),
        Refusal::NoSuchKey => S3Error::new(S3ErrorCode::NoSuchKey),
    }
}

/// A condition that fails on a write or on a copy's source is never "not modified".
fn from_write_refusal(refusal: Refusal) -> S3Error {
    match refusal {
        Refusal::NotModified | Refusal::PreconditionFailed => from_refusal(Refusal::PreconditionFailed),
        Refusal::NoSuchKey => from_refusal(Refusal::NoSuchKey),
    }
}

fn from_ledger(fault: outlast_engine::LedgerError) -> S3Error {
    use outlast_engine::LedgerError as L;
    let words = fault.to_string();
    match fault {
        L::Full { .. } | L::MustReopen { .. } | L::Closed | L::InUse { .. } => {
            error(S3ErrorCode::ServiceUnavailable, words)
        }
        L::Refused { .. } | L::Damaged { .. } => error(S3ErrorCode::InternalError, words),
    }
}

fn stopping() -> S3Error {
    error(S3ErrorCode::ServiceUnavailable, "Outlast is stopping; ask again in a moment.")
}

pub fn from_write(fault: WriteError) -> S3Error {
    let words = fault.to_string();
    match fault {
        WriteError::NoBucket => S3Error::new(S3ErrorCode::NoSuchBucket),
        WriteError::NoKey => S3Error::new(S3ErrorCode::NoSuchKey),
        WriteError::Body(fault) => from_body(fault),
        WriteError::Refused(refusal) => from_write_refusal(refusal),
        WriteError::KeyNotHeld { .. } => error(S3ErrorCode::InvalidArgument, words),
        WriteError::SourceTooLarge { .. } => error(S3ErrorCode::InvalidRequest, words),
        WriteError::MetadataTooLarge { .. } => error(S3ErrorCode::MetadataTooLarge, words),
        WriteError::NotServed(_) | WriteError::NoQuorum(_) | WriteError::Full(_) => {
            error(S3ErrorCode::ServiceUnavailable, words)
        }
        WriteError::Stopping => stopping(),
        WriteError::Ledger(fault) => from_ledger(fault),
        WriteError::Source(fault) => match *fault {
            ReadError::Range { .. } => error(S3ErrorCode::InvalidArgument, words),
            ReadError::Refused(refusal) => from_write_refusal(refusal),
            other => from_read(other),
        },
    }
}

pub fn from_read(fault: ReadError) -> S3Error {
    let words = fault.to_string();
    match fault {
        ReadError::NoBucket => S3Error::new(S3ErrorCode::NoSuchBucket),
        ReadError::NoKey => S3Error::new(S3ErrorCode::NoSuchKey),
        ReadError::Refused(refusal) => from_refusal(refusal),
        ReadError::Range { .. } => error(S3ErrorCode::InvalidRange, words),
        ReadError::NotServed(_) | ReadError::NoHolder(_) => error(S3ErrorCode::ServiceUnavailable, words),
        ReadError::Stopping => stopping(),
        ReadError::Ledger(fault) => from_ledger(fault),
    }
}

/// A part number that the object does not have.
pub fn no_such_part() -> S3Error {
    custom("InvalidPartNumber", StatusCode::RANGE_NOT_SATISFIABLE, "The object does not have this part.")
}

pub fn from_bucket(fault: BucketError) -> S3Error {
    let words = fault.to_string();
    match fault {
        BucketError::NoBucket => S3Error::new(S3ErrorCode::NoSuchBucket),
        BucketError::Exists => S3Error::new(S3ErrorCode::BucketAlreadyOwnedByYou),
        BucketError::NotEmpty => S3Error::new(S3ErrorCode::BucketNotEmpty),
        BucketError::Configured => error(S3ErrorCode::AccessDenied, words),
        BucketError::Reserved(_) => error(S3ErrorCode::InvalidBucketName, words),
        BucketError::NotServed(_) | BucketError::NoQuorum(_) => error(S3ErrorCode::ServiceUnavailable, words),
        BucketError::Stopping => stopping(),
        BucketError::Ledger(fault) => from_ledger(fault),
    }
}

pub fn from_upload(fault: UploadError) -> S3Error {
    let words = fault.to_string();
    match fault {
        UploadError::NoUpload => error(S3ErrorCode::NoSuchUpload, words),
        UploadError::InvalidPart(_) => error(S3ErrorCode::InvalidPart, words),
        UploadError::PartOrder => error(S3ErrorCode::InvalidPartOrder, words),
        UploadError::TooSmall { .. } => error(S3ErrorCode::EntityTooSmall, words),
        UploadError::PartNumber => error(S3ErrorCode::InvalidArgument, words),
        UploadError::Completing => error(S3ErrorCode::OperationAborted, words),
        UploadError::Mismatch => error(S3ErrorCode::BadDigest, words),
        UploadError::OtherChecksum { .. } | UploadError::PartChecksumMissing { .. } => {
            error(S3ErrorCode::InvalidRequest, words)
        }
        UploadError::Write(fault) => from_write(fault),
    }
}

/// A bucket or key that cannot be one.
pub fn from_name(fault: NameError) -> S3Error {
    let words = fault.to_string();
    match fault {
        NameError::BucketLength(_) | NameError::BucketLetter { .. } => error(S3ErrorCode::InvalidBucketName, words),
        NameError::KeyLength(_) => error(S3ErrorCode::KeyTooLongError, words),
        NameError::KeyReserved | NameError::KeyLetter(_) | NameError::Store(_) => {
            error(S3ErrorCode::InvalidArgument, words)
        }
    }
}

/// The client asked for what no such request can have.
pub fn invalid(words: impl Into<String>) -> S3Error {
    error(S3ErrorCode::InvalidArgument, words)
}

/// The client asked for what contradicts itself.
pub fn invalid_request(words: impl Into<String>) -> S3Error {
    error(S3ErrorCode::InvalidRequest, words)
}

/// S3 has it and Outlast does not: said instead of being ignored.
pub fn not_here(what: &str) -> S3Error {
    error(S3ErrorCode::NotImplemented, format!("{what}: Outlast does not have this, and does not pretend to."))
}

#[cfg(test)]
mod tests {
    use super::*;
    use outlast_engine::LedgerError;
    use outlast_rules::{ChecksumKind, Key, StoreName};

    /// `503 ServiceUnavailable`, and whether the engine's own words reach the client.
    fn check(error: S3Error, said: &str, words: &str) {
        let status = error.status_code().map_or(0, |status| status.as_u16());
        assert_eq!(format!("{status} {}", error.code().as_str()), said);
        let message = error.message().unwrap_or_default();
        assert!(message.contains(words), "{said}: {words:?} is not in {message:?}");
    }

    fn why(text: &str) -> String {
        text.to_owned()
    }

    #[test]
    fn bodies() {
        let table = [
            (BodyFault::Short { got: 3, expected: 5 }, "400 IncompleteBody", "3 of 5"),
            (BodyFault::NoLastChunk, "400 IncompleteBody", "empty chunk"),
            (BodyFault::Long { expected: 5 }, "400 IncompleteBody", "5 bytes"),
            (BodyFault::TooLarge { max: 9 }, "400 EntityTooLarge", "9 bytes"),
            (BodyFault::Md5, "400 BadDigest", "Content-MD5"),
            (BodyFault::Sha256, "400 XAmzContentSHA256Mismatch", "sha256"),
            (
                BodyFault::TrailerMissing(why("x-amz-checksum-crc32")),
                "400 MalformedTrailerError",
                "x-amz-checksum-crc32",
            ),
            (BodyFault::ChunkSignature, "403 SignatureDoesNotMatch", "chunk"),
            (BodyFault::Framing(why("no size")), "400 InvalidRequest", "no size"),
            (BodyFault::Gone(why("reset")), "400 RequestTimeout", "reset"),
        ];
        for (fault, said, words) in table {
            check(from_body(fault.clone()), said, words);
            check(from_write(WriteError::Body(fault.clone())), said, words);
            check(from_upload(UploadError::Write(WriteError::Body(fault))), said, words);
        }
        let checksum = BodyFault::Checksum { kind: ChecksumKind::Crc32, declared: why("AA"), computed: why("BB") };
        check(from_body(checksum), "400 BadDigest", "BB");
    }

    #[test]
    fn the_ledger() {
        let table = [
            (LedgerError::Full { why: why("disk") }, "503 ServiceUnavailable"),
            (LedgerError::MustReopen { why: why("disk") }, "503 ServiceUnavailable"),
            (LedgerError::Closed, "503 ServiceUnavailable"),
            (LedgerError::InUse { path: why("p") }, "503 ServiceUnavailable"),
            (LedgerError::Refused { why: why("batch") }, "500 InternalError"),
            (LedgerError::Damaged { why: why("row") }, "500 InternalError"),
        ];
        for (fault, said) in table {
            let words = fault.to_string();
            check(from_write(WriteError::Ledger(fault.clone())), said, &words);
            check(from_read(ReadError::Ledger(fault.clone())), said, &words);
            check(from_bucket(BucketError::Ledger(fault)), said, &words);
        }
    }

    #[test]
    fn writes() {
        let source = |fault| WriteError::Source(Box::new(fault));
        for (fault, said, words) in [
            (WriteError::NoBucket, "404 NoSuchBucket", ""),
            (WriteError::NotServed(why("adopt it first")), "503 ServiceUnavailable", "adopt it first"),
            (WriteError::NoKey, "404 NoSuchKey", ""),
            (WriteError::Refused(Refusal::PreconditionFailed), "412 PreconditionFailed", ""),
            (WriteError::Refused(Refusal::NotModified), "412 PreconditionFailed", ""),
            (WriteError::Refused(Refusal::NoSuchKey), "404 NoSuchKey", ""),
            (WriteError::MetadataTooLarge { got: 3000, max: 1848 }, "400 MetadataTooLarge", "1848"),
            (WriteError::SourceTooLarge { max: 5368709120 }, "400 InvalidRequest", "5368709120"),
            (
                WriteError::KeyNotHeld {
                    store: StoreName::parse("garage").expect("a name"),
                    key: Key::parse("/a").expect("a key"),
                },
                "400 InvalidArgument",
                "drops slashes",
            ),
            (WriteError::NoQuorum(why("b2: no answer in 4 s")), "503 ServiceUnavailable", "b2: no answer in 4 s"),
            (WriteError::Full(why("the spool is full")), "503 ServiceUnavailable", "the spool is full"),
            (WriteError::Stopping, "503 ServiceUnavailable", "stopping"),
            (source(ReadError::NoKey), "404 NoSuchKey", ""),
            (source(ReadError::NoBucket), "404 NoSuchBucket", ""),
            (source(ReadError::Range { size: 9 }), "400 InvalidArgument", "9 bytes"),
            (source(ReadError::Refused(Refusal::NotModified)), "412 PreconditionFailed", ""),
            (source(ReadError::NoHolder(why("all are down"))), "503 ServiceUnavailable", "all are down"),
        ] {
            check(from_write(fault), said, words);
        }
    }

    #[test]
    fn reads_and_buckets() {
        for (fault, said, words) in [
            (ReadError::NoBucket, "404 NoSuchBucket", ""),
            (ReadError::NotServed(why("adopt it first")), "503 ServiceUnavailable", "adopt it first"),
            (ReadError::NoKey, "404 NoSuchKey", ""),
            (ReadError::Refused(Refusal::NotModified), "304 NotModified", ""),
            (ReadError::Refused(Refusal::PreconditionFailed), "412 PreconditionFailed", ""),
            (ReadError::Range { size: 9 }, "416 InvalidRange", "9 bytes"),
            (ReadError::NoHolder(why("nas: refused")), "503 ServiceUnavailable", "nas: refused"),
            (ReadError::Stopping, "503 ServiceUnavailable", "stopping"),
        ] {
            check(from_read(fault), said, words);
        }
        for (fault, said, words) in [
            (BucketError::NoBucket, "404 NoSuchBucket", ""),
            (BucketError::Exists, "409 BucketAlreadyOwnedByYou", ""),
            (BucketError::NotEmpty, "409 BucketNotEmpty", ""),
            (BucketError::NotServed(why("adopt")), "503 ServiceUnavailable", "adopt"),
            (BucketError::Configured, "403 AccessDenied", "configuration"),
            (BucketError::Reserved(why("home")), "400 InvalidBucketName", "home"),
            (BucketError::NoQuorum(why("one of two")), "503 ServiceUnavailable", "one of two"),
            (BucketError::Stopping, "503 ServiceUnavailable", "stopping"),
        ] {
            check(from_bucket(fault), said, words);
        }
    }

    #[test]
    fn uploads_and_names() {
        for (fault, said) in [
            (UploadError::NoUpload, "404 NoSuchUpload"),
            (UploadError::InvalidPart(3), "400 InvalidPart"),
            (UploadError::PartOrder, "400 InvalidPartOrder"),
            (UploadError::TooSmall { number: 1, size: 2, min: 3 }, "400 EntityTooSmall"),
            (UploadError::PartNumber, "400 InvalidArgument"),
            (UploadError::Completing, "409 OperationAborted"),
            (UploadError::Mismatch, "400 BadDigest"),
            (
                UploadError::OtherChecksum { upload: ChecksumKind::Crc32, declared: ChecksumKind::Sha1 },
                "400 InvalidRequest",
            ),
            (UploadError::PartChecksumMissing { number: 2, kind: ChecksumKind::Sha256 }, "400 InvalidRequest"),
            (UploadError::Write(WriteError::NoBucket), "404 NoSuchBucket"),
        ] {
            check(from_upload(fault), said, "");
        }
        for (fault, said) in [
            (NameError::BucketLength(2), "400 InvalidBucketName"),
            (NameError::BucketLetter { at: 1 }, "400 InvalidBucketName"),
            (NameError::KeyLength(2000), "400 KeyTooLongError"),
            (NameError::KeyReserved, "400 InvalidArgument"),
            (NameError::KeyLetter('\0'), "400 InvalidArgument"),
        ] {
            check(from_name(fault), said, "");
        }
        check(no_such_part(), "416 InvalidPartNumber", "");
        check(not_here("object tags"), "501 NotImplemented", "object tags");
    }
}
