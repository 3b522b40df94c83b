//! Who changes a store does so in its own life of the ledger: the epoch is read before, and kept read (protocol.md 7).

use crate::engine::Engine;
use crate::epoch::{EPOCH_BYTES_MAX, EPOCH_DEADLINE, EPOCH_KEY, EpochMark, READ_EVERY};
use crate::seats::Seat;
use futures_util::future::join_all;
use outlast_rules::{EpochNow, judge_epoch};
use outlast_store::{Answer, Applied, At, Fault, StoreError};
use std::sync::Arc;
use tokio::time::Instant;

impl Seat {
    /// Before a call that changes something. A local disk is ours by its lock, and nobody else's.
    ///
    /// # Errors
    /// The epoch cannot be read now, or is another's: the call is not sent.
    pub(crate) async fn is_in_our_epoch(&self) -> Answer<()> {
        let Some((_, _, superseded)) = self.epoch.ours().filter(|_| !self.limits().never_given_up) else {
            return Ok(());
        };
        if let Some(words) = superseded.words() {
            return Err(self.not_sent("call", words));
        }
        if self.epoch.is_fresh(self.clock()) {
            return Ok(());
        }
        let _lane = self.epoch.lane().await;
        if self.epoch.is_fresh(self.clock()) {
            return Ok(());
        }
        self.look_at_epoch().await
    }

    /// Reads it now.
    pub(crate) async fn look_at_epoch(&self) -> Answer<()> {
        let Some((epoch, token, superseded)) = self.epoch.ours() else { return Ok(()) };
        // From before the question: what was written since may be in no answer.
        let now = (Instant::now(), self.clock().now());
        let found = match self.read_epoch().await {
            Ok(found) => found,
            Err(error) => return Err(StoreError { applied: Applied::NotSent, ..error }),
        };
        let told = found.as_ref().map(|mark| (mark.epoch, mark.token.as_str()));
        match judge_epoch((*epoch, token), told) {
            EpochNow::Ours => {
                self.epoch.was_read(now);
                Ok(())
            }
            EpochNow::Over => {
                let theirs = found.map_or(0, |mark| mark.epoch.0);
                let words = format!(
                    "{} says that another ledger was made from the stores (epoch {theirs}, this one is {}): this gateway is \
                     over and changes nothing any more",
                    self.name, epoch.0
                );
                superseded.tell(words.clone());
                Err(self.not_sent("call", &words))
            }
        }
    }

    /// None: no rebuild was ever begun here.
    pub(crate) async fn read_epoch(&self) -> Answer<Option<EpochMark>> {
        let at = At::new(self.home(), EPOCH_KEY);
        let bytes = match self.read_small(&at, None, EPOCH_BYTES_MAX, EPOCH_DEADLINE).await {
            Ok((_, bytes)) => bytes,
            Err(error) if matches!(error.fault, Fault::NoKey | Fault::NoBucket) => return Ok(None),
            Err(error) => return Err(error),
        };
        match serde_json::from_slice(&bytes) {
            Ok(mark) => Ok(Some(mark)),
            Err(error) => Err(self.unreadable(&format!("read {EPOCH_KEY}"), &format!("not an epoch of ours: {error}"))),
        }
    }
}

impl Engine {
    /// Keeps the epochs read, so that no write has to wait for that. Until the engine stops.
    pub(crate) async fn watch_epochs(self: Arc<Self>) {
        let seats: Vec<Arc<Seat>> = self.seats.values().filter(|seat| !seat.limits().never_given_up).cloned().collect();
        while !self.stopping.is_cancelled() {
            for error in
                join_all(seats.iter().map(|seat| seat.look_at_epoch())).await.into_iter().filter_map(Result::err)
            {
                tracing::debug!("{error}: its epoch is read again before it is called");
            }
            tokio::select! {
                biased;
                () = self.stopping.cancelled() => {}
                () = tokio::time::sleep(READ_EVERY) => {}
            }
        }
    }

    /// Returns, with the reason, when a rebuild has begun another life of the ledger: this process has to end.
    pub async fn superseded(&self) -> String {
        self.superseded.wait().await
    }
}
