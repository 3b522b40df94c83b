//! The worst day, through the real thing: the gateway is killed and its ledger gone; later its whole data_dir. Made anew from three
//! disks, a client finds what it was told: keys, bytes, ETags, times, headers, and nothing that it had deleted.

use crate::clients::{ACCESS_KEY, SECRET_KEY, ask};
use crate::gateway::{Gateway, Launch};
use crate::scene::{Place, configuration};
use crate::tools::Aws;
use crate::waiting::until_ok;
use rustix::process::Signal;
use std::fs;
use std::path::Path;
use std::process::Output;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(60);

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn rebuild(dir: &Path, args: &[&str]) -> Output {
    Launch::new(dir).args(args).run("rebuild")
}

fn report(output: &Output) -> serde_json::Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}", said(output)))
}

/// The stores know everything that the ledger says, and have everything that it owes.
fn until_told(gateway: &Gateway) {
    until_ok(PATIENCE, || {
        let body = ask(&gateway.admin, "/status.json")?;
        let status: serde_json::Value = serde_json::from_str(&body).map_err(|error| error.to_string())?;
        let stores = status["stores"].as_array().ok_or("no stores")?;
        let paid = stores.iter().all(|store| store["owed_objects"] == 0);
        let told = status["shipping"]["waiting"] == 0 && status["shipping"]["snapshot"].is_number();
        if paid && told { Ok(()) } else { Err(format!("{status:#}")) }
    });
}

/// What a client sees of it all: the listing as it is, and of each key its bytes and headers.
fn seen(here: &Path, gateway: &Gateway, exactly: bool) -> (String, Vec<(String, Vec<u8>, String)>) {
    let aws = Aws::new(here, &gateway.s3, ACCESS_KEY, SECRET_KEY).expect("it was there before");
    let listing = aws.good(&["s3api", "list-objects-v2", "--bucket", "photos"]);
    let parsed: serde_json::Value = serde_json::from_str(&listing).expect("JSON");
    let keys = parsed["Contents"].as_array().expect("keys").iter().map(|one| one["Key"].as_str().expect("a key"));
    let objects = keys.map(|key| {
        let head = aws.good(&["s3api", "get-object", "--bucket", "photos", "--key", key, "got"]);
        let mut head: serde_json::Value = serde_json::from_str(&head).expect("JSON");
        if !exactly {
            for told in ["ETag", "LastModified", "ChecksumCRC64NVME", "ChecksumCRC32", "ChecksumType"] {
                head.as_object_mut().expect("an object").remove(told);
            }
        }
        (key.to_owned(), fs::read(here.join("got")).expect("read"), head.to_string())
    });
    let objects = objects.collect();
    (if exactly { listing } else { String::new() }, objects)
}

/// Three objects in two folders, one overwritten; a fourth was deleted.
fn fill(here: &Path, aws: &Aws) {
    let large: Vec<u8> = (0..20_000_000_u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 16) as u8).collect();
    fs::write(here.join("large.bin"), &large).expect("written");
    aws.good(&["s3", "mb", "s3://photos"]);
    aws.good(&["s3", "cp", "large.bin", "s3://photos/a/large.bin", "--metadata", "colour=green"]);
    for (name, text) in [("1", "first"), ("2", "second"), ("3", "third"), ("1", "first, again")] {
        fs::write(here.join("note.txt"), text).expect("written");
        aws.good(&["s3", "cp", "note.txt", &format!("s3://photos/notes/{name}.txt"), "--content-language", "gsw"]);
    }
    aws.good(&["s3", "rm", "s3://photos/notes/2.txt"]);
}

#[test]
fn the_ledger_is_gone_and_everything_is_found_again() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let here = dir.path();
    for disk in ["one", "two", "three"] {
        fs::create_dir(here.join(disk)).expect("made");
    }
    let places = [("one", Place::Disk("one")), ("two", Place::Disk("two")), ("three", Place::Disk("three"))];
    let text = configuration(&places, "min_copies = 2\n") + "\n[ledger]\nship_every = \"1s\"\n";
    fs::write(here.join("outlast.toml"), &text).expect("written");
    let gateway = Launch::new(here).serve();
    let Some(aws) = Aws::new(here, &gateway.s3, ACCESS_KEY, SECRET_KEY) else { return };
    fill(here, &aws);
    let running = rebuild(here, &["--yes"]);
    assert_eq!(running.status.code(), Some(3), "{}", said(&running));
    assert!(said(&running).contains("in use"), "{}", said(&running));
    until_told(&gateway);
    let (ended, _) = gateway.end(Signal::TERM);
    assert!(ended.success(), "{ended}");
    let slowly = text.replace("ship_every = \"1s\"", "ship_every = \"1h\"");
    fs::write(here.join("outlast.toml"), slowly).expect("written");
    let gateway = Launch::new(here).serve();
    let aws = Aws::new(here, &gateway.s3, ACCESS_KEY, SECRET_KEY).expect("it was there before");
    let before = seen(here, &gateway, true);
    // One more that the ledger has told nobody of: it tells when it starts, and then in an hour.
    fs::write(here.join("note.txt"), "the last words").expect("written");
    aws.good(&["s3", "cp", "note.txt", "s3://photos/notes/last.txt"]);
    assert_eq!(gateway.end(Signal::KILL).0.code(), None, "killed where it stood");

    let usable = rebuild(here, &["--yes"]);
    assert_eq!(usable.status.code(), Some(2), "a ledger that can be used is not replaced: {}", said(&usable));
    fs::remove_dir_all(here.join("outlast-data/ledger")).expect("gone");
    let lost = Launch::new(here).run("serve");
    assert_eq!(lost.status.code(), Some(3));
    assert!(said(&lost).contains("outlast rebuild"), "{}", said(&lost));
    fs::remove_dir_all(here.join("outlast-data/ledger")).expect("what serve made of it");
    let tried = report(&rebuild(here, &["--dry-run", "--json"]));
    assert_eq!(tried["objects"], 4, "{tried:#}");
    assert!(!here.join("one/outlast-home/.outlast/epoch.json").exists());
    let done = rebuild(here, &["--yes", "--json"]);
    assert_eq!(done.status.code(), Some(0), "{}", said(&done));
    let done = report(&done);
    assert_eq!((&done["objects"], &done["tombstones"], &done["epoch"]), (&4.into(), &1.into(), &2.into()), "{done:#}");
    assert_eq!((&done["asked"], &done["entries_from_stores"]), (&1.into(), &1.into()), "{done:#}");

    fs::write(here.join("outlast.toml"), text).expect("written");
    let gateway = Launch::new(here).serve();
    let aws = Aws::new(here, &gateway.s3, ACCESS_KEY, SECRET_KEY).expect("it was there before");
    aws.good(&["s3", "cp", "s3://photos/notes/last.txt", "back.txt"]);
    assert_eq!(fs::read_to_string(here.join("back.txt")).expect("read"), "the last words");
    aws.good(&["s3", "rm", "s3://photos/notes/last.txt"]);
    until_told(&gateway);
    let after = seen(here, &gateway, true);
    assert_eq!(before.0, after.0, "the listing is what it was, to the letter");
    assert!(before.1 == after.1, "and so are bytes and headers");
    let before = seen(here, &gateway, false);
    assert_eq!(gateway.end(Signal::KILL).0.code(), None);

    // The whole data_dir, the key of the segments with it: every object is asked for.
    fs::remove_dir_all(here.join("outlast-data")).expect("gone");
    let done = rebuild(here, &["--yes", "--json"]);
    assert_eq!(done.status.code(), Some(0), "{}", said(&done));
    let done = report(&done);
    assert_eq!((&done["objects"], &done["asked"], &done["epoch"]), (&3.into(), &3.into(), &3.into()), "{done:#}");
    let gateway = Launch::new(here).serve();
    assert!(seen(here, &gateway, false) == before, "what a store can keep is what it was");
    until_told(&gateway);
    let verified = Launch::new(here).args(&["photos", "--deep"]).run("verify");
    assert_eq!(verified.status.code(), Some(0), "{}", said(&verified));
}
