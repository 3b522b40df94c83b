//! What a delete or an overwrite displaced, and may still be brought back: where its bytes stand, until when, and whether
//! they may be destroyed (protocol.md 4).

use crate::{
    BucketName, Entry, Epoch, Key, KeyState, Moment, Pin, RESERVED_PREFIX, Seq, Stamp, StoreName, WriteId, name_hash,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// S3's longest key: a name in the trash may not be longer than what every store holds.
const NAME_BYTES_MAX: usize = 1024;
/// A week: somebody who comes back from a holiday of a few days still finds what went meanwhile.
pub const UNDELETE_MS_DEFAULT: u64 = 7 * 24 * 3600 * 1000;

/// What is kept of a bucket's deletes and overwrites: `undelete_days` and `undelete_overwrites`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Undelete {
    /// How long a displaced write can be brought back; 0: not at all.
    pub window_ms: u64,
    /// Is what an overwrite displaces kept too?
    pub overwrites: bool,
}

impl Default for Undelete {
    fn default() -> Undelete {
        Undelete { window_ms: UNDELETE_MS_DEFAULT, overwrites: true }
    }
}

/// Why a write is in the trash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Displaced {
    Deleted,
    Overwritten,
    /// By a write that stands on fewer than `min_copies` places, where the bucket keeps nothing otherwise: it is offered as long as
    /// copies of it are still there, and nothing is put aside for it.
    Below,
    /// A copy with our stamp that no entry knew. It was never acknowledged, so it is never brought back by itself.
    Leftover,
}

/// Where the bytes of a trashed write stand on one store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shelf {
    pub pin: Pin,
    /// A noncurrent native version under the key itself; else a copy under `trash_name`.
    #[serde(default)]
    pub native: bool,
}

/// One displaced write.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trashed {
    pub bucket: BucketName,
    pub key: Key,
    /// The entry as it was, its holders among it: some of them may still lie under the key.
    pub entry: Entry,
    /// The write that displaced it. While it is undecided nothing is in the trash yet.
    pub by: WriteId,
    pub why: Displaced,
    pub at: Moment,
    /// The trash lets go of it after this; None: not before somebody releases it (it went above a delete budget).
    pub until: Option<Moment>,
    /// Who asked for it, where a client did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// The ETag of the write by which its bytes came back last: another one than its own where it was a multipart upload.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub returned: Option<String>,
    pub shelves: BTreeMap<StoreName, Shelf>,
}

impl Trashed {
    /// Do its bytes stand on as many stores as the bucket's writes need? Only then may another copy of it be destroyed.
    pub fn is_kept(&self, min_copies: usize) -> bool {
        self.shelves.len() >= min_copies
    }

    /// Is its time over? Then nothing of it is owed any room, whether it was ever kept or not.
    pub fn is_over(&self, now: Moment) -> bool {
        self.until.is_some_and(|until| until <= now)
    }

    /// The entry as it can be read now: from the shelves, and from copies that still lie under the key.
    pub fn readable(&self) -> Entry {
        let mut entry = self.entry.clone();
        entry.holders.extend(self.shelves.iter().map(|(store, shelf)| (store.clone(), shelf.pin.clone())));
        entry
    }
}

/// The name of a trashed write's copy: `.outlast/trash/<write id>/<key>`, or a hash instead of a key that would make it too
/// long. The write id alone makes it unique.
pub fn trash_name(bucket: &BucketName, key: &Key, write: WriteId) -> String {
    name_in(&format!("{RESERVED_PREFIX}trash/{write}"), bucket, key)
}

/// The name of a foreign object that is kept: `.outlast/conflicts/<id>/<key>`, or a hash as above. `id`: by chance, unique.
pub fn conflict_name(bucket: &BucketName, key: &Key, id: u128) -> String {
    name_in(&format!("{RESERVED_PREFIX}conflicts/{id:032x}"), bucket, key)
}

fn name_in(folder: &str, bucket: &BucketName, key: &Key) -> String {
    let plain = format!("{folder}/{key}");
    if plain.len() <= NAME_BYTES_MAX {
        return plain;
    }
    let hash: String = name_hash(bucket, key).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{folder}/~{hash}")
}

/// The key as it is now, as far as bringing back depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Present<'a> {
    /// No object: never written, or deleted.
    Nothing,
    Object(&'a Entry),
    /// A write is undecided: nobody knows what will be there.
    Undecided,
}

/// What becomes of one key when somebody asks for its past.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Return<'a> {
    Bring(&'a Trashed),
    Leave(Stays),
}

/// Why a key is left as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Stays {
    /// An object lies there, and nobody named the time to go back to.
    Exists,
    /// It is already what it would be brought back to.
    Same,
    /// Nothing of it went since that time.
    Unchanged,
    /// It did not exist at that time; what was written since stays.
    Absent,
    /// Only copies that were never acknowledged.
    OnlyLeftovers,
    Undecided,
}

/// Which of a key's trashed writes comes back. Without `since`: the newest, and only where the key is deleted now. With it:
/// what the key was at that time, which is the first that was displaced since and written before, even over an object that is
/// there now. A key that did not exist then is left as it is: going back destroys nothing.
pub fn judge_return<'a>(trashed: &'a [Trashed], present: Present<'_>, since: Option<Moment>) -> Return<'a> {
    let present = match present {
        Present::Undecided => return Return::Leave(Stays::Undecided),
        Present::Nothing => None,
        Present::Object(entry) => Some(entry),
    };
    // What is the entry again (its displacing write was rolled back) was never gone.
    let gone = |one: &&Trashed| present.is_none_or(|entry| entry.write != one.entry.write);
    let acknowledged = || trashed.iter().filter(|one| one.why != Displaced::Leftover).filter(gone);
    let chosen = match since {
        None => acknowledged().max_by_key(|one| one.entry.seq),
        Some(since) => acknowledged().filter(|one| one.at >= since).min_by_key(|one| one.entry.seq),
    };
    match (chosen, present) {
        (None, None) if trashed.iter().any(|one| one.why == Displaced::Leftover) => Return::Leave(Stays::OnlyLeftovers),
        (None, _) => Return::Leave(Stays::Unchanged),
        (Some(_), Some(_)) if since.is_none() => Return::Leave(Stays::Exists),
        (Some(one), _) if since.is_some_and(|since| one.entry.modified > since) => Return::Leave(Stays::Absent),
        (Some(one), Some(entry)) if is_same(one, entry) => Return::Leave(Stays::Same),
        (Some(one), _) => Return::Bring(one),
    }
}

fn is_same(then: &Trashed, now: &Entry) -> bool {
    let is_etag = then.entry.etag == now.etag || then.returned.as_ref() == Some(&now.etag);
    is_etag && then.entry.size == now.size && then.entry.head == now.head
}

/// What the ledger says of a key whose noncurrent native versions are looked at.
#[derive(Debug, Clone, Copy)]
pub struct VersionFacts<'a> {
    pub state: &'a KeyState,
    /// Everything in the trash of the key.
    pub trash: &'a [Trashed],
    /// Writes of the key that were rolled back and that no newer entry has outdone.
    pub rolled_back: &'a [(WriteId, Seq)],
    /// Is the entry safe on `min_copies` stores? A tombstone is by its records.
    pub entry_is_safe: bool,
    /// Of this ledger. One that was made anew by a rebuild does not know what an earlier one kept for whom.
    pub epoch: Epoch,
}

/// May this version of a key, noncurrent on its store for longer than the undelete window, be destroyed there by its id (protocol.md
/// 6)? `stamp`: the version's, bound to this very key; without one it is not ours. Judged by the ledger alone, never by what is
/// current on the store (counter-example 22).
pub fn may_destroy_version(stamp: &Stamp, facts: VersionFacts<'_>) -> bool {
    let Some(entry) = &facts.state.entry else { return false };
    let is_it = |write: WriteId| write == stamp.write;
    let is_wanted = is_it(entry.write)
        || facts.state.intents.iter().any(|intent| is_it(intent.entry.write))
        || facts.trash.iter().any(|row| is_it(row.entry.write))
        || entry.predecessors.iter().any(|one| is_it(one.write));
    let is_outdone = stamp.seq.is_some_and(|seq| seq < entry.seq) || facts.rolled_back.iter().any(|one| is_it(one.0));
    !is_wanted && is_outdone && facts.entry_is_safe && stamp.epoch == facts.epoch
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{EntryKind, Head, Intent, Layout, Predecessor};

    fn entry(n: u64) -> Entry {
        Entry {
            write: WriteId(u128::from(n)),
            seq: Seq(n),
            kind: EntryKind::Object,
            size: n,
            etag: format!("e{n}"),
            modified: Moment(n * 10),
            head: Head::default(),
            layout: Layout::Whole,
            checksums: vec![],
            holders: BTreeMap::new(),
            adopted_from: None,
            predecessors: vec![],
            record: None,
        }
    }

    fn trashed(n: u64, why: Displaced) -> Trashed {
        Trashed {
            bucket: BucketName::parse("bkt").unwrap(),
            key: Key::parse("k").unwrap(),
            entry: entry(n),
            by: WriteId(u128::from(n + 1)),
            why,
            at: Moment(n * 10 + 5),
            until: Some(Moment(1_000)),
            user: None,
            returned: None,
            shelves: BTreeMap::new(),
        }
    }

    #[test]
    fn names_fit_every_store() {
        let bucket = BucketName::parse("bkt").unwrap();
        let short = trash_name(&bucket, &Key::parse("a/b").unwrap(), WriteId(10));
        assert_eq!(short, ".outlast/trash/0000000000000000000000000000000a/a/b");
        let long = |letter: &str| trash_name(&bucket, &Key::parse(&letter.repeat(1024)).unwrap(), WriteId(10));
        assert!(long("x").len() <= NAME_BYTES_MAX);
        assert_ne!(long("x"), long("y"));
    }

    /// Every history of up to four writes, every present state, every time to go back to: against the plain sentence.
    #[test]
    fn every_small_past() {
        let whys = [Displaced::Deleted, Displaced::Overwritten, Displaced::Below, Displaced::Leftover];
        for history in 0..4_usize.pow(4) {
            let past: Vec<Trashed> =
                (0..4).filter_map(|i| Some(trashed(i as u64 + 1, *whys.get(history / 4_usize.pow(i) % 4)?))).collect();
            let now = entry(9);
            let again = entry(2);
            for present in [Present::Nothing, Present::Object(&now), Present::Object(&again), Present::Undecided] {
                for since in [None, Some(Moment(0)), Some(Moment(22)), Some(Moment(99))] {
                    check(&past, present, since);
                }
            }
        }
    }

    fn check(past: &[Trashed], present: Present<'_>, since: Option<Moment>) {
        let current = if let Present::Object(entry) = present { Some(entry.write) } else { None };
        match judge_return(past, present, since) {
            Return::Bring(one) => {
                assert_ne!(present, Present::Undecided);
                assert_ne!(one.why, Displaced::Leftover, "never acknowledged, never brought back");
                assert_ne!(Some(one.entry.write), current);
                assert!(
                    since.is_some() || present == Present::Nothing,
                    "an object is replaced only when a time is named"
                );
                let others = past.iter().filter(|other| other.why != Displaced::Leftover);
                for other in others.filter(|other| Some(other.entry.write) != current) {
                    match since {
                        None => assert!(other.entry.seq <= one.entry.seq),
                        Some(since) => {
                            assert!(one.at >= since && one.entry.modified <= since);
                            assert!(other.at < since || other.entry.seq >= one.entry.seq);
                        }
                    }
                }
            }
            Return::Leave(Stays::Exists) => assert!(since.is_none() && current.is_some()),
            Return::Leave(Stays::Undecided) => assert_eq!(present, Present::Undecided),
            Return::Leave(Stays::Same) => unreachable!("no two of these are alike"),
            Return::Leave(Stays::Absent) => {
                let gone = past.iter().filter(|one| one.why != Displaced::Leftover && Some(one.entry.write) != current);
                let since = since.expect("only where a time is named");
                assert!(
                    gone.clone().all(|one| one.at < since || one.entry.modified > since),
                    "one of them was there then"
                );
            }
            Return::Leave(Stays::OnlyLeftovers) => assert!(present == Present::Nothing && !past.is_empty()),
            Return::Leave(Stays::Unchanged) => assert!(
                past.iter()
                    .filter(|one| one.why != Displaced::Leftover && Some(one.entry.write) != current)
                    .all(|one| since.is_some_and(|since| one.at < since))
            ),
        }
    }

    #[test]
    fn what_is_there_again_is_left() {
        let past = [trashed(1, Displaced::Overwritten)];
        let same = Entry { write: WriteId(77), seq: Seq(77), ..entry(1) };
        assert_eq!(judge_return(&past, Present::Object(&same), Some(Moment(12))), Return::Leave(Stays::Same));
        // What was a multipart upload comes back under the ETag of one body.
        let whole = Entry { etag: "whole".to_owned(), ..same };
        assert!(matches!(judge_return(&past, Present::Object(&whole), Some(Moment(12))), Return::Bring(_)));
        let back = [Trashed { returned: Some("whole".to_owned()), ..trashed(1, Displaced::Overwritten) }];
        assert_eq!(judge_return(&back, Present::Object(&whole), Some(Moment(12))), Return::Leave(Stays::Same));
    }

    /// Written, overwritten and deleted, all after the time that is gone back to.
    #[test]
    fn what_did_not_exist_then_stays_as_it_is() {
        let past = [trashed(3, Displaced::Overwritten), trashed(4, Displaced::Deleted)];
        assert_eq!(judge_return(&past, Present::Nothing, Some(Moment(12))), Return::Leave(Stays::Absent));
        assert_eq!(judge_return(&past, Present::Object(&entry(5)), Some(Moment(12))), Return::Leave(Stays::Absent));
        assert!(
            matches!(judge_return(&past, Present::Nothing, Some(Moment(32))), Return::Bring(one) if one.entry.seq == Seq(3))
        );
    }

    fn stamp(n: u64, seq: Option<u64>) -> Stamp {
        let (epoch, write, name) = (Epoch(1), WriteId(n.into()), [0; 16]);
        Stamp { epoch, seq: seq.map(Seq), write, name, size: Some(n), digest: None }
    }

    /// Every combination of what the ledger may say of write 3 beside entry 5: each thing that speaks for it is enough.
    #[test]
    fn a_version_goes_only_when_nothing_speaks_for_it() {
        for bits in 0..1_u32 << 6 {
            let bit = |n: u32| bits >> n & 1 == 1;
            let mut state = KeyState { entry: Some(entry(5)), ..KeyState::default() };
            if bit(0) {
                let (write, seq, size, etag) = (WriteId(3), Seq(3), 3, String::new());
                let predecessor = Predecessor { write, seq, size, etag, holders: BTreeMap::new() };
                state.entry.as_mut().unwrap().predecessors = vec![predecessor];
            }
            if bit(1) {
                let Trashed { bucket, key, entry, .. } = trashed(3, Displaced::Deleted);
                state.intents = vec![Intent { bucket, key, began: Moment(1), entry, spooled: false, upload: None }];
            }
            let trash = [trashed(if bit(2) { 3 } else { 2 }, Displaced::Overwritten)];
            let back = if bit(3) { 3 } else { 4 };
            let facts = VersionFacts {
                state: &state,
                trash: &trash,
                rolled_back: &[(WriteId(back.into()), Seq(back))],
                entry_is_safe: bit(5),
                epoch: Epoch(1),
            };
            let seq = bit(4).then_some(3);
            let goes = bit(5) && !bit(0) && !bit(1) && !bit(2) && (bit(3) || bit(4));
            assert_eq!(may_destroy_version(&stamp(3, seq), facts), goes, "{bits:06b}");
            assert!(!may_destroy_version(&stamp(5, Some(5)), facts), "the entry's own");
            assert!(!may_destroy_version(&stamp(5, Some(4)), facts), "the entry's own, whatever its stamp says");
            assert!(!may_destroy_version(&stamp(7, Some(7)), facts), "newer than the entry, and nobody rolled it back");
            let lost = VersionFacts { epoch: Epoch(2), ..facts };
            assert!(!may_destroy_version(&stamp(3, seq), lost), "of a ledger that was lost");
            let nothing = KeyState::default();
            assert!(!may_destroy_version(&stamp(3, seq), VersionFacts { state: &nothing, ..facts }), "no entry");
        }
    }
}
