//! The table of the mutation check: which seeds see each mutant, and which golden scripts.

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

/// In the order of `Mutant::ALL`, without those that only a play or a script sees, or nobody.
pub const SEEN: &[Seen] = &[
    seen(Mutant::BackBeforeForward, &[8, 29], "P1/P5"),
    seen(Mutant::DecidedOnOnePlace, &[1, 18, 17], "an assertion failed"),
    seen(Mutant::CommitLooksForgotten, &[4, 9, 7], "P1"),
    seen(Mutant::RollBackLooksForgotten, &[114], "P1/P5"),
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
    seen(Mutant::ForeignClosesBucket, &[15, 21], "P4"),
    seen(Mutant::UnknownDropsMark, &[18], "P8"),
    seen(Mutant::FenceNotSent, &[20, 17], "P1/P5"),
    seen(Mutant::MarksIgnored, &[28, 37], "P1/P5"),
    seen(Mutant::BusyStoreCalled, &[40], "P2"),
    seen(Mutant::LaneSkipped, &[4, 11], "P4"),
    seen(Mutant::IntentNotWritten, &[1, 0, 2], "P1/P5"),
    seen(Mutant::MarksNotWritten, &[18], "P8"),
    seen(Mutant::DebtForgotten, &[1, 0, 2], "P1"),
    seen(Mutant::RemovalForgotten, &[1, 0, 2], "P4"),
    seen(Mutant::OnePlaceIsEnough, &[1, 0, 2], "an assertion failed"),
    seen(Mutant::LiarCounts, &[66, 90], "P1/P5"),
    seen(Mutant::MarksNotRestarted, &[375], "P8"),
    seen(Mutant::MarksEndAtOnce, &[5, 20], "P4"),
    seen(Mutant::SecondLookBlind, &[20], "P4"),
    seen(Mutant::BlocksUnchecked, &[21, 24], "P3"),
    seen(Mutant::ForeignNotKept, &[25, 26], "P6"),
    seen(Mutant::RecordsGoEarly, &[1, 2, 4], "P8"),
];

/// Mutants that neither a seed nor a play nor a script has shown yet: open questions to both, or rules behind which another one stands.
pub const UNSEEN: &[Mutant] = &[];

/// A golden script that sees a mutant: with the rule taken away it plays otherwise.
pub struct Played {
    pub mutant: Mutant,
    /// In `crates/outlast-engine/tests/scripts`.
    pub script: &'static str,
    /// What is played then, and never with the rule in its place: what breaks.
    pub shows: &'static str,
}

const fn played(mutant: Mutant, script: &'static str, shows: &'static str) -> Played {
    Played { mutant, script, shows }
}

/// In the order of the scripts.
pub const PLAYED: &[Played] = &[
    played(Mutant::DecidedOnOnePlace, "01-roll-back-with-live-calls", "P1: a 200 needs min_copies places"),
    played(Mutant::BelowWithoutNeed, "01-roll-back-with-live-calls", "held by [s0], predecessors kept"),
    played(Mutant::BackBeforeForward, "02-roll-back-final-too-early", "> get k\n200 one from s0"),
    played(Mutant::RollBackLooksForgotten, "03-partial-view", "held by [s0 s1 s2]\ns0: \"two\""),
    played(
        Mutant::DeleteForwardWithoutRecord,
        "04-delete-forward-by-its-record",
        "> wait 30\n> show k\nentry: tombstone",
    ),
    played(Mutant::ForgottenCalls, "05-forgotten-calls", "s0 is owed a look\ns0: \"one\""),
    played(Mutant::FenceMeetsEqualContent, "06-fence-aba", "> put k aaa\n200 on s0, s1 after 0.0 s\n> show k"),
    played(Mutant::SilenceMeansNotApplied, "06-fence-aba", "> put k aaa\n200 on s0, s1 after 0.0 s\n> show k"),
    played(Mutant::LateDoneCounts, "07-late-done", "held by [s0 s1 s2]\ns0: \"two\""),
    played(Mutant::DeleteWithoutRecord, "09-resurrection-by-a-rebuild", "> get k\n200 one from s2"),
    played(Mutant::OrderRecordLeftOut, "10-stamp-order", "> get k\n200 put from s2"),
    played(Mutant::RebuildAtOnce, "11-rebuild-with-calls-out", "held by [s0 s1 s2]\ns0: \"two\""),
    played(Mutant::MissIsFinal, "12-read-window", "> get k\nerror: no holder"),
    played(Mutant::PredecessorsForgotten, "13-two-places", "entry: 3 bytes, held by [s0]\n"),
    played(
        Mutant::SupersededStayUndecided,
        "14-chained-undecided-writes",
        "entry: 4 bytes, held by [s0 s1]\nundecided writes: 2",
    ),
    played(Mutant::StampIsNoPin, "15-same-etag-other-headers", "s2: text/plain"),
    played(Mutant::VisibleAtIntent, "16-visible-before-it-is-decided", "> get k\nerror: no store is known"),
    played(Mutant::SpoolStandsAlone, "17-spool-stands-in", "P1: a 200 needs min_copies places"),
    played(Mutant::SpoolTrimmedEarly, "17-spool-stands-in", "> get k\n200 one from s0"),
    played(Mutant::ErrorMeansNotApplied, "18-a-500-is-not-a-no", "s0 is owed a look\ns0: \"one\""),
    played(
        Mutant::StampBindsNoKey,
        "19-forged-by-a-copy",
        "entry: 3 bytes, held by [s1 s2]\ns0 is owed a look\ns0: \"one\", stamped\n",
    ),
    played(Mutant::LeftoverAdopted, "20-leftover", "entry: 3 bytes, held by [s0]"),
    played(Mutant::RetryWithoutMark, "21-retry-with-a-fence-of-its-own", "> put k theirs\n200 on s0, s1"),
    played(Mutant::OwnVersionDestroyed, "22-versions-of-the-entry", "there is no such version"),
    played(Mutant::PinSkipped, "22-versions-of-the-entry", "error: no store is known"),
    played(Mutant::TombstoneGoesWithVersions, "23-back-from-the-dead", "> get k\n200 one from s0"),
    played(Mutant::SilenceForgotten, "24-a-stop-that-nobody-noticed", "held by [s0 s1 s2]\ns0: \"two\""),
    played(Mutant::MissedPartNotKept, "25-missed-part", "error: fewer than 2 places hold part 2"),
    played(Mutant::CompletesAborted, "26-both-completes-unanswered", "> get k\nerror: the key does not exist"),
    played(Mutant::ForeignClosesBucket, "27-one-foreign-put", "> get k\nerror: the bucket photos was found"),
    played(Mutant::StrippedIsForeign, "28-stamps-lost", "> get k\nerror: no holder"),
    played(
        Mutant::BucketMarksIgnored,
        "42-late-making-of-a-bucket",
        "bucket: none\ns0: no native bucket\ns1: no native bucket\ns2: a native bucket",
    ),
    played(Mutant::LifeIgnored, "43-put-of-a-former-life", "200 on s0, s1\n"),
    played(Mutant::RollBackForgotten, "45-late-copy-of-a-rolled-back-write", "> get k\n200 one from s1"),
    played(Mutant::RetryOverNewer, "48-a-retry-asks-who-is-newest", "s0: \"two\", stamped"),
];
