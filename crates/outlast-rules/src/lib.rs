//! Decides. The words of the protocol, and every decision as a pure function: no async, no I/O, no clock, no randomness.

mod adopt;
mod allowance;
mod blocks;
mod bucket_call;
mod budget;
mod catch_up;
mod conditions;
mod debt;
mod eject;
mod entry;
mod fault;
mod head;
mod health;
mod hedge;
mod ids;
mod key_state;
mod latency;
mod leave;
mod mark;
mod mutants;
mod names;
mod pin;
mod placement;
mod read;
mod reason;
mod rebuild;
mod records;
mod resolve;
mod safe;
mod short;
mod silence;
mod stamp;
mod standing;
mod trash;
mod write;

pub use adopt::{Again, Candidate, Chosen, Likeness, SourceCopy, adopt_again, choose_copy, likeness};
pub use allowance::{Account, Allowed};
pub use blocks::{BLOCK_LARGE, BLOCK_SMALL, Block, BlockDigest, BlockMap, Digests, LARGE_BLOCKS_FROM, digest_of};
pub use bucket_call::{BucketCall, BucketClock, BucketMark, bucket_closed_by};
pub use budget::{DeleteBudget, Spent, prefix_of};
pub use catch_up::{Arrival, DebtQueue, Pace};
pub use conditions::{Conditions, IfRange, Refusal, judge_read, judge_write, keeps_range};
pub use debt::{Debt, DebtKind};
pub use eject::{EJECT_FORMAT, EjectReport, lacks_header};
pub use entry::{Adopted, Entry, EntryKind, Intent, Layout, Predecessor, Seen};
pub use fault::Fault;
pub use head::{Checksum, ChecksumKind, Head};
pub use health::{Health, Observation, StandingChange, our_network};
pub use hedge::{HedgeBudget, is_worth_hedging};
pub use ids::{CallId, Epoch, Moment, Seq, WriteId};
pub use key_state::KeyState;
pub use leave::{Departure, Elsewhere, elsewhere, may_leave, placement_without};
pub use mark::Mark;
#[cfg(feature = "mutants")]
pub use mutants::Broken;
pub use mutants::{Mutant, broken};
pub use names::{BucketName, Key, NameError, RESERVED_PREFIX, StoreName, beyond_xml};
pub use pin::{Fence, Grade, Grades, Outcome, Pin, Powers};
pub use placement::{Placement, StoreTraits};
pub use read::{ReadNow, ReadPlan, Source, plan_copy, plan_read};
pub use reason::Reason;
pub use rebuild::{
    BucketIs, BucketTraces, Choice, EpochNow, ListedAs, Trace, Turn, Unchanged, choose, is_unchanged, judge_bucket,
    judge_epoch,
};
pub use records::is_record_over;
pub use resolve::{Known, Resolution, StoreView, resolve};
pub use safe::{Leaves, closed_by, is_safe};
pub use short::{SHORT_MIN, SHORT_SHARE, is_suddenly_short};
pub use silence::Silence;
pub use stamp::{Stamp, StampError, name_hash};
pub use standing::{Classes, OpClass, Standing};
pub use trash::{
    Displaced, Present, Return, Shelf, Stays, Trashed, UNDELETE_MS_DEFAULT, Undelete, VersionFacts, conflict_name,
    judge_return, may_destroy_version, trash_name,
};
pub use write::{Skip, Slot, Step, StoreNow, Verdict, WriteTally, plan_write};
