//! A store that refuses: what `check` and `status` say of it, and what to do. The service is a second Outlast, which checks
//! signatures as few imitations do.

use crate::support::{Aws, Launch, free_address};
use crate::two_disks::{self, ACCESS_KEY, SECRET_KEY};
use crate::waiting::until_ok;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::thread;
use std::time::Duration;

/// A canary round of a store that is suspected comes every five seconds.
const PATIENCE: Duration = Duration::from_secs(30);

/// A disk and a service of ours, with these keys.
fn write(dir: &Path, endpoint: &str, access: &str, secret: &str, more: &str) {
    fs::create_dir_all(dir.join("near")).expect("made");
    let config = format!(
        "[user.app]\naccess_key = \"APP\"\nsecret_key = \"a-secret-of-the-test\"\n\
         [store.near]\nkind = \"disk\"\npath = \"near\"\n\
         [store.far]\nkind = \"s3\"\nendpoint = \"{endpoint}\"\nregion = \"us-east-1\"\naccess_key = \"{access}\"\n\
         secret_key = \"{secret}\"\nnested = true\nsystem_bucket = \"of-the-outer\"\n{more}\n"
    );
    fs::write(dir.join("outlast.toml"), config).expect("written");
}

fn check(dir: &Path) -> String {
    let output = Launch::new(dir).run("check");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}{}", String::from_utf8_lossy(&output.stderr));
    said
}

fn tells(said: &str, words: &[&str]) {
    for word in words {
        assert!(said.contains(word), "{word:?} is not in\n{said}");
    }
}

#[test]
fn wrong_keys_are_told_apart_from_each_other_and_from_a_wrong_scheme() {
    let (inner, outer) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    two_disks::write(inner.path(), "", "");
    let service = Launch::new(inner.path()).serve();
    let here = outer.path();

    write(here, &service.s3, ACCESS_KEY, "another-secret", "");
    let secret = check(here);
    tells(
        &secret,
        &["far (s3 http://127.0.0.1:", "UNFIT", "SignatureDoesNotMatch", "help:     the secret key does not belong"],
    );

    let gateway = Launch::new(here).serve();
    until_ok(PATIENCE, || {
        let status = Launch::new(here).run("status");
        let said = String::from_utf8_lossy(&status.stdout).into_owned();
        let whole = said.contains("SignatureDoesNotMatch") && said.contains("    help: the secret key does not belong");
        if whole && status.status.code() == Some(1) { Ok(()) } else { Err(said) }
    });
    drop(gateway);

    write(here, &service.s3, "NOBODY", SECRET_KEY, "");
    tells(&check(here), &["InvalidAccessKeyId", "help:     the service does not know this access key"]);

    write(here, &service.s3.replace("http://", "https://"), ACCESS_KEY, SECRET_KEY, "");
    tells(&check(here), &["TLS with 127.0.0.1", "help:     what listens there does not speak TLS: write http://"]);

    let answer = Launch::new(here).args(&["--json"]).run("check");
    let told: serde_json::Value = serde_json::from_slice(&answer.stdout).expect("JSON");
    let far = told["stores"].as_array().expect("a list").iter().find(|store| store["name"] == "far").expect("there");
    assert!(far["help"].as_str().is_some_and(|help| help.contains("write http://")), "{told}");
}

#[test]
fn plain_http_to_a_port_that_speaks_tls_and_a_certificate_of_nobody() {
    let (inner, outer) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    let made = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).expect("a certificate");
    fs::write(inner.path().join("cert.pem"), made.cert.pem()).expect("written");
    fs::write(inner.path().join("key.pem"), made.signing_key.serialize_pem()).expect("written");
    two_disks::write(inner.path(), "[s3]\ntls = { certificate = \"cert.pem\", key = \"key.pem\" }\n", "");
    let service = Launch::new(inner.path()).serve();
    write(outer.path(), &service.s3.replace("https://", "http://"), ACCESS_KEY, SECRET_KEY, "");
    tells(&check(outer.path()), &["UNFIT", "help:     what listens there does not speak plain HTTP", "https://"]);
    write(outer.path(), &service.s3, ACCESS_KEY, SECRET_KEY, "");
    tells(
        &check(outer.path()),
        &["UnknownIssuer", "help:     nobody trusted here has signed its certificate", "ca_file"],
    );
}

/// As the console of a service, or a proxy's own page, answers.
#[test]
fn a_web_server_is_no_store() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("an address");
    thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            // What it is asked does not matter to it; a client that has gone is no failure of the test.
            let _asked = stream.read(&mut [0; 4096]);
            let page = "<!DOCTYPE html><title>It works!</title>";
            let head =
                format!("HTTP/1.1 404 Not Found\r\nContent-Type: text/html\r\nContent-Length: {}\r\n", page.len());
            let _told = stream.write_all(format!("{head}Connection: close\r\n\r\n{page}").as_bytes());
        }
    });
    let dir = tempfile::tempdir().expect("a folder");
    write(dir.path(), &format!("http://{address}"), ACCESS_KEY, SECRET_KEY, "");
    tells(&check(dir.path()), &["UNFIT", "help:     that is a web page, no answer of a storage service"]);
}

#[test]
fn nobody_listens() {
    let free = free_address();
    let dir = tempfile::tempdir().expect("a folder");
    write(dir.path(), &format!("http://{free}"), ACCESS_KEY, SECRET_KEY, "");
    tells(&check(dir.path()), &["refuses connections", "help:     is the service started, and are host and port"]);
}

#[test]
fn a_key_of_another_certificate_is_told_before_the_stores() {
    let dir = tempfile::tempdir().expect("a folder");
    let made = |name: &str| rcgen::generate_simple_self_signed(vec![name.to_owned()]).expect("a certificate");
    let (one, other) = (made("one.example"), made("two.example"));
    fs::write(dir.path().join("cert.pem"), one.cert.pem()).expect("written");
    fs::write(dir.path().join("key.pem"), other.signing_key.serialize_pem()).expect("written");
    two_disks::write(dir.path(), "[s3]\ntls = { certificate = \"cert.pem\", key = \"key.pem\" }\n", "");
    let said = check(dir.path());
    let pair =
        said.find("[s3] tls: key.pem: this key does not belong to the certificate in cert.pem\n    help: name the key");
    assert!(pair.is_some() && pair < said.find("\na (disk"), "{said}");
    assert!(!said.contains("UNFIT"), "the stores are well: {said}");
}

/// What somebody reads at night: one line, the store and its reason in it, and no dump beside it.
#[test]
fn a_write_without_quorum_is_one_line_in_the_log() {
    let dir = tempfile::tempdir().expect("a folder");
    let free = free_address();
    let off = "[defaults]\nmin_copies = 2\nspool_counts = false";
    write(dir.path(), &format!("http://{free}"), ACCESS_KEY, SECRET_KEY, off);
    let gateway = Launch::new(dir.path()).serve();
    let Some(aws) = Aws::new(dir.path(), &gateway.s3, ACCESS_KEY, SECRET_KEY) else { return };
    aws.bad(&["s3api", "create-bucket", "--bucket", "photos"]);
    let log = gateway.log();
    let lines: Vec<&str> = log.lines().filter(|line| line.contains("503")).collect();
    assert!(!lines.is_empty(), "{log}");
    for line in lines {
        tells(line, &["\"WARN\"", "PUT photos answered 503 after ", "far", "nothing was acknowledged"]);
        assert!(line.contains("refuses connections") || line.contains("connection refused"), "{line}");
    }
    assert!(!log.contains("\"ERROR\"") && !log.contains("resp"), "{log}");
}
