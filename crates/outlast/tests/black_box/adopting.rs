//! A folder of somebody's files becomes a bucket, though the gateway is killed in the middle of it.

use crate::support::{Gateway, Launch};
use rustix::process::Signal;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::path::Path;

/// Twenty times what is written down together: when the first is told, most of the work is still to be done.
const FILES: usize = 20_000;

fn configure(dir: &Path) {
    let made = Launch::new(dir).args(&["--disk", "nas", "--disk", "usb"]).run("init");
    assert_eq!(made.status.code(), Some(0), "{made:?}");
}

fn file(dir: &Path, n: usize) -> std::path::PathBuf {
    dir.join(format!("nas/photos/{n:05}.txt"))
}

/// Asks for an adoption and returns when it has told of its first keys.
fn adopt_until_something_is_told(gateway: &Gateway) -> String {
    let mut stream = TcpStream::connect(&gateway.admin).expect("it listens");
    let order = r#"{"bucket":"photos","from":"nas"}"#;
    let (admin, len) = (&gateway.admin, order.len());
    write!(
        stream,
        "POST /admin/adopt HTTP/1.1\r\nhost: {admin}\r\ncontent-type: application/json\r\ncontent-length: {len}\r\n\r\n{order}"
    )
    .expect("sent");
    let lines = BufReader::new(stream).lines().map(|line| line.expect("it answers"));
    lines.into_iter().find(|line| line.starts_with('{')).expect("a line of the answer")
}

fn json(output: &std::process::Output) -> serde_json::Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
}

#[test]
fn an_adoption_that_was_killed_goes_on_and_sees_what_changed_meanwhile() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    configure(dir.path());
    fs::create_dir_all(dir.path().join("nas/photos")).expect("made");
    for n in 0..FILES {
        fs::write(file(dir.path(), n), format!("file {n}")).expect("written");
    }
    let first = Launch::new(dir.path()).serve();
    let told = adopt_until_something_is_told(&first);
    assert!(told.contains("progress"), "{told}");
    assert_eq!(first.end(Signal::KILL).0.code(), None);

    fs::write(file(dir.path(), 0), "another and longer file 0").expect("written");
    fs::write(dir.path().join("nas/photos/99999.txt"), "a new one").expect("written");
    let _again = Launch::new(dir.path()).serve();
    let adopt = |more: &[&str]| {
        let args: Vec<&str> = ["photos", "--from", "nas", "--json"].iter().chain(more).copied().collect();
        Launch::new(dir.path()).args(&args).run("adopt")
    };
    let plan = adopt(&["--dry-run"]);
    let (plan, report) = (json(&plan), adopt(&["--yes"]));
    assert_eq!(report.status.code(), Some(0), "{report:?}");
    let report = json(&report);
    for counted in ["adopted", "changed", "known", "vanished"] {
        assert_eq!(plan[counted], report[counted], "{counted} as planned");
    }
    let number = |name: &str| report[name].as_u64().expect("a number") as usize;
    assert_eq!((number("changed"), number("vanished")), (1, 0), "{report}");
    assert!(number("known") >= 999, "{report}");
    assert_eq!(number("adopted") + number("known"), FILES, "one of the old ones changed, and one is new: {report}");

    let verified = json(&Launch::new(dir.path()).args(&["photos", "--json"]).run("verify"));
    assert_eq!(verified["objects"].as_u64(), Some(FILES as u64 + 1));
    assert_eq!(fs::read_to_string(file(dir.path(), 0)).expect("there"), "another and longer file 0");
    assert_eq!(fs::read_to_string(file(dir.path(), 7)).expect("there"), "file 7");
}

/// A folder that was mirrored by hand, not quite up to date.
#[test]
fn two_disks_that_hold_it_already_are_taken_over_together() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    configure(dir.path());
    for (store, changed) in [("nas", "as it is now"), ("usb", "as it was no")] {
        fs::create_dir_all(dir.path().join(store).join("photos")).expect("made");
        for n in 0..50 {
            fs::write(dir.path().join(format!("{store}/photos/{n:05}.txt")), format!("file {n}")).expect("written");
        }
        fs::write(dir.path().join(store).join("photos/changed.txt"), changed).expect("written");
    }
    fs::write(dir.path().join("nas/photos/new.txt"), "not mirrored yet").expect("written");
    let _gateway = Launch::new(dir.path()).serve();
    let adopt = |more: &[&str]| {
        let args: Vec<&str> = ["photos", "--from", "nas,usb"].iter().chain(more).copied().collect();
        Launch::new(dir.path()).args(&args).run("adopt")
    };
    let plan = adopt(&["--dry-run"]);
    assert_eq!(plan.status.code(), Some(0), "{plan:?}");
    let said = String::from_utf8_lossy(&plan.stdout).into_owned();
    for words in [
        "photos: 52 objects",
        "nas lists 52 objects",
        "usb lists 51 objects",
        "missing on usb: 1 object, 16 B",
        "only their bytes tell whether they are equal: 51 objects",
        "about 0.00 by your prices",
    ] {
        assert!(said.contains(words), "{words}: {said}");
    }
    let inode = |path: &str| std::os::unix::fs::MetadataExt::ino(&fs::metadata(dir.path().join(path)).expect("there"));
    let before = inode("usb/photos/00007.txt");
    let report = json(&adopt(&["--yes", "--json"]));
    assert_eq!((&report["adopted"], &report["equal"], &report["differing"]), (&52.into(), &50.into(), &1.into()));
    assert_eq!(
        (&report["owed"], &report["conflicts"][0]),
        (&2.into(), &"changed.txt: usb has another than nas".into())
    );
    let begun = std::time::Instant::now();
    while Launch::new(dir.path()).args(&["photos", "--deep"]).run("verify").status.code() != Some(0) {
        assert!(begun.elapsed().as_secs() < 60, "what was owed is not paid");
    }
    assert_eq!(inode("usb/photos/00007.txt"), before, "what is right is not written anew");
    let now = fs::read_to_string(dir.path().join("usb/photos/changed.txt")).expect("there");
    assert_eq!(now, "as it is now");
    let kept = Launch::new(dir.path()).args(&["photos", "--eject", "usb", "--deep", "--out", "p.json"]).run("verify");
    assert_eq!(kept.status.code(), Some(0), "{kept:?}");
    let conflicts = fs::read_dir(dir.path().join("usb/photos/.outlast/conflicts")).expect("a conflict copy");
    let bodies: Vec<String> =
        conflicts.flatten().map(|one| fs::read_to_string(one.path().join("changed.txt")).expect("its bytes")).collect();
    assert_eq!(bodies, ["as it was no"], "nothing is lost");
}
