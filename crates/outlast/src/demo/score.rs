//! What clients felt: requests, failures, pauses, how far the long transfers are, and what happened when.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;
use tokio::time::Instant;

/// Failures told in full at the end; the rest are counted.
const FAILURES_TOLD: usize = 20;
/// Columns of a wide terminal.
const TICKS_SHOWN: usize = 400;
/// One column of the curve: a demo of 25 s fills a terminal of 100 columns.
const TICK_MS: u128 = 250;
const TICKS_A_SECOND: usize = 4;

/// The two transfers that the store dies in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Long {
    Download,
    Upload,
}

/// How far a long transfer is.
#[derive(Debug, Clone, Copy, Default)]
pub struct Bar {
    pub done: u64,
    pub of: u64,
    /// Bytes that had gone when the store stopped.
    pub struck_at: Option<u64>,
    pub failed: bool,
}

/// The longest time between two answers, or two pieces of one body, that a client waited for.
#[derive(Debug, Clone, Default)]
pub struct Pause {
    pub ms: u64,
    pub what: String,
}

#[derive(Debug, Default)]
struct Inner {
    requests: u64,
    failures: u64,
    told: Vec<String>,
    longest: Pause,
    per_tick: VecDeque<u64>,
    tick: u128,
    download: Bar,
    upload: Bar,
    events: Vec<Event>,
}

#[derive(Debug, Clone)]
pub struct Event {
    pub at: Duration,
    pub text: String,
}

/// A copy of everything, to show.
#[derive(Debug, Clone, Default)]
pub struct Standings {
    pub requests: u64,
    pub failures: u64,
    pub told: Vec<String>,
    pub longest: Pause,
    /// Requests answered in each quarter of a second that is over.
    pub per_tick: Vec<u64>,
    pub download: Bar,
    pub upload: Bar,
    pub events: Vec<Event>,
}

impl Standings {
    /// Requests in the last whole second.
    pub fn rate(&self) -> u64 {
        self.per_tick.iter().rev().take(TICKS_A_SECOND).sum()
    }
}

/// Kept by all clients together.
#[derive(Debug)]
pub struct Score {
    began: Instant,
    inner: Mutex<Inner>,
}

impl Score {
    pub fn new() -> Score {
        Score { began: Instant::now(), inner: Mutex::default() }
    }

    pub fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }

    /// A request was answered as it should be; the client had waited since `since`.
    pub fn answered(&self, what: &str, since: Instant) {
        self.waited(what, since);
        self.count();
    }

    /// A request failed, or its answer was wrong.
    pub fn failed(&self, what: &str, words: &str, since: Instant) {
        self.waited(what, since);
        self.count();
        let at = self.elapsed().as_secs_f64();
        let mut inner = self.inner();
        inner.failures += 1;
        if inner.told.len() < FAILURES_TOLD {
            inner.told.push(format!("{at:.1} s {what}: {words}"));
        }
    }

    /// A piece of a body came, or was taken.
    pub fn waited(&self, what: &str, since: Instant) {
        let ms = since.elapsed().as_millis() as u64;
        let mut inner = self.inner();
        if ms > inner.longest.ms {
            inner.longest = Pause { ms, what: what.to_owned() };
        }
    }

    fn count(&self) {
        let tick = self.tick();
        let mut inner = self.inner();
        inner.turn_to(tick);
        inner.requests += 1;
        if let Some(now) = inner.per_tick.back_mut() {
            *now += 1;
        }
    }

    fn tick(&self) -> u128 {
        self.elapsed().as_millis() / TICK_MS
    }

    pub fn event(&self, text: impl Into<String>) {
        let at = self.elapsed();
        self.inner().events.push(Event { at, text: text.into() });
    }

    pub fn bar(&self, which: Long, change: impl FnOnce(&mut Bar)) {
        let mut inner = self.inner();
        change(match which {
            Long::Download => &mut inner.download,
            Long::Upload => &mut inner.upload,
        });
    }

    pub fn standings(&self) -> Standings {
        let tick = self.tick();
        let mut inner = self.inner();
        inner.turn_to(tick);
        let over = inner.per_tick.len() - 1;
        Standings {
            requests: inner.requests,
            failures: inner.failures,
            told: inner.told.clone(),
            longest: inner.longest.clone(),
            per_tick: inner.per_tick.iter().take(over).copied().collect(),
            download: inner.download,
            upload: inner.upload,
            events: inner.events.clone(),
        }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().expect("no holder of this lock can panic")
    }
}

impl Inner {
    /// The running tick is the last; ticks without a request are ticks with 0.
    fn turn_to(&mut self, tick: u128) {
        if self.per_tick.is_empty() {
            self.per_tick.push_back(0);
        }
        while self.tick < tick {
            self.tick += 1;
            self.per_tick.push_back(0);
        }
        let excess = self.per_tick.len().saturating_sub(TICKS_SHOWN);
        self.per_tick.drain(..excess);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn counts_pauses_and_seconds() {
        let score = Score::new();
        score.answered("get a", Instant::now());
        let since = Instant::now();
        tokio::time::advance(Duration::from_millis(600)).await;
        score.failed("put b", "no", since);
        score.answered("get c", Instant::now());
        tokio::time::advance(Duration::from_millis(200)).await;
        let seen = score.standings();
        assert_eq!((seen.requests, seen.failures), (3, 1));
        assert_eq!(seen.told, ["0.6 s put b: no"]);
        assert_eq!((seen.longest.ms, seen.longest.what.as_str()), (600, "put b"));
        assert_eq!((seen.per_tick.as_slice(), seen.rate()), ([1, 0, 2].as_slice(), 3));
    }
}
