//! One watcher per store: it wakes what is due, asks for the identity first, sends the canary, and tells the history.

use crate::canary::Canary;
use crate::engine::Engine;
use crate::identity::{Identity, NotTold, unreached};
use crate::seats::{JudgedAs, Seat};
use outlast_rules::{Health, Observation, OpClass, Reason, Standing, our_network};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// Between canaries of a store that is suspected or on trial: an outage is confirmed, and its end noticed, in seconds.
const SUSPECT_EVERY: Duration = Duration::from_secs(5);
/// After a good canary of a store on trial: one proof more.
const PROOF_AFTER: Duration = Duration::from_secs(1);
/// A condemned store is looked at as often as a suspect for this long, then as often as a healthy one.
const CONDEMNED_FRESH_MS: u64 = 10 * 60_000;
/// Canaries that must come back right before a store that changed bytes is trusted again.
const CLEAN_MIN: u32 = 10;

/// What the watcher of one store remembers between rounds.
struct Watch {
    last: Option<Instant>,
    went: Canary,
    /// An alarm rang after the last round.
    alarmed: bool,
    turn: usize,
    /// Canaries in a row that came back right.
    clean: u32,
    /// What the history says of it.
    told: Standing,
}

impl Engine {
    /// Watches one store until the engine stops.
    pub(crate) async fn watch(self: Arc<Self>, seat: Arc<Seat>) {
        let mut watch = Watch { last: None, went: Canary::Well, alarmed: false, turn: 0, clean: 0, told: Standing::Up };
        loop {
            self.tell_history(&seat, &mut watch).await;
            let wait = self.until_next_round(&seat, &watch);
            tokio::select! {
                biased;
                () = self.stopping.cancelled() => return,
                () = seat.alarm.notified() => watch.alarmed = true,
                () = tokio::time::sleep(wait) => {
                    // A canary that is dropped is a leftover, and those are removed later.
                    tokio::select! {
                        biased;
                        () = self.stopping.cancelled() => return,
                        () = self.look_after(&seat, &mut watch) => {}
                    }
                }
            }
        }
    }

    fn until_next_round(&self, seat: &Seat, watch: &Watch) -> Duration {
        let Some(last) = watch.last else { return Duration::ZERO };
        let now = self.now();
        let (condemned, worst, best, wakes_at, since) = seat.health(|health| {
            let best = OpClass::all().map(|class| health.standing(class)).into_iter().min().unwrap_or(Standing::Up);
            (health.condemned(), health.worst(), best, health.wakes_at(), health.since(OpClass::Read))
        });
        let every = match (condemned, worst) {
            (Some(_), _) if now.since_ms(since) < CONDEMNED_FRESH_MS => SUSPECT_EVERY,
            (Some(_), _) => seat.canary_every(),
            (None, Standing::Trial) if watch.went == Canary::Well => PROOF_AFTER,
            (None, Standing::Up) if watch.went == Canary::Well && !watch.alarmed => seat.canary_every(),
            (None, _) => SUSPECT_EVERY.min(seat.canary_every()),
        };
        let regular = every.saturating_sub(last.elapsed());
        let wake = wakes_at.map(|at| Duration::from_millis(at.since_ms(now)));
        match wake {
            // Nothing takes calls: there is nothing to try before the first wait is over.
            Some(wake) if best == Standing::Down => wake,
            Some(wake) => wake.min(regular),
            None => regular,
        }
    }

    /// One round: identity, then the canary.
    pub(crate) async fn watch_once(self: &Arc<Self>, seat: &Arc<Seat>, turn: usize) -> Canary {
        let started = Instant::now();
        let then = seat.judged_as();
        let told = self.ask_identity(seat).await;
        let now = self.now();
        match told {
            Ok(Identity::Ours | Identity::Unmarked) if self.stays_short(seat, then).await => Canary::Failed,
            Ok(Identity::Ours | Identity::Unmarked) => {
                let marker_ms = started.elapsed().as_millis() as u64;
                let woken = seat.health(|health| {
                    if health.condemned().is_some_and(|reason| reason != Reason::BytesDiffer) {
                        health.absolve(now);
                    }
                    health.wake(now)
                });
                if !woken.is_empty() {
                    seat.bell.notify_one();
                }
                if seat.take_lacks_bucket()
                    && let Err(error) = self.make_missing_buckets(seat).await
                {
                    tracing::info!("{error}: a missing bucket stays so");
                }
                self.send_canary(seat, turn, Some(marker_ms)).await
            }
            Ok(Identity::Emptied) => {
                self.condemn(seat, then, Reason::Emptied).await;
                Canary::Failed
            }
            Ok(Identity::Foreign(words)) => {
                tracing::error!("{words}");
                self.condemn(seat, then, Reason::Foreign).await;
                Canary::Failed
            }
            Ok(Identity::Damaged(words)) => {
                tracing::warn!("{words}");
                self.condemn(seat, then, Reason::MarkerDamaged).await;
                Canary::Failed
            }
            Err(NotTold::Ledger(error)) => {
                tracing::error!(store = %seat.name, "the identity cannot be judged: {error}");
                Canary::Failed
            }
            Err(NotTold::Store(error)) => {
                tracing::debug!("{error}");
                seat.remember(&error);
                if !seat.is_known() {
                    self.condemn(seat, then, unreached(error.fault)).await;
                }
                let was_due = seat.health(|health| {
                    let due = health.due(now);
                    health.stay_down(now, error.fault);
                    due.contains(&OpClass::Read)
                });
                if !was_due {
                    seat.tell(OpClass::Read, Observation::Fault(error.fault));
                }
                // What is not Down was itself a moment ago: each class has to show for itself what is wrong with it.
                if self.send_canary(seat, turn, None).await == Canary::BytesDiffer {
                    return Canary::BytesDiffer;
                }
                Canary::Failed
            }
        }
    }

    /// Its list was short, and what was missing is missing still, or nobody can tell. Whatever it was condemned for since.
    async fn stays_short(self: &Arc<Self>, seat: &Arc<Seat>, then: JudgedAs) -> bool {
        if seat.health(|health| health.condemned()).is_none() {
            return false;
        }
        self.is_still_short(seat, then).await.unwrap_or_else(|error| {
            tracing::debug!(store = %seat.name, "whether its list is short still: {error}");
            true
        })
    }

    async fn look_after(self: &Arc<Self>, seat: &Arc<Seat>, watch: &mut Watch) {
        watch.last = Some(Instant::now());
        watch.alarmed = false;
        watch.turn = watch.turn.wrapping_add(1);
        let then = seat.judged_as();
        watch.went = self.watch_once(seat, watch.turn).await;
        match watch.went {
            Canary::BytesDiffer => {
                watch.clean = 0;
                self.condemn(seat, then, Reason::BytesDiffer).await;
            }
            Canary::Failed => watch.clean = 0,
            Canary::Well => {
                watch.clean = watch.clean.saturating_add(1);
                self.learn_strangers(seat).await;
                let now = self.now();
                let differed = seat.health(|health| health.condemned() == Some(Reason::BytesDiffer));
                if differed && watch.clean >= CLEAN_MIN {
                    seat.health(|health| health.absolve(now));
                }
            }
        }
    }

    /// Falls and returns, once each; trials between them are nobody's news.
    async fn tell_history(&self, seat: &Arc<Seat>, watch: &mut Watch) {
        let (worst, reason, condemned) =
            seat.health(|health| (health.worst(), health.reason(), health.condemned().is_some()));
        match (watch.told, worst) {
            (Standing::Up, Standing::Down) => {
                watch.told = Standing::Down;
                // Whoever condemns says so.
                if !condemned {
                    let reason = reason.map(|reason| format!(": {reason}")).unwrap_or_default();
                    self.note("standing", format!("{} is down{reason}", seat.name)).await;
                }
            }
            (Standing::Down, Standing::Up) => {
                watch.told = Standing::Up;
                seat.strangers.forget();
                self.note("standing", format!("{} is up again", seat.name)).await;
            }
            _ => {}
        }
    }

    /// Is it our own network that is gone, and not every store beyond it?
    pub fn is_our_network(&self) -> bool {
        let beyond = self.seats.values().filter(|seat| seat.limits().kind != "disk");
        let healths: Vec<Health> = beyond.map(|seat| seat.health(|health| health.clone())).collect();
        our_network(&healths.iter().collect::<Vec<_>>())
    }
}
