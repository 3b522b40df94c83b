//! No configuration at all: what the README's first command does, through aws-cli.

use crate::support::{Aws, Launch};
use crate::waiting::until_ok;
use rustix::process::Signal;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// Three stores, as `serve` names them.
const STORES: [&str; 3] = ["one", "two", "three"];

fn keys(dir: &Path) -> (String, String) {
    let path = dir.join("outlast-data/credentials.json");
    let mode = fs::metadata(&path).expect("keys are kept").permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "only this user may read the keys");
    let keys: serde_json::Value = serde_json::from_slice(&fs::read(&path).expect("readable")).expect("JSON");
    let text = |key: &str| keys[key].as_str().expect("a text").to_owned();
    (text("access_key"), text("secret_key"))
}

/// Where a key lies as a plain file with these bytes.
fn holders(dir: &Path, bucket: &str, key: &str, bytes: &[u8]) -> Vec<&'static str> {
    let path = |store: &str| -> PathBuf { dir.join("outlast-data/stores").join(store).join(bucket).join(key) };
    STORES.into_iter().filter(|store| fs::read(path(store)).is_ok_and(|found| found == bytes)).collect()
}

#[test]
fn an_object_lives_its_life() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let gateway = Launch::new(dir.path()).serve();
    let (access, secret) = keys(dir.path());
    let Some(aws) = Aws::new(dir.path(), &gateway.s3, &access, &secret) else { return };

    aws.good(&["s3", "mb", "s3://photos"]);
    let body: Vec<u8> = (0..100_000_u32).flat_map(u32::to_le_bytes).collect();
    fs::write(dir.path().join("cat.jpg"), &body).expect("written");
    aws.good(&[
        "s3api",
        "put-object",
        "--bucket",
        "photos",
        "--key",
        "pets/cat.jpg",
        "--body",
        "cat.jpg",
        "--content-type",
        "image/jpeg",
        "--metadata",
        "colour=black",
    ]);
    let holding = holders(dir.path(), "photos", "pets/cat.jpg", &body);
    assert!(holding.len() >= 2, "acknowledged, and lies on {holding:?}");

    aws.good(&["s3api", "get-object", "--bucket", "photos", "--key", "pets/cat.jpg", "back.jpg"]);
    assert!(fs::read(dir.path().join("back.jpg")).expect("downloaded") == body, "other bytes came back");
    aws.good(&["s3api", "get-object", "--bucket", "photos", "--key", "pets/cat.jpg", "--range", "bytes=5-9", "part"]);
    assert_eq!(fs::read(dir.path().join("part")).expect("downloaded"), body[5..10]);

    let head = aws.good(&["s3api", "head-object", "--bucket", "photos", "--key", "pets/cat.jpg"]);
    let head: serde_json::Value = serde_json::from_str(&head).expect("JSON");
    assert_eq!(head["ContentLength"], body.len());
    assert_eq!(head["ContentType"], "image/jpeg");
    assert_eq!(head["Metadata"]["colour"], "black");

    let listed = |prefix: &str| {
        let text = aws.good(&["s3api", "list-objects-v2", "--bucket", "photos", "--prefix", prefix]);
        let page: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
        let keys = page["Contents"].as_array().cloned().unwrap_or_default();
        keys.iter().map(|entry| entry["Key"].as_str().expect("a key").to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(listed("pets/"), ["pets/cat.jpg"]);
    assert_eq!(listed(".outlast"), [""; 0]);

    aws.good(&["s3api", "delete-object", "--bucket", "photos", "--key", "pets/cat.jpg"]);
    assert_eq!(listed(""), [""; 0]);
    let gone = aws.bad(&["s3api", "head-object", "--bucket", "photos", "--key", "pets/cat.jpg"]);
    assert!(gone.contains("404"), "{gone}");
    let (status, _) = gateway.end(Signal::TERM);
    assert_eq!(status.code(), Some(0));
}

#[test]
fn keys_and_objects_outlive_the_process() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let first = Launch::new(dir.path()).serve();
    let keys_at_first = keys(dir.path());
    let (access, secret) = &keys_at_first;
    let Some(aws) = Aws::new(dir.path(), &first.s3, access, secret) else { return };
    aws.good(&["s3", "mb", "s3://photos"]);
    fs::write(dir.path().join("a.txt"), "bytes that stay").expect("written");
    aws.good(&["s3api", "put-object", "--bucket", "photos", "--key", "a.txt", "--body", "a.txt"]);
    // Not asked to end: killed.
    let (status, _) = first.end(Signal::KILL);
    assert_eq!(status.code(), None);

    let again = Launch::new(dir.path()).serve();
    assert_eq!(keys(dir.path()), keys_at_first);
    let aws = Aws::new(dir.path(), &again.s3, access, secret).expect("it was there a moment ago");
    aws.good(&["s3api", "get-object", "--bucket", "photos", "--key", "a.txt", "back"]);
    assert_eq!(fs::read_to_string(dir.path().join("back")).expect("downloaded"), "bytes that stay");
}

/// `cp -r` takes no extended attributes with it: stamps and headers are gone, and every ETag is another.
#[test]
fn a_trial_that_was_moved_without_its_attributes_is_served() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let first = Launch::new(dir.path()).serve();
    let (access, secret) = keys(dir.path());
    let Some(aws) = Aws::new(dir.path(), &first.s3, &access, &secret) else { return };
    aws.good(&["s3", "mb", "s3://photos"]);
    fs::write(dir.path().join("a.txt"), "bytes that stay").expect("written");
    aws.good(&["s3api", "put-object", "--bucket", "photos", "--key", "a.txt", "--body", "a.txt"]);
    first.end(Signal::TERM);

    let moved = tempfile::tempdir().expect("a temporary folder");
    let copy = |what: &str| {
        let copied = Command::new("cp").arg("-r").arg(dir.path().join(what)).arg(moved.path()).status();
        assert!(copied.expect("cp starts").success());
    };
    copy("outlast-data");
    let again = Launch::new(moved.path()).serve();
    let aws = Aws::new(moved.path(), &again.s3, &access, &secret).expect("it was there a moment ago");
    aws.good(&["s3api", "get-object", "--bucket", "photos", "--key", "a.txt", "back"]);
    assert_eq!(fs::read_to_string(moved.path().join("back")).expect("downloaded"), "bytes that stay");
    // What was read so is looked at, and written anew with its stamp.
    until_ok(Duration::from_secs(60), || {
        let verified = Launch::new(moved.path()).args(&["photos", "--deep"]).run("verify");
        if verified.status.code() == Some(0) {
            Ok(())
        } else {
            Err(String::from_utf8_lossy(&verified.stdout).into_owned())
        }
    });
}

#[test]
fn a_wrong_secret_is_refused() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let gateway = Launch::new(dir.path()).serve();
    let (access, _) = keys(dir.path());
    let Some(aws) = Aws::new(dir.path(), &gateway.s3, &access, "not-the-secret-that-was-made") else { return };
    let said = aws.bad(&["s3api", "list-buckets"]);
    assert!(said.contains("SignatureDoesNotMatch"), "{said}");
    assert!(!gateway.log().contains("not-the-secret"), "secrets are not logged");
}

#[test]
fn the_greeting_says_it_all() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let gateway = Launch::new(dir.path()).serve();
    let (access, secret) = keys(dir.path());
    let (s3, admin) = (gateway.s3.clone(), gateway.admin.clone());
    let (status, said) = gateway.end(Signal::TERM);
    assert_eq!(status.code(), Some(0));
    for words in [
        s3.as_str(),
        admin.as_str(),
        access.as_str(),
        secret.as_str(),
        "Three folders on one disk are a trial, not three independent places",
        "What is deleted can be brought back for 7d: outlast undelete BUCKET",
        "aws s3 mb",
        "rclone ls outlast:photos",
        "boto3.client(",
    ] {
        assert!(said.contains(words), "{words} is missing:\n{said}");
    }
}
