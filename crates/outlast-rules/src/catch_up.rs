//! What does a returning store get first, how fast, and when is it done?

use crate::{Debt, DebtKind, Fault, Moment};
use std::collections::VecDeque;

/// First pause when even one call at a time is too much; doubled with each further refusal.
const PAUSE_MS_MIN: u64 = 500;
/// Longest pause: a throttled store is asked about four times a minute.
const PAUSE_MS_MAX: u64 = 16_000;
/// Doublings from the first pause past the longest.
const PAUSE_DOUBLINGS: u32 = 6;

/// How many debts of one store are paid at once: one more for each round that went well, half when the store groans.
#[derive(Debug, Clone)]
pub struct Pace {
    max: usize,
    width: usize,
    /// Answers of this round that went well.
    well: usize,
    /// Calls begun before the last cut that have not answered: they tell of the old width, not of this one.
    stale: usize,
    refused: u32,
}

impl Pace {
    /// A returning store starts with one call at a time. `max` of 0 counts as 1.
    pub fn new(max: usize) -> Pace {
        Pace { max: max.max(1), width: 1, well: 0, stale: 0, refused: 0 }
    }

    /// Calls that may be out at once, 1 to `max`.
    pub fn width(&self) -> usize {
        self.width
    }

    /// A debt was paid, or the store gave another good answer.
    pub fn went_well(&mut self) {
        self.refused = 0;
        if self.stale > 0 {
            self.stale -= 1;
            return;
        }
        self.well += 1;
        if self.well >= self.width {
            self.well = 0;
            self.width = (self.width + 1).min(self.max);
        }
    }

    /// A call failed. Only what says "too much" slows us down; the rest is health's to judge.
    pub fn failed(&mut self, fault: Fault) {
        if self.stale > 0 {
            self.stale -= 1;
            return;
        }
        if !matches!(fault, Fault::Throttled | Fault::Timeout) {
            return;
        }
        if self.width == 1 {
            self.refused = (self.refused + 1).min(PAUSE_DOUBLINGS);
        }
        self.stale = self.width - 1;
        self.width = (self.width / 2).max(1);
        self.well = 0;
    }

    /// The store was away: from one again.
    pub fn restart(&mut self) {
        *self = Pace::new(self.max);
    }

    /// Ms to wait before the next call: more than 0 only when one call at a time was refused.
    pub fn pause_ms(&self) -> u64 {
        match self.refused {
            0 => 0,
            times => (PAUSE_MS_MIN << (times - 1)).min(PAUSE_MS_MAX),
        }
    }
}

/// A second of waiting outweighs this many bytes: about what one store takes in a second.
const BYTES_PER_S: u64 = 4 * 1024 * 1024;
/// No object is held back longer than this for its size.
const HELD_BACK_MS_MAX: u64 = 10 * 60_000;

/// Small before large, and yet none starved: each debt is due when it began plus what it costs, so that a later one
/// overtakes only while the difference in cost outweighs the wait.
pub fn order_debts(mut debts: Vec<Debt>) -> Vec<Debt> {
    debts.sort_by(|a, b| (due(a), a.seq, &a.bucket, &a.key).cmp(&(due(b), b.seq, &b.bucket, &b.key)));
    debts
}

fn due(debt: &Debt) -> Moment {
    let bytes = match debt.kind {
        DebtKind::Copy | DebtKind::Rewrite => debt.size,
        DebtKind::Look | DebtKind::Remove => 0,
    };
    debt.since.plus_ms((bytes.saturating_mul(1_000) / BYTES_PER_S).min(HELD_BACK_MS_MAX))
}

/// One slot of the window: fine enough to follow a ramp.
const SLOT_MS: u64 = 5_000;
/// Slots in the window, together two minutes: longer than the longest pause.
const SLOTS: usize = 24;

/// When will everything owed be paid, at the pace of the last minutes?
#[derive(Debug, Clone, Default)]
pub struct Arrival {
    slots: VecDeque<Slot>,
}

#[derive(Debug, Clone, Copy)]
struct Slot {
    start: Moment,
    objects: u64,
    bytes: u64,
}

impl Arrival {
    pub fn paid(&mut self, now: Moment, bytes: u64) {
        let start = Moment(now.0 - now.0 % SLOT_MS);
        match self.slots.back_mut().filter(|slot| slot.start == start) {
            Some(slot) => {
                slot.objects += 1;
                slot.bytes = slot.bytes.saturating_add(bytes);
            }
            None => {
                if self.slots.len() == SLOTS {
                    self.slots.pop_front();
                }
                self.slots.push_back(Slot { start, objects: 1, bytes });
            }
        }
    }

    /// The store was away: the pace before says nothing of the pace after, and the time between is no part of it.
    pub fn restart(&mut self) {
        self.slots.clear();
    }

    /// Ms left; Some(0) with nothing owed, None while nothing was paid lately.
    pub fn left_ms(&self, now: Moment, owed_objects: u64, owed_bytes: u64) -> Option<u64> {
        if owed_objects == 0 {
            return Some(0);
        }
        let window = SLOT_MS * SLOTS as u64;
        let recent = || self.slots.iter().filter(|slot| now.since_ms(slot.start) <= window && slot.start <= now);
        let first = recent().next()?.start;
        let span = u128::from(now.since_ms(first).max(1_000));
        let objects = recent().fold(0, |sum: u64, slot| sum.saturating_add(slot.objects));
        let bytes = recent().fold(0, |sum: u64, slot| sum.saturating_add(slot.bytes));
        let left = |owed: u64, paid: u64| u128::from(owed) * span / u128::from(paid.max(1));
        let of_objects = left(owed_objects, objects);
        // Looks and removals move no bytes; then the count alone tells.
        let of_bytes = if bytes == 0 { 0 } else { left(owed_bytes, bytes) };
        Some(of_objects.max(of_bytes).min(u128::from(u64::MAX)) as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{BucketName, Key, Seq, StoreName};

    fn debt(key: &str, size: u64, since: u64) -> Debt {
        Debt {
            store: StoreName::parse("b2").unwrap(),
            bucket: BucketName::parse("photos").unwrap(),
            key: Key::parse(key).unwrap(),
            kind: DebtKind::Copy,
            seq: Seq(since),
            size,
            since: Moment(since),
            not_before: Moment(0),
            attempts: 0,
        }
    }

    #[track_caller]
    fn check(debts: Vec<Debt>, expected: &str) {
        let ordered: Vec<String> = order_debts(debts).into_iter().map(|debt| debt.key.to_string()).collect();
        assert_eq!(ordered.join(" "), expected);
    }

    #[test]
    fn small_before_large_and_none_starved() {
        const MIB: u64 = 1024 * 1024;
        check(
            vec![debt("large", 400 * MIB, 0), debt("small", 1, 10), debt("middle", 40 * MIB, 20)],
            "small middle large",
        );
        check(
            vec![debt("large", 400 * MIB, 0), debt("later", 1, 100_001), debt("soon", 1, 99_999)],
            "soon large later",
        );
        check(vec![debt("huge", u64::MAX, 0), debt("later", 1, HELD_BACK_MS_MAX + 1)], "huge later");
        let removal = Debt { kind: DebtKind::Remove, ..debt("removal", u64::MAX, 5) };
        check(vec![debt("copy", 4 * MIB, 0), removal], "removal copy");
        check(vec![debt("b", 1, 7), debt("a", 1, 7)], "a b");
    }

    #[test]
    fn one_up_a_round_half_down_a_groan() {
        let mut pace = Pace::new(8);
        let widths = |pace: &mut Pace, answers: usize| -> Vec<usize> {
            (0..answers)
                .map(|_| {
                    pace.went_well();
                    pace.width()
                })
                .collect()
        };
        assert_eq!(widths(&mut pace, 10), [2, 2, 3, 3, 3, 4, 4, 4, 4, 5]);
        widths(&mut pace, 100);
        assert_eq!(pace.width(), 8);
        for _ in 0..8 {
            pace.failed(Fault::Throttled);
        }
        assert_eq!((pace.width(), pace.pause_ms()), (4, 0), "eight calls that were out together are one groan");
        pace.failed(Fault::Timeout);
        assert_eq!(pace.width(), 2);
        pace.failed(Fault::NoKey);
        pace.failed(Fault::Server);
        assert_eq!(pace.width(), 2, "only what says too much slows down");
        pace.restart();
        assert_eq!(pace.width(), 1);
        assert_eq!(Pace::new(0).width(), 1);
    }

    #[test]
    fn pauses_when_one_at_a_time_is_too_much() {
        let mut pace = Pace::new(8);
        let pauses: Vec<u64> = (0..9)
            .map(|_| {
                pace.failed(Fault::Throttled);
                pace.pause_ms()
            })
            .collect();
        assert_eq!(pauses, [500, 1_000, 2_000, 4_000, 8_000, 16_000, 16_000, 16_000, 16_000]);
        pace.went_well();
        assert_eq!(pace.pause_ms(), 0);
    }

    #[test]
    fn arrives_when_all_is_paid() {
        let mut arrival = Arrival::default();
        let now = Moment(1_000_000);
        assert_eq!(arrival.left_ms(now, 0, 0), Some(0));
        assert_eq!(arrival.left_ms(now, 1, 1), None, "nothing was paid yet");
        for second in 0..60 {
            arrival.paid(now.plus_ms(second * 1_000), 1_000_000);
        }
        let end = now.plus_ms(60_000);
        assert_eq!(arrival.left_ms(end, 120, 0), Some(120_000), "by the count");
        assert_eq!(arrival.left_ms(end, 1, 600_000_000), Some(600_000), "by the bytes");
        assert_eq!(arrival.left_ms(end, u64::MAX, u64::MAX), Some(u64::MAX));
        assert_eq!(arrival.left_ms(end.plus_ms(200_000), 1, 1), None, "what was paid long ago foretells nothing");
        for slot in 0..1_000 {
            arrival.paid(end.plus_ms(slot * SLOT_MS), 0);
        }
        assert_eq!(arrival.slots.len(), SLOTS);
        assert_eq!(
            arrival.left_ms(end.plus_ms(999 * SLOT_MS), 10, 1_000).map(|ms| ms / SLOT_MS),
            Some(9),
            "looks move no bytes"
        );
        arrival.restart();
        assert_eq!(arrival.left_ms(end, 1, 1), None, "the pace before an outage is no promise");
        assert_eq!(arrival.left_ms(end, 0, 0), Some(0));
    }
}
