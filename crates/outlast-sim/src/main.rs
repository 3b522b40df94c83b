//! `outlast-sim`: runs seeds, and tells of the first that breaks a promise how to run it again. `cargo xtask sim` calls it.

use outlast_sim::{Detail, Kill, Mutant, PLAYED, Plan, STAGED, UNSEEN, faults_of, hunt, run, shrink, with_faults};
use outlast_store::Schedule;
use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

fn number(arguments: &[String], name: &str) -> Option<u64> {
    text(arguments, name)?.parse().ok()
}

fn text<'a>(arguments: &'a [String], name: &str) -> Option<&'a str> {
    let at = arguments.iter().position(|argument| argument == name)?;
    arguments.get(at + 1).map(String::as_str)
}

/// The seed's own plan, or with the faults of a file instead of its own.
fn planned(seed: u64, file: Option<&str>) -> Result<Plan, String> {
    let plan = Plan::of(seed);
    let Some(file) = file else { return Ok(plan) };
    let text = std::fs::read_to_string(file).map_err(|error| format!("{file}: {error}"))?;
    let schedule = Schedule::parse(&text).map_err(|mistakes| format!("{file}:\n{mistakes}"))?;
    with_faults(plan, &schedule).map_err(|why| format!("{file}: {why}"))
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let has = |name: &str| arguments.iter().any(|argument| argument == name);
    if has("--mutants") {
        return mutants();
    }
    let broken = match text(&arguments, "--mutant").map(|name| (name, named(name))) {
        Some((name, None)) => {
            eprintln!("there is no mutant {name}; --mutants tells them all");
            return ExitCode::FAILURE;
        }
        other => other.and_then(|(_, mutant)| mutant),
    };
    if let Some(seed) = number(&arguments, "--seed") {
        let detail = if has("--calls") { Detail::Calls } else { Detail::Clients };
        let plan = match planned(seed, text(&arguments, "--faults")) {
            Ok(plan) => plan,
            Err(why) => {
                eprintln!("{why}");
                return ExitCode::from(2);
            }
        };
        if has("--print-faults") {
            print!("{}", faults_of(&plan));
            return ExitCode::SUCCESS;
        }
        return one(&Plan { broken, ..plan }, !has("--whole"), detail);
    }
    let seeds = number(&arguments, "--seeds").unwrap_or(1000);
    let from = number(&arguments, "--from").unwrap_or(0);
    many(from, seeds, has("--prints"))
}

/// One seed with its whole trace, shortened when it fails.
fn one(plan: &Plan, shorten: bool, detail: Detail) -> ExitCode {
    let seed = plan.seed;
    let ended = run(plan, detail);
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
    let short = shrink(plan, |plan| {
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
    let left = faults_of(&short);
    if !left.faults.is_empty() {
        println!("its faults, for: cargo xtask sim --seed {seed} --faults FILE\n{left}");
    }
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

fn named(name: &str) -> Option<Mutant> {
    Mutant::ALL.iter().copied().find(|mutant| format!("{mutant:?}") == name)
}

/// What sees it where no seed does, in words: a golden script, or a play, which is played now.
fn otherwise(mutant: Mutant) -> Option<String> {
    let script =
        PLAYED.iter().find(|played| played.mutant == mutant).map(|played| format!("the script {}", played.script));
    let play = || STAGED.iter().find(|staged| staged.mutant == mutant && staged.broken().is_some());
    script.or_else(|| play().map(|staged| format!("a play ({})", staged.what)))
}

/// Every mutant, by as many threads as the machine runs at once. Fails where one survives.
fn mutants() -> ExitCode {
    let next = AtomicUsize::new(0);
    let rows: Mutex<BTreeMap<Mutant, Option<Kill>>> = Mutex::default();
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some(mutant) = Mutant::ALL.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let kill = hunt(*mutant);
                    rows.lock().expect("nothing panics while it is held").insert(*mutant, kill);
                }
            });
        }
    });
    let rows = rows.into_inner().expect("nothing panicked while it was held");
    let unseeded = rows.iter().filter(|(_, kill)| kill.is_none()).map(|(mutant, _)| *mutant);
    let others: BTreeMap<Mutant, String> = unseeded.filter_map(|mutant| Some((mutant, otherwise(mutant)?))).collect();
    println!("{:<28} {:>6} {:>7}  broken", "mutant", "seed", "seconds");
    for (mutant, kill) in &rows {
        let name = format!("{mutant:?}");
        match kill {
            Some(kill) => {
                let (seconds, broken) = (kill.took.as_secs_f64(), kill.broken.chars().take(100).collect::<String>());
                println!("{name:<28} {:>6} {seconds:>7.2}  {broken}", kill.seed);
            }
            None => match others.get(mutant) {
                Some(sees) => println!("{name:<28} {sees} sees it"),
                None if UNSEEN.contains(mutant) => println!("{name:<28} was never seen   {}", mutant.rule()),
                None => println!("{name:<28} SURVIVES         {}", mutant.rule()),
            },
        }
    }
    let alive: Vec<String> = rows
        .iter()
        .filter(|(mutant, kill)| kill.is_none() && !UNSEEN.contains(mutant) && !others.contains_key(mutant))
        .map(|(m, _)| format!("{m:?}"))
        .collect();
    if alive.is_empty() {
        let seen = rows.values().flatten().count();
        let (others, all) = (others.len(), rows.len());
        println!("seeds see {seen} mutants, scripts and plays {others} more; {} were never seen", all - seen - others);
        return ExitCode::SUCCESS;
    }
    println!("{} of {} mutants survive: {}", alive.len(), rows.len(), alive.join(" "));
    ExitCode::FAILURE
}
