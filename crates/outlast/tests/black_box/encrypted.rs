//! The S3 address behind TLS, as a client with the certificate's authority sees it.

use crate::support::{Aws, Launch};
use std::fs;

const CONFIG: &str = r#"
[s3]
tls = { certificate = "cert.pem", key = "key.pem" }

[user.app]
access_key = "APP"
secret_key = "a-secret-of-the-test"

[store.a]
kind = "disk"
path = "a"

[store.b]
kind = "disk"
path = "b"
"#;

#[test]
fn a_client_that_trusts_the_certificate_is_served_and_no_other() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    for store in ["a", "b"] {
        fs::create_dir(dir.path().join(store)).expect("made");
    }
    let made = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).expect("a certificate");
    fs::write(dir.path().join("cert.pem"), made.cert.pem()).expect("written");
    fs::write(dir.path().join("key.pem"), made.signing_key.serialize_pem()).expect("written");
    fs::write(dir.path().join("outlast.toml"), CONFIG).expect("written");
    let gateway = Launch::new(dir.path()).serve();
    assert!(gateway.s3.starts_with("https://127.0.0.1:"), "{}", gateway.s3);
    let Some(aws) = Aws::new(dir.path(), &gateway.s3, "APP", "a-secret-of-the-test") else { return };
    let stranger = aws.bad(&["s3api", "list-buckets"]);
    assert!(stranger.contains("SSL validation failed"), "{stranger}");
    let trusting = |args: &[&str]| aws.good(&[&["--ca-bundle", "cert.pem"], args].concat());
    trusting(&["s3", "mb", "s3://photos"]);
    fs::write(dir.path().join("a.txt"), "not for everybody").expect("written");
    trusting(&["s3api", "put-object", "--bucket", "photos", "--key", "a.txt", "--body", "a.txt"]);
    trusting(&["s3api", "get-object", "--bucket", "photos", "--key", "a.txt", "back"]);
    assert_eq!(fs::read_to_string(dir.path().join("back")).expect("downloaded"), "not for everybody");
}
