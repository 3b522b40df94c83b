//! Where the configuration comes from: the file that was named, `outlast.toml` if it is there, else the trial.

use crate::config::{Config, Findings, LoadError, Loaded, Look, Secrets, load};
use crate::exit::Failure;
use crate::trial::{Make, trial_config};
use std::io::IsTerminal;
use std::path::{Path, PathBuf};

pub const FILE_DEFAULT: &str = "outlast.toml";

pub struct Source {
    pub config: Config,
    pub from: From,
    /// What was said of the file: warnings only. None for the trial.
    pub findings: Option<Findings>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum From {
    File(PathBuf),
    Trial,
}

/// Why there is none.
pub enum Unfound {
    Mistakes(Findings),
    Failure(Failure),
}

impl std::convert::From<Unfound> for Failure {
    fn from(unfound: Unfound) -> Failure {
        match unfound {
            Unfound::Mistakes(findings) => Failure::usage(findings.render(look())),
            Unfound::Failure(failure) => failure,
        }
    }
}

/// Finds and reads it.
///
/// # Errors
/// The named file is not there, the configuration has mistakes (all of them), or the trial cannot be made.
pub fn find(named: Option<&Path>, make: Make) -> Result<Source, Unfound> {
    find_with(named, make, Secrets::Needed)
}

/// The same for a command that only asks a running gateway, and nothing of its stores' sections.
///
/// # Errors
/// As above, but for secrets: it needs none.
pub fn find_gateway(named: Option<&Path>) -> Result<Source, Unfound> {
    find_with(named, Make::Nothing, Secrets::Spared)
}

fn find_with(named: Option<&Path>, make: Make, secrets: Secrets) -> Result<Source, Unfound> {
    let path = match named {
        Some(path) => path.to_owned(),
        None if Path::new(FILE_DEFAULT).exists() => PathBuf::from(FILE_DEFAULT),
        None => {
            let config =
                trial_config(Path::new(""), make).map_err(|why| Unfound::Failure(Failure::cannot_start(why)))?;
            return Ok(Source { config, from: From::Trial, findings: None });
        }
    };
    match load(&path, secrets) {
        Ok(Loaded { config, findings }) => Ok(Source { config, from: From::File(path), findings: Some(findings) }),
        Err(LoadError::NoFile(why)) => {
            let words = format!("{why}\n    outlast init --config {} writes one", path.display());
            Err(Unfound::Failure(Failure::usage(words)))
        }
        Err(LoadError::Mistakes(findings)) => Err(Unfound::Mistakes(findings)),
    }
}

/// Fancy where a person looks, plain where a program does.
pub fn look() -> Look {
    if std::io::stderr().is_terminal() { Look::Fancy } else { Look::Plain }
}
