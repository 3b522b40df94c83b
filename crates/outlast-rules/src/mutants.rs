//! Rules that the simulator takes away, one at a time, to see whether it would notice. In what ships nothing of it is left.
//!
//! Whoever keeps a rule asks `broken` at the place where it is kept. Without the feature `mutants` that is the constant `false`
//! and costs nothing; only `outlast-sim` turns the feature on (docs/decisions/0017-mutants.md).

/// Each mutant: its name, and the rule that it breaks. "ce" counts the counter-examples of protocol.md 9.
macro_rules! mutants {
    ($($name:ident: $rule:literal,)*) => {
        /// One rule that can be taken away. `Mutant::ALL` has them in the order of the protocol.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Mutant {
            $(#[doc = $rule] $name,)*
        }

        impl Mutant {
            pub const ALL: &[Mutant] = &[$(Mutant::$name),*];

            /// What it breaks, in words.
            pub fn rule(self) -> &'static str {
                match self {
                    $(Mutant::$name => $rule,)*
                }
            }
        }
    };
}

mutants! {
    BackBeforeForward: "ce 1: an undecided write is rolled back where the old entry answers, though its bytes can be read",
    DecidedOnOnePlace: "ce 2: an undecided write is decided by one safe copy",
    CommitLooksForgotten: "ce 3: stores not seen with the winner of an undecided write are owed nothing",
    RollBackLooksForgotten: "ce 3: stores not seen with the old entry are owed nothing after a roll-back",
    DeleteForwardWithoutRecord: "ce 4: an undecided delete goes forward without its tombstone record",
    DeleteWithoutRecord: "ce 9: a delete is acknowledged without its tombstone record",
    ForgottenCalls: "ce 5: marks of unanswered calls end with the commit",
    FenceMeetsEqualContent: "ce 6: a copy counts as safe though the fence of a call still out matches its ETag",
    LateDoneCounts: "ce 7: a late answer makes a holder of whatever the entry is by then",
    OldSettlesNew: "ce 7: what is done for an older write settles the debt of a newer one",
    RetryOverNewer: "ce 8: a retry after 412 overwrites what is there now, though it is newer",
    SeqsRestart: "ce 10: the counter of seqs begins anew with each process",
    OrderRecordLeftOut: "ce 10: a completed upload has no order record",
    RebuildAtOnce: "ce 11: a rebuild reads the stores while calls of the gateway before it may still apply",
    MissIsFinal: "ce 12: a read that misses while the key is in motion does not wait and start again",
    PredecessorsForgotten: "ce 13: an entry below min_copies keeps no predecessors",
    SupersededStayUndecided: "ce 14: older undecided writes stay when a newer write commits",
    StampIsNoPin: "ce 15: any stamp of this key and size makes a copy right",
    VisibleAtIntent: "ce 16: the entry is visible before it is decided",
    LedgerNotSynced: "ce 16: the ledger acknowledges before its disk has it",
    SpoolStandsAlone: "ce 17: the spool alone is enough for a 200",
    SpoolTrimmedEarly: "ce 17: the spool lets go of a body before min_copies safe store copies exist",
    ErrorMeansNotApplied: "ce 18: a 5xx or a broken answer is taken for 'not applied'",
    SilenceMeansNotApplied: "ce 18: a call that is not answered is taken for 'not applied'",
    StampBindsNoKey: "ce 19: a stamp that is bound to another key counts here",
    LeftoverAdopted: "ce 20: a copy with our stamp that no entry knows becomes the entry",
    RetryWithoutMark: "ce 21: a retry after 412 has no mark with its own fence",
    OwnVersionDestroyed: "ce 22: clean-up destroys a version that is the entry's own",
    TombstoneGoesWithVersions: "ce 23: a tombstone goes while native versions of the key remain",
    SilenceForgotten: "ce 24: marks do not count anew from the end of a store's silence",
    MissedPartNotKept: "ce 25: a part that a store lacks is not kept for it while enough others have it",
    CompletesAborted: "ce 26: an unanswered Complete is aborted, not repeated",
    ForeignClosesBucket: "ce 27: an object of somebody else's closes the bucket",
    StrippedIsForeign: "ce 28: a copy that lost its stamp is somebody else's",
    UnknownDropsMark: "protocol 1: the mark of a call ends though its outcome is unknown",
    FenceNotSent: "protocol 2.4: commit calls are sent without their fence",
    MarksIgnored: "protocol 1: every copy counts as safe, whatever calls may still apply",
    BusyStoreCalled: "protocol 2.4: a store with a call of ours for this key in flight gets another one",
    LaneSkipped: "protocol 1: two writes of one key are in their commit phase at once",
    IntentNotWritten: "protocol 2.3: commit calls are sent without a durable intent",
    MarksNotWritten: "protocol 2.3: commit calls are sent without durable marks",
    DebtForgotten: "protocol 2.5: a commit leaves no debts for stores without the copy",
    RemovalForgotten: "protocol 4: a delete leaves no debts",
    OnePlaceIsEnough: "P1: one place fewer than min_copies is enough for a 200",
    LiarCounts: "protocol 1: a store that lies about conditions counts as a place",
    MarksNotRestarted: "protocol 2.8: after a crash marks do not count anew",
    MarksEndAtOnce: "protocol 1: marks end without waiting for settle_time",
    SecondLookBlind: "protocol 1: a mark's second look leads to nothing",
    BelowWithoutNeed: "protocol 2.7d: a write is committed below min_copies although the old entry answers",
    BackUnderMarks: "protocol 2.7c: a write is rolled back while its calls may still apply",
    RollBackForgotten: "protocol 2.7c: a rolled-back write that lands late counts as newer than the entry",
    Trusted404: "protocol 3.1: a store's 404 becomes the client's",
    PinSkipped: "protocol 3.2: reads name no copy",
    BlocksUnchecked: "P3: bytes leave without being held against their digests",
    CutEndsAsWhole: "P3: a body that cannot be completed ends as if it were whole",
    CopiedUnchecked: "protocol 6: catch-up copies bytes without checking them",
    EmptiedBelieved: "protocol 6: a store that has lost its marker with everything else is filled and asked as if it were itself",
    ForeignNotKept: "P6: somebody else's object is overwritten without being kept",
    LeftoverNotKept: "P6: a copy with our stamp that no entry knows is removed without being kept",
    RecordsGoEarly: "protocol 4, 6: records on the stores go while they still say something",
    BucketMarksIgnored: "protocol 2.9: a native bucket is made or removed while a call of the other kind may still apply",
    LifeIgnored: "protocol 2.9: a write of a bucket's former life commits in its next",
    GateSkipped: "protocol 2.9: a bucket is deleted beside writes in their commit phase",
    UndecidedInGoneBucket: "protocol 2.9: a bucket is deleted though writes in it are undecided",
    CompletesTwice: "protocol 5: an upload is not completed together with its entry",
    OtherPartsHeld: "protocol 5: a store counts as holding a part after it was sent other bytes under that number",
}

#[cfg(not(feature = "mutants"))]
/// Is this rule taken away? Never: this build has no simulator.
#[inline(always)]
pub const fn broken(_: Mutant) -> bool {
    false
}

#[cfg(feature = "mutants")]
pub use switch::{Broken, broken};

#[cfg(feature = "mutants")]
mod switch {
    use super::Mutant;
    use std::cell::Cell;

    thread_local! {
        /// The world of a simulated run is one thread, so that worlds with and without a rule can run beside each other.
        static BROKEN: Cell<Option<Mutant>> = const { Cell::new(None) };
    }

    /// Is this rule taken away in this thread?
    pub fn broken(mutant: Mutant) -> bool {
        BROKEN.get() == Some(mutant)
    }

    /// While it lives, the rule is taken away in this thread.
    pub struct Broken(());

    impl Broken {
        pub fn rule(mutant: Option<Mutant>) -> Broken {
            BROKEN.set(mutant);
            Broken(())
        }
    }

    impl Drop for Broken {
        fn drop(&mut self) {
            BROKEN.set(None);
        }
    }
}
