//! What a configuration may look up outside itself: environment variables, files, folders. Paths start at the file's own folder.

use super::mistake::{At, Mistakes};
use super::raw::RawSecret;
use super::secret::Secret;
use std::io::Read;
use std::path::{Component, Path, PathBuf};

/// Handed in, so that tests need not change their own environment.
pub struct World<'w> {
    /// The folder of the configuration file.
    pub base: PathBuf,
    pub env: &'w dyn Fn(&str) -> Option<String>,
    pub secrets: Secrets,
}

/// Is a secret that cannot be had a mistake?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Secrets {
    Needed,
    /// Whoever only asks a running gateway needs none: at its own admin address it takes orders without a key. What belongs to a
    /// missing secret is missing in the configuration.
    Spared,
}

impl World<'_> {
    pub fn path(&self, typed: &str) -> PathBuf {
        tidy_path(&self.base.join(typed))
    }

    /// A file that must be there and readable.
    pub fn file(&self, says: &str, typed: &At<String>, told: &mut Mistakes) -> PathBuf {
        let path = self.path(&typed.value);
        if let Err(error) = std::fs::File::open(&path) {
            let what = format!("{says}: {} cannot be read: {}", path.display(), plain_words(&error));
            told.error(&typed.span, what, "paths are taken from the folder of this file");
        }
        path
    }

    /// The value itself; an access key may stand in the file, a secret key better not.
    pub fn resolve(&self, says: &str, typed: &At<RawSecret>, told: &mut Mistakes) -> Option<String> {
        match &typed.value {
            RawSecret::Plain(secret) => Some(secret.reveal().to_owned()),
            RawSecret::Env(name) => match (self.env)(name) {
                Some(value) if !value.is_empty() => Some(value),
                _ if self.secrets == Secrets::Spared => None,
                other => {
                    let is = if other.is_some() { "empty" } else { "not set" };
                    let what = format!("{says}: the environment variable {name} is {is}");
                    told.error(
                        &typed.span,
                        what,
                        format!("export {name}=… before the start, or use {{ file = \"…\" }}"),
                    );
                    None
                }
            },
            RawSecret::File(file) => {
                self.secret_file(says, &At { value: file.clone(), span: typed.span.clone() }, told)
            }
        }
    }

    pub fn secret(&self, says: &str, typed: &At<RawSecret>, told: &mut Mistakes) -> Option<Secret> {
        if matches!(typed.value, RawSecret::Plain(_)) {
            let what = format!("{says} is written into this file in plain");
            told.warn(
                &typed.span,
                what,
                "use { env = \"NAME\" } or { file = \"path\" }, and this file holds no secret",
            );
        }
        self.resolve(says, typed, told).map(Secret::new)
    }

    fn secret_file(&self, says: &str, typed: &At<String>, told: &mut Mistakes) -> Option<String> {
        let path = self.path(&typed.value);
        let text = match read_at_most(&path, SECRET_FILE_BYTES_MAX) {
            Ok(text) => text.trim_end_matches(['\r', '\n']).to_owned(),
            Err(_) if self.secrets == Secrets::Spared => return None,
            Err(error) => {
                let what = format!("{says}: {} cannot be read: {}", path.display(), plain_words(&error));
                told.error(&typed.span, what, "paths are taken from the folder of this file");
                return None;
            }
        };
        if open_to_all(&path) {
            let what = format!("{says}: everybody on this machine can read {}", path.display());
            told.warn(&typed.span, what, format!("chmod 600 {}", path.display()));
        }
        if text.is_empty() {
            told.error(&typed.span, format!("{says}: {} is empty", path.display()), "write the secret into it");
            return None;
        }
        Some(text)
    }
}

/// The longest keys known are a few hundred bytes. A path typed wrong may lead to something that never ends.
const SECRET_FILE_BYTES_MAX: u64 = 64 * 1024;

fn read_at_most(path: &Path, bytes_max: u64) -> std::io::Result<String> {
    let mut text = String::new();
    let read = std::fs::File::open(path)?.take(bytes_max + 1).read_to_string(&mut text)?;
    match read as u64 > bytes_max {
        true => Err(std::io::Error::other(format!("it holds more than {bytes_max} bytes, which is no key"))),
        false => Ok(text),
    }
}

fn open_to_all(path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    const OTHERS_MAY_READ: u32 = 0o004;
    std::fs::metadata(path).is_ok_and(|meta| meta.mode() & OTHERS_MAY_READ != 0)
}

/// `No such file or directory`, without the number.
pub fn plain_words(error: &std::io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or(&text).to_owned()
}

/// Without `.` and, where no link can be hidden behind it, without `..`.
fn tidy_path(path: &Path) -> PathBuf {
    let mut tidy = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            other => tidy.push(other),
        }
    }
    tidy
}

/// Where a path really leads, links of its existing part followed; what does not exist yet is taken as written.
pub fn real_path(path: &Path) -> PathBuf {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let mut missing = Vec::new();
    let mut at = absolute.as_path();
    loop {
        if let Ok(real) = at.canonicalize() {
            return missing.iter().rev().fold(real, |path, part| path.join(part));
        }
        match (at.parent(), at.file_name()) {
            (Some(parent), Some(name)) => {
                missing.push(name.to_owned());
                at = parent;
            }
            _ => return absolute,
        }
    }
}

/// The file system that a path lies on, or will.
pub fn device_of(path: &Path) -> Option<u64> {
    use std::os::unix::fs::MetadataExt;
    path.ancestors().find_map(|at| std::fs::metadata(at).ok()).map(|meta| meta.dev())
}
