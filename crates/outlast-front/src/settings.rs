//! What the front is told at its start: addresses, users, domains, CORS rules, limits.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// Everything the front needs besides the engine.
#[derive(Debug, Clone)]
pub struct FrontSettings {
    pub s3_listen: SocketAddr,
    /// None: plain HTTP.
    pub tls: Option<TlsFiles>,
    pub admin_listen: SocketAddr,
    /// Without users nobody gets in: there are no anonymous requests.
    pub users: Vec<User>,
    /// Base domains of virtual-host style (`bucket.domain`). Any other host is path style.
    pub domains: Vec<String>,
    /// For all buckets; none: every preflight is refused.
    pub cors: Vec<CorsRule>,
    pub limits: Limits,
}

impl FrontSettings {
    pub fn new(s3_listen: SocketAddr, admin_listen: SocketAddr, users: Vec<User>) -> FrontSettings {
        let limits = Limits::default();
        FrontSettings { s3_listen, tls: None, admin_listen, users, domains: Vec::new(), cors: Vec::new(), limits }
    }
}

/// PEM files; read anew when they change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    pub certificate: PathBuf,
    pub key: PathBuf,
}

/// One access key and whose it is.
#[derive(Clone)]
pub struct User {
    /// For logs.
    pub name: String,
    pub access_key: String,
    pub secret_key: String,
}

impl fmt::Debug for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("User").field("name", &self.name).field("access_key", &self.access_key).finish_non_exhaustive()
    }
}

/// One CORS rule in S3's sense. Origins and headers may hold one `*`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CorsRule {
    pub origins: Vec<String>,
    pub methods: Vec<String>,
    pub headers: Vec<String>,
    pub expose: Vec<String>,
    /// How long a browser may remember the answer.
    pub max_age: Option<Duration>,
}

/// More requests at once than a gateway of this size can serve; the rest hears SlowDown at once instead of queueing unseen.
pub const REQUESTS_MAX: usize = 1024;
/// Kept connections cost a file descriptor and a few KiB each; beyond this new ones wait in the kernel's backlog.
pub const CONNECTIONS_MAX: usize = 4096;
/// From the first byte of a request's head to its last; also how long a kept connection may stay idle.
pub const HEAD_TIMEOUT: Duration = Duration::from_secs(75);

/// Bounds of the S3 listener.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    pub requests: usize,
    pub connections: usize,
    pub head_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { requests: REQUESTS_MAX, connections: CONNECTIONS_MAX, head_timeout: HEAD_TIMEOUT }
    }
}
