//! No configuration at all: three disk stores under one folder, and keys that were made here.

use crate::config::{Config, DATA_DIR_DEFAULT, LoadError, judge_text, plain_words};
use crate::keys::{draw_access_key, draw_secret_key, write_private};
use serde::{Deserialize, Serialize};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// What is said wherever the trial is used.
pub const TRIAL_WORDS: &str =
    "Three folders on one disk are a trial, not three independent places: they are lost together.";

const STORES: [&str; 3] = ["one", "two", "three"];
const CREDENTIALS: &str = "credentials.json";

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Credentials {
    access_key: String,
    secret_key: String,
}

/// The trial below `base`. Only `serve` passes `Make::Everything`: the others look and leave nothing behind.
///
/// # Errors
/// The keys cannot be made, or are not readable; in words.
pub fn trial_config(base: &Path, make: Make) -> Result<Config, String> {
    let data_dir = base.join(DATA_DIR_DEFAULT);
    let keys = match (read_credentials(&data_dir)?, make) {
        (Some(keys), _) => keys,
        (None, Make::Everything) => make_credentials(&data_dir)?,
        // Nobody signs with these: the gateway that would know them has never run.
        (None, Make::Nothing) => draw_credentials(),
    };
    let mut text = String::from("[user.trial]\naccess_key = { env = \"ACCESS\" }\nsecret_key = { env = \"SECRET\" }\n");
    for store in STORES {
        text.push_str(&format!("[store.{store}]\nkind = \"disk\"\npath = \"{DATA_DIR_DEFAULT}/stores/{store}\"\n"));
    }
    let env = |name: &str| Some(if name == "ACCESS" { keys.access_key.clone() } else { keys.secret_key.clone() });
    match judge_text("(trial)", &text, base.to_owned(), &env) {
        // Its warnings are what TRIAL_WORDS says.
        Ok(loaded) => Ok(loaded.config),
        Err(LoadError::NoFile(why)) => Err(why),
        Err(LoadError::Mistakes(findings)) => Err(findings.render(crate::config::Look::Plain)),
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Make {
    Everything,
    Nothing,
}

/// Where the trial keeps its keys.
pub fn credentials_path(data_dir: &Path) -> PathBuf {
    data_dir.join(CREDENTIALS)
}

fn read_credentials(data_dir: &Path) -> Result<Option<Credentials>, String> {
    let path = credentials_path(data_dir);
    match fs::read_to_string(&path) {
        Ok(text) => serde_json::from_str(&text).map(Some).map_err(|error| {
            format!("{} does not hold keys ({error}): remove it to have new ones made", path.display())
        }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(format!("{} cannot be read: {}", path.display(), plain_words(&error))),
    }
}

fn make_credentials(data_dir: &Path) -> Result<Credentials, String> {
    let path = credentials_path(data_dir);
    let keys = draw_credentials();
    let text = serde_json::to_string_pretty(&keys).map_err(|error| error.to_string())? + "\n";
    fs::create_dir_all(data_dir)
        .and_then(|()| write_private(&path, &text))
        .map_err(|error| format!("{} cannot be written: {}", path.display(), plain_words(&error)))?;
    Ok(keys)
}

fn draw_credentials() -> Credentials {
    Credentials { access_key: draw_access_key(), secret_key: draw_secret_key() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn keys_are_made_once_and_only_for_this_user() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let first = trial_config(dir.path(), Make::Everything).expect("a trial");
        let again = trial_config(dir.path(), Make::Everything).expect("the same trial");
        assert_eq!(first.users[0].access_key, again.users[0].access_key);
        assert_eq!(first.users[0].secret_key, again.users[0].secret_key);
        assert_eq!(first.users[0].secret_key.reveal().len(), 40);
        let mode = fs::metadata(credentials_path(&first.data_dir)).expect("kept").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!((first.stores.len(), first.defaults.min_copies), (3, 2));
    }

    #[test]
    fn looking_leaves_nothing_behind() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        trial_config(dir.path(), Make::Nothing).expect("a trial");
        assert_eq!(fs::read_dir(dir.path()).expect("readable").count(), 0);
    }

    #[test]
    fn broken_keys_are_told() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        fs::create_dir(dir.path().join("outlast-data")).expect("made");
        fs::write(dir.path().join("outlast-data/credentials.json"), "{").expect("written");
        let why = trial_config(dir.path(), Make::Everything).expect_err("not keys");
        assert!(why.contains("does not hold keys") && why.contains("remove it"), "{why}");
    }
}
