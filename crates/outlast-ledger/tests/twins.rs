//! Keys whose last two entries look alike to a listing are known, whatever became of them before.

mod support;

use outlast_ledger::{Change, Ledger};
use outlast_rules::*;
use support::*;

/// Every entry of these has the same bytes.
fn same(n: u64) -> Entry {
    Entry { size: 5, etag: "same".into(), ..object(n) }
}

async fn twins(ledger: &dyn Ledger) -> Vec<String> {
    ledger.twins(&bkt(), None, 9).await.unwrap().iter().map(ToString::to_string).collect()
}

#[test]
fn the_last_two_entries_decide() {
    on_each(|ledger| async move {
        let one = ledger.as_ref();
        let put = async |entry: Entry| one.commit(vec![set("k", entry)]).await.unwrap();
        put(same(1)).await;
        assert!(twins(one).await.is_empty(), "there was none before it");
        for n in [2, 3] {
            put(same(n)).await;
            assert_eq!(twins(one).await, ["k"]);
        }
        // The same entry again, with another holder.
        let pin = Pin { etag: "e".into(), version: None };
        put(Entry { holders: [(store("nas"), pin)].into(), ..same(3) }).await;
        assert_eq!(twins(one).await, ["k"]);
        put(Entry { size: 6, ..same(4) }).await;
        assert!(twins(one).await.is_empty(), "its size tells");
        put(Entry { size: 6, etag: "other".into(), ..same(5) }).await;
        assert!(twins(one).await.is_empty(), "its ETag tells");
        put(Entry { size: 6, etag: "other".into(), ..same(6) }).await;
        assert_eq!(twins(one).await, ["k"]);
        put(tombstone(7)).await;
        put(Entry { size: 6, etag: "other".into(), ..same(8) }).await;
        assert!(twins(one).await.is_empty(), "a tombstone lies between them");
    });
}

#[test]
fn they_are_read_page_by_page() {
    on_each(|ledger| async move {
        let names = ["a", "b", "c", "d"];
        for (n, name) in names.iter().chain(&names).enumerate() {
            ledger.commit(vec![set(name, same(n as u64 + 1))]).await.unwrap();
        }
        let other =
            Change::SetEntry { bucket: bucket("other"), key: key("b"), entry: Box::new(same(20)), digests: None };
        ledger.commit(vec![other]).await.unwrap();
        let first = ledger.twins(&bkt(), None, 3).await.unwrap();
        assert_eq!(first, [key("a"), key("b"), key("c")]);
        assert_eq!(ledger.twins(&bkt(), first.last(), 3).await.unwrap(), [key("d")]);
        assert_eq!(ledger.twins(&bucket("other"), None, 3).await.unwrap(), []);
    });
}
