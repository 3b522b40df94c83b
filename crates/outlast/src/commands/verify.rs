//! `verify`: every store against the ledger, by listing or byte by byte, with progress and a list of what differs.

use crate::cli::VerifyArgs;
use crate::config::{count_text, size_text};
use crate::exit::{Ending, Failure};
use crate::running::order;
use crate::source::Source;
use comfy_table::{Table, presets};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io::IsTerminal;

#[derive(Debug, Deserialize, Serialize)]
struct Report {
    bucket: String,
    objects: u64,
    bytes: u64,
    stores: BTreeMap<String, Store>,
    lines: Vec<String>,
}

#[derive(Debug, Deserialize, Serialize)]
struct Store {
    objects: u64,
    bytes: u64,
    missing: u64,
    differing: u64,
    extra: u64,
    owed: u64,
    read: u64,
    bad: u64,
    error: Option<String>,
}

impl Store {
    fn wrong(&self) -> u64 {
        self.missing + self.differing + self.extra + self.bad
    }

    fn is_clean(&self) -> bool {
        self.wrong() == 0 && self.error.is_none()
    }
}

pub async fn run(args: &VerifyArgs, source: &Source) -> Result<Ending, Failure> {
    let bucket = args.bucket.as_deref().unwrap_or_default();
    if let Some(store) = &args.eject {
        return super::eject::run(args, bucket, store, source).await;
    }
    let verify = serde_json::json!({ "bucket": bucket, "deep": args.deep });
    let report: Report = order(source, "/admin/verify", verify, args.json).await?;
    let clean = report.stores.values().all(Store::is_clean);
    if args.json {
        println!("{}", serde_json::to_string_pretty(&report).expect("a report is plain data"));
    } else {
        print!("{}", render(&report, args.deep));
    }
    Ok(if clean { Ending::Good } else { Ending::Differs })
}

fn render(report: &Report, deep: bool) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    if !std::io::stdout().is_terminal() {
        table.force_no_tty();
    }
    table.set_header(["store", "right", "missing", "differing", "extra", "of these owed", "read whole", "bad bytes"]);
    for (name, store) in &report.stores {
        let read = if deep { store.read.to_string() } else { "–".to_owned() };
        let bad = if deep { store.bad.to_string() } else { "–".to_owned() };
        let counts = [store.objects, store.missing, store.differing, store.extra, store.owed].map(|n| n.to_string());
        table.add_row([name.clone()].into_iter().chain(counts).chain([read, bad]));
    }
    let mut out = format!("{table}\n");
    for line in &report.lines {
        out.push_str(line);
        out.push('\n');
    }
    for (name, store) in &report.stores {
        if let Some(error) = &store.error {
            out.push_str(&format!("{name} could not be looked at to the end: {error}\n"));
        }
    }
    let wrong: u64 = report.stores.values().map(Store::wrong).sum();
    let shown = report.lines.len() as u64;
    if wrong > shown {
        out.push_str(&format!("… and {} more\n", wrong - shown));
    }
    let all = format!("{}, {}", count_text(report.objects, "object"), size_text(report.bytes));
    let word =
        if report.stores.values().all(Store::is_clean) { "every store holds all of it" } else { "stores differ" };
    out.push_str(&format!("{}: {all} in the ledger; {word}\n", report.bucket));
    out
}
