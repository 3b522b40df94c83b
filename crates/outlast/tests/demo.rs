//! The demo as its user runs it: the real binary, its words, its exit code, and nothing left behind.

use std::path::Path;
use std::process::{Command, Output, Stdio};

/// Long enough that a silent store is found down, after 4 s and sometimes 5, before it is killed at 52 % of it.
const SECONDS: &str = "18";

fn demo(temp: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_outlast"));
    command.arg("demo").args(["--seconds", SECONDS, "--seed", "1"]).args(arguments).env("TMPDIR", temp);
    command.stdin(Stdio::null()).env_remove("RUST_LOG");
    command
}

fn run(arguments: &[&str]) -> (Output, String) {
    let temp = tempfile::tempdir().expect("a folder");
    let output = demo(temp.path(), arguments).output().expect("the binary runs");
    let left: Vec<_> = std::fs::read_dir(temp.path()).expect("the folder").collect();
    assert!(left.is_empty(), "left behind: {left:?}");
    let words = String::from_utf8_lossy(&output.stdout).into_owned();
    (output, words)
}

#[test]
fn a_store_dies_and_no_client_notices() {
    let (output, words) = run(&["--plain"]);
    assert_eq!(output.status.code(), Some(0), "{words}");
    for expected in [
        "stops answering, in the middle of the upload and of the download that comes from it",
        "accepts and does not answer",
        "is killed: connections break off",
        "connection refused",
        "is owed ",
        "has caught up",
        "the download is whole, and every byte of it is right",
        "the upload is complete and acknowledged",
        "nothing is owed any more",
        "failures seen by clients: 0,",
    ] {
        assert!(words.contains(expected), "{expected:?} is missing in\n{words}");
    }
    for store in ["one", "two", "three"] {
        let proven = words
            .lines()
            .find(|line| line.trim_start().starts_with(&format!("{store} ")) && line.contains("read back"));
        assert!(proven.is_some_and(|line| line.ends_with("all right")), "{store} in\n{words}");
    }
}

#[test]
fn a_demo_that_needs_the_dead_store_fails_and_says_why() {
    let (output, words) = run(&["--json", "--min-copies", "3", "--no-spool"]);
    let totals: serde_json::Value = serde_json::from_str(&words).expect("stdout is the totals alone");
    assert_eq!(output.status.code(), Some(1), "{totals:#}");
    assert_eq!(totals["good"], false);
    assert!(totals["failures"].as_u64() > Some(0), "{totals:#}");
    let wrong = totals["wrong"].to_string();
    assert!(wrong.contains("503 ServiceUnavailable: fewer than 3 places took this write"), "{wrong}");
    // What was acknowledged is safe all the same.
    for store in totals["stores"].as_array().expect("three stores") {
        assert_eq!(store["differences"], 0, "{totals:#}");
        assert!(store["objects"].as_u64() > Some(20), "{totals:#}");
    }
}

#[test]
fn leaving_early_leaves_nothing_behind() {
    use std::io::{BufRead, BufReader};
    let temp = tempfile::tempdir().expect("a folder");
    let mut child = demo(temp.path(), &["--plain"]).stdout(Stdio::piped()).spawn().expect("the binary runs");
    let mut lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
    let stalled = lines.by_ref().any(|line| line.is_ok_and(|line| line.contains("stops answering")));
    assert!(stalled, "the demo begins");
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).expect("it runs");
    let status = child.wait().expect("it ends");
    assert_eq!(status.code(), Some(4), "interrupted");
    assert_eq!(std::fs::read_dir(temp.path()).expect("the folder").count(), 0);
}
