//! The one place that asks what time it is.

use outlast_rules::Moment;
use std::time::{SystemTime, UNIX_EPOCH};

/// Wall time for records and decisions. Waiting is tokio's clock, which tests pause.
pub trait Clock: Send + Sync + 'static {
    fn now(&self) -> Moment;
}

/// The machine's clock.
#[derive(Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[allow(clippy::disallowed_methods, reason = "this is the Clock that everybody else asks")]
    fn now(&self) -> Moment {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Moment(since.as_millis() as u64)
    }
}

/// Follows tokio's clock from a fixed start, so that paused time moves both.
#[derive(Debug)]
pub struct TokioClock {
    start: tokio::time::Instant,
    at_start: Moment,
}

impl TokioClock {
    pub fn new(at_start: Moment) -> TokioClock {
        TokioClock { start: tokio::time::Instant::now(), at_start }
    }
}

impl Clock for TokioClock {
    fn now(&self) -> Moment {
        self.at_start.plus_ms(self.start.elapsed().as_millis() as u64)
    }
}
