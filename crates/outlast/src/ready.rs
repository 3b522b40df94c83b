//! The ready file: where a running gateway can be reached, for those who did not choose its ports.

use crate::config::plain_words;
use serde::{Deserialize, Serialize};
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ready {
    pub pid: u32,
    /// With its scheme: `http://127.0.0.1:9000`.
    pub s3: String,
    pub admin: SocketAddr,
}

/// Removed when dropped; what a killed process leaves is overwritten by the next.
pub struct ReadyFile(PathBuf);

impl ReadyFile {
    /// Written whole or not at all.
    ///
    /// # Errors
    /// The folder cannot be written to; in words.
    pub fn write(path: &Path, ready: &Ready) -> Result<ReadyFile, String> {
        let text = serde_json::to_string(ready).map_err(|error| error.to_string())?;
        let mut temp = path.as_os_str().to_owned();
        temp.push(".new");
        fs::write(&temp, text + "\n")
            .and_then(|()| fs::rename(&temp, path))
            .map_err(|error| format!("{} cannot be written: {}", path.display(), plain_words(&error)))?;
        Ok(ReadyFile(path.to_owned()))
    }

    /// What a running (or killed) gateway wrote; None where there is nothing to read.
    pub fn read(path: &Path) -> Option<Ready> {
        serde_json::from_str(&fs::read_to_string(path).ok()?).ok()
    }

    /// The file that every gateway keeps in its data_dir.
    pub fn place(data_dir: &Path) -> PathBuf {
        data_dir.join("running.json")
    }
}

impl Drop for ReadyFile {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_file(&self.0) {
            tracing::debug!("{} stays behind: {error}", self.0.display());
        }
    }
}
