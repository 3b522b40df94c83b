//! `serve`: runs the gateway until a signal.

use crate::cli::ServeArgs;
use crate::exit::{Ending, Failure};
use crate::greeting::greeting;
use crate::ready::ReadyFile;
use crate::source::{Source, look};
use crate::wire::{Ends, Running};
use std::io::Write;

pub async fn run(args: &ServeArgs, source: &Source) -> Result<Ending, Failure> {
    crate::logs::start(&source.config.log);
    if let Some(findings) = source.findings.as_ref().filter(|findings| !findings.mistakes.is_empty()) {
        eprint!("{}", findings.render(look()));
    }
    let mut ends = Ends::listen()?;
    let running = tokio::select! {
        biased;
        running = Running::start(source) => running?,
        // Nothing was promised to anybody yet.
        first = ends.next() => {
            tracing::info!("{first} before the start was done");
            return Ok(Ending::Interrupted);
        }
    };
    let ready_file = args.ready_file.as_ref().map(|path| ReadyFile::write(path, &running.ready)).transpose();
    let ready_file = match ready_file {
        Ok(file) => file,
        Err(why) => {
            running.stop().await;
            return Err(Failure::cannot_start(why));
        }
    };
    say(&greeting(&source.config, &source.from, &running.ready));
    tracing::info!(s3 = %running.ready.s3, admin = %running.ready.admin, "ready");
    let superseded = tokio::select! {
        biased;
        first = ends.next() => {
            tracing::info!("{first}: running requests end, new ones are refused; a second signal ends at once");
            None
        }
        words = running.superseded() => Some(words),
    };
    let ending = ends.stop_or_second(running.stop()).await;
    drop(ready_file);
    tracing::info!("stopped");
    match superseded {
        Some(words) => Err(Failure::cannot_start(words)),
        None => Ok(ending),
    }
}

/// A closed stdout is no reason not to serve.
fn say(text: &str) {
    let mut out = std::io::stdout().lock();
    if let Err(error) = out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        tracing::debug!("stdout is closed: {error}");
    }
}
