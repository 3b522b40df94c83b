//! A disk that is not there yet: the gateway starts without it, and uses it from the moment that it is mounted.

use crate::{
    Answer, Applied, At, Body, ByteRange, ByteStream, CopyPage, DiskOpenError, DiskStore, Dress, Fault, Found, Limits,
    NativePart, PutSpec, Store, StoreError, VersionPage,
};
use async_trait::async_trait;
use outlast_rules::{Fence, Pin, StoreName};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::time::Instant;

/// Between two attempts to open: a health check comes more often than a disk is mounted.
const TRY_EVERY: Duration = Duration::from_secs(2);

/// See the module. A disk that was opened once stays open: what happens to it later it tells itself.
pub struct LateDisk {
    name: StoreName,
    path: PathBuf,
    limits: Limits,
    on_network: bool,
    open: Mutex<Opening>,
}

struct Opening {
    disk: Option<Arc<DiskStore>>,
    tried: Option<Instant>,
    fault: Fault,
    why: String,
}

/// A folder that is not there is a disk that is not mounted; anything else that keeps it from being opened is an error of it.
fn fault_of(why: &DiskOpenError) -> Fault {
    match why {
        DiskOpenError::Missing(_) => Fault::NotMounted,
        DiskOpenError::NotAFolder(_) | DiskOpenError::Locked { .. } | DiskOpenError::Io { .. } => Fault::Disk,
    }
}

impl LateDisk {
    /// For a disk whose opening has just failed with `why`.
    pub fn new(name: StoreName, path: &Path, on_network: bool, why: &DiskOpenError) -> LateDisk {
        let limits = Limits { never_given_up: !on_network, ..DiskStore::limits_usual() };
        let open = Opening { disk: None, tried: None, fault: fault_of(why), why: why.to_string() };
        LateDisk { name, path: path.to_owned(), limits, on_network, open: Mutex::new(open) }
    }

    async fn disk(&self, what: &str, at: &str) -> Answer<Arc<DiskStore>> {
        let mut open = self.open.lock().await;
        if let Some(disk) = &open.disk {
            return Ok(disk.clone());
        }
        if open.tried.is_none_or(|tried| tried.elapsed() >= TRY_EVERY) {
            open.tried = Some(Instant::now());
            let (name, path) = (self.name.clone(), self.path.clone());
            match tokio::task::spawn_blocking(move || DiskStore::open(name, &path)).await {
                Ok(Ok(disk)) => {
                    let disk = Arc::new(if self.on_network { disk.on_network() } else { disk });
                    tracing::info!(store = %self.name, path = %self.path.display(), "the disk is there now");
                    open.disk = Some(disk.clone());
                    return Ok(disk);
                }
                Ok(Err(why)) => (open.fault, open.why) = (fault_of(&why), why.to_string()),
                Err(join) => (open.fault, open.why) = (Fault::Disk, join.to_string()),
            }
        }
        Err(StoreError {
            store: self.name.clone(),
            what: format!("{what} {at}"),
            fault: open.fault,
            applied: Applied::NotSent,
            status: None,
            code: None,
            message: open.why.clone(),
            request_id: None,
            cause: None,
            elapsed: Duration::ZERO,
        })
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl Store for LateDisk {
    fn name(&self) -> &StoreName {
        &self.name
    }
    fn limits(&self) -> &Limits {
        &self.limits
    }
    fn place(&self) -> String {
        format!("disk {}", self.path.display())
    }
    async fn put(&self, at: &At, spec: &PutSpec, body: Body) -> Answer<Pin> {
        self.disk("put", &at.key).await?.put(at, spec, body).await
    }
    async fn head(&self, at: &At, version: Option<&str>) -> Answer<Found> {
        self.disk("head", &at.key).await?.head(at, version).await
    }
    async fn is_plain(&self, at: &At) -> Answer<bool> {
        self.disk("head", &at.key).await?.is_plain(at).await
    }
    async fn get(&self, at: &At, pin: Option<&Pin>, range: Option<ByteRange>) -> Answer<(Found, ByteStream)> {
        self.disk("get", &at.key).await?.get(at, pin, range).await
    }
    async fn copy(&self, from: &At, pin: &Pin, to: &At, spec: &PutSpec) -> Answer<Pin> {
        self.disk("copy", &to.key).await?.copy(from, pin, to, spec).await
    }
    async fn delete(&self, at: &At, version: Option<&str>, fence: Option<&Fence>) -> Answer<()> {
        self.disk("delete", &at.key).await?.delete(at, version, fence).await
    }
    async fn list(&self, bucket: &str, prefix: &str, after: Option<&str>) -> Answer<CopyPage> {
        self.disk("list", bucket).await?.list(bucket, prefix, after).await
    }
    async fn list_versions(&self, bucket: &str, prefix: &str, after: Option<&str>) -> Answer<VersionPage> {
        self.disk("list versions", bucket).await?.list_versions(bucket, prefix, after).await
    }
    async fn create_upload(&self, at: &At, dress: &Dress) -> Answer<String> {
        self.disk("create upload", &at.key).await?.create_upload(at, dress).await
    }
    async fn put_part(&self, at: &At, upload: &str, number: u32, body: Body, md5: Option<[u8; 16]>) -> Answer<String> {
        self.disk("put part", &at.key).await?.put_part(at, upload, number, body, md5).await
    }
    async fn complete_upload(&self, at: &At, upload: &str, parts: &[NativePart], fence: Option<&Fence>) -> Answer<Pin> {
        self.disk("complete", &at.key).await?.complete_upload(at, upload, parts, fence).await
    }
    async fn abort_upload(&self, at: &At, upload: &str) -> Answer<()> {
        self.disk("abort", &at.key).await?.abort_upload(at, upload).await
    }
    async fn list_parts(&self, at: &At, upload: &str) -> Answer<Vec<NativePart>> {
        self.disk("list parts", &at.key).await?.list_parts(at, upload).await
    }
    async fn list_uploads(&self, bucket: &str) -> Answer<Vec<(String, String)>> {
        self.disk("list uploads", bucket).await?.list_uploads(bucket).await
    }
    async fn create_bucket(&self, bucket: &str) -> Answer<()> {
        self.disk("create bucket", bucket).await?.create_bucket(bucket).await
    }
    async fn delete_bucket(&self, bucket: &str) -> Answer<()> {
        self.disk("delete bucket", bucket).await?.delete_bucket(bucket).await
    }
    async fn head_bucket(&self, bucket: &str) -> Answer<()> {
        self.disk("head bucket", bucket).await?.head_bucket(bucket).await
    }
    async fn list_buckets(&self) -> Answer<Vec<String>> {
        self.disk("list buckets", "").await?.list_buckets().await
    }
    async fn keeps_versions(&self, bucket: &str) -> Answer<bool> {
        self.disk("keeps versions", bucket).await?.keeps_versions(bucket).await
    }
    async fn keep_versions(&self, bucket: &str) -> Answer<()> {
        self.disk("keep versions", bucket).await?.keep_versions(bucket).await
    }
    fn learn_versions(&self, _bucket: &str, _keeps: bool) {
        // A disk keeps none and never says otherwise.
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn comes_to_life_when_it_is_mounted() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("disk");
        let name = StoreName::parse("nas").unwrap();
        let why = DiskStore::open(name.clone(), &path).err().expect("nothing is there");
        let late = LateDisk::new(name, &path, false, &why);
        let error = late.list_buckets().await.unwrap_err();
        assert_eq!((error.fault, error.applied), (Fault::NotMounted, Applied::NotSent));
        assert!(error.message.contains("mounted"), "{error}");
        std::fs::create_dir(&path).unwrap();
        assert!(late.list_buckets().await.is_err(), "it is not tried with every call");
        tokio::time::advance(TRY_EVERY).await;
        late.create_bucket("photos").await.unwrap();
        assert_eq!(late.list_buckets().await.unwrap(), ["photos"]);
    }
}
