//! Whose deletes are counted against which budget: in memory, and remembered by the ledger hour by hour.

use crate::settings::DeleteLimits;
use outlast_ledger::{Change, Ledger, LedgerError};
use outlast_rules::{BucketName, DeleteBudget, Key, Moment, Spent, prefix_of};
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard};

/// The fact under which the ledger remembers them.
const FACT: &str = "delete_budgets";
/// More users, buckets and first folders than a small team has; beyond it the one that deleted longest ago is forgotten.
const BUDGETS_MAX: usize = 1_000;
/// They are written down this often on the way to their limit, with the deletes themselves: whoever lets the process die may
/// delete a tenth more.
const STEPS: u64 = 10;
/// Behind a bucket's name: no first folder is called so.
const WHOLE: &str = "/*";

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

    /// Counts these deletes. `objects`: in the bucket now; `limits`: the user's, where the configuration has any.
    pub fn spend<'k>(
        &self,
        user: &str,
        bucket: &BucketName,
        keys: impl Iterator<Item = &'k Key>,
        objects: u64,
        limits: &DeleteLimits,
        now: Moment,
    ) -> Bill {
        let mut all = self.all();
        let mut bill = Bill::default();
        let mut remember = false;
        for key in keys {
            let mut over = false;
            for account in accounts(user, bucket, key, limits) {
                make_room(&mut all, &account.name);
                let budget = all.entry(account.name).or_default();
                let hour = budget.last();
                let spent = budget.spend(now, objects, account.set);
                let step = (budget.limit(account.set) / STEPS).max(1);
                remember |= budget.last() != hour || budget.spent().is_multiple_of(step);
                if let Spent::Over { first: true, limit, .. } = spent {
                    remember = true;
                    bill.alerts.push(format!(
                        "{user} deletes more than {limit} objects an hour in {}: they are acknowledged, and what they remove is kept until: outlast undelete {bucket} --release",
                        account.place
                    ));
                }
                over |= spent != Spent::Within;
            }
            bill.over.push(over);
        }
        if remember {
            let value = serde_json::to_string(&*all).expect("budgets are numbers and names");
            bill.change = Some(Change::SetFact { name: FACT.to_owned(), value });
        }
        bill
    }
}

/// What one delete is counted against.
struct Account {
    name: String,
    /// The limit that the configuration says.
    set: Option<u64>,
    /// For people.
    place: String,
}

/// The whole bucket and the key's first folder: many small folders are a bucket too, and one folder may be all that matters.
/// Below a path that has a budget of its own only that one counts.
fn accounts(user: &str, bucket: &BucketName, key: &Key, limits: &DeleteLimits) -> Vec<Account> {
    let path = format!("{bucket}/{key}");
    let own =
        limits.below.iter().filter(|(below, _)| path.starts_with(below.as_str())).max_by_key(|(below, _)| below.len());
    if let Some((below, limit)) = own {
        return vec![Account { name: format!("{user} {below}"), set: Some(*limit), place: below.clone() }];
    }
    let set = limits.an_hour;
    let mut accounts = vec![Account { name: format!("{user} {bucket}{WHOLE}"), set, place: bucket.to_string() }];
    let prefix = prefix_of(key.as_str());
    if !prefix.is_empty() {
        let place = format!("{bucket}/{prefix}");
        accounts.push(Account { name: format!("{user} {place}"), set, place });
    }
    accounts
}

/// Whoever makes ever new folders must not push out what is counted of whole buckets.
fn make_room(all: &mut BTreeMap<String, DeleteBudget>, name: &str) {
    if all.len() < BUDGETS_MAX || all.contains_key(name) {
        return;
    }
    let oldest = all.iter().min_by_key(|(name, budget)| (name.ends_with(WHOLE), budget.last()));
    if let Some(oldest) = oldest.map(|(name, _)| name.clone()) {
        all.remove(&oldest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const T: Moment = Moment(1_000 * 24 * 3_600_000);

    fn bucket() -> BucketName {
        BucketName::parse("photos").unwrap()
    }

    fn keys(names: impl Iterator<Item = String>) -> Vec<Key> {
        names.map(|name| Key::parse(&name).unwrap()).collect()
    }

    fn spend(budgets: &Budgets, keys: &[Key], limits: &DeleteLimits) -> Bill {
        budgets.spend("app", &bucket(), keys.iter(), 0, limits, T)
    }

    #[test]
    fn many_small_folders_are_a_bucket() {
        let budgets = Budgets::default();
        let few = keys((0..1_000).map(|n| format!("folder-{n}/a")));
        assert!(spend(&budgets, &few, &DeleteLimits::default()).over.iter().all(|over| !over));
        let one = keys(["another/a".to_owned()].into_iter());
        let bill = spend(&budgets, &one, &DeleteLimits::default());
        assert_eq!(bill.over, [true]);
        assert!(bill.alerts.len() == 1 && bill.alerts[0].contains("in photos:"), "{:?}", bill.alerts);
    }

    #[test]
    fn new_folders_do_not_push_out_the_bucket() {
        let budgets = Budgets::default();
        let limits = DeleteLimits { an_hour: Some(2 * BUDGETS_MAX as u64), ..DeleteLimits::default() };
        let many = keys((0..2 * BUDGETS_MAX).map(|n| format!("folder-{n}/a")));
        assert!(spend(&budgets, &many, &limits).over.iter().all(|over| !over));
        assert_eq!(budgets.all().len(), BUDGETS_MAX);
        assert_eq!(spend(&budgets, &many[..1], &limits).over, [true]);
    }

    #[test]
    fn a_path_with_a_budget_of_its_own_counts_there_alone() {
        let budgets = Budgets::default();
        let below = BTreeMap::from([("photos/tmp/".to_owned(), 3), ("photos/tmp/keep/".to_owned(), 0)]);
        let limits = DeleteLimits { an_hour: Some(1), below };
        let tmp = keys((0..4).map(|n| format!("tmp/{n}")));
        assert_eq!(spend(&budgets, &tmp, &limits).over, [false, false, false, true]);
        assert_eq!(spend(&budgets, &keys(["tmp/keep/a".to_owned()].into_iter()), &limits).over, [true]);
        let other = keys(["a".to_owned(), "b".to_owned()].into_iter());
        assert_eq!(spend(&budgets, &other, &limits).over, [false, true], "what lies elsewhere was not spent from");
    }

    /// What is not written down is given back when the process dies: never more than a tenth of the limit.
    #[test]
    fn a_tenth_at_most_is_forgotten() {
        let budgets = Budgets::default();
        let mut written = 0;
        for n in 1..=1_000_u64 {
            let bill = spend(&budgets, &keys([format!("{n}")].into_iter()), &DeleteLimits::default());
            if let Some(Change::SetFact { value, .. }) = bill.change {
                let told: BTreeMap<String, DeleteBudget> = serde_json::from_str(&value).unwrap();
                written = told.values().map(DeleteBudget::spent).max().unwrap();
            }
            assert!(n - written < 100, "{n} {written}");
        }
    }
}
