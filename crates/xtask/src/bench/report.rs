//! What was measured, for people and for programs, beside what was to be reached.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use time::OffsetDateTime;
use time::macros::format_description;

use super::figures::Times;

/// One figure that was to be reached.
pub struct Goal {
    pub what: &'static str,
    pub wanted: String,
    pub got: String,
    pub met: bool,
}

pub struct Report {
    machine: Vec<(&'static str, String)>,
    quick: bool,
    goals: Vec<Goal>,
    /// What, by which way, and the figure in words.
    figures: Vec<(String, String, String)>,
    raw: Vec<Value>,
}

impl Report {
    pub fn new(machine: Vec<(&'static str, String)>, quick: bool) -> Report {
        Report { machine, quick, goals: Vec::new(), figures: Vec::new(), raw: Vec::new() }
    }

    pub fn goal(&mut self, goal: Goal) {
        let sign = if goal.met { "reached" } else { "MISSED " };
        println!("{sign} {}: {}, wanted {}", goal.what, goal.got, goal.wanted);
        self.goals.push(goal);
    }

    pub fn figure(&mut self, what: &str, way: &str, words: String) {
        println!("        {what}, {way}: {words}");
        self.raw.push(json!({"what": what, "way": way, "figure": words}));
        self.figures.push((what.to_owned(), way.to_owned(), words));
    }

    /// `cpu`: CPU milliseconds per request, which are CPU seconds per 1,000.
    pub fn times(&mut self, what: &str, way: &str, times: &Times, cpu: Option<f64>) {
        let (p50, p99) = (times.median(), times.micros(0.99));
        // What the first way of the same figure takes: the rest is added by what lies between.
        let first = self.raw.iter().find(|one| one["what"] == what).and_then(|one| one["p50_us"].as_f64());
        let added = first.map(|first| format!(", {:+.0} µs", p50 - first)).unwrap_or_default();
        let spent = cpu.map(|cpu| format!(", {:.0} µs CPU each", cpu * 1_000.0)).unwrap_or_default();
        let words = format!("p50 {p50:.0} µs{added}, p99 {p99:.0} µs{spent}, {} times", times.count());
        println!("        {what}, {way}: {words}");
        let cpu_us = cpu.map(|cpu| cpu * 1_000.0);
        self.raw.push(json!({
            "what": what, "way": way, "p50_us": p50, "p99_us": p99, "count": times.count(), "cpu_us": cpu_us,
        }));
        self.figures.push((what.to_owned(), way.to_owned(), words));
    }

    pub fn markdown(&self) -> String {
        let mut text = String::from("# Outlast beside nginx and its own stores\n\n");
        if self.quick {
            text += "A quick run: hints, not figures.\n\n";
        }
        text += "| reached | figure | to reach | measured |\n|---|---|---|---|\n";
        for Goal { what, wanted, got, met } in &self.goals {
            text += &format!("| {} | {what} | {wanted} | {got} |\n", if *met { "yes" } else { "**no**" });
        }
        text += "\n`+` is what is added to the first line of the same figure. \"store\" and \"direct\" are Outlast over one disk; \
                 \"outlast\" is Outlast over three of them.\n\n| figure | by | measured |\n|---|---|---|\n";
        for (what, way, words) in &self.figures {
            text += &format!("| {what} | {way} | {words} |\n");
        }
        text += "\n## Machine\n\n";
        for (name, value) in &self.machine {
            text += &format!("- {name}: {value}\n");
        }
        text
    }

    /// `<date>.md` and `<date>.json`.
    pub fn write(&self, folder: &Path) -> Result<(), String> {
        let format = format_description!("[year]-[month]-[day]-[hour][minute]");
        let date = OffsetDateTime::now_utc().format(&format).map_err(|error| error.to_string())?;
        let goals: Vec<Value> = self
            .goals
            .iter()
            .map(|goal| json!({"what": goal.what, "wanted": goal.wanted, "measured": goal.got, "reached": goal.met}))
            .collect();
        let machine: serde_json::Map<String, Value> =
            self.machine.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
        let all = json!({"date": date, "quick": self.quick, "machine": machine, "goals": goals, "figures": self.raw});
        let write = |name: String, text: String| {
            let path = folder.join(name);
            fs::create_dir_all(folder)
                .and_then(|()| fs::write(&path, text))
                .map_err(|error| format!("{}: {error}", path.display()))
        };
        write(format!("{date}.md"), self.markdown())?;
        write(format!("{date}.json"), format!("{all:#}\n"))
    }
}
