//! Which store answers a GET, and which comes next when it does not (protocol.md 3.2).

use crate::{Entry, Pin, Standing, StoreName};

/// One place to read from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    Spool,
    Store(StoreName, Pin),
}

/// What planning a read knows about one store.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ReadNow {
    pub standing: Standing,
    /// Median of its last few answers.
    pub latency_ms: f64,
    /// Money per byte read; 0 where reading is free.
    pub cost: f64,
    /// Its last answer came later than is usual for it, or never.
    pub late: bool,
}

/// Sources in the order in which they are tried. Stores that are Down come last, but come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadPlan {
    pub sources: Vec<Source>,
}

/// Orders the holders of an entry: spool, then standing, cost, measured latency, name.
pub fn plan_read(entry: &Entry, spooled: bool, now: impl Fn(&StoreName) -> ReadNow) -> ReadPlan {
    let mut holders: Vec<(ReadNow, &StoreName, &Pin)> =
        entry.holders.iter().map(|(name, pin)| (now(name), name, pin)).collect();
    let rank = |standing: Standing| match standing {
        Standing::Up => 0,
        Standing::Trial => 1,
        Standing::Down => 2,
    };
    holders.sort_by(|(a, a_name, _), (b, b_name, _)| {
        rank(a.standing)
            .cmp(&rank(b.standing))
            .then(a.cost.total_cmp(&b.cost))
            .then(a.latency_ms.total_cmp(&b.latency_ms))
            .then(a_name.cmp(b_name))
    });
    let stores = holders.into_iter().map(|(_, name, pin)| Source::Store(name.clone(), pin.clone()));
    ReadPlan { sources: spooled.then_some(Source::Spool).into_iter().chain(stores).collect() }
}

/// The same for a copy to another store. Clients read from the first: of the stores that stand and cost alike the copy takes the
/// last, so that their lines are not shared. The spool has no line.
pub fn plan_copy(entry: &Entry, spooled: bool, now: impl Fn(&StoreName) -> ReadNow) -> ReadPlan {
    let mut plan = plan_read(entry, spooled, &now);
    let kind = |source: &Source| match source {
        Source::Store(name, _) => Some((now(name).standing, now(name).cost.to_bits())),
        Source::Spool => None,
    };
    if let Some(first) = plan.sources.first().and_then(kind) {
        let alike = plan.sources.iter().take_while(|source| kind(source) == Some(first)).count();
        plan.sources[..alike].rotate_right(1);
    }
    plan
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{EntryKind, Head, Layout, Moment, Seq, WriteId};

    #[test]
    fn down_comes_last_but_comes() {
        let name = |text: &str| StoreName::parse(text).unwrap();
        let pin = |etag: &str| Pin { etag: etag.into(), version: None };
        let entry = Entry {
            write: WriteId(1),
            seq: Seq(1),
            kind: EntryKind::Object,
            size: 1,
            etag: "e".into(),
            modified: Moment(0),
            head: Head::default(),
            layout: Layout::Whole,
            checksums: vec![],
            holders: ["a", "b", "c"].map(|n| (name(n), pin(n))).into(),
            adopted_from: None,
            predecessors: vec![],
            record: None,
        };
        let now = |store: &StoreName| match store.as_str() {
            "a" => ReadNow { standing: Standing::Down, latency_ms: 1.0, cost: 0.0, late: false },
            "b" => ReadNow { standing: Standing::Up, latency_ms: 9.0, cost: 0.0, late: false },
            _ => ReadNow { standing: Standing::Up, latency_ms: 3.0, cost: 0.0, late: false },
        };
        let order = |plan: ReadPlan| -> String {
            let name = |source: &Source| match source {
                Source::Spool => "spool".to_owned(),
                Source::Store(name, _) => name.to_string(),
            };
            plan.sources.iter().map(name).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(order(plan_read(&entry, true, now)), "spool c b a");
        assert_eq!(order(plan_copy(&entry, false, now)), "b c a", "clients read from c");
        assert_eq!(order(plan_copy(&entry, true, now)), "spool c b a");
        let dear = |store: &StoreName| ReadNow { cost: f64::from(store.as_str() == "b"), ..now(store) };
        assert_eq!(order(plan_copy(&entry, false, dear)), "c b a", "money before speed");
        let alone = Entry { holders: [(name("a"), pin("a"))].into(), ..entry };
        assert_eq!(order(plan_copy(&alone, false, now)), "a");
    }
}
