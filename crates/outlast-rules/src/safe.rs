//! Would a call that may still apply destroy this copy? Only safe copies count as places (protocol.md 1, counter-examples 5, 6, 21).

use crate::{Fence, Mark, Mutant, Powers, WriteId, broken};

/// What a call leaves under the key when it is applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leaves<'a> {
    /// A copy with this ETag: one that lies there, or one that is yet to be made and whose ETag is foretold.
    Etag(&'a str),
    /// A copy whose ETag cannot be foretold.
    Unforetold,
    /// A delete.
    Absence,
}

/// Is what `write` leaves on a store safe from every mark there?
///
/// On A always; on B unless a mark of another write has no fence or one that matches what is left; on C only without such marks.
pub fn is_safe<'a>(
    powers: Powers,
    write: WriteId,
    leaves: Leaves<'_>,
    marks: impl IntoIterator<Item = &'a Mark>,
) -> bool {
    closed_by(powers, write, leaves, marks).is_none()
}

/// The first mark that closes the store to this write, for words and for waiting.
pub fn closed_by<'a>(
    powers: Powers,
    write: WriteId,
    leaves: Leaves<'_>,
    marks: impl IntoIterator<Item = &'a Mark>,
) -> Option<&'a Mark> {
    marks.into_iter().find(|mark| harms(powers, write, leaves, mark))
}

fn harms(powers: Powers, write: WriteId, leaves: Leaves<'_>, mark: &Mark) -> bool {
    if mark.write == write || powers.pinned || broken(Mutant::MarksIgnored) {
        return false;
    }
    if !powers.fenced {
        return true;
    }
    match (&mark.fence, leaves) {
        (None, _) => true,
        (Some(Fence::Absent), leaves) => leaves == Leaves::Absence,
        (Some(Fence::Matches(_)), Leaves::Absence) => false,
        (Some(Fence::Matches(etag)), Leaves::Etag(left)) => {
            // A unique fence too: what lies there may be the very copy that it names, which the next call of ours overwrites.
            etag == left && !broken(Mutant::FenceMeetsEqualContent)
        }
        (Some(Fence::Matches(_)), Leaves::Unforetold) => !powers.unique,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{BucketName, CallId, Key, Moment, StoreName};

    fn mark(write: u128, fence: Option<Fence>) -> Mark {
        Mark {
            call: CallId(1),
            store: StoreName::parse("s").unwrap(),
            bucket: BucketName::parse("bkt").unwrap(),
            key: Key::parse("k").unwrap(),
            write: WriteId(write),
            fence,
            since: Moment(0),
        }
    }

    const A: Powers = Powers { pinned: true, fenced: false, unique: false };
    const B: Powers = Powers { pinned: false, fenced: true, unique: false };
    const U: Powers = Powers { pinned: false, fenced: true, unique: true };
    const C: Powers = Powers { pinned: false, fenced: false, unique: false };

    /// Every grade, every fence, everything that can be left: against the sentence in protocol.md.
    #[test]
    fn whole_table() {
        let fences = [None, Some(Fence::Absent), Some(Fence::Matches("e".into())), Some(Fence::Matches("x".into()))];
        let left = [Leaves::Etag("e"), Leaves::Unforetold, Leaves::Absence];
        for powers in [A, B, U, C] {
            for fence in &fences {
                for leaves in left {
                    let says = is_safe(powers, WriteId(2), leaves, [&mark(1, fence.clone())]);
                    let expected = if powers == A {
                        true
                    } else if powers == C {
                        false
                    } else {
                        match (fence, leaves) {
                            (None, _) => false,
                            (Some(Fence::Absent), Leaves::Absence) => false,
                            (Some(Fence::Absent), _) => true,
                            (Some(Fence::Matches(_)), Leaves::Absence) => true,
                            (Some(Fence::Matches(m)), Leaves::Etag(e)) => m != e,
                            (Some(Fence::Matches(_)), Leaves::Unforetold) => powers.unique,
                        }
                    };
                    assert_eq!(says, expected, "{powers:?} {fence:?} {leaves:?}");
                }
            }
        }
    }

    #[test]
    fn own_zombie_is_harmless() {
        for powers in [A, B, U, C] {
            assert!(is_safe(powers, WriteId(1), Leaves::Etag("e"), [&mark(1, None)]));
        }
    }
}
