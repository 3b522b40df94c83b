//! What the engine knows of itself, for people and metrics: read from the ledger and from health, never from intentions.

use crate::asks::{SpoolStatus, Status, StoreStatus, TrashStatus};
use crate::engine::Engine;
use crate::identity::help_of;
use crate::seats::Seat;
use outlast_ledger::{Change, DebtTotals, LedgerError};
use outlast_rules::{Grades, Moment, OpClass, Reason, Standing};
use outlast_store::{Fault, help};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

/// More undecided writes than this are shown as this many.
const UNDECIDED_SHOWN_MAX: usize = 10_000;

/// Where a trial write is written down.
const TRIAL: &str = "ledger.trial";

impl Engine {
    pub async fn status(self: &Arc<Self>) -> Status {
        let our_network = self.is_our_network();
        let trash = self.trash_status().await;
        let mut stores = Vec::new();
        let mut ledger = "ok".to_owned();
        for seat in self.seats.values() {
            let totals = self.ledger.debt_totals(&seat.name).await.unwrap_or_else(|error| {
                ledger = error.to_string();
                DebtTotals::default()
            });
            let marks = self.ledger.marks_count(&seat.name).await.unwrap_or_default();
            let mut store = self.store_status(seat, totals, marks, our_network);
            if seat.health(|health| health.reason()).is_some_and(is_full) {
                store.help = Some([store.help.unwrap_or_default(), room_in(&trash)].concat());
            }
            stores.push(store);
        }
        if let Some((since, why)) = self.ledger_trouble() {
            ledger = format!("NO WRITES for {} s: {why}", self.now().since_ms(since) / 1_000);
        }
        let undecided = self.ledger.intents(UNDECIDED_SHOWN_MAX).await.map_or(0, |intents| intents.len() as u64);
        let spooled = self.ledger.spool_items().await.map_or(0, |items| items.len() as u64);
        let waiting = self.ledger.unshipped_count().await.unwrap_or_default();
        let shipping = self.shipping.status(waiting, self.now());
        Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            data_dir: self.data_dir().display().to_string(),
            now: self.now(),
            epoch: self.epoch.0,
            ledger,
            undecided,
            spool: SpoolStatus {
                objects: spooled,
                bytes: self.spool.used(),
                max: self.spool.max(),
                latched: self.spool.latched().map(str::to_owned),
            },
            trash,
            shipping,
            frozen: self.frozen_since(),
            stores,
            counters: self.counters.all(),
        }
    }

    async fn trash_status(&self) -> TrashStatus {
        let mut sum = TrashStatus::default();
        for bucket in self.ledger.buckets().await.unwrap_or_default() {
            let totals = self.ledger.trash_totals(&bucket.name).await.unwrap_or_default();
            sum.objects += totals.objects;
            sum.bytes += totals.bytes;
            sum.held += totals.held;
        }
        sum
    }

    /// Where its ledger lies, however it was named: by this the installations of one machine are told apart.
    pub fn data_dir(&self) -> PathBuf {
        let named = &self.settings.data_dir;
        named.canonicalize().or_else(|_| std::path::absolute(named)).unwrap_or_else(|_| named.clone())
    }

    /// Can this process take requests? The words say why not.
    pub async fn ready(self: &Arc<Self>) -> Result<(), String> {
        if self.stopping.is_cancelled() {
            return Err("stopping".to_owned());
        }
        if let Some(words) = self.superseded.words() {
            return Err(words.to_owned());
        }
        self.ledger.fact("installation").await.map_err(|error| error.to_string())?;
        self.ledger_takes_writes().await.map_err(|error| error.to_string())?;
        let takes = |seat: &&Arc<Seat>| seat.standing(OpClass::Write) != Standing::Down && !self.is_leaving(&seat.name);
        let up = self.seats.values().filter(takes).count();
        let stand_in = usize::from(self.settings.defaults.spool_counts);
        if up == 0 || up + stand_in < self.settings.defaults.min_copies {
            return Err(format!("{up} of {} stores take writes", self.seats.len()));
        }
        Ok(())
    }

    /// A commit that a client waits for: what it says of the ledger's disk is remembered.
    pub(crate) async fn commit_heard(&self, batch: Vec<Change>) -> Result<(), LedgerError> {
        let done = self.ledger.commit(batch).await;
        self.ledger_disk.heard(&done, self.now());
        done
    }

    /// A worker may have been the first to hear that nothing is acknowledged any more, and no client has asked since.
    fn ledger_trouble(&self) -> Option<(Moment, String)> {
        if let Some(why) = self.ledger.latched() {
            self.ledger_disk.heard(&Err(LedgerError::MustReopen { why }), self.now());
        }
        self.ledger_disk.trouble()
    }

    /// Whoever is not asked for writes any more would never hear that there is room again: then it tries for itself.
    pub(crate) async fn ledger_takes_writes(&self) -> Result<(), LedgerError> {
        if self.ledger_trouble().is_none() {
            return Ok(());
        }
        self.commit_heard(vec![Change::SetFact { name: TRIAL.to_owned(), value: self.now().0.to_string() }]).await
    }

    fn store_status(&self, seat: &Arc<Seat>, owed: DebtTotals, marks: u64, our_network: bool) -> StoreStatus {
        let now = self.now();
        let words = |reason: Option<Reason>| reason.map(|reason| reason.to_string()).unwrap_or_default();
        let (standing, reason, since, median) = seat.health(|health| {
            let worst = OpClass::all().into_iter().max_by_key(|class| health.standing(*class)).unwrap_or(OpClass::Read);
            (health.worst(), health.reason(), health.since(worst), health.median_ms())
        });
        let reason = if our_network && standing == Standing::Down { Some(Reason::OurNetwork) } else { reason };
        let refusal = match reason {
            Some(Reason::Fails { fault, .. }) => seat.refusal(fault),
            _ => None,
        };
        let by_class = seat.health(|health| {
            OpClass::all().map(|class| {
                let standing = health.standing(class).to_string();
                (class.to_string(), (standing, words(health.class_reason(class))))
            })
        });
        let probe = seat.oldest_probe();
        let left = seat.arrival(|arrival| arrival.left_ms(now, owed.objects, owed.bytes));
        StoreStatus {
            name: seat.name.to_string(),
            place: seat.store.place(),
            kind: seat.limits().kind.to_owned(),
            standing: standing.to_string(),
            reason: words(reason),
            help: reason.and_then(|reason| help_of(reason, &seat.name)).or_else(|| refusal.as_ref().and_then(help)),
            said: refusal.map(|error| error.to_string()),
            since,
            classes: BTreeMap::from(by_class),
            grade: probe.map_or("not probed".to_owned(), |(grades, _)| grade_words(grades)),
            probed: probe.map(|(_, at)| at),
            unprobed: seat.unprobed(),
            unfit: seat.unfit(),
            owed_objects: owed.objects,
            owed_bytes: owed.bytes,
            lag_ms: owed.oldest.map_or(0, |oldest| now.since_ms(oldest)),
            arrival: left.map(|ms| now.plus_ms(ms)),
            marks,
            leaving: self.leaving.of(&seat.name),
            deep_scrub: self.deep_rounds.of(&seat.name),
            faults: self.faults().into_iter().filter(|fault| fault.store == seat.name.as_str()).collect(),
            latency_ms: median,
        }
    }
}

fn is_full(reason: Reason) -> bool {
    matches!(reason, Reason::Fails { fault: Fault::Full, .. })
}

/// What of a full store's room is our own trash, and how it becomes free; empty where there is none.
fn room_in(trash: &TrashStatus) -> String {
    if trash.objects == 0 {
        return String::new();
    }
    let held = match trash.held {
        0 => String::new(),
        held => format!(", but {held} of them are held until: outlast undelete BUCKET --release"),
    };
    let objects = if trash.objects == 1 { "1 object".to_owned() } else { format!("{} objects", trash.objects) };
    format!(
        "; the trash (.outlast/trash/ on each store, or its native versions) holds {objects} of {} bytes in all, which go by \
         themselves undelete_days after they were deleted or overwritten{held}; a smaller undelete_days keeps less from now on",
        trash.bytes
    )
}

/// `B`, or per operation where they differ: `put B, complete C, copy B, delete C`.
fn grade_words(grades: Grades) -> String {
    let all = [("put", grades.put), ("complete", grades.complete), ("copy", grades.copy), ("delete", grades.delete)];
    let first = all[0].1.grade();
    if all.iter().all(|(_, powers)| powers.grade() == first) {
        return format!("{first:?}");
    }
    all.map(|(name, powers)| format!("{name} {:?}", powers.grade())).join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_trash_takes() {
        let check = |objects, held| room_in(&TrashStatus { objects, bytes: 4096, held });
        assert_eq!(check(0, 0), "");
        let some = check(3, 0);
        assert!(some.contains("holds 3 objects of 4096 bytes") && some.contains("undelete_days"), "{some}");
        assert!(!some.contains("--release"), "{some}");
        assert!(check(3, 2).contains("2 of them are held until: outlast undelete BUCKET --release"), "{}", check(3, 2));
    }
}
