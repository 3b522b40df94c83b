//! Stands between clients that cannot be asked and the gateway, passes every byte on, and keeps how long the slowest of them
//! had to wait for the next one.

use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// At most so much is passed on in one piece.
const PIECE: usize = 64 * 1024;
/// How often the machine is asked how busy it is, and with how much work.
const ASK_EVERY: Duration = Duration::from_millis(100);
const WORK: u32 = 2_000_000;

/// What one request waited for, and how long.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Wait {
    pub seconds: f64,
    /// Its request line.
    pub of: String,
}

/// The slowest so far.
#[derive(Debug, Clone, Default)]
pub struct Waits {
    /// From the last byte of a GET or HEAD to the first one of its answer.
    pub first_byte: Wait,
    /// Between two bytes of an answer; and what changes something answers once, so its whole time is one.
    pub pause: Wait,
    pub requests: u64,
    /// Nanoseconds of a little work done beside it: on a processor, and waiting for one.
    worked: (u64, u64),
}

impl Waits {
    /// How many times longer than alone a process took on this machine meanwhile.
    pub fn slowdown(&self) -> f64 {
        let (worked, waited) = self.worked;
        if worked == 0 { 1.0 } else { (worked + waited) as f64 / worked as f64 }
    }

    fn note(&mut self, turn: Turn, of: &str, took: Duration) {
        let reads = of.starts_with("GET ") || of.starts_with("HEAD ");
        let slot = if turn == Turn::Client && reads { &mut self.first_byte } else { &mut self.pause };
        if took.as_secs_f64() > slot.seconds {
            *slot = Wait { seconds: took.as_secs_f64(), of: of.to_owned() };
        }
    }
}

/// Who spoke last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Turn {
    Client,
    Server,
}

/// One connection.
struct Talk {
    turn: Turn,
    request: String,
    /// When the last byte had been handed on, in whichever direction: what the client is slow to take is its own pause.
    last: Instant,
}

/// A running relay. Dropped, it takes no more connections.
pub struct TimingRelay {
    /// `http://127.0.0.1:PORT`
    pub endpoint: String,
    address: SocketAddr,
    waits: Arc<Mutex<Waits>>,
    ended: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl TimingRelay {
    /// In front of `http://host:port`.
    pub fn start(endpoint: &str) -> TimingRelay {
        let target: SocketAddr =
            endpoint.strip_prefix("http://").expect("plain http").parse().expect("an address and a port");
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("bound");
        let (waits, ended) = (Arc::new(Mutex::new(Waits::default())), Arc::new(AtomicBool::new(false)));
        let (of_accept, of_work) = ((waits.clone(), ended.clone()), (waits.clone(), ended.clone()));
        let threads = vec![
            std::thread::spawn(move || accept(&listener, target, &of_accept.0, &of_accept.1)),
            std::thread::spawn(move || work(&of_work.0, &of_work.1)),
        ];
        TimingRelay { endpoint: format!("http://{address}"), address, waits, ended, threads }
    }

    pub fn waits(&self) -> Waits {
        locked(&self.waits).clone()
    }
}

impl Drop for TimingRelay {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::SeqCst);
        // Wakes the one that waits for a connection; it fails only where nobody does.
        let _ = TcpStream::connect(self.address);
        for thread in self.threads.drain(..) {
            // One that has panicked has said why.
            let _ = thread.join();
        }
    }
}

fn locked<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().expect("nobody panics with it")
}

fn accept(listener: &TcpListener, target: SocketAddr, waits: &Arc<Mutex<Waits>>, ended: &AtomicBool) {
    for client in listener.incoming() {
        if ended.load(Ordering::SeqCst) {
            return;
        }
        let Ok(client) = client else { continue };
        // Refused: the client sees its connection end, as it would without us.
        let Ok(server) = TcpStream::connect(target) else { continue };
        client.set_nodelay(true).expect("a TCP socket");
        server.set_nodelay(true).expect("a TCP socket");
        let talk = Talk { turn: Turn::Server, request: String::new(), last: Instant::now() };
        let talk = Arc::new(Mutex::new(talk));
        let ends = (client.try_clone().expect("a second end"), server.try_clone().expect("a second end"));
        let (theirs, ours) = ((talk.clone(), waits.clone()), (talk, waits.clone()));
        // Each ends with its connection.
        std::thread::spawn(move || pass(client, server, Turn::Client, &theirs.0, &theirs.1));
        std::thread::spawn(move || pass(ends.1, ends.0, Turn::Server, &ours.0, &ours.1));
    }
}

fn pass(mut from: TcpStream, mut to: TcpStream, who: Turn, talk: &Mutex<Talk>, waits: &Mutex<Waits>) {
    let mut piece = vec![0; PIECE];
    loop {
        let count = from.read(&mut piece).unwrap_or(0);
        if count == 0 {
            // The other side may have gone already.
            let _ = to.shutdown(Shutdown::Write);
            return;
        }
        {
            let mut talk = locked(talk);
            match who {
                Turn::Server => locked(waits).note(talk.turn, &talk.request, talk.last.elapsed()),
                Turn::Client => {
                    if let Some(line) = request_line(&piece[..count]) {
                        talk.request = line;
                        locked(waits).requests += 1;
                    }
                }
            }
            talk.turn = who;
        }
        let passed = to.write_all(&piece[..count]);
        locked(talk).last = Instant::now();
        if passed.is_err() {
            let _ = from.shutdown(Shutdown::Both);
            return;
        }
    }
}

/// None: a piece of a body.
fn request_line(piece: &[u8]) -> Option<String> {
    let begins = ["GET ", "HEAD ", "PUT ", "POST ", "DELETE "].iter().any(|verb| piece.starts_with(verb.as_bytes()));
    let line = piece.split(|byte| *byte == b'\r').next().filter(|_| begins)?;
    Some(String::from_utf8_lossy(line).into_owned())
}

/// A little work now and then, and how long this thread was ready to work and had no processor.
fn work(waits: &Mutex<Waits>, ended: &AtomicBool) {
    while !ended.load(Ordering::SeqCst) {
        std::thread::park_timeout(ASK_EVERY);
        let before = of_this_thread();
        let mut sum = 0u32;
        for step in 0..WORK {
            sum = std::hint::black_box(sum.wrapping_mul(31).wrapping_add(step));
        }
        let after = of_this_thread();
        let mut waits = locked(waits);
        waits.worked.0 += after.0 - before.0;
        waits.worked.1 += after.1 - before.1;
    }
}

/// Nanoseconds on a processor, and on the queue for one (Linux: Documentation/scheduler/sched-stats).
fn of_this_thread() -> (u64, u64) {
    let text = fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let mut fields = text.split_whitespace().map(|field| field.parse().unwrap_or(0));
    (fields.next().unwrap_or(0), fields.next().unwrap_or(0))
}
