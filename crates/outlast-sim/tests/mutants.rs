//! Rules are taken away one by one: a simulator that does not see it proves nothing about the rule.

use outlast_sim::{Detail, Mutant, PLAYED, Plan, SEEN, STAGED, Seen, UNSEEN, kill, run};
use std::collections::BTreeSet;

const PIECES: usize = 8;

/// Only the missing rule may be what a seed sees.
fn is_honest(seed: u64) {
    let broken = run(&Plan::of(seed), Detail::Clients).failure;
    assert_eq!(broken, None, "seed {seed} fails with every rule in its place: cargo xtask sim --seed {seed}");
}

fn first(seen: &Seen) -> u64 {
    *seen.seeds.first().expect("a mutant without a seed has no place in the table")
}

/// Seeds of one piece, and the mutants that each is the first to see: the honest run is needed once for all of them.
fn piece(n: usize) {
    let seeds: BTreeSet<u64> = SEEN.iter().map(first).collect();
    let mut unseen = vec![];
    for seed in seeds.into_iter().skip(n).step_by(PIECES) {
        is_honest(seed);
        for seen in SEEN.iter().filter(|seen| first(seen) == seed) {
            let others = seen.seeds[1..].iter().inspect(|other| is_honest(**other));
            let killed = kill(seen.mutant, seed).or_else(|| others.copied().find_map(|other| kill(seen.mutant, other)));
            match killed {
                Some(kill) if kill.broken.contains(seen.promise) => {}
                Some(kill) => unseen.push(format!("{:?}: not {}, but {}", seen.mutant, seen.promise, kill.broken)),
                None => unseen.push(format!("{:?} survives {:?}", seen.mutant, seen.seeds)),
            }
        }
    }
    assert!(unseen.is_empty(), "cargo xtask sim --mutants looks for other seeds:\n{}", unseen.join("\n"));
}

macro_rules! pieces {
    ($($name:ident $n:literal),*) => { $(#[test] fn $name() { piece($n); })* };
}

pieces!(seen_0 0, seen_1 1, seen_2 2, seen_3 3, seen_4 4, seen_5 5, seen_6 6, seen_7 7);

/// With every rule in its place all takes of a play pass; without the one that it is for, one of them breaks the promise.
#[test]
fn every_play_shows_what_it_is_for() {
    let mut wrong = vec![];
    for staged in STAGED {
        let takes = (staged.takes)();
        for (n, plan) in takes.iter().enumerate() {
            if let Some(broken) = run(plan, Detail::Clients).failure {
                wrong.push(format!("{}, take {n}: fails with every rule in its place: {broken}", staged.what));
            }
        }
        match staged.broken() {
            Some(broken) if broken.contains(staged.promise) => {}
            Some(broken) => wrong.push(format!("{:?}: not {}, but {broken}", staged.mutant, staged.promise)),
            None => {
                let last = Plan { broken: Some(staged.mutant), ..takes[takes.len() - 1].clone() };
                let trace = run(&last, Detail::Clients).trace.join("\n");
                wrong.push(format!("{:?} survives: {}\n{trace}", staged.mutant, staged.what));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// One that nobody sees is said to be so.
#[test]
fn every_mutant_has_its_place_in_the_table() {
    let by_script = PLAYED.iter().map(|played| played.mutant);
    let by_play = STAGED.iter().map(|staged| staged.mutant);
    let table: BTreeSet<Mutant> = SEEN.iter().map(|seen| seen.mutant).chain(by_script).chain(by_play).collect();
    assert!(UNSEEN.iter().all(|mutant| !table.contains(mutant)), "who is seen is not among the unseen");
    let all: Vec<Mutant> =
        table.into_iter().chain(UNSEEN.iter().copied()).collect::<BTreeSet<Mutant>>().into_iter().collect();
    assert_eq!(all, Mutant::ALL);
    let seen: BTreeSet<Mutant> = SEEN.iter().map(|seen| seen.mutant).collect();
    assert!(seen.len() >= 30, "the simulator sees {} mutants", seen.len());
}

/// Every counter-example of protocol.md 9 is a mutant that a script sees: its very order of events, with the rule taken away.
#[test]
fn every_counter_example_is_played_without_its_rule() {
    for number in 1..=28 {
        let begins = format!("ce {number}:");
        let by_script = PLAYED.iter().any(|played| played.mutant.rule().starts_with(&begins));
        assert!(by_script, "no script plays counter-example {number} with its rule taken away");
    }
}

#[test]
fn nothing_is_broken_unless_somebody_asks_for_it() {
    assert!(Mutant::ALL.iter().all(|mutant| !outlast_sim::broken(*mutant)));
    let seen = &SEEN[0];
    let broken = Plan { broken: Some(seen.mutant), ..Plan::of(first(seen)) };
    run(&broken, Detail::Clients);
    assert!(!outlast_sim::broken(seen.mutant), "the rule is back after the run");
}
