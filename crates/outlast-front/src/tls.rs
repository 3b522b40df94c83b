//! The certificate, read anew when its files change. A bad new file keeps the old certificate, and says so once.

use crate::settings::TlsFiles;
use rustls::ServerConfig;
use rustls::pki_types::pem::Error::NoItemsFound;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::io;
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

/// Long enough to cost nothing, short enough that a renewal is in use before anybody looks.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// The configuration in use.
pub struct Tls {
    files: TlsFiles,
    current: RwLock<Arc<ServerConfig>>,
}

/// What tells a changed file from the same: two looks that differ in it are two files.
type Look = Vec<(Option<std::time::SystemTime>, u64)>;

impl Tls {
    /// Fails when the files cannot be read or do not belong together: a start with a bad certificate is a mistake to be seen.
    pub async fn open(files: TlsFiles) -> io::Result<Arc<Tls>> {
        let config = load(&files).await.map_err(|mistake| io::Error::new(io::ErrorKind::InvalidData, mistake))?;
        Ok(Arc::new(Tls { files, current: RwLock::new(config) }))
    }

    pub fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(self.current.read().unwrap_or_else(PoisonError::into_inner).clone())
    }

    /// Until `stopping`.
    pub async fn watch(self: Arc<Self>, stopping: CancellationToken) {
        let mut seen = look(&self.files).await;
        loop {
            tokio::select! {
                biased;
                () = stopping.cancelled() => return,
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
            let now = look(&self.files).await;
            if now != seen {
                seen = now;
                self.reload().await;
            }
        }
    }

    async fn reload(&self) {
        match load(&self.files).await {
            Ok(config) => {
                *self.current.write().unwrap_or_else(PoisonError::into_inner) = config;
                tracing::info!("tls: {} is in use", self.files.certificate.display());
            }
            Err(error) => tracing::error!("tls: the old certificate stays in use: {error}"),
        }
    }
}

/// Why the files cannot be used, and what to do about it.
#[derive(Debug, thiserror::Error)]
#[error("{what}")]
pub struct TlsMistake {
    pub what: String,
    pub help: &'static str,
}

/// Can these files be used?
///
/// # Errors
/// They cannot be read, are no certificate and key, or do not belong together.
pub async fn judge_tls(files: &TlsFiles) -> Result<(), TlsMistake> {
    load(files).await.map(|_| ())
}

async fn look(files: &TlsFiles) -> Look {
    let mut look = Vec::new();
    for file in [&files.certificate, &files.key] {
        let facts = tokio::fs::metadata(file).await.ok();
        look.push((facts.as_ref().and_then(|facts| facts.modified().ok()), facts.map_or(0, |facts| facts.len())));
    }
    look
}

async fn read(file: &Path) -> Result<Vec<u8>, TlsMistake> {
    tokio::fs::read(file).await.map_err(|error| TlsMistake {
        what: format!("{}: {error}", file.display()),
        help: match error.kind() {
            io::ErrorKind::NotFound => "write where the file is: paths are taken from the folder of the configuration",
            io::ErrorKind::PermissionDenied => "let the user that runs Outlast read it",
            _ => "look at the file and at its disk",
        },
    })
}

async fn load(files: &TlsFiles) -> Result<Arc<ServerConfig>, TlsMistake> {
    let bad = |file: &Path, why: &dyn std::fmt::Display, help| TlsMistake {
        what: format!("{}: {why}", file.display()),
        help,
    };
    let pem = read(&files.certificate).await?;
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    let chain = chain.map_err(|error| bad(&files.certificate, &error, CERTIFICATE))?;
    if chain.is_empty() {
        return Err(bad(&files.certificate, &"holds no certificate", CERTIFICATE));
    }
    let key = PrivateKeyDer::from_pem_slice(&read(&files.key).await?).map_err(|error| match error {
        NoItemsFound => bad(&files.key, &"holds no private key", KEY),
        error => bad(&files.key, &error, KEY),
    })?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, key))
        .map_err(|error| match error {
            rustls::Error::InconsistentKeys(_) => {
                let why = format!("this key does not belong to the certificate in {}", files.certificate.display());
                bad(&files.key, &why, PAIR)
            }
            error => bad(&files.certificate, &error, CERTIFICATE),
        })?;
    Ok(Arc::new(config))
}

const CERTIFICATE: &str =
    "it has to be PEM, from BEGIN CERTIFICATE on: the server's own certificate first, then those of its issuers";
const KEY: &str =
    "it has to be PEM, from BEGIN PRIVATE KEY on; one with a passphrase is written without by: openssl pkey";
const PAIR: &str =
    "name the key that was made with this certificate; in the certificate's file, the server's own has to come first";

#[cfg(test)]
mod tests {
    use super::*;

    fn write(files: &TlsFiles, certificate: &str, key: &str) {
        std::fs::write(&files.certificate, certificate).expect("the folder is ours");
        std::fs::write(&files.key, key).expect("the folder is ours");
    }

    fn made(name: &str) -> (String, String) {
        let made = rcgen::generate_simple_self_signed(vec![name.to_owned()]).expect("a certificate");
        (made.cert.pem(), made.signing_key.serialize_pem())
    }

    #[tokio::test]
    async fn a_bad_new_file_keeps_the_old_one() {
        let folder = tempfile::tempdir().expect("a folder");
        let files = TlsFiles { certificate: folder.path().join("cert.pem"), key: folder.path().join("key.pem") };
        assert!(Tls::open(files.clone()).await.is_err(), "no files");
        let told = async || judge_tls(&files).await.map_err(|mistake| format!("{mistake}\n{}", mistake.help));
        assert!(
            told()
                .await
                .is_err_and(|words| words.contains("cert.pem: No such file") && words.contains("where the file is"))
        );
        let (first, first_key) = made("one.example");
        let (second, second_key) = made("two.example.com");
        write(&files, &first, &second_key);
        assert!(Tls::open(files.clone()).await.is_err(), "they do not belong together");
        let pair = told().await.expect_err("they do not belong together");
        assert!(
            pair.contains("key.pem: this key does not belong to the certificate in ") && pair.contains(PAIR),
            "{pair}"
        );
        write(&files, &first, "nothing");
        let no_key = told().await.expect_err("there is no key");
        assert!(no_key.contains("key.pem: holds no private key") && no_key.contains(KEY), "{no_key}");
        write(&files, "", &first_key);
        let none = told().await.expect_err("there is no certificate");
        assert!(none.contains("cert.pem: holds no certificate") && none.contains(CERTIFICATE), "{none}");
        write(&files, &first, &first_key);
        let tls = Tls::open(files.clone()).await.expect("a pair");
        let before = tls.current.read().expect("no panic").clone();
        let seen = look(&files).await;
        write(&files, &second, &first_key);
        assert_ne!(look(&files).await, seen, "a change is seen");
        tls.reload().await;
        assert!(Arc::ptr_eq(&before, &tls.current.read().expect("no panic")), "half a change is none");
        write(&files, &second, &second_key);
        tls.reload().await;
        assert!(!Arc::ptr_eq(&before, &tls.current.read().expect("no panic")));
    }
}
