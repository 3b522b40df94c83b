//! A small object of ours by which a store is tried: written, read back, compared, listed, deleted. Real outages often leave
//! HEAD and LIST green, so nothing less is believed.

use crate::engine::Engine;
use crate::seats::Seat;
use bytes::Bytes;
use outlast_rules::{Moment, Observation, OpClass, Pin, Reason, Standing};
use outlast_store::{Answer, At, Body, CopyPage, Fault, PutSpec};
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

const CANARY_PREFIX: &str = ".outlast/canary/";
/// Large enough for several network packets, small enough to cost nothing.
const CANARY_BYTES: usize = 4096;
/// Longer than a read's hard deadline, so that a store that is only slow is told apart from one that is silent.
const READ_DEADLINE: Duration = Duration::from_secs(2);
const CHANGE_DEADLINE: Duration = Duration::from_secs(5);
/// Canaries of calls that nobody heard of again; older than any call of ours lives.
const LEFTOVER_MS: u64 = 30 * 60_000;
/// Leftovers removed at a time.
const LEFTOVERS_MAX: usize = 10;

/// How it came back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Canary {
    /// Every stage that was tried went well.
    Well,
    Failed,
    /// Other bytes than were written.
    BytesDiffer,
}

impl Engine {
    /// One round in the `turn`-th of the store's buckets. Classes that are Down are left out. `marker_ms`: how long the
    /// identity marker took to read; it speaks for reads only where nothing could be written: a store that cuts what is
    /// longer than a marker would look well at every other read.
    pub(crate) async fn send_canary(self: &Arc<Self>, seat: &Arc<Seat>, turn: usize, marker_ms: Option<u64>) -> Canary {
        let buckets = self.canary_buckets(seat);
        let bucket = &buckets[turn % buckets.len()];
        let now = self.now();
        let at = At::new(bucket, format!("{CANARY_PREFIX}{:013x}-{:032x}", now.0, self.random()));
        let mut went = Canary::Well;
        let written = if is_open(seat, OpClass::Write) { self.write_canary(seat, &at, &mut went).await } else { None };
        if let Some((pin, body)) = &written {
            if is_open(seat, OpClass::Read) && !read_back(seat, &at, pin, body, &mut went).await {
                return Canary::BytesDiffer;
            }
        } else if let Some(latency_ms) = marker_ms {
            seat.tell(OpClass::Read, Observation::Answered { latency_ms });
        }
        if is_open(seat, OpClass::List) {
            list_canaries(seat, &at, written.is_some(), now, &mut went).await;
        }
        if is_open(seat, OpClass::Delete) {
            delete_canary(seat, &at, written.map(|(pin, _)| pin), &mut went).await;
        }
        went
    }

    /// Home first, then every native bucket that this store should have.
    fn canary_buckets(&self, seat: &Seat) -> Vec<String> {
        let mut buckets = vec![seat.home()];
        for bucket in self.serving_buckets() {
            let native = seat.names.native(&bucket.name);
            if self.settings.placement(&bucket.name).stores.contains(&seat.name) && !buckets.contains(&native) {
                buckets.push(native);
            }
        }
        buckets
    }

    async fn write_canary(&self, seat: &Seat, at: &At, went: &mut Canary) -> Option<(Pin, Bytes)> {
        let pieces = (0..CANARY_BYTES / 16).flat_map(|_| self.random().to_le_bytes());
        let body: Bytes = pieces.collect::<Vec<u8>>().into();
        // Without Content-MD5: what the way there changes is to come back changed.
        let spec = PutSpec::default();
        let put = seat.store.put(at, &spec, Body::Whole(body.clone()));
        let pin = stage(seat, OpClass::Write, "put", at, CHANGE_DEADLINE, put, went).await?;
        Some((pin, body))
    }
}

/// A store that changed bytes is tried on, so that it can show that it does so no more.
fn is_open(seat: &Seat, class: OpClass) -> bool {
    seat.health(|health| health.standing(class) != Standing::Down || health.condemned() == Some(Reason::BytesDiffer))
}

/// One call; what it says goes to health under its class.
async fn stage<T>(
    seat: &Seat,
    class: OpClass,
    verb: &str,
    at: &At,
    deadline: Duration,
    call: impl Future<Output = Answer<T>>,
    went: &mut Canary,
) -> Option<T> {
    let started = Instant::now();
    let what = format!("canary: {verb} {}/{}", at.bucket, at.key);
    match seat.in_time(&what, deadline, call).await {
        Ok(answer) => {
            seat.tell(class, Observation::Answered { latency_ms: started.elapsed().as_millis() as u64 });
            Some(answer)
        }
        Err(error) => {
            tracing::debug!("{error}");
            seat.remember(&error);
            seat.tell(class, Observation::Fault(error.fault));
            // A throttled store is to be asked less, not more.
            if error.fault != Fault::Throttled {
                *went = Canary::Failed;
            }
            None
        }
    }
}

/// False: the bytes differ.
async fn read_back(seat: &Seat, at: &At, pin: &Pin, body: &Bytes, went: &mut Canary) -> bool {
    let read = async {
        let whole = seat.read_small(at, Some(pin), CANARY_BYTES as u64, READ_DEADLINE).await;
        whole.map_err(|mut error| {
            // It was written a moment ago: "there is no such thing" is a wrong answer.
            if matches!(error.fault, Fault::NoKey | Fault::Precondition) {
                error.fault = Fault::BadAnswer;
            }
            error
        })
    };
    match stage(seat, OpClass::Read, "get", at, READ_DEADLINE, read, went).await {
        Some((_, bytes)) => bytes == body,
        None => true,
    }
}

async fn list_canaries(seat: &Seat, at: &At, written: bool, now: Moment, went: &mut Canary) {
    let list = async {
        let page = seat.store.list(&at.bucket, CANARY_PREFIX, None).await?;
        let shown = page.copies.iter().any(|copy| copy.key == at.key);
        if written && !shown && page.next.is_none() {
            return Err(seat.unreadable("list canaries", "what was just written is not shown"));
        }
        Ok(page)
    };
    if let Some(page) = stage(seat, OpClass::List, "list", at, READ_DEADLINE, list, went).await {
        remove_leftovers(seat, at, &page, now).await;
    }
}

/// The version that S3 gives to what was written without versioning.
const NULL_VERSION: &str = "null";

/// By version id where there is one: nothing of ours stays behind on a store that keeps versions. Where nothing could be
/// written, a version that is not there is deleted: that needs the same rights, and leaves no delete marker.
async fn delete_canary(seat: &Seat, at: &At, pin: Option<Pin>, went: &mut Canary) {
    let version = pin.map_or(Some(NULL_VERSION.to_owned()), |pin| pin.version);
    let delete = seat.store.delete(at, version.as_deref(), None);
    stage(seat, OpClass::Delete, "delete", at, CHANGE_DEADLINE, delete, went).await;
}

async fn remove_leftovers(seat: &Seat, at: &At, page: &CopyPage, now: Moment) {
    let is_old = |key: &str| {
        let made = key.strip_prefix(CANARY_PREFIX).and_then(|rest| rest.split_once('-'));
        let made = made.and_then(|(made, _)| u64::from_str_radix(made, 16).ok());
        made.is_some_and(|made| now.since_ms(Moment(made)) > LEFTOVER_MS)
    };
    for copy in page.copies.iter().filter(|copy| is_old(&copy.key)).take(LEFTOVERS_MAX) {
        let old = At::new(&at.bucket, &copy.key);
        let removed = async {
            let found = seat.store.head(&old, None).await?;
            seat.store.delete(&old, found.pin.version.as_deref(), None).await
        };
        if let Err(error) = seat.in_time("remove an old canary", CHANGE_DEADLINE, removed).await {
            tracing::debug!("{error}: an old canary stays");
            return;
        }
    }
}
