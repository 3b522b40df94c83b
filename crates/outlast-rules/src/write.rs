//! When do we say 200? Plans the commit calls of one write and counts their outcomes (protocol.md 2.2 to 2.5).

use crate::{
    Fence, KeyState, Leaves, Mutant, Outcome, Pin, Placement, Powers, Standing, StoreName, WriteId, broken, closed_by,
};
use std::collections::BTreeMap;

/// What planning needs to know about one store of the placement.
#[derive(Debug, Clone)]
pub struct StoreNow {
    pub name: StoreName,
    pub powers: Powers,
    pub standing: Standing,
    /// An earlier call of ours for this key is still in flight there.
    pub busy: bool,
    /// May a copy there count as a place? A store that lies about conditions is written to, and nothing rests on it.
    pub fit: bool,
}

/// What one store gets for this write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Call at once with this fence; its mark goes with the intent.
    Call { fence: Option<Fence> },
    /// HEAD first, then call fenced on what is there (undecided earlier write; grade C, whose only guard this is).
    Look,
    /// Our earlier call for this key has not come back: wait for it, then as `Look`.
    Wait,
    /// No call now; the store is owed the write.
    Skip(Skip),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Skip {
    Down,
    /// A call of another write may still apply there and could destroy the new copy.
    Closed,
    /// Busy with an earlier call while enough others are free.
    Busy,
    /// The store does not hold what this write is made of (parts of an upload).
    CannotTake,
}

/// One step per store of the placement, in its order.
///
/// Busy stores are waited for only while without them there are fewer than `min_copies` places.
pub fn plan_write(
    placement: &Placement,
    state: &KeyState,
    write: WriteId,
    leaves: Leaves<'_>,
    stores: &[StoreNow],
) -> Vec<(StoreName, Step)> {
    let mut plan: Vec<(StoreName, Step)> = stores
        .iter()
        .map(|store| {
            let closed = closed_by(store.powers, write, leaves, state.marks_on(&store.name)).is_some();
            let busy = store.busy && !broken(Mutant::BusyStoreCalled);
            let step = match (store.standing, busy, closed) {
                (Standing::Down, _, _) => Step::Skip(Skip::Down),
                (_, true, _) => Step::Wait,
                (_, false, true) => Step::Skip(Skip::Closed),
                (_, false, false) => first_call(state, store),
            };
            (store.name.clone(), step)
        })
        .collect();
    let free = |(store, (_, step)): &(&StoreNow, &(StoreName, Step))| {
        store.fit && matches!(step, Step::Call { .. } | Step::Look)
    };
    let enough = stores.iter().zip(&plan).filter(free).count() >= placement.min_copies;
    for (store, (_, step)) in stores.iter().zip(&mut plan) {
        if *step == Step::Wait && (enough || !store.fit) {
            *step = Step::Skip(Skip::Busy);
        }
    }
    plan
}

fn first_call(state: &KeyState, store: &StoreNow) -> Step {
    if store.powers.pinned {
        return Step::Call { fence: None };
    }
    let undecided_there = state.intents.iter().any(|intent| {
        intent.entry.holders.contains_key(&store.name)
            || state.marks_on(&store.name).any(|mark| mark.write == intent.entry.write)
    });
    if undecided_there || !store.powers.fenced {
        return Step::Look;
    }
    let fence = match state.seen.get(&store.name).and_then(|seen| seen.pin.as_ref()) {
        Some(pin) => Fence::Matches(pin.etag.clone()),
        None => Fence::Absent,
    };
    Step::Call { fence: Some(fence) }
}

/// What is known of one store's call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Slot {
    /// On its way, within its learnt deadline.
    Calling,
    /// On its way, past its learnt deadline: the spool may stand in for it.
    Late,
    /// A safe copy.
    Safe(Pin),
    /// A copy that a call still out could destroy.
    Unsafe(Pin),
    /// Not called, or its call certainly did not apply.
    Without,
    /// Its call may still apply.
    Unknown,
}

/// Counts places for one write.
#[derive(Debug, Clone)]
pub struct WriteTally {
    min_copies: usize,
    spool_counts: bool,
    spooled: bool,
    slots: BTreeMap<StoreName, Slot>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Not yet decided. `spool`: put the body into the spool now, it is going to be needed.
    Wait { spool: bool },
    /// `min_copies` places, at least one a store.
    Durable,
    /// What can still come is not enough.
    NoQuorum,
}

impl WriteTally {
    pub fn new(placement: &Placement, plan: &[(StoreName, Step)], spool_may_count: bool) -> WriteTally {
        let slot = |step: &Step| if matches!(step, Step::Skip(_)) { Slot::Without } else { Slot::Calling };
        WriteTally {
            min_copies: placement.min_copies,
            spool_counts: placement.spool_counts && spool_may_count,
            spooled: false,
            slots: plan.iter().map(|(name, step)| (name.clone(), slot(step))).collect(),
        }
    }

    /// The answer of one store's call. `safe`: no mark of another write there could destroy the copy.
    pub fn record(&mut self, store: &StoreName, outcome: &Outcome, safe: bool) -> Verdict {
        let slot = match outcome {
            Outcome::Done(pin) if safe => Slot::Safe(pin.clone()),
            Outcome::Done(pin) => Slot::Unsafe(pin.clone()),
            Outcome::Rejected | Outcome::Failed => Slot::Without,
            Outcome::Unknown => Slot::Unknown,
        };
        self.slots.insert(store.clone(), slot);
        self.verdict()
    }

    /// The store is past its learnt deadline; its answer still counts when it comes.
    pub fn late(&mut self, store: &StoreName) -> Verdict {
        if let Some(slot @ Slot::Calling) = self.slots.get_mut(store) {
            *slot = Slot::Late;
        }
        self.verdict()
    }

    /// The spool holds the whole body, fsynced.
    pub fn spooled(&mut self) -> Verdict {
        self.spooled = true;
        self.verdict()
    }

    /// The spool cannot take it.
    pub fn spool_failed(&mut self) -> Verdict {
        self.spool_counts = false;
        self.verdict()
    }

    pub fn verdict(&self) -> Verdict {
        let safe = self.count(|slot| matches!(slot, Slot::Safe(_)));
        let coming = self.count(|slot| matches!(slot, Slot::Calling));
        let late = self.count(|slot| matches!(slot, Slot::Late));
        let spool = usize::from(self.spooled);
        // The spool never stands alone, and never for more than one store.
        let alone = spool == 1 && broken(Mutant::SpoolStandsAlone);
        let enough = self.min_copies - usize::from(broken(Mutant::OnePlaceIsEnough));
        if alone || (safe >= 1 && safe + spool >= enough) {
            return Verdict::Durable;
        }
        let stand_in = usize::from(self.spool_counts || self.spooled);
        let reachable = safe + coming + late;
        if reachable == 0 || reachable + stand_in < self.min_copies {
            return Verdict::NoQuorum;
        }
        Verdict::Wait { spool: !self.spooled && self.spool_counts && safe + coming < self.min_copies }
    }

    pub fn slots(&self) -> &BTreeMap<StoreName, Slot> {
        &self.slots
    }

    /// Stores with safe copies.
    pub fn holders(&self) -> BTreeMap<StoreName, Pin> {
        let pin = |slot: &Slot| if let Slot::Safe(pin) = slot { Some(pin.clone()) } else { None };
        self.slots.iter().filter_map(|(name, slot)| Some((name.clone(), pin(slot)?))).collect()
    }

    pub fn is_spooled(&self) -> bool {
        self.spooled
    }

    fn count(&self, which: impl Fn(&Slot) -> bool) -> usize {
        self.slots.values().filter(|slot| which(slot)).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{BucketName, CallId, Key, Mark, Moment, Seen};

    fn name(i: usize) -> StoreName {
        StoreName::parse(&format!("s{i}")).unwrap()
    }

    fn placement(stores: usize, min_copies: usize, spool_counts: bool) -> Placement {
        Placement { stores: (0..stores).map(name).collect(), min_copies, spool_counts }
    }

    fn pin() -> Pin {
        Pin { etag: "e".into(), version: None }
    }

    /// All outcomes (and lateness) of three stores, every min_copies, spool or not: 200 exactly when the sentence
    /// of P1 holds, and never a wait for what cannot come.
    #[test]
    fn every_small_world() {
        #[derive(Clone, Copy, PartialEq, Debug)]
        enum Seen {
            Silent,
            Late,
            Safe,
            Unsafe,
            Rejected,
            Failed,
            Unknown,
        }
        let all = [Seen::Silent, Seen::Late, Seen::Safe, Seen::Unsafe, Seen::Rejected, Seen::Failed, Seen::Unknown];
        for min_copies in 1..=3 {
            for spool_counts in [false, true] {
                for spooled in [false, true] {
                    for world in 0..all.len().pow(3) {
                        let seen: Vec<Seen> = (0..3).map(|i| all[world / all.len().pow(i) % all.len()]).collect();
                        let placement = placement(3, min_copies, spool_counts);
                        let plan: Vec<_> = (0..3).map(|i| (name(i), Step::Call { fence: None })).collect();
                        let mut tally = WriteTally::new(&placement, &plan, true);
                        for (i, what) in seen.iter().enumerate() {
                            match what {
                                Seen::Silent => tally.verdict(),
                                Seen::Late => tally.late(&name(i)),
                                Seen::Safe => tally.record(&name(i), &Outcome::Done(pin()), true),
                                Seen::Unsafe => tally.record(&name(i), &Outcome::Done(pin()), false),
                                Seen::Rejected => tally.record(&name(i), &Outcome::Rejected, true),
                                Seen::Failed => tally.record(&name(i), &Outcome::Failed, true),
                                Seen::Unknown => tally.record(&name(i), &Outcome::Unknown, true),
                            };
                        }
                        if spooled && spool_counts {
                            tally.spooled();
                        }
                        let safe = seen.iter().filter(|s| **s == Seen::Safe).count();
                        let spool = usize::from(spooled && spool_counts);
                        let open = seen.iter().filter(|s| matches!(s, Seen::Silent | Seen::Late)).count();
                        let durable = safe >= 1 && safe + spool >= min_copies;
                        let hopeless = safe + open == 0 || safe + open + usize::from(spool_counts) < min_copies;
                        let expected = (durable, hopeless);
                        let got = tally.verdict();
                        assert_eq!(
                            (got == Verdict::Durable, got == Verdict::NoQuorum),
                            (expected.0, expected.1 && !expected.0),
                            "{seen:?} min {min_copies} spool {spool_counts}/{spooled}: {got:?}"
                        );
                        if got == Verdict::Durable {
                            assert_eq!(tally.holders().len(), safe);
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn spool_is_asked_for_only_when_stores_run_short() {
        let placement = placement(3, 2, true);
        let plan: Vec<_> = (0..3).map(|i| (name(i), Step::Call { fence: None })).collect();
        let mut tally = WriteTally::new(&placement, &plan, true);
        assert_eq!(tally.record(&name(0), &Outcome::Done(pin()), true), Verdict::Wait { spool: false });
        assert_eq!(tally.late(&name(1)), Verdict::Wait { spool: false });
        assert_eq!(tally.record(&name(2), &Outcome::Unknown, true), Verdict::Wait { spool: true });
        assert_eq!(tally.spooled(), Verdict::Durable);
    }

    fn now(i: usize, powers: Powers, standing: Standing, busy: bool) -> StoreNow {
        StoreNow { name: name(i), powers, standing, busy, fit: true }
    }

    const A: Powers = Powers { pinned: true, fenced: true, unique: false };
    const B: Powers = Powers { pinned: false, fenced: true, unique: false };
    const C: Powers = Powers { pinned: false, fenced: false, unique: false };

    fn mark_on(i: usize, write: u128, fence: Option<Fence>) -> Mark {
        Mark {
            call: CallId(write),
            store: name(i),
            bucket: BucketName::parse("bkt").unwrap(),
            key: Key::parse("k").unwrap(),
            write: WriteId(write),
            fence,
            since: Moment(0),
        }
    }

    #[test]
    fn a_busy_store_is_waited_for_when_a_free_one_could_not_count() {
        let liar = StoreNow { fit: false, ..now(2, C, Standing::Up, false) };
        let stores = [now(0, A, Standing::Up, true), now(1, B, Standing::Up, false), liar.clone()];
        let plan = |stores: &[StoreNow]| {
            plan_write(&placement(3, 2, true), &KeyState::default(), WriteId(9), Leaves::Etag("x"), stores)
        };
        assert_eq!(plan(&stores)[0].1, Step::Wait);
        assert_eq!(plan(&stores)[2].1, Step::Look);
        let busy_liar = [stores[0].clone(), stores[1].clone(), StoreNow { busy: true, ..liar }];
        assert_eq!(plan(&busy_liar)[2].1, Step::Skip(Skip::Busy), "nothing would rest on it");
    }

    #[test]
    fn steps_by_grade() {
        let mut state = KeyState::default();
        state.seen.insert(name(1), Seen { write: Some(WriteId(1)), pin: Some(pin()) });
        let stores =
            [now(0, A, Standing::Up, false), now(1, B, Standing::Up, false), now(2, C, Standing::Trial, false)];
        let plan = plan_write(&placement(3, 2, true), &state, WriteId(9), Leaves::Etag("x"), &stores);
        assert_eq!(plan[0].1, Step::Call { fence: None });
        assert_eq!(plan[1].1, Step::Call { fence: Some(Fence::Matches("e".into())) });
        assert_eq!(plan[2].1, Step::Look);
    }

    #[test]
    fn no_call_where_the_copy_would_not_be_safe() {
        let state = KeyState {
            marks: vec![mark_on(0, 1, None), mark_on(1, 1, None), mark_on(2, 1, Some(Fence::Matches("x".into())))],
            ..KeyState::default()
        };
        let stores = [now(0, A, Standing::Up, false), now(1, C, Standing::Up, false), now(2, B, Standing::Up, false)];
        let step = |etag: &'static str, i: usize| {
            plan_write(&placement(3, 2, true), &state, WriteId(9), Leaves::Etag(etag), &stores)[i].1.clone()
        };
        assert_eq!(step("x", 0), Step::Call { fence: None });
        assert_eq!(step("x", 1), Step::Skip(Skip::Closed));
        assert_eq!(step("x", 2), Step::Skip(Skip::Closed), "ABA: the zombie's fence matches what we would leave");
        assert_eq!(step("y", 2), Step::Call { fence: Some(Fence::Absent) });
    }

    #[test]
    fn busy_stores_are_waited_for_only_when_needed() {
        let stores = [now(0, B, Standing::Up, true), now(1, B, Standing::Up, false), now(2, B, Standing::Down, false)];
        let plan =
            |min| plan_write(&placement(3, min, true), &KeyState::default(), WriteId(9), Leaves::Etag("x"), &stores);
        assert_eq!(plan(1)[0].1, Step::Skip(Skip::Busy));
        assert_eq!(plan(2)[0].1, Step::Wait);
        assert_eq!(plan(2)[2].1, Step::Skip(Skip::Down));
    }
}
