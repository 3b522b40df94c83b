//! The walk-away proof as it is typed: made by the gateway, checked by anybody, and true to `sha256sum`.

use crate::support::Launch;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

/// Catch-up of a dozen small files takes a moment; a machine that needs longer is not well.
const PATIENCE: Duration = Duration::from_secs(60);

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn run(dir: &Path, command: &str, args: &[&str]) -> Output {
    Launch::new(dir).args(args).run(command)
}

/// What a person on that disk computes without us.
fn sums_of(folder: &Path) -> String {
    let script = "find . -type f -not -path './.outlast/*' -printf '%P\\n' | LC_ALL=C sort | xargs -d '\\n' sha256sum | sha256sum";
    let output = Command::new("sh").args(["-c", script]).current_dir(folder).output().expect("a shell");
    String::from_utf8_lossy(&output.stdout).split_whitespace().next().expect("a sum").to_owned()
}

#[test]
fn a_report_is_made_kept_and_checked() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let here = dir.path();
    assert_eq!(run(here, "init", &["--disk", "nas", "--disk", "usb"]).status.code(), Some(0));
    fs::create_dir_all(here.join("nas/photos/2024")).expect("made");
    for n in 0..12 {
        fs::write(here.join(format!("nas/photos/2024/{n}.txt")), format!("file {n}")).expect("written");
    }
    let _gateway = Launch::new(here).serve();
    assert_eq!(run(here, "adopt", &["photos", "--from", "nas", "--yes"]).status.code(), Some(0));
    let began = Instant::now();
    while run(here, "verify", &["photos"]).status.code() != Some(0) {
        assert!(began.elapsed() < PATIENCE, "{}", said(&run(here, "verify", &["photos"])));
    }
    let made = run(here, "verify", &["photos", "--eject", "usb", "--deep", "--out", "proof.json"]);
    assert_eq!(made.status.code(), Some(0), "{}", said(&made));
    assert!(said(&made).contains("12 objects, 74 B; usb alone holds all of it"), "{}", said(&made));
    let key_file = here.join("outlast-data/signing-key.pem");
    assert_eq!(fs::metadata(&key_file).expect("kept").permissions().mode() & 0o777, 0o600);
    let proof: serde_json::Value =
        serde_json::from_slice(&fs::read(here.join("proof.json")).expect("written")).expect("JSON");
    assert_eq!(proof["report"]["content_sha256"], sums_of(&here.join("usb/photos")));
    assert_eq!(proof["report"]["held"], 12);

    let again = run(here, "verify", &["photos", "--eject", "usb", "--out", "proof.json"]);
    assert_eq!(again.status.code(), Some(2), "a report is never written over");
    let own = run(here, "verify", &["--report", "proof.json"]);
    assert_eq!(own.status.code(), Some(0), "{}", said(&own));
    assert!(said(&own).contains("usb alone holds all of it"), "{}", said(&own));

    // Somebody else, with nothing but the file and the key that he was told.
    let elsewhere = tempfile::tempdir().expect("a temporary folder");
    let far = elsewhere.path();
    fs::copy(here.join("proof.json"), far.join("proof.json")).expect("sent");
    let whose = run(far, "verify", &["--report", "proof.json"]);
    assert_eq!(whose.status.code(), Some(2), "the key inside vouches for nobody: {}", said(&whose));
    let key = proof["public_key"].as_str().expect("a text");
    let checked = run(far, "verify", &["--report", "proof.json", "--key", key]);
    assert_eq!(checked.status.code(), Some(0), "{}", said(&checked));
    let text = fs::read_to_string(far.join("proof.json")).expect("there");
    fs::write(far.join("proof.json"), text.replace("\"held\": 12", "\"held\": 13")).expect("forged");
    let forged = run(far, "verify", &["--report", "proof.json", "--key", key]);
    assert_eq!(forged.status.code(), Some(1), "{}", said(&forged));

    fs::remove_file(here.join("usb/photos/2024/3.txt")).expect("removed");
    let lacks = run(here, "verify", &["photos", "--eject", "usb", "--out", "lacks.json"]);
    assert_eq!(lacks.status.code(), Some(1), "{}", said(&lacks));
    assert!(said(&lacks).contains("2024/3.txt: missing"), "{}", said(&lacks));
    let lacks = run(here, "verify", &["--report", "lacks.json"]);
    assert_eq!(lacks.status.code(), Some(1), "a true report of a store that lacks something: {}", said(&lacks));

    let nowhere = run(here, "verify", &["nosuch", "--eject", "usb"]);
    assert_eq!(nowhere.status.code(), Some(2), "{}", said(&nowhere));
    let no_store = run(here, "verify", &["photos", "--eject", "tape"]);
    assert_eq!(no_store.status.code(), Some(2), "{}", said(&no_store));
    assert!(said(&no_store).contains("there is no store tape in the configuration"), "{}", said(&no_store));
}
