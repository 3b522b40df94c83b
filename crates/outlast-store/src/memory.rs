//! A store of any grade in memory: for the simulator, for scripts, and as the honest peer that tests compare with.

use crate::refusal::{Refusal, fit_range, judge_fence, receive_whole};
use crate::{
    Answer, At, Body, ByteRange, ByteStream, CopyPage, Dress, Found, Limits, ListedCopy, NativePart, PutSpec, Store,
    VersionPage,
};
use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use futures_util::{StreamExt, stream};
use md5::{Digest, Md5};
use outlast_rules::{Fence, Moment, Pin, StoreName};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

mod traits;
mod versions;

pub use traits::{Fences, MemoryTraits};

/// S3's page; the engine relies on no store giving more.
const PAGE_MAX: usize = 1000;
/// Bodies leave in pieces of this size, so that readers meet the edges that a network would give them.
const CHUNK_BYTES: usize = 64 * 1024;
/// Amazon S3's limit for user metadata.
const METADATA_BYTES_MAX: usize = 2048;

/// Tells the store the time; a store has no clock of its own.
pub type Now = Arc<dyn Fn() -> Moment + Send + Sync>;

/// See the module.
pub struct MemoryStore {
    name: StoreName,
    traits: MemoryTraits,
    limits: Limits,
    now: Now,
    world: Mutex<World>,
}

/// One copy as it lies there.
#[derive(Debug, Clone)]
pub struct Lying {
    pub found: Found,
    pub bytes: Bytes,
    /// What a request without a version id gets.
    pub is_current: bool,
}

/// What lay on a store that is not mounted now.
pub struct Unmounted(World);

#[derive(Default)]
struct World {
    buckets: BTreeMap<String, Bucket>,
    /// Ids and unique ETags come from here, so that a run is the same each time.
    counter: u64,
}

#[derive(Default)]
struct Bucket {
    /// Oldest first; never an empty list.
    keys: BTreeMap<String, Vec<Version>>,
    uploads: BTreeMap<String, Upload>,
}

#[derive(Clone)]
struct Version {
    id: Option<String>,
    /// None: a delete marker.
    copy: Option<Copied>,
}

#[derive(Clone)]
struct Copied {
    bytes: Bytes,
    etag: String,
    dress: Dress,
    modified: Moment,
}

struct Upload {
    key: String,
    dress: Dress,
    parts: BTreeMap<u32, (Bytes, String)>,
}

impl MemoryStore {
    pub fn new(name: StoreName, traits: MemoryTraits, now: Now) -> MemoryStore {
        let limits = Limits {
            kind: "memory",
            metadata_bytes_max: METADATA_BYTES_MAX,
            put_bytes_max: 5 << 30,
            part_bytes_min: 1,
            part_bytes_max: 5 << 30,
            parts_max: 10_000,
            parts_alike: false,
            copy_bytes_max: traits.copy_bytes_max,
            never_given_up: traits.never_given_up,
            etag_is_md5: !traits.unique_etags,
            metered: false,
        };
        MemoryStore { name, traits, limits, now, world: Mutex::default() }
    }

    /// With a clock that goes on by one millisecond whenever it is asked.
    pub fn counting(name: StoreName, traits: MemoryTraits) -> MemoryStore {
        let ticks = AtomicU64::new(1);
        MemoryStore::new(name, traits, Arc::new(move || Moment(ticks.fetch_add(1, Ordering::Relaxed))))
    }

    /// A store that keeps nothing over a restart: everything is gone, buckets too.
    pub fn empty(&self) {
        self.world().buckets.clear();
    }

    /// A disk that is not mounted: what lay there is out of sight, and whatever comes now goes into the bare place beneath.
    pub fn unmount(&self) -> Unmounted {
        let mut world = self.world();
        let beneath = World { counter: world.counter, ..World::default() };
        Unmounted(std::mem::replace(&mut *world, beneath))
    }

    /// Mounted again: all is as it lay there, and what came meanwhile is out of sight for good.
    pub fn mount(&self, Unmounted(lay): Unmounted) {
        let mut world = self.world();
        *world = World { counter: world.counter, ..lay };
    }

    /// A store whose restart loses metadata: bytes and ETags stay, stamps and headers go.
    pub fn strip(&self) {
        for bucket in self.world().buckets.values_mut() {
            for copy in bucket.keys.values_mut().flatten().filter_map(|version| version.copy.as_mut()) {
                copy.dress = Dress::default();
            }
        }
    }

    /// The medium rots: other bytes under the same ETag. False where there is no such key.
    pub fn rot(&self, at: &At, bytes: Bytes) -> bool {
        let mut world = self.world();
        let versions = world.buckets.get_mut(&at.bucket).and_then(|bucket| bucket.keys.get_mut(&at.key));
        match versions.and_then(|versions| versions.last_mut()).and_then(|version| version.copy.as_mut()) {
            Some(copy) => {
                copy.bytes = bytes;
                true
            }
            None => false,
        }
    }

    /// The medium loses a key, every version of it.
    pub fn lose(&self, at: &At) {
        if let Some(bucket) = self.world().buckets.get_mut(&at.bucket) {
            bucket.keys.remove(&at.key);
        }
    }

    /// Everything that lies under a key, oldest first, for who looks from behind.
    pub fn lying(&self, at: &At) -> Vec<Lying> {
        let world = self.world();
        let Some(versions) = world.buckets.get(&at.bucket).and_then(|bucket| bucket.keys.get(&at.key)) else {
            return vec![];
        };
        let last = versions.len() - 1;
        let copies = versions.iter().enumerate().filter_map(|(n, version)| Some((n, version, version.copy.as_ref()?)));
        let lying = copies.map(|(n, version, copy)| Lying {
            found: found(version.id.clone(), copy),
            bytes: copy.bytes.clone(),
            is_current: n == last,
        });
        lying.collect()
    }

    /// Keys of a bucket that a plain listing shows, our own records among them.
    pub fn shown(&self, bucket: &str) -> Vec<String> {
        let world = self.world();
        let Some(bucket) = world.buckets.get(bucket) else { return vec![] };
        bucket.keys.keys().filter(|key| bucket.current(key).is_some()).cloned().collect()
    }

    fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().expect("no holder of this lock can panic")
    }

    fn answer<T>(&self, what: &str, at: &At, result: Result<T, Refusal>) -> Answer<T> {
        result.map_err(|r| r.dressed(&self.name, format!("{what} {}/{}", at.bucket, at.key), Duration::ZERO))
    }

    fn check_dress(&self, dress: &Dress) -> Result<(), Refusal> {
        let stamp = dress.stamp.as_ref().map_or(0, |stamp| crate::STAMP_NAME.len() + stamp.encode().len());
        if dress.head.metadata_bytes() + stamp > self.limits.metadata_bytes_max {
            return Err(Refusal::bad(400, "MetadataTooLarge", "the metadata is larger than this store can hold"));
        }
        Ok(())
    }

    /// Where a key lies here.
    fn place_of(&self, at: &At) -> At {
        let key = if self.traits.drops_slashes { at.key.trim_start_matches('/') } else { &at.key };
        At::new(at.bucket.clone(), key)
    }

    fn keep_dress(&self, dress: &Dress) -> Dress {
        if self.traits.keeps_metadata { dress.clone() } else { Dress::default() }
    }

    fn judge(&self, fence: Option<&Fence>, current: Option<&Copied>) -> Result<(), Refusal> {
        match self.traits.fences {
            Fences::Ignored => Ok(()),
            Fences::Refused if fence.is_some() => Err(Refusal::unsupported("conditions are not implemented here")),
            _ => judge_fence(fence, current.map(|copy| copy.etag.as_str())),
        }
    }

    /// The one place where a copy changes: judged and applied under one lock.
    fn commit(
        &self,
        at: &At,
        fence: Option<&Fence>,
        bytes: Bytes,
        etag: String,
        dress: &Dress,
    ) -> Result<Pin, Refusal> {
        self.commit_in(&mut self.world(), at, fence, (bytes, etag), dress)
    }

    fn commit_in(
        &self,
        world: &mut World,
        at: &At,
        fence: Option<&Fence>,
        (bytes, etag): (Bytes, String),
        dress: &Dress,
    ) -> Result<Pin, Refusal> {
        self.judge(fence, world.bucket(&at.bucket)?.current(&at.key))?;
        let modified = (self.now)();
        let id = self.traits.keeps_versions.then(|| format!("v{:08x}", world.tick()));
        let etag = if self.traits.unique_etags { format!("{:016x}", world.tick()) } else { etag };
        let copy = Copied { bytes, etag: etag.clone(), dress: self.keep_dress(dress), modified };
        let versions = world.bucket_mut(&at.bucket)?.keys.entry(at.key.clone()).or_default();
        if id.is_none() {
            versions.clear();
        }
        versions.push(Version { id: id.clone(), copy: Some(copy) });
        Ok(Pin { etag, version: id })
    }

    fn read(&self, at: &At, pin: Option<&Pin>) -> Result<(Option<String>, Copied), Refusal> {
        let world = self.world();
        let bucket = world.bucket(&at.bucket)?;
        match pin {
            None => bucket.pinned(&at.key, None),
            Some(pin) => {
                let (id, copy) = bucket.pinned(&at.key, pin.version.as_deref())?;
                if copy.etag == pin.etag { Ok((id, copy)) } else { Err(Refusal::precondition()) }
            }
        }
    }

    fn remove(&self, at: &At, version: Option<&str>, fence: Option<&Fence>) -> Result<(), Refusal> {
        let mut world = self.world();
        self.judge(fence, world.bucket(&at.bucket)?.current(&at.key))?;
        let marker = format!("v{:08x}", world.tick());
        let bucket = world.bucket_mut(&at.bucket)?;
        let hides = self.traits.keeps_versions;
        let Some(versions) = bucket.keys.get_mut(&at.key) else { return Ok(()) };
        match version {
            Some(id) => versions.retain(|version| version.id.as_deref() != Some(id)),
            None if hides => versions.push(Version { id: Some(marker), copy: None }),
            None => versions.clear(),
        }
        if versions.is_empty() {
            bucket.keys.remove(&at.key);
        }
        Ok(())
    }

    fn complete(&self, at: &At, upload: &str, parts: &[NativePart], fence: Option<&Fence>) -> Result<Pin, Refusal> {
        let mut world = self.world();
        let (bytes, etag, dress) = {
            let open = world.bucket(&at.bucket)?.upload(at, upload)?;
            let mut whole = BytesMut::new();
            let mut digests = Md5::new();
            if parts.is_empty() || !parts.is_sorted_by(|a, b| a.number < b.number) {
                return Err(Refusal::bad(400, "InvalidPartOrder", "parts must ascend, and there must be one"));
            }
            for part in parts {
                let is_named = |etag: &String| *etag == part.etag || !self.traits.checks_parts;
                let known = open.parts.get(&part.number).filter(|(_, etag)| is_named(etag));
                let (bytes, _) = known.ok_or_else(|| {
                    Refusal::bad(400, "InvalidPart", format!("part {} is not the one named", part.number))
                })?;
                whole.extend_from_slice(bytes);
                digests.update(Md5::digest(bytes));
            }
            (whole.freeze(), format!("{}-{}", hex(&digests.finalize()), parts.len()), open.dress.clone())
        };
        let pin = self.commit_in(&mut world, at, fence, (bytes, etag), &dress)?;
        world.bucket_mut(&at.bucket)?.uploads.remove(upload);
        Ok(pin)
    }

    fn page(&self, bucket: &str, prefix: &str, after: Option<&str>) -> Result<CopyPage, Refusal> {
        let world = self.world();
        let bucket = world.bucket(bucket)?;
        let mut page = CopyPage::default();
        let from = after.filter(|after| *after > prefix).unwrap_or(prefix);
        for key in bucket.keys.range(from.to_owned()..).map(|(key, _)| key) {
            if !key.starts_with(prefix) {
                break;
            }
            if after.is_some_and(|after| key.as_str() <= after) {
                continue;
            }
            let Some(copy) = bucket.current(key) else { continue };
            if page.copies.len() == PAGE_MAX {
                page.next = page.copies.last().map(|last| last.key.clone());
                break;
            }
            page.copies.push(ListedCopy {
                key: key.clone(),
                size: copy.bytes.len() as u64,
                etag: copy.etag.clone(),
                modified: Some(copy.modified),
            });
        }
        Ok(page)
    }
}

impl World {
    fn tick(&mut self) -> u64 {
        self.counter += 1;
        self.counter
    }

    fn bucket(&self, name: &str) -> Result<&Bucket, Refusal> {
        self.buckets.get(name).ok_or_else(Refusal::no_bucket)
    }

    fn bucket_mut(&mut self, name: &str) -> Result<&mut Bucket, Refusal> {
        self.buckets.get_mut(name).ok_or_else(Refusal::no_bucket)
    }
}

impl Bucket {
    fn current(&self, key: &str) -> Option<&Copied> {
        self.keys.get(key)?.last()?.copy.as_ref()
    }

    fn pinned(&self, key: &str, version: Option<&str>) -> Result<(Option<String>, Copied), Refusal> {
        let versions = self.keys.get(key).map(Vec::as_slice).unwrap_or_default();
        let found = match version {
            None => versions.last(),
            Some(id) => versions.iter().find(|version| version.id.as_deref() == Some(id)),
        };
        let missing = || if version.is_some() { Refusal::no_version() } else { Refusal::no_key() };
        let found = found.ok_or_else(missing)?;
        let copy = found.copy.clone().ok_or_else(Refusal::no_key)?;
        Ok((found.id.clone(), copy))
    }

    fn upload(&self, at: &At, id: &str) -> Result<&Upload, Refusal> {
        self.uploads.get(id).filter(|upload| upload.key == at.key).ok_or_else(Refusal::no_upload)
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

fn found(version: Option<String>, copy: &Copied) -> Found {
    Found {
        pin: Pin { etag: copy.etag.clone(), version },
        size: copy.bytes.len() as u64,
        dress: copy.dress.clone(),
        modified: Some(copy.modified),
    }
}

fn in_chunks(bytes: Bytes) -> ByteStream {
    stream::unfold(bytes, |mut rest| async move {
        if rest.is_empty() {
            return None;
        }
        let chunk = rest.split_to(rest.len().min(CHUNK_BYTES));
        Some((Ok(chunk), rest))
    })
    .boxed()
}

#[async_trait]
impl Store for MemoryStore {
    fn name(&self) -> &StoreName {
        &self.name
    }

    fn limits(&self) -> &Limits {
        &self.limits
    }

    fn place(&self) -> String {
        format!("memory {}", self.name)
    }

    async fn put(&self, at: &At, spec: &PutSpec, body: Body) -> Answer<Pin> {
        let result = async {
            self.check_dress(&spec.dress)?;
            let bytes = receive_whole(body).await?;
            let md5: [u8; 16] = Md5::digest(&bytes).into();
            if spec.md5.is_some_and(|expected| expected != md5) {
                return Err(Refusal::bad(400, "BadDigest", "the body has another MD5 than was said"));
            }
            self.commit(&self.place_of(at), spec.fence.as_ref(), bytes, hex(&md5), &spec.dress)
        };
        self.answer("put", at, result.await)
    }

    async fn head(&self, at: &At, version: Option<&str>) -> Answer<Found> {
        let place = self.place_of(at);
        let result = self.world().bucket(&place.bucket).and_then(|bucket| bucket.pinned(&place.key, version));
        self.answer("head", at, result.map(|(id, copy)| found(id, &copy)))
    }

    async fn get(&self, at: &At, pin: Option<&Pin>, range: Option<ByteRange>) -> Answer<(Found, ByteStream)> {
        let result = self.read(&self.place_of(at), pin).and_then(|(id, copy)| {
            let (start, end) = fit_range(range, copy.bytes.len() as u64)?;
            Ok((found(id, &copy), in_chunks(copy.bytes.slice(start as usize..end as usize))))
        });
        self.answer("get", at, result)
    }

    async fn copy(&self, from: &At, pin: &Pin, to: &At, spec: &PutSpec) -> Answer<Pin> {
        let pin = self.traits.pins_sources.then_some(pin);
        let result = self.check_dress(&spec.dress).and_then(|()| self.read(from, pin)).and_then(|(_, source)| {
            let etag = hex(&Md5::digest(&source.bytes));
            self.commit(&self.place_of(to), spec.fence.as_ref(), source.bytes, etag, &spec.dress)
        });
        self.answer("copy to", to, result)
    }

    async fn delete(&self, at: &At, version: Option<&str>, fence: Option<&Fence>) -> Answer<()> {
        self.answer("delete", at, self.remove(&self.place_of(at), version, fence))
    }

    async fn list(&self, bucket: &str, prefix: &str, after: Option<&str>) -> Answer<CopyPage> {
        self.answer("list", &At::new(bucket, prefix), self.page(bucket, prefix, after))
    }

    async fn list_versions(&self, bucket: &str, prefix: &str, after: Option<&str>) -> Answer<VersionPage> {
        if !self.traits.keeps_versions {
            let result = Err(Refusal::unsupported("no versions are kept here"));
            return self.answer("list versions of", &At::new(bucket, prefix), result);
        }
        self.answer("list versions of", &At::new(bucket, prefix), self.version_page(bucket, prefix, after))
    }

    async fn create_upload(&self, at: &At, dress: &Dress) -> Answer<String> {
        let result = self.check_dress(dress).and_then(|()| {
            let mut world = self.world();
            let id = format!("u{:08x}", world.tick());
            let upload = Upload { key: at.key.clone(), dress: dress.clone(), parts: BTreeMap::new() };
            world.bucket_mut(&at.bucket)?.uploads.insert(id.clone(), upload);
            Ok(id)
        });
        self.answer("create upload of", at, result)
    }

    async fn put_part(&self, at: &At, upload: &str, number: u32, body: Body, md5: Option<[u8; 16]>) -> Answer<String> {
        let result = async {
            let bytes = receive_whole(body).await?;
            let digest: [u8; 16] = Md5::digest(&bytes).into();
            if md5.is_some_and(|expected| expected != digest) {
                return Err(Refusal::bad(400, "BadDigest", "the part has another MD5 than was said"));
            }
            let mut world = self.world();
            let etag = if self.traits.unique_etags { format!("{:016x}", world.tick()) } else { hex(&digest) };
            let bucket = world.bucket_mut(&at.bucket)?;
            bucket.upload(at, upload)?;
            if let Some(open) = bucket.uploads.get_mut(upload) {
                open.parts.insert(number, (bytes, etag.clone()));
            }
            Ok(etag)
        };
        self.answer("put part of", at, result.await)
    }

    async fn complete_upload(&self, at: &At, upload: &str, parts: &[NativePart], fence: Option<&Fence>) -> Answer<Pin> {
        self.answer("complete", at, self.complete(at, upload, parts, fence))
    }

    async fn abort_upload(&self, at: &At, upload: &str) -> Answer<()> {
        let mut world = self.world();
        let result = world.bucket_mut(&at.bucket).and_then(|bucket| {
            bucket.upload(at, upload)?;
            bucket.uploads.remove(upload);
            Ok(())
        });
        self.answer("abort upload of", at, result)
    }

    async fn list_parts(&self, at: &At, upload: &str) -> Answer<Vec<NativePart>> {
        let world = self.world();
        let result = world.bucket(&at.bucket).and_then(|bucket| bucket.upload(at, upload)).map(|open| {
            let part = |(&number, (bytes, etag)): (&u32, &(Bytes, String))| NativePart {
                number,
                size: bytes.len() as u64,
                etag: etag.clone(),
            };
            open.parts.iter().map(part).collect()
        });
        self.answer("list parts of", at, result)
    }

    async fn list_uploads(&self, bucket: &str) -> Answer<Vec<(String, String)>> {
        let result = self.world().bucket(bucket).map(|bucket| {
            let mut open: Vec<_> = bucket.uploads.iter().map(|(id, up)| (up.key.clone(), id.clone())).collect();
            open.sort();
            open
        });
        self.answer("list uploads of", &At::new(bucket, ""), result)
    }

    async fn create_bucket(&self, bucket: &str) -> Answer<()> {
        self.world().buckets.entry(bucket.to_owned()).or_default();
        Ok(())
    }

    async fn delete_bucket(&self, bucket: &str) -> Answer<()> {
        let mut world = self.world();
        let result = match world.bucket(bucket) {
            Err(refusal) => Err(refusal),
            Ok(full) if !full.keys.is_empty() => Err(Refusal::bucket_not_empty()),
            Ok(_) => {
                world.buckets.remove(bucket);
                Ok(())
            }
        };
        self.answer("delete bucket", &At::new(bucket, ""), result)
    }

    async fn head_bucket(&self, bucket: &str) -> Answer<()> {
        self.answer("head bucket", &At::new(bucket, ""), self.world().bucket(bucket).map(|_| ()))
    }

    async fn list_buckets(&self) -> Answer<Vec<String>> {
        Ok(self.world().buckets.keys().cloned().collect())
    }

    async fn keeps_versions(&self, bucket: &str) -> Answer<bool> {
        let result = self.world().bucket(bucket).map(|_| self.traits.keeps_versions);
        self.answer("ask versioning of", &At::new(bucket, ""), result)
    }

    async fn keep_versions(&self, bucket: &str) -> Answer<()> {
        let known = self.world().bucket(bucket).map(|_| ());
        let result = known.and_then(|()| {
            if self.traits.keeps_versions { Ok(()) } else { Err(Refusal::unsupported("no versions are kept here")) }
        });
        self.answer("keep versions of", &At::new(bucket, ""), result)
    }
}
