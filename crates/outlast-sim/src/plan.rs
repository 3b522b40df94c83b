//! What happens in one run, decided before it begins: plain data that a shrinker can take pieces from.

use crate::chance::Chance;
use crate::content::Content;
use outlast_rules::Mutant;
use outlast_store::{Apply, Class, Setting, Trouble};
use std::fmt;
use std::time::Duration;

/// How long after it was sent a call may still apply: in every simulated world the stores keep this promise.
pub const SETTLE: Duration = Duration::from_secs(60);
/// A pause after which, without any trouble, nothing may fail any more: marks have ended, standings are up again.
pub const CALM_AFTER: Duration = Duration::from_secs(200);
/// A call that is not answered by then is given up, as the client of a real store does.
pub const CALL_LIVES: Duration = Duration::from_secs(8);

/// What a store of the world is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    A,
    B,
    /// Fences that are unique per call.
    Unique,
    Disk,
    /// No fences, and it says so.
    Refuser,
    /// No fences, and it pretends.
    Liar,
}

#[derive(Debug, Clone)]
pub struct Plan {
    pub seed: u64,
    pub kinds: Vec<Kind>,
    pub min_copies: usize,
    pub spool_counts: bool,
    /// The rule that is taken away in this run.
    pub broken: Option<Mutant>,
    pub steps: Vec<Step>,
}

#[derive(Debug, Clone)]
pub struct Step {
    /// Since the run began.
    pub at: Duration,
    pub act: Act,
}

#[derive(Debug, Clone)]
pub enum Act {
    Client {
        id: u32,
        op: Op,
    },
    Fault {
        store: usize,
        lasts: Duration,
        setting: Setting,
    },
    /// The store stops as under SIGSTOP. What is sent to it meanwhile applies so long after it goes on.
    Stop {
        store: usize,
        lasts: Duration,
        late: Duration,
    },
    /// Every connection to it breaks.
    BreakOff {
        store: usize,
    },
    /// The process dies now; the ledger's disk keeps so much of what was not synced.
    Crash {
        keeps: Keeps,
    },
    /// The process dies in the middle of the n-th next thing that the ledger does to its disk.
    CrashInLedger {
        events: usize,
        keeps: Keeps,
    },
    /// The store loses one key by itself.
    Lose {
        store: usize,
        key: usize,
    },
    /// The bytes of one copy rot.
    Rot {
        store: usize,
        key: usize,
    },
    /// Every copy loses its stamp.
    Strip {
        store: usize,
    },
    /// Somebody else puts something under one of our keys.
    Foreign {
        store: usize,
        key: usize,
    },
    /// Somebody else copies one of our copies, with its stamp, over another key.
    ForeignCopy {
        store: usize,
        from: usize,
        key: usize,
    },
}

/// How much of what was not synced survives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keeps {
    Nothing,
    Everything,
    Some(u64),
}

/// What a client does. Keys, buckets and uploads are numbers of the world's.
#[derive(Debug, Clone)]
pub enum Op {
    Put {
        key: usize,
        content: Content,
        only: Only,
    },
    Copy {
        from: usize,
        key: usize,
    },
    Delete {
        key: usize,
    },
    DeleteMany {
        keys: Vec<usize>,
    },
    Get {
        key: usize,
        range: Option<(u64, u64)>,
    },
    List {
        bucket: usize,
    },
    Create {
        upload: usize,
        key: usize,
    },
    Part {
        upload: usize,
        number: u32,
        content: Content,
    },
    /// Lists this part number alone: S3 wants 5 MiB of every part but the last.
    Complete {
        upload: usize,
        number: u32,
    },
    Abort {
        upload: usize,
    },
    MakeBucket {
        bucket: usize,
    },
    RemoveBucket {
        bucket: usize,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Only {
    Always,
    /// If-None-Match: *
    New,
    /// If-Match: *
    Existing,
}

/// Keys of the first bucket, which always stands, and of the second, which comes and goes.
pub const KEYS: [(usize, &str); 6] = [(0, "a"), (0, "b"), (0, "c/d"), (0, "c/e"), (1, "x"), (1, "y")];
pub const BUCKETS: [&str; 2] = ["photos", "fleeting"];
const UPLOADS: usize = 4;

impl Plan {
    pub fn of(seed: u64) -> Plan {
        let mut chance = Chance::new(seed, 1);
        let worlds: [&[Kind]; 12] = [
            &[Kind::B, Kind::B, Kind::B],
            &[Kind::A, Kind::B, Kind::B],
            &[Kind::A, Kind::A, Kind::A],
            &[Kind::B, Kind::B],
            &[Kind::A, Kind::Unique, Kind::Disk],
            &[Kind::Disk, Kind::Disk, Kind::Disk],
            &[Kind::B, Kind::Unique, Kind::Refuser],
            &[Kind::A, Kind::B, Kind::Liar],
            &[Kind::Unique, Kind::B, Kind::B],
            &[Kind::A, Kind::B, Kind::B, Kind::Disk],
            &[Kind::Refuser, Kind::Refuser, Kind::B],
            &[Kind::A, Kind::B],
        ];
        let leaning = match chance.weighed(&[3, 4, 2, 2, 2]) {
            0 => Leaning::Everything,
            1 => Leaning::OneKey,
            2 => Leaning::Uploads,
            3 => Leaning::Buckets,
            _ => Leaning::Damage,
        };
        // Where one key is written over and over, stores that fences protect least.
        let weak = [0, 1, 3, 6, 10];
        let world = if leaning == Leaning::OneKey { *chance.pick(&weak) } else { chance.below(worlds.len()) };
        let kinds = worlds[world].to_vec();
        let fit = kinds.iter().filter(|kind| **kind != Kind::Liar).count();
        let min_copies = if fit > 2 && chance.one_in(8) { 3 } else { 2 };
        let spool_counts = !chance.one_in(3);
        let mut drawing = Drawing { kinds: &kinds, leaning, chance, steps: vec![], at: Duration::ZERO, writes: 0 };
        drawing.draw();
        let mut steps = drawing.steps;
        steps.sort_by_key(|step| step.at);
        Plan { seed, kinds, min_copies, spool_counts, broken: None, steps }
    }
}

/// What a run looks at most: troubles that meet each other only where much of one thing happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Leaning {
    Everything,
    /// Two contents under one key, over and over, and calls that come late.
    OneKey,
    Uploads,
    /// The second bucket comes and goes, and calls for it are late too.
    Buckets,
    /// Copies are lost, rot, and lose their stamps.
    Damage,
}

impl Leaning {
    /// PUT, copy, DELETE, many DELETEs, GET, LIST, create, part, complete, abort, make and remove a bucket.
    fn ops(self) -> [u32; 12] {
        match self {
            Leaning::Everything => [30, 3, 12, 3, 25, 5, 4, 7, 5, 1, 2, 2],
            Leaning::OneKey => [40, 0, 20, 0, 20, 0, 2, 3, 3, 0, 0, 0],
            Leaning::Uploads => [12, 1, 4, 0, 10, 1, 6, 30, 18, 2, 0, 0],
            Leaning::Buckets => [24, 0, 12, 4, 8, 3, 3, 3, 3, 1, 12, 14],
            Leaning::Damage => [20, 4, 6, 1, 45, 4, 2, 4, 2, 0, 0, 0],
        }
    }

    /// Pauses between two requests, from none to a minute.
    fn gaps(self) -> [u32; 5] {
        match self {
            Leaning::OneKey => [30, 20, 25, 24, 1],
            _ => [50, 30, 15, 4, 1],
        }
    }

    /// Own bytes, shared ones, many, none.
    fn contents(self) -> [u32; 4] {
        match self {
            Leaning::OneKey => [2, 7, 1, 0],
            _ => [6, 2, 1, 1],
        }
    }
}

struct Drawing<'a> {
    kinds: &'a [Kind],
    leaning: Leaning,
    chance: Chance,
    steps: Vec<Step>,
    at: Duration,
    writes: u32,
}

impl Drawing<'_> {
    fn draw(&mut self) {
        let ops = self.chance.within(120..=260);
        // Some runs look at one key from all sides, others at all of them.
        let keys = match self.leaning {
            Leaning::OneKey => 1,
            Leaning::Uploads => 2,
            Leaning::Buckets => KEYS.len(),
            _ => *self.chance.pick(&[1, 2, KEYS.len()]),
        };
        let wild = self.chance.within(4..=30);
        // Damage done by hand hits one store only, so that nothing acknowledged may be lost.
        let victim = self.chance.below(self.kinds.len());
        let damages = self.leaning == Leaning::Damage || self.chance.one_in(3);
        // From here on everything is well, for so long that nothing may fail any more.
        let calm_from = if self.chance.one_in(3) { ops * 3 / 4 } else { ops };
        for n in 0..ops {
            let gap = match self.chance.weighed(&self.leaning.gaps()) {
                0 => self.chance.within(0..=20),
                1 => self.chance.within(20..=300),
                2 => self.chance.within(300..=3_000),
                3 => self.chance.within(3_000..=30_000),
                _ => self.chance.within(30_000..=90_000),
            };
            self.at += Duration::from_millis(gap);
            if n == calm_from {
                // The longest trouble, what may still land after it, and then the pause.
                self.at += CALM_AFTER + Duration::from_secs(100) + SETTLE;
            }
            let op = self.op(keys);
            self.writes += 1;
            self.push(Act::Client { id: self.writes, op });
            if n <= 3 || n >= calm_from {
                continue;
            }
            match self.leaning {
                Leaning::OneKey if self.chance.one_in(20) => self.ambush(),
                Leaning::Uploads if self.chance.one_in(40) => self.unheard(),
                _ => {}
            }
            if self.chance.one_in(wild) {
                let fault = self.fault();
                self.push(fault);
            }
            if self.chance.one_in(60) {
                let crash = self.crash();
                self.push(crash);
            }
            if damages && self.chance.one_in(if self.leaning == Leaning::Damage { 12 } else { 40 }) {
                let damage = self.damage(victim, keys);
                self.push(damage);
            }
        }
    }

    fn push(&mut self, act: Act) {
        self.steps.push(Step { at: self.at, act });
    }

    /// A Complete that no store hears of, and nobody knows.
    fn unheard(&mut self) {
        for store in (0..self.kinds.len()).filter(|store| self.kinds[*store] != Kind::Disk) {
            let setting = Setting::on(&[Class::Commit], Trouble::Hang(Apply::Never));
            self.push(Act::Fault { store, lasts: Duration::from_millis(900), setting });
        }
        self.writes += 1;
        let (upload, number) = (self.chance.below(UPLOADS), self.chance.within(1..=2) as u32);
        self.push(Act::Client { id: self.writes, op: Op::Complete { upload, number } });
    }

    /// One store alone takes a write and then falls silent, while the others come back.
    fn ambush(&mut self) {
        let alone = self.chance.below(self.kinds.len());
        if self.kinds[alone] == Kind::Disk {
            return;
        }
        for store in (0..self.kinds.len()).filter(|store| *store != alone) {
            let setting = Setting::on(&[Class::Commit], Trouble::Refuse);
            self.push(Act::Fault { store, lasts: Duration::from_millis(900), setting });
        }
        self.writes += 1;
        let op = Op::Put { key: 0, content: self.content(), only: Only::Always };
        self.push(Act::Client { id: self.writes, op });
        self.at += Duration::from_millis(self.chance.within(100..=800));
        let lasts = Duration::from_millis(self.chance.within(5_000..=60_000));
        self.push(Act::Stop { store: alone, lasts, late: Duration::ZERO });
    }

    fn content(&mut self) -> Content {
        match self.chance.weighed(&self.leaning.contents()) {
            0 => Content::Own { write: self.writes + 1, len: self.chance.within(1..=200) as usize },
            1 => Content::Shared(self.chance.below(2) as u8),
            2 => Content::Own { write: self.writes + 1, len: 70_000 },
            _ => Content::Own { write: self.writes + 1, len: 0 },
        }
    }

    fn op(&mut self, keys: usize) -> Op {
        // Those of the second bucket are the last.
        let first = if self.leaning == Leaning::Buckets && !self.chance.one_in(5) { 4 } else { 0 };
        let key = first + self.chance.below(keys - first);
        let upload = self.chance.below(UPLOADS);
        let number = self.chance.within(1..=2) as u32;
        let bucket = self.chance.below(BUCKETS.len());
        match self.chance.weighed(&self.leaning.ops()) {
            0 => {
                let only = match self.chance.weighed(&[8, 1, 1]) {
                    0 => Only::Always,
                    1 => Only::New,
                    _ => Only::Existing,
                };
                Op::Put { key, content: self.content(), only }
            }
            1 => Op::Copy { from: self.chance.below(keys), key },
            2 => Op::Delete { key },
            3 => Op::DeleteMany { keys: (0..keys).filter(|_| self.chance.one_in(2)).collect() },
            4 => {
                let range =
                    self.chance.one_in(4).then(|| (self.chance.within(0..=50), self.chance.within(50..=70_000)));
                Op::Get { key, range }
            }
            5 => Op::List { bucket },
            6 => Op::Create { upload, key },
            7 => Op::Part { upload, number, content: self.content() },
            8 => Op::Complete { upload, number },
            9 => Op::Abort { upload },
            10 => Op::MakeBucket { bucket: 1 },
            _ => Op::RemoveBucket { bucket: 1 },
        }
    }

    fn classes(&mut self) -> Vec<Class> {
        match self.leaning {
            Leaning::OneKey if !self.chance.one_in(3) => return vec![Class::Commit, Class::Delete],
            Leaning::Uploads if self.chance.one_in(2) => return vec![Class::Commit, Class::Upload],
            Leaning::Buckets if self.chance.one_in(2) => return vec![Class::Bucket],
            _ => {}
        }
        match self.chance.weighed(&[3, 4, 1, 1, 1]) {
            0 => Class::ALL.to_vec(),
            1 => vec![Class::Commit],
            2 => vec![Class::Delete],
            3 => vec![Class::Get, Class::Head],
            _ => vec![Class::Commit, Class::Delete, Class::Upload],
        }
    }

    fn trouble(&mut self) -> Trouble {
        let late = || Duration::from_millis(1);
        let hangs = if self.leaning == Leaning::Damage { 2 } else { 8 };
        match self.chance.weighed(&[3, 2, 2, hangs, 3, 2, 2, 2, 2, 1, 1, 1]) {
            0 => Trouble::Refuse,
            1 => Trouble::Hang(Apply::Never),
            2 => Trouble::Hang(Apply::AtOnce),
            3 => {
                let most = (SETTLE - Duration::from_secs(2)).as_millis() as u64;
                Trouble::Hang(Apply::After(late() + Duration::from_millis(self.chance.within(0..=most))))
            }
            4 => {
                let (before, after) = (self.chance.within(0..=3_000), self.chance.within(0..=3_000));
                let (before, after) = (Duration::from_millis(before), Duration::from_millis(after));
                Trouble::Slow { before, after, bytes_per_second: None }
            }
            5 => self.chance.pick(&[Trouble::DENIED, Trouble::SLOW_DOWN, Trouble::FULL, Trouble::SKEWED]).clone(),
            6 => Trouble::FailAfterApplying,
            7 if self.chance.one_in(2) => {
                Trouble::LateServerError { status: 504, late: Duration::from_millis(self.chance.within(0..=50_000)) }
            }
            7 => Trouble::ServerError { status: 500, applies: self.chance.one_in(2) },
            8 => Trouble::BadAnswer { applies: self.chance.one_in(2) },
            9 => Trouble::CutBodies { after: self.chance.within(0..=100) },
            10 => Trouble::EndBodies { after: self.chance.within(0..=100) },
            _ => Trouble::WrongBytes,
        }
    }

    /// On a disk no call outlives its process, and none is given up: it refuses, is slow, or says no.
    fn disk_trouble(&mut self) -> Trouble {
        match self.chance.weighed(&[2, 2, 1]) {
            0 => Trouble::Refuse,
            1 => Trouble::Slow {
                before: Duration::from_millis(self.chance.within(0..=3_000)),
                after: Duration::from_millis(self.chance.within(0..=3_000)),
                bytes_per_second: None,
            },
            _ => Trouble::FULL,
        }
    }

    fn fault(&mut self) -> Act {
        let store = self.chance.below(self.kinds.len());
        let is_disk = self.kinds[store] == Kind::Disk;
        if !is_disk && self.chance.one_in(if self.leaning == Leaning::OneKey { 4 } else { 10 }) {
            let lasts = Duration::from_millis(self.chance.within(1_000..=100_000));
            let late = if self.chance.one_in(2) { 0 } else { self.chance.within(0..=40_000) };
            return Act::Stop { store, lasts, late: Duration::from_millis(late) };
        }
        if !is_disk && self.chance.one_in(12) {
            return Act::BreakOff { store };
        }
        let trouble = if is_disk { self.disk_trouble() } else { self.trouble() };
        let mut setting = Setting::on(&self.classes(), trouble);
        let lasts = if self.chance.one_in(2) {
            // One call, or a few.
            setting = setting.times(self.chance.within(1..=3) as u32);
            30_000
        } else {
            setting = setting.odds(*self.chance.pick(&[1000, 500, 200]), self.chance.seed());
            self.chance.within(500..=40_000)
        };
        if self.chance.one_in(6) {
            setting = setting.share(500, self.chance.seed());
        }
        if self.chance.one_in(10) {
            setting = setting.flap(Duration::from_secs(3), Duration::from_secs(2));
        }
        Act::Fault { store, lasts: Duration::from_millis(lasts), setting }
    }

    fn crash(&mut self) -> Act {
        let keeps = match self.chance.weighed(&[1, 1, 2]) {
            0 => Keeps::Nothing,
            1 => Keeps::Everything,
            _ => Keeps::Some(self.chance.seed()),
        };
        if self.chance.one_in(2) {
            Act::Crash { keeps }
        } else {
            Act::CrashInLedger { events: self.chance.within(0..=60) as usize, keeps }
        }
    }

    fn damage(&mut self, store: usize, keys: usize) -> Act {
        let key = self.chance.below(keys);
        match self.chance.weighed(&[4, 3, 3, 3, 3]) {
            0 => Act::Lose { store, key },
            1 => Act::Rot { store, key },
            2 => Act::Strip { store },
            3 => Act::Foreign { store, key },
            _ => Act::ForeignCopy { store, from: self.chance.below(keys), key },
        }
    }
}

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = |key: &usize| format!("{}/{}", BUCKETS[KEYS[*key].0], KEYS[*key].1);
        match self {
            Op::Put { key: k, content, only } => {
                write!(f, "PUT {} {content:?}", key(k))?;
                if *only != Only::Always { write!(f, " only if {only:?}") } else { Ok(()) }
            }
            Op::Copy { from, key: k } => write!(f, "COPY {} to {}", key(from), key(k)),
            Op::Delete { key: k } => write!(f, "DELETE {}", key(k)),
            Op::DeleteMany { keys } => write!(f, "DELETE {}", keys.iter().map(key).collect::<Vec<_>>().join(" ")),
            Op::Get { key: k, range: None } => write!(f, "GET {}", key(k)),
            Op::Get { key: k, range: Some((a, b)) } => write!(f, "GET {} bytes {a}-{b}", key(k)),
            Op::List { bucket } => write!(f, "LIST {}", BUCKETS[*bucket]),
            Op::Create { upload, key: k } => write!(f, "CREATE upload {upload} of {}", key(k)),
            Op::Part { upload, number, content } => write!(f, "PART {number} of upload {upload} {content:?}"),
            Op::Complete { upload, number } => write!(f, "COMPLETE upload {upload} of part {number}"),
            Op::Abort { upload } => write!(f, "ABORT upload {upload}"),
            Op::MakeBucket { bucket } => write!(f, "CREATE BUCKET {}", BUCKETS[*bucket]),
            Op::RemoveBucket { bucket } => write!(f, "DELETE BUCKET {}", BUCKETS[*bucket]),
        }
    }
}

impl fmt::Display for Act {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = |lasts: &Duration| lasts.as_millis();
        let name = |key: &usize| KEYS[*key].1;
        match self {
            Act::Client { id, op } => write!(f, "#{id} {op}"),
            Act::Fault { store, lasts, setting } => {
                write!(f, "s{store} for {} ms: {:?} on {:?}", ms(lasts), setting.trouble, setting.classes)?;
                if let Some(times) = setting.times {
                    write!(f, ", {times} calls")?;
                }
                if setting.odds.per_mille < 1000 {
                    write!(f, ", {} of 1000 calls", setting.odds.per_mille)?;
                }
                if setting.share.per_mille < 1000 {
                    write!(f, ", {} of 1000 keys", setting.share.per_mille)?;
                }
                Ok(())
            }
            Act::Stop { store, lasts, late } => {
                write!(
                    f,
                    "s{store} stands still for {} ms, and applies what it was sent {} ms later",
                    ms(lasts),
                    ms(late)
                )
            }
            Act::BreakOff { store } => write!(f, "s{store}: every connection breaks"),
            Act::Crash { keeps } => write!(f, "the process dies; of what was not synced the disk keeps {keeps:?}"),
            Act::CrashInLedger { events, keeps } => {
                write!(
                    f,
                    "the process dies {events} disk events from now; of what was not synced the disk keeps {keeps:?}"
                )
            }
            Act::Lose { store, key } => write!(f, "s{store} loses {} by itself", name(key)),
            Act::Rot { store, key } => write!(f, "s{store}: the bytes of {} rot", name(key)),
            Act::Strip { store } => write!(f, "s{store} loses every stamp"),
            Act::Foreign { store, key } => write!(f, "s{store}: somebody else writes {}", name(key)),
            Act::ForeignCopy { store, from, key } => {
                write!(f, "s{store}: somebody else copies {} over {}", name(from), name(key))
            }
        }
    }
}
