//! Fuzz targets: times and sizes against a second reading, and what people are shown against what was meant.

use super::*;

/// Pairs of a number and a unit, added up; None where it isn't pairs.
fn added(text: &str, units: &[(&str, u64)]) -> Option<u128> {
    let mut total = 0_u128;
    let mut rest = text.trim();
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let number: u64 = rest[..digits].parse().ok()?;
        let letters = rest[digits..].bytes().take_while(|b| !b.is_ascii_digit()).count();
        let unit = rest[digits..digits + letters].trim();
        let (_, worth) = units.iter().find(|(name, _)| *name == unit)?;
        total += u128::from(number) * u128::from(*worth);
        rest = &rest[digits + letters..];
    }
    Some(total)
}

#[test]
fn texts() {
    bolero::check!(name = "units").for_each(|bytes: &[u8]| {
        let Ok(text) = std::str::from_utf8(bytes) else { return };
        let countable = |total: &u128| *total <= u128::from(u64::MAX);
        let due = added(text, &DURATIONS).filter(|_| !text.trim().is_empty());
        assert_eq!(parse_duration(text).ok().map(u128::from), due.filter(countable), "{text:?}");
        if let Ok(bytes) = parse_size(text) {
            assert_eq!(added(text, &SIZES), Some(bytes.into()), "{text:?}");
        }
        assert!([parse_duration(text).err(), parse_size(text).err()].iter().flatten().all(|help| !help.is_empty()));
    });
}

#[test]
fn numbers() {
    bolero::check!(name = "units-shown").with_type::<u64>().cloned().for_each(|number| {
        let shown = duration_text(number);
        let read = parse_duration(&shown).expect("what is shown can be typed");
        // Two units: less than one of the smaller is left out.
        let smaller = DURATIONS.iter().filter(|(name, _)| shown.ends_with(name)).map(|(_, ms)| *ms).max();
        assert!(
            read <= number && number - read < smaller.expect("it ends with a unit").max(1_000) * 24,
            "{number}: {shown}"
        );
        let text = size_text(number);
        let (amount, unit) = text.split_once(' ').expect("a number and a unit");
        let worth = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"].iter().position(|name| *name == unit).expect("a unit");
        let amount = amount.parse::<f64>().expect("a number") * 1024_f64.powi(worth as i32);
        assert!((amount - number as f64).abs() <= number as f64 * 0.05 + 0.5, "{number} is shown as {text}");
    });
}
