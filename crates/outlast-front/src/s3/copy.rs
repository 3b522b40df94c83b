//! CopyObject, and where copies come from.

use super::checksums::{self, give_checksums};
use super::conditions::{conditions, on_write};
use super::convert::{self, head_of};
use super::errors;
use super::gateway::{Gateway, bucket_name, key_to_create, key_to_read};
use super::refuse::{self, refuse_extras};
use outlast_engine::CopyAsk;
use outlast_rules::{BucketName, Key};
use s3s::dto::*;
use s3s::{S3Request, S3Response, S3Result};

impl Gateway {
    pub(super) async fn copy(&self, req: S3Request<CopyObjectInput>) -> S3Result<S3Response<CopyObjectOutput>> {
        refuse::subresource(&req.uri)?;
        refuse::version_to_write(&req.uri)?;
        let mut input = req.input;
        refuse_extras!(input);
        if input.copy_source_sse_customer_algorithm.is_some() {
            return Err(errors::not_here("server-side encryption with the client's key (SSE-C)"));
        }
        let (from_bucket, from_key) = source(&input.copy_source)?;
        let (bucket, key) = (bucket_name(&input.bucket)?, key_to_create(&input.key)?);
        let head = match input.metadata_directive.as_ref().map(MetadataDirective::as_str) {
            Some(MetadataDirective::REPLACE) => Some(convert::head(head_of!(input))?),
            Some(MetadataDirective::COPY) | None => None,
            Some(other) => return Err(errors::invalid(format!("Unknown metadata directive {other:?}."))),
        };
        if head.is_none() && (&from_bucket, &from_key) == (&bucket, &key) {
            return Err(errors::invalid_request(
                "This copy request is illegal because it is trying to copy an object to itself without changing the object's metadata.",
            ));
        }
        let ask = CopyAsk {
            from_bucket,
            from_key,
            from_conditions: conditions(
                input.copy_source_if_match.as_ref(),
                input.copy_source_if_none_match.as_ref(),
                input.copy_source_if_modified_since.as_ref(),
                input.copy_source_if_unmodified_since.as_ref(),
            ),
            bucket,
            key,
            head,
            conditions: on_write(input.if_match.as_ref(), input.if_none_match.as_ref(), &req.headers),
            checksum: input.checksum_algorithm.as_ref().map(checksums::kind_of).transpose()?,
        };
        let written = self.engine.copy(ask).await.map_err(errors::from_write)?;
        let mut result = CopyObjectResult {
            e_tag: Some(convert::etag(&written.etag)),
            last_modified: Some(convert::timestamp(written.modified)),
            checksum_type: checksums::checksum_type(&written.checksums),
            ..Default::default()
        };
        give_checksums!(result, &written.checksums);
        Ok(S3Response::new(CopyObjectOutput { copy_object_result: Some(result), ..Default::default() }))
    }
}

/// Bucket and key of an x-amz-copy-source. Versions are refused: there are none to name.
pub(super) fn source(source: &CopySource) -> S3Result<(BucketName, Key)> {
    match source {
        CopySource::Bucket { bucket, key, version_id } => {
            refuse::version_to_read(version_id.as_deref())?;
            Ok((bucket_name(bucket)?, key_to_read(key)?))
        }
        _ => Err(errors::not_here("copy sources by access point or Outposts ARN")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> S3Result<(String, String)> {
        let parsed = CopySource::parse(text).expect("a copy source");
        source(&parsed).map(|(bucket, key)| (bucket.to_string(), key.to_string()))
    }

    #[test]
    fn sources() {
        let photos = |key: &str| ("photos".to_owned(), key.to_owned());
        assert_eq!(parsed("photos/a%20b").ok(), Some(photos("a b")));
        assert_eq!(parsed("/photos/a/b").ok(), Some(photos("a/b")));
        assert_eq!(parsed("photos/a?versionId=null").ok(), Some(photos("a")));
        assert!(parsed("photos/a?versionId=3f9").is_err());
        let hidden = parsed("photos/.outlast/store.json").expect_err("ours");
        assert_eq!(*hidden.code(), s3s::S3ErrorCode::NoSuchKey);
    }
}
