//! One key: which copies have to be asked for, which write is its truth, who holds it, and what stores are owed (protocol.md 7).

use super::listing::Shown;
use super::notes::{Tomb, order_of};
use super::reach::RebuildError;
use super::report::RebuildReport;
use super::walk::Group;
use crate::seats::Seat;
use futures_util::future::join_all;
use outlast_ledger::{Change, Ledger, Row};
use outlast_rules::{
    BucketName, Choice, Debt, DebtKind, Displaced, Entry, EntryKind, Epoch, Head, Key, Layout, ListedAs, Moment, Pin,
    Placement, Predecessor, Seq, Shelf, Stamp, StoreName, Trace, Trashed, Turn, Unchanged, WriteId, choose,
    is_unchanged, name_hash,
};
use outlast_store::{Fault, Found};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// What is the same for every key of a bucket.
pub(super) struct Scale {
    pub ledger: Arc<dyn Ledger>,
    pub bucket: BucketName,
    pub placement: Placement,
    pub undelete_ms: u64,
    /// Stores that keep native versions of this bucket: there a version id names a copy.
    pub versioned: BTreeSet<StoreName>,
    /// Stores that give no ETag twice.
    pub unique: BTreeSet<StoreName>,
    /// Everything that was recalled was told at this moment or later; None: nobody knows when.
    pub told: Option<Moment>,
    /// The life that told what was recalled.
    pub recalled: Epoch,
    /// The bucket's deletion was acknowledged at this turn: what is older was in its former life.
    pub ended: Option<Turn>,
    pub now: Moment,
}

/// What came of one key.
#[derive(Default)]
pub(super) struct Weighed {
    pub key: String,
    pub changes: Vec<Change>,
    pub report: RebuildReport,
    /// The newest write that left a trace; the highest seq of all.
    pub newest: Option<Turn>,
    pub seq: u64,
    pub ours: bool,
    pub foreign: bool,
}

/// One copy, as far as it is known.
struct Sight<'a> {
    seat: &'a Arc<Seat>,
    is_current: bool,
    known: Known,
}

enum Known {
    /// The copy that the lost ledger knew there.
    AsRecalled(Pin),
    /// A native version of which it knew that something newer had displaced it.
    Displaced,
    Asked(Box<Found>),
}

impl Scale {
    pub async fn weigh(&self, group: Group) -> Result<Weighed, RebuildError> {
        let mut weighed = Weighed { key: group.key.clone(), ..Weighed::default() };
        weighed.report.keys = 1;
        let Ok(key) = Key::parse(&group.key) else {
            weighed.report.unreadable.add(|| format!("{}/{:?}", self.bucket, group.key));
            return Ok(weighed);
        };
        let sights = self.look(&key, &group, &mut weighed).await?;
        let traces = self.traces(&key, &group, &sights, &mut weighed).await?;
        let asked = weighed.report.heads > 0;
        let rolled_back = if asked { self.rolled_back(&key).await? } else { vec![] };
        let choice = choose(&traces, &rolled_back);
        weighed.newest = traces.iter().filter_map(|trace| trace.turn).max();
        weighed.ours = !traces.is_empty();
        weighed.report.rolled_back =
            sights.iter().filter(|sight| self.is_of_any(&key, sight, &rolled_back)).count() as u64;
        self.tell_foreign(&key, &group, &sights, choice, &mut weighed);
        if let Some(choice) = choice.filter(|choice| choice.by_clock) {
            let words = || format!("{}/{key}: write {} of several that nobody was told of", self.bucket, choice.write);
            weighed.report.by_clocks.newest.add(words);
        }
        match choice {
            None => self.nothing(&key, &group, &mut weighed),
            Some(choice) if is_delete(&group, choice.write) => {
                self.tombstone(&key, &group, &sights, choice, &mut weighed).await?;
            }
            Some(choice) => self.object(&key, &group, &sights, choice, &mut weighed),
        }
        if asked {
            weighed.report.asked = 1;
        } else {
            weighed.report.from_listings = 1;
        }
        Ok(weighed)
    }

    async fn rolled_back(&self, key: &Key) -> Result<Vec<WriteId>, RebuildError> {
        let found = self.ledger.rolled_back(&self.bucket, key).await?;
        Ok(found.into_iter().map(|(write, _)| write).collect())
    }

    /// Every copy that a listing showed: known from what was recalled, or asked for.
    async fn look<'a>(
        &self,
        key: &Key,
        group: &'a Group,
        weighed: &mut Weighed,
    ) -> Result<Vec<Sight<'a>>, RebuildError> {
        let (mut sights, mut asks) = (Vec::new(), Vec::new());
        let has_old = group.listed.iter().any(|(_, copies)| copies.iter().any(|copy| !copy.is_current));
        let trash = if has_old { self.ledger.trash_of(&self.bucket, key).await? } else { vec![] };
        for (seat, copies) in &group.listed {
            for copy in copies {
                if !copy.is_current && is_displaced(&trash, &seat.name, copy) {
                    sights.push(Sight { seat, is_current: false, known: Known::Displaced });
                    continue;
                }
                match self.as_recalled(seat, group.row.as_ref(), copy) {
                    (Unchanged::No, _) => asks.push((seat, copy)),
                    (sure, pin) => {
                        weighed.report.by_clocks.unchanged += u64::from(sure == Unchanged::ByClock);
                        let known = Known::AsRecalled(pin);
                        sights.push(Sight { seat, is_current: copy.is_current, known });
                    }
                }
            }
        }
        weighed.report.heads = asks.len() as u64;
        let heads = asks.into_iter().map(|(seat, copy)| async move {
            let (at, version) = (seat.at(&self.bucket, key), copy.version.as_deref());
            let what = format!("head {}/{key}", self.bucket);
            (seat, copy, seat.ask(&what, || seat.store.head(&at, version)).await)
        });
        for (seat, copy, head) in join_all(heads).await {
            match head {
                Ok(found) => {
                    sights.push(Sight { seat, is_current: copy.is_current, known: Known::Asked(Box::new(found)) })
                }
                // Gone since it was listed: somebody else's hand.
                Err(error) if error.fault == Fault::NoKey => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(sights)
    }

    fn as_recalled(&self, seat: &Seat, row: Option<&Entry>, copy: &Shown) -> (Unchanged, Pin) {
        let none = || (Unchanged::No, Pin { etag: copy.etag.clone(), version: None });
        let Some(row) = row.filter(|row| row.is_object()) else { return none() };
        let Some(pin) = row.holders.get(&seat.name) else { return none() };
        let listed =
            ListedAs { size: copy.size, etag: &copy.etag, version: copy.version.as_deref(), modified: copy.modified };
        let unique = self.unique.contains(&seat.name);
        (is_unchanged(listed, pin, row.size, unique, self.told), pin.clone())
    }

    async fn traces(
        &self,
        key: &Key,
        group: &Group,
        sights: &[Sight<'_>],
        weighed: &mut Weighed,
    ) -> Result<Vec<Trace>, RebuildError> {
        let mut traces = Vec::new();
        let recalled = |row: &Entry| Some(Turn { epoch: self.recalled, seq: row.seq });
        if let Some(row) = &group.row {
            traces.push(Trace { write: row.write, turn: recalled(row), modified: row.modified });
        }
        if let Some(tomb) = &group.tomb {
            traces.push(Trace { write: tomb.write, turn: Some(tomb.turn), modified: Moment(0) });
        }
        for sight in sights {
            let Known::Asked(found) = &sight.known else { continue };
            let Some(stamp) = self.stamp(key, found) else {
                weighed.foreign = true;
                continue;
            };
            let turn = match (&group.row, stamp.seq) {
                (Some(row), _) if row.write == stamp.write => recalled(row),
                (_, Some(seq)) => Some(Turn { epoch: stamp.epoch, seq }),
                (_, None) => order_of(&*self.ledger, stamp.write).await?,
            };
            traces.push(Trace { write: stamp.write, turn, modified: found.modified.unwrap_or(Moment(0)) });
        }
        weighed.seq = traces.iter().filter_map(|trace| Some(trace.turn?.seq.0)).max().unwrap_or(0);
        if let Some(ended) = self.ended {
            traces.retain(|trace| trace.turn.is_some_and(|turn| turn > ended));
        }
        Ok(traces)
    }

    fn stamp<'f>(&self, key: &Key, found: &'f Found) -> Option<&'f Stamp> {
        found.dress.stamp.as_ref().filter(|stamp| stamp.name == name_hash(&self.bucket, key))
    }

    fn is_of_any(&self, key: &Key, sight: &Sight<'_>, writes: &[WriteId]) -> bool {
        matches!(&sight.known, Known::Asked(found) if self.stamp(key, found).is_some_and(|stamp| writes.contains(&stamp.write)))
    }

    fn tell_foreign(
        &self,
        key: &Key,
        group: &Group,
        sights: &[Sight<'_>],
        choice: Option<Choice>,
        weighed: &mut Weighed,
    ) {
        for sight in sights.iter().filter(|sight| sight.is_current) {
            let Known::Asked(found) = &sight.known else { continue };
            let row = group.row.as_ref().filter(|row| choice.is_some_and(|choice| choice.write == row.write));
            if self.stamp(key, found).is_none() && !row.is_some_and(|row| is_stripped(row, sight.seat, found)) {
                weighed.report.foreign.add(|| format!("{}: {}/{key}", sight.seat.name, self.bucket));
            }
        }
    }

    /// Nothing of ours is known of it: no entry. What was recalled of it, if anything, was of the bucket's former life.
    fn nothing(&self, key: &Key, group: &Group, weighed: &mut Weighed) {
        if group.row.is_some() {
            weighed.changes.push(self.set(key, None));
        }
    }

    fn set(&self, key: &Key, is: Option<Entry>) -> Change {
        let (bucket, key) = (self.bucket.clone(), key.clone());
        Change::Restore(Box::new(Row::Entry { bucket, key, is: is.map(Box::new), digests: None }))
    }

    fn owe(&self, store: &StoreName, key: &Key, kind: DebtKind, of: &Entry, weighed: &mut Weighed) {
        weighed.report.owed += 1;
        weighed.changes.push(Change::Owe(Debt::begin(store, &self.bucket, key, kind, Some(of), self.now)));
    }

    async fn tombstone(
        &self,
        key: &Key,
        group: &Group,
        sights: &[Sight<'_>],
        choice: Choice,
        weighed: &mut Weighed,
    ) -> Result<(), RebuildError> {
        weighed.report.tombstones = 1;
        let mut entry = match (&group.row, &group.tomb) {
            (Some(row), _) if row.write == choice.write => row.clone(),
            (_, Some(tomb)) => buried(tomb, self.now),
            _ => return Ok(()),
        };
        stand_above(&mut entry, weighed.seq);
        if group.row.as_ref() != Some(&entry) {
            weighed.report.entries_from_stores = 1;
            weighed.changes.push(self.set(key, Some(entry.clone())));
        }
        // What it removed can be brought back for its time, also where nobody had told of it yet.
        if self.undelete_ms > 0 && sights.iter().any(|sight| sight.is_current) {
            let kept = self.ledger.trash_of(&self.bucket, key).await?;
            for displaced in self.displaced(key, &entry, sights) {
                if kept.iter().all(|row| row.entry.write != displaced.entry.write) {
                    weighed.changes.push(Change::PutTrash(Box::new(displaced)));
                }
            }
        }
        let shows = sights.iter().filter(|sight| sight.is_current);
        let stores: BTreeSet<&StoreName> = shows.map(|sight| &sight.seat.name).collect();
        for store in stores {
            self.owe(store, key, DebtKind::Remove, &entry, weighed);
        }
        Ok(())
    }

    /// The writes that lie where a tombstone says that nothing should.
    fn displaced(&self, key: &Key, by: &Entry, sights: &[Sight<'_>]) -> Vec<Trashed> {
        let mut rows: BTreeMap<WriteId, Trashed> = BTreeMap::new();
        for sight in sights.iter().filter(|sight| sight.is_current) {
            let Known::Asked(found) = &sight.known else { continue };
            let Some(stamp) = self.stamp(key, found) else { continue };
            let row = rows.entry(stamp.write).or_insert_with(|| Trashed {
                bucket: self.bucket.clone(),
                key: key.clone(),
                entry: self.made(stamp.write, stamp.seq.unwrap_or(Seq(0)), &[(sight.seat, &**found)]),
                by: by.write,
                why: Displaced::Deleted,
                at: self.now,
                until: Some(self.now.plus_ms(self.undelete_ms)),
                user: None,
                returned: None,
                shelves: BTreeMap::new(),
            });
            let pin = self.pin(sight.seat, found);
            if pin.version.is_some() {
                row.shelves.insert(sight.seat.name.clone(), Shelf { pin: pin.clone(), native: true });
            }
            row.entry.holders.insert(sight.seat.name.clone(), pin);
        }
        rows.into_values().collect()
    }

    fn object(&self, key: &Key, group: &Group, sights: &[Sight<'_>], choice: Choice, weighed: &mut Weighed) {
        let row = group.row.as_ref().filter(|row| row.write == choice.write);
        let copies = self.copies(key, row, sights, choice.write);
        let asked: Vec<(&Arc<Seat>, &Found)> = copies
            .values()
            .filter_map(|sight| match &sight.known {
                Known::Asked(found) => Some((sight.seat, &**found)),
                Known::AsRecalled(_) | Known::Displaced => None,
            })
            .collect();
        let mut entry = match row {
            Some(row) => row.clone(),
            None => {
                let made = self.made(choice.write, weighed_seq(choice.write, key, self, sights, weighed), &asked);
                weighed.report.by_clocks.modified = 1;
                weighed.report.etags_made = u64::from(made.etag == made_etag(choice.write));
                made
            }
        };
        stand_above(&mut entry, weighed.seq);
        let pinned = copies.iter().filter_map(|(store, sight)| Some(((*store).clone(), self.pin_of(sight)?)));
        entry.holders = pinned.collect();
        entry.adopted_from =
            entry.adopted_from.and_then(|adopted| adopted.among(|from| entry.holders.contains_key(from)));
        // Stripped copies are sources that a look restamps: they stay named as they were known.
        for (store, pin) in self.stripped(key, row, sights) {
            entry.holders.entry(store).or_insert(pin);
        }
        let enough = self.placement.min_copies.min(self.placement.stores.len());
        entry.predecessors =
            if copies.len() < enough { self.predecessors(key, row, sights, choice.write) } else { vec![] };
        self.count_object(key, &entry, copies.len(), enough, weighed);
        if group.row.as_ref() != Some(&entry) {
            weighed.report.entries_from_stores = u64::from(row.is_none());
            weighed.changes.push(self.set(key, Some(entry.clone())));
        }
        for store in &self.placement.stores {
            let stands = copies.get(store).is_some_and(|sight| sight.is_current);
            if !stands {
                self.owe(store, key, DebtKind::Look, &entry, weighed);
            }
        }
    }

    fn count_object(&self, key: &Key, entry: &Entry, copies: usize, enough: usize, weighed: &mut Weighed) {
        weighed.report.objects = 1;
        weighed.report.bytes = entry.size;
        if entry.holders.is_empty() {
            weighed.report.without_copy.add(|| format!("{}/{key} ({} bytes)", self.bucket, entry.size));
        } else if copies < enough {
            weighed.report.below_min.add(|| format!("{}/{key}: {copies} of {enough}", self.bucket));
        }
    }

    /// By store, its copy of the write: the current one before noncurrent versions of the same.
    fn copies<'s, 'a>(
        &self,
        key: &Key,
        row: Option<&Entry>,
        sights: &'s [Sight<'a>],
        write: WriteId,
    ) -> BTreeMap<&'s StoreName, &'s Sight<'a>> {
        let mut copies: BTreeMap<&StoreName, &Sight<'_>> = BTreeMap::new();
        for sight in sights {
            let is_right = match &sight.known {
                Known::AsRecalled(_) => row.is_some(),
                Known::Displaced => false,
                Known::Asked(found) => match self.stamp(key, found) {
                    Some(stamp) => {
                        let size = row.map_or(found.size, |row| row.size);
                        stamp.is_of(write, stamp.name, size) && found.size == size
                    }
                    None => row.is_some_and(|row| {
                        row.is_adopted_on(&sight.seat.name)
                            && row.size == found.size
                            && row.holders.get(&sight.seat.name).is_some_and(|pin| pin.etag == found.pin.etag)
                    }),
                },
            };
            let store = &sight.seat.name;
            if is_right && (sight.is_current || !copies.contains_key(store)) {
                copies.insert(store, sight);
            }
        }
        copies
    }

    fn stripped(&self, key: &Key, row: Option<&Entry>, sights: &[Sight<'_>]) -> Vec<(StoreName, Pin)> {
        let Some(row) = row else { return vec![] };
        let lost = sights.iter().filter_map(|sight| match &sight.known {
            Known::Asked(found) if self.stamp(key, found).is_none() && is_stripped(row, sight.seat, found) => {
                Some((sight.seat.name.clone(), self.pin(sight.seat, found)))
            }
            _ => None,
        });
        lost.collect()
    }

    /// Older truths that stand somewhere while the entry does not stand on enough places.
    fn predecessors(&self, key: &Key, row: Option<&Entry>, sights: &[Sight<'_>], write: WriteId) -> Vec<Predecessor> {
        let mut older: BTreeMap<WriteId, Predecessor> =
            row.into_iter().flat_map(|row| row.predecessors.iter().cloned()).map(|one| (one.write, one)).collect();
        for sight in sights {
            let Known::Asked(found) = &sight.known else { continue };
            let Some(stamp) = self.stamp(key, found).filter(|stamp| stamp.write != write) else { continue };
            let (size, etag) = (found.size, found.pin.etag.clone());
            let (seq, holders) = (stamp.seq.unwrap_or(Seq(0)), BTreeMap::new());
            let one = older.entry(stamp.write).or_insert(Predecessor { write: stamp.write, seq, size, etag, holders });
            one.holders.insert(sight.seat.name.clone(), self.pin(sight.seat, found));
        }
        older.into_values().collect()
    }

    fn pin(&self, seat: &Seat, found: &Found) -> Pin {
        let version = found.pin.version.clone().filter(|_| self.versioned.contains(&seat.name));
        Pin { etag: found.pin.etag.clone(), version }
    }

    /// None: no copy of the entry.
    fn pin_of(&self, sight: &Sight<'_>) -> Option<Pin> {
        match &sight.known {
            Known::AsRecalled(pin) => Some(pin.clone()),
            Known::Asked(found) => Some(self.pin(sight.seat, found)),
            Known::Displaced => None,
        }
    }

    /// An entry of what the stores alone say. Digests and the client's checksums are not among it.
    fn made(&self, write: WriteId, seq: Seq, asked: &[(&Arc<Seat>, &Found)]) -> Entry {
        let is_md5 = |etag: &str| etag.len() == 32 && etag.bytes().all(|byte| byte.is_ascii_hexdigit());
        // A store whose ETags are MD5s says what S3 would have said: of the body where it was sent whole, else of its parts.
        let mut said: Vec<&str> = asked
            .iter()
            .filter(|(seat, _)| seat.limits().etag_is_md5)
            .map(|(_, found)| found.pin.etag.as_str())
            .collect();
        said.sort_by_key(|etag| !is_md5(etag));
        let etag = said.first().map_or_else(|| made_etag(write), |etag| (*etag).to_owned());
        let first = asked.first().map(|(_, found)| *found);
        Entry {
            write,
            seq,
            kind: EntryKind::Object,
            size: first.map_or(0, |found| found.size),
            etag,
            modified: asked.iter().filter_map(|(_, found)| found.modified).min().unwrap_or(self.now),
            head: first.map(|found| found.dress.head.clone()).unwrap_or_default(),
            layout: Layout::Whole,
            checksums: vec![],
            holders: BTreeMap::new(),
            adopted_from: None,
            predecessors: vec![],
            record: None,
        }
    }
}

/// Its stamp's, or its order record's.
fn weighed_seq(write: WriteId, key: &Key, scale: &Scale, sights: &[Sight<'_>], weighed: &Weighed) -> Seq {
    let stamped = sights.iter().find_map(|sight| match &sight.known {
        Known::Asked(found) => scale.stamp(key, found).filter(|stamp| stamp.write == write)?.seq,
        Known::AsRecalled(_) | Known::Displaced => None,
    });
    // Chosen by its turn, it is the newest; chosen without one, it is older than everything.
    stamped.or(weighed.newest.map(|turn| turn.seq)).unwrap_or(Seq(0))
}

/// What lies on a store with a higher seq and counts for nothing (rolled back, of an ended life of the ledger) would be taken for
/// newer by whoever is to put it right.
fn stand_above(entry: &mut Entry, highest: u64) {
    if entry.seq.0 < highest {
        entry.seq = Seq(highest + 1);
    }
}

/// Not like an MD5, so that no client takes it for one.
fn made_etag(write: WriteId) -> String {
    format!("{write}-0")
}

/// The version that a row of the trash names.
fn is_displaced(trash: &[Trashed], store: &StoreName, copy: &Shown) -> bool {
    copy.version.is_some()
        && trash
            .iter()
            .filter_map(|row| row.shelves.get(store))
            .any(|shelf| shelf.native && shelf.pin.version == copy.version)
}

fn is_delete(group: &Group, write: WriteId) -> bool {
    group.tomb.is_some_and(|tomb| tomb.write == write)
        || group.row.as_ref().is_some_and(|row| row.write == write && !row.is_object())
}

/// A copy of what the lost ledger knew, without its stamp.
fn is_stripped(row: &Entry, seat: &Seat, found: &Found) -> bool {
    let pinned = row.holders.get(&seat.name).is_some_and(|pin| pin.etag == found.pin.etag);
    row.is_object() && row.size == found.size && (pinned || found.pin.etag == row.etag)
}

fn buried(tomb: &Tomb, now: Moment) -> Entry {
    Entry {
        write: tomb.write,
        seq: tomb.turn.seq,
        kind: EntryKind::Tombstone,
        size: 0,
        etag: String::new(),
        modified: now,
        head: Head::default(),
        layout: Layout::Whole,
        checksums: vec![],
        holders: BTreeMap::new(),
        adopted_from: None,
        predecessors: vec![],
        record: Some(tomb.record),
    }
}
