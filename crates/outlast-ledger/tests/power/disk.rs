//! A disk in memory that forgets what was not synced. It keeps a log of all that was done to it, so that every moment at
//! which the power could fail can be looked at afterwards.

use std::collections::BTreeMap;

/// File names and contents.
pub type Image = BTreeMap<String, Vec<u8>>;

/// Disks tear a write at sectors, not within them.
const SECTOR: usize = 512;

#[derive(Debug, Clone)]
pub enum Event {
    Create {
        name: String,
    },
    Write {
        name: String,
        at: usize,
        bytes: Vec<u8>,
    },
    Truncate {
        name: String,
        len: usize,
    },
    Delete {
        name: String,
        durable: bool,
    },
    Sync {
        name: String,
    },
    /// The system forgets the pages that it could not write; its cache still shows them.
    SyncFailed {
        name: String,
    },
    /// Something that the test promised to somebody at this moment.
    Said(u64),
}

/// The one call that goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// The n-th sync, counted from 1.
    Sync(usize),
    /// The n-th write.
    Write(usize),
    /// The n-th write: no room.
    Full(usize),
}

/// The process dies after so many more events: `blow` is called once, within that very call.
pub struct Fuse {
    pub events: usize,
    pub blow: Option<Box<dyn FnOnce() + Send>>,
}

#[derive(Debug, PartialEq, Eq)]
pub enum DiskError {
    Io,
    Full,
}

#[derive(Default)]
pub struct Disk {
    /// What programs see.
    files: Image,
    pub log: Vec<Event>,
    pub trouble: Option<Trouble>,
    /// Counts what is logged from when the log was last taken.
    pub fuse: Option<Fuse>,
    pub syncs: usize,
    pub writes: usize,
}

impl Disk {
    pub fn holding(image: Image) -> Disk {
        Disk { files: image, ..Disk::default() }
    }

    pub fn troubled(trouble: Trouble) -> Disk {
        Disk { trouble: Some(trouble), ..Disk::default() }
    }

    fn note(&mut self, event: Event) {
        self.log.push(event);
        if let Some(fuse) = self.fuse.as_mut().filter(|fuse| self.log.len() >= fuse.events)
            && let Some(blow) = fuse.blow.take()
        {
            blow();
        }
    }

    pub fn exists(&self, name: &str) -> bool {
        self.files.contains_key(name)
    }

    pub fn create(&mut self, name: &str) {
        if !self.exists(name) {
            self.files.insert(name.to_owned(), Vec::new());
            self.note(Event::Create { name: name.to_owned() });
        }
    }

    pub fn content(&self, name: &str) -> &[u8] {
        self.files.get(name).map_or(&[], Vec::as_slice)
    }

    pub fn write(&mut self, name: &str, at: usize, bytes: &[u8]) -> Result<(), DiskError> {
        self.writes += 1;
        match self.trouble {
            Some(Trouble::Write(n)) if n == self.writes => return Err(DiskError::Io),
            Some(Trouble::Full(n)) if n == self.writes => return Err(DiskError::Full),
            _ => {}
        }
        let event = Event::Write { name: name.to_owned(), at, bytes: bytes.to_vec() };
        happen(&mut self.files, &event);
        self.note(event);
        Ok(())
    }

    pub fn truncate(&mut self, name: &str, len: usize) {
        let event = Event::Truncate { name: name.to_owned(), len };
        happen(&mut self.files, &event);
        self.note(event);
    }

    pub fn delete(&mut self, name: &str, durable: bool) {
        let event = Event::Delete { name: name.to_owned(), durable };
        happen(&mut self.files, &event);
        self.note(event);
    }

    pub fn sync(&mut self, name: &str) -> Result<(), DiskError> {
        self.syncs += 1;
        let name = name.to_owned();
        if self.trouble == Some(Trouble::Sync(self.syncs)) {
            self.note(Event::SyncFailed { name });
            return Err(DiskError::Io);
        }
        self.note(Event::Sync { name });
        Ok(())
    }
}

fn happen(files: &mut Image, event: &Event) {
    match event {
        Event::Create { name } => {
            files.entry(name.clone()).or_default();
        }
        Event::Write { name, at, bytes } => {
            let file = files.entry(name.clone()).or_default();
            file.resize(file.len().max(at + bytes.len()), 0);
            file[*at..at + bytes.len()].copy_from_slice(bytes);
        }
        Event::Truncate { name, len } => {
            if let Some(file) = files.get_mut(name) {
                file.truncate(*len);
            }
        }
        Event::Delete { name, .. } => {
            files.remove(name);
        }
        Event::Sync { .. } | Event::SyncFailed { .. } | Event::Said(_) => {}
    }
}

/// What has reached the platter, and what may or may not have, as a log is replayed.
#[derive(Default)]
pub struct Platter {
    durable: Image,
    pending: Vec<Event>,
}

impl Platter {
    pub fn holding(image: Image) -> Platter {
        Platter { durable: image, pending: Vec::new() }
    }

    pub fn replay(&mut self, event: &Event) {
        match event {
            Event::Sync { name } => self.settle(name, true),
            Event::SyncFailed { name } => self.settle(name, false),
            Event::Delete { durable: true, name } => {
                self.settle(name, false);
                happen(&mut self.durable, event);
            }
            Event::Said(_) => {}
            _ => self.pending.push(event.clone()),
        }
    }

    /// What is pending for this file is written, or lost. Names are in the folder's journal, which any sync writes.
    fn settle(&mut self, of: &str, written: bool) {
        for event in std::mem::take(&mut self.pending) {
            match &event {
                Event::Write { name, .. } | Event::Truncate { name, .. } if name == of => {
                    if written {
                        happen(&mut self.durable, &event);
                    }
                }
                Event::Create { .. } | Event::Delete { .. } if written => happen(&mut self.durable, &event),
                _ => self.pending.push(event),
            }
        }
    }

    /// The power fails: nothing that was not synced survives.
    pub fn nothing_more(&self) -> Image {
        self.durable.clone()
    }

    /// The power fails just after all was written.
    pub fn all_of_it(&self) -> Image {
        let mut image = self.durable.clone();
        self.pending.iter().for_each(|event| happen(&mut image, event));
        image
    }

    /// Some of what was not synced survives, writes torn at sectors, as the seed says.
    pub fn some_of_it(&self, seed: u64) -> Image {
        let mut image = self.durable.clone();
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let mut coin = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.is_multiple_of(2)
        };
        for event in &self.pending {
            match event {
                Event::Write { name, at, bytes } => {
                    for (index, sector) in bytes.chunks(SECTOR).enumerate() {
                        if coin() {
                            let (name, bytes) = (name.clone(), sector.to_vec());
                            happen(&mut image, &Event::Write { name, at: at + index * SECTOR, bytes });
                        }
                    }
                }
                other if coin() => happen(&mut image, other),
                _ => {}
            }
        }
        image
    }
}
