//! The installation's signature: a key of its own, made at its first use, with which reports for others are signed and checked.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::rand::{SecureRandom, SystemRandom};
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// The key's file below the data directory, as `openssl genpkey` writes one: PKCS#8 in PEM.
pub const KEY_FILE: &str = "signing-key.pem";
const PEM_BEGIN: &str = "-----BEGIN PRIVATE KEY-----";
const PEM_END: &str = "-----END PRIVATE KEY-----";
/// What comes before the 32 bytes of an Ed25519 private key (RFC 8410, section 7).
const PRIVATE_PREFIX: [u8; 16] =
    [0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];
/// What comes before the 32 bytes of an Ed25519 public key (RFC 8410, section 4).
const PUBLIC_PREFIX: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];
/// Whoever can read the key can sign in our name.
const MODE: u32 = 0o600;
const MODE_OTHERS: u32 = 0o077;
/// A thousand lines of keys and reasons, each cut where it is made, are far below; whatever is larger is no report.
const SIGNED_BYTES_MAX: u64 = 16 << 20;

#[derive(Debug, thiserror::Error)]
pub enum SigningError {
    #[error("the signing key {path} cannot be used: {why}")]
    Key { path: PathBuf, why: String },
    #[error("{0}")]
    NotSigned(String),
    #[error("the signature does not fit the report: it was changed after it was signed, or signed with another key")]
    Wrong,
    #[error("signed with another key: {found}, not {wanted}")]
    OtherKey { found: String, wanted: String },
}

/// A statement and who vouches for it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Signed {
    pub report: Value,
    /// Base64 of the key's SubjectPublicKeyInfo: the body of its PEM.
    pub public_key: String,
    /// Base64 of the Ed25519 signature of the report in canonical form (RFC 8785).
    pub signature: String,
}

pub struct Signer(Ed25519KeyPair);

impl Signer {
    /// The installation's key; made now if there is none yet.
    ///
    /// # Errors
    /// It cannot be read or made, others may read it, or the file is no such key. An existing file is never replaced.
    pub fn open(data_dir: &Path) -> Result<Signer, SigningError> {
        let path = data_dir.join(KEY_FILE);
        let bad = |why: String| SigningError::Key { path: path.clone(), why };
        match read_private(&path).map_err(bad)? {
            Some(seed) => Signer::of(&seed).map_err(bad),
            None => {
                make(data_dir, &path).map_err(|error| bad(error.to_string()))?;
                let seed = read_private(&path).map_err(bad)?;
                // Somebody else's may have come first: what lies there now is the key.
                Signer::of(&seed.ok_or_else(|| bad("it is gone again".to_owned()))?).map_err(bad)
            }
        }
    }

    fn of(seed: &[u8]) -> Result<Signer, String> {
        Ed25519KeyPair::from_seed_unchecked(seed).map(Signer).map_err(|error| error.to_string())
    }

    pub fn public_key(&self) -> String {
        STANDARD.encode([&PUBLIC_PREFIX[..], self.0.public_key().as_ref()].concat())
    }

    pub fn sign(&self, report: &impl Serialize) -> Signed {
        let report = serde_json::to_value(report).expect("a report is plain data");
        let signature = STANDARD.encode(self.0.sign(canonical(&report).as_bytes()));
        Signed { public_key: self.public_key(), signature, report }
    }
}

/// The public key of an installation that has signed before; None: it never has.
///
/// # Errors
/// As `Signer::open`.
pub fn own_public_key(data_dir: &Path) -> Result<Option<String>, SigningError> {
    if data_dir.join(KEY_FILE).exists() { Ok(Some(Signer::open(data_dir)?.public_key())) } else { Ok(None) }
}

/// Reads a signed report. Who signed it is for the caller to judge: `key` is whom he trusts.
///
/// # Errors
/// The file cannot be read, holds none, or is signed with another key; or its report is not what was signed.
pub fn read_signed(path: &Path, key: &str) -> Result<Value, SigningError> {
    let no = |why: String| SigningError::NotSigned(format!("{}: {why}", path.display()));
    let mut text = String::new();
    let read = File::open(path).and_then(|file| file.take(SIGNED_BYTES_MAX + 1).read_to_string(&mut text));
    read.map_err(|error| no(error.to_string()))?;
    if text.len() as u64 > SIGNED_BYTES_MAX {
        return Err(no(format!("more than {SIGNED_BYTES_MAX} bytes are no report")));
    }
    check(&text, key).map_err(|error| match error {
        SigningError::NotSigned(why) => no(why),
        error => error,
    })
}

fn check(text: &str, key: &str) -> Result<Value, SigningError> {
    let no = |why: &str| SigningError::NotSigned(why.to_owned());
    let mut signed: Value =
        serde_json::from_str(text).map_err(|error| no(&format!("it is not a signed report: {error}")))?;
    let field = |name: &str| signed[name].as_str().map(str::to_owned).ok_or_else(|| no(&format!("it has no {name}")));
    let (found, signature) = (field("public_key")?, field("signature")?);
    if found != key {
        return Err(SigningError::OtherKey { found, wanted: key.to_owned() });
    }
    let raw = STANDARD.decode(key).map_err(|_| no("the key is not base64"))?;
    let raw = raw.strip_prefix(&PUBLIC_PREFIX[..]).ok_or_else(|| no("the key is not an Ed25519 public key"))?;
    let signature = STANDARD.decode(signature).map_err(|_| SigningError::Wrong)?;
    let report = signed["report"].take();
    UnparsedPublicKey::new(&ED25519, raw)
        .verify(canonical(&report).as_bytes(), &signature)
        .map_err(|_| SigningError::Wrong)?;
    Ok(report)
}

/// Names in order, no space, so that a report that was only laid out anew is still the one that was signed (RFC 8785; its names
/// are ASCII and its numbers whole, which is where that form needs no more).
fn canonical(value: &Value) -> String {
    match value {
        Value::Object(fields) => {
            let sorted: BTreeMap<&String, &Value> = fields.iter().collect();
            let fields =
                sorted.iter().map(|(name, value)| format!("{}:{}", Value::from(name.as_str()), canonical(value)));
            format!("{{{}}}", fields.collect::<Vec<_>>().join(","))
        }
        Value::Array(items) => format!("[{}]", items.iter().map(canonical).collect::<Vec<_>>().join(",")),
        plain => plain.to_string(),
    }
}

/// The 32 bytes of the private key. None: no file.
fn read_private(path: &Path) -> Result<Option<Vec<u8>>, String> {
    let meta = match fs::metadata(path) {
        Ok(meta) => meta,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.to_string()),
    };
    if meta.mode() & MODE_OTHERS != 0 {
        let mode = meta.mode() & 0o777;
        return Err(format!("its mode {mode:o} lets others use it; if nobody has: chmod 600"));
    }
    let text = fs::read_to_string(path).map_err(|error| error.to_string())?;
    let body = text.trim().strip_prefix(PEM_BEGIN).and_then(|rest| rest.strip_suffix(PEM_END));
    let body: String = body.unwrap_or_default().split_whitespace().collect();
    let der = STANDARD.decode(body).unwrap_or_default();
    match der.strip_prefix(&PRIVATE_PREFIX[..]) {
        Some(seed) if seed.len() == 32 => Ok(Some(seed.to_vec())),
        _ => Err("it does not hold an Ed25519 private key (PKCS#8, PEM)".to_owned()),
    }
}

/// Whole or not at all, durable, and never over a key that is there.
fn make(data_dir: &Path, path: &Path) -> io::Result<()> {
    let chance = SystemRandom::new();
    let (mut seed, mut name) = ([0; 32], [0; 8]);
    let no_chance = |_| io::Error::other("the system has no randomness");
    chance.fill(&mut seed).map_err(no_chance)?;
    chance.fill(&mut name).map_err(no_chance)?;
    let pem = format!("{PEM_BEGIN}\n{}\n{PEM_END}\n", STANDARD.encode([&PRIVATE_PREFIX[..], &seed].concat()));
    let temp = data_dir.join(format!("{KEY_FILE}.{:x}", u64::from_le_bytes(name)));
    let mut file = OpenOptions::new().write(true).create_new(true).mode(MODE).open(&temp)?;
    let made = file
        .write_all(pem.as_bytes())
        .and_then(|()| file.sync_all())
        // A link, unlike a renaming, never replaces what is there.
        .and_then(|()| fs::hard_link(&temp, path));
    fs::remove_file(&temp)?;
    match made {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => File::open(data_dir)?.sync_all(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_key_is_made_once_and_is_private() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(own_public_key(dir.path()).unwrap(), None);
        let key = Signer::open(dir.path()).unwrap().public_key();
        assert_eq!(Signer::open(dir.path()).unwrap().public_key(), key);
        assert_eq!(own_public_key(dir.path()).unwrap(), Some(key.clone()));
        let path = dir.path().join(KEY_FILE);
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "nothing else is left");
        make(dir.path(), &path).unwrap();
        assert_eq!(Signer::open(dir.path()).unwrap().public_key(), key, "an existing key is not replaced");

        fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o640)).unwrap();
        assert!(matches!(Signer::open(dir.path()), Err(SigningError::Key { .. })), "others could read it");
        fs::remove_file(&path).unwrap();
        let broken = OpenOptions::new().write(true).create_new(true).mode(MODE).open(&path);
        broken.unwrap().write_all(b"not a key").unwrap();
        assert!(Signer::open(dir.path()).is_err());
        assert_eq!(fs::read(&path).unwrap(), b"not a key");
    }

    #[test]
    fn what_was_signed_is_what_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let signer = Signer::open(dir.path()).unwrap();
        let key = signer.public_key();
        let report = json!({ "b": [1, "ä\n\u{7f}"], "a": { "z": null, "y": true } });
        let signed = signer.sign(&report);
        let text = serde_json::to_string(&signed).unwrap();
        assert_eq!(check(&text, &key).unwrap(), report);
        let laid_out = serde_json::to_string_pretty(&signed).unwrap();
        assert_eq!(check(&laid_out, &key).unwrap(), report, "its layout is no part of it");

        let changed = text.replace("true", "false");
        assert!(matches!(check(&changed, &key), Err(SigningError::Wrong)));
        let other = tempfile::tempdir().unwrap();
        let other = Signer::open(other.path()).unwrap();
        assert!(matches!(check(&text, &other.public_key()), Err(SigningError::OtherKey { .. })));
        // Who puts his own key into it has not signed it.
        let forged = text.replace(&key, &other.public_key());
        assert!(matches!(check(&forged, &other.public_key()), Err(SigningError::Wrong)));
        for no_report in ["", "{}", "[]", r#"{"public_key":"x"}"#] {
            assert!(matches!(check(no_report, &key), Err(SigningError::NotSigned(_))), "{no_report}");
        }
    }

    #[test]
    fn the_canonical_form() {
        let value = json!({ "é": 1, "b": [true, null, "\u{1}\"\\"], "a": {} });
        assert_eq!(canonical(&value), "{\"a\":{},\"b\":[true,null,\"\\u0001\\\"\\\\\"],\"é\":1}");
    }
}
