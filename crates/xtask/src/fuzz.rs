//! `cargo xtask fuzz`: one fuzz target for a while, led by what its inputs reach in the code. Every run of the tests replays
//! the corpora; this is what makes them (docs/decisions/0011-fuzzing.md).

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use clap::Args;

use crate::stages::run_command;
use crate::workspace;

/// What `cargo xtask fuzz` was asked to do.
#[derive(Args)]
pub struct Wanted {
    /// Which target; without one, all are listed
    target: Option<String>,
    /// For how long, after it is built
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// Afterwards take what reaches new code into the corpus in the repository
    #[arg(long)]
    keep: bool,
}

/// An input that takes longer is a finding.
const INPUT_SECONDS_MAX: u64 = 10;
/// More memory than this is a finding: no input has more than a few thousand bytes.
const MEMORY_MIB_MAX: u64 = 1024;
const INPUT_BYTES_MAX: u64 = 4096;

/// What libFuzzer needs in the code that it drives. All of it is stable: only the sanitizers are not.
const COVERAGE: &str = "--cfg fuzzing --cfg fuzzing_libfuzzer -Cpasses=sancov-module \
    -Cllvm-args=-sanitizer-coverage-level=4 -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
    -Cllvm-args=-sanitizer-coverage-pc-table -Cllvm-args=-sanitizer-coverage-trace-compares -Ccodegen-units=1";

/// One `bolero::check!` of the workspace.
#[derive(Debug, PartialEq, Eq)]
struct Target {
    name: String,
    package: String,
    /// As the test runner knows it.
    test: String,
    /// Where its corpus and its findings lie.
    folder: PathBuf,
}

/// Succeeds only if nothing was found.
pub fn run(wanted: &Wanted) -> ExitCode {
    match fuzz(wanted) {
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

fn fuzz(wanted: &Wanted) -> Result<String, String> {
    let targets = targets(&workspace::root().join("crates"))?;
    let Some(name) = &wanted.target else {
        let lines = targets.iter().map(|target| format!("{:<18} {} {}", target.name, target.package, target.test));
        return Ok(lines.collect::<Vec<_>>().join("\n"));
    };
    let target = targets.iter().find(|target| target.name == *name).ok_or_else(|| {
        let names: Vec<&str> = targets.iter().map(|target| target.name.as_str()).collect();
        format!("there is no target {name}; there is: {}", names.join(", "))
    })?;
    let (corpus, crashes) = (target.folder.join("corpus"), target.folder.join("crashes"));
    let grown = workspace::target_dir().join("fuzz-corpus").join(name);
    for folder in [&corpus, &crashes, &grown] {
        fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    }
    let limits = format!("-timeout={INPUT_SECONDS_MAX} -rss_limit_mb={MEMORY_MIB_MAX} -max_len={INPUT_BYTES_MAX}");
    let prefix = format!("-artifact_prefix={}/", crashes.display());
    let (corpus, grown) = (corpus.display(), grown.display());
    let args = format!("{grown} {corpus} -max_total_time={} -print_final_stats=1 {limits} {prefix}", wanted.seconds);
    let ran = run_command(&mut command(target, &args)?);
    // An empty folder of findings says nothing; one that is not empty stays.
    let _ = fs::remove_dir(&crashes);
    let what = format!("{name}: the input that shows it lies in {}: mend it and commit both", crashes.display());
    ran.map_err(|why| format!("{what} ({why})"))?;
    if wanted.keep {
        run_command(&mut command(target, &format!("-merge=1 {corpus} {grown} {limits} {prefix}"))?)?;
    }
    Ok(format!("{name}: nothing found in {} s", wanted.seconds))
}

/// Builds a target in a folder of its own, with all that it rests on watched, and runs it.
fn command(target: &Target, args: &str) -> Result<Command, String> {
    let mut command = workspace::cargo_compiling(&["test", "-p", &target.package]);
    match target.package.as_str() {
        "outlast" => command.args(["--bin", "outlast"]),
        _ => command.arg("--lib"),
    };
    command.args(["--target", &host()?, "--target-dir"]).arg(workspace::target_dir().join("fuzz"));
    command.args(["--", "--exact", &target.test, "--test-threads=1", "--nocapture"]);
    // Without a target build scripts and macros would be watched too, and could not be linked.
    command.env("RUSTFLAGS", COVERAGE).env("CARGO_INCREMENTAL", "0").env("CARGO_PROFILE_DEV_OPT_LEVEL", "1");
    command.env("BOLERO_LIBFUZZER_ARGS", args);
    Ok(command)
}

fn host() -> Result<String, String> {
    let told = Command::new("rustc").arg("-vV").output().map_err(|error| format!("rustc can't be started: {error}"))?;
    let text = String::from_utf8_lossy(&told.stdout).into_owned();
    let host = text.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned).ok_or_else(|| format!("rustc -vV does not name a host: {text}"))
}

/// Every target, by name. The sources are the list: none can be forgotten in another one.
fn targets(crates: &Path) -> Result<Vec<Target>, String> {
    let mut found = Vec::new();
    for package in names_in(crates)? {
        let sources = crates.join(&package).join("src");
        if sources.is_dir() {
            gather(&package, &sources, &mut Vec::new(), &mut found)?;
        }
    }
    found.sort_by(|a, b| a.name.cmp(&b.name));
    match found.windows(2).find(|two| two[0].name == two[1].name) {
        Some(two) => Err(format!("{} is the name of two targets: {} and {}", two[0].name, two[0].test, two[1].test)),
        None => Ok(found),
    }
}

fn gather(package: &str, folder: &Path, modules: &mut Vec<String>, found: &mut Vec<Target>) -> Result<(), String> {
    for name in names_in(folder)? {
        let path = folder.join(&name);
        if path.is_dir() {
            modules.push(name);
            gather(package, &path, modules, found)?;
            modules.pop();
        } else if name == "fuzz.rs" {
            let text = fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
            found.extend(named(&text).into_iter().map(|(name, test)| Target {
                package: package.to_owned(),
                test: format!("{}fuzz::{test}", modules.iter().map(|name| format!("{name}::")).collect::<String>()),
                folder: folder.join("__fuzz__").join(&name),
                name,
            }));
        }
    }
    Ok(())
}

/// Names of targets and of the tests that hold them.
fn named(text: &str) -> Vec<(String, String)> {
    let mut test = "";
    let mut found = Vec::new();
    for line in text.lines() {
        if let Some(name) = line.strip_prefix("fn ").and_then(|rest| rest.split('(').next()) {
            test = name;
        }
        let after = line.split_once("bolero::check!(name = \"").and_then(|(_, rest)| rest.split_once('"'));
        found.extend(after.map(|(name, _)| (name.to_owned(), test.to_owned())));
    }
    found
}

fn names_in(folder: &Path) -> Result<Vec<String>, String> {
    let failed = |error: std::io::Error| format!("{}: {error}", folder.display());
    let found = fs::read_dir(folder).map_err(failed)?;
    let mut names: Vec<String> = found
        .map(|file| file.map(|file| file.file_name().to_string_lossy().into_owned()))
        .collect::<Result<_, _>>()
        .map_err(failed)?;
    names.sort();
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_read_from_the_sources() {
        let text =
            "fn help() {}\n\n#[test]\nfn keys() {\n    bolero::check!(name = \"disk-keys\").for_each(|_| ());\n}\n";
        assert_eq!(named(text), [("disk-keys".to_owned(), "keys".to_owned())]);
    }

    /// A target without a corpus is replayed by nobody.
    #[test]
    fn every_target_has_a_corpus_and_every_corpus_a_target() {
        let crates = workspace::root().join("crates");
        let targets = targets(&crates).expect("the sources can be read");
        assert!(targets.len() > 10, "{targets:?}");
        let disk = targets.iter().find(|target| target.name == "disk-keys").expect("it is there");
        assert_eq!((disk.package.as_str(), disk.test.as_str()), ("outlast-store", "disk::tests::fuzz::keys"));
        for target in &targets {
            let inputs = names_in(&target.folder.join("corpus")).unwrap_or_default();
            assert!(!inputs.is_empty(), "{} has no corpus in {}", target.name, target.folder.display());
            let around = names_in(target.folder.parent().expect("below __fuzz__")).expect("it can be read");
            let stray = around.iter().find(|name| !targets.iter().any(|target| target.name == **name));
            assert_eq!(stray, None, "a corpus without a target");
        }
    }
}
