//! What people and CI do to the workspace, one command per file; this one only says which is asked for.

mod bench;
mod ci;
mod failures;
mod fuzz;
mod sim;
mod stages;
mod test;
mod tidy;
mod tools;
mod torture;
mod workspace;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo xtask", about = "What people and CI do to this workspace")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Build everything, install the real servers and clients that the tests need, and run every test
    Test(test::Wanted),
    /// What the continuous integration runs: the same as `test`, with nothing left out
    Ci,
    /// Hold the style rules of CONTRIBUTING.md against the workspace
    Tidy,
    /// Direct, through nginx and through Outlast in turns; the figures go into bench/results
    Bench(bench::Wanted),
    /// One fuzz target for a while; without a name, the list of all
    Fuzz(fuzz::Wanted),
    /// Load, and everything that can happen to the gateway and its stores: is everything that was acknowledged there, and
    /// nothing else?
    Torture(torture::Wanted),
    /// The simulator: every promise under faults and crashes that a seed decides
    Sim(sim::Wanted),
}

fn main() -> ExitCode {
    match Arguments::parse().command {
        Command::Test(wanted) => test::run(&wanted),
        Command::Ci => ci::run(),
        Command::Tidy => tidy::run(),
        Command::Bench(wanted) => bench::run(&wanted),
        Command::Fuzz(wanted) => fuzz::run(&wanted),
        Command::Torture(wanted) => torture::run(&wanted),
        Command::Sim(wanted) => sim::run(&wanted),
    }
}
