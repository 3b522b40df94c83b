//! A disk as a store: plain files under plain names below one root. Byte formats: docs/formats/disk.md.

mod buckets;
mod claims;
mod core;
mod errors;
mod in_place;
mod list;
mod names;
mod read;
mod receive;
mod record;
mod root;
mod seam;
mod uploads;
mod write;

#[cfg(test)]
mod tests;

pub use errors::DiskOpenError;

use crate::refusal::Refusal;
use crate::{
    Answer, At, Body, ByteRange, ByteStream, CopyPage, Dress, Found, Limits, NativePart, PutSpec, Shared, Store,
};
use async_trait::async_trait;
use core::Core;
use outlast_rules::{Fence, Pin, StoreName};
use root::Root;
use seam::Seam;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;
use write::Temp;

/// What an attribute cannot hold goes beside the file, so this only keeps records small.
const METADATA_BYTES_MAX: usize = 32 * 1024;
/// S3's largest object: what no peer could hold needs no place here.
const OBJECT_BYTES_MAX: u64 = 5 << 40;

/// Plain files under one root. One process at a time; every call runs to its end, waited for or not.
pub struct DiskStore {
    name: StoreName,
    limits: Limits,
    core: Arc<Core>,
}

impl DiskStore {
    /// Opens, locks, tries out and tidies an existing folder. Blocks; call it before serving or on a blocking thread.
    ///
    /// # Errors
    /// A root that is missing, is no folder, is locked by another process, or cannot be written.
    pub fn open(name: StoreName, path: &Path) -> Result<DiskStore, DiskOpenError> {
        DiskStore::open_on(name, path, Box::new(seam::Open))
    }

    /// The same, but a folder that isn't there is made first: for a new installation, never for a disk that may only be
    /// unmounted.
    pub fn open_or_make(name: StoreName, path: &Path) -> Result<DiskStore, DiskOpenError> {
        let fail = |source| DiskOpenError::Io { path: path.to_owned(), doing: "make the root", source };
        std::fs::create_dir_all(path).map_err(fail)?;
        DiskStore::open(name, path)
    }

    /// On a network file system that is not recognised by itself: calls may live on after this process gave them up.
    pub fn on_network(mut self) -> DiskStore {
        self.limits.never_given_up = false;
        self
    }

    fn open_on(name: StoreName, path: &Path, seam: Box<dyn Seam>) -> Result<DiskStore, DiskOpenError> {
        let root = Root::open(path)?;
        let rules = root.try_names()?;
        let never_given_up = !root.is_on_network();
        let core = Core::new(root, rules, seam);
        let tidied = list::buckets(&core).and_then(|all| all.iter().try_for_each(|one| buckets::sweep(&core, one)));
        tidied.map_err(|refusal| DiskOpenError::Io {
            path: path.to_owned(),
            doing: "tidy up what an earlier process left",
            source: std::io::Error::other(refusal.message),
        })?;
        Ok(DiskStore { name, limits: DiskStore::limits_of(never_given_up), core: Arc::new(core) })
    }

    /// Of a disk that was not looked at yet.
    pub(crate) fn limits_usual() -> Limits {
        DiskStore::limits_of(true)
    }

    fn limits_of(never_given_up: bool) -> Limits {
        Limits {
            kind: "disk",
            metadata_bytes_max: METADATA_BYTES_MAX,
            put_bytes_max: OBJECT_BYTES_MAX,
            part_bytes_min: 1,
            part_bytes_max: OBJECT_BYTES_MAX,
            parts_max: 10_000,
            parts_alike: false,
            copy_bytes_max: OBJECT_BYTES_MAX,
            never_given_up,
            etag_is_md5: false,
            metered: false,
        }
    }

    /// Runs one call on a thread that may wait for the disk. It goes on when nobody waits for it any more.
    async fn run<T: Send + 'static>(
        &self,
        what: &str,
        at: &At,
        work: impl FnOnce(&Arc<Core>, &At) -> Result<T, Refusal> + Send + 'static,
    ) -> Answer<T> {
        let began = Instant::now();
        let result = self.on_disk(at, work).await;
        self.answer(what, at, began, result)
    }

    async fn on_disk<T: Send + 'static>(
        &self,
        at: &At,
        work: impl FnOnce(&Arc<Core>, &At) -> Result<T, Refusal> + Send + 'static,
    ) -> Result<T, Refusal> {
        let (core, at) = (Arc::clone(&self.core), at.clone());
        receive::blocking(move || work(&core, &at)).await
    }

    fn answer<T>(&self, what: &str, at: &At, began: Instant, result: Result<T, Refusal>) -> Answer<T> {
        result.map_err(|r| r.dressed(&self.name, format!("{what} {}/{}", at.bucket, at.key), began.elapsed()))
    }

    fn check_dress(&self, dress: &Dress) -> Result<(), Refusal> {
        if dress.head.metadata_bytes() > self.limits.metadata_bytes_max {
            return Err(Refusal::bad(400, "MetadataTooLarge", "the metadata is larger than this store can hold"));
        }
        Ok(())
    }

    /// The body as a file that has no name yet.
    async fn receive(&self, at: &At, body: Body) -> Result<Temp, Refusal> {
        let temp = self.on_disk(at, Temp::new).await?;
        receive::into(temp, body).await
    }
}

fn nameless(bucket: &str) -> At {
    At::new(bucket, "")
}

#[async_trait]
impl Store for DiskStore {
    fn name(&self) -> &StoreName {
        &self.name
    }

    fn limits(&self) -> &Limits {
        &self.limits
    }

    fn place(&self) -> String {
        format!("disk {}", self.core.root.path().display())
    }

    async fn put(&self, at: &At, spec: &PutSpec, body: Body) -> Answer<Pin> {
        let began = Instant::now();
        let result = async {
            self.check_dress(&spec.dress)?;
            let spec = spec.clone();
            match body {
                // One visit to the blocking threads for a small object.
                Body::Whole(bytes) | Body::Shared(Shared { bytes, .. }) => {
                    let work = move |core: &Arc<Core>, at: &At| {
                        let mut temp = Temp::new(core, at)?;
                        temp.write(&bytes)?;
                        temp.commit(&spec)
                    };
                    self.on_disk(at, work).await
                }
                stream => {
                    let temp = self.receive(at, stream).await?;
                    self.on_disk(at, move |_, _| temp.commit(&spec)).await
                }
            }
        };
        let result = result.await;
        self.answer("put", at, began, result)
    }

    async fn head(&self, at: &At, version: Option<&str>) -> Answer<Found> {
        let versioned = version.is_some();
        let work = move |core: &Arc<Core>, at: &At| {
            let found = read::find_pinned(core, at, None)?.found();
            if versioned { Err(Refusal::no_version()) } else { Ok(found) }
        };
        self.run("head", at, work).await
    }

    async fn is_plain(&self, at: &At) -> Answer<bool> {
        self.run("head", at, |core, at| Ok(read::find_pinned(core, at, None)?.place == read::Where::Plain)).await
    }

    async fn get(&self, at: &At, pin: Option<&Pin>, range: Option<ByteRange>) -> Answer<(Found, ByteStream)> {
        let pin = pin.cloned();
        let begun = self.run("get", at, move |core, at| read::begin(core, at, pin.as_ref(), range)).await;
        begun.map(|(found, reading)| (found, reading.into_stream()))
    }

    async fn copy(&self, from: &At, pin: &Pin, to: &At, spec: &PutSpec) -> Answer<Pin> {
        let (from, pin, spec, checked) = (from.clone(), pin.clone(), spec.clone(), self.check_dress(&spec.dress));
        let work = move |core: &Arc<Core>, to: &At| {
            checked?;
            let source = read::find_pinned(core, &from, Some(&pin))?;
            let mut temp = Temp::new(core, to)?;
            temp.append(&source.file, source.stat.st_size as u64)?;
            temp.commit(&spec)
        };
        self.run("copy to", to, work).await
    }

    async fn delete(&self, at: &At, version: Option<&str>, fence: Option<&Fence>) -> Answer<()> {
        let (versioned, fence) = (version.is_some(), fence.cloned());
        let work = move |core: &Arc<Core>, at: &At| match versioned {
            // No version is kept here, so none is there to remove; the current copy is not touched.
            true => core.bucket(&at.bucket).map(drop),
            false => write::remove(core, at, fence.as_ref()),
        };
        self.run("delete", at, work).await
    }

    async fn list(&self, bucket: &str, prefix: &str, after: Option<&str>) -> Answer<CopyPage> {
        let after = after.map(str::to_owned);
        let work = move |core: &Arc<Core>, at: &At| list::page(core, &at.bucket, &at.key, after.as_deref());
        self.run("list", &At::new(bucket, prefix), work).await
    }

    async fn create_upload(&self, at: &At, dress: &Dress) -> Answer<String> {
        let (dress, checked) = (dress.clone(), self.check_dress(dress));
        self.run("create upload of", at, move |core, at| checked.and_then(|()| uploads::create(core, at, &dress))).await
    }

    async fn put_part(&self, at: &At, upload: &str, number: u32, body: Body, _md5: Option<[u8; 16]>) -> Answer<String> {
        let began = Instant::now();
        let (id, again) = (upload.to_owned(), upload.to_owned());
        let result = async {
            let len = body.len();
            let temp = self.on_disk(at, move |core, at| uploads::begin_part(core, at, &id, (number, len))).await?;
            let temp = receive::into(temp, body).await?;
            self.on_disk(at, move |core, at| uploads::put_part(core, at, &again, number, temp)).await
        };
        let result = result.await;
        self.answer("put part of", at, began, result)
    }

    async fn complete_upload(&self, at: &At, upload: &str, parts: &[NativePart], fence: Option<&Fence>) -> Answer<Pin> {
        let (id, parts, fence) = (upload.to_owned(), parts.to_vec(), fence.cloned());
        let work = move |core: &Arc<Core>, at: &At| uploads::complete(core, at, &id, &parts, fence.as_ref());
        self.run("complete", at, work).await
    }

    async fn abort_upload(&self, at: &At, upload: &str) -> Answer<()> {
        let id = upload.to_owned();
        self.run("abort upload of", at, move |core, at| uploads::abort(core, at, &id)).await
    }

    async fn list_parts(&self, at: &At, upload: &str) -> Answer<Vec<NativePart>> {
        let id = upload.to_owned();
        self.run("list parts of", at, move |core, at| uploads::parts(core, at, &id)).await
    }

    async fn list_uploads(&self, bucket: &str) -> Answer<Vec<(String, String)>> {
        self.run("list uploads of", &nameless(bucket), |core, at| uploads::list(core, &at.bucket)).await
    }

    async fn create_bucket(&self, bucket: &str) -> Answer<()> {
        self.run("create bucket", &nameless(bucket), |core, at| buckets::create(core, &at.bucket)).await
    }

    async fn delete_bucket(&self, bucket: &str) -> Answer<()> {
        self.run("delete bucket", &nameless(bucket), |core, at| buckets::remove(core, &at.bucket)).await
    }

    async fn head_bucket(&self, bucket: &str) -> Answer<()> {
        self.run("head bucket", &nameless(bucket), |core, at| core.bucket(&at.bucket).map(drop)).await
    }

    async fn list_buckets(&self) -> Answer<Vec<String>> {
        self.run("list buckets", &nameless(""), |core, _| list::buckets(core)).await
    }

    async fn keeps_versions(&self, bucket: &str) -> Answer<bool> {
        self.run("ask versioning of", &nameless(bucket), |core, at| core.bucket(&at.bucket).map(|_| false)).await
    }

    async fn keep_versions(&self, bucket: &str) -> Answer<()> {
        let work = |core: &Arc<Core>, at: &At| {
            core.bucket(&at.bucket)?;
            Err(Refusal::unsupported("a disk keeps no versions"))
        };
        self.run("keep versions of", &nameless(bucket), work).await
    }
}
