//! What would be found if the gateway's disk were gone now (P8): judged from what lies on the stores.

use crate::books::{Books, Pages};
use crate::client::{carried, key_of};
use crate::inspect::Look;
use crate::place::Place;
use crate::plan::{BUCKETS, KEYS};
use outlast_ledger::Ledger;
use outlast_rules::{Head, Seq, WriteId, name_hash};
use outlast_store::At;
use std::collections::BTreeMap;

const TOMBS: &str = ".outlast/tomb/";
const ORDERS: &str = ".outlast/order/";

/// The newest thing that the stores tell of one key.
enum Newest {
    Nothing,
    Deleted,
    Object(Head),
}

/// What the records in one bucket say, read once for all its keys.
struct Told {
    orders: BTreeMap<WriteId, Seq>,
    deletes: Vec<(String, Seq)>,
}

fn told(places: &[Place], bucket: &str) -> Told {
    let mut told = Told { orders: BTreeMap::new(), deletes: vec![] };
    for place in places {
        for name in place.memory.shown(bucket) {
            if !name.starts_with(TOMBS) && !name.starts_with(ORDERS) {
                continue;
            }
            let lying = place.memory.lying(&At::new(bucket, &name));
            let Some(copy) = lying.into_iter().find(|copy| copy.is_current) else { continue };
            let record: serde_json::Value = serde_json::from_slice(&copy.bytes).expect("a record of ours is JSON");
            let seq = |line: &serde_json::Value| Seq(line["seq"].as_u64().expect("a record says its seq"));
            if let Some(deletes) = record["deletes"].as_array() {
                let key = |line: &serde_json::Value| line["key"].as_str().expect("a record names its key").to_owned();
                told.deletes.extend(deletes.iter().map(|line| (key(line), seq(line))));
            } else {
                let write = record["write"].as_str().and_then(WriteId::parse).expect("a record names its write");
                told.orders.insert(write, seq(&record));
            }
        }
    }
    told
}

impl Look<'_> {
    /// The first bucket's keys: it always stands, so no bucket's tombstone has a say.
    pub async fn afterlife(&self, books: &Books) {
        if !self.damaged.is_empty() {
            return;
        }
        let told = told(self.places, BUCKETS[0]);
        for key in (0..KEYS.len()).filter(|key| KEYS[*key].0 == 0) {
            let (bucket, name) = key_of(key);
            let Ok(state) = self.ledger.key_state(&bucket, &name).await else { return };
            // Between the last Complete call and its order record the stores tell of a write that has no place among the
            // others, and it may be all that is left: who loses the disk just then gets it, or what lies below it.
            if state.intents.iter().any(|intent| intent.upload.is_some()) {
                continue;
            }
            let Ok(gone) = self.ledger.rolled_back(&bucket, &name).await else { return };
            let gone: Vec<WriteId> = gone.into_iter().map(|(write, _)| write).collect();
            let mut pages = books.pages();
            if let Err(why) = judge(&mut pages, key, self.newest(key, &told, &gone)) {
                pages.fail(&format!("P8: with the disk gone, {why}"));
                return;
            }
        }
    }

    /// The highest seq wins, in whatever version it lies.
    fn newest(&self, key: usize, told: &Told, rolled_back: &[WriteId]) -> Newest {
        let (bucket, name) = key_of(key);
        let mut newest = (Seq(0), Newest::Nothing);
        for place in self.places {
            for copy in place.memory.lying(&At::new(bucket.as_str(), name.as_str())) {
                let Some(stamp) = copy.found.dress.stamp.filter(|stamp| stamp.name == name_hash(&bucket, &name)) else {
                    continue;
                };
                let seq = stamp.seq.or(told.orders.get(&stamp.write).copied());
                if let Some(seq) = seq.filter(|seq| *seq > newest.0 && !rolled_back.contains(&stamp.write)) {
                    newest = (seq, Newest::Object(copy.found.dress.head));
                }
            }
        }
        for (_, seq) in told.deletes.iter().filter(|(deleted, _)| deleted == name.as_str()) {
            if *seq > newest.0 {
                newest = (*seq, Newest::Deleted);
            }
        }
        newest.1
    }
}

fn judge(pages: &mut Pages, key: usize, newest: Newest) -> Result<(), String> {
    let from = pages.tick();
    let to = pages.tick();
    match newest {
        Newest::Nothing | Newest::Deleted => pages.keys[key].clone().saw_nothing(from, to).map_err(|why| {
            let shown = if matches!(newest, Newest::Deleted) { "a delete" } else { "nothing" };
            format!("{} shows {shown}: {why}", KEYS[key].1)
        }),
        Newest::Object(head) => {
            let by = carried(&head);
            let possible = pages.keys[key].possible(from, to);
            if pages.makers(by).iter().any(|maker| possible.contains(maker)) {
                return Ok(());
            }
            Err(format!("{} shows #{by}, which cannot be there any more", KEYS[key].1))
        }
    }
}
