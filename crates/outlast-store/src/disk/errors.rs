//! What the operating system says, in the store's words; and why a disk could not be opened.

use crate::refusal::Refusal;
use crate::{Applied, Fault};
use rustix::io::Errno;
use std::path::PathBuf;

/// A disk that cannot be used as a store; the text is fit for an operator.
#[derive(Debug, thiserror::Error)]
pub enum DiskOpenError {
    #[error("{0} is not there: is the disk mounted?")]
    Missing(PathBuf),
    #[error("{0} is not a folder")]
    NotAFolder(PathBuf),
    #[error("{path} is in use by another Outlast{by}")]
    Locked { path: PathBuf, by: String },
    #[error("{path}: {doing}: {source}")]
    Io { path: PathBuf, doing: &'static str, source: std::io::Error },
}

/// A failed step. `applied` says whether the call may have changed what others see.
pub(crate) fn refuse(applied: Applied, doing: &str, errno: Errno) -> Refusal {
    let fault = match errno {
        Errno::NOSPC | Errno::DQUOT | Errno::FBIG => Fault::Full,
        Errno::ACCESS | Errno::PERM => Fault::Denied,
        _ => Fault::Disk,
    };
    let said = std::io::Error::from(errno);
    Refusal { fault, applied, status: None, code: None, message: format!("{doing}: {said}") }
}

/// For steps before anything is visible: nothing was applied.
pub(crate) fn before(doing: &'static str) -> impl Fn(Errno) -> Refusal {
    move |errno| refuse(Applied::No, doing, errno)
}

/// For steps after which nobody knows.
pub(crate) fn after(doing: &'static str) -> impl Fn(Errno) -> Refusal {
    move |errno| refuse(Applied::Unknown, doing, errno)
}

/// Says that nothing (that we could read) lies under a name: absence, a folder, a link, a socket, a name too long.
pub(crate) fn is_absence(errno: Errno) -> bool {
    matches!(
        errno,
        Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::NXIO | Errno::NODEV | Errno::NAMETOOLONG | Errno::ILSEQ
    )
}

/// Says that a key cannot lie under its own name here: something else does, or the file system refuses the name.
pub(crate) fn cannot_lie_here(errno: Errno) -> bool {
    matches!(
        errno,
        Errno::NOTDIR
            | Errno::ISDIR
            | Errno::LOOP
            | Errno::EXIST
            | Errno::NOTEMPTY
            | Errno::NAMETOOLONG
            | Errno::INVAL
            | Errno::ILSEQ
    )
}
