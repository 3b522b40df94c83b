//! What becomes of an undecided write (protocol.md 2.7): forward where it can be, back only when it is certainly nowhere.

use crate::{Mutant, Pin, Placement, StoreName, broken};
use std::collections::BTreeMap;

/// What one store showed under the key just now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreView {
    /// A right copy of the undecided write.
    New { pin: Pin, safe: bool },
    /// A right copy of the old entry (or its right absence, when the old entry is none or a tombstone).
    Old { safe: bool },
    /// Anything else.
    Other,
    /// No answer, or not asked.
    Silent,
}

/// Everything that the decision rests on.
#[derive(Debug, Clone)]
pub struct Known<'a> {
    pub placement: &'a Placement,
    pub views: BTreeMap<StoreName, StoreView>,
    /// The fsynced spool holds the undecided body.
    pub spooled: bool,
    /// Is there an old entry with bytes to lose?
    pub old_is_object: bool,
    /// The spool holds the old entry's body.
    pub old_spooled: bool,
    /// A call of any write for this key may still apply somewhere.
    pub marks_left: bool,
    /// A native upload still has all its parts.
    pub completable: bool,
    /// Stores that may get a copy now: they answered, and the new copy would be safe there.
    pub open_to_new: Vec<StoreName>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Resolution {
    /// (a) It stands on `min_copies` safe places.
    Commit { holders: BTreeMap<StoreName, Pin> },
    /// (b) Its bytes are readable: copy them there, then judge again.
    Forward { to: Vec<StoreName> },
    /// (c) Nowhere: remove the intent; every one of these stores is owed a look.
    RollBack { looks: Vec<StoreName> },
    /// (d) No holder of the old entry answers: commit below `min_copies`, predecessors kept.
    CommitBelow { holders: BTreeMap<StoreName, Pin> },
    /// (e) Try again on a store's return, a second look, a read miss or a write.
    Wait,
}

/// Decides for the newest undecided write of a key. Deletes are not resolved here: they go forward by their records.
pub fn resolve(known: &Known<'_>) -> Resolution {
    let safe_new: BTreeMap<StoreName, Pin> = known
        .views
        .iter()
        .filter_map(|(name, view)| match view {
            StoreView::New { pin, safe: true } => Some((name.clone(), pin.clone())),
            _ => None,
        })
        .collect();
    let spool = usize::from(known.spooled);
    let min_copies = if broken(Mutant::DecidedOnOnePlace) { 1 } else { known.placement.min_copies };
    if !safe_new.is_empty() && safe_new.len() + spool >= min_copies {
        return Resolution::Commit { holders: safe_new };
    }
    let back_first = broken(Mutant::BackBeforeForward) && known.old_is_object;
    let on_a_store = !back_first && known.views.values().any(|view| matches!(view, StoreView::New { .. }));
    let readable = on_a_store || (!back_first && (known.spooled || known.completable));
    let to: Vec<StoreName> = known
        .open_to_new
        .iter()
        .filter(|name| !matches!(known.views.get(name), Some(StoreView::New { .. } | StoreView::Silent) | None))
        .cloned()
        .collect();
    if readable && !to.is_empty() {
        return Resolution::Forward { to };
    }
    let old_answers = broken(Mutant::BelowWithoutNeed).then_some(false);
    let old_answers = old_answers
        .unwrap_or(known.old_spooled || known.views.values().any(|view| matches!(view, StoreView::Old { .. })));
    if readable && known.old_is_object && !old_answers && !safe_new.is_empty() {
        return Resolution::CommitBelow { holders: safe_new };
    }
    if readable {
        return Resolution::Wait;
    }
    let old_safe = known.views.values().filter(|view| **view == StoreView::Old { safe: true }).count();
    let old_stands = known.old_is_object && old_safe + usize::from(known.old_spooled) >= min_copies && old_safe >= 1;
    let all_answered = known.views.values().all(|view| *view != StoreView::Silent);
    let marks_left = known.marks_left && !broken(Mutant::BackUnderMarks);
    if old_stands || (all_answered && !marks_left) {
        let looks = known.views.iter().filter(|(_, view)| !matches!(view, StoreView::Old { .. }));
        return Resolution::RollBack { looks: looks.map(|(name, _)| name.clone()).collect() };
    }
    Resolution::Wait
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(i: usize) -> StoreName {
        StoreName::parse(&format!("s{i}")).unwrap()
    }

    fn pin() -> Pin {
        Pin { etag: "e".into(), version: None }
    }

    /// Every view of three stores, spool, marks and old entry: the promises that rule 2.7 owes.
    #[test]
    fn every_small_world() {
        let views = [
            StoreView::New { pin: pin(), safe: true },
            StoreView::New { pin: pin(), safe: false },
            StoreView::Old { safe: true },
            StoreView::Old { safe: false },
            StoreView::Other,
            StoreView::Silent,
        ];
        let placement = Placement { stores: (0..3).map(name).collect(), min_copies: 2, spool_counts: true };
        for world in 0..views.len().pow(3) {
            let seen: Vec<StoreView> =
                (0..3).map(|i| views[world / views.len().pow(i) % views.len()].clone()).collect();
            for bits in 0..32 {
                let bit = |n: u32| bits >> n & 1 == 1;
                let open = |i: &usize| bit(4) && !matches!(seen[*i], StoreView::Silent);
                let known = Known {
                    placement: &placement,
                    views: seen.iter().cloned().enumerate().map(|(i, view)| (name(i), view)).collect(),
                    spooled: bit(0),
                    old_is_object: bit(1),
                    old_spooled: bit(1) && bit(2),
                    marks_left: bit(3),
                    completable: false,
                    open_to_new: (0..3).filter(open).map(name).collect(),
                };
                check(&known, &seen);
            }
        }
    }

    fn check(known: &Known<'_>, seen: &[StoreView]) {
        let new_anywhere = known.spooled || seen.iter().any(|v| matches!(v, StoreView::New { .. }));
        let safe_new = seen.iter().filter(|v| matches!(v, StoreView::New { safe: true, .. })).count();
        match resolve(known) {
            Resolution::Commit { holders } => {
                assert_eq!(holders.len(), safe_new);
                assert!(safe_new >= 1 && safe_new + usize::from(known.spooled) >= 2, "P1: {known:?}");
            }
            Resolution::Forward { to } => {
                assert!(new_anywhere && !to.is_empty());
                assert!(to.iter().all(|name| known.open_to_new.contains(name)));
            }
            Resolution::RollBack { looks } => {
                assert!(!new_anywhere, "bytes of an undecided write are never thrown away: {known:?}");
                assert!(seen.iter().all(|v| *v != StoreView::Silent) || known.old_is_object);
                for (i, view) in seen.iter().enumerate() {
                    let old = matches!(view, StoreView::Old { .. });
                    assert_eq!(
                        looks.contains(&name(i)),
                        !old,
                        "every store not seen with the old entry is owed a look"
                    );
                }
            }
            Resolution::CommitBelow { holders } => {
                assert!(known.old_is_object && !known.old_spooled && !holders.is_empty());
                assert!(
                    !seen.iter().any(|v| matches!(v, StoreView::Old { .. })),
                    "the old entry still answers: {known:?}"
                );
            }
            Resolution::Wait => {
                let all_back = seen.iter().all(|v| *v != StoreView::Silent) && !known.marks_left && !new_anywhere;
                assert!(!all_back, "nothing left to wait for: {known:?}");
            }
        }
    }
}
