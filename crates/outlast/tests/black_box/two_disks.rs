//! The smallest configuration with two places: what tests of one setting write theirs around.

use std::fs;
use std::path::Path;

pub const ACCESS_KEY: &str = "APP";
pub const SECRET_KEY: &str = "a-secret-of-the-test";

/// Two disk stores in `dir`, their folders, and one user. `settings` stands before, `of_a` in the section of the first store.
pub fn write(dir: &Path, settings: &str, of_a: &str) {
    for store in ["a", "b"] {
        fs::create_dir_all(dir.join(store)).expect("made");
    }
    let user = format!("[user.app]\naccess_key = \"{ACCESS_KEY}\"\nsecret_key = \"{SECRET_KEY}\"\n");
    let disk = |name: &str, more: &str| format!("[store.{name}]\nkind = \"disk\"\npath = \"{name}\"\n{more}\n");
    let config = [settings, &user, &disk("a", of_a), &disk("b", "")].join("\n");
    fs::write(dir.join("outlast.toml"), config).expect("written");
}
