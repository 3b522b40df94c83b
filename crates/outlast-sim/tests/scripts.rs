//! The engine's golden scripts with a rule taken away: mutants that need one very order of events, which no seed has drawn.

#[path = "../../outlast-engine/tests/play/mod.rs"]
mod play;
#[path = "../../outlast-engine/tests/support/mod.rs"]
mod support;

use outlast_sim::{Broken, Mutant, PLAYED};
use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::sync::Once;

thread_local! {
    static ASSERTED: RefCell<String> = const { RefCell::new(String::new()) };
}

/// An assertion of the engine that fails ends one of its tasks, not the play: it is part of what is seen.
fn hear_assertions() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            ASSERTED.with(|heard| heard.borrow_mut().push_str(&format!("an assertion failed: {panic}\n")));
            before(panic);
        }));
    });
    ASSERTED.take();
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../outlast-engine/tests/scripts")
}

/// What is played of a script when this rule is taken away.
fn played(script: &str, mutant: Option<Mutant>) -> String {
    let _broken = Broken::rule(mutant);
    hear_assertions();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    let trace = runtime.block_on(play::play(script));
    runtime.shutdown_background();
    trace + &ASSERTED.take()
}

#[test]
fn scripts_see_each_rule_that_they_are_there_for() {
    let mut unseen = vec![];
    for seen in PLAYED {
        let script = std::fs::read_to_string(folder().join(format!("{}.txt", seen.script))).unwrap();
        assert!(!script.contains(seen.shows), "{}: \"{}\" is no sign of {:?}", seen.script, seen.shows, seen.mutant);
        let ill = played(&script, Some(seen.mutant));
        if !ill.contains(seen.shows) {
            unseen.push(format!("{:?} survives {}, or shows otherwise:\n{ill}", seen.mutant, seen.script));
        }
    }
    assert!(unseen.is_empty(), "{}", unseen.join("\n"));
}

/// With every rule in its place, in this build too.
#[test]
fn nothing_is_broken_unless_a_rule_is() {
    for seen in PLAYED {
        let script = std::fs::read_to_string(folder().join(format!("{}.txt", seen.script))).unwrap();
        assert_eq!(played(&script, None), script, "{}", seen.script);
    }
}
