//! Keys of the configuration by their effect: parsed well and wired to nothing, a key would still pass its unit tests.

use crate::support::{Aws, Launch};
use crate::two_disks::{self, ACCESS_KEY, SECRET_KEY};
use crate::waiting::until_ok;
use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(30);

fn put(aws: &Aws, bucket: &str, key: &str) {
    aws.good(&["s3api", "put-object", "--bucket", bucket, "--key", key, "--body", "body"]);
}

/// Two disks and a third, which a bucket has to ask for.
fn three_disks(dir: &Path, of_a: &str) {
    two_disks::write(dir, "", of_a);
    fs::create_dir_all(dir.join("c")).expect("made");
    let mut config = fs::read_to_string(dir.join("outlast.toml")).expect("just written");
    config.push_str(
        "[store.c]\nkind = \"disk\"\npath = \"c\"\n\
         [bucket.photos]\nstores = [\"a\", \"b\"]\n[bucket.named]\nstores = [\"a\", \"b\"]\n\
         [bucket.strict]\nmin_copies = 3\nspool_counts = false\n\
         [bucket.lenient]\nmin_copies = 3\nspool_counts = true\n",
    );
    fs::write(dir.join("outlast.toml"), config).expect("written");
}

/// `bucket_prefix` and `buckets` of a store; `stores`, `min_copies` and `spool_counts` of a bucket.
#[test]
fn where_a_bucket_lives_what_it_is_called_there_and_how_many_copies_it_wants() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let here = dir.path();
    three_disks(here, "bucket_prefix = \"acme-\"\nbuckets = { named = \"by-hand\" }");
    fs::create_dir(here.join("a/by-hand")).expect("made");
    fs::write(here.join("body"), "a body").expect("written");
    let gateway = Launch::new(here).serve();
    let Some(aws) = Aws::new(here, &gateway.s3, ACCESS_KEY, SECRET_KEY) else { return };
    for bucket in ["photos", "named", "strict", "lenient"] {
        aws.good(&["s3api", "create-bucket", "--bucket", bucket]);
        put(&aws, bucket, "first");
    }
    for there in ["a/acme-photos/first", "b/photos/first", "a/by-hand/first", "b/named/first", "c/strict/first"] {
        until_ok(PATIENCE, || if here.join(there).exists() { Ok(()) } else { Err(format!("{there} is not there")) });
    }
    for never in ["a/photos", "a/named", "a/acme-named", "c/photos", "c/named"] {
        assert!(!here.join(never).exists(), "{never}");
    }

    drop(gateway);
    fs::rename(here.join("c"), here.join("c-unplugged")).expect("moved away");
    let gateway = Launch::new(here).serve();
    let aws = Aws::new(here, &gateway.s3, ACCESS_KEY, SECRET_KEY).expect("it was there before");
    put(&aws, "photos", "second");
    put(&aws, "lenient", "second");
    let refused = aws.bad(&["s3api", "put-object", "--bucket", "strict", "--key", "second", "--body", "body"]);
    assert!(refused.contains("ServiceUnavailable") || refused.contains("SlowDown"), "{refused}");
    let log = gateway.log();
    assert!(log.contains("PUT strict/second answered 503"), "{log}");
}

/// One request without a body on a connection of its own, and the whole answer.
fn ask(address: &str, head: &str) -> String {
    let mut stream = TcpStream::connect(address).expect("it listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("set");
    write!(stream, "{head}connection: close\r\n\r\n").expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    answer
}

/// The signature is made for `/first/rest` at this host: of the bucket `photos` only where its name is in the host.
#[test]
fn a_domain_makes_buckets_virtual_hosts_and_an_origin_may_call() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let s3 = "[s3]\ndomains = [\"s3.example.test\"]\ncors = [\"https://app.example.com\"]\n";
    two_disks::write(dir.path(), s3, "");
    fs::write(dir.path().join("body"), "found by its host").expect("written");
    let gateway = Launch::new(dir.path()).serve();
    let address = gateway.s3.strip_prefix("http://").expect("plain http");

    let preflight = |origin: &str| {
        let head = format!(
            "OPTIONS /photos/a HTTP/1.1\r\nhost: {address}\r\norigin: {origin}\r\naccess-control-request-method: PUT\r\n"
        );
        ask(address, &head).to_ascii_lowercase()
    };
    let allowed = preflight("https://app.example.com");
    assert!(allowed.contains("access-control-allow-origin: https://app.example.com"), "{allowed}");
    let refused = preflight("https://elsewhere.example.com");
    assert!(refused.starts_with("http/1.1 403") && !refused.contains("access-control-allow-origin"), "{refused}");

    let Some(aws) = Aws::new(dir.path(), &gateway.s3, ACCESS_KEY, SECRET_KEY) else { return };
    aws.good(&["s3api", "create-bucket", "--bucket", "photos"]);
    put(&aws, "photos", "first/rest");
    let get = |host: &str| {
        let signer = Aws::new(dir.path(), &format!("http://{host}"), ACCESS_KEY, SECRET_KEY).expect("as before");
        let url = signer.good(&["s3", "presign", "s3://first/rest"]);
        let target = url.trim().strip_prefix(&format!("http://{host}")).expect("in path style").to_owned();
        ask(address, &format!("GET {target} HTTP/1.1\r\nhost: {host}\r\n"))
    };
    let virtual_host = get("photos.s3.example.test");
    assert!(virtual_host.ends_with("\r\n\r\nfound by its host"), "{virtual_host}");
    let other_host = get("s3.example.test");
    assert!(other_host.contains("NoSuchBucket"), "{other_host}");
}

/// A disk and a service.
fn write_service(dir: &Path, endpoint: &str, more: &str) {
    fs::create_dir_all(dir.join("near")).expect("made");
    let config = format!(
        "[user.app]\naccess_key = \"{ACCESS_KEY}\"\nsecret_key = \"{SECRET_KEY}\"\n\
         [defaults]\nspool_counts = false\n[store.near]\nkind = \"disk\"\npath = \"near\"\n\
         [store.far]\nkind = \"s3\"\nendpoint = \"{endpoint}\"\nregion = \"us-east-1\"\naccess_key = \"{ACCESS_KEY}\"\n\
         secret_key = \"{SECRET_KEY}\"\nnested = true\nsystem_bucket = \"of-the-outer\"\n{more}\n"
    );
    fs::write(dir.join("outlast.toml"), config).expect("written");
}

/// The public issuers know nothing of the service: only `ca_file` makes it a place.
#[test]
fn a_service_behind_a_certificate_of_ours_is_used_with_its_ca_file() {
    let (inner, outer) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    let made = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).expect("a certificate");
    fs::write(inner.path().join("cert.pem"), made.cert.pem()).expect("written");
    fs::write(inner.path().join("key.pem"), made.signing_key.serialize_pem()).expect("written");
    fs::write(outer.path().join("far.pem"), made.cert.pem()).expect("written");
    two_disks::write(inner.path(), "[s3]\ntls = { certificate = \"cert.pem\", key = \"key.pem\" }\n", "");
    let service = Launch::new(inner.path()).serve();

    write_service(outer.path(), &service.s3, "");
    let without = Launch::new(outer.path()).run("check");
    let said = String::from_utf8_lossy(&without.stdout).into_owned();
    assert!(without.status.code() == Some(1) && said.contains("UnknownIssuer"), "{said}");

    write_service(outer.path(), &service.s3, "ca_file = \"far.pem\"");
    let with = Launch::new(outer.path()).run("check");
    let said = String::from_utf8_lossy(&with.stdout).into_owned();
    assert!(with.status.code() == Some(0) && said.contains("far (s3 https://127.0.0.1:"), "{said}");
}

/// What listens keeps the head of every request and answers none well.
#[test]
fn a_session_token_reaches_the_service() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("an address");
    let heads = Arc::new(Mutex::new(String::new()));
    let kept = heads.clone();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let mut head = [0; 16 << 10];
            let read = stream.read(&mut head).unwrap_or_default();
            kept.lock().expect("nobody panicked").push_str(&String::from_utf8_lossy(&head[..read]));
            // A client that has gone is no failure of the test.
            let _told = stream.write_all(b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
        }
    });
    let dir = tempfile::tempdir().expect("a folder");
    write_service(dir.path(), &format!("http://{address}"), "session_token = \"a-token-that-ends\"");
    let output = Launch::new(dir.path()).run("check");
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let heads = heads.lock().expect("nobody panicked").to_ascii_lowercase();
    assert!(heads.contains("x-amz-security-token: a-token-that-ends\r\n"), "{heads}");
    let signed = heads.lines().find(|line| line.starts_with("authorization:")).expect("it is signed");
    assert!(signed.contains("x-amz-security-token"), "{signed}");
}

/// What a start says of a disk that is not there, with this section; warnings of the file are no part of the log.
fn log_of(section: &str) -> Option<String> {
    let dir = tempfile::tempdir().expect("a temporary folder");
    two_disks::write(dir.path(), section, "");
    fs::remove_dir(dir.path().join("b")).expect("it is empty");
    let gateway = Launch::new(dir.path()).serve();
    gateway.log().lines().find(|line| line.contains("going on without it")).map(str::to_owned)
}

#[test]
fn the_log_has_the_form_and_the_levels_that_were_asked_for() {
    let json = log_of("[log]\nformat = \"json\"\n").expect("it is told");
    serde_json::from_str::<serde_json::Value>(&json).expect(&json);
    // Into a file, "auto" would be JSON.
    let human = log_of("[log]\nformat = \"human\"\n").expect("it is told");
    assert!(human.contains("WARN") && !human.starts_with('{'), "{human}");
    assert_eq!(log_of("[log]\nfilter = \"error\"\n"), None, "it is a warning");
}

/// Every file below, by its path.
fn files(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).expect("a folder").map(|entry| entry.expect("an entry").path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path.display().to_string()] }).collect()
}

/// `undelete_days` of a bucket, `delete_budget` of a user.
#[test]
fn what_a_delete_displaces_is_kept_as_long_as_its_bucket_says_and_held_above_the_budget() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let here = dir.path();
    two_disks::write(here, "[bucket.passing]\nundelete_days = 0\n", "");
    let config = fs::read_to_string(here.join("outlast.toml")).expect("just written");
    let config = config.replace("[store.a]", "delete_budget = 1\n[store.a]");
    fs::write(here.join("outlast.toml"), config).expect("written");
    fs::write(here.join("body"), "a body").expect("written");
    let gateway = Launch::new(here).serve();
    let Some(aws) = Aws::new(here, &gateway.s3, ACCESS_KEY, SECRET_KEY) else { return };
    let come_and_go = |bucket: &str, key: &str| {
        put(&aws, bucket, key);
        aws.good(&["s3api", "delete-object", "--bucket", bucket, "--key", key]);
    };
    for bucket in ["passing", "lasting"] {
        aws.good(&["s3api", "create-bucket", "--bucket", bucket]);
    }
    come_and_go("passing", "one-of-passing");
    come_and_go("lasting", "one-of-lasting");
    // Both were acknowledged, and a copy into the trash is made before that.
    let trash: Vec<String> = files(here).into_iter().filter(|path| path.contains("trash/")).collect();
    assert!(trash.iter().any(|path| path.contains("one-of-lasting")), "{trash:?}");
    assert!(!trash.iter().any(|path| path.contains("one-of-passing")), "{trash:?}");

    let status = || String::from_utf8_lossy(&Launch::new(here).run("status").stdout).into_owned();
    assert!(!status().contains("above their budget"), "one is within it");
    come_and_go("lasting", "another-of-lasting");
    until_ok(PATIENCE, || {
        let said = status();
        if said.contains("1 of them held: deletes above their budget") { Ok(()) } else { Err(said) }
    });
}
