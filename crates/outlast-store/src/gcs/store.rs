//! `GcsStore`: Google Cloud Storage as a `Store`.

use super::call::Caller;
use super::config::GcsConfig;
use super::names;
use crate::wire::{Resolve, ServiceConfigError, SystemResolver};
use crate::{
    Answer, Applied, At, Body, ByteRange, ByteStream, CopyPage, Dress, Fault, Found, Limits, NativePart, PutSpec, Store,
};
use async_trait::async_trait;
use outlast_rules::{Fence, Pin, StoreName};
use std::sync::Arc;

/// The service takes 8 KiB (cloud.google.com, "Quotas and limits"); nobody above us counts further than S3.
const METADATA_BYTES_MAX: usize = 2048;
/// cloud.google.com, "Quotas and limits": the largest object, however it is made.
const OBJECT_BYTES_MAX: u64 = 5 * 1024 * 1024 * 1024 * 1024;
/// Parts are objects; nobody above us counts further than S3.
const PARTS_MAX: u32 = 10_000;

/// Google Cloud Storage, and one account there.
pub struct GcsStore {
    caller: Caller,
    limits: Limits,
}

impl GcsStore {
    /// Reads `ca_file`; makes no connection yet.
    ///
    /// # Errors
    /// A configuration that cannot work: endpoint, credentials, CA file.
    pub fn new(config: GcsConfig) -> Result<GcsStore, ServiceConfigError> {
        GcsStore::with_resolver(config, Arc::new(SystemResolver))
    }

    /// With a resolver of one's own.
    ///
    /// # Errors
    /// As `new`.
    pub fn with_resolver(config: GcsConfig, resolver: Arc<dyn Resolve>) -> Result<GcsStore, ServiceConfigError> {
        let limits = Limits {
            kind: "gcs",
            metadata_bytes_max: METADATA_BYTES_MAX,
            put_bytes_max: OBJECT_BYTES_MAX,
            part_bytes_min: 1,
            part_bytes_max: OBJECT_BYTES_MAX,
            parts_max: PARTS_MAX,
            parts_alike: false,
            copy_bytes_max: OBJECT_BYTES_MAX,
            never_given_up: false,
            etag_is_md5: false,
            metered: config.metered,
        };
        Ok(GcsStore { caller: Caller::new(config, resolver)?, limits })
    }
}

#[async_trait]
impl Store for GcsStore {
    fn name(&self) -> &StoreName {
        &self.caller.config().name
    }

    fn limits(&self) -> &Limits {
        &self.limits
    }

    fn place(&self) -> String {
        format!("gcs {}", self.caller.endpoint().shown())
    }

    async fn put(&self, at: &At, spec: &PutSpec, body: Body) -> Answer<Pin> {
        self.caller.put(at, spec, body).await
    }

    async fn head(&self, at: &At, version: Option<&str>) -> Answer<Found> {
        match version {
            None => self.caller.head_key(at).await,
            Some(version) => self.caller.head_version(at, version).await,
        }
    }

    async fn is_plain(&self, at: &At) -> Answer<bool> {
        Ok(names::there(&at.key) == at.key)
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

    /// Pins name no older generations here, whatever the bucket keeps.
    async fn keeps_versions(&self, bucket: &str) -> Answer<bool> {
        self.caller.head_bucket(bucket).await.map(|()| false)
    }

    async fn keep_versions(&self, bucket: &str) -> Answer<()> {
        let trace = self.caller.trace(&format!("keep versions of {bucket}"));
        let message = "older generations are not used";
        Err(trace.error(Fault::Unsupported, Applied::NotSent, message))
    }
}
