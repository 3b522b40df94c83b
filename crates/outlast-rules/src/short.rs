//! When is a list so short that the store itself is in doubt, and not one copy or another?

/// Fewer are mended one by one: somebody removed a folder, and what is owed shows it.
pub const SHORT_MIN: u64 = 100;
/// One in so many objects that should be there; less happens to stores that are well (protocol.md gives no figure).
pub const SHORT_SHARE: u64 = 10;

/// `missing` of the `held` objects that a store is known to hold are not in its list.
pub fn is_suddenly_short(missing: u64, held: u64) -> bool {
    missing >= SHORT_MIN && missing.saturating_mul(SHORT_SHARE) > held
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_and_a_large_share() {
        for (missing, held, expected) in [
            (0, 0, false),
            (99, 99, false),
            (100, 100, true),
            (100, 999, true),
            (100, 1_000, false),
            (101, 1_000, true),
            (100_000, 1_000_000, false),
        ] {
            assert_eq!(is_suddenly_short(missing, held), expected, "{missing} of {held}");
        }
    }
}
