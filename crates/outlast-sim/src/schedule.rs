//! The faults of a plan as a schedule, and a schedule in the place of a plan's own faults (docs/formats/schedule.md).

use crate::plan::{Act, Kind, Plan, SETTLE, Step};
use outlast_rules::StoreName;
use outlast_store::{Apply, Planned, Schedule, Trouble, What};
use std::time::Duration;

/// The promise of every simulated store, that no call applies later, with room for the way there.
const LATE_MAX: Duration = SETTLE.saturating_sub(Duration::from_secs(2));
/// So that the largest simulated body is through in time.
const PACE_MIN: u64 = 10_000;
/// As long as a plan lets a store stand still.
const STILL_MAX: Duration = Duration::from_secs(100);

/// Its faults, as they would be written down. Crashes and damage are no faults of a store, and stay with the seed.
pub fn faults_of(plan: &Plan) -> Schedule {
    let planned = |step: &Step| {
        let (store, lasts, what) = match &step.act {
            Act::Fault { store, lasts, setting } => (*store, *lasts, What::Setting(setting.clone())),
            Act::Stop { store, lasts, late } => (*store, *lasts, What::StandStill { late: *late }),
            Act::BreakOff { store } => (*store, Duration::ZERO, What::BreakOff),
            _ => return None,
        };
        Some(Planned { store: name_of(store), at: step.at, lasts, what })
    };
    Schedule::of(plan.steps.iter().filter_map(planned).collect())
}

/// The same clients, crashes and damage, with these faults instead of its own. Of what begins in the same moment, faults come last.
///
/// # Errors
/// A fault that no store of this world can have; in words, with its line.
pub fn with_faults(mut plan: Plan, schedule: &Schedule) -> Result<Plan, String> {
    plan.steps.retain(|step| !matches!(step.act, Act::Fault { .. } | Act::Stop { .. } | Act::BreakOff { .. }));
    for (n, planned) in schedule.faults.iter().enumerate() {
        let act = act_of(planned, &plan.kinds).map_err(|why| format!("line {}: {why}", schedule.line_of(n)))?;
        plan.steps.push(Step { at: planned.at, act });
    }
    plan.steps.sort_by_key(|step| step.at);
    Ok(plan)
}

fn name_of(store: usize) -> StoreName {
    StoreName::parse(&format!("s{store}")).expect("the world's stores have good names")
}

fn act_of(planned: &Planned, kinds: &[Kind]) -> Result<Act, String> {
    let store = (0..kinds.len()).find(|store| name_of(*store) == planned.store);
    let store = store.ok_or_else(|| format!("this seed's stores are s0 to s{}", kinds.len() - 1))?;
    let lasts = planned.lasts;
    let is_disk = kinds[store] == Kind::Disk;
    let of_a_disk = |trouble: &Trouble| {
        matches!(
            trouble,
            Trouble::Refuse
                | Trouble::NotSent(_)
                | Trouble::Answer { .. }
                | Trouble::Slow { bytes_per_second: None, .. }
        )
    };
    match &planned.what {
        What::Setting(setting) if is_disk && !of_a_disk(&setting.trouble) => {
            Err(format!("{} is a disk, where no call is given up: it may refuse, be slow, or say no", planned.store))
        }
        What::StandStill { .. } | What::BreakOff if is_disk => {
            Err(format!("{} is a disk: no line to it can stand still or break", planned.store))
        }
        What::StandStill { late } if lasts > STILL_MAX || *late > LATE_MAX => Err(format!(
            "a store stands still for {STILL_MAX:?} at most, and what it was sent applies {LATE_MAX:?} later at most"
        )),
        What::Setting(setting) => {
            in_time(&setting.trouble)?;
            Ok(Act::Fault { store, lasts, setting: setting.clone() })
        }
        What::StandStill { late } => Ok(Act::Stop { store, lasts, late: *late }),
        What::BreakOff => Ok(Act::BreakOff { store }),
    }
}

/// What a simulated store promises of late calls.
fn in_time(trouble: &Trouble) -> Result<(), String> {
    let late = match trouble {
        Trouble::Hang(Apply::After(late)) | Trouble::LateServerError { late, .. } => *late,
        Trouble::Slow { bytes_per_second: Some(pace), .. } if *pace < PACE_MIN => {
            return Err(format!("bodies have at least {PACE_MIN} bytes per second"));
        }
        Trouble::Slow { before, after, .. } => *before + *after,
        _ => Duration::ZERO,
    };
    if late > LATE_MAX { Err(format!("no simulated call applies later than {LATE_MAX:?}")) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Detail, run};

    #[test]
    fn what_a_seed_prints_is_what_it_plays() {
        let mut faults = 0;
        for seed in 0..200 {
            let plan = Plan::of(seed);
            let printed = faults_of(&plan).to_string();
            let read = Schedule::parse(&printed).unwrap_or_else(|error| panic!("seed {seed}: {error}\n{printed}"));
            let played = with_faults(plan.clone(), &read).unwrap_or_else(|why| panic!("seed {seed}: {why}\n{printed}"));
            assert_eq!(faults_of(&played), faults_of(&plan), "seed {seed}");
            assert_eq!(played.steps.len(), plan.steps.len(), "seed {seed}");
            faults += read.faults.len();
        }
        assert!(faults > 1000, "{faults}");
    }

    /// Nothing is lost and nothing moves in time; only what happens in one moment may change places, which a file cannot say.
    #[test]
    fn a_seed_with_its_own_faults_from_a_file_is_the_same_plan() {
        let told = |plan: &Plan| plan.steps.iter().map(|step| format!("{step:?}")).collect::<Vec<_>>();
        let mut same = Vec::new();
        for seed in 0..40 {
            let plan = Plan::of(seed);
            let read = Schedule::parse(&faults_of(&plan).to_string()).expect("it was just printed");
            let played = with_faults(plan.clone(), &read).expect("they are its own");
            let (mut before, mut after) = (told(&plan), told(&played));
            if before == after && !read.faults.is_empty() {
                same.push((plan, played));
            }
            before.sort();
            after.sort();
            assert_eq!(after, before, "seed {seed}");
        }
        let (plan, played) = same.first().expect("most seeds have no two things in one moment");
        assert_eq!(run(played, Detail::Clients).print, run(plan, Detail::Clients).print, "seed {}", plan.seed);
    }

    #[test]
    fn other_faults_are_another_run_and_impossible_ones_are_told() {
        let disks = (0..).map(Plan::of).find(|plan| plan.kinds == [Kind::Disk; 3]).expect("every twelfth is so");
        let fault = |store: &str, more: &str| {
            let text = format!("format = 1\n[[fault]]\nstore = \"{store}\"\nat = \"1s\"\nlasts = \"20s\"\n{more}\n");
            Schedule::parse(&text).expect("a good schedule")
        };
        let refuses = with_faults(disks.clone(), &fault("s0", "trouble = \"refuse\"")).expect("a disk may");
        let ended = run(&refuses, Detail::Clients);
        assert_eq!(ended.failure, None);
        assert!(ended.trace.iter().any(|line| line.contains("* s0 for 20000 ms: Refuse")), "{:?}", ended.trace);
        assert!(refuses.steps.len() < disks.steps.len() || faults_of(&disks).faults.len() < 2);
        let a = (0..).map(Plan::of).find(|plan| plan.kinds.contains(&Kind::A)).expect("most have one");
        let s = format!("s{}", a.kinds.iter().position(|kind| *kind == Kind::A).expect("it has one"));
        for (plan, schedule, words) in [
            (&disks, fault("s0", "trouble = \"hang\""), "line 2: s0 is a disk"),
            (&disks, fault("s9", "trouble = \"refuse\""), "line 2: this seed's stores are s0 to s2"),
            (&a, fault(&s, "trouble = \"hang\"\napplies = \"after 59s\""), "line 2: no simulated call applies later"),
            (&a, fault(&s, "trouble = \"slow\"\nbytes_per_second = 9999"), "line 2: bodies have at least"),
        ] {
            let why = with_faults(plan.clone(), &schedule).expect_err(words);
            assert!(why.contains(words), "{why}");
        }
    }
}
