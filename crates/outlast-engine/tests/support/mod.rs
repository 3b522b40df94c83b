//! A whole engine over stores in memory, on tokio's clock: what the tests of the verbs stand on.
#![allow(dead_code, reason = "each test file uses its own share")]

pub mod puppet;

use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use outlast_engine::*;
use outlast_ledger::{Durability, Embedded, Ledger, Mode};
use outlast_rules::{BucketName, Conditions, Head, Key, Moment, Placement, StoreName, Undelete};
use outlast_store::{MemoryStore, MemoryTraits, Store};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

pub struct World {
    pub engine: Arc<Engine>,
    pub ledger: Arc<Embedded>,
    pub stores: Vec<Arc<MemoryStore>>,
    pub dir: tempfile::TempDir,
    pub settings: EngineSettings,
}

pub const START: Moment = Moment(1_750_000_000_000);

pub fn bucket() -> BucketName {
    BucketName::parse("photos").unwrap()
}

pub fn key(text: &str) -> Key {
    Key::parse(text).unwrap()
}

/// `s0`, `s1`, ...
pub fn name(i: usize) -> StoreName {
    StoreName::parse(&format!("s{i}")).unwrap()
}

impl World {
    /// Stores of these kinds, `min_copies` 2, one bucket.
    pub async fn new(kinds: &[MemoryTraits]) -> World {
        World::with(kinds, |_| {}, |store| store).await
    }

    pub async fn with(
        kinds: &[MemoryTraits],
        change: impl FnOnce(&mut EngineSettings),
        wrap: impl Fn(Arc<dyn Store>) -> Arc<dyn Store>,
    ) -> World {
        World::with_memory(kinds, change, |store| wrap(store)).await
    }

    pub async fn with_memory(
        kinds: &[MemoryTraits],
        change: impl FnOnce(&mut EngineSettings),
        wrap: impl Fn(Arc<MemoryStore>) -> Arc<dyn Store>,
    ) -> World {
        let open = |dir: &Path| Embedded::open_with(dir, Mode::Inline, Durability::Process).unwrap();
        World::over(open, kinds, change, wrap).await
    }

    /// On a ledger that is opened so.
    pub async fn over(
        open: impl FnOnce(&Path) -> Embedded,
        kinds: &[MemoryTraits],
        change: impl FnOnce(&mut EngineSettings),
        wrap: impl Fn(Arc<MemoryStore>) -> Arc<dyn Store>,
    ) -> World {
        let dir = tempfile::tempdir().unwrap();
        let clock = Arc::new(TokioClock::new(START));
        let now = clock.clone();
        let stores: Vec<Arc<MemoryStore>> = kinds
            .iter()
            .enumerate()
            .map(|(i, traits)| {
                let now = now.clone();
                Arc::new(MemoryStore::new(name(i), *traits, Arc::new(move || now.now())))
            })
            .collect();
        let placement = Placement {
            stores: (0..kinds.len()).map(name).collect(),
            min_copies: 2.min(kinds.len()),
            spool_counts: true,
        };
        let mut settings = EngineSettings {
            data_dir: dir.path().to_owned(),
            spool_max: 1 << 30,
            body_memory_max: 64 << 20,
            commit_deadline_ms: 10_000,
            defaults: placement,
            buckets: BTreeMap::new(),
            undelete_default: Undelete::default(),
            undelete: BTreeMap::new(),
            delete_budgets: BTreeMap::new(),
            deep_scrub: Default::default(),
            canary_every_ms: None,
            seed: Some(7),
        };
        change(&mut settings);
        let ledger = Arc::new(open(dir.path()));
        let setups = setups(&stores, wrap);
        let engine = Engine::open(settings.clone(), clock, ledger.clone(), setups).await.unwrap();
        engine.create_bucket(bucket()).await.unwrap();
        World { engine, ledger, stores, dir, settings }
    }

    /// The next process on the same stores and spool, over what there is of the ledger, which is opened when the last one has let go of it.
    pub async fn reopened(self, open: impl FnOnce() -> Embedded, now: Moment) -> World {
        let World { engine, ledger: old, stores, dir, settings } = self;
        engine.stop().await;
        drop((engine, old));
        let ledger = Arc::new(open());
        let setups = setups(&stores, |store| store);
        let clock = Arc::new(TokioClock::new(now));
        let engine = Engine::open(settings.clone(), clock, ledger.clone(), setups).await.unwrap();
        World { engine, ledger, stores, dir, settings }
    }

    pub async fn put(&self, at: &str, body: &[u8]) -> Result<Written, WriteError> {
        self.put_if(at, body, Conditions::default()).await
    }

    pub async fn put_if(&self, at: &str, body: &[u8], conditions: Conditions) -> Result<Written, WriteError> {
        let head = Head { content_type: Some("text/plain".into()), ..Head::default() };
        let ask = PutAsk { bucket: bucket(), key: key(at), head, body: client_body(body), conditions };
        self.engine.put(ask).await
    }

    pub async fn get(&self, at: &str) -> Result<Bytes, ReadError> {
        self.get_range(at, None).await
    }

    pub async fn get_range(&self, at: &str, range: Option<RangeAsk>) -> Result<Bytes, ReadError> {
        let ask = GetAsk { bucket: bucket(), key: key(at), range, conditions: Conditions::default() };
        let answer = self.engine.get(ask).await?;
        let pieces: Vec<Bytes> = answer.bytes.try_collect().await?;
        let whole = Bytes::from(pieces.concat());
        assert_eq!(whole.len() as u64, answer.len, "a whole body has its declared length");
        Ok(whole)
    }

    pub async fn delete(&self, at: &str) -> Result<(), WriteError> {
        let user = "app".to_owned();
        self.engine.delete(DeleteAsk { bucket: bucket(), key: key(at), conditions: Conditions::default(), user }).await
    }

    pub async fn list(&self) -> Vec<String> {
        let page = self.engine.list(bucket(), ListQuery { limit: 1000, ..ListQuery::default() }).await.unwrap();
        page.items
            .into_iter()
            .map(|item| match item {
                Listed::Object(object) => object.key.to_string(),
                Listed::Prefix(prefix) => prefix,
            })
            .collect()
    }

    /// The plain listing of one store, our own records left out.
    pub async fn on_store(&self, i: usize) -> Vec<String> {
        let page = self.stores[i].list("photos", "", None).await.unwrap();
        page.copies.into_iter().map(|copy| copy.key).filter(|key| !key.starts_with(".outlast/")).collect()
    }

    /// Lets the workers run until no store is owed anything.
    pub async fn settle(&self) {
        for _ in 0..10_000 {
            let mut owed = self.ledger.intents(10).await.unwrap().len() as u64;
            for i in 0..self.stores.len() {
                owed += self.ledger.debt_totals(&name(i)).await.unwrap().objects;
            }
            if owed == 0 {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
        panic!("still owed after 1,000 s: {:#?}", self.engine.status().await);
    }
}

/// As `World` opens them.
pub fn setups(
    stores: &[Arc<MemoryStore>],
    wrap: impl Fn(Arc<MemoryStore>) -> Arc<dyn Store>,
) -> BTreeMap<StoreName, StoreSetup> {
    let setup = |store: &Arc<MemoryStore>| StoreSetup {
        store: wrap(store.clone()),
        names: NativeNames::default(),
        settle_ms: 15 * 60 * 1000,
        read_cost: 0.0,
    };
    stores.iter().map(|store| (store.name().clone(), setup(store))).collect()
}

pub fn client_body(body: &[u8]) -> ClientBody {
    let pieces: Vec<Result<Bytes, BodyFault>> = body.chunks(50_000).map(|c| Ok(Bytes::copy_from_slice(c))).collect();
    ClientBody { len: body.len() as u64, bytes: stream::iter(pieces).boxed(), declared: Declared::default() }
}

/// Bytes that differ from block to block.
pub fn bytes(len: usize, seed: u8) -> Vec<u8> {
    (0..len).map(|i| (i as u64).wrapping_mul(2_654_435_761).wrapping_add(u64::from(seed)).to_le_bytes()[2]).collect()
}
