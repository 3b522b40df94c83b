//! The way from one process to one store. A call that was sent goes on when its process dies, and nothing that a dead process
//! still does reaches anybody.

use crate::books::Books;
use crate::chance::Chance;
use crate::plan::CALL_LIVES;
use async_trait::async_trait;
use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use outlast_rules::{Fence, Pin, StoreName};
use outlast_store::{
    Answer, Applied, At, Body, ByteRange, ByteStream, CopyPage, Dress, Fault, Found, Limits, NativePart, PutSpec,
    Store, StoreError, VersionPage,
};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Is the process still there? Shared by all that it could reach.
#[derive(Debug, Clone)]
pub struct Pulse(Arc<AtomicBool>);

impl Pulse {
    pub fn beating() -> Pulse {
        Pulse(Arc::new(AtomicBool::new(true)))
    }

    pub fn beats(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }

    pub fn stop(&self) {
        self.0.store(false, Ordering::SeqCst);
    }

    /// Returns at once in a living process, and never in a dead one.
    async fn or_never(&self) {
        if !self.beats() {
            std::future::pending::<()>().await;
        }
    }
}

/// Where a call passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pass {
    /// Out of the process, to a store or to its own disk.
    Way,
    /// The last moment before a disk does what it was told: what its process had not come to does not happen.
    Gate,
}

/// See the module.
pub struct Wire {
    pub pass: Pass,
    pub store: Arc<dyn Store>,
    pub pulse: Pulse,
    pub books: Books,
    /// How long the way takes, there and back.
    pub chance: Arc<Mutex<Chance>>,
}

type Call<T> = BoxFuture<'static, Answer<T>>;

impl Wire {
    fn delays(&self) -> (Duration, Duration) {
        let mut chance = self.chance.lock().expect("drawing a number does not panic");
        let mut way = || {
            let ms = if chance.one_in(12) { chance.within(0..=400) } else { chance.within(0..=12) };
            Duration::from_millis(ms)
        };
        (way(), way())
    }

    async fn pass<T: Send + 'static>(&self, what: &str, at: &At, call: Call<T>) -> Answer<T> {
        self.pulse.or_never().await;
        if self.pass == Pass::Gate {
            return call.await;
        }
        let call_words = format!("{what} {}/{} on {}", at.bucket, at.key, self.store.name());
        self.books.pages().note(&call_words);
        let (there, back) = self.delays();
        let is_disk = self.store.limits().never_given_up;
        let pulse = self.pulse.clone();
        let sent = tokio::spawn(async move {
            tokio::time::sleep(there).await;
            if is_disk {
                // It is this very process that writes to its disk.
                pulse.or_never().await;
            }
            let answer = call.await;
            tokio::time::sleep(back).await;
            answer
        });
        let answer = if is_disk {
            sent.await.ok()
        } else {
            tokio::time::timeout(CALL_LIVES, sent).await.ok().and_then(Result::ok)
        };
        self.pulse.or_never().await;
        let end = match &answer {
            Some(Ok(_)) => "done".to_owned(),
            Some(Err(error)) => format!("{:?}, applied: {:?}", error.fault, error.applied),
            None => "no answer".to_owned(),
        };
        self.books.pages().note(&format!("  {call_words}: {end}"));
        answer.unwrap_or_else(|| {
            Err(StoreError {
                store: self.store.name().clone(),
                what: format!("{what} {}/{}", at.bucket, at.key),
                fault: Fault::Timeout,
                applied: Applied::Unknown,
                status: None,
                code: None,
                message: "no answer".to_owned(),
                request_id: None,
                cause: None,
                elapsed: CALL_LIVES,
            })
        })
    }
}

/// A call with everything that it needs.
macro_rules! call {
    ($wire:ident, $what:literal, $at:expr, [$($name:ident = $value:expr),*], $store:ident => $call:expr) => {{
        let $store = $wire.store.clone();
        $(let $name = $value;)*
        $wire.pass($what, $at, Box::pin(async move { $call.await })).await
    }};
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl Store for Wire {
    fn name(&self) -> &StoreName {
        self.store.name()
    }
    fn limits(&self) -> &Limits {
        self.store.limits()
    }
    fn place(&self) -> String {
        self.store.place()
    }
    async fn is_plain(&self, at: &At) -> Answer<bool> {
        call!(self, "ask for the name of", at, [of = at.clone()], store => store.is_plain(&of))
    }
    async fn put(&self, at: &At, spec: &PutSpec, body: Body) -> Answer<Pin> {
        call!(self, "put", at, [to = at.clone(), spec = spec.clone()], store => store.put(&to, &spec, body))
    }
    async fn head(&self, at: &At, version: Option<&str>) -> Answer<Found> {
        let version = version.map(str::to_owned);
        call!(self, "head", at, [of = at.clone()], store => store.head(&of, version.as_deref()))
    }
    async fn get(&self, at: &At, pin: Option<&Pin>, range: Option<ByteRange>) -> Answer<(Found, ByteStream)> {
        let pin = pin.cloned();
        let answer = call!(self, "get", at, [of = at.clone()], store => store.get(&of, pin.as_ref(), range));
        let pulse = self.pulse.clone();
        answer.map(|(found, bytes)| {
            let alive = bytes.then(move |chunk| {
                let pulse = pulse.clone();
                async move {
                    pulse.or_never().await;
                    chunk
                }
            });
            (found, alive.boxed())
        })
    }
    async fn copy(&self, from: &At, pin: &Pin, to: &At, spec: &PutSpec) -> Answer<Pin> {
        let (from, pin, spec) = (from.clone(), pin.clone(), spec.clone());
        call!(self, "copy to", to, [target = to.clone()], store => store.copy(&from, &pin, &target, &spec))
    }
    async fn delete(&self, at: &At, version: Option<&str>, fence: Option<&Fence>) -> Answer<()> {
        let (version, fence) = (version.map(str::to_owned), fence.cloned());
        call!(self, "delete", at, [of = at.clone()], store => store.delete(&of, version.as_deref(), fence.as_ref()))
    }
    async fn list(&self, bucket: &str, prefix: &str, after: Option<&str>) -> Answer<CopyPage> {
        let at = At::new(bucket, prefix);
        let after = after.map(str::to_owned);
        call!(self, "list", &at, [of = at.clone()], store => store.list(&of.bucket, &of.key, after.as_deref()))
    }
    async fn list_versions(&self, bucket: &str, prefix: &str, after: Option<&str>) -> Answer<VersionPage> {
        let at = At::new(bucket, prefix);
        let after = after.map(str::to_owned);
        call!(self, "list versions of", &at, [of = at.clone()], store => store.list_versions(&of.bucket, &of.key, after.as_deref()))
    }
    async fn create_upload(&self, at: &At, dress: &Dress) -> Answer<String> {
        call!(self, "create upload of", at, [of = at.clone(), dress = dress.clone()], store => store.create_upload(&of, &dress))
    }
    async fn put_part(&self, at: &At, upload: &str, number: u32, body: Body, md5: Option<[u8; 16]>) -> Answer<String> {
        let upload = upload.to_owned();
        call!(self, "put part of", at, [of = at.clone()], store => store.put_part(&of, &upload, number, body, md5))
    }
    async fn complete_upload(&self, at: &At, upload: &str, parts: &[NativePart], fence: Option<&Fence>) -> Answer<Pin> {
        let (upload, parts, fence) = (upload.to_owned(), parts.to_vec(), fence.cloned());
        call!(self, "complete", at, [of = at.clone()], store => store.complete_upload(&of, &upload, &parts, fence.as_ref()))
    }
    async fn abort_upload(&self, at: &At, upload: &str) -> Answer<()> {
        let upload = upload.to_owned();
        call!(self, "abort upload of", at, [of = at.clone()], store => store.abort_upload(&of, &upload))
    }
    async fn list_parts(&self, at: &At, upload: &str) -> Answer<Vec<NativePart>> {
        let upload = upload.to_owned();
        call!(self, "list parts of", at, [of = at.clone()], store => store.list_parts(&of, &upload))
    }
    async fn list_uploads(&self, bucket: &str) -> Answer<Vec<(String, String)>> {
        let at = At::new(bucket, "");
        call!(self, "list uploads of", &at, [of = at.clone()], store => store.list_uploads(&of.bucket))
    }
    async fn create_bucket(&self, bucket: &str) -> Answer<()> {
        let at = At::new(bucket, "");
        call!(self, "create bucket", &at, [of = at.clone()], store => store.create_bucket(&of.bucket))
    }
    async fn delete_bucket(&self, bucket: &str) -> Answer<()> {
        let at = At::new(bucket, "");
        call!(self, "delete bucket", &at, [of = at.clone()], store => store.delete_bucket(&of.bucket))
    }
    async fn head_bucket(&self, bucket: &str) -> Answer<()> {
        let at = At::new(bucket, "");
        call!(self, "head bucket", &at, [of = at.clone()], store => store.head_bucket(&of.bucket))
    }
    async fn list_buckets(&self) -> Answer<Vec<String>> {
        let at = At::new("", "");
        call!(self, "list buckets", &at, [], store => store.list_buckets())
    }
    async fn keeps_versions(&self, bucket: &str) -> Answer<bool> {
        // Asked once before each probe, and nothing but its answer is used: no chance is drawn for it.
        self.store.keeps_versions(bucket).await
    }
    async fn keep_versions(&self, bucket: &str) -> Answer<()> {
        let at = At::new(bucket, "");
        call!(self, "keep versions of", &at, [of = at.clone()], store => store.keep_versions(&of.bucket))
    }

    fn learn_versions(&self, bucket: &str, keeps: bool) {
        self.store.learn_versions(bucket, keeps);
    }
}
