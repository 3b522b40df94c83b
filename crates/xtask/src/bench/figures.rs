//! Times of many requests, and what is told of them.

use std::time::Duration;

/// How long each request of one kind took.
#[derive(Debug, Clone, Default)]
pub struct Times(Vec<u64>);

impl Times {
    pub fn add(&mut self, took: Duration) {
        self.0.push(took.as_nanos() as u64);
    }

    /// Microseconds below which this share of the requests lies.
    pub fn micros(&self, share: f64) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_unstable();
        let at = ((sorted.len() as f64 * share) as usize).min(sorted.len().saturating_sub(1));
        sorted.get(at).map_or(0.0, |nanos| *nanos as f64 / 1_000.0)
    }

    pub fn median(&self) -> f64 {
        self.micros(0.5)
    }

    pub fn count(&self) -> usize {
        self.0.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares() {
        let mut times = Times::default();
        (1..=100).rev().for_each(|micros| times.add(Duration::from_micros(micros)));
        assert_eq!((times.median(), times.micros(0.99), times.micros(1.0)), (51.0, 100.0, 100.0));
        assert_eq!(Times::default().median(), 0.0);
    }
}
