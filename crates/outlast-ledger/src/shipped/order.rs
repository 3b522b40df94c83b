//! Which segments make a ledger, and in which order.

use super::segment::{SegmentKind, SegmentName};
use std::collections::BTreeSet;

/// What is read, in this order: each row is what the ledger said when its segment was read, so a later one takes the place of
/// an earlier one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reading {
    /// The end of the snapshot that all goes on from; None: there is none, and everything is read.
    pub base: Option<SegmentName>,
    pub names: Vec<SegmentName>,
}

/// `passed_over`: snapshots, the newest first, that were found to lack a part; they are read like anything else, after an older
/// one.
pub fn segments_to_read(found: &BTreeSet<SegmentName>, passed_over: usize) -> Reading {
    let mut ends = found.iter().rev().filter_map(|name| match name.kind {
        SegmentKind::SnapshotEnd { first } => Some((*name, (name.epoch, first))),
        SegmentKind::Changes | SegmentKind::Snapshot => None,
    });
    let (base, from) = ends.nth(passed_over).unzip();
    let names = found.iter().filter(|name| from.is_none_or(|from| (name.epoch, name.number) >= from));
    Reading { base, names: names.copied().collect() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use outlast_rules::Epoch;

    fn name(epoch: u64, number: u64, kind: SegmentKind) -> SegmentName {
        SegmentName { epoch: Epoch(epoch), number, kind }
    }

    fn check(found: &[SegmentName], passed_over: usize, read: &[u64]) {
        let found: BTreeSet<SegmentName> = found.iter().copied().collect();
        let reading = segments_to_read(&found, passed_over);
        let numbers: Vec<u64> = reading.names.iter().map(|name| name.number).collect();
        assert_eq!(
            reading.base.is_some(),
            found.iter().any(|name| matches!(name.kind, SegmentKind::SnapshotEnd { .. })) && passed_over < 2
        );
        assert_eq!(numbers, read, "{found:?}, {passed_over}");
    }

    #[test]
    fn from_the_newest_whole_snapshot_on() {
        use SegmentKind::{Changes, Snapshot, SnapshotEnd};
        let end = |first| SnapshotEnd { first };
        check(&[], 0, &[]);
        check(&[name(1, 4, Changes), name(1, 5, Snapshot)], 0, &[4, 5]);
        let two = [
            name(1, 1, Changes),
            name(1, 2, Snapshot),
            name(1, 3, Changes),
            name(1, 4, end(2)),
            name(1, 5, Changes),
            name(1, 6, end(6)),
            name(1, 7, Snapshot),
            name(1, 8, Changes),
        ];
        check(&two, 0, &[6, 7, 8]);
        check(&two, 1, &[2, 3, 4, 5, 6, 7, 8]);
        check(&two, 2, &[1, 2, 3, 4, 5, 6, 7, 8]);
        // A new life goes on from the old one's until it has a snapshot of its own.
        check(&[name(1, 8, end(8)), name(1, 9, Changes), name(2, 1, Changes)], 0, &[8, 9, 1]);
        check(&[name(1, 8, end(8)), name(2, 1, Changes), name(2, 2, end(2))], 0, &[2]);
    }
}
