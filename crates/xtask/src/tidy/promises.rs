//! docs/PROMISES.md names the tests that guard each promise: they must be there, under these names.

use super::source::{Source, Violation};

const PAGE: &str = "docs/PROMISES.md";

/// A line that begins with a link names, in backticks, tests of the file or scripts of the folder that the link leads to.
pub fn check(sources: &[Source]) -> Vec<Violation> {
    let Some(page) = sources.iter().find(|source| source.path == PAGE) else { return Vec::new() };
    let mut violations = Vec::new();
    for (number, line) in (1..).zip(page.text.lines()) {
        let Some((target, rest)) = guarded(line) else { continue };
        let missing = |name: &&str| match target.strip_suffix('/') {
            Some(folder) => !sources.iter().any(|source| source.path == format!("{folder}/{name}.txt")),
            None => {
                let begins = format!("fn {name}(");
                !sources.iter().any(|source| source.path == target && source.text.contains(&begins))
            }
        };
        for name in rest.split('`').skip(1).step_by(2).filter(missing) {
            violations.push(page.violation(number, format!("`{target}` has no `{name}`")));
        }
    }
    violations
}

/// `- [words](../path): rest`
fn guarded(line: &str) -> Option<(&str, &str)> {
    let (_, after) = line.trim_start().strip_prefix("- [")?.split_once("](../")?;
    after.split_once("):")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> usize {
        let sources = [
            Source::new(PAGE, text),
            Source::new("crates/a/tests/b.rs", "#[test]\nfn holds() {}\n"),
            Source::new("crates/a/tests/scripts/01-late.txt", ""),
        ];
        check(&sources).len()
    }

    #[test]
    fn tests_are_there_by_name() {
        assert_eq!(found("- [b.rs](../crates/a/tests/b.rs): `holds`\n"), 0);
        assert_eq!(found("- [b.rs](../crates/a/tests/b.rs): `holds`, `hold`\n"), 1);
        assert_eq!(found("- [scripts](../crates/a/tests/scripts/): `01-late`, `02-gone`\n"), 1);
        assert_eq!(found("`hold` in running text, and [a link](../crates/a/tests/b.rs) too: `hold`\n"), 0);
    }
}
