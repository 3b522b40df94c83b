//! The table of the mutation check: which seeds see each mutant, and who watches the rules that have none.

use outlast_rules::Mutant;

/// A mutant, seeds that see it, and the promise that the first of them says is broken.
pub struct Seen {
    pub mutant: Mutant,
    pub seeds: &'static [u64],
    pub promise: &'static str,
}

const fn seen(mutant: Mutant, seeds: &'static [u64], promise: &'static str) -> Seen {
    Seen { mutant, seeds, promise }
}

/// In the order of `Mutant::ALL`, without those of `UNSEEN`.
pub const SEEN: &[Seen] = &[
    seen(Mutant::BackBeforeForward, &[8, 29], "P1/P5"),
    seen(Mutant::DecidedOnOnePlace, &[1, 18, 17], "P1/P5"),
    seen(Mutant::CommitLooksForgotten, &[4, 9, 7], "P1"),
    seen(Mutant::RollBackLooksForgotten, &[1, 23], "P1/P5"),
    seen(Mutant::DeleteForwardWithoutRecord, &[28], "P8"),
    seen(Mutant::DeleteWithoutRecord, &[1, 5, 0], "P8"),
    seen(Mutant::ForgottenCalls, &[37, 15], "P1/P5"),
    seen(Mutant::FenceMeetsEqualContent, &[37], "P1/P5"),
    seen(Mutant::LateDoneCounts, &[1, 2], "P4"),
    seen(Mutant::OldSettlesNew, &[2, 27], "P1"),
    seen(Mutant::SeqsRestart, &[1], "P4"),
    seen(Mutant::OrderRecordLeftOut, &[18, 14, 15], "P8"),
    seen(Mutant::MissIsFinal, &[40, 47], "P2"),
    seen(Mutant::PredecessorsForgotten, &[12, 82], "P1/P5"),
    seen(Mutant::SupersededStayUndecided, &[45, 90], "P4"),
    seen(Mutant::StampIsNoPin, &[1, 2, 0], "P1/P5"),
    seen(Mutant::VisibleAtIntent, &[1, 0, 2], "P2"),
    seen(Mutant::SpoolStandsAlone, &[4, 0, 3], "an assertion failed"),
    seen(Mutant::SpoolTrimmedEarly, &[4, 0, 7], "P1/P5"),
    seen(Mutant::SilenceMeansNotApplied, &[18], "P8"),
    seen(Mutant::StampBindsNoKey, &[73], "P4"),
    seen(Mutant::TombstoneGoesWithVersions, &[2, 10], "P8"),
    seen(Mutant::ForeignClosesBucket, &[5, 9], "P4"),
    seen(Mutant::UnknownDropsMark, &[18], "P4"),
    seen(Mutant::FenceNotSent, &[20, 17], "P1/P5"),
    seen(Mutant::MarksIgnored, &[28, 37], "P1/P5"),
    seen(Mutant::BusyStoreCalled, &[160, 181], "P1/P5"),
    seen(Mutant::LaneSkipped, &[4, 11], "P4"),
    seen(Mutant::IntentNotWritten, &[1, 0, 2], "P1/P5"),
    seen(Mutant::MarksNotWritten, &[18], "P4"),
    seen(Mutant::DebtForgotten, &[1, 0, 2], "P1"),
    seen(Mutant::RemovalForgotten, &[1, 0, 2], "P4"),
    seen(Mutant::OnePlaceIsEnough, &[1, 0, 2], "an assertion failed"),
    seen(Mutant::LiarCounts, &[66, 90], "P1/P5"),
    seen(Mutant::MarksNotRestarted, &[30, 375], "P2"),
    seen(Mutant::MarksEndAtOnce, &[5, 20], "P4"),
    seen(Mutant::SecondLookBlind, &[20], "P4"),
    seen(Mutant::BlocksUnchecked, &[21, 24], "P3"),
    seen(Mutant::ForeignNotKept, &[25, 26], "P6"),
    seen(Mutant::RecordsGoEarly, &[1, 2, 4], "P8"),
];

/// Mutants that no seed has shown yet: open questions to the plans, or rules behind which another one stands.
pub const UNSEEN: &[Mutant] = &[
    Mutant::OtherPartsHeld,
    Mutant::LedgerNotSynced,
    Mutant::ErrorMeansNotApplied,
    Mutant::RetryWithoutMark,
    Mutant::SilenceForgotten,
    Mutant::CompletesAborted,
    Mutant::StrippedIsForeign,
    Mutant::PinSkipped,
    Mutant::BelowWithoutNeed,
    Mutant::BackUnderMarks,
    Mutant::RollBackForgotten,
    Mutant::Trusted404,
    Mutant::CutEndsAsWhole,
    Mutant::CopiedUnchecked,
    Mutant::BucketMarksIgnored,
    Mutant::LifeIgnored,
    Mutant::GateSkipped,
    Mutant::UndecidedInGoneBucket,
    Mutant::CompletesTwice,
];

/// A counter-example of protocol.md 9 that no mutant stands for.
pub struct Elsewhere {
    pub number: u8,
    pub why: &'static str,
    /// The test that watches the rule: its file, from the root of the workspace, and its name.
    pub file: &'static str,
    pub test: &'static str,
}

pub const ELSEWHERE: &[Elsewhere] = &[
    Elsewhere {
        number: 8,
        why: "one gateway has no second lease: the lane and the one call in flight keep an older write from a retry",
        file: "crates/outlast-engine/tests/scripts/08-answers-that-come-late.txt",
        test: "08-answers-that-come-late",
    },
    Elsewhere {
        number: 11,
        why: "no plan loses the gateway's disk and rebuilds",
        file: "crates/outlast-engine/tests/rebuild.rs",
        test: "the_epoch_ends_the_old_gateway",
    },
    Elsewhere {
        number: 20,
        why: "a write is rolled back without an entry below it only when no call of it is left, so nothing of it lands later",
        file: "crates/outlast-engine/tests/scripts/20-leftover.txt",
        test: "20-leftover",
    },
    Elsewhere {
        number: 22,
        why: "the engine removes no native versions by id: the rule has no caller yet",
        file: "crates/outlast-rules/src/trash.rs",
        test: "a_version_goes_only_when_nothing_speaks_for_it",
    },
    Elsewhere {
        number: 25,
        why: "no client of a plan is owed a part: the oracle knows nothing of parts that are refused",
        file: "crates/outlast-engine/tests/multipart.rs",
        test: "a_part_that_one_store_missed_is_given_to_it_later",
    },
    Elsewhere {
        number: 21,
        why: "seventeen steps, and no plan has met them: that a fence decides is tested, that a retry has a mark of its own is not",
        file: "crates/outlast-rules/src/safe.rs",
        test: "whole_table",
    },
    Elsewhere {
        number: 24,
        why: "a store that stood still is asked again every few seconds, and each such look begins the time anew",
        file: "crates/outlast-rules/src/silence.rs",
        test: "marks_count_from_the_end_of_a_silence",
    },
    Elsewhere {
        number: 26,
        why: "an upload whose parts are gone is begun anew by the clients of the plans",
        file: "crates/outlast-engine/tests/multipart.rs",
        test: "unanswered_completes_are_repeated_and_nothing_is_lost",
    },
    Elsewhere {
        number: 28,
        why: "one store alone loses its stamps, and the others have the bytes",
        file: "crates/outlast-engine/tests/scripts/28-stamps-lost.txt",
        test: "28-stamps-lost",
    },
];
