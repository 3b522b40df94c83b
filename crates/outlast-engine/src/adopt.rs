//! Buckets that were there before us: the listings of the stores that hold them become entries, the others are owed copies, and
//! what lies there is not touched.

use crate::adopt_report::{AdoptError, AdoptReport};
use crate::engine::Engine;
use crate::native_bucket::Gate;
use crate::seats::Seat;
use crate::side_by_side::{Beside, CompareError, SideBySide};
use crate::verify::Progress;
use futures_util::stream::StreamExt;
use outlast_ledger::{Bucket, BucketState, Change, LedgerError};
use outlast_rules::{
    Adopted, Again, BucketName, Candidate, Chosen, Debt, DebtKind, Entry, EntryKind, Key, Layout, Likeness, Moment,
    OpClass, Pin, SourceCopy, StoreName, WriteId, adopt_again, choose_copy, lacks_header, name_hash,
};
use outlast_store::{Fault, Found};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use tokio::sync::mpsc;

/// Keys asked for at a time: each copy's headers come with a HEAD.
const ASKS_AT_ONCE: usize = 16;
/// Entries written down together: a page of a listing, and about a megabyte.
const ASKS_TOGETHER: usize = 1_000;

/// One key that the sources are asked for.
struct Ask {
    key: Key,
    known: Option<Entry>,
    /// Which sources list it.
    on: Vec<bool>,
}

/// A copy as a HEAD showed it.
struct There {
    seat: Arc<Seat>,
    found: Found,
}

/// What became of one key.
enum Taken {
    /// Several copies, which is the truth, and what is to be written down.
    New(Box<Truth>),
    /// Known, and taken as it is now; written down already.
    Anew(Box<Truth>),
    Known,
    Skipped,
}

struct Truth {
    size: u64,
    holders: Vec<StoreName>,
    /// Stores whose own copy is another.
    differing: Vec<StoreName>,
    /// Stores whose copy is as large, and was not read to see more (a plan reads nothing).
    unsure: Vec<StoreName>,
    /// Equal copies that lack headers of it.
    undressed: u64,
    changes: Vec<Change>,
}

impl Engine {
    /// `from`: stores, with commas between them; the first is the truth where they differ. Idempotent, and goes on where an
    /// interrupted one stopped: what the bucket's owner changed on a source since is taken as it is now. Never deletes or
    /// overwrites. The lane of buckets is held only to begin and to end: a bucket that was found is nobody else's meanwhile.
    ///
    /// # Errors
    /// A source that does not answer to its end, or that is no place of this bucket's. What was written down until then stays.
    pub async fn adopt(
        self: &Arc<Self>,
        bucket: &BucketName,
        from: &str,
        dry_run: bool,
        progress: mpsc::Sender<Progress>,
    ) -> Result<AdoptReport, AdoptError> {
        if let Some(why) = self.claimed_by_another(bucket) {
            return Err(AdoptError::Claimed(bucket.clone(), why));
        }
        let sources = self.sources(bucket, from)?;
        let _alone = self.adopting.begin(bucket).ok_or_else(|| AdoptError::Running(bucket.clone()))?;
        let on = sources.iter().map(|seat| seat.name.clone()).collect();
        self.set_unserved(bucket, if dry_run { None } else { Some(BucketState::Found { on }) }).await?;
        if !dry_run {
            self.make_room(&sources, bucket).await?;
        }
        let names = sources.iter().map(|seat| seat.name.to_string()).collect::<Vec<_>>().join(",");
        let mut report = AdoptReport { bucket: bucket.to_string(), from: names, dry_run, ..AdoptReport::default() };
        self.take_over(&sources, bucket, &mut report, &progress).await?;
        if !dry_run {
            self.set_unserved(bucket, Some(BucketState::Serving)).await?;
            self.ring(bucket);
        }
        Ok(report)
    }

    fn sources(&self, bucket: &BucketName, from: &str) -> Result<Vec<Arc<Seat>>, AdoptError> {
        let mut sources: Vec<Arc<Seat>> = Vec::new();
        for text in from.split(',').map(str::trim).filter(|text| !text.is_empty()) {
            let name = StoreName::parse(text).map_err(|_| AdoptError::NoStore(text.to_owned()))?;
            let seat = self.seat(&name).cloned().ok_or_else(|| AdoptError::NoStore(text.to_owned()))?;
            if !self.placement(bucket).stores.contains(&name) {
                return Err(AdoptError::NotPlaced { store: name, bucket: bucket.clone() });
            }
            if !sources.iter().any(|other| other.name == name) {
                sources.push(seat);
            }
        }
        if sources.is_empty() { Err(AdoptError::NoStore(from.to_owned())) } else { Ok(sources) }
    }

    /// The next state of a bucket that is not served yet; refused where it is, or is on its way out.
    async fn set_unserved(&self, bucket: &BucketName, next: Option<BucketState>) -> Result<(), AdoptError> {
        let _lane = self.bucket_lane.lock().await;
        match self.cached_bucket(bucket).map(|bucket| bucket.state) {
            Some(BucketState::Serving) => return Err(AdoptError::Serving(bucket.clone())),
            Some(BucketState::Leaving | BucketState::Gone { .. }) => return Err(AdoptError::Leaving(bucket.clone())),
            Some(BucketState::Found { .. }) | None => {}
        }
        if let Some(state) = next {
            let (created, incarnation) = (self.now(), self.new_life().await?);
            let next = Bucket { name: bucket.clone(), created, incarnation, state };
            self.ledger.commit(vec![Change::PutBucket(next.clone())]).await?;
            self.cache_bucket(bucket, Some(next));
        }
        Ok(())
    }

    /// Native buckets on the other stores. One that cannot be made now is made by nobody else, so it is an error. The sources are
    /// not probed: nothing is written there, and what their ETags tell is what their kind promises.
    async fn make_room(self: &Arc<Self>, sources: &[Arc<Seat>], bucket: &BucketName) -> Result<(), AdoptError> {
        for seat in self.seats_taking(bucket) {
            let native = seat.names.native(bucket);
            let is_source = sources.iter().any(|source| source.name == seat.name);
            if !is_source && !seat.names.is_configured(bucket) {
                self.make_native(&seat, bucket, None, Gate::Health).await?;
            }
            if !is_source {
                self.ensure_probed(&seat, &native).await?;
            }
        }
        Ok(())
    }

    /// The sources' listings beside what the ledger knows already, in one pass: memory is a page of each.
    async fn take_over(
        self: &Arc<Self>,
        sources: &[Arc<Seat>],
        bucket: &BucketName,
        report: &mut AdoptReport,
        progress: &mpsc::Sender<Progress>,
    ) -> Result<(), AdoptError> {
        for seat in sources {
            let native = seat.names.native(bucket);
            match seat.watched(OpClass::List, seat.store.head_bucket(&native)).await {
                Err(error) if error.fault == Fault::NoBucket => {
                    return Err(AdoptError::NoNativeBucket(seat.name.clone(), native));
                }
                other => other?,
            }
        }
        let mut side_by_side = SideBySide::new(self, sources, bucket);
        let mut asks = Vec::new();
        loop {
            let beside = side_by_side.next().await.map_err(|error| match error {
                CompareError::Store(error) => AdoptError::Store(error),
                CompareError::Ledger(error) => AdoptError::Ledger(error),
            })?;
            let is_last = beside.is_none();
            if let Some(beside) = beside {
                asks.extend(self.sort(sources, bucket, beside, report).await?);
            }
            if asks.len() >= ASKS_TOGETHER || is_last {
                self.take(sources, bucket, std::mem::take(&mut asks), report).await?;
                let told = Progress {
                    store: report.from.clone(),
                    objects: report.adopted + report.changed + report.known,
                    bytes: report.bytes,
                    of_objects: 0,
                    of_bytes: 0,
                };
                // Nobody listening is no reason to stop.
                progress.try_send(told).ok();
            }
            if is_last {
                return Ok(());
            }
        }
    }

    /// Counts what the listings alone decide; the rest is asked for.
    async fn sort(
        self: &Arc<Self>,
        sources: &[Arc<Seat>],
        bucket: &BucketName,
        beside: Beside,
        report: &mut AdoptReport,
    ) -> Result<Option<Ask>, AdoptError> {
        let Beside { key, copies, entry } = beside;
        let Ok(key) = Key::admit(&key) else {
            report.unreadable(key);
            return Ok(None);
        };
        let entry = match entry.map(|(_, entry)| entry) {
            None => {
                report.listed(sources, &copies);
                return Ok(Some(Ask { key, known: None, on: copies.iter().map(Option::is_some).collect() }));
            }
            // What was deleted through us is not adopted from what is left of it.
            Some(tombstone) if !tombstone.is_object() => {
                report.known += u64::from(copies.iter().any(Option::is_some));
                return Ok(None);
            }
            Some(entry) => entry,
        };
        let mut on = vec![false; copies.len()];
        let (mut any, mut vanished) = (false, false);
        for (at, (seat, copy)) in sources.iter().zip(&copies).enumerate() {
            let holder = entry.holders.get(&seat.name);
            any |= copy.is_some();
            match (holder, copy) {
                (Some(pin), Some(copy)) => {
                    // Other headers under the same bytes leave the ETag as it is on many stores: the time tells.
                    let alike = copy.size == entry.size && copy.etag == pin.etag;
                    on[at] = !alike || is_other_second(copy.modified, entry.modified);
                }
                // Nothing is destroyed on the word of one store: where others have it, it comes back here.
                (Some(_), None) => {
                    vanished = true;
                    if !report.dry_run {
                        self.ledger.commit(vec![self.look_at(seat, bucket, &key, &entry)]).await?;
                    }
                }
                // Of another source: the copy that is owed here is a debt already.
                (None, _) => {}
            }
        }
        if on.contains(&true) {
            return Ok(Some(Ask { key, known: Some(entry), on }));
        }
        report.vanished += u64::from(vanished);
        report.known += u64::from(!vanished && (any || !entry.holders.is_empty()));
        Ok(None)
    }

    fn look_at(&self, seat: &Seat, bucket: &BucketName, key: &Key, entry: &Entry) -> Change {
        Change::Owe(Debt::begin(&seat.name, bucket, key, DebtKind::Look, Some(entry), self.now()))
    }

    /// Asks the sources for each, and writes down what is new together.
    async fn take(
        self: &Arc<Self>,
        sources: &[Arc<Seat>],
        bucket: &BucketName,
        asks: Vec<Ask>,
        report: &mut AdoptReport,
    ) -> Result<(), AdoptError> {
        let dry_run = report.dry_run;
        let taken = futures_util::stream::iter(asks).map(|ask| async move {
            let mut there = Vec::new();
            for (seat, _) in sources.iter().zip(&ask.on).filter(|(_, on)| **on) {
                let at = seat.at(bucket, &ask.key);
                match seat.watched(OpClass::Read, seat.store.head(&at, None)).await {
                    Ok(found) => there.push(There { seat: seat.clone(), found }),
                    Err(error) if error.fault == Fault::NoKey => {}
                    Err(error) => return Err(AdoptError::from(error)),
                }
            }
            let taken = match ask.known {
                _ if there.is_empty() => Taken::Skipped,
                None => Taken::New(Box::new(self.truth(bucket, &ask.key, there, dry_run).await?)),
                Some(entry) => self.take_again(sources, bucket, &ask.key, &entry, there, dry_run).await?,
            };
            Ok((ask.key, taken))
        });
        let mut taken = taken.buffered(ASKS_AT_ONCE);
        let mut batch = Vec::new();
        let stores = self.placement(bucket).stores;
        while let Some(one) = taken.next().await {
            let (key, truth) = match one? {
                (key, Taken::New(truth)) => {
                    report.adopted += 1;
                    (key, truth)
                }
                (key, Taken::Anew(truth)) => {
                    report.changed += 1;
                    (key, truth)
                }
                (_, Taken::Known) => {
                    report.known += 1;
                    continue;
                }
                (key, Taken::Skipped) => {
                    report.skipped(&key);
                    continue;
                }
            };
            let Truth { size, holders, differing, unsure, undressed, changes } = *truth;
            report.undressed += undressed;
            report.taken(&key, size, &holders, &differing, &unsure, &stores, |store| self.read_cost(store));
            batch.extend(changes);
        }
        if !batch.is_empty() {
            self.ledger.commit(batch).await?;
        }
        Ok(())
    }

    fn read_cost(&self, store: &StoreName) -> f64 {
        self.seat(store).map_or(0.0, |seat| seat.read_cost)
    }

    /// A key that an earlier try has taken over. Catch-up may be at it: its entry changes in its lane only.
    async fn take_again(
        self: &Arc<Self>,
        sources: &[Arc<Seat>],
        bucket: &BucketName,
        key: &Key,
        entry: &Entry,
        there: Vec<There>,
        dry_run: bool,
    ) -> Result<Taken, AdoptError> {
        let (mut anew, mut looks) = (Vec::new(), Vec::new());
        // The headers are the first source's; equal bytes elsewhere may have had others from the beginning.
        let first = sources.iter().find(|seat| entry.is_adopted_on(&seat.name)).map(|seat| seat.name.clone());
        for There { seat, found } in there {
            let pin = seat.pin(bucket, found.pin.clone());
            let stamped = stamped(bucket, key, &found).map(|(_, _, write)| write);
            let head =
                if first.as_ref().is_none_or(|first| *first == seat.name) { &found.dress.head } else { &entry.head };
            let copy = SourceCopy { size: found.size, pin: &pin, head, stamped };
            match adopt_again(entry, &seat.name, copy) {
                Again::Known => {}
                Again::Look => looks.push(self.look_at(&seat, bucket, key, entry)),
                Again::Anew => anew.push(There { seat, found }),
            }
        }
        if anew.is_empty() {
            if !dry_run && !looks.is_empty() {
                self.ledger.commit(looks).await?;
            }
            return Ok(Taken::Known);
        }
        let truth = self.truth(bucket, key, anew, dry_run).await?;
        if dry_run {
            return Ok(Taken::Anew(Box::new(truth)));
        }
        let _lane = self.lanes.lock(bucket, key).await;
        let now = self.ledger.key_state(bucket, key).await?;
        if !now.intents.is_empty() || now.entry.is_none_or(|now| now.write != entry.write) {
            return Ok(Taken::Skipped);
        }
        self.ledger.commit(truth.changes.clone()).await?;
        Ok(Taken::Anew(Box::new(Truth { changes: vec![], ..truth })))
    }

    /// Which of these copies is the truth, and where it lies already.
    async fn truth(
        self: &Arc<Self>,
        bucket: &BucketName,
        key: &Key,
        there: Vec<There>,
        dry_run: bool,
    ) -> Result<Truth, AdoptError> {
        let mut candidates: Vec<Candidate> = there.iter().map(|one| candidate(bucket, key, one)).collect();
        let chosen = self.certain(bucket, key, &there, &mut candidates, dry_run).await?;
        let Chosen { winner, likeness } = chosen;
        let names = |like: Likeness| {
            let alike = there.iter().zip(&likeness).filter(move |(_, one)| **one == like);
            alike.map(|(one, _)| one.seat.name.clone()).collect::<Vec<_>>()
        };
        let holders: Vec<&There> =
            there.iter().zip(&likeness).filter(|(_, one)| **one == Likeness::Equal).map(|(one, _)| one).collect();
        let size = there[winner].found.size;
        let changes =
            if dry_run { vec![] } else { self.adopted(bucket, key.clone(), &there[winner], &holders).await? };
        let (differing, unsure) = (names(Likeness::Unlike), names(Likeness::Unsure));
        let head = &there[winner].found.dress.head;
        let undressed = holders.iter().filter(|one| lacks_header(head, &one.found.dress.head).is_some()).count() as u64;
        Ok(Truth { size, holders: names(Likeness::Equal), differing, unsure, undressed, changes })
    }

    /// What their ETags leave open is read: first copies whose ETag says nothing of the bytes, on disks as a rule, then the others.
    async fn certain(
        self: &Arc<Self>,
        bucket: &BucketName,
        key: &Key,
        there: &[There],
        candidates: &mut [Candidate],
        dry_run: bool,
    ) -> Result<Chosen, AdoptError> {
        let mut read: BTreeSet<usize> = BTreeSet::new();
        loop {
            let chosen = choose_copy(candidates).expect("a key is asked for where it lies");
            let unsure = |at: &usize| chosen.likeness[*at] == Likeness::Unsure;
            let open: Vec<usize> = (0..candidates.len()).filter(unsure).collect();
            let next = open.iter().copied().chain([chosen.winner]).filter(|at| !read.contains(at));
            let next = next.min_by_key(|at| candidates[*at].md5.is_some());
            let Some(next) = next.filter(|_| !open.is_empty() && !dry_run) else { return Ok(chosen) };
            read.insert(next);
            let There { seat, found } = &there[next];
            let digests = seat.digests_of(&seat.at(bucket, key), found).await?;
            candidates[next].md5 = Some(digests.md5);
            candidates[next].digest = Some(digests.blake3);
        }
    }

    /// A copy with our stamp keeps its write; one without is named by its pin (protocol.md 1, "right").
    async fn adopted(
        &self,
        bucket: &BucketName,
        key: Key,
        winner: &There,
        holders: &[&There],
    ) -> Result<Vec<Change>, LedgerError> {
        let now = self.now();
        let write = stamped(bucket, &key, &winner.found).map(|(_, _, write)| write);
        // A copy under another write's stamp would be no right one: it is owed this write's, and is a source meanwhile.
        let right = |one: &&&There| {
            let own = stamped(bucket, &key, &one.found).map(|(_, _, write)| write);
            own.is_none() || own == write
        };
        let right: Vec<&&There> = holders.iter().filter(right).collect();
        let pins: BTreeMap<StoreName, Pin> =
            right.iter().map(|one| (one.seat.name.clone(), one.seat.pin(bucket, one.found.pin.clone()))).collect();
        let bare = right.iter().filter(|one| stamped(bucket, &key, &one.found).is_none());
        let adopted_from = Adopted::of(bare.map(|one| one.seat.name.clone()));
        let Found { size, pin, dress, modified, .. } = winner.found.clone();
        let entry = Entry {
            write: write.unwrap_or_else(|| self.new_write()),
            seq: self.ledger.take_seq().await?,
            kind: EntryKind::Object,
            size,
            etag: pin.etag,
            modified: modified.unwrap_or(now),
            head: dress.head,
            layout: Layout::Whole,
            checksums: vec![],
            holders: pins,
            adopted_from,
            predecessors: vec![],
            record: None,
        };
        let placement = self.placement(bucket);
        let lacking = placement.stores.iter().filter(|store| !entry.holders.contains_key(*store));
        let debts =
            lacking.map(|store| Change::Owe(Debt::begin(store, bucket, &key, DebtKind::Copy, Some(&entry), now)));
        let debts: Vec<Change> = debts.collect();
        let set = Change::SetEntry { bucket: bucket.clone(), key, entry: Box::new(entry), digests: None };
        Ok([set].into_iter().chain(debts).collect())
    }
}

type Stamped = (outlast_rules::Epoch, Option<outlast_rules::Seq>, WriteId);

/// What the copy's stamp says, where it is bound to this key.
fn stamped(bucket: &BucketName, key: &Key, found: &Found) -> Option<Stamped> {
    let name = name_hash(bucket, key);
    let stamp = found.dress.stamp.as_ref().filter(|stamp| stamp.name == name)?;
    Some((stamp.epoch, stamp.seq, stamp.write))
}

fn candidate(bucket: &BucketName, key: &Key, there: &There) -> Candidate {
    let There { seat, found } = there;
    let probed = seat.probe_of(&seat.names.native(bucket)).map(|probe| probe.etag_is_md5);
    let etag = probed.unwrap_or(seat.limits().etag_is_md5).then(|| found.pin.etag.clone());
    let is_md5 = |etag: &String| etag.len() == 32 && etag.bytes().all(|byte| byte.is_ascii_hexdigit());
    let md5 = etag.clone().filter(is_md5);
    Candidate { size: found.size, etag, md5, digest: None, stamped: stamped(bucket, key, found) }
}

/// A HEAD tells whole seconds where a LIST tells more.
fn is_other_second(listed: Option<Moment>, known: Moment) -> bool {
    listed.is_some_and(|listed| listed.0 / 1000 != known.0 / 1000)
}
