//! The text of the workspace as the rules see it, and how they say what they found.

use std::fmt;
use std::fs;
use std::path::Path;

use syn::{Attribute, Meta};

/// One file.
pub struct Source {
    /// From the root of the workspace, with `/` between its parts.
    pub path: String,
    pub text: String,
    /// The parsed file where it is Rust. Made once: several rules read it.
    pub syntax: Option<Result<syn::File, String>>,
}

impl Source {
    pub fn new(path: &str, text: &str) -> Source {
        let syntax = path.ends_with(".rs").then(|| syn::parse_file(text).map_err(|error| error.to_string()));
        Source { path: path.to_owned(), text: text.to_owned(), syntax }
    }

    /// The parsed file, if it is Rust and could be parsed.
    pub fn rust(&self) -> Option<&syn::File> {
        self.syntax.as_ref().and_then(|parsed| parsed.as_ref().ok())
    }

    /// Is all of it for tests only?
    pub fn is_test(&self) -> bool {
        let ends = ["/tests.rs", "_tests.rs", "/fuzz.rs"];
        self.path.contains("/tests/") || ends.iter().any(|end| self.path.ends_with(end))
    }

    pub fn violation(&self, line: usize, what: impl Into<String>) -> Violation {
        Violation { path: self.path.clone(), line, what: what.into() }
    }
}

/// A rule that is broken: where, and in words that say what to do.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Violation {
    pub path: String,
    /// Counted from 1.
    pub line: usize,
    pub what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.path, self.line, self.what)
    }
}

/// Folders and files that are not ours to keep tidy: made by programs, or somebody else's words.
const NOT_OURS: &[&str] =
    &["target", ".git", "outlast-data", "outlast.toml", "Cargo.lock", "LICENSE", "__pycache__", "__fuzz__"];

/// Every text file of the workspace, in the order of paths.
///
/// # Errors
/// A folder or file that can't be read.
pub fn read_all(root: &Path) -> Result<Vec<Source>, String> {
    let mut sources = Vec::new();
    read_folder(root, "", &mut sources)?;
    sources.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(sources)
}

fn read_folder(folder: &Path, prefix: &str, sources: &mut Vec<Source>) -> Result<(), String> {
    let failed = |error: std::io::Error| format!("{}: {error}", folder.display());
    for found in fs::read_dir(folder).map_err(failed)? {
        let found = found.map_err(failed)?;
        let name = found.file_name().to_string_lossy().into_owned();
        if NOT_OURS.contains(&name.as_str()) {
            continue;
        }
        let path = if prefix.is_empty() { name } else { format!("{prefix}/{name}") };
        let kind = found.file_type().map_err(failed)?;
        if kind.is_dir() {
            read_folder(&found.path(), &path, sources)?;
        } else if kind.is_file() {
            let bytes = fs::read(found.path()).map_err(failed)?;
            // What is not text is a test's fixture.
            if let Ok(text) = String::from_utf8(bytes) {
                sources.push(Source::new(&path, &text));
            }
        }
    }
    Ok(())
}

/// Is an item with these attributes compiled for tests only?
pub fn is_test_only(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| match &attribute.meta {
        Meta::Path(path) => path.segments.last().is_some_and(|last| last.ident == "test"),
        Meta::List(list) if list.path.is_ident("cfg") => {
            let condition: String = list.tokens.to_string().split_whitespace().collect();
            condition == "test" || condition.starts_with("all(test,")
        }
        Meta::List(list) => list.path.segments.last().is_some_and(|last| last.ident == "test"),
        Meta::NameValue(_) => false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_text_and_leaves_out_what_is_not_ours() {
        let root = tempfile::tempdir().expect("a folder for the test");
        for folder in ["src/deep", "target/debug", ".git", ".ci"] {
            fs::create_dir_all(root.path().join(folder)).expect("writable");
        }
        for file in ["src/deep/a.rs", "target/debug/b.rs", ".git/config", "Cargo.lock", "README.md", ".ci/run"] {
            fs::write(root.path().join(file), "//! A.\n").expect("writable");
        }
        fs::write(root.path().join("v1.sqlite"), [0xff, 0xfe, 0x00]).expect("writable");
        let sources = read_all(root.path()).expect("readable");
        let paths: Vec<_> = sources.iter().map(|source| source.path.as_str()).collect();
        assert_eq!(paths, [".ci/run", "README.md", "src/deep/a.rs"]);
    }

    #[test]
    fn knows_what_is_for_tests_only() {
        let file: syn::File = syn::parse_str(
            "#[cfg(test)] mod a {} #[test] fn b() {} #[tokio::test(start_paused = true)] async fn c() {}
             #[cfg(all(test, unix))] mod d {} #[cfg(not(test))] mod e {} #[cfg(any(test, unix))] mod f {}
             #[doc = \"test\"] mod g {} #[inline] fn h() {}",
        )
        .expect("it is Rust");
        let found: Vec<bool> = file
            .items
            .iter()
            .map(|item| match item {
                syn::Item::Mod(item) => is_test_only(&item.attrs),
                syn::Item::Fn(item) => is_test_only(&item.attrs),
                _ => panic!("only modules and functions are above"),
            })
            .collect();
        assert_eq!(found, [true, true, true, true, false, false, false, false]);
    }
}
