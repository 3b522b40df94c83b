//! A network of our own: a run that cuts ways must not cut anybody else's, so it is started again in a namespace where it has
//! the loopback for itself.

use crate::ground::OWN_NETWORK;
use std::ffi::OsStr;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};

/// Runs a program, ourselves mostly, with a loopback of its own. None: it runs in one already, or none can be made here.
///
/// # Errors
/// It cannot be started.
pub fn in_own_network<A: AsRef<OsStr>>(
    program: &Path,
    args: impl IntoIterator<Item = A>,
) -> Result<Option<ExitStatus>, String> {
    if std::env::var_os(OWN_NETWORK).is_some() || !can_be_made() {
        return Ok(None);
    }
    let mut command = Command::new("unshare");
    command.args(["--net", "sh", "-c", "ip link set lo up && exec \"$@\"", "sh"]).arg(program).args(args);
    let status = command.env(OWN_NETWORK, "1").stdin(Stdio::null()).status();
    status.map(Some).map_err(|error| format!("unshare can't be started: {error}"))
}

fn can_be_made() -> bool {
    let mut command = Command::new("unshare");
    command.args(["--net", "ip", "link", "set", "lo", "up"]).stdin(Stdio::null()).stdout(Stdio::null());
    command.stderr(Stdio::null()).status().is_ok_and(|status| status.success())
}
