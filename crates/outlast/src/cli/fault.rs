//! What can be typed of drills.

use clap::{Args, Subcommand};
use std::path::PathBuf;

#[derive(Subcommand)]
pub enum FaultCommand {
    Set(FaultSetArgs),
    Play(FaultPlayArgs),
    List(FaultListArgs),
    /// End all faults, whoever set them
    ///
    /// At once, and for every store. The commands that set them end with 1.
    #[command(after_help = "\
Example:
  outlast fault end

Exit codes: 0 none is set any more; 1 no gateway runs; 2 wrong arguments or configuration")]
    End,
}

/// Set one fault, and end it after a while
///
/// The store itself is left alone: the gateway treats it as if it were in trouble. A call that is refused or hangs is never sent;
/// one that is slowed is answered late. What the store misses meanwhile is owed to it, and copied when the fault is over.
///
/// The fault ends after --for, with Ctrl-C, with `outlast fault end`, and by itself 15 seconds after this command is gone, however
/// it went. It is refused where a bucket would have fewer stores that take writes than a write needs. Ends with 1 when
/// somebody else ended the fault, or the gateway went away.
#[derive(Args)]
#[command(after_help = "\
Examples:
  outlast fault set b2 hang --dry-run                what would happen
  outlast fault set b2 hang --for 2m
  outlast fault set b2 refuse --on writes            read-only, as it were
  outlast fault set nas slow --delay 300ms --rate 1MiB --on reads
  outlast fault set r2 refuse --keys photos/ --share 50 --flap 5s,10s --yes

Exit codes: 0 over as wanted; 1 ended by somebody else, or no gateway runs; 2 wrong arguments or configuration, or refused")]
pub struct FaultSetArgs {
    /// Its name in the configuration
    #[arg(value_name = "STORE")]
    pub store: String,
    /// refuse: connections are refused. hang: nothing is answered. slow: see --delay and --rate
    pub trouble: FaultTrouble,
    /// slow: each answer comes so much later, 10s at most
    #[arg(long, value_name = "TIME")]
    pub delay: Option<String>,
    /// slow: bodies come and go at so many bytes per second, 1KiB at least
    #[arg(long, value_name = "SIZE")]
    pub rate: Option<String>,
    /// Only these calls, with commas: reads, writes, or head, get, list, commit, delete, upload, bucket [default: all]
    #[arg(long, value_name = "CALLS", value_delimiter = ',')]
    pub on: Vec<String>,
    /// Only keys that begin with this
    #[arg(long, value_name = "PREFIX", default_value = "", hide_default_value = true)]
    pub keys: String,
    /// Only so many of a hundred keys, the same ones each time
    #[arg(long, value_name = "PERCENT", value_parser = clap::value_parser!(u16).range(1..=100))]
    pub share: Option<u16>,
    /// Trouble for the first time, none for the second, and again
    #[arg(long, value_name = "ON,OFF")]
    pub flap: Option<String>,
    /// How long it lasts, a day at most
    #[arg(long = "for", value_name = "TIME", default_value = "60s")]
    pub lasts: String,
    #[command(flatten)]
    pub go: DrillArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum FaultTrouble {
    Refuse,
    Hang,
    Slow,
}

/// Play a file of faults over time
///
/// The file says which store is in trouble from when to when; its format is in docs/formats/schedule.md. All of it is judged
/// before the first fault is set, and each is told when it begins and ends. Only refuse, hang and slow are played: everything else
/// is for tests. Ctrl-C ends everything, and so does, within 15 seconds, the end of this command by any other way.
#[derive(Args)]
#[command(after_help = "\
Examples:
  outlast fault play friday.toml --dry-run
  outlast fault play friday.toml --yes

A file:
  format = 1
  [[fault]]
  store = \"b2\"
  at = \"10s\"
  lasts = \"1m\"
  trouble = \"hang\"
  on = [\"writes\"]

Exit codes: 0 played to its end; 1 ended by somebody else, or no gateway runs; 2 wrong arguments or configuration, or refused; 4 broken off")]
pub struct FaultPlayArgs {
    /// What happens to which store, and when
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    #[command(flatten)]
    pub go: DrillArgs,
}

#[derive(Args)]
pub struct DrillArgs {
    /// Say what would happen, and set nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Do not ask
    #[arg(long, short)]
    pub yes: bool,
    /// Go on though writes would have fewer stores than they need
    #[arg(long)]
    pub accept_risk: bool,
}

/// Which faults are set?
///
/// Each with its store and how long it has left. What outlast status shows of them is the same.
#[derive(Args)]
#[command(after_help = "\
Examples:
  outlast fault list
  outlast fault list --json | jq '.[].what'

Exit codes: 0 told, also that there is none; 1 no gateway runs; 2 wrong arguments or configuration")]
pub struct FaultListArgs {
    /// For programs
    #[arg(long)]
    pub json: bool,
}
