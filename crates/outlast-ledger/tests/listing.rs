//! LIST against a naive oracle: every small query over many small worlds of awkward keys.

mod support;

use outlast_ledger::{Durability, Embedded, Ledger, ListPage, ListQuery, Listed, Mode};
use std::collections::BTreeSet;
use support::*;

/// What LIST means, by reading everything: keys after the marker, rolled up, each common prefix once.
fn oracle(keys: &BTreeSet<String>, query: &ListQuery) -> ListPage {
    let roll = |key: &str| -> Option<String> {
        let below = key.strip_prefix(&query.prefix)?;
        let at = below.find(&query.delimiter).filter(|_| !query.delimiter.is_empty())?;
        Some(key[..query.prefix.len() + at + query.delimiter.len()].to_owned())
    };
    let marker_is_common = roll(&query.after).as_deref() == Some(query.after.as_str());
    let mut names: Vec<(String, bool)> = Vec::new();
    for key in keys.iter().filter(|key| key.starts_with(&query.prefix) && key.as_str() > query.after.as_str()) {
        if marker_is_common && key.starts_with(&query.after) {
            continue;
        }
        let name = roll(key).map_or((key.clone(), false), |common| (common, true));
        if names.last() != Some(&name) {
            names.push(name);
        }
    }
    let truncated = query.limit > 0 && names.len() > query.limit;
    names.truncate(query.limit);
    let items = names.into_iter().map(|(name, common)| if common { Listed::Prefix(name) } else { shown(&name) });
    ListPage { items: items.collect(), truncated }
}

fn shown(name: &str) -> Listed {
    let entry = object(1);
    Listed::Object(outlast_ledger::ListedObject {
        key: key(name),
        size: entry.size,
        etag: entry.etag,
        modified: entry.modified,
    })
}

/// Small numbers from a seed (splitmix64): the same on every machine.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % n as u64) as usize
    }

    /// Letters that make trouble: delimiters, their neighbours in byte order, the highest characters of one to four bytes.
    fn text(&mut self, len_max: usize) -> String {
        const LETTERS: [&str; 9] = ["a", "b", "/", "/", "0", ".", "\u{7f}", "ÿ", "\u{10ffff}"];
        (0..self.below(len_max + 1)).map(|_| LETTERS[self.below(LETTERS.len())]).collect()
    }
}

fn pick(dice: &mut Dice, keys: &BTreeSet<String>) -> String {
    keys.iter().nth(dice.below(keys.len().max(1))).cloned().unwrap_or_default()
}

fn query(dice: &mut Dice, keys: &BTreeSet<String>) -> ListQuery {
    const DELIMITERS: [&str; 8] = ["", "/", "/", "a", "//", "/a", "ÿ", "aa"];
    let cut = |dice: &mut Dice, text: String| -> String {
        let chars = text.chars().count();
        text.chars().take(dice.below(chars + 1)).collect()
    };
    let some = pick(dice, keys);
    let prefix = match dice.below(3) {
        0 => String::new(),
        1 => cut(dice, some),
        _ => dice.text(2),
    };
    let delimiter = DELIMITERS[dice.below(DELIMITERS.len())].to_owned();
    let some = pick(dice, keys);
    let after = match dice.below(5) {
        0 => String::new(),
        1 => some,
        2 => cut(dice, some),
        3 => dice.text(3),
        // A marker that is a common prefix, or nearly.
        _ => format!("{prefix}{}{delimiter}", dice.text(1)),
    };
    ListQuery { prefix, delimiter, after, limit: dice.below(5) }
}

#[test]
fn list_is_what_the_oracle_says() {
    const WORLDS: u64 = 40;
    const QUERIES: usize = 400;
    runtime(Mode::Inline).block_on(async {
        for seed in 0..WORLDS {
            let mut dice = Dice(seed);
            let dir = tempfile::tempdir().unwrap();
            let ledger = Embedded::open_with(dir.path(), Mode::Inline, Durability::Process).unwrap();
            let keys: BTreeSet<String> = (0..dice.below(40)).map(|_| dice.text(5)).filter(|k| !k.is_empty()).collect();
            let mut batch: Vec<_> = keys.iter().map(|name| set(name, object(1))).collect();
            // Deletes and the neighbour bucket are never seen.
            batch.extend(
                (0..10)
                    .map(|_| dice.text(4))
                    .filter(|k| !k.is_empty() && !keys.contains(k))
                    .map(|name| set(&name, tombstone(1))),
            );
            ledger.commit(batch).await.unwrap();
            for _ in 0..QUERIES {
                let query = query(&mut dice, &keys);
                let found = ledger.list(&bkt(), query.clone()).await.unwrap();
                assert_eq!(found, oracle(&keys, &query), "seed {seed}: {query:?} of {keys:?}");
                assert_eq!(ledger.list(&bucket("bkt2"), query).await.unwrap(), ListPage::default());
            }
        }
    });
}

/// Following the last item of each page shows everything once, whatever the size of the pages.
#[test]
fn pages_follow_each_other() {
    runtime(Mode::Inline).block_on(async {
        for seed in 100..120 {
            let mut dice = Dice(seed);
            let dir = tempfile::tempdir().unwrap();
            let ledger = Embedded::open_with(dir.path(), Mode::Inline, Durability::Process).unwrap();
            let keys: BTreeSet<String> = (0..60).map(|_| dice.text(6)).filter(|k| !k.is_empty()).collect();
            ledger.commit(keys.iter().map(|name| set(name, object(1))).collect()).await.unwrap();
            for (prefix, delimiter) in [("", ""), ("", "/"), ("a", "/"), ("/", "/"), ("", "//"), ("a/", ""), ("", "ÿ")]
            {
                let ask = |after: String, limit| ListQuery {
                    prefix: prefix.into(),
                    delimiter: delimiter.into(),
                    after,
                    limit,
                };
                let whole = ledger.list(&bkt(), ask(String::new(), 1000)).await.unwrap();
                assert!(!whole.truncated);
                for limit in 1..4 {
                    let (mut items, mut after) = (Vec::new(), String::new());
                    loop {
                        let page = ledger.list(&bkt(), ask(after.clone(), limit)).await.unwrap();
                        assert!(page.items.len() <= limit);
                        after = match page.items.last() {
                            Some(Listed::Object(last)) => last.key.as_str().to_owned(),
                            Some(Listed::Prefix(last)) => last.clone(),
                            None => break,
                        };
                        items.extend(page.items);
                        if !page.truncated {
                            break;
                        }
                    }
                    assert_eq!(
                        items, whole.items,
                        "seed {seed}, prefix {prefix:?}, delimiter {delimiter:?}, limit {limit}"
                    );
                }
            }
        }
    });
}

#[test]
fn a_directory_marker_rolls_up_above_and_shows_below() {
    runtime(Mode::Inline).block_on(async {
        let dir = tempfile::tempdir().unwrap();
        let ledger = Embedded::open_with(dir.path(), Mode::Inline, Durability::Process).unwrap();
        ledger.commit(["p/", "p/1", "p/2", "q"].map(|name| set(name, object(1))).to_vec()).await.unwrap();
        let list = async |prefix: &str, after: &str| {
            let query = ListQuery { prefix: prefix.into(), delimiter: "/".into(), after: after.into(), limit: 10 };
            ledger.list(&bkt(), query).await.unwrap().items
        };
        assert_eq!(list("", "").await, [Listed::Prefix("p/".into()), shown("q")]);
        assert_eq!(list("p/", "").await, [shown("p/"), shown("p/1"), shown("p/2")]);
        assert_eq!(list("", "p/").await, [shown("q")]);
        // A marker inside a common prefix does not hide what follows it there, as with S3.
        assert_eq!(list("", "p/1").await, [Listed::Prefix("p/".into()), shown("q")]);
        assert_eq!(list("", "p/2").await, [shown("q")]);
    });
}
