//! A store with a fault switch before it.

use super::bodies::{BROKE, cut, ended, on_line, paced, paced_body, wrong};
use super::setting::{Apply, Class, Trouble};
use super::switch::{Met, Over, Switch};
use crate::{
    Answer, Applied, At, Body, ByteRange, ByteStream, CopyPage, Dress, Fault, Found, Limits, NativePart, PutSpec,
    Store, StoreError, VersionPage,
};
use async_trait::async_trait;
use futures_util::future::BoxFuture;
use outlast_rules::{Fence, Pin, StoreName};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// A store with a fault switch before it.
pub struct Faulty {
    inner: Arc<dyn Store>,
    switch: Arc<Switch>,
    limits: Limits,
    /// None: for tests, and every trouble is as bad as the real one.
    drills: Option<Drills>,
}

/// The switch in production. A call is either never sent, and its answer says so, or it is left alone until it has
/// returned: no drill makes a call outlive its caller or apply later than its answer, and unknown ends only what the store's own
/// client gives up, as on a slow line. So a local disk stays one whose calls are never given up, and a service's `settle_time`
/// and epoch mean what they meant.
#[derive(Clone, Copy)]
struct Drills {
    /// A call that is held back is answered after this long, as the store's own client would give up.
    patience: Duration,
}

/// A call with everything that it needs, so that it can outlive its caller.
type Call<T> = BoxFuture<'static, Answer<T>>;

impl Faulty {
    pub fn new(inner: Arc<dyn Store>, switch: Arc<Switch>) -> Faulty {
        // A call through the switch can break off or hang while what it asked for goes on behind it.
        let limits = Limits { never_given_up: false, ..inner.limits().clone() };
        Faulty { inner, switch, limits, drills: None }
    }

    /// In production, where a switch is never stalled and does what `Setting::is_for_drills` allows. The limits stay the store's.
    pub fn for_drills(inner: Arc<dyn Store>, switch: Arc<Switch>, patience: Duration) -> Faulty {
        let limits = inner.limits().clone();
        Faulty { inner, switch, limits, drills: Some(Drills { patience }) }
    }

    /// For who sets only troubles in which a call ends before it is answered, as on a local disk: the limits stay the store's.
    pub fn never_giving_up(self) -> Faulty {
        Faulty { limits: self.inner.limits().clone(), ..self }
    }

    fn error(&self, what: &str, at: &At, began: Instant, fault: Fault, applied: Applied, message: &str) -> StoreError {
        StoreError {
            store: self.inner.name().clone(),
            what: format!("{what} {}/{}", at.bucket, at.key),
            fault,
            applied,
            status: None,
            code: None,
            message: message.to_owned(),
            request_id: None,
            cause: None,
            elapsed: began.elapsed(),
        }
    }

    /// A drill's pace ends with it; in tests a call keeps the trouble that it met.
    fn ends(&self, over: &Over) -> Option<Over> {
        self.drills.is_some().then(|| over.clone())
    }

    fn trouble(&self, class: Class, at: &At) -> Option<Met> {
        self.switch.trouble_of(class, &at.key)
    }

    fn when_it_flows<T: Send + 'static>(&self, late: Duration, call: Call<T>) {
        let mut line = self.switch.hold();
        drop(tokio::spawn(async move {
            line.flows().await;
            sleep(late).await;
            call.await
        }));
    }

    /// A call without a body.
    async fn plain<T: Send + 'static>(&self, class: Class, what: &str, at: &At, call: Call<T>) -> Answer<T> {
        self.through(self.trouble(class, at), what, at, call).await
    }

    /// A call that sends a body, whose pace and end are part of the trouble.
    async fn sending<T: Send + 'static>(
        &self,
        class: Class,
        what: &str,
        at: &At,
        body: Body,
        call: impl FnOnce(Body) -> Call<T>,
    ) -> Answer<T> {
        let trouble = self.trouble(class, at);
        let began = Instant::now();
        let body = match trouble.as_ref().map(|met| (&met.trouble, &met.over)) {
            Some((Trouble::CutBodies { after }, _)) if *after < body.len() && self.drills.is_none() => {
                return Err(self.error(what, at, began, Fault::Broken, Applied::Unknown, BROKE));
            }
            Some((Trouble::Slow { bytes_per_second: Some(pace), .. }, over)) => {
                paced_body(body, *pace, self.ends(over))
            }
            _ => body,
        };
        self.through(trouble, what, at, call(body)).await
    }

    async fn through<T: Send + 'static>(&self, met: Option<Met>, what: &str, at: &At, call: Call<T>) -> Answer<T> {
        if let Some(drills) = self.drills {
            return self.drill(drills, met, what, at, call).await;
        }
        let trouble = met.map(|met| met.trouble);
        let began = Instant::now();
        let (mut breaks, mut flows) = (self.switch.hold(), self.switch.hold());
        tokio::select! {
            biased;
            () = breaks.breaks() => Err(self.error(what, at, began, Fault::Broken, Applied::Unknown, BROKE)),
            answer = async {
                let answer = self.answer(trouble, what, at, call).await;
                flows.flows().await;
                answer
            } => answer,
        }
    }

    /// See `Drills`. A call that is held back is not begun afterwards: what allowed it, a fence or an epoch, may be old by then.
    async fn drill<T>(&self, drills: Drills, met: Option<Met>, what: &str, at: &At, call: Call<T>) -> Answer<T> {
        let Some(Met { trouble, mut over }) = met else { return call.await };
        let began = Instant::now();
        match trouble {
            Trouble::Refuse => {
                Err(self.error(what, at, began, Fault::ConnectRefused, Applied::NotSent, "refused by a drill"))
            }
            Trouble::Hang(_) => {
                drop(call);
                held_back(&mut over, drills.patience).await;
                Err(self.error(what, at, began, Fault::Timeout, Applied::NotSent, "held back by a drill"))
            }
            Trouble::Slow { before, after, .. } => {
                let answer = call.await;
                held_back(&mut over, before + after).await;
                answer
            }
            // Who sets the switch allows none of these.
            _ => call.await,
        }
    }

    async fn answer<T: Send + 'static>(
        &self,
        trouble: Option<Trouble>,
        what: &str,
        at: &At,
        call: Call<T>,
    ) -> Answer<T> {
        let began = Instant::now();
        match trouble {
            None | Some(Trouble::CutBodies { .. } | Trouble::EndBodies { .. } | Trouble::WrongBytes) => call.await,
            Some(Trouble::NotSent(fault)) => {
                Err(self.error(what, at, began, fault, Applied::NotSent, "the fault switch lets nothing out"))
            }
            Some(Trouble::ServerError { status, applies }) => {
                if applies {
                    call.await?;
                }
                let error = self.error(what, at, began, Fault::Server, Applied::Unknown, "the fault switch says 5xx");
                Err(StoreError { status: Some(status), ..error })
            }
            Some(Trouble::LateServerError { status, late }) => {
                drop(tokio::spawn(async move {
                    sleep(late).await;
                    call.await
                }));
                let error = self.error(what, at, began, Fault::Server, Applied::Unknown, "the fault switch says 5xx");
                Err(StoreError { status: Some(status), ..error })
            }
            Some(Trouble::BadAnswer { applies }) => {
                if applies {
                    call.await?;
                }
                Err(self.error(what, at, began, Fault::BadAnswer, Applied::Unknown, "200 with an error in its body"))
            }
            Some(Trouble::Refuse) => {
                Err(self.error(what, at, began, Fault::ConnectRefused, Applied::NotSent, "connection refused"))
            }
            Some(Trouble::Hang(apply)) => {
                match apply {
                    Apply::Never => drop(call),
                    Apply::AtOnce => drop(tokio::spawn(call)),
                    Apply::After(late) => drop(tokio::spawn(async move {
                        sleep(late).await;
                        call.await
                    })),
                    Apply::WhenItFlows => self.when_it_flows(Duration::ZERO, call),
                    Apply::AfterItFlows(late) => self.when_it_flows(late, call),
                }
                std::future::pending().await
            }
            Some(Trouble::Slow { before, after, .. }) => {
                sleep(before).await;
                let answer = call.await;
                sleep(after).await;
                answer
            }
            Some(Trouble::Answer { fault, status, code }) => {
                let error = self.error(what, at, began, fault, Applied::No, "the fault switch says no");
                Err(StoreError { status: Some(status), code: Some(code.into_owned()), ..error })
            }
            Some(Trouble::FailAfterApplying) => match call.await {
                Ok(_) => Err(self.error(what, at, began, Fault::Broken, Applied::Unknown, BROKE)),
                refused => refused,
            },
        }
    }
}

/// For so long, or until the setting is over.
async fn held_back(over: &mut Over, longest: Duration) {
    tokio::select! {
        biased;
        () = over.wait() => {}
        () = sleep(longest) => {}
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl Store for Faulty {
    fn name(&self) -> &StoreName {
        self.inner.name()
    }

    fn limits(&self) -> &Limits {
        &self.limits
    }

    fn place(&self) -> String {
        self.inner.place()
    }

    async fn put(&self, at: &At, spec: &PutSpec, body: Body) -> Answer<Pin> {
        let (inner, to, spec) = (Arc::clone(&self.inner), at.clone(), spec.clone());
        let call = |body| -> Call<Pin> { Box::pin(async move { inner.put(&to, &spec, body).await }) };
        self.sending(Class::Commit, "put", at, body, call).await
    }

    async fn head(&self, at: &At, version: Option<&str>) -> Answer<Found> {
        let (inner, of, version) = (Arc::clone(&self.inner), at.clone(), version.map(str::to_owned));
        let call = Box::pin(async move { inner.head(&of, version.as_deref()).await });
        self.plain(Class::Head, "head", at, call).await
    }

    async fn is_plain(&self, at: &At) -> Answer<bool> {
        let (inner, of) = (Arc::clone(&self.inner), at.clone());
        let call = Box::pin(async move { inner.is_plain(&of).await });
        self.plain(Class::Head, "head", at, call).await
    }

    async fn get(&self, at: &At, pin: Option<&Pin>, range: Option<ByteRange>) -> Answer<(Found, ByteStream)> {
        let (inner, of, pin) = (Arc::clone(&self.inner), at.clone(), pin.cloned());
        let call = Box::pin(async move { inner.get(&of, pin.as_ref(), range).await });
        let met = self.trouble(Class::Get, at);
        let body = met.as_ref().map(|met| (met.trouble.clone(), met.over.clone()));
        let holds = self.drills.is_none().then(|| (self.switch.hold(), self.switch.hold()));
        let (found, bytes) = self.through(met, "get", at, call).await?;
        let bytes = match body {
            Some((Trouble::Slow { bytes_per_second: Some(pace), .. }, over)) => paced(bytes, pace, self.ends(&over)),
            _ if self.drills.is_some() => bytes,
            Some((Trouble::CutBodies { after }, _)) => cut(bytes, after),
            Some((Trouble::EndBodies { after }, _)) => ended(bytes, after),
            Some((Trouble::WrongBytes, _)) => wrong(bytes),
            _ => bytes,
        };
        Ok(match holds {
            Some((line, breaks)) => (found, on_line(bytes, line, breaks)),
            None => (found, bytes),
        })
    }

    async fn copy(&self, from: &At, pin: &Pin, to: &At, spec: &PutSpec) -> Answer<Pin> {
        let (inner, from, pin) = (Arc::clone(&self.inner), from.clone(), pin.clone());
        let (target, spec) = (to.clone(), spec.clone());
        let call = Box::pin(async move { inner.copy(&from, &pin, &target, &spec).await });
        self.plain(Class::Commit, "copy to", to, call).await
    }

    async fn delete(&self, at: &At, version: Option<&str>, fence: Option<&Fence>) -> Answer<()> {
        let (inner, of) = (Arc::clone(&self.inner), at.clone());
        let (version, fence) = (version.map(str::to_owned), fence.cloned());
        let call = Box::pin(async move { inner.delete(&of, version.as_deref(), fence.as_ref()).await });
        self.plain(Class::Delete, "delete", at, call).await
    }

    async fn list(&self, bucket: &str, prefix: &str, after: Option<&str>) -> Answer<CopyPage> {
        let at = At::new(bucket, prefix);
        let (inner, of, after) = (Arc::clone(&self.inner), at.clone(), after.map(str::to_owned));
        let call = Box::pin(async move { inner.list(&of.bucket, &of.key, after.as_deref()).await });
        self.plain(Class::List, "list", &at, call).await
    }

    async fn list_versions(&self, bucket: &str, prefix: &str, after: Option<&str>) -> Answer<VersionPage> {
        let at = At::new(bucket, prefix);
        let (inner, of, after) = (Arc::clone(&self.inner), at.clone(), after.map(str::to_owned));
        let call = Box::pin(async move { inner.list_versions(&of.bucket, &of.key, after.as_deref()).await });
        self.plain(Class::List, "list versions of", &at, call).await
    }

    async fn create_upload(&self, at: &At, dress: &Dress) -> Answer<String> {
        let (inner, of, dress) = (Arc::clone(&self.inner), at.clone(), dress.clone());
        let call = Box::pin(async move { inner.create_upload(&of, &dress).await });
        self.plain(Class::Upload, "create upload of", at, call).await
    }

    async fn put_part(&self, at: &At, upload: &str, number: u32, body: Body, md5: Option<[u8; 16]>) -> Answer<String> {
        let (inner, of, id) = (Arc::clone(&self.inner), at.clone(), upload.to_owned());
        let call =
            |body| -> Call<String> { Box::pin(async move { inner.put_part(&of, &id, number, body, md5).await }) };
        self.sending(Class::Upload, "put part of", at, body, call).await
    }

    async fn complete_upload(&self, at: &At, upload: &str, parts: &[NativePart], fence: Option<&Fence>) -> Answer<Pin> {
        let (inner, of, id) = (Arc::clone(&self.inner), at.clone(), upload.to_owned());
        let (parts, fence) = (parts.to_vec(), fence.cloned());
        let call = Box::pin(async move { inner.complete_upload(&of, &id, &parts, fence.as_ref()).await });
        self.plain(Class::Commit, "complete", at, call).await
    }

    async fn abort_upload(&self, at: &At, upload: &str) -> Answer<()> {
        let (inner, of, id) = (Arc::clone(&self.inner), at.clone(), upload.to_owned());
        let call = Box::pin(async move { inner.abort_upload(&of, &id).await });
        self.plain(Class::Upload, "abort upload of", at, call).await
    }

    async fn list_parts(&self, at: &At, upload: &str) -> Answer<Vec<NativePart>> {
        let (inner, of, id) = (Arc::clone(&self.inner), at.clone(), upload.to_owned());
        let call = Box::pin(async move { inner.list_parts(&of, &id).await });
        self.plain(Class::Upload, "list parts of", at, call).await
    }

    async fn list_uploads(&self, bucket: &str) -> Answer<Vec<(String, String)>> {
        let (inner, of) = (Arc::clone(&self.inner), bucket.to_owned());
        let call = Box::pin(async move { inner.list_uploads(&of).await });
        self.plain(Class::Upload, "list uploads of", &At::new(bucket, ""), call).await
    }

    async fn create_bucket(&self, bucket: &str) -> Answer<()> {
        let (inner, of) = (Arc::clone(&self.inner), bucket.to_owned());
        let call = Box::pin(async move { inner.create_bucket(&of).await });
        self.plain(Class::Bucket, "create bucket", &At::new(bucket, ""), call).await
    }

    async fn delete_bucket(&self, bucket: &str) -> Answer<()> {
        let (inner, of) = (Arc::clone(&self.inner), bucket.to_owned());
        let call = Box::pin(async move { inner.delete_bucket(&of).await });
        self.plain(Class::Bucket, "delete bucket", &At::new(bucket, ""), call).await
    }

    async fn head_bucket(&self, bucket: &str) -> Answer<()> {
        let (inner, of) = (Arc::clone(&self.inner), bucket.to_owned());
        let call = Box::pin(async move { inner.head_bucket(&of).await });
        self.plain(Class::Bucket, "head bucket", &At::new(bucket, ""), call).await
    }

    async fn list_buckets(&self) -> Answer<Vec<String>> {
        let inner = Arc::clone(&self.inner);
        let call = Box::pin(async move { inner.list_buckets().await });
        self.plain(Class::Bucket, "list buckets", &At::new("", ""), call).await
    }

    async fn keeps_versions(&self, bucket: &str) -> Answer<bool> {
        let (inner, of) = (Arc::clone(&self.inner), bucket.to_owned());
        let call = Box::pin(async move { inner.keeps_versions(&of).await });
        self.plain(Class::Bucket, "ask versioning of", &At::new(bucket, ""), call).await
    }

    async fn keep_versions(&self, bucket: &str) -> Answer<()> {
        let (inner, of) = (Arc::clone(&self.inner), bucket.to_owned());
        let call = Box::pin(async move { inner.keep_versions(&of).await });
        self.plain(Class::Bucket, "keep versions of", &At::new(bucket, ""), call).await
    }

    fn learn_versions(&self, bucket: &str, keeps: bool) {
        self.inner.learn_versions(bucket, keeps);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::faults::Setting;
    use crate::{MemoryStore, MemoryTraits};
    use bytes::Bytes;
    use futures_util::{StreamExt, TryStreamExt};

    struct World {
        memory: Arc<MemoryStore>,
        faulty: Faulty,
        switch: Arc<Switch>,
        at: At,
    }

    async fn world() -> World {
        let memory = Arc::new(MemoryStore::counting(StoreName::parse("m").unwrap(), MemoryTraits::B));
        memory.create_bucket("bkt").await.unwrap();
        let switch = Arc::new(Switch::default());
        let inner: Arc<dyn Store> = memory.clone();
        let faulty = Faulty::new(inner, Arc::clone(&switch));
        World { memory, faulty, switch, at: At::new("bkt", "k") }
    }

    impl World {
        async fn put(&self, content: &'static str) -> Answer<Pin> {
            self.faulty.put(&self.at, &PutSpec::default(), Body::Whole(Bytes::from_static(content.as_bytes()))).await
        }

        async fn holds(&self) -> Option<u64> {
            self.memory.head(&self.at, None).await.ok().map(|found| found.size)
        }

        async fn read(&self) -> std::io::Result<Vec<u8>> {
            let (_, bytes) = self.faulty.get(&self.at, None, None).await.map_err(std::io::Error::other)?;
            bytes
                .try_fold(Vec::new(), async |mut all, chunk| {
                    all.extend_from_slice(&chunk);
                    Ok(all)
                })
                .await
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_suite_passes_through_a_clear_switch() {
        let w = world().await;
        w.memory.delete_bucket("bkt").await.unwrap();
        let powers = outlast_rules::Powers { pinned: false, fenced: true, unique: false };
        let expect = crate::conformance::Expect::everything(crate::conformance::Expect::grades(powers));
        crate::conformance::all(&w.faulty, "suite", expect).await;
    }

    #[tokio::test(start_paused = true)]
    async fn refuses_and_answers_without_applying() {
        let w = world().await;
        for (trouble, fault, applied) in [
            (Trouble::Refuse, Fault::ConnectRefused, Applied::NotSent),
            (Trouble::DENIED, Fault::Denied, Applied::No),
            (Trouble::SLOW_DOWN, Fault::Throttled, Applied::No),
            (Trouble::CutBodies { after: 2 }, Fault::Broken, Applied::Unknown),
        ] {
            w.switch.set(Setting::all(trouble));
            let error = w.put("abc").await.unwrap_err();
            assert_eq!((error.fault, error.applied), (fault, applied), "{error}");
            assert_eq!(w.holds().await, None);
            w.switch.clear();
        }
        w.put("abc").await.unwrap();
        assert_eq!(w.holds().await, Some(3));
    }

    #[tokio::test(start_paused = true)]
    async fn applies_and_then_fails() {
        let w = world().await;
        w.switch.set(Setting::on(&[Class::Commit], Trouble::FailAfterApplying).times(1));
        assert_eq!(w.put("abc").await.unwrap_err().applied, Applied::Unknown);
        assert_eq!(w.holds().await, Some(3));
        assert!(w.switch.is_clear(), "a setting for one call is over after it");
        w.put("abcd").await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_hanging_call_is_applied_when_the_switch_says() {
        let patience = Duration::from_secs(5);
        for (apply, soon, late) in [
            (Apply::Never, None, None),
            (Apply::AtOnce, Some(3), Some(3)),
            (Apply::After(Duration::from_secs(60)), None, Some(3)),
        ] {
            let w = world().await;
            w.switch.set(Setting::on(&Class::WRITES, Trouble::Hang(apply)));
            assert!(tokio::time::timeout(patience, w.put("abc")).await.is_err(), "it never answers");
            assert_eq!(w.holds().await, soon, "{apply:?}");
            tokio::time::advance(Duration::from_secs(60)).await;
            for _ in 0..8 {
                tokio::task::yield_now().await;
            }
            assert_eq!(w.holds().await, late, "{apply:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn slow_takes_the_time_it_says() {
        let w = world().await;
        w.put("0123456789").await.unwrap();
        let second = Duration::from_secs(1);
        w.switch.set(Setting::all(Trouble::Slow { before: second, after: second, bytes_per_second: Some(5) }));
        let began = Instant::now();
        assert_eq!(w.read().await.unwrap(), b"0123456789");
        assert_eq!(began.elapsed().as_secs(), 4);
        w.put("01234").await.unwrap();
        assert_eq!(began.elapsed().as_secs(), 7);
    }

    #[tokio::test]
    async fn bodies_break_or_lie() {
        let w = world().await;
        w.put("0123456789").await.unwrap();
        for after in [0, 4, 9] {
            w.switch.set(Setting::on(&[Class::Get], Trouble::CutBodies { after }).times(1));
            let (_, bytes) = w.faulty.get(&w.at, None, None).await.unwrap();
            let chunks: Vec<std::io::Result<Bytes>> = bytes.collect().await;
            let got: usize = chunks.iter().flatten().map(|chunk| chunk.len()).sum();
            assert_eq!(got as u64, after);
            assert!(chunks.last().unwrap().is_err(), "a cut body is never ended as if whole");
        }
        w.switch.set(Setting::on(&[Class::Get], Trouble::CutBodies { after: 10 }).times(1));
        assert_eq!(w.read().await.unwrap(), b"0123456789");
        w.switch.set(Setting::on(&[Class::Get], Trouble::WrongBytes));
        let bytes = w.read().await.unwrap();
        assert_eq!(bytes.len(), 10);
        assert_ne!(bytes, b"0123456789");
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_on_its_way_stands_still_and_breaks_off() {
        let w = world().await;
        w.put("0123456789").await.unwrap();
        let patience = Duration::from_secs(5);
        w.switch.stall();
        let hanging = tokio::time::timeout(patience, w.put("abc")).await;
        assert!(hanging.is_err(), "answers stand still");
        assert_eq!(w.holds().await, Some(3), "what was sent before the stall is applied");

        w.switch.clear();
        let (_, mut body) = w.faulty.get(&w.at, None, None).await.unwrap();
        w.switch.stall();
        assert!(tokio::time::timeout(patience, body.next()).await.is_err(), "bodies stand still");
        let call = w.put("abcd");
        tokio::pin!(call);
        assert!(tokio::time::timeout(patience, &mut call).await.is_err());
        w.switch.break_off();
        let error = call.await.unwrap_err();
        assert_eq!((error.fault, error.applied), (Fault::Broken, Applied::Unknown), "{error}");
        assert!(body.next().await.unwrap().is_err(), "a broken body is never ended as if whole");
        w.put("abcde").await.unwrap();
        assert_eq!(w.read().await.unwrap(), b"abcde", "what comes after flows");
    }

    #[tokio::test]
    async fn every_kind_of_answer_says_what_it_may() {
        for (trouble, fault, applied, holds) in [
            (Trouble::NotSent(Fault::NameNotResolved), Fault::NameNotResolved, Applied::NotSent, None),
            (Trouble::NotSent(Fault::Certificate), Fault::Certificate, Applied::NotSent, None),
            (Trouble::ServerError { status: 500, applies: false }, Fault::Server, Applied::Unknown, None),
            (Trouble::ServerError { status: 502, applies: true }, Fault::Server, Applied::Unknown, Some(3)),
            (Trouble::BadAnswer { applies: false }, Fault::BadAnswer, Applied::Unknown, None),
            (Trouble::BadAnswer { applies: true }, Fault::BadAnswer, Applied::Unknown, Some(3)),
            (Trouble::FULL, Fault::Full, Applied::No, None),
            (Trouble::SKEWED, Fault::ClockSkew, Applied::No, None),
            (Trouble::GONE, Fault::NoBucket, Applied::No, None),
        ] {
            let w = world().await;
            w.switch.set(Setting::all(trouble.clone()));
            let error = w.put("abc").await.unwrap_err();
            assert_eq!((error.fault, error.applied), (fault, applied), "{trouble:?}");
            assert_eq!(w.holds().await, holds, "{trouble:?}");
        }
    }

    #[tokio::test]
    async fn a_body_may_end_early_as_if_it_were_whole() {
        let w = world().await;
        w.put("0123456789").await.unwrap();
        for after in [0, 4, 10, 20] {
            w.switch.set(Setting::on(&[Class::Get], Trouble::EndBodies { after }).times(1));
            assert_eq!(w.read().await.unwrap().len() as u64, after.min(10));
        }
    }

    #[tokio::test]
    async fn a_read_only_store_is_read() {
        let w = world().await;
        w.put("abc").await.unwrap();
        w.switch.set(Setting::read_only());
        assert_eq!(w.put("abcd").await.unwrap_err().fault, Fault::Denied);
        assert_eq!(w.read().await.unwrap(), b"abc");
    }

    #[tokio::test(start_paused = true)]
    async fn a_stopped_store_applies_what_it_was_sent_when_it_goes_on() {
        let w = world().await;
        w.switch.stall();
        w.switch.set(Setting::on(&Class::WRITES, Trouble::Hang(Apply::WhenItFlows)));
        assert!(tokio::time::timeout(Duration::from_secs(5), w.put("abc")).await.is_err());
        assert_eq!(w.holds().await, None);
        w.switch.clear();
        tokio::time::sleep(Duration::from_millis(1)).await;
        assert_eq!(w.holds().await, Some(3));
    }

    #[tokio::test(start_paused = true)]
    async fn settings_meet_a_share_of_keys_and_calls_and_flap() {
        let w = world().await;
        let refused = async |key: &str| w.faulty.head(&At::new("bkt", key), None).await.unwrap_err().fault;
        let is_hit = async |key: &str| refused(key).await == Fault::ConnectRefused;
        let count = async || {
            let mut hit = 0;
            for n in 0..1000 {
                hit += usize::from(is_hit(&n.to_string()).await);
            }
            hit
        };
        let id = w.switch.set(Setting::all(Trouble::Refuse).share(300, 5));
        assert!((250..350).contains(&count().await), "a share of the keys");
        assert_eq!(is_hit("7").await, is_hit("7").await, "the same keys each time");
        w.switch.unset(id);
        assert!(w.switch.is_clear());
        let id = w.switch.set(Setting::all(Trouble::Refuse).odds(300, 5));
        assert!((250..350).contains(&count().await), "a share of the calls");
        w.switch.unset(id);
        w.switch.set(Setting::all(Trouble::Refuse).flap(Duration::from_secs(3), Duration::from_secs(2)));
        let mut seen = vec![];
        for _ in 0..10 {
            seen.push(is_hit("k").await);
            tokio::time::advance(Duration::from_secs(1)).await;
        }
        assert_eq!(seen, [true, true, true, false, false, true, true, true, false, false]);
    }

    #[tokio::test]
    async fn the_youngest_setting_that_fits_decides() {
        let w = world().await;
        w.switch.set(Setting::all(Trouble::Refuse).below(".outlast/"));
        w.put("abc").await.unwrap();
        w.switch.set(Setting::on(&Class::WRITES, Trouble::DENIED));
        assert_eq!(w.put("abc").await.unwrap_err().fault, Fault::Denied);
        assert_eq!(w.read().await.unwrap(), b"abc");
        let record = At::new("bkt", ".outlast/store.json");
        assert_eq!(w.faulty.head(&record, None).await.unwrap_err().fault, Fault::ConnectRefused);
    }
}
