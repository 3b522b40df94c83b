//! When is a store declared down, and tried again?

use crate::latency::Latencies;
use crate::{Classes, Fault, Moment, OpClass, Reason, Standing};

/// A class goes Down when its failures since the last good answer weigh this much. The smallest number that 2, 3, 5 and 20
/// divide, so that each kind of failure has a whole weight and a mixed run counts like a pure one.
const RUN_MAX: u32 = 60;
/// Two in a row: nobody is at the address, or what must be there is not. One may be a restart.
const WEIGHT_HARD: u32 = RUN_MAX / 2;
/// Three in a row: silence, broken connections, unreadable answers and refusals happen to single requests.
const WEIGHT_SOFT: u32 = RUN_MAX / 3;
/// Five in a row: every large store answers 5xx now and then and means it for one request only.
const WEIGHT_SERVER: u32 = RUN_MAX / 5;
/// Twenty in a row: asking for less is not being down, until nothing at all comes through.
const WEIGHT_THROTTLED: u32 = RUN_MAX / 20;

/// A run never builds up while good answers come between, and an average over hours hides a new outage behind a good
/// morning: so the last few answers are judged by their share as well.
const WINDOW: u32 = 20;
/// A share of less than this many says nothing.
const WINDOW_MIN: u32 = 10;
/// So many throttled answers in the window are worth telling.
const THROTTLED_SHOWN: u32 = 3;

/// First wait before a store that went Down is tried: shorter than a client's patience, long enough for a restart.
const WAIT_MS_MIN: u64 = 1_000;
/// Longest wait: an outage's end is noticed within a minute.
const WAIT_MS_MAX: u64 = 60_000;
/// Doublings from the first wait past the longest.
const RUNGS: u32 = 6;
/// Good answers that end a trial: one may be luck.
const PROOFS: u32 = 2;
/// More falls than this within `STEADY_MS`: the store flaps, and its waits are not forgotten when it comes up.
const FLAPS_MAX: usize = 3;
/// Up for so long, a store is steady again.
const STEADY_MS: u64 = 10 * 60_000;

/// Hard deadline of a read before anything is learnt (protocol.md 3.3).
const DEADLINE_MS_UNLEARNT_READ: u64 = 500;
/// No deadline is longer: a client's first byte is due within about a second (protocol.md 3.3).
const DEADLINE_MS_MAX: u64 = 1_000;
/// And no read's: whoever moves on after it has to bring a client's first byte within that second.
const DEADLINE_MS_MAX_READ: u64 = 800;
/// No deadline is shorter: a pause of the kernel or of a garbage collector is not an outage.
const DEADLINE_MS_MIN: u64 = 250;
/// So many times its 95th percentile is out of the ordinary for this store.
const DEADLINE_OF_P95: u64 = 4;
/// Two copies of a request within less are not worth their money.
const SOFT_MS_MIN: u64 = 10;
/// Failures that began this close together have one cause: longer than two rounds of the slow canary.
const TOGETHER_MS: u64 = 3 * 60_000;

/// So many classes silent, and nobody is there: the last one need not be tried.
const SILENT_CLASSES: usize = 3;

/// What one call that was really sent told us. What we refused to send is no observation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Observation {
    /// It worked; ms until the answer.
    Answered {
        latency_ms: u64,
    },
    Fault(Fault),
}

/// A class of one store changed its standing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StandingChange {
    pub class: OpClass,
    pub from: Standing,
    pub to: Standing,
    /// What is wrong; where it came up again, what was.
    pub reason: Reason,
}

/// What one observation says of the store.
enum Says {
    /// Well.
    Good,
    /// It lives, but a refused write does not prove that it would take one.
    Alive,
    /// Nothing: the caller's own fault.
    Nothing,
    Bad(u32),
}

fn says(class: OpClass, seen: Observation) -> Says {
    let Observation::Fault(fault) = seen else { return Says::Good };
    match fault {
        Fault::Body => Says::Nothing,
        Fault::NoKey | Fault::Precondition | Fault::NoUpload | Fault::BadRequest | Fault::Unsupported => match class {
            OpClass::Read | OpClass::List => Says::Good,
            OpClass::Write | OpClass::Delete => Says::Alive,
        },
        Fault::ConnectRefused | Fault::NameNotResolved | Fault::Certificate | Fault::Unreachable => {
            Says::Bad(WEIGHT_HARD)
        }
        Fault::Identity | Fault::NoBucket | Fault::Full | Fault::NotMounted => Says::Bad(WEIGHT_HARD),
        Fault::Timeout | Fault::Broken | Fault::BadAnswer => Says::Bad(WEIGHT_SOFT),
        Fault::Denied | Fault::ClockSkew | Fault::Disk => Says::Bad(WEIGHT_SOFT),
        Fault::Server => Says::Bad(WEIGHT_SERVER),
        Fault::Throttled => Says::Bad(WEIGHT_THROTTLED),
    }
}

/// There is no connection, whatever the class of the call: seen twice, the store is gone for all of them.
fn is_connection(fault: Fault) -> bool {
    matches!(fault, Fault::ConnectRefused | Fault::NameNotResolved | Fault::Certificate | Fault::Unreachable)
}

/// One class of one store.
#[derive(Debug, Clone)]
struct Class {
    standing: Standing,
    /// When it last came up, or last left Up.
    since: Moment,
    /// What took it down last; None when it is Up, and in a trial by suspicion.
    fault: Option<Fault>,
    /// Weight of the failures since the last good answer.
    run: u32,
    /// Connection faults since the last answer.
    connection_run: u32,
    /// Timeouts since the last answer.
    silences: u32,
    /// One bit per answer, the newest lowest.
    bad: u32,
    throttled: u32,
    judged: u32,
    proofs: u32,
    rung: u32,
    wakes_at: Option<Moment>,
    /// Times of the last falls from Up, at most `FLAPS_MAX + 1`.
    falls: Vec<Moment>,
    latencies: Latencies,
    /// The last answer came after the soft deadline of that moment, or never.
    late: bool,
}

impl Class {
    fn new(now: Moment) -> Class {
        Class {
            standing: Standing::Up,
            since: now,
            fault: None,
            run: 0,
            connection_run: 0,
            silences: 0,
            bad: 0,
            throttled: 0,
            judged: 0,
            proofs: 0,
            rung: 0,
            wakes_at: None,
            falls: Vec::new(),
            latencies: Latencies::default(),
            late: false,
        }
    }

    fn judge(&mut self, bad: bool, throttled: bool) {
        let mask = (1 << WINDOW) - 1;
        self.bad = (self.bad << 1 | u32::from(bad)) & mask;
        self.throttled = (self.throttled << 1 | u32::from(throttled)) & mask;
        self.judged = (self.judged + 1).min(WINDOW);
    }

    fn is_mostly_bad(&self) -> bool {
        self.judged >= WINDOW_MIN && 2 * self.bad.count_ones() > self.judged
    }

    fn forget(&mut self) {
        (self.run, self.connection_run, self.silences) = (0, 0, 0);
        (self.bad, self.throttled, self.judged, self.proofs) = (0, 0, 0, 0);
        self.wakes_at = None;
    }

    fn flaps(&self) -> bool {
        self.falls.len() > FLAPS_MAX
    }

    fn fall(&mut self, now: Moment, fault: Fault) {
        if self.standing == Standing::Up {
            self.falls.retain(|fall| now.since_ms(*fall) <= STEADY_MS);
            if now.since_ms(self.since) >= STEADY_MS {
                self.falls.clear();
            }
            self.falls.push(now);
            let excess = self.falls.len().saturating_sub(FLAPS_MAX + 1);
            self.falls.drain(..excess);
            self.rung = if self.flaps() { self.rung + 1 } else { 0 };
            self.since = now;
        } else if self.fault.is_some() {
            self.rung += 1;
        }
        self.rung = self.rung.min(RUNGS);
        self.standing = Standing::Down;
        self.fault = Some(fault);
        self.proofs = 0;
        self.wakes_at = Some(now.plus_ms((WAIT_MS_MIN << self.rung).min(WAIT_MS_MAX)));
    }

    fn suspect(&mut self, now: Moment) {
        self.standing = Standing::Trial;
        self.since = now;
        self.forget();
    }

    fn rise(&mut self, now: Moment) {
        self.standing = Standing::Up;
        self.since = now;
        self.fault = None;
        self.forget();
        if !self.flaps() {
            self.rung = 0;
        }
    }

    /// A failure; is the class to fall?
    fn fails(&mut self, fault: Fault, weight: u32) -> bool {
        let throttled = fault == Fault::Throttled;
        self.judge(!throttled, throttled);
        self.run = (self.run + weight).min(RUN_MAX);
        if is_connection(fault) {
            self.connection_run = (self.connection_run + 1).min(RUN_MAX);
        }
        if fault == Fault::Timeout {
            // The true time is not known, only that it is longer: without this the deadline could never grow.
            self.latencies.add(2 * DEADLINE_MS_MAX.min(self.deadline_ms(DEADLINE_MS_MAX)));
            self.late = true;
            self.silences = (self.silences + 1).min(RUN_MAX);
        }
        match self.standing {
            Standing::Down => {
                self.fault = Some(fault);
                false
            }
            Standing::Trial => !throttled || self.run >= RUN_MAX,
            Standing::Up => self.run >= RUN_MAX || self.is_mostly_bad(),
        }
    }

    fn deadline_ms(&self, unlearnt: u64) -> u64 {
        if self.standing != Standing::Up {
            return DEADLINE_MS_MAX;
        }
        let of_p95 = |p95: u64| p95.saturating_mul(DEADLINE_OF_P95).max(DEADLINE_MS_MIN);
        let base = self.latencies.p95_ms().map_or(unlearnt, of_p95);
        base.saturating_mul(1 << self.silences.min(2)).min(DEADLINE_MS_MAX)
    }
}

/// One store's health, per class of operation.
#[derive(Debug, Clone)]
pub struct Health {
    classes: [Class; 4],
    condemned: Option<(Moment, Reason)>,
    /// It has given us a good answer since the start.
    worked: bool,
}

impl Health {
    /// Up until shown otherwise.
    pub fn new(now: Moment) -> Health {
        Health { classes: std::array::from_fn(|_| Class::new(now)), condemned: None, worked: false }
    }

    /// What a call told us. The change is that of its own class; a connection fault may take others with it.
    pub fn observe(&mut self, now: Moment, class: OpClass, seen: Observation) -> Option<StandingChange> {
        if self.condemned.is_some() {
            return None;
        }
        let from = self.standing(class);
        let before = self.reason();
        match (says(class, seen), seen) {
            (Says::Nothing, _) => {}
            (Says::Bad(weight), Observation::Fault(fault)) => self.failed(now, class, fault, weight),
            (Says::Alive, _) => self.answered(now, class, None, false),
            (_, Observation::Answered { latency_ms }) => self.answered(now, class, Some(latency_ms), true),
            (_, Observation::Fault(_)) => self.answered(now, class, None, true),
        }
        let to = self.standing(class);
        let told = if to == Standing::Up { before } else { self.reason() };
        (from != to).then(|| StandingChange { class, from, to, reason: told.unwrap_or(Reason::Proving) })
    }

    fn failed(&mut self, now: Moment, class: OpClass, fault: Fault, weight: u32) {
        let this = self.class_mut(class);
        let falls = this.fails(fault, weight);
        let gone = is_connection(fault) && this.connection_run >= RUN_MAX / WEIGHT_HARD;
        if falls {
            this.fall(now, fault);
        }
        if gone {
            for other in self.classes.iter_mut().filter(|other| other.standing != Standing::Down) {
                other.fall(now, fault);
            }
        } else if falls && fault == Fault::Timeout {
            // The others may hang as well: one silent call each is to be enough.
            for other in self.classes.iter_mut().filter(|other| other.standing == Standing::Up) {
                other.suspect(now);
            }
            let silent = |class: &&Class| class.standing == Standing::Down && class.fault == Some(Fault::Timeout);
            if self.classes.iter().filter(silent).count() >= SILENT_CLASSES {
                for other in self.classes.iter_mut().filter(|other| other.standing != Standing::Down) {
                    other.fall(now, fault);
                }
            }
        }
    }

    fn answered(&mut self, now: Moment, class: OpClass, latency_ms: Option<u64>, proves: bool) {
        self.worked = true;
        let this = self.class_mut(class);
        if let Some(ms) = latency_ms {
            this.late = this.latencies.usual_ms().is_some_and(|usual| ms > usual.max(SOFT_MS_MIN));
            this.latencies.add(ms);
        }
        this.judge(false, false);
        (this.silences, this.connection_run) = (0, 0);
        if proves {
            this.run = 0;
            match this.standing {
                Standing::Up => {}
                // Whoever wakes it makes sure first that it is the same store. A flapping one waits out its wait.
                Standing::Down if this.flaps() => {}
                Standing::Down => this.wakes_at = this.wakes_at.map(|at| at.min(now)),
                Standing::Trial => {
                    this.proofs += 1;
                    if this.proofs >= PROOFS {
                        this.rise(now);
                    }
                }
            }
        }
        // There is a connection again: the other classes need not wait to find that out.
        for other in self.classes.iter_mut().filter(|other| other.fault.is_some_and(is_connection) && !other.flaps()) {
            other.wakes_at = other.wakes_at.map(|at| at.min(now));
        }
    }

    /// Down for every class, whatever the answers are, until `absolve`.
    pub fn condemn(&mut self, now: Moment, reason: Reason) {
        let since = self.condemned.map_or(now, |(since, _)| since);
        self.condemned = Some((since, reason));
    }

    /// On trial for every class. Nothing happens to a store that is not condemned.
    pub fn absolve(&mut self, now: Moment) {
        if self.condemned.take().is_some() {
            for class in &mut self.classes {
                class.suspect(now);
                class.fault = None;
                class.rung = 0;
            }
        }
    }

    /// Why the store is condemned, if it is.
    pub fn condemned(&self) -> Option<Reason> {
        self.condemned.map(|(_, reason)| reason)
    }

    pub fn standing(&self, class: OpClass) -> Standing {
        if self.condemned.is_some() { Standing::Down } else { self.class(class).standing }
    }

    /// Of all classes.
    pub fn worst(&self) -> Standing {
        OpClass::all().map(|class| self.standing(class)).into_iter().max().unwrap_or(Standing::Up)
    }

    /// When the class last came up, or last left Up: trials in between do not count.
    pub fn since(&self, class: OpClass) -> Moment {
        self.condemned.map_or(self.class(class).since, |(since, _)| since)
    }

    /// The store's story over all classes; None when there is nothing to tell. A store that is Up may have one, too.
    pub fn reason(&self) -> Option<Reason> {
        if let Some((_, reason)) = self.condemned {
            return Some(reason);
        }
        if let Some((fault, on)) = self.main_fault() {
            return Some(self.slow_rather_than(fault, on).unwrap_or(Reason::Fails { fault, on, worked: self.worked }));
        }
        if self.worst() != Standing::Up {
            return Some(Reason::Proving);
        }
        if self.classes.iter().any(|class| class.throttled.count_ones() >= THROTTLED_SHOWN) {
            return Some(Reason::Throttled);
        }
        self.slow(OpClass::Read).or_else(|| self.slow(OpClass::List))
    }

    /// Why this class is not Up; None where it is.
    pub fn class_reason(&self, class: OpClass) -> Option<Reason> {
        match (self.condemned, self.class(class)) {
            (Some((_, reason)), _) => Some(reason),
            (None, this) if this.standing == Standing::Up => None,
            (None, this) => Some(this.fault.map_or(Reason::Proving, |fault| Reason::Fails {
                fault,
                on: Classes::every(),
                worked: self.worked,
            })),
        }
    }

    /// The fault that explains most, and where it shows.
    fn main_fault(&self) -> Option<(Fault, Classes)> {
        let with =
            |fault: Fault| Classes::of(OpClass::all().into_iter().filter(|&c| self.class(c).fault == Some(fault)));
        let faults = self.classes.iter().filter_map(|class| class.fault);
        let all = faults.map(|fault| (fault, with(fault)));
        all.max_by_key(|(fault, on)| (is_connection(*fault), on.iter().count(), std::cmp::Reverse(rank(*fault))))
    }

    /// Where some answers come, only late, silence is the wrong word.
    fn slow_rather_than(&self, fault: Fault, on: Classes) -> Option<Reason> {
        if fault != Fault::Timeout {
            return None;
        }
        on.others().iter().find_map(|class| self.slow(class))
    }

    fn slow(&self, class: OpClass) -> Option<Reason> {
        let p95_ms = self.class(class).latencies.p95_ms()?;
        (p95_ms >= DEADLINE_MS_MAX).then_some(Reason::Slow { p95_ms })
    }

    /// When a Down class becomes Trial. None: nothing is Down, or only `absolve` helps.
    pub fn wakes_at(&self) -> Option<Moment> {
        if self.condemned.is_some() {
            return None;
        }
        self.classes.iter().filter_map(|class| class.wakes_at).min()
    }

    /// Puts the classes that are due on trial.
    pub fn wake(&mut self, now: Moment) -> Vec<OpClass> {
        let due = self.due(now);
        for class in &due {
            let this = self.class_mut(*class);
            this.standing = Standing::Trial;
            this.wakes_at = None;
            (this.proofs, this.run) = (0, 0);
        }
        due
    }

    /// The store was asked before it was woken, and is not back: what is due waits for twice as long.
    pub fn stay_down(&mut self, now: Moment, fault: Fault) {
        for class in self.due(now) {
            self.class_mut(class).fall(now, fault);
        }
    }

    /// Down classes whose wait is over. A wait that ends impossibly late means that the clock was set back: over.
    pub fn due(&self, now: Moment) -> Vec<OpClass> {
        let is_due = |at: Moment| at <= now || at.since_ms(now) > WAIT_MS_MAX;
        let down = |class: &OpClass| self.class(*class).wakes_at.is_some_and(is_due);
        if self.condemned.is_some() { Vec::new() } else { OpClass::all().into_iter().filter(down).collect() }
    }

    /// Ms to the first byte, after which a read moves on, and after which the spool may stand in for a write.
    pub fn deadline_ms(&self, class: OpClass) -> u64 {
        let (unlearnt, max) = match class {
            OpClass::Read | OpClass::List => (DEADLINE_MS_UNLEARNT_READ, DEADLINE_MS_MAX_READ),
            OpClass::Write | OpClass::Delete => (DEADLINE_MS_MAX, DEADLINE_MS_MAX),
        };
        self.class(class).deadline_ms(unlearnt).min(max)
    }

    /// Ms after which a second try elsewhere may be worth its money.
    pub fn soft_ms(&self, class: OpClass) -> u64 {
        let deadline = self.deadline_ms(class);
        self.class(class).latencies.p95_ms().map_or(deadline, |p95| p95.clamp(SOFT_MS_MIN, deadline))
    }

    /// What a read may be expected to take now: the median of the last few; as `median_ms` where nothing was read yet.
    pub fn recent_read_ms(&self) -> f64 {
        self.class(OpClass::Read).latencies.recent_ms().map_or_else(|| self.median_ms(), |ms| ms as f64)
    }

    /// The last answer of this class came later than is usual, or never: a second copy of a request only adds to it.
    pub fn is_late(&self, class: OpClass) -> bool {
        self.class(class).late
    }

    /// Of the last reads; of anything before the first read; 0 before the first answer.
    pub fn median_ms(&self) -> f64 {
        let of = |class: OpClass| self.class(class).latencies.median_ms();
        OpClass::all().into_iter().find_map(of).unwrap_or(0) as f64
    }

    fn class(&self, class: OpClass) -> &Class {
        &self.classes[class as usize]
    }

    fn class_mut(&mut self, class: OpClass) -> &mut Class {
        &mut self.classes[class as usize]
    }
}

/// Of faults that show on equally many classes, the lower one is told.
fn rank(fault: Fault) -> u8 {
    match fault {
        Fault::Identity | Fault::Denied | Fault::ClockSkew | Fault::NotMounted => 0,
        Fault::NoBucket => 1,
        Fault::Full | Fault::Disk => 2,
        Fault::Timeout => 3,
        Fault::Broken | Fault::BadAnswer => 4,
        Fault::Server => 5,
        _ => 6,
    }
}

/// Is the fault on our side? Only told of the stores that lie beyond the network; of one store alone nobody can tell.
/// A refused connection does not count: whoever refuses has been reached.
pub fn our_network(stores: &[&Health]) -> bool {
    let cut_off = |health: &&Health| {
        let class = health.classes.iter().find(|class| {
            class.standing != Standing::Up
                && matches!(class.fault, Some(Fault::NameNotResolved | Fault::Unreachable | Fault::Timeout))
        });
        class.filter(|_| health.worked && health.worst() == Standing::Down).map(|class| class.since)
    };
    let since: Option<Vec<Moment>> = stores.iter().map(cut_off).collect();
    let Some(since) = since.filter(|since| since.len() >= 2) else { return false };
    let first = since.iter().min().copied().unwrap_or_default();
    since.iter().all(|at| at.since_ms(first) <= TOGETHER_MS)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads `r.ok`, `w.denied*3` (class, what was seen, how often), `+1000` (ms go by), `wake`, `condemn`, `absolve`.
    struct World {
        now: Moment,
        health: Health,
    }

    impl World {
        fn new() -> World {
            let now = Moment(1_000_000);
            World { now, health: Health::new(now) }
        }

        fn play(&mut self, script: &str) -> &mut World {
            for word in script.split_whitespace() {
                match word {
                    "wake" => drop(self.health.wake(self.now)),
                    "condemn" => self.health.condemn(self.now, Reason::Emptied),
                    "absolve" => self.health.absolve(self.now),
                    _ => match word.strip_prefix('+') {
                        Some(ms) => self.now = self.now.plus_ms(ms.parse().unwrap()),
                        None => self.observe(word),
                    },
                }
            }
            self
        }

        fn observe(&mut self, word: &str) {
            let (what, times) = word.split_once('*').map_or((word, 1), |(what, n)| (what, n.parse().unwrap()));
            let (class, seen) = what.split_once('.').unwrap();
            let class = match class {
                "r" => OpClass::Read,
                "l" => OpClass::List,
                "w" => OpClass::Write,
                "d" => OpClass::Delete,
                other => panic!("no class {other}"),
            };
            for _ in 0..times {
                let seen = match seen.strip_prefix("ok") {
                    Some("") => Observation::Answered { latency_ms: 20 },
                    Some(ms) => Observation::Answered { latency_ms: ms.parse().unwrap() },
                    None => Observation::Fault(fault(seen)),
                };
                self.health.observe(self.now, class, seen);
            }
        }

        /// `u` up, `t` trial, `d` down, in the order read, list, write, delete; then the reason.
        fn tell(&self) -> String {
            let ups = OpClass::all().map(|class| self.health.standing(class) == Standing::Up);
            let word = |class| self.health.standing(class).to_string()[..1].to_owned();
            assert_eq!(ups.iter().all(|up| *up), self.health.worst() == Standing::Up);
            let reason = self.health.reason().map_or(String::new(), |reason| format!(" {reason}"));
            OpClass::all().map(word).concat() + &reason
        }
    }

    fn fault(word: &str) -> Fault {
        match word {
            "refused" => Fault::ConnectRefused,
            "name" => Fault::NameNotResolved,
            "certificate" => Fault::Certificate,
            "unreachable" => Fault::Unreachable,
            "identity" => Fault::Identity,
            "nobucket" => Fault::NoBucket,
            "timeout" => Fault::Timeout,
            "broken" => Fault::Broken,
            "badanswer" => Fault::BadAnswer,
            "server" => Fault::Server,
            "denied" => Fault::Denied,
            "clock" => Fault::ClockSkew,
            "throttled" => Fault::Throttled,
            "full" => Fault::Full,
            "disk" => Fault::Disk,
            "nokey" => Fault::NoKey,
            "412" => Fault::Precondition,
            "noupload" => Fault::NoUpload,
            "body" => Fault::Body,
            "400" => Fault::BadRequest,
            "501" => Fault::Unsupported,
            other => panic!("no fault {other}"),
        }
    }

    #[track_caller]
    fn check(script: &str, expected: &str) {
        assert_eq!(World::new().play(script).tell(), expected, "after: {script}");
    }

    #[test]
    fn how_many_in_a_row() {
        for hard in ["refused", "name", "certificate", "unreachable"] {
            check(&format!("r.{hard}"), "uuuu");
            let told = World::new().play(&format!("r.{hard}*2")).tell();
            assert!(told.starts_with("dddd "), "a store without connection is gone for every class: {told}");
        }
        check("w.refused*2", "dddd connection refused: nothing listens at its address");
        check("l.name*2", "dddd name does not resolve");
        check("r.ok r.nobucket*2", "duuu fails on reads, not seen on lists, writes and deletes (bucket gone)");
        check("w.full", "uuuu");
        check("w.full*2", "uudu refuses writes only (full)");
        for soft in ["broken", "badanswer", "denied", "clock", "disk"] {
            check(&format!("w.{soft}*2"), "uuuu");
            assert!(World::new().play(&format!("w.{soft}*3")).tell().starts_with("uudu refuses writes only"), "{soft}");
        }
        check("r.timeout*2", "uuuu");
        check(
            "r.timeout*3",
            "dttt fails on reads, not seen on lists, writes and deletes (accepts and does not answer)",
        );
        check("r.server*4", "uuuu");
        check("r.server*5", "duuu fails on reads, not seen on lists, writes and deletes (5xx: internal errors)");
        check("w.throttled*19", "uuuu throttled: it asks us to slow down, and we do");
        check("w.throttled*20", "uudu refuses writes only (throttled)");
    }

    #[test]
    fn a_good_answer_between_ends_the_run() {
        check("r.refused r.ok r.refused r.ok", "uuuu");
        check("r.timeout*2 r.ok r.timeout*2", "uuuu");
        check("r.denied*2 r.nokey r.denied*2", "uuuu");
        check(
            "r.denied*2 w.ok r.denied",
            "duuu fails on reads, not seen on lists, writes and deletes (403: access denied)",
        );
        check("w.throttled*19 w.ok w.throttled*19", "uuuu throttled: it asks us to slow down, and we do");
    }

    #[test]
    fn a_mixed_run_counts_like_a_pure_one() {
        check(
            "r.timeout r.refused r.timeout",
            "dttt fails on reads, not seen on lists, writes and deletes (accepts and does not answer)",
        );
        check(
            "r.server*3 r.timeout r.server",
            "duuu fails on reads, not seen on lists, writes and deletes (5xx: internal errors)",
        );
        check("w.412 w.full w.412 w.full", "uudu refuses writes only (full)");
    }

    #[test]
    fn a_share_of_bad_answers_is_enough() {
        check(
            "r.ok*4 r.server*4 r.ok r.server*2",
            "duuu fails on reads, not seen on lists, writes and deletes (5xx: internal errors)",
        );
        check("r.ok*1000 r.server*4 r.ok*2 r.server*4 r.ok*2 r.server*2", "uuuu");
        check(
            "r.ok*1000 r.server*4 r.ok*2 r.server*4 r.ok*2 r.server*4",
            "duuu fails on reads, not seen on lists, writes and deletes (5xx: internal errors)",
        );
        check("r.ok r.server*4 r.ok r.server*2", "uuuu");
    }

    #[test]
    fn the_callers_own_faults_never_count() {
        for own in ["nokey", "412", "noupload", "body", "400", "501"] {
            for class in ["r", "l", "w", "d"] {
                check(&format!("{class}.{own}*100"), "uuuu");
            }
        }
        check("w.broken*3 +1000 wake w.412*5", "uutu refuses writes only (connections break off)");
        check("w.broken*3 +1000 wake w.body*5", "uutu refuses writes only (connections break off)");
    }

    #[test]
    fn silence_puts_the_others_on_trial() {
        check(
            "r.timeout*3 w.ok",
            "dttt fails on reads, not seen on lists, writes and deletes (accepts and does not answer)",
        );
        check(
            "r.timeout*3 w.timeout",
            "dtdt fails on reads and writes, not seen on lists and deletes (accepts and does not answer)",
        );
        check("r.timeout*3 w.timeout l.timeout", "dddd accepts and does not answer");
        check("r.timeout*3 w.timeout d.ok*2 l.timeout", "dddd accepts and does not answer");
        check(
            "r.timeout*3 w.ok*2 l.ok*2 d.ok*2",
            "duuu fails on reads, not seen on lists, writes and deletes (accepts and does not answer)",
        );
        check("r.timeout*3 +1000 wake r.ok*2", "uttt on trial: it has to answer well before it is trusted again");
        check("w.ok1500*20 r.timeout*3", "dttt too slow: one answer in twenty takes over 1500 ms");
        check("r.ok1500*20", "uuuu too slow: one answer in twenty takes over 1500 ms");
    }

    #[test]
    fn the_whole_story() {
        let denied = "r.denied*3 l.denied*3 w.denied*3 d.denied*3";
        check(denied, "dddd 403 on every operation: these keys have not worked here yet");
        check(
            &format!("r.ok {denied}"),
            "dddd 403 on every operation with keys that worked before: account suspended or key revoked",
        );
        check(
            "w.denied*3 d.denied*3",
            "uudd refuses writes and deletes, goes on answering reads and lists (403: access denied)",
        );
        check("w.full*2 d.server*5 r.refused*2", "dddd connection refused: nothing listens at its address");
        check(
            "w.server*5 d.denied*3",
            "uudd fails on deletes, not seen on reads, lists and writes (403: access denied)",
        );
    }

    #[test]
    fn condemned_until_absolved() {
        let told = "dddd emptied or not mounted: its identity marker is missing, though it should hold copies";
        check("condemn r.ok*100 +100000 wake w.ok*100", told);
        check("condemn absolve", "tttt on trial: it has to answer well before it is trusted again");
        check("condemn absolve r.ok*2 l.ok*2 w.ok*2 d.ok*2", "uuuu");
        check("absolve", "uuuu");
        let mut world = World::new();
        world.play("condemn");
        assert_eq!((world.health.wakes_at(), world.health.condemned()), (None, Some(Reason::Emptied)));
    }

    #[test]
    fn a_trial_needs_two_proofs_and_falls_by_one_failure() {
        check("w.full*2 +999 wake", "uudu refuses writes only (full)");
        check("w.full*2 +1000 wake", "uutu refuses writes only (full)");
        check("w.full*2 +1000 wake w.ok", "uutu refuses writes only (full)");
        check("w.full*2 +1000 wake w.ok*2", "uuuu");
        check("w.full*2 +1000 wake w.ok w.server", "uudu refuses writes only (5xx: internal errors)");
        check("w.full*2 +1000 wake w.throttled w.ok*2", "uuuu");
        check("w.full*2 w.ok*9", "uudu refuses writes only (full)");
        check("w.full*2 w.ok wake", "uutu refuses writes only (full)");
        check("w.full*2 w.ok wake w.ok*2", "uuuu");
    }

    #[test]
    fn a_connection_wakes_the_other_classes() {
        check("r.refused*2 wake", "dddd connection refused: nothing listens at its address");
        check("r.refused*2 r.ok wake", "tttt connection refused: nothing listens at its address");
        check("r.refused*2 r.ok wake r.ok*2 l.ok*2 w.ok*2 d.ok*2", "uuuu");
    }

    /// The waits in ms of a store that fails every trial.
    fn ladder(world: &mut World, steps: usize) -> Vec<u64> {
        let mut waits = Vec::new();
        for _ in 0..steps {
            let wait = world.health.wakes_at().expect("Down always wakes").since_ms(world.now);
            world.play(&format!("+{wait} wake w.full"));
            waits.push(wait);
        }
        waits
    }

    #[test]
    fn waits_double_up_to_a_minute() {
        let mut world = World::new();
        world.play("w.full*2");
        assert_eq!(ladder(&mut world, 8), [1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000]);
        let since = world.health.since(OpClass::Write);
        assert_eq!(since, Moment(1_000_000), "failed trials do not make the outage younger");
        world.play("+60000 wake w.ok*2 w.full*2");
        assert_eq!(ladder(&mut world, 2), [1_000, 2_000], "a store that does not flap starts over");
    }

    #[test]
    fn a_flapping_store_keeps_its_waits() {
        let mut world = World::new();
        let mut waits = Vec::new();
        for _ in 0..8 {
            world.play("w.full*2");
            let wait = world.health.wakes_at().unwrap().since_ms(world.now);
            waits.push(wait);
            world.play(&format!("+{wait} wake w.ok*2 +1000"));
            assert_eq!(world.tell(), "uuuu");
        }
        assert_eq!(waits, [1_000, 1_000, 1_000, 2_000, 4_000, 8_000, 16_000, 32_000]);
        world.play("w.full*2 w.ok*10");
        assert!(world.tell().starts_with("uudu"), "a straggler does not shorten a flapping store's wait");
        let wait = world.health.wakes_at().unwrap().since_ms(world.now);
        world.play(&format!("+{wait} wake w.ok*2 +600000 w.full*2"));
        assert_eq!(world.health.wakes_at().unwrap().since_ms(world.now), 1_000, "ten steady minutes are enough");
    }

    #[test]
    fn a_clock_set_back_does_not_keep_a_store_down() {
        let mut world = World::new();
        world.play("w.full*2");
        world.now = Moment(500);
        assert_eq!(world.health.wake(world.now), [OpClass::Write]);
    }

    #[test]
    fn asked_before_it_is_woken() {
        let mut world = World::new();
        world.play("r.ok r.refused*2 +999");
        world.health.stay_down(world.now, Fault::Timeout);
        assert_eq!(world.health.wakes_at(), Some(Moment(1_001_000)), "nothing is due");
        world.play("+1");
        world.health.stay_down(world.now, Fault::Timeout);
        assert_eq!(world.health.wakes_at(), Some(Moment(1_003_000)), "twice as long");
        assert_eq!(world.tell(), "dddd accepts and does not answer");
        assert_eq!(world.health.since(OpClass::List), Moment(1_000_000));
    }

    #[test]
    fn deadlines_are_learnt() {
        let deadlines = |world: &World| OpClass::all().map(|class| world.health.deadline_ms(class));
        let mut world = World::new();
        assert_eq!(deadlines(&world), [500, 500, 1_000, 1_000]);
        assert_eq!(world.health.median_ms(), 0.0);
        world.play("w.ok30*20 r.ok5*20");
        assert_eq!(deadlines(&world), [250, 500, 250, 1_000]);
        assert_eq!((world.health.soft_ms(OpClass::Read), world.health.soft_ms(OpClass::Write)), (10, 30));
        assert_eq!(world.health.median_ms(), 5.0);
        world.play("w.ok100*128");
        assert_eq!(world.health.deadline_ms(OpClass::Write), 400);
        world.play("w.ok5000*128");
        assert_eq!(world.health.deadline_ms(OpClass::Write), 1_000);
        assert_eq!(world.health.soft_ms(OpClass::Write), 1_000);
        let late = |world: &mut World, what: &str| {
            world.play(what);
            world.health.is_late(OpClass::Read)
        };
        assert!(!late(&mut world, "r.ok9") && late(&mut world, "r.ok40") && !late(&mut world, "r.ok5"));
        assert!(late(&mut world, "r.timeout") && !late(&mut world, "r.ok5"));
        let mut slower = World::new();
        slower.play("r.ok5*128 r.timeout");
        assert_eq!(slower.health.deadline_ms(OpClass::Read), 500, "the next one is given more time");
        slower.play("r.timeout");
        assert_eq!(slower.health.deadline_ms(OpClass::Read), 800);
        slower.play("r.ok");
        assert_eq!(slower.health.deadline_ms(OpClass::Read), 250);
        slower.play("r.timeout r.ok").play("r.timeout r.ok").play("r.timeout r.ok").play("r.timeout r.ok");
        slower.play("r.timeout r.ok r.timeout r.ok");
        assert_eq!(slower.health.deadline_ms(OpClass::Read), 800, "what is late again and again is this store's way");
    }

    #[test]
    fn our_own_network() {
        let world = |script: &str| World::new().play(script).health.clone();
        let ours = |worlds: &[Health]| our_network(&worlds.iter().collect::<Vec<_>>());
        let (name, silent) = (world("r.ok r.name*2"), world("r.ok +1000 r.timeout*3"));
        assert!(ours(&[name.clone(), silent.clone()]));
        assert!(!ours(std::slice::from_ref(&name)), "of one store nobody can tell");
        assert!(!ours(&[name.clone(), silent.clone(), world("r.ok")]), "one is reached");
        assert!(!ours(&[name.clone(), world("r.ok r.refused*2")]), "who refuses was reached");
        assert!(
            !ours(&[name.clone(), world("r.name*2")]),
            "a name that never resolved is a mistake in the configuration"
        );
        assert!(!ours(&[name, world("r.ok +400000 r.timeout*3")]), "not at the same time");
    }

    /// Small, seeded, good enough to mix events.
    struct Chance(u64);

    impl Chance {
        fn below(&mut self, n: u64) -> u64 {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (self.0 >> 33) % n
        }
    }

    const FAULTS: [Fault; 22] = [
        Fault::NoKey,
        Fault::NoBucket,
        Fault::NoUpload,
        Fault::Precondition,
        Fault::Denied,
        Fault::Throttled,
        Fault::Unsupported,
        Fault::ClockSkew,
        Fault::BadRequest,
        Fault::Server,
        Fault::ConnectRefused,
        Fault::Unreachable,
        Fault::NameNotResolved,
        Fault::Certificate,
        Fault::Timeout,
        Fault::Broken,
        Fault::BadAnswer,
        Fault::Full,
        Fault::Disk,
        Fault::NotMounted,
        Fault::Body,
        Fault::Identity,
    ];

    fn random_step(chance: &mut Chance, now: &mut Moment, health: &mut Health) -> (OpClass, Observation) {
        let class = OpClass::all()[chance.below(4) as usize];
        *now = now.plus_ms(chance.below(3_000));
        let seen = match chance.below(3) {
            0 => Observation::Answered { latency_ms: chance.below(3_000) },
            _ => Observation::Fault(FAULTS[chance.below(FAULTS.len() as u64) as usize]),
        };
        if chance.below(4) == 0 {
            health.wake(*now);
        }
        let from = health.standing(class);
        let change = health.observe(*now, class, seen);
        assert_eq!(
            change.map(|c| (c.from, c.to)),
            (from != health.standing(class)).then(|| (from, health.standing(class)))
        );
        (class, seen)
    }

    #[test]
    fn whatever_happens() {
        let (mut falls, mut rises) = (0, 0);
        for seed in 0..300 {
            let mut chance = Chance(seed);
            let mut now = Moment(1_000_000);
            let mut health = Health::new(now);
            for step in 0..400 {
                let before = OpClass::all().map(|class| health.standing(class));
                let (class, seen) = random_step(&mut chance, &mut now, &mut health);
                for (was, each) in before.into_iter().zip(OpClass::all()) {
                    let is = health.standing(each);
                    let bad = matches!(says(class, seen), Says::Bad(_));
                    assert!(
                        bad || is != Standing::Down || was == Standing::Down,
                        "seed {seed} step {step}: fell by {seen:?}"
                    );
                    assert!(
                        was == Standing::Up || is != Standing::Up || each == class,
                        "seed {seed}: rose by another's answer"
                    );
                    falls += usize::from(was != Standing::Down && is == Standing::Down);
                    rises += usize::from(was != Standing::Up && is == Standing::Up);
                    assert!((DEADLINE_MS_MIN..=DEADLINE_MS_MAX).contains(&health.deadline_ms(each)));
                    assert!(health.soft_ms(each) <= health.deadline_ms(each));
                    assert!(health.class(each).falls.len() <= FLAPS_MAX + 1);
                }
                let any_down = health.worst() == Standing::Down;
                assert_eq!(health.wakes_at().is_some(), any_down, "seed {seed} step {step}");
                assert!(health.wakes_at().is_none_or(|at| at.since_ms(now) <= WAIT_MS_MAX));
                assert!(health.worst() == Standing::Up || health.reason().is_some());
            }
            recovers(&mut health, &mut now, seed);
        }
        assert!(falls > 1_000 && rises > 1_000, "{falls} falls and {rises} rises exercise little");
    }

    /// With a canary whenever a class is not Down, a store that answers is Up within its longest wait and two rounds.
    fn recovers(health: &mut Health, now: &mut Moment, seed: u64) {
        let until = now.plus_ms(WAIT_MS_MAX + 10_000);
        while health.worst() != Standing::Up {
            assert!(*now <= until, "seed {seed} does not recover: {:?}", health.reason());
            *now = now.plus_ms(1_000);
            health.wake(*now);
            for class in OpClass::all() {
                if health.standing(class) != Standing::Down {
                    health.observe(*now, class, Observation::Answered { latency_ms: 20 });
                }
            }
        }
    }

    #[test]
    fn only_good_answers_are_always_up() {
        let mut chance = Chance(7);
        let mut now = Moment(0);
        let mut health = Health::new(now);
        for _ in 0..10_000 {
            now = now.plus_ms(chance.below(100_000));
            let class = OpClass::all()[chance.below(4) as usize];
            let change = health.observe(now, class, Observation::Answered { latency_ms: chance.below(20_000) });
            assert_eq!((change, health.worst(), health.wakes_at()), (None, Standing::Up, None));
        }
    }
}
