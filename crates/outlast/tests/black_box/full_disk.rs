//! The gateway's own disk is full: writes are refused in words, reads go on, and with room again so do writes, without a restart.

use crate::support::{Aws, Gateway, Launch};
use crate::two_disks::{self, ACCESS_KEY, SECRET_KEY};
use crate::waiting::until_ok;
use outlast_drive::Tmpfs;
use rustix::process::Signal;
use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::Duration;

/// Each round is a few calls of aws-cli, and the WAL has little room left: a machine that needs longer is not well.
const PATIENCE: Duration = Duration::from_secs(120);
const ROOMY: u64 = 256 << 20;
/// More than is held in memory, so that it comes in through a file.
const LARGE: usize = 20 << 20;

/// The gateway goes on meanwhile, so the first try may come too late.
fn leave(disk: &Tmpfs, room: u64) {
    until_ok(PATIENCE, || disk.leave(room));
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// Status and body of one answer of the admin address.
fn ask(gateway: &Gateway, path: &str) -> String {
    let mut stream = TcpStream::connect(&gateway.admin).expect("it listens");
    let admin = &gateway.admin;
    write!(stream, "GET {path} HTTP/1.1\r\nhost: {admin}\r\nconnection: close\r\n\r\n").expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("it answers");
    answer
}

/// What was acknowledged: key and body.
type Acknowledged = BTreeMap<String, Vec<u8>>;

struct Client {
    aws: Aws,
    dir: PathBuf,
    acknowledged: Acknowledged,
}

impl Client {
    fn on(&self, call: &str, key: &str, more: &[&str]) -> Output {
        let args = [&["s3api", call, "--bucket", "photos", "--key", key], more].concat();
        self.aws.run(&args)
    }

    fn put(&mut self, key: &str) -> Result<(), String> {
        let body = format!("the body of {key}").into_bytes();
        fs::write(self.dir.join("body"), &body).expect("written");
        refused_or(self.on("put-object", key, &["--body", "body"]))?;
        self.acknowledged.insert(key.to_owned(), body);
        Ok(())
    }

    fn get(&self, key: &str) -> Result<Vec<u8>, String> {
        let output = self.on("get-object", key, &["got"]);
        if output.status.success() {
            Ok(fs::read(self.dir.join("got")).expect("it was got"))
        } else {
            Err(said(&output))
        }
    }

    fn create_upload(&self, key: &str) -> String {
        let output = self.on("create-multipart-upload", key, &[]);
        assert!(output.status.success(), "{}", said(&output));
        let told: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
        told["UploadId"].as_str().expect("an id").to_owned()
    }

    /// Part 1, and its ETag.
    fn put_part(&self, key: &str, upload: &str, number: &str, file: &str) -> Result<String, String> {
        let output = self.on("upload-part", key, &["--upload-id", upload, "--part-number", number, "--body", file]);
        let told = refused_or(output)?;
        Ok(told["ETag"].as_str().expect("an ETag").trim_matches('"').to_owned())
    }

    fn complete(&self, key: &str, upload: &str, etag: &str) -> Result<(), String> {
        let parts = format!("Parts=[{{PartNumber=1,ETag={etag}}}]");
        let more = ["--upload-id", upload, "--multipart-upload", &parts];
        refused_or(self.on("complete-multipart-upload", key, &more)).map(drop)
    }

    /// Everything that was acknowledged is there and whole, and is listed.
    fn holds_all(&self) {
        for (key, body) in &self.acknowledged {
            assert!(self.get(key).as_ref() == Ok(body), "{key}: {:?}", self.get(key).err());
        }
        let listed = self.aws.good(&["s3api", "list-objects-v2", "--bucket", "photos"]);
        for key in self.acknowledged.keys() {
            assert!(listed.contains(&format!("\"Key\": \"{key}\"")), "{key} is not in {listed}");
        }
    }
}

/// What it told, or why it was refused, which must be a 503 that says that a disk is full.
#[track_caller]
fn refused_or(output: Output) -> Result<serde_json::Value, String> {
    if output.status.success() {
        return Ok(serde_json::from_slice(&output.stdout).unwrap_or_default());
    }
    let words = said(&output);
    let why = words.contains("the ledger's disk is full") || words.contains("does not fit on our own disk");
    assert!(words.contains("(ServiceUnavailable)") && why, "{words}");
    Err(words)
}

/// Until a PUT, a part, a Complete and a DELETE are refused one after the other: what room there was in the ledger's files is used.
fn fill(disk: &Tmpfs, client: &mut Client, upload: &str, etag: &str) {
    let (mut round, mut dying) = (0, 0);
    until_ok(PATIENCE, || {
        leave(disk, 0);
        round += 1;
        let taken = |what: &str| Err(format!("a {what} is still taken in round {round}"));
        if client.put(&format!("filling/{round}")).is_ok() {
            return taken("PUT");
        }
        if client.put_part("parts", upload, "2", "body").is_ok() {
            return taken("part");
        }
        if refused_or(client.on("delete-object", &format!("dies/{dying}"), &[])).is_ok() {
            dying += 1;
            return taken("DELETE");
        }
        client
            .complete("parts", upload, etag)
            .map_or_else(|_| Ok(()), |()| panic!("completed where nothing else was taken"))
    });
}

fn is_said(here: &Path, gateway: &Gateway) {
    let ready = ask(gateway, "/readyz");
    assert!(ready.starts_with("HTTP/1.1 503") && ready.contains("the ledger's disk is full"), "{ready}");
    let status = said(&Launch::new(here).run("status"));
    assert!(status.contains("ledger: NO WRITES for ") && status.contains("disk is full"), "{status}");
}

/// A body for which the spool has no room, while the ledger has some.
fn large_part_is_refused(disk: &Tmpfs, client: &Client, here: &Path) {
    fs::write(here.join("large"), vec![7; LARGE]).expect("written");
    let upload = client.create_upload("large");
    leave(disk, LARGE as u64 / 2);
    let words = client.put_part("large", &upload, "1", "large").expect_err("it has room for half of it");
    assert!(words.contains(&format!("a body of {LARGE} bytes does not fit on our own disk")), "{words}");
    let left = fs::read_dir(here.join("outlast-data/spool/unsynced")).expect("it is there").count();
    assert_eq!(left, 0, "half a body is of no use");
}

#[test]
fn a_full_disk_of_our_own_refuses_writes_until_there_is_room() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let here = dir.path();
    fs::create_dir(here.join("outlast-data")).expect("made");
    let disk = match Tmpfs::mount(&here.join("outlast-data"), ROOMY) {
        Ok(disk) => disk,
        Err(why) => return eprintln!("LEFT OUT: a full disk of the gateway itself: {why}"),
    };
    two_disks::write(here, "", "");
    let gateway = Launch::new(here).serve();
    let Some(aws) = Aws::new(here, &gateway.s3, ACCESS_KEY, SECRET_KEY) else { return };
    let mut client = Client { aws, dir: here.to_owned(), acknowledged: Acknowledged::new() };
    client.aws.good(&["s3", "mb", "s3://photos"]);
    client.put("cat").expect("there is room");
    for n in 0..4 {
        client.put(&format!("dies/{n}")).expect("there is room");
        // Refused or not, nobody may count on them from now on.
        client.acknowledged.remove(&format!("dies/{n}"));
    }
    let upload = client.create_upload("parts");
    let etag = client.put_part("parts", &upload, "1", "body").expect("there is room");
    let part = fs::read(here.join("body")).expect("it is there");

    fill(&disk, &mut client, &upload, &etag);
    is_said(here, &gateway);
    client.holds_all();

    disk.resize(ROOMY).expect("room again");
    client.put("room/again").expect("without a restart");
    assert!(ask(&gateway, "/readyz").starts_with("HTTP/1.1 200"), "{}", ask(&gateway, "/readyz"));
    client.complete("parts", &upload, &etag).expect("there is room");
    client.acknowledged.insert("parts".to_owned(), part);
    large_part_is_refused(&disk, &client, here);
    client.put("after/large").expect("it has left its room");

    assert_eq!(gateway.end(Signal::KILL).0.code(), None);
    disk.resize(ROOMY).expect("room again");
    let gateway = Launch::new(here).serve();
    client.aws = Aws::new(here, &gateway.s3, ACCESS_KEY, SECRET_KEY).expect("it was there before");
    client.holds_all();
    until_ok(PATIENCE, || {
        let report = Launch::new(here).args(&["photos", "--deep"]).run("verify");
        if report.status.code() == Some(0) { Ok(()) } else { Err(said(&report)) }
    });
}
