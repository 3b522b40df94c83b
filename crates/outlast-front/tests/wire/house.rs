//! An engine on two stores in memory, a front before it, and one bucket `photos`.

use crate::signer::{ACCESS_KEY, SECRET_KEY};
use crate::wire::{Ask, Reply, ask};
use outlast_engine::{Engine, EngineSettings, NativeNames, StoreSetup, SystemClock};
use outlast_front::{Front, FrontSettings, User};
use outlast_ledger::{Durability, Embedded, Mode};
use outlast_rules::{BucketName, Placement, StoreName};
use outlast_store::{MemoryStore, MemoryTraits, Store};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

pub struct House {
    pub front: Option<Front>,
    pub s3: SocketAddr,
    pub admin: SocketAddr,
    pub engine: Arc<Engine>,
    pub stores: Vec<Arc<MemoryStore>>,
    _dir: tempfile::TempDir,
}

pub const GRACE: Duration = Duration::from_secs(10);

impl House {
    pub async fn new() -> House {
        House::with(|_| {}).await
    }

    pub async fn with(change: impl FnOnce(&mut FrontSettings)) -> House {
        let dir = tempfile::tempdir().unwrap();
        let names = ["s0", "s1"].map(|name| StoreName::parse(name).unwrap());
        let stores = names.clone().map(|name| Arc::new(MemoryStore::counting(name, MemoryTraits::B))).to_vec();
        let setup = |store: &Arc<MemoryStore>| {
            let names = NativeNames::default();
            let setup = StoreSetup { store: store.clone(), names, settle_ms: 900_000, read_cost: 0.0 };
            (store.name().clone(), setup)
        };
        let settings = EngineSettings {
            data_dir: dir.path().to_owned(),
            spool_max: 1 << 30,
            body_memory_max: 64 << 20,
            commit_deadline_ms: 10_000,
            defaults: Placement { stores: names.to_vec(), min_copies: 2, spool_counts: true },
            buckets: BTreeMap::new(),
            undelete_default: outlast_rules::Undelete::default(),
            undelete: std::collections::BTreeMap::new(),
            delete_budgets: Default::default(),
            deep_scrub: Default::default(),
            canary_every_ms: None,
            seed: Some(7),
        };
        let ledger = Arc::new(Embedded::open_with(dir.path(), Mode::Inline, Durability::Process).unwrap());
        let setups = stores.iter().map(setup).collect();
        let engine = Engine::open(settings, Arc::new(SystemClock), ledger, setups).await.unwrap();
        engine.create_bucket(BucketName::parse("photos").unwrap()).await.unwrap();
        let user = User { name: "app".into(), access_key: ACCESS_KEY.into(), secret_key: SECRET_KEY.into() };
        let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
        let mut settings = FrontSettings::new(any, any, vec![user]);
        change(&mut settings);
        let front = Front::start(engine.clone(), settings).await.unwrap();
        let (s3, admin) = (front.s3_address(), front.admin_address());
        House { front: Some(front), s3, admin, engine, stores, _dir: dir }
    }

    pub async fn send(&self, ask: Ask) -> Reply {
        ask.send(self.s3).await
    }

    pub async fn put(&self, key: &str, body: &[u8]) -> Reply {
        let reply = self.send(ask("PUT", &format!("/photos/{key}")).body(body)).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        reply
    }

    pub async fn get(&self, key: &str) -> Reply {
        self.send(ask("GET", &format!("/photos/{key}"))).await
    }
}
