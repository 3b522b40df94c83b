//! What happens to a store behind our back: a byte that rots, a file that goes, one that somebody put there. `verify --deep` names
//! each of them with its place, and what can be mended is mended.

use crate::support::{Aws, Launch};
use crate::two_disks::{self, ACCESS_KEY, SECRET_KEY};
use crate::waiting::until_ok;
use rustix::process::Signal;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::Duration;

/// More than one block of 64 KiB, so that the byte that rots is not in the first.
const SIZE: usize = 200_000;
const ROTTEN_AT: usize = 150_000;
/// A few small files are mended in a moment; a machine that needs longer is not well.
const PATIENCE: Duration = Duration::from_secs(60);

fn bytes() -> Vec<u8> {
    (0..SIZE as u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 16) as u8).collect()
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn verify(dir: &Path, more: &[&str]) -> Output {
    let args: Vec<&str> = ["photos"].iter().chain(more).copied().collect();
    Launch::new(dir).args(&args).run("verify")
}

/// In place, as a disk does it: the name, the size and the attributes of the file stay.
fn rot(path: &Path) {
    use std::os::unix::fs::FileExt;
    let file = fs::File::options().read(true).write(true).open(path).expect("the copy is there");
    let mut byte = [0];
    file.read_exact_at(&mut byte, ROTTEN_AT as u64).expect("it is long enough");
    file.write_all_at(&[byte[0] ^ 1], ROTTEN_AT as u64).expect("written");
}

/// One of each, on two stores; `time` keeps the names of a foreign file apart.
fn damage(dir: &Path, time: &str) {
    rot(&dir.join("a/photos/a/rots.bin"));
    fs::remove_file(dir.join("b/photos/a/goes.bin")).expect("the copy is there");
    fs::write(dir.join(format!("b/photos/foreign-{time}.txt")), "not ours").expect("written");
}

/// The three of them: store, bucket and key, and what is wrong.
fn expected(time: &str) -> [(String, &'static str); 3] {
    [
        ("a: photos/a/rots.bin: ".to_owned(), "bytes 131072..196608 are not those that were written"),
        ("b: photos/a/goes.bin: ".to_owned(), "missing"),
        (format!("b: photos/foreign-{time}.txt: "), "8 bytes that no entry knows"),
    ]
}

#[track_caller]
fn are_named<'a>(time: &str, lines: impl Iterator<Item = &'a str>) {
    let lines: Vec<&str> = lines.collect();
    for (place, wrong) in expected(time) {
        let named = lines.iter().any(|line| line.strip_prefix(&place).is_some_and(|rest| rest.contains(wrong)));
        assert!(named, "{place}{wrong} is not in {lines:#?}");
    }
}

/// In JSON: the same lines, and how many of each kind.
fn is_told(dir: &Path, time: &str) {
    let report = verify(dir, &["--deep", "--json"]);
    assert_eq!(report.status.code(), Some(1), "{}", said(&report));
    let told: serde_json::Value = serde_json::from_slice(&report.stdout).expect("JSON and nothing else on stdout");
    assert_eq!(told["bucket"], "photos");
    let lines = told["lines"].as_array().expect("lines").iter();
    are_named(time, lines.map(|line| line.as_str().expect("words")));
    let (a, b) = (&told["stores"]["a"], &told["stores"]["b"]);
    assert_eq!((&a["bad"], &a["missing"], &a["extra"]), (&1.into(), &0.into(), &0.into()), "{told:#}");
    assert_eq!((&b["bad"], &b["missing"]), (&0.into(), &1.into()), "{told:#}");
    assert!(b["extra"].as_u64() >= Some(1), "{told:#}");
}

/// Until nothing is wrong with our objects any more; what is foreign stays where it is, and stays told.
fn until_mended(dir: &Path, right: &[(PathBuf, Vec<u8>)]) {
    until_ok(PATIENCE, || {
        let report = verify(dir, &["--deep"]);
        let words = said(&report);
        let ours: Vec<&str> = words.lines().filter(|line| line.contains(": photos/a/")).collect();
        if ours.is_empty() { Ok(()) } else { Err(words) }
    });
    for (path, bytes) in right {
        assert!(fs::read(path).expect("the copy is back") == *bytes, "{} is not as it was", path.display());
    }
}

#[test]
fn verify_names_what_rots_goes_and_is_foreign() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let here = dir.path();
    two_disks::write(here, "", "");
    let gateway = Launch::new(here).serve();
    let Some(aws) = Aws::new(here, &gateway.s3, ACCESS_KEY, SECRET_KEY) else { return };
    aws.good(&["s3", "mb", "s3://photos"]);
    fs::write(here.join("body"), bytes()).expect("written");
    for key in ["rots.bin", "goes.bin", "stays.bin"] {
        aws.good(&["s3api", "put-object", "--bucket", "photos", "--key", &format!("a/{key}"), "--body", "body"]);
    }
    until_ok(PATIENCE, || {
        let report = verify(here, &["--deep"]);
        if report.status.code() == Some(0) { Ok(()) } else { Err(said(&report)) }
    });
    let right = [("a", "rots.bin"), ("b", "goes.bin"), ("a", "stays.bin"), ("b", "stays.bin")];
    let right = right.map(|(store, key)| (here.join(store).join("photos/a").join(key), bytes()));

    damage(here, "running");
    let report = verify(here, &["--deep"]);
    assert_eq!(report.status.code(), Some(1), "{}", said(&report));
    are_named("running", said(&report).lines());
    assert!(said(&report).contains("photos: 3 objects, "), "{}", said(&report));
    assert!(said(&report).contains("stores differ"), "{}", said(&report));
    until_mended(here, &right);
    // For programs, and with the damage of another day.
    damage(here, "again");
    is_told(here, "again");
    until_mended(here, &right);

    assert_eq!(gateway.end(Signal::TERM).0.code(), Some(0));
    damage(here, "stopped");
    let nobody = verify(here, &["--deep"]);
    assert_eq!(nobody.status.code(), Some(1), "{}", said(&nobody));
    assert!(said(&nobody).contains("no gateway runs"), "{}", said(&nobody));
    let _again = Launch::new(here).serve();
    is_told(here, "stopped");
    until_mended(here, &right);
    for time in ["running", "again", "stopped"] {
        let foreign = fs::read_to_string(here.join(format!("b/photos/foreign-{time}.txt")));
        assert_eq!(foreign.expect("nothing of others is removed"), "not ours");
    }
}
