//! A failing plan made short: steps are taken away as long as it still fails.

use crate::plan::{Plan, Step};

/// Tries at most so many runs: a person waits for it.
const RUNS_MAX: usize = 400;

/// `fails`: does this plan still fail in the way that matters?
pub fn shrink(plan: &Plan, mut fails: impl FnMut(&Plan) -> bool) -> Plan {
    let mut best = plan.clone();
    let mut runs = 0;
    let mut size = best.steps.len().div_ceil(2).max(1);
    loop {
        let mut from = 0;
        let mut any = false;
        while from < best.steps.len() && runs < RUNS_MAX {
            let to = (from + size).min(best.steps.len());
            let steps: Vec<Step> = best.steps[..from].iter().chain(&best.steps[to..]).cloned().collect();
            let shorter = Plan { steps, ..best.clone() };
            runs += 1;
            if fails(&shorter) {
                best = shorter;
                any = true;
            } else {
                from = to;
            }
        }
        if runs >= RUNS_MAX || (size == 1 && !any) {
            return best;
        }
        size = size.div_ceil(2);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_matters_is_left() {
        let plan = Plan::of(1);
        let (a, b) = (plan.steps[7].at, plan.steps[90].at);
        let count = |plan: &Plan, at| plan.steps.iter().filter(|step| step.at == at).count();
        let short = shrink(&plan, |plan| count(plan, a) > 0 && count(plan, b) > 0);
        assert_eq!(short.steps.len(), 2, "{:?}", short.steps);
    }
}
