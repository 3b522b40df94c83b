//! A wrong configuration: all of it is told at once, in plain text where no terminal is, and nothing is begun.

use crate::support::Launch;
use crate::two_disks;
use std::fs;

const WRONG: &str = r#"data_dri = "outlast-data"

[s3]
listen = "9000"

[user.app]
access_key = "APP"
secret_key = { env = "SURELY_NOT_SET" }

[user.other]
access_key = "APP"
secret_key = "written here"

[store.nas]
kind = "disk"
pth = "/srv/objects"

[store.b2]
kind = "s3"
endpoint = "s3.example.com"
region = "eu"
access_key = { env = "B2_KEY" }
secret_key = { file = "b2.secret" }
settle_time = "15"

[defaults]
stores = ["nas", "b3"]
min_copies = 3
"#;

const TOLD: &str = r#"outlast: outlast.toml: 12 mistakes, 1 warning
outlast.toml:1: error: there is no key or section "data_dri"
    did you mean "data_dir"?
outlast.toml:4: error: [s3] listen "9000" is not an address
    add the address: "127.0.0.1:9000" for this machine, "0.0.0.0:9000" for all
outlast.toml:8: error: [user.app] secret_key: the environment variable SURELY_NOT_SET is not set
    export SURELY_NOT_SET=… before the start, or use { file = "…" }
outlast.toml:11: error: [user.other] has the access key of [user.app]
    an access key names one user: choose another
outlast.toml:12: warning: [user.other] secret_key is written into this file in plain
    use { env = "NAME" } or { file = "path" }, and this file holds no secret
outlast.toml:14: error: [store.nas] has no path
    add: path = "/srv/objects"
outlast.toml:16: error: [store.nas] has no key "pth"
    did you mean "path"?
outlast.toml:20: error: [store.b2] endpoint "s3.example.com" has no scheme
    write "https://s3.example.com"
outlast.toml:22: error: [store.b2] access_key: the environment variable B2_KEY is not set
    export B2_KEY=… before the start, or use { file = "…" }
outlast.toml:23: error: [store.b2] secret_key: b2.secret cannot be read: No such file or directory
    paths are taken from the folder of this file
outlast.toml:24: error: [store.b2] settle_time is a time like "15m", not "15"
    15 what? write "15s" for seconds, "15m" for minutes
outlast.toml:27: error: [defaults] stores names "b3", but there is no [store.b3]
    did you mean "b2"?
outlast.toml:28: error: [defaults] min_copies 3 exceeds its 2 stores
    use min_copies = 2, or add stores

"#;

#[test]
fn all_are_told_at_once() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    fs::write(dir.path().join("outlast.toml"), WRONG).expect("written");
    for command in ["serve", "check"] {
        let output = Launch::new(dir.path()).run(command);
        assert_eq!(output.status.code(), Some(2), "{command}");
        assert_eq!(String::from_utf8_lossy(&output.stderr), TOLD, "{command}");
        assert!(output.stdout.is_empty(), "{command}");
    }
    // Whoever asks a running gateway needs no secret of its stores and users.
    let status = Launch::new(dir.path()).run("status");
    let told = String::from_utf8_lossy(&status.stderr).into_owned();
    assert_eq!(status.status.code(), Some(2));
    assert!(told.starts_with("outlast: outlast.toml: 9 mistakes, 1 warning\n"), "{told}");
    assert!(!told.contains("environment variable") && !told.contains("b2.secret"), "{told}");
    let left: Vec<_> = fs::read_dir(dir.path()).expect("readable").map(|e| e.expect("an entry").file_name()).collect();
    assert_eq!(left, ["outlast.toml"], "nothing was begun");
}

#[test]
fn programs_are_told_too() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    fs::write(dir.path().join("outlast.toml"), WRONG).expect("written");
    let output = Launch::new(dir.path()).args(&["--json"]).run("check");
    assert_eq!(output.status.code(), Some(2));
    let told: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(told["mistakes"].as_array().map(Vec::len), Some(12), "{told}");
    assert_eq!(told["mistakes"][0]["line"], 1);
    assert_eq!(told["mistakes"][0]["help"], "did you mean \"data_dir\"?");
    assert_eq!(told["warnings"][0]["line"], 12);
    assert_eq!(told["stores"], serde_json::json!([]), "nothing was tried");
}

#[test]
fn a_named_file_that_is_not_there() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let output = Launch::new(dir.path()).args(&["--config", "prod.toml"]).run("serve");
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(
        String::from_utf8_lossy(&output.stderr),
        "outlast: the configuration prod.toml cannot be read: No such file or directory\n    \
         outlast init --config prod.toml writes one\n"
    );
    assert_eq!(fs::read_dir(dir.path()).expect("readable").count(), 0, "no trial is made instead");
}

#[test]
fn a_wrong_flag_is_usage() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let output = Launch::new(dir.path()).args(&["--lisen", "x"]).run("serve");
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("--listen"), "it suggests the right one");
}

/// What the file accepts, the flag accepts; what it refuses is refused with the same help.
#[test]
fn an_address_is_read_alike_in_the_file_and_behind_the_flag() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let output = Launch::new(dir.path()).args(&["--listen", "9000"]).run("serve");
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{told}");
    assert!(told.contains("add the address: \"127.0.0.1:9000\" for this machine"), "{told}");
    let more = ["--admin-listen", "9001"];
    let output = Launch::new(dir.path()).args(&[&["--listen", "localhost:0"][..], &more].concat()).run("serve");
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(told.contains("'--admin-listen") && !told.contains("'--listen"), "only the other one is refused: {told}");
    assert_eq!(fs::read_dir(dir.path()).expect("readable").count(), 0, "nothing was begun");
}

/// Outlast makes no bucket that is named by hand: one that is not there is said by `check`, and stays away.
#[test]
fn a_bucket_named_by_hand_has_to_be_there() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    two_disks::write(dir.path(), "", "bucket_prefix = \"acme-\"\nbuckets = { photos = \"acme-photos-eu\" }");
    let check = || Launch::new(dir.path()).run("check");
    let unfit = check();
    let told = String::from_utf8_lossy(&unfit.stdout).into_owned();
    assert_eq!(unfit.status.code(), Some(1), "{told}");
    assert!(told.contains("UNFIT") && told.contains("the bucket acme-photos-eu, which `buckets` of"), "{told}");
    assert!(!dir.path().join("a/acme-photos-eu").exists(), "it was not made");
    fs::create_dir(dir.path().join("a/acme-photos-eu")).expect("made");
    let fit = check();
    assert_eq!(fit.status.code(), Some(0), "{fit:?}");
}

#[test]
fn names_that_no_bucket_can_have_and_files_that_are_no_certificate() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let names = "bucket_prefix = \"../\"\nbuckets = { photos = \"Not A Bucket!\" }\nsystem_bucket = \"???\"";
    two_disks::write(dir.path(), "", names);
    let wrong = Launch::new(dir.path()).run("check");
    let told = String::from_utf8_lossy(&wrong.stderr).into_owned();
    assert_eq!(wrong.status.code(), Some(2), "{told}");
    for name in ["bucket_prefix \"../\" begins no bucket's name", "called \"Not A Bucket!\"", "called \"???\""] {
        assert!(told.contains(name), "{name} in {told}");
    }
    let tls = "[s3]\ntls = { certificate = \"outlast.toml\", key = \"outlast.toml\" }\n";
    two_disks::write(dir.path(), tls, "");
    let wrong = Launch::new(dir.path()).run("check");
    let told = String::from_utf8_lossy(&wrong.stdout).into_owned();
    assert_eq!(wrong.status.code(), Some(1), "{told}");
    assert!(told.contains("[s3] tls: outlast.toml: holds no certificate"), "{told}");
}

/// The unit of systemd has the secrets, the shell of the night has not.
#[test]
fn who_asks_a_gateway_needs_no_secrets_and_who_names_a_store_is_not_told_that_there_is_none() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let config = r#"
[admin]
listen = "127.0.0.1:1"

[user.app]
access_key = "APP"
secret_key = { env = "SURELY_NOT_SET" }

[store.b2]
kind = "s3"
endpoint = "http://127.0.0.1:1"
region = "eu"
access_key = { env = "B2_KEY" }
secret_key = { env = "B2_SECRET" }

[defaults]
min_copies = 1
"#;
    fs::write(dir.path().join("outlast.toml"), config).expect("written");
    let said = |command: &str, args: &[&str]| {
        let output = Launch::new(dir.path()).args(args).run(command);
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (code, told) = said("status", &[]);
    assert_eq!(code, Some(1), "{told}");
    assert!(told.contains("127.0.0.1:1") && !told.contains("not set"), "{told}");
    for (command, args) in [("fault", &["set", "b2", "refuse"][..]), ("adopt", &["photos", "--from", "b2"])] {
        let (code, told) = said(command, args);
        assert_eq!(code, Some(2), "{command}: {told}");
        assert!(told.contains("B2_KEY is not set") && !told.contains("no store"), "{command}: {told}");
    }
}
