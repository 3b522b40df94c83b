//! A proxy of the test in front of a real store, whose behaviour is switched while it runs. It passes heads on as they
//! are, `Host` too, so that what was signed is what arrives.

use crate::peers::SYSTEM_BUCKET;
use bytes::Bytes;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Frame, Incoming};
use hyper::header::CONTENT_TYPE;
use hyper::http::response::Parts;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode, Uri};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::thread::JoinHandle;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

/// What the store behind does from now on, as far as its client can see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    Pass,
    /// 403 AccessDenied to every request: a key was revoked, an account suspended.
    Forbid,
    /// 503 SlowDown to every request; nothing is applied.
    SlowDown,
    /// What changes something is done and then answered with a 500.
    FailAfterApplying,
    /// A body of a client's object ends in its middle, with its connection.
    CutBodies,
    /// One bit in the middle of each body of a client's object is another. Our own small files pass: a canary that met it
    /// would take the store out of the way before a client's read could.
    FlipBits,
    /// One bit in the middle of each body of a client's object that is sent is another when it arrives.
    FlipBitsOnTheWay,
    /// Requests are taken and never answered.
    NeverAnswer,
}

type Out = BoxBody<Bytes, io::Error>;
type Upstream = Client<HttpConnector, Out>;

/// A running proxy. Dropped, it closes all its connections.
pub struct FaultProxy {
    pub endpoint: String,
    mode: Arc<Mutex<Mode>>,
    met: Arc<AtomicU64>,
    end: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl FaultProxy {
    /// In front of `http://host:port`.
    pub fn start(endpoint: &str) -> FaultProxy {
        let target = endpoint.strip_prefix("http://").expect("plain http").to_owned();
        let mode = Arc::new(Mutex::new(Mode::Pass));
        let (end, ended) = oneshot::channel();
        let (say, hear) = std::sync::mpsc::channel();
        let met = Arc::new(AtomicU64::new(0));
        let shared = (mode.clone(), met.clone());
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async {
                let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
                say.send(listener.local_addr().expect("bound")).expect("somebody waits for it");
                tokio::select! {
                    _ = ended => {}
                    () = accept(listener, target, shared) => {}
                }
            });
        });
        let address: SocketAddr = hear.recv().expect("it listens");
        FaultProxy { endpoint: format!("http://{address}"), mode, met, end: Some(end), thread: Some(thread) }
    }

    /// For every request that comes from now on.
    pub fn switch(&self, mode: Mode) {
        *self.mode.lock().expect("nobody panics with it") = mode;
    }

    /// Requests for clients' keys whose answer, or whose effect, another mode than `Pass` has changed so far.
    pub fn met(&self) -> u64 {
        self.met.load(Ordering::SeqCst)
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        if let (Some(end), Some(thread)) = (self.end.take(), self.thread.take()) {
            // A thread that has panicked no longer listens, and has said why.
            let _ = end.send(());
            let _ = thread.join();
        }
    }
}

async fn accept(listener: TcpListener, target: String, (mode, met): (Arc<Mutex<Mode>>, Arc<AtomicU64>)) {
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    let upstream: Upstream = Client::builder(TokioExecutor::new()).build(connector);
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        stream.set_nodelay(true).expect("a TCP socket");
        let (upstream, target, mode, met) = (upstream.clone(), target.clone(), mode.clone(), met.clone());
        let service = service_fn(move |request| {
            let mode = *mode.lock().expect("nobody panics with it");
            answer(request, upstream.clone(), target.clone(), mode, met.clone())
        });
        // A connection that breaks is what the client is to live with.
        tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service));
    }
}

async fn answer(
    request: Request<Incoming>,
    upstream: Upstream,
    target: String,
    mode: Mode,
    met: Arc<AtomicU64>,
) -> io::Result<Response<Out>> {
    let counts = is_of_a_client(request.uri());
    let meets = || met.fetch_add(u64::from(counts), Ordering::SeqCst);
    if matches!(mode, Mode::Forbid | Mode::SlowDown | Mode::NeverAnswer) {
        meets();
    }
    match mode {
        Mode::Forbid => return refuse(request, StatusCode::FORBIDDEN, "AccessDenied").await,
        Mode::SlowDown => return refuse(request, StatusCode::SERVICE_UNAVAILABLE, "SlowDown").await,
        Mode::NeverAnswer => std::future::pending::<()>().await,
        Mode::Pass | Mode::FailAfterApplying | Mode::CutBodies | Mode::FlipBits | Mode::FlipBitsOnTheWay => {}
    }
    let changes = !matches!(*request.method(), Method::GET | Method::HEAD);
    let of_object = *request.method() == Method::GET && is_object(request.uri());
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
    let uri: Uri = format!("http://{target}{path}").parse().expect("it was one before");
    let puts = *request.method() == Method::PUT && is_object(request.uri());
    let (mut head, body) = request.into_parts();
    head.uri = uri;
    let body = match mode {
        Mode::FlipBitsOnTheWay if puts => {
            meets();
            let whole = body.collect().await.map_err(io::Error::other)?.to_bytes();
            Full::new(flipped(&whole)).map_err(|never| match never {}).boxed()
        }
        _ => body.map_err(io::Error::other).boxed(),
    };
    let answered = upstream.request(Request::from_parts(head, body)).await.map_err(io::Error::other)?;
    match mode {
        Mode::FailAfterApplying if changes => {
            meets();
            // Applied to the end, whatever the answer is.
            answered.into_body().collect().await.map_err(io::Error::other)?;
            Ok(error_answer(StatusCode::INTERNAL_SERVER_ERROR, "InternalError"))
        }
        Mode::CutBodies | Mode::FlipBits if of_object && answered.status().is_success() => {
            meets();
            let (head, body) = answered.into_parts();
            let whole = body.collect().await.map_err(io::Error::other)?.to_bytes();
            Ok(if mode == Mode::CutBodies { cut(head, whole) } else { flip(head, whole) })
        }
        _ => Ok(answered.map(|body| body.map_err(io::Error::other).boxed())),
    }
}

/// `/bucket/key`, and neither under `.outlast/` nor in the bucket that is ours on another Outlast.
fn is_of_a_client(uri: &Uri) -> bool {
    let (bucket, key) = uri.path().trim_start_matches('/').split_once('/').unwrap_or_default();
    !key.is_empty() && !key.starts_with(".outlast/") && bucket != SYSTEM_BUCKET
}

/// A client's object or a part of an upload to it, and no question about them.
fn is_object(uri: &Uri) -> bool {
    let asks = uri.query().unwrap_or_default();
    let is_part = asks.contains("partNumber=");
    let asks_else = ["uploadId", "uploads", "tagging", "acl"].iter().any(|word| asks.contains(word));
    is_of_a_client(uri) && (is_part || !asks_else)
}

async fn refuse(request: Request<Incoming>, status: StatusCode, code: &str) -> io::Result<Response<Out>> {
    // Read to its end, as a server does that answers what it was asked.
    request.into_body().collect().await.map_err(io::Error::other)?;
    Ok(error_answer(status, code))
}

fn error_answer(status: StatusCode, code: &str) -> Response<Out> {
    let text = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>{code}</Code><Message>said by the test</Message>\
         <RequestId>0</RequestId></Error>"
    );
    let body = Full::new(Bytes::from(text)).map_err(|never| match never {}).boxed();
    let answer = Response::builder().status(status).header(CONTENT_TYPE, "application/xml").body(body);
    answer.expect("a good answer")
}

/// The first half, and then nothing: the promised length is not reached, so the connection ends.
fn cut(head: Parts, whole: Bytes) -> Response<Out> {
    let half = whole.slice(..whole.len() / 2);
    let pieces = [Some(Ok(half)), None, Some(Err(io::Error::other("cut by the test")))];
    Response::from_parts(head, BodyExt::boxed(Pieces(pieces.into())))
}

fn flip(head: Parts, whole: Bytes) -> Response<Out> {
    Response::from_parts(head, BodyExt::boxed(Pieces([Some(Ok(flipped(&whole)))].into())))
}

fn flipped(whole: &Bytes) -> Bytes {
    let mut bytes = whole.to_vec();
    let middle = bytes.len() / 2;
    if let Some(byte) = bytes.get_mut(middle) {
        *byte ^= 1;
    }
    bytes.into()
}

/// A body of these pieces, and nothing said about its length beyond its head. None: a pause, in which what came before it
/// leaves for the client.
struct Pieces(VecDeque<Option<io::Result<Bytes>>>);

impl Body for Pieces {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        match self.0.pop_front() {
            Some(None) => {
                context.waker().wake_by_ref();
                Poll::Pending
            }
            piece => Poll::Ready(piece.flatten().map(|piece| piece.map(Frame::data))),
        }
    }
}
