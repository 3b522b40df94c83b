//! Is this still the store that holds our copies? Each store's home carries a marker; without it nothing is filled or read
//! (protocol.md 6).

use crate::engine::{Engine, StartError};
use crate::marker::{MARKER_KEY, Marker};
use crate::seats::{JudgedAs, Seat};
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use futures_util::future::join_all;
use outlast_ledger::{Change, LedgerError};
use outlast_rules::{Classes, Fence, Mutant, Pin, Reason, StoreName, broken};
use outlast_store::{Answer, Applied, At, Body, Dress, Fault, Found, PutSpec, StoreError, help};
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

/// More than any marker has, so that what is too long is found to be none.
const MARKER_READ_MAX: u64 = 64 * 1024;
/// A first connection over half the world, with TLS and a slow disk at its end.
pub(crate) const MARKER_DEADLINE: Duration = Duration::from_secs(3);
/// A bucket call may make folders or wait for a provider's control plane.
pub(crate) const BUCKET_DEADLINE: Duration = Duration::from_secs(10);

/// What the marker says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Identity {
    /// It is the store that it was, or new and marked just now.
    Ours,
    /// No marker, and none may be written with these keys; nothing of ours was ever here.
    Unmarked,
    /// The marker is gone where the ledger has copies.
    Emptied,
    /// Somebody else's; in words.
    Foreign(String),
    /// There is one whose bytes are wrong: whose it is, nobody knows; in words.
    Damaged(String),
}

/// Why an identity could not be told, or what belongs to a store not be made there.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotTold {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

/// Why a store was not accepted.
#[derive(Debug, thiserror::Error)]
pub enum AcceptError {
    #[error("there is no store {0} in the configuration")]
    Unknown(StoreName),
    #[error("{0} has its identity marker; there is nothing to accept")]
    IsItself(StoreName),
    #[error("{0}")]
    Foreign(String),
    #[error("{0}")]
    Damaged(String),
    #[error(transparent)]
    Store(StoreError),
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

impl From<NotTold> for AcceptError {
    fn from(error: NotTold) -> AcceptError {
        match error {
            NotTold::Store(error) => AcceptError::Store(error),
            NotTold::Ledger(error) => AcceptError::Ledger(error),
        }
    }
}

pub(crate) fn fact(store: &StoreName, what: &str) -> String {
    format!("store.{store}.{what}")
}

impl Engine {
    /// Before the first request: every store is asked who it is. One that does not answer is not called before it has.
    ///
    /// # Errors
    /// A store that belongs to somebody else.
    pub async fn identify(self: &Arc<Self>) -> Result<(), StartError> {
        for seat in self.seats.values() {
            self.settle_home(seat).await?;
        }
        let read = join_all(self.seats.values().map(|seat| self.read_marker(seat))).await;
        // One after the other: of two stores in one place, the second finds the first one's marker.
        for (seat, read) in self.seats.values().zip(read) {
            let told = match read {
                Ok(None) => self.ask_identity(seat).await,
                Ok(Some(marker)) => self.judge_marker(seat, marker).await,
                Err(error) => Err(NotTold::Store(error)),
            };
            match told {
                Ok(Identity::Foreign(words)) => return Err(StartError::Identity(words)),
                Ok(Identity::Emptied) => drop(self.condemn(seat, seat.judged_as(), Reason::Emptied).await),
                // Broken bytes prove nothing, and least of all that it is somebody else's: one store that hands them out must
                // not keep the gateway from starting.
                Ok(Identity::Damaged(words)) => {
                    tracing::warn!("{words}");
                    self.condemn(seat, seat.judged_as(), Reason::MarkerDamaged).await;
                }
                Ok(Identity::Ours | Identity::Unmarked) => {}
                Err(NotTold::Ledger(error)) => return Err(error.into()),
                Err(NotTold::Store(error)) => {
                    seat.remember(&error);
                    let help = help(&error).map(|help| format!("; help: {help}")).unwrap_or_default();
                    tracing::warn!("{error}: {} is not called before it has shown its identity{help}", seat.name);
                    self.condemn(seat, seat.judged_as(), unreached(error.fault)).await;
                }
            }
            // Whatever else it says of itself now: an earlier process found its list short.
            self.remember_short(seat).await?;
        }
        Ok(())
    }

    /// Reads the marker, and writes it where nothing of ours was ever. Its calls pass the gate and tell health nothing.
    pub(crate) async fn ask_identity(self: &Arc<Self>, seat: &Arc<Seat>) -> Result<Identity, NotTold> {
        let _lane = seat.identity_lane.lock().await;
        self.settle_home(seat).await?;
        match self.read_marker(seat).await? {
            Some(marker) => self.judge_marker(seat, marker).await,
            None => {
                let was_here = self.ledger.fact(&fact(&seat.name, "marker")).await?.is_some();
                if was_here && self.knows_entries().await? && !broken(Mutant::EmptiedBelieved) {
                    return Ok(Identity::Emptied);
                }
                match self.mark_anew(seat).await {
                    Ok(()) => Ok(Identity::Ours),
                    Err(NotTold::Store(error)) if error.fault == Fault::Denied && !was_here => {
                        tracing::warn!(
                            "{error}: {} has no identity marker, an exchange would not be noticed",
                            seat.name
                        );
                        seat.set_known();
                        Ok(Identity::Unmarked)
                    }
                    Err(error) => Err(error),
                }
            }
        }
    }

    /// An emptied store is taken for what it is: everything that it held is owed to it, then it is marked and tried again. One whose
    /// list is short is owed what the list lacks; what it shows as it was written still serves.
    ///
    /// # Errors
    /// It is not empty of us, belongs to somebody else, or does not answer; nothing was changed then.
    pub async fn accept_store(self: &Arc<Self>, name: &StoreName) -> Result<(), AcceptError> {
        let seat = self.seat(name).cloned().ok_or_else(|| AcceptError::Unknown(name.clone()))?;
        let _lane = seat.identity_lane.lock().await;
        self.settle_home(&seat).await?;
        let is_short = matches!(seat.health(|health| health.condemned()), Some(Reason::Short { .. }));
        let marker = self.read_marker(&seat).await.map_err(NotTold::Store)?;
        let is_marked = marker.is_some();
        if let Some(marker) = marker {
            match self.judge_marker(&seat, marker).await? {
                Identity::Foreign(words) => return Err(AcceptError::Foreign(words)),
                Identity::Damaged(words) => return Err(AcceptError::Damaged(words)),
                _ if !is_short => return Err(AcceptError::IsItself(name.clone())),
                _ => {}
            }
        }
        let kept = if is_marked { self.owe_what_is_missing(&seat).await? } else { None };
        if kept.is_none() {
            let owed = Change::OweEverything { store: name.clone(), now: self.now() };
            self.ledger.commit(vec![owed, self.forget_short(name)]).await?;
        }
        // What stands at its place now may be another kind of store: what it honours is found out before it is called.
        self.make_missing_buckets(&seat).await?;
        for bucket in self.serving_buckets() {
            if self.settings.placement(&bucket.name).stores.contains(name) {
                self.probe_anew(&seat, &seat.names.native(&bucket.name)).await.map_err(NotTold::Store)?;
            }
        }
        if !is_marked {
            self.mark_anew(&seat).await?;
        }
        let owed = match kept {
            Some(missing) => format!("{missing} objects that its list lacks are owed to it"),
            None => "everything that it held is owed to it".to_owned(),
        };
        self.note("accepted", format!("{name}: taken as it is; {owed}")).await;
        seat.accept(self.now());
        seat.alarm.notify_one();
        seat.bell.notify_one();
        Ok(())
    }

    /// Down for everything; said in the history when it is news. False: it was accepted since that judgement began.
    pub(crate) async fn condemn(&self, seat: &Arc<Seat>, then: JudgedAs, reason: Reason) -> bool {
        let now = self.now();
        let before = seat.health(|health| {
            if !seat.is_still(then) {
                return None;
            }
            let before = health.condemned();
            // Wrong bytes in its marker are no news of a store that hands out wrong bytes, and no way out of that.
            if !(before == Some(Reason::BytesDiffer) && reason == Reason::MarkerDamaged) {
                health.condemn(now, reason);
            }
            Some(before)
        });
        let Some(before) = before else { return false };
        if before != Some(reason) {
            let help = help_of(reason, &seat.name).map(|help| format!("; {help}")).unwrap_or_default();
            self.note("standing", format!("{} is down: {reason}{help}", seat.name)).await;
        }
        true
    }

    /// Where the marker lies: chosen at the first start, and the same for ever.
    async fn settle_home(&self, seat: &Seat) -> Result<(), LedgerError> {
        let name = fact(&seat.name, "home");
        let kept = self.ledger.fact(&name).await?.and_then(|text| serde_json::from_str(&text).ok());
        let home = match kept {
            Some(home) => home,
            None => {
                let home = seat.names.home();
                let value = serde_json::to_string(&home).expect("a name is plain data");
                self.ledger.commit(vec![Change::SetFact { name, value }]).await?;
                home
            }
        };
        seat.set_home(home);
        Ok(())
    }

    async fn read_marker(&self, seat: &Seat) -> Answer<Option<Bytes>> {
        read_marker_at(seat, &seat.home()).await
    }

    async fn judge_marker(&self, seat: &Seat, bytes: Bytes) -> Result<Identity, NotTold> {
        let place = format!("store {} ({}, bucket {})", seat.name, seat.store.place(), seat.home());
        let name = fact(&seat.name, "marker");
        let kept = self.ledger.fact(&name).await?;
        let known = kept.as_deref().and_then(|text| serde_json::from_str::<Marker>(text).ok());
        let marker = match Marker::read(&bytes, known.as_ref()) {
            Ok(marker) => marker,
            Err(damage) => {
                let again = "it is read again with each canary";
                return Ok(Identity::Damaged(format!(
                    "{place}: its {MARKER_KEY} {damage}; not called until it is right: {again}"
                )));
            }
        };
        if marker.installation != self.installation {
            return Ok(Identity::Foreign(format!(
                "{place} belongs to another Outlast: its {MARKER_KEY} names installation {}, this one is {}\n    \
                 give this store a place of its own, or start with the data_dir that belongs to it; \
                 if that is lost: outlast rebuild",
                marker.installation, self.installation
            )));
        }
        if marker.store != seat.name {
            return Ok(Identity::Foreign(format!(
                "{place} is the place of the store {} of this Outlast\n    \
                 two stores cannot share one place, and a store keeps its name: give {} a place of its own",
                marker.store, seat.name
            )));
        }
        if kept.is_none() {
            self.keep_marker(&marker).await?;
        }
        seat.set_known();
        Ok(Identity::Ours)
    }

    async fn knows_entries(&self) -> Result<bool, LedgerError> {
        for bucket in self.ledger.buckets().await? {
            if self.ledger.bucket_totals(&bucket.name).await?.0 > 0 {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Buckets first, the marker last: where it stands, everything else stood before.
    async fn mark_anew(self: &Arc<Self>, seat: &Arc<Seat>) -> Result<(), NotTold> {
        let home = seat.home();
        make_own_home(seat, &home).await?;
        self.make_missing_buckets(seat).await?;
        let marker = Marker::new(&self.installation, &seat.name, self.now());
        let body = serde_json::to_vec(&marker).expect("a marker is plain data");
        let spec = PutSpec { dress: Dress::default(), fence: Some(Fence::Absent), md5: None };
        let at = At::new(home, MARKER_KEY);
        let put = seat.store.put(&at, &spec, Body::Whole(body.clone().into()));
        match seat.in_time("write the identity marker", MARKER_DEADLINE, put).await {
            Ok(_) => {}
            // A store that refuses conditions: nothing was here a moment ago.
            Err(error) if matches!(error.fault, Fault::Unsupported | Fault::BadRequest) => {
                let spec = PutSpec { fence: None, ..spec };
                let put = seat.store.put(&at, &spec, Body::Whole(body.clone().into()));
                seat.in_time("write the identity marker", MARKER_DEADLINE, put).await?;
            }
            Err(error) => return Err(error.into()),
        }
        let (_, found) = seat.read_small(&at, None, MARKER_READ_MAX, MARKER_DEADLINE).await?;
        if found != body {
            return Err(seat.unreadable("read the identity marker", "other bytes came back than were written").into());
        }
        self.keep_marker(&marker).await?;
        seat.set_known();
        Ok(())
    }

    /// A store that has never shown a marker may have no home yet. One that is held to be another is left alone.
    pub(crate) async fn make_home(&self, seat: &Seat) -> Answer<()> {
        if seat.is_known() || seat.health(|health| health.condemned()).is_some() {
            return Ok(());
        }
        make_own_home(seat, &seat.home()).await
    }

    /// From here on a missing marker means: emptied.
    async fn keep_marker(&self, marker: &Marker) -> Result<(), LedgerError> {
        let value = serde_json::to_string(marker).expect("a marker is plain data");
        self.ledger.commit(vec![Change::SetFact { name: fact(&marker.store, "marker"), value }]).await
    }
}

/// None: no marker, or not even its bucket.
pub(crate) async fn read_marker_at(seat: &Seat, home: &str) -> Answer<Option<Bytes>> {
    let at = At::new(home, MARKER_KEY);
    match seat.read_small(&at, None, MARKER_READ_MAX, MARKER_DEADLINE).await {
        Ok((_, bytes)) => Ok(Some(bytes)),
        Err(error) if matches!(error.fault, Fault::NoKey | Fault::NoBucket) => Ok(None),
        Err(error) => Err(error),
    }
}

/// What can be done about a store that does not show that it is itself.
pub(crate) fn help_of(reason: Reason, store: &StoreName) -> Option<String> {
    match reason {
        Reason::Emptied => Some(format!("mount it; if it really is empty now: outlast store accept {store}")),
        Reason::Short { .. } => Some(format!(
            "look what became of them, and bring them back; if they are lost: outlast store accept {store}, and it is filled from the others"
        )),
        Reason::Foreign => {
            Some(format!("give {store} a place of its own, or mount what was there before; the log says whose it is"))
        }
        Reason::MarkerDamaged => Some(format!(
            "bytes that are wrong for a moment mend themselves; where they stay so, look at its disk, remove {MARKER_KEY} from \
             its home bucket, and: outlast store accept {store}"
        )),
        _ => None,
    }
}

/// Nothing is known of a store that has never shown its identity to this process.
pub(crate) fn unreached(fault: Fault) -> Reason {
    Reason::Fails { fault, on: Classes::every(), worked: false }
}

/// A home that the configuration names is not ours to make.
async fn make_own_home(seat: &Seat, home: &str) -> Answer<()> {
    let is_home = |native: &String| native == home;
    if seat.names.system_bucket.iter().any(is_home) || seat.names.buckets.values().any(is_home) {
        return Ok(());
    }
    make_bucket(seat, home).await
}

async fn make_bucket(seat: &Seat, native: &str) -> Answer<()> {
    let what = format!("create bucket {native}");
    seat.in_time(&what, BUCKET_DEADLINE, seat.store.create_bucket(native)).await?;
    match seat.in_time(&what, BUCKET_DEADLINE, seat.store.keep_versions(native)).await {
        Ok(()) => {}
        Err(error) if error.fault == Fault::Unsupported => {}
        Err(error) => tracing::info!("{error}: going on without native versions"),
    }
    Ok(())
}

impl Seat {
    /// A call of ours about the store itself: bounded, past the gate, and not yet told to health.
    pub(crate) async fn in_time<T>(
        &self,
        what: &str,
        deadline: Duration,
        call: impl Future<Output = Answer<T>>,
    ) -> Answer<T> {
        tokio::time::timeout(deadline, call).await.unwrap_or_else(|_| Err(self.silence(what, deadline)))
    }

    /// A small object, whole.
    pub(crate) async fn read_small(
        &self,
        at: &At,
        pin: Option<&Pin>,
        bytes_max: u64,
        deadline: Duration,
    ) -> Answer<(Found, Bytes)> {
        let what = format!("get {}/{}", at.bucket, at.key);
        let call = async {
            let (found, mut stream) = self.store.get(at, pin, None).await?;
            let mut whole = BytesMut::new();
            while let Some(chunk) = stream.next().await {
                whole.extend_from_slice(&chunk.map_err(|error| {
                    let timed_out = error.kind() == std::io::ErrorKind::TimedOut;
                    let fault = if timed_out { Fault::Timeout } else { Fault::Broken };
                    StoreError { fault, ..self.unreadable(&what, &error.to_string()) }
                })?);
                if whole.len() as u64 > bytes_max {
                    return Err(self.unreadable(&what, "far more bytes came than were ever written"));
                }
            }
            if whole.len() as u64 != found.size {
                return Err(self.unreadable(&what, "the body was not whole"));
            }
            Ok((found, whole.freeze()))
        };
        self.in_time(&what, deadline, call).await
    }

    pub(crate) fn unreadable(&self, what: &str, why: &str) -> StoreError {
        StoreError {
            fault: Fault::BadAnswer,
            applied: Applied::No,
            message: why.to_owned(),
            ..self.silence(what, Duration::ZERO)
        }
    }
}
