//! A folder of somebody's files becomes a bucket, though the gateway is killed in the middle of it.

use crate::support::{Aws, Gateway, Launch};
use crate::two_disks::{self, ACCESS_KEY, SECRET_KEY};
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

/// What is asked of a bucket that was found full and not adopted yet: a 503 that says what to do, and never a 404 that a client
/// would take for an empty place.
fn is_refused_in_words(aws: &Aws) {
    let of = |call: &'static str, more: &[&'static str]| [&["s3api", call, "--bucket", "photos"], more].concat();
    let key = ["--key", "a/1.txt"];
    for call in [
        of("list-objects-v2", &[]),
        of("list-objects", &[]),
        of("get-object", &[key[0], key[1], "back"]),
        of("get-object", &["--key", "nobody-has-it", "back"]),
        of("put-object", &[key[0], key[1], "--body", "new.txt"]),
        of("put-object", &["--key", "nobody-has-it", "--body", "new.txt"]),
        of("delete-object", &key),
        of("create-multipart-upload", &key),
        of("create-bucket", &[]),
        of("delete-bucket", &[]),
    ] {
        let said = aws.bad(&call);
        let words = "the bucket photos was found with objects on a and is not served before it is adopted: outlast adopt photos --from a";
        assert!(said.contains("ServiceUnavailable") && said.contains(words), "{call:?}: {said}");
    }
    // A HEAD has no words.
    for call in [of("head-bucket", &[]), of("head-object", &key), of("head-object", &["--key", "nobody-has-it"])] {
        let said = aws.bad(&call);
        assert!(said.contains("(503)"), "{call:?}: {said}");
    }
}

#[test]
fn a_found_bucket_is_no_empty_place_until_it_is_adopted() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let here = dir.path();
    two_disks::write(here, "", "");
    fs::create_dir_all(here.join("a/photos/a")).expect("made");
    fs::write(here.join("a/photos/a/1.txt"), "somebody's").expect("written");
    fs::write(here.join("new.txt"), "new").expect("written");
    let gateway = Launch::new(here).serve();
    let Some(aws) = Aws::new(here, &gateway.s3, ACCESS_KEY, SECRET_KEY) else { return };
    is_refused_in_words(&aws);
    // Found while it was to be made, it is remembered.
    assert_eq!(gateway.end(Signal::TERM).0.code(), Some(0));
    let gateway = Launch::new(here).serve();
    let aws = Aws::new(here, &gateway.s3, ACCESS_KEY, SECRET_KEY).expect("it was there before");
    is_refused_in_words(&aws);
    aws.good(&["s3", "mb", "s3://another"]);
    assert_eq!(fs::read_to_string(here.join("a/photos/a/1.txt")).expect("there"), "somebody's");
    assert!(!here.join("a/photos/nobody-has-it").exists() && !here.join("b/photos/nobody-has-it").exists());

    let adopted = Launch::new(here).args(&["photos", "--from", "a", "--yes", "--json"]).run("adopt");
    assert_eq!(adopted.status.code(), Some(0), "{adopted:?}");
    assert_eq!(json(&adopted)["adopted"], 1, "{adopted:?}");
    aws.good(&["s3api", "get-object", "--bucket", "photos", "--key", "a/1.txt", "back"]);
    assert_eq!(fs::read_to_string(here.join("back")).expect("downloaded"), "somebody's");
    let gone = aws.bad(&["s3api", "get-object", "--bucket", "photos", "--key", "nobody-has-it", "back"]);
    assert!(gone.contains("NoSuchKey"), "{gone}");
    let listed = aws.good(&["s3api", "list-objects-v2", "--bucket", "photos", "--query", "Contents[].Key"]);
    assert_eq!(serde_json::from_str::<Vec<String>>(&listed).expect("JSON"), ["a/1.txt"]);
    aws.good(&["s3api", "put-object", "--bucket", "photos", "--key", "a/2.txt", "--body", "new.txt"]);
    assert_eq!(fs::read_to_string(here.join("a/photos/a/2.txt")).expect("there"), "new");
}
