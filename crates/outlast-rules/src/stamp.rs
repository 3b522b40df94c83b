//! The stamp: one metadata item on every copy that says which write it is, of which key, and how long.

use crate::{BucketName, Epoch, Key, Mutant, Seq, WriteId, broken};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

/// What our metadata item `outlast` says on a store (protocol.md 1). Byte format: docs/formats/stamp.md.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stamp {
    pub epoch: Epoch,
    /// None on native uploads created before the lane; their order record says it.
    pub seq: Option<Seq>,
    pub write: WriteId,
    /// Binds the stamp to its bucket and key, so that a server-side copy by somebody else cannot forge it (counter-example 19).
    pub name: [u8; 16],
    pub size: Option<u64>,
    /// BLAKE3 of the whole body, first 16 bytes, where known when written.
    pub digest: Option<[u8; 16]>,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a stamp of ours: {0}")]
pub struct StampError(&'static str);

/// BLAKE3 of `bucket \0 key`, first 16 bytes. The client's names, not the native ones: they are the same on every store.
pub fn name_hash(bucket: &BucketName, key: &Key) -> [u8; 16] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(bucket.as_str().as_bytes()).update(&[0]).update(key.as_str().as_bytes());
    let mut short = [0; 16];
    short.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
    short
}

impl Stamp {
    /// At most 128 bytes of the letters A-Z a-z 0-9 - _ . : any store's metadata holds it, whatever the case of names becomes.
    pub fn encode(&self) -> String {
        let number = |n: Option<u64>| n.map(|n| format!("{n:x}")).unwrap_or_default();
        format!(
            "1.{:x}.{}.{}.{}.{}.{}",
            self.epoch.0,
            number(self.seq.map(|s| s.0)),
            URL_SAFE_NO_PAD.encode(self.write.0.to_be_bytes()),
            URL_SAFE_NO_PAD.encode(self.name),
            number(self.size),
            self.digest.map(|d| URL_SAFE_NO_PAD.encode(d)).unwrap_or_default(),
        )
    }

    pub fn parse(text: &str) -> Result<Stamp, StampError> {
        let fields: Vec<&str> = text.split('.').collect();
        let [format, epoch, seq, write, name, size, digest] = fields[..] else {
            return Err(StampError("not seven fields"));
        };
        if format != "1" {
            return Err(StampError("a format of another version"));
        }
        Ok(Stamp {
            epoch: Epoch(hex(epoch)?.ok_or(StampError("no epoch"))?),
            seq: hex(seq)?.map(Seq),
            write: WriteId(u128::from_be_bytes(short(write)?.ok_or(StampError("no write id"))?)),
            name: short(name)?.ok_or(StampError("no name"))?,
            size: hex(size)?,
            digest: short(digest)?,
        })
    }

    /// Was it written under this bucket and key?
    pub fn is_bound_to(&self, name: [u8; 16]) -> bool {
        self.name == name || broken(Mutant::StampBindsNoKey)
    }

    /// Is this the stamp of that write of that key? Size is compared where the stamp knows it.
    pub fn is_of(&self, write: WriteId, name: [u8; 16], size: u64) -> bool {
        let is_write = self.write == write || broken(Mutant::StampIsNoPin);
        is_write && self.is_bound_to(name) && self.size.is_none_or(|s| s == size)
    }
}

fn hex(field: &str) -> Result<Option<u64>, StampError> {
    if field.is_empty() {
        return Ok(None);
    }
    if !field.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Err(StampError("not a number"));
    }
    u64::from_str_radix(field, 16).map(Some).map_err(|_| StampError("not a number"))
}

fn short(field: &str) -> Result<Option<[u8; 16]>, StampError> {
    if field.is_empty() {
        return Ok(None);
    }
    let bytes = URL_SAFE_NO_PAD.decode(field).map_err(|_| StampError("not base64"))?;
    bytes.try_into().map(Some).map_err(|_| StampError("not 16 bytes"))
}

#[cfg(test)]
mod fuzz;

#[cfg(test)]
mod tests {
    use super::*;

    fn stamp() -> Stamp {
        let name = name_hash(&BucketName::parse("photos").unwrap(), &Key::parse("cat.jpg").unwrap());
        Stamp {
            epoch: Epoch(1),
            seq: Some(Seq(77)),
            write: WriteId(u128::MAX),
            name,
            size: Some(4096),
            digest: Some([7; 16]),
        }
    }

    #[test]
    fn reads_back_and_stays_short() {
        let full = stamp();
        assert_eq!(Stamp::parse(&full.encode()), Ok(full.clone()));
        let bare = Stamp { seq: None, size: None, digest: None, ..full.clone() };
        assert_eq!(Stamp::parse(&bare.encode()), Ok(bare));
        let longest = Stamp { epoch: Epoch(u64::MAX), seq: Some(Seq(u64::MAX)), size: Some(u64::MAX), ..full };
        assert!(longest.encode().len() <= 128, "{}", longest.encode().len());
    }

    #[test]
    fn refuses_what_is_not_ours() {
        for bad in ["", "1", "2.1.1.AAAAAAAAAAAAAAAAAAAAAA.AAAAAAAAAAAAAAAAAAAAAA..", "1.+1.1.x.y..", "1.1.1...."] {
            assert!(Stamp::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn binds_bucket_and_key() {
        let s = stamp();
        let other = name_hash(&BucketName::parse("photosc").unwrap(), &Key::parse("at.jpg").unwrap());
        assert!(s.is_of(s.write, s.name, 4096));
        assert!(!s.is_of(s.write, other, 4096));
        assert!(!s.is_of(s.write, s.name, 4097));
    }
}
