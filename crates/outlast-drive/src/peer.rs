//! A store of a third party: a process of its own that can be killed, stopped, and started again on the same address.

use crate::client::Account;
use crate::process::Process;
use std::fs::{self, File};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep};

/// The slowest of them, moto, needs 2 s on an idle machine.
const START_WAIT: Duration = Duration::from_secs(60);
const START_LOOK: Duration = Duration::from_millis(50);
const GARAGE_KEY: &str = "GK0123456789abcdef01234567";
const GARAGE_SECRET: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

/// Dropped, it is killed.
#[derive(Debug)]
pub(crate) struct Peer {
    /// `127.0.0.1:PORT`
    pub address: String,
    pub account: Arc<Account>,
    program: PathBuf,
    args: Vec<String>,
    envs: Vec<(&'static str, String)>,
    log: PathBuf,
    process: Option<Process>,
}

impl Peer {
    /// moto on an address of its own: honours conditions, keeps versions, and everything only in memory.
    ///
    /// # Errors
    /// It is not installed, or does not start.
    pub async fn moto(tools: &Path, dir: &Path, host: &str) -> Result<Peer, String> {
        let port = free_port(host)?;
        let args = ["-H", host, "-p", &port.to_string()].map(str::to_owned);
        let account = Account { access_key: "AKIDOFTHETESTS".into(), secret_key: "the-secret-of-the-tests".into() };
        let mut peer = Peer {
            address: format!("{host}:{port}"),
            account: Arc::new(account),
            program: tools.join("moto/bin/moto_server"),
            args: args.into(),
            envs: Vec::new(),
            log: dir.join("moto.log"),
            process: None,
        };
        peer.start().await?;
        Ok(peer)
    }

    /// Garage, one node on one folder: what it has said lasts over a kill.
    ///
    /// # Errors
    /// It is not installed, or does not start.
    pub async fn garage(tools: &Path, dir: &Path) -> Result<Peer, String> {
        let (s3, rpc) = (free_port("127.0.0.1")?, free_port("127.0.0.1")?);
        let home = dir.join("garage");
        let at = home.display();
        let text = format!(
            "metadata_dir = \"{at}/meta\"\ndata_dir = \"{at}/data\"\ndb_engine = \"lmdb\"\nreplication_factor = 1\n\
             rpc_bind_addr = \"127.0.0.1:{rpc}\"\nrpc_public_addr = \"127.0.0.1:{rpc}\"\nrpc_secret = \"{}\"\n\
             [s3_api]\ns3_region = \"us-east-1\"\napi_bind_addr = \"127.0.0.1:{s3}\"\nroot_domain = \".garage.localhost\"\n",
            "5e".repeat(32)
        );
        let config = home.join("garage.toml");
        let written = fs::create_dir_all(&home).and_then(|()| fs::write(&config, text));
        written.map_err(|error| format!("{}: {error}", config.display()))?;
        let config = config.display().to_string();
        let program = tools.join("garage/bin/garage");
        let mut peer = Peer {
            address: format!("127.0.0.1:{s3}"),
            account: Arc::new(Account { access_key: GARAGE_KEY.into(), secret_key: GARAGE_SECRET.into() }),
            program: program.clone(),
            args: ["-c", &config, "server", "--single-node", "--default-access-key"].map(str::to_owned).into(),
            envs: vec![
                ("GARAGE_DEFAULT_ACCESS_KEY", GARAGE_KEY.to_owned()),
                ("GARAGE_DEFAULT_SECRET_KEY", GARAGE_SECRET.to_owned()),
                ("RUST_LOG", "garage=info".to_owned()),
            ],
            log: dir.join("garage.log"),
            process: None,
        };
        peer.start().await?;
        let begun = Instant::now();
        loop {
            let mut allow = Command::new(&program);
            allow.args(["-c", &config, "key", "allow", "--create-bucket", GARAGE_KEY]).stdin(Stdio::null());
            if allow.output().is_ok_and(|output| output.status.success()) {
                return Ok(peer);
            }
            if begun.elapsed() > START_WAIT {
                return Err("Garage does not let its key make buckets".to_owned());
            }
            sleep(START_LOOK).await;
        }
    }

    /// Starts it, again after a kill too, and waits until it listens.
    ///
    /// # Errors
    /// It is not installed, or never listens.
    pub async fn start(&mut self) -> Result<(), String> {
        let words = |error: std::io::Error| format!("{}: {error}", self.program.display());
        let log = File::options().create(true).append(true).open(&self.log).map_err(words)?;
        let mut command = Command::new(&self.program);
        command.args(&self.args).envs(self.envs.iter().map(|(name, value)| (*name, value))).stdin(Stdio::null());
        command.stdout(log.try_clone().map_err(words)?).stderr(log);
        self.process = Some(Process::spawn(&mut command).map_err(words)?);
        let begun = Instant::now();
        while TcpStream::connect(&self.address).await.is_err() {
            if begun.elapsed() > START_WAIT {
                return Err(format!("{} does not listen on {}", self.program.display(), self.address));
            }
            sleep(START_LOOK).await;
        }
        Ok(())
    }

    pub fn runs(&self) -> bool {
        self.process.is_some()
    }

    /// SIGKILL, and gone when this returns.
    pub fn kill(&mut self) {
        self.process = None;
    }

    /// SIGSTOP: the kernel still takes connections, and nothing is ever answered.
    pub fn freeze(&self) -> Result<(), String> {
        self.process.as_ref().map_or(Ok(()), Process::freeze)
    }

    /// SIGCONT, which does nothing to a process that runs.
    pub fn thaw(&self) -> Result<(), String> {
        self.process.as_ref().map_or(Ok(()), Process::thaw)
    }
}

/// Below those ports that the system gives to outgoing connections: nobody takes one while its server is away.
fn free_port(host: &str) -> Result<u16, String> {
    const FIRST: u32 = 10_000;
    const COUNT: u32 = 20_000;
    const STRIDE: u32 = 40;
    // Nobody listens on it yet when the next one is asked for.
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let begin = std::process::id().wrapping_mul(STRIDE);
    let next = || begin.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed));
    let mut ports = (0..COUNT).map(|_| (FIRST + next() % COUNT) as u16);
    ports.find(|port| TcpListener::bind((host, *port)).is_ok()).ok_or_else(|| format!("no port is free on {host}"))
}
