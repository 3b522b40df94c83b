//! `check`: every mistake of the configuration, then every store tried for real.

use crate::asking;
use crate::cli::CheckArgs;
use crate::config::{Config, Findings, StoreConfig, Weight, size_text};
use crate::cost::{Cost, monthly};
use crate::exit::{Ending, Failure};
use crate::ready::ReadyFile;
use crate::source::{From, Source, look};
use crate::stores::{self, OpenError};
use crate::trial::{Make, TRIAL_WORDS};
use crate::wire::tls_files;
use outlast_rules::{Grade, Placement, StoreName};
use outlast_store::{DiskOpenError, Fault, Limits, ProbeReport, Store, StoreError, help, probe};
use serde::Serialize;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::task::JoinSet;

/// A probe is some forty requests; whoever needs longer is not well.
const PROBE_MAX: Duration = Duration::from_secs(90);

/// What was found out about one store.
#[derive(Debug, Serialize)]
struct Checked {
    name: String,
    place: String,
    /// May its copies count as places?
    fit: bool,
    /// In words: what it is good for, or why not.
    fitness: String,
    /// What to do about it, where it is unfit.
    help: Option<String>,
    grades: Option<BTreeMap<&'static str, String>>,
    weaknesses: Vec<String>,
    findings: Vec<String>,
    limits: Option<LimitsShown>,
    cost: Option<Cost>,
}

#[derive(Debug, Serialize)]
struct LimitsShown {
    metadata_bytes_max: usize,
    put_bytes_max: u64,
    part_bytes_min: u64,
    part_bytes_max: u64,
    parts_max: u32,
    copy_bytes_max: u64,
}

/// The whole answer, for programs.
#[derive(Debug, Serialize)]
struct Answer<'a> {
    file: &'a str,
    /// With any of these nothing was tried.
    mistakes: Vec<Told<'a>>,
    warnings: Vec<Told<'a>>,
    stores: &'a [Checked],
    /// Of files, and what the placements make of the stores; empty when all is well.
    problems: Vec<String>,
}

/// What is wrong with no single store.
struct Problem {
    what: String,
    help: Option<&'static str>,
}

impl Problem {
    fn in_one(&self) -> String {
        let help = self.help.map(|help| format!("; help: {help}")).unwrap_or_default();
        format!("{}{help}", self.what)
    }
}

#[derive(Debug, Serialize)]
struct Told<'a> {
    line: usize,
    what: &'a str,
    help: &'a str,
}

pub async fn run(args: &CheckArgs, source: &Source) -> Result<Ending, Failure> {
    if source.from == From::Trial && !source.config.data_dir.exists() {
        return Err(Failure::differs(
            "there is no outlast.toml, and the trial was never started: nothing to check\n    \
             outlast serve makes the trial, outlast init writes a configuration",
        ));
    }
    let mut problems = Vec::new();
    if let Some(files) = tls_files(&source.config)
        && let Err(mistake) = outlast_front::judge_tls(&files).await
    {
        problems.push(Problem { what: format!("[s3] tls: {mistake}"), help: Some(mistake.help) });
    }
    if !args.json {
        // Before the stores are asked, which may take its time.
        say_first(source, &problems);
    }
    let of_files = problems.len();
    let checked = if args.no_stores { Vec::new() } else { check_stores(source).await };
    if !args.no_stores {
        problems.extend(unkept(&source.config, &checked).into_iter().map(|what| Problem { what, help: None }));
    }
    if args.json {
        let answer = Answer {
            file: source.findings.as_ref().map_or("", |findings| &findings.file),
            mistakes: Vec::new(),
            warnings: source.findings.as_ref().map(|found| told(found, Weight::Warning)).unwrap_or_default(),
            stores: &checked,
            problems: problems.iter().map(Problem::in_one).collect(),
        };
        print_json(&answer)?;
    } else {
        for store in &checked {
            print!("{}", store_words(store));
        }
        say_problems(&problems[of_files..]);
    }
    let good = problems.is_empty() && checked.iter().all(|store| store.fit);
    Ok(if good { Ending::Good } else { Ending::Differs })
}

/// The same answer for a configuration that cannot be used, for programs.
///
/// # Errors
/// It cannot be written as JSON.
pub fn tell_mistakes(findings: &Findings) -> Result<Ending, Failure> {
    print_json(&Answer {
        file: &findings.file,
        mistakes: told(findings, Weight::Error),
        warnings: told(findings, Weight::Warning),
        stores: &[],
        problems: Vec::new(),
    })?;
    Ok(Ending::Usage)
}

fn print_json(answer: &Answer<'_>) -> Result<(), Failure> {
    println!("{}", serde_json::to_string_pretty(answer).map_err(|error| Failure::differs(error.to_string()))?);
    Ok(())
}

fn told(findings: &Findings, weight: Weight) -> Vec<Told<'_>> {
    let of_weight = findings.mistakes.iter().filter(|mistake| mistake.weight == weight);
    of_weight.map(|m| Told { line: findings.line_of(m.span.start), what: &m.what, help: &m.help }).collect()
}

async fn check_stores(source: &Source) -> Vec<Checked> {
    let mut running = JoinSet::new();
    for (name, config) in source.config.stores.clone() {
        let whole = source.config.clone();
        running.spawn(async move { check_store(&name, &config, &whole).await });
    }
    let mut checked = running.join_all().await;
    checked.sort_by(|a, b| a.name.cmp(&b.name));
    checked
}

async fn check_store(name: &StoreName, config: &StoreConfig, whole: &Config) -> Checked {
    let mut checked = Checked {
        name: name.to_string(),
        place: config.kind.place(),
        fit: false,
        fitness: String::new(),
        help: None,
        grades: None,
        weaknesses: Vec::new(),
        findings: Vec::new(),
        limits: None,
        cost: None,
    };
    let opened = {
        let (name, config, timeouts) = (name.clone(), config.clone(), whole.timeouts);
        tokio::task::spawn_blocking(move || stores::open(&name, &config, &timeouts, Make::Nothing)).await
    };
    let store = match opened {
        Ok(Ok(store)) => store,
        Ok(Err(OpenError::Disk(DiskOpenError::Locked { .. }))) => {
            ask_the_gateway(&mut checked, whole).await;
            return checked;
        }
        Ok(Err(error)) => {
            checked.fitness = error.to_string();
            checked.help = error.help().map(str::to_owned);
            return checked;
        }
        Err(broken) => {
            checked.fitness = format!("opening it broke off: {broken}");
            return checked;
        }
    };
    let limits = store.limits();
    checked.limits = Some(shown(limits));
    if let Some(service) = config.kind.service() {
        checked.cost = monthly(limits, &service, &config.price, whole.canary_every_ms);
    }
    match tokio::time::timeout(PROBE_MAX, try_out(&*store, config)).await {
        Ok(Ok(report)) => judge(&mut checked, &report),
        Ok(Err(error)) => {
            checked.help = error.help();
            checked.fitness = error.to_string();
        }
        Err(_) => checked.fitness = format!("it was tried for {} s and did not end", PROBE_MAX.as_secs()),
    }
    checked
}

/// Why a store could not be tried.
#[derive(Debug, thiserror::Error)]
enum Untried {
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Outlast makes no bucket that is named by hand.
    #[error("the bucket {0}, which `buckets` of this store names, is not there")]
    Missing(String),
}

impl Untried {
    fn help(&self) -> Option<String> {
        match self {
            Untried::Store(error) => help(error),
            Untried::Missing(_) => {
                Some("make it with the tools of this store, or leave it out of `buckets`".to_owned())
            }
        }
    }
}

/// In its home if it has one; else the home is made and goes again. Buckets that the configuration names are to be there.
async fn try_out(store: &dyn Store, config: &StoreConfig) -> Result<ProbeReport, Untried> {
    let names = stores::names(config);
    let home = names.home();
    let token = format!("check-{}", std::process::id());
    for bucket in names.buckets.values() {
        if !is_there(store, bucket).await? {
            return Err(Untried::Missing(bucket.clone()));
        }
    }
    if is_there(store, &home).await? {
        return Ok(probe(store, &home, &token).await?);
    }
    store.create_bucket(&home).await?;
    let kept = store.keep_versions(&home).await;
    let report = probe(store, &home, &token).await;
    let removed = store.delete_bucket(&home).await;
    let mut report = report?;
    if let Err(error) = kept
        && error.fault != Fault::Unsupported
    {
        report.findings.push(format!("native versions cannot be switched on: {error}"));
    }
    if removed.is_err() {
        report.findings.push(format!("the bucket {home} was made for the trial and stays: `serve` uses it"));
    }
    Ok(report)
}

/// A HEAD is refused without a word: a question whose refusal has a body is put to the same bucket, for its reason.
async fn is_there(store: &dyn Store, bucket: &str) -> Result<bool, StoreError> {
    let mute = match store.head_bucket(bucket).await {
        Ok(()) => return Ok(true),
        Err(error) if error.fault == Fault::NoBucket => return Ok(false),
        Err(error) if error.status.is_none() || error.code.is_some() => return Err(error),
        Err(error) => error,
    };
    match store.list(bucket, "", None).await {
        Err(told) if told.code.is_some() || told.cause.is_some() => Err(told),
        _ => Err(mute),
    }
}

fn judge(checked: &mut Checked, report: &ProbeReport) {
    let grades = report.grades;
    let calls = [("put", grades.put), ("complete", grades.complete), ("copy", grades.copy), ("delete", grades.delete)];
    let grade = calls.iter().map(|(_, powers)| powers.grade()).max_by_key(|grade| format!("{grade:?}"));
    checked.grades = Some(calls.into_iter().map(|(call, powers)| (call, format!("{:?}", powers.grade()))).collect());
    checked.weaknesses = report.weaknesses();
    checked.findings = report.findings.clone();
    match report.fit_as_place() {
        Err(why) => checked.fitness = why,
        Ok(()) => {
            checked.fit = true;
            checked.fitness = match grade {
                Some(Grade::A) => "it keeps versions: a late call can hide a copy, never destroy it",
                Some(Grade::B) => "it honours conditions: a late call is refused unless it finds what it expects",
                _ => "for some calls neither versions nor conditions guard it: after one that nobody answered, the key waits",
            }
            .to_owned();
        }
    }
}

/// A disk is locked by the gateway that uses it, which has probed it itself.
async fn ask_the_gateway(checked: &mut Checked, whole: &Config) {
    let Some(ready) = ReadyFile::read(&ReadyFile::place(&whole.data_dir)) else {
        checked.fitness = "it is in use by another Outlast, with another data_dir".to_owned();
        return;
    };
    let told = match asking::get(ready.admin, "/status.json").await {
        Ok(body) => serde_json::from_slice::<serde_json::Value>(&body).unwrap_or_default(),
        Err(_) => serde_json::Value::Null,
    };
    let stores = told["stores"].as_array().cloned().unwrap_or_default();
    let own = stores.into_iter().find(|store| store["name"] == checked.name.as_str());
    match own {
        Some(store) => {
            let word = |key: &str| store[key].as_str().unwrap_or_default().to_owned();
            checked.fit = store["standing"] == "up";
            checked.fitness =
                format!("in use by the running gateway, which says: {}, grade {}", word("standing"), word("grade"));
            checked.findings.extend(Some(word("reason")).filter(|reason| !reason.is_empty()));
            checked.help = store["help"].as_str().map(str::to_owned);
        }
        None => checked.fitness = "it is in use by another Outlast, which does not say how it is".to_owned(),
    }
}

/// Can the placements be kept with the stores that are fit?
fn unkept(config: &Config, checked: &[Checked]) -> Vec<String> {
    let fit = |store: &&StoreName| checked.iter().any(|checked| checked.fit && checked.name == store.as_str());
    let judge = |says: String, placement: &Placement| {
        let well = placement.stores.iter().filter(fit).count();
        (well < placement.min_copies).then(|| {
            format!(
                "{says} wants {} copies, and {well} of its {} stores are fit",
                placement.min_copies,
                placement.stores.len()
            )
        })
    };
    let defaults = judge("[defaults]".to_owned(), &config.defaults);
    let buckets = config.buckets.iter().filter_map(|(name, placement)| judge(format!("[bucket.{name}]"), placement));
    defaults.into_iter().chain(buckets).collect()
}

fn shown(limits: &Limits) -> LimitsShown {
    LimitsShown {
        metadata_bytes_max: limits.metadata_bytes_max,
        put_bytes_max: limits.put_bytes_max,
        part_bytes_min: limits.part_bytes_min,
        part_bytes_max: limits.part_bytes_max,
        parts_max: limits.parts_max,
        copy_bytes_max: limits.copy_bytes_max,
    }
}

fn say_first(source: &Source, problems: &[Problem]) {
    match &source.findings {
        Some(findings) if findings.mistakes.is_empty() => println!("{}", findings.headline()),
        Some(findings) => print!("{}", findings.render(look())),
        None if source.from == From::Trial => println!("no configuration: the trial. {TRIAL_WORDS}"),
        None => {}
    }
    say_problems(problems);
}

fn say_problems(problems: &[Problem]) {
    for problem in problems {
        println!("\n{}", problem.what);
        if let Some(help) = problem.help {
            println!("    help: {help}");
        }
    }
}

fn store_words(store: &Checked) -> String {
    let mut out = format!("\n{} ({}): {}\n", store.name, store.place, if store.fit { "fit" } else { "UNFIT" });
    let mut line = |name: &str, text: String| out.push_str(&format!("  {name:<9} {text}\n"));
    line("", store.fitness.clone());
    if let Some(help) = &store.help {
        line("help:", help.clone());
    }
    if let Some(grades) = &store.grades {
        let words: Vec<String> = grades.iter().map(|(call, grade)| format!("{call} {grade}")).collect();
        line("grade", words.join(", "));
    }
    if let Some(limits) = &store.limits {
        line(
            "limits",
            format!(
                "metadata {}, one PUT {}, parts {} to {}, at most {}, one copy {}",
                size_text(limits.metadata_bytes_max as u64),
                size_text(limits.put_bytes_max),
                size_text(limits.part_bytes_min),
                size_text(limits.part_bytes_max),
                limits.parts_max,
                size_text(limits.copy_bytes_max),
            ),
        );
    }
    for weakness in &store.weaknesses {
        line("weak", weakness.clone());
    }
    for finding in &store.findings {
        line("found", finding.clone());
    }
    match &store.cost {
        Some(cost) => line("cost", cost.words.clone()),
        None if store.limits.is_some() => line("cost", "none: requests to it are not billed".to_owned()),
        None => {}
    }
    out
}
