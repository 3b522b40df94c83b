//! Fuzz target: whatever stands in a schedule, it is read whole or every mistake has its line; what was read can be printed, and
//! reads back as the same.

use super::*;

#[test]
fn any_text() {
    bolero::check!(name = "schedule").for_each(|bytes: &[u8]| {
        let Ok(text) = std::str::from_utf8(bytes) else { return };
        let lines = text.matches('\n').count() + 1;
        match Schedule::parse(text) {
            Ok(schedule) => {
                assert!(schedule.faults.len() <= FAULTS_MAX);
                assert!((0..schedule.faults.len()).all(|n| (1..=lines).contains(&schedule.line_of(n))), "{text:?}");
                let printed = schedule.to_string();
                let again = Schedule::parse(&printed).unwrap_or_else(|error| panic!("{error}\n{printed}"));
                assert_eq!(again, schedule, "{text:?}\n{printed}");
                // The same TOML by another reader.
                printed.parse::<toml::Table>().expect("what is printed is TOML");
            }
            Err(ScheduleMistakes(mistakes)) => {
                assert!((1..=MISTAKES_MAX).contains(&mistakes.len()));
                for (line, what) in mistakes {
                    assert!((1..=lines).contains(&line) && !what.is_empty(), "{line}: {what}\n{text:?}");
                }
            }
        }
    });
}
