//! Which tests failed and why, from the report that the runner leaves, so that the last lines of a long run say it: a log
//! that was cut in its middle must still tell what broke.

use std::path::{Path, PathBuf};
use std::{fs, io};

use quick_xml::escape::resolve_predefined_entity;
use quick_xml::events::{BytesRef, BytesStart, Event};
use quick_xml::{Reader, XmlVersion};

use crate::workspace;

/// At most so much is told of one test, in characters, and of so many tests.
const WORDS_MAX: usize = 1_200;
const TESTS_MAX: usize = 20;

/// Where cargo-nextest writes its JUnit report (`path` of `.config/nextest.toml`).
pub fn report() -> PathBuf {
    workspace::target_dir().join("nextest/default/junit.xml")
}

/// Takes the report of an earlier run away, so that it can't be read as this one's.
pub fn forget(report: &Path) -> Result<(), String> {
    match fs::remove_file(report) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(format!("{}: {error}", report.display())),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// A few lines for each test that failed. Empty where there is no report, or nothing failed.
pub fn told(report: &Path) -> Vec<String> {
    let Ok(text) = fs::read_to_string(report) else { return Vec::new() };
    let mut told = told_by(&text).unwrap_or_else(|why| vec![format!("{} can't be read: {why}", report.display())]);
    let more = told.len().saturating_sub(TESTS_MAX);
    told.truncate(TESTS_MAX);
    if more > 0 {
        told.push(format!("and {more} more"));
    }
    told
}

fn told_by(text: &str) -> Result<Vec<String>, String> {
    let mut reader = Reader::from_str(text);
    let (mut told, mut test, mut said) = (Vec::new(), String::new(), None);
    loop {
        match reader.read_event().map_err(|error| error.to_string())? {
            Event::Eof => return Ok(told),
            // Its text says more than its attributes: what was expected and what was found.
            Event::Start(element) if is_failure(element.name().as_ref()) => said = Some(String::new()),
            Event::Text(text) => said = said.map(|said| said + &text),
            Event::GeneralRef(name) => said = said.map(|said| said + &meant(&name)),
            Event::End(element) if is_failure(element.name().as_ref()) => {
                let words = said.take().unwrap_or_default();
                let words = words.split("stack backtrace:").next().unwrap_or_default();
                told.push(format!("{test}\n{}", why(words.trim())));
            }
            // One that has hung, or could not be started, says nothing itself.
            Event::Empty(element) if is_failure(element.name().as_ref()) => {
                let words = format!("{} {}", attribute(&element, "type"), attribute(&element, "message"));
                told.push(format!("{test}\n{}", why(words.trim())));
            }
            Event::Start(element) | Event::Empty(element) if element.name().as_ref() == "testcase" => {
                test = format!("{} {}", attribute(&element, "classname"), attribute(&element, "name"));
            }
            _ => {}
        }
    }
}

/// `error`: it never began.
fn is_failure(name: &str) -> bool {
    matches!(name, "failure" | "error")
}

/// What stands for a character that XML writes by name or number.
fn meant(name: &BytesRef<'_>) -> String {
    let by_number = name.resolve_char_ref().ok().flatten().map(String::from);
    let by_name = || resolve_predefined_entity(name).unwrap_or("?").to_owned();
    by_number.unwrap_or_else(by_name)
}

/// An attribute's text; empty where it is not there.
fn attribute(element: &BytesStart<'_>, name: &str) -> String {
    let value = element.try_get_attribute(name).ok().flatten();
    value
        .and_then(|value| value.normalized_value(XmlVersion::Implicit1_0).ok().map(|text| text.into_owned()))
        .unwrap_or_default()
}

/// Indented, and cut where it is long: both of its ends say something.
fn why(message: &str) -> String {
    let count = message.chars().count();
    let cut: String = if count <= WORDS_MAX {
        message.to_owned()
    } else {
        let begin: String = message.chars().take(WORDS_MAX / 2).collect();
        let end: String = message.chars().skip(count - WORDS_MAX / 2).collect();
        format!("{begin} […] {end}")
    };
    cut.lines().map(|line| format!("           {line}")).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    const REPORT: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<testsuites name="nextest-run" tests="3" failures="2" errors="0">
  <testsuite name="outlast::demo" tests="3">
    <testcase name="a_good_one" classname="outlast::demo" time="1.0"/>
    <testcase name="a_bad_one" classname="outlast::demo" time="2.0">
      <failure message="thread &apos;a_bad_one&apos; panicked at demo.rs:3:5" type="test failure">thread &apos;a_bad_one&apos; panicked at demo.rs:3:5:
a pause of 2100 ms &gt; 2000 ms
stack backtrace:
   0: somewhere</failure>
      <system-err>many lines</system-err>
    </testcase>
    <testcase name="a_hung_one" classname="outlast::demo" time="120.0">
      <failure type="test timeout"/>
    </testcase>
  </testsuite>
</testsuites>"#;

    #[test]
    fn a_failed_test_is_told_with_its_reason_and_no_other() {
        let told = told_by(REPORT).expect("it is one");
        let [one, hung] = told.as_slice() else { panic!("{told:?}") };
        assert_eq!(hung, "outlast::demo a_hung_one\n           test timeout");
        assert!(one.starts_with("outlast::demo a_bad_one\n"), "{one}");
        assert!(one.ends_with("           a pause of 2100 ms > 2000 ms"), "{one}");
    }

    #[test]
    fn a_long_reason_keeps_both_of_its_ends() {
        let long = format!("begin {} end", "x".repeat(10 * WORDS_MAX));
        let cut = why(&long);
        assert!(cut.contains("begin") && cut.ends_with("end") && cut.contains("[…]"), "{cut}");
        assert!(cut.chars().count() < WORDS_MAX + 50, "{}", cut.len());
    }

    #[test]
    fn an_older_report_is_never_this_runs() {
        let dir = tempfile::tempdir().expect("a folder");
        let report = dir.path().join("junit.xml");
        assert_eq!(forget(&report), Ok(()));
        fs::write(&report, REPORT).expect("written");
        assert_eq!(told(&report).len(), 2);
        assert_eq!(forget(&report), Ok(()));
        assert!(told(&report).is_empty());
    }

    #[test]
    fn what_is_no_report_is_said() {
        let dir = tempfile::tempdir().expect("a folder");
        let report = dir.path().join("junit.xml");
        fs::write(&report, "<testsuites><testcase></testsuites>").expect("written");
        assert!(told(&report).concat().contains("can't be read"));
    }
}
