//! The gateway's machine: a disk that forgets what was not synced, a folder for the spool, and what a crash leaves of them.

use crate::plan::Keeps;
use crate::power::disk::{Disk, Fuse, Image, Platter};
use crate::power::vfs::Mounted;
use crate::wire::Pulse;
use outlast_ledger::{Core, Durability, Embedded};
use std::path::{Path, PathBuf};

/// Where nothing has to wait for a real disk, if there is such a place.
const MEMORY_DISK: &str = "/dev/shm";

pub struct Machine {
    folder: tempfile::TempDir,
    boots: u32,
    mounted: Option<Mounted>,
    platter: Platter,
}

impl Machine {
    pub fn new() -> Machine {
        let builder = || tempfile::Builder::new().prefix("outlast-sim-").to_owned();
        let folder = builder().tempdir_in(MEMORY_DISK).or_else(|_| builder().tempdir());
        let folder = folder.expect("a run needs a folder for its spool");
        Machine { folder, boots: 0, mounted: None, platter: Platter::default() }
    }

    /// This boot's folder.
    pub fn dir(&self) -> PathBuf {
        self.folder.path().join(self.boots.to_string())
    }

    fn spool(&self, boot: u32) -> PathBuf {
        self.folder.path().join(boot.to_string()).join("spool")
    }

    /// The process dies in this moment: what its tasks still do reaches neither the stores nor the next process.
    pub fn die(&self, pulse: &Pulse) {
        death(pulse.clone(), self.spool(self.boots), self.spool(self.boots + 1))();
    }

    /// Starts with what the last crash left.
    pub fn boot(&mut self, image: Image) -> Embedded {
        self.boots += 1;
        std::fs::create_dir_all(self.spool(self.boots)).expect("the spool's folder can be made");
        self.platter = Platter::holding(image.clone());
        let mounted = Mounted::new(Disk::holding(image));
        let conn = mounted.connect().expect("a disk in memory can be reached");
        let core = Core::over(conn, Durability::Power).expect("what a crash leaves of a ledger can be opened");
        self.mounted = Some(mounted);
        Embedded::inline(core)
    }

    /// After so many events of the ledger's disk the process dies, and nothing later reaches the platter.
    pub fn arm(&mut self, events: usize, pulse: &Pulse) {
        self.drain();
        let blow = death(pulse.clone(), self.spool(self.boots), self.spool(self.boots + 1));
        if let Some(mounted) = &self.mounted {
            let mut disk = mounted.disk.lock().expect("nobody panics while he holds the disk");
            disk.fuse = Some(Fuse { events, blow: Some(Box::new(blow)) });
        }
    }

    /// What the ledger did to its disk since the last time reaches the platter, or waits there for a sync.
    pub fn drain(&mut self) {
        let Some(mounted) = &self.mounted else { return };
        let mut disk = mounted.disk.lock().expect("nobody panics while he holds the disk");
        let log = std::mem::take(&mut disk.log);
        let lived = disk.fuse.as_ref().map_or(log.len(), |fuse| log.len().min(fuse.events));
        for event in &log[..lived] {
            self.platter.replay(event);
        }
        if let Some(fuse) = &mut disk.fuse {
            fuse.events -= lived;
        }
    }

    /// What the disk holds after the process died now.
    pub fn crash(&mut self, keeps: Keeps) -> Image {
        self.drain();
        match keeps {
            Keeps::Nothing => self.platter.nothing_more(),
            Keeps::Everything => self.platter.all_of_it(),
            Keeps::Some(seed) => self.platter.some_of_it(seed),
        }
    }
}

/// The spool as it is at this moment is what the next process finds.
fn death(pulse: Pulse, spool: PathBuf, next: PathBuf) -> impl FnOnce() + Send {
    move || {
        if pulse.beats() {
            pulse.stop();
            std::fs::create_dir_all(&next).expect("the spool's folder can be made");
            copy_files(&spool, &next);
        }
    }
}

/// Files that are durable: bodies on their way in lie in a folder below, and are not.
fn copy_files(from: &Path, to: &Path) {
    let Ok(files) = std::fs::read_dir(from) else { return };
    for file in files.flatten() {
        if file.file_type().is_ok_and(|kind| kind.is_file()) {
            std::fs::copy(file.path(), to.join(file.file_name())).expect("a file of the spool can be copied");
        }
    }
}
