//! `status`: how the stores of the running gateway are, in a table or as the gateway said it.

use crate::asking::{self, AskError};
use crate::cli::StatusArgs;
use crate::config::{count_text, duration_text, size_text};
use crate::exit::{Ending, Failure};
use crate::running::{address, is_ours, not_running, nothing_runs};
use crate::source::Source;
use comfy_table::{Cell, Color, Table, presets};
use serde::Deserialize;
use std::io::{IsTerminal, Write};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};

/// Faster than this nobody reads.
const REDRAW: Duration = Duration::from_secs(1);

/// What this command reads of `/status.json`. An older or newer gateway may say less or more.
#[derive(Debug, Deserialize)]
struct Told {
    #[serde(default)]
    version: String,
    now: u64,
    #[serde(default)]
    ledger: String,
    #[serde(default)]
    undecided: u64,
    spool: ToldSpool,
    #[serde(default)]
    trash: ToldTrash,
    #[serde(default)]
    shipping: ToldShipping,
    #[serde(default)]
    frozen: Option<u64>,
    stores: Vec<ToldStore>,
}

#[derive(Debug, Deserialize)]
struct ToldSpool {
    objects: u64,
    bytes: u64,
    max: u64,
    #[serde(default)]
    latched: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ToldTrash {
    objects: u64,
    bytes: u64,
    held: u64,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ToldShipping {
    on: bool,
    waiting: u64,
    lag_ms: u64,
    snapshot: Option<u64>,
    problem: String,
}

#[derive(Debug, Deserialize)]
struct ToldStore {
    name: String,
    place: String,
    standing: String,
    #[serde(default)]
    reason: String,
    #[serde(default)]
    said: Option<String>,
    #[serde(default)]
    help: Option<String>,
    since: u64,
    #[serde(default)]
    grade: String,
    #[serde(default)]
    probed: Option<u64>,
    #[serde(default)]
    unprobed: Option<String>,
    #[serde(default)]
    unfit: Option<String>,
    owed_objects: u64,
    owed_bytes: u64,
    lag_ms: u64,
    arrival: Option<u64>,
    #[serde(default)]
    leaving: Option<String>,
    #[serde(default)]
    faults: Vec<ToldFault>,
    #[serde(default)]
    latency_ms: f64,
}

#[derive(Debug, Deserialize)]
struct ToldFault {
    what: String,
    left_ms: u64,
}

pub async fn run(args: &StatusArgs, source: &Source) -> Result<Ending, Failure> {
    let admin = address(source);
    if !args.watch {
        return show_once(args, admin, source).await;
    }
    watch(admin, source).await
}

/// Ends with a signal, whatever it waits for; where nobody looks at a screen, one status follows the other.
async fn watch(admin: SocketAddr, source: &Source) -> Result<Ending, Failure> {
    // Heard from here on: one that comes while the gateway is asked must not be lost.
    let mut interrupt = signal(SignalKind::interrupt()).map_err(|error| Failure::cannot_start(error.to_string()))?;
    let is_screen = std::io::stdout().is_terminal();
    loop {
        let answer = tokio::select! {
            biased;
            _ = interrupt.recv() => return Ok(Ending::Good),
            answer = ask(admin, source) => answer,
        };
        let screen = match answer {
            Ok(body) => render(&read(&body)?, is_screen),
            Err(AskError::NotRunning) => not_running(admin),
            Err(AskError::Wrong(why) | AskError::Bad(why)) => why,
        };
        let drawn = if is_screen {
            // Home, draw over what is there, clear the rest: no flicker.
            let lines = screen.lines().map(|line| format!("{line}\x1b[K\n")).collect::<String>();
            format!("\x1b[H{lines}\x1b[J")
        } else {
            format!("{}\n\n", screen.trim_end())
        };
        match show(&drawn) {
            Ok(()) => {}
            // Whoever read it has gone.
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => return Ok(Ending::Good),
            Err(error) => return Err(Failure::differs(error.to_string())),
        }
        tokio::select! {
            biased;
            _ = interrupt.recv() => return Ok(Ending::Good),
            () = tokio::time::sleep(REDRAW) => {}
        }
    }
}

async fn show_once(args: &StatusArgs, admin: SocketAddr, source: &Source) -> Result<Ending, Failure> {
    let body = match ask(admin, source).await {
        Ok(body) => body,
        Err(AskError::NotRunning) => return Err(Failure::differs(nothing_runs(admin, source))),
        Err(AskError::Wrong(why) | AskError::Bad(why)) => return Err(Failure::differs(why)),
    };
    let told = read(&body)?;
    if args.json {
        print(&format!("{}\n", String::from_utf8_lossy(&body).trim_end()))?;
    } else {
        print(&render(&told, std::io::stdout().is_terminal()))?;
    }
    let well = told.stores.iter().all(|store| store.standing == "up");
    Ok(if well { Ending::Good } else { Ending::Differs })
}

async fn ask(admin: SocketAddr, source: &Source) -> Result<Vec<u8>, AskError> {
    is_ours(admin, source).await?;
    asking::get(admin, "/status.json").await.map(|body| body.to_vec())
}

fn read(body: &[u8]) -> Result<Told, Failure> {
    serde_json::from_slice(body).map_err(|error| Failure::differs(format!("the answer is not a status: {error}")))
}

fn print(text: &str) -> Result<(), Failure> {
    show(text).map_err(|error| Failure::differs(error.to_string()))
}

fn show(text: &str) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush())
}

fn render(told: &Told, colours: bool) -> String {
    let mut table = Table::new();
    // No lines between: it is to be read at 80 columns.
    table.load_style(presets::NOTHING);
    if !colours {
        table.force_no_tty();
    }
    table.set_header(["store", "standing", "since", "grade", "median", "owed", "lag", "has all"]);
    for store in &told.stores {
        table.add_row(row(told, store));
    }
    let mut out = format!("{table}\n");
    for store in told.stores.iter().filter(|store| !store.reason.is_empty()) {
        out.push_str(&format!("{} ({}): {}\n", store.name, store.place, store.reason));
        out.extend(store.said.iter().map(|said| format!("    it said: {said}\n")));
        out.extend(store.help.iter().map(|help| format!("    help: {help}\n")));
    }
    out.push_str(&probed_words(told));
    for store in &told.stores {
        match store.leaving.as_deref() {
            Some("draining") => out.push_str(&format!("{}: draining, it gets no new copies\n", store.name)),
            Some(_) => {
                out.push_str(&format!("{}: removed, it is not used; take it out of the configuration\n", store.name))
            }
            None => {}
        }
    }
    for store in &told.stores {
        for fault in &store.faults {
            let left = duration_text(fault.left_ms);
            out.push_str(&format!(
                "DRILL on {}: {}; ends in {left} unless renewed, at once by: outlast fault end\n",
                store.name, fault.what
            ));
        }
    }
    if let Some(since) = told.frozen {
        let ago = duration_text(told.now.saturating_sub(since));
        out.push_str(&format!("FROZEN {ago} ago: nothing is removed from any store until: outlast thaw\n"));
    }
    let trash = &told.trash;
    if trash.objects > 0 {
        let held = if trash.held > 0 {
            format!(", {} of them held: deletes above their budget, see outlast undelete BUCKET --list", trash.held)
        } else {
            String::new()
        };
        out.push_str(&format!("trash: {}, {}{held}\n", count_text(trash.objects, "object"), size_text(trash.bytes)));
    }
    out.push_str(&shipping_words(told));
    let spool = &told.spool;
    if let Some(why) = &spool.latched {
        out.push_str(&format!("SPOOL STOPPED: {why}\n"));
    }
    out.push_str(&format!(
        "spool: {}, {} of {}; undecided writes: {}; ledger: {}; outlast {}\n",
        count_text(spool.objects, "object"),
        size_text(spool.bytes),
        size_text(spool.max),
        told.undecided,
        told.ledger,
        told.version,
    ));
    out
}

/// What the probes found, and how old the grades are.
fn probed_words(told: &Told) -> String {
    let mut out = String::new();
    for store in told.stores.iter().filter(|store| store.probed.is_none()) {
        if let Some(why) = &store.unprobed {
            out.push_str(&format!("{}: not probed yet, tried again every minute: {why}\n", store.name));
        }
    }
    for store in &told.stores {
        if let Some(why) = &store.unfit {
            out.push_str(&format!("{}: UNFIT, it gets copies and none of them counts: {why}\n", store.name));
        }
    }
    let ago = |store: &ToldStore| {
        let at = store.probed?;
        Some(format!("{} {} ago", store.name, duration_text(told.now.saturating_sub(at))))
    };
    let probed: Vec<String> = told.stores.iter().filter_map(ago).collect();
    if !probed.is_empty() {
        out.push_str(&format!("grades probed: {}\n", probed.join(", ")));
    }
    out
}

/// What a rebuild would find of the ledger, should its disk be gone now.
fn shipping_words(told: &Told) -> String {
    let shipping = &told.shipping;
    if !shipping.on {
        return String::new();
    }
    let snapshot = match shipping.snapshot {
        Some(at) => format!("whole {} ago", duration_text(told.now.saturating_sub(at))),
        None => "not whole yet".to_owned(),
    };
    if shipping.waiting == 0 {
        return format!("ledger on the stores: everything, {snapshot}\n");
    }
    let lag = duration_text(shipping.lag_ms);
    let why = if shipping.problem.is_empty() { String::new() } else { format!(": {}", shipping.problem) };
    format!("ledger on the stores: {} behind by {lag}, {snapshot}{why}\n", count_text(shipping.waiting, "row"))
}

fn row(told: &Told, store: &ToldStore) -> Vec<Cell> {
    let colour = match store.standing.as_str() {
        "up" => Color::Green,
        "trial" => Color::Yellow,
        _ => Color::Red,
    };
    let owes = store.owed_objects > 0;
    let nothing = || Cell::new("–");
    let arrival = match store.arrival {
        _ if !owes => nothing(),
        Some(at) => Cell::new(format!("in {}", duration_text(at.saturating_sub(told.now)))),
        None => Cell::new("not known"),
    };
    vec![
        Cell::new(&store.name),
        Cell::new(&store.standing).fg(colour),
        Cell::new(format!("{} ago", duration_text(told.now.saturating_sub(store.since)))),
        Cell::new(&store.grade),
        if store.latency_ms > 0.0 { Cell::new(format!("{:.1} ms", store.latency_ms)) } else { nothing() },
        if owes {
            Cell::new(format!("{}, {}", count_text(store.owed_objects, "object"), size_text(store.owed_bytes)))
        } else {
            Cell::new("nothing")
        },
        if owes { Cell::new(duration_text(store.lag_ms)) } else { nothing() },
        arrival,
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_without_colours() {
        let told = r#"{
            "version": "0.1.0", "now": 1000000, "epoch": 1, "ledger": "ok", "undecided": 1,
            "spool": {"objects": 2, "bytes": 2048, "max": 10737418240, "latched": "its disk failed"},
            "trash": {"objects": 3, "bytes": 4096, "held": 1}, "frozen": 940000,
            "shipping": {"on": true, "waiting": 3, "lag_ms": 60000, "snapshot": 400000, "problem": "b2 is down"},
            "stores": [
                {"name": "b2", "place": "s3 https://b2", "kind": "s3", "standing": "down", "reason": "connection refused",
                 "said": "get h/k on b2: 1.2.3.4:443 refuses connections after 0.0 s", "help": "is the service started?",
                 "since": 940000, "grade": "A", "probed": 700000, "unfit": "it does not keep metadata",
                 "owed_objects": 1204, "owed_bytes": 1536, "lag_ms": 59000,
                 "arrival": 1090000, "marks": 0, "leaving": "draining", "latency_ms": 0.0,
                 "faults": [{"id": "1", "store": "b2", "what": "hang on writes", "since": 940000, "left_ms": 12000}]},
                {"name": "nas", "place": "disk /srv", "kind": "disk", "standing": "up", "reason": "",
                 "since": 0, "grade": "not probed", "unprobed": "copy: NoSuchKey", "owed_objects": 0, "owed_bytes": 0, "lag_ms": 0,
                 "arrival": null, "marks": 0, "latency_ms": 1.25}
            ],
            "counters": {}
        }"#;
        let shown = render(&read(told.as_bytes()).expect("a status"), false);
        let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
        let lines: Vec<String> = shown.lines().map(words).filter(|line| !line.contains('─')).collect();
        assert_eq!(
            lines.iter().filter(|line| !line.contains('═')).collect::<Vec<_>>(),
            [
                "store standing since grade median owed lag has all",
                "b2 down 1m ago A – 1204 objects, 1.5 KiB 59s in 1m 30s",
                "nas up 16m 40s ago not probed 1.2 ms nothing – –",
                "b2 (s3 https://b2): connection refused",
                "it said: get h/k on b2: 1.2.3.4:443 refuses connections after 0.0 s",
                "help: is the service started?",
                "nas: not probed yet, tried again every minute: copy: NoSuchKey",
                "b2: UNFIT, it gets copies and none of them counts: it does not keep metadata",
                "grades probed: b2 5m ago",
                "b2: draining, it gets no new copies",
                "DRILL on b2: hang on writes; ends in 12s unless renewed, at once by: outlast fault end",
                "FROZEN 1m ago: nothing is removed from any store until: outlast thaw",
                "trash: 3 objects, 4 KiB, 1 of them held: deletes above their budget, see outlast undelete BUCKET --list",
                "ledger on the stores: 3 rows behind by 1m, whole 10m ago: b2 is down",
                "SPOOL STOPPED: its disk failed",
                "spool: 2 objects, 2 KiB of 10 GiB; undecided writes: 1; ledger: ok; outlast 0.1.0",
            ],
            "{shown}"
        );
    }

    #[test]
    fn what_is_no_status_is_told() {
        assert_eq!(read(b"{}").map(|_| ()).map_err(|f| f.ending), Err(Ending::Differs));
    }
}
