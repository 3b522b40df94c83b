//! Promises that the code itself asserts, at the last moment before they would be broken (docs/PROMISES.md): a process that dies there
//! has acknowledged and destroyed nothing, and the next one resolves what was begun.

use outlast_rules::{KeyState, Moment, Trashed};

/// P1: `holders` stores with a safe copy, and the spool if it counts, are enough to say 200, and one of them is a store.
///
/// # Panics
/// They are not.
pub(crate) fn places(holders: usize, is_spooled: bool, min_copies: usize) {
    let places = holders + usize::from(is_spooled);
    assert!(holders > 0 && places >= min_copies, "P1: a 200 needs min_copies places, one a store");
}

/// P1, of a delete: its record stands on `stand` stores, or on one fewer where the ledger stands in.
///
/// # Panics
/// It does not.
pub(crate) fn record(stand: usize, stands_in: bool, min_copies: usize) {
    assert!(
        stand > 0 && stand + usize::from(stands_in) >= min_copies,
        "P1: a record needs min_copies places, one a store"
    );
}

/// P3: a body ends where it was said to end.
///
/// # Panics
/// More or fewer bytes have left.
pub(crate) fn whole_body(at: u64, end: u64) {
    assert!(at == end, "P3: a body of {end} bytes ended at {at}");
}

/// P6: a key is removed from a store only where the ledger knows no object under it.
///
/// # Panics
/// It does.
pub(crate) fn may_be_removed(state: &KeyState) {
    assert!(state.object().is_none(), "P6: nothing is removed while its entry is an object");
}

/// P6: what lies in the trash is let go only after its window.
///
/// # Panics
/// Its window is not over, or only somebody who releases it may end it.
pub(crate) fn is_over(trashed: &Trashed, now: Moment) {
    assert!(trashed.until.is_some_and(|until| until <= now), "P6: the trash keeps what is not over");
}
