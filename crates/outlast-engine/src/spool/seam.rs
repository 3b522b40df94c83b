//! The one place where tests stand between the spool and the disk: before each step that a power loss can undo.

use std::fs::File;
use std::io;
use std::path::Path;

/// A step that changes the disk, or makes a change last.
#[derive(Debug, Clone, Copy)]
#[cfg_attr(not(test), allow(dead_code, reason = "only tests look at what is synced"))]
pub(super) enum Step<'a> {
    MakeFolder,
    Create,
    Write,
    SyncFile(&'a File),
    SyncFolder(&'a Path),
    Rename,
    Link,
    Unlink,
}

/// Asked before each step; an error is the step's own.
pub(super) trait Seam: Send + Sync + 'static {
    fn step(&self, step: Step<'_>) -> io::Result<()>;
}

/// Nobody stands between.
pub(super) struct Open;

impl Seam for Open {
    fn step(&self, _: Step<'_>) -> io::Result<()> {
        Ok(())
    }
}
