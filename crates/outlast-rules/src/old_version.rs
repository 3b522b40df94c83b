//! Native versions that late calls, catch-up and overwrites left below the current one: which of them may go (protocol.md 6).

use crate::{Epoch, KeyState, Seq, Stamp, Trashed, WriteId};

/// What the ledger says of a key whose old versions are looked at.
#[derive(Debug, Clone, Copy)]
pub struct Told<'a> {
    pub state: &'a KeyState,
    /// Everything in the trash of the key.
    pub trash: &'a [Trashed],
    /// Writes of the key that were rolled back and that no newer entry has outdone.
    pub rolled_back: &'a [(WriteId, Seq)],
    /// The entry stands on `min_copies` safe places.
    pub is_safe: bool,
    /// Of this ledger. One that was made anew by a rebuild does not know what an earlier one kept for whom.
    pub epoch: Epoch,
}

/// May a noncurrent version with this stamp, bound to this very key, be deleted by its id? Judged by the ledger alone: what the
/// store shows as current may be a late call's (counter-example 22). A version without a stamp is not ours and is never asked for.
pub fn is_left_for_good(stamp: &Stamp, told: Told<'_>) -> bool {
    let Some(entry) = &told.state.entry else {
        // Nobody can say what it is below.
        return false;
    };
    let is_named = entry.write == stamp.write
        || entry.predecessors.iter().any(|one| one.write == stamp.write)
        || told.state.intents.iter().any(|intent| intent.entry.write == stamp.write)
        || told.trash.iter().any(|row| row.entry.write == stamp.write);
    let is_outdone =
        stamp.seq.is_some_and(|seq| seq < entry.seq) || told.rolled_back.iter().any(|(write, _)| *write == stamp.write);
    told.is_safe && stamp.epoch == told.epoch && !is_named && is_outdone
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::*;
    use std::collections::BTreeMap;

    fn entry(n: u64) -> Entry {
        Entry {
            write: WriteId(n.into()),
            seq: Seq(n),
            kind: EntryKind::Object,
            size: 1,
            etag: "e".into(),
            modified: Moment(n),
            head: Head::default(),
            layout: Layout::Whole,
            checksums: vec![],
            holders: BTreeMap::new(),
            adopted_from: None,
            predecessors: vec![],
            record: None,
        }
    }

    fn stamp(n: u64, seq: Option<u64>) -> Stamp {
        Stamp {
            epoch: Epoch(1),
            seq: seq.map(Seq),
            write: WriteId(n.into()),
            name: [0; 16],
            size: Some(1),
            digest: None,
        }
    }

    fn names() -> (BucketName, Key) {
        (BucketName::parse("bkt").unwrap(), Key::parse("k").unwrap())
    }

    fn intent(n: u64) -> Intent {
        let (bucket, key) = names();
        Intent { bucket, key, began: Moment(1), entry: entry(n), spooled: false, upload: None }
    }

    fn trashed(n: u64) -> Trashed {
        let (bucket, key) = names();
        Trashed {
            bucket,
            key,
            entry: entry(n),
            by: WriteId(5),
            why: Displaced::Overwritten,
            at: Moment(1),
            until: None,
            user: None,
            returned: None,
            shelves: BTreeMap::new(),
        }
    }

    fn predecessor(n: u64) -> Predecessor {
        Predecessor { write: WriteId(n.into()), seq: Seq(n), size: 1, etag: "e".into(), holders: BTreeMap::new() }
    }

    /// Every way in which the ledger may know write 3 beside entry 5, all at once or none: any one of them keeps it.
    #[test]
    fn whatever_names_it_keeps_it() {
        for bits in 0..64_u32 {
            let bit = |n: u32| bits >> n & 1 == 1;
            let mut state = KeyState { entry: Some(entry(5)), ..KeyState::default() };
            if bit(0) {
                state.entry.as_mut().unwrap().predecessors = vec![predecessor(3)];
            }
            if bit(1) {
                state.intents = vec![intent(3)];
            }
            let trash = if bit(2) { vec![trashed(3)] } else { vec![trashed(2)] };
            let rolled_back = if bit(3) { vec![(WriteId(3), Seq(3))] } else { vec![(WriteId(4), Seq(4))] };
            let seq = bit(4).then_some(3);
            let (is_safe, epoch) = (bit(5), Epoch(1));
            let told = Told { state: &state, trash: &trash, rolled_back: &rolled_back, is_safe, epoch };
            let goes = bit(5) && !bit(0) && !bit(1) && !bit(2) && (bit(3) || bit(4));
            assert_eq!(is_left_for_good(&stamp(3, seq), told), goes, "{bits:06b}");
            assert!(!is_left_for_good(&stamp(5, Some(5)), told), "the entry's own");
            assert!(!is_left_for_good(&stamp(7, Some(7)), told), "newer than the entry, and nobody rolled it back");
            assert!(!is_left_for_good(&stamp(3, seq), Told { epoch: Epoch(2), ..told }), "of a ledger that was lost");
            let nothing = KeyState::default();
            assert!(!is_left_for_good(&stamp(3, seq), Told { state: &nothing, ..told }), "no entry");
        }
    }
}
