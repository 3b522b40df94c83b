//! The one thing that a rebuild writes: its epoch, on every store, before it reads anything. Then it waits until no call of an old
//! gateway can apply any more.

use super::reach::{Reach, RebuildError};
use super::survey::Survey;
use crate::epoch::{EPOCH_KEY, EpochMark};
use crate::seats::Seat;
use outlast_rules::Moment;
use outlast_store::{At, Body, Fault, PutSpec};
use std::time::Duration;

impl Reach {
    /// # Errors
    /// A store does not take it: a gateway that knows nothing of the rebuild could go on writing there.
    pub(super) async fn write_epoch(&self, survey: &Survey, token: &str, now: Moment) -> Result<(), RebuildError> {
        let mark = EpochMark {
            format: 1,
            installation: survey.installation.clone(),
            epoch: survey.epoch,
            token: token.to_owned(),
            at: now,
        };
        let body = serde_json::to_vec(&mark).expect("an epoch is plain data");
        let written = self.of_each(|seat| {
            let body = body.clone();
            async move { put_epoch(&seat, body).await }
        });
        for (_, written) in written.await {
            written?;
        }
        Ok(())
    }

    /// # Errors
    /// Another rebuild has begun since: one of the two must end. `begun`: is our epoch to be there already? A store that is new
    /// has no home for it.
    pub(super) async fn is_still_ours(&self, survey: &Survey, token: &str, begun: Begun) -> Result<(), RebuildError> {
        let read = self.of_each(|seat| async move { seat.ask("get the epoch", || seat.read_epoch()).await });
        for (seat, found) in read.await {
            let is_new = survey.stores.iter().any(|store| store.name == seat.name && store.empty);
            let good = match found? {
                Some(mark) if mark.epoch == survey.epoch && mark.token == token => Ok(()),
                Some(mark) if mark.epoch < survey.epoch && begun == Begun::Perhaps => Ok(()),
                Some(mark) => Err(mark),
                None if is_new || begun == Begun::Perhaps => Ok(()),
                None => {
                    let words =
                        format!("{} has lost {EPOCH_KEY}: somebody removed it, or emptied the store", seat.name);
                    return Err(RebuildError::Refused(words));
                }
            };
            if let Err(mark) = good {
                return Err(RebuildError::Refused(format!(
                    "{} has epoch {} of another rebuild now: two rebuilds ran at once, and this one ends",
                    seat.name, mark.epoch.0
                )));
            }
        }
        Ok(())
    }
}

/// Has this rebuild written its epoch to every store?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Begun {
    Perhaps,
    Yes,
}

async fn put_epoch(seat: &Seat, body: Vec<u8>) -> Result<(), RebuildError> {
    let at = At::new(seat.home(), EPOCH_KEY);
    let spec = PutSpec::default();
    let put = || seat.store.put(&at, &spec, Body::Whole(body.clone().into()));
    match seat.ask(&format!("put {}/{EPOCH_KEY}", at.bucket), put).await {
        Ok(_) => Ok(()),
        // A store that is new has no home yet, and no gateway that could write there.
        Err(error) if error.fault == Fault::NoBucket => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// In steps, so that somebody who looks sees it go on. By a clock that nobody sets.
pub(super) async fn wait_out(wait_ms: u64, mut tell: impl FnMut(u64)) {
    const STEP: u64 = 1_000;
    let mut waited = 0;
    while waited < wait_ms {
        let step = STEP.min(wait_ms - waited);
        tokio::time::sleep(Duration::from_millis(step)).await;
        waited += step;
        tell(waited);
    }
}
