//! Faults over time as plain data, and how they are printed.

use super::setting::{Apply, Class, Setting, Trouble};
use super::spelling::{class_words, fault_word, percent, time_text};
use outlast_rules::StoreName;
use std::fmt;
use std::time::Duration;

/// What a schedule lets happen, in the order of its file.
#[derive(Debug, Clone, Default)]
pub struct Schedule {
    pub faults: Vec<Planned>,
    /// Where in the file each of them begins, counted from 1; 0: it is in no file.
    pub(super) lines: Vec<usize>,
}

/// One fault of a schedule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Planned {
    pub store: StoreName,
    /// Since the beginning.
    pub at: Duration,
    /// Zero for what is over at once.
    pub lasts: Duration,
    pub what: What,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    Setting(Setting),
    /// The store stops as under SIGSTOP, calls and bodies on their way too; what it is sent meanwhile applies when it goes on.
    StandStill {
        /// What it was sent meanwhile applies so much later than it goes on.
        late: Duration,
    },
    /// Every connection to the store breaks.
    BreakOff,
}

impl What {
    pub fn word(&self) -> &'static str {
        match self {
            What::Setting(setting) => setting.trouble.word(),
            What::StandStill { .. } => "stand still",
            What::BreakOff => "break off",
        }
    }
}

impl Schedule {
    pub fn of(faults: Vec<Planned>) -> Schedule {
        Schedule { faults, lines: Vec::new() }
    }

    /// The line of the n-th fault, for what is found out about it later.
    pub fn line_of(&self, n: usize) -> usize {
        self.lines.get(n).copied().unwrap_or_default()
    }

    /// When the last of it is over.
    pub fn length(&self) -> Duration {
        self.faults.iter().map(|planned| planned.at + planned.lasts).max().unwrap_or_default()
    }
}

/// The same faults; where they stand in a file does not matter.
impl PartialEq for Schedule {
    fn eq(&self, other: &Schedule) -> bool {
        self.faults == other.faults
    }
}

impl Planned {
    /// The setting, where a drill in production may do this.
    ///
    /// # Errors
    /// Why not, in words.
    pub fn for_drills(&self) -> Result<&Setting, String> {
        match &self.what {
            What::Setting(setting) => setting.is_for_drills().map(|()| setting),
            other => Err(format!("\"{}\" is for tests: a drill may refuse, hang or slow", other.word())),
        }
    }
}

/// The file that reads back as the same.
impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "format = 1")?;
        self.faults.iter().try_for_each(|planned| write!(f, "\n{planned}"))
    }
}

impl fmt::Display for Planned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "[[fault]]")?;
        writeln!(f, "store = {}", quoted(self.store.as_str()))?;
        writeln!(f, "at = \"{}\"", time_text(self.at))?;
        if self.what != What::BreakOff {
            writeln!(f, "lasts = \"{}\"", time_text(self.lasts))?;
        }
        writeln!(f, "trouble = \"{}\"", self.what.word())?;
        let setting = match &self.what {
            What::Setting(setting) => setting,
            What::StandStill { late } if !late.is_zero() => return writeln!(f, "late = \"{}\"", time_text(*late)),
            What::StandStill { .. } | What::BreakOff => return Ok(()),
        };
        trouble(f, &setting.trouble)?;
        if setting.classes != Class::ALL {
            let words: Vec<String> = class_words(&setting.classes).into_iter().map(quoted).collect();
            writeln!(f, "on = [{}]", words.join(", "))?;
        }
        if !setting.prefix.is_empty() {
            writeln!(f, "keys = {}", quoted(&setting.prefix))?;
        }
        part(f, "share", setting.share.per_mille, setting.share.salt)?;
        part(f, "odds", setting.odds.per_mille, setting.odds.salt)?;
        if let Some(flap) = setting.flap {
            writeln!(f, "flap = {{ on = \"{}\", off = \"{}\" }}", time_text(flap.on), time_text(flap.off))?;
        }
        setting.times.map_or(Ok(()), |times| writeln!(f, "times = {times}"))
    }
}

/// The keys that this trouble alone has.
fn trouble(f: &mut fmt::Formatter<'_>, trouble: &Trouble) -> fmt::Result {
    match trouble {
        Trouble::NotSent(fault) if trouble.word() == "not sent" => writeln!(f, "fault = \"{}\"", fault_word(*fault)),
        Trouble::Hang(Apply::Never) => Ok(()),
        Trouble::Hang(Apply::AtOnce) => writeln!(f, "applies = \"at once\""),
        Trouble::Hang(Apply::WhenItFlows) => writeln!(f, "applies = \"when it flows\""),
        Trouble::Hang(Apply::After(late)) => writeln!(f, "applies = \"after {}\"", time_text(*late)),
        Trouble::Hang(Apply::AfterItFlows(late)) => writeln!(f, "applies = \"{} after it flows\"", time_text(*late)),
        Trouble::Slow { before, after, bytes_per_second } => {
            writeln!(f, "before = \"{}\"", time_text(*before))?;
            writeln!(f, "after = \"{}\"", time_text(*after))?;
            bytes_per_second.map_or(Ok(()), |pace| writeln!(f, "bytes_per_second = {}", number(pace)))
        }
        Trouble::Answer { fault, status, code } if trouble.word() == "answer" => {
            writeln!(f, "fault = \"{}\"\nstatus = {status}\ncode = {}", fault_word(*fault), quoted(code))
        }
        Trouble::ServerError { status, applies } => writeln!(f, "status = {status}\n{}", applied(*applies)),
        Trouble::LateServerError { status, late } => {
            writeln!(f, "status = {status}\napplies = \"after {}\"", time_text(*late))
        }
        Trouble::BadAnswer { applies } => writeln!(f, "{}", applied(*applies)),
        Trouble::CutBodies { after } | Trouble::EndBodies { after } => {
            writeln!(f, "after_bytes = {}", number(*after))
        }
        _ => Ok(()),
    }
}

fn applied(applies: bool) -> String {
    format!("applies = \"{}\"", if applies { "at once" } else { "never" })
}

fn part(f: &mut fmt::Formatter<'_>, key: &str, per_mille: u16, salt: u64) -> fmt::Result {
    match (per_mille, salt) {
        (1000, 0) => Ok(()),
        (_, 0) => writeln!(f, "{key} = \"{}\"", percent(per_mille)),
        _ => writeln!(f, "{key} = {{ part = \"{}\", salt = {} }}", percent(per_mille), number(salt)),
    }
}

/// TOML's whole numbers end at 63 bits; above, it is put into quotes.
fn number(number: u64) -> String {
    if i64::try_from(number).is_ok() { number.to_string() } else { format!("\"{number}\"") }
}

fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if c.is_control() => out.push_str(&format!("\\u{:04X}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}
