//! Connections of the S3 address: accepted within a bound, served, and ended gracefully.

use crate::guard::Guard;
use crate::patient::Patient;
use crate::settings::Limits;
use crate::tls::Tls;
use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// A handshake is two round trips; whoever needs longer is not on this planet.
const HANDSHAKE_MAX: Duration = Duration::from_secs(10);
/// After an accept that failed (no file descriptors left): long enough for some request to end.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Holds the largest head that the guard takes, with room, and is what one connection may read ahead of a body.
const READ_BUFFER_MAX: usize = 256 * 1024;

/// The S3 address. `stopping`: no new connection and no new request; `cut`: the grace is over.
pub struct S3Listener {
    pub tls: Option<Arc<Tls>>,
    pub guard: Arc<Guard>,
    pub limits: Limits,
    pub stopping: CancellationToken,
    pub cut: CancellationToken,
    pub tasks: TaskTracker,
}

impl S3Listener {
    /// Until `stopping`. The socket closes with it: whoever comes later is refused at once, not left waiting.
    pub async fn run(self: Arc<Self>, socket: TcpListener) {
        let places = Arc::new(Semaphore::new(self.limits.connections.min(Semaphore::MAX_PERMITS)));
        loop {
            let accepted = async {
                let place = places.clone().acquire_owned().await;
                (place, socket.accept().await)
            };
            let (place, accepted) = tokio::select! {
                biased;
                () = self.stopping.cancelled() => return,
                next = accepted => next,
            };
            match accepted {
                Ok((stream, peer)) => {
                    let listener = self.clone();
                    self.tasks.spawn(async move {
                        listener.connection(stream, peer).await;
                        drop(place);
                    });
                }
                Err(error) => {
                    tracing::warn!("s3 listener: {error}");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    async fn connection(&self, stream: TcpStream, peer: SocketAddr) {
        // Small answers must not wait for the client's delayed acknowledgement.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%peer, "TCP_NODELAY: {error}");
        }
        let stream = Patient::new(stream);
        match &self.tls {
            None => self.serve(stream, peer).await,
            Some(tls) => {
                let handshake = tokio::time::timeout(HANDSHAKE_MAX, tls.acceptor().accept(stream));
                let shaken = tokio::select! {
                    biased;
                    () = self.stopping.cancelled() => return,
                    shaken = handshake => shaken,
                };
                match shaken {
                    Ok(Ok(stream)) => self.serve(stream, peer).await,
                    Ok(Err(error)) => tracing::debug!(%peer, "tls handshake: {error}"),
                    Err(_) => tracing::debug!(%peer, "tls handshake: nothing for {} s", HANDSHAKE_MAX.as_secs()),
                }
            }
        }
    }

    async fn serve<I: AsyncRead + AsyncWrite + Unpin + Send + 'static>(&self, io: I, peer: SocketAddr) {
        let guard = self.guard.clone();
        let service = service_fn(move |request: Request<Incoming>| {
            let guard = guard.clone();
            async move { Ok::<_, Infallible>(guard.handle(request.map(s3s::Body::from), Some(peer)).await) }
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(self.limits.head_timeout)
            .max_buf_size(READ_BUFFER_MAX)
            .serve_connection(TokioIo::new(io), service);
        let mut connection = pin!(connection);
        let mut is_asked = false;
        loop {
            tokio::select! {
                biased;
                () = self.cut.cancelled() => return,
                () = self.stopping.cancelled(), if !is_asked => {
                    is_asked = true;
                    connection.as_mut().graceful_shutdown();
                }
                ended = connection.as_mut() => {
                    if let Err(error) = ended {
                        tracing::debug!(%peer, "connection: {error}");
                    }
                    return;
                }
            }
        }
    }
}
