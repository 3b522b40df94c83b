//! How fast a ledger is made anew, over three stores in memory: `rebuild_rate KEYS`. Says keys a second from what was told and
//! listings, and with one HEAD for each copy, and by how much the process grew meanwhile.

use outlast_engine::*;
use outlast_ledger::{Bucket, BucketState, Change, Durability, Embedded, Ledger, Mode};
use outlast_rules::*;
use outlast_store::{At, Body, Dress, MemoryStore, MemoryTraits, PutSpec, Store};
use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

type Outcome<T> = Result<T, Box<dyn Error>>;

const BATCH: u64 = 1_000;

fn rss_kib() -> u64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

fn name(i: usize) -> Outcome<StoreName> {
    Ok(StoreName::parse(&format!("s{i}"))?)
}

fn setups(stores: &[Arc<MemoryStore>]) -> Setups {
    let setup = |store: &Arc<MemoryStore>| {
        let names = NativeNames::default();
        let setup = StoreSetup { store: store.clone(), names, settle_ms: 0, read_cost: 0.0 };
        (store.name().clone(), setup)
    };
    stores.iter().map(setup).collect()
}

async fn fill(stores: &[Arc<MemoryStore>], ledger: &Embedded, bucket: &BucketName, keys: u64) -> Outcome<()> {
    for store in stores {
        store.create_bucket(bucket.as_str()).await?;
    }
    let (created, state) = (Moment(1), BucketState::Serving);
    ledger.commit(vec![Change::PutBucket(Bucket { name: bucket.clone(), created, incarnation: 1, state })]).await?;
    for start in (0..keys).step_by(BATCH as usize) {
        let mut batch = Vec::new();
        for n in start..(start + BATCH).min(keys) {
            let key = Key::parse(&format!("customer-{:04}/2026/11/object-{n:08}", n / 1_000))?;
            let (write, seq) = (WriteId(u128::from(n) + 1), ledger.take_seq().await?);
            let head = Head { content_type: Some("image/jpeg".into()), ..Head::default() };
            let (name, size) = (name_hash(bucket, &key), Some(8));
            let stamp = Stamp { epoch: Epoch(1), seq: Some(seq), write, name, size, digest: None };
            let spec = PutSpec { dress: Dress { head: head.clone(), stamp: Some(stamp) }, fence: None, md5: None };
            let mut holders = BTreeMap::new();
            for store in stores {
                let body = Body::Whole(n.to_le_bytes().to_vec().into());
                holders.insert(
                    store.name().clone(),
                    store.put(&At::new(bucket.as_str(), key.as_str()), &spec, body).await?,
                );
            }
            let etag = holders.values().next().map(|pin| pin.etag.clone()).unwrap_or_default();
            let entry = Entry {
                write,
                seq,
                kind: EntryKind::Object,
                size: 8,
                etag,
                modified: Moment(1_000),
                head,
                layout: Layout::Whole,
                checksums: vec![],
                holders,
                adopted_from: None,
                predecessors: vec![],
                record: None,
            };
            let digests = Some(Digests { maps: vec![BlockMap::of(&n.to_le_bytes())] });
            batch.push(Change::SetEntry { bucket: bucket.clone(), key, entry: Box::new(entry), digests });
        }
        ledger.commit(batch).await?;
    }
    Ok(())
}

fn settings(dir: &std::path::Path) -> Outcome<EngineSettings> {
    let stores = vec![name(0)?, name(1)?, name(2)?];
    Ok(EngineSettings {
        data_dir: dir.to_owned(),
        spool_max: 1 << 30,
        body_memory_max: 64 << 20,
        commit_deadline_ms: 10_000,
        defaults: Placement { stores, min_copies: 2, spool_counts: true },
        buckets: BTreeMap::new(),
        undelete_default: Undelete::default(),
        undelete: BTreeMap::new(),
        delete_budgets: BTreeMap::new(),
        deep_scrub: Default::default(),
        canary_every_ms: None,
        seed: None,
    })
}

async fn rebuilt(stores: &[Arc<MemoryStore>], key: Option<SegmentKey>) -> Outcome<(RebuildReport, u64)> {
    let dir = tempfile::tempdir()?;
    let ledger = Arc::new(Embedded::open_with(dir.path(), Mode::Threads, Durability::Power)?);
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let reach = Arc::new(Reach::new(setups(stores), &clock));
    let survey = Survey { wait_ms: 0, ..reach.survey(&BTreeSet::new()).await? };
    let (told, mut steps) = tokio::sync::mpsc::channel(16);
    let before = rss_kib();
    let most = tokio::spawn(async move {
        let mut most = 0;
        while steps.recv().await.is_some() {
            most = rss_kib().max(most);
        }
        most
    });
    let ask = RebuildAsk { settings: settings(dir.path())?, key, dry_run: false, token: "t".into() };
    let report = Rebuild::new(reach, survey, ask, ledger.clone(), clock, told).run().await?;
    ledger.close().await;
    Ok((report, most.await?.saturating_sub(before)))
}

#[tokio::main]
async fn main() -> Outcome<()> {
    let keys: u64 = std::env::args().nth(1).ok_or("rebuild_rate KEYS")?.parse()?;
    let traits = MemoryTraits { unique_etags: false, ..MemoryTraits::A };
    let stores: Vec<Arc<MemoryStore>> =
        (0..3).map(|i| Ok(Arc::new(MemoryStore::counting(name(i)?, traits)))).collect::<Outcome<_>>()?;
    let (bucket, secret) = (BucketName::parse("photos")?, SegmentKey::of("secret"));
    let dir = tempfile::tempdir()?;
    let ledger = Arc::new(Embedded::open_with(dir.path(), Mode::Threads, Durability::Process)?);
    fill(&stores, &ledger, &bucket, keys).await?;
    let engine = Engine::open(settings(dir.path())?, Arc::new(SystemClock), ledger.clone(), setups(&stores)).await?;
    engine.identify().await?;
    let (every_ms, snapshot_every_ms) = (1_000, u64::MAX);
    let started = tokio::time::Instant::now();
    engine.start_shipping(ShipSettings { key: secret.clone(), every_ms, snapshot_every_ms });
    while engine.status().await.shipping.snapshot.is_none() {
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    println!("shipped: {} keys twice (as changes, in a snapshot) in {:.1} s", keys, started.elapsed().as_secs_f64());
    engine.stop().await;
    drop((engine, ledger));
    for (words, key) in [("told, and listed", Some(secret)), ("asked for", None)] {
        let (report, grew) = rebuilt(&stores, key).await?;
        let rows = report.recall.as_ref().map_or(0, |recall| recall.rows);
        println!(
            "{words}: {} objects, {} rows in {:.1} s ({}/s), {} keys in {:.1} s ({}/s), {} HEADs; grew by {} MiB",
            report.objects,
            rows,
            report.recall_ms as f64 / 1e3,
            rows * 1_000 / report.recall_ms.max(1),
            report.keys,
            report.keys_ms as f64 / 1e3,
            report.keys * 1_000 / report.keys_ms.max(1),
            report.heads,
            grew / 1024
        );
    }
    Ok(())
}
