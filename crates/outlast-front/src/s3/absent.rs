//! Settings that a bucket here never has. The truthful answer is S3's own "there is none", not "not implemented".

use super::errors;
use super::gateway::Gateway;
use super::refuse;
use http::StatusCode;
use s3s::dto::*;
use s3s::{S3Error, S3ErrorCode, S3Request, S3Response, S3Result};

impl Gateway {
    /// The bucket must exist; then `code` says that it has no such setting.
    pub(super) async fn none<T>(&self, bucket: &str, code: S3ErrorCode) -> S3Result<S3Response<T>> {
        self.exists(bucket).await?;
        let mut error = S3Error::new(code);
        // s3s says 400 for some of them, where S3 says 404.
        error.set_status_code(StatusCode::NOT_FOUND);
        Err(error)
    }

    pub(super) async fn no_public_access_block<T>(&self, bucket: &str) -> S3Result<S3Response<T>> {
        self.exists(bucket).await?;
        let code = S3ErrorCode::Custom("NoSuchPublicAccessBlockConfiguration".into());
        let mut error = S3Error::with_message(code, "The public access block configuration was not found");
        error.set_status_code(StatusCode::NOT_FOUND);
        Err(error)
    }

    pub(super) async fn no_object_tags(
        &self,
        req: S3Request<GetObjectTaggingInput>,
    ) -> S3Result<S3Response<GetObjectTaggingOutput>> {
        refuse::version_to_read(req.input.version_id.as_deref())?;
        self.object_exists(&req.input.bucket, &req.input.key).await?;
        Ok(S3Response::new(GetObjectTaggingOutput { tag_set: Vec::new(), version_id: None }))
    }

    /// Versioning needs stores that keep versions and a way back; until then it is refused with the reason.
    pub(super) async fn refuse_versioning(
        &self,
        req: S3Request<PutBucketVersioningInput>,
    ) -> S3Result<S3Response<PutBucketVersioningOutput>> {
        self.exists(&req.input.bucket).await?;
        Err(errors::not_here("versioning of a client's bucket"))
    }
}
