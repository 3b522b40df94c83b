//! The records that acknowledged writes left on the stores: in which order completed uploads stand, what was deleted, which
//! buckets were. What the lost ledger had told of a record need not be read again.

use super::reach::{Reach, RebuildError};
use super::report::Named;
use crate::records::{Kept, KeptWrite, Life, TombRecord};
use crate::seats::Seat;
use bytes::Bytes;
use futures_util::stream::{self, StreamExt};
use outlast_ledger::{Change, Ledger};
use outlast_rules::{BucketName, Epoch, Key, Moment, RESERVED_PREFIX, Seq, Turn, WriteId};
use outlast_store::{At, Fault};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

/// Facts of the new ledger while it is made, by bucket and key, so that they are met in the order of keys.
pub(super) const TOMB_FACTS: &str = "rebuild.tomb/";
const ORDER_FACTS: &str = "rebuild.order/";
/// A batch of a thousand keys, each of a kilobyte and escaped.
const RECORD_BYTES_MAX: u64 = 16 * 1024 * 1024;
const RECORD_DEADLINE: Duration = Duration::from_secs(30);
/// Records asked for at once: they are small, and hide a store's latency.
const READS_AT_ONCE: usize = 32;

/// The newest delete of a key that a record tells of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Tomb {
    pub write: WriteId,
    pub turn: Turn,
    pub record: WriteId,
}

#[derive(Deserialize)]
struct OrderRecord {
    epoch: Epoch,
    bucket: BucketName,
    key: Key,
    write: WriteId,
    seq: Seq,
}

#[derive(Deserialize)]
struct BucketRecord {
    epoch: Epoch,
    bucket: BucketName,
    incarnation: u64,
    seq: Seq,
}

/// What a page of records adds to the ledger, not yet committed.
#[derive(Default)]
struct Batch {
    changes: Vec<Change>,
    /// The newest turn of each fact among them: two records of one key may come on one page, in either order.
    newest: HashMap<String, Turn>,
}

/// What came of reading them.
#[derive(Debug, Default)]
pub(super) struct Noted {
    pub records: u64,
    pub read: u64,
    /// The highest seq.
    pub newest: u64,
    pub unreadable: Named,
}

pub(super) struct Notes<'a> {
    pub reach: &'a Reach,
    pub ledger: &'a dyn Ledger,
    pub buckets: Vec<BucketName>,
    /// Of what was recalled: records that it tells of belong to this life or an earlier one.
    pub recalled: Epoch,
    pub now: Moment,
}

pub(super) fn tomb_fact(bucket: &BucketName, key: &str) -> String {
    format!("{TOMB_FACTS}{bucket}/{key}")
}

fn order_fact(write: WriteId) -> String {
    format!("{ORDER_FACTS}{write}")
}

/// The order of a write whose stamp has none.
pub(super) async fn order_of(ledger: &dyn Ledger, write: WriteId) -> Result<Option<Turn>, RebuildError> {
    let fact = ledger.fact(&order_fact(write)).await?;
    Ok(fact.and_then(|text| serde_json::from_str(&text).ok()))
}

impl Notes<'_> {
    pub async fn read(&self) -> Result<Noted, RebuildError> {
        let mut noted = Noted::default();
        for seat in self.reach.seats.values() {
            let natives: BTreeSet<String> =
                self.buckets.iter().map(|bucket| seat.record_at(bucket, "").bucket).collect();
            for native in natives {
                for folder in ["order/", "tomb/"] {
                    self.read_folder(seat, &native, &format!("{RESERVED_PREFIX}{folder}"), &mut noted).await?;
                }
            }
        }
        Ok(noted)
    }

    async fn read_folder(
        &self,
        seat: &Arc<Seat>,
        native: &str,
        folder: &str,
        noted: &mut Noted,
    ) -> Result<(), RebuildError> {
        let owners: Vec<&BucketName> =
            self.buckets.iter().filter(|bucket| seat.record_at(bucket, "").bucket == native).collect();
        let mut after: Option<String> = None;
        loop {
            let page = seat.page(native, folder, after.as_deref()).await?;
            let names = page.copies.into_iter().map(|copy| copy.key);
            let owners = &owners;
            let kept = stream::iter(names).map(|name| async move {
                let kept = self.kept(seat, native, owners, &name).await;
                (name, kept)
            });
            let mut kept = kept.buffered(READS_AT_ONCE);
            let mut batch = Batch::default();
            while let Some((name, one)) = kept.next().await {
                noted.records += 1;
                match one? {
                    Ok((records, was_read)) => {
                        noted.read += u64::from(was_read);
                        for (record, epoch) in records {
                            self.take(&record, epoch, was_read, noted, &mut batch).await?;
                        }
                    }
                    Err(why) => noted.unreadable.add(|| format!("{name} on {}: {why}", seat.name)),
                }
            }
            if !batch.changes.is_empty() {
                self.ledger.commit(batch.changes).await?;
            }
            match page.next {
                Some(next) => after = Some(next),
                None => return Ok(()),
            }
        }
    }

    /// As the ledger remembers it, or as it says itself; true: it had to be read. The inner error: not a record of ours.
    async fn kept(
        &self,
        seat: &Seat,
        native: &str,
        owners: &[&BucketName],
        name: &str,
    ) -> Result<Result<(Vec<(Kept, Epoch)>, bool), String>, RebuildError> {
        for bucket in owners {
            let fact = self.ledger.fact(&Kept::fact_name(bucket, name)).await?;
            if let Some(kept) = fact.and_then(|text| serde_json::from_str::<Kept>(&text).ok()) {
                return Ok(Ok((vec![(kept, self.recalled)], false)));
            }
        }
        let bytes = match record_bytes(seat, native, name).await? {
            Ok(bytes) => bytes,
            Err(why) => return Ok(Err(why)),
        };
        let parsed = if name.contains("/order/") { self.of_order(name, &bytes) } else { self.of_tomb(name, &bytes) };
        Ok(parsed.map(|records| (records, true)).map_err(|error| error.to_string()))
    }

    fn of_order(&self, name: &str, bytes: &[u8]) -> Result<Vec<(Kept, Epoch)>, serde_json::Error> {
        let OrderRecord { epoch, bucket, key, write, seq } = serde_json::from_slice(bytes)?;
        let writes = vec![KeptWrite { key, write, seq }];
        Ok(vec![(Kept { bucket, name: name.to_owned(), since: self.now, writes, life: None }, epoch)])
    }

    fn of_tomb(&self, name: &str, bytes: &[u8]) -> Result<Vec<(Kept, Epoch)>, serde_json::Error> {
        let record: TombRecord = serde_json::from_slice(bytes)?;
        let mut by_bucket: BTreeMap<BucketName, Vec<KeptWrite>> = BTreeMap::new();
        for one in record.deletes {
            let line = KeptWrite { key: one.key, write: one.write, seq: one.seq };
            by_bucket.entry(one.bucket).or_default().push(line);
        }
        let kept = |(bucket, writes)| {
            let name = name.to_owned();
            (Kept { bucket, name, since: self.now, writes, life: None }, Epoch(record.epoch))
        };
        Ok(by_bucket.into_iter().map(kept).collect())
    }

    async fn take(
        &self,
        kept: &Kept,
        epoch: Epoch,
        was_read: bool,
        noted: &mut Noted,
        batch: &mut Batch,
    ) -> Result<(), RebuildError> {
        if was_read {
            batch.changes.push(kept.change());
        }
        let record = kept.name.strip_prefix(RESERVED_PREFIX).and_then(|rest| rest.strip_prefix("tomb/"));
        let record = record.and_then(WriteId::parse);
        for line in &kept.writes {
            let turn = Turn { epoch, seq: line.seq };
            noted.newest = noted.newest.max(line.seq.0);
            // A Complete that was asked for again has a record for each try, and a key one for each delete.
            let name = match record {
                None => order_fact(line.write),
                Some(_) => tomb_fact(&kept.bucket, line.key.as_str()),
            };
            let known = match batch.newest.get(&name) {
                Some(turn) => Some(*turn),
                None if record.is_none() => order_of(self.ledger, line.write).await?,
                None => {
                    let fact = self.ledger.fact(&name).await?;
                    fact.and_then(|text| serde_json::from_str::<Tomb>(&text).ok()).map(|tomb| tomb.turn)
                }
            };
            if known.is_some_and(|known| known >= turn) {
                continue;
            }
            let value = match record {
                None => serde_json::to_string(&turn),
                Some(record) => serde_json::to_string(&Tomb { write: line.write, turn, record }),
            };
            batch.newest.insert(name.clone(), turn);
            batch.changes.push(Change::SetFact { name, value: value.expect("numbers and ids are plain data") });
        }
        Ok(())
    }

    /// The newest end of each bucket, by the records in the homes.
    pub async fn ends(&self, noted: &mut Noted) -> Result<BTreeMap<BucketName, (u64, Turn)>, RebuildError> {
        let folder = format!("{RESERVED_PREFIX}bucket/");
        let mut ends: BTreeMap<BucketName, (u64, Turn)> = BTreeMap::new();
        for seat in self.reach.seats.values() {
            let (home, mut after) = (seat.home(), None::<String>);
            loop {
                let page = seat.page(&home, &folder, after.as_deref()).await?;
                for copy in page.copies {
                    noted.records += 1;
                    noted.read += 1;
                    let read = record_bytes(seat, &home, &copy.key).await?;
                    let record = read.and_then(|bytes| {
                        serde_json::from_slice::<BucketRecord>(&bytes).map_err(|error| error.to_string())
                    });
                    match record {
                        Ok(record) => {
                            noted.newest = noted.newest.max(record.seq.0);
                            let end = (record.incarnation, Turn { epoch: record.epoch, seq: record.seq });
                            let life = Life { incarnation: record.incarnation, seq: record.seq };
                            let (bucket, since) = (record.bucket.clone(), self.now);
                            let kept = Kept { bucket, name: copy.key, since, writes: vec![], life: Some(life) };
                            self.ledger.commit(vec![kept.change()]).await?;
                            let newest = ends.entry(record.bucket).or_insert(end);
                            *newest = (*newest).max(end);
                        }
                        Err(why) => noted.unreadable.add(|| format!("{} on {}: {why}", copy.key, seat.name)),
                    }
                }
                match page.next {
                    Some(next) => after = Some(next),
                    None => break,
                }
            }
        }
        Ok(ends)
    }
}

/// The inner error: the store answers, and it is no record. Another store's copy may be, so this one stops nothing.
async fn record_bytes(seat: &Seat, native: &str, name: &str) -> Result<Result<Bytes, String>, RebuildError> {
    let at = At::new(native, name);
    let read = || seat.read_small(&at, None, RECORD_BYTES_MAX, RECORD_DEADLINE);
    match seat.ask(&format!("get {native}/{name}"), read).await {
        Ok((_, bytes)) => Ok(Ok(bytes)),
        Err(error) if matches!(error.fault, Fault::BadAnswer | Fault::NoKey) => Ok(Err(error.to_string())),
        Err(error) => Err(error.into()),
    }
}
