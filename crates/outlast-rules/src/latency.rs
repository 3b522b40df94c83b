//! How long a store takes to answer, learnt from its last answers; deadlines follow from it (protocol.md 3.3).

/// So many answers are remembered: enough for a 95th percentile of six samples, few enough to follow a store that changes.
const SAMPLES: usize = 128;
/// With fewer answers a percentile says nothing, and the deadlines for the unknown hold.
const LEARNT_FROM: usize = 16;
/// A store that turns slow is seen after half of these, and one late answer among them moves nothing.
const RECENT: usize = 7;

/// The last answers' times in ms, oldest overwritten first.
#[derive(Debug, Clone)]
pub(crate) struct Latencies {
    ring: [u32; SAMPLES],
    next: usize,
    len: usize,
    /// Asked several times for each answer.
    p95: u64,
}

impl Default for Latencies {
    fn default() -> Latencies {
        Latencies { ring: [0; SAMPLES], next: 0, len: 0, p95: 0 }
    }
}

impl Latencies {
    pub fn add(&mut self, ms: u64) {
        self.ring[self.next] = ms.min(u64::from(u32::MAX)) as u32;
        self.next = (self.next + 1) % SAMPLES;
        self.len = (self.len + 1).min(SAMPLES);
        self.p95 = self.quantile(95).unwrap_or(0);
    }

    /// None before enough is known.
    pub fn p95_ms(&self) -> Option<u64> {
        (self.len >= LEARNT_FROM).then_some(self.p95)
    }

    /// From the first answer on.
    pub fn median_ms(&self) -> Option<u64> {
        self.quantile(50)
    }

    /// No answer but a late one takes longer. Of few answers twice the median says it.
    pub fn usual_ms(&self) -> Option<u64> {
        self.p95_ms().or_else(|| self.median_ms().map(|median| 2 * median))
    }

    /// Of the last few: what the next answer will take.
    pub fn recent_ms(&self) -> Option<u64> {
        let few = self.len.min(RECENT);
        let mut last = [0; RECENT];
        for (back, ms) in last[..few].iter_mut().enumerate() {
            *ms = self.ring[(self.next + SAMPLES - 1 - back) % SAMPLES];
        }
        last[..few].sort_unstable();
        last[..few].get(few / 2).map(|ms| u64::from(*ms))
    }

    fn quantile(&self, percent: usize) -> Option<u64> {
        if self.len == 0 {
            return None;
        }
        let mut sorted = self.ring;
        let known = &mut sorted[..self.len];
        let at = (self.len * percent / 100).min(self.len - 1);
        let (_, value, _) = known.select_nth_unstable(at);
        Some(u64::from(*value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_follow_the_last_answers() {
        let mut seen = Latencies::default();
        assert_eq!((seen.median_ms(), seen.p95_ms()), (None, None));
        for ms in 1..LEARNT_FROM as u64 {
            seen.add(ms);
        }
        assert_eq!(seen.p95_ms(), None, "one too few");
        for ms in 1..=100 {
            seen.add(ms);
        }
        for _ in 0..SAMPLES {
            seen.add(7);
        }
        assert_eq!((seen.median_ms(), seen.p95_ms()), (Some(7), Some(7)), "old answers are forgotten");
        for ms in 1..=100 {
            seen.add(ms);
        }
        let p95 = seen.p95_ms().unwrap();
        assert!((90..=96).contains(&p95), "{p95}");
        seen.add(u64::MAX);
        assert!(seen.p95_ms().unwrap() <= 100, "one freak does not move it");
        let mut turned = Latencies::default();
        assert_eq!(turned.recent_ms(), None);
        (0..SAMPLES + 3).for_each(|_| turned.add(20));
        let recent: Vec<Option<u64>> = (0..6)
            .map(|_| {
                turned.add(400);
                turned.recent_ms()
            })
            .collect();
        assert_eq!(recent, [20, 20, 20, 400, 400, 400].map(Some), "four of seven");
    }
}
