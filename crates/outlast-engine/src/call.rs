//! One store's share of one write: look where the plan says so, call once per fence, and understand a 412 (protocol.md 2.4).

use crate::digest::hex;
use crate::elsewhere::{Elsewhere, cut};
use crate::engine::Engine;
use crate::held::Held;
use crate::lanes::LaneGuard;
use crate::seats::{Operation, Seat};
use outlast_ledger::{Change, LedgerError};
use outlast_rules::{
    BucketName, CallId, Entry, Fence, Key, KeyState, Leaves, Mark, Mutant, OpClass, Pin, Seen, Step, StoreName, broken,
    closed_by, name_hash,
};
use outlast_store::{Answer, Applied, Dress, Fault, Found, PutSpec, StoreError};
use std::sync::Arc;
use std::time::Duration;

/// A call that is refused by its condition this often meets somebody who writes faster than we look.
const RETRIES_AFTER_412_MAX: usize = 4;

/// What is to be written to one store.
pub(crate) struct Call {
    pub seat: Arc<Seat>,
    pub bucket: BucketName,
    pub key: Key,
    pub entry: Arc<Entry>,
    pub epoch: outlast_rules::Epoch,
    /// The key before this write, to know what is ours.
    pub before: Arc<KeyState>,
    pub load: Load,
    pub step: Step,
    /// The mark that went with the intent; None where the call writes its own.
    pub marked: Option<CallId>,
    /// Write even over a copy with our stamp: its bytes are known to be wrong.
    pub anew: bool,
    /// Held while our call is on its way; None where it has to be waited for.
    pub flight: Option<LaneGuard>,
    /// What a HEAD under this very flight has found: the first look need not ask again where the call is fenced.
    pub found: Option<Answer<Found>>,
}

/// How the bytes get there.
#[derive(Clone)]
pub(crate) enum Load {
    Body {
        held: Held,
        md5: Option<[u8; 16]>,
    },
    Complete {
        upload: String,
        parts: Vec<outlast_store::NativePart>,
    },
    /// On this very store, without its stamp: a server-side copy onto itself.
    Restamp {
        pin: Pin,
    },
    /// Read from other holders as it is sent, every block checked; read anew for each attempt.
    Elsewhere {
        entry: Arc<Entry>,
        digests: Option<Arc<outlast_rules::Digests>>,
        spooled: bool,
    },
}

/// How it ended.
#[derive(Debug)]
pub(crate) enum End {
    Done(Pin),
    /// Not called: the copy would not be safe, or the store stayed busy.
    Closed,
    /// A newer truth is on the store or in the ledger; this write stops here.
    Superseded,
    Error(StoreError),
    Ledger(LedgerError),
}

/// What the tally, the decision and the journal need to know.
#[derive(Debug)]
pub(crate) struct Report {
    pub store: StoreName,
    pub end: End,
    /// Marks whose calls were certainly answered.
    pub answered: Vec<CallId>,
    /// The mark of a call that may still apply.
    pub outstanding: Option<CallId>,
    pub seen: Option<Seen>,
}

/// What lies there, told apart from what we know.
#[derive(Debug)]
pub(crate) enum There {
    Nothing,
    /// A right copy of this write.
    Ours(Found),
    /// An older write of ours, or the adopted or stripped copy of one that we know.
    Older(Found),
    /// A write of ours with a higher seq: the truth since, or one that was rolled back and landed late.
    Newer(Found),
    /// Somebody else's object.
    Foreign(Found),
}

/// Tells what a HEAD found. `entry` is the write in question, `before` what the ledger knew without it.
pub(crate) fn judge(
    bucket: &BucketName,
    key: &Key,
    entry: &Entry,
    before: &KeyState,
    store: &StoreName,
    found: Answer<Found>,
) -> Answer<There> {
    let found = match found {
        Ok(found) => found,
        Err(error) if error.fault == Fault::NoKey => return Ok(There::Nothing),
        Err(error) => return Err(error),
    };
    let name = name_hash(bucket, key);
    Ok(match &found.dress.stamp {
        Some(stamp) if stamp.is_of(entry.write, name, entry.size) && found.size == entry.size => There::Ours(found),
        Some(stamp) if stamp.is_bound_to(name) => match stamp.seq {
            Some(seq) if seq > entry.seq => There::Newer(found),
            _ => There::Older(found),
        },
        Some(_) => There::Foreign(found),
        None if is_known_without_stamp(entry, before, store, &found) => There::Older(found),
        None => There::Foreign(found),
    })
}

/// Adopted copies never had a stamp, stripped ones lost it: both are known by size, and by pin or MD5. What was deleted or
/// overwritten meanwhile is known by the pin of our last write that was seen there.
fn is_known_without_stamp(entry: &Entry, before: &KeyState, store: &StoreName, found: &Found) -> bool {
    if broken(Mutant::StrippedIsForeign) {
        return false;
    }
    let ours = before.seen.get(store).filter(|seen| seen.write.is_some()).and_then(|seen| seen.pin.as_ref());
    if ours.is_some_and(|pin| pin.etag == found.pin.etag) {
        return true;
    }
    let candidates = before.entry.iter().chain(before.intents.iter().map(|intent| &intent.entry)).chain([entry]);
    candidates.into_iter().any(|known| {
        let pinned = known.holders.values().any(|pin| *pin == found.pin);
        known.size == found.size && (pinned || known.etag == found.pin.etag)
    })
}

impl Call {
    pub async fn run(mut self, engine: Arc<Engine>) -> Report {
        let mut report = Report {
            store: self.seat.name.clone(),
            end: End::Closed,
            answered: vec![],
            outstanding: self.marked,
            seen: None,
        };
        report.end = match self.drive(&engine, &mut report).await {
            Ok(end) => end,
            Err(error) => End::Ledger(error),
        };
        report
    }

    async fn drive(&mut self, engine: &Arc<Engine>, report: &mut Report) -> Result<End, LedgerError> {
        let mut fence = match &self.step {
            Step::Call { fence } => fence.clone(),
            Step::Look => match self.look(engine, report).await? {
                Ok(fence) => fence,
                Err(end) => return Ok(end),
            },
            Step::Wait => match self.wait(engine, report).await? {
                Ok(fence) => fence,
                Err(end) => return Ok(end),
            },
            Step::Skip(_) => return Ok(End::Closed),
        };
        for _ in 0..=RETRIES_AFTER_412_MAX {
            if report.outstanding.is_none() && broken(Mutant::RetryWithoutMark) && !report.answered.is_empty() {
                report.outstanding = Some(engine.new_call());
            } else if report.outstanding.is_none() {
                report.outstanding = Some(self.mark(engine, fence.clone(), report).await?);
            }
            let answer = self.send(engine, fence.clone()).await;
            let error = match answer {
                Ok(pin)
                    if self.foretold().is_some_and(|etag| etag != pin.etag)
                        || engine.is_other_md5(&self.bucket, &self.entry, &self.seat.name, &pin.etag) =>
                {
                    // It says yes, and holds other bytes than it was sent. What lies there, the second look tells.
                    return Ok(End::Error(self.other_bytes(&pin)));
                }
                Ok(pin) => {
                    let pin = self.seat.pin(&self.bucket, pin);
                    report.answered.extend(report.outstanding.take());
                    report.seen = Some(Seen { write: Some(self.entry.write), pin: Some(pin.clone()) });
                    return Ok(End::Done(pin));
                }
                Err(error) => error,
            };
            let answered = (broken(Mutant::SilenceMeansNotApplied) && error.fault == Fault::Timeout)
                || (broken(Mutant::ErrorMeansNotApplied) && error.fault != Fault::Timeout);
            match error.applied {
                // On a store whose calls are never given up the call has returned, whatever it said.
                Applied::Unknown if !self.seat.limits().never_given_up && !answered => return Ok(End::Error(error)),
                _ => report.answered.extend(report.outstanding.take()),
            }
            // NoUpload at Complete is a 412 too: an earlier attempt may have completed it (protocol.md 1, "outcome").
            if !matches!(error.fault, Fault::Precondition | Fault::NoUpload) {
                return Ok(End::Error(error));
            }
            fence = match self.look(engine, report).await? {
                Ok(_) if error.fault == Fault::NoUpload => return Ok(End::Error(error)),
                Ok(fence) => fence,
                Err(end) => return Ok(end),
            };
            if !broken(Mutant::RetryOverNewer) && !self.is_newest(engine).await? {
                return Ok(End::Superseded);
            }
        }
        Ok(End::Superseded)
    }

    /// The earlier call is waited for up to the commit deadline; then everything is looked at again.
    async fn wait(
        &mut self,
        engine: &Arc<Engine>,
        report: &mut Report,
    ) -> Result<Result<Option<Fence>, End>, LedgerError> {
        let deadline = Duration::from_millis(engine.settings.commit_deadline_ms);
        match tokio::time::timeout(deadline, self.seat.flights.lock(&self.bucket, &self.key)).await {
            Ok(flight) => self.flight = Some(flight),
            Err(_) => return Ok(Err(End::Closed)),
        }
        if !self.is_newest(engine).await? {
            return Ok(Err(End::Superseded));
        }
        self.look(engine, report).await
    }

    async fn is_newest(&self, engine: &Arc<Engine>) -> Result<bool, LedgerError> {
        let state = engine.ledger.key_state(&self.bucket, &self.key).await?;
        Ok(state.newest_seq().is_none_or(|seq| seq <= self.entry.seq))
    }

    /// A copy of a write that the ledger knows to have been rolled back, and nothing newer than this write: it is no truth,
    /// however high its seq, and this store is owed this write until it has it.
    async fn was_rolled_back(&self, engine: &Arc<Engine>, found: &Found) -> Result<bool, LedgerError> {
        let Some(stamp) = found.dress.stamp.as_ref().filter(|_| !broken(Mutant::RollBackForgotten)) else {
            return Ok(false);
        };
        let rolled_back = engine.ledger.rolled_back(&self.bucket, &self.key).await?;
        Ok(rolled_back.iter().any(|(write, _)| *write == stamp.write) && self.is_newest(engine).await?)
    }

    /// HEAD; the fence for what is there, or why no call follows.
    async fn look(
        &mut self,
        engine: &Arc<Engine>,
        report: &mut Report,
    ) -> Result<Result<Option<Fence>, End>, LedgerError> {
        let powers = self.seat.powers(&self.bucket, self.operation());
        let found = match self.found.take().filter(|_| powers.fenced || powers.pinned) {
            Some(found) => found,
            None => self.seat.look(&self.bucket, &self.key).await,
        };
        let there = match judge(&self.bucket, &self.key, &self.entry, &self.before, &self.seat.name, found) {
            Ok(there) => there,
            Err(error) => {
                // No commit call was sent: whatever HEAD's own outcome was, nothing of this write can apply.
                report.answered.extend(report.outstanding.take());
                return Ok(Err(End::Error(StoreError { applied: Applied::NotSent, ..error })));
            }
        };
        // Our stamp on other bytes is no copy: it was damaged on its way, and is written anew.
        let damaged = |found: &Found| engine.is_other_md5(&self.bucket, &self.entry, &self.seat.name, &found.pin.etag);
        let mut foreign = None;
        let etag = match there {
            There::Ours(found) if !self.anew && !damaged(&found) => {
                let pin = self.seat.pin(&self.bucket, found.pin);
                report.answered.extend(report.outstanding.take());
                report.seen = Some(Seen { write: Some(self.entry.write), pin: Some(pin.clone()) });
                return Ok(Err(End::Done(pin)));
            }
            There::Newer(found) if broken(Mutant::RetryOverNewer) || self.was_rolled_back(engine, &found).await? => {
                Some(found.pin.etag)
            }
            There::Newer(_) => {
                report.answered.extend(report.outstanding.take());
                return Ok(Err(End::Superseded));
            }
            There::Nothing => None,
            There::Older(found) | There::Ours(found) => Some(found.pin.etag),
            There::Foreign(found) => {
                let etag = found.pin.etag.clone();
                foreign = Some(found);
                Some(etag)
            }
        };
        let state = engine.ledger.key_state(&self.bucket, &self.key).await?;
        if closed_by(powers, self.entry.write, leaves(&self.foretold()), state.marks_on(&self.seat.name)).is_some() {
            report.answered.extend(report.outstanding.take());
            return Ok(Err(End::Closed));
        }
        // Only what is about to be overwritten is kept: a closed store is looked at over and over.
        if let Some(found) = foreign
            && let Err(error) = engine.keep_conflict(&self.seat, &self.bucket, &self.key, &found).await
        {
            report.answered.extend(report.outstanding.take());
            return Ok(Err(End::Error(StoreError { applied: Applied::NotSent, ..error })));
        }
        let fenced = powers.fenced && !powers.pinned;
        Ok(Ok(fenced.then(|| etag.map_or(Fence::Absent, Fence::Matches))))
    }

    /// The mark of a call that did not go with the intent: durable before the call is sent.
    async fn mark(
        &self,
        engine: &Arc<Engine>,
        fence: Option<Fence>,
        report: &mut Report,
    ) -> Result<CallId, LedgerError> {
        let mark = Mark {
            call: engine.new_call(),
            store: self.seat.name.clone(),
            bucket: self.bucket.clone(),
            key: self.key.clone(),
            write: self.entry.write,
            fence,
            since: engine.now(),
        };
        let call = mark.call;
        let mut batch = vec![Change::AddMark(mark)];
        batch.extend(report.answered.drain(..).map(|call| Change::DropMark { call }));
        engine.ledger.commit(batch).await?;
        Ok(call)
    }

    async fn send(&self, engine: &Arc<Engine>, fence: Option<Fence>) -> Answer<Pin> {
        let at = self.seat.at(&self.bucket, &self.key);
        let fence = fence.filter(|_| !broken(Mutant::FenceNotSent));
        let store = &self.seat.store;
        match &self.load {
            Load::Body { held, md5 } => {
                let spec = PutSpec { dress: self.dress(), fence, md5: *md5 };
                self.seat.watched(OpClass::Write, store.put(&at, &spec, held.body())).await
            }
            Load::Complete { upload, parts } => {
                self.seat.watched(OpClass::Write, store.complete_upload(&at, upload, parts, fence.as_ref())).await
            }
            Load::Restamp { pin } => {
                let spec = PutSpec { dress: self.dress(), fence, md5: None };
                self.seat.watched(OpClass::Write, store.copy(&at, pin, &at, &spec)).await
            }
            Load::Elsewhere { entry, digests, spooled } => {
                let source = Elsewhere {
                    engine,
                    seat: &self.seat,
                    bucket: &self.bucket,
                    key: &self.key,
                    entry,
                    digests: digests.clone(),
                    spooled: *spooled,
                };
                source.send(&at, PutSpec { dress: self.dress(), fence, md5: None }).await
            }
        }
    }

    fn dress(&self) -> Dress {
        Dress { head: self.entry.head.clone(), stamp: Some(self.stamp()) }
    }

    fn stamp(&self) -> outlast_rules::Stamp {
        outlast_rules::Stamp {
            epoch: self.epoch,
            seq: Some(self.entry.seq),
            write: self.entry.write,
            name: name_hash(&self.bucket, &self.key),
            size: Some(self.entry.size),
            digest: None,
        }
    }

    pub fn operation(&self) -> Operation {
        match &self.load {
            Load::Elsewhere { entry, .. } if cut(&self.seat, entry.as_ref()).is_some() => Operation::Complete,
            Load::Body { .. } | Load::Elsewhere { .. } => Operation::Put,
            Load::Restamp { .. } => Operation::Copy,
            Load::Complete { .. } => Operation::Complete,
        }
    }

    fn other_bytes(&self, pin: &Pin) -> StoreError {
        let what = format!("put {}/{}", self.bucket, self.key);
        StoreError {
            fault: Fault::BadAnswer,
            message: format!("the ETag {} is not that of the bytes that were sent", pin.etag),
            ..self.seat.silence(&what, Duration::ZERO)
        }
    }

    fn foretold(&self) -> Option<String> {
        foretold(&self.seat, &self.bucket, &self.load)
    }
}

/// The ETag that this write will have on this store, where that can be known before.
pub(crate) fn foretold(seat: &Seat, bucket: &BucketName, load: &Load) -> Option<String> {
    match load {
        Load::Body { md5: Some(md5), .. } if seat.says_md5(&seat.names.native(bucket)) => Some(hex(md5)),
        _ => None,
    }
}

pub(crate) fn leaves(foretold: &Option<String>) -> Leaves<'_> {
    foretold.as_deref().map_or(Leaves::Unforetold, Leaves::Etag)
}

#[cfg(test)]
mod tests {
    use super::*;
    use outlast_rules::{EntryKind, Head, Layout, Moment, Seq, WriteId};
    use std::collections::BTreeMap;

    fn pin(etag: &str) -> Pin {
        Pin { etag: etag.into(), version: None }
    }

    /// What the store was last seen to hold of ours is known without its stamp though the key is deleted or has another entry by
    /// now; what nobody of us was seen to leave there is somebody else's.
    #[test]
    fn a_copy_that_lost_its_stamp_is_known_after_its_entry_has_gone() {
        let (bucket, key) = (BucketName::parse("photos").unwrap(), Key::parse("k").unwrap());
        let store = |name: &str| StoreName::parse(name).unwrap();
        let tombstone = Entry {
            write: WriteId(2),
            seq: Seq(2),
            kind: EntryKind::Tombstone,
            size: 0,
            etag: String::new(),
            modified: Moment(0),
            head: Head::default(),
            layout: Layout::Whole,
            checksums: vec![],
            holders: BTreeMap::new(),
            adopted_from: None,
            predecessors: vec![],
            record: None,
        };
        let ours = Seen { write: Some(WriteId(1)), pin: Some(pin("ours")) };
        let theirs = Seen { write: None, pin: Some(pin("theirs")) };
        let before = KeyState {
            entry: Some(tombstone.clone()),
            seen: BTreeMap::from([(store("s0"), ours), (store("s1"), theirs)]),
            ..KeyState::default()
        };
        let lies = |on: &str, etag: &str| {
            let found = Found { pin: pin(etag), size: 3, dress: Dress::default(), modified: None };
            judge(&bucket, &key, &tombstone, &before, &store(on), Ok(found)).unwrap()
        };
        assert!(matches!(lies("s0", "ours"), There::Older(_)));
        assert!(matches!(lies("s0", "another"), There::Foreign(_)));
        assert!(matches!(lies("s1", "theirs"), There::Foreign(_)), "it had no stamp of ours then either");
        assert!(matches!(lies("s2", "ours"), There::Foreign(_)), "seen on another store");
    }
}
