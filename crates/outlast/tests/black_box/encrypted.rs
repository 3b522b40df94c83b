//! The S3 address behind TLS, as a client with the certificate's authority sees it.

use crate::support::{Aws, Launch};
use crate::two_disks::{self, ACCESS_KEY, SECRET_KEY};
use std::fs;

const TLS: &str = "[s3]\ntls = { certificate = \"cert.pem\", key = \"key.pem\" }\n";

#[test]
fn a_client_that_trusts_the_certificate_is_served_and_no_other() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let made = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).expect("a certificate");
    fs::write(dir.path().join("cert.pem"), made.cert.pem()).expect("written");
    fs::write(dir.path().join("key.pem"), made.signing_key.serialize_pem()).expect("written");
    two_disks::write(dir.path(), TLS, "");
    let gateway = Launch::new(dir.path()).serve();
    assert!(gateway.s3.starts_with("https://127.0.0.1:"), "{}", gateway.s3);
    let Some(aws) = Aws::new(dir.path(), &gateway.s3, ACCESS_KEY, SECRET_KEY) else { return };
    let stranger = aws.bad(&["s3api", "list-buckets"]);
    assert!(stranger.contains("SSL validation failed"), "{stranger}");
    let trusting = |args: &[&str]| aws.good(&[&["--ca-bundle", "cert.pem"], args].concat());
    trusting(&["s3", "mb", "s3://photos"]);
    fs::write(dir.path().join("a.txt"), "not for everybody").expect("written");
    trusting(&["s3api", "put-object", "--bucket", "photos", "--key", "a.txt", "--body", "a.txt"]);
    trusting(&["s3api", "get-object", "--bucket", "photos", "--key", "a.txt", "back"]);
    assert_eq!(fs::read_to_string(dir.path().join("back")).expect("downloaded"), "not for everybody");
}
