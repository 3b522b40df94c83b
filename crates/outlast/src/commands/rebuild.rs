//! `rebuild`: a ledger made anew from what lies on the stores, when the gateway's disk is gone.

use crate::bar::Bar;
use crate::cli::RebuildArgs;
use crate::config::{Config, count_text, duration_text, plain_words, size_text};
use crate::exit::{Ending, Failure};
use crate::question::consent;
use crate::running::{address, is_ours};
use crate::source::Source;
use crate::trial::Make;
use crate::wire::{engine_settings, in_use_words};
use crate::{ledger_key, orders, stores};
use outlast_engine::{Clock, Reach, Rebuild, RebuildAsk, RebuildError, RebuildReport, Setups, Survey, SystemClock};
use outlast_ledger::{Embedded, Ledger, LedgerError, Mode};
use outlast_rules::StoreName;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::sync::mpsc;

/// Where the new ledger grows; it takes its name when it is whole.
const GROWING: &str = "ledger.rebuilding";
const TRIED: &str = "ledger.dry-run";
/// Steps of progress that nobody has looked at; more are dropped.
const PROGRESS_QUEUED: usize = 16;
/// Lines shown of each kind of finding; `--json` has more.
const LINES_SHOWN: usize = 10;

pub async fn run(args: &RebuildArgs, source: &Source) -> Result<Ending, Failure> {
    crate::logs::start(&source.config.log);
    let config = &source.config;
    if is_ours(address(source), source).await.is_ok() {
        return Err(Failure::cannot_start(in_use_words(&config.data_dir)));
    }
    let there = what_is_there(config, args.replace || args.dry_run).await?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let reach = Arc::new(Reach::new(open_stores(source)?, &clock));
    let empty = empty_stores(args, config)?;
    let survey = reach.survey(&empty).await.map_err(|error| Failure::cannot_start(error.to_string()))?;
    let key = ledger_key::find(config).map_err(Failure::cannot_start)?;
    let plan = plan_words(args, config, &survey, key.is_some(), &there);
    if !args.json {
        eprintln!("{plan}");
    }
    if !args.dry_run && !args.yes {
        consent("Make the ledger anew?")?;
    }
    let dir = config.data_dir.join(if args.dry_run { TRIED } else { GROWING });
    if args.dry_run {
        remove(&dir)?;
    }
    let ledger = Arc::new(open(&dir)?);
    let rebuild_ask = RebuildAsk {
        settings: engine_settings(config),
        key,
        dry_run: args.dry_run,
        token: crate::keys::draw_secret_key(),
    };
    let report = work(args, &dir, reach, survey, rebuild_ask, ledger.clone(), clock).await;
    ledger.close().await;
    drop(ledger);
    let report = report?;
    if args.dry_run {
        remove(&dir)?;
    } else {
        keep_report(config, &report)?;
        put_in_place(config, &dir)?;
    }
    tell(args, config, &report);
    Ok(if report.is_whole() { Ending::Good } else { Ending::Differs })
}

async fn work(
    args: &RebuildArgs,
    dir: &Path,
    reach: Arc<Reach>,
    survey: Survey,
    ask: RebuildAsk,
    ledger: Arc<Embedded>,
    clock: Arc<dyn Clock>,
) -> Result<RebuildReport, Failure> {
    let (progress, mut told) = mpsc::channel(PROGRESS_QUEUED);
    let rebuild = Rebuild::new(reach, survey, ask, ledger, clock, progress);
    let mut bar = Bar::new(args.json);
    let mut running = std::pin::pin!(rebuild.run());
    let ended = loop {
        tokio::select! {
            biased;
            ended = &mut running => break ended,
            Some(step) = told.recv() => bar.tell(&orders::Progress {
                store: step.store,
                objects: step.objects,
                bytes: step.bytes,
                of_objects: step.of_objects,
                of_bytes: 0,
            }),
        }
    };
    bar.end();
    ended.map_err(|error| {
        let then = match error {
            RebuildError::Refused(_) => {
                format!("what was found so far is kept in {}: remove that to begin anew", dir.display())
            }
            _ => "what was found so far is kept: the same command goes on from there".to_owned(),
        };
        Failure::differs(format!("{error}\n    {then}"))
    })
}

/// What lies where the ledger should: nothing, something that cannot be opened, or a ledger that can.
enum There {
    Nothing,
    Unusable(String),
    Usable,
}

async fn what_is_there(config: &Config, may_replace: bool) -> Result<There, Failure> {
    let dir = config.data_dir.join("ledger");
    if !dir.join("ledger.sqlite").exists() {
        return Ok(There::Nothing);
    }
    let opened = match Embedded::open(&dir, Mode::Inline) {
        Err(LedgerError::InUse { .. }) => return Err(Failure::cannot_start(in_use_words(&config.data_dir))),
        Err(error) => return Ok(There::Unusable(error.to_string())),
        Ok(ledger) => {
            let known = ledger.buckets().await;
            ledger.close().await;
            known
        }
    };
    match opened {
        Err(error) => Ok(There::Unusable(error.to_string())),
        Ok(buckets) if buckets.is_empty() || may_replace => Ok(There::Usable),
        Ok(_) => Err(Failure::usage(format!(
            "{} holds a ledger that can be used: it knows more than the stores do\n    if it must be replaced all the same, \
             say so: --replace. It is kept beside the new one",
            dir.display()
        ))),
    }
}

/// Every disk is locked by this, so that no gateway of this machine uses it.
fn open_stores(source: &Source) -> Result<Setups, Failure> {
    let mut setups = Setups::new();
    let mut wrong = Vec::new();
    for (name, config) in &source.config.stores {
        match stores::open(name, config, &source.config.timeouts, Make::Nothing) {
            Ok(store) => drop(setups.insert(name.clone(), stores::setup(store, config))),
            Err(error) => wrong.push(format!("[store.{name}] {error}")),
        }
    }
    if wrong.is_empty() {
        return Ok(setups);
    }
    wrong.push(
        "    every store must be there: what only one of them holds would be missing. If it is gone for good, take it out of \
         the configuration"
            .to_owned(),
    );
    Err(Failure::cannot_start(wrong.join("\n")))
}

fn empty_stores(args: &RebuildArgs, config: &Config) -> Result<BTreeSet<StoreName>, Failure> {
    let mut empty = BTreeSet::new();
    for name in &args.empty {
        match StoreName::parse(name) {
            Ok(store) if config.stores.contains_key(&store) => drop(empty.insert(store)),
            _ => return Err(Failure::usage(format!("--empty {name}: there is no [store.{name}]"))),
        }
    }
    Ok(empty)
}

fn open(dir: &Path) -> Result<Embedded, Failure> {
    Embedded::open(dir, Mode::Threads).map_err(|error| match error {
        LedgerError::InUse { .. } => Failure::cannot_start(format!("another rebuild is at work in {}", dir.display())),
        other => Failure::cannot_start(format!("{}: {other}", dir.display())),
    })
}

fn io_words(what: &str, path: &Path, error: &std::io::Error) -> Failure {
    Failure::cannot_start(format!("{} {what}: {}", path.display(), plain_words(error)))
}

fn remove(dir: &Path) -> Result<(), Failure> {
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(io_words("cannot be removed", dir, &error)),
        _ => Ok(()),
    }
}

/// The old one steps aside, the new one takes its name; each a rename, and the folder's own durability after both.
fn put_in_place(config: &Config, new: &Path) -> Result<(), Failure> {
    let place = config.data_dir.join("ledger");
    if place.exists() {
        let aside = free_name(&config.data_dir);
        fs::rename(&place, &aside).map_err(|error| io_words("cannot be moved aside", &place, &error))?;
        eprintln!("the ledger that was there is kept as {}", aside.display());
    }
    fs::rename(new, &place).map_err(|error| io_words("cannot take its place", new, &error))?;
    fs::File::open(&config.data_dir)
        .and_then(|dir| dir.sync_all())
        .map_err(|error| io_words("cannot be synced", &config.data_dir, &error))
}

fn free_name(data_dir: &Path) -> PathBuf {
    let names = (1..).map(|n: u32| data_dir.join(format!("ledger.replaced-{n}")));
    names.into_iter().find(|name| !name.exists()).expect("some number is free")
}

fn report_path(config: &Config, report: &RebuildReport) -> PathBuf {
    config.data_dir.join(format!("rebuild-{}.json", report.epoch.map_or(0, |epoch| epoch.0)))
}

fn keep_report(config: &Config, report: &RebuildReport) -> Result<(), Failure> {
    let path = report_path(config, report);
    let text = serde_json::to_string_pretty(report).expect("a report is plain data");
    crate::keys::write_private(&path, &format!("{text}\n"))
        .map_err(|error| io_words("cannot be written", &path, &error))
}

fn plan_words(args: &RebuildArgs, config: &Config, survey: &Survey, has_key: bool, there: &There) -> String {
    let mut out =
        format!("Installation {}, {}:\n", survey.installation, count_text(survey.stores.len() as u64, "store"));
    for store in &survey.stores {
        let of = match (store.empty, store.segments) {
            (true, _) => "taken as empty".to_owned(),
            (false, 0) => "no copy of the ledger".to_owned(),
            (false, n) => format!("{} of the ledger", count_text(n, "segment")),
        };
        out.push_str(&format!("  {} ({}): {of}\n", store.name, store.place));
    }
    let snapshot = survey.stores.iter().any(|store| store.has_snapshot);
    out.push_str(match (has_key, snapshot) {
        (true, true) => "Segments are read first; then every store is listed, and what differs is asked for, one HEAD each.\n",
        (true, false) => "There is no whole snapshot of the ledger: every object is asked for, one HEAD each.\n",
        (false, _) => {
            "The key of the ledger's segments is not here (data_dir/ledger.key, or key in [ledger]): every object is asked \
             for, one HEAD each; checksums and digests that clients were given are not found again.\n"
        }
    });
    match there {
        There::Nothing => {}
        There::Unusable(why) => {
            out.push_str(&format!("The ledger that is there cannot be used ({why}); it is kept aside.\n"))
        }
        There::Usable => out.push_str("The ledger that is there is replaced, and kept aside.\n"),
    }
    if args.dry_run {
        out.push_str("Nothing is written to any store: what is found may change meanwhile.");
        return out;
    }
    out.push_str(&format!(
        "Written is one object on each store, its epoch {}: a gateway that still runs somewhere stops when it sees it.\n",
        survey.epoch.0
    ));
    if survey.wait_ms > 0 {
        out.push_str(&format!(
            "Then {} are waited, until no call of it can apply any more.\n",
            duration_text(survey.wait_ms)
        ));
    }
    out.push_str(&format!("The new ledger becomes {}.", config.data_dir.join("ledger").display()));
    out
}

fn tell(args: &RebuildArgs, config: &Config, report: &RebuildReport) {
    if args.json {
        println!("{}", serde_json::to_string_pretty(report).expect("a report is plain data"));
        return;
    }
    println!("{}", words(report));
    if !args.dry_run {
        println!("all of it: {}", report_path(config, report).display());
        println!("now start the gateway: outlast serve");
    }
}

fn per_second(count: u64, ms: u64) -> String {
    format!("{}/s", count * 1000 / ms.max(1))
}

fn words(report: &RebuildReport) -> String {
    let verb = if report.dry_run { "would be" } else { "are" };
    let mut out = format!(
        "{} ({}) and {} in {} {verb} entries, after {}\n",
        count_text(report.objects, "object"),
        size_text(report.bytes),
        count_text(report.tombstones, "tombstone"),
        count_text(report.buckets, "bucket"),
        duration_text(report.took_ms),
    );
    match &report.recall {
        Some(recall) => out.push_str(&format!(
            "from {}: {}{}\n",
            count_text(recall.segments, "segment"),
            count_text(recall.rows, "row"),
            if recall.missing > 0 { format!(", {} missing", recall.missing) } else { String::new() },
        )),
        None => out.push_str("from segments: nothing\n"),
    }
    out.push_str(&format!(
        "from listings alone: {}; asked for: {} by {} ({})\n",
        count_text(report.from_listings, "key"),
        count_text(report.asked, "key"),
        count_text(report.heads, "HEAD"),
        per_second(report.keys, report.keys_ms),
    ));
    out.push_str(&format!(
        "not told before: {}; records: {}; owed: {}\n",
        count_text(report.entries_from_stores, "write"),
        count_text(report.records, "record"),
        count_text(report.owed, "look"),
    ));
    let clocks = &report.by_clocks;
    out.push_str(&format!(
        "only clocks say: that {} did not change, when {} last did\n",
        count_text(clocks.unchanged, "copy"),
        count_text(clocks.modified, "object"),
    ));
    let mut some = |what: &str, count: u64, first: &[String]| {
        if count > 0 {
            out.push_str(&format!("{what}: {count}\n"));
            for line in first.iter().take(LINES_SHOWN) {
                out.push_str(&format!("  {line}\n"));
            }
        }
    };
    some(
        "NO STORE HAS A COPY (they stay entries, reads say so)",
        report.without_copy.count,
        &report.without_copy.first,
    );
    some("newest by clocks only", clocks.newest.count, &clocks.newest.first);
    some("buckets that clocks decide", clocks.buckets.count, &clocks.buckets.first);
    some("on fewer places than wanted, until catch-up has paid", report.below_min.count, &report.below_min.first);
    some("not ours, left alone", report.foreign.count, &report.foreign.first);
    some("unreadable names", report.unreadable.count, &report.unreadable.first);
    some(
        "unreadable records (what only they told is missing)",
        report.unreadable_records.count,
        &report.unreadable_records.first,
    );
    some("ETags that no store keeps, made anew", report.etags_made, &[]);
    some("copies of writes that had been rolled back, not counted", report.rolled_back, &[]);
    some("uploads that clients have to begin anew", report.uploads, &[]);
    if let Some(recall) = &report.recall {
        some("segments not believed on a store", recall.not_believed, &recall.lines);
    }
    out.trim_end().to_owned()
}
