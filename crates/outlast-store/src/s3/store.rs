//! `S3Store`: any S3-compatible service as a `Store`.

use super::call::Caller;
use super::config::S3Config;
use crate::wire::{Resolve, ServiceConfigError, SystemResolver};
use crate::{
    Answer, At, Body, ByteRange, ByteStream, CopyPage, Dress, Found, Limits, NativePart, PutSpec, Store, VersionPage,
};
use async_trait::async_trait;
use outlast_rules::{Fence, Pin, StoreName};
use std::sync::Arc;

/// Names and values of user metadata together (Amazon S3 user guide, "Working with object metadata").
const METADATA_BYTES_MAX: usize = 2048;
const GIB: u64 = 1024 * 1024 * 1024;
/// Amazon S3 user guide, "multipart upload limits": part size, parts, and the largest single PUT and copy source. The
/// services that speak S3 follow it or allow more.
const SINGLE_BYTES_MAX: u64 = 5 * GIB;
/// Cloudflare's R2 wants all parts but the last to be equally large (its documentation of multipart objects).
const ALIKE_HOST: &str = ".r2.cloudflarestorage.com";
const PART_BYTES_MIN: u64 = 5 * 1024 * 1024;
const PARTS_MAX: u32 = 10_000;

/// One S3-compatible service.
pub struct S3Store {
    caller: Caller,
    limits: Limits,
}

impl S3Store {
    /// Reads `ca_file`; makes no connection yet.
    ///
    /// # Errors
    /// A configuration that cannot work: endpoint, keys, CA file.
    pub fn new(config: S3Config) -> Result<S3Store, ServiceConfigError> {
        S3Store::with_resolver(config, Arc::new(SystemResolver))
    }

    /// With a resolver of one's own.
    ///
    /// # Errors
    /// As `new`.
    pub fn with_resolver(config: S3Config, resolver: Arc<dyn Resolve>) -> Result<S3Store, ServiceConfigError> {
        let limits = Limits {
            kind: "s3",
            metadata_bytes_max: METADATA_BYTES_MAX,
            put_bytes_max: SINGLE_BYTES_MAX,
            part_bytes_min: PART_BYTES_MIN,
            part_bytes_max: SINGLE_BYTES_MAX,
            parts_max: PARTS_MAX,
            parts_alike: config.endpoint.contains(ALIKE_HOST),
            copy_bytes_max: SINGLE_BYTES_MAX,
            never_given_up: false,
            etag_is_md5: config.etag_is_md5,
            metered: config.metered,
        };
        Ok(S3Store { caller: Caller::new(config, resolver)?, limits })
    }
}

#[async_trait]
impl Store for S3Store {
    fn name(&self) -> &StoreName {
        &self.caller.config().name
    }

    fn limits(&self) -> &Limits {
        &self.limits
    }

    fn place(&self) -> String {
        format!("s3 {}", self.caller.endpoint().shown())
    }

    async fn put(&self, at: &At, spec: &PutSpec, body: Body) -> Answer<Pin> {
        self.caller.put(at, spec, body).await
    }

    async fn head(&self, at: &At, version: Option<&str>) -> Answer<Found> {
        self.caller.head_key(at, version).await
    }

    async fn is_plain(&self, at: &At) -> Answer<bool> {
        Ok(self.caller.spelling().there(&at.key) == at.key)
    }

    async fn get(&self, at: &At, pin: Option<&Pin>, range: Option<ByteRange>) -> Answer<(Found, ByteStream)> {
        self.caller.get(at, pin, range).await
    }

    async fn copy(&self, from: &At, pin: &Pin, to: &At, spec: &PutSpec) -> Answer<Pin> {
        self.caller.copy(from, pin, to, spec).await
    }

    async fn delete(&self, at: &At, version: Option<&str>, fence: Option<&Fence>) -> Answer<()> {
        self.caller.delete(at, version, fence).await
    }

    async fn list(&self, bucket: &str, prefix: &str, after: Option<&str>) -> Answer<CopyPage> {
        self.caller.list(bucket, prefix, after).await
    }

    async fn list_versions(&self, bucket: &str, prefix: &str, after: Option<&str>) -> Answer<VersionPage> {
        self.caller.list_versions(bucket, prefix, after).await
    }

    async fn create_upload(&self, at: &At, dress: &Dress) -> Answer<String> {
        self.caller.create_upload(at, dress).await
    }

    async fn put_part(&self, at: &At, upload: &str, number: u32, body: Body, md5: Option<[u8; 16]>) -> Answer<String> {
        self.caller.put_part(at, upload, number, body, md5).await
    }

    async fn complete_upload(&self, at: &At, upload: &str, parts: &[NativePart], fence: Option<&Fence>) -> Answer<Pin> {
        self.caller.complete_upload(at, upload, parts, fence).await
    }

    async fn abort_upload(&self, at: &At, upload: &str) -> Answer<()> {
        self.caller.abort_upload(at, upload).await
    }

    async fn list_parts(&self, at: &At, upload: &str) -> Answer<Vec<NativePart>> {
        self.caller.list_parts(at, upload).await
    }

    async fn list_uploads(&self, bucket: &str) -> Answer<Vec<(String, String)>> {
        self.caller.list_uploads(bucket).await
    }

    async fn create_bucket(&self, bucket: &str) -> Answer<()> {
        self.caller.create_bucket(bucket).await
    }

    async fn delete_bucket(&self, bucket: &str) -> Answer<()> {
        self.caller.delete_bucket(bucket).await
    }

    async fn head_bucket(&self, bucket: &str) -> Answer<()> {
        self.caller.head_bucket(bucket).await
    }

    async fn list_buckets(&self) -> Answer<Vec<String>> {
        self.caller.list_buckets().await
    }

    async fn keeps_versions(&self, bucket: &str) -> Answer<bool> {
        self.caller.keeps_versions(bucket).await
    }

    async fn keep_versions(&self, bucket: &str) -> Answer<()> {
        self.caller.keep_versions(bucket).await
    }

    fn learn_versions(&self, bucket: &str, keeps: bool) {
        self.caller.learn_versions(bucket, keeps);
    }
}
