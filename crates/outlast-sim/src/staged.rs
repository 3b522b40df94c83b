//! Plays for mutants that chance does not meet: short plans made by hand, in the same world and before the same oracle. Each passes
//! with every rule in its place and breaks a promise without the one that it is for.

use crate::books::Detail;
use crate::content::Content;
use crate::plan::{Act, Keeps, Kind, Only, Op, Plan, Step};
use crate::world::run;
use outlast_rules::Mutant;
use outlast_store::{Apply, Class, Fault, Setting, Trouble};
use std::borrow::Cow;
use std::time::Duration;

/// A play, and the mutant that it is for.
pub struct Staged {
    pub mutant: Mutant,
    /// What goes on, in words.
    pub what: &'static str,
    /// The promise that is broken then.
    pub promise: &'static str,
    /// The same play in several takes: the accident meets another store in each of them, and one is enough.
    pub takes: fn() -> Vec<Plan>,
}

impl Staged {
    /// What breaks without the rule. None: its mutant survives.
    pub fn broken(&self) -> Option<String> {
        let without = |plan: Plan| run(&Plan { broken: Some(self.mutant), ..plan }, Detail::Clients).failure;
        (self.takes)().into_iter().find_map(without)
    }
}

/// In the order of `Mutant::ALL`.
pub const STAGED: &[Staged] = &[
    Staged {
        mutant: Mutant::LedgerNotSynced,
        what: "the power fails after an acknowledgement, and the disk keeps only what was synced",
        promise: "it does not start again",
        takes: power_fails,
    },
    Staged {
        mutant: Mutant::BackUnderMarks,
        what: "both stores apply an overwrite long after it was given up",
        promise: "P1/P5",
        takes: both_calls_are_late,
    },
    Staged {
        mutant: Mutant::Trusted404,
        what: "every store says 404 for a key that they all hold",
        promise: "P2",
        takes: all_say_404,
    },
    Staged {
        mutant: Mutant::CutEndsAsWhole,
        what: "the only store that answers ends a body behind its first block",
        promise: "P3",
        takes: a_body_is_cut,
    },
    Staged {
        mutant: Mutant::CopiedUnchecked,
        what: "a disk that was away gets its copy of an upload from a store whose bytes have rotted",
        promise: "P1/P5",
        takes: a_rotten_source,
    },
    Staged {
        mutant: Mutant::EmptiedBelieved,
        what: "a store is not mounted while a key is deleted, and then shows it again",
        promise: "P8",
        takes: deleted_while_not_mounted,
    },
    Staged {
        mutant: Mutant::LeftoverNotKept,
        what: "the one store that took a write denies it, so it is rolled back, and a scrub finds it there",
        promise: "P6",
        takes: a_denied_copy,
    },
    Staged {
        mutant: Mutant::GateSkipped,
        what: "a bucket's last key is deleted, the bucket is removed, and another key is written, all at once",
        promise: "P5",
        takes: a_put_beside_a_removal,
    },
    Staged {
        mutant: Mutant::UndecidedInGoneBucket,
        what: "a write is given up, its bucket is removed and made again, and then the stores apply the write",
        promise: "P5",
        takes: a_write_outlives_its_bucket,
    },
    Staged {
        mutant: Mutant::CompletesTwice,
        what: "an upload is completed, but for a store that was away; its object is overwritten; it is completed again",
        promise: "P5",
        takes: completed_again,
    },
    Staged {
        mutant: Mutant::OtherPartsHeld,
        what: "a part is sent again with other bytes, to the one store that then asks for no part's ETag",
        promise: "P1/P5",
        takes: other_bytes_of_a_part,
    },
];

/// One that writes down what happens when.
struct Script {
    plan: Plan,
    requests: u32,
}

impl Script {
    fn over(kinds: &[Kind]) -> Script {
        let kinds = kinds.to_vec();
        let plan = Plan { seed: 0, kinds, min_copies: 2, spool_counts: false, broken: None, steps: vec![] };
        Script { plan, requests: 0 }
    }

    fn at(mut self, ms: u64, act: Act) -> Script {
        self.plan.steps.push(Step { at: Duration::from_millis(ms), act });
        self
    }

    fn asks(mut self, ms: u64, op: Op) -> Script {
        self.requests += 1;
        let id = self.requests;
        self.at(ms, Act::Client { id, op })
    }

    /// Bytes that no other request writes.
    fn puts(self, ms: u64, key: usize, len: usize) -> Script {
        let content = Content::Own { write: self.requests + 1, len };
        self.asks(ms, Op::Put { key, content, only: Only::Always })
    }

    fn gets(self, ms: u64, key: usize) -> Script {
        self.asks(ms, Op::Get { key, range: None })
    }

    fn fails(self, ms: u64, store: usize, lasts_ms: u64, setting: Setting) -> Script {
        self.at(ms, Act::Fault { store, lasts: Duration::from_millis(lasts_ms), setting })
    }

    fn all_fail(self, ms: u64, lasts_ms: u64, setting: &Setting) -> Script {
        (0..self.plan.kinds.len()).fold(self, |script, store| script.fails(ms, store, lasts_ms, setting.clone()))
    }

    fn takes(self) -> Vec<Plan> {
        vec![self.plan]
    }
}

const THREE: [Kind; 3] = [Kind::B, Kind::B, Kind::B];

fn power_fails() -> Vec<Plan> {
    Script::over(&THREE).puts(0, 0, 100).at(5_000, Act::Crash { keeps: Keeps::Nothing }).gets(20_000, 0).takes()
}

const MISSING: Trouble = Trouble::Answer { fault: Fault::NoKey, status: 404, code: Cow::Borrowed("NoSuchKey") };

fn all_say_404() -> Vec<Plan> {
    let setting = Setting::on(&[Class::Get, Class::Head], MISSING);
    Script::over(&THREE).puts(0, 0, 100).all_fail(10_000, 3_000, &setting).gets(11_000, 0).gets(60_000, 1).takes()
}

fn a_body_is_cut() -> Vec<Plan> {
    let refuses = Setting::on(&[Class::Get], Trouble::Refuse);
    let cuts = Setting::on(&[Class::Get], Trouble::CutBodies { after: 66_000 }).times(1);
    let one = |store| {
        let script = Script::over(&THREE).puts(0, 0, 70_000).all_fail(10_000, 20_000, &refuses);
        script.fails(10_100, store, 20_000, cuts.clone()).gets(10_200, 0).gets(60_000, 1).plan
    };
    (0..THREE.len()).map(one).collect()
}

fn a_rotten_source() -> Vec<Plan> {
    let away = Setting::all(Trouble::Refuse);
    let content = Content::Own { write: 2, len: 100 };
    // The ETag of an upload is no digest of its bytes, so no store can compare it with what it is sent.
    let one = |store| {
        let script = Script::over(&[Kind::B, Kind::B, Kind::Disk]).asks(0, Op::Create { upload: 0, key: 0 });
        let script =
            script.asks(1_000, Op::Part { upload: 0, number: 1, content }).fails(2_000, 2, 20_000, away.clone());
        let script = script.asks(3_000, Op::Complete { upload: 0, number: 1 });
        script.at(10_000, Act::Rot { store, key: 0 }).gets(300_000, 1).plan
    };
    (0..2).map(one).collect()
}

/// Longer than any client waits, and within what stores promise of late calls.
const LATE: Duration = Duration::from_secs(40);

fn both_calls_are_late() -> Vec<Plan> {
    let late = Setting::on(&[Class::Commit], Trouble::Hang(Apply::After(LATE)));
    let script = Script::over(&[Kind::B, Kind::B]).puts(0, 0, 100).all_fail(2_900, 500, &late).puts(3_000, 0, 100);
    script.gets(30_000, 0).gets(60_000, 0).takes()
}

fn deleted_while_not_mounted() -> Vec<Plan> {
    let script = Script::over(&THREE).puts(0, 0, 100).puts(1_000, 1, 100);
    let script = script.at(10_000, Act::Unmount { store: 2, lasts: Duration::from_secs(400) });
    script.asks(60_000, Op::Delete { key: 0 }).gets(350_000, 0).gets(420_000, 0).takes()
}

/// What is lost elsewhere brings the scrub.
fn a_denied_copy() -> Vec<Plan> {
    let refuses = Setting::on(&[Class::Commit], Trouble::DENIED).below("a");
    let denies = Setting::on(&[Class::Head], MISSING).below("a");
    let script = Script::over(&THREE).puts(0, 1, 100).fails(9_900, 0, 10_000, denies);
    let script = script.fails(9_900, 1, 1_000, refuses.clone()).fails(9_900, 2, 1_000, refuses);
    script.puts(10_000, 0, 100).at(30_000, Act::Lose { store: 1, key: 1 }).gets(40_000, 0).takes()
}

/// The removal has seen the delete's intent and waits for it; the PUT's intent comes after that look, and its answer before the
/// record of the removal stands.
fn a_put_beside_a_removal() -> Vec<Plan> {
    let slow = Setting::on(&[Class::Commit], Trouble::delay(Duration::from_millis(600)));
    let script = Script::over(&THREE).asks(0, Op::MakeBucket { bucket: 1 }).puts(10_000, 4, 100);
    let script = script.all_fail(19_900, 5_000, &slow).asks(20_000, Op::Delete { key: 4 });
    script.asks(20_100, Op::RemoveBucket { bucket: 1 }).puts(20_200, 5, 100).gets(30_000, 5).takes()
}

fn a_write_outlives_its_bucket() -> Vec<Plan> {
    let late = Setting::on(&[Class::Commit], Trouble::Hang(Apply::After(LATE))).below("x");
    let script = Script::over(&THREE).asks(0, Op::MakeBucket { bucket: 1 }).all_fail(9_900, 1_000, &late);
    let script = script.puts(10_000, 4, 100).asks(20_000, Op::RemoveBucket { bucket: 1 });
    script.asks(25_000, Op::MakeBucket { bucket: 1 }).gets(100_000, 4).takes()
}

/// The first completion is decided behind its client's back; the store that was away gets a copy, and its native upload stays.
fn completed_again() -> Vec<Plan> {
    let unanswered = Setting::on(&[Class::Commit], Trouble::Hang(Apply::AtOnce));
    let away = Setting::on(&[Class::Commit], Trouble::Refuse);
    let content = Content::Own { write: 2, len: 100 };
    let script = Script::over(&THREE).asks(0, Op::Create { upload: 0, key: 0 });
    let script = script.asks(1_000, Op::Part { upload: 0, number: 1, content });
    let script = script.fails(2_900, 0, 1_000, unanswered.clone()).fails(2_900, 1, 1_000, unanswered);
    let script = script.fails(2_900, 2, 1_000, away).asks(3_000, Op::Complete { upload: 0, number: 1 });
    script.puts(80_000, 0, 100).asks(400_000, Op::Complete { upload: 0, number: 1 }).gets(420_000, 0).takes()
}

fn other_bytes_of_a_part() -> Vec<Plan> {
    let away = Setting::on(&[Class::Upload], Trouble::Refuse);
    let part = |write| Op::Part { upload: 0, number: 1, content: Content::Own { write, len: 100 } };
    let script = Script::over(&[Kind::Careless, Kind::B, Kind::B]).asks(0, Op::Create { upload: 0, key: 0 });
    let script = script.asks(1_000, part(2)).fails(2_900, 1, 1_000, away.clone()).fails(2_900, 2, 1_000, away);
    let script = script.asks(3_000, part(3)).asks(10_000, Op::Complete { upload: 0, number: 1 });
    script.gets(20_000, 0).takes()
}
