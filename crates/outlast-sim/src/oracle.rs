//! What may be seen under each key, from what clients were told: a register whose unanswered writes may be there or not, wholly.

use std::collections::BTreeMap;

/// Order of what happened: each begin and each answer of a client's request is one tick.
pub type Tick = u64;

/// One write of one key, a delete included. 0 is "never written".
#[derive(Debug, Clone)]
struct Write {
    is_object: bool,
    began: Tick,
    /// When it was answered, or its process died: what begins later comes later.
    ended: Option<Tick>,
    /// Known to be done by then: acknowledged, or seen by somebody.
    done: Option<Tick>,
    /// Refused: it never happens.
    void: bool,
    /// Writes that are certainly later.
    later: Vec<u32>,
}

/// One key. Ids of writes are the world's; a delete of many keys has the same id in each.
#[derive(Debug, Clone)]
pub struct Register {
    writes: BTreeMap<u32, Write>,
}

impl Default for Register {
    fn default() -> Register {
        let never = Write { is_object: false, began: 0, ended: Some(0), done: Some(0), void: false, later: vec![] };
        Register { writes: BTreeMap::from([(0, never)]) }
    }
}

/// How a write ended for its client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Told {
    Done,
    /// Certainly not done.
    Refused,
    /// May be there, or come, until something newer is acknowledged.
    Unknown,
}

impl Register {
    pub fn begin(&mut self, id: u32, is_object: bool, now: Tick) {
        self.writes.insert(id, Write { is_object, began: now, ended: None, done: None, void: false, later: vec![] });
    }

    pub fn end(&mut self, id: u32, told: Told, now: Tick) {
        let Some(write) = self.writes.get_mut(&id) else { return };
        write.ended.get_or_insert(now);
        match told {
            Told::Done => drop(write.done.get_or_insert(now)),
            Told::Refused => write.void = true,
            Told::Unknown => {}
        }
    }

    /// The process died: what it had begun is ordered before whatever begins now.
    pub fn died(&mut self, now: Tick) {
        for write in self.writes.values_mut() {
            write.ended.get_or_insert(now);
        }
    }

    /// Somebody saw this write, in a look from `from` to `to`. Err: it can't have been there.
    pub fn saw(&mut self, id: u32, from: Tick, to: Tick) -> Result<(), String> {
        self.judge(id, from, to)?;
        let earlier: Vec<u32> = self
            .writes
            .iter()
            .filter(|(other, write)| **other != id && write.done.is_some_and(|done| done < from))
            .map(|(other, _)| *other)
            .collect();
        for other in earlier {
            if let Some(write) = self.writes.get_mut(&other)
                && !write.later.contains(&id)
            {
                write.later.push(id);
            }
        }
        if let Some(write) = self.writes.get_mut(&id) {
            write.done = Some(write.done.map_or(to, |done| done.min(to)));
        }
        Ok(())
    }

    /// Somebody saw that there is no object.
    pub fn saw_nothing(&mut self, from: Tick, to: Tick) -> Result<(), String> {
        let absent: Vec<u32> = self.writes.iter().filter(|(_, write)| !write.is_object).map(|(id, _)| *id).collect();
        let mut why = String::new();
        let mut may = vec![];
        for id in absent {
            match self.judge(id, from, to) {
                Ok(()) => may.push(id),
                Err(words) => why = words,
            }
        }
        match may[..] {
            [] => Err(format!("there must be an object: {why}")),
            [only] => self.saw(only, from, to),
            _ => Ok(()),
        }
    }

    /// Objects that may be there in a look from `from` to `to`.
    pub fn possible(&self, from: Tick, to: Tick) -> Vec<u32> {
        self.writes
            .iter()
            .filter(|(id, w)| w.is_object && self.judge(**id, from, to).is_ok())
            .map(|(id, _)| *id)
            .collect()
    }

    /// Was it acknowledged, or seen by somebody?
    pub fn is_done(&self, id: u32) -> bool {
        self.writes.get(&id).is_some_and(|write| write.done.is_some())
    }

    /// Every write so far.
    pub fn everybody(&self) -> Vec<u32> {
        self.writes.keys().copied().collect()
    }

    fn judge(&self, id: u32, from: Tick, to: Tick) -> Result<(), String> {
        let Some(write) = self.writes.get(&id) else { return Err(format!("nobody wrote #{id} here")) };
        if write.void {
            return Err(format!("#{id} was refused"));
        }
        if write.began > to {
            return Err(format!("#{id} had not begun"));
        }
        // Somebody certainly later was done before this look began.
        let mut seen = vec![id];
        let mut open = vec![id];
        while let Some(at) = open.pop() {
            let now = &self.writes[&at];
            for (other, later) in &self.writes {
                let follows = now.later.contains(other) || now.ended.is_some_and(|ended| ended < later.began);
                if !follows || later.void || seen.contains(other) {
                    continue;
                }
                if later.done.is_some_and(|done| done < from) {
                    return Err(format!("#{other} is later than #{id} and was done before"));
                }
                // A write that nobody knows to be done orders nothing behind it but itself.
                seen.push(*other);
                if later.done.is_some() {
                    open.push(*other);
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `begin`, answer; then what may be seen at the end.
    fn register(writes: &[(u32, bool, Tick, Option<(Tick, Told)>)]) -> Register {
        let mut register = Register::default();
        for (id, is_object, began, end) in writes {
            register.begin(*id, *is_object, *began);
            if let Some((at, told)) = end {
                register.end(*id, *told, *at);
            }
        }
        register
    }

    #[test]
    fn the_last_acknowledged_write_is_there() {
        let mut r = register(&[(1, true, 1, Some((2, Told::Done))), (2, true, 3, Some((4, Told::Done)))]);
        assert!(r.saw(1, 5, 6).is_err());
        assert!(r.saw_nothing(5, 6).is_err());
        assert!(r.saw(2, 5, 6).is_ok());
        assert!(r.saw(3, 5, 6).is_err(), "nobody wrote it");
    }

    #[test]
    fn an_unanswered_write_may_be_there_until_something_newer_is() {
        let mut r = register(&[(1, true, 1, Some((2, Told::Done))), (2, true, 3, Some((4, Told::Unknown)))]);
        assert_eq!(r.possible(5, 6), [1, 2]);
        r.saw(2, 5, 6).unwrap();
        assert_eq!(r.possible(7, 8), [2], "what was seen stays");
        r.begin(3, false, 9);
        r.end(3, Told::Done, 10);
        assert!(r.saw_nothing(11, 12).is_ok());
        assert!(r.saw(2, 11, 12).is_err(), "an older write never comes back");
    }

    #[test]
    fn writes_at_one_time_have_one_order_once_it_was_seen() {
        let mut r = register(&[(1, true, 1, Some((4, Told::Done))), (2, true, 2, Some((3, Told::Done)))]);
        assert_eq!(r.possible(5, 6), [1, 2]);
        r.saw(1, 5, 6).unwrap();
        assert!(r.saw(2, 7, 8).is_err());
    }

    #[test]
    fn what_was_refused_never_happens() {
        let mut r = register(&[(1, true, 1, Some((2, Told::Refused)))]);
        assert!(r.saw(1, 1, 3).is_err());
        assert!(r.saw_nothing(3, 4).is_ok());
    }

    #[test]
    fn a_dead_process_writes_nothing_later() {
        let mut r = register(&[(1, true, 1, None)]);
        r.died(2);
        r.begin(2, true, 3);
        r.end(2, Told::Done, 4);
        assert!(r.saw(1, 5, 6).is_err());
    }
}
