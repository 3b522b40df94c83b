//! CreateBucket, HeadBucket, DeleteBucket, ListBuckets, and what is asked about a bucket.

use super::convert::{owner, timestamp};
use super::errors;
use super::gateway::{Gateway, bucket_name, key_to_read};
use super::listing::{from_token, to_token};
use super::refuse;
use crate::auth::OWNER;
use outlast_engine::GetAsk;
use outlast_rules::Conditions;
use s3s::dto::*;
use s3s::{S3Request, S3Response, S3Result};

/// Outlast is in no region and takes signatures for any; clients that ask hear S3's default.
const REGION: &str = "us-east-1";
/// S3's bound for one page of buckets.
const BUCKETS_PAGE_MAX: i32 = 10_000;

impl Gateway {
    pub(super) async fn create(&self, req: S3Request<CreateBucketInput>) -> S3Result<S3Response<CreateBucketOutput>> {
        refuse::subresource(&req.uri)?;
        let input = req.input;
        let granted = [
            input.grant_full_control.is_some(),
            input.grant_read.is_some(),
            input.grant_read_acp.is_some(),
            input.grant_write.is_some(),
            input.grant_write_acp.is_some(),
        ];
        let asked = [("object lock", input.object_lock_enabled_for_bucket == Some(true))];
        refuse::check(&asked, input.acl.as_ref().map(BucketCannedACL::as_str), &granted)?;
        let bucket = bucket_name(&input.bucket)?;
        self.engine.create_bucket(bucket).await.map_err(errors::from_bucket)?;
        Ok(S3Response::new(CreateBucketOutput { location: Some(format!("/{}", input.bucket)), ..Default::default() }))
    }

    pub(super) async fn seen(&self, req: S3Request<HeadBucketInput>) -> S3Result<S3Response<HeadBucketOutput>> {
        self.exists(&req.input.bucket).await?;
        Ok(S3Response::new(HeadBucketOutput { bucket_region: Some(REGION.to_owned()), ..Default::default() }))
    }

    pub(super) async fn remove(&self, req: S3Request<DeleteBucketInput>) -> S3Result<S3Response<DeleteBucketOutput>> {
        refuse::subresource(&req.uri)?;
        self.engine.delete_bucket(bucket_name(&req.input.bucket)?).await.map_err(errors::from_bucket)?;
        Ok(S3Response::new(DeleteBucketOutput::default()))
    }

    pub(super) async fn all(&self, req: S3Request<ListBucketsInput>) -> S3Result<S3Response<ListBucketsOutput>> {
        let input = req.input;
        let max = match input.max_buckets.unwrap_or(BUCKETS_PAGE_MAX) {
            size @ 1..=BUCKETS_PAGE_MAX => size as usize,
            _ => return Err(errors::invalid("max-buckets goes from 1 to 10000")),
        };
        let after = input.continuation_token.as_deref().map(from_token).transpose()?.unwrap_or_default();
        let prefix = input.prefix.clone().unwrap_or_default();
        let mut found = self.engine.list_buckets().await.map_err(errors::from_bucket)?;
        found.retain(|bucket| bucket.name.as_str() > after.as_str() && bucket.name.as_str().starts_with(&prefix));
        found.sort_by(|a, b| a.name.cmp(&b.name));
        let more = found.len() > max;
        found.truncate(max);
        let next = found.last().filter(|_| more).map(|bucket| to_token(bucket.name.as_str()));
        let line = |bucket: outlast_engine::BucketFacts| Bucket {
            name: Some(bucket.name.to_string()),
            creation_date: Some(timestamp(bucket.created)),
            ..Default::default()
        };
        Ok(S3Response::new(ListBucketsOutput {
            buckets: Some(found.into_iter().map(line).collect()),
            owner: Some(owner()),
            continuation_token: next,
            prefix: input.prefix,
        }))
    }

    pub(super) async fn location(
        &self,
        req: S3Request<GetBucketLocationInput>,
    ) -> S3Result<S3Response<GetBucketLocationOutput>> {
        self.exists(&req.input.bucket).await?;
        Ok(S3Response::new(GetBucketLocationOutput::default()))
    }

    /// The empty answer is S3's way to say that versioning was never on.
    pub(super) async fn versioning(
        &self,
        req: S3Request<GetBucketVersioningInput>,
    ) -> S3Result<S3Response<GetBucketVersioningOutput>> {
        self.exists(&req.input.bucket).await?;
        Ok(S3Response::new(GetBucketVersioningOutput::default()))
    }

    pub(super) async fn bucket_acl(
        &self,
        req: S3Request<GetBucketAclInput>,
    ) -> S3Result<S3Response<GetBucketAclOutput>> {
        self.exists(&req.input.bucket).await?;
        Ok(S3Response::new(GetBucketAclOutput { grants: Some(vec![full_control()]), owner: Some(owner()) }))
    }

    pub(super) async fn object_acl(
        &self,
        req: S3Request<GetObjectAclInput>,
    ) -> S3Result<S3Response<GetObjectAclOutput>> {
        refuse::version_to_read(req.input.version_id.as_deref())?;
        self.object_exists(&req.input.bucket, &req.input.key).await?;
        let output =
            GetObjectAclOutput { grants: Some(vec![full_control()]), owner: Some(owner()), ..Default::default() };
        Ok(S3Response::new(output))
    }

    pub(super) async fn exists(&self, bucket: &str) -> S3Result<()> {
        self.engine.head_bucket(bucket_name(bucket)?).await.map_err(errors::from_bucket)?;
        Ok(())
    }

    pub(super) async fn object_exists(&self, bucket: &str, key: &str) -> S3Result<()> {
        let (bucket, key) = (bucket_name(bucket)?, key_to_read(key)?);
        let ask = GetAsk { bucket, key, range: None, conditions: Conditions::default() };
        self.engine.head(ask).await.map_err(errors::from_read)?;
        Ok(())
    }
}

fn full_control() -> Grant {
    Grant {
        grantee: Some(Grantee {
            display_name: Some(OWNER.to_owned()),
            email_address: None,
            id: Some(OWNER.to_owned()),
            type_: Type::from_static(Type::CANONICAL_USER),
            uri: None,
        }),
        permission: Some(Permission::from_static(Permission::FULL_CONTROL)),
    }
}
