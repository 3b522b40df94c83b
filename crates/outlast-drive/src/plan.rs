//! What a run is asked to do, what it did, and how to see a broken promise again.

use crate::asking::Counts;
use crate::compare::Seen;
use crate::world::World;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use std::fmt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// One run.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Decides the load, the moments of the kills, and what they hit.
    pub seed: u64,
    pub rounds: u32,
    pub world: World,
    /// The servers of third parties, as `cargo xtask test` installs them; only the mixed world needs them.
    pub tools: PathBuf,
    /// The binary.
    pub program: PathBuf,
    /// An empty folder, left as it is.
    pub dir: PathBuf,
    /// In the mixed world no round begins after this; None: all do. For machines of which nobody knows how fast they are.
    pub time_max: Option<Duration>,
    /// One line per round on stdout.
    pub told: bool,
}

/// A seed that is another one each time, short enough to be typed.
pub fn any_seed() -> u64 {
    u64::from(SmallRng::from_os_rng().random::<u32>())
}

/// What was done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    pub kills: u32,
    pub writes: u64,
    pub deletes: u64,
    pub uploads: u64,
    /// Copies, and writes with a condition.
    pub conditions: u64,
    pub reads: u64,
    /// Writes whose request was under way when the gateway was killed.
    pub unanswered: u64,
    /// Requests that were refused while something was broken on purpose.
    pub refused: u64,
    /// What was done to the gateway and its stores, kills included. What met nobody is not counted.
    pub blows: u32,
    /// Of how many kinds these were, and how many kinds this machine is able to.
    pub kinds: u32,
    pub kinds_able: u32,
    /// Of the rounds, how many ended with a deep comparison: ours, and the product's own `verify --deep`.
    pub compared: u32,
    /// Keys that all comparisons together found as they were acknowledged: with the bytes of a write, and deleted.
    pub present: u64,
    pub absent: u64,
}

impl Tally {
    pub(crate) fn of(done: &Counts, seen: &Seen) -> Tally {
        let of = |count: &AtomicU64| count.load(Ordering::Relaxed);
        Tally {
            writes: of(&done.writes),
            deletes: of(&done.deletes),
            uploads: of(&done.uploads),
            conditions: of(&done.conditions),
            reads: of(&done.reads),
            unanswered: of(&done.unanswered),
            refused: of(&done.refused),
            compared: seen.times,
            present: seen.present,
            absent: seen.absent,
            ..Tally::default()
        }
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Tally { kills, writes, deletes, uploads, conditions, reads, .. } = self;
        let Tally { unanswered, refused, compared, present, absent, .. } = self;
        let Tally { blows, kinds, kinds_able, .. } = self;
        write!(
            f,
            "{kills} kills, {writes} writes, {uploads} multipart uploads, {conditions} conditional writes and copies, {deletes} \
             deletes, {reads} checked reads, {unanswered} writes without an answer, {compared} deep comparisons: {present} \
             objects right, {absent} keys absent"
        )?;
        if *blows == 0 {
            return Ok(());
        }
        write!(f, ", {blows} blows of {kinds} of {kinds_able} kinds, {refused} requests refused meanwhile")
    }
}

/// A promise that was not kept, and how to see it again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broken {
    pub seed: u64,
    pub round: u32,
    pub world: &'static str,
    pub what: Vec<String>,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Broken { seed, round, world, what } = self;
        writeln!(f, "seed {seed}, round {round}:")?;
        what.iter().try_for_each(|line| writeln!(f, "  {line}"))?;
        write!(f, "again: cargo xtask torture --seed {seed} --rounds {round} --world {world}")
    }
}
