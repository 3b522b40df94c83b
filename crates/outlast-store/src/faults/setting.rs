//! What can go wrong, and for which calls: plain data.

use crate::Fault;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::time::Duration;

/// A call, as the outages of the past tell calls apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    Head,
    Get,
    List,
    /// PutObject, Complete and copy: what makes a copy.
    Commit,
    Delete,
    /// Everything else of a multipart upload.
    Upload,
    Bucket,
}

impl Class {
    pub const ALL: [Class; 7] =
        [Class::Head, Class::Get, Class::List, Class::Commit, Class::Delete, Class::Upload, Class::Bucket];
    pub const READS: [Class; 3] = [Class::Head, Class::Get, Class::List];
    /// What changes a store: many an outage left only reads standing.
    pub const WRITES: [Class; 3] = [Class::Commit, Class::Delete, Class::Upload];
}

/// When a call that is never answered is applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Apply {
    Never,
    AtOnce,
    /// A late call, still there after its caller gave up.
    After(Duration),
    /// When the line flows again: what a stopped process finds in its sockets when it goes on.
    WhenItFlows,
    /// So long after the line flows again: a process that goes on has more to do than this.
    AfterItFlows(Duration),
}

/// What goes wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Trouble {
    /// Connection refused: nothing was sent.
    Refuse,
    /// Nothing was sent for another reason: the name does not resolve, the certificate has expired.
    NotSent(Fault),
    /// No answer ever comes.
    Hang(Apply),
    /// Waits before the call is applied and before it is answered; bodies run at this pace.
    Slow { before: Duration, after: Duration, bytes_per_second: Option<u64> },
    /// The store says no and applies nothing.
    Answer { fault: Fault, status: u16, code: Cow<'static, str> },
    /// The call is applied; then the connection breaks.
    FailAfterApplying,
    /// A 5xx, which says nothing about what was applied.
    ServerError { status: u16, applies: bool },
    /// A 5xx of somebody in between, who stopped waiting: the call is applied so much later.
    LateServerError { status: u16, late: Duration },
    /// 200, and its body is an error or cannot be read: that says nothing either.
    BadAnswer { applies: bool },
    /// Bodies, read or written, break after so many bytes.
    CutBodies { after: u64 },
    /// Bodies that are read end early as if they were whole.
    EndBodies { after: u64 },
    /// Bodies that are read have wrong bytes.
    WrongBytes,
}

impl Trouble {
    /// 403 to everything: an account suspended or a key revoked.
    pub const DENIED: Trouble =
        Trouble::Answer { fault: Fault::Denied, status: 403, code: Cow::Borrowed("AccessDenied") };
    pub const SLOW_DOWN: Trouble =
        Trouble::Answer { fault: Fault::Throttled, status: 503, code: Cow::Borrowed("SlowDown") };
    pub const FULL: Trouble =
        Trouble::Answer { fault: Fault::Full, status: 507, code: Cow::Borrowed("InsufficientStorage") };
    pub const SKEWED: Trouble =
        Trouble::Answer { fault: Fault::ClockSkew, status: 403, code: Cow::Borrowed("RequestTimeTooSkewed") };
    /// The buckets are gone.
    pub const GONE: Trouble =
        Trouble::Answer { fault: Fault::NoBucket, status: 404, code: Cow::Borrowed("NoSuchBucket") };

    /// Everything takes so much longer.
    pub const fn delay(by: Duration) -> Trouble {
        Trouble::Slow { before: by, after: Duration::ZERO, bytes_per_second: None }
    }
}

/// One setting of the switch. The youngest that fits a call decides.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Setting {
    pub classes: Vec<Class>,
    /// Only keys that begin so.
    pub prefix: String,
    /// Only this share of the keys.
    pub share: Share,
    /// Only so many of the calls that fit.
    pub odds: Odds,
    /// On and off in turns.
    pub flap: Option<Flap>,
    /// Over after so many calls.
    pub times: Option<u32>,
    pub trouble: Trouble,
}

/// A slice of the key space: the same keys each time, other ones with another salt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Share {
    /// 1,000 for all keys.
    pub per_mille: u16,
    pub salt: u64,
}

/// How many of the calls that fit are troubled. Which ones, the salt and their number decide: a run is the same each time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Odds {
    /// 1,000 for every call.
    pub per_mille: u16,
    pub salt: u64,
}

/// Trouble for `on`, none for `off`, and again, from the moment of the setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flap {
    pub on: Duration,
    pub off: Duration,
}

impl Share {
    pub const ALL: Share = Share { per_mille: 1000, salt: 0 };

    pub(super) fn has(self, key: &str) -> bool {
        self.per_mille >= 1000 || scatter(self.salt, key.bytes()) % 1000 < u64::from(self.per_mille)
    }
}

impl Odds {
    pub const ALWAYS: Odds = Odds { per_mille: 1000, salt: 0 };

    /// Is the `n`-th call that fits one of them?
    pub(super) fn hit(self, n: u64) -> bool {
        self.per_mille >= 1000 || scatter(self.salt, n.to_le_bytes()) % 1000 < u64::from(self.per_mille)
    }
}

impl Flap {
    pub(super) fn is_on(self, since: Duration) -> bool {
        let period = (self.on + self.off).as_millis().max(1);
        since.as_millis() % period < self.on.as_millis()
    }
}

/// FNV-1a with its bits mixed once more, so that salts that differ by one differ everywhere.
fn scatter(salt: u64, bytes: impl IntoIterator<Item = u8>) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325 ^ salt.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    for byte in bytes {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
    hash = (hash ^ hash >> 33).wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash ^ hash >> 33
}

impl Setting {
    pub fn all(trouble: Trouble) -> Setting {
        Setting::on(&Class::ALL, trouble)
    }

    pub fn on(classes: &[Class], trouble: Trouble) -> Setting {
        let (share, odds) = (Share::ALL, Odds::ALWAYS);
        Setting { classes: classes.to_vec(), prefix: String::new(), share, odds, flap: None, times: None, trouble }
    }

    /// Reads go on, and whatever would change something is refused.
    pub fn read_only() -> Setting {
        Setting::on(&[Class::Commit, Class::Delete, Class::Upload, Class::Bucket], Trouble::DENIED)
    }

    pub fn share(self, per_mille: u16, salt: u64) -> Setting {
        Setting { share: Share { per_mille, salt }, ..self }
    }

    pub fn odds(self, per_mille: u16, salt: u64) -> Setting {
        Setting { odds: Odds { per_mille, salt }, ..self }
    }

    pub fn flap(self, on: Duration, off: Duration) -> Setting {
        Setting { flap: Some(Flap { on, off }), ..self }
    }

    pub fn times(self, times: u32) -> Setting {
        Setting { times: Some(times), ..self }
    }

    pub fn below(self, prefix: &str) -> Setting {
        Setting { prefix: prefix.to_owned(), ..self }
    }
}
