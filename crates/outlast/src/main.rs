//! The process: arguments, configuration, wiring, exit codes.

mod cli;
mod config;
mod exit;
mod logs;

mod arenas;
mod keys;
mod ledger_key;
mod ready;
mod trial;

mod source;

mod asking;
mod bar;
mod cost;
mod greeting;
mod orders;
mod question;
mod running;
mod stores;
mod told;
mod wire;

mod drill;

mod commands;
mod demo;

use clap::{CommandFactory, Parser};
use cli::{Cli, Command, FaultCommand, StoreCommand};
use exit::{Ending, Failure};
use source::Unfound;
use std::path::Path;
use std::process::ExitCode;
use trial::Make;

fn main() -> ExitCode {
    let cli = Cli::parse();
    match run(&cli) {
        // The runtime is not waited for: after a second signal, tasks may still hang in a store's answer.
        Ok(ending) => ending.into(),
        Err(failure) => {
            eprintln!("outlast: {failure}");
            failure.ending.into()
        }
    }
}

fn run(cli: &Cli) -> Result<Ending, Failure> {
    let named = cli.config.as_deref();
    match &cli.command {
        Command::Completions { shell } => {
            clap_complete::generate(*shell, &mut Cli::command(), "outlast", &mut std::io::stdout());
            Ok(Ending::Good)
        }
        Command::Demo(args) => wait(demo::run(args)),
        Command::Init(args) => commands::init::run(args, named),
        Command::Serve(args) => {
            arenas::bound();
            let mut source = source::find(named, Make::Everything)?;
            source.config.s3.listen = args.listen.unwrap_or(source.config.s3.listen);
            source.config.admin = args.admin_listen.unwrap_or(source.config.admin);
            wait(commands::serve::run(args, &source))
        }
        Command::Check(args) => {
            let source = match source::find(named, Make::Nothing) {
                Err(Unfound::Mistakes(findings)) if args.json => return commands::check::tell_mistakes(&findings),
                found => found?,
            };
            wait(commands::check::run(args, &source))
        }
        Command::Status(args) => wait(commands::status::run(args, &source::find_gateway(named)?)),
        Command::Verify(args) => match &args.report {
            // Whoever was given a report has no configuration of ours.
            Some(report) => commands::report::run(args, report, named),
            None => {
                let source = source::find_gateway(named)?;
                wait(commands::verify::run(args, &source))
            }
        },
        Command::Adopt(args) => {
            // Its plan is reckoned with the prices of the stores.
            let source = source::find(named, Make::Nothing)?;
            wait(commands::adopt::run(args, &source))
        }
        Command::Undelete(args) => wait(commands::undelete::run(args, &source::find_gateway(named)?)),
        Command::Rebuild(args) => {
            let source = source::find(named, Make::Nothing)?;
            wait(commands::rebuild::run(args, &source))
        }
        Command::Freeze => wait(commands::freeze::freeze(&source::find_gateway(named)?)),
        Command::Thaw(args) => wait(commands::freeze::thaw(args, &source::find_gateway(named)?)),
        Command::Store(StoreCommand::Accept(args)) => wait(commands::accept::run(args, &source::find_gateway(named)?)),
        Command::Store(StoreCommand::Drain(args)) => wait(commands::leave::drain(args, &source::find_gateway(named)?)),
        Command::Store(StoreCommand::Remove(args)) => {
            wait(commands::leave::remove(args, &source::find_gateway(named)?))
        }
        Command::Fault(command) => fault(command, named),
    }
}

fn fault(command: &FaultCommand, named: Option<&Path>) -> Result<Ending, Failure> {
    match command {
        // They judge the names of stores before they ask.
        FaultCommand::Set(args) => wait(commands::fault::set(args, &source::find(named, Make::Nothing)?)),
        FaultCommand::Play(args) => wait(commands::fault::play(args, &source::find(named, Make::Nothing)?)),
        FaultCommand::List(args) => wait(commands::fault::list(args, &source::find_gateway(named)?)),
        FaultCommand::End => wait(commands::fault::end(&source::find_gateway(named)?)),
    }
}

/// One worker per core, and no waiting for tasks that outlive their command.
fn wait(command: impl Future<Output = Result<Ending, Failure>>) -> Result<Ending, Failure> {
    if rustls::crypto::ring::default_provider().install_default().is_err() {
        return Err(Failure::cannot_start("TLS was set up twice"));
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::cannot_start(format!("no threads to run on: {error}")))?;
    let ending = runtime.block_on(command);
    runtime.shutdown_background();
    ending
}
