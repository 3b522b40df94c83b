//! When did a store last answer nothing for a while? A call that it held through such a span may apply now: every mark on it
//! counts anew from the span's end (protocol.md 1, "mark").

use crate::{Moment, Mutant, broken};

/// One store's spans without any answer.
#[derive(Debug, Clone)]
pub struct Silence {
    heard: Moment,
    /// A call was left unanswered since it was heard.
    unanswered: bool,
    ended: Option<Moment>,
}

impl Silence {
    pub fn new(now: Moment) -> Silence {
        Silence { heard: now, unanswered: false, ended: None }
    }

    /// A call got no answer.
    pub fn unheard(&mut self) {
        self.unanswered = true;
    }

    /// Any answer, a refusal too. True: a span longer than `gap_ms` ended with it.
    pub fn heard(&mut self, now: Moment, gap_ms: u64) -> bool {
        let ends = self.unanswered && now.since_ms(self.heard) > gap_ms && !broken(Mutant::SilenceForgotten);
        if ends {
            self.ended = Some(now);
        }
        self.heard = now;
        self.unanswered = false;
        ends
    }

    /// Has `settle_ms` passed since the last span ended?
    pub fn is_settled(&self, now: Moment, settle_ms: u64) -> bool {
        self.ended.is_none_or(|ended| now.since_ms(ended) >= settle_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GAP: u64 = 20_000;
    const SETTLE: u64 = 900_000;

    #[test]
    fn marks_count_from_the_end_of_a_silence() {
        let mut silence = Silence::new(Moment(0));
        assert!(!silence.heard(Moment(GAP * 10), GAP), "nobody asked it: that is no silence");
        silence.unheard();
        assert!(!silence.heard(Moment(GAP * 11), GAP), "one lost answer among others");
        silence.unheard();
        assert!(silence.is_settled(Moment(GAP * 99), SETTLE), "who does not answer cannot be looked at either");
        let end = Moment(GAP * 100);
        assert!(silence.heard(end, GAP));
        assert!(!silence.is_settled(end.plus_ms(SETTLE - 1), SETTLE));
        assert!(silence.is_settled(end.plus_ms(SETTLE), SETTLE));
        assert!(!silence.heard(end.plus_ms(GAP * 9), GAP));
    }
}
