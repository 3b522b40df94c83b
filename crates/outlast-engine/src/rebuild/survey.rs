//! Before anything is done: who the stores are, which life of the ledger was the last, and what a rebuild would do. Reads only.

use super::reach::{Reach, RebuildError};
use crate::epoch::{EPOCH_INTERVAL, EpochMark};
use crate::identity::read_marker_at;
use crate::marker::{MARKER_KEY, Marker};
use crate::seats::Seat;
use crate::settings::HOME_SUFFIX;
use outlast_ledger::{SEGMENT_FOLDER, SegmentKind, SegmentName};
use outlast_rules::{Epoch, Moment, RESERVED_PREFIX, StoreName};
use serde::Serialize;
use std::collections::BTreeSet;

/// What is known before the start.
#[derive(Debug, Clone, Serialize)]
pub struct Survey {
    pub installation: String,
    /// The life that the new ledger begins.
    pub epoch: Epoch,
    /// How long calls of an old gateway may still apply; waited for before anything is read.
    pub wait_ms: u64,
    pub stores: Vec<SurveyedStore>,
}

#[derive(Debug, Clone, Serialize)]
pub struct SurveyedStore {
    pub name: StoreName,
    pub place: String,
    pub home: String,
    /// It has no identity marker, and the operator says that it is new or empty.
    pub empty: bool,
    /// Segments of the lost ledger, and whether a whole snapshot's end is among them.
    pub segments: u64,
    pub has_snapshot: bool,
}

impl Reach {
    /// `empty`: stores that may lack an identity marker.
    ///
    /// # Errors
    /// A store does not answer, is somebody else's or another's, or has no marker; in words.
    pub async fn survey(&self, empty: &BTreeSet<StoreName>) -> Result<Survey, RebuildError> {
        let mut installation: Option<(String, StoreName)> = None;
        let mut stores = Vec::new();
        let mut newest = Epoch(1);
        for (seat, found) in self.of_each(|seat| async move { look(&seat).await }).await {
            let looked = found?;
            match &looked.marker {
                Some(marker) => self.judge(&seat, marker, &mut installation)?,
                None if empty.contains(&seat.name) => {}
                None => return Err(RebuildError::Refused(unmarked(&seat))),
            }
            newest = looked.epoch.iter().map(|mark| mark.epoch).chain([newest]).max().unwrap_or(newest);
            newest = newest.max(looked.segments.iter().map(|name| name.epoch).max().unwrap_or(newest));
            stores.push(SurveyedStore {
                name: seat.name.clone(),
                place: seat.store.place(),
                home: seat.home(),
                empty: looked.marker.is_none(),
                segments: looked.segments.len() as u64,
                has_snapshot: looked.segments.iter().any(|name| matches!(name.kind, SegmentKind::SnapshotEnd { .. })),
            });
        }
        let Some((installation, _)) = installation else {
            return Err(RebuildError::Refused(
                "no store has an identity marker: there is nothing to rebuild from".into(),
            ));
        };
        let calls_live = self.seats.values().filter(|seat| !seat.limits().never_given_up);
        let settle_ms = calls_live.map(|seat| seat.settle_ms()).max();
        let wait_ms = settle_ms.map_or(0, |settle| settle + EPOCH_INTERVAL.as_millis() as u64);
        let epoch = newest.0.checked_add(1).map(Epoch).ok_or_else(|| {
            RebuildError::Refused(format!(
                "epoch {} is on a store: no gateway wrote that, and none comes after it",
                newest.0
            ))
        })?;
        Ok(Survey { installation, epoch, wait_ms, stores })
    }

    fn judge(
        &self,
        seat: &Seat,
        marker: &Marker,
        installation: &mut Option<(String, StoreName)>,
    ) -> Result<(), RebuildError> {
        let place = format!("store {} ({}, bucket {})", seat.name, seat.store.place(), seat.home());
        if marker.store != seat.name {
            let words = format!(
                "{place} is the place of the store {}: a store keeps its name, give it that one in the configuration",
                marker.store
            );
            return Err(RebuildError::Refused(words));
        }
        match installation {
            Some((known, on)) if *known != marker.installation => Err(RebuildError::Refused(format!(
                "{place} belongs to installation {}, and {on} to {known}: they are of two Outlasts",
                marker.installation
            ))),
            _ => {
                *installation = Some((marker.installation.clone(), seat.name.clone()));
                Ok(())
            }
        }
    }
}

fn unmarked(seat: &Seat) -> String {
    format!(
        "store {} ({}, bucket {}) has no {MARKER_KEY}: it is emptied, not mounted, or new\n    what only it holds would be \
         missing. If it is new or really empty now, say so: --empty {}",
        seat.name,
        seat.store.place(),
        seat.home(),
        seat.name
    )
}

struct Looked {
    marker: Option<Marker>,
    epoch: Option<EpochMark>,
    segments: Vec<SegmentName>,
}

/// Finds the store's home and reads what lies there. It was chosen at the first start, and the configuration may have changed.
async fn look(seat: &Seat) -> Result<Looked, RebuildError> {
    let mut candidates = vec![seat.names.home()];
    let others = seat.names.buckets.values().cloned().chain([format!("{}{HOME_SUFFIX}", seat.names.prefix)]);
    candidates.extend(others.filter(|other| *other != seat.names.home()));
    for home in candidates {
        let marker = seat.ask(&format!("get {home}/{MARKER_KEY}"), || read_marker_at(seat, &home)).await?;
        let Some(bytes) = marker else { continue };
        seat.set_home(home.clone());
        let marker = Marker::read(&bytes, None).map_err(|damage| {
            let place = seat.store.place();
            RebuildError::Refused(format!("{MARKER_KEY} of {} ({place}, bucket {home}) {damage}", seat.name))
        })?;
        let epoch = seat.ask("get the epoch", || seat.read_epoch()).await?;
        return Ok(Looked { marker: Some(marker), epoch, segments: segments_of(seat).await? });
    }
    seat.set_home(seat.names.home());
    Ok(Looked { marker: None, epoch: None, segments: vec![] })
}

/// Tens of thousands at most: two snapshots and what was shipped since.
pub(super) async fn segments_of(seat: &Seat) -> Result<Vec<SegmentName>, RebuildError> {
    let folder = format!("{RESERVED_PREFIX}{SEGMENT_FOLDER}");
    let (mut names, mut after) = (Vec::new(), None::<String>);
    loop {
        let page = seat.page(&seat.home(), &folder, after.as_deref()).await?;
        names.extend(page.copies.iter().filter_map(|copy| SegmentName::parse(&copy.key)));
        match page.next {
            Some(next) => after = Some(next),
            None => return Ok(names),
        }
    }
}

/// For the new ledger: who this store is, so that an exchange is noticed from the first start on.
pub(super) fn marker_of(installation: &str, store: &StoreName, now: Moment) -> String {
    let marker = Marker::new(installation, store, now);
    serde_json::to_string(&marker).expect("a marker is plain data")
}
