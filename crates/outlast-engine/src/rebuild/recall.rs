//! What was shipped of the ledger, read back into a new one. Never believed by itself: the stores are asked afterwards.

use super::reach::{Reach, RebuildError, may_pass};
use super::survey::segments_of;
use crate::seats::Seat;
use bytes::Bytes;
use futures_util::stream::{self, StreamExt};
use outlast_ledger::{
    Change, Ledger, NotASegment, Reading, Row, SEGMENT_BYTES_MAX, SegmentHead, SegmentKey, SegmentKind, SegmentName,
    open_segment, rows_of, segments_to_read,
};
use outlast_rules::{Epoch, Moment};
use outlast_store::{At, Fault};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// Segments read before they are needed: each may take some ten megabytes, unpacked.
const SEGMENTS_AHEAD: usize = 4;
/// Several megabytes over a slow line.
const SEGMENT_DEADLINE: Duration = Duration::from_secs(60);
/// Lines kept of segments that were not believed; beyond it they are only counted.
const LINES_MAX: usize = 100;
const PLACE_FACT: &str = "rebuild.recalled";

/// What came of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recall {
    /// Segments that were read.
    pub segments: u64,
    pub rows: u64,
    /// When the snapshot was begun from which all this goes on; None: none was found whole. What was written since may have
    /// changed without a trace in a listing.
    pub snapshot: Option<Moment>,
    /// When the newest segment was made: what the ledger said later is not among this.
    pub newest: Option<Moment>,
    /// The life of the ledger that told the newest.
    pub epoch: Option<Epoch>,
    /// Segments that others name as standing, and that no store has.
    pub missing: u64,
    /// Bytes that were not believed on one store or another, and why.
    pub not_believed: u64,
    pub lines: Vec<String>,
}

impl Recall {
    fn tell(&mut self, line: String) {
        self.not_believed += 1;
        if self.lines.len() < LINES_MAX {
            self.lines.push(line);
        }
    }
}

/// How far an attempt came that died.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Place {
    passed_over: usize,
    through: Option<(Epoch, u64)>,
    recall: Recall,
}

/// Which stores have which segment. As many names as segments of two snapshots' time: tens of thousands at most.
type Shelves = BTreeMap<SegmentName, Vec<Arc<Seat>>>;

/// Reads everything that was shipped and can be believed into `ledger`. Idempotent, and goes on where an attempt that died has
/// stopped.
///
/// # Errors
/// A store does not answer. Segments that cannot be read are no error.
pub async fn recall(
    reach: &Reach,
    installation: &str,
    key: &SegmentKey,
    ledger: &dyn Ledger,
) -> Result<Recall, RebuildError> {
    let shelves = shelves(reach).await?;
    let names: BTreeSet<SegmentName> = shelves.keys().copied().collect();
    let mut place: Place = match ledger.fact(PLACE_FACT).await? {
        Some(text) => serde_json::from_str(&text).unwrap_or_default(),
        None => Place::default(),
    };
    let snapshots = names.iter().filter(|name| matches!(name.kind, SegmentKind::SnapshotEnd { .. })).count();
    let reader = Reader { installation, key, ledger, shelves: &shelves };
    loop {
        if reader.read(segments_to_read(&names, place.passed_over), &mut place).await? {
            return Ok(place.recall);
        }
        let passed_over = (place.passed_over + 1).min(snapshots);
        place = Place { passed_over, ..Place::default() };
    }
}

async fn shelves(reach: &Reach) -> Result<Shelves, RebuildError> {
    let listed = reach.of_each(|seat| async move { segments_of(&seat).await });
    let mut shelves = Shelves::new();
    for (seat, names) in listed.await {
        for name in names? {
            shelves.entry(name).or_default().push(seat.clone());
        }
    }
    Ok(shelves)
}

/// A segment's head and rows, if any copy of it was believed, and in words the copies that were not.
type Opened = (Option<(SegmentHead, Vec<u8>)>, Vec<String>);

struct Reader<'a> {
    installation: &'a str,
    key: &'a SegmentKey,
    ledger: &'a dyn Ledger,
    shelves: &'a Shelves,
}

impl Reader<'_> {
    /// False: a part of the snapshot that all this goes on from cannot be read; an older one is to be tried.
    async fn read(&self, reading: Reading, place: &mut Place) -> Result<bool, RebuildError> {
        let Reading { base, names } = reading;
        let is_done = |name: &SegmentName| place.through.is_some_and(|at| (name.epoch, name.number) <= at);
        let waiting: Vec<SegmentName> = names.iter().filter(|name| !is_done(name)).copied().collect();
        let mut opened = stream::iter(waiting.into_iter().map(|name| async move { (name, self.open(name).await) }))
            .buffered(SEGMENTS_AHEAD);
        while let Some((name, opened)) = opened.next().await {
            let (found, lines) = opened?;
            for line in lines {
                place.recall.tell(line);
            }
            let is_part = name.kind != SegmentKind::Changes && base.is_some_and(|base| name <= base);
            let Some((head, rows)) = found else {
                if is_part {
                    return Ok(false);
                }
                continue;
            };
            let from = names.iter().find(|one| one.epoch == name.epoch).map_or(0, |one| one.number);
            let is_there =
                |number| names.binary_search_by_key(&(name.epoch, number), |one| (one.epoch, one.number)).is_ok();
            if head.after > 0 && head.after >= from && !is_there(head.after) {
                if base.is_some_and(|base| name <= base) {
                    place.recall.tell(format!("segment {:x} before {name} is on no store", head.after));
                    return Ok(false);
                }
                place.recall.missing += 1;
            }
            self.take(head, &rows, base == Some(name), place).await?;
        }
        Ok(true)
    }

    /// The rows, and how far we are, in one transaction.
    async fn take(
        &self,
        head: SegmentHead,
        lines: &[u8],
        is_base: bool,
        place: &mut Place,
    ) -> Result<(), RebuildError> {
        let rows: Result<Vec<Row>, NotASegment> = rows_of(lines).collect();
        let rows = match rows {
            Ok(rows) => rows,
            Err(error) => {
                place.recall.tell(format!("{}: {error}", head.name()));
                return Ok(());
            }
        };
        let recall = &mut place.recall;
        recall.segments += 1;
        recall.rows += rows.len() as u64;
        recall.newest = recall.newest.max(Some(head.at));
        recall.epoch = recall.epoch.max(Some(head.epoch));
        if is_base {
            recall.snapshot = head.began;
        }
        place.through = Some((head.epoch, head.number));
        let value = serde_json::to_string(place).expect("a place is plain data");
        let mut batch: Vec<Change> = rows.into_iter().map(|row| Change::Restore(Box::new(row))).collect();
        batch.push(Change::SetFact { name: PLACE_FACT.into(), value });
        Ok(self.ledger.commit(batch).await?)
    }

    /// From the first store whose bytes are believed; and in words, what was not. An error: no store has such bytes, and one
    /// that may has not answered.
    async fn open(&self, name: SegmentName) -> Result<Opened, RebuildError> {
        let (mut lines, mut silent) = (Vec::new(), None);
        for seat in self.shelves.get(&name).into_iter().flatten() {
            match read_segment(seat, name).await {
                Ok(bytes) => match open_segment(self.key, self.installation, name, &bytes) {
                    Ok(opened) => return Ok((Some(opened), lines)),
                    Err(error) => lines.push(format!("{name} on {}: {error}", seat.name)),
                },
                Err(error) => {
                    lines.push(error.to_string());
                    if may_pass(error.fault) && error.fault != Fault::BadAnswer {
                        silent = Some(error);
                    }
                }
            }
        }
        match silent {
            Some(error) => Err(error.into()),
            None => Ok((None, lines)),
        }
    }
}

async fn read_segment(seat: &Seat, name: SegmentName) -> outlast_store::Answer<Bytes> {
    let at = At::new(seat.home(), name.to_string());
    let what = format!("get {name}");
    let read = || seat.read_small(&at, None, SEGMENT_BYTES_MAX, SEGMENT_DEADLINE);
    seat.ask_for(SEGMENT_DEADLINE, &what, read).await.map(|(_, bytes)| bytes)
}
