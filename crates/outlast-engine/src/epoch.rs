//! Is this still our life of the ledger? A rebuild begins the next by writing its epoch to every store; a gateway of the life
//! before stops when it sees that, and calls no store whose epoch it has not read lately (protocol.md 7).

use crate::clock::Clock;
use outlast_rules::{Epoch, Moment};
use serde::{Deserialize, Serialize};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// In a store's home. The only object of ours that is written over.
pub(crate) const EPOCH_KEY: &str = ".outlast/epoch.json";
/// Ours has some 200 bytes.
pub(crate) const EPOCH_BYTES_MAX: u64 = 4096;
/// A first connection over half the world, with TLS and a slow disk at its end.
pub(crate) const EPOCH_DEADLINE: Duration = Duration::from_secs(3);
/// No commit call goes to a store whose epoch was not read for so long. A rebuild waits it out before it reads anything.
pub(crate) const EPOCH_INTERVAL: Duration = Duration::from_secs(60);
/// Twice in that time, so that one answer that is late keeps nobody waiting.
pub(crate) const READ_EVERY: Duration = Duration::from_secs(30);

/// What lies there, as JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct EpochMark {
    pub format: u32,
    pub installation: String,
    pub epoch: Epoch,
    /// Of the rebuild that wrote it.
    pub token: String,
    pub at: Moment,
}

/// Told once, to everybody: this gateway is over.
#[derive(Debug, Default)]
pub(crate) struct Superseded {
    words: OnceLock<String>,
    told: CancellationToken,
}

impl Superseded {
    pub fn tell(&self, words: String) {
        tracing::error!("{words}");
        self.words.get_or_init(|| words);
        self.told.cancel();
    }

    pub fn words(&self) -> Option<&str> {
        self.words.get().map(String::as_str)
    }

    pub async fn wait(&self) -> String {
        self.told.cancelled().await;
        self.words().unwrap_or_default().to_owned()
    }
}

/// What one seat knows of it. Without a life of its own (a rebuild's) it lets everything pass.
#[derive(Default)]
pub(crate) struct EpochGate {
    ours: OnceLock<(Epoch, String, Arc<Superseded>)>,
    read: Mutex<Option<(Instant, Moment)>>,
    /// One reads, the others wait for what it finds.
    lane: tokio::sync::Mutex<()>,
}

impl EpochGate {
    pub fn begin(&self, epoch: Epoch, token: String, superseded: Arc<Superseded>) {
        self.ours.get_or_init(|| (epoch, token, superseded));
    }

    /// None: no life, no gate.
    pub fn ours(&self) -> Option<&(Epoch, String, Arc<Superseded>)> {
        self.ours.get()
    }

    pub async fn lane(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.lane.lock().await
    }

    pub fn was_read(&self, at: (Instant, Moment)) {
        *self.read.lock().expect("no code panics while it holds the time of reading") = Some(at);
    }

    /// By two clocks: the one does not count while the machine sleeps, the other may be set back.
    pub fn is_fresh(&self, clock: &dyn Clock) -> bool {
        let read = *self.read.lock().expect("no code panics while it holds the time of reading");
        read.is_some_and(|(at, moment)| {
            let by_wall = Duration::from_millis(clock.now().since_ms(moment));
            at.elapsed() < EPOCH_INTERVAL && by_wall < EPOCH_INTERVAL
        })
    }
}
