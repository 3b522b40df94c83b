//! A line to a store: every byte comes a little later, and no more than so many a second, so that the wire and not this machine
//! is the limit; and a line can be cut or fall silent.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};

/// Each way; an answer comes 20 ms after its question.
const DELAY: Duration = Duration::from_millis(10);
/// Each way, all connections of the store together.
pub const BYTES_PER_SECOND: f64 = 20e6;
/// As TCP takes it; small enough that the cap is even.
const CHUNK: usize = 16 * 1024;
/// Chunks on the way of one connection: the line's delay at its full rate, and some.
const ON_THE_WAY: usize = 64;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    Flows,
    /// Connections break off, and new ones are dropped at once.
    Cut,
    /// Connections are taken, and nothing comes through.
    Silent,
}

/// Dropped, it takes no more connections.
pub struct Line {
    pub address: String,
    state: watch::Sender<State>,
    accepting: tokio::task::JoinHandle<()>,
}

/// One way of the line: when it is free again.
#[derive(Clone)]
struct Way(Arc<Mutex<Instant>>);

impl Way {
    /// When these bytes, sent now, have arrived.
    fn arrival(&self, bytes: usize) -> Instant {
        let mut free = self.0.lock().expect("an instant does not panic");
        let takes = Duration::from_secs_f64(bytes as f64 / BYTES_PER_SECOND);
        *free = (*free).max(Instant::now()) + takes;
        *free + DELAY
    }
}

impl Line {
    pub async fn to(store: &str) -> Result<Line, String> {
        let words = |error: std::io::Error| format!("a line to {store}: {error}");
        let listener = TcpListener::bind("127.0.0.1:0").await.map_err(words)?;
        let address = listener.local_addr().map_err(words)?.to_string();
        let (state, look) = watch::channel(State::Flows);
        let (there, back) = (Way(Arc::new(Mutex::new(Instant::now()))), Way(Arc::new(Mutex::new(Instant::now()))));
        let store = store.to_owned();
        let accepting = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                if *look.borrow() != State::Cut {
                    tokio::spawn(joined(client, store.clone(), there.clone(), back.clone(), look.clone()));
                }
            }
        });
        Ok(Line { address, state, accepting })
    }

    pub fn set(&self, state: State) {
        self.state.send_replace(state);
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn joined(client: TcpStream, store: String, there: Way, back: Way, mut look: watch::Receiver<State>) {
    let Ok(server) = TcpStream::connect(&store).await else { return };
    // Both sides talk in small pieces too; nobody waits for more to send.
    if client.set_nodelay(true).and_then(|()| server.set_nodelay(true)).is_err() {
        return;
    }
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let cut = {
        let mut look = look.clone();
        async move { look.wait_for(|state| *state == State::Cut).await.map(|_| ()) }
    };
    tokio::select! {
        _ = cut => {}
        () = carried(from_client, to_server, there, look.clone()) => {}
        () = carried(from_server, to_client, back, look.clone()) => {}
    }
    // What was silent stays so until somebody changes it: the client decides how long it waits.
    if *look.borrow() == State::Silent {
        let _ = look.changed().await;
    }
}

async fn carried(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    way: Way,
    mut look: watch::Receiver<State>,
) {
    let (sender, mut arriving) = mpsc::channel::<(Instant, Vec<u8>)>(ON_THE_WAY);
    let sent = async move {
        let mut chunk = vec![0; CHUNK];
        while let Ok(read @ 1..) = from.read(&mut chunk).await {
            if sender.send((way.arrival(read), chunk[..read].to_vec())).await.is_err() {
                return;
            }
        }
    };
    let received = async {
        while let Some((at, bytes)) = arriving.recv().await {
            sleep_until(at).await;
            if look.wait_for(|state| *state != State::Silent).await.is_err() || to.write_all(&bytes).await.is_err() {
                return;
            }
        }
        // The other side may still answer what it was sent before this end.
        let _ = to.shutdown().await;
    };
    tokio::join!(sent, received);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An echo behind a line: it takes the delay twice and the bytes' time; cut, it breaks off.
    #[tokio::test]
    async fn bytes_come_late_and_whole() {
        let echo = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = echo.local_addr().unwrap().to_string();
        tokio::spawn(async move {
            while let Ok((mut socket, _)) = echo.accept().await {
                tokio::spawn(async move {
                    let (mut read, mut write) = socket.split();
                    tokio::io::copy(&mut read, &mut write).await.ok();
                });
            }
        });
        let line = Line::to(&address).await.unwrap();
        let mut client = TcpStream::connect(&line.address).await.unwrap();
        let sent: Vec<u8> = (0..1_000_000_u32).map(|i| (i % 251) as u8).collect();
        let began = Instant::now();
        let (mut read, mut write) = client.split();
        let mut got = vec![0; sent.len()];
        let (wrote, came) = tokio::join!(write.write_all(&sent), read.read_exact(&mut got));
        wrote.unwrap();
        came.unwrap();
        assert!(got == sent);
        let least = 2 * DELAY + Duration::from_secs_f64(sent.len() as f64 / BYTES_PER_SECOND);
        assert!(began.elapsed() >= least, "{:?} of {least:?}", began.elapsed());
        line.set(State::Cut);
        assert_eq!(read.read(&mut got).await.unwrap_or(0), 0);
    }
}
