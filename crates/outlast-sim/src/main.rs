//! `outlast-sim`: runs seeds, and tells of the first that breaks a promise how to run it again. `cargo xtask sim` calls it.

use outlast_sim::{Detail, Plan, run, shrink};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

fn number(arguments: &[String], name: &str) -> Option<u64> {
    let at = arguments.iter().position(|argument| argument == name)?;
    arguments.get(at + 1)?.parse().ok()
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let has = |name: &str| arguments.iter().any(|argument| argument == name);
    if let Some(seed) = number(&arguments, "--seed") {
        let detail = if has("--calls") { Detail::Calls } else { Detail::Clients };
        return one(seed, !has("--whole"), detail);
    }
    let seeds = number(&arguments, "--seeds").unwrap_or(1000);
    let from = number(&arguments, "--from").unwrap_or(0);
    many(from, seeds, has("--prints"))
}

/// One seed with its whole trace, shortened when it fails.
fn one(seed: u64, shorten: bool, detail: Detail) -> ExitCode {
    let plan = Plan::of(seed);
    let ended = run(&plan, detail);
    let Some(failure) = ended.failure else {
        println!("{}", ended.trace.join("\n"));
        println!("seed {seed}: every promise was kept (print {:016x})", ended.print);
        return ExitCode::SUCCESS;
    };
    if !shorten {
        println!("{}", ended.trace.join("\n"));
        println!("seed {seed} FAILED: {failure}");
        return ExitCode::FAILURE;
    }
    println!("seed {seed} FAILED: {failure}\nmaking it short ...");
    // The same promise, whatever its numbers.
    let promise = |failure: &str| failure.chars().take_while(|c| !c.is_ascii_digit() && *c != '#').collect::<String>();
    let short = shrink(&plan, |plan| {
        run(plan, Detail::Clients).failure.is_some_and(|other| promise(&other) == promise(&failure))
    });
    let ended = run(&short, detail);
    println!("{}", ended.trace.join("\n"));
    println!(
        "seed {seed}, {} of {} steps, FAILED: {}",
        short.steps.len(),
        plan.steps.len(),
        ended.failure.unwrap_or_default()
    );
    ExitCode::FAILURE
}

/// Seeds in as many threads as the machine runs at once; each run has one of its own.
fn many(from: u64, seeds: u64, prints: bool) -> ExitCode {
    let next = AtomicU64::new(from);
    let failed = AtomicBool::new(false);
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= from + seeds {
                        return;
                    }
                    let ended = run(&Plan::of(seed), Detail::Clients);
                    if prints {
                        println!("{seed} {:016x}", ended.print);
                    }
                    if let Some(failure) = ended.failure {
                        failed.store(true, Ordering::Relaxed);
                        println!("seed {seed} FAILED: {failure}\n    cargo xtask sim --seed {seed}");
                    }
                }
            });
        }
    });
    if failed.load(Ordering::Relaxed) {
        return ExitCode::FAILURE;
    }
    println!("{seeds} seeds from {from}: every promise was kept");
    ExitCode::SUCCESS
}
