//! Promises that the code itself asserts, at the last moment before they would be broken (docs/PROMISES.md): a task that ends there has
//! acknowledged and destroyed nothing, and what it had begun is resolved later.

use outlast_rules::KeyState;

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

/// P6: a key is removed from a store only where the ledger knows no object under it.
///
/// # Panics
/// It does.
pub(crate) fn may_be_removed(state: &KeyState) {
    assert!(state.object().is_none(), "P6: nothing is removed while its entry is an object");
}
