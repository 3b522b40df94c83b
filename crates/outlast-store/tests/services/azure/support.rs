//! Azurite, and a client for it.

use crate::tools::{Peer, tool};
use outlast_rules::StoreName;
use outlast_store::{AzureConfig, AzureStore};
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

pub const ACCOUNT: &str = "acme";
/// In base64.
pub const ACCOUNT_KEY: &str = "bm8gc2VjcmV0IG9mIGFueWJvZHk=";

/// On a folder of its own.
pub struct Azurite {
    pub endpoint: String,
    _peer: Peer,
    _folder: tempfile::TempDir,
}

pub fn azurite() -> Option<Azurite> {
    let program = tool("azurite", "node_modules/.bin/azurite-blob")?;
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut child = Command::new(program)
        .args(["--blobHost", "127.0.0.1", "--blobPort", "0", "--disableTelemetry", "--location"])
        .arg(folder.path())
        .env("AZURITE_ACCOUNTS", format!("{ACCOUNT}:{ACCOUNT_KEY}"))
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .expect("Azurite starts");
    let mut lines = BufReader::new(child.stdout.take().expect("stdout is piped")).lines();
    let endpoint = lines
        .by_ref()
        .map_while(Result::ok)
        .find_map(|line| line.split_once("successfully listens on ").map(|(_, url)| url.trim().to_owned()))
        .expect("Azurite says where it listens");
    // It logs each request, and stops when nobody reads.
    std::thread::spawn(move || lines.for_each(drop));
    let _peer = Peer { child, endpoint: endpoint.clone() };
    Some(Azurite { endpoint, _peer, _folder: folder })
}

pub fn config(endpoint: &str) -> AzureConfig {
    let name = StoreName::parse("peer").expect("a store name");
    let mut config = AzureConfig::new(name, ACCOUNT, ACCOUNT_KEY);
    config.endpoint = endpoint.to_owned();
    config.path_style = true;
    config
}

pub fn store(endpoint: &str) -> AzureStore {
    AzureStore::new(config(endpoint)).expect("a good configuration")
}
