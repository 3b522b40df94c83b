//! What one request is called and what became known of it on its way: for the log line, the metrics and the error document.

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use std::cell::RefCell;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use tokio::time::Instant;

/// Travels in the request's extensions; each layer adds what it alone knows.
#[derive(Debug)]
pub struct Trace {
    /// `x-amz-request-id`
    pub id: String,
    /// `x-amz-id-2`
    pub host_id: String,
    pub began: Instant,
    pub peer: Option<SocketAddr>,
    /// The client's own Content-Length; s3s writes one where there is none.
    pub content_length: OnceLock<u64>,
    /// S3's name of the operation; unset when the request never got that far.
    pub operation: OnceLock<String>,
    pub bucket: OnceLock<String>,
    pub key: OnceLock<String>,
    /// The user's name in the configuration.
    pub user: OnceLock<String>,
    /// Which store answered first.
    pub source: OnceLock<String>,
    /// What the client was told of a failure that is ours.
    pub reason: OnceLock<String>,
}

thread_local! {
    /// Names need to be different, not secret: no system call for each request.
    static CHANCE: RefCell<SmallRng> = RefCell::new(SmallRng::from_os_rng());
}

impl Trace {
    pub fn new(peer: Option<SocketAddr>) -> Arc<Trace> {
        let (id, host): (u64, u128) = CHANCE.with_borrow_mut(|chance| chance.random());
        Arc::new(Trace {
            id: format!("{id:016X}"),
            host_id: format!("{host:032x}"),
            began: Instant::now(),
            peer,
            content_length: OnceLock::new(),
            operation: OnceLock::new(),
            bucket: OnceLock::new(),
            key: OnceLock::new(),
            user: OnceLock::new(),
            source: OnceLock::new(),
            reason: OnceLock::new(),
        })
    }

    /// Its signature was found right, and is one of a user's.
    pub fn is_signed(&self) -> bool {
        self.user.get().is_some()
    }

    pub fn operation(&self) -> &str {
        self.operation.get().map_or("none", String::as_str)
    }
}
