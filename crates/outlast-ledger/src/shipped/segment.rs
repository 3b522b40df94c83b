//! One segment: a bounded number of rows, compressed, sealed with the installation's key, and told from everything else.

use super::row::{DIGEST_BYTES_SHIPPED_MAX, Row};
use outlast_rules::{Epoch, Moment, RESERVED_PREFIX};
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use serde::{Deserialize, Serialize};
use std::fmt;

/// In a store's home, below `.outlast/`.
pub const SEGMENT_FOLDER: &str = "ledger/";
/// Bytes of rows after which a segment is closed: a few thousand entries; large enough that a store's answer costs less than
/// its bytes, small enough that several fit into memory.
pub const SEGMENT_ROW_BYTES: usize = 4 * 1024 * 1024;
/// Rows of one segment, unpacked: the last row may bring its digests (in base64) and the longest list of parts.
const ROW_BYTES_MAX: usize = SEGMENT_ROW_BYTES + 2 * DIGEST_BYTES_SHIPPED_MAX + 4 * 1024 * 1024;
/// A segment as it lies on a store; whatever is longer is none of ours. What does not compress grows by less than a thousandth.
pub const SEGMENT_BYTES_MAX: u64 = ROW_BYTES_MAX as u64 + 64 * 1024;

const MAGIC: &[u8; 8] = b"OUTLSEG1";
/// Our own has some 200 bytes.
const HEAD_BYTES_MAX: usize = 4096;
const SALT_BYTES: usize = 32;
const CHECK_BYTES: usize = 16;
/// Quick to make, and a tenth longer than the best: rows are made every few seconds and read once in a lifetime.
const DEFLATE_LEVEL: u8 = 3;

/// The installation's key, from which each segment's own is made.
#[derive(Clone)]
pub struct SegmentKey([u8; 32]);

impl fmt::Debug for SegmentKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SegmentKey(…)")
    }
}

impl SegmentKey {
    /// Any text that nobody can guess.
    pub fn of(secret: &str) -> SegmentKey {
        SegmentKey(blake3::derive_key("outlast 2026-11 installation key of ledger segments", secret.as_bytes()))
    }

    /// Each segment has a key of its own, so one nonce for all is used once each.
    fn sealing(&self, salt: &[u8], head: &[u8]) -> LessSafeKey {
        let mut hasher = blake3::Hasher::new_keyed(&self.0);
        hasher.update(salt).update(head);
        let key = UnboundKey::new(&AES_256_GCM, hasher.finalize().as_bytes()).expect("a hash has 32 bytes");
        LessSafeKey::new(key)
    }
}

/// What a segment holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SegmentKind {
    /// What had changed since the segments before it.
    Changes,
    /// Part of a snapshot: every row of the ledger, in order, over all its parts.
    Snapshot,
    /// The last part of the snapshot that began with segment `first`.
    SnapshotEnd { first: u64 },
}

/// `.outlast/ledger/<epoch>-<number>.<kind>`. Numbers are never used twice within an epoch; a gap says nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SegmentName {
    pub epoch: Epoch,
    pub number: u64,
    pub kind: SegmentKind,
}

impl fmt::Display for SegmentName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{RESERVED_PREFIX}{SEGMENT_FOLDER}{:08x}-{:012x}.", self.epoch.0, self.number)?;
        match self.kind {
            SegmentKind::Changes => f.write_str("changes"),
            SegmentKind::Snapshot => f.write_str("snapshot"),
            SegmentKind::SnapshotEnd { first } => write!(f, "snapshot-end-{first:012x}"),
        }
    }
}

impl SegmentName {
    /// None: no name of a segment. Each segment has one name: what reads like it and is spelled otherwise is none of ours.
    pub fn parse(text: &str) -> Option<SegmentName> {
        let rest = text.strip_prefix(RESERVED_PREFIX)?.strip_prefix(SEGMENT_FOLDER)?;
        let (numbers, kind) = rest.split_once('.')?;
        let (epoch, number) = numbers.split_once('-')?;
        let kind = match kind {
            "changes" => SegmentKind::Changes,
            "snapshot" => SegmentKind::Snapshot,
            end => SegmentKind::SnapshotEnd { first: hex(end.strip_prefix("snapshot-end-")?)? },
        };
        let name = SegmentName { epoch: Epoch(hex(epoch)?), number: hex(number)?, kind };
        (name.to_string() == text).then_some(name)
    }
}

fn hex(text: &str) -> Option<u64> {
    let digits = text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    if digits { u64::from_str_radix(text, 16).ok() } else { None }
}

/// What a segment says of itself, readable by anybody, changed by nobody.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SegmentHead {
    pub installation: String,
    pub epoch: Epoch,
    pub number: u64,
    pub kind: SegmentKind,
    /// The segment before it that stood on enough stores; 0: none in this epoch. What is missing shows.
    pub after: u64,
    /// When its first row was read from the ledger, by the gateway's clock.
    pub at: Moment,
    pub rows: u64,
    /// Of a snapshot's part: when its first part was read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub began: Option<Moment>,
}

impl SegmentHead {
    pub fn name(&self) -> SegmentName {
        SegmentName { epoch: self.epoch, number: self.number, kind: self.kind }
    }
}

/// Why these bytes are not believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotASegment {
    #[error("not a segment: its first bytes are others")]
    Other,
    #[error("a segment of a newer version ({0}); a newer Outlast reads it")]
    Newer(String),
    #[error("torn: it was not written to its end, or changed since")]
    Torn,
    #[error("of another installation ({0})")]
    Foreign(String),
    #[error("sealed with another key")]
    OtherKey,
    #[error("it lies under the name of another segment")]
    Misnamed,
    #[error("its rows cannot be read: {0}")]
    Unreadable(String),
}

/// Seals rows (their lines). `salt`: bytes that were never used before.
pub fn seal(key: &SegmentKey, head: &SegmentHead, lines: &[u8], salt: [u8; SALT_BYTES]) -> Vec<u8> {
    let head = serde_json::to_vec(head).expect("a head is plain data");
    let mut sealed = Vec::new();
    sealed.extend_from_slice(MAGIC);
    sealed.extend_from_slice(&(head.len() as u32).to_le_bytes());
    sealed.extend_from_slice(&head);
    sealed.extend_from_slice(&salt);
    let sealing = key.sealing(&salt, &head);
    let mut body = miniz_oxide::deflate::compress_to_vec(lines, DEFLATE_LEVEL);
    let nonce = Nonce::assume_unique_for_key([0; 12]);
    sealing.seal_in_place_append_tag(nonce, Aad::from(&sealed), &mut body).expect("far below what the cipher can seal");
    sealed.extend_from_slice(&body);
    let check = blake3::hash(&sealed);
    sealed.extend_from_slice(&check.as_bytes()[..CHECK_BYTES]);
    sealed
}

/// The head and the rows' lines of what lies under `name`.
///
/// # Errors
/// Torn, foreign, renamed, or sealed with another key: nothing of it is believed.
pub fn open(
    key: &SegmentKey,
    installation: &str,
    name: SegmentName,
    bytes: &[u8],
) -> Result<(SegmentHead, Vec<u8>), NotASegment> {
    let (magic, rest) = bytes.split_first_chunk::<8>().ok_or(NotASegment::Torn)?;
    if magic != MAGIC {
        let ours = magic.starts_with(b"OUTLSEG");
        return Err(if ours { NotASegment::Newer(char::from(magic[7]).to_string()) } else { NotASegment::Other });
    }
    let end = rest.len().checked_sub(CHECK_BYTES).ok_or(NotASegment::Torn)?;
    let (rest, check) = rest.split_at(end);
    let whole = &bytes[..bytes.len() - CHECK_BYTES];
    if blake3::hash(whole).as_bytes()[..CHECK_BYTES] != *check {
        return Err(NotASegment::Torn);
    }
    let (length, rest) = rest.split_first_chunk::<4>().ok_or(NotASegment::Torn)?;
    let length = u32::from_le_bytes(*length) as usize;
    if length > HEAD_BYTES_MAX {
        return Err(NotASegment::Other);
    }
    let (head_bytes, rest) = rest.split_at_checked(length).ok_or(NotASegment::Torn)?;
    let (salt, body) = rest.split_at_checked(SALT_BYTES).ok_or(NotASegment::Torn)?;
    let head: SegmentHead = serde_json::from_slice(head_bytes).map_err(|_| NotASegment::Other)?;
    if head.installation != installation {
        return Err(NotASegment::Foreign(head.installation));
    }
    if head.name() != name {
        return Err(NotASegment::Misnamed);
    }
    let aad = &whole[..whole.len() - body.len()];
    let mut body = body.to_vec();
    let nonce = Nonce::assume_unique_for_key([0; 12]);
    let packed = key
        .sealing(salt, head_bytes)
        .open_in_place(nonce, Aad::from(aad), &mut body)
        .map_err(|_| NotASegment::OtherKey)?;
    let lines = miniz_oxide::inflate::decompress_to_vec_with_limit(packed, ROW_BYTES_MAX)
        .map_err(|error| NotASegment::Unreadable(error.to_string()))?;
    Ok((head, lines))
}

/// The rows of a segment's lines, one by one.
pub fn rows_of(lines: &[u8]) -> impl Iterator<Item = Result<Row, NotASegment>> {
    let lines = lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    lines.map(|line| serde_json::from_slice(line).map_err(|error| NotASegment::Unreadable(error.to_string())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head() -> SegmentHead {
        SegmentHead {
            installation: "i1".into(),
            epoch: Epoch(1),
            number: 42,
            kind: SegmentKind::Changes,
            after: 41,
            at: Moment(1_750_000_000_000),
            rows: 2,
            began: None,
        }
    }

    const LINES: &[u8] = b"{\"fact\":{\"name\":\"a\",\"is\":\"1\"}}\n{\"fact\":{\"name\":\"b\",\"is\":null}}\n";

    #[test]
    fn what_was_sealed_opens() {
        let (key, head) = (SegmentKey::of("secret"), head());
        let sealed = seal(&key, &head, LINES, [7; 32]);
        assert!(!sealed.windows(4).any(|part| part == b"fact"), "nobody reads it on the store");
        let (opened, lines) = open(&key, "i1", head.name(), &sealed).unwrap();
        assert_eq!((&opened, lines.as_slice()), (&head, LINES));
        let rows: Result<Vec<Row>, _> = rows_of(&lines).collect();
        assert_eq!(
            rows.unwrap(),
            [Row::Fact { name: "a".into(), is: Some("1".into()) }, Row::Fact { name: "b".into(), is: None }]
        );
    }

    /// Cut anywhere, or with any byte changed, nothing of it is believed.
    #[test]
    fn torn_or_changed_is_never_believed() {
        let (key, head) = (SegmentKey::of("secret"), head());
        let sealed = seal(&key, &head, LINES, [7; 32]);
        for end in 0..sealed.len() {
            assert!(open(&key, "i1", head.name(), &sealed[..end]).is_err(), "cut at {end}");
        }
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert!(open(&key, "i1", head.name(), &changed).is_err(), "changed at {at}");
            // And with a checksum that fits.
            let end = changed.len() - CHECK_BYTES;
            if at < end {
                let check = *blake3::hash(&changed[..end]).as_bytes();
                changed[end..].copy_from_slice(&check[..CHECK_BYTES]);
                assert!(open(&key, "i1", head.name(), &changed).is_err(), "forged at {at}");
            }
        }
    }

    #[test]
    fn others_are_told_apart() {
        let (key, head) = (SegmentKey::of("secret"), head());
        let sealed = seal(&key, &head, LINES, [7; 32]);
        let check = |key: &SegmentKey, installation: &str, name: SegmentName, bytes: &[u8], why: NotASegment| {
            assert_eq!(open(key, installation, name, bytes).map(|_| ()), Err(why));
        };
        check(&SegmentKey::of("other"), "i1", head.name(), &sealed, NotASegment::OtherKey);
        check(&key, "i2", head.name(), &sealed, NotASegment::Foreign("i1".into()));
        check(&key, "i1", SegmentName { number: 43, ..head.name() }, &sealed, NotASegment::Misnamed);
        check(&key, "i1", head.name(), b"<html>not found</html>", NotASegment::Other);
        check(&key, "i1", head.name(), b"OUTLSEG2 of another time", NotASegment::Newer("2".into()));
        check(&key, "i1", head.name(), b"", NotASegment::Torn);
    }

    /// The first version's bytes open for ever.
    #[test]
    fn a_kept_segment_opens() {
        let name = SegmentName { epoch: Epoch(1), number: 42, kind: SegmentKind::Changes };
        let kept = include_bytes!("../../tests/old_segments/v1.segment");
        let (opened, lines) = open(&SegmentKey::of("secret"), "i1", name, kept).unwrap();
        assert_eq!((opened, lines.as_slice()), (head(), LINES));
    }

    #[test]
    fn names_read_back_and_sort() {
        let name = |number, kind| SegmentName { epoch: Epoch(3), number, kind };
        let names = [
            name(9, SegmentKind::Changes),
            name(10, SegmentKind::Snapshot),
            name(255, SegmentKind::SnapshotEnd { first: 10 }),
            name(4096, SegmentKind::Changes),
        ];
        let texts = names.map(|name| name.to_string());
        assert!(texts.is_sorted(), "{texts:?}");
        assert_eq!(texts[2], ".outlast/ledger/00000003-0000000000ff.snapshot-end-00000000000a");
        for (name, text) in names.iter().zip(&texts) {
            assert_eq!(SegmentName::parse(text), Some(*name));
        }
        for bad in [".outlast/ledger/", ".outlast/ledger/1-2", "ledger/1-2.changes", ".outlast/ledger/+1-2.changes"] {
            assert_eq!(SegmentName::parse(bad), None, "{bad}");
        }
    }
}
