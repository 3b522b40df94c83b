//! Whose deletes are counted against which budget: in memory, and remembered by the ledger hour by hour.

use outlast_ledger::{Change, Ledger, LedgerError};
use outlast_rules::{BucketName, DeleteBudget, Key, Moment, Spent, prefix_of};
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard};

/// The fact under which the ledger remembers them.
const FACT: &str = "delete_budgets";
/// More users, buckets and first folders than a small team has; beyond it the one that deleted longest ago is forgotten.
const BUDGETS_MAX: usize = 1_000;

#[derive(Debug, Default)]
pub(crate) struct Budgets(Mutex<BTreeMap<String, DeleteBudget>>);

/// What one batch of deletes came to.
#[derive(Debug, Default)]
pub(crate) struct Bill {
    /// Key by key: is it above the budget?
    pub over: Vec<bool>,
    /// One for each budget that was left behind just now.
    pub alerts: Vec<String>,
    /// To be written down with the deletes.
    pub change: Option<Change>,
}

impl Budgets {
    pub async fn recall(ledger: &dyn Ledger) -> Result<Budgets, LedgerError> {
        let told = ledger.fact(FACT).await?.and_then(|text| serde_json::from_str(&text).ok());
        Ok(Budgets(Mutex::new(told.unwrap_or_default())))
    }

    fn all(&self) -> MutexGuard<'_, BTreeMap<String, DeleteBudget>> {
        self.0.lock().expect("no code panics while it holds the budgets")
    }

    /// Counts these deletes. `objects`: in the bucket now; `set`: the user's limit, where the configuration has one.
    pub fn spend<'k>(
        &self,
        user: &str,
        bucket: &BucketName,
        keys: impl Iterator<Item = &'k Key>,
        objects: u64,
        set: Option<u64>,
        now: Moment,
    ) -> Bill {
        let mut all = self.all();
        let mut bill = Bill::default();
        let mut remember = false;
        for key in keys {
            let prefix = prefix_of(key.as_str());
            let name = format!("{user} {bucket}/{prefix}");
            if all.len() >= BUDGETS_MAX && !all.contains_key(&name) {
                let oldest = all.iter().min_by_key(|(_, budget)| budget.last()).map(|(name, _)| name.clone());
                oldest.and_then(|oldest| all.remove(&oldest));
            }
            let budget = all.entry(name).or_default();
            let hour = budget.last();
            let spent = budget.spend(now, objects, set);
            remember |= budget.last() != hour;
            if let Spent::Over { first: true, limit, .. } = spent {
                remember = true;
                bill.alerts.push(format!(
                    "{user} deletes more than {limit} objects an hour in {bucket}/{prefix}: they are acknowledged, and what they remove is kept until: outlast undelete {bucket} --release"
                ));
            }
            bill.over.push(spent != Spent::Within);
        }
        if remember {
            let value = serde_json::to_string(&*all).expect("budgets are numbers and names");
            bill.change = Some(Change::SetFact { name: FACT.to_owned(), value });
        }
        bill
    }
}
