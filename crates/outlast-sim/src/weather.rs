//! Troubles that only the seeds from `WIDE_FROM` on have. They are drawn from a stream of their own, on top of what every seed has:
//! so the plans of the other seeds, and with them the seeds that see each mutant, stay as they are.

use crate::chance::Chance;
use crate::plan::{Act, CALM_AFTER, Kind, Op, Plan, Step};
use outlast_store::{Class, Fault, Setting, Trouble};
use std::time::Duration;

/// The first seed with such troubles.
pub const WIDE_FROM: u64 = 1_000_000;
/// Its stream of numbers (`Chance::new`).
const PURPOSE: u64 = 4;
/// Names that clients and we ourselves use: keys, folders of keys, our records, those of deletes and of the home.
const PREFIXES: [&str; 7] = ["a", "c/", "c/d", "x", ".outlast/", ".outlast/tomb/", ".outlast/trash/"];

pub fn widen(plan: &mut Plan) {
    if plan.seed < WIDE_FROM {
        return;
    }
    let mut chance = Chance::new(plan.seed, PURPOSE);
    // The long pause after which all must be well is left in peace, and so are the first steps.
    let pause = plan.steps.windows(2).position(|pair| pair[1].at - pair[0].at >= CALM_AFTER);
    let last = pause.unwrap_or(plan.steps.len() - 1);
    // A store whose bucket we delete is believed when it says, asked in every way, that the bucket is gone: there it lies only to
    // some calls, and the others tell.
    let removes = |step: &Step| matches!(step.act, Act::Client { op: Op::RemoveBucket { .. }, .. });
    let removed = plan.steps.iter().any(removes);
    for _ in 0..chance.within(3..=14) {
        let at = plan.steps[4 + chance.below(last.saturating_sub(4).max(1))].at + Duration::from_millis(1);
        let store = chance.below(plan.kinds.len());
        let mut setting = setting(&mut chance, plan.kinds[store] == Kind::Disk);
        if removed && setting.trouble == Trouble::GONE && setting.classes.contains(&Class::Bucket) {
            setting.classes = Class::READS.to_vec();
        }
        let lasts = Duration::from_millis(chance.within(500..=60_000));
        plan.steps.push(Step { at, act: Act::Fault { store, lasts, setting } });
    }
    plan.steps.sort_by_key(|step| step.at);
}

fn setting(chance: &mut Chance, is_disk: bool) -> Setting {
    let of_a_line = if is_disk { 0 } else { 2 };
    let setting = match chance.weighed(&[3, 2, 2, 3, of_a_line, 4]) {
        0 => Setting::on(classes(chance), Trouble::GONE),
        1 => Setting::all(Trouble::NotSent(Fault::NameNotResolved)),
        2 => Setting::all(Trouble::NotSent(Fault::Certificate)),
        3 => Setting::read_only(),
        4 => {
            let (before, after) = (Duration::ZERO, Duration::ZERO);
            // From a largest body in seven seconds to one that nobody notices.
            let bytes_per_second = Some(*chance.pick(&[10_000, 50_000, 1_000_000]));
            Setting::all(Trouble::Slow { before, after, bytes_per_second })
        }
        _ => {
            let troubles = [Trouble::Refuse, Trouble::DENIED, Trouble::FULL, Trouble::SLOW_DOWN];
            let below = *chance.pick(&PREFIXES);
            Setting::on(classes(chance), chance.pick(&troubles).clone()).below(below)
        }
    };
    if chance.one_in(3) { setting.odds(*chance.pick(&[500, 200]), chance.seed()) } else { setting }
}

fn classes(chance: &mut Chance) -> &'static [Class] {
    match chance.weighed(&[4, 2, 2, 1]) {
        0 => &Class::ALL,
        1 => &Class::WRITES,
        2 => &Class::READS,
        _ => &[Class::Bucket],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every kind of them is drawn, and none on a seed below.
    #[test]
    fn wide_seeds_have_all_of_it() {
        let troubles = |seed: u64| {
            let steps = Plan::of(seed).steps;
            steps.into_iter().filter_map(|step| match step.act {
                Act::Fault { setting, .. } => Some(setting),
                _ => None,
            })
        };
        let is_wide = |setting: &Setting| {
            let paced = matches!(setting.trouble, Trouble::Slow { bytes_per_second: Some(_), .. });
            let not_sent = matches!(setting.trouble, Trouble::NotSent(_));
            let read_only = setting.classes == Setting::read_only().classes;
            [setting.trouble == Trouble::GONE, not_sent, paced, read_only, !setting.prefix.is_empty()]
        };
        assert!((0..300).flat_map(troubles).all(|setting| is_wide(&setting) == [false; 5]));
        let mut counts = [0; 5];
        for setting in (WIDE_FROM..WIDE_FROM + 100).flat_map(troubles) {
            for (count, drawn) in counts.iter_mut().zip(is_wide(&setting)) {
                *count += u32::from(drawn);
            }
        }
        assert!(counts.iter().all(|count| *count > 20), "{counts:?}");
    }
}
