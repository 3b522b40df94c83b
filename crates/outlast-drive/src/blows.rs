//! What may happen to the gateway and its stores in a round, drawn from the seed.

use rand::Rng;
use rand::seq::SliceRandom;
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

/// A process that another blow of the same round may have killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Victim {
    Gateway,
    Garage,
}

/// A blow without its figures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    KillGateway,
    StopGateway,
    KillGarage,
    StopGarage,
    StopMoto,
    DiskFull,
    ClockJump,
    Handles,
    CutMoto,
}

impl Kind {
    /// With how many chances of a hundred each is drawn.
    const CHANCES: [(Kind, u32); 9] = [
        (Kind::KillGateway, 25),
        (Kind::StopGateway, 7),
        (Kind::KillGarage, 12),
        (Kind::StopGarage, 12),
        (Kind::StopMoto, 12),
        (Kind::DiskFull, 10),
        (Kind::ClockJump, 8),
        (Kind::Handles, 7),
        (Kind::CutMoto, 7),
    ];

    fn is_able(self, able: Able) -> bool {
        match self {
            Kind::DiskFull => able.disk_full,
            Kind::ClockJump => able.clock,
            Kind::CutMoto => able.network,
            _ => true,
        }
    }

    /// Those that this machine is able to.
    pub fn all(able: Able) -> Vec<Kind> {
        Kind::CHANCES.into_iter().map(|(kind, _)| kind).filter(|kind| kind.is_able(able)).collect()
    }

    fn drawn(chance: &mut impl Rng, able: Able) -> Kind {
        loop {
            let mut left = chance.random_range(0..100);
            for (kind, chances) in Kind::CHANCES {
                if left < chances {
                    if kind.is_able(able) {
                        return kind;
                    }
                    break;
                }
                left -= chances;
            }
        }
    }

    fn with_figures(self, chance: &mut impl Rng) -> Blow {
        let long = if chance.random_bool(0.3) { Long::Longer } else { Long::Shorter };
        match self {
            Kind::KillGateway => Blow::KillGateway,
            Kind::StopGateway => Blow::StopGateway,
            Kind::KillGarage => Blow::KillGarage,
            Kind::StopGarage => Blow::StopGarage(long),
            Kind::StopMoto => Blow::StopMoto(long),
            Kind::DiskFull => Blow::DiskFull,
            Kind::ClockJump => {
                Blow::ClockJump(chance.random_range(JUMP_S) * if chance.random_bool(0.5) { 1 } else { -1 })
            }
            Kind::Handles => Blow::Handles(chance.random_range(0..6)),
            Kind::CutMoto => Blow::CutMoto(long),
        }
    }
}

/// Deals every kind once, in an order that the seed decides, before any comes by chance: a run that is long enough has seen all.
pub(crate) struct Deck {
    able: Able,
    /// The next one is the last.
    left: Vec<Kind>,
}

impl Deck {
    /// kill -9 of the gateway is dealt first: the shortest run has it.
    pub fn shuffled(chance: &mut impl Rng, able: Able) -> Deck {
        let mut left = Kind::all(able);
        left.shuffle(chance);
        left.sort_by_key(|kind| *kind == Kind::KillGateway);
        Deck { able, left }
    }

    pub fn deal(&mut self, chance: &mut impl Rng) -> Blow {
        let kind = self.left.pop().unwrap_or_else(|| Kind::drawn(chance, self.able));
        kind.with_figures(chance)
    }

    /// It met nobody: the next one that is dealt is of this kind.
    pub fn give_back(&mut self, kind: Kind) {
        self.left.push(kind);
    }
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
    pub fn kind(self) -> Kind {
        match self {
            Blow::KillGateway => Kind::KillGateway,
            Blow::StopGateway => Kind::StopGateway,
            Blow::KillGarage => Kind::KillGarage,
            Blow::StopGarage(_) => Kind::StopGarage,
            Blow::StopMoto(_) => Kind::StopMoto,
            Blow::DiskFull => Kind::DiskFull,
            Blow::ClockJump(_) => Kind::ClockJump,
            Blow::Handles(_) => Kind::Handles,
            Blow::CutMoto(_) => Kind::CutMoto,
        }
    }

    /// Whom it happens to, where that may be gone already.
    pub fn is_for(self) -> Option<Victim> {
        match self {
            Blow::KillGateway | Blow::StopGateway | Blow::ClockJump(_) | Blow::Handles(_) => Some(Victim::Gateway),
            Blow::KillGarage | Blow::StopGarage(_) => Some(Victim::Garage),
            Blow::StopMoto(_) | Blow::DiskFull | Blow::CutMoto(_) => None,
        }
    }

    /// Clients may be refused by it, or get no answer. No store alone may do that to them.
    pub fn hits_the_gateway(self) -> bool {
        self.is_for() == Some(Victim::Gateway)
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

    const ALL: Able = Able { disk_full: true, clock: true, network: true };
    const FEW: Able = Able { disk_full: false, clock: false, network: false };

    #[test]
    fn all_are_drawn_and_what_cannot_be_done_is_not() {
        let drawn = |able: Able| -> Vec<String> {
            let mut chance = SmallRng::seed_from_u64(1);
            let mut deck = Deck { able, left: Vec::new() };
            (0..1_000).map(|_| deck.deal(&mut chance).to_string()).collect()
        };
        let all = drawn(ALL);
        for words in ["gateway", "garage", "moto", "full", "clock", "handles", "cut"] {
            assert!(all.iter().any(|blow| blow.contains(words)), "{words}");
        }
        let few = drawn(FEW);
        assert!(few.iter().all(|blow| !["full", "clock", "cut"].iter().any(|words| blow.contains(words))));
        assert!(few.iter().any(|blow| blow.contains("longer than settle_time")));
    }

    #[test]
    fn each_kind_is_dealt_before_any_comes_twice_and_the_kill_is_the_first() {
        for seed in 0..50 {
            for able in [ALL, FEW] {
                let mut chance = SmallRng::seed_from_u64(seed);
                let mut deck = Deck::shuffled(&mut chance, able);
                let mut dealt: Vec<Kind> = Kind::all(able).iter().map(|_| deck.deal(&mut chance).kind()).collect();
                assert_eq!(dealt[0], Kind::KillGateway, "seed {seed}");
                dealt.sort();
                assert_eq!(dealt, Kind::all(able), "seed {seed}");
            }
        }
    }

    #[test]
    fn what_met_nobody_is_dealt_again() {
        let mut chance = SmallRng::seed_from_u64(1);
        let mut deck = Deck::shuffled(&mut chance, ALL);
        let met_nobody = (0..9).map(|_| deck.deal(&mut chance)).find(|blow| *blow == Blow::StopGateway);
        deck.give_back(met_nobody.expect("it is dealt").kind());
        assert_eq!(deck.deal(&mut chance), Blow::StopGateway);
    }

    #[test]
    fn the_chances_are_a_hundred() {
        assert_eq!(Kind::CHANCES.iter().map(|(_, chances)| chances).sum::<u32>(), 100);
    }
}
