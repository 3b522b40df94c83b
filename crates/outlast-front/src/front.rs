//! Starts and stops everything that listens.

use crate::admin;
use crate::auth::{Proven, Users};
use crate::guard::{Cors, DELETE_BYTES_MAX, Guard};
use crate::hosts::Domains;
use crate::listener::S3Listener;
use crate::metrics::Metrics;
use crate::s3::{BODY_BYTES_MAX, Gateway};
use crate::settings::FrontSettings;
use crate::tls::Tls;
use outlast_engine::Engine;
use s3s::config::{S3Config, StaticConfigProvider};
use s3s::service::{S3Service, S3ServiceBuilder};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// A signed chunk is held whole to be verified; SDKs send 64 KiB to 1 MiB.
const CHUNK_BYTES_MAX: usize = 16 * 1024 * 1024;
/// As long as S3 takes a presigned URL, and no longer.
const PRESIGNED_MAX_SECS: u32 = 7 * 24 * 60 * 60;
/// How far a client's clock may be off, as in S3.
const CLOCK_SKEW_MAX_SECS: u32 = 15 * 60;
/// Forms are refused by the guard; should one come through, it holds no more than this.
const FORM_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// The running front. Dropped without `stop`, its listeners go on until the runtime ends.
pub struct Front {
    s3_address: SocketAddr,
    admin_address: SocketAddr,
    stopping: CancellationToken,
    cut: CancellationToken,
    tasks: TaskTracker,
    admin_stopping: CancellationToken,
    admin: JoinHandle<()>,
}

impl Front {
    /// Binds both addresses (port 0 takes any) and serves. Fails when an address is taken or the certificate is unusable.
    pub async fn start(engine: Arc<Engine>, settings: FrontSettings) -> io::Result<Front> {
        let tls = match settings.tls.clone() {
            Some(files) => Some(Tls::open(files).await?),
            None => None,
        };
        let listener = bind("s3", settings.s3_listen).await?;
        let admin_listener = bind("admin", settings.admin_listen).await?;
        let (s3_address, admin_address) = (listener.local_addr()?, admin_listener.local_addr()?);

        let (stopping, cut, admin_stopping) = Default::default();
        let tasks = TaskTracker::new();
        let metrics = Arc::new(Metrics::default());
        let services = s3_services(&engine, &settings);
        let cors = Cors::new(&settings.cors);
        let stop = CancellationToken::clone(&stopping);
        let guard = Arc::new(Guard::new(services, cors, metrics.clone(), settings.limits.requests, stop));
        if let Some(tls) = &tls {
            tasks.spawn(tls.clone().watch(stopping.clone()));
        }
        let s3 = S3Listener {
            tls,
            guard,
            limits: settings.limits,
            stopping: stopping.clone(),
            cut: CancellationToken::clone(&cut),
            tasks: tasks.clone(),
        };
        tasks.spawn(Arc::new(s3).run(listener));
        let admin =
            tokio::spawn(admin::serve(admin_listener, engine, metrics, CancellationToken::clone(&admin_stopping)));
        Ok(Front { s3_address, admin_address, stopping, cut, tasks, admin_stopping, admin })
    }

    pub fn s3_address(&self) -> SocketAddr {
        self.s3_address
    }

    pub fn admin_address(&self) -> SocketAddr {
        self.admin_address
    }

    /// No new connections; running requests end, new ones on kept connections are refused; after `grace` the rest is cut.
    /// The admin address answers until the end.
    pub async fn stop(self, grace: Duration) {
        self.stopping.cancel();
        self.tasks.close();
        if tokio::time::timeout(grace, self.tasks.wait()).await.is_err() {
            tracing::warn!("s3 listener: {} requests are cut after {} s", self.tasks.len(), grace.as_secs());
            self.cut.cancel();
            self.tasks.wait().await;
        }
        self.admin_stopping.cancel();
        if let Err(error) = self.admin.await {
            tracing::error!("admin listener: {error}");
        }
    }
}

async fn bind(what: &str, address: SocketAddr) -> io::Result<TcpListener> {
    let bound = TcpListener::bind(address).await;
    bound.map_err(|error| io::Error::new(error.kind(), format!("{what} listener: {address}: {error}")))
}

/// The service, and its twin that serves what the first has found signed.
fn s3_services(engine: &Arc<Engine>, settings: &FrontSettings) -> (S3Service, S3Service) {
    let mut config = S3Config::default();
    config.xml_max_body_size = DELETE_BYTES_MAX;
    config.put_object_max_size = Some(BODY_BYTES_MAX);
    config.post_object_max_file_size = FORM_BYTES_MAX;
    config.allow_post_signature = false;
    config.aws_chunked_stream_max_chunk_size = CHUNK_BYTES_MAX;
    config.presigned_url_max_expires_secs = PRESIGNED_MAX_SECS;
    config.presigned_url_max_skew_time_secs = CLOCK_SKEW_MAX_SECS;
    config.enable_sig_v2 = false;
    // Outlast is in no region: a signature for any region is as good, since the region is signed, not trusted.
    config.expected_region = None;
    config.sig_v4_allowed_services = vec!["s3".to_owned()];
    // `a//b` and `/a` are keys like any other.
    config.normalize_forward_slash_path = false;

    let config = Arc::new(StaticConfigProvider::new(Arc::new(config)));
    let begin = || {
        let mut builder = S3ServiceBuilder::new(Gateway::new(engine.clone()));
        builder.set_config(config.clone());
        builder.set_host(Domains::new(&settings.domains));
        builder
    };
    let users = Users::new(&settings.users);
    let (mut service, mut proven) = (begin(), begin());
    service.set_auth(users.clone());
    service.set_access(users);
    proven.set_access(Proven);
    (service.build(), proven.build())
}
