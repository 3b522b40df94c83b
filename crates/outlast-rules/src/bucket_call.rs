//! Calls that make or remove a native bucket. One that may still apply must not meet a later one of the other kind: a late
//! removal would take the bucket's next life with it, a late making would bring back what was seen gone (protocol.md 2.9).

use crate::{BucketName, CallId, Moment, Mutant, StoreName, broken};
use serde::{Deserialize, Serialize};

/// What a call does to a native bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BucketCall {
    Make,
    /// Our own records in it go first, under the same mark.
    Remove,
}

/// "This call may still apply to this native bucket." Durable before the call is sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BucketMark {
    pub call: CallId,
    pub store: StoreName,
    /// The client's name: each store has one native bucket for it.
    pub bucket: BucketName,
    pub does: BucketCall,
    /// When it was sent; once it was given up, when that was.
    pub since: Moment,
}

/// What a mark's end is judged by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BucketClock {
    pub now: Moment,
    /// When this process began: calls of the one before are counted from there.
    pub opened: Moment,
    /// How long a call of this store can live on; None: it never outlives the process that sent it.
    pub settle_ms: Option<u64>,
    /// Has that time passed since the store last came back from answering nothing?
    pub is_settled: bool,
}

impl BucketMark {
    /// May the call still apply? Without a certain answer only time ends a mark.
    pub fn is_live(&self, clock: BucketClock) -> bool {
        match clock.settle_ms {
            None => self.since >= clock.opened,
            Some(settle_ms) => !clock.is_settled || clock.now < self.since.max(clock.opened).plus_ms(settle_ms),
        }
    }
}

/// The call, among those that may still apply to this native bucket, that a new one must not meet. Two of one kind leave
/// the same behind in whatever order they arrive.
pub fn bucket_closed_by<'a>(
    does: BucketCall,
    live: impl IntoIterator<Item = &'a BucketMark>,
) -> Option<&'a BucketMark> {
    live.into_iter().find(|mark| mark.does != does && !broken(Mutant::BucketMarksIgnored))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mark(does: BucketCall, since: u64) -> BucketMark {
        let (store, bucket) = (StoreName::parse("nas").unwrap(), BucketName::parse("photos").unwrap());
        BucketMark { call: CallId(1), store, bucket, does, since: Moment(since) }
    }

    #[test]
    fn only_the_other_kind_closes() {
        use BucketCall::{Make, Remove};
        for (does, out, closed) in [
            (Make, vec![], false),
            (Make, vec![Make, Make], false),
            (Make, vec![Make, Remove], true),
            (Remove, vec![Remove], false),
            (Remove, vec![Make], true),
        ] {
            let marks: Vec<BucketMark> = out.iter().map(|does| mark(*does, 0)).collect();
            assert_eq!(bucket_closed_by(does, &marks).is_some(), closed, "{does:?} while {out:?} may still apply");
        }
    }

    #[test]
    fn time_ends_a_mark_and_a_new_process_and_a_silence_start_it_anew() {
        let live = |since, now, opened, settle_ms, is_settled| {
            let (now, opened) = (Moment(now), Moment(opened));
            mark(BucketCall::Remove, since).is_live(BucketClock { now, opened, settle_ms, is_settled })
        };
        let far = Some(100);
        assert!(live(50, 149, 0, far, true) && !live(50, 150, 0, far, true));
        assert!(live(50, 299, 200, far, true) && !live(50, 300, 200, far, true), "counted from the new process on");
        assert!(live(50, 1000, 0, far, false), "the store was silent a moment ago");
        // Never given up: it lives with its process.
        assert!(live(200, 10_000, 200, None, true) && !live(199, 200, 200, None, true));
    }
}
