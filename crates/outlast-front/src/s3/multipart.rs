//! CreateMultipartUpload, UploadPart, UploadPartCopy, CompleteMultipartUpload, AbortMultipartUpload.

use super::body_in::client_body;
use super::checksums::{self, declared_of, give_checksums};
use super::conditions::{conditions, on_write};
use super::convert::{self, head_of};
use super::copy::source;
use super::errors;
use super::gateway::{Gateway, bucket_name, key_to_create, key_to_write, trace};
use super::refuse::{self, refuse_extras};
use http::HeaderMap;
use outlast_engine::{CompleteAsk, CopyPartAsk, CreateUploadAsk, PutPartAsk, UploadError, Written};
use s3s::dto::*;
use s3s::{S3Request, S3Response, S3Result};
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::task::JoinHandle;

/// A Complete that takes longer is answered with white space until it is decided, so that no proxy or client gives it up.
/// Shorter ones keep their honest status code: an error inside a 200 is what clients handle worst.
const KEEP_ALIVE_AFTER: Duration = Duration::from_secs(5);
const PART_NUMBERS: std::ops::RangeInclusive<i32> = 1..=10_000;

impl Gateway {
    pub(super) async fn create_upload(
        &self,
        req: S3Request<CreateMultipartUploadInput>,
    ) -> S3Result<S3Response<CreateMultipartUploadOutput>> {
        let mut input = req.input;
        refuse_extras!(input);
        let checksum = input.checksum_algorithm.as_ref().map(checksums::kind_of).transpose()?;
        let composite = match input.checksum_type.as_ref().map(ChecksumType::as_str) {
            None => None,
            Some(ChecksumType::COMPOSITE) => Some(true),
            Some(ChecksumType::FULL_OBJECT) => Some(false),
            Some(other) => return Err(errors::invalid(format!("Unknown checksum type {other:?}."))),
        };
        checksums::check_type(checksum, composite)?;
        let ask = CreateUploadAsk {
            bucket: bucket_name(&input.bucket)?,
            key: key_to_create(&input.key)?,
            head: convert::head(head_of!(input))?,
            checksum,
            composite,
        };
        let id = self.engine.create_upload(ask).await.map_err(errors::from_upload)?;
        Ok(S3Response::new(CreateMultipartUploadOutput {
            bucket: Some(input.bucket),
            key: Some(input.key),
            upload_id: Some(id),
            checksum_algorithm: checksum.map(checksums::algorithm),
            checksum_type: input.checksum_type,
            ..Default::default()
        }))
    }

    pub(super) async fn put_part(&self, req: S3Request<UploadPartInput>) -> S3Result<S3Response<UploadPartOutput>> {
        refuse::lengthless(&req.headers, trace(&req.extensions).as_deref())?;
        let mut input = req.input;
        refuse_client_key(input.sse_customer_algorithm.is_some())?;
        let given = declared_of!(input);
        let declared =
            checksums::declared(input.content_md5.as_deref(), given, &req.headers, req.trailing_headers.as_ref())?;
        let ask = PutPartAsk {
            bucket: bucket_name(&input.bucket)?,
            key: key_to_write(&input.key)?,
            upload: input.upload_id,
            number: part_number(input.part_number)?,
            body: client_body(input.body, input.content_length, declared)?,
        };
        let part = self.engine.put_part(ask).await.map_err(errors::from_upload)?;
        let mut output = UploadPartOutput { e_tag: Some(convert::etag(&part.etag)), ..Default::default() };
        give_checksums!(output, &part.checksums);
        Ok(S3Response::new(output))
    }

    pub(super) async fn copy_part(
        &self,
        req: S3Request<UploadPartCopyInput>,
    ) -> S3Result<S3Response<UploadPartCopyOutput>> {
        let input = req.input;
        let asked = input.sse_customer_algorithm.is_some() || input.copy_source_sse_customer_algorithm.is_some();
        refuse_client_key(asked)?;
        let (from_bucket, from_key) = source(&input.copy_source)?;
        let ask = CopyPartAsk {
            bucket: bucket_name(&input.bucket)?,
            key: key_to_write(&input.key)?,
            upload: input.upload_id,
            number: part_number(input.part_number)?,
            from_bucket,
            from_key,
            from_conditions: conditions(
                input.copy_source_if_match.as_ref(),
                input.copy_source_if_none_match.as_ref(),
                input.copy_source_if_modified_since.as_ref(),
                input.copy_source_if_unmodified_since.as_ref(),
            ),
            range: input.copy_source_range.as_deref().map(source_range).transpose()?,
        };
        let part = self.engine.copy_part(ask).await.map_err(errors::from_upload)?;
        let mut result = CopyPartResult {
            e_tag: Some(convert::etag(&part.etag)),
            last_modified: Some(convert::timestamp(part.modified)),
            ..Default::default()
        };
        give_checksums!(result, &part.checksums);
        Ok(S3Response::new(UploadPartCopyOutput { copy_part_result: Some(result), ..Default::default() }))
    }

    pub(super) async fn complete(
        &self,
        req: S3Request<CompleteMultipartUploadInput>,
    ) -> S3Result<S3Response<CompleteMultipartUploadOutput>> {
        let request_id = trace(&req.extensions).map(|trace| trace.id.clone());
        let ask = complete_ask(req.input, &req.headers)?;
        let (bucket, key) = (ask.bucket.to_string(), ask.key.to_string());
        let engine = self.engine.clone();
        // On its own, so that a client that goes away does not take the decision with it.
        let running = tokio::spawn(async move { engine.complete_upload(ask).await });
        answer_in_time(running, bucket, key, request_id).await.map(S3Response::new)
    }

    pub(super) async fn abort(
        &self,
        req: S3Request<AbortMultipartUploadInput>,
    ) -> S3Result<S3Response<AbortMultipartUploadOutput>> {
        let input = req.input;
        if input.if_match_initiated_time.is_some() {
            return Err(errors::not_here("aborts conditional on time"));
        }
        let (bucket, key) = (bucket_name(&input.bucket)?, key_to_write(&input.key)?);
        self.engine.abort_upload(bucket, key, input.upload_id).await.map_err(errors::from_upload)?;
        Ok(S3Response::new(AbortMultipartUploadOutput::default()))
    }
}

async fn answer_in_time(
    mut running: JoinHandle<Result<Written, UploadError>>,
    bucket: String,
    key: String,
    request_id: Option<String>,
) -> S3Result<CompleteMultipartUploadOutput> {
    if let Ok(done) = tokio::time::timeout(KEEP_ALIVE_AFTER, &mut running).await {
        return Ok(completed(bucket, key, &ended(done)?));
    }
    let later = async move {
        let written = ended(running.await).map_err(|mut error| {
            if let Some(id) = request_id {
                error.set_request_id(id);
            }
            error
        })?;
        Ok(completed(bucket, key, &written))
    };
    Ok(CompleteMultipartUploadOutput { future: Some(Box::pin(later)), ..Default::default() })
}

fn refuse_client_key(asked: bool) -> S3Result<()> {
    if asked { Err(errors::not_here("server-side encryption with the client's key (SSE-C)")) } else { Ok(()) }
}

fn part_number(number: i32) -> S3Result<u32> {
    if !PART_NUMBERS.contains(&number) {
        return Err(errors::invalid("Part number must be an integer between 1 and 10000, inclusive"));
    }
    Ok(number.unsigned_abs())
}

/// `bytes=first-last`, both given: S3 takes no other form here.
fn source_range(text: &str) -> S3Result<(u64, u64)> {
    match Range::parse(text) {
        Ok(Range::Int { first, last: Some(last) }) => Ok((first, last)),
        _ => Err(errors::invalid(
            "The x-amz-copy-source-range value must be of the form bytes=first-last where first and last are the zero-based offsets of the first and last bytes to copy",
        )),
    }
}

fn complete_ask(mut input: CompleteMultipartUploadInput, headers: &HeaderMap) -> S3Result<CompleteAsk> {
    refuse_client_key(input.sse_customer_algorithm.is_some())?;
    let listed = input.multipart_upload.take().and_then(|upload| upload.parts).unwrap_or_default();
    if listed.is_empty() {
        return Err(s3s::S3Error::new(s3s::S3ErrorCode::MalformedXML));
    }
    let (mut parts, mut part_checksums) = (Vec::with_capacity(listed.len()), BTreeMap::new());
    for mut part in listed {
        let given = declared_of!(part);
        let (Some(number), Some(etag)) = (part.part_number, part.e_tag) else {
            return Err(s3s::S3Error::new(s3s::S3ErrorCode::MalformedXML));
        };
        let number = part_number(number)?;
        parts.push((number, etag.into_value()));
        let given: Vec<_> = given.into_iter().filter_map(|(kind, value)| Some((kind, value?))).collect();
        if !given.is_empty() {
            part_checksums.insert(number, given);
        }
    }
    let size = input.mpu_object_size.map(u64::try_from).transpose();
    Ok(CompleteAsk {
        bucket: bucket_name(&input.bucket)?,
        key: key_to_write(&input.key)?,
        parts,
        part_checksums,
        checksum: checksums::single(declared_of!(input))?,
        size: size.map_err(|_| errors::invalid("x-amz-mp-object-size is no size"))?,
        conditions: on_write(input.if_match.as_ref(), input.if_none_match.as_ref(), headers),
        upload: input.upload_id,
    })
}

type Ended = <JoinHandle<Result<Written, UploadError>> as Future>::Output;

fn ended(result: Ended) -> S3Result<Written> {
    match result {
        Ok(done) => done.map_err(errors::from_upload),
        Err(broken) => Err(s3s::S3Error::internal_error(broken)),
    }
}

fn completed(bucket: String, key: String, written: &Written) -> CompleteMultipartUploadOutput {
    let mut output = CompleteMultipartUploadOutput {
        location: Some(format!("/{bucket}/{key}")),
        bucket: Some(bucket),
        key: Some(key),
        e_tag: Some(convert::etag(&written.etag)),
        checksum_type: checksums::checksum_type(&written.checksums),
        ..Default::default()
    };
    give_checksums!(output, &written.checksums);
    output
}

#[cfg(test)]
mod tests {
    use super::*;
    use s3s::S3ErrorCode;

    fn input(parts: &[(Option<i32>, Option<&str>)]) -> CompleteMultipartUploadInput {
        let part = |(number, etag): &(Option<i32>, Option<&str>)| CompletedPart {
            part_number: *number,
            e_tag: etag.map(|text| ETag::Strong(text.to_owned())),
            ..Default::default()
        };
        CompleteMultipartUploadInput {
            bucket: "photos".into(),
            key: "cat".into(),
            upload_id: "u".into(),
            multipart_upload: Some(CompletedMultipartUpload { parts: Some(parts.iter().map(part).collect()) }),
            ..Default::default()
        }
    }

    #[test]
    fn a_complete_names_its_parts() {
        let complete = |input| complete_ask(input, &HeaderMap::new());
        let ask =
            complete(input(&[(Some(2), Some("b")), (Some(1), Some("a"))])).expect("the order is the engine's to judge");
        assert_eq!(ask.parts, [(2, "b".to_owned()), (1, "a".to_owned())]);
        for malformed in [input(&[]), input(&[(None, Some("a"))]), input(&[(Some(1), None)])] {
            let error = complete(malformed).err().expect("refused");
            assert_eq!(*error.code(), S3ErrorCode::MalformedXML);
        }
        assert!(complete(input(&[(Some(0), Some("a"))])).is_err());
    }

    async fn after(seconds: u64, result: Result<Written, UploadError>) -> S3Result<CompleteMultipartUploadOutput> {
        let running = tokio::spawn(async move {
            tokio::time::sleep(Duration::from_secs(seconds)).await;
            result
        });
        answer_in_time(running, "photos".into(), "cat".into(), Some("ID".into())).await
    }

    #[tokio::test(start_paused = true)]
    async fn a_long_complete_is_answered_later_and_a_short_one_with_its_status() {
        let written = Written {
            etag: "e-2".into(),
            modified: outlast_rules::Moment(0),
            checksums: Vec::new(),
            places: Vec::new(),
        };
        let short = after(1, Ok(written.clone())).await.expect("written");
        assert!(short.future.is_none() && short.e_tag == Some(convert::etag("e-2")));
        let refused = after(1, Err(UploadError::PartOrder)).await.expect_err("a status of its own");
        assert_eq!(*refused.code(), S3ErrorCode::InvalidPartOrder);
        let long = after(60, Ok(written)).await.expect("not yet known");
        let done = long.future.expect("it keeps the connection alive").await.expect("written");
        assert_eq!(done.e_tag, Some(convert::etag("e-2")));
        let failed = after(60, Err(UploadError::NoUpload)).await.expect("not yet known");
        let error = failed.future.expect("it keeps the connection alive").await.expect_err("said inside the 200");
        assert_eq!((error.code(), error.request_id()), (&S3ErrorCode::NoSuchUpload, Some("ID")));
    }

    #[test]
    fn ranges_of_a_part_copy() {
        assert_eq!(source_range("bytes=0-4").ok(), Some((0, 4)));
        for bad in ["bytes=0-", "bytes=-4", "bytes=4-0", "0-4"] {
            assert!(source_range(bad).is_err(), "{bad}");
        }
    }
}
