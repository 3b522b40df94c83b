//! The trash: the bytes that a delete or an overwrite displaces stand aside before the last copies of them are destroyed, and
//! go when their time is over (protocol.md 4). What is decided here is durable before it is done.

use crate::counters::count;
use crate::elsewhere::Elsewhere;
use crate::engine::Engine;
use crate::seats::{Operation, Seat};
use futures_util::stream::{FuturesUnordered, StreamExt};
use outlast_ledger::{Change, LedgerError};
use outlast_rules::{
    BucketName, Displaced, Entry, Key, KeyState, Leaves, Mutant, OpClass, Pin, Shelf, Stamp, Standing, StoreName,
    Trashed, UNDELETE_MS_DEFAULT, Undelete, WriteId, broken, is_safe, name_hash, trash_name,
};
use outlast_store::{Answer, At, Dress, Fault, Found, PutSpec};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// What an overwrite waits for its predecessor's copies beyond the time that their bytes take. An overwrite is acknowledged
/// without them rather than not at all.
const ASIDE_WAIT: Duration = Duration::from_secs(1);
/// A store copies its own bytes at least this fast; slower, and the overwrite goes on.
const ASIDE_BYTES_PER_MS: u64 = 16 * 1024;
/// Rows of the trash emptied between two looks at whether the engine stops.
const PAGE: usize = 256;
/// What could not be emptied now is tried again after this long.
const AGAIN_MS: u64 = 10 * 60_000;

/// How long the trash keeps a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Held {
    ForItsWindow,
    /// It went above a delete budget, or while removal was frozen where nothing is kept otherwise.
    UntilReleased,
    /// What displaced it stands below `min_copies`: for its window, and for a week at least, also where nothing is kept otherwise.
    AsPredecessor,
}

impl Engine {
    pub(crate) fn undelete_of(&self, bucket: &BucketName) -> Undelete {
        self.settings.undelete.get(bucket).copied().unwrap_or(self.settings.undelete_default)
    }

    /// Stores that must keep a trashed write before its other copies may go.
    pub(crate) fn shelves_needed(&self, bucket: &BucketName) -> usize {
        let placement = self.placement(bucket);
        placement.min_copies.min(placement.stores.len())
    }

    /// The row of an entry that `by` is about to displace. Native versions are shelves as they are.
    pub(crate) fn trashed(
        &self,
        bucket: &BucketName,
        key: &Key,
        entry: &Entry,
        by: WriteId,
        why: Displaced,
        held: Held,
    ) -> Option<Trashed> {
        let window = self.undelete_of(bucket).window_ms;
        let held = match held {
            // Where nothing is kept otherwise, what goes while removal is frozen stays until somebody has looked at it.
            Held::ForItsWindow if window == 0 && self.is_frozen() => Held::UntilReleased,
            Held::ForItsWindow if window == 0 => return None,
            held => held,
        };
        let window = if held == Held::AsPredecessor { window.max(UNDELETE_MS_DEFAULT) } else { window };
        let native = |(store, pin): (&StoreName, &Pin)| Some((store.clone(), self.native_shelf(bucket, store, pin)?));
        Some(Trashed {
            bucket: bucket.clone(),
            key: key.clone(),
            entry: entry.clone(),
            by,
            why,
            at: self.now(),
            until: (held != Held::UntilReleased).then(|| self.now().plus_ms(window)),
            user: None,
            returned: None,
            shelves: entry.holders.iter().filter_map(native).collect(),
        })
    }

    /// A version that neither a later write nor a DELETE destroys.
    fn native_shelf(&self, bucket: &BucketName, store: &StoreName, pin: &Pin) -> Option<Shelf> {
        let seat = self.seat(store)?;
        let pinned = seat.powers(bucket, Operation::Put).pinned && seat.powers(bucket, Operation::Delete).pinned;
        (pinned && pin.version.is_some()).then(|| Shelf { pin: pin.clone(), native: true })
    }

    /// What is about to be overwritten, put aside on as many stores as the bucket's writes need, before the first call that
    /// destroys it. In the key's lane. Where stores do not answer in time the row has fewer shelves, and the write goes on.
    pub(crate) async fn keep_overwritten(
        self: &Arc<Self>,
        bucket: &BucketName,
        key: &Key,
        old: &Entry,
        by: WriteId,
    ) -> Option<Trashed> {
        if !self.undelete_of(bucket).overwrites && !self.is_frozen() {
            return None;
        }
        let mut trashed = self.trashed(bucket, key, old, by, Displaced::Overwritten, Held::ForItsWindow)?;
        let needed = self.shelves_needed(bucket);
        let up = |seat: &Arc<Seat>| {
            seat.standing(OpClass::Write) != Standing::Down && seat.standing(OpClass::Read) != Standing::Down
        };
        let free = |seat: &Arc<Seat>| {
            old.holders.contains_key(&seat.name) && !trashed.shelves.contains_key(&seat.name) && up(seat)
        };
        let mut waiting = self.seats_taking(bucket).into_iter().filter(free).collect::<Vec<_>>().into_iter();
        let body = Duration::from_millis(old.size / ASIDE_BYTES_PER_MS);
        let give_up = Instant::now() + ASIDE_WAIT + body;
        let mut copying = FuturesUnordered::new();
        let mut patience = give_up;
        while !trashed.is_kept(needed) {
            let late = Instant::now() >= patience;
            let missing = needed - trashed.shelves.len();
            while copying.len() < missing || (late && copying.len() == missing) {
                let Some(seat) = waiting.next() else { break };
                patience = Instant::now() + seat.deadline(OpClass::Write).min(ASIDE_WAIT / 2) + body;
                copying.push(self.start_aside(seat, &trashed));
            }
            if copying.is_empty() {
                break;
            }
            let wake = if waiting.len() == 0 { give_up } else { patience.min(give_up) };
            tokio::select! {
                biased;
                Some(done) = copying.next() => if let Ok((store, Some(shelf))) = done {
                    trashed.shelves.insert(store, shelf);
                },
                () = tokio::time::sleep_until(wake) => if wake >= give_up { break },
            }
        }
        if !trashed.is_kept(needed) {
            count(&self.counters.overwrites_not_kept);
        }
        if !copying.is_empty() {
            self.shelve_late(&trashed, copying).await;
        }
        Some(trashed)
    }

    /// Copies that come too late for their write still fill their shelves, or they would lie there unknown. The row stands first.
    async fn shelve_late(
        self: &Arc<Self>,
        trashed: &Trashed,
        mut copying: FuturesUnordered<tokio::task::JoinHandle<(StoreName, Option<Shelf>)>>,
    ) {
        if let Err(error) = self.ledger.commit(vec![Change::PutTrash(Box::new(trashed.clone()))]).await {
            tracing::error!("a row of the trash could not be written down: {error}");
        }
        let (engine, trashed) = (self.clone(), trashed.clone());
        self.tasks.spawn(async move {
            while let Some(done) = copying.next().await {
                if let Ok((store, Some(shelf))) = done
                    && let Err(error) = engine.ledger.commit(vec![shelve(&trashed, &store, &shelf)]).await
                {
                    tracing::error!("a shelf of the trash could not be written down: {error}");
                }
            }
        });
    }

    /// A task of its own: a call that is dropped half way may apply all the same.
    fn start_aside(
        self: &Arc<Self>,
        seat: Arc<Seat>,
        trashed: &Trashed,
    ) -> tokio::task::JoinHandle<(StoreName, Option<Shelf>)> {
        let (engine, trashed) = (self.clone(), trashed.clone());
        self.tasks.spawn(async move {
            let Some(pin) = trashed.entry.holders.get(&seat.name).cloned() else { return (seat.name.clone(), None) };
            match engine.copy_aside(&seat, &trashed, &pin).await {
                Ok(shelf) => (seat.name.clone(), Some(shelf)),
                Err(error) => {
                    tracing::info!("{error}: what is overwritten is not put aside there");
                    (seat.name.clone(), None)
                }
            }
        })
    }

    /// The store copies what lies under the key, pinned, to its place in the trash.
    async fn copy_aside(self: &Arc<Self>, seat: &Arc<Seat>, trashed: &Trashed, pin: &Pin) -> Answer<Shelf> {
        let (bucket, key, entry) = (&trashed.bucket, &trashed.key, &trashed.entry);
        if entry.size > seat.limits().copy_bytes_max {
            return self.carry_aside(seat, trashed).await;
        }
        let to = self.shelf_at(seat, trashed);
        let (from, spec) = (seat.at(bucket, key), self.aside_spec(trashed));
        let copy = seat.store.copy(&from, pin, &to, &spec);
        let made = seat.watched(OpClass::Write, copy).await?;
        if self.is_other_md5(bucket, entry, &seat.name, &made.etag) {
            let error = seat.silence(&format!("copy {bucket}/{key} aside"), Duration::ZERO);
            let message = "the copy has other bytes".to_owned();
            return Err(outlast_store::StoreError { fault: Fault::BadAnswer, message, ..error });
        }
        Ok(Shelf { pin: seat.pin(bucket, made), native: false })
    }

    /// The bytes come through us, from whoever can still be read, every block checked.
    async fn carry_aside(self: &Arc<Self>, seat: &Arc<Seat>, trashed: &Trashed) -> Answer<Shelf> {
        let (bucket, key) = (&trashed.bucket, &trashed.key);
        let digests = match self.ledger.digests(bucket, key, trashed.entry.write).await {
            Ok(digests) => digests.map(Arc::new),
            Err(error) => {
                tracing::error!("{bucket}/{key} is carried to the trash unchecked: {error}");
                None
            }
        };
        let entry = Arc::new(trashed.entry.clone());
        let source = Elsewhere { engine: self, seat, bucket, key, entry: &entry, digests, spooled: false };
        let pin = source.send(&self.shelf_at(seat, trashed), self.aside_spec(trashed)).await?;
        Ok(Shelf { pin: seat.pin(bucket, pin), native: false })
    }

    fn shelf_at(&self, seat: &Seat, trashed: &Trashed) -> At {
        seat.record_at(&trashed.bucket, &trash_name(&trashed.bucket, &trashed.key, trashed.entry.write))
    }

    /// The same headers, and the stamp of the write that it was: read back as that very write.
    fn aside_spec(&self, trashed: &Trashed) -> PutSpec {
        let entry = &trashed.entry;
        let stamp = Stamp {
            epoch: self.epoch,
            seq: Some(entry.seq),
            write: entry.write,
            name: name_hash(&trashed.bucket, &trashed.key),
            size: Some(entry.size),
            digest: None,
        };
        PutSpec { dress: Dress { head: entry.head.clone(), stamp: Some(stamp) }, fence: None, md5: None }
    }

    /// The write in the trash, not yet kept, of which `found` is a copy: before it is destroyed it must be put aside.
    pub(crate) async fn not_yet_kept(
        &self,
        seat: &Seat,
        bucket: &BucketName,
        key: &Key,
        found: &Found,
    ) -> Result<Option<Trashed>, LedgerError> {
        let needed = self.shelves_needed(bucket);
        let is_it = |trashed: &Trashed| match &found.dress.stamp {
            Some(stamp) => stamp.write == trashed.entry.write,
            None => trashed.entry.holders.get(&seat.name).is_some_and(|pin| pin.etag == found.pin.etag),
        };
        let rows = self.ledger.trash_of(bucket, key).await?;
        let is_owed_room = |row: &Trashed| row.why != Displaced::Below && !row.is_over(self.now());
        Ok(rows.into_iter().find(|row| is_it(row) && !row.is_kept(needed) && is_owed_room(row)))
    }

    /// One more shelf for a write whose copy lies on `seat`: there, or, where nobody else can fill one, elsewhere. True: it is
    /// kept now, and the copy may go.
    pub(crate) async fn put_aside(
        self: &Arc<Self>,
        seat: &Arc<Seat>,
        mut trashed: Trashed,
        found: &Found,
    ) -> Result<Answer<bool>, LedgerError> {
        let needed = self.shelves_needed(&trashed.bucket);
        if !trashed.shelves.contains_key(&seat.name) {
            let pin = seat.pin(&trashed.bucket, found.pin.clone());
            let made = match self.native_shelf(&trashed.bucket, &seat.name, &pin) {
                Some(shelf) => Ok(shelf),
                None => match self.copy_aside(seat, &trashed, &found.pin).await {
                    Err(error) if error.fault == Fault::Unsupported => self.carry_aside(seat, &trashed).await,
                    made => made,
                },
            };
            match made {
                Ok(shelf) => {
                    self.ledger.commit(vec![shelve(&trashed, &seat.name, &shelf)]).await?;
                    trashed.shelves.insert(seat.name.clone(), shelf);
                }
                // A full store: others may still take it.
                Err(error) if error.fault == Fault::Full => tracing::info!("{error}: it is kept elsewhere"),
                Err(error) => return Ok(Err(error)),
            }
        }
        // Others may have filled theirs meanwhile.
        let rows = self.ledger.trash_of(&trashed.bucket, &trashed.key).await?;
        let Some(now) = rows.into_iter().find(|row| row.entry.write == trashed.entry.write) else {
            return Ok(Ok(true));
        };
        if now.is_kept(needed) {
            return Ok(Ok(true));
        }
        self.help_shelves(seat, now, needed).await
    }

    /// Holders put their own copy aside; where too few of them are well, another store of the placement gets one from here.
    async fn help_shelves(
        self: &Arc<Self>,
        seat: &Arc<Seat>,
        mut trashed: Trashed,
        needed: usize,
    ) -> Result<Answer<bool>, LedgerError> {
        let down = |seat: &Seat| {
            seat.standing(OpClass::Write) == Standing::Down || seat.standing(OpClass::Read) == Standing::Down
        };
        let empty: Vec<Arc<Seat>> = self
            .seats_taking(&trashed.bucket)
            .into_iter()
            .filter(|other| other.name != seat.name && !trashed.shelves.contains_key(&other.name) && !down(other))
            .collect();
        let state = self.ledger.key_state(&trashed.bucket, &trashed.key).await?;
        let owed: BTreeSet<&StoreName> = state.debts.iter().map(|debt| &debt.store).collect();
        let will = |other: &&Arc<Seat>| trashed.entry.holders.contains_key(&other.name) && owed.contains(&other.name);
        if trashed.shelves.len() + empty.iter().filter(will).count() >= needed {
            return Ok(Ok(false));
        }
        for other in empty {
            match self.carry_aside(&other, &trashed).await {
                Ok(shelf) => {
                    self.ledger.commit(vec![shelve(&trashed, &other.name, &shelf)]).await?;
                    trashed.shelves.insert(other.name.clone(), shelf);
                }
                Err(error) => tracing::info!("{error}: nothing is put aside there"),
            }
            if trashed.is_kept(needed) {
                return Ok(Ok(true));
            }
        }
        Ok(Ok(false))
    }

    /// What is over goes, shelf by shelf; the row last, so that nothing lies there unknown.
    pub(crate) async fn empty_trash(self: &Arc<Self>) -> Result<(), LedgerError> {
        loop {
            if self.is_frozen() || self.stopping.is_cancelled() {
                return Ok(());
            }
            let over = self.ledger.trash_over(self.now(), PAGE).await?;
            let last = over.len() < PAGE;
            for trashed in over {
                if self.is_frozen() {
                    return Ok(());
                }
                let (bucket, key, write) = (trashed.bucket.clone(), trashed.key.clone(), trashed.entry.write);
                let change = if self.empty_shelves(&trashed).await? {
                    count(&self.counters.trash_emptied);
                    Change::DropTrash { bucket, key, write }
                } else {
                    Change::ReleaseTrash { bucket, key, write, until: self.now().plus_ms(AGAIN_MS) }
                };
                self.ledger.commit(vec![change]).await?;
            }
            if last {
                return Ok(());
            }
        }
    }

    /// What displaced it must itself be safe: until then the old bytes are the better half of what there is.
    pub(crate) fn is_entry_safe(&self, bucket: &BucketName, state: &KeyState) -> bool {
        let Some(entry) = state.object() else { return true };
        let safe = entry.holders.iter().filter(|(store, pin)| {
            self.seat(store).is_some_and(|seat| {
                let powers = seat.powers(bucket, Operation::Put);
                is_safe(powers, entry.write, Leaves::Etag(&pin.etag), state.marks_on(store)) && seat.is_fit(bucket)
            })
        });
        safe.filter(|(store, _)| !self.is_leaving(store)).count() >= self.shelves_needed(bucket)
    }

    /// False: something of it must stay for now, or could not be removed.
    async fn empty_shelves(self: &Arc<Self>, trashed: &Trashed) -> Result<bool, LedgerError> {
        let (bucket, key, write) = (&trashed.bucket, &trashed.key, trashed.entry.write);
        let _lane = self.lanes.lock(bucket, key).await;
        let state = self.ledger.key_state(bucket, key).await?;
        let undecided = state.intents.iter().any(|one| one.entry.write == trashed.by || one.entry.write == write);
        let displaced = state.entry.iter().any(|entry| entry.predecessors.iter().any(|one| one.write == write));
        let own = broken(Mutant::OwnVersionDestroyed);
        if !own && (undecided || displaced || !self.is_entry_safe(bucket, &state)) {
            return Ok(false);
        }
        // The write that displaced it was rolled back: the version under the key is the entry's own.
        let is_entry = state.entry.as_ref().is_some_and(|entry| entry.write == write);
        let mut all = true;
        for (store, shelf) in &trashed.shelves {
            let Some(seat) = self.seat(store) else { continue };
            // Until the store has been seen without the key, the version may be the current one: below it lies an older one.
            if shelf.native && !own && (is_entry || state.debts.iter().any(|debt| &debt.store == store)) {
                all &= is_entry;
                continue;
            }
            let at = if shelf.native { seat.at(bucket, key) } else { self.shelf_at(seat, trashed) };
            let call = seat.store.delete(&at, shelf.pin.version.as_deref(), None);
            match seat.watched(OpClass::Delete, call).await {
                Ok(()) => {}
                Err(error) if matches!(error.fault, Fault::NoKey | Fault::NoBucket) => {}
                Err(error) => {
                    tracing::info!("{error}: the trash is emptied there later");
                    all = false;
                }
            }
        }
        Ok(all)
    }
}

fn shelve(trashed: &Trashed, store: &StoreName, shelf: &Shelf) -> Change {
    Change::Shelve {
        bucket: trashed.bucket.clone(),
        key: trashed.key.clone(),
        write: trashed.entry.write,
        store: store.clone(),
        shelf: shelf.clone(),
    }
}
