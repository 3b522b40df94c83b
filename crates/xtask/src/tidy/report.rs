//! Holds every rule against the workspace and says what was found, one line each.

use std::process::ExitCode;

use super::source::{self, Source, Violation};
use super::{circles, crates, leftovers, links, promises, shape};
use crate::workspace;

/// `cargo xtask tidy`.
pub fn run() -> ExitCode {
    match stage() {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            println!("{why}");
            ExitCode::FAILURE
        }
    }
}

/// The same as a stage of a longer run.
///
/// # Errors
/// How many violations were found; they are printed.
pub fn stage() -> Result<(), String> {
    let sources = source::read_all(&workspace::root())?;
    let violations = all(&sources);
    for violation in &violations {
        println!("    {violation}");
    }
    match violations.len() {
        0 => {
            println!("    {} files are tidy", sources.len());
            Ok(())
        }
        count => Err(format!("{count} violations of the style rules (CONTRIBUTING.md says why they exist)")),
    }
}

fn all(sources: &[Source]) -> Vec<Violation> {
    let mut violations = Vec::new();
    for source in sources {
        violations.extend(shape::check(source));
        violations.extend(leftovers::check(source));
    }
    violations.extend(links::check(sources));
    violations.extend(promises::check(sources));
    violations.extend(crates::check(sources));
    violations.extend(circles::check(sources));
    violations.sort();
    violations
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_workspace_is_tidy() {
        let sources = source::read_all(&workspace::root()).expect("the workspace can be read");
        assert!(sources.iter().any(|source| source.path == "crates/xtask/src/tidy/report.rs"), "this file is missing");
        let violations: Vec<_> = all(&sources).iter().map(ToString::to_string).collect();
        assert!(violations.is_empty(), "\n{}", violations.join("\n"));
    }

    #[test]
    fn every_rule_is_asked() {
        let sources = [
            Source::new("crates/outlast-rules/src/utils.rs", "fn f() {}\n"),
            Source::new("crates/outlast-rules/src/a.rs", "//! A.\nuse crate::b::B;\npub struct A(B);\n"),
            Source::new(
                "crates/outlast-rules/src/b.rs",
                concat!("//! B.\nuse crate::a::A;\npub struct B(Box<A>); // FIX", "ME\n"),
            ),
            Source::new("crates/outlast-rules/src/lib.rs", "//! L.\nmod a;\nmod b;\nmod utils;\n"),
            Source::new("crates/outlast-rules/Cargo.toml", "[dependencies]\ntokio = \"1\"\n"),
            Source::new("README.md", "[gone](gone.md)\n"),
        ];
        let said: String = all(&sources).iter().map(|violation| format!("{violation}\n")).collect();
        for part in ["no module", "circle", "a leftover", "tokio", "gone.md", "first line"] {
            assert!(said.contains(part), "{part:?} is missing in\n{said}");
        }
    }
}
