//! Buckets that the ledger does not know are looked for on the stores: bounded, once for all who ask, and not again at once.

use crate::engine::Engine;
use crate::native_bucket::holds_objects;
use crate::seats::Seat;
use outlast_ledger::{Bucket, BucketState};
use outlast_rules::{BucketName, Moment, OpClass, StoreName};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::watch;

/// A request that names an unknown bucket does not wait longer than this for the stores.
const FOUND_DEADLINE: Duration = Duration::from_secs(1);
/// A name that was not found is not looked for again within this time.
const LOOK_EVERY_MS: u64 = 30_000;
/// More names than anybody mistypes in half a minute; beyond it nobody is asked.
const NAMES_MAX: usize = 1_000;
/// Nobody waits for it; an account may have thousands of buckets.
const NAMES_DEADLINE: Duration = Duration::from_secs(10);
/// Names of others' buckets that are kept per store, under 100 bytes each; a store with more is one that is not known.
const STRANGERS_MAX: usize = 10_000;

/// Ok: no store has it, or it is known by now. Err: nobody can say; in words.
type Found = Result<(), String>;

/// The names that were asked for lately.
#[derive(Default)]
pub(crate) struct Unknown(Mutex<BTreeMap<BucketName, Asked>>);

struct Asked {
    at: Moment,
    /// None until the look has ended.
    end: watch::Receiver<Option<Found>>,
}

enum Ask {
    /// The caller looks; what it finds is sent to all who wait.
    Look(watch::Sender<Option<Found>>),
    /// Somebody looks already.
    Wait(watch::Receiver<Option<Found>>),
    /// It was looked for lately, and no store had it.
    Absent,
    TooMany,
}

impl Unknown {
    fn ask(&self, name: &BucketName, now: Moment) -> Ask {
        let mut asked = self.0.lock().expect("no code panics while it holds the table of names");
        // What ended without an answer, or with one that says nothing, is asked again.
        asked.retain(|_, look| {
            let looks = look.end.borrow().is_none() && look.end.has_changed().is_ok();
            looks || (now.since_ms(look.at) < LOOK_EVERY_MS && matches!(*look.end.borrow(), Some(Ok(()))))
        });
        if let Some(look) = asked.get(name) {
            return if look.end.borrow().is_some() { Ask::Absent } else { Ask::Wait(look.end.clone()) };
        }
        if asked.len() >= NAMES_MAX {
            return Ask::TooMany;
        }
        let (tell, end) = watch::channel(None);
        asked.insert(name.clone(), Asked { at: now, end });
        Ask::Look(tell)
    }
}

/// Buckets of one store that the ledger does not know, as of the last time that it was asked; None: it never was.
#[derive(Default)]
pub(crate) struct Strangers(Mutex<Option<BTreeSet<BucketName>>>);

impl Strangers {
    fn set(&self, names: Option<BTreeSet<BucketName>>) {
        *self.0.lock().expect("no code panics while it holds the names") = names;
    }

    pub fn forget(&self) {
        self.set(None);
    }

    fn are_known(&self) -> bool {
        self.0.lock().expect("no code panics while it holds the names").is_some()
    }

    /// May a bucket of this name lie there, as far as anybody knows?
    fn may_have(&self, name: &BucketName) -> bool {
        let names = self.0.lock().expect("no code panics while it holds the names");
        names.as_ref().is_none_or(|names| names.contains(name))
    }
}

impl Engine {
    /// A bucket that the ledger does not know may lie full on a store: then it is 503 until it is adopted, never 404. Where a
    /// store that may have it cannot be asked nobody knows: the words say so.
    pub(crate) async fn look_for_unknown(self: &Arc<Self>, name: &BucketName) -> Found {
        while self.cached_bucket(name).is_none() && self.claimed_by_another(name).is_none() {
            let mut end = match self.unknown.ask(name, self.now()) {
                Ask::Absent => return Ok(()),
                Ask::TooMany => return self.recall_unknown(name),
                Ask::Wait(end) => end,
                Ask::Look(tell) => {
                    let found = self.look_on_stores(name).await;
                    tell.send_replace(Some(found.clone()));
                    return found;
                }
            };
            // Dropped without an end: its client went away. Somebody else looks then.
            if let Ok(found) = end.wait_for(Option::is_some).await {
                return found.clone().expect("waited for");
            }
        }
        Ok(())
    }

    async fn look_on_stores(self: &Arc<Self>, name: &BucketName) -> Found {
        let looks = self.seats_of(name).into_iter().map(|seat| {
            let native = seat.names.native(name);
            async move {
                let found = holds_objects(&seat, &native, FOUND_DEADLINE).await;
                (seat, found)
            }
        });
        let looks = futures_util::future::join_all(looks).await;
        let holds = looks.iter().filter(|(_, found)| matches!(found, Ok(true)));
        let on: Vec<StoreName> = holds.map(|(seat, _)| seat.name.clone()).collect();
        if !on.is_empty() {
            let bucket =
                Bucket { name: name.clone(), created: self.now(), incarnation: 0, state: BucketState::Found { on } };
            self.cache_bucket(name, Some(bucket));
            return Ok(());
        }
        let why: Vec<String> = looks.iter().filter_map(|(_, found)| Some(found.as_ref().err()?.to_string())).collect();
        let nobody = why.len() == looks.len();
        let open = looks.iter().any(|(seat, found)| found.is_err() && seat.strangers.may_have(name));
        if nobody || open { Err(not_known(name, &why.join("; "))) } else { Ok(()) }
    }

    /// Without asking anybody: as of the last time that each store was.
    fn recall_unknown(&self, name: &BucketName) -> Found {
        let seats = self.seats_of(name);
        let may_have = seats.iter().find(|seat| seat.strangers.may_have(name));
        let why = |seat: &Arc<Seat>| format!("{}: too many unknown names are asked for at once", seat.name);
        may_have.map_or(Ok(()), |seat| Err(not_known(name, &why(seat))))
    }

    /// What else lies on a store that is well, for the time when it cannot be asked.
    pub(crate) async fn learn_strangers(self: &Arc<Self>, seat: &Arc<Seat>) {
        if seat.strangers.are_known() {
            return;
        }
        let natives = match seat.within(OpClass::List, NAMES_DEADLINE, "list buckets", seat.store.list_buckets()).await
        {
            Ok(natives) => natives,
            Err(error) => {
                tracing::debug!("{error}: not known which other buckets it has");
                return;
            }
        };
        let clients = natives.iter().filter_map(|native| seat.names.client(native));
        let strangers: BTreeSet<BucketName> = clients.filter(|name| self.cached_bucket(name).is_none()).collect();
        seat.strangers.set(Some(strangers).filter(|names| names.len() <= STRANGERS_MAX));
    }
}

fn not_known(name: &BucketName, why: &str) -> String {
    format!("the bucket {name} is not known here, and not every store could be asked whether it has it: {why}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(i: usize) -> BucketName {
        BucketName::parse(&format!("bucket-{i}")).unwrap()
    }

    /// A look begins; `ends` with an answer, or is dropped.
    fn look(unknown: &Unknown, i: usize, now: u64, ends: Option<Found>) -> bool {
        match unknown.ask(&name(i), Moment(now)) {
            Ask::Look(tell) => {
                if let Some(end) = ends {
                    tell.send_replace(Some(end));
                }
                true
            }
            _ => false,
        }
    }

    #[test]
    fn asks_once_and_stays_bounded() {
        let unknown = Unknown::default();
        assert!(look(&unknown, 0, 0, Some(Ok(()))));
        assert!(!look(&unknown, 0, LOOK_EVERY_MS - 1, None));
        assert!(look(&unknown, 0, LOOK_EVERY_MS, Some(Ok(()))));
        let asked = (1..2 * NAMES_MAX).filter(|i| look(&unknown, *i, LOOK_EVERY_MS, Some(Ok(())))).count();
        assert_eq!(asked, NAMES_MAX - 1);
        assert!(matches!(unknown.ask(&name(5_000), Moment(LOOK_EVERY_MS)), Ask::TooMany));
    }

    #[test]
    fn what_says_nothing_is_asked_again_and_who_comes_meanwhile_waits() {
        let unknown = Unknown::default();
        assert!(look(&unknown, 0, 0, Some(Err("nobody answers".into()))));
        assert!(look(&unknown, 0, 1, None));
        let Ask::Look(tell) = unknown.ask(&name(0), Moment(2)) else { panic!("the look before it was dropped") };
        let Ask::Wait(end) = unknown.ask(&name(0), Moment(2 + LOOK_EVERY_MS)) else { panic!("a look is on its way") };
        tell.send_replace(Some(Ok(())));
        assert_eq!(*end.borrow(), Some(Ok(())));
    }

    #[test]
    fn a_store_that_was_never_asked_may_have_anything() {
        let strangers = Strangers::default();
        assert!(strangers.may_have(&name(0)));
        strangers.set(Some(BTreeSet::from([name(1)])));
        assert!(!strangers.may_have(&name(0)) && strangers.may_have(&name(1)));
        strangers.forget();
        assert!(strangers.may_have(&name(0)));
    }
}
