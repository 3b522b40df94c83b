//! When a record that we left on the stores has nothing to say any more (protocol.md 4 and 6, "What we leave goes again").

use crate::{KeyState, Seq, WriteId};

/// Is what an order or tombstone record says about this write said by something else by now? Judged by the ledger alone.
///
/// `newer_stands`: the key's entry, where it is an object, stands on `min_copies` safe places.
///
/// A write that is undecided or that a call may still bring needs its record. A tombstone keeps its own: it goes with it. A
/// newer tombstone has records of its own, which stood before it was the entry. Below an older entry, or none, the write was
/// rolled back or what it wrote has gone again: whoever reads the stores should not be told of it.
pub fn is_record_over(write: WriteId, seq: Seq, state: &KeyState, newer_stands: bool) -> bool {
    if state.intents.iter().any(|intent| intent.entry.write == write) || state.marks.iter().any(|m| m.write == write) {
        return false;
    }
    match &state.entry {
        None => true,
        Some(entry) if entry.write == write => false,
        Some(entry) => entry.seq < seq || !entry.is_object() || newer_stands,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{BucketName, CallId, Entry, EntryKind, Head, Intent, Key, Layout, Mark, Moment, StoreName};

    fn entry(n: u64, kind: EntryKind) -> Entry {
        Entry {
            write: WriteId(n.into()),
            seq: Seq(n),
            kind,
            size: 0,
            etag: String::new(),
            modified: Moment(n),
            head: Head::default(),
            layout: Layout::Whole,
            checksums: vec![],
            holders: Default::default(),
            adopted_from: None,
            predecessors: vec![],
            record: None,
        }
    }

    fn check(state: &KeyState, newer_stands: bool, over: bool) {
        assert_eq!(is_record_over(WriteId(5), Seq(5), state, newer_stands), over, "{state:?}, {newer_stands}");
    }

    #[test]
    fn a_record_stays_while_its_write_needs_it() {
        let (bucket, key) = (BucketName::parse("photos").unwrap(), Key::parse("k").unwrap());
        let now = |entry| KeyState { entry, ..KeyState::default() };
        for newer_stands in [false, true] {
            check(&now(None), newer_stands, true);
            check(&now(Some(entry(4, EntryKind::Object))), newer_stands, true);
            check(&now(Some(entry(6, EntryKind::Tombstone))), newer_stands, true);
            check(&now(Some(entry(6, EntryKind::Object))), newer_stands, newer_stands);
            check(&now(Some(entry(5, EntryKind::Object))), newer_stands, false);
            check(&now(Some(entry(5, EntryKind::Tombstone))), newer_stands, false);
            for write in [5, 6] {
                let intent = Intent {
                    bucket: bucket.clone(),
                    key: key.clone(),
                    began: Moment(0),
                    entry: entry(write, EntryKind::Object),
                    spooled: false,
                    upload: None,
                };
                let state = KeyState { intents: vec![intent], ..now(Some(entry(4, EntryKind::Object))) };
                check(&state, newer_stands, write != 5);
                let mark = Mark {
                    call: CallId(1),
                    store: StoreName::parse("nas").unwrap(),
                    bucket: bucket.clone(),
                    key: key.clone(),
                    write: WriteId(write.into()),
                    fence: None,
                    since: Moment(0),
                };
                check(&KeyState { marks: vec![mark], ..now(None) }, newer_stands, write != 5);
            }
        }
    }
}
