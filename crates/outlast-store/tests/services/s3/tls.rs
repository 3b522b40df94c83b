//! TLS and names: whom the client believes, in which words it refuses, and what it does when a name stops resolving.

use crate::s3::faults::{at, impatient, small};
use crate::script::{Act, Script, answer, header, play, play_secure};
use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use outlast_store::{Answer, Applied, Body, Cause, Fault, PutSpec, Resolve, S3Store, Store, help};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, date_time_ymd};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio_rustls::TlsAcceptor;

const HOST: &str = "s3.example.test";

/// A certificate authority of our own, with its certificate in a file.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    folder: tempfile::TempDir,
}

impl Authority {
    fn new() -> Authority {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let pem = params.self_signed(&key).expect("a certificate").pem();
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("ca.pem"), pem).expect("a file");
        Authority { issuer: Issuer::new(params, key), folder }
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    fn acceptor(&self, name: &str, expired: bool) -> TlsAcceptor {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new(vec![name.to_owned()]).expect("a name");
        if expired {
            params.not_before = date_time_ymd(2020, 1, 1);
            params.not_after = date_time_ymd(2021, 1, 1);
        }
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        let secret = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], secret)
            .expect("a certificate and its key");
        TlsAcceptor::from(Arc::new(config))
    }
}

/// Resolves every name to this machine, but only so many times.
struct Resolver {
    left: AtomicUsize,
    /// Afterwards: an answer without addresses, or an error.
    empty: bool,
}

#[async_trait]
impl Resolve for Resolver {
    async fn resolve(&self, _host: &str) -> std::io::Result<Vec<IpAddr>> {
        if self.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok() {
            return Ok(vec![IpAddr::from([127, 0, 0, 1])]);
        }
        if self.empty { Ok(Vec::new()) } else { Err(std::io::Error::other("NXDOMAIN")) }
    }
}

fn resolver(times: usize, empty: bool) -> Arc<Resolver> {
    Arc::new(Resolver { left: AtomicUsize::new(times), empty })
}

fn good() -> Vec<Act> {
    vec![Act::Read, Act::Say(answer("200 OK", "ETag: \"e\"\r\n", "")), Act::Close]
}

fn store(peer: &Script, scheme: &str, ca: Option<PathBuf>, names: Arc<Resolver>) -> S3Store {
    let mut config = impatient(&format!("{scheme}://{HOST}:{}", peer.port));
    config.ca_file = ca;
    S3Store::with_resolver(config, names).expect("a good configuration")
}

async fn put(store: &S3Store) -> Answer<()> {
    store.put(&at(), &PutSpec::default(), small()).await.map(drop)
}

async fn refuses(acceptor: TlsAcceptor, ca: Option<PathBuf>, word: &str, cause: Cause) {
    let peer = play_secure(good(), acceptor).await;
    let error = put(&store(&peer, "https", ca, resolver(9, true))).await.expect_err(word);
    assert_eq!((error.fault, error.applied), (Fault::Certificate, Applied::NotSent), "{error}");
    assert!(error.message.contains(word), "{error}");
    assert_eq!(error.cause, Some(cause), "{error}");
    assert!(peer.heard.lock().unwrap().is_empty(), "nothing was said to a stranger");
}

#[tokio::test]
async fn certificates() {
    let ours = Authority::new();
    let theirs = Authority::new();
    let peer = play_secure(good(), ours.acceptor(HOST, false)).await;
    put(&store(&peer, "https", Some(ours.file()), resolver(9, true))).await.expect("our own authority is trusted");
    refuses(ours.acceptor(HOST, true), Some(ours.file()), "expired", Cause::CertificateExpired).await;
    refuses(ours.acceptor("s3.other.test", false), Some(ours.file()), "not valid for name", Cause::OtherHost).await;
    refuses(theirs.acceptor(HOST, false), Some(ours.file()), "invalid peer certificate", Cause::IssuerUnknown).await;
    refuses(ours.acceptor(HOST, false), None, "UnknownIssuer", Cause::IssuerUnknown).await;
}

#[tokio::test]
async fn no_tls_there() {
    let peer = play(vec![Act::Say("HTTP/1.1 400 Bad Request\r\n\r\n".into()), Act::Close]).await;
    let error = put(&store(&peer, "https", None, resolver(9, true))).await.expect_err("no TLS");
    assert_eq!((error.fault, error.applied), (Fault::Broken, Applied::NotSent), "{error}");
    assert_eq!(error.cause, Some(Cause::NotTls), "{error}");
    let silent = play(vec![Act::Hang]).await;
    let mut config = impatient(&format!("https://{HOST}:{}", silent.port));
    config.timeouts.connect = std::time::Duration::from_millis(300);
    let store = S3Store::with_resolver(config, resolver(9, true)).expect("a good configuration");
    let error = put(&store).await.expect_err("silence");
    assert_eq!((error.fault, error.applied), (Fault::Timeout, Applied::NotSent), "{error}");
}

#[tokio::test]
async fn only_tls_there() {
    // What rustls and OpenSSL say to plain HTTP (an alert), and what Go says.
    let alert = "\u{15}\u{3}\u{3}\0\u{2}\u{2}F".to_owned();
    let go = answer("400 Bad Request", "", "Client sent an HTTP request to an HTTPS server.\n");
    for (said, cause) in [(alert, Cause::NotHttp), (go, Cause::TlsWanted)] {
        let peer = play(vec![Act::Read, Act::Say(said), Act::Close]).await;
        let error = put(&store(&peer, "http", None, resolver(9, true))).await.expect_err("TLS is wanted");
        assert_eq!(error.cause, Some(cause), "{error}");
        assert!(help(&error).is_some_and(|help| help.contains("https://")), "{error}");
    }
}

#[tokio::test]
async fn a_page_where_a_listing_was_due() {
    let page = "<!DOCTYPE html><title>Console</title>";
    for status in ["200 OK", "404 Not Found"] {
        let peer =
            play(vec![Act::Read, Act::Say(answer(status, "Content-Type: text/html\r\n", page)), Act::Close]).await;
        let error = store(&peer, "http", None, resolver(9, true)).list("b", "", None).await.expect_err("no listing");
        assert_eq!((error.fault, error.cause.clone()), (Fault::BadAnswer, Some(Cause::Page)), "{error}");
    }
}

#[tokio::test]
async fn a_name_that_stops_resolving() {
    let ours = Authority::new();
    for empty in [true, false] {
        let peer = play_secure(good(), ours.acceptor(HOST, false)).await;
        let kept = store(&peer, "https", Some(ours.file()), resolver(1, empty));
        for _ in 0..3 {
            put(&kept).await.expect("the last good address, its name still checked");
        }
        assert_eq!(*peer.connections.lock().unwrap(), 3);
        // Without TLS nobody proves who answers at the old address.
        let plain = play(good()).await;
        let kept = store(&plain, "http", None, resolver(1, empty));
        put(&kept).await.expect("it resolves once");
        let error = put(&kept).await.expect_err("and then no more");
        assert_eq!((error.fault, error.applied), (Fault::NameNotResolved, Applied::NotSent), "{error}");
    }
}

#[tokio::test]
async fn streams_over_tls_are_not_hashed() {
    let ours = Authority::new();
    let peer = play_secure(good(), ours.acceptor(HOST, false)).await;
    let pieces = stream::iter(vec![Ok(Bytes::from_static(b"me")), Ok(Bytes::from_static(b"ow"))]);
    let body = Body::Stream { len: 4, bytes: pieces.boxed() };
    let store = store(&peer, "https", Some(ours.file()), resolver(9, true));
    store.put(&at(), &PutSpec::default(), body).await.expect("a good answer");
    let (head, body) = peer.heard.lock().unwrap().remove(0);
    assert_eq!(header(&head, "x-amz-content-sha256"), Some("UNSIGNED-PAYLOAD"));
    assert_eq!((header(&head, "content-length"), body.as_slice()), (Some("4"), b"meow".as_slice()));
}

#[tokio::test]
async fn a_stream_longer_than_it_said_is_never_whole() {
    let ours = Authority::new();
    let peer = play_secure(good(), ours.acceptor(HOST, false)).await;
    let pieces = stream::iter(vec![Ok(Bytes::from_static(b"meow")), Ok(Bytes::from_static(b"!"))]);
    let body = Body::Stream { len: 4, bytes: pieces.boxed() };
    let store = store(&peer, "https", Some(ours.file()), resolver(9, true));
    let error = store.put(&at(), &PutSpec::default(), body).await.expect_err("too long");
    assert_eq!((error.fault, error.applied), (Fault::Body, Applied::Unknown), "{error}");
    assert!(peer.heard.lock().unwrap().is_empty(), "the last piece was held back");
}

#[test]
fn a_ca_file_that_is_none() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("ca.pem");
    std::fs::write(&path, "nothing here").expect("a file");
    for ca in [path, folder.path().join("missing.pem")] {
        let mut config = impatient("https://s3.example.test");
        config.ca_file = Some(ca);
        let error = S3Store::new(config).err().expect("refused");
        assert!(error.to_string().starts_with("ca_file "), "{error}");
    }
}
