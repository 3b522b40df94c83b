//! Which buckets there are: by what was recalled, by their records, and by what the stores have.

use super::notes::Noted;
use super::reach::{Reach, RebuildError};
use super::report::RebuildReport;
use crate::seats::Seat;
use crate::settings::EngineSettings;
use outlast_ledger::{Bucket, BucketState, Change, Ledger, Row};
use outlast_rules::{BucketIs, BucketName, BucketTraces, Moment, StoreName, Turn, judge_bucket};
use outlast_store::Fault;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// One bucket, before its keys are looked at.
pub(super) struct Found {
    pub name: BucketName,
    /// Stores that have its native bucket.
    pub on: Vec<Arc<Seat>>,
    pub recalled: Option<Bucket>,
    pub ended: Option<(u64, Turn)>,
}

/// What its keys showed.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Seen {
    pub newest: Option<Turn>,
    pub ours: bool,
    pub foreign: bool,
}

/// By store: the native buckets that it has.
pub(super) type Natives = BTreeMap<StoreName, BTreeSet<String>>;

impl Reach {
    /// Every name that may be a bucket of ours, and where its native bucket is.
    pub(super) async fn natives(&self, known: &BTreeSet<BucketName>) -> Result<Natives, RebuildError> {
        let known = known.clone();
        let asked = self.of_each(|seat| {
            let known = known.clone();
            async move { natives_of(&seat, &known).await }
        });
        let mut natives = Natives::new();
        for (seat, found) in asked.await {
            natives.insert(seat.name.clone(), found?);
        }
        Ok(natives)
    }
}

/// By its list of buckets; where these keys may not see that, by asking for each name that is known.
async fn natives_of(seat: &Seat, known: &BTreeSet<BucketName>) -> Result<BTreeSet<String>, RebuildError> {
    let configured = seat.names.buckets.values().cloned();
    let mut to_ask: BTreeSet<String> = configured.collect();
    let mut found: BTreeSet<String> = match seat.ask("list buckets", || seat.store.list_buckets()).await {
        Ok(all) => all.into_iter().collect(),
        Err(error) if matches!(error.fault, Fault::Denied | Fault::Unsupported) => {
            to_ask.extend(known.iter().map(|bucket| seat.names.native(bucket)));
            BTreeSet::new()
        }
        Err(error) => return Err(error.into()),
    };
    for native in to_ask {
        if found.contains(&native) {
            continue;
        }
        match seat.ask(&format!("head bucket {native}"), || seat.store.head_bucket(&native)).await {
            Ok(()) => drop(found.insert(native)),
            Err(error) if error.fault == Fault::NoBucket => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(found)
}

/// The clients' names of everything that was found or told.
pub(super) fn names(
    reach: &Reach,
    settings: &EngineSettings,
    natives: &Natives,
    told: BTreeSet<BucketName>,
) -> BTreeSet<BucketName> {
    let mut names = told;
    names.extend(settings.buckets.keys().cloned());
    for seat in reach.seats.values() {
        names.extend(seat.names.buckets.keys().cloned());
        for native in natives.get(&seat.name).into_iter().flatten() {
            let is_own = *native == seat.home() || seat.names.system_bucket.as_ref() == Some(native);
            let client = seat.names.client(native);
            names.extend(client.filter(|client| !is_own || seat.names.is_configured(client)));
        }
    }
    names
}

impl Found {
    pub fn of(
        reach: &Reach,
        natives: &Natives,
        name: &BucketName,
        recalled: Option<Bucket>,
        ends: &BTreeMap<BucketName, (u64, Turn)>,
    ) -> Found {
        let has = |seat: &&Arc<Seat>| natives.get(&seat.name).is_some_and(|all| all.contains(&seat.names.native(name)));
        let on = reach.seats.values().filter(has).cloned().collect();
        Found { name: name.clone(), on, recalled, ended: ends.get(name).copied() }
    }

    /// The turn up to which everything in it belongs to a life that has ended.
    pub fn former(&self) -> Option<Turn> {
        let (life, at) = self.ended?;
        match &self.recalled {
            Some(known) if life < known.incarnation => None,
            _ => Some(at),
        }
    }

    /// Writes down what it is.
    pub async fn settle(
        &self,
        settings: &EngineSettings,
        ledger: &dyn Ledger,
        seen: Seen,
        report: &mut RebuildReport,
        now: Moment,
    ) -> Result<(), RebuildError> {
        let placement = settings.placement(&self.name);
        let placed: Vec<StoreName> = self.on.iter().map(|seat| seat.name.clone()).collect();
        let (is, doubt) = judge_bucket(BucketTraces {
            recalled: self.recalled.as_ref().map(|bucket| bucket.incarnation),
            ended: self.ended,
            on: placed.iter().filter(|store| placement.stores.contains(store)).count(),
            needed: placement.min_copies.min(placement.stores.len()).max(1),
            ours: seen.ours,
            foreign: seen.foreign,
            newest: seen.newest,
        });
        if let Some(doubt) = doubt {
            report.by_clocks.buckets.add(|| format!("{}: {doubt}", self.name));
        }
        let anew = |state| Bucket { name: self.name.clone(), created: now, incarnation: now.0, state };
        let bucket = match is {
            BucketIs::AsRecalled => self.recalled.clone(),
            BucketIs::Serving => Some(anew(BucketState::Serving)),
            BucketIs::Found => Some(anew(BucketState::Found { on: placed })),
            BucketIs::Gone if placed.is_empty() => None,
            BucketIs::Gone => {
                let incarnation = self.ended.map_or(now.0, |(life, _)| life);
                Some(Bucket { incarnation, ..anew(BucketState::Gone { owed: placed }) })
            }
            BucketIs::Nothing => None,
        };
        match is {
            BucketIs::Gone => report.buckets_gone += 1,
            _ => report.buckets += u64::from(bucket.is_some()),
        }
        if bucket != self.recalled {
            let row = Row::Bucket { name: self.name.clone(), is: bucket };
            ledger.commit(vec![Change::Restore(Box::new(row))]).await?;
        }
        Ok(())
    }
}

pub(super) fn take_in(noted: Noted, report: &mut RebuildReport) {
    report.records += noted.records;
    report.records_read += noted.read;
    report.unreadable_records.take_in(noted.unreadable);
}
