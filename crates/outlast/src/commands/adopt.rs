//! `adopt`: shows a plan of what it is about, asks, and takes a found bucket over.

use crate::cli::AdoptArgs;
use crate::config::{Config, StoreConfig, StoreKind, count_text, size_text};
use crate::exit::{Ending, Failure};
use crate::question::consent;
use crate::running;
use crate::source::Source;
use outlast_rules::StoreName;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

const GIB: f64 = (1_u64 << 30) as f64;

#[derive(Debug, Deserialize, Serialize)]
struct Report {
    bucket: String,
    from: String,
    adopted: u64,
    bytes: u64,
    known: u64,
    changed: u64,
    vanished: u64,
    listed: BTreeMap<StoreName, Owed>,
    equal: u64,
    undressed: u64,
    differing: u64,
    unsure: u64,
    unsure_bytes: u64,
    owed: u64,
    missing: BTreeMap<StoreName, Owed>,
    reads: BTreeMap<StoreName, Owed>,
    conflicts: Vec<String>,
    skipped: Vec<String>,
    unreadable: Vec<String>,
    unlisted: u64,
    dry_run: bool,
    /// About what the copies cost, by the configuration's prices; None: a price is not known.
    #[serde(default, skip_deserializing)]
    money: Option<f64>,
}

#[derive(Debug, Deserialize, Serialize)]
struct Owed {
    objects: u64,
    bytes: u64,
}

pub async fn run(args: &AdoptArgs, source: &Source) -> Result<Ending, Failure> {
    let plan = order(args, source, true).await?;
    if args.dry_run {
        tell(args, &plan);
        return Ok(Ending::Good);
    }
    if !args.yes {
        let question = format!("{}\nTake the bucket over?", words(&plan));
        consent(&question)?;
    }
    let report = order(args, source, false).await?;
    tell(args, &report);
    Ok(if report.skipped.is_empty() && report.unreadable.is_empty() && report.vanished == 0 {
        Ending::Good
    } else {
        Ending::Differs
    })
}

async fn order(args: &AdoptArgs, source: &Source, dry_run: bool) -> Result<Report, Failure> {
    let adopt = serde_json::json!({ "bucket": args.bucket, "from": args.from, "dry_run": dry_run });
    let mut report: Report = running::order(source, "/admin/adopt", adopt, args.json).await?;
    report.money = money(&report, &source.config);
    Ok(report)
}

/// Reading from the sources and one write per copy. Stores whose requests cost nothing need no price.
fn money(report: &Report, config: &Config) -> Option<f64> {
    let mut sum = 0.0;
    for (store, owed) in &report.reads {
        let store = config.stores.get(store)?;
        sum += owed.bytes as f64 / GIB * price(store, store.price.egress_per_gib)?;
    }
    for (store, owed) in &report.missing {
        let store = config.stores.get(store)?;
        sum += owed.objects as f64 / 1000.0 * price(store, store.price.write_per_1000)?;
    }
    Some(sum)
}

/// A disk asks for nothing, unless it is said to.
fn price(store: &StoreConfig, says: Option<f64>) -> Option<f64> {
    match store.kind {
        StoreKind::Disk(_) => Some(says.unwrap_or(0.0)),
        _ => says,
    }
}

fn tell(args: &AdoptArgs, report: &Report) {
    if args.json {
        println!("{}", serde_json::to_string_pretty(report).expect("a report is plain data"));
    } else {
        println!("{}", words(report));
    }
}

fn of(owed: &Owed) -> String {
    format!("{}, {}", count_text(owed.objects, "object"), size_text(owed.bytes))
}

/// What is equal, missing, to be moved, to be read, differing: one line each, where there is any.
fn plan_words(report: &Report, line: &mut impl FnMut(String)) {
    if report.listed.len() > 1 {
        for (store, owed) in &report.listed {
            line(format!("{store} lists {}", of(owed)));
        }
        line(format!("equal on more than one of them, copies at once: {}", count_text(report.equal, "object")));
    }
    for (store, owed) in &report.missing {
        line(format!("missing on {store}: {}", of(owed)));
    }
    if report.owed > 0 {
        let reads: Vec<String> =
            report.reads.iter().map(|(store, owed)| format!("{} from {store}", size_text(owed.bytes))).collect();
        let money =
            report.money.map_or("a price is not known".to_owned(), |money| format!("about {money:.2} by your prices"));
        line(format!("to move: {}; {money}", reads.join(", ")));
    }
    if report.unsure > 0 {
        line(format!(
            "as large, and only their bytes tell whether they are equal: {}; taking over reads {}",
            count_text(report.unsure, "object"),
            size_text(report.unsure_bytes)
        ));
    }
    if report.differing > 0 {
        line(format!(
            "differing: {}; {} is the truth, and what is replaced is kept under .outlast/conflicts/ there",
            count_text(report.differing, "object"),
            report.from.split(',').next().unwrap_or_default()
        ));
    }
    if report.undressed > 0 {
        line(format!(
            "equal bytes with other headers: {} copies; clients see the headers of the truth",
            report.undressed
        ));
    }
}

fn words(report: &Report) -> String {
    let objects = report.adopted + report.changed;
    let verb = match (report.dry_run, objects) {
        (true, 1) => "would become an entry",
        (true, _) => "would become entries",
        (false, 1) => "is an entry",
        (false, _) => "are entries",
    };
    let mut out = format!(
        "{}: {}, {} on {} {verb}; the other stores {} {}",
        report.bucket,
        count_text(objects, "object"),
        size_text(report.bytes),
        report.from,
        if report.dry_run { "would be owed" } else { "are owed" },
        if report.owed == 1 { "1 copy".to_owned() } else { format!("{} copies", report.owed) }
    );
    let mut line = |text: String| out.push_str(&format!("\n{text}"));
    plan_words(report, &mut line);
    let were = |count: u64| if count == 1 { "was" } else { "were" };
    if report.known > 0 {
        line(format!("{} {} known already", report.known, were(report.known)));
    }
    if report.changed > 0 {
        let have = if report.changed == 1 { "was known and has" } else { "were known and have" };
        line(format!("{} of them {have} changed on {} since", report.changed, report.from));
    }
    if report.vanished > 0 {
        line(format!(
            "{} known before {} not on {} any more: outlast verify {} shows what the other stores give back",
            count_text(report.vanished, "object"),
            if report.vanished == 1 { "is" } else { "are" },
            report.from,
            report.bucket
        ));
    }
    for conflict in &report.conflicts {
        line(conflict.clone());
    }
    for key in &report.skipped {
        line(format!("changed while we looked, run it again: {key}"));
    }
    for key in &report.unreadable {
        line(format!("no client could ask for this name, left alone: {key:?}"));
    }
    if report.unlisted > 0 {
        line(format!("… and {} more names", report.unlisted));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(count: u64, dry_run: bool) -> Report {
        let none = serde_json::json!({
            "bucket": "photos", "from": "nas", "adopted": count, "bytes": 5, "known": count, "changed": 0, "vanished": 0,
            "listed": {}, "equal": 0, "undressed": 0, "differing": 0, "unsure": 0, "unsure_bytes": 0, "owed": count,
            "missing": {}, "reads": {}, "conflicts": [], "skipped": [], "unreadable": [], "unlisted": 0, "dry_run": dry_run,
        });
        serde_json::from_value(none).expect("as the gateway says it")
    }

    #[test]
    fn one_is_not_many() {
        let first_and_last = |report: &Report| {
            let said = words(report);
            let lines: Vec<&str> = said.lines().collect();
            [lines[0].to_owned(), lines[lines.len() - 1].to_owned()]
        };
        assert_eq!(
            first_and_last(&report(1, false)),
            ["photos: 1 object, 5 B on nas is an entry; the other stores are owed 1 copy", "1 was known already"]
        );
        assert_eq!(
            first_and_last(&report(2, true)),
            [
                "photos: 2 objects, 5 B on nas would become entries; the other stores would be owed 2 copies",
                "2 were known already"
            ]
        );
    }

    #[test]
    fn a_plan_says_what_it_is_about() {
        let owed = |objects, bytes| Owed { objects, bytes };
        let store = |name: &str| StoreName::parse(name).unwrap();
        let plan = Report {
            from: "b2,nas".into(),
            listed: BTreeMap::from([(store("b2"), owed(9, 2048)), (store("nas"), owed(7, 1024))]),
            equal: 4,
            differing: 1,
            unsure: 2,
            unsure_bytes: 4096,
            missing: BTreeMap::from([(store("nas"), owed(3, 1024))]),
            reads: BTreeMap::from([(store("b2"), owed(3, 1024))]),
            conflicts: vec!["k: nas has another than b2".into()],
            unreadable: vec!["a\u{1}".into()],
            unlisted: 5,
            money: Some(0.25),
            ..report(9, true)
        };
        let said = words(&plan);
        for line in [
            "b2 lists 9 objects, 2 KiB",
            "equal on more than one of them, copies at once: 4 objects",
            "missing on nas: 3 objects, 1 KiB",
            "to move: 1 KiB from b2; about 0.25 by your prices",
            "as large, and only their bytes tell whether they are equal: 2 objects; taking over reads 4 KiB",
            "differing: 1 object; b2 is the truth, and what is replaced is kept under .outlast/conflicts/ there",
            "k: nas has another than b2",
            "no client could ask for this name, left alone: \"a\\u{1}\"",
            "… and 5 more names",
        ] {
            assert!(said.lines().any(|said| said == line), "{line}\n{said}");
        }
    }
}
