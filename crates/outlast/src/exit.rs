//! How the process ends: one number per kind of ending, the same for every command, so that scripts can tell them apart.

use std::fmt;
use std::process::ExitCode;

/// The table of docs/CONFIGURATION.md.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// What was asked is done, and good.
    Good,
    /// It was done, and something differs, is unfit, or is not running.
    Differs,
    /// The arguments or the configuration are wrong; nothing was begun. clap's own number too.
    Usage,
    /// A port, a lock, an identity or a disk is in the way.
    CannotStart,
    /// A second signal came before everything was closed.
    Interrupted,
}

impl Ending {
    pub fn number(self) -> u8 {
        match self {
            Ending::Good => 0,
            Ending::Differs => 1,
            Ending::Usage => 2,
            Ending::CannotStart => 3,
            Ending::Interrupted => 4,
        }
    }
}

impl From<Ending> for ExitCode {
    fn from(ending: Ending) -> ExitCode {
        ExitCode::from(ending.number())
    }
}

/// Why a command ended before its work was done; the words go to stderr as they are.
#[derive(Debug)]
pub struct Failure {
    pub ending: Ending,
    pub words: String,
}

impl Failure {
    pub fn usage(words: impl Into<String>) -> Failure {
        Failure { ending: Ending::Usage, words: words.into() }
    }

    pub fn cannot_start(words: impl Into<String>) -> Failure {
        Failure { ending: Ending::CannotStart, words: words.into() }
    }

    pub fn differs(words: impl Into<String>) -> Failure {
        Failure { ending: Ending::Differs, words: words.into() }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.words)
    }
}
