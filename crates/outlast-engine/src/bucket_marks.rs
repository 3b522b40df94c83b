//! Which calls may still apply to native buckets. In the ledger before each is sent; here, because every new upload asks.

use outlast_ledger::{Change, Ledger, LedgerError};
use outlast_rules::{BucketMark, BucketName, CallId, StoreName};
use std::collections::BTreeMap;
use std::sync::Mutex;

/// Facts of the ledger that begin so are marks of bucket calls.
const MARK_FACTS: &str = "bucket-mark/";
const PAGE: usize = 500;

/// Few: one per call that is out or was not answered within its `settle_time`.
#[derive(Default)]
pub(crate) struct BucketMarks(Mutex<BTreeMap<CallId, BucketMark>>);

impl BucketMarks {
    /// What the process before left behind.
    pub async fn recall(ledger: &dyn Ledger) -> Result<BucketMarks, LedgerError> {
        let (mut marks, mut after) = (BTreeMap::new(), String::new());
        loop {
            let page = ledger.facts(MARK_FACTS, &after, PAGE).await?;
            let Some((last, _)) = page.last() else { return Ok(BucketMarks(Mutex::new(marks))) };
            after = last.clone();
            for (name, value) in page {
                let mark: BucketMark = serde_json::from_str(&value).map_err(|error| LedgerError::Damaged {
                    why: format!("the fact {name} does not read as the mark of a bucket call: {error}"),
                })?;
                marks.insert(mark.call, mark);
            }
        }
    }

    /// Durable and known when it returns. Said again for the same call, it replaces that mark.
    pub async fn add(&self, ledger: &dyn Ledger, mark: BucketMark) -> Result<(), LedgerError> {
        let value = serde_json::to_string(&mark).expect("strings and numbers are always JSON");
        ledger.commit(vec![Change::SetFact { name: fact_name(&mark), value }]).await?;
        self.table().insert(mark.call, mark);
        Ok(())
    }

    /// A certain answer came, or its time is over.
    pub async fn remove(&self, ledger: &dyn Ledger, mark: &BucketMark) -> Result<(), LedgerError> {
        ledger.commit(vec![Change::DropFact { name: fact_name(mark) }]).await?;
        self.table().remove(&mark.call);
        Ok(())
    }

    pub fn of(&self, store: &StoreName, bucket: &BucketName) -> Vec<BucketMark> {
        let table = self.table();
        table.values().filter(|mark| &mark.store == store && &mark.bucket == bucket).cloned().collect()
    }

    pub fn all(&self) -> Vec<BucketMark> {
        self.table().values().cloned().collect()
    }

    fn table(&self) -> std::sync::MutexGuard<'_, BTreeMap<CallId, BucketMark>> {
        self.0.lock().expect("no code panics while it holds the marks of bucket calls")
    }
}

fn fact_name(mark: &BucketMark) -> String {
    format!("{MARK_FACTS}{}/{}/{}", mark.bucket, mark.store, mark.call)
}
