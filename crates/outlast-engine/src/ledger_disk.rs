//! Whether the ledger takes writes: a full or failing disk there stops every write, and reads show nothing of it.

use outlast_ledger::LedgerError;
use outlast_rules::Moment;
use std::sync::Mutex;

/// What the last commit that a client waited for came to.
#[derive(Debug, Default)]
pub(crate) struct LedgerDisk(Mutex<Option<(Moment, String)>>);

impl LedgerDisk {
    pub fn heard(&self, done: &Result<(), LedgerError>, now: Moment) {
        let mut trouble = self.0.lock().expect("no code panics while it holds a text");
        match done {
            Ok(()) => *trouble = None,
            Err(error @ (LedgerError::Full { .. } | LedgerError::MustReopen { .. })) => {
                let since = trouble.as_ref().map_or(now, |(since, _)| *since);
                *trouble = Some((since, error.to_string()));
            }
            Err(_) => {}
        }
    }

    /// Since when it takes nothing, and why; None: it does, as far as is known.
    pub fn trouble(&self) -> Option<(Moment, String)> {
        self.0.lock().expect("no code panics while it holds a text").clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trouble_has_its_first_moment_and_ends_with_a_write() {
        let disk = LedgerDisk::default();
        let full = || Err(LedgerError::Full { why: "no space".into() });
        disk.heard(&full(), Moment(5));
        disk.heard(&full(), Moment(9));
        disk.heard(&Err(LedgerError::Refused { why: "a batch".into() }), Moment(10));
        let (since, why) = disk.trouble().expect("it is full");
        assert!(since == Moment(5) && why.contains("no space"), "{why}");
        disk.heard(&Ok(()), Moment(11));
        assert_eq!(disk.trouble(), None);
    }
}
