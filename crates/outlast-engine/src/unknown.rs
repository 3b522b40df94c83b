//! Names of buckets that the ledger does not know: which are being looked for, and what else lies on each store.

use outlast_rules::{BucketName, Moment};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard};
use tokio::sync::watch;

/// A name that was not found is not looked for again within this time.
const LOOK_EVERY_MS: u64 = 30_000;
/// More names than anybody mistypes in half a minute; beyond it nobody is asked.
const NAMES_MAX: usize = 1_000;

/// Ok: no store has it, or it is known by now. Err: nobody can say; in words.
pub(crate) type Found = Result<(), String>;

/// The names that were asked for lately.
#[derive(Default)]
pub(crate) struct Unknown(Mutex<BTreeMap<BucketName, Asked>>);

struct Asked {
    at: Moment,
    /// None until the look has ended.
    end: watch::Receiver<Option<Found>>,
}

pub(crate) enum Ask {
    /// The caller looks; what it finds is sent to all who wait.
    Look(watch::Sender<Option<Found>>),
    /// Somebody looks already.
    Wait(watch::Receiver<Option<Found>>),
    /// It was looked for lately, and no store had it.
    Absent,
    TooMany,
}

impl Unknown {
    pub fn ask(&self, name: &BucketName, now: Moment) -> Ask {
        let mut asked = self.0.lock().expect("no code panics while it holds the table of names");
        // What ended without an answer, or with one that says nothing, is asked again.
        let counts = |look: &Asked| {
            let looks = look.end.borrow().is_none() && look.end.has_changed().is_ok();
            looks || (now.since_ms(look.at) < LOOK_EVERY_MS && matches!(*look.end.borrow(), Some(Ok(()))))
        };
        if let Some(look) = asked.get(name).filter(|look| counts(look)) {
            return if look.end.borrow().is_some() { Ask::Absent } else { Ask::Wait(look.end.clone()) };
        }
        asked.retain(|_, look| counts(look));
        if asked.len() >= NAMES_MAX {
            return Ask::TooMany;
        }
        let (tell, end) = watch::channel(None);
        asked.insert(name.clone(), Asked { at: now, end });
        Ask::Look(tell)
    }
}

/// Buckets of one store that the ledger does not know, as of the last time that it was well.
#[derive(Default)]
pub(crate) struct Strangers(Mutex<Lately>);

#[derive(Default)]
enum Lately {
    #[default]
    NotAsked,
    /// It does not tell, or has more than are kept.
    NotTold,
    Told(BTreeSet<BucketName>),
}

impl Strangers {
    /// None: it was asked in vain.
    pub fn learn(&self, names: Option<BTreeSet<BucketName>>) {
        self.set(names.map_or(Lately::NotTold, Lately::Told));
    }

    /// It is to be asked again.
    pub fn forget(&self) {
        self.set(Lately::NotAsked);
    }

    pub fn were_asked_for(&self) -> bool {
        !matches!(*self.lock(), Lately::NotAsked)
    }

    /// May a bucket of this name lie there, as far as anybody knows?
    pub fn may_have(&self, name: &BucketName) -> bool {
        match &*self.lock() {
            Lately::Told(names) => names.contains(name),
            Lately::NotAsked | Lately::NotTold => true,
        }
    }

    fn set(&self, lately: Lately) {
        *self.lock() = lately;
    }

    fn lock(&self) -> MutexGuard<'_, Lately> {
        self.0.lock().expect("no code panics while it holds the names")
    }
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
        strangers.learn(Some(BTreeSet::from([name(1)])));
        assert!(!strangers.may_have(&name(0)) && strangers.may_have(&name(1)));
        strangers.forget();
        assert!(strangers.may_have(&name(0)) && !strangers.were_asked_for());
        strangers.learn(None);
        assert!(strangers.may_have(&name(0)) && strangers.were_asked_for());
    }
}
