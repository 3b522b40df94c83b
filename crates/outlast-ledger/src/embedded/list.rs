//! LIST: one seek per page without a delimiter, one seek per common prefix with one, however many keys lie below.

use super::fault::Fault;
use super::rows::{get, key, moment, number};
use crate::{ListPage, ListQuery, Listed, ListedObject, PAGE_ROWS_MAX};
use outlast_rules::BucketName;
use rusqlite::{Connection, params};

/// The first byte string after all those that begin with `prefix`.
pub(super) fn end_of(prefix: &[u8]) -> Vec<u8> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if last < 0xff {
            end.push(last + 1);
            return end;
        }
    }
    // Keys are UTF-8, in which no byte is 0xff.
    vec![0xff]
}

/// The common prefix that `key` rolls up into; None: it is shown as itself.
fn common_prefix<'k>(key: &'k str, prefix: &str, delimiter: &str) -> Option<&'k str> {
    if delimiter.is_empty() {
        return None;
    }
    let below = key.strip_prefix(prefix)?;
    below.find(delimiter).map(|at| &key[..prefix.len() + at + delimiter.len()])
}

/// Where the page begins, inclusive.
fn start_of(query: &ListQuery) -> Vec<u8> {
    let after = query.after.as_str();
    let start = if after.is_empty() {
        Vec::new()
    } else if common_prefix(after, &query.prefix, &query.delimiter) == Some(after) {
        end_of(after.as_bytes())
    } else {
        // Keys hold no zero byte, so nothing lies between a key and this.
        [after.as_bytes(), &[0]].concat()
    };
    start.max(query.prefix.clone().into_bytes())
}

pub(super) fn page(conn: &Connection, bucket: &BucketName, query: &ListQuery) -> Result<ListPage, Fault> {
    let limit = query.limit.min(PAGE_ROWS_MAX);
    let mut page = ListPage::default();
    if limit == 0 {
        return Ok(page);
    }
    let end = end_of(query.prefix.as_bytes());
    let mut from = start_of(query);
    let mut statement = conn.prepare_cached(
        "SELECT key, size, etag, modified FROM objects WHERE bucket = ?1 AND key >= ?2 AND key < ?3 ORDER BY key",
    )?;
    'seek: loop {
        let mut rows = statement.query(params![bucket.as_str().as_bytes(), from, end])?;
        while let Some(row) = rows.next()? {
            if page.items.len() == limit {
                page.truncated = true;
                return Ok(page);
            }
            let key = key(row)?;
            if let Some(common) = common_prefix(key.as_str(), &query.prefix, &query.delimiter) {
                from = end_of(common.as_bytes());
                page.items.push(Listed::Prefix(common.to_owned()));
                continue 'seek;
            }
            let (size, etag, modified) = (number(row, "size")?, get(row, "etag")?, moment(row, "modified")?);
            page.items.push(Listed::Object(ListedObject { key, size, etag, modified }));
        }
        return Ok(page);
    }
}

#[cfg(test)]
mod tests {
    use super::super::core::{Core, Durability};
    use super::*;
    use crate::Change;
    use outlast_rules::{Entry, EntryKind, Key, Moment, Seq, WriteId};

    fn object(bucket: &BucketName, key: String) -> Change {
        let entry = Entry {
            write: WriteId(1),
            seq: Seq(1),
            kind: EntryKind::Object,
            size: 1,
            etag: "e".into(),
            modified: Moment(1),
            head: Default::default(),
            layout: Default::default(),
            checksums: Vec::new(),
            holders: Default::default(),
            adopted_from: None,
            predecessors: Vec::new(),
            record: None,
        };
        let key = Key::parse(&key).unwrap();
        Change::SetEntry { bucket: bucket.clone(), key, entry: Box::new(entry), digests: None }
    }

    /// Counts the steps of SQLite's machine: a page costs the same whatever lies below a common prefix or after the page.
    #[test]
    fn work_is_bounded_by_the_page() {
        let bucket = BucketName::parse("bkt").unwrap();
        let mut core = Core::over(Connection::open_in_memory().unwrap(), Durability::Process).unwrap();
        let cost_of = |core: &mut Core, query: &ListQuery| {
            // A statement's first run has a few steps of its own.
            page(core.reader(), &bucket, query).unwrap();
            let (found, steps) = core.steps_of(|conn| page(conn, &bucket, query).unwrap());
            (found.items.len(), steps)
        };
        let deep = ListQuery { delimiter: "/".into(), limit: 10, ..ListQuery::default() };
        let flat = ListQuery { limit: 10, ..ListQuery::default() };
        let add = |core: &mut Core, numbers: std::ops::Range<u32>| {
            let below = numbers.flat_map(|n| (0..8).map(move |folder| format!("f{folder}/{n:06}")));
            core.commit(below.map(|key| object(&bucket, key)).collect()).unwrap();
        };
        add(&mut core, 0..100);
        let small = (cost_of(&mut core, &deep), cost_of(&mut core, &flat));
        add(&mut core, 100..3000);
        let large = (cost_of(&mut core, &deep), cost_of(&mut core, &flat));
        assert_eq!((small.0.0, small.1.0), (8, 10));
        assert_eq!(small, large);
    }

    #[test]
    fn the_end_of_a_prefix() {
        assert_eq!(end_of(b"a/"), b"a0");
        assert_eq!(end_of(b"a\xff"), b"b");
        assert_eq!(end_of(b"\xff\xff"), b"\xff");
        assert_eq!(end_of(b""), b"\xff");
    }
}
