//! Graceful stop, kept connections, TLS.

use crate::house::{GRACE, House};
use crate::wire::{Payload, Reply, ask};
use bytes::Bytes;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use hyper_util::rt::TokioIo;
use outlast_front::TlsFiles;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::mpsc;

/// Until the metrics count one request that runs.
async fn running(house: &House) {
    while !ask("GET", "/metrics").send_unsigned(house.admin).await.text().contains("requests_running 1") {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn running_requests_end_and_new_ones_are_refused() {
    let mut house = House::new().await;
    let (signed, _) = ask("PUT", "/photos/slow").payload(Payload::Unsigned).signed(house.s3);
    let (bytes, mut receiver) = mpsc::channel::<Bytes>(1);
    let stream = futures_util::stream::poll_fn(move |cx| receiver.poll_recv(cx));
    let body = StreamBody::new(futures_util::StreamExt::map(stream, |bytes| Ok::<_, Infallible>(Frame::data(bytes))));
    let mut request = http::Request::builder().method("PUT").uri("/photos/slow").header("content-length", "10");
    for (name, value) in signed.headers() {
        request = request.header(name, value);
    }
    let connection = TcpStream::connect(house.s3).await.unwrap();
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(connection)).await.unwrap();
    tokio::spawn(connection);
    let answer = tokio::spawn(sender.send_request(request.body(body.boxed()).unwrap()));
    bytes.send(Bytes::from_static(b"01234")).await.unwrap();
    running(&house).await;

    let front = house.front.take().unwrap();
    let s3 = house.s3;
    let stop = tokio::spawn(front.stop(GRACE));
    while TcpStream::connect(s3).await.is_ok() {
        tokio::task::yield_now().await;
    }
    assert!(!stop.is_finished(), "the stop waits for the upload");
    bytes.send(Bytes::from_static(b"56789")).await.unwrap();
    drop(bytes);
    let reply = Reply::of(answer.await.unwrap().unwrap()).await;
    assert_eq!(reply.status, 200, "what was running ends: {}", reply.text());
    stop.await.unwrap();
    assert!(TcpStream::connect(house.admin).await.is_err(), "the admin address ends last");
}

#[tokio::test]
async fn whoever_does_not_end_is_cut() {
    let mut house = House::new().await;
    let idle = TcpStream::connect(house.s3).await.unwrap();
    let (signed, _) = ask("PUT", "/photos/never").payload(Payload::Unsigned).signed(house.s3);
    let mut stuck = TcpStream::connect(house.s3).await.unwrap();
    tokio::io::AsyncWriteExt::write_all(&mut stuck, &signed.head_bytes(Some(10))).await.unwrap();
    running(&house).await;
    let front = house.front.take().unwrap();
    let began = tokio::time::Instant::now();
    front.stop(Duration::from_millis(200)).await;
    assert!(began.elapsed() >= Duration::from_millis(200));
    let mut rest = Vec::new();
    let ended = tokio::io::AsyncReadExt::read_to_end(&mut stuck, &mut rest).await;
    assert!(rest.is_empty() && ended.map_or(true, |count| count == 0), "cut without an answer");
    drop(idle);
}

#[tokio::test]
async fn tls() {
    let folder = tempfile::tempdir().unwrap();
    let files = TlsFiles { certificate: folder.path().join("cert.pem"), key: folder.path().join("key.pem") };
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    std::fs::write(&files.certificate, made.cert.pem()).unwrap();
    std::fs::write(&files.key, made.signing_key.serialize_pem()).unwrap();
    let house = House::with(|settings| settings.tls = Some(files)).await;
    let mut roots = rustls::RootCertStore::empty();
    roots.add(made.cert.der().clone()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = config.with_root_certificates(roots).with_no_client_auth();
    let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
    let stream = TcpStream::connect(house.s3).await.unwrap();
    let stream = connector.connect("localhost".try_into().unwrap(), stream).await.unwrap();
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    for (method, body) in [("PUT", "hello"), ("GET", "")] {
        let (signed, _) = ask(method, "/photos/x").body(body).signed(house.s3);
        let mut request = http::Request::builder().method(method).uri("/photos/x");
        for (name, value) in signed.headers() {
            request = request.header(name, value);
        }
        let request = request.body(http_body_util::Full::new(Bytes::from(body))).unwrap();
        let reply = Reply::of(sender.send_request(request).await.unwrap()).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        assert_eq!(reply.text(), if method == "GET" { "hello" } else { "" });
    }
}
