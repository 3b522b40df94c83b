//! A store leaves: which stores take copies without it, what must lie elsewhere first, and how many objects are at risk.

use crate::{Placement, StoreName};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// How far a store is on its way out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Departure {
    /// It gets no new copies, and is read, and is told of deletes.
    Draining,
    /// Nothing is read from it, written to it or owed to it.
    Removed,
}

/// What a placement is without the stores that leave. Fewer places than are left can't be asked for: then each write needs all
/// that are left, which is what somebody accepted who let the store go. No stores left: nothing can be written.
pub fn placement_without(placement: &Placement, leaves: impl Fn(&StoreName) -> bool) -> Placement {
    let stores: Vec<StoreName> = placement.stores.iter().filter(|store| !leaves(store)).cloned().collect();
    let min_copies = placement.min_copies.min(stores.len().max(1));
    Placement { stores, min_copies, ..placement.clone() }
}

/// Where one object of a leaving store lies otherwise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Elsewhere {
    /// Copies that count: on stores that stay, safe, and owed nothing.
    pub copies: usize,
    /// Copies there will be when all that is owed is paid.
    pub reach: usize,
    /// Stores that stay and have none.
    pub lacking: Vec<StoreName>,
}

/// `staying`: the stores of the placement that stay. `holders`: stores with a copy; `counted`: those whose copy counts.
pub fn elsewhere(staying: &[StoreName], holders: &BTreeSet<StoreName>, counted: &BTreeSet<StoreName>) -> Elsewhere {
    Elsewhere {
        copies: staying.iter().filter(|store| counted.contains(*store)).count(),
        reach: staying.len(),
        lacking: staying.iter().filter(|store| !holders.contains(*store)).cloned().collect(),
    }
}

impl Elsewhere {
    /// Without the leaving store it would have fewer copies than `floor` now, however many it may get.
    pub fn is_at_risk(&self, floor: usize) -> bool {
        self.copies < floor
    }

    /// It can't have `floor` copies any more: there are too few stores.
    pub fn stays_at_risk(&self, floor: usize) -> bool {
        self.reach < floor
    }

    /// The leaving store has the only copy that counts.
    pub fn is_last(&self) -> bool {
        self.copies == 0
    }

    /// As many copies lie elsewhere as can be asked for: nothing keeps the store for this object.
    pub fn is_moved(&self, floor: usize) -> bool {
        self.copies >= floor.min(self.reach).max(1)
    }
}

/// Going below the floor takes the very number of objects that it is about: whoever says it has read it.
pub fn may_leave(at_risk: u64, accepted: Option<u64>) -> bool {
    at_risk == 0 || accepted == Some(at_risk)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(list: &[&str]) -> Vec<StoreName> {
        list.iter().map(|name| StoreName::parse(name).unwrap()).collect()
    }

    fn set(list: &[&str]) -> BTreeSet<StoreName> {
        names(list).into_iter().collect()
    }

    #[test]
    fn a_placement_without_some_of_its_stores() {
        let placement = Placement { stores: names(&["a", "b", "c"]), min_copies: 2, spool_counts: true };
        let without = |gone: &[&str]| {
            let left = placement_without(&placement, |store| set(gone).contains(store));
            (left.stores.iter().map(|s| s.to_string()).collect::<Vec<_>>().join(" "), left.min_copies)
        };
        assert_eq!(without(&[]), ("a b c".to_owned(), 2));
        assert_eq!(without(&["b"]), ("a c".to_owned(), 2));
        assert_eq!(without(&["b", "c"]), ("a".to_owned(), 1), "no more places are asked for than there are stores");
        assert_eq!(without(&["a", "b", "c"]), (String::new(), 1), "and never none at all");
    }

    /// Every set of holders and of copies that count on three stores that stay, for every floor.
    #[test]
    fn small_world() {
        let all = ["a", "b", "c"];
        let subsets = |of: &[&'static str]| -> Vec<Vec<&'static str>> {
            (0..1 << of.len())
                .map(|bits| of.iter().enumerate().filter(|(i, _)| bits >> i & 1 == 1).map(|(_, s)| *s).collect())
                .collect()
        };
        for staying in subsets(&all) {
            for holders in subsets(&all) {
                for counted in subsets(&holders) {
                    for floor in 1..=3 {
                        let found = elsewhere(&names(&staying), &set(&holders), &set(&counted));
                        let copies = counted.iter().filter(|store| staying.contains(store)).count();
                        let case = format!("{staying:?} {holders:?} {counted:?} {floor}");
                        assert_eq!(found.copies, copies, "{case}");
                        assert_eq!(found.is_at_risk(floor), copies < floor, "{case}");
                        assert_eq!(found.stays_at_risk(floor), staying.len() < floor, "{case}");
                        assert_eq!(found.is_last(), copies == 0, "{case}");
                        if found.is_moved(floor) {
                            assert!(copies >= 1, "nothing is moved that lies nowhere else: {case}");
                            assert!(!found.is_at_risk(floor) || found.stays_at_risk(floor), "{case}");
                        }
                        assert!(
                            found
                                .lacking
                                .iter()
                                .all(|s| staying.contains(&s.as_str()) && !holders.contains(&s.as_str()))
                        );
                        assert_eq!(found.lacking.len(), staying.iter().filter(|s| !holders.contains(s)).count());
                    }
                }
            }
        }
    }

    #[test]
    fn only_the_very_number_is_an_answer() {
        assert!(may_leave(0, None) && may_leave(0, Some(7)));
        assert!(!may_leave(3, None));
        assert!(may_leave(3, Some(3)));
        assert!(!may_leave(3, Some(2)) && !may_leave(3, Some(4)) && !may_leave(3, Some(0)));
    }
}
