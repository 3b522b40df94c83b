//! What the gateway has promised: every write with the moments of its beginning and its end, and from them what a reader
//! may see.

use crate::bodies::BodyId;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Mutex;

/// What a key is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Truth {
    Absent,
    Body(BodyId),
}

impl fmt::Display for Truth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Truth::Absent => write!(f, "absent"),
            Truth::Body(id) => write!(f, "body {id}"),
        }
    }
}

/// Ticks of one counter that all clients share: a request that ended before another began has the lower one.
pub(crate) type Tick = u64;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Running,
    Acknowledged(Tick),
    /// No answer came: from then on nobody waits for it. It is there or not.
    Unanswered(Tick),
}

#[derive(Debug, Clone)]
struct Write {
    number: u64,
    truth: Truth,
    began: Tick,
    end: End,
}

impl Write {
    /// When it was over, for the order of writes.
    fn over(&self) -> Tick {
        match self.end {
            End::Running => Tick::MAX,
            End::Acknowledged(at) | End::Unanswered(at) => at,
        }
    }
}

/// One write that has begun.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Begun {
    key: String,
    number: u64,
}

#[derive(Debug, Default)]
struct Histories {
    tick: Tick,
    writes: BTreeMap<String, Vec<Write>>,
}

impl Histories {
    fn next(&mut self) -> Tick {
        self.tick += 1;
        self.tick
    }

    fn of(&mut self, key: &str) -> &mut Vec<Write> {
        let born = Write { number: 0, truth: Truth::Absent, began: 0, end: End::Acknowledged(0) };
        self.writes.entry(key.to_owned()).or_insert_with(|| vec![born])
    }
}

/// Shared by all clients of one run.
#[derive(Debug, Default)]
pub(crate) struct Oracle(Mutex<Histories>);

impl Oracle {
    fn with<T>(&self, work: impl FnOnce(&mut Histories) -> T) -> T {
        work(&mut self.0.lock().expect("nobody panics with the histories"))
    }

    /// The moment now.
    pub fn now(&self) -> Tick {
        self.with(Histories::next)
    }

    /// Before the request is sent.
    pub fn begin(&self, key: &str, truth: Truth) -> Begun {
        self.with(|histories| {
            let began = histories.next();
            histories.of(key).push(Write { number: began, truth, began, end: End::Running });
            Begun { key: key.to_owned(), number: began }
        })
    }

    /// After its answer was read.
    pub fn acknowledged(&self, begun: Begun) {
        self.finish(&begun, End::Acknowledged);
    }

    /// When the client has given up and the gateway that had the request is gone.
    pub fn unanswered(&self, begun: Begun) {
        self.finish(&begun, End::Unanswered);
    }

    /// It was never sent.
    pub fn withdrawn(&self, begun: Begun) {
        self.with(|histories| histories.of(&begun.key).retain(|write| write.number != begun.number));
    }

    fn finish(&self, begun: &Begun, end: impl FnOnce(Tick) -> End) {
        self.with(|histories| {
            let at = histories.next();
            let write = histories.of(&begun.key).iter_mut().find(|write| write.number == begun.number);
            write.expect("a begun write stays until it ends").end = end(at);
        });
    }

    /// What a read that ran from `from` until now may have seen.
    pub fn allowed(&self, key: &str, from: Tick) -> Vec<Truth> {
        self.with(|histories| allowed(histories.of(key), from))
    }

    /// All keys that were ever written, with what they may be now.
    pub fn all(&self) -> BTreeMap<String, Vec<Truth>> {
        self.with(|histories| {
            let now = histories.next();
            histories.writes.iter().map(|(key, writes)| (key.clone(), allowed(writes, now))).collect()
        })
    }

    /// Nothing is undecided any more and this was seen: from here on the key is this and nothing else.
    pub fn settle(&self, key: &str, truth: Truth) {
        self.with(|histories| {
            let now = histories.next();
            let write = Write { number: now, truth, began: now, end: End::Acknowledged(now) };
            *histories.of(key) = vec![write];
        });
    }
}

/// A write may be seen unless one that began after it was over was acknowledged before the read began.
fn allowed(writes: &[Write], from: Tick) -> Vec<Truth> {
    let replaced = |write: &Write| {
        let later =
            |other: &Write| matches!(other.end, End::Acknowledged(at) if at < from) && other.began > write.over();
        writes.iter().any(later)
    };
    let mut truths: Vec<Truth> = writes.iter().filter(|write| !replaced(write)).map(|write| write.truth).collect();
    truths.sort_unstable();
    truths.dedup();
    truths
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(seed: u64) -> Truth {
        Truth::Body(BodyId::new(seed, 100))
    }

    #[test]
    fn an_acknowledged_write_ends_what_was_before_it() {
        let oracle = Oracle::default();
        assert_eq!(oracle.allowed("k", oracle.now()), [Truth::Absent]);
        let before = oracle.now();
        let put = oracle.begin("k", body(1));
        assert_eq!(oracle.allowed("k", before), [Truth::Absent, body(1)]);
        oracle.acknowledged(put);
        assert_eq!(oracle.allowed("k", before), [Truth::Absent, body(1)], "that read began before the answer");
        assert_eq!(oracle.allowed("k", oracle.now()), [body(1)]);
    }

    #[test]
    fn without_an_answer_both_are_allowed_until_a_later_write_is_acknowledged() {
        let oracle = Oracle::default();
        oracle.acknowledged(oracle.begin("k", body(1)));
        oracle.unanswered(oracle.begin("k", Truth::Absent));
        assert_eq!(oracle.allowed("k", oracle.now()), [Truth::Absent, body(1)]);
        oracle.acknowledged(oracle.begin("k", body(2)));
        assert_eq!(oracle.allowed("k", oracle.now()), [body(2)]);
    }

    #[test]
    fn writes_at_one_time_have_no_order() {
        let oracle = Oracle::default();
        let (one, two) = (oracle.begin("k", body(1)), oracle.begin("k", body(2)));
        oracle.acknowledged(one);
        oracle.acknowledged(two);
        assert_eq!(oracle.allowed("k", oracle.now()), [body(1), body(2)]);
        oracle.settle("k", body(1));
        assert_eq!(oracle.all()["k"], [body(1)]);
    }

    #[test]
    fn what_was_never_sent_is_never_seen() {
        let oracle = Oracle::default();
        oracle.withdrawn(oracle.begin("k", body(1)));
        assert_eq!(oracle.all()["k"], [Truth::Absent]);
    }
}
