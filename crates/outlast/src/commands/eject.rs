//! `verify --eject`: asks the gateway for the walk-away proof, and writes it down.

use crate::cli::VerifyArgs;
use crate::config::plain_words;
use crate::exit::{Ending, Failure};
use crate::running::order;
use crate::source::Source;
use crate::told::{date, report_words};
use outlast_rules::EjectReport;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};

/// As it is written: the report is kept as it came, since a signature is over all of it.
#[derive(Debug, Deserialize, Serialize)]
struct Signed {
    report: Value,
    public_key: String,
    signature: String,
}

pub async fn run(args: &VerifyArgs, bucket: &str, store: &str, source: &Source) -> Result<Ending, Failure> {
    if let Some(path) = args.out.as_deref().filter(|path| path.exists()) {
        return Err(Failure::usage(format!("{} is there already: a report is never written over", path.display())));
    }
    let eject = serde_json::json!({ "bucket": bucket, "store": store, "deep": args.deep });
    let signed: Signed = order(source, "/admin/eject", eject, args.json).await?;
    let report: EjectReport = serde_json::from_value(signed.report.clone())
        .map_err(|error| Failure::differs(format!("the gateway's report is not understood: {error}")))?;
    let text = serde_json::to_string_pretty(&signed).expect("a report is plain data") + "\n";
    let path = args.out.clone().unwrap_or_else(|| default_path(&report));
    write(&path, &text).map_err(|error| {
        Failure::differs(format!("the report cannot be written to {}: {}", path.display(), plain_words(&error)))
    })?;
    if args.json {
        print!("{text}");
    } else {
        print!("{}", report_words(&report));
        println!("written to {}, signed with the key {}", path.display(), signed.public_key);
        println!("check it anywhere: outlast verify --report {} --key {}", path.display(), signed.public_key);
    }
    Ok(if report.holds_everything() { Ending::Good } else { Ending::Differs })
}

/// Never over a report that is there.
fn write(path: &Path, text: &str) -> std::io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

fn default_path(report: &EjectReport) -> PathBuf {
    let time: String = date(report.ended.0).chars().filter(|letter| letter.is_ascii_alphanumeric()).collect();
    format!("outlast-{}-{}-{time}.json", report.bucket, report.store).into()
}
