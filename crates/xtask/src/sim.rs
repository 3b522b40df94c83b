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
    /// With --seed: its clients with the faults of this file instead of its own (docs/formats/schedule.md)
    #[arg(long, value_name = "FILE", requires = "seed")]
    faults: Option<std::path::PathBuf>,
    /// With --seed: print its faults as such a file, and run nothing
    #[arg(long, requires = "seed")]
    print_faults: bool,
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
            if let Some(file) = &wanted.faults {
                command.arg("--faults").arg(file);
            }
            if wanted.print_faults {
                command.arg("--print-faults");
            }
        }
        None if wanted.mutants => {
            command.arg("--mutants");
        }
        None => {
            command.args(["--seeds", &wanted.seeds.to_string(), "--from", &wanted.from.to_string()]);
        }
    }
    // What is printed is a file, and nothing else belongs into it.
    let ended = match wanted.print_faults {
        true => command
            .status()
            .map_err(|error| error.to_string())
            .and_then(|status| if status.success() { Ok(()) } else { Err(status.to_string()) }),
        false => run_command(&mut command),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("FAILED: {why}");
            ExitCode::FAILURE
        }
    }
}
