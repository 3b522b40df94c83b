//! Which tools are here.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::recipe::{Need, Source, TOOLS, Tool};
use crate::workspace;

/// What is there of the tools that tests use, at one moment.
pub struct Inventory {
    missing: Vec<&'static str>,
}

impl Inventory {
    /// Looks at every tool.
    pub fn take() -> Inventory {
        Inventory { missing: TOOLS.iter().filter(|tool| !is_here(tool)).map(|tool| tool.name).collect() }
    }

    /// An inventory in which only these are not there.
    #[cfg(test)]
    pub fn of_missing(missing: &[&'static str]) -> Inventory {
        Inventory { missing: missing.to_vec() }
    }

    /// The names of the tools that tests would miss.
    pub fn missing(&self) -> Vec<&'static str> {
        let is_comfort = |name: &&str| TOOLS.iter().any(|tool| tool.name == *name && tool.need == Need::Comfort);
        self.missing.iter().copied().filter(|name| !is_comfort(name)).collect()
    }

    /// A folder that must be in `PATH` for `cargo nextest`, if that can be had at all.
    pub fn nextest(&self) -> Option<PathBuf> {
        (!self.missing.contains(&"nextest")).then(|| workspace::tools_dir().join("nextest/bin"))
    }
}

/// Is this tool here, in the version of its recipe?
pub fn is_here(tool: &Tool) -> bool {
    match &tool.source {
        Source::Debian(_) => starts(&mut Command::new(tool.proof[0]), &tool.proof[1..]),
        Source::Cargo { name: "cargo-nextest", .. }
            if starts(&mut workspace::cargo(&[]), &["nextest", "--version"]) =>
        {
            true
        }
        Source::Python(_) | Source::Npm(_) | Source::Cargo { .. } => {
            is_stamped(&tool.folder(), &tool.recipe(), tool.proof[0])
        }
    }
}

/// Was this folder filled by this recipe, to the end?
fn is_stamped(folder: &Path, recipe: &str, program: &str) -> bool {
    fs::read_to_string(stamp_file(folder)).is_ok_and(|stamp| stamp == recipe) && folder.join(program).exists()
}

/// Holds the recipe; written last, so that an interrupted installation is done again.
pub fn stamp_file(folder: &Path) -> PathBuf {
    folder.join("recipe.txt")
}

fn starts(command: &mut Command, arguments: &[&str]) -> bool {
    let command = command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tool_is_here_only_with_its_own_stamp_and_its_program() {
        let folder = tempfile::tempdir().expect("a folder for the test");
        let is_here = |recipe| is_stamped(folder.path(), recipe, "tool");
        assert!(!is_here("pip tool==1"));
        fs::write(folder.path().join("tool"), "").expect("writable");
        assert!(!is_here("pip tool==1"), "an installation that was interrupted");
        fs::write(stamp_file(folder.path()), "pip tool==1").expect("writable");
        assert!(is_here("pip tool==1"));
        assert!(!is_here("pip tool==2"), "another version is asked for");
        fs::remove_file(folder.path().join("tool")).expect("it was just written");
        assert!(!is_here("pip tool==1"), "the program was deleted");
    }

    #[test]
    fn the_test_runner_is_no_tool_that_tests_miss() {
        let inventory = Inventory::of_missing(&["nextest", "garage"]);
        assert_eq!(inventory.missing(), ["garage"]);
        assert_eq!(inventory.nextest(), None);
        assert!(Inventory::of_missing(&["garage"]).nextest().is_some());
    }
}
