//! Buckets that the ledger does not know are looked for on the stores: bounded, and not again at once.

use outlast_rules::{BucketName, Moment};
use std::collections::BTreeMap;
use std::sync::Mutex;

/// A name that was not found is not looked for again within this time.
const LOOK_EVERY_MS: u64 = 30_000;
/// More names than anybody mistypes in half a minute; beyond it the oldest are forgotten.
const NAMES_MAX: usize = 1_000;

#[derive(Default)]
pub(crate) struct Unknown(Mutex<BTreeMap<BucketName, Moment>>);

impl Unknown {
    /// Nobody answered: the next request asks again.
    pub fn forget(&self, name: &BucketName) {
        self.0.lock().expect("no code panics while it holds the table of names").remove(name);
    }

    /// Is it worth asking the stores about this name now? Asking counts as asked.
    pub fn may_look(&self, name: &BucketName, now: Moment) -> bool {
        let mut asked = self.0.lock().expect("no code panics while it holds the table of names");
        if asked.get(name).is_some_and(|at| now.since_ms(*at) < LOOK_EVERY_MS) {
            return false;
        }
        asked.retain(|_, at| now.since_ms(*at) < LOOK_EVERY_MS);
        if asked.len() >= NAMES_MAX {
            return false;
        }
        asked.insert(name.clone(), now);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn asks_once_and_stays_bounded() {
        let unknown = Unknown::default();
        let name = |i: usize| BucketName::parse(&format!("bucket-{i}")).unwrap();
        assert!(unknown.may_look(&name(0), Moment(0)));
        assert!(!unknown.may_look(&name(0), Moment(LOOK_EVERY_MS - 1)));
        assert!(unknown.may_look(&name(0), Moment(LOOK_EVERY_MS)));
        let asked = (1..2 * NAMES_MAX).filter(|i| unknown.may_look(&name(*i), Moment(LOOK_EVERY_MS))).count();
        assert_eq!(asked, NAMES_MAX - 1);
    }
}
