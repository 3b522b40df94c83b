//! The gateway that runs with this configuration: where it is, and what to say when it is not there.

use crate::asking::{self, AskError};
use crate::bar::Bar;
use crate::exit::Failure;
use crate::orders;
use crate::ready::ReadyFile;
use crate::source::Source;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::net::SocketAddr;
use std::path::PathBuf;

/// Where the gateway of this configuration said that it listens; else where the configuration says.
pub fn address(source: &Source) -> SocketAddr {
    ReadyFile::read(&ReadyFile::place(&source.config.data_dir)).map_or(source.config.admin, |ready| ready.admin)
}

pub fn not_running(admin: SocketAddr) -> String {
    format!("no gateway runs: nobody listens on {admin}")
}

pub fn nothing_runs(admin: SocketAddr, source: &Source) -> String {
    format!("{}\n    start it: {}", not_running(admin), start_it(source))
}

fn start_it(source: &Source) -> String {
    match &source.from {
        crate::source::From::File(path) => format!("outlast serve --config {}", path.display()),
        crate::source::From::Trial => "outlast serve".to_owned(),
    }
}

/// The gateway that answers there is the one of this configuration: an order, or a question, must not go to another one that
/// happens to have its address.
///
/// # Errors
/// Nobody listens, or another one answers; in words.
pub async fn is_ours(admin: SocketAddr, source: &Source) -> Result<(), AskError> {
    let said = asking::get(admin, "/admin/whose").await?;
    let bad = |error: serde_json::Error| AskError::Bad(format!("{admin}: the answer is not a gateway's: {error}"));
    let whose: Whose = serde_json::from_slice(&said).map_err(bad)?;
    let named = &source.config.data_dir;
    // It may belong to the gateway's own user alone, or have been lost under a gateway that still runs.
    let ours = named.canonicalize().or_else(|_| std::path::absolute(named)).unwrap_or_default();
    if whose.data_dir == ours {
        return Ok(());
    }
    Err(AskError::Bad(format!(
        "no gateway of this configuration (data_dir {}) runs: on {admin} another one answers, with data_dir {}\n    \
         name its configuration with --config, or give this one another [admin] listen and start it: {}",
        named.display(),
        whose.data_dir.display(),
        start_it(source)
    )))
}

#[derive(Deserialize)]
struct Whose {
    data_dir: PathBuf,
}

/// Gives the running gateway an order, shows how far it is, and waits for its report.
///
/// # Errors
/// Nobody listens, or the gateway says why not.
pub async fn order<T: DeserializeOwned>(
    source: &Source,
    path: &str,
    order: serde_json::Value,
    json: bool,
) -> Result<T, Failure> {
    let admin = address(source);
    is_ours(admin, source).await.map_err(|error| unanswered(error, admin, source))?;
    // Where every byte is read, bytes take the time.
    let mut bar = Bar::new(json).by_bytes(order["deep"] == true);
    let report = orders::give(admin, path, order, |progress| bar.tell(progress)).await;
    bar.end();
    report.map_err(|error| unanswered(error, admin, source))
}

/// What a command that needs a running gateway says when it got no answer.
pub fn unanswered(error: AskError, admin: SocketAddr, source: &Source) -> Failure {
    match error {
        AskError::NotRunning => Failure::differs(nothing_runs(admin, source)),
        AskError::Wrong(why) => Failure::usage(why),
        AskError::Bad(why) => Failure::differs(why),
    }
}
