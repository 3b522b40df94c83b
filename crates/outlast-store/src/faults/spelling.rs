//! How troubles, calls, times and shares are spelled: the same words in files, logs and commands.

use super::setting::{Class, Trouble};
use outlast_rules::Fault;
use serde::Deserialize;
use serde::de::value::{Error, StrDeserializer};
use std::time::Duration;

/// Unit, nanoseconds; the longest first, so that a time is printed in the largest unit that says it exactly.
const TIMES: [(&str, u128); 6] = [
    ("h", 3_600_000_000_000),
    ("m", 60_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("ns", 1),
];
/// Longer times are mistakes of somebody who meant another unit, and sums of two of them always fit.
pub const TIME_MAX: Duration = Duration::from_secs(24 * 3600);

/// S3's longest key.
pub const PREFIX_BYTES_MAX: usize = 1024;

const SIZES: [(&str, u64); 7] = [
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("KB", 1_000),
    ("B", 1),
];

const CLASSES: [(&str, Class); 7] = [
    ("head", Class::Head),
    ("get", Class::Get),
    ("list", Class::List),
    ("commit", Class::Commit),
    ("delete", Class::Delete),
    ("upload", Class::Upload),
    ("bucket", Class::Bucket),
];

impl Trouble {
    /// What a schedule calls it. Some take more keys.
    pub fn word(&self) -> &'static str {
        match self {
            Trouble::Refuse => "refuse",
            Trouble::NotSent(Fault::NameNotResolved) => "name does not resolve",
            Trouble::NotSent(Fault::Certificate) => "certificate expired",
            Trouble::NotSent(_) => "not sent",
            Trouble::Hang(_) => "hang",
            Trouble::Slow { .. } => "slow",
            trouble if *trouble == Trouble::DENIED => "denied",
            trouble if *trouble == Trouble::SLOW_DOWN => "throttle",
            trouble if *trouble == Trouble::FULL => "full",
            trouble if *trouble == Trouble::SKEWED => "clock skew",
            trouble if *trouble == Trouble::GONE => "gone",
            Trouble::Answer { .. } => "answer",
            Trouble::FailAfterApplying => "fail after applying",
            Trouble::ServerError { .. } | Trouble::LateServerError { .. } => "server error",
            Trouble::BadAnswer { .. } => "bad answer",
            Trouble::CutBodies { .. } => "cut bodies",
            Trouble::EndBodies { .. } => "end bodies",
            Trouble::WrongBytes => "wrong bytes",
        }
    }
}

/// `["writes"]`, or the calls one by one; in their order.
pub fn class_words(classes: &[Class]) -> Vec<&'static str> {
    if classes == Class::READS {
        return vec!["reads"];
    }
    if classes == Class::WRITES {
        return vec!["writes"];
    }
    classes.iter().filter_map(|class| CLASSES.iter().find(|(_, is)| is == class)).map(|(word, _)| *word).collect()
}

/// What one word of `on` stands for.
///
/// # Errors
/// What there is to choose from.
pub fn classes_of(word: &str) -> Result<Vec<Class>, String> {
    match word {
        "reads" => Ok(Class::READS.to_vec()),
        "writes" => Ok(Class::WRITES.to_vec()),
        _ => match CLASSES.iter().find(|(name, _)| *name == word) {
            Some((_, class)) => Ok(vec![*class]),
            None => {
                let all: Vec<&str> = CLASSES.iter().map(|(name, _)| *name).collect();
                Err(format!("there is no call \"{word}\": write reads, writes, or of {}", all.join(", ")))
            }
        },
    }
}

/// `90s` → `90s`, `120s` → `2m`: what `time_of` reads back as the same.
pub fn time_text(time: Duration) -> String {
    let whole = |unit: u128| time.as_nanos().is_multiple_of(unit) && !time.is_zero();
    let (unit, size) = TIMES.iter().find(|(_, size)| whole(*size)).unwrap_or(&TIMES[2]);
    format!("{}{unit}", time.as_nanos() / size)
}

/// `1m30s`, `250ms`.
///
/// # Errors
/// How to write it, or that it is too long.
pub fn time_of(text: &str) -> Result<Duration, String> {
    let how = || format!("\"{text}\" is no time: write a number with ms, s, m or h, as \"250ms\" or \"1m30s\"");
    let mut rest = text.trim();
    let mut nanos = 0_u128;
    if rest.is_empty() {
        return Err(how());
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(how)?;
        let number: u64 = rest[..digits].parse().map_err(|_| how())?;
        let after = &rest[digits..];
        let letters = after.find(|c: char| c.is_ascii_digit()).unwrap_or(after.len());
        let unit = after[..letters].trim();
        let (_, size) = TIMES.iter().find(|(name, _)| *name == unit).ok_or_else(how)?;
        nanos = nanos.saturating_add(u128::from(number) * size);
        rest = &after[letters..];
    }
    if nanos > TIME_MAX.as_nanos() {
        return Err(format!("\"{text}\" is longer than the {} h that anything may take", TIME_MAX.as_secs() / 3600));
    }
    Ok(Duration::from_nanos(u64::try_from(nanos).expect("a day has fewer nanoseconds")))
}

/// `64MiB`, `1 KB`.
///
/// # Errors
/// How to write it.
pub fn size_of(text: &str) -> Result<u64, String> {
    let how = || format!("\"{text}\" is no size: write a number with B, KiB, MiB or GiB, as \"64MiB\"");
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit()).ok_or_else(how)?;
    let number: u64 = text[..digits].parse().map_err(|_| how())?;
    let (_, size) = SIZES.iter().find(|(name, _)| *name == text[digits..].trim()).ok_or_else(how)?;
    number.checked_mul(*size).ok_or_else(how)
}

/// 305 of 1000 → `30.5 %`.
pub fn percent(per_mille: u16) -> String {
    match per_mille % 10 {
        0 => format!("{} %", per_mille / 10),
        tenths => format!("{}.{tenths} %", per_mille / 10),
    }
}

/// `30.5 %` → 305 of 1000.
///
/// # Errors
/// How to write it.
pub fn per_mille_of(text: &str) -> Result<u16, String> {
    let how = || format!("\"{text}\" is no share: write \"0 %\" to \"100 %\", with one digit after the point at most");
    let number = text.trim().strip_suffix('%').ok_or_else(how)?.trim_end();
    let (whole, tenths) = number.split_once('.').unwrap_or((number, "0"));
    let digits = |text: &str| !text.is_empty() && text.len() <= 3 && text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(tenths) || tenths.len() > 1 {
        return Err(how());
    }
    let read = |text: &str| text.parse::<u16>().map_err(|_| how());
    Some(read(whole)? * 10 + read(tenths)?).filter(|share| *share <= 1000).ok_or_else(how)
}

/// `name_not_resolved`, as everywhere where faults are written down.
pub fn fault_word(fault: Fault) -> String {
    let value = serde_json::to_value(fault).expect("a fault is one word");
    value.as_str().expect("a fault is one word").to_owned()
}

pub fn fault_of(word: &str) -> Option<Fault> {
    Fault::deserialize(StrDeserializer::<Error>::new(word)).ok()
}
