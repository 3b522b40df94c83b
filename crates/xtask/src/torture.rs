//! `cargo xtask torture`: the rounds of the tests, more of them, and again from a seed.

use std::env;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use outlast_drive::{Plan, World, any_seed, in_own_network, torture};

use crate::stages::run_command;
use crate::workspace;

/// What `cargo xtask torture` was asked to do.
#[derive(Args)]
pub struct Wanted {
    /// How many rounds [default: 200 over mixed, 50 over trial and peer]
    #[arg(long)]
    rounds: Option<u32>,
    /// Decides the load, what is done to whom, and when; drawn if it is not given
    #[arg(long)]
    seed: Option<u64>,
    /// Over which stores
    #[arg(long, value_enum, default_value_t = Where::Mixed)]
    world: Where,
    /// This program instead of the one that is built here
    #[arg(long, value_name = "PATH")]
    program: Option<PathBuf>,
    /// Keep the data for a look when it is over
    #[arg(long)]
    keep: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Where {
    /// Two disks, Garage and moto: kills and stops of the gateway and of stores, a full disk, a clock that jumps, too few
    /// file handles, a way that is cut
    Mixed,
    /// Three disks; each round is load and at least one kill -9 of the gateway under it
    Trial,
    /// Two disks and an S3 store that hangs now and then; kills only
    Peer,
}

impl Wanted {
    /// What nobody has to wait for: the tests do ten.
    fn rounds(&self) -> u32 {
        self.rounds.unwrap_or(match self.world {
            Where::Mixed => 200,
            Where::Trial | Where::Peer => 50,
        })
    }
}

/// Succeeds only if every promise was kept in every round.
pub fn run(wanted: &Wanted) -> ExitCode {
    if wanted.world == Where::Mixed {
        let again = env::current_exe().map_err(|error| error.to_string());
        match again.and_then(|program| in_own_network(&program, env::args_os().skip(1))) {
            Ok(None) => {}
            Ok(Some(status)) if status.success() => return ExitCode::SUCCESS,
            Ok(Some(_)) => return ExitCode::FAILURE,
            Err(why) => println!("{why}"),
        }
    }
    match rounds(wanted) {
        Ok(words) => {
            println!("{words}");
            ExitCode::SUCCESS
        }
        Err(why) => {
            eprintln!("FAILED: {why}");
            ExitCode::FAILURE
        }
    }
}

fn rounds(wanted: &Wanted) -> Result<String, String> {
    let program = match &wanted.program {
        Some(program) => program.canonicalize().map_err(|error| format!("{}: {error}", program.display()))?,
        None => {
            run_command(&mut workspace::cargo_compiling(&["build", "-p", "outlast"]))?;
            workspace::product_binary()
        }
    };
    let world = match wanted.world {
        Where::Mixed => World::Mixed,
        Where::Trial => World::Trial,
        Where::Peer => World::Peer,
    };
    let seed = wanted.seed.unwrap_or_else(any_seed);
    let rounds = wanted.rounds();
    println!("seed {seed}, {rounds} rounds over {}", world.name());
    let dir = tempfile::Builder::new().prefix("outlast-torture-").tempdir().map_err(|error| error.to_string())?;
    let plan = Plan {
        seed,
        rounds,
        world,
        program,
        tools: workspace::tools_dir(),
        dir: dir.path().to_owned(),
        time_max: None,
        told: true,
    };
    let runtime = tokio::runtime::Runtime::new().map_err(|error| error.to_string())?;
    let ended = runtime.block_on(torture(&plan));
    if wanted.keep || ended.is_err() {
        println!("the data is kept in {}", dir.keep().display());
    }
    ended.map(|tally| format!("seed {seed}: {tally}; every promise was kept")).map_err(|broken| broken.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        wanted: Wanted,
    }

    fn rounds_of(args: &[&str]) -> (Where, u32) {
        let wanted = Line::parse_from([&["torture"], args].concat()).wanted;
        (wanted.world, wanted.rounds())
    }

    #[test]
    fn a_run_by_command_is_long_unless_it_is_told_how_long() {
        assert_eq!(rounds_of(&[]), (Where::Mixed, 200));
        assert_eq!(rounds_of(&["--world", "trial"]), (Where::Trial, 50));
        assert_eq!(rounds_of(&["--world", "peer"]), (Where::Peer, 50));
        assert_eq!(rounds_of(&["--world", "trial", "--rounds", "3"]), (Where::Trial, 3));
    }
}
