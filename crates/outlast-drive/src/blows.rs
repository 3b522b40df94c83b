//! What may happen to the gateway and its stores in a round, drawn from the seed.

use rand::Rng;
use std::fmt;

/// One thing that goes wrong, until the round is healed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Blow {
    /// kill -9.
    KillGateway,
    /// SIGSTOP for longer than `settle_time`: it awakes and believes that no time has passed.
    StopGateway,
    /// kill -9 of the store that lasts.
    KillGarage,
    StopGarage(Long),
    StopMoto(Long),
    /// The disk of one store takes no byte more.
    DiskFull,
    /// Seconds; the gateway's wall clock alone.
    ClockJump(i64),
    /// So many handles more than are open, and no others.
    Handles(u64),
    /// Nothing that is sent to moto arrives, and nobody says so.
    CutMoto(Long),
}

/// How long something lasts, beside `settle_time`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Long {
    Shorter,
    Longer,
}

/// What can be done on this machine; the others are left out, by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Able {
    pub disk_full: bool,
    pub clock: bool,
    pub network: bool,
}

/// Longer than `settle_time` by as much as the looks after it take.
const LONGER_MS: std::ops::Range<u64> = 5_500..7_500;
const SHORTER_MS: std::ops::Range<u64> = 200..3_000;
/// Beyond `settle_time`, and short enough that what was dated ahead is over before a round's patience is.
const JUMP_S: std::ops::Range<i64> = 7..25;

impl Blow {
    /// One that this machine is able to.
    pub fn draw(chance: &mut impl Rng, able: Able) -> Blow {
        loop {
            let long = if chance.random_bool(0.3) { Long::Longer } else { Long::Shorter };
            let jump = chance.random_range(JUMP_S) * if chance.random_bool(0.5) { 1 } else { -1 };
            let handles = chance.random_range(0..6);
            let blow = match chance.random_range(0..100) {
                0..25 => Blow::KillGateway,
                25..32 => Blow::StopGateway,
                32..44 => Blow::KillGarage,
                44..56 => Blow::StopGarage(long),
                56..68 => Blow::StopMoto(long),
                68..78 => Blow::DiskFull,
                78..86 => Blow::ClockJump(jump),
                86..93 => Blow::Handles(handles),
                _ => Blow::CutMoto(long),
            };
            if blow.is_able(able) {
                return blow;
            }
        }
    }

    fn is_able(self, able: Able) -> bool {
        match self {
            Blow::DiskFull => able.disk_full,
            Blow::ClockJump(_) => able.clock,
            Blow::CutMoto(_) => able.network,
            _ => true,
        }
    }

    /// How long until the next blow, or until all is healed. Milliseconds.
    pub fn lasts_ms(self, chance: &mut impl Rng) -> u64 {
        match self {
            Blow::StopGateway
            | Blow::StopGarage(Long::Longer)
            | Blow::StopMoto(Long::Longer)
            | Blow::CutMoto(Long::Longer) => chance.random_range(LONGER_MS),
            _ => chance.random_range(SHORTER_MS),
        }
    }
}

impl fmt::Display for Blow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let long = |long: &Long| if *long == Long::Longer { " for longer than settle_time" } else { "" };
        match self {
            Blow::KillGateway => write!(f, "kill -9 of the gateway"),
            Blow::StopGateway => write!(f, "SIGSTOP of the gateway for longer than settle_time"),
            Blow::KillGarage => write!(f, "kill -9 of garage"),
            Blow::StopGarage(time) => write!(f, "SIGSTOP of garage{}", long(time)),
            Blow::StopMoto(time) => write!(f, "SIGSTOP of moto{}", long(time)),
            Blow::DiskFull => write!(f, "the disk of one is full"),
            Blow::ClockJump(seconds) => write!(f, "the clock jumps by {seconds} s"),
            Blow::Handles(more) => write!(f, "{more} more file handles"),
            Blow::CutMoto(time) => write!(f, "the way to moto is cut{}", long(time)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;
    use rand::rngs::SmallRng;

    #[test]
    fn all_are_drawn_and_what_cannot_be_done_is_not() {
        let drawn = |able: Able| -> Vec<String> {
            let mut chance = SmallRng::seed_from_u64(1);
            (0..1_000).map(|_| Blow::draw(&mut chance, able).to_string()).collect()
        };
        let all = drawn(Able { disk_full: true, clock: true, network: true });
        for words in ["gateway", "garage", "moto", "full", "clock", "handles", "cut"] {
            assert!(all.iter().any(|blow| blow.contains(words)), "{words}");
        }
        let few = drawn(Able { disk_full: false, clock: false, network: false });
        assert!(few.iter().all(|blow| !["full", "clock", "cut"].iter().any(|words| blow.contains(words))));
        assert!(few.iter().any(|blow| blow.contains("longer than settle_time")));
    }
}
