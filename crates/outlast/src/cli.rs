//! What can be typed, and the help that teaches it.

mod fault;

use crate::config::{ADMIN_LISTEN_DEFAULT, S3_LISTEN_DEFAULT, parse_listen};
use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;
pub use fault::*;
use std::net::SocketAddr;
use std::path::PathBuf;

const EXAMPLES: &str = "\
Examples:
  outlast serve                          three trial stores under ./outlast-data, S3 on 127.0.0.1:9000
  outlast init --disk /srv/objects       write a commented outlast.toml
  outlast check                          is the configuration right, and what can each store do?
  outlast status --watch                 the stores, what they owe and when they will have it
  outlast verify photos                  is everything on every store?

Exit codes: 0 good, 1 something differs or does not run, 2 wrong arguments or configuration,
3 cannot start (port, lock, identity), 4 interrupted before everything was closed.";

/// One S3 endpoint over several independent stores, that keeps working when one of them dies.
#[derive(Parser)]
#[command(name = "outlast", version, after_help = EXAMPLES, arg_required_else_help = true, max_term_width = 100)]
pub struct Cli {
    /// The configuration [default: outlast.toml if it is there, else a trial under ./outlast-data]
    #[arg(long, short, global = true, value_name = "FILE", env = "OUTLAST_CONFIG")]
    pub config: Option<PathBuf>,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Subcommand)]
pub enum Command {
    Serve(ServeArgs),
    Init(InitArgs),
    Check(CheckArgs),
    Status(StatusArgs),
    Demo(DemoArgs),
    Verify(VerifyArgs),
    Adopt(AdoptArgs),
    Undelete(UndeleteArgs),
    Rebuild(RebuildArgs),
    /// Remove nothing any more, on any store, until thaw
    ///
    /// Deletes and overwrites are still acknowledged; what they would remove stays on the stores, also what the trash would let go
    /// of. Begins at once and outlives a restart. For the hour in which nobody knows yet who deletes what.
    #[command(after_help = "\
Example:
  outlast freeze

Exit codes: 0 nothing is removed from now on; 1 no gateway runs; 2 wrong arguments or configuration")]
    Freeze,
    Thaw(ThawArgs),
    /// Decide about one store
    #[command(subcommand)]
    Store(StoreCommand),
    /// A drill: let a store refuse, hang or be slow for a while, and see that nobody notices
    #[command(subcommand)]
    Fault(FaultCommand),
    /// Print a completion script for a shell
    ///
    /// Goes to stdout; where a shell looks for it, its manual says.
    #[command(after_help = "\
Examples:
  outlast completions bash > /etc/bash_completion.d/outlast
  outlast completions zsh > ~/.zfunc/_outlast

Exit codes: 0 printed; 2 no such shell")]
    Completions {
        /// Which shell it is for
        shell: Shell,
    },
}

/// Run the gateway until SIGTERM or Ctrl-C
///
/// Without a configuration, `serve` makes three disk stores under ./outlast-data, keys that only this user can read,
/// and prints lines to paste for aws-cli, rclone and Python. Three folders on one disk are a trial: they show how
/// Outlast works, and are lost together.
///
/// SIGTERM or Ctrl-C ends it: running requests are finished, new ones are refused. A second signal ends it at once;
/// nothing that was acknowledged is lost by that.
#[derive(Args)]
#[command(after_help = "\
Examples:
  outlast serve
  outlast serve --config /etc/outlast/outlast.toml
  outlast serve --listen 127.0.0.1:9100 --admin-listen 127.0.0.1:9101
  RUST_LOG=outlast_engine=debug outlast serve

Exit codes: 0 stopped, everything closed; 2 wrong arguments or configuration;
3 cannot start (port, lock, identity, certificate); 4 a second signal came before everything was closed")]
pub struct ServeArgs {
    /// Listen for S3 here instead of where the configuration says; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS", value_parser = s3_address)]
    pub listen: Option<SocketAddr>,
    /// The same for the admin address
    #[arg(long, value_name = "ADDRESS", value_parser = admin_address)]
    pub admin_listen: Option<SocketAddr>,
    /// Write the addresses here, as JSON, once requests are taken; the file is removed at the end
    #[arg(long, value_name = "PATH")]
    pub ready_file: Option<PathBuf>,
}

fn s3_address(text: &str) -> Result<SocketAddr, String> {
    parse_listen(text, S3_LISTEN_DEFAULT.parse().expect("the default is an address"))
}

fn admin_address(text: &str) -> Result<SocketAddr, String> {
    parse_listen(text, ADMIN_LISTEN_DEFAULT.parse().expect("the default is an address"))
}

/// Write a commented configuration
///
/// Asks for stores in a terminal; elsewhere the flags say it all. An existing file is never overwritten without --force.
/// Secrets are not written: the file names environment variables.
#[derive(Args)]
#[command(after_help = "\
Examples:
  outlast init
  outlast init --disk /srv/objects --disk /mnt/usb/objects
  outlast init --disk /srv/objects \\
      --s3 b2=https://s3.eu-central-003.backblazeb2.com,eu-central-003,acme- \\
      --s3 r2=https://ACCOUNT.r2.cloudflarestorage.com,auto,acme- \\
      --azure az=acmestorage,acme- \\
      --gcs g=service-account.json,acme-

Exit codes: 0 written; 2 wrong arguments, or the file is there already; 4 the questions were broken off")]
pub struct InitArgs {
    /// A folder as a store; made if it is not there
    #[arg(long, value_name = "PATH")]
    pub disk: Vec<PathBuf>,
    /// An S3-compatible service as a store; its keys come from NAME_ACCESS_KEY and NAME_SECRET_KEY
    #[arg(long, value_name = "NAME=ENDPOINT,REGION,BUCKET_PREFIX")]
    pub s3: Vec<String>,
    /// An Azure storage account as a store; its key comes from NAME_ACCOUNT_KEY
    #[arg(long, value_name = "NAME=ACCOUNT,BUCKET_PREFIX")]
    pub azure: Vec<String>,
    /// Google Cloud Storage as a store, with the JSON file of a service account's key
    #[arg(long, value_name = "NAME=CREDENTIALS_FILE,BUCKET_PREFIX")]
    pub gcs: Vec<String>,
    /// Overwrite an existing file
    #[arg(long)]
    pub force: bool,
}

/// Tell every mistake of the configuration, then try every store
///
/// First the configuration: every mistake with its line and what to write instead. Then every store is tried for real:
/// its identity, and per operation what it keeps and which conditions it honours (a small object is written, overwritten,
/// read back and removed). Ends with 1 when a store is unfit for what the configuration asks of it.
#[derive(Args)]
#[command(after_help = "\
Examples:
  outlast check
  outlast check --no-stores        only the file, no network
  outlast check --json | jq '.stores[] | {name, fitness}'

Exit codes: 0 all is well; 1 a store is unfit or a placement cannot be kept; 2 wrong arguments or configuration")]
pub struct CheckArgs {
    /// For programs
    #[arg(long)]
    pub json: bool,
    /// Judge the file only and leave the stores alone
    #[arg(long)]
    pub no_stores: bool,
}

/// Ask the running gateway how its stores are
///
/// Shows each store's standing with its reason and since when, what it is owed, how far behind it is and when it will have
/// everything. Ends with 1 when no gateway runs or a store is not up.
#[derive(Args)]
#[command(after_help = "\
Examples:
  outlast status
  outlast status --watch
  outlast status --json | jq '.stores[] | select(.standing != \"up\")'

Exit codes: 0 every store is up; 1 one is not, or no gateway runs; 2 wrong arguments or configuration")]
pub struct StatusArgs {
    /// For programs: the running process's own answer
    #[arg(long)]
    pub json: bool,
    /// Draw anew each second until Ctrl-C
    #[arg(long)]
    pub watch: bool,
}

/// Is everything on every store?
///
/// Compares every store's own listing with the ledger, under load too. What is missing or different is listed; what is
/// already written down as a debt is marked "(owed)". --deep reads every byte of every copy and checks it.
/// Ends with 1 when anything differs.
///
/// --eject STORE writes a signed report that this store alone holds everything under plain names: what you need to know before
/// you walk away with it. Ends with 1, and lists what it lacks, where it does not. --report FILE checks such a report, anywhere.
#[derive(Args)]
#[command(after_help = "\
Examples:
  outlast verify photos
  outlast verify photos --deep
  outlast verify photos --json | jq '.stores'
  outlast verify photos --eject b2 --deep
  outlast verify --report outlast-photos-b2-20260301T083000Z.json --key MCowBQ…

Exit codes: 0 everything is there; 1 something differs, or no gateway runs; 2 wrong arguments or configuration, or no such bucket")]
pub struct VerifyArgs {
    /// The bucket that is compared
    #[arg(required_unless_present = "report")]
    pub bucket: Option<String>,
    /// Prove that this store alone holds everything, and sign it
    #[arg(long, value_name = "STORE", conflicts_with = "report")]
    pub eject: Option<String>,
    /// Where the report goes [default: outlast-BUCKET-STORE-TIME.json]
    #[arg(long, value_name = "FILE", requires = "eject")]
    pub out: Option<PathBuf>,
    /// Check the signature of a report, and say what it claims; no gateway is needed
    #[arg(long, value_name = "FILE", conflicts_with_all = ["bucket", "deep"])]
    pub report: Option<PathBuf>,
    /// The public key that the report must be signed with [default: this installation's]
    #[arg(long, value_name = "KEY", requires = "report")]
    pub key: Option<String>,
    /// Read every byte of every copy: costs what reading it all costs
    #[arg(long)]
    pub deep: bool,
    /// For programs
    #[arg(long)]
    pub json: bool,
}

/// Take over a bucket that was there before, without touching it
///
/// Imports the stores' listings as the bucket's truth: nothing that is right is written anew, nothing is deleted anywhere, stores
/// that lack an object are owed copies, and the bucket is served from then on. Until it is adopted, a found bucket answers 503.
/// A plan is shown first: what is equal, what is missing where, what differs, and what is to be moved.
///
/// Of several stores, objects of one size and one digest (an ETag that is made of the bytes; else the bytes are read) count as
/// copies at once. Where they differ, the store named first is the truth (among copies with our own stamps, the later write);
/// the other copy is kept under .outlast/conflicts/ on its store before it is replaced. Interrupted, it is simply run again, with
/// the same stores.
#[derive(Args)]
#[command(after_help = "\
Examples:
  outlast adopt photos --from b2 --dry-run
  outlast adopt photos --from b2,nas

Exit codes: 0 adopted; 1 something could not be taken over, or no gateway runs; 2 wrong arguments or configuration, or no such bucket")]
pub struct AdoptArgs {
    /// The bucket that is taken over, under the name that clients will use
    pub bucket: String,
    /// The stores whose copies are taken over, with commas; the first is the truth where they differ
    #[arg(long, value_name = "STORE[,STORE…]")]
    pub from: String,
    /// Say how many objects and bytes it is about, and change nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Do not ask
    #[arg(long, short)]
    pub yes: bool,
    /// For programs
    #[arg(long)]
    pub json: bool,
}

/// Bring back what was deleted or overwritten
///
/// What a DELETE or an overwrite displaced stays recoverable for undelete_days. Without --since, keys that are deleted now come
/// back as they were last. With it, every key that changed since then goes back to what it was, also over an object that is
/// there now; keys that are new since then stay. Bringing back is a write like any other: it can be undone too, and a client
/// that writes a key meanwhile wins. Interrupted, it is simply run again.
#[derive(Args)]
#[command(after_help = "\
Examples:
  outlast undelete photos --list
  outlast undelete photos --prefix 2024/ --dry-run
  outlast undelete photos --since 2h
  outlast undelete photos --since 2026-03-01T08:30:00Z --yes

Exit codes: 0 done; 1 something could not be brought back, or no gateway runs; 2 wrong arguments or configuration, or no such bucket")]
pub struct UndeleteArgs {
    /// The bucket that lost something
    pub bucket: String,
    /// Only keys that begin with this
    #[arg(long, default_value = "")]
    pub prefix: String,
    /// The time to go back to: so long ago (2h, 3d), or a date and time (RFC 3339). What did not exist then stays as it is
    #[arg(long, value_name = "TIME")]
    pub since: Option<String>,
    /// Show what can be brought back, and change nothing
    #[arg(long, conflicts_with_all = ["since", "dry_run"])]
    pub list: bool,
    /// Bring nothing back: let go, after undelete_days, of what deletes above their budget removed
    #[arg(long, conflicts_with_all = ["since", "list"])]
    pub release: bool,
    /// Say how many objects and bytes it is about, and change nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Do not ask
    #[arg(long, short)]
    pub yes: bool,
    /// For programs
    #[arg(long)]
    pub json: bool,
}

/// Remove again what freeze held back: says first how much that is
///
/// What deletes asked for while removal was frozen is removed from the stores from then on. What went in a bucket that keeps
/// nothing (undelete_days = 0) stays, until: outlast undelete BUCKET --release
#[derive(Args)]
#[command(after_help = "\
Examples:
  outlast thaw --dry-run
  outlast thaw --yes

Exit codes: 0 removal goes on; 1 no gateway runs; 2 wrong arguments or configuration")]
pub struct ThawArgs {
    /// Say what would be removed, and change nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Do not ask
    #[arg(long, short)]
    pub yes: bool,
    /// For programs
    #[arg(long)]
    pub json: bool,
}

/// The gateway's disk is gone: make the ledger anew from what lies on the stores
///
/// Everything that was acknowledged is found again: what the lost ledger had told the stores is read first, then every store is
/// listed, and what differs is asked for. All stores of the configuration must answer. Nothing is written to a store but one small
/// object, .outlast/epoch.json, which stops a gateway that still runs somewhere; then calls that it may have left on their way
/// are waited for. Refused while a gateway holds the data_dir. Interrupted, it is simply run again, and goes on.
#[derive(Args)]
#[command(after_help = "\
Examples:
  outlast rebuild --dry-run                 what would be found, and nothing is written
  outlast rebuild --yes
  outlast rebuild --empty r2                r2 was lost too and is empty now

Exit codes: 0 everything was found; 1 something is missing; 2 wrong arguments or configuration; 3 cannot start (lock, stores)")]
pub struct RebuildArgs {
    /// Say what would be found; nothing is written to any store, and no ledger is made
    #[arg(long)]
    pub dry_run: bool,
    /// Do not ask
    #[arg(long, short)]
    pub yes: bool,
    /// Replace a ledger that can be used; it is kept beside the new one
    #[arg(long)]
    pub replace: bool,
    /// A store without identity marker that is new or empty, and known to be; may be said several times
    #[arg(long, value_name = "STORE")]
    pub empty: Vec<String>,
    /// For programs
    #[arg(long)]
    pub json: bool,
}

#[derive(Subcommand)]
pub enum StoreCommand {
    Accept(AcceptArgs),
    Drain(DrainArgs),
    Remove(RemoveArgs),
}

/// Give a store nothing new, and the others what it holds
///
/// From now on the store gets no new copies; every object that it holds is copied to the other stores of its bucket until it
/// has min_copies copies there. It is read, and told of deletes, meanwhile. The gateway goes on with it after a restart; this
/// command shows how far it is, ends when everything is elsewhere, and can be broken off and given again.
///
/// Where buckets have too few other stores, it tells how many objects would stay below min_copies, and goes on only when that very
/// number is typed, or said with --accept-risk.
#[derive(Args)]
#[command(after_help = "\
Examples:
  outlast store drain nas --dry-run
  outlast store drain nas
  outlast store drain nas --undo

Exit codes: 0 everything is elsewhere; 1 not yet, or no gateway runs; 2 wrong arguments or configuration, or no such store")]
pub struct DrainArgs {
    #[command(flatten)]
    pub leave: LeaveArgs,
    /// Use it again, drained or removed: it is owed everything that it lacks
    #[arg(long, conflicts_with = "accept_risk")]
    pub undo: bool,
}

/// Let go of a store: what it holds counts for nothing any more
///
/// Takes the store's copies out of the ledger, each while min_copies others stand, and forgets what the store was owed. The objects
/// on it stay as they are. Drain it first; a store that is lost is removed without. Where objects have too few copies elsewhere, it
/// tells how many, and goes on only when that very number is typed, or said with --accept-risk. Afterwards, take the store out
/// of the configuration. Interrupted, it is simply run again.
#[derive(Args)]
#[command(after_help = "\
Examples:
  outlast store remove nas --dry-run
  outlast store remove nas --yes
  outlast store remove burnt --accept-risk 12

Exit codes: 0 let go of; 1 not yet, or no gateway runs; 2 wrong arguments or configuration, or no such store")]
pub struct RemoveArgs {
    #[command(flatten)]
    pub leave: LeaveArgs,
}

#[derive(Args)]
pub struct LeaveArgs {
    /// Its name in the configuration
    #[arg(value_name = "STORE")]
    pub name: String,
    /// Say how many objects and bytes it is about, on which stores, and change nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Do not ask; does not answer for objects at risk
    #[arg(long, short)]
    pub yes: bool,
    /// The number of objects at risk, as --dry-run tells it
    #[arg(long, value_name = "NUMBER")]
    pub accept_risk: Option<u64>,
    /// For programs
    #[arg(long)]
    pub json: bool,
}

/// Use a store again that came back empty or was replaced
///
/// A store whose identity marker is missing although the ledger knows copies there is "emptied or not mounted": it is
/// neither read nor filled. Mount it; or, if it really is empty now, accept it: first every copy believed to be there
/// becomes a debt, then it is filled again. A store whose list was suddenly short keeps the copies that its list shows as
/// they were written, and is given the others.
#[derive(Args)]
#[command(after_help = "\
Example:
  outlast store accept nas

Exit codes: 0 accepted; 1 not accepted, or no gateway runs; 2 wrong arguments or configuration, or no such store")]
pub struct AcceptArgs {
    /// Its name in the configuration
    #[arg(value_name = "STORE")]
    pub name: String,
    /// Do not ask
    #[arg(long, short)]
    pub yes: bool,
}

/// Show the point in under a minute: a store dies under load, and no client notices
///
/// Three stores in a temporary folder, on the real engine and ledger, with no network. Clients write, read, list and delete;
/// a long download and a long upload are running when one store stops answering and is then killed. Reads and writes go on;
/// what the store misses is owed to it; it returns and catches up. At the end every object is read back from each store
/// alone and compared. Ends with 1 when any client saw a failure or anything differs.
#[derive(Args)]
#[command(after_help = "\
Examples:
  outlast demo
  outlast demo --plain                          lines, for logs and CI
  outlast demo --min-copies 3 --no-spool        a demo that must fail: writes need the store that dies

Exit codes: 0 no client noticed; 1 one did, or something differs; 2 wrong arguments; 4 broken off")]
pub struct DemoArgs {
    /// Lines instead of the live picture; so it is too where stdout is no terminal
    #[arg(long)]
    pub plain: bool,
    /// The totals as JSON on stdout; lines go to stderr
    #[arg(long)]
    pub json: bool,
    /// The same sizes, bytes and choices again
    #[arg(long, value_name = "NUMBER")]
    pub seed: Option<u64>,
    /// Places that a write needs before it is acknowledged
    #[arg(long, value_name = "COPIES", default_value_t = 2, value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(1..=3))]
    pub min_copies: usize,
    /// The spool never stands in for a store
    #[arg(long)]
    pub no_spool: bool,
    // Shorter, and the store would be back before its silence is noticed.
    /// How long the load runs
    #[arg(long, hide = true, value_parser = clap::value_parser!(u64).range(8..=300))]
    pub seconds: Option<u64>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    /// Whoever types `--help` finds what it does, how it is typed, and how it ends; without a shell that cuts it.
    fn judge(command: &mut clap::Command, above: &str) {
        let name = [above, command.get_name()].join(" ").trim_start().to_owned();
        let help = command.render_long_help().to_string();
        let mut below: Vec<_> = command.get_subcommands().filter(|sub| sub.get_name() != "help").cloned().collect();
        if below.is_empty() {
            let said = help.split("Usage:").next().unwrap_or_default().trim();
            let (short, long) = said.split_once("\n\n").unwrap_or((said, ""));
            assert!(!short.is_empty() && long.len() > 40, "{name} says no more than its one line:\n{help}");
            let example = help.split_once("Example").is_some_and(|(_, shown)| shown.contains(&format!("\n  {name}")));
            assert!(example, "{name} has no example:\n{help}");
            assert!(help.contains("Exit codes: 0 "), "{name} does not say how it ends:\n{help}");
        }
        for argument in command.get_arguments().filter(|argument| !argument.is_hide_set()) {
            assert!(argument.get_help().is_some(), "{name}: {argument} says nothing");
        }
        below.iter_mut().for_each(|sub| judge(sub, &name));
    }

    #[test]
    fn every_help_teaches() {
        let mut command = Cli::command();
        command.build();
        judge(&mut command, "");
    }
}
