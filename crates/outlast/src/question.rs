//! Yes or no, asked of a person in a terminal.

use crate::exit::Failure;
use std::io::{BufRead, IsTerminal, Write};

pub enum Answer {
    Yes,
    No,
    /// No terminal: a program runs us.
    Nobody,
}

pub fn ask(question: &str) -> Answer {
    let stdin = std::io::stdin();
    if !stdin.is_terminal() {
        return Answer::Nobody;
    }
    eprint!("{question} [y/N] ");
    let mut line = String::new();
    if std::io::stderr().flush().is_err() || stdin.lock().read_line(&mut line).is_err() {
        return Answer::Nobody;
    }
    if matches!(line.trim(), "y" | "Y" | "yes") { Answer::Yes } else { Answer::No }
}

/// Goes on only if a person says yes, or `--yes` said it.
///
/// # Errors
/// No, or nobody to ask.
pub fn consent(question: &str) -> Result<(), Failure> {
    match ask(question) {
        Answer::Yes => Ok(()),
        Answer::No => Err(Failure::differs("nothing was changed")),
        Answer::Nobody => Err(Failure::usage("nobody to ask: say --yes to go on without a question")),
    }
}

/// A text that must be typed to go on; None: no terminal.
pub fn typed(question: &str) -> Option<String> {
    let stdin = std::io::stdin();
    if !stdin.is_terminal() {
        return None;
    }
    eprint!("{question} ");
    let mut line = String::new();
    std::io::stderr().flush().ok()?;
    stdin.lock().read_line(&mut line).ok()?;
    Some(line.trim().to_owned())
}
