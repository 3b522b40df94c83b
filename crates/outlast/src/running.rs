//! The gateway that runs with this configuration: where it is, and what to say when it is not there.

use crate::asking::AskError;
use crate::bar::Bar;
use crate::exit::Failure;
use crate::orders;
use crate::ready::ReadyFile;
use crate::source::Source;
use serde::de::DeserializeOwned;
use std::net::SocketAddr;

/// Where the gateway of this configuration said that it listens; else where the configuration says.
pub fn address(source: &Source) -> SocketAddr {
    ReadyFile::read(&ReadyFile::place(&source.config.data_dir)).map_or(source.config.admin, |ready| ready.admin)
}

pub fn not_running(admin: SocketAddr) -> String {
    format!("no gateway runs: nobody listens on {admin}")
}

pub fn nothing_runs(admin: SocketAddr, source: &Source) -> String {
    let how = match &source.from {
        crate::source::From::File(path) => format!("outlast serve --config {}", path.display()),
        crate::source::From::Trial => "outlast serve".to_owned(),
    };
    format!("{}\n    start it: {how}", not_running(admin))
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
