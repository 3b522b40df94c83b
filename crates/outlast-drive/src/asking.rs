//! One connection of the load and the oracle that hears of every request on it: what nobody answers is judged here.

use crate::client::{Account, Answer, Ask, Connection, Lost};
use crate::oracle::{Begun, Oracle};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

pub(crate) const BUCKET: &str = "photos";

/// What all clients of a run share.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    pub oracle: Oracle,
    /// Set before the gateway is killed: from then on a lost answer is no surprise.
    pub dying: AtomicBool,
    /// Set while something is broken on purpose: a gateway that says 503 then, or takes no connection, keeps its promises.
    pub rough: AtomicBool,
    /// Set at the end of a round: clients stop after what they are at.
    pub resting: AtomicBool,
    pub done: Counts,
}

/// How much was done, for the report.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub writes: AtomicU64,
    pub deletes: AtomicU64,
    pub reads: AtomicU64,
    pub uploads: AtomicU64,
    /// Copies, and writes with a condition, whose answer was judged.
    pub conditions: AtomicU64,
    pub unanswered: AtomicU64,
    /// Requests that were refused, or got no answer, while something was broken on purpose.
    pub refused: AtomicU64,
}

/// Why a client stopped.
#[derive(Debug)]
pub(crate) enum Stop {
    /// The gateway was killed.
    Killed,
    /// Refused while something is broken on purpose. What was asked may have happened all the same.
    Refused,
    /// A promise was broken; in words.
    Broken(String),
}

/// Lives as long as one gateway process.
pub(crate) struct Asker {
    pub shared: Arc<Shared>,
    connection: Connection,
}

impl Asker {
    pub fn new(shared: &Arc<Shared>, address: &str, account: &Arc<Account>) -> Asker {
        Asker { shared: shared.clone(), connection: Connection::new(address, account) }
    }

    /// Asks; an answer that is lost while nobody kills the gateway breaks a promise.
    pub async fn ask(&mut self, ask: Ask) -> Result<Answer, Stop> {
        let words = ask.words();
        match self.connection.ask(ask).await {
            Ok(answer) if self.is_refusal(&answer) => Err(self.refused()),
            Ok(answer) => Ok(answer),
            Err(lost) => Err(self.judge(&words, &lost)),
        }
    }

    fn is_rough(&self) -> bool {
        self.shared.rough.load(Ordering::SeqCst)
    }

    /// DeleteObjects and a long Complete say 200 first and their error inside.
    fn is_refusal(&self, answer: &Answer) -> bool {
        let inside = || answer.status == 200 && answer.body.len() < 64 * 1024 && answer.text().contains("<Error>");
        self.is_rough() && (answer.status == 503 || inside())
    }

    fn refused(&self) -> Stop {
        self.shared.done.refused.fetch_add(1, Ordering::Relaxed);
        Stop::Refused
    }

    fn judge(&self, words: &str, lost: &Lost) -> Stop {
        match lost {
            Lost::Silence => {}
            _ if self.shared.dying.load(Ordering::SeqCst) => return Stop::Killed,
            _ if self.is_rough() => return self.refused(),
            _ => {}
        }
        Stop::Broken(format!("{words}: {lost}"))
    }

    /// One write request. Without an answer it stays open whether it happened.
    pub async fn write(&mut self, ask: Ask, begun: Vec<Begun>, good: u16) -> Result<Answer, Stop> {
        self.write_unless(ask, begun, good, &[]).await
    }

    /// `declined`: statuses that say that a condition did not hold. Then it never happened.
    pub async fn write_unless(
        &mut self,
        ask: Ask,
        begun: Vec<Begun>,
        good: u16,
        declined: &[u16],
    ) -> Result<Answer, Stop> {
        let words = ask.words();
        let oracle = &self.shared.oracle;
        match self.connection.ask(ask).await {
            // It has its place in the order, and whatever is acknowledged later comes after it.
            Ok(answer) if self.is_refusal(&answer) => {
                begun.into_iter().for_each(|begun| oracle.unanswered(begun));
                Err(self.refused())
            }
            Ok(answer) if answer.status == good => {
                begun.into_iter().for_each(|begun| oracle.acknowledged(begun));
                Ok(answer)
            }
            Ok(answer) if declined.contains(&answer.status) => {
                begun.into_iter().for_each(|begun| oracle.withdrawn(begun));
                Ok(answer)
            }
            Ok(answer) => Err(Stop::Broken(format!("{words}: {} {}", answer.status, answer.text()))),
            Err(lost) => {
                let never = matches!(lost, Lost::NotSent(_));
                let dying = self.shared.dying.load(Ordering::SeqCst);
                self.shared.done.unanswered.fetch_add(u64::from(!never), Ordering::Relaxed);
                begun.into_iter().for_each(|begun| match never {
                    true => oracle.withdrawn(begun),
                    // The gateway lives and may still be at it: it is over when nothing is undecided any more.
                    false if self.is_rough() && !dying => {}
                    false => oracle.unanswered(begun),
                });
                Err(self.judge(&words, &lost))
            }
        }
    }
}
