//! A page that points at another page of this repository must find it there.

use std::collections::BTreeSet;

use super::source::{Source, Violation};

pub fn check(sources: &[Source]) -> Vec<Violation> {
    let mut there: BTreeSet<String> = sources.iter().map(|source| source.path.clone()).collect();
    there.extend(["LICENSE", "Cargo.lock"].map(String::from));
    let folders: Vec<String> = there.iter().flat_map(|path| folders_of(path)).collect();
    there.extend(folders);
    let mut violations = Vec::new();
    for source in sources {
        for (line, target) in links(source) {
            let found = resolve(&source.path, &target).is_some_and(|path| path.is_empty() || there.contains(&path));
            if !found {
                violations.push(source.violation(line, format!("the link `{target}` leads nowhere")));
            }
        }
        for (line, page) in pages_named(without_tests(source)) {
            if !there.contains(page) {
                violations.push(source.violation(line, format!("the page `{page}` does not exist")));
            }
        }
    }
    violations
}

fn folders_of(path: &str) -> Vec<String> {
    path.match_indices('/').map(|(at, _)| path[..at].to_owned()).collect()
}

/// The links of a Markdown file that point into this repository, with their lines.
fn links(source: &Source) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    if !source.path.ends_with(".md") {
        return found;
    }
    let mut in_code = false;
    for (number, line) in (1..).zip(source.text.lines()) {
        if line.trim_start().starts_with("```") {
            in_code = !in_code;
        }
        if in_code {
            continue;
        }
        let text = without_code(line);
        let inline = text.split("](").skip(1).filter_map(|rest| rest.split([')', ' ']).next());
        let defined = text.trim_start().strip_prefix('[').and_then(|rest| rest.split_once("]: "));
        let defined = defined.and_then(|(_, rest)| rest.split_whitespace().next());
        let ours = |target: &&str| !target.contains("://") && !target.starts_with("mailto:");
        for target in inline.chain(defined).filter(ours) {
            let file = target.split('#').next().unwrap_or_default();
            if !file.is_empty() {
                found.push((number, file.to_owned()));
            }
        }
    }
    found
}

/// The line without what stands between backticks.
fn without_code(line: &str) -> String {
    line.split('`').step_by(2).collect()
}

/// Where a link leads, from the root. `None` if it leaves the repository.
fn resolve(from: &str, target: &str) -> Option<String> {
    let (folder, target) = match target.strip_prefix('/') {
        Some(rest) => ("", rest),
        None => (from.rsplit_once('/').map_or("", |(folder, _)| folder), target),
    };
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

/// Tests make up pages that do not exist.
fn without_tests(source: &Source) -> &str {
    match source.text.split_once("#[cfg(test)]") {
        Some((production, _)) if source.path.ends_with(".rs") => production,
        _ => &source.text,
    }
}

/// Pages of `docs/` that comments, manifests and other pages name by their path from the root, with their lines.
fn pages_named(text: &str) -> Vec<(usize, &str)> {
    let in_path = |c: char| c.is_ascii_alphanumeric() || "-_./".contains(c);
    let words = |line| str::split(line, move |c| !in_path(c));
    (1..)
        .zip(text.lines())
        .flat_map(|(number, line)| words(line).map(move |word| (number, word.trim_end_matches('.'))))
        .filter(|(_, word)| word.starts_with("docs/") && word.ends_with(".md"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn finds(path: &str, text: &str, expected: &[&str]) {
        let others = ["README.md", "docs/A.md", "docs/deep/B.md", "crates/a/src/lib.rs"];
        let mut sources: Vec<_> = others.iter().filter(|o| **o != path).map(|other| Source::new(other, "")).collect();
        sources.push(Source::new(path, text));
        let found: Vec<_> = check(&sources).iter().map(|violation| violation.what.clone()).collect();
        assert_eq!(found.len(), expected.len(), "{found:?}");
        for (what, part) in found.iter().zip(expected) {
            assert!(what.contains(part), "{what} is not about {part}");
        }
    }

    #[test]
    fn links_that_lead_somewhere() {
        finds("README.md", "[a](docs/A.md) [b](docs/deep/B.md#part) [c](LICENSE) [d](#here) [e](docs/)", &[]);
        finds("docs/A.md", "[b](deep/B.md) [r](../README.md) [root](/README.md) [dir](..)", &[]);
        finds("docs/A.md", "[x](https://example.com/gone.md) [y](mailto:a@example.com)", &[]);
    }

    #[test]
    fn links_that_lead_nowhere() {
        finds("README.md", "[a](./docs/../docs/Gone.md)", &["docs/Gone.md"]);
        finds("docs/A.md", "[a](B.md) and [b](../../outside.md)", &["B.md", "outside.md"]);
        finds("README.md", "[a]: gone.md\n", &["gone.md"]);
    }

    #[test]
    fn code_holds_no_links() {
        finds("README.md", "```\n[a](gone.md)\n```\n`[b](gone.md)` and `x` [c](gone2.md)", &["gone2.md"]);
    }

    #[test]
    fn pages_named_in_comments_exist() {
        finds("crates/b/src/b.rs", "//! See docs/A.md, docs/deep/B.md.\n", &[]);
        finds("README.md", "Read docs/Gone.md.\n", &["the page `docs/Gone.md` does not exist"]);
        finds("crates/b/src/b.rs", "//! B.\n#[cfg(test)]\nmod tests {} // docs/Gone.md\n", &[]);
        finds("Cargo.toml", "# docs/decisions/0009-gone.md\n", &["0009-gone"]);
    }
}
