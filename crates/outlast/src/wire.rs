//! What starts, in which order, and stops: ledger, stores, engine, workers, front; and back.

use crate::config::{Config, LedgerConfig, StoreConfig, Timeouts, User, plain_words};
use crate::exit::{Ending, Failure};
use crate::ledger_key;
use crate::ready::{Ready, ReadyFile};
use crate::source::{From, Source};
use crate::stores;
use crate::trial::Make;
use outlast_engine::{DeleteLimits, Engine, EngineSettings, Setups, ShipSettings, SystemClock};
use outlast_front::{CorsRule, Front, FrontSettings};
use outlast_ledger::{Embedded, LedgerError, Mode};
use outlast_rules::{Allowed, StoreName};
use outlast_store::{Faulty, Switch};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// How long running requests may go on after SIGTERM. Less than what systemd's unit allows for the whole stop.
const STOP_GRACE: Duration = Duration::from_secs(60);

type Switches = BTreeMap<StoreName, Arc<Switch>>;

/// A gateway that takes requests.
pub struct Running {
    engine: Arc<Engine>,
    front: Front,
    pub ready: Ready,
    /// Kept for its `Drop`: the file goes when the gateway does.
    _place: ReadyFile,
}

impl Running {
    /// Starts everything. On a failure whatever was started is stopped again.
    ///
    /// # Errors
    /// Ports, locks, identities, disks; in words.
    pub async fn start(source: &Source) -> Result<Running, Failure> {
        let config = &source.config;
        let shipping = ship_settings(config)?;
        let engine = open_engine(source).await?;
        engine.start_workers();
        engine.start_shipping(shipping);
        let front = match Front::start(engine.clone(), front_settings(config)).await {
            Ok(front) => front,
            Err(error) => {
                engine.stop().await;
                return Err(Failure::cannot_start(listen_words(&error, config)));
            }
        };
        let scheme = if config.s3.tls.is_some() { "https" } else { "http" };
        let ready = Ready {
            pid: std::process::id(),
            s3: format!("{scheme}://{}", front.s3_address()),
            admin: front.admin_address(),
        };
        match ReadyFile::write(&ReadyFile::place(&config.data_dir), &ready) {
            Ok(place) => Ok(Running { engine, front, ready, _place: place }),
            Err(why) => {
                front.stop(Duration::ZERO).await;
                engine.stop().await;
                Err(Failure::cannot_start(why))
            }
        }
    }

    /// Returns, with the reason, when another ledger was made from the stores: this gateway is over.
    pub async fn superseded(&self) -> String {
        self.engine.superseded().await
    }

    /// New requests are refused, running ones end, the ledger closes.
    pub async fn stop(self) {
        // Running requests end sooner without what a drill holds back.
        self.engine.end_faults(None);
        self.front.stop(STOP_GRACE).await;
        self.engine.stop().await;
    }
}

async fn open_engine(source: &Source) -> Result<Arc<Engine>, Failure> {
    let config = &source.config;
    let ledger = open_ledger(&config.data_dir)?;
    let (setups, switches) = open_stores(source)?;
    let engine = Engine::open(engine_settings(config), Arc::new(SystemClock), Arc::new(ledger), setups)
        .await
        .map_err(|error| Failure::cannot_start(error.to_string()))?;
    engine.allow_drills(switches);
    match engine.identify().await {
        Ok(()) => Ok(engine),
        Err(error) => {
            engine.stop().await;
            Err(Failure::cannot_start(error.to_string()))
        }
    }
}

fn open_ledger(data_dir: &Path) -> Result<Embedded, Failure> {
    let dir = data_dir.join("ledger");
    std::fs::create_dir_all(&dir)
        .map_err(|error| Failure::cannot_start(format!("{} cannot be made: {}", dir.display(), plain_words(&error))))?;
    Embedded::open(&dir, Mode::Threads).map_err(|error| match error {
        LedgerError::InUse { .. } => Failure::cannot_start(in_use_words(data_dir)),
        other => Failure::cannot_start(format!("{}: {other}", dir.display())),
    })
}

pub fn in_use_words(data_dir: &Path) -> String {
    let who = ReadyFile::read(&ReadyFile::place(data_dir))
        .map(|ready| format!(" (process {}, {})", ready.pid, ready.s3))
        .unwrap_or_default();
    format!(
        "data_dir {} is in use by another Outlast{who}\n    stop it first, or give this one a data_dir of its own",
        data_dir.display()
    )
}

/// Every store with a fault switch before it, for drills.
fn open_stores(source: &Source) -> Result<(Setups, Switches), Failure> {
    // The folders of the trial are ours to make; a configured one may be a disk that is not mounted.
    let make = if source.from == From::Trial { Make::Everything } else { Make::Nothing };
    let (mut setups, mut switches) = (Setups::new(), Switches::new());
    let mut wrong = Vec::new();
    // A store that hangs is given up by its client after this long.
    let patience = Duration::from_millis(source.config.timeouts.first_byte_ms);
    for (name, config) in &source.config.stores {
        match stores::open_or_wait(name, config, &source.config.timeouts, make) {
            Ok(store) => {
                let switch = Arc::new(Switch::default());
                let store = Arc::new(Faulty::for_drills(store, switch.clone(), patience));
                switches.insert(name.clone(), switch);
                setups.insert(name.clone(), stores::setup(store, config));
            }
            Err(error) => wrong.push(format!("[store.{name}] {error}")),
        }
    }
    if wrong.is_empty() { Ok((setups, switches)) } else { Err(Failure::cannot_start(wrong.join("\n"))) }
}

pub fn engine_settings(config: &Config) -> EngineSettings {
    let Timeouts { commit_ms, .. } = config.timeouts;
    EngineSettings {
        data_dir: config.data_dir.clone(),
        spool_max: config.spool_max,
        body_memory_max: config.body_memory_max,
        commit_deadline_ms: commit_ms,
        defaults: config.defaults.clone(),
        buckets: config.buckets.clone(),
        undelete_default: config.undelete_default,
        undelete: config.undelete.clone(),
        delete_budgets: config.users.iter().map(|user| (user.name.clone(), delete_limits(user))).collect(),
        deep_scrub: deep_scrub(config),
        canary_every_ms: config.canary_every_ms,
        seed: None,
    }
}

fn delete_limits(user: &User) -> DeleteLimits {
    DeleteLimits { an_hour: user.delete_budget, below: user.delete_budgets.clone() }
}

fn ship_settings(config: &Config) -> Result<ShipSettings, Failure> {
    let key = ledger_key::find_or_make(config).map_err(Failure::cannot_start)?;
    let LedgerConfig { ship_every_ms, snapshot_every_ms, .. } = config.ledger;
    Ok(ShipSettings { key, every_ms: ship_every_ms, snapshot_every_ms })
}

fn deep_scrub(config: &Config) -> BTreeMap<StoreName, Allowed> {
    let of = |store: &StoreConfig| store.deep_scrub;
    let asked = |allowed: &Allowed| allowed.bytes_a_day.is_some() || allowed.money_a_day.is_some();
    let stores = config.stores.iter().map(|(name, store)| (name.clone(), of(store)));
    stores.filter(|(_, allowed)| asked(allowed)).collect()
}

fn front_settings(config: &Config) -> FrontSettings {
    let user = |user: &crate::config::User| outlast_front::User {
        name: user.name.clone(),
        access_key: user.access_key.clone(),
        secret_key: user.secret_key.reveal().to_owned(),
    };
    let mut settings = FrontSettings::new(config.s3.listen, config.admin, config.users.iter().map(user).collect());
    settings.tls = tls_files(config);
    settings.domains = config.s3.domains.clone();
    if !config.s3.cors.is_empty() {
        settings.cors = vec![cors_rule(&config.s3.cors)];
    }
    settings
}

pub fn tls_files(config: &Config) -> Option<outlast_front::TlsFiles> {
    let files = config.s3.tls.as_ref()?;
    Some(outlast_front::TlsFiles { certificate: files.certificate.clone(), key: files.key.clone() })
}

/// What a browser's upload and download need: a signature says what is allowed, the origin only who may try.
fn cors_rule(origins: &[String]) -> CorsRule {
    /// A day: browsers themselves remember no longer.
    const REMEMBERED: Duration = Duration::from_secs(24 * 3600);
    let words = |list: &[&str]| list.iter().map(|word| (*word).to_owned()).collect();
    CorsRule {
        origins: origins.to_vec(),
        methods: words(&["GET", "HEAD", "PUT", "POST", "DELETE"]),
        headers: words(&["*"]),
        expose: words(&["ETag", "Content-Range", "x-amz-request-id", "x-amz-version-id"]),
        max_age: Some(REMEMBERED),
    }
}

fn listen_words(error: &std::io::Error, config: &Config) -> String {
    let words = plain_words(error);
    match error.kind() {
        std::io::ErrorKind::AddrInUse => {
            format!(
                "{words}\n    another program listens there: stop it, or listen elsewhere: --listen and --admin-listen, or listen in [s3] and [admin]"
            )
        }
        std::io::ErrorKind::PermissionDenied if config.s3.listen.port() < 1024 => {
            format!("{words}\n    ports below 1024 need a privilege: CAP_NET_BIND_SERVICE, or a port above")
        }
        _ => words,
    }
}

/// The signals that end the gateway.
pub struct Ends {
    terminate: Signal,
    interrupt: Signal,
}

impl Ends {
    /// From here on neither ends the process by itself.
    ///
    /// # Errors
    /// The operating system refuses.
    pub fn listen() -> Result<Ends, Failure> {
        let on =
            |kind| signal(kind).map_err(|error| Failure::cannot_start(format!("signals cannot be received: {error}")));
        Ok(Ends { terminate: on(SignalKind::terminate())?, interrupt: on(SignalKind::interrupt())? })
    }

    /// The name of the next one.
    pub async fn next(&mut self) -> &'static str {
        tokio::select! {
            biased;
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }

    /// Waits for `stop`, or for a second signal, whichever comes first.
    pub async fn stop_or_second(&mut self, stop: impl Future<Output = ()>) -> Ending {
        tokio::select! {
            biased;
            () = stop => Ending::Good,
            second = self.next() => {
                tracing::warn!("a second signal ({second}): ending at once");
                Ending::Interrupted
            }
        }
    }
}
