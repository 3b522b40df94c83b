//! Buckets: made on `min_copies` stores before the answer, judged by the ledger, found ones never served unasked (protocol.md 2.9).

use crate::asks::{BucketError, BucketFacts, ReadError, WriteError};
use crate::engine::Engine;
use crate::identity::BUCKET_DEADLINE;
use crate::native_bucket::{Gate, Lies, NativeError, what_lies_in};
use crate::scrub::scrub_facts;
use crate::seats::Seat;
use futures_util::future::join_all;
use outlast_ledger::{Bucket, BucketState, Change, LedgerError, ListQuery};
use outlast_rules::{BucketName, Mutant, StoreName, broken};
use std::sync::Arc;

/// What lay under a native bucket's name, as far as the store said so, and whether it can be used.
type Made = (Option<Lies>, Result<(), NativeError>);

enum Served {
    Yes(Bucket),
    NoBucket,
    /// Its deletion has begun and goes forward.
    Leaving(Bucket),
    No(String),
}

impl Served {
    /// The bucket, for whoever wants to use it; `no_bucket` and `no` say otherwise.
    fn usable<E>(self, no_bucket: E, no: impl FnOnce(String) -> E) -> Result<Bucket, E> {
        match self {
            Served::Yes(bucket) => Ok(bucket),
            Served::NoBucket => Err(no_bucket),
            Served::Leaving(bucket) => Err(no(being_deleted(&bucket.name))),
            Served::No(why) => Err(no(why)),
        }
    }
}

impl Engine {
    fn served(&self, name: &BucketName) -> Served {
        match self.cached_bucket(name) {
            None => Served::NoBucket,
            Some(bucket) => match &bucket.state {
                BucketState::Serving => Served::Yes(bucket),
                BucketState::Leaving => Served::Leaving(bucket),
                BucketState::Gone { .. } => Served::NoBucket,
                BucketState::Found { on } => Served::No(not_adopted(name, on)),
            },
        }
    }

    /// For a write in its lane: nothing is looked up.
    pub(crate) fn writable(&self, name: &BucketName) -> Result<Bucket, WriteError> {
        self.served(name).usable(WriteError::NoBucket, WriteError::NotServed)
    }

    /// Is it deleted, or being so? A key of it is absent where its native bucket is; elsewhere a missing native bucket is a
    /// verdict on the store and says nothing about a key.
    pub(crate) fn is_gone(&self, name: &BucketName) -> bool {
        matches!(self.served(name), Served::NoBucket | Served::Leaving(_))
    }

    /// For a write in its lane, which began in `life`: a bucket that was deleted and made again is another one, and never
    /// hears of what was begun before (protocol.md 2.9).
    pub(crate) fn writable_in(&self, name: &BucketName, life: u64) -> Result<(), WriteError> {
        let same = self.writable(name)?.incarnation == life || broken(Mutant::LifeIgnored);
        if same { Ok(()) } else { Err(WriteError::NoBucket) }
    }

    /// The life of the bucket in which a write begins.
    pub(crate) async fn writable_or_found(self: &Arc<Self>, name: &BucketName) -> Result<u64, WriteError> {
        self.look_for_unknown(name).await.map_err(WriteError::NotServed)?;
        Ok(self.writable(name)?.incarnation)
    }

    pub(crate) async fn readable(self: &Arc<Self>, name: &BucketName) -> Result<(), ReadError> {
        self.look_for_unknown(name).await.map_err(ReadError::NotServed)?;
        self.served(name).usable(ReadError::NoBucket, ReadError::NotServed).map(|_| ())
    }

    pub async fn list_buckets(self: &Arc<Self>) -> Result<Vec<BucketFacts>, BucketError> {
        let facts = |bucket: Bucket| BucketFacts { name: bucket.name, created: bucket.created };
        Ok(self.serving_buckets().into_iter().map(facts).collect())
    }

    pub async fn head_bucket(self: &Arc<Self>, name: BucketName) -> Result<BucketFacts, BucketError> {
        self.look_for_unknown(&name).await.map_err(BucketError::NotServed)?;
        let bucket = self.served(&name).usable(BucketError::NoBucket, BucketError::NotServed)?;
        Ok(BucketFacts { name: bucket.name, created: bucket.created })
    }

    pub async fn create_bucket(self: &Arc<Self>, name: BucketName) -> Result<(), BucketError> {
        if self.stopping.is_cancelled() {
            return Err(BucketError::Stopping);
        }
        let engine = self.clone();
        let made = self.tasks.spawn(async move { engine.make_bucket(name).await });
        made.await.unwrap_or_else(|join| Err(BucketError::NoQuorum(format!("the call broke off: {join}"))))
    }

    async fn make_bucket(self: Arc<Self>, name: BucketName) -> Result<(), BucketError> {
        let _lane = self.bucket_lane.lock().await;
        if let Some(why) = self.claimed_by_another(&name) {
            return Err(BucketError::Reserved(format!("{name}: {why}")));
        }
        match self.served(&name) {
            Served::Yes(_) => return Err(BucketError::Exists),
            Served::Leaving(_) => return Err(BucketError::NotServed(being_deleted(&name))),
            Served::No(why) => return Err(BucketError::NotServed(why)),
            Served::NoBucket => {}
        }
        // What its former life has left where its removal is still owed is ours; debts remove it key by key.
        let ours = match self.cached_bucket(&name).map(|bucket| bucket.state) {
            Some(BucketState::Gone { owed }) => owed,
            _ => vec![],
        };
        let seats = self.seats_taking(&name);
        let made = join_all(seats.iter().map(|seat| self.make_place(seat, &name, ours.contains(&seat.name)))).await;
        let of = |lies: Lies| {
            let such = seats.iter().zip(&made).filter(move |(_, (found, _))| *found == Some(lies));
            such.map(|(seat, _)| seat.name.clone()).collect::<Vec<StoreName>>()
        };
        let found = of(Lies::Objects);
        let (created, incarnation) = (self.now(), self.new_life().await?);
        if !found.is_empty() {
            let state = BucketState::Found { on: found.clone() };
            self.keep_bucket(Bucket { name: name.clone(), created, incarnation, state }).await?;
            return Err(BucketError::NotServed(not_adopted(&name, &found)));
        }
        let placement = self.placement(&name);
        let places = made.iter().filter(|(_, made)| made.is_ok()).count();
        if places < placement.min_copies.min(seats.len()).max(1) {
            if let Some(gone) = self.cached_bucket(&name) {
                // What was made in vain, or may have been, goes with what is left of its former life; what was found stays.
                let mut owed = ours;
                owed.extend(of(Lies::NoBucket));
                owed.sort();
                self.keep_bucket(Bucket { state: BucketState::Gone { owed }, ..gone }).await?;
            }
            let why: Vec<String> =
                made.iter().filter_map(|(_, made)| made.as_ref().err()).map(ToString::to_string).collect();
            return Err(BucketError::NoQuorum(format!(
                "fewer than {} stores could make the bucket {name}: {}",
                placement.min_copies,
                why.join("; ")
            )));
        }
        let bucket = Bucket { name, created, incarnation, state: BucketState::Serving };
        self.keep_what_was_made(bucket).await
    }

    /// Tells one life of a bucket's name from every other: two may begin in one millisecond, and clocks go back.
    pub(crate) async fn new_life(&self) -> Result<u64, LedgerError> {
        Ok(self.ledger.take_seq().await?.0)
    }

    pub(crate) async fn keep_bucket(&self, bucket: Bucket) -> Result<(), BucketError> {
        self.ledger.commit(vec![Change::PutBucket(bucket.clone())]).await?;
        let name = bucket.name.clone();
        self.cache_bucket(&name, Some(bucket));
        Ok(())
    }

    /// `ours`: what lies in it is known to be our own.
    async fn make_place(self: &Arc<Self>, seat: &Arc<Seat>, name: &BucketName, ours: bool) -> Made {
        let native = seat.names.native(name);
        // What an earlier removal may still take away is no place, however full it stands there now.
        if let Err(closed) = self.may_still_go(seat, name) {
            return (None, Err(closed));
        }
        let lies = if ours {
            Lies::Empty
        } else {
            match what_lies_in(seat, &native, BUCKET_DEADLINE, Gate::Health).await {
                Ok(Lies::Objects) => return (Some(Lies::Objects), Ok(())),
                Ok(lies) => lies,
                Err(error) => return (None, Err(error.into())),
            }
        };
        (Some(lies), self.make_and_probe(seat, name, lies).await)
    }

    async fn make_and_probe(
        self: &Arc<Self>,
        seat: &Arc<Seat>,
        name: &BucketName,
        lies: Lies,
    ) -> Result<(), NativeError> {
        if !seat.names.is_configured(name) {
            self.make_native(seat, name, None, Gate::Health).await?;
            if lies == Lies::NoBucket {
                self.remember_made(seat, name).await?;
            }
        }
        Ok(self.ensure_probed(seat, &seat.names.native(name)).await?)
    }

    pub async fn delete_bucket(self: &Arc<Self>, name: BucketName) -> Result<(), BucketError> {
        let engine = self.clone();
        let gone = self.tasks.spawn(async move { engine.remove_bucket(name).await });
        gone.await.unwrap_or_else(|join| Err(BucketError::NoQuorum(format!("the call broke off: {join}"))))
    }

    async fn remove_bucket(self: Arc<Self>, name: BucketName) -> Result<(), BucketError> {
        let _lane = self.bucket_lane.lock().await;
        // Writes in their commit phase end first; later ones wait here and find the bucket gone or still there.
        let _gate = if broken(Mutant::GateSkipped) { None } else { Some(self.gates.write(&name).await) };
        let bucket = match self.served(&name) {
            Served::Yes(bucket) => bucket,
            Served::Leaving(bucket) => return self.finish_leaving(bucket).await,
            Served::NoBucket => return Err(BucketError::NoBucket),
            Served::No(why) => return Err(BucketError::NotServed(why)),
        };
        if self.seats.values().any(|seat| seat.names.is_configured(&name)) {
            return Err(BucketError::Configured);
        }
        // The gate keeps writes out; readers are served, and a process that dies here leaves the bucket as it was.
        if !self.empty_and_decided(&name).await? {
            return Err(BucketError::NotEmpty);
        }
        let leaving = self.begin_leaving(bucket).await?;
        self.finish_leaving(leaving).await
    }

    async fn empty_and_decided(self: &Arc<Self>, name: &BucketName) -> Result<bool, BucketError> {
        for intent in self.ledger.intents(usize::MAX >> 1).await? {
            if &intent.bucket == name {
                self.resolve_key(&intent.bucket, &intent.key).await?;
            }
        }
        let any = ListQuery { limit: 1, ..ListQuery::default() };
        let open = self.ledger.uploads(name, "", ("", ""), 1).await?;
        // The gate's twin: a write in its commit phase has an intent, and is found here too. Both keep one rule, and each hides
        // that the other is missing: whoever takes the gate away takes this look with it.
        let undecided = !broken(Mutant::UndecidedInGoneBucket)
            && !broken(Mutant::GateSkipped)
            && self.ledger.intents(usize::MAX >> 1).await?.iter().any(|intent| &intent.bucket == name);
        Ok(self.ledger.list(name, any).await?.items.is_empty() && open.is_empty() && !undecided)
    }

    /// In the lane of buckets, or a bucket that is made again meanwhile would go with its former life: removes the native
    /// buckets of a gone bucket where that is still owed; the record goes with the last.
    pub(crate) async fn sweep_gone_bucket(self: &Arc<Self>, name: &BucketName) -> Result<(), BucketError> {
        let Some(bucket) = self.cached_bucket(name) else { return Ok(()) };
        let BucketState::Gone { owed } = &bucket.state else { return Ok(()) };
        // What was deleted in it can be brought back until its window is over, after the bucket was made again.
        if self.is_frozen() || self.ledger.trash_totals(name).await?.objects > 0 {
            return Ok(());
        }
        let mut left = Vec::new();
        for store in owed {
            let Some(seat) = self.seat(store) else { continue };
            match self.remove_native(seat, name).await {
                Ok(()) => {}
                Err(NativeError::Ledger(error)) => return Err(error.into()),
                Err(error) => {
                    tracing::info!("{error}: the bucket {name} goes there later");
                    left.push(store.clone());
                }
            }
        }
        if left.is_empty() {
            let facts = self.seats.keys().flat_map(|store| scrub_facts(store, name));
            let forgotten = facts.map(|name| Change::DropFact { name });
            let batch = std::iter::once(Change::DropBucket { name: name.clone() }).chain(forgotten).collect();
            self.ledger.commit(batch).await?;
            self.cache_bucket(name, None);
            return Ok(());
        }
        if &left == owed {
            return Ok(());
        }
        self.keep_bucket(Bucket { state: BucketState::Gone { owed: left }, ..bucket }).await
    }
}

fn being_deleted(name: &BucketName) -> String {
    format!("the bucket {name} is being deleted")
}

fn not_adopted(name: &BucketName, on: &[StoreName]) -> String {
    let on = on.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let from = on.split(',').next().unwrap_or("STORE");
    format!(
        "the bucket {name} was found with objects on {on} and is not served before it is adopted: outlast adopt {name} --from {from}"
    )
}
