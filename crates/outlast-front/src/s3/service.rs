//! `s3s::S3` over the gateway: every operation that Outlast answers, each in one line. All others are s3s's 501.

use super::gateway::Gateway;
use s3s::dto::*;
use s3s::{S3, S3ErrorCode, S3Request, S3Response, S3Result};

/// `name(Operation) => the gateway's own method`
macro_rules! operations {
    (
        answered { $($name:ident($input:ty) -> $output:ty => $verb:ident;)* }
        absent { $($none:ident($none_input:ty) -> $none_output:ty => $code:ident;)* }
    ) => {
        #[async_trait::async_trait]
        impl S3 for Gateway {
            $(async fn $name(&self, req: S3Request<$input>) -> S3Result<S3Response<$output>> {
                self.$verb(req).await
            })*
            $(async fn $none(&self, req: S3Request<$none_input>) -> S3Result<S3Response<$none_output>> {
                self.none(&req.input.bucket, S3ErrorCode::$code).await
            })*
            async fn get_public_access_block(
                &self,
                req: S3Request<GetPublicAccessBlockInput>,
            ) -> S3Result<S3Response<GetPublicAccessBlockOutput>> {
                self.no_public_access_block(&req.input.bucket).await
            }
        }
    };
}

operations! {
answered {
    put_object(PutObjectInput) -> PutObjectOutput => put;
    get_object(GetObjectInput) -> GetObjectOutput => get;
    head_object(HeadObjectInput) -> HeadObjectOutput => head;
    copy_object(CopyObjectInput) -> CopyObjectOutput => copy;
    delete_object(DeleteObjectInput) -> DeleteObjectOutput => delete;
    delete_objects(DeleteObjectsInput) -> DeleteObjectsOutput => delete_many;
    list_objects(ListObjectsInput) -> ListObjectsOutput => list_v1;
    list_objects_v2(ListObjectsV2Input) -> ListObjectsV2Output => list_v2;
    create_multipart_upload(CreateMultipartUploadInput) -> CreateMultipartUploadOutput => create_upload;
    upload_part(UploadPartInput) -> UploadPartOutput => put_part;
    upload_part_copy(UploadPartCopyInput) -> UploadPartCopyOutput => copy_part;
    complete_multipart_upload(CompleteMultipartUploadInput) -> CompleteMultipartUploadOutput => complete;
    abort_multipart_upload(AbortMultipartUploadInput) -> AbortMultipartUploadOutput => abort;
    list_parts(ListPartsInput) -> ListPartsOutput => parts;
    list_multipart_uploads(ListMultipartUploadsInput) -> ListMultipartUploadsOutput => uploads;
    create_bucket(CreateBucketInput) -> CreateBucketOutput => create;
    head_bucket(HeadBucketInput) -> HeadBucketOutput => seen;
    delete_bucket(DeleteBucketInput) -> DeleteBucketOutput => remove;
    list_buckets(ListBucketsInput) -> ListBucketsOutput => all;
    get_bucket_location(GetBucketLocationInput) -> GetBucketLocationOutput => location;
    get_bucket_versioning(GetBucketVersioningInput) -> GetBucketVersioningOutput => versioning;
    put_bucket_versioning(PutBucketVersioningInput) -> PutBucketVersioningOutput => refuse_versioning;
    get_bucket_acl(GetBucketAclInput) -> GetBucketAclOutput => bucket_acl;
    get_object_acl(GetObjectAclInput) -> GetObjectAclOutput => object_acl;
    get_object_tagging(GetObjectTaggingInput) -> GetObjectTaggingOutput => no_object_tags;
}
absent {
    get_bucket_policy(GetBucketPolicyInput) -> GetBucketPolicyOutput => NoSuchBucketPolicy;
    get_bucket_cors(GetBucketCorsInput) -> GetBucketCorsOutput => NoSuchCORSConfiguration;
    get_bucket_lifecycle_configuration(GetBucketLifecycleConfigurationInput) -> GetBucketLifecycleConfigurationOutput => NoSuchLifecycleConfiguration;
    get_bucket_tagging(GetBucketTaggingInput) -> GetBucketTaggingOutput => NoSuchTagSet;
    get_bucket_website(GetBucketWebsiteInput) -> GetBucketWebsiteOutput => NoSuchWebsiteConfiguration;
    get_bucket_encryption(GetBucketEncryptionInput) -> GetBucketEncryptionOutput => ServerSideEncryptionConfigurationNotFoundError;
    get_bucket_replication(GetBucketReplicationInput) -> GetBucketReplicationOutput => ReplicationConfigurationNotFoundError;
    get_object_lock_configuration(GetObjectLockConfigurationInput) -> GetObjectLockConfigurationOutput => ObjectLockConfigurationNotFoundError;
}
}
