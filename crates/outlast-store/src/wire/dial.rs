//! From a host name to a connection: the name, TCP, TLS, each with its own words when it fails.

use super::endpoint::ServiceConfigError;
use crate::{Cause, Fault};
use async_trait::async_trait;
use futures_util::stream::{FuturesUnordered, StreamExt};
use rustls::CertificateError;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use std::collections::HashMap;
use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_rustls::TlsConnector;

/// How long one address may be silent before the next is tried beside it (RFC 8305 recommends 250 ms).
const NEXT_ADDRESS_AFTER: Duration = Duration::from_millis(250);
/// Addresses tried for one connection: more than any service publishes for one name in one answer of ordinary size.
const ADDRESSES_MAX: usize = 8;
/// How long an address outlives its name. The longest outage of a store's name on record lasted 22 hours
/// (a registrar's suspension in December 2020, addresses fine all the while).
const LAST_GOOD_MAX: Duration = Duration::from_secs(48 * 3600);

/// Looks names up. The seam for a resolver of one's own.
#[async_trait]
pub trait Resolve: Send + Sync + 'static {
    /// The addresses of a host name; none is an error too.
    async fn resolve(&self, host: &str) -> io::Result<Vec<IpAddr>>;
}

/// The operating system's resolver.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemResolver;

#[async_trait]
impl Resolve for SystemResolver {
    async fn resolve(&self, host: &str) -> io::Result<Vec<IpAddr>> {
        Ok(tokio::net::lookup_host((host, 0)).await?.map(|address| address.ip()).collect())
    }
}

/// A connection that did not come about: no byte of any request was sent.
#[derive(Debug)]
pub(crate) struct DialError {
    pub fault: Fault,
    pub message: String,
    pub cause: Option<Cause>,
}

impl DialError {
    pub fn new(fault: Fault, message: impl fmt::Display) -> DialError {
        DialError { fault, message: message.to_string(), cause: None }
    }
}

pub(crate) trait Wire: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Wire for T {}

struct LastGood {
    addresses: Vec<IpAddr>,
    seen: Instant,
}

/// Makes connections to one store.
pub(crate) struct Dialer {
    resolver: Arc<dyn Resolve>,
    tls: Option<TlsConnector>,
    last_good: Mutex<HashMap<String, LastGood>>,
    timeout: Duration,
}

impl Dialer {
    /// `ca_file`: PEM certificates to trust instead of the built-in public roots. `timeout`: name, TCP and TLS together.
    pub fn new(
        tls: bool,
        ca_file: Option<&Path>,
        timeout: Duration,
        resolver: Arc<dyn Resolve>,
    ) -> Result<Dialer, ServiceConfigError> {
        let tls = if tls { Some(TlsConnector::from(tls_config(ca_file)?)) } else { None };
        Ok(Dialer { resolver, tls, last_good: Mutex::new(HashMap::new()), timeout })
    }

    /// A fresh connection, TLS included.
    pub async fn dial(&self, host: &str, port: u16) -> Result<Box<dyn Wire>, DialError> {
        let whole = async {
            let tcp = connect(&self.addresses(host).await?, port).await?;
            tcp.set_nodelay(true).map_err(|e| DialError::new(Fault::Unreachable, format!("TCP_NODELAY: {e}")))?;
            match &self.tls {
                None => Ok(Box::new(tcp) as Box<dyn Wire>),
                Some(tls) => secure(tls, host, tcp).await,
            }
        };
        match tokio::time::timeout(self.timeout, whole).await {
            Ok(answer) => answer,
            Err(_) => Err(DialError::new(
                Fault::Timeout,
                format!("no connection to {host}:{port} in {:.1} s", self.timeout.as_secs_f64()),
            )),
        }
    }

    /// Addresses of the name now, else those it had when it last resolved: only over TLS, where the certificate still
    /// proves who answers there.
    async fn addresses(&self, host: &str) -> Result<Vec<IpAddr>, DialError> {
        if let Ok(address) = host.parse() {
            return Ok(vec![address]);
        }
        let why = match self.resolver.resolve(host).await {
            Ok(addresses) if !addresses.is_empty() => {
                let last = LastGood { addresses: addresses.clone(), seen: Instant::now() };
                self.remembered().insert(host.to_owned(), last);
                return Ok(addresses);
            }
            Ok(_) => "the answer holds no address".to_owned(),
            Err(error) => error.to_string(),
        };
        if self.tls.is_some()
            && let Some(last) = self.remembered().get(host)
            && last.seen.elapsed() < LAST_GOOD_MAX
        {
            tracing::warn!(host, why, "the name does not resolve; its last good addresses are used");
            return Ok(last.addresses.clone());
        }
        Err(DialError::new(Fault::NameNotResolved, format!("{host} does not resolve: {why}")))
    }

    fn remembered(&self) -> std::sync::MutexGuard<'_, HashMap<String, LastGood>> {
        self.last_good.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

/// The first address that answers wins; a silent one does not hold up the next.
async fn connect(addresses: &[IpAddr], port: u16) -> Result<TcpStream, DialError> {
    let mut waiting = addresses.iter().take(ADDRESSES_MAX).map(|ip| SocketAddr::new(*ip, port));
    let mut running = FuturesUnordered::new();
    let mut worst = DialError::new(Fault::Unreachable, "no address");
    running.extend(waiting.next().map(attempt));
    loop {
        tokio::select! {
            biased;
            ended = running.next(), if !running.is_empty() => match ended {
                Some(Ok(stream)) => return Ok(stream),
                Some(Err(error)) => {
                    worst = error;
                    running.extend(waiting.next().map(attempt));
                }
                None => return Err(worst),
            },
            () = tokio::time::sleep(NEXT_ADDRESS_AFTER), if !running.is_empty() => {
                running.extend(waiting.next().map(attempt));
            }
            else => return Err(worst),
        }
    }
}

async fn attempt(address: SocketAddr) -> Result<TcpStream, DialError> {
    TcpStream::connect(address).await.map_err(|error| match error.kind() {
        io::ErrorKind::ConnectionRefused => {
            DialError::new(Fault::ConnectRefused, format!("{address} refuses connections"))
        }
        io::ErrorKind::TimedOut => DialError::new(Fault::Timeout, format!("{address} does not answer")),
        _ => DialError::new(Fault::Unreachable, format!("{address} cannot be reached: {error}")),
    })
}

async fn secure(tls: &TlsConnector, host: &str, tcp: TcpStream) -> Result<Box<dyn Wire>, DialError> {
    let name = ServerName::try_from(host.to_owned())
        .map_err(|_| DialError::new(Fault::Certificate, format!("{host} cannot be the name of a certificate")))?;
    match tls.connect(name, tcp).await {
        Ok(stream) => Ok(Box::new(stream)),
        Err(error) => {
            let about = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
            let (fault, cause) = about.map_or((Fault::Broken, None), refused);
            Err(DialError { cause, ..DialError::new(fault, format!("TLS with {host}: {error}")) })
        }
    }
}

fn refused(error: &rustls::Error) -> (Fault, Option<Cause>) {
    match error {
        rustls::Error::InvalidCertificate(why) => (Fault::Certificate, of_certificate(why)),
        rustls::Error::NoCertificatesPresented => (Fault::Certificate, None),
        rustls::Error::InvalidMessage(_) => (Fault::Broken, Some(Cause::NotTls)),
        _ => (Fault::Broken, None),
    }
}

fn of_certificate(error: &CertificateError) -> Option<Cause> {
    match error {
        // An issuer of the same name whose key is another says `BadSignature`.
        CertificateError::UnknownIssuer | CertificateError::BadSignature => Some(Cause::IssuerUnknown),
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => Some(Cause::CertificateExpired),
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            Some(Cause::CertificateNotYetValid)
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => Some(Cause::OtherHost),
        // What signs itself and says that it is an authority: nobody trusts it either.
        CertificateError::Other(why) if why.to_string().contains("CaUsedAsEndEntity") => Some(Cause::IssuerUnknown),
        _ => None,
    }
}

fn tls_config(ca_file: Option<&Path>) -> Result<Arc<rustls::ClientConfig>, ServiceConfigError> {
    let mut roots = rustls::RootCertStore::empty();
    match ca_file {
        None => roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
        Some(path) => {
            let wrong = |why: String| ServiceConfigError::CaFile { path: path.display().to_string(), why };
            for certificate in CertificateDer::pem_file_iter(path).map_err(|e| wrong(e.to_string()))? {
                let certificate = certificate.map_err(|e| wrong(e.to_string()))?;
                roots.add(certificate).map_err(|e| wrong(e.to_string()))?;
            }
            if roots.is_empty() {
                return Err(wrong("no certificate in it".to_owned()));
            }
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| ServiceConfigError::Tls(error.to_string()))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}
