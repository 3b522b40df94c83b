//! `cargo xtask sim`: seeds of the simulator, more of them than the tests run, and one again with its trace.

use std::process::ExitCode;

use clap::Args;

use crate::stages::run_command;
use crate::workspace;

/// What `cargo xtask sim` was asked to do.
#[derive(Args)]
pub struct Wanted {
    /// Run this seed alone and show its trace, made short when it fails
    #[arg(long)]
    seed: Option<u64>,
    /// Take each rule away in turn and see whether the simulator notices: exits 1 where one survives
    #[arg(long, conflicts_with = "seed")]
    mutants: bool,
    /// With --seed: with the rule of this mutant taken away
    #[arg(long, requires = "seed")]
    mutant: Option<String>,
    /// With --seed: the whole trace, however long
    #[arg(long)]
    whole: bool,
    /// With --seed: every call to a store as well
    #[arg(long)]
    calls: bool,
    /// How many seeds
    #[arg(long, default_value_t = 1000)]
    seeds: u64,
    /// The first of them
    #[arg(long, default_value_t = 0)]
    from: u64,
}

/// Succeeds only if every promise was kept.
pub fn run(wanted: &Wanted) -> ExitCode {
    let mut command = workspace::cargo_compiling(&["run", "--quiet", "-p", "outlast-sim", "--"]);
    match wanted.seed {
        Some(seed) => {
            command.args(["--seed", &seed.to_string()]);
            if wanted.whole {
                command.arg("--whole");
            }
            if wanted.calls {
                command.arg("--calls");
            }
            if let Some(mutant) = &wanted.mutant {
                command.args(["--mutant", mutant]);
            }
        }
        None if wanted.mutants => {
            command.arg("--mutants");
        }
        None => {
            command.args(["--seeds", &wanted.seeds.to_string(), "--from", &wanted.from.to_string()]);
        }
    }
    match run_command(&mut command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("FAILED: {why}");
            ExitCode::FAILURE
        }
    }
}
