//! What the clients of one run were told, and what may therefore be seen.

use crate::content::Content;
use crate::oracle::{Register, Tick, Told};
use crate::plan::{BUCKETS, KEYS};
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::hash::{DefaultHasher, Hasher};
use std::sync::{Arc, Mutex, MutexGuard};
use tokio::time::Instant;

/// A client's upload.
#[derive(Debug, Clone)]
pub struct OpenUpload {
    pub id: String,
    pub key: usize,
    /// The request that created it: its object carries this number.
    pub made_by: u32,
    pub parts: BTreeMap<u32, (String, Content)>,
    /// Parts sent anew of which nobody was told that they stand: the bytes before them may be gone.
    pub unsure: BTreeSet<u32>,
    /// A Complete of it found too few stores. Those that took it have used up their native upload, and where the write was then rolled
    /// back or written over, its bytes lie only in the uploads of the others: readable by nobody before one of these is completed.
    /// Where no spool keeps them, the next Complete may be refused once more while that is done behind it (protocol.md 2.7b).
    pub was_tried: bool,
}

/// How much of a run is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Detail {
    /// What clients asked and heard, and what befell the world.
    Clients,
    /// Every call to a store as well.
    Calls,
}

/// Shared by all clients of a run.
#[derive(Clone)]
pub struct Books(Arc<Mutex<Pages>>);

pub struct Pages {
    began: Instant,
    detail: Detail,
    pub trace: Vec<String>,
    /// Of everything that happened, each call to a store included: two runs of one plan must not differ in it.
    print: DefaultHasher,
    pub failure: Option<String>,
    /// As told last, by key.
    portraits: BTreeMap<usize, Vec<String>>,
    tick: Tick,
    pub keys: Vec<Register>,
    pub buckets: Vec<Register>,
    /// By the number that an object carries: what its bytes may be.
    contents: BTreeMap<u32, Vec<Content>>,
    /// By the number that an object carries: the requests that may have made it.
    makers: BTreeMap<u32, Vec<u32>>,
    pub uploads: BTreeMap<usize, OpenUpload>,
    /// The spool keeps what stores lack.
    pub spools: bool,
    /// Client requests that are on their way.
    pub on_their_way: BTreeSet<u32>,
}

impl Books {
    pub fn open(detail: Detail) -> Books {
        Books(Arc::new(Mutex::new(Pages {
            began: Instant::now(),
            detail,
            trace: vec![],
            print: DefaultHasher::new(),
            failure: None,
            portraits: BTreeMap::new(),
            tick: 0,
            spools: true,
            keys: vec![Register::default(); KEYS.len()],
            buckets: vec![Register::default(); BUCKETS.len()],
            contents: BTreeMap::new(),
            makers: BTreeMap::new(),
            uploads: BTreeMap::new(),
            on_their_way: BTreeSet::new(),
        })))
    }

    pub fn pages(&self) -> MutexGuard<'_, Pages> {
        self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    pub fn tell(&self, words: impl AsRef<str>) {
        self.pages().tell(words.as_ref());
    }

    /// The first promise that was broken is the one that is told.
    pub fn fail(&self, words: impl AsRef<str>) {
        self.pages().fail(words.as_ref());
    }

    pub fn has_failed(&self) -> bool {
        self.pages().failure.is_some()
    }
}

impl Pages {
    pub fn tell(&mut self, words: &str) {
        let ms = self.began.elapsed().as_millis();
        let mut line = String::new();
        write!(line, "{:>9.3} s  {words}", ms as f64 / 1000.0).expect("a string takes everything");
        self.print.write(line.as_bytes());
        self.trace.push(line);
    }

    /// A call to a store: always part of the run's print, and told to who wants to know everything.
    pub fn note(&mut self, words: &str) {
        if self.detail == Detail::Calls {
            self.tell(&format!("      {words}"));
        } else {
            self.print.write(words.as_bytes());
            self.print.write_u128(self.began.elapsed().as_micros());
        }
    }

    pub fn detail(&self) -> Detail {
        self.detail
    }

    /// A portrait of one key: told if it changed.
    pub fn draw(&mut self, key: usize, lines: Vec<String>) {
        if self.portraits.get(&key) != Some(&lines) {
            for line in &lines {
                self.tell(&format!("    {line}"));
            }
            self.portraits.insert(key, lines);
        }
    }

    /// Equal for equal runs that were told in equal detail.
    pub fn print(&self) -> u64 {
        self.print.finish()
    }

    pub fn fail(&mut self, words: &str) {
        if self.failure.is_none() {
            self.tell(&format!("BROKEN: {words}"));
            self.failure = Some(words.to_owned());
        }
    }

    pub fn tick(&mut self) -> Tick {
        self.tick += 1;
        self.tick
    }

    pub fn may_hold(&mut self, carried: u32, content: Content) {
        let contents = self.contents.entry(carried).or_default();
        if !contents.contains(&content) {
            contents.push(content);
        }
    }

    pub fn contents(&self, carried: u32) -> &[Content] {
        self.contents.get(&carried).map_or(&[], Vec::as_slice)
    }

    /// Are these the bytes of an object that carries this number, from `start` on?
    pub fn is_piece_of(&self, carried: u32, start: usize, piece: &Bytes) -> bool {
        let holds = |content: &Content| content.bytes().get(start..start + piece.len()) == Some(piece);
        self.contents(carried).iter().any(holds)
    }

    pub fn is_whole(&self, carried: u32, bytes: &Bytes) -> bool {
        self.contents(carried).iter().any(|content| content.bytes() == bytes)
    }

    /// Every content that the key may have had until now.
    pub fn all_contents_of(&self, key: usize) -> Vec<Content> {
        let ids = self.keys[key].everybody();
        let carried = self.makers.iter().filter(|(_, makers)| makers.iter().any(|maker| ids.contains(maker)));
        carried.flat_map(|(carried, _)| self.contents(*carried).to_vec()).collect()
    }

    /// A write begins. `carried`: the number that its object will carry.
    pub fn begin(&mut self, key: usize, id: u32, carried: Option<u32>) {
        let now = self.tick();
        self.keys[key].begin(id, carried.is_some(), now);
        if let Some(carried) = carried {
            self.makers.entry(carried).or_default().push(id);
        }
    }

    pub fn end(&mut self, key: usize, id: u32, told: Told) {
        let now = self.tick();
        self.keys[key].end(id, told, now);
    }

    pub fn makers(&self, carried: u32) -> Vec<u32> {
        self.makers.get(&carried).cloned().unwrap_or_default()
    }

    /// Is an object that carries this number certainly made?
    pub fn is_made(&self, key: usize, carried: u32) -> bool {
        self.makers(carried).into_iter().any(|maker| self.keys[key].is_done(maker))
    }

    /// The bucket of this key was removed, by a request that began at `from` and was answered now. Whatever was acknowledged
    /// before the answer would have kept it, so there must be nothing; and no write that ended before the request comes back.
    pub fn bucket_went(&mut self, key: usize, id: u32, from: Tick) -> Result<(), String> {
        let now = self.tick();
        self.saw_nothing(key, now)?;
        self.keys[key].begin(id, false, from);
        self.end(key, id, Told::Done);
        Ok(())
    }

    /// Somebody saw an object that carries this number under this key, between `from` and now.
    pub fn saw(&mut self, key: usize, carried: u32, from: Tick) -> Result<(), String> {
        let to = self.tick();
        let (mut may, mut why) = (vec![], format!("nobody wrote #{carried}"));
        for maker in self.makers(carried) {
            match self.keys[key].clone().saw(maker, from, to) {
                Ok(()) => may.push(maker),
                Err(words) => why = words,
            }
        }
        match may[..] {
            [] => Err(format!("{} shows #{carried}: {why}", KEYS[key].1)),
            [only] => self.keys[key].saw(only, from, to),
            _ => Ok(()),
        }
    }

    pub fn saw_nothing(&mut self, key: usize, from: Tick) -> Result<(), String> {
        let to = self.tick();
        self.keys[key].saw_nothing(from, to).map_err(|why| format!("{} shows nothing, but {why}", KEYS[key].1))
    }

    pub fn died(&mut self) {
        let now = self.tick();
        self.on_their_way.clear();
        self.keys.iter_mut().chain(&mut self.buckets).for_each(|register| register.died(now));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A key of the bucket that comes and goes.
    const KEY: usize = 4;

    #[test]
    fn with_a_bucket_goes_what_was_written_before() {
        let books = Books::open(Detail::Clients);
        let mut pages = books.pages();
        pages.begin(KEY, 1, Some(1));
        pages.end(KEY, 1, Told::Unknown);
        let from = pages.tick();
        pages.bucket_went(KEY, 2, from).expect("what nobody was promised holds no bucket");
        let now = pages.tick();
        assert!(pages.saw(KEY, 1, now).is_err(), "it went with its bucket");
        assert!(pages.saw_nothing(KEY, now).is_ok());
        let from = pages.tick();
        pages.begin(KEY, 3, Some(3));
        pages.end(KEY, 3, Told::Done);
        assert!(pages.bucket_went(KEY, 4, from).is_err(), "it was acknowledged before the bucket was said to be gone");
    }

    #[test]
    fn an_object_is_made_once_it_was_promised_or_seen() {
        let books = Books::open(Detail::Clients);
        let mut pages = books.pages();
        pages.begin(KEY, 2, Some(1));
        pages.end(KEY, 2, Told::Unknown);
        assert!(!pages.is_made(KEY, 1));
        let now = pages.tick();
        pages.saw(KEY, 1, now).expect("it may be there");
        assert!(pages.is_made(KEY, 1));
    }
}
