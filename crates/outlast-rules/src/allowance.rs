//! How much a store's scrub may read now: so many bytes and so much money a day, spread over the day.

use crate::Moment;
use serde::{Deserialize, Serialize};

const DAY_MS: u64 = 24 * 3_600_000;
/// An allowance that was not used is saved up for this long and no longer: after an outage nobody reads a week at once.
const SAVED_MS_MAX: u64 = 3_600_000;
const GIB: f64 = (1 << 30) as f64;

/// What an operator allows a day. None: no bound of this kind; both None: no deep scrub.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Allowed {
    pub bytes_a_day: Option<u64>,
    pub money_a_day: Option<f64>,
    /// What one request and one GiB cost there.
    pub read_price: f64,
    pub gib_price: f64,
}

impl Allowed {
    /// Bytes a day that both bounds leave, for objects of `mean_bytes`. None: nothing may be read.
    pub fn bytes_a_day(&self, mean_bytes: u64) -> Option<u64> {
        let by_bytes = self.bytes_a_day.filter(|bytes| *bytes > 0);
        let by_money = match self.money_a_day {
            None => None,
            Some(money) => {
                let mean = mean_bytes.max(1) as f64;
                let price = self.read_price / mean + self.gib_price / GIB;
                // Where reading costs nothing, money is no bound.
                Some(if price > 0.0 { (money / price) as u64 } else { u64::MAX })
            }
        };
        match (by_bytes, by_money) {
            (None, None) => None,
            (bytes, money) => bytes.into_iter().chain(money).min().filter(|bytes| *bytes > 0 && *bytes < u64::MAX),
        }
    }
}

/// A store's account: filled by time, emptied by reading. It may be overdrawn by one object, and is waited for then.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Account {
    at: Moment,
    /// Thousandths of a byte: slow allowances add up too.
    balance: i64,
}

impl Account {
    /// Milliseconds until the next object may be read; 0: now.
    pub fn wait_ms(&mut self, now: Moment, bytes_a_day: u64) -> u64 {
        let a_day = i128::from(bytes_a_day.max(1));
        let most = a_day * i128::from(SAVED_MS_MAX) * 1_000 / i128::from(DAY_MS);
        let passed = i128::from(now.since_ms(self.at).min(DAY_MS));
        let filled = i128::from(self.balance) + passed * a_day * 1_000 / i128::from(DAY_MS);
        self.at = now;
        self.balance = i64::try_from(filled.min(most)).unwrap_or(i64::MAX);
        if self.balance >= 0 {
            return 0;
        }
        let missing = -i128::from(self.balance);
        u64::try_from(missing * i128::from(DAY_MS) / (a_day * 1_000) + 1).unwrap_or(DAY_MS).min(DAY_MS)
    }

    pub fn spend(&mut self, bytes: u64) {
        let spent = i64::try_from(bytes).unwrap_or(i64::MAX).saturating_mul(1_000);
        self.balance = self.balance.saturating_sub(spent);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tighter_bound_counts() {
        let check = |bytes, money, read, gib, mean| {
            let allowed = Allowed { bytes_a_day: bytes, money_a_day: money, read_price: read, gib_price: gib };
            allowed.bytes_a_day(mean)
        };
        assert_eq!(check(None, None, 0.0, 0.0, 1), None);
        assert_eq!(check(Some(0), None, 0.0, 0.0, 1), None);
        assert_eq!(check(Some(1_000), None, 9.0, 9.0, 1), Some(1_000));
        assert_eq!(check(Some(1_000), Some(0.0), 1.0, 0.0, 10), None, "no money, no reading");
        assert_eq!(check(Some(1_000), Some(5.0), 1.0, 0.0, 10), Some(50), "five requests of ten bytes");
        assert_eq!(check(None, Some(2.0), 0.0, 1.0, 10), Some(2 << 30));
        assert_eq!(check(Some(1_000), Some(5.0), 0.0, 0.0, 10), Some(1_000), "where it costs nothing, bytes count");
        assert_eq!(check(None, Some(5.0), 0.0, 0.0, 10), None, "and without these nobody said how much");
    }

    /// Sizes, allowances and pauses: over a day no more is read than allowed, one object and one saved hour excepted, and not
    /// much less.
    #[test]
    fn a_day_reads_what_it_may() {
        for a_day in [1, 1_000, 86_400_000, 1 << 40] {
            for size in [1, 999, 1 << 20, 1 << 33] {
                let (mut account, mut now, mut read) = (Account::default(), Moment(0), 0_u128);
                let mut objects = 0;
                while now.0 < DAY_MS && objects < 5_000 {
                    let wait = account.wait_ms(now, a_day);
                    now = now.plus_ms(wait);
                    if wait == 0 {
                        account.spend(size);
                        read += u128::from(size);
                        objects += 1;
                    }
                }
                let most = u128::from(a_day) * u128::from(now.0 + SAVED_MS_MAX) / u128::from(DAY_MS);
                assert!(read <= most + u128::from(size) * 2, "{a_day} {size}: {read} in {}", now.0);
                if objects < 5_000 {
                    assert!(read + u128::from(size) >= u128::from(a_day), "{a_day} {size}: only {read}");
                }
            }
        }
    }

    #[test]
    fn nothing_is_saved_up_for_long() {
        let mut account = Account::default();
        account.wait_ms(Moment(100 * DAY_MS), 24_000);
        account.spend(1_001);
        assert!(account.wait_ms(Moment(100 * DAY_MS), 24_000) > 0, "an hour's worth, not a hundred days'");
        let before = account;
        account.wait_ms(Moment(0), 24_000);
        assert!(account.balance <= before.balance, "a clock set back gives nothing");
    }
}
