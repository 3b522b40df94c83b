//! "15m" and "64MiB": numbers that carry their unit, because a bare 15 is read differently by everybody.

/// Unit, milliseconds. Longest first, so that `ms` is not taken for `m`.
const DURATIONS: [(&str, u64); 5] = [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];

/// Unit, bytes. Binary and decimal units are different words and both are understood.
const SIZES: [(&str, u64); 9] = [
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
    ("KB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("TB", 1_000_000_000_000),
    ("B", 1),
];

/// Milliseconds in "15m", "500ms", "1h30m". The error is the help text.
pub fn parse_duration(text: &str) -> Result<u64, String> {
    let mut rest = text.trim();
    if rest.is_empty() {
        return Err("write a number and a unit: \"500ms\", \"10s\", \"15m\", \"1h30m\"".into());
    }
    let mut total = 0_u64;
    while !rest.is_empty() {
        let (number, after) = leading_number(rest)
            .ok_or_else(|| "write a number and a unit: \"500ms\", \"10s\", \"15m\", \"1h30m\"".to_owned())?;
        let letters = after.find(|c: char| c.is_ascii_digit()).unwrap_or(after.len());
        let (unit, next) = after.split_at(letters);
        let unit = unit.trim();
        let Some((_, ms)) = DURATIONS.iter().find(|(name, _)| *name == unit) else {
            return Err(match unit {
                "" => format!("{number} what? write \"{number}s\" for seconds, \"{number}m\" for minutes"),
                _ => format!("units of time are ms, s, m, h and d, not \"{unit}\""),
            });
        };
        total = number
            .checked_mul(*ms)
            .and_then(|more| total.checked_add(more))
            .ok_or_else(|| "that is longer than this program can count".to_owned())?;
        rest = next.trim_start();
    }
    Ok(total)
}

/// Bytes in "64MiB", "10GB", "512B". The error is the help text.
pub fn parse_size(text: &str) -> Result<u64, String> {
    let how = || "write a number and a unit: \"64MiB\", \"10GiB\"".to_owned();
    let (number, unit) = leading_number(text.trim()).ok_or_else(how)?;
    let unit = unit.trim();
    if unit.is_empty() {
        return Err(format!("{number} what? write \"{number}MiB\" or \"{number}GiB\""));
    }
    let Some((_, bytes)) = SIZES.iter().find(|(name, _)| *name == unit) else {
        let near = SIZES.iter().find(|(name, _)| {
            let short = name.replace(['i', 'B'], "");
            name.eq_ignore_ascii_case(unit) || (!short.is_empty() && short.eq_ignore_ascii_case(unit))
        });
        return Err(match near {
            Some((name, _)) => format!("did you mean \"{number}{name}\"?"),
            None => format!("units of size are B, KiB, MiB, GiB, TiB and KB, MB, GB, TB, not \"{unit}\""),
        });
    };
    number.checked_mul(*bytes).ok_or_else(|| "that is more than this program can count".to_owned())
}

fn leading_number(text: &str) -> Option<(u64, &str)> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    Some((text[..digits].parse().ok()?, &text[digits..]))
}

/// "1 object", "2 objects", "0 copies".
pub fn count_text(count: u64, noun: &str) -> String {
    let stem = noun.strip_suffix('y').filter(|stem| !stem.ends_with(['a', 'e', 'i', 'o', 'u']));
    match (count, stem) {
        (1, _) => format!("1 {noun}"),
        (_, Some(stem)) => format!("{count} {stem}ies"),
        (_, None) => format!("{count} {noun}s"),
    }
}

/// 1536 → "1.5 KiB".
pub fn size_text(bytes: u64) -> String {
    let units = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut value = bytes as f64 / 1024.0;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < units.len() {
        value /= 1024.0;
        unit += 1;
    }
    if value.fract() < 0.05 || value >= 100.0 {
        format!("{value:.0} {}", units[unit])
    } else {
        format!("{value:.1} {}", units[unit])
    }
}

/// 95_000 → "1m 35s"; the two largest units, because nobody reads the third.
pub fn duration_text(ms: u64) -> String {
    if ms < 1_000 {
        return format!("{ms}ms");
    }
    let mut rest = ms;
    let mut words = Vec::new();
    for (unit, size) in DURATIONS.iter().rev().filter(|(unit, _)| *unit != "ms") {
        if rest >= *size && words.len() < 2 {
            words.push(format!("{}{unit}", rest / size));
            rest %= size;
        }
    }
    words.join(" ")
}

#[cfg(test)]
mod fuzz;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        let check = |text: &str, want: Result<u64, &str>| {
            assert_eq!(parse_duration(text), want.map_err(str::to_owned), "{text}");
        };
        check("500ms", Ok(500));
        check("15m", Ok(900_000));
        check("1h30m", Ok(5_400_000));
        check("1h 30m", Ok(5_400_000));
        check("15", Err("15 what? write \"15s\" for seconds, \"15m\" for minutes"));
        check("15min", Err("units of time are ms, s, m, h and d, not \"min\""));
        check("", Err("write a number and a unit: \"500ms\", \"10s\", \"15m\", \"1h30m\""));
        check("999999999999999d", Err("that is longer than this program can count"));
    }

    #[test]
    fn sizes() {
        let check = |text: &str, want: Result<u64, &str>| {
            assert_eq!(parse_size(text), want.map_err(str::to_owned), "{text}");
        };
        check("64MiB", Ok(64 << 20));
        check("10 GB", Ok(10_000_000_000));
        check("64mb", Err("did you mean \"64MB\"?"));
        check("64M", Err("did you mean \"64MiB\"?"));
        check("64", Err("64 what? write \"64MiB\" or \"64GiB\""));
        check("64 furlongs", Err("units of size are B, KiB, MiB, GiB, TiB and KB, MB, GB, TB, not \"furlongs\""));
        check("many", Err("write a number and a unit: \"64MiB\", \"10GiB\""));
    }

    #[test]
    fn texts() {
        assert_eq!(size_text(1536), "1.5 KiB");
        assert_eq!([0, 1, 2].map(|n| count_text(n, "object")), ["0 objects", "1 object", "2 objects"]);
        assert_eq!([0, 1, 2].map(|n| count_text(n, "copy")), ["0 copies", "1 copy", "2 copies"]);
        assert_eq!(count_text(2, "key"), "2 keys");
        assert_eq!(size_text(10 << 30), "10 GiB");
        assert_eq!(size_text(7), "7 B");
        assert_eq!(duration_text(95_000), "1m 35s");
        assert_eq!(duration_text(90_061_000), "1d 1h");
        assert_eq!(duration_text(20), "20ms");
    }
}
