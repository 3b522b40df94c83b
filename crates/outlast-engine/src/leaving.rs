//! Which stores are on their way out: asked by every write, so it is kept in memory too.

use outlast_ledger::{Change, Ledger, LedgerError};
use outlast_rules::{Departure, StoreName};
use std::collections::BTreeMap;
use std::sync::RwLock;

#[derive(Debug, Default)]
pub(crate) struct Leaving(RwLock<BTreeMap<StoreName, Departure>>);

fn fact_name(store: &StoreName) -> String {
    format!("store.{store}.leaving")
}

impl Leaving {
    /// What the ledger remembers of these stores.
    pub async fn recall(ledger: &dyn Ledger, stores: impl Iterator<Item = &StoreName>) -> Result<Leaving, LedgerError> {
        let mut all = BTreeMap::new();
        for store in stores {
            let fact = ledger.fact(&fact_name(store)).await?;
            let departure: Option<Departure> = fact.and_then(|text| serde_json::from_str(&text).ok());
            if departure == Some(Departure::Removed) {
                tracing::warn!(%store, "it was removed and is not used; to use it again: outlast store drain {store} --undo");
            }
            all.extend(departure.map(|departure| (store.clone(), departure)));
        }
        Ok(Leaving(RwLock::new(all)))
    }

    pub fn of(&self, store: &StoreName) -> Option<Departure> {
        self.0.read().expect("a map of names does not panic").get(store).copied()
    }

    /// Durable first: see `change`.
    pub fn set(&self, store: &StoreName, departure: Option<Departure>) {
        let mut all = self.0.write().expect("a map of names does not panic");
        match departure {
            Some(departure) => all.insert(store.clone(), departure),
            None => all.remove(store),
        };
    }

    pub fn change(store: &StoreName, departure: Option<Departure>) -> Change {
        let name = fact_name(store);
        match departure {
            Some(departure) => {
                Change::SetFact { name, value: serde_json::to_string(&departure).expect("a word is plain data") }
            }
            None => Change::DropFact { name },
        }
    }
}
