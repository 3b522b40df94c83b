//! `cargo xtask test`: from a clean clone to an honest answer. It installs what the tests need, builds, and runs all.

use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::{env, ffi::OsString};

use clap::{Args, ValueEnum};

use crate::stages::{Stages, run_command};
use crate::tools::{self, Inventory};
use crate::{failures, tidy, workspace};

/// What `cargo xtask test` was asked to do.
#[derive(Args)]
pub struct Wanted {
    /// Install nothing: tests whose servers or clients are not there are left out, by name
    #[arg(long)]
    no_install: bool,
    /// Run only this stage (may be given several times)
    #[arg(long, value_name = "NAME", value_enum)]
    only: Vec<Stage>,
    /// Passed on to `cargo nextest run`: names of tests, filters
    #[arg(last = true)]
    nextest: Vec<String>,
}

impl Wanted {
    /// All stages and all tests, with nothing left out.
    pub fn everything() -> Wanted {
        Wanted { no_install: false, only: Vec::new(), nextest: Vec::new() }
    }

    fn wants(&self, stage: Stage) -> bool {
        self.only.is_empty() || self.only.contains(&stage)
    }
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Stage {
    /// Install the real servers and clients that the tests use
    Install,
    /// Build the product and all tests
    Build,
    /// Check the formatting
    Fmt,
    /// Lints; a warning is a failure
    Clippy,
    /// The style rules
    Tidy,
    /// All tests
    Tests,
    /// The examples in the documentation
    Docs,
}

/// Runs the wanted stages. The exit status is a success only if all of them passed.
pub fn run(wanted: &Wanted) -> ExitCode {
    let mut stages = Stages::default();
    if wanted.wants(Stage::Install) && !wanted.no_install {
        stages.run("install", tools::install_all);
    }
    if wanted.wants(Stage::Fmt) {
        stages.run("fmt", || run_command(&mut workspace::cargo(&["fmt", "--all", "--check"])));
    }
    if wanted.wants(Stage::Tidy) {
        stages.run("tidy", tidy::stage);
    }
    // All targets in one go, so that the program of the black-box tests and the tests share every dependency: built by
    // itself with other features, the product would compile half of them a second time.
    let built = (wanted.wants(Stage::Build) || wanted.wants(Stage::Tests)).then(|| {
        stages.run("build", || run_command(&mut workspace::cargo_compiling(&["build", "--workspace", "--all-targets"])))
    });
    if wanted.wants(Stage::Clippy) {
        stages.run("clippy", || {
            let mut clippy = workspace::cargo_compiling(&["clippy", "--workspace", "--all-targets"]);
            run_command(clippy.args(["--", "-D", "warnings"]))
        });
    }
    if wanted.wants(Stage::Tests) {
        let inventory = Inventory::take();
        if built == Some(false) {
            stages.not_run("tests", "the build failed");
        } else {
            let report = failures::report();
            let passed = stages.run("tests", || {
                failures::forget(&report)?;
                run_command(&mut tests(&inventory, &wanted.nextest, wanted.no_install)?)
            });
            if !passed {
                failures::told(&report).into_iter().for_each(|test| stages.failed_test(test));
            }
        }
        if wanted.no_install {
            for tool in inventory.missing() {
                stages.left_out(format!("tests with {tool}: it is not installed"));
            }
        }
    }
    if wanted.wants(Stage::Docs) {
        stages.run("docs", || run_command(&mut workspace::cargo_compiling(&["test", "--workspace", "--doc"])));
    }
    stages.finish()
}

/// The command that runs the tests, which are told by the environment where the product and the tools lie.
///
/// `OUTLAST_NO_INSTALL_SKIP` is set with `--no-install` only: without it a missing tool fails the tests that need it.
fn tests(inventory: &Inventory, wanted: &[String], no_install: bool) -> Result<Command, String> {
    let mut command = match inventory.nextest() {
        Some(folder) => {
            let mut command = workspace::cargo_compiling(&["nextest", "run", "--workspace"]);
            command.args(wanted).env("PATH", path_with(folder)?);
            command
        }
        None => {
            println!("    cargo-nextest is not there: plain cargo test, without time limits and groups");
            let mut command = workspace::cargo_compiling(&["test", "--workspace", "--all-targets"]);
            command.args(wanted);
            command
        }
    };
    command.env("OUTLAST_BIN", workspace::product_binary()).env("OUTLAST_TOOLS", workspace::tools_dir());
    command.env_remove("OUTLAST_NO_INSTALL_SKIP");
    if no_install && !inventory.missing().is_empty() {
        println!("    LEFT OUT, because it is not installed: {}", inventory.missing().join(", "));
        command.env("OUTLAST_NO_INSTALL_SKIP", inventory.missing().join(","));
    }
    Ok(command)
}

/// Our `PATH` with one more folder at its end: what the machine has of its own goes first.
fn path_with(folder: PathBuf) -> Result<OsString, String> {
    let mut folders: Vec<PathBuf> = env::split_paths(&env::var_os("PATH").unwrap_or_default()).collect();
    folders.push(folder);
    env::join_paths(folders).map_err(|error| format!("PATH can't be extended: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(command: &Command, name: &str) -> Option<String> {
        command
            .get_envs()
            .find(|(key, _)| *key == name)
            .and_then(|(_, value)| value.map(|value| value.to_string_lossy().into_owned()))
    }

    #[test]
    fn only_limits_the_stages_and_its_absence_means_all() {
        let mut wanted = Wanted::everything();
        assert!(wanted.wants(Stage::Docs) && wanted.wants(Stage::Install));
        wanted.only.push(Stage::Tidy);
        assert!(wanted.wants(Stage::Tidy) && !wanted.wants(Stage::Docs));
    }

    #[test]
    fn tests_may_pass_over_a_missing_tool_only_when_asked_not_to_install() {
        let inventory = Inventory::of_missing(&["garage", "restic"]);
        let strict = tests(&inventory, &[], false).expect("PATH is usable here");
        assert_eq!(environment(&strict, "OUTLAST_NO_INSTALL_SKIP"), None);
        let lenient = tests(&inventory, &[], true).expect("PATH is usable here");
        assert_eq!(environment(&lenient, "OUTLAST_NO_INSTALL_SKIP").as_deref(), Some("garage,restic"));
        assert!(environment(&lenient, "OUTLAST_TOOLS").is_some_and(|dir| dir.ends_with("target/tools")));
        assert!(environment(&lenient, "OUTLAST_BIN").is_some_and(|file| file.ends_with("debug/outlast")));
    }

    #[test]
    fn what_follows_the_dashes_reaches_the_runner() {
        let command = tests(&Inventory::of_missing(&[]), &["kill_nine".into()], false).expect("PATH is usable here");
        assert!(command.get_args().any(|word| word == "kill_nine"));
        assert!(command.get_args().any(|word| word == "--ignore-rust-version"));
    }
}
