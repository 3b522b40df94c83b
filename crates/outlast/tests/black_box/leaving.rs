//! A store is drained and removed as it is typed, under kill -9 of the gateway and of the command.

use crate::support::Launch;
use rustix::process::Signal;
use std::fs;
use std::path::Path;
use std::process::Output;
use std::time::{Duration, Instant};

/// Enough that a drain is not over when it is killed.
const FILES: usize = 1_000;

/// To be begun takes a moment; a machine that needs longer is not well.
const PATIENCE: Duration = Duration::from_secs(60);

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn run(dir: &Path, args: &[&str]) -> Output {
    Launch::new(dir).args(&args[1..]).run(args[0])
}

fn json(output: &Output) -> serde_json::Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}", said(output)))
}

fn files(folder: &Path) -> usize {
    fs::read_dir(folder).map_or(0, |entries| entries.flatten().filter(|entry| entry.path().is_file()).count())
}

fn lay(dir: &Path, store: &str, count: usize) {
    fs::create_dir_all(dir.join(store).join("photos")).expect("made");
    for n in 0..count {
        fs::write(dir.join(format!("{store}/photos/{n:05}.txt")), format!("file {n}")).expect("written");
    }
}

#[test]
fn a_store_goes_though_everything_is_killed_half_way() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let here = dir.path();
    assert_eq!(run(here, &["init", "--disk", "nas", "--disk", "usb", "--disk", "new"]).status.code(), Some(0));
    lay(here, "nas", FILES);
    let first = Launch::new(here).serve();
    assert_eq!(run(here, &["adopt", "photos", "--from", "nas", "--yes"]).status.code(), Some(0));
    let unasked = run(here, &["store", "drain", "nas"]);
    assert_eq!(unasked.status.code(), Some(2), "nobody is there to say yes: {}", said(&unasked));
    let nowhere = run(here, &["store", "drain", "tape", "--yes"]);
    assert_eq!(nowhere.status.code(), Some(2), "{}", said(&nowhere));
    let plan = run(here, &["store", "drain", "nas", "--dry-run"]);
    assert_eq!(plan.status.code(), Some(0), "{}", said(&plan));
    assert!(said(&plan).contains(&format!("nas holds {FILES} objects")), "{}", said(&plan));

    // The command is begun, and the gateway is killed under it.
    let began = Instant::now();
    let mut draining = Launch::new(here).args(&["drain", "nas", "--yes", "--json"]).begin("store");
    while json(&run(here, &["status", "--json"]))["stores"][0]["leaving"] != "draining" {
        assert!(began.elapsed() < PATIENCE, "it was not begun");
    }
    assert_eq!(first.end(Signal::KILL).0.code(), None);
    draining.wait().expect("it ends with its gateway");

    let again = Launch::new(here).serve();
    let drained = run(here, &["store", "drain", "nas", "--yes", "--json"]);
    assert_eq!(drained.status.code(), Some(0), "{}", said(&drained));
    assert_eq!(json(&drained)["done"], true);
    let removed = run(here, &["store", "remove", "nas", "--yes", "--json"]);
    assert_eq!(removed.status.code(), Some(0), "{}", said(&removed));
    assert_eq!((&json(&removed)["at_risk"], &json(&removed)["objects"]), (&0.into(), &FILES.into()));
    for store in ["nas", "usb", "new"] {
        assert_eq!(files(&here.join(store).join("photos")), FILES, "{store}: nothing is taken off a store");
    }
    let status = json(&run(here, &["status", "--json"]));
    assert_eq!(status["stores"][0]["leaving"], "removed", "{status}");
    assert_eq!(again.end(Signal::TERM).0.code(), Some(0));

    // Its table goes from the configuration, and its folder from the machine.
    let text = fs::read_to_string(here.join("outlast.toml")).expect("there");
    let (before, after) = text.split_once("[store.nas]").expect("it has a table");
    let rest = after.find("\n[").map_or("", |end| &after[end..]);
    fs::write(here.join("outlast.toml"), format!("{before}{rest}").replace("\"nas\", ", "")).expect("written");
    fs::remove_dir_all(here.join("nas")).expect("gone");
    let _without = Launch::new(here).serve();
    let verified = run(here, &["verify", "photos", "--deep"]);
    assert_eq!(verified.status.code(), Some(0), "{}", said(&verified));
}

#[test]
fn below_the_floor_only_by_its_number() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let here = dir.path();
    assert_eq!(run(here, &["init", "--disk", "nas", "--disk", "usb"]).status.code(), Some(0));
    lay(here, "nas", 3);
    let _gateway = Launch::new(here).serve();
    assert_eq!(run(here, &["adopt", "photos", "--from", "nas", "--yes"]).status.code(), Some(0));
    for refused in [&["--yes"][..], &["--yes", "--accept-risk", "2"], &["--accept-risk", "4"]] {
        let args: Vec<&str> = ["store", "drain", "nas"].iter().chain(refused).copied().collect();
        let output = run(here, &args);
        assert_eq!(output.status.code(), Some(2), "{}", said(&output));
        assert!(said(&output).contains("AT RISK: 3 objects"), "{}", said(&output));
        assert!(said(&output).contains("--accept-risk 3"), "{}", said(&output));
    }
    let status = json(&run(here, &["status", "--json"]));
    assert_eq!(status["stores"][0]["leaving"], serde_json::Value::Null, "nothing was begun");
    let accepted = run(here, &["store", "drain", "nas", "--accept-risk", "3"]);
    assert_eq!(accepted.status.code(), Some(0), "{}", said(&accepted));
    assert!(said(&accepted).contains("the bucket photos: 1 instead of 2"), "{}", said(&accepted));
    let only = run(here, &["store", "drain", "usb", "--accept-risk", "3"]);
    assert_eq!(only.status.code(), Some(2), "{}", said(&only));
    assert!(said(&only).contains("usb is the only store left for the bucket photos"), "{}", said(&only));
    let back = run(here, &["store", "drain", "nas", "--undo", "--yes"]);
    assert_eq!(back.status.code(), Some(0), "{}", said(&back));
}
