//! `store drain` and `store remove`: say what it is about, ask, and let a store go.

use crate::cli::{DrainArgs, LeaveArgs, RemoveArgs};
use crate::config::{count_text, size_text};
use crate::exit::{Ending, Failure};
use crate::question::{self, typed};
use crate::running;
use crate::source::Source;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

#[derive(Debug, Deserialize, Serialize)]
struct Report {
    store: String,
    step: String,
    dry_run: bool,
    objects: u64,
    bytes: u64,
    copies: BTreeMap<String, Owed>,
    at_risk: u64,
    last: u64,
    lowered: Vec<String>,
    trash: u64,
    done: bool,
}

#[derive(Debug, Deserialize, Serialize)]
struct Owed {
    objects: u64,
    bytes: u64,
}

pub async fn drain(args: &DrainArgs, source: &Source) -> Result<Ending, Failure> {
    run(&args.leave, if args.undo { "undo" } else { "drain" }, source).await
}

pub async fn remove(args: &RemoveArgs, source: &Source) -> Result<Ending, Failure> {
    run(&args.leave, "remove", source).await
}

async fn run(args: &LeaveArgs, step: &str, source: &Source) -> Result<Ending, Failure> {
    let plan = order(args, step, true, None, source).await?;
    if args.dry_run {
        tell(args, &plan);
        return Ok(Ending::Good);
    }
    let accepted = consent(args, &plan)?;
    let report = order(args, step, false, accepted, source).await?;
    tell(args, &report);
    Ok(if report.done { Ending::Good } else { Ending::Differs })
}

/// The number of objects at risk that was accepted.
fn consent(args: &LeaveArgs, plan: &Report) -> Result<Option<u64>, Failure> {
    if plan.at_risk > 0 {
        let (at_risk, wanted) = (plan.at_risk, format!("--accept-risk {}", plan.at_risk));
        return match args.accept_risk {
            Some(number) if number == at_risk => Ok(Some(number)),
            Some(number) => Err(Failure::usage(format!(
                "{}\n{number} objects were accepted, and {at_risk} are at risk: {wanted}",
                words(plan)
            ))),
            None => match typed(&format!("{}\nType the number of objects at risk to go on:", words(plan))) {
                Some(text) if text == at_risk.to_string() => Ok(Some(at_risk)),
                Some(_) => Err(Failure::differs("nothing was changed")),
                None => Err(Failure::usage(format!("{}\nnobody to ask: {wanted} goes on all the same", words(plan)))),
            },
        };
    }
    if args.yes || args.accept_risk.is_some() {
        return Ok(None);
    }
    question::consent(&format!("{}\nGo on?", words(plan)))?;
    Ok(None)
}

async fn order(
    args: &LeaveArgs,
    step: &str,
    dry_run: bool,
    accept_risk: Option<u64>,
    source: &Source,
) -> Result<Report, Failure> {
    let leave = serde_json::json!({
        "store": args.name, "step": step, "dry_run": dry_run, "accept_risk": accept_risk,
    });
    running::order(source, "/admin/leave", leave, args.json).await
}

fn tell(args: &LeaveArgs, report: &Report) {
    if args.json {
        println!("{}", serde_json::to_string_pretty(report).expect("a report is plain data"));
        return;
    }
    println!("{}", words(report));
    if report.dry_run {
        return;
    }
    let store = &report.store;
    println!(
        "{}",
        match (report.step.as_str(), report.done) {
            ("drain", true) => format!("everything is elsewhere; let go of it: outlast store remove {store}"),
            ("drain", false) => format!("not everything is elsewhere yet; it goes on: outlast store drain {store}"),
            ("remove", _) => format!(
                "{store} is let go of; its objects stay on it. Take it out of the configuration, or use it again: outlast store drain {store} --undo"
            ),
            _ => format!("{store} is used again; outlast status shows it being filled"),
        }
    );
}

fn words(report: &Report) -> String {
    let Report { store, objects, bytes, at_risk, last, .. } = report;
    let mut out = match report.step.as_str() {
        "undo" => format!("{store} is used again, and looked through for"),
        "drain" => {
            format!("{store} holds {}, {}; it gets nothing new", count_text(*objects, "object"), size_text(*bytes))
        }
        _ => format!("{store} holds {}, {}; it is let go of", count_text(*objects, "object"), size_text(*bytes)),
    };
    for (to, owed) in &report.copies {
        let what = format!("{}, {}", count_text(owed.objects, "object"), size_text(owed.bytes));
        out.push_str(&match report.step.as_str() {
            "undo" => format!(" {what}"),
            _ => format!("\n{to} is to get {what}"),
        });
    }
    if *at_risk > 0 {
        out.push_str(&format!("\nAT RISK: {} would have fewer copies than min_copies", count_text(*at_risk, "object")));
        if *last > 0 {
            out.push_str(&format!(", {last} of them no other copy that counts"));
        }
    }
    for line in &report.lowered {
        out.push_str(&format!("\nwrites are acknowledged with fewer copies from then on: {line}"));
    }
    if report.trash > 0 {
        let deleted = count_text(report.trash, "deleted or overwritten object");
        out.push_str(&format!("\n{deleted} can be brought back from {store} alone, and not without it"));
    }
    out
}
