//! The switch itself: the settings of this moment, and the line to the store.

use super::setting::{Class, Setting, Trouble};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

/// Shared by whoever turns it and the store that obeys. A setting changes calls that begin afterwards; `stall` and
/// `break_off` reach the calls and bodies that are on their way.
#[derive(Debug, Default)]
pub struct Switch {
    settings: Mutex<Vec<Set>>,
    /// Is there any setting? Asked before the lock: in production there is none, and every call asks.
    any: AtomicBool,
    /// Settings so far: an id is never given twice.
    given: AtomicU64,
    line: watch::Sender<Line>,
}

/// A setting that is on.
#[derive(Debug)]
struct Set {
    id: SettingId,
    setting: Setting,
    since: Instant,
    /// Calls that fitted so far.
    fitted: u64,
    /// When it ends by itself; None: when somebody ends it. Dropped with the setting, which tells who waits for its end.
    until: watch::Sender<Option<Instant>>,
}

/// Names one setting of one switch, so that it can be ended alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SettingId(u64);

/// The line to the store.
#[derive(Debug, Clone, Copy, Default)]
struct Line {
    /// Nothing comes through.
    stalled: bool,
    /// How often every connection was broken.
    breaks: u64,
}

/// The end of one setting, for calls and bodies that it holds back.
#[derive(Debug, Clone)]
pub struct Over(watch::Receiver<Option<Instant>>);

/// What the switch says of one call.
pub(super) struct Met {
    pub trouble: Trouble,
    pub over: Over,
}

impl Over {
    /// Returns when the setting is over: ended, or not renewed in time.
    pub async fn wait(&mut self) {
        loop {
            let until = *self.0.borrow_and_update();
            let lapses = async {
                match until {
                    Some(until) => sleep_until(until).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                changed = self.0.changed() => if changed.is_err() { return },
                () = lapses => return,
            }
        }
    }
}

/// One call's end of the line.
pub(super) struct Hold {
    line: watch::Receiver<Line>,
    breaks: u64,
}

impl Hold {
    /// Returns when something may come through.
    pub(super) async fn flows(&mut self) {
        // A switch that nobody can turn any more stays as it is.
        if self.line.wait_for(|line| !line.stalled).await.is_err() && self.line.borrow().stalled {
            std::future::pending().await
        }
    }

    /// Returns when the connection has been broken since the call began.
    pub(super) async fn breaks(&mut self) {
        let before = self.breaks;
        if self.line.wait_for(|line| line.breaks > before).await.is_err() {
            std::future::pending().await
        }
    }
}

impl Switch {
    pub fn set(&self, setting: Setting) -> SettingId {
        self.add(setting, None).0
    }

    /// A setting that ends by itself at `until`, whatever becomes of who set it, unless it is renewed before.
    pub fn lease(&self, setting: Setting, until: Instant) -> (SettingId, Over) {
        self.add(setting, Some(until))
    }

    fn add(&self, setting: Setting, until: Option<Instant>) -> (SettingId, Over) {
        let id = SettingId(self.given.fetch_add(1, Ordering::Relaxed));
        let (until, over) = watch::channel(until);
        let mut settings = self.settings();
        settings.push(Set { id, setting, since: Instant::now(), fitted: 0, until });
        self.any.store(true, Ordering::Release);
        (id, Over(over))
    }

    /// From now on it ends at `until`. False: it is over, and stays so.
    pub fn renew(&self, id: SettingId, until: Instant) -> bool {
        let mut settings = self.settings();
        self.tidy(&mut settings);
        let Some(set) = settings.iter().find(|set| set.id == id) else { return false };
        set.until.send_replace(Some(until));
        true
    }

    /// Ends one setting; one that is over already is no error.
    pub fn unset(&self, id: SettingId) {
        let mut settings = self.settings();
        settings.retain(|set| set.id != id);
        self.tidy(&mut settings);
    }

    /// Lets go of what is over.
    fn tidy(&self, settings: &mut Vec<Set>) {
        let now = Instant::now();
        settings.retain(|set| set.setting.times != Some(0) && !set.has_lapsed(now));
        self.any.store(!settings.is_empty(), Ordering::Release);
    }

    /// All is well again for calls that begin from now on, and a stalled line flows.
    pub fn clear(&self) {
        let mut settings = self.settings();
        settings.clear();
        self.tidy(&mut settings);
        drop(settings);
        self.line.send_modify(|line| line.stalled = false);
    }

    pub fn is_clear(&self) -> bool {
        let mut settings = self.settings();
        self.tidy(&mut settings);
        settings.is_empty() && !self.line.borrow().stalled
    }

    /// The store stops as under SIGSTOP: answers and bodies that are on their way stand still.
    pub fn stall(&self) {
        self.line.send_modify(|line| line.stalled = true);
    }

    /// SIGCONT: what stood still goes on. Settings stay.
    pub fn go_on(&self) {
        self.line.send_modify(|line| line.stalled = false);
    }

    /// The store dies as under SIGKILL: whatever is on its way breaks off, outcome unknown, and the line flows for what
    /// comes after.
    pub fn break_off(&self) {
        self.line.send_modify(|line| *line = Line { stalled: false, breaks: line.breaks + 1 });
    }

    pub(super) fn hold(&self) -> Hold {
        let line = self.line.subscribe();
        let breaks = line.borrow().breaks;
        Hold { line, breaks }
    }

    fn settings(&self) -> MutexGuard<'_, Vec<Set>> {
        self.settings.lock().expect("no holder of this lock can panic")
    }

    pub(super) fn trouble_of(&self, class: Class, key: &str) -> Option<Met> {
        if !self.any.load(Ordering::Acquire) {
            return None;
        }
        let mut settings = self.settings();
        let now = Instant::now();
        let found = settings.iter_mut().rev().filter(|set| !set.has_lapsed(now)).find_map(|set| set.meets(class, key));
        self.tidy(&mut settings);
        found
    }
}

impl Set {
    fn has_lapsed(&self, now: Instant) -> bool {
        self.until.borrow().is_some_and(|until| until <= now)
    }

    /// The trouble of this call, if it is one of those that have it.
    fn meets(&mut self, class: Class, key: &str) -> Option<Met> {
        let setting = &mut self.setting;
        let fits = setting.classes.contains(&class)
            && key.starts_with(&setting.prefix)
            && setting.share.has(key)
            && setting.times != Some(0)
            && setting.flap.is_none_or(|flap| flap.is_on(self.since.elapsed()));
        if !fits {
            return None;
        }
        self.fitted += 1;
        if !setting.odds.hit(self.fitted) {
            return None;
        }
        if let Some(left) = &mut setting.times {
            *left -= 1;
        }
        Some(Met { trouble: setting.trouble.clone(), over: Over(self.until.subscribe()) })
    }
}
