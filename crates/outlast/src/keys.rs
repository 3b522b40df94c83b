//! Keys that are made here, and files that only this user can read.

use rand::rngs::OsRng;
use rand::{Rng, TryRngCore};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// As long as Amazon's, which clients are made for.
const ACCESS_KEY_LENGTH: usize = 20;
const SECRET_KEY_LENGTH: usize = 40;

pub fn draw_access_key() -> String {
    draw(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", ACCESS_KEY_LENGTH)
}

pub fn draw_secret_key() -> String {
    draw(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789", SECRET_KEY_LENGTH)
}

fn draw(from: &[u8], length: usize) -> String {
    // A system without randomness cannot make keys: it stops here.
    let mut chance = OsRng.unwrap_err();
    (0..length).map(|_| from[chance.random_range(0..from.len())] as char).collect()
}

/// Whole or not at all, durable, mode 0600 from its first byte.
pub fn write_private(path: &Path, text: &str) -> io::Result<()> {
    let mut temp = path.as_os_str().to_owned();
    temp.push(".new");
    // Left by a start that was cut off; a mode is only given to files that are made.
    if let Err(error) = fs::remove_file(&temp)
        && error.kind() != io::ErrorKind::NotFound
    {
        return Err(error);
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temp)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&temp, path)?;
    let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}
