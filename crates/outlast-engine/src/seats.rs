//! One store as the engine sees it: its names, its powers, its health, and one call in flight per key.

use crate::epoch::EpochGate;
use crate::lanes::Lanes;
use crate::settings::{NativeNames, StoreSetup};
use crate::unknown::Strangers;
use outlast_rules::{
    Arrival, BucketName, Grades, Health, Key, Moment, Mutant, Observation, OpClass, Pin, Powers, Reason, Silence,
    Standing, StoreName, broken,
};
use outlast_store::{Answer, Applied, At, Fault, Found, Limits, ProbeReport, Store, StoreError};
use std::collections::BTreeMap;
use std::future::Future;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, RwLock};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;

/// Between canaries where each request costs money: six requests a minute are cents a month.
const CANARY_MS_METERED: u64 = 60_000;
/// Between canaries elsewhere: a third of the time in which a person begins to worry.
const CANARY_MS: u64 = 20_000;
/// A HEAD that decides about a write is worth more patience than one that serves a read.
const LOOK_DEADLINE: Duration = Duration::from_secs(2);

/// Which of a store's commit calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    Put,
    Copy,
    Complete,
    Delete,
}

/// One store.
pub struct Seat {
    pub name: StoreName,
    pub store: Arc<dyn Store>,
    pub names: NativeNames,
    pub read_cost: f64,
    /// At most one of our calls per key is on its way to this store.
    pub flights: Lanes,
    /// Rung when a debt may have become payable.
    pub bell: Notify,
    /// Rung when the store should be looked at soon: its standing changed, or an answer makes one wonder.
    pub alarm: Notify,
    /// Whether it is still itself is found out by one at a time.
    pub identity_lane: tokio::sync::Mutex<()>,
    /// How often it was accepted, changed with its health in hand: what was judged before says nothing of it now.
    accepted: AtomicU64,
    /// Is this still our life of the ledger, as far as this store says?
    pub epoch: EpochGate,
    /// Buckets there that nobody here knows.
    pub strangers: Strangers,
    home: OnceLock<String>,
    /// It has shown its identity to this process.
    known: AtomicBool,
    /// A call found its native bucket missing.
    lacks_bucket: AtomicBool,
    settle_ms: u64,
    canary_every_ms: u64,
    silence: Mutex<Silence>,
    arrival: Mutex<Arrival>,
    health: Mutex<Health>,
    clock: Arc<dyn crate::clock::Clock>,
    /// By native bucket. What was never probed has no powers: grade C.
    probes: RwLock<BTreeMap<String, (ProbeReport, Moment)>>,
    /// Why the last probe came to nothing.
    unprobed: Mutex<Option<String>>,
    /// The last error that tells of the store itself: what health remembers is its class only.
    refusal: Mutex<Option<StoreError>>,
}

/// What a store was taken for when a judgement of it began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JudgedAs(u64);

impl Seat {
    /// `canary_every_ms`: None: by the store's kind.
    pub fn new(
        name: StoreName,
        setup: StoreSetup,
        clock: Arc<dyn crate::clock::Clock>,
        canary_every_ms: Option<u64>,
    ) -> Seat {
        let now = clock.now();
        let by_kind = if setup.store.limits().metered { CANARY_MS_METERED } else { CANARY_MS };
        Seat {
            name,
            store: setup.store,
            names: setup.names,
            read_cost: setup.read_cost,
            flights: Lanes::default(),
            bell: Notify::new(),
            alarm: Notify::new(),
            identity_lane: tokio::sync::Mutex::new(()),
            accepted: AtomicU64::new(0),
            epoch: EpochGate::default(),
            strangers: Strangers::default(),
            home: OnceLock::new(),
            known: AtomicBool::new(false),
            lacks_bucket: AtomicBool::new(false),
            settle_ms: setup.settle_ms,
            canary_every_ms: canary_every_ms.unwrap_or(by_kind),
            silence: Mutex::new(Silence::new(now)),
            arrival: Mutex::new(Arrival::default()),
            health: Mutex::new(Health::new(now)),
            clock,
            probes: RwLock::new(BTreeMap::new()),
            unprobed: Mutex::new(None),
            refusal: Mutex::new(None),
        }
    }

    pub fn limits(&self) -> &Limits {
        self.store.limits()
    }

    pub fn at(&self, bucket: &BucketName, key: &Key) -> At {
        At::new(self.names.native(bucket), key.as_str())
    }

    /// Where a record of ours about `bucket` lies.
    pub fn record_at(&self, bucket: &BucketName, record: &str) -> At {
        let native = self.names.system_bucket.clone().unwrap_or_else(|| self.names.native(bucket));
        At::new(native, record)
    }

    pub fn settle_ms(&self) -> u64 {
        self.settle_ms
    }

    pub fn powers(&self, bucket: &BucketName, operation: Operation) -> Powers {
        let grades = self.grades(&self.names.native(bucket));
        match operation {
            Operation::Put => grades.put,
            Operation::Copy => grades.copy,
            Operation::Complete => grades.complete,
            Operation::Delete => grades.delete,
        }
    }

    pub fn grades(&self, native: &str) -> Grades {
        self.probe_of(native).map(|probe| probe.grades).unwrap_or_default()
    }

    pub fn probe_of(&self, native: &str) -> Option<ProbeReport> {
        self.probes
            .read()
            .expect("no code panics while it holds the probes")
            .get(native)
            .map(|(report, _)| report.clone())
    }

    pub fn probed_at(&self, native: &str) -> Option<Moment> {
        self.probes.read().expect("no code panics while it holds the probes").get(native).map(|(_, at)| *at)
    }

    /// The oldest probe of this store.
    pub fn oldest_probe(&self) -> Option<(Grades, Moment)> {
        let probes = self.probes.read().expect("no code panics while it holds the probes");
        probes.values().min_by_key(|(_, at)| *at).map(|(report, at)| (report.grades, *at))
    }

    pub fn arrival<T>(&self, look: impl FnOnce(&mut Arrival) -> T) -> T {
        look(&mut self.arrival.lock().expect("no code panics while it holds the arrival"))
    }

    pub fn set_probe(&self, native: &str, report: ProbeReport, at: Moment) {
        if let Some(keeps) = report.keeps_versions {
            self.store.learn_versions(native, keeps);
        }
        *self.unprobed.lock().expect("no code panics while it holds a text") = None;
        self.probes.write().expect("no code panics while it holds the probes").insert(native.to_owned(), (report, at));
    }

    /// A probe came to nothing. True: for another reason than the last time.
    pub fn set_unprobed(&self, why: &str) -> bool {
        let mut unprobed = self.unprobed.lock().expect("no code panics while it holds a text");
        let is_new = unprobed.as_deref() != Some(why);
        *unprobed = Some(why.to_owned());
        is_new
    }

    pub fn unprobed(&self) -> Option<String> {
        self.unprobed.lock().expect("no code panics while it holds a text").clone()
    }

    /// A pin that this bucket can keep: some stores answer with a version id and keep no versions.
    pub fn pin(&self, bucket: &BucketName, pin: Pin) -> Pin {
        let keeps = self.grades(&self.names.native(bucket)).put.pinned;
        Pin { version: pin.version.filter(|_| keeps), ..pin }
    }

    /// May copies here count as places? A store that was found to lie about conditions, or that loses our stamp, is written
    /// to and read from, and counts for nothing.
    pub fn is_fit(&self, bucket: &BucketName) -> bool {
        let probes = self.probes.read().expect("no code panics while it holds the probes");
        let fit = |report: &ProbeReport| report.fit_as_place().is_ok() || broken(Mutant::LiarCounts);
        probes.get(&self.names.native(bucket)).is_none_or(|(report, _)| fit(report))
    }

    /// Why copies in some bucket of it do not count as places; None: they do, or nobody knows yet.
    pub fn unfit(&self) -> Option<String> {
        let probes = self.probes.read().expect("no code panics while it holds the probes");
        probes.values().find_map(|(report, _)| report.fit_as_place().err())
    }

    /// Was it found to give the MD5 of a body as its ETag?
    pub fn says_md5(&self, native: &str) -> bool {
        self.probe_of(native).is_some_and(|probe| probe.etag_is_md5)
    }

    /// Can it tell this key from every other? One that drops leading slashes would put `/a` on top of `a`.
    pub fn can_hold(&self, bucket: &BucketName, key: &Key) -> bool {
        let drops = || self.probe_of(&self.names.native(bucket)).is_some_and(|probe| probe.drops_slashes == Some(true));
        !(key.as_str().starts_with('/') && drops())
    }

    pub fn health<T>(&self, look: impl FnOnce(&mut Health) -> T) -> T {
        look(&mut self.health.lock().expect("no code panics while it holds a store's health"))
    }

    /// Taken before a judgement begins, and said with it.
    pub fn judged_as(&self) -> JudgedAs {
        JudgedAs(self.accepted.load(Ordering::SeqCst))
    }

    /// Does a judgement that began then still speak of this store? Asked with its health in hand.
    pub fn is_still(&self, then: JudgedAs) -> bool {
        self.judged_as() == then
    }

    /// Somebody has taken it as it is: on trial from now on.
    pub fn accept(&self, now: Moment) {
        self.health(|health| {
            self.accepted.fetch_add(1, Ordering::SeqCst);
            health.absolve(now);
        });
    }

    pub fn standing(&self, class: OpClass) -> Standing {
        self.health(|health| health.standing(class))
    }

    pub fn deadline(&self, class: OpClass) -> Duration {
        Duration::from_millis(self.health(|health| health.deadline_ms(class)))
    }

    pub fn now(&self) -> Moment {
        self.clock.now()
    }

    pub fn clock(&self) -> &dyn crate::clock::Clock {
        &*self.clock
    }

    pub fn canary_every(&self) -> Duration {
        Duration::from_millis(self.canary_every_ms)
    }

    /// The native bucket in which its identity marker lies; as configured until the recorded one is known.
    pub fn home(&self) -> String {
        self.home.get().cloned().unwrap_or_else(|| self.names.home())
    }

    /// Said once; whoever says it again changes nothing.
    pub fn set_home(&self, home: String) {
        self.home.get_or_init(|| home);
    }

    /// It has shown its identity.
    pub fn set_known(&self) {
        self.known.store(true, Ordering::Relaxed);
    }

    pub fn is_known(&self) -> bool {
        self.known.load(Ordering::Relaxed)
    }

    /// Has a call found its native bucket missing since this was last asked?
    pub fn take_lacks_bucket(&self) -> bool {
        self.lacks_bucket.swap(false, Ordering::Relaxed)
    }

    /// Has `settle_time` passed since the store last came back from answering nothing? Marks are not settled before.
    pub fn is_settled(&self) -> bool {
        self.spans().is_settled(self.now(), self.settle_ms)
    }

    fn spans(&self) -> std::sync::MutexGuard<'_, Silence> {
        self.silence.lock().expect("no code panics while it holds a store's silence")
    }

    /// Kept for `status`: what the store said, for who has to mend it. A HEAD is refused without words: it does not
    /// replace what was said more clearly of the same trouble.
    pub fn remember(&self, error: &StoreError) {
        if error.applied == Applied::NotSent && error.fault == Fault::Identity {
            return;
        }
        let says_more = |error: &StoreError| error.code.is_some() || error.cause.is_some();
        let mut kept = self.refusal.lock().expect("no code panics while it holds an error");
        if says_more(error) || kept.as_ref().is_none_or(|old| old.fault != error.fault || !says_more(old)) {
            *kept = Some(error.clone());
        }
    }

    /// The last error of this class, if it was the last at all.
    pub fn refusal(&self, fault: Fault) -> Option<StoreError> {
        let kept = self.refusal.lock().expect("no code panics while it holds an error");
        kept.as_ref().filter(|error| error.fault == fault).cloned()
    }

    /// The one place through which every answer passes on its way to health.
    pub fn observe<T>(&self, class: OpClass, started: Instant, answer: &Answer<T>) {
        match answer {
            Ok(_) => self.tell(class, Observation::Answered { latency_ms: started.elapsed().as_millis() as u64 }),
            // Lists are also asked of buckets that nobody knows. That a known one is gone, the canary tells.
            Err(error) if error.fault == Fault::NoBucket && class == OpClass::List => {}
            Err(error) => {
                if !is_about_a_key(error.fault) {
                    self.remember(error);
                }
                self.tell(class, Observation::Fault(error.fault));
            }
        }
    }

    /// What one call that was really sent told us.
    pub fn tell(&self, class: OpClass, seen: Observation) {
        let now = self.now();
        match seen {
            Observation::Fault(fault) if is_silent(fault) => self.spans().unheard(),
            Observation::Fault(Fault::Body) => {}
            _ => {
                self.spans().heard(now, self.canary_every_ms);
            }
        }
        if let Observation::Fault(fault) = seen
            && (is_silent(fault) || fault == Fault::NoBucket)
        {
            self.lacks_bucket.fetch_or(fault == Fault::NoBucket, Ordering::Relaxed);
            self.alarm.notify_one();
        }
        if let Some(change) = self.health(|health| health.observe(now, class, seen)) {
            tracing::warn!(store = %self.name, class = %change.class, from = %change.from, to = %change.to, reason = %change.reason, "standing changed");
            self.bell.notify_one();
            self.alarm.notify_one();
        }
    }

    /// A call that may take its time: the store's own timeouts bound it.
    pub async fn watched<T>(&self, class: OpClass, call: impl Future<Output = Answer<T>>) -> Answer<T> {
        self.is_itself("call")?;
        self.may_change(class).await?;
        let started = Instant::now();
        let answer = call.await;
        self.observe(class, started, &answer);
        answer
    }

    /// A read-only call with a hard deadline: silence is failure (protocol.md 3.3).
    pub async fn within<T>(
        &self,
        class: OpClass,
        deadline: Duration,
        what: &str,
        call: impl Future<Output = Answer<T>>,
    ) -> Answer<T> {
        self.is_itself(what)?;
        self.may_change(class).await?;
        let started = Instant::now();
        let answer = match tokio::time::timeout(deadline, call).await {
            Ok(answer) => answer,
            Err(_) => Err(self.silence(what, deadline)),
        };
        self.observe(class, started, &answer);
        answer
    }

    /// What changes a store is sent in our own epoch only.
    async fn may_change(&self, class: OpClass) -> Answer<()> {
        match class {
            OpClass::Write | OpClass::Delete => {
                self.is_undoubted()?;
                self.is_in_our_epoch().await
            }
            OpClass::Read | OpClass::List => Ok(()),
        }
    }

    /// Nothing is changed on a store of which nobody knows what it is.
    fn is_undoubted(&self) -> Answer<()> {
        match self.health(|health| health.condemned()) {
            Some(reason @ (Reason::Short { .. } | Reason::MarkerDamaged)) => {
                Err(self.not_sent("call", &reason.to_string()))
            }
            _ => Ok(()),
        }
    }

    /// HEAD of what lies under a key now, whichever copy it is, where a write or a debt is decided by it.
    pub async fn look(&self, bucket: &BucketName, key: &Key) -> Answer<Found> {
        self.look_at(bucket, key, None).await
    }

    /// The same of one native version.
    pub async fn look_at(&self, bucket: &BucketName, key: &Key, version: Option<&str>) -> Answer<Found> {
        let (at, what) = (self.at(bucket, key), format!("head {bucket}/{key}"));
        self.within(OpClass::Read, LOOK_DEADLINE, &what, self.store.head(&at, version)).await
    }

    /// A store whose identity is not proven is neither filled nor read (protocol.md 6): the call is not sent, and tells nothing. One
    /// that is only in doubt is read, after all others: pins, stamps and digests say what is right there.
    pub fn is_itself(&self, what: &str) -> Answer<()> {
        match self.health(|health| health.condemned()) {
            None | Some(Reason::BytesDiffer | Reason::Short { .. } | Reason::MarkerDamaged) => Ok(()),
            Some(reason) => Err(self.not_sent(what, &reason.to_string())),
        }
    }

    /// For a call that is kept back because of what is known of the store.
    pub fn not_sent(&self, what: &str, why: &str) -> StoreError {
        StoreError {
            fault: Fault::Identity,
            applied: Applied::NotSent,
            message: why.to_owned(),
            ..self.silence(what, Duration::ZERO)
        }
    }

    /// The error for a store that did not answer in time.
    pub fn silence(&self, what: &str, waited: Duration) -> StoreError {
        StoreError {
            store: self.name.clone(),
            what: what.to_owned(),
            fault: Fault::Timeout,
            applied: Applied::Unknown,
            status: None,
            code: None,
            message: "no answer".to_owned(),
            request_id: None,
            cause: None,
            elapsed: waited,
        }
    }
}

/// It says nothing of the store.
fn is_about_a_key(fault: Fault) -> bool {
    matches!(fault, Fault::NoKey | Fault::NoUpload | Fault::Precondition | Fault::Unsupported | Fault::Body)
}

/// Nobody answered; every other fault is an answer.
fn is_silent(fault: Fault) -> bool {
    matches!(
        fault,
        Fault::Timeout | Fault::ConnectRefused | Fault::Unreachable | Fault::NameNotResolved | Fault::Certificate
    )
}
