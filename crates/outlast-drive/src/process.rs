//! A child of ours: signalled by its own number only, and gone when its owner is.

use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, kill_process, prlimit};
use std::process::{Child, Command};

/// Dropped, it is killed and waited for.
#[derive(Debug)]
pub(crate) struct Process(pub Child);

impl Drop for Process {
    fn drop(&mut self) {
        // Both fail when the process is gone already, which is what is wanted.
        let _ = self.0.kill();
        let _ = self.0.wait();
        // libfaketime leaves these behind when its program is killed, on every machine that has it.
        for name in ["faketime_shm_", "sem.faketime_sem_"] {
            let _ = std::fs::remove_file(format!("/dev/shm/{name}{}", self.0.id()));
        }
    }
}

impl Process {
    pub fn spawn(command: &mut Command) -> std::io::Result<Process> {
        command.spawn().map(Process)
    }

    fn pid(&self) -> Result<Pid, String> {
        i32::try_from(self.0.id()).ok().and_then(Pid::from_raw).ok_or_else(|| "no process id".to_owned())
    }

    /// To this process, and to no other.
    ///
    /// # Errors
    /// It is gone.
    pub fn signal(&self, signal: Signal) -> Result<(), String> {
        kill_process(self.pid()?, signal).map_err(|error| format!("process {} is gone: {error}", self.0.id()))
    }

    pub fn freeze(&self) -> Result<(), String> {
        self.signal(Signal::STOP)
    }

    pub fn thaw(&self) -> Result<(), String> {
        self.signal(Signal::CONT)
    }

    /// From now on it may open so many files and connections more than it has, and no others. None: as many as we may.
    ///
    /// # Errors
    /// It is gone, or we may not.
    pub fn limit_handles(&self, more: Option<u64>) -> Result<(), String> {
        let ours = getrlimit(Resource::Nofile);
        let limit = match more {
            Some(more) => {
                let open = std::fs::read_dir(format!("/proc/{}/fd", self.0.id())).map_err(|error| error.to_string())?;
                Rlimit { current: Some(open.count() as u64 + more), maximum: ours.maximum }
            }
            None => ours,
        };
        prlimit(Some(self.pid()?), Resource::Nofile, limit).map(drop).map_err(|error| format!("prlimit: {error}"))
    }
}
