//! `undelete`: shows what can be brought back, says what it is about, asks, and brings it back.

use crate::cli::UndeleteArgs;
use crate::config::{count_text, parse_duration, size_text};
use crate::exit::{Ending, Failure};
use crate::question::consent;
use crate::running::order;
use crate::source::Source;
use crate::told::date;
use outlast_engine::{Clock, SystemClock};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

#[derive(Debug, Deserialize, Serialize)]
struct Report {
    dry_run: bool,
    brought: u64,
    bytes: u64,
    left: BTreeMap<String, u64>,
    failed: u64,
    lines: Vec<String>,
}

#[derive(Debug, Deserialize, Serialize)]
struct Line {
    key: String,
    size: u64,
    etag: String,
    why: String,
    at: u64,
    until: Option<u64>,
    kept_on: Vec<String>,
}

#[derive(Debug, Deserialize, Serialize)]
struct Released {
    objects: u64,
    bytes: u64,
    on: BTreeMap<String, u64>,
    until: u64,
}

#[derive(Debug, Deserialize)]
struct Page {
    lines: Vec<Line>,
    next: Option<String>,
}

pub async fn run(args: &UndeleteArgs, source: &Source) -> Result<Ending, Failure> {
    if args.list {
        return list(args, source).await;
    }
    if args.release {
        return release(args, source).await;
    }
    let since = match &args.since {
        Some(text) => Some(moment(text, SystemClock.now().0)?),
        None => None,
    };
    // Said again as it stands here, a time ago means the same time however late it is said.
    let then = since.map_or(String::new(), |since| format!(" as of {}", date(since)));
    let plan = give(args, since, true, source).await?;
    if args.dry_run {
        print(args, &plan, &then);
        return Ok(Ending::Good);
    }
    if plan.brought > 0 && !args.yes {
        let words = format!(
            "to be written again to {}{then}: {}, {}",
            args.bucket,
            count_text(plan.brought, "object"),
            size_text(plan.bytes)
        );
        consent(&format!("{words}.\nBring them back?"))?;
    }
    let report = give(args, since, false, source).await?;
    print(args, &report, &then);
    Ok(if report.failed == 0 { Ending::Good } else { Ending::Differs })
}

async fn give(args: &UndeleteArgs, since: Option<u64>, dry_run: bool, source: &Source) -> Result<Report, Failure> {
    let undelete = serde_json::json!({
        "bucket": args.bucket, "prefix": args.prefix, "since": since, "dry_run": dry_run,
    });
    order(source, "/admin/undelete", undelete, args.json).await
}

fn print(args: &UndeleteArgs, report: &Report, then: &str) {
    if args.json {
        println!("{}", serde_json::to_string_pretty(report).expect("a report is plain data"));
        return;
    }
    for line in &report.lines {
        println!("{line}");
    }
    let did = if report.dry_run { "would be brought back" } else { "brought back" };
    println!("{}, {}, {did}{then}", count_text(report.brought, "object"), size_text(report.bytes));
    for (why, count) in &report.left {
        let words = match why.as_str() {
            "exists" => "with an object now: say --since TIME to go back over it",
            "same" => "already as before",
            "unchanged" => "unchanged since then",
            "absent" => "that did not exist then: left as they are",
            "only_leftovers" => "with only copies of writes that were never acknowledged",
            "undecided" => "with an undecided write: try again",
            other => other,
        };
        println!("{} {words}", count_text(*count, "key"));
    }
    if report.failed > 0 {
        println!("{} could not be brought back", report.failed);
    }
}

async fn list(args: &UndeleteArgs, source: &Source) -> Result<Ending, Failure> {
    let (mut after, mut is_empty): (Option<String>, bool) = (None, true);
    loop {
        let list = serde_json::json!({ "bucket": args.bucket, "prefix": args.prefix, "after": after });
        let page: Page = order(source, "/admin/trash", list, args.json).await?;
        is_empty &= page.lines.is_empty();
        for line in &page.lines {
            if args.json {
                println!("{}", serde_json::to_string(line).expect("a line is plain data"));
            } else {
                let until = line.until.map_or("it is released".to_owned(), date);
                let on = line.kept_on.join(", ");
                println!(
                    "{}  {}  {}  {}, until {until}, on {on}",
                    date(line.at),
                    line.why,
                    line.key,
                    size_text(line.size)
                );
            }
        }
        match page.next {
            Some(next) => after = Some(next),
            None => break,
        }
    }
    if is_empty && !args.json {
        println!("nothing of {}/{} can be brought back", args.bucket, args.prefix);
    }
    Ok(Ending::Good)
}

async fn release(args: &UndeleteArgs, source: &Source) -> Result<Ending, Failure> {
    let held = let_go(args, true, source).await?;
    let stores: Vec<String> = held.on.iter().map(|(store, objects)| format!("{objects} on {store}")).collect();
    let (objects, bytes, until) = (count_text(held.objects, "object"), size_text(held.bytes), date(held.until));
    let words = format!(
        "held in {}/{} until released: {objects}, {bytes} ({}); released, they can be brought back until {until}",
        args.bucket,
        args.prefix,
        stores.join(", ")
    );
    if held.objects == 0 || args.dry_run {
        return Ok(print_released(args, &held, &words));
    }
    if !args.yes {
        consent(&format!("{words}.\nRelease them?"))?;
    }
    let released = let_go(args, false, source).await?;
    Ok(print_released(args, &released, &format!("released: {}", count_text(released.objects, "object"))))
}

fn print_released(args: &UndeleteArgs, released: &Released, words: &str) -> Ending {
    if args.json {
        println!("{}", serde_json::to_string_pretty(released).expect("counts are plain data"));
    } else if released.objects == 0 {
        println!("nothing of {}/{} is held until released", args.bucket, args.prefix);
    } else {
        println!("{words}");
    }
    Ending::Good
}

async fn let_go(args: &UndeleteArgs, dry_run: bool, source: &Source) -> Result<Released, Failure> {
    let release = serde_json::json!({ "bucket": args.bucket, "prefix": args.prefix, "dry_run": dry_run });
    order(source, "/admin/release", release, args.json).await
}

/// `2h` (ago) or a date and time; milliseconds since the Unix epoch.
fn moment(text: &str, now_ms: u64) -> Result<u64, Failure> {
    let ms = |at: OffsetDateTime| u64::try_from(at.unix_timestamp_nanos() / 1_000_000).unwrap_or(0);
    if let Ok(ago) = parse_duration(text) {
        return Ok(now_ms.saturating_sub(ago));
    }
    OffsetDateTime::parse(text, &Rfc3339).map(ms).map_err(|_| {
        Failure::usage(format!("--since {text:?} is neither a time ago (2h, 3d) nor a date like 2026-03-01T08:30:00Z"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_to_go_back_to() {
        let now = 1_000_000_000;
        assert_eq!(moment("1h", now).unwrap(), 996_400_000);
        assert_eq!(moment("1970-01-01T00:00:02Z", now).unwrap(), 2_000);
        assert!(moment("yesterday", now).is_err());
        assert_eq!(date(2_000), "1970-01-01T00:00:02Z");
    }
}
