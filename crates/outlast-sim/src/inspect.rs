//! Looks behind the gateway's back: does what the ledger claims hold on the stores?

use crate::books::{Books, Detail, Pages};
use crate::client::{carried, key_of};
use crate::kept::Kept;
use crate::place::Place;
use crate::plan::{BUCKETS, KEYS, Kind};
use crate::portrait::portrait;
use outlast_ledger::{Embedded, Ledger};
use outlast_rules::{Entry, KeyState, RESERVED_PREFIX, WriteId, name_hash};
use outlast_store::{At, Lying};
use std::collections::BTreeSet;
use std::path::Path;

/// What a look needs to know.
pub struct Look<'a> {
    pub places: &'a [Place],
    pub ledger: &'a Embedded,
    pub spool: &'a Path,
    pub min_copies: usize,
    /// Stores that were damaged by hand: what they lost, nobody else has to answer for.
    pub damaged: &'a BTreeSet<usize>,
    /// Copies whose bytes rotted: only a reader or a deep scrub finds them.
    pub rotten: &'a BTreeSet<(usize, usize)>,
}

impl Look<'_> {
    /// After every step: safety.
    pub async fn safety(&self, books: &Books, kept: &mut Kept) {
        for (key, (_, words)) in KEYS.iter().enumerate() {
            let (bucket, name) = key_of(key);
            let Ok(state) = self.ledger.key_state(&bucket, &name).await else { return };
            let mut pages = books.pages();
            if pages.detail() == Detail::Calls {
                self.draw(&mut pages, key, &state);
            }
            if let Err(why) = self.judge(&mut pages, key, &state) {
                self.draw(&mut pages, key, &state);
                pages.fail(&format!("{words}: {why}"));
                return;
            }
            kept.remember(self.places, key, &state);
            if let Err(why) = kept.judge_conflicts(self.places, key, &state) {
                pages.fail(&format!("{words}: {why}"));
                return;
            }
        }
    }

    /// Tells what ledger and stores say of the key, if it is not what was told last.
    fn draw(&self, pages: &mut Pages, key: usize, state: &KeyState) {
        let stores = self.places.iter().map(|place| (place.name.to_string(), self.lying(place, key))).collect();
        pages.draw(key, portrait(KEYS[key].1, state, &stores));
    }

    fn judge(&self, pages: &mut Pages, key: usize, state: &KeyState) -> Result<(), String> {
        let from = pages.tick();
        match state.object() {
            Some(entry) => {
                pages.saw(key, carried(&entry.head), from).map_err(|why| format!("P5: the ledger {why}"))?;
                self.judge_object(pages, key, state, entry)
            }
            None => {
                pages.saw_nothing(key, from).map_err(|why| format!("P5: the ledger {why}"))?;
                self.judge_absence(key, state)
            }
        }
    }

    fn judge_object(&self, pages: &Pages, key: usize, state: &KeyState, entry: &Entry) -> Result<(), String> {
        let copies = self.copies(pages, key, state, entry);
        let undecided = state.intents.iter().map(|intent| &intent.entry);
        let may_lack = usize::from(!self.damaged.is_empty());
        if !state.intents.is_empty() {
            let of_others: usize = undecided.filter(|e| e.is_object()).map(|e| self.copies(pages, key, state, e)).sum();
            let dying = state.intents.iter().any(|intent| !intent.entry.is_object());
            if copies + of_others == 0 && !dying {
                return Err("P2: neither the entry nor an undecided write stands anywhere".to_owned());
            }
            return Ok(());
        }
        let wanted = if entry.predecessors.is_empty() { self.min_copies - may_lack } else { 1 };
        if copies < wanted {
            return Err(format!("P1/P5: #{} stands on {copies} places of {wanted}", carried(&entry.head)));
        }
        for (n, place) in self.places.iter().enumerate() {
            let is_owed = state.debts.iter().any(|debt| debt.store == place.name);
            let is_holder = entry.holders.contains_key(&place.name);
            if !is_holder && !is_owed {
                return Err(format!("P1: {} is neither a holder nor owed anything", place.name));
            }
            let spared = is_owed || self.damaged.contains(&n) || place.kind == Kind::Liar;
            if is_holder && !spared && !self.holds(pages, place, key, entry) {
                return Err(format!(
                    "P1/P5: {} is a holder without a right copy, and nothing is owed to it",
                    place.name
                ));
            }
        }
        Ok(())
    }

    /// No object: whatever a store still shows has to go, and somebody must know it.
    fn judge_absence(&self, key: usize, state: &KeyState) -> Result<(), String> {
        if !state.intents.is_empty() || state.entry.is_none() {
            return Ok(());
        }
        for (n, place) in self.places.iter().enumerate() {
            let shown = self.lying(place, key).iter().any(|copy| copy.is_current);
            let known = state.debts.iter().any(|debt| debt.store == place.name)
                || state.marks.iter().any(|mark| mark.store == place.name);
            if shown && !known && !self.damaged.contains(&n) {
                return Err(format!("P4: {} shows a deleted key, and nothing is owed to it", place.name));
            }
        }
        Ok(())
    }

    /// What is still to be done. Empty: nothing.
    pub async fn work_left(&self) -> String {
        let mut left = vec![];
        for place in self.places {
            let totals = self.ledger.debt_totals(&place.name).await.unwrap_or_default();
            if totals.objects > 0 {
                left.push(format!("{} is owed {}", place.name, totals.objects));
            }
            let marks = self.ledger.marks_count(&place.name).await.unwrap_or_default();
            if marks > 0 {
                left.push(format!("{} has {marks} marks", place.name));
            }
        }
        let intents = self.ledger.intents(100).await.unwrap_or_default().len();
        if intents > 0 {
            left.push(format!("{intents} writes are undecided"));
        }
        let spooled = self.ledger.spool_items().await.unwrap_or_default().len();
        if spooled > 0 {
            left.push(format!("the spool holds {spooled}"));
        }
        left.join(", ")
    }

    /// All is well and time has passed: every store's plain listing is the ledger's.
    pub async fn liveness(&self, books: &Books, kept: &mut Kept) {
        self.safety(books, kept).await;
        for (key, (_, words)) in KEYS.iter().enumerate() {
            let (bucket, name) = key_of(key);
            let Ok(state) = self.ledger.key_state(&bucket, &name).await else { return };
            let mut pages = books.pages();
            for (n, place) in self.places.iter().enumerate() {
                if self.rotten.contains(&(n, key)) {
                    continue;
                }
                let current = self.lying(place, key).into_iter().find(|copy| copy.is_current);
                let wrong = match (state.object(), current) {
                    (None, None) => None,
                    (Some(entry), Some(copy)) if is_right(&pages, &copy, entry) => None,
                    // Its list shows nothing wrong: a reader or a deep scrub finds out.
                    (Some(entry), Some(copy)) if self.damaged.contains(&n) && is_stripped(&pages, &copy, entry) => None,
                    // Somebody else's, with or without a stamp that is another key's: reported, and left alone.
                    (None, Some(copy)) if !is_bound(&copy, key) => None,
                    (None, Some(_)) => Some("shows a key that is not there"),
                    (Some(_), None) => Some("lacks a key"),
                    (Some(_), Some(_)) => Some("has another copy than the entry's"),
                };
                if let Some(wrong) = wrong {
                    self.draw(&mut pages, key, &state);
                    pages.fail(&format!("P4: all is well, and {} {wrong}: {words}", place.name));
                    return;
                }
            }
        }
        self.nothing_else(books);
        if let Err(why) = kept.judge(self.places) {
            books.fail(why);
        }
    }

    fn nothing_else(&self, books: &Books) {
        for place in self.places {
            for (b, bucket) in BUCKETS.iter().enumerate() {
                let known = |key: &String| {
                    key.starts_with(RESERVED_PREFIX) || KEYS.iter().any(|(of, name)| *of == b && name == key)
                };
                if let Some(key) = place.memory.shown(bucket).iter().find(|key| !known(key)) {
                    books.fail(format!("P4: {} has a key that nobody wrote: {key}", place.name));
                }
            }
        }
    }

    fn lying(&self, place: &Place, key: usize) -> Vec<Lying> {
        let (bucket, name) = key_of(key);
        place.memory.lying(&At::new(bucket.as_str(), name.as_str()))
    }

    /// Does the store hold a right copy of this write, under its name or as a native version?
    fn holds(&self, pages: &Pages, place: &Place, key: usize, entry: &Entry) -> bool {
        let right = |copy: &Lying| is_right(pages, copy, entry) && (copy.is_current || place.kind == Kind::A);
        self.lying(place, key).iter().any(right)
    }

    fn is_spooled(&self, state: &KeyState, write: WriteId) -> bool {
        state.spooled.contains(&write) && self.spool.join(write.to_string()).exists()
    }

    /// Places of one write: stores with a right copy, and the spool.
    fn copies(&self, pages: &Pages, key: usize, state: &KeyState, entry: &Entry) -> usize {
        // The first bucket is made while all is well, so what a liar is like there was probed. Of a later bucket that may not
        // be known yet, and what is not known counts as grade C.
        let counts = |place: &&Place| place.kind != Kind::Liar || KEYS[key].0 > 0;
        let stores = self.places.iter().filter(counts).filter(|p| self.holds(pages, p, key, entry)).count();
        stores + usize::from(self.is_spooled(state, entry.write))
    }
}

/// Did we write it under this key?
fn is_bound(copy: &Lying, key: usize) -> bool {
    let (bucket, name) = key_of(key);
    copy.found.dress.stamp.as_ref().is_some_and(|stamp| stamp.name == name_hash(&bucket, &name))
}

/// The entry's bytes without our stamp.
fn is_stripped(pages: &Pages, copy: &Lying, entry: &Entry) -> bool {
    copy.found.dress.stamp.is_none() && pages.is_whole(carried(&entry.head), &copy.bytes)
}

/// Stamp, bytes and headers are those of the entry.
fn is_right(pages: &Pages, copy: &Lying, entry: &Entry) -> bool {
    copy.found.dress.stamp.as_ref().is_some_and(|stamp| stamp.write == entry.write)
        && copy.found.dress.head == entry.head
        && copy.bytes.len() as u64 == entry.size
        && pages.is_whole(carried(&entry.head), &copy.bytes)
}
