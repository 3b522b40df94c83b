//! How many deletes are usual: above that they are still acknowledged, but nothing they displaced goes until a person says so.

use crate::Moment;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

/// An hour's deletes that nobody needs to hear of, before anything is learnt.
const AN_HOUR_DEFAULT: u64 = 1_000;
/// Nor of this share of a bucket: a tenth.
const SHARE_OF_BUCKET: u64 = 10;
/// What was usual may double before somebody is told.
const OVER_USUAL: u64 = 2;
/// Days that teach: two weeks hold every weekly job twice.
const DAYS_LEARNT: usize = 14;
const HOUR_MS: u64 = 3_600_000;
const DAY_MS: u64 = 24 * HOUR_MS;

/// Deletes of one user below one prefix of a bucket.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeleteBudget {
    /// Start of the hour that is counted.
    hour: Moment,
    spent: u64,
    /// What the bucket held when the hour began: deletes must not shrink their own limit, nor writes raise it.
    objects: u64,
    /// The busiest hour of each of the last days, oldest first. Hours above the budget teach nothing.
    peaks: VecDeque<(Moment, u64)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spent {
    Within,
    /// `first`: of this hour; that one raises the alert.
    Over {
        first: bool,
        spent: u64,
        limit: u64,
    },
}

impl DeleteBudget {
    /// One delete. `set`: the limit an hour that the configuration says; it counts instead of everything learnt.
    pub fn spend(&mut self, now: Moment, objects: u64, set: Option<u64>) -> Spent {
        let hour = Moment(now.0 - now.0 % HOUR_MS);
        // A clock that goes back begins no hour anew: the budget would be full again.
        if hour > self.hour {
            self.learn(set);
            (self.hour, self.spent, self.objects) = (hour, 0, objects);
        }
        let limit = self.limit(set);
        self.spent += 1;
        if self.spent <= limit {
            return Spent::Within;
        }
        Spent::Over { first: self.spent == limit + 1, spent: self.spent, limit }
    }

    /// Deletes an hour that are within the budget: the largest of the default, a tenth of the bucket, and twice what is usual.
    pub fn limit(&self, set: Option<u64>) -> u64 {
        let usual = self.peaks.iter().map(|(_, peak)| *peak).max().unwrap_or(0);
        set.unwrap_or_else(|| AN_HOUR_DEFAULT.max(self.objects / SHARE_OF_BUCKET).max(usual.saturating_mul(OVER_USUAL)))
    }

    /// Deletes of the hour that is counted.
    pub fn spent(&self) -> u64 {
        self.spent
    }

    /// When it was last spent from, to the hour.
    pub fn last(&self) -> Moment {
        self.hour
    }

    fn learn(&mut self, set: Option<u64>) {
        if self.spent == 0 || self.spent > self.limit(set) {
            return;
        }
        let day = Moment(self.hour.0 - self.hour.0 % DAY_MS);
        match self.peaks.back_mut().filter(|(of, _)| *of == day) {
            Some((_, peak)) => *peak = self.spent.max(*peak),
            None => self.peaks.push_back((day, self.spent)),
        }
        let first = Moment(day.0.saturating_sub((DAYS_LEARNT as u64 - 1) * DAY_MS));
        self.peaks.retain(|(of, _)| *of >= first);
    }
}

/// The part of a key below which deletes are counted together: up to its first slash.
pub fn prefix_of(key: &str) -> &str {
    key.find('/').map_or("", |end| &key[..=end])
}

#[cfg(test)]
mod tests {
    use super::*;

    const T: Moment = Moment(1_000 * DAY_MS);

    fn spend(budget: &mut DeleteBudget, at: Moment, times: u64, objects: u64) -> Option<u64> {
        let first = |spent| matches!(spent, Spent::Over { first: true, .. });
        (1..=times).filter(|_| first(budget.spend(at, objects, None))).count().try_into().ok().filter(|n| *n > 0)
    }

    #[test]
    fn a_thousand_or_a_tenth_before_anything_is_learnt() {
        for (objects, limit) in [(0, 1_000), (10_000, 1_000), (50_000, 5_000)] {
            let mut budget = DeleteBudget::default();
            assert_eq!(spend(&mut budget, T, limit, objects), None, "{objects}");
            assert_eq!(budget.spend(T, 0, None), Spent::Over { first: true, spent: limit + 1, limit });
            assert_eq!(budget.spend(T, 0, None), Spent::Over { first: false, spent: limit + 2, limit });
            assert_eq!(budget.spend(T.plus_ms(HOUR_MS), objects, None), Spent::Within, "the next hour is another");
        }
    }

    /// Every small history of hours: the limit never falls below the default, and an hour above it never raises it.
    #[test]
    fn learns_from_usual_hours_alone() {
        let hours = [0, 600, 900, 1_500];
        for history in 0..hours.len().pow(4) {
            let mut budget = DeleteBudget::default();
            let mut usual = 0;
            for i in 0..4_u32 {
                let spent = hours[history / hours.len().pow(i) % hours.len()];
                let limit = 1_000_u64.max(2 * usual);
                let over = spend(&mut budget, T.plus_ms(u64::from(i) * HOUR_MS), spent, 0);
                assert_eq!(over, (spent > limit).then_some(1), "{history} {i}");
                if spent <= limit {
                    usual = usual.max(spent);
                }
            }
            budget.spend(T.plus_ms(4 * HOUR_MS), 0, None);
            assert_eq!(budget.limit(None), 1_000_u64.max(2 * usual));
        }
    }

    #[test]
    fn forgets_after_two_weeks_and_is_not_fooled_by_the_clock() {
        let mut budget = DeleteBudget::default();
        spend(&mut budget, T, 900, 0);
        for day in 1..=20 {
            spend(&mut budget, T.plus_ms(day * DAY_MS), 1, 0);
            assert_eq!(budget.limit(None), if day <= 14 { 1_800 } else { 1_000 }, "{day}");
            assert!(budget.peaks.len() <= DAYS_LEARNT);
        }
        let end = T.plus_ms(30 * DAY_MS);
        assert_eq!(spend(&mut budget, end, 1_001, 0), Some(1));
        assert!(matches!(budget.spend(T, 0, None), Spent::Over { .. }), "a clock set back gives nothing back");
        assert_eq!(budget.spend(end, 0, Some(5_000)), Spent::Within, "what is set counts alone");
        assert!(matches!(budget.spend(end, 1_000_000, Some(0)), Spent::Over { .. }));
    }

    #[test]
    fn prefixes() {
        assert_eq!(["a", "a/b", "a/b/c", "/x", ""].map(prefix_of), ["", "a/", "a/", "/", ""]);
    }
}
