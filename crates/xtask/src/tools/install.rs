//! Brings the tools here: says what, says how long it took, and does nothing where nothing is to be done.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Instant;

use super::inventory::{is_here, stamp_file};
use super::recipe::{Need, Source, TOOLS, Tool};
use crate::workspace;

/// How much of a failed installation's output is shown; the whole lies in the log file that is named with it.
const LOG_LINES_SHOWN: usize = 12;

/// Installs every tool that is not here yet.
///
/// Those that are compiled need the processor, the others the network: the two kinds run beside each other.
///
/// # Errors
/// Names the tools without which tests fail. The others are installed all the same.
pub fn install_all() -> Result<(), String> {
    let (here, absent): (Vec<&Tool>, Vec<&Tool>) = TOOLS.iter().partition(|tool| is_here(tool));
    for tool in here {
        println!("    {:<8} is here      {}", tool.name, tool.recipe());
    }
    for tool in &absent {
        println!("    {:<8} to install   {}  -> {}", tool.name, tool.recipe(), destination(tool));
    }
    let (compiled, fetched): (Vec<&Tool>, Vec<&Tool>) =
        absent.into_iter().partition(|tool| matches!(tool.source, Source::Cargo { .. }));
    let mut failed = thread::scope(|scope| {
        let compiling = scope.spawn(|| install_each(&compiled));
        let failed = install_each(&fetched);
        [failed, compiling.join().expect("installing does not panic")].concat()
    });
    failed.sort_unstable();
    if failed.is_empty() { Ok(()) } else { Err(format!("can't install {}", failed.join(", "))) }
}

/// The names of those that are needed and could not be installed.
fn install_each(tools: &[&Tool]) -> Vec<&'static str> {
    let mut failed = Vec::new();
    for tool in tools {
        let begun = Instant::now();
        match install(tool) {
            Ok(()) => println!("    {:<8} installed    {:.0} s", tool.name, begun.elapsed().as_secs_f64()),
            Err(why) => {
                println!("    {:<8} NOT INSTALLED after {:.0} s: {why}", tool.name, begun.elapsed().as_secs_f64());
                if tool.need == Need::Tests {
                    failed.push(tool.name);
                }
            }
        }
    }
    failed
}

fn destination(tool: &Tool) -> String {
    match tool.source {
        Source::Debian(_) => "the system".to_owned(),
        _ => format!("target/tools/{}", tool.name),
    }
}

fn install(tool: &Tool) -> Result<(), String> {
    let folder = tool.folder();
    fs::create_dir_all(workspace::tools_dir()).map_err(|error| format!("no folder for tools: {error}"))?;
    let log = workspace::tools_dir().join(format!("{}.log", tool.name));
    // Emptied first: a line of an older attempt would mislead.
    File::create(&log).map_err(|error| format!("{}: {error}", log.display()))?;
    for mut command in commands(tool, &folder)? {
        logged(&mut command, &log)?;
    }
    logged(&mut proof(tool, &folder), &log)?;
    match tool.source {
        Source::Debian(_) => Ok(()),
        _ => fs::write(stamp_file(&folder), tool.recipe()).map_err(|error| format!("no stamp: {error}")),
    }
}

fn commands(tool: &Tool, folder: &Path) -> Result<Vec<Command>, String> {
    match &tool.source {
        Source::Python(packages) => {
            let mut environment = Command::new("python3");
            environment.args(["-m", "venv", "--clear"]).arg(folder);
            let mut pip = Command::new(folder.join("bin/pip"));
            pip.args(["install", "--quiet", "--disable-pip-version-check"]).args(*packages);
            Ok(vec![environment, pip])
        }
        Source::Npm(package) => {
            let mut npm = Command::new("npm");
            npm.args(["install", "--no-audit", "--no-fund", "--omit=dev", "--ignore-scripts", "--prefix"]);
            npm.arg(folder).arg(package);
            Ok(vec![npm])
        }
        Source::Cargo { name, version, arguments } => {
            let mut cargo = workspace::cargo(&["install", name, "--version", version, "--locked"]);
            cargo.args(*arguments).arg("--root").arg(folder).env("CARGO_TARGET_DIR", workspace::tools_build_dir());
            Ok(vec![cargo])
        }
        Source::Debian(package) => {
            if !is_root() {
                return Err(format!("only root may: run `sudo apt-get install {package}`, or use --no-install"));
            }
            let mut update = Command::new("apt-get");
            update.args(["update", "--quiet"]);
            let mut install = Command::new("apt-get");
            install.args(["install", "--yes", "--quiet", "--no-install-recommends", package]);
            install.env("DEBIAN_FRONTEND", "noninteractive");
            Ok(vec![update, install])
        }
    }
}

/// The command that shows that what was installed also starts.
fn proof(tool: &Tool, folder: &Path) -> Command {
    let program = match tool.source {
        Source::Debian(_) => tool.proof[0].into(),
        _ => folder.join(tool.proof[0]),
    };
    let mut command = Command::new(program);
    command.args(&tool.proof[1..]);
    command
}

fn is_root() -> bool {
    Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout.trim_ascii() == b"0")
}

/// Runs a command with its output in the log file, and shows the end of that where the command fails.
fn logged(command: &mut Command, log: &Path) -> Result<(), String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let file = File::options().append(true).open(log).map_err(|error| format!("{}: {error}", log.display()))?;
    let second = file.try_clone().map_err(|error| format!("{}: {error}", log.display()))?;
    let status = command.stdin(Stdio::null()).stdout(file).stderr(second).status();
    let status = status.map_err(|error| format!("{name} can't be started: {error}"))?;
    if status.success() {
        return Ok(());
    }
    let text = fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<_> = text.lines().collect();
    let end = lines[lines.len().saturating_sub(LOG_LINES_SHOWN)..].join("\n      ");
    Err(format!("{name}: {status}; the end of {}:\n      {end}", log.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_but_debian_packages_leaves_the_workspace() {
        for tool in TOOLS.iter().filter(|tool| !matches!(tool.source, Source::Debian(_))) {
            let folder = tool.folder();
            assert!(folder.starts_with(workspace::root().join("target/tools")), "{}", folder.display());
            for command in commands(tool, &folder).expect("no rights are needed for these") {
                let here = |word: &Path| word.starts_with(&folder);
                let named = command.get_args().any(|word| here(Path::new(word)));
                assert!(named || here(Path::new(command.get_program())), "{command:?} says no folder of the workspace");
            }
        }
    }

    #[test]
    fn a_failure_shows_the_end_of_the_log() {
        let folder = tempfile::tempdir().expect("a folder for the test");
        let log = folder.path().join("log");
        File::create(&log).expect("writable");
        let mut command = Command::new("sh");
        command.args(["-c", "for i in $(seq 100); do echo line $i; done; exit 3"]);
        let why = logged(&mut command, &log).expect_err("it ends with 3");
        assert!(why.contains("line 100") && why.contains('3') && !why.contains("line 50\n"), "{why}");
    }
}
