//! Fuzz target: whatever stands in a configuration file, it is judged whole, in its own lines, and no secret is repeated.

use super::*;
use std::path::PathBuf;

const SECRET: &str = "the-secret-that-nobody-prints";

/// Paths that could lead to what lies on this machine: that is not the text's fault. All others lead to nowhere.
const LOOKS_OUTSIDE: [&str; 4] = ["..", "\\", "\"/", "'/"];

fn judged(text: &str) -> (bool, Findings, String) {
    match judge_text("outlast.toml", text, PathBuf::from("/nowhere"), &|_| Some(SECRET.to_owned())) {
        Ok(loaded) => {
            // An access key is a name, wherever it comes from.
            let shown = format!("{:?}", loaded.config).replace(&format!("access_key: {SECRET:?}"), "");
            (true, loaded.findings, shown)
        }
        Err(LoadError::Mistakes(findings)) => (false, findings, String::new()),
        Err(LoadError::NoFile(why)) => panic!("no file is read here: {why}"),
    }
}

#[test]
fn any_text() {
    bolero::check!(name = "configuration").for_each(|bytes: &[u8]| {
        let Ok(text) = std::str::from_utf8(bytes) else { return };
        if LOOKS_OUTSIDE.iter().any(|word| text.contains(word)) {
            return;
        }
        let (good, findings, shown) = judged(text);
        // The same TOML by another reader: broken there is broken here.
        let is_toml = text.parse::<toml::Table>().is_ok();
        let said = findings.mistakes.iter().any(|mistake| mistake.what.starts_with("this is not TOML"));
        assert_eq!(said, !is_toml, "{text:?}");
        assert_eq!(good, findings.count(Weight::Error) == 0);
        for mistake in &findings.mistakes {
            assert!(text.get(mistake.span.clone()).is_some(), "{:?} of {text:?}: {}", mistake.span, mistake.what);
            assert!(!mistake.what.is_empty() && !mistake.help.is_empty(), "{mistake:?}");
        }
        let told = [findings.render(Look::Plain), findings.render(Look::Fancy), shown];
        assert!(told.iter().all(|told| !told.contains(SECRET)), "{told:?}");
        // A remark at the end changes nothing.
        if is_toml {
            let (still, again, _) = judged(&format!("{text}\n# a remark\n"));
            assert_eq!((still, again.mistakes), (good, findings.mistakes), "{text:?}");
        }
    });
}
