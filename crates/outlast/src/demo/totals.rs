//! What the demo proves, or fails to: the totals, in words and as JSON.

use super::proof::Proven;
use super::score::Standings;
use crate::config::size_text;

#[derive(Debug, Clone, serde::Serialize)]
pub struct Totals {
    pub seed: u64,
    pub requests: u64,
    /// Requests that failed, or whose answer was wrong, as clients saw them.
    pub failures: u64,
    pub longest_pause_ms: u64,
    pub longest_pause_of: String,
    /// None: the store did not catch up in time.
    pub caught_up_ms: Option<u64>,
    pub stores: Vec<Proven>,
    /// What else went wrong, and the first failures, in words.
    pub wrong: Vec<String>,
    pub good: bool,
}

impl Totals {
    pub fn of(
        seed: u64,
        score: Standings,
        caught_up_ms: Option<u64>,
        stores: Vec<Proven>,
        mut wrong: Vec<String>,
    ) -> Totals {
        let same = stores.iter().all(|store| store.differences == 0 && store.objects > 0);
        let good = score.failures == 0 && wrong.is_empty() && caught_up_ms.is_some() && same && !stores.is_empty();
        wrong.extend(score.told);
        wrong.extend(stores.iter().flat_map(|store| store.told.clone()));
        Totals {
            seed,
            requests: score.requests,
            failures: score.failures,
            longest_pause_ms: score.longest.ms,
            longest_pause_of: score.longest.what,
            caught_up_ms,
            stores,
            wrong,
            good,
        }
    }

    pub fn words(&self) -> String {
        let mut words = String::from("\n");
        for line in &self.wrong {
            words.push_str(&format!("  WRONG  {line}\n"));
        }
        for store in &self.stores {
            words.push_str(&format!(
                "  {:<6} {} objects, {}, read back from this store alone and compared: {}\n",
                store.store,
                store.objects,
                size_text(store.bytes),
                if store.differences == 0 { "all right".to_owned() } else { format!("{} differ", store.differences) },
            ));
        }
        words.push_str(&format!(
            "\ntotals: {} requests, failures seen by clients: {}, longest pause {} ms ({})\n",
            self.requests, self.failures, self.longest_pause_ms, self.longest_pause_of,
        ));
        words.push_str(match self.good {
            true => "One of three stores died and came back, and nobody noticed.\n",
            false => "This run was not good: see above.\n",
        });
        words
    }

    pub fn json(&self) -> String {
        serde_json::to_string(self).expect("totals are plain data")
    }
}
