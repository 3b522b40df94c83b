//! Deleted and overwritten with aws-cli over a store that keeps versions and two disks, the gateway killed in between, and
//! brought back by the command: the same bytes and headers, on every store under its plain name.

use crate::clients::{ACCESS_KEY, SECRET_KEY, ask};
use crate::gateway::{Gateway, Launch};
use crate::peers::moto;
use crate::scene::{Place, configuration};
use crate::tools::Aws;
use crate::waiting::until_ok;
use rustix::process::Signal;
use std::fs;
use std::path::Path;
use std::time::Duration;

const PAID_MAX: Duration = Duration::from_secs(60);

/// What the command printed, as JSON.
fn undelete(dir: &Path, args: &[&str]) -> serde_json::Value {
    let output = Launch::new(dir).args(args).run("undelete");
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
}

fn until_paid(gateway: &Gateway) {
    until_ok(PAID_MAX, || {
        let body = ask(&gateway.admin, "/status.json")?;
        let status: serde_json::Value = serde_json::from_str(&body).map_err(|error| error.to_string())?;
        let stores = status["stores"].as_array().ok_or("no stores")?;
        let paid = stores.iter().all(|store| store["standing"] == "up" && store["owed_objects"] == 0);
        if paid && status["undecided"] == 0 { Ok(()) } else { Err(format!("{status:#}")) }
    });
}

#[test]
fn deletes_and_overwrites_are_undone_through_the_real_thing() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let here = dir.path();
    let Some(moto) = moto(here, "moto") else { return };
    for disk in ["one", "two"] {
        fs::create_dir(here.join(disk)).expect("made");
    }
    let places = [("moto", Place::S3(&moto)), ("one", Place::Disk("one")), ("two", Place::Disk("two"))];
    fs::write(here.join("outlast.toml"), configuration(&places, "min_copies = 2\n")).expect("written");
    let gateway = Launch::new(here).serve();
    let Some(aws) = Aws::new(here, &gateway.s3, ACCESS_KEY, SECRET_KEY) else { return };

    let large: Vec<u8> = (0..20_000_000_u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 16) as u8).collect();
    fs::write(here.join("large.bin"), &large).expect("written");
    fs::write(here.join("first.txt"), "first").expect("written");
    fs::write(here.join("second.txt"), "second, and longer").expect("written");
    aws.good(&["s3", "mb", "s3://photos"]);
    aws.good(&["s3", "cp", "large.bin", "s3://photos/a/large.bin", "--metadata", "colour=green"]);
    aws.good(&["s3", "cp", "first.txt", "s3://photos/a/note.txt", "--content-language", "gsw"]);
    until_paid(&gateway);
    // The next client takes longer than a millisecond to start.
    let status: serde_json::Value =
        serde_json::from_str(&ask(&gateway.admin, "/status.json").expect("it answers")).expect("JSON");
    let before = status["now"].as_u64().expect("a time") + 1;
    aws.good(&["s3", "cp", "second.txt", "s3://photos/a/note.txt"]);
    aws.good(&["s3", "rm", "s3://photos/a/large.bin"]);
    assert_eq!(gateway.end(Signal::KILL).0.code(), None, "killed where it stood");

    let gateway = Launch::new(here).serve();
    let aws = Aws::new(here, &gateway.s3, ACCESS_KEY, SECRET_KEY).expect("it was there before");
    until_paid(&gateway);
    assert!(!here.join("one/photos/a/large.bin").exists(), "gone from the plain listing");
    aws.bad(&["s3api", "head-object", "--bucket", "photos", "--key", "a/large.bin"]);
    assert!(!aws.good(&["s3", "ls", "--recursive", "s3://photos"]).contains("outlast"), "the trash is not shown");

    let listed = Launch::new(here).args(&["photos", "--list"]).run("undelete");
    let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
    assert!(listed.contains("deleted  a/large.bin") && listed.contains("overwritten  a/note.txt"), "{listed}");
    assert_eq!(undelete(here, &["photos", "--dry-run", "--json"])["brought"], 1);
    let done = undelete(here, &["photos", "--prefix", "a/", "--yes", "--json"]);
    assert_eq!(
        (&done["brought"], &done["failed"], &done["left"]["exists"]),
        (&1.into(), &0.into(), &1.into()),
        "{done}"
    );
    aws.good(&["s3", "cp", "s3://photos/a/large.bin", "back.bin"]);
    assert!(fs::read(here.join("back.bin")).expect("read") == large);
    let head = aws.good(&["s3api", "head-object", "--bucket", "photos", "--key", "a/large.bin"]);
    assert!(head.contains("green"), "{head}");

    let since = time_text(before);
    assert_eq!(undelete(here, &["photos", "--since", &since, "--yes", "--json"])["failed"], 0);
    aws.good(&["s3", "cp", "s3://photos/a/note.txt", "back.txt"]);
    assert_eq!(fs::read_to_string(here.join("back.txt")).expect("read"), "first");
    until_paid(&gateway);
    for disk in ["one", "two"] {
        assert_eq!(fs::read_to_string(here.join(disk).join("photos/a/note.txt")).expect("plain"), "first");
        assert!(fs::read(here.join(disk).join("photos/a/large.bin")).expect("plain") == large);
    }

    frozen_it_stays(here, &gateway, &aws);
    assert_eq!(gateway.end(Signal::TERM).0.code(), Some(0));
}

fn frozen_it_stays(here: &Path, gateway: &Gateway, aws: &Aws) {
    assert_eq!(Launch::new(here).run("freeze").status.code(), Some(0));
    aws.good(&["s3", "rm", "s3://photos/a/note.txt"]);
    let status = Launch::new(here).run("status");
    assert!(String::from_utf8_lossy(&status.stdout).contains("FROZEN"), "{status:?}");
    assert!(here.join("one/photos/a/note.txt").exists(), "nothing is removed");
    let plan = Launch::new(here).args(&["--dry-run"]).run("thaw");
    let words = String::from_utf8_lossy(&plan.stdout).into_owned();
    assert!(plan.status.success() && words.contains("1 object from one"), "{plan:?}");
    assert_eq!(Launch::new(here).run("thaw").status.code(), Some(2), "nobody to ask");
    assert!(here.join("one/photos/a/note.txt").exists(), "neither has thawed anything");
    assert_eq!(Launch::new(here).args(&["--yes"]).run("thaw").status.code(), Some(0));
    until_paid(gateway);
    assert!(!here.join("one/photos/a/note.txt").exists());
}

/// So long ago, as the command takes it.
fn time_text(ms: u64) -> String {
    let now = std::process::Command::new("date").arg("+%s%3N").output().expect("date runs");
    let now: u64 = String::from_utf8_lossy(&now.stdout).trim().parse().expect("milliseconds");
    format!("{}ms", now - ms)
}
