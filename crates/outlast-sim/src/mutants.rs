//! The mutation check: a rule is taken away, and seeds are run until one of them sees it. A simulator that sees nothing proves
//! nothing.

use crate::books::Detail;
use crate::plan::Plan;
use crate::seen::SEEN;
use crate::world::run;
use outlast_rules::Mutant;
use std::time::{Duration, Instant};

/// Where no known seed sees a mutant any more (the plans are drawn otherwise), so many others are tried.
const MORE_SEEDS: u64 = 400;
/// Those that no seed has ever seen get so many: they are looked for when the plans change, not in each run.
const UNSEEN_SEEDS: u64 = 20;

/// A seed that saw a mutant.
pub struct Kill {
    pub seed: u64,
    /// What it said is broken.
    pub broken: String,
    pub took: Duration,
}

/// Runs this seed with the rule taken away. None: every promise was kept all the same.
pub fn kill(mutant: Mutant, seed: u64) -> Option<Kill> {
    let began = Instant::now();
    let plan = Plan { broken: Some(mutant), ..Plan::of(seed) };
    let broken = run(&plan, Detail::Clients).failure?;
    Some(Kill { seed, broken, took: began.elapsed() })
}

/// The seeds that are known to see it, then others. None: it survives them all.
pub fn hunt(mutant: Mutant) -> Option<Kill> {
    let known = SEEN.iter().find(|seen| seen.mutant == mutant).map_or(&[][..], |seen| seen.seeds);
    let bound = if known.is_empty() { UNSEEN_SEEDS } else { MORE_SEEDS };
    let more = (0..bound).filter(|seed| !known.contains(seed));
    known.iter().copied().chain(more).find_map(|seed| kill(mutant, seed))
}
