//! The one thread that writes: it takes all that waits into one transaction and one fsync, and answers them together.

use super::core::{Core, Work};
use crate::LedgerError;
use std::sync::Mutex;
use std::thread::JoinHandle;
use tokio::sync::{mpsc, oneshot, watch};

/// Batches that may wait for the writer; more callers wait to be let in. Far above the requests a gateway runs at once.
const WAITING_MAX: usize = 4096;

/// Batches of one transaction: keeps its time, and what one full disk undoes, within tens of milliseconds.
const GROUP_MAX: usize = 256;

/// What waits for the writer, and who waits for its answer.
struct Asked {
    work: Work,
    answer: oneshot::Sender<Result<(), LedgerError>>,
}

/// The shell's end of the writer thread.
pub(super) struct Writer {
    /// None: closed.
    door: Mutex<Option<mpsc::Sender<Asked>>>,
    /// True once the thread has closed the database and released its lock.
    ended: watch::Receiver<bool>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Writer {
    pub fn start(core: Core) -> std::io::Result<Writer> {
        let (door, waiting) = mpsc::channel(WAITING_MAX);
        let (end, ended) = watch::channel(false);
        let thread = std::thread::Builder::new().name("ledger-writer".into()).spawn(move || {
            write_all(core, waiting);
            end.send_replace(true);
        })?;
        Ok(Writer { door: Mutex::new(Some(door)), ended, thread: Mutex::new(Some(thread)) })
    }

    /// Durable when it returns Ok.
    pub async fn ask(&self, work: Work) -> Result<(), LedgerError> {
        let door = held(&self.door).clone().ok_or(LedgerError::Closed)?;
        let (answer, answered) = oneshot::channel();
        let stopped = || LedgerError::MustReopen { why: "the ledger's writer has stopped".into() };
        door.send(Asked { work, answer }).await.map_err(|_| stopped())?;
        drop(door);
        answered.await.unwrap_or_else(|_| Err(stopped()))
    }

    /// Returns when all that was let in is answered and the database is closed.
    pub async fn close(&self) {
        held(&self.door).take();
        let mut ended = self.ended.clone();
        // An error means that the thread is gone without saying so, which is as closed as can be.
        let _gone = ended.wait_for(|ended| *ended).await;
    }
}

impl Drop for Writer {
    /// So that the lock is free when the ledger is dropped, as it is when it is closed.
    fn drop(&mut self) {
        held(&self.door).take();
        if let Some(thread) = held(&self.thread).take() {
            // A panic of the thread was reported by its hook, and its callers heard of it.
            let _panicked = thread.join();
        }
    }
}

fn held<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().expect("nothing panics while it is held")
}

fn write_all(mut core: Core, mut waiting: mpsc::Receiver<Asked>) {
    let mut asked = Vec::with_capacity(GROUP_MAX);
    while waiting.blocking_recv_many(&mut asked, GROUP_MAX) > 0 {
        let (group, answers): (Vec<Work>, Vec<_>) = asked.drain(..).map(|one| (one.work, one.answer)).unzip();
        for (answer, result) in answers.into_iter().zip(core.commit_group(&group)) {
            // Who asked may have gone away; what was committed stays committed.
            let _gone = answer.send(result);
        }
    }
}
