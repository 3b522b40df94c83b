//! Kept connections, shared by all calls to one store. A connection carries one call at a time.

use super::body::WireBody;
use super::dial::{DialError, Dialer, Wire};
use super::relay::Relay;
use crate::Fault;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::{TrySendError, http1};
use hyper_util::rt::TokioIo;
use std::collections::HashMap;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use tokio::time::Instant;

/// Shorter than the keep-alive of any server in common use (5 s is the shortest default we know): a request sent on a
/// connection that the store is just closing has an unknown outcome, so such connections are not tried.
const IDLE_MAX: Duration = Duration::from_secs(4);
/// Connections kept per host; more only after a burst, and those are closed again.
const KEPT_MAX: usize = 64;
/// hyper's own bound is three times this; with many large transfers at once it is a tenth of all memory, and no quicker.
const READ_BUFFER_MAX: usize = 128 * 1024;
/// After an answer hyper may need another turn until the connection can be used again.
const SETTLE_MAX: Duration = Duration::from_secs(1);

/// One connection, and whoever moves its bytes. There is no task beside the call: the call itself drives it, so that neither
/// a request nor an answer changes threads on its way (docs/decisions/0008-calls-drive-connections.md).
pub(crate) struct Connection {
    sender: http1::SendRequest<WireBody>,
    driver: Pin<Box<http1::Connection<TokioIo<Box<dyn Wire>>, WireBody>>>,
    ended: bool,
    relay: Arc<Relay>,
}

impl Connection {
    /// Sends one request and drives the connection until the head of its answer is there.
    pub async fn exchange(
        &mut self,
        request: Request<WireBody>,
    ) -> Result<Response<Incoming>, TrySendError<Request<WireBody>>> {
        let Connection { sender, driver, ended, relay } = self;
        let mut sending = pin!(sender.try_send_request(request));
        poll_fn(|cx| {
            relay.turns(cx, |cx| {
                drive(driver, ended, cx);
                sending.as_mut().poll(cx)
            })
        })
        .await
    }

    /// What `future` waits for comes over this connection.
    pub async fn driving<F: Future>(&mut self, future: F) -> F::Output {
        let Connection { driver, ended, relay, .. } = self;
        let mut future = pin!(future);
        poll_fn(|cx| {
            relay.turns(cx, |cx| {
                drive(driver, ended, cx);
                future.as_mut().poll(cx)
            })
        })
        .await
    }

    /// Takes in what has happened to it while nobody drove it. True: it may carry a request now.
    fn is_ready(&mut self) -> bool {
        drive(&mut self.driver, &mut self.ended, &mut Context::from_waker(Waker::noop()));
        !self.ended && self.sender.is_ready()
    }

    fn is_closed(&self) -> bool {
        self.ended || self.sender.is_closed()
    }
}

fn drive(
    driver: &mut Pin<Box<http1::Connection<TokioIo<Box<dyn Wire>>, WireBody>>>,
    ended: &mut bool,
    cx: &mut Context<'_>,
) {
    if *ended {
        return;
    }
    if let Poll::Ready(end) = driver.as_mut().poll(cx) {
        *ended = true;
        // Whoever waits for an answer hears of it; here it would be heard twice.
        if let Err(error) = end {
            tracing::trace!(%error, "a connection ended");
        }
    }
}

struct Kept {
    connection: Connection,
    since: Instant,
}

/// Connections to one store, by host (buckets have hosts of their own in virtual-host style).
pub(crate) struct Pool {
    dialer: Dialer,
    kept: Mutex<HashMap<String, Vec<Kept>>>,
}

/// A connection that is ours for one call. Dropped before `keep`, it is closed.
pub(crate) struct Lent {
    pub connection: Connection,
    host: String,
    pool: Arc<Pool>,
}

impl Pool {
    pub fn new(dialer: Dialer) -> Arc<Pool> {
        Arc::new(Pool { dialer, kept: Mutex::new(HashMap::new()) })
    }

    fn kept(&self) -> MutexGuard<'_, HashMap<String, Vec<Kept>>> {
        self.kept.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// The connection used last that is still open and young, else a new one.
    pub async fn lend(self: &Arc<Pool>, host: &str, port: u16) -> Result<Lent, DialError> {
        if let Some(connection) = self.take(host) {
            return Ok(Lent { connection, host: host.to_owned(), pool: self.clone() });
        }
        let wire = self.dialer.dial(host, port).await?;
        let (sender, driver) = http1::Builder::new()
            .max_buf_size(READ_BUFFER_MAX)
            .handshake(TokioIo::new(wire))
            .await
            .map_err(|error| DialError::new(Fault::Broken, format!("{host}: {error}")))?;
        let connection = Connection { sender, driver: Box::pin(driver), ended: false, relay: Arc::default() };
        Ok(Lent { connection, host: host.to_owned(), pool: self.clone() })
    }

    fn take(&self, host: &str) -> Option<Connection> {
        let mut kept = self.kept();
        let list = kept.get_mut(host)?;
        list.retain(|one| one.since.elapsed() < IDLE_MAX);
        while let Some(mut one) = list.pop() {
            if one.connection.is_ready() {
                return Some(one.connection);
            }
        }
        None
    }

    fn put(&self, host: String, connection: Connection) {
        let mut kept = self.kept();
        let list = kept.entry(host).or_default();
        list.retain(|one| one.since.elapsed() < IDLE_MAX && !one.connection.is_closed());
        if list.len() < KEPT_MAX {
            list.push(Kept { connection, since: Instant::now() });
        }
    }
}

impl Lent {
    /// The answer was read to its end: the connection may serve the next call.
    pub fn keep(mut self) {
        if self.connection.is_ready() {
            self.pool.put(self.host, self.connection);
            return;
        }
        if self.connection.is_closed() {
            return;
        }
        tokio::spawn(async move {
            let Connection { sender, driver, ended, .. } = &mut self.connection;
            let settled = poll_fn(|cx| {
                drive(driver, ended, cx);
                sender.poll_ready(cx)
            });
            if let Ok(Ok(())) = tokio::time::timeout(SETTLE_MAX, settled).await {
                self.pool.put(self.host, self.connection);
            }
        });
    }
}
