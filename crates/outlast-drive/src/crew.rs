//! The clients of a run: sent to work, called back, and asked to read what they were told.

use crate::asking::{BUCKET, Shared, Stop};
use crate::client::{Account, Ask, Connection};
use crate::gateway::Gateway;
use crate::worker::Worker;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tokio::task::JoinSet;

pub(crate) struct Crew {
    pub shared: Arc<Shared>,
    /// In the order of their numbers, so that a seed draws the same again.
    pub workers: Vec<Worker>,
    account: Arc<Account>,
}

/// At work: each comes back with what it found wrong.
pub(crate) type AtWork = JoinSet<(Worker, Result<(), String>)>;

impl Crew {
    /// Their bucket is made, and nobody works yet.
    ///
    /// # Errors
    /// The gateway makes no bucket; in words.
    pub async fn sign_on(
        gateway: &Gateway,
        account: &Arc<Account>,
        worker: impl Fn(u32, &Arc<Shared>) -> Worker,
        count: u32,
    ) -> Result<Crew, String> {
        let made = Connection::new(&gateway.s3, account).ask(Ask::put(BUCKET, "", bytes::Bytes::new())).await;
        let made = made.map_err(|lost| format!("CreateBucket: {lost}"))?;
        if !made.is_good() {
            return Err(format!("CreateBucket: {} {}", made.status, made.text()));
        }
        let shared = Arc::new(Shared::default());
        let workers = (0..count).map(|number| worker(number, &shared)).collect();
        Ok(Crew { shared, workers, account: account.clone() })
    }

    pub fn send(&mut self) -> AtWork {
        self.shared.dying.store(false, Ordering::SeqCst);
        let mut clients = JoinSet::new();
        for mut worker in self.workers.drain(..) {
            clients.spawn(async move {
                let outcome = worker.work().await;
                (worker, outcome)
            });
        }
        clients
    }

    /// # Errors
    /// What they found wrong.
    pub async fn call_back(&mut self, mut clients: AtWork) -> Result<(), Vec<String>> {
        let mut wrong = Vec::new();
        while let Some(ended) = clients.join_next().await {
            match ended {
                Ok((worker, outcome)) => {
                    self.workers.push(worker);
                    wrong.extend(outcome.err());
                }
                Err(error) => wrong.push(format!("a client ended: {error}")),
            }
        }
        self.workers.sort_by_key(Worker::number);
        if wrong.is_empty() { Ok(()) } else { Err(wrong) }
    }

    pub fn turn_to(&mut self, gateway: &Gateway) {
        for worker in &mut self.workers {
            worker.turn_to(&gateway.s3, &self.account);
        }
    }

    /// At once, while undecided writes are still being resolved. `when`: after what, for the words.
    ///
    /// # Errors
    /// Each key that is not as it was told.
    pub async fn read_all(&mut self, when: &str) -> Result<(), Vec<String>> {
        self.shared.dying.store(false, Ordering::SeqCst);
        let mut wrong = Vec::new();
        let keys = self.shared.oracle.all().into_keys();
        for (key, number) in keys.zip((0..self.workers.len()).cycle()) {
            match self.workers[number].read(&key).await {
                Ok(()) => {}
                Err(Stop::Killed | Stop::Refused) => wrong.push(format!("GET {key}: the gateway ended by itself")),
                Err(Stop::Broken(why)) => wrong.push(format!("{when}: {why}")),
            }
        }
        if wrong.is_empty() { Ok(()) } else { Err(wrong) }
    }
}
