//! Reads a schedule: TOML, with every mistake told at once with its line (docs/formats/schedule.md).

use super::planned::{Planned, Schedule, What};
use super::setting::{Apply, Class, Flap, Odds, Setting, Share, Trouble};
use super::spelling::{PREFIX_BYTES_MAX, class_words, classes_of, fault_of, per_mille_of, size_of, time_of};
use outlast_rules::{Fault, StoreName};
use std::fmt;
use std::ops::Range;
use std::time::Duration;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// A thousand faults with everything said of each have some 300 KiB.
pub const SCHEDULE_BYTES_MAX: usize = 512 * 1024;
/// Two hours of a fault each seven seconds.
pub const FAULTS_MAX: usize = 1000;
/// Longer codes nobody has.
const CODE_BYTES_MAX: usize = 128;
/// More would scroll the first, which often explains the others, away.
const MISTAKES_MAX: usize = 20;

const TROUBLES: &str = "refuse, hang, slow, throttle, denied, read only, full, gone, clock skew, answer, server error, \
    bad answer, fail after applying, cut bodies, end bodies, wrong bytes, name does not resolve, certificate expired, \
    not sent, stand still, break off";

/// Everything that is wrong with a schedule: line, words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScheduleMistakes(pub Vec<(usize, String)>);

impl fmt::Display for ScheduleMistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<String> = self.0.iter().map(|(line, what)| format!("line {line}: {what}")).collect();
        f.write_str(&lines.join("\n"))
    }
}

impl std::error::Error for ScheduleMistakes {}

impl Schedule {
    /// # Errors
    /// Everything that is wrong, with its line and what may stand there.
    pub fn parse(text: &str) -> Result<Schedule, ScheduleMistakes> {
        let mut told = Told { text, mistakes: Vec::new() };
        let schedule = whole(text, &mut told);
        let mut mistakes = told.mistakes;
        if mistakes.is_empty() {
            return Ok(schedule);
        }
        mistakes.sort_by_key(|(line, _)| *line);
        mistakes.truncate(MISTAKES_MAX);
        Err(ScheduleMistakes(mistakes))
    }
}

/// Gathers mistakes; reading goes on after each.
struct Told<'t> {
    text: &'t str,
    mistakes: Vec<(usize, String)>,
}

impl Told<'_> {
    fn wrong(&mut self, span: &Range<usize>, what: impl Into<String>) {
        let line = self.line(span);
        self.mistakes.push((line, what.into()));
    }

    fn line(&self, span: &Range<usize>) -> usize {
        self.text.as_bytes()[..span.start.min(self.text.len())].iter().filter(|byte| **byte == b'\n').count() + 1
    }
}

/// A table while it is read, and which of its keys were asked for.
struct Table<'d> {
    table: &'d DeTable<'d>,
    span: Range<usize>,
    known: Vec<&'static str>,
}

impl<'d> Table<'d> {
    fn new(table: &'d DeTable<'d>, span: Range<usize>) -> Table<'d> {
        Table { table, span, known: Vec::new() }
    }

    fn take(&mut self, key: &'static str) -> Option<&'d Spanned<DeValue<'d>>> {
        self.known.push(key);
        self.table.get(key)
    }

    fn text(&mut self, key: &'static str, told: &mut Told<'_>) -> Option<(&'d str, Range<usize>)> {
        let value = self.take(key)?;
        let text = value.get_ref().as_str();
        if text.is_none() {
            told.wrong(&value.span(), format!("{key} is a text: put it into \"quotes\""));
        }
        Some((text?, value.span()))
    }

    /// A text that `parse` understands.
    fn parsed<T>(
        &mut self,
        key: &'static str,
        parse: impl Fn(&str) -> Result<T, String>,
        told: &mut Told<'_>,
    ) -> Option<T> {
        let (text, span) = self.text(key, told)?;
        parse(text).map_err(|why| told.wrong(&span, format!("{key}: {why}"))).ok()
    }

    fn time(&mut self, key: &'static str, told: &mut Told<'_>) -> Option<Duration> {
        self.parsed(key, time_of, told)
    }

    /// A whole number up to `most`; as a text too, because TOML's end at 63 bits, and then with a unit where one is known.
    fn number(
        &mut self,
        key: &'static str,
        most: u64,
        unit: Option<fn(&str) -> Result<u64, String>>,
        told: &mut Told<'_>,
    ) -> Option<u64> {
        let value = self.take(key)?;
        let number = match (value.get_ref().as_integer(), value.get_ref().as_str()) {
            (Some(whole), _) => u64::from_str_radix(whole.as_str(), whole.radix()).ok(),
            (None, Some(text)) => text.parse().ok().or_else(|| unit?(text).ok()),
            _ => None,
        };
        let number = number.filter(|number| *number <= most);
        if number.is_none() {
            let units = if unit.is_some() { ", or a size like \"64KiB\"" } else { "" };
            told.wrong(&value.span(), format!("{key} is a whole number from 0 to {most}{units}"));
        }
        number
    }

    fn finish(self, told: &mut Told<'_>) {
        for key in self.table.keys().filter(|key| !self.known.contains(&key.get_ref().as_ref())) {
            let mut known = self.known.clone();
            known.sort_unstable();
            let what = format!("there is no key \"{}\" here; there is: {}", key.get_ref(), known.join(", "));
            told.wrong(&key.span(), what);
        }
    }
}

fn whole(text: &str, told: &mut Told<'_>) -> Schedule {
    let mut schedule = Schedule::default();
    if text.len() > SCHEDULE_BYTES_MAX {
        told.wrong(&(0..0), format!("the schedule has {} bytes; at most {SCHEDULE_BYTES_MAX} are read", text.len()));
        return schedule;
    }
    let (document, broken) = DeTable::parse_recoverable(text);
    for error in &broken {
        told.wrong(&error.span().unwrap_or(0..0), format!("this is not TOML: {}", error.message().trim()));
    }
    if !broken.is_empty() {
        return schedule;
    }
    let mut top = Table::new(document.get_ref(), 0..0);
    match top.number("format", u64::MAX, None, told) {
        Some(1) => {}
        Some(other) => told.wrong(&(0..0), format!("format {other} is not known: this program reads format 1")),
        None if top.table.get("format").is_some() => {}
        None => told.wrong(&(0..0), "the first line is missing: format = 1"),
    }
    let faults = top.take("fault");
    top.finish(told);
    let Some(faults) = faults else { return schedule };
    let Some(list) = faults.get_ref().as_array() else {
        told.wrong(&faults.span(), "write [[fault]] on a line of its own before each fault");
        return schedule;
    };
    if list.len() > FAULTS_MAX {
        told.wrong(&faults.span(), format!("there are {} faults; at most {FAULTS_MAX} are read", list.len()));
        return schedule;
    }
    for item in list.iter() {
        let Some(table) = item.get_ref().as_table() else {
            told.wrong(&item.span(), "write [[fault]] on a line of its own before each fault");
            continue;
        };
        if let Some(planned) = one(Table::new(table, item.span()), told) {
            schedule.lines.push(told.line(&item.span()));
            schedule.faults.push(planned);
        }
    }
    schedule
}

fn one(mut table: Table<'_>, told: &mut Told<'_>) -> Option<Planned> {
    let span = table.span.clone();
    let store = table.parsed("store", |name| StoreName::parse(name).map_err(|error| error.to_string()), told);
    let at = table.time("at", told);
    let Some((word, word_span)) = table.text("trouble", told) else {
        if !table.known_is_there("trouble") {
            told.wrong(&span, "this fault has no trouble: say what goes wrong, as trouble = \"refuse\"");
        }
        return None;
    };
    let what = match word {
        "stand still" => Some(What::StandStill { late: table.time("late", told).unwrap_or_default() }),
        "break off" => Some(What::BreakOff),
        _ => setting(&mut table, word, &word_span, told).map(What::Setting),
    };
    let lasts = if what == Some(What::BreakOff) { Some(Duration::ZERO) } else { table.time("lasts", told) };
    for (key, why) in [
        ("store", "say which store: store = \"b2\""),
        ("at", "say when it begins: at = \"10s\" after the beginning"),
        ("lasts", "say how long: lasts = \"30s\""),
    ] {
        let needed = key != "lasts" || what != Some(What::BreakOff);
        if needed && !table.known_is_there(key) {
            told.wrong(&span, format!("this fault has no {key}: {why}"));
        }
    }
    if lasts == Some(Duration::ZERO) && what.is_some() && what != Some(What::BreakOff) {
        told.wrong(&span, "this fault lasts no time");
    }
    // Which other keys there may be, only a trouble that is known tells.
    if what.is_some() {
        table.finish(told);
    }
    Some(Planned { store: store?, at: at?, lasts: lasts?, what: what? })
}

impl Table<'_> {
    fn known_is_there(&self, key: &str) -> bool {
        self.table.get(key).is_some()
    }
}

fn setting(table: &mut Table<'_>, word: &str, word_span: &Range<usize>, told: &mut Told<'_>) -> Option<Setting> {
    let trouble = trouble(table, word, word_span, told);
    let usual = if word == "read only" { Setting::read_only().classes } else { Class::ALL.to_vec() };
    let classes = on(table, told).unwrap_or(usual);
    let keys = table.text("keys", told);
    if let Some((keys, span)) = &keys
        && keys.len() > PREFIX_BYTES_MAX
    {
        told.wrong(span, format!("keys is longer than the {PREFIX_BYTES_MAX} bytes that a key may have"));
    }
    let (share, share_salt) = part(table, "share", told);
    let (odds, odds_salt) = part(table, "odds", told);
    let flap = flap(table, told);
    let times = table.number("times", u64::from(u32::MAX), None, told).map(|times| times as u32);
    if times == Some(0) {
        told.wrong(word_span, "times = 0 is no fault at all");
    }
    Some(Setting {
        classes,
        prefix: keys.map(|(keys, _)| keys.to_owned()).unwrap_or_default(),
        share: Share { per_mille: share, salt: share_salt },
        odds: Odds { per_mille: odds, salt: odds_salt },
        flap,
        times,
        trouble: trouble?,
    })
}

fn trouble(table: &mut Table<'_>, word: &str, word_span: &Range<usize>, told: &mut Told<'_>) -> Option<Trouble> {
    Some(match word {
        "refuse" => Trouble::Refuse,
        "name does not resolve" => Trouble::NotSent(Fault::NameNotResolved),
        "certificate expired" => Trouble::NotSent(Fault::Certificate),
        "not sent" => Trouble::NotSent(fault(table, word_span, told)?),
        "hang" => Trouble::Hang(applies(table, told).unwrap_or(Apply::Never)),
        "slow" => {
            let (before, after) = (table.time("before", told), table.time("after", told));
            let bytes_per_second = table.number("bytes_per_second", u64::MAX, Some(size_of), told);
            if ["before", "after", "bytes_per_second"].iter().all(|key| !table.known_is_there(key)) {
                told.wrong(word_span, "slow by how much? say before, after or bytes_per_second");
            }
            Trouble::Slow { before: before.unwrap_or_default(), after: after.unwrap_or_default(), bytes_per_second }
        }
        "denied" | "read only" => Trouble::DENIED,
        "throttle" => Trouble::SLOW_DOWN,
        "full" => Trouble::FULL,
        "clock skew" => Trouble::SKEWED,
        "gone" => Trouble::GONE,
        "answer" => {
            let fault = fault(table, word_span, told);
            let status = table.number("status", 999, None, told);
            let code = table.text("code", told);
            if let Some((_, span)) = code.as_ref().filter(|(code, _)| code.len() > CODE_BYTES_MAX) {
                told.wrong(span, format!("code is longer than {CODE_BYTES_MAX} bytes"));
            }
            if status.is_none() && !table.known_is_there("status") {
                told.wrong(word_span, "which answer? say its status, as status = 403");
            }
            let code = code.map(|(code, _)| code.to_owned()).unwrap_or_default();
            Trouble::Answer { fault: fault?, status: status? as u16, code: code.into() }
        }
        "fail after applying" => Trouble::FailAfterApplying,
        "server error" => {
            let status = table.number("status", 999, None, told).unwrap_or(500) as u16;
            match server_applies(table, told) {
                Apply::After(late) => Trouble::LateServerError { status, late },
                applies => Trouble::ServerError { status, applies: applies == Apply::AtOnce },
            }
        }
        "bad answer" => Trouble::BadAnswer { applies: applies_or_not(table, told) },
        "cut bodies" => Trouble::CutBodies { after: table.number("after_bytes", u64::MAX, Some(size_of), told)? },
        "end bodies" => Trouble::EndBodies { after: table.number("after_bytes", u64::MAX, Some(size_of), told)? },
        "wrong bytes" => Trouble::WrongBytes,
        other => {
            told.wrong(word_span, format!("there is no trouble \"{other}\"; there is: {TROUBLES}"));
            return None;
        }
    })
}

fn fault(table: &mut Table<'_>, word_span: &Range<usize>, told: &mut Told<'_>) -> Option<Fault> {
    let understood = |word: &str| fault_of(word).ok_or_else(|| format!("\"{word}\" is no fault that stores have"));
    if table.take("fault").is_none() {
        told.wrong(word_span, "as what is it understood? say fault = \"denied\", \"throttled\", \"unreachable\", …");
    }
    table.parsed("fault", understood, told)
}

fn applies(table: &mut Table<'_>, told: &mut Told<'_>) -> Option<Apply> {
    let read = |text: &str| match text {
        "never" => Ok(Apply::Never),
        "at once" => Ok(Apply::AtOnce),
        "when it flows" => Ok(Apply::WhenItFlows),
        _ => match (text.strip_prefix("after "), text.strip_suffix(" after it flows")) {
            (Some(late), _) => time_of(late).map(Apply::After),
            (None, Some(late)) => time_of(late).map(Apply::AfterItFlows),
            (None, None) => {
                let words = "write \"never\", \"at once\", \"after 10s\", \"when it flows\" or \"10s after it flows\"";
                Err(words.to_owned())
            }
        },
    };
    table.parsed("applies", read, told)
}

/// Somebody in between gives up and the store goes on: the call is applied at once, later, or never.
fn server_applies(table: &mut Table<'_>, told: &mut Told<'_>) -> Apply {
    let read = |text: &str| match text {
        "never" => Ok(Apply::Never),
        "at once" => Ok(Apply::AtOnce),
        _ => match text.strip_prefix("after ") {
            Some(late) => time_of(late).map(Apply::After),
            None => Err("write \"never\", \"at once\" or \"after 10s\"".to_owned()),
        },
    };
    table.parsed("applies", read, told).unwrap_or(Apply::Never)
}

fn applies_or_not(table: &mut Table<'_>, told: &mut Told<'_>) -> bool {
    let read = |text: &str| match text {
        "never" => Ok(false),
        "at once" => Ok(true),
        _ => Err("write \"never\" or \"at once\"".to_owned()),
    };
    table.parsed("applies", read, told).unwrap_or_default()
}

/// One word, or a list of them.
fn on(table: &mut Table<'_>, told: &mut Told<'_>) -> Option<Vec<Class>> {
    let value = table.take("on")?;
    let list = value.get_ref().as_array();
    let items = list.map_or_else(|| vec![value], |list| list.iter().collect());
    let mut classes = Vec::new();
    for item in items {
        let read = item.get_ref().as_str().ok_or_else(|| "write on = [\"get\", \"writes\"]".to_owned());
        match read.and_then(classes_of) {
            Ok(more) => classes.extend(more),
            Err(why) => told.wrong(&item.span(), format!("on: {why}")),
        }
    }
    if let Some(twice) = (1..classes.len()).find(|n| classes[..*n].contains(&classes[*n])) {
        let word = class_words(&classes[twice..=twice]).join("");
        told.wrong(&value.span(), format!("on names {word} twice"));
    }
    if classes.is_empty() {
        told.wrong(&value.span(), "on names no call: leave it out for all of them");
    }
    Some(classes)
}

/// `"50 %"`, or `{ part = "50 %", salt = 1 }`.
fn part(table: &mut Table<'_>, key: &'static str, told: &mut Told<'_>) -> (u16, u64) {
    let Some(value) = table.take(key) else { return (1000, 0) };
    let Some(inner) = value.get_ref().as_table() else {
        return (table.parsed(key, per_mille_of, told).unwrap_or(1000), 0);
    };
    let mut inner = Table::new(inner, value.span());
    let per_mille = inner.parsed("part", per_mille_of, told);
    let salt = inner.number("salt", u64::MAX, None, told).unwrap_or_default();
    if !inner.known_is_there("part") {
        told.wrong(&value.span(), format!("{key}: which part? write {{ part = \"50 %\", salt = {salt} }}"));
    }
    inner.finish(told);
    (per_mille.unwrap_or(1000), salt)
}

fn flap(table: &mut Table<'_>, told: &mut Told<'_>) -> Option<Flap> {
    let value = table.take("flap")?;
    let Some(inner) = value.get_ref().as_table() else {
        told.wrong(&value.span(), "write flap = { on = \"2s\", off = \"3s\" }");
        return None;
    };
    let mut inner = Table::new(inner, value.span());
    let flap = (inner.time("on", told), inner.time("off", told));
    if !inner.known_is_there("on") || !inner.known_is_there("off") {
        told.wrong(&value.span(), "write flap = { on = \"2s\", off = \"3s\" }");
    }
    inner.finish(told);
    Some(Flap { on: flap.0?, off: flap.1? })
}

#[cfg(test)]
mod fuzz;
#[cfg(test)]
mod tests;
