//! Native buckets, made and removed. Each call has a mark, durable before it is sent: while it may still apply, no call of
//! the other kind follows it to that store (protocol.md 2.9).

use crate::engine::Engine;
use crate::identity::{BUCKET_DEADLINE, NotTold};
use crate::seats::Seat;
use outlast_ledger::{BucketState, LedgerError};
use outlast_rules::{
    BucketCall, BucketClock, BucketMark, BucketName, Key, OpClass, RESERVED_PREFIX, Standing, bucket_closed_by,
};
use outlast_store::{Answer, Applied, At, Fault, Found, StoreError};
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

/// Why a native bucket was not made or removed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NativeError {
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Nothing was sent. The words say what stands in the way, and for how long.
    #[error("{0}")]
    Closed(String),
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

/// Through which gate a call passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Gate {
    /// Like every call: not to a store whose identity is not proven, and health hears of it.
    Health,
    /// Part of finding out, or of accepting, who the store is.
    Identity,
}

impl Engine {
    /// Makes it, with native versions on where the store can keep them. `life`: only while the bucket is still in this one.
    pub(crate) async fn make_native(
        self: &Arc<Self>,
        seat: &Arc<Seat>,
        name: &BucketName,
        life: Option<u64>,
        gate: Gate,
    ) -> Result<(), NativeError> {
        let native = seat.names.native(name);
        let (to, of) = (seat.clone(), native.clone());
        let call = async move {
            let create = to.store.create_bucket(&of);
            match gate {
                Gate::Health => to.watched(OpClass::Write, create).await,
                Gate::Identity => create.await,
            }
        };
        self.under_mark(seat, name, BucketCall::Make, life, call).await?;
        let (what, versions) = (format!("keep versions in {native}"), seat.store.keep_versions(&native));
        let kept = match gate {
            Gate::Health => seat.within(OpClass::Write, BUCKET_DEADLINE, &what, versions).await,
            Gate::Identity => seat.in_time(&what, BUCKET_DEADLINE, versions).await,
        };
        match kept {
            Ok(()) => {}
            Err(error) if error.fault == Fault::Unsupported => {}
            Err(error) => tracing::info!("{error}: going on without native versions"),
        }
        Ok(())
    }

    /// Our own records go first; anything else that lies there keeps the native bucket. Homes stay.
    pub(crate) async fn remove_native(
        self: &Arc<Self>,
        seat: &Arc<Seat>,
        name: &BucketName,
    ) -> Result<(), NativeError> {
        let native = seat.names.native(name);
        if native == seat.home() {
            return Ok(());
        }
        // Nothing is written down for a call that is not sent: a mark that comes and goes each minute is news for the stores.
        if [OpClass::List, OpClass::Delete].iter().any(|class| seat.standing(*class) == Standing::Down) {
            return Err(NativeError::Closed(format!("{}: it is down, {native} stays there for now", seat.name)));
        }
        self.under_mark(seat, name, BucketCall::Remove, None, take_down(seat.clone(), native)).await
    }

    /// What an earlier removal of this native bucket, if it may still apply, would take with it: whatever is no object of a
    /// client. Stores refuse to remove a bucket with objects; uploads hold no bucket, and our records are removed by name.
    pub(crate) fn may_still_go(&self, seat: &Seat, name: &BucketName) -> Result<(), NativeError> {
        self.closed_to(seat, name, BucketCall::Make).map_or(Ok(()), Err)
    }

    fn closed_to(&self, seat: &Seat, name: &BucketName, does: BucketCall) -> Option<NativeError> {
        let clock = self.bucket_clock(seat);
        let mut live = self.bucket_marks.of(&seat.name, name);
        live.retain(|mark| mark.is_live(clock));
        let earlier = bucket_closed_by(does, &live)?;
        let what = match earlier.does {
            BucketCall::Make => "making",
            BucketCall::Remove => "removal",
        };
        let over = earlier.since.max(self.opened).plus_ms(seat.settle_ms());
        let left = over.since_ms(self.now()) as f64 / 60_000.0;
        Some(NativeError::Closed(format!(
            "{}: an earlier {what} of the native bucket {} may still apply there, for up to {left:.0} min",
            seat.name,
            seat.names.native(name)
        )))
    }

    fn bucket_clock(&self, seat: &Seat) -> BucketClock {
        BucketClock {
            now: self.now(),
            opened: self.opened,
            settle_ms: (!seat.limits().never_given_up).then(|| seat.settle_ms()),
            is_settled: seat.is_settled(),
        }
    }

    async fn under_mark(
        self: &Arc<Self>,
        seat: &Arc<Seat>,
        name: &BucketName,
        does: BucketCall,
        life: Option<u64>,
        call: impl Future<Output = Answer<()>> + Send + 'static,
    ) -> Result<(), NativeError> {
        let (store, bucket) = (seat.name.clone(), name.clone());
        let mark = BucketMark { call: self.new_call(), store, bucket, does, since: self.now() };
        self.bucket_marks.add(&*self.ledger, mark.clone()).await?;
        // Looked at after ours is known: of two that begin at once, each finds the other's.
        let moved_on = life.is_some_and(|life| !self.is_in_life(name, life));
        let closed = match self.closed_to(seat, name, does) {
            None if moved_on => Some(NativeError::Closed(format!("the bucket {name} is gone, or another, by now"))),
            closed => closed,
        };
        if let Some(closed) = closed {
            self.bucket_marks.remove(&*self.ledger, &mark).await?;
            return Err(closed);
        }
        // A task of its own: nobody waits for ever, and what comes after we gave up is still an answer to this call.
        let (engine, to) = (self.clone(), seat.clone());
        let sent = self.tasks.spawn(async move {
            let answer = call.await;
            engine.bucket_call_ended(&to, mark, &answer).await?;
            answer.map_err(NativeError::Store)
        });
        match tokio::time::timeout(BUCKET_DEADLINE, sent).await {
            Ok(Ok(end)) => end,
            Ok(Err(join)) => Err(seat.unreadable("bucket call", &format!("it broke off: {join}")).into()),
            Err(_) => Err(seat.silence(&format!("bucket {}", seat.names.native(name)), BUCKET_DEADLINE).into()),
        }
    }

    async fn bucket_call_ended(&self, seat: &Seat, mark: BucketMark, answer: &Answer<()>) -> Result<(), LedgerError> {
        let is_unknown = answer.as_ref().is_err_and(|error| error.applied == Applied::Unknown);
        // On a store whose calls are never given up the call has returned, whatever it said.
        if is_unknown && !seat.limits().never_given_up {
            let since = self.now();
            return self.bucket_marks.add(&*self.ledger, BucketMark { since, ..mark }).await;
        }
        self.bucket_marks.remove(&*self.ledger, &mark).await
    }

    /// HEAD of a key that is to be gone. Where it says that a bucket which we delete is missing, the bucket is asked for itself: a
    /// store that says so for a moment, or to some calls only, would keep what lies there and be owed nothing.
    pub(crate) async fn look_for_what_goes(&self, seat: &Arc<Seat>, bucket: &BucketName, key: &Key) -> Answer<Found> {
        let found = seat.look(bucket, key).await;
        if !found.as_ref().is_err_and(|error| error.fault == Fault::NoBucket) || !self.is_gone(bucket) {
            return found;
        }
        let native = seat.names.native(bucket);
        let head = seat.store.head_bucket(&native);
        seat.in_time(&format!("head bucket {native}"), BUCKET_DEADLINE, head).await?;
        let message = format!("the bucket {native} is there, and was said to be missing");
        found.map_err(|error| StoreError { fault: Fault::BadAnswer, message, ..error })
    }

    fn is_in_life(&self, name: &BucketName, life: u64) -> bool {
        self.cached_bucket(name).is_some_and(|now| now.state == BucketState::Serving && now.incarnation == life)
    }

    /// Marks whose time is over end with a look: a bucket that serves may have been closed to this store, or gone from it.
    pub(crate) async fn settle_bucket_marks(self: &Arc<Self>) -> Result<(), LedgerError> {
        for mark in self.bucket_marks.all() {
            let Some(seat) = self.seat(&mark.store).cloned() else { continue };
            if mark.is_live(self.bucket_clock(&seat)) || seat.health(|health| health.condemned()).is_some() {
                continue;
            }
            match self.make_missing_buckets(&seat).await {
                Ok(()) => {}
                Err(NotTold::Ledger(error)) => return Err(error),
                // It could not be looked at: the mark stays until it can.
                Err(NotTold::Store(error)) => {
                    tracing::info!("{error}: looked at later");
                    continue;
                }
            }
            self.bucket_marks.remove(&*self.ledger, &mark).await?;
        }
        Ok(())
    }

    /// Buckets made while the store was away or closed to them, or gone from it. Those that the configuration names are not
    /// ours to make.
    pub(crate) async fn make_missing_buckets(self: &Arc<Self>, seat: &Arc<Seat>) -> Result<(), NotTold> {
        for bucket in self.serving_buckets() {
            let here = self.settings.placement(&bucket.name).stores.contains(&seat.name);
            if !here || seat.names.is_configured(&bucket.name) {
                continue;
            }
            let native = seat.names.native(&bucket.name);
            let head = seat.store.head_bucket(&native);
            match seat.in_time(&format!("head bucket {native}"), BUCKET_DEADLINE, head).await {
                Err(error) if error.fault == Fault::NoBucket => {}
                other => {
                    other?;
                    continue;
                }
            }
            match self.make_native(seat, &bucket.name, Some(bucket.incarnation), Gate::Identity).await {
                Ok(()) => {
                    let text = format!("{}: the native bucket {native} was missing and was made", seat.name);
                    self.note("bucket", text).await;
                }
                Err(NativeError::Closed(why)) => tracing::info!("{why}: it is made later"),
                Err(NativeError::Store(error)) => return Err(error.into()),
                Err(NativeError::Ledger(error)) => return Err(error.into()),
            }
        }
        Ok(())
    }
}

/// One after the other, and nothing more once an answer stays out: the mark covers them all.
async fn take_down(seat: Arc<Seat>, native: String) -> Answer<()> {
    let mut after = None;
    loop {
        let list = seat.store.list(&native, RESERVED_PREFIX, after.as_deref());
        let page = match seat.within(OpClass::List, BUCKET_DEADLINE, &format!("list {native}"), list).await {
            Ok(page) => page,
            // No word on the bucket before the call that removes it has said so too.
            Err(error) if error.fault == Fault::NoBucket => break,
            // Whatever came of the question, it changes nothing; what was removed before it was answered for.
            Err(error) => return Err(StoreError { applied: Applied::NotSent, ..error }),
        };
        for copy in &page.copies {
            let at = At::new(native.clone(), copy.key.clone());
            match seat.watched(OpClass::Delete, seat.store.delete(&at, None, None)).await {
                Err(error) if matches!(error.fault, Fault::NoKey | Fault::NoBucket) => {}
                other => other?,
            }
        }
        match page.next {
            Some(next) => after = Some(next),
            None => break,
        }
    }
    match seat.watched(OpClass::Delete, seat.store.delete_bucket(&native)).await {
        Err(error) if error.fault == Fault::NoBucket => Ok(()),
        other => other,
    }
}

/// What a native bucket is found to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lies {
    NoBucket,
    /// Nothing besides our own records.
    Empty,
    Objects,
}

/// Does a native bucket hold anything besides our own records?
pub(crate) async fn holds_objects(seat: &Arc<Seat>, native: &str, deadline: Duration, gate: Gate) -> Answer<bool> {
    Ok(what_lies_in(seat, native, deadline, gate).await? == Lies::Objects)
}

pub(crate) async fn what_lies_in(seat: &Arc<Seat>, native: &str, deadline: Duration, gate: Gate) -> Answer<Lies> {
    let mut after: Option<String> = None;
    loop {
        let what = format!("list {native}");
        let page = seat.store.list(native, "", after.as_deref());
        let page = match gate {
            Gate::Health => seat.within(OpClass::List, deadline, &what, page).await,
            Gate::Identity => seat.in_time(&what, deadline, page).await,
        };
        let page = match page {
            Ok(page) => page,
            Err(error) if error.fault == Fault::NoBucket => return Ok(Lies::NoBucket),
            Err(error) => return Err(error),
        };
        if page.copies.iter().any(|copy| !copy.key.starts_with(RESERVED_PREFIX)) {
            return Ok(Lies::Objects);
        }
        match page.next {
            Some(next) => after = Some(next),
            None => return Ok(Lies::Empty),
        }
    }
}
