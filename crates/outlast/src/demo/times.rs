//! When what happens, as shares of how long the load runs.

use std::time::Duration;

/// The load of a demo that is watched: long enough to read along, the whole under a minute.
pub const LOAD_DEFAULT: Duration = Duration::from_secs(28);

/// Moments since the load began.
#[derive(Debug, Clone, Copy)]
pub struct Times {
    /// The long download and the long upload begin.
    pub long: Duration,
    /// How long each of them takes when nothing goes wrong.
    pub long_takes: Duration,
    /// The store stops answering.
    pub stall: Duration,
    /// The store is killed: what was on its way breaks off, what comes after is refused. Not before its silence was noticed.
    pub kill: Duration,
    /// It is killed by then, noticed or not.
    pub kill_latest: Duration,
    /// It is back.
    pub back: Duration,
    /// The load ends.
    pub end: Duration,
}

impl Times {
    pub fn of(load: Duration) -> Times {
        let share = |percent: u32| load * percent / 100;
        Times {
            long: share(9),
            long_takes: share(30),
            stall: share(18),
            kill: share(34),
            kill_latest: share(52),
            back: share(61),
            end: load,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_store_dies_in_the_middle_of_both_and_stays_away_for_twelve_seconds() {
        let times = Times::of(LOAD_DEFAULT);
        let middle = times.long + times.long_takes / 2;
        assert!(times.stall < middle && times.stall > times.long + times.long_takes / 4, "{times:?}");
        assert!(times.long + times.long_takes < times.back);
        assert_eq!((times.back - times.stall).as_secs(), 12);
        assert!(times.kill < times.kill_latest && times.kill_latest < times.back && times.back < times.end);
    }
}
