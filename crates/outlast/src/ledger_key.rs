//! The key with which the ledger's segments are sealed: from the configuration, or made once and kept in `data_dir`.

use crate::config::{Config, plain_words};
use crate::keys::{draw_secret_key, write_private};
use outlast_engine::SegmentKey;
use std::io;
use std::path::PathBuf;

const FILE: &str = "ledger.key";

/// Where a key that was made here is kept.
pub fn path(config: &Config) -> PathBuf {
    config.data_dir.join(FILE)
}

/// None: neither configured nor ever made.
///
/// # Errors
/// The file is there and cannot be read; in words.
pub fn find(config: &Config) -> Result<Option<SegmentKey>, String> {
    if let Some(key) = &config.ledger.key {
        return Ok(Some(SegmentKey::of(key.reveal())));
    }
    let path = path(config);
    match std::fs::read_to_string(&path) {
        Ok(text) if text.trim().is_empty() => Err(format!("{} is empty: put the key back into it", path.display())),
        Ok(text) => Ok(Some(SegmentKey::of(text.trim()))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(format!("{} cannot be read: {}", path.display(), plain_words(&error))),
    }
}

/// For `serve`: whoever ships needs a key.
///
/// # Errors
/// It cannot be read or made; in words.
pub fn find_or_make(config: &Config) -> Result<SegmentKey, String> {
    if let Some(key) = find(config)? {
        return Ok(key);
    }
    let (path, key) = (path(config), draw_secret_key());
    std::fs::create_dir_all(&config.data_dir)
        .and_then(|()| write_private(&path, &format!("{key}\n")))
        .map_err(|error| format!("{} cannot be written: {}", path.display(), plain_words(&error)))?;
    tracing::warn!(
        "made the key of the ledger's copies on the stores: keep {} somewhere else too, or set key in [ledger]. Without it a \
         rebuild has to ask for every single object",
        path.display()
    );
    Ok(SegmentKey::of(&key))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trial::{Make, trial_config};
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_key_is_made_once_and_the_configured_one_wins() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let mut config = trial_config(dir.path(), Make::Everything).expect("a trial");
        assert!(find(&config).expect("readable").is_none());
        find_or_make(&config).expect("made");
        let made = std::fs::read(path(&config)).expect("kept");
        find_or_make(&config).expect("found");
        assert_eq!(std::fs::read(path(&config)).expect("kept"), made);
        let mode = std::fs::metadata(path(&config)).expect("kept").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        std::fs::write(path(&config), "\n").expect("writable");
        assert!(find(&config).is_err());
        config.ledger.key = Some(config.users[0].secret_key.clone());
        assert!(find(&config).expect("configured").is_some());
    }
}
