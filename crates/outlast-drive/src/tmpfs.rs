//! A disk that is as small as a test wants it, in memory.

use std::path::{Path, PathBuf};
use std::process::Command;

/// A page: a tmpfs of no bytes would have no bound.
const BYTES_MIN: u64 = 4096;

/// Dropped, it is gone.
#[derive(Debug)]
pub struct Tmpfs(PathBuf);

impl Tmpfs {
    /// # Errors
    /// This user may mount nothing; in words.
    pub fn mount(path: &Path, bytes: u64) -> Result<Tmpfs, String> {
        done(Command::new("mount").args(["-t", "tmpfs", "-o", &format!("size={bytes}"), "tmpfs"]).arg(path))?;
        Ok(Tmpfs(path.to_owned()))
    }

    /// # Errors
    /// More lies there already; in words.
    pub fn resize(&self, bytes: u64) -> Result<(), String> {
        done(Command::new("mount").args(["-o", &format!("remount,size={bytes}")]).arg(&self.0))
    }

    /// As large as what is on it, and `room` bytes more.
    ///
    /// # Errors
    /// What writes there was quicker: ask again.
    pub fn leave(&self, room: u64) -> Result<(), String> {
        let seen = rustix::fs::statvfs(&self.0).map_err(|error| error.to_string())?;
        self.resize(((seen.f_blocks - seen.f_bfree) * seen.f_frsize + room).max(BYTES_MIN))
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        // The folder below is removed with the run; a mount that stays would keep it.
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

/// What it said, where it failed.
pub(crate) fn done(command: &mut Command) -> Result<(), String> {
    let words = format!("{command:?}");
    let output = command.output().map_err(|error| format!("{words}: {error}"))?;
    if output.status.success() { Ok(()) } else { Err(format!("{words}: {}", String::from_utf8_lossy(&output.stderr))) }
}
