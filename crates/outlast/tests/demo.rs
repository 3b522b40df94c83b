//! The demo as its user runs it: the real binary, its words, its exit code, and nothing left behind.

use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

/// Long enough that a silent store is found down, after 4 s and sometimes 5, before it is killed at 52 % of it.
const SHORT: &str = "--seconds=18";
/// What the demo is there to show, with the length that it has by itself: no longer pause than this for any client, and the whole
/// in under a minute.
const PAUSE_MS_MAX: u64 = 2_000;
const WHOLE_MAX: Duration = Duration::from_secs(60);

fn demo(temp: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_outlast"));
    command.arg("demo").args(["--seed", "1"]).args(arguments).env("TMPDIR", temp);
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

/// The figure of the totals' line, as a reader finds it: "longest pause 843 ms (…)".
fn longest_pause_ms(words: &str) -> u64 {
    let line =
        words.lines().find(|line| line.starts_with("totals: ")).unwrap_or_else(|| panic!("no totals in\n{words}"));
    let (_, after) = line.split_once("longest pause ").unwrap_or_else(|| panic!("no pause in {line}"));
    let (figure, _) = after.split_once(" ms").unwrap_or_else(|| panic!("no milliseconds in {line}"));
    figure.parse().unwrap_or_else(|error| panic!("{error}: {figure:?} in {line}"))
}

#[test]
fn a_store_dies_and_no_client_notices() {
    let begun = Instant::now();
    let (output, words) = run(&["--plain"]);
    assert!(begun.elapsed() < WHOLE_MAX, "it took {:?}", begun.elapsed());
    let pause = longest_pause_ms(&words);
    // A store fell silent under running requests: a figure of nothing would mean that nothing was measured.
    assert!((1..PAUSE_MS_MAX).contains(&pause), "a pause of {pause} ms in\n{words}");
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
        "One of three stores died and came back, and nobody noticed.",
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
    let (output, words) = run(&[SHORT, "--json", "--min-copies", "3", "--no-spool"]);
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

/// The same as a person reads it.
#[test]
fn a_demo_that_failed_says_so_in_its_totals() {
    let (output, words) = run(&[SHORT, "--plain", "--min-copies", "3", "--no-spool"]);
    assert_eq!(output.status.code(), Some(1), "{words}");
    let totals =
        words.lines().find(|line| line.starts_with("totals: ")).unwrap_or_else(|| panic!("no totals in\n{words}"));
    assert!(totals.contains("failures seen by clients: ") && !totals.contains("clients: 0,"), "{totals}");
    assert!(words.contains("This run was not good: see above."), "{words}");
    assert!(words.contains("  WRONG  "), "{words}");
    assert!(!words.contains("nobody noticed"), "{words}");
}

#[test]
fn leaving_early_leaves_nothing_behind() {
    use std::io::{BufRead, BufReader};
    let temp = tempfile::tempdir().expect("a folder");
    let mut child = demo(temp.path(), &[SHORT, "--plain"]).stdout(Stdio::piped()).spawn().expect("the binary runs");
    let mut lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
    let stalled = lines.by_ref().any(|line| line.is_ok_and(|line| line.contains("stops answering")));
    assert!(stalled, "the demo begins");
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).expect("it runs");
    let status = child.wait().expect("it ends");
    assert_eq!(status.code(), Some(4), "interrupted");
    assert_eq!(std::fs::read_dir(temp.path()).expect("the folder").count(), 0);
}
