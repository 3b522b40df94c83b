//! From a file's text to a configuration or to everything that is wrong with it.

use super::judge::judge;
use super::mistake::{Findings, Mistakes, Weight};
use super::raw::Raw;
use super::section::Section;
use super::typed::Config;
use super::world::{Secrets, World, plain_words};
use std::path::{Path, PathBuf};

/// A good configuration, and the warnings that came with it.
#[derive(Debug)]
pub struct Loaded {
    pub config: Config,
    pub findings: Findings,
}

/// Why there is no configuration.
#[derive(Debug)]
pub enum LoadError {
    /// The file cannot be read, in words.
    NoFile(String),
    /// At least one mistake.
    Mistakes(Findings),
}

/// Reads and judges a file.
///
/// # Errors
/// The file cannot be read, or holds at least one mistake.
pub fn load(path: &Path, secrets: Secrets) -> Result<Loaded, LoadError> {
    let text = std::fs::read_to_string(path).map_err(|error| {
        LoadError::NoFile(format!("the configuration {} cannot be read: {}", path.display(), plain_words(&error)))
    })?;
    let base = path.parent().map(Path::to_owned).unwrap_or_default();
    judge_in(&path.display().to_string(), &text, &World { base, env: &|name| std::env::var(name).ok(), secrets })
}

/// The same for a text in hand. `base`: where its relative paths start.
pub fn judge_text(
    file: &str,
    text: &str,
    base: PathBuf,
    env: &dyn Fn(&str) -> Option<String>,
) -> Result<Loaded, LoadError> {
    judge_in(file, text, &World { base, env, secrets: Secrets::Needed })
}

fn judge_in(file: &str, text: &str, world: &World<'_>) -> Result<Loaded, LoadError> {
    let mut told = Mistakes::default();
    let (document, broken) = toml::de::DeTable::parse_recoverable(text);
    for error in &broken {
        let span = error.span().unwrap_or(0..0);
        told.error(
            &span,
            format!("this is not TOML: {}", error.message().trim()),
            "see https://toml.io for the format",
        );
    }
    // After a broken line, whole sections may be missing: what would be said of them is not what is wrong.
    if broken.is_empty() {
        let raw = Raw::read(Section::new("", 0..0, document.get_ref()), &mut told);
        let config = judge(&raw, world, &mut told);
        let findings = Findings::new(file.to_owned(), text.to_owned(), told);
        return match findings.count(Weight::Error) {
            0 => Ok(Loaded { config, findings }),
            _ => Err(LoadError::Mistakes(findings)),
        };
    }
    Err(LoadError::Mistakes(Findings::new(file.to_owned(), text.to_owned(), told)))
}
