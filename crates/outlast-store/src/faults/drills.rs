//! What a drill in production may do, and in which words people are told of it.

use super::setting::{Apply, Class, Setting, Trouble};
use super::spelling::{PREFIX_BYTES_MAX, TIME_MAX, class_words, percent};
use std::fmt;
use std::time::Duration;

/// A call that is held back for longer is one that hangs; say so.
pub const DELAY_MAX: Duration = Duration::from_secs(10);
/// A body that is slower stands still.
pub const BYTES_PER_SECOND_MIN: u64 = 1024;

impl Setting {
    /// May this be set outside tests? Only what refuses, hangs or slows: whatever changes bytes or answers, or leaves calls behind
    /// that apply when nobody waits for them, could break what was promised to clients.
    ///
    /// # Errors
    /// Why not, in words.
    pub fn is_for_drills(&self) -> Result<(), String> {
        match &self.trouble {
            Trouble::Refuse | Trouble::Hang(Apply::Never) => {}
            Trouble::Slow { before, after, bytes_per_second } => {
                if before.saturating_add(*after) > DELAY_MAX {
                    return Err(format!("a drill slows by {} s at most: hang is for more", DELAY_MAX.as_secs()));
                }
                if bytes_per_second.is_some_and(|pace| pace < BYTES_PER_SECOND_MIN) {
                    return Err(format!("a drill slows to {BYTES_PER_SECOND_MIN} bytes per second at least"));
                }
            }
            Trouble::Hang(_) => {
                return Err("in a drill no call is applied after it was given up: only applies = \"never\"".to_owned());
            }
            other => {
                return Err(format!("\"{}\" is for tests: a drill may refuse, hang or slow", other.word()));
            }
        }
        if self.flap.is_some_and(|flap| flap.on > TIME_MAX || flap.off > TIME_MAX) {
            return Err("flap: a day at most".to_owned());
        }
        if self.prefix.len() > PREFIX_BYTES_MAX {
            return Err(format!("no key begins with more than {PREFIX_BYTES_MAX} bytes"));
        }
        if self.times.is_some() {
            return Err("times is for tests: a drill is over when its time is".to_owned());
        }
        Ok(())
    }

    /// Would a store with this setting fail to take writes?
    pub fn stops_writes(&self) -> bool {
        let slows = matches!(self.trouble, Trouble::Slow { .. });
        !slows && self.classes.iter().any(|class| *class == Class::Commit || *class == Class::Upload)
    }
}

/// `hang on writes below photos/, 50 % of the keys`, for logs and people.
impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.trouble.word())?;
        if let Trouble::Slow { before, after, bytes_per_second } = &self.trouble {
            let delay = *before + *after;
            if !delay.is_zero() {
                write!(f, " by {delay:?}")?;
            }
            if let Some(pace) = bytes_per_second {
                write!(f, " to {pace} bytes per second")?;
            }
        }
        if self.classes != Class::ALL {
            write!(f, " on {}", class_words(&self.classes).join(", "))?;
        }
        if !self.prefix.is_empty() {
            write!(f, " below {}", self.prefix)?;
        }
        if self.share.per_mille < 1000 {
            write!(f, ", {} of the keys", percent(self.share.per_mille))?;
        }
        if self.odds.per_mille < 1000 {
            write!(f, ", {} of the calls", percent(self.odds.per_mille))?;
        }
        if let Some(flap) = self.flap {
            write!(f, ", {:?} on and {:?} off", flap.on, flap.off)?;
        }
        match self.times {
            Some(times) => write!(f, ", {times} times"),
            None => Ok(()),
        }
    }
}
