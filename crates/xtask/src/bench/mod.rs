//! `cargo xtask bench`: a store directly, the same store behind nginx, and Outlast over three of them, in turns in one run,
//! so that what the machine does meanwhile hits all alike.

mod catch_up;
mod figures;
mod large;
mod line;
mod listing;
mod machine;
mod memory;
mod nginx;
mod process;
mod report;
mod scene;
mod small;

use std::process::ExitCode;

use clap::Args;

use crate::stages::run_command;
use crate::workspace;
use report::Report;
use scene::Scene;

/// What `cargo xtask bench` was asked to do.
#[derive(Args)]
pub struct Wanted {
    /// Fewer turns and smaller bodies in the memory run: minutes become seconds, and figures become hints
    #[arg(long)]
    quick: bool,
    /// This program instead of the one that is built here
    #[arg(long, value_name = "PATH")]
    program: Option<std::path::PathBuf>,
    /// Only these parts: small, large, memory, listing, catch-up
    #[arg(long, value_name = "PART")]
    only: Vec<String>,
    /// Print the figures and write no file
    #[arg(long)]
    dry: bool,
}

impl Wanted {
    fn wants(&self, part: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|one| one == part)
    }
}

/// Fails where something could not be measured; a figure that misses its goal is told and is no failure.
pub fn run(wanted: &Wanted) -> ExitCode {
    // An unoptimised client would add its own time to both sides of every ratio.
    let ended = if cfg!(debug_assertions) { again_optimised() } else { measure(wanted) };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("bench: {why}");
            ExitCode::FAILURE
        }
    }
}

fn again_optimised() -> Result<(), String> {
    let mut command = workspace::cargo_compiling(&["run", "--release", "-p", "xtask"]);
    command.arg("--").args(std::env::args_os().skip(1));
    run_command(&mut command)
}

fn measure(wanted: &Wanted) -> Result<(), String> {
    let program = match &wanted.program {
        Some(program) => program.canonicalize().map_err(|error| format!("{}: {error}", program.display()))?,
        None => {
            run_command(&mut workspace::cargo_compiling(&["build", "--release", "-p", "outlast"]))?;
            workspace::target_dir().join("release/outlast")
        }
    };
    // Beside the build, not in a temporary folder: that may be memory, and a store's fsync would cost nothing.
    let dir = tempfile::Builder::new()
        .prefix("outlast-bench-")
        .tempdir_in(workspace::target_dir())
        .map_err(|error| error.to_string())?;
    let runtime = tokio::runtime::Runtime::new().map_err(|error| error.to_string())?;
    let mut report = Report::new(machine::describe(dir.path()), wanted.quick);
    runtime.block_on(all(wanted, &program, dir.path(), &mut report))?;
    println!("{}", report.markdown());
    if wanted.dry { Ok(()) } else { report.write(&workspace::root().join("bench/results")) }
}

async fn all(
    wanted: &Wanted,
    program: &std::path::Path,
    dir: &std::path::Path,
    report: &mut Report,
) -> Result<(), String> {
    if wanted.wants("small") || wanted.wants("large") || wanted.wants("memory") {
        let mut scene = Scene::set(program, dir).await?;
        if wanted.wants("small") {
            small::measure(&scene, wanted.quick, report).await?;
        }
        if wanted.wants("large") {
            large::measure(&scene, wanted.quick, report).await?;
        }
        if wanted.wants("memory") {
            scene.restart_outlast().await?;
            memory::measure(&scene, wanted.quick, report).await?;
        }
    }
    if wanted.wants("listing") {
        listing::measure(program, &dir.join("listing"), wanted.quick, report).await?;
    }
    if wanted.wants("catch-up") {
        catch_up::measure(program, &dir.join("catch-up"), wanted.quick, report).await?;
    }
    Ok(())
}
