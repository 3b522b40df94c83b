//! The one place where tests stand between the disk store and the disk: before each step that a power loss can undo.

use rustix::fd::BorrowedFd;
use rustix::io::Result;

/// A step that changes the disk, or makes a change last.
#[derive(Debug, Clone, Copy)]
#[cfg_attr(not(test), allow(dead_code, reason = "only tests look at what is synced"))]
pub(crate) enum Step<'a> {
    Write,
    Describe,
    SyncFile(BorrowedFd<'a>),
    SyncFolder(BorrowedFd<'a>),
    Rename,
    Unlink,
    MakeFolder,
    RemoveFolder,
}

/// Asked before each step; an error is the step's own.
pub(crate) trait Seam: Send + Sync + 'static {
    fn step(&self, step: Step<'_>) -> Result<()>;
}

/// Nobody stands between.
pub(crate) struct Open;

impl Seam for Open {
    fn step(&self, _: Step<'_>) -> Result<()> {
        Ok(())
    }
}
