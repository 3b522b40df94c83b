//! Waits for what a test waits for, looks often, and gives up after a bound: nothing here guesses a time.

use std::time::{Duration, Instant};

/// Often enough not to be what a test takes its time for.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// Until it is so; panics with these words after `bound`.
pub fn until(bound: Duration, what: &str, mut is_so: impl FnMut() -> bool) {
    until_ok(bound, || if is_so() { Ok(()) } else { Err(what.to_owned()) });
}

/// Until it succeeds; panics with its last words after `bound`.
pub fn until_ok<T>(bound: Duration, mut ask: impl FnMut() -> Result<T, String>) -> T {
    let begun = Instant::now();
    loop {
        match ask() {
            Ok(value) => return value,
            Err(why) => assert!(begun.elapsed() < bound, "not after {bound:?}: {why}"),
        }
        std::thread::park_timeout(LOOK_AGAIN);
    }
}
