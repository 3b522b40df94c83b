//! A store whose every call can be held, lost or answered wrongly on command: what makes the counter-examples happen.

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::TryStreamExt;
use outlast_rules::{Fence, Pin, StoreName};
use outlast_store::*;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What happens to calls from now on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mood {
    Well,
    /// Connection refused: nothing is sent.
    Refuse,
    /// Accepts and never answers; nothing is applied.
    Hang,
    /// Takes no bytes any more; everything else works.
    Full,
    /// Refuses server-side copies; everything else works.
    NoCopy,
}

/// What happens to the next commit call only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trick {
    /// Not applied, not answered: it may land later (`land`).
    Swallow,
    /// Reaches the store five seconds later.
    Slow,
    /// Applied, and answered twenty seconds later.
    AnswersLate,
    /// Applied, not answered.
    Deaf,
    /// Not applied, 500.
    Fail,
    /// Not applied, 500 after nine seconds: within a commit phase.
    FailLate,
    /// Applied, 500.
    ApplyAndFail,
}

/// Longer than any deadline of the engine: the client's own timeout.
const CALL_LIVES: Duration = Duration::from_secs(30);

enum Zombie {
    Put(At, Box<PutSpec>, Bytes),
    Delete(At, Option<Fence>),
    MakeBucket(String),
    RemoveBucket(String),
}

/// Outlives the engines that use it; shared by the test.
pub struct Puppet {
    pub inner: Arc<MemoryStore>,
    mood: Mutex<Mood>,
    /// After so many commit calls as they should be.
    trick: Mutex<Option<(usize, Trick)>>,
    bucket_trick: Mutex<Option<Trick>>,
    zombies: Mutex<Vec<Zombie>>,
    /// Calls until it refuses; 0: it never tires.
    tires: AtomicUsize,
    /// Parts arrive with another bit in their middle, and are taken.
    pub garbles_parts: AtomicBool,
}

impl Puppet {
    pub fn new(inner: Arc<MemoryStore>) -> Arc<Puppet> {
        Arc::new(Puppet {
            inner,
            mood: Mutex::new(Mood::Well),
            trick: Mutex::new(None),
            bucket_trick: Mutex::new(None),
            zombies: Mutex::new(vec![]),
            tires: AtomicUsize::new(0),
            garbles_parts: AtomicBool::new(false),
        })
    }

    pub fn set(&self, mood: Mood) {
        *self.mood.lock().unwrap() = mood;
    }

    /// Refuses everything after so many more calls, until its mood is set again.
    pub fn tire_after(&self, calls: usize) {
        self.tires.store(calls, Ordering::SeqCst);
    }

    pub fn trick(&self, trick: Trick) {
        self.trick_later(0, trick);
    }

    /// For the commit call after so many.
    pub fn trick_later(&self, calls: usize, trick: Trick) {
        *self.trick.lock().unwrap() = Some((calls, trick));
    }

    /// For the next call that makes or removes a client's native bucket.
    pub fn bucket_trick(&self, trick: Trick) {
        *self.bucket_trick.lock().unwrap() = Some(trick);
    }

    /// Every swallowed call reaches the store now. Returns what became of each.
    pub async fn land(&self) -> Vec<String> {
        let zombies = std::mem::take(&mut *self.zombies.lock().unwrap());
        let mut told = Vec::new();
        for zombie in zombies {
            let end = match zombie {
                Zombie::Put(at, spec, body) => self.inner.put(&at, &spec, Body::Whole(body)).await.map(|_| ()),
                Zombie::Delete(at, fence) => self.inner.delete(&at, None, fence.as_ref()).await,
                Zombie::MakeBucket(bucket) => self.inner.create_bucket(&bucket).await,
                Zombie::RemoveBucket(bucket) => self.inner.delete_bucket(&bucket).await,
            };
            told.push(end.map_or_else(|error| format!("refused, {:?}", error.fault), |()| "applied".to_owned()));
        }
        told
    }

    /// What one engine sees of it: cut off for ever when that engine dies.
    pub fn seen_by(self: &Arc<Self>, alive: Arc<AtomicBool>) -> Arc<dyn Store> {
        Arc::new(Line { puppet: self.clone(), alive })
    }
}

struct Line {
    puppet: Arc<Puppet>,
    alive: Arc<AtomicBool>,
}

impl Line {
    fn error(&self, what: &str, fault: Fault, applied: Applied) -> StoreError {
        StoreError {
            store: self.puppet.inner.name().clone(),
            what: what.to_owned(),
            fault,
            applied,
            status: None,
            code: None,
            message: format!("{fault:?}"),
            request_id: None,
            cause: None,
            elapsed: Duration::ZERO,
        }
    }

    /// The answer reaches the engine only while that engine lives.
    async fn pass<T>(&self, what: &str, call: impl Future<Output = Answer<T>>) -> Answer<T> {
        if !self.alive.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
        if self.puppet.tires.load(Ordering::SeqCst) > 0 && self.puppet.tires.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.puppet.set(Mood::Refuse);
        }
        let mood = *self.puppet.mood.lock().unwrap();
        match mood {
            Mood::Full if matches!(what, "put" | "copy" | "put part" | "complete") => {
                return Err(self.error(what, Fault::Full, Applied::No));
            }
            Mood::NoCopy if what == "copy" => return Err(self.error(what, Fault::Precondition, Applied::No)),
            Mood::Well | Mood::Full | Mood::NoCopy => {}
            Mood::Refuse => return Err(self.error(what, Fault::ConnectRefused, Applied::NotSent)),
            Mood::Hang => {
                tokio::time::sleep(CALL_LIVES).await;
                return Err(self.error(what, Fault::Timeout, Applied::Unknown));
            }
        }
        let answer = call.await;
        if !self.alive.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
        answer
    }

    fn is_well(&self) -> bool {
        *self.puppet.mood.lock().unwrap() == Mood::Well
    }

    fn take_trick(&self) -> Option<Trick> {
        let mut trick = self.puppet.trick.lock().unwrap();
        let (calls, _) = trick.as_mut().filter(|_| self.is_well())?;
        if *calls > 0 {
            *calls -= 1;
            return None;
        }
        trick.take().map(|(_, trick)| trick)
    }

    /// Homes are no client's.
    fn trick_of(&self, bucket: &str) -> Option<Trick> {
        if bucket.ends_with("outlast-home") || !self.is_well() {
            return None;
        }
        self.puppet.bucket_trick.lock().unwrap().take()
    }

    async fn no_answer<T>(&self, what: &str) -> Answer<T> {
        tokio::time::sleep(CALL_LIVES).await;
        Err(self.error(what, Fault::Timeout, Applied::Unknown))
    }

    /// A commit call under a trick. `keep` remembers it as one that may land later.
    async fn tricked<T>(
        &self,
        what: &str,
        keep: impl FnOnce(&Puppet),
        call: impl Future<Output = Answer<T>>,
    ) -> Answer<T> {
        self.under(self.take_trick(), what, keep, call).await
    }

    async fn under<T>(
        &self,
        trick: Option<Trick>,
        what: &str,
        keep: impl FnOnce(&Puppet),
        call: impl Future<Output = Answer<T>>,
    ) -> Answer<T> {
        match trick {
            None => self.pass(what, call).await,
            Some(Trick::Swallow) => {
                keep(&self.puppet);
                self.no_answer(what).await
            }
            Some(Trick::Slow) => {
                tokio::time::sleep(Duration::from_secs(5)).await;
                self.pass(what, call).await
            }
            Some(Trick::AnswersLate) => {
                let answer = self.pass(what, call).await;
                tokio::time::sleep(Duration::from_secs(20)).await;
                answer
            }
            Some(Trick::Deaf) => {
                call.await.ok();
                self.no_answer(what).await
            }
            Some(Trick::Fail) => Err(self.error(what, Fault::Server, Applied::Unknown)),
            Some(Trick::FailLate) => {
                tokio::time::sleep(Duration::from_secs(9)).await;
                Err(self.error(what, Fault::Server, Applied::Unknown))
            }
            Some(Trick::ApplyAndFail) => {
                call.await.ok();
                Err(self.error(what, Fault::Server, Applied::Unknown))
            }
        }
    }
}

/// Only client keys are tricked: records of ours pass.
fn is_record(at: &At) -> bool {
    at.key.starts_with(".outlast/")
}

#[async_trait]
impl Store for Line {
    fn name(&self) -> &StoreName {
        self.puppet.inner.name()
    }
    fn limits(&self) -> &Limits {
        self.puppet.inner.limits()
    }
    fn place(&self) -> String {
        self.puppet.inner.place()
    }
    async fn put(&self, at: &At, spec: &PutSpec, body: Body) -> Answer<Pin> {
        let body = match body {
            Body::Whole(bytes) | Body::Shared(Shared { bytes, .. }) => bytes,
            Body::Stream { bytes, .. } => match bytes.try_collect::<Vec<Bytes>>().await {
                Ok(pieces) => pieces.concat().into(),
                Err(_) => return Err(self.error("put", Fault::Body, Applied::No)),
            },
        };
        let call = self.puppet.inner.put(at, spec, Body::Whole(body.clone()));
        if is_record(at) {
            return self.pass("put", call).await;
        }
        let keep = |puppet: &Puppet| {
            puppet.zombies.lock().unwrap().push(Zombie::Put(at.clone(), Box::new(spec.clone()), body))
        };
        self.tricked("put", keep, call).await
    }
    async fn head(&self, at: &At, version: Option<&str>) -> Answer<Found> {
        self.pass("head", self.puppet.inner.head(at, version)).await
    }
    async fn get(&self, at: &At, pin: Option<&Pin>, range: Option<ByteRange>) -> Answer<(Found, ByteStream)> {
        self.pass("get", self.puppet.inner.get(at, pin, range)).await
    }
    async fn copy(&self, from: &At, pin: &Pin, to: &At, spec: &PutSpec) -> Answer<Pin> {
        self.pass("copy", self.puppet.inner.copy(from, pin, to, spec)).await
    }
    async fn delete(&self, at: &At, version: Option<&str>, fence: Option<&Fence>) -> Answer<()> {
        let call = self.puppet.inner.delete(at, version, fence);
        if is_record(at) {
            return self.pass("delete", call).await;
        }
        let keep = |puppet: &Puppet| puppet.zombies.lock().unwrap().push(Zombie::Delete(at.clone(), fence.cloned()));
        self.tricked("delete", keep, call).await
    }
    async fn list(&self, bucket: &str, prefix: &str, after: Option<&str>) -> Answer<CopyPage> {
        self.pass("list", self.puppet.inner.list(bucket, prefix, after)).await
    }
    async fn list_versions(&self, bucket: &str, prefix: &str, after: Option<&str>) -> Answer<VersionPage> {
        self.pass("list", self.puppet.inner.list_versions(bucket, prefix, after)).await
    }
    async fn create_upload(&self, at: &At, dress: &Dress) -> Answer<String> {
        self.pass("create upload", self.puppet.inner.create_upload(at, dress)).await
    }
    async fn put_part(&self, at: &At, upload: &str, number: u32, body: Body, md5: Option<[u8; 16]>) -> Answer<String> {
        if !self.puppet.garbles_parts.load(Ordering::SeqCst) {
            return self.pass("put part", self.puppet.inner.put_part(at, upload, number, body, md5)).await;
        }
        let mut bytes = match body {
            Body::Whole(bytes) | Body::Shared(Shared { bytes, .. }) => bytes.to_vec(),
            Body::Stream { bytes, .. } => bytes.try_collect::<Vec<Bytes>>().await.expect("a whole body").concat(),
        };
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        self.pass("put part", self.puppet.inner.put_part(at, upload, number, Body::Whole(bytes.into()), None)).await
    }
    async fn complete_upload(&self, at: &At, upload: &str, parts: &[NativePart], fence: Option<&Fence>) -> Answer<Pin> {
        self.tricked("complete", |_| {}, self.puppet.inner.complete_upload(at, upload, parts, fence)).await
    }
    async fn abort_upload(&self, at: &At, upload: &str) -> Answer<()> {
        self.pass("abort", self.puppet.inner.abort_upload(at, upload)).await
    }
    async fn list_parts(&self, at: &At, upload: &str) -> Answer<Vec<NativePart>> {
        self.pass("list parts", self.puppet.inner.list_parts(at, upload)).await
    }
    async fn list_uploads(&self, bucket: &str) -> Answer<Vec<(String, String)>> {
        self.pass("list uploads", self.puppet.inner.list_uploads(bucket)).await
    }
    async fn create_bucket(&self, bucket: &str) -> Answer<()> {
        let keep = |puppet: &Puppet| puppet.zombies.lock().unwrap().push(Zombie::MakeBucket(bucket.to_owned()));
        self.under(self.trick_of(bucket), "create bucket", keep, self.puppet.inner.create_bucket(bucket)).await
    }
    async fn delete_bucket(&self, bucket: &str) -> Answer<()> {
        let keep = |puppet: &Puppet| puppet.zombies.lock().unwrap().push(Zombie::RemoveBucket(bucket.to_owned()));
        self.under(self.trick_of(bucket), "delete bucket", keep, self.puppet.inner.delete_bucket(bucket)).await
    }
    async fn head_bucket(&self, bucket: &str) -> Answer<()> {
        self.pass("head bucket", self.puppet.inner.head_bucket(bucket)).await
    }
    async fn list_buckets(&self) -> Answer<Vec<String>> {
        self.pass("list buckets", self.puppet.inner.list_buckets()).await
    }
    async fn keeps_versions(&self, bucket: &str) -> Answer<bool> {
        self.pass("keeps versions", self.puppet.inner.keeps_versions(bucket)).await
    }
    async fn keep_versions(&self, bucket: &str) -> Answer<()> {
        self.pass("keep versions", self.puppet.inner.keep_versions(bucket)).await
    }
}
