//! A plan is drawn from its seed: what a run looks at most, then step by step.

use crate::chance::Chance;
use crate::content::Content;
use crate::plan::{Act, BUCKETS, CALM_AFTER, KEYS, Keeps, Kind, Only, Op, Plan, SETTLE, Step, UPLOADS};
use crate::weather::widen;
use outlast_store::{Apply, Class, Setting, Trouble};
use std::time::Duration;

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
        let mut plan = Plan { seed, kinds, min_copies, spool_counts, broken: None, steps };
        widen(&mut plan);
        plan
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
