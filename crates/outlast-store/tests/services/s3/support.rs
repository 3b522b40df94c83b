//! Servers that speak S3.

use crate::tools::{Peer, tool};
use outlast_rules::StoreName;
use outlast_store::{S3Config, S3Store};
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

/// moto: all in memory, honours conditions, keeps versions where asked.
pub fn moto() -> Option<Peer> {
    let program = tool("moto", "bin/moto_server")?;
    let mut child = Command::new(program)
        .args(["-H", "127.0.0.1", "-p", "0"])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("moto starts");
    let stderr = child.stderr.take().expect("stderr is piped");
    let mut lines = BufReader::new(stderr).lines();
    let endpoint = lines
        .by_ref()
        .map_while(Result::ok)
        .find_map(|line| line.split_once("Running on ").map(|(_, url)| url.trim().to_owned()))
        .expect("moto says where it listens");
    // It logs each request, and stops when nobody reads.
    std::thread::spawn(move || lines.for_each(drop));
    Some(Peer { child, endpoint })
}

pub fn config(endpoint: &str) -> S3Config {
    let name = StoreName::parse("peer").expect("a store name");
    S3Config::new(name, endpoint, "us-east-1", "AKIATEST", "test-secret")
}

pub fn store(endpoint: &str) -> S3Store {
    S3Store::new(config(endpoint)).expect("a good configuration")
}

/// From "listening" to listening; milliseconds on an idle machine.
const START_MAX: std::time::Duration = std::time::Duration::from_secs(20);
/// Garage's ids of keys have this form.
pub const GARAGE_KEY: &str = "GK31c2f218a2e44f485b94239e";
pub const GARAGE_SECRET: &str = "b892c0665f0ada8a4755dae98baa3b133590e11dae3bcc1f9d769d67f16c3835";
pub const GARAGE_REGION: &str = "garage";
/// For addresses in virtual-host style.
pub const GARAGE_DOMAIN: &str = "s3.garage.test";

/// Garage, one node: its own code for signatures, keeps neither versions nor most conditions. With a bucket `suite`. On SQLite:
/// LMDB takes no key of 1,024 bytes.
pub fn garage() -> Option<(Peer, tempfile::TempDir)> {
    let program = tool("garage", "bin/garage")?;
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (api, rpc) = (free_port(), free_port());
    let text = format!(
        "metadata_dir = \"{0}/meta\"\ndata_dir = \"{0}/data\"\ndb_engine = \"sqlite\"\nreplication_factor = 1\n\
         rpc_bind_addr = \"127.0.0.1:{rpc}\"\nrpc_secret = \"{GARAGE_SECRET}\"\n\
         [s3_api]\ns3_region = \"{GARAGE_REGION}\"\nroot_domain = \".{GARAGE_DOMAIN}\"\napi_bind_addr = \"127.0.0.1:{api}\"\n",
        folder.path().display()
    );
    let config = folder.path().join("garage.toml");
    std::fs::write(&config, text).expect("a file in a temporary folder");
    let mut child = Command::new(program)
        .arg("-c")
        .arg(&config)
        .args(["server", "--single-node", "--default-bucket"])
        .env("GARAGE_DEFAULT_ACCESS_KEY", GARAGE_KEY)
        .env("GARAGE_DEFAULT_SECRET_KEY", GARAGE_SECRET)
        .env("GARAGE_DEFAULT_BUCKET", "suite")
        .env("RUST_LOG", "info")
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("Garage starts");
    let stderr = child.stderr.take().expect("stderr is piped");
    let mut lines = BufReader::new(stderr).lines();
    let told = |line: &String| line.contains("S3 API server listening");
    let mut seen = Vec::new();
    let ready = lines.by_ref().map_while(Result::ok).any(|line| {
        seen.push(line.clone());
        told(&line)
    });
    assert!(ready, "Garage did not start:\n{}", seen.join("\n"));
    std::thread::spawn(move || lines.for_each(drop));
    let peer = Peer { child, endpoint: format!("http://127.0.0.1:{api}") };
    // It says so a moment before it does.
    let said = std::time::Instant::now();
    while std::net::TcpStream::connect(("127.0.0.1", api)).is_err() {
        assert!(said.elapsed() < START_MAX, "Garage says that it listens and does not");
        std::thread::yield_now();
    }
    Some((peer, folder))
}

/// For servers that cannot choose a port and say it.
fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("a bound address").port()
}
