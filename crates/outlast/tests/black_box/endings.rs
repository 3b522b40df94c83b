//! How it ends, and why it does not start: the exit codes of docs/CONFIGURATION.md with their words.

use crate::support::{Aws, Gateway, Launch};
use rustix::process::Signal;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::Output;
use std::time::{Duration, Instant};

const SECRET: &str = "long-enough-for-everybody";

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A user and one disk store beside its data_dir.
fn configure(dir: &Path) {
    fs::create_dir_all(dir.join("objects")).expect("made");
    let text = "[user.app]\naccess_key = \"APP\"\nsecret_key = { env = \"APP_SECRET\" }\n\
                [store.nas]\nkind = \"disk\"\npath = \"objects\"\n[defaults]\nmin_copies = 1\n";
    fs::write(dir.join("outlast.toml"), text).expect("written");
}

fn launch(dir: &Path) -> Launch {
    Launch::new(dir).env("APP_SECRET", SECRET)
}

/// docs/decisions/0009-allocator.md
#[test]
fn the_allocator_is_bounded_unless_somebody_knows_better() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    configure(dir.path());
    let (arenas, threshold) = ("MALLOC_ARENA_MAX", "MALLOC_MMAP_THRESHOLD_");
    let sets: [&[(&str, &str)]; 3] = [&[], &[(arenas, "5")], &[(arenas, "1"), (threshold, "65536")]];
    for set in sets {
        let launch = set.iter().fold(launch(dir.path()), |launch, (name, value)| launch.env(name, value));
        let gateway = launch.serve();
        let environment = fs::read(format!("/proc/{}/environ", gateway.pid())).expect("it runs under this number");
        for (name, default) in [(arenas, "2"), (threshold, "262144")] {
            let value = set.iter().find(|(one, _)| *one == name).map_or(default, |(_, value)| *value);
            let expected = format!("{name}={value}");
            let has = environment.split(|byte| *byte == 0).any(|one| one == expected.as_bytes());
            assert!(has, "{expected}: {}", String::from_utf8_lossy(&environment));
        }
        gateway.end(Signal::TERM);
    }
}

#[test]
fn sigterm_and_sigint_end_cleanly() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    configure(dir.path());
    for signal in [Signal::TERM, Signal::INT] {
        let gateway = launch(dir.path()).serve();
        let ready_file = gateway.ready_file.clone();
        assert!(ready_file.exists());
        let (status, _) = gateway.end(signal);
        assert_eq!(status.code(), Some(0), "{signal:?}");
        assert!(!ready_file.exists(), "whoever reads it would ask a process that is gone");
        assert!(!dir.path().join("outlast-data/running.json").exists());
    }
}

/// More than all buffers between the gateway and a client that does not read.
const BIG: usize = 48 << 20;

/// A download that has begun and goes on when somebody reads it. None: aws-cli is left out.
fn begin_download(dir: &Path, gateway: &Gateway) -> Option<BufReader<TcpStream>> {
    let aws = Aws::new(dir, &gateway.s3, "APP", SECRET)?;
    fs::write(dir.join("big"), vec![7; BIG]).expect("written");
    aws.good(&["s3api", "create-bucket", "--bucket", "photos"]);
    aws.good(&["s3api", "put-object", "--bucket", "photos", "--key", "big", "--body", "big"]);
    let url = aws.good(&["s3", "presign", "s3://photos/big"]);
    let target = url.trim().strip_prefix(&gateway.s3).expect("a URL of this gateway").to_owned();
    let host = gateway.s3.strip_prefix("http://").expect("plain http");
    let mut client = TcpStream::connect(host).expect("it listens");
    write!(client, "GET {target} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n").expect("sent");
    let mut answer = BufReader::new(client);
    let mut line = String::new();
    answer.read_line(&mut line).expect("answered");
    assert!(line.starts_with("HTTP/1.1 200"), "{line}");
    while line != "\r\n" {
        line.clear();
        answer.read_line(&mut line).expect("headers");
    }
    Some(answer)
}

fn until_nobody_listens(gateway: &Gateway) {
    let host = gateway.s3.strip_prefix("http://").expect("plain http");
    while TcpStream::connect(host).is_ok() {}
}

#[test]
fn a_running_download_ends_before_the_process_does() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    configure(dir.path());
    let gateway = launch(dir.path()).serve();
    let Some(mut download) = begin_download(dir.path(), &gateway) else { return };
    gateway.signal(Signal::TERM);
    until_nobody_listens(&gateway);
    let mut body = Vec::new();
    download.read_to_end(&mut body).expect("the rest comes");
    assert_eq!(body.len(), BIG);
    assert!(body.iter().all(|byte| *byte == 7));
    assert_eq!(gateway.wait().code(), Some(0));
}

#[test]
fn a_second_signal_ends_at_once() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    configure(dir.path());
    let gateway = launch(dir.path()).serve();
    let Some(download) = begin_download(dir.path(), &gateway) else { return };
    gateway.signal(Signal::TERM);
    until_nobody_listens(&gateway);
    gateway.signal(Signal::INT);
    assert_eq!(gateway.wait().code(), Some(4));
    drop(download);
}

#[test]
fn a_port_in_use() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    configure(dir.path());
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("bound").to_string();
    for (flags, which) in [
        (["--listen", &address, "--admin-listen", "127.0.0.1:0"], "s3"),
        (["--listen", "127.0.0.1:0", "--admin-listen", &address], "admin"),
    ] {
        let output = launch(dir.path()).args(&flags).run("serve");
        assert_eq!(output.status.code(), Some(3));
        let said = stderr(&output);
        let words =
            format!("outlast: {which} listener: {address}: Address already in use\n    another program listens there");
        assert!(said.contains(&words), "{said}");
    }
}

#[test]
fn a_second_process_on_one_data_dir() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    configure(dir.path());
    let first = launch(dir.path()).serve();
    let output = launch(dir.path()).args(&["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"]).run("serve");
    assert_eq!(output.status.code(), Some(3));
    let words = format!(
        "outlast: data_dir outlast-data is in use by another Outlast (process {}, {})\n    \
         stop it first, or give this one a data_dir of its own\n",
        first.pid(),
        first.s3
    );
    assert!(stderr(&output).ends_with(&words), "{}", stderr(&output));
    assert_eq!(first.end(Signal::TERM).0.code(), Some(0));
}

#[test]
fn a_second_process_on_one_disk() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    configure(dir.path());
    let first = launch(dir.path()).serve();
    let text = fs::read_to_string(dir.path().join("outlast.toml")).expect("readable");
    fs::write(dir.path().join("other.toml"), format!("data_dir = \"other-data\"\n{text}")).expect("written");
    let flags = ["--config", "other.toml", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"];
    let output = launch(dir.path()).args(&flags).run("serve");
    assert_eq!(output.status.code(), Some(3));
    assert!(stderr(&output).contains("[store.nas] objects is in use by another Outlast"), "{}", stderr(&output));
    assert_eq!(first.end(Signal::TERM).0.code(), Some(0));
}

#[test]
fn a_disk_that_is_not_there_is_waited_for_and_never_made() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    configure(dir.path());
    fs::remove_dir(dir.path().join("objects")).expect("removed");
    let gateway = launch(dir.path()).serve();
    let status = || launch(dir.path()).run("status");
    let told = status();
    assert_eq!(told.status.code(), Some(1), "{}", String::from_utf8_lossy(&told.stdout));
    assert!(gateway.log().contains("objects is not there: is the disk mounted?"), "{}", gateway.log());
    assert!(!dir.path().join("objects").exists());
    fs::create_dir(dir.path().join("objects")).expect("mounted, as it were");
    let begun = Instant::now();
    while status().status.code() != Some(0) {
        assert!(begun.elapsed() < Duration::from_secs(60), "the disk is not used: {}", gateway.log());
    }
    let (status, _) = gateway.end(Signal::TERM);
    assert_eq!(status.code(), Some(0));
}
