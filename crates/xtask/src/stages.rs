//! A run is a list of stages. One that fails does not hide what the next would have said; only those that rest on it
//! are left out, and the summary says so.

use std::fmt;
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

/// How one stage ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    Passed,
    /// What to say about it in the summary.
    Failed(String),
    /// Why it could not be run at all: something that it rests on failed.
    NotRun(String),
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Ending::Passed => write!(f, "passed"),
            Ending::Failed(why) => write!(f, "FAILED   {why}"),
            Ending::NotRun(why) => write!(f, "NOT RUN  {why}"),
        }
    }
}

/// The stages of one run, in the order in which they ran.
#[derive(Default)]
pub struct Stages {
    ended: Vec<(&'static str, Duration, Ending)>,
    left_out: Vec<String>,
    failed_tests: Vec<String>,
}

impl Stages {
    /// Runs one stage and remembers how it ended. True if it passed.
    pub fn run(&mut self, name: &'static str, stage: impl FnOnce() -> Result<(), String>) -> bool {
        println!("\n==> {name}");
        let begun = Instant::now();
        let ending = match stage() {
            Ok(()) => Ending::Passed,
            Err(why) => Ending::Failed(why),
        };
        let passed = ending == Ending::Passed;
        self.ended.push((name, begun.elapsed(), ending));
        passed
    }

    /// A stage that can't be run, because of what it rests on.
    pub fn not_run(&mut self, name: &'static str, why: &str) {
        self.ended.push((name, Duration::ZERO, Ending::NotRun(why.to_owned())));
    }

    /// Something that a whole run would have had. It is named at the end, where nobody can overlook it.
    pub fn left_out(&mut self, what: String) {
        self.left_out.push(what);
    }

    /// A test that failed, and why: a stage that failed has more to say than its exit status.
    pub fn failed_test(&mut self, what: String) {
        self.failed_tests.push(what);
    }

    /// Everything passed, and something was run.
    pub fn all_passed(&self) -> bool {
        !self.ended.is_empty() && self.ended.iter().all(|(_, _, ending)| *ending == Ending::Passed)
    }

    /// What to print last.
    pub fn summary(&self) -> String {
        let mut text = String::from("\n==> summary\n");
        for (name, took, ending) in &self.ended {
            text += &format!("{:>8.1} s  {name:<8} {ending}\n", took.as_secs_f64());
        }
        let total: Duration = self.ended.iter().map(|(_, took, _)| *took).sum();
        text += &format!("{:>8.1} s  in all\n", total.as_secs_f64());
        for what in &self.failed_tests {
            text += &format!("FAILED     {what}\n");
        }
        for what in &self.left_out {
            text += &format!("LEFT OUT   {what}\n");
        }
        text += match (self.all_passed(), self.left_out.is_empty()) {
            (true, true) => "everything passed",
            (true, false) => "what was run passed; see above what was left out",
            (false, _) => "FAILED",
        };
        text
    }

    /// Prints the summary and turns it into the exit status of the process.
    pub fn finish(self) -> ExitCode {
        println!("{}", self.summary());
        if self.all_passed() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }
}

/// Runs a command with our own output, and says why it was no success.
pub fn run_command(command: &mut Command) -> Result<(), String> {
    let words: Vec<_> = command.get_args().map(|word| word.to_string_lossy().into_owned()).collect();
    let name = command.get_program().to_string_lossy().into_owned();
    println!("    {} {}", name.rsplit('/').next().unwrap_or(&name), words.join(" "));
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(status.to_string()),
        Err(error) => Err(format!("{name} can't be started: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_failed_stage_fails_the_run_and_the_others_are_still_told() {
        let mut stages = Stages::default();
        assert!(stages.run("build", || Ok(())));
        assert!(!stages.run("clippy", || Err("3 warnings".into())));
        stages.not_run("tests", "the build failed");
        stages.failed_test("outlast::demo a_bad_one\n           a pause".into());
        assert!(!stages.all_passed());
        let summary = stages.summary();
        for line in [
            "build    passed",
            "clippy   FAILED   3 warnings",
            "tests    NOT RUN  the build failed",
            "FAILED     outlast::demo a_bad_one",
        ] {
            assert!(summary.contains(line), "{line:?} is missing in {summary}");
        }
        assert!(summary.ends_with("FAILED"));
    }

    #[test]
    fn what_was_left_out_is_named_even_when_all_passed() {
        let mut stages = Stages::default();
        stages.run("build", || Ok(()));
        assert!(stages.summary().ends_with("everything passed"));
        stages.left_out("garage: not installed".into());
        let summary = stages.summary();
        assert!(summary.contains("LEFT OUT   garage: not installed"), "{summary}");
        assert!(!summary.contains("everything passed"), "{summary}");
    }

    #[test]
    fn a_run_of_nothing_is_no_success() {
        assert!(!Stages::default().all_passed());
    }

    #[test]
    fn a_command_that_fails_or_does_not_exist_is_told() {
        assert_eq!(run_command(&mut Command::new("true")), Ok(()));
        assert!(run_command(&mut Command::new("false")).is_err_and(|why| why.contains('1')));
        assert!(run_command(&mut Command::new("/nowhere/at/all")).is_err_and(|why| why.contains("can't be started")));
    }
}
