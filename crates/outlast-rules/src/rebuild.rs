//! What a ledger that is made anew says of a key: which of the writes that left a trace is its truth, and what only clocks could
//! decide (protocol.md 7).

use crate::{Epoch, Moment, Pin, Seq, WriteId};
use serde::{Deserialize, Serialize};

/// Clocks of stores and ours differ by less: S3 and its kin refuse signatures that are off by more than 15 minutes.
const CLOCK_SLACK_MS: u64 = 15 * 60_000;

/// The place of a write in the order of all writes, over every life of the ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Turn {
    pub epoch: Epoch,
    pub seq: Seq,
}

/// A write of a key of which something was found: a stamp, a record, or what the lost ledger said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trace {
    pub write: WriteId,
    /// None: its stamp has no seq and its order record stands nowhere, so nobody was ever told that it succeeded.
    pub turn: Option<Turn>,
    /// The latest that a store's clock says of it.
    pub modified: Moment,
}

/// Which write is the key's truth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Choice {
    pub write: WriteId,
    /// The order of several writes stands nowhere; the newest by the stores' clocks was taken.
    pub by_clock: bool,
}

/// The highest turn wins; what was rolled back counts for nothing. A write without a turn was never acknowledged: it is the truth
/// only where nothing else is.
pub fn choose(traces: &[Trace], rolled_back: &[WriteId]) -> Option<Choice> {
    let counts = || traces.iter().filter(|trace| !rolled_back.contains(&trace.write));
    if let Some(newest) = counts().filter(|trace| trace.turn.is_some()).max_by_key(|trace| trace.turn) {
        return Some(Choice { write: newest.write, by_clock: false });
    }
    let newest = counts().max_by_key(|trace| (trace.modified, trace.write))?;
    let by_clock = counts().any(|trace| trace.write != newest.write);
    Some(Choice { write: newest.write, by_clock })
}

/// What a listing says of one copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListedAs<'a> {
    pub size: u64,
    pub etag: &'a str,
    /// The native version that is current, where the listing tells.
    pub version: Option<&'a str>,
    pub modified: Option<Moment>,
}

/// How far a listing is believed about a copy that the lost ledger knew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unchanged {
    /// The very copy: an ETag or version id of this kind is given once.
    Surely,
    /// The same size and ETag, and by the store's clock older than what the ledger last said of everything: an overwrite with
    /// the same bytes would be younger.
    ByClock,
    /// It has to be asked for.
    No,
}

/// `pin`, `size`: as the lost ledger knew the copy. `unique`: this store gives no ETag twice. `told`: everything that the ledger
/// said was said at this moment or later, by the gateway's clock.
pub fn is_unchanged(listed: ListedAs<'_>, pin: &Pin, size: u64, unique: bool, told: Option<Moment>) -> Unchanged {
    if listed.size != size || listed.etag != pin.etag {
        return Unchanged::No;
    }
    match (pin.version.as_deref(), listed.version) {
        (Some(known), Some(current)) => return if known == current { Unchanged::Surely } else { Unchanged::No },
        _ if unique => return Unchanged::Surely,
        _ => {}
    }
    match (listed.modified, told) {
        (Some(modified), Some(told)) if modified.plus_ms(CLOCK_SLACK_MS) < told => Unchanged::ByClock,
        _ => Unchanged::No,
    }
}

/// May a gateway go on calling a store whose epoch object says this?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EpochNow {
    Ours,
    /// A rebuild has begun another life of the ledger: this one is over.
    Over,
}

/// `token` names the rebuild that began an epoch; empty for the first, which no object tells of. An older epoch is a store that was
/// away while a rebuild began ours.
pub fn judge_epoch(ours: (Epoch, &str), found: Option<(Epoch, &str)>) -> EpochNow {
    match found {
        Some((epoch, _)) if epoch > ours.0 => EpochNow::Over,
        Some((epoch, token)) if epoch == ours.0 && token != ours.1 => EpochNow::Over,
        _ => EpochNow::Ours,
    }
}

/// What was found of a bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BucketTraces {
    /// The incarnation in which the lost ledger knew it.
    pub recalled: Option<u64>,
    /// The newest record of its deletion: which life ended, and when among all writes.
    pub ended: Option<(u64, Turn)>,
    /// Stores of its placement that have it, and how many a CreateBucket needs.
    pub on: usize,
    pub needed: usize,
    /// Something in it has our stamp or is a record of ours.
    pub ours: bool,
    /// Something in it has not.
    pub foreign: bool,
    /// The newest write that was found in it.
    pub newest: Option<Turn>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BucketIs {
    /// As the lost ledger knew it.
    AsRecalled,
    Serving,
    /// Its deletion was acknowledged; what is left of it goes.
    Gone,
    /// Somebody else's, or never adopted: found, and not served.
    Found,
    /// None of ours, and empty.
    Nothing,
}

/// With the reason to doubt, where there is one: a bucket that was deleted and made again, and is empty, is held to be deleted.
pub fn judge_bucket(traces: BucketTraces) -> (BucketIs, Option<&'static str>) {
    let lives_on = |ended: Turn| traces.newest.is_some_and(|newest| newest > ended);
    match (traces.recalled, traces.ended) {
        (Some(known), Some((ended, at))) if ended >= known => {
            if lives_on(at) {
                (BucketIs::Serving, None)
            } else {
                (BucketIs::Gone, None)
            }
        }
        (Some(_), _) => (BucketIs::AsRecalled, None),
        (None, Some((_, at))) if lives_on(at) => (BucketIs::Serving, None),
        (None, Some(_)) if traces.on >= traces.needed => {
            (BucketIs::Gone, Some("deleted, or deleted and made again and empty: held to be deleted"))
        }
        (None, Some(_)) => (BucketIs::Gone, None),
        (None, None) if traces.ours => (BucketIs::Serving, None),
        (None, None) if traces.foreign => (BucketIs::Found, None),
        (None, None) if traces.on >= traces.needed => {
            (BucketIs::Serving, Some("empty, and on as many stores as a bucket of ours would be: taken for ours"))
        }
        (None, None) => (BucketIs::Nothing, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn turn(epoch: u64, seq: u64) -> Turn {
        Turn { epoch: Epoch(epoch), seq: Seq(seq) }
    }

    fn trace(write: u128, turn: Option<Turn>, modified: u64) -> Trace {
        Trace { write: WriteId(write), turn, modified: Moment(modified) }
    }

    /// What became of one write of a key, and which of its traces are left when the ledger is lost.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    enum Fate {
        NeverLanded,
        /// Undecided when the ledger was lost: a trace may be left or not.
        Undecided {
            seen: bool,
        },
        /// Rolled back, which was shipped or not.
        RolledBack {
            seen: bool,
            shipped: bool,
        },
        /// Whoever asked was told 200. Its traces stand until a newer acknowledged write has taken their place.
        Acknowledged,
    }

    const FATES: [Fate; 8] = [
        Fate::NeverLanded,
        Fate::Undecided { seen: false },
        Fate::Undecided { seen: true },
        Fate::RolledBack { seen: false, shipped: false },
        Fate::RolledBack { seen: false, shipped: true },
        Fate::RolledBack { seen: true, shipped: false },
        Fate::RolledBack { seen: true, shipped: true },
        Fate::Acknowledged,
    ];

    /// Every history of four writes, objects and deletes alike, with every set of old traces still lying about and every moment
    /// at which the ledger was last shipped: what is chosen is never older than what was acknowledged, and never what was
    /// known to be rolled back (P8).
    #[test]
    fn nothing_acknowledged_is_forgotten_in_any_small_world() {
        let mut worlds = 0;
        for world in 0..8u32.pow(4) {
            let fates: Vec<Fate> = (0..4).map(|n| FATES[(world / 8u32.pow(n) % 8) as usize]).collect();
            let newest = fates.iter().rposition(|fate| *fate == Fate::Acknowledged);
            for old_traces in 0..16u32 {
                for shipped in 0..=4usize {
                    check_world(&fates, newest, old_traces, shipped);
                    worlds += 1;
                }
            }
        }
        assert_eq!(worlds, 8 * 8 * 8 * 8 * 16 * 5);
    }

    fn check_world(fates: &[Fate], newest: Option<usize>, old_traces: u32, shipped: usize) {
        let seen = |n: usize| match fates[n] {
            Fate::NeverLanded => false,
            Fate::Undecided { seen } | Fate::RolledBack { seen, .. } => seen,
            // The newest stands for certain; older ones may still lie on a store that was away.
            Fate::Acknowledged => Some(n) == newest || old_traces & (1 << n) != 0,
        };
        // What the ledger said when it was last shipped: the newest acknowledged of the first `shipped` writes.
        let recalled = (0..shipped).rev().find(|n| fates[*n] == Fate::Acknowledged);
        let found = (0..4).filter(|n| seen(*n) || Some(*n) == recalled);
        let traces: Vec<Trace> = found.map(|n| trace(n as u128, Some(turn(1, n as u64)), 0)).collect();
        let is_known_back = |n: &usize| matches!(fates[*n], Fate::RolledBack { shipped: true, .. });
        let rolled_back: Vec<WriteId> = (0..4).filter(is_known_back).map(|n| WriteId(n as u128)).collect();
        let chosen = choose(&traces, &rolled_back).map(|choice| choice.write.0 as usize);
        assert!(chosen >= newest, "{fates:?}: {chosen:?} instead of {newest:?}");
        if let Some(chosen) = chosen {
            assert!(!rolled_back.contains(&WriteId(chosen as u128)), "{fates:?}");
        }
    }

    #[test]
    fn a_later_life_counts_first_and_clocks_last() {
        let check = |traces: &[Trace], write: u128, by_clock: bool| {
            assert_eq!(choose(traces, &[]), Some(Choice { write: WriteId(write), by_clock }), "{traces:?}");
        };
        check(&[trace(1, Some(turn(1, 900)), 5), trace(2, Some(turn(2, 500)), 1)], 2, false);
        check(&[trace(1, Some(turn(1, 1)), 0), trace(2, None, 9)], 1, false);
        check(&[trace(2, None, 9)], 2, false);
        check(&[trace(2, None, 9), trace(2, None, 8)], 2, false);
        check(&[trace(2, None, 8), trace(3, None, 9)], 3, true);
        assert_eq!(choose(&[], &[]), None);
    }

    #[test]
    fn a_listing_is_believed_only_where_it_cannot_hide_an_overwrite() {
        let hour = 3_600_000;
        let listed = ListedAs { size: 5, etag: "e", version: None, modified: Some(Moment(hour)) };
        let pin = Pin { etag: "e".into(), version: None };
        let check = |listed: ListedAs<'_>, pin: &Pin, unique: bool, told: Option<Moment>, is: Unchanged| {
            assert_eq!(is_unchanged(listed, pin, 5, unique, told), is, "{listed:?} {pin:?} {unique} {told:?}");
        };
        check(listed, &pin, true, None, Unchanged::Surely);
        check(listed, &pin, false, None, Unchanged::No);
        check(listed, &pin, false, Some(Moment(2 * hour)), Unchanged::ByClock);
        check(listed, &pin, false, Some(Moment(hour + CLOCK_SLACK_MS)), Unchanged::No);
        check(ListedAs { modified: None, ..listed }, &pin, false, Some(Moment(9 * hour)), Unchanged::No);
        check(ListedAs { size: 6, ..listed }, &pin, true, Some(Moment(9 * hour)), Unchanged::No);
        check(ListedAs { etag: "f", ..listed }, &pin, true, Some(Moment(9 * hour)), Unchanged::No);
        let versioned = Pin { version: Some("v1".into()), ..pin.clone() };
        check(ListedAs { version: Some("v1"), ..listed }, &versioned, false, None, Unchanged::Surely);
        check(ListedAs { version: Some("v2"), ..listed }, &versioned, true, Some(Moment(9 * hour)), Unchanged::No);
        check(listed, &versioned, false, Some(Moment(2 * hour)), Unchanged::ByClock);
    }

    #[test]
    fn an_epoch_of_somebody_else_ends_ours() {
        let check = |ours, found, is| assert_eq!(judge_epoch(ours, found), is, "{ours:?} {found:?}");
        let epoch = |n| Epoch(n);
        check((epoch(1), ""), None, EpochNow::Ours);
        check((epoch(1), ""), Some((epoch(2), "a")), EpochNow::Over);
        check((epoch(2), "a"), Some((epoch(2), "a")), EpochNow::Ours);
        check((epoch(2), "a"), Some((epoch(2), "b")), EpochNow::Over);
        check((epoch(3), "b"), Some((epoch(2), "a")), EpochNow::Ours);
        check((epoch(3), "b"), None, EpochNow::Ours);
    }

    /// Every combination of what can be found of a bucket, against what its owner was told.
    #[test]
    fn a_bucket_whose_deletion_was_acknowledged_stays_deleted() {
        for n in 0..2u32.pow(7) {
            let bit = |at: u32| n & (1 << at) != 0;
            let ended = bit(1).then_some((if bit(2) { 7 } else { 5 }, turn(1, 50)));
            let newest = bit(5).then_some(turn(1, if bit(6) { 60 } else { 40 }));
            let traces = BucketTraces {
                recalled: bit(0).then_some(7),
                ended,
                on: if bit(3) { 2 } else { 1 },
                needed: 2,
                ours: bit(4) || newest.is_some(),
                foreign: false,
                newest,
            };
            let (is, _) = judge_bucket(traces);
            let written_since = newest == Some(turn(1, 60));
            let ended_for_good = match (traces.recalled, ended) {
                (Some(known), Some((life, _))) => life >= known,
                (_, ended) => ended.is_some(),
            };
            let expected = match () {
                () if ended_for_good && written_since => BucketIs::Serving,
                () if ended_for_good => BucketIs::Gone,
                () if traces.recalled.is_some() => BucketIs::AsRecalled,
                () if traces.ours || traces.on == 2 => BucketIs::Serving,
                () => BucketIs::Nothing,
            };
            assert_eq!(is, expected, "{traces:?}");
        }
    }
}
