//! `fault set`, `play`, `list` and `end`: what a drill would do is said and judged before anything is set.

use crate::cli::{DrillArgs, FaultListArgs, FaultPlayArgs, FaultSetArgs, FaultTrouble};
use crate::config::{count_text, duration_text, parse_duration, parse_size, plain_words};
use crate::drill::{self, Drill, Over};
use crate::exit::{Ending, Failure};
use crate::question;
use crate::source::Source;
use crate::wire::Ends;
use outlast_rules::StoreName;
use outlast_store::{Apply, Class, Planned, SCHEDULE_BYTES_MAX, Schedule, Setting, Trouble, What, classes_of};
use std::io::Read;
use std::path::Path;
use std::time::Duration;

/// A longer one is a decision: outlast store drain.
const LASTS_MAX: Duration = Duration::from_secs(24 * 3600);

pub async fn set(args: &FaultSetArgs, source: &Source) -> Result<Ending, Failure> {
    let planned = planned(args).map_err(Failure::usage)?;
    planned.for_drills().map_err(Failure::usage)?;
    let schedule = Schedule::of(vec![planned]);
    known(&schedule, source, |_| String::new())?;
    // Ending it with Ctrl-C is what people do who have seen enough.
    run(&schedule, &args.go, source).await?;
    Ok(Ending::Good)
}

pub async fn play(args: &FaultPlayArgs, source: &Source) -> Result<Ending, Failure> {
    let schedule = read(&args.file, source)?;
    match run(&schedule, &args.go, source).await? {
        Some(Over::Signal) => Ok(Ending::Interrupted),
        Some(Over::Played) | None => Ok(Ending::Good),
    }
}

pub async fn list(args: &FaultListArgs, source: &Source) -> Result<Ending, Failure> {
    let told = drill::order(source, serde_json::json!({"step": "list"})).await?;
    if args.json {
        println!("{}", serde_json::to_string_pretty(&told.faults).expect("faults are plain data"));
    } else if told.faults.is_empty() {
        println!("no fault is set");
    }
    for fault in told.faults.iter().filter(|_| !args.json) {
        println!("{}: {}; ends in {} unless renewed", fault.store, fault.what, duration_text(fault.left_ms));
    }
    Ok(Ending::Good)
}

pub async fn end(source: &Source) -> Result<Ending, Failure> {
    let told = drill::order(source, serde_json::json!({"step": "end"})).await?;
    for fault in &told.faults {
        println!("{}: {} is over", fault.store, fault.what);
    }
    println!("{} ended; no fault is set", count_text(told.faults.len() as u64, "fault"));
    Ok(Ending::Good)
}

/// Judges, says, asks and runs. None: nothing was to be set.
async fn run(schedule: &Schedule, go: &DrillArgs, source: &Source) -> Result<Option<Over>, Failure> {
    // Heard from here on, so that whatever is set is ended.
    let mut ends = Ends::listen()?;
    let risk = drill::risk(source, schedule).await?.join("\n");
    let words = words(schedule, &risk);
    if !risk.is_empty() && !go.accept_risk {
        return Err(Failure::usage(format!("{words}\n--accept-risk goes on all the same")));
    }
    if go.dry_run {
        println!("{words}");
        return Ok(None);
    }
    if !go.yes {
        question::consent(&format!("{words}\nGo on?"))?;
    }
    Drill::new(source, schedule, go.accept_risk).run(&mut ends).await.map(Some)
}

fn words(schedule: &Schedule, risk: &str) -> String {
    let mut out = String::new();
    for planned in &schedule.faults {
        let What::Setting(setting) = &planned.what else { continue };
        let (from, lasts) = (drill::text(planned.at), drill::text(planned.lasts));
        out.push_str(&format!("after {from}, for {lasts}: {}: {setting}\n", planned.store));
    }
    let lease = drill::text(drill::LEASE);
    out.push_str(&format!(
        "The stores themselves are left alone. What they miss meanwhile is owed to them, and copied afterwards.\n\
         All of it ends after {}, with Ctrl-C, by: outlast fault end; and {lease} after this command is gone.",
        drill::text(schedule.length())
    ));
    if !risk.is_empty() {
        out.push_str(&format!("\n{risk}"));
    }
    out
}

/// Every store is one of the configuration's.
fn known(schedule: &Schedule, source: &Source, place: impl Fn(usize) -> String) -> Result<(), Failure> {
    let unknown = |planned: &Planned| !source.config.stores.contains_key(&planned.store);
    let lines: Vec<String> = (schedule.faults.iter().enumerate())
        .filter(|(_, planned)| unknown(planned))
        .map(|(n, planned)| format!("{}there is no store {} in the configuration", place(n), planned.store))
        .collect();
    if lines.is_empty() { Ok(()) } else { Err(Failure::usage(lines.join("\n"))) }
}

/// A file that a drill may play; every mistake with its line.
fn read(file: &Path, source: &Source) -> Result<Schedule, Failure> {
    let name = file.display();
    let text =
        bounded(file).map_err(|error| Failure::usage(format!("{name} cannot be read: {}", plain_words(&error))))?;
    let schedule = Schedule::parse(&text).map_err(|mistakes| {
        let lines: Vec<String> = mistakes.0.iter().map(|(line, what)| format!("{name}:{line}: {what}")).collect();
        Failure::usage(lines.join("\n"))
    })?;
    let place = |n: usize| format!("{name}:{}: ", schedule.line_of(n));
    let for_tests: Vec<String> = (schedule.faults.iter().enumerate())
        .filter_map(|(n, planned)| Some(format!("{}{}", place(n), planned.for_drills().err()?)))
        .collect();
    if !for_tests.is_empty() {
        return Err(Failure::usage(for_tests.join("\n")));
    }
    known(&schedule, source, place)?;
    if schedule.faults.is_empty() {
        return Err(Failure::usage(format!("{name} has no fault: nothing would happen")));
    }
    Ok(schedule)
}

/// No more than shows that it is too long: a device never ends.
fn bounded(file: &Path) -> std::io::Result<String> {
    let mut text = String::new();
    std::fs::File::open(file)?.take(SCHEDULE_BYTES_MAX as u64 + 1).read_to_string(&mut text)?;
    Ok(text)
}

fn planned(args: &FaultSetArgs) -> Result<Planned, String> {
    let store = StoreName::parse(&args.store).map_err(|error| error.to_string())?;
    let delay = args.delay.as_deref().map(|text| time("--delay", text)).transpose()?;
    let rate = args.rate.as_deref().map(parse_size).transpose().map_err(|help| format!("--rate: {help}"))?;
    let is_slow = delay.is_some() || rate.is_some();
    let trouble = match args.trouble {
        FaultTrouble::Slow if !is_slow => return Err("slow by how much? say --delay 300ms or --rate 1MiB".to_owned()),
        FaultTrouble::Slow => {
            let (before, after) = (Duration::ZERO, delay.unwrap_or_default());
            Trouble::Slow { before, after, bytes_per_second: rate }
        }
        _ if is_slow => return Err("--delay and --rate are for: slow".to_owned()),
        FaultTrouble::Refuse => Trouble::Refuse,
        FaultTrouble::Hang => Trouble::Hang(Apply::Never),
    };
    let mut setting = Setting::all(trouble).below(&args.keys);
    if !args.on.is_empty() {
        let mut classes: Vec<Class> = Vec::new();
        for word in &args.on {
            classes.extend(classes_of(word.trim()).map_err(|help| format!("--on: {help}"))?);
        }
        classes.sort_unstable();
        classes.dedup();
        setting.classes = classes;
    }
    if let Some(percent) = args.share {
        setting = setting.share(percent * 10, 0);
    }
    if let Some(flap) = &args.flap {
        let (on, off) = flap.split_once(',').ok_or("--flap: write two times, as --flap 5s,10s")?;
        setting = setting.flap(time("--flap", on)?, time("--flap", off)?);
    }
    let lasts = time("--for", &args.lasts)?;
    if lasts.is_zero() || lasts > LASTS_MAX {
        return Err("--for: at least 1ms, and a day at most".to_owned());
    }
    Ok(Planned { store, at: Duration::ZERO, lasts, what: What::Setting(setting) })
}

fn time(flag: &str, text: &str) -> Result<Duration, String> {
    parse_duration(text).map(Duration::from_millis).map_err(|help| format!("{flag}: {help}"))
}
