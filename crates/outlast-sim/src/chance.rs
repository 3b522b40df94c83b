//! Chance that a seed decides: the same seed draws the same numbers on every machine.

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use std::ops::RangeInclusive;

#[derive(Debug, Clone)]
pub struct Chance(SmallRng);

impl Chance {
    /// One stream of numbers per purpose, so that one more draw for one purpose shifts no other.
    pub fn new(seed: u64, purpose: u64) -> Chance {
        Chance(SmallRng::seed_from_u64(
            seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ purpose.wrapping_mul(0xd1b5_4a32_d192_ed03),
        ))
    }

    pub fn within(&mut self, range: RangeInclusive<u64>) -> u64 {
        self.0.random_range(range)
    }

    pub fn below(&mut self, n: usize) -> usize {
        self.0.random_range(0..n)
    }

    pub fn one_in(&mut self, n: u64) -> bool {
        self.0.random_range(0..n) == 0
    }

    pub fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }

    pub fn seed(&mut self) -> u64 {
        self.0.random()
    }

    /// The index of one of the weights, each as likely as it is heavy.
    pub fn weighed(&mut self, weights: &[u32]) -> usize {
        let mut left = self.0.random_range(0..weights.iter().sum::<u32>());
        for (index, weight) in weights.iter().enumerate() {
            if left < *weight {
                return index;
            }
            left -= weight;
        }
        unreachable!("the weights add up to their sum")
    }
}
