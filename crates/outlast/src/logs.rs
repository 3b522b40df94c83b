//! What is logged, and how it looks: human in a terminal, JSON elsewhere; always on stderr.

use crate::config::{Log, LogFormat};
use std::io::IsTerminal;
use tracing_subscriber::EnvFilter;

/// Starts logging; RUST_LOG, where set, wins over the configuration.
pub fn start(log: &Log) {
    // s3s calls every 404 an error of its own and dumps every 5xx with all its fields; what failed is logged by the guard, in
    // words and with the request's id.
    let quiet = |filter: EnvFilter| {
        ["s3s::ops=off", "s3s::service=off"]
            .iter()
            .fold(filter, |filter, off| filter.add_directive(off.parse().expect("a directive that is a constant")))
    };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(&log.filter));
    let human = match log.format {
        LogFormat::Human => true,
        LogFormat::Json => false,
        LogFormat::Auto => std::io::stderr().is_terminal(),
    };
    let to_stderr = tracing_subscriber::fmt().with_env_filter(quiet(filter)).with_writer(std::io::stderr);
    let started = if human {
        to_stderr.with_target(false).with_ansi(std::io::stderr().is_terminal()).try_init()
    } else {
        to_stderr.json().flatten_event(true).with_current_span(false).try_init()
    };
    // A second subscriber in one process: the first goes on, and that is what is wanted.
    if let Err(error) = started {
        eprintln!("logging was started already: {error}");
    }
}
