//! The S3 address behind TLS, as a client with the certificate's authority sees it.

use crate::support::{Aws, Launch};
use crate::two_disks::{self, ACCESS_KEY, SECRET_KEY};
use crate::waiting::{until, until_ok};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

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

/// The files are looked at every two seconds; a machine that needs longer than this is not well.
const PATIENCE: Duration = Duration::from_secs(30);

/// A new pair, as a renewal leaves it: the key first, so that for a moment the two do not belong together.
fn renew(dir: &Path) -> CertificateDer<'static> {
    let made = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).expect("a certificate");
    fs::write(dir.join("key.pem"), made.signing_key.serialize_pem()).expect("written");
    fs::write(dir.join("cert.pem"), made.cert.pem()).expect("written");
    CertificateDer::from_pem_slice(made.cert.pem().as_bytes()).expect("it is one")
}

type Client = BufReader<StreamOwned<ClientConnection, TcpStream>>;

/// A connection of a client that trusts this certificate and no other.
fn connect(address: &str, trusted: &CertificateDer<'static>) -> Result<Client, String> {
    let mut roots = RootCertStore::empty();
    roots.add(trusted.clone()).expect("a certificate");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = config.expect("versions").with_root_certificates(roots).with_no_client_auth();
    let name = ServerName::try_from("127.0.0.1").expect("an address");
    let session = ClientConnection::new(Arc::new(config), name).expect("a client");
    let stream = TcpStream::connect(address).expect("it listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("set");
    let mut client = BufReader::new(StreamOwned::new(session, stream));
    ask(&mut client).map_err(|error| error.to_string())?;
    Ok(client)
}

/// One request on it, and its whole answer: without a signature, so a refusal, which keeps the connection open.
fn ask(client: &mut Client) -> std::io::Result<()> {
    write!(client.get_mut(), "GET / HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n")?;
    client.get_mut().flush()?;
    let mut line = String::new();
    client.read_line(&mut line)?;
    assert!(line.starts_with("HTTP/1.1 403"), "{line:?}");
    let mut length = 0;
    while line != "\r\n" {
        line.clear();
        client.read_line(&mut line)?;
        let header = line.to_ascii_lowercase();
        assert!(!header.starts_with("connection: close"), "{header}");
        if let Some(value) = header.strip_prefix("content-length:") {
            length = value.trim().parse().expect("a length");
        }
    }
    client.read_exact(&mut vec![0; length])
}

#[test]
fn a_renewed_certificate_is_used_without_a_restart_and_open_connections_live_on() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let first = renew(dir.path());
    two_disks::write(dir.path(), TLS, "");
    let gateway = Launch::new(dir.path()).serve();
    let address = gateway.s3.strip_prefix("https://").expect("https");
    let mut old = connect(address, &first).expect("the first certificate is in use");

    // A renewal that went wrong: the old certificate stays in use, and the log says why.
    fs::write(dir.path().join("cert.pem"), "no certificate").expect("written");
    until(PATIENCE, "the bad file is told", || gateway.log().contains("the old certificate stays in use"));
    connect(address, &first).expect("the first certificate is still in use");

    let second = renew(dir.path());
    until_ok(PATIENCE, || connect(address, &second).map(drop));
    let stranger = connect(address, &first).map(drop).expect_err("the first certificate is in use no more");
    assert!(stranger.contains("certificate"), "{stranger}");
    ask(&mut old).expect("the connection that was open before is still served");
}
