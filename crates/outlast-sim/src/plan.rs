//! What happens in one run, decided before it begins: plain data that a shrinker can take pieces from.

use crate::content::Content;
use outlast_rules::Mutant;
use outlast_store::Setting;
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
    /// As `Unique`, and its Complete joins parts by their numbers alone, whatever ETags are named. No seed draws it.
    Careless,
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
    /// The store's disk is not mounted for so long: it answers, and shows nothing. No seed draws it.
    Unmount {
        store: usize,
        lasts: Duration,
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
pub const UPLOADS: usize = 4;

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
                if !setting.prefix.is_empty() {
                    write!(f, ", keys below {}", setting.prefix)?;
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
            Act::Unmount { store, lasts } => write!(f, "s{store} is not mounted for {} ms", ms(lasts)),
            Act::Strip { store } => write!(f, "s{store} loses every stamp"),
            Act::Foreign { store, key } => write!(f, "s{store}: somebody else writes {}", name(key)),
            Act::ForeignCopy { store, from, key } => {
                write!(f, "s{store}: somebody else copies {} over {}", name(from), name(key))
            }
        }
    }
}
