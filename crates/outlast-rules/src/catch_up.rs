//! What does a returning store get first, how fast, and when is it done?

use crate::{BucketName, Debt, DebtKind, Fault, Key, Moment, Seq};
use std::collections::{BTreeSet, VecDeque};

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

    /// A debt was paid, or the store gave another good answer. True: the width is the largest just now.
    pub fn went_well(&mut self) -> bool {
        self.refused = 0;
        if self.stale > 0 {
            self.stale -= 1;
            return false;
        }
        self.well += 1;
        if self.well >= self.width {
            self.well = 0;
            let before = self.width;
            self.width = (self.width + 1).min(self.max);
            return self.width == self.max && before < self.max;
        }
        false
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

/// Bytes of a copy that is bound by the line and not by the wait for answers: what 4 MiB/s carry in the 60 ms of a few calls.
const LARGE: u64 = 256 * 1024;
/// While small copies wait, no more large ones begin when so many bytes are on their way: what 20 MB/s carry in 100 ms. More
/// would not fill such a line better, and stand before every small one.
const LARGE_OUT_MAX: u64 = 2 * 1024 * 1024;
/// Debts that wait in memory, a few hundred bytes each: enough that reading them does not count and that both kinds are there.
const WAITING_MAX: usize = 512;

/// The debts of one store that are next, and which are being paid. The journal names all of them until they are settled.
///
/// Small copies wait for answers and leave the line idle; large ones fill it. Both are on their way at once, each kind in the
/// order of its own: small before large, and yet none starved: each debt is due when it began plus what it costs, so that a
/// later one overtakes only while the difference in cost outweighs the wait.
#[derive(Debug, Default)]
pub struct DebtQueue {
    small: VecDeque<Debt>,
    large: VecDeque<Debt>,
    /// Waiting, or being paid.
    held: BTreeSet<(BucketName, Key)>,
    large_out: usize,
    large_bytes: u64,
}

impl DebtQueue {
    /// Is it time to ask the journal again?
    pub fn wants_more(&self) -> bool {
        self.room() >= WAITING_MAX / 2
    }

    fn room(&self) -> usize {
        WAITING_MAX - self.small.len() - self.large.len()
    }

    /// Debts to ask the journal for: what is held comes back with what is new.
    pub fn limit(&self) -> usize {
        self.room() + self.held.len()
    }

    /// `due`: the answer of the journal, asked for `limit()`. False: it had nothing beyond.
    pub fn refill(&mut self, due: Vec<Debt>) -> bool {
        let more = due.len() >= self.limit();
        let room = self.room();
        let new = due.into_iter().filter(|debt| !self.held.contains(&name(debt)));
        let (large, small): (Vec<Debt>, Vec<Debt>) = new.take(room).partition(|debt| bytes(debt) >= LARGE);
        for (queue, new) in [(&mut self.small, small), (&mut self.large, large)] {
            self.held.extend(new.iter().map(name));
            queue.extend(new);
            queue.make_contiguous().sort_by(|a, b| turn(a).cmp(&turn(b)));
        }
        more
    }

    /// What to pay beside what is being paid, `width` calls in all. While both kinds wait the large ones get what fills the
    /// line, one call at least and half of them at most.
    pub fn next(&mut self, width: usize) -> Option<Debt> {
        let large = match (self.small.front(), self.large.front()) {
            (None, _) => true,
            (_, None) => false,
            (Some(small), Some(large)) if width < 2 => turn(large) < turn(small),
            _ => self.large_out == 0 || (self.large_out < width / 2 && self.large_bytes < LARGE_OUT_MAX),
        };
        if !large {
            return self.small.pop_front();
        }
        let debt = self.large.pop_front()?;
        self.large_out += 1;
        self.large_bytes = self.large_bytes.saturating_add(bytes(&debt));
        Some(debt)
    }

    /// It was paid, or put off: the journal knows.
    pub fn done(&mut self, debt: &Debt) {
        self.held.remove(&name(debt));
        let bytes = bytes(debt);
        if bytes >= LARGE {
            self.large_out -= 1;
            self.large_bytes = self.large_bytes.saturating_sub(bytes);
        }
    }
}

fn name(debt: &Debt) -> (BucketName, Key) {
    (debt.bucket.clone(), debt.key.clone())
}

fn turn(debt: &Debt) -> (Moment, Seq, &BucketName, &Key) {
    (due(debt), debt.seq, &debt.bucket, &debt.key)
}

fn due(debt: &Debt) -> Moment {
    debt.since.plus_ms((bytes(debt).saturating_mul(1_000) / BYTES_PER_S).min(HELD_BACK_MS_MAX))
}

/// What paying it moves.
fn bytes(debt: &Debt) -> u64 {
    match debt.kind {
        DebtKind::Copy | DebtKind::Rewrite => debt.size,
        DebtKind::Look | DebtKind::Remove => 0,
    }
}

/// One slot of the window: fine enough to follow a ramp.
const SLOT_MS: u64 = 5_000;
/// Slots in the window, together two minutes: longer than the longest pause.
const SLOTS: usize = 24;

/// From so long at full width on, the time before it is left out.
const RAMPED_MS_MIN: u64 = 1_000;

/// When will everything owed be paid, at the pace of the last minutes?
#[derive(Debug, Clone, Default)]
pub struct Arrival {
    slots: VecDeque<Slot>,
    /// The next payment is the first at full width.
    ramped: bool,
}

#[derive(Debug, Clone, Copy)]
struct Slot {
    start: Moment,
    objects: u64,
    bytes: u64,
    /// What was paid before it was paid while the pace was still growing.
    ramped: bool,
}

impl Arrival {
    pub fn paid(&mut self, now: Moment, bytes: u64) {
        // From its first payment on, not from a tick of the clock: the time before it was no part of the pace.
        let ramped = std::mem::take(&mut self.ramped);
        let same = |slot: &&mut Slot| !ramped && slot.start <= now && now.since_ms(slot.start) < SLOT_MS;
        match self.slots.back_mut().filter(same) {
            Some(slot) => {
                slot.objects += 1;
                slot.bytes = slot.bytes.saturating_add(bytes);
            }
            None => {
                if self.slots.len() == SLOTS {
                    self.slots.pop_front();
                }
                self.slots.push_back(Slot { start: now, objects: 1, bytes, ramped });
            }
        }
    }

    /// As many are paid at once as may be: the pace until now was slower than the one to come.
    pub fn ramped(&mut self) {
        self.ramped = true;
    }

    /// The store was away: the pace before says nothing of the pace after, and the time between is no part of it.
    pub fn restart(&mut self) {
        *self = Arrival::default();
    }

    /// Ms left; Some(0) with nothing owed, None while nothing was paid lately.
    pub fn left_ms(&self, now: Moment, owed_objects: u64, owed_bytes: u64) -> Option<u64> {
        if owed_objects == 0 {
            return Some(0);
        }
        let window = SLOT_MS * SLOTS as u64;
        let ramped = |slot: &Slot| slot.ramped && now.since_ms(slot.start) >= RAMPED_MS_MIN;
        let from = self.slots.iter().rposition(ramped).unwrap_or(0);
        let recent =
            || self.slots.iter().skip(from).filter(|slot| now.since_ms(slot.start) <= window && slot.start <= now);
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
    use crate::StoreName;

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
        let mut queue = DebtQueue::default();
        assert!(!queue.refill(debts));
        let ordered: Vec<String> = std::iter::from_fn(|| {
            let debt = queue.next(1)?;
            queue.done(&debt);
            Some(debt.key.to_string())
        })
        .collect();
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

    /// The journal answers with all of `debts`; those that `width` calls take, until none may begin.
    fn begun(queue: &mut DebtQueue, width: usize) -> Vec<Debt> {
        (0..width).map_while(|_| queue.next(width)).collect()
    }

    #[test]
    fn both_kinds_are_on_their_way() {
        let mut queue = DebtQueue::default();
        let small = |i: u64| debt(&format!("small{i}"), 1, i);
        let large = |i: u64| debt(&format!("large{i}"), LARGE, i);
        queue.refill((0..20).map(small).chain((0..3).map(large)).collect());
        let first = begun(&mut queue, 4);
        assert_eq!(
            first.iter().map(|debt| debt.key.as_str()).collect::<Vec<_>>(),
            ["large0", "large1", "small0", "small1"]
        );
        queue.done(&first[2]);
        assert_eq!(queue.next(4).unwrap().key.as_str(), "small2", "half of the calls are the small ones'");
        queue.done(&first[0]);
        assert_eq!(queue.next(4).unwrap().key.as_str(), "large2");
        assert_eq!(begun(&mut queue, 17).len(), 17, "what one kind leaves is the other's");
        assert!(queue.next(4).is_none());

        let mut queue = DebtQueue::default();
        queue.refill((0..20).map(small).chain((0..4).map(|i| debt(&format!("film{i}"), LARGE_OUT_MAX, i))).collect());
        let sizes: Vec<bool> = begun(&mut queue, 16).iter().map(|debt| debt.size > 1).collect();
        assert_eq!(sizes.iter().filter(|large| **large).count(), 1, "a full line is not filled any more");
    }

    #[test]
    fn filled_before_it_is_empty_and_nothing_twice() {
        let mut journal: Vec<Debt> = (0..2_000).map(|i| debt(&format!("k{i:04}"), i % 2 * LARGE, i)).collect();
        let mut queue = DebtQueue::default();
        let mut paid = BTreeSet::new();
        let (mut more, mut asked, mut out) = (true, 0, VecDeque::new());
        loop {
            if more && queue.wants_more() {
                more = queue.refill(journal.iter().take(queue.limit()).cloned().collect());
                asked += 1;
            }
            assert!(queue.small.len() + queue.large.len() <= WAITING_MAX);
            while out.len() < 16
                && let Some(debt) = queue.next(16)
            {
                out.push_back(debt);
            }
            let Some(debt) = out.pop_front() else { break };
            journal.retain(|owed| owed.key != debt.key);
            queue.done(&debt);
            assert!(paid.insert(debt.key.clone()), "{} was paid twice", debt.key);
            assert!(out.len() == 15 || journal.len() == out.len(), "the line is never idle");
        }
        assert_eq!((paid.len(), asked), (2_000, 7));
        assert_eq!((queue.large_out, queue.held.len()), (0, 0));
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
        let full = (0..100).filter(|_| pace.went_well()).count();
        assert_eq!(full, 1, "said once");
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
        let mut late = Arrival::default();
        for second in 4..6 {
            late.paid(now.plus_ms(second * 1_000), 0);
        }
        assert_eq!(late.left_ms(now.plus_ms(6_000), 10, 0), Some(10_000), "from the first payment on");
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
        let mut ramp = Arrival::default();
        let pay = |ramp: &mut Arrival, second: u64, objects: u64| {
            (0..objects).for_each(|_| ramp.paid(now.plus_ms(second * 1_000), 0));
        };
        pay(&mut ramp, 0, 1);
        pay(&mut ramp, 1, 1);
        ramp.ramped();
        pay(&mut ramp, 2, 8);
        assert_eq!(ramp.left_ms(now.plus_ms(2_500), 100, 0), Some(25_000), "too short to tell");
        pay(&mut ramp, 3, 8);
        pay(&mut ramp, 4, 8);
        assert_eq!(ramp.left_ms(now.plus_ms(5_000), 80, 0), Some(10_000), "at full width");
        arrival.restart();
        assert_eq!(arrival.left_ms(end, 1, 1), None, "the pace before an outage is no promise");
        assert_eq!(arrival.left_ms(end, 0, 0), Some(0));
    }
}
