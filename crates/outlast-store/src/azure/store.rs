//! `AzureStore`: one storage account as a `Store`.

use super::call::Caller;
use super::config::AzureConfig;
use super::names;
use crate::wire::{Resolve, ServiceConfigError, SystemResolver};
use crate::{
    Answer, Applied, At, Body, ByteRange, ByteStream, CopyPage, Dress, Fault, Found, Limits, NativePart, PutSpec, Store,
};
use async_trait::async_trait;
use outlast_rules::{Fence, Pin, StoreName};
use std::sync::Arc;

/// Azure takes 8 KiB (learn.microsoft.com, "Setting and retrieving properties and metadata"); as much as S3 allows stays
/// below that even where every byte is escaped.
const METADATA_BYTES_MAX: usize = 2048;
const MIB: u64 = 1024 * 1024;
/// learn.microsoft.com, "Scalability and performance targets for Blob storage": one Put Blob, and one block.
const PUT_BYTES_MAX: u64 = 5000 * MIB;
const PART_BYTES_MAX: u64 = 4000 * MIB;
/// Azure allows 50,000 blocks; nobody above us counts further than S3.
const PARTS_MAX: u32 = 10_000;
/// The largest block blob: 50,000 blocks.
const COPY_BYTES_MAX: u64 = 50_000 * PART_BYTES_MAX;

/// One storage account.
pub struct AzureStore {
    caller: Caller,
    limits: Limits,
}

impl AzureStore {
    /// Reads `ca_file`; makes no connection yet.
    ///
    /// # Errors
    /// A configuration that cannot work: endpoint, account, key, CA file.
    pub fn new(config: AzureConfig) -> Result<AzureStore, ServiceConfigError> {
        AzureStore::with_resolver(config, Arc::new(SystemResolver))
    }

    /// With a resolver of one's own.
    ///
    /// # Errors
    /// As `new`.
    pub fn with_resolver(config: AzureConfig, resolver: Arc<dyn Resolve>) -> Result<AzureStore, ServiceConfigError> {
        let limits = Limits {
            kind: "azure",
            metadata_bytes_max: METADATA_BYTES_MAX,
            put_bytes_max: PUT_BYTES_MAX,
            part_bytes_min: 1,
            part_bytes_max: PART_BYTES_MAX,
            parts_max: PARTS_MAX,
            parts_alike: false,
            copy_bytes_max: COPY_BYTES_MAX,
            never_given_up: false,
            etag_is_md5: false,
            metered: config.metered,
        };
        Ok(AzureStore { caller: Caller::new(config, resolver)?, limits })
    }
}

#[async_trait]
impl Store for AzureStore {
    fn name(&self) -> &StoreName {
        &self.caller.config().name
    }

    fn limits(&self) -> &Limits {
        &self.limits
    }

    fn place(&self) -> String {
        let account = if self.caller.config().path_style { &self.caller.config().account } else { "" };
        let slash = if account.is_empty() { "" } else { "/" };
        format!("azure {}{slash}{account}", self.caller.endpoint().shown())
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
        self.caller.create_container(bucket).await
    }

    async fn delete_bucket(&self, bucket: &str) -> Answer<()> {
        self.caller.delete_container(bucket).await
    }

    async fn head_bucket(&self, bucket: &str) -> Answer<()> {
        self.caller.head_container(bucket).await
    }

    async fn list_buckets(&self) -> Answer<Vec<String>> {
        self.caller.list_containers().await
    }

    /// Pins name no versions here, whatever the account keeps.
    async fn keeps_versions(&self, bucket: &str) -> Answer<bool> {
        self.caller.head_container(bucket).await.map(|()| false)
    }

    async fn keep_versions(&self, bucket: &str) -> Answer<()> {
        let trace = self.caller.trace(&format!("keep versions of {bucket}"));
        let message =
            "versions of Azure blobs are not used: an account keeps them, no container and no key of an account";
        Err(trace.error(Fault::Unsupported, Applied::NotSent, message))
    }
}
