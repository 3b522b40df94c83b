//! Writes entries into the ledger of a gateway that is not running, so that listings of a million keys can be measured
//! without a million bodies: `fill LEDGER-FOLDER BUCKET KEYS`.

use outlast_ledger::{Change, Embedded, Ledger, Mode};
use outlast_rules::{BucketName, Entry, EntryKind, Head, Key, Layout, Moment, Pin, Seq, StoreName, WriteId};
use std::collections::BTreeMap;
use std::error::Error;
use std::path::Path;

/// Entries of one commit: a fsync for each would take an hour.
const BATCH: u64 = 1_000;

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [folder, bucket, keys] = args.as_slice() else { return Err("fill LEDGER-FOLDER BUCKET KEYS".into()) };
    let (bucket, keys) = (BucketName::parse(bucket)?, keys.parse::<u64>()?);
    let ledger = Embedded::open(Path::new(folder), Mode::Inline)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        for start in (0..keys).step_by(BATCH as usize) {
            let mut batch = Vec::new();
            for number in start..(start + BATCH).min(keys) {
                let seq = ledger.take_seq().await?;
                batch.push(change(&bucket, number, seq)?);
            }
            ledger.commit(batch).await?;
        }
        ledger.close().await;
        Ok(())
    })
}

fn change(bucket: &BucketName, number: u64, seq: Seq) -> Result<Change, Box<dyn Error>> {
    let key = Key::parse(&format!("customer-{:04}/object-{number:08}", number / 1_000))?;
    let write = WriteId(u128::from(seq.0) << 64 | u128::from(number));
    let etag = format!("{:032x}", u128::from(number) + 1);
    let pin = Pin { etag: etag.clone(), version: None };
    let entry = Entry {
        write,
        seq,
        kind: EntryKind::Object,
        size: 4_096 + number % 100_000,
        etag,
        modified: Moment(1_790_000_000_000 + number),
        head: Head { content_type: Some("image/jpeg".into()), ..Head::default() },
        layout: Layout::Whole,
        checksums: Vec::new(),
        holders: BTreeMap::from([(StoreName::parse("disk")?, pin)]),
        adopted_from: None,
        predecessors: Vec::new(),
        record: None,
    };
    Ok(Change::SetEntry { bucket: bucket.clone(), key, entry: Box::new(entry), digests: None })
}
