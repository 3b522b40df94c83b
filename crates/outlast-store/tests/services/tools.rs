//! Third-party servers for the tests of this crate: found where `cargo xtask test` puts them, started, stopped.

use std::path::PathBuf;
use std::process::Child;

/// A running server. Dropped, it is killed.
pub struct Peer {
    pub child: Child,
    pub endpoint: String,
}

impl Drop for Peer {
    fn drop(&mut self) {
        // A child that has ended by itself cannot be killed, and need not be.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The path of a tool's program; None, loudly, only where the run was told to leave it out.
pub fn tool(name: &str, program: &str) -> Option<PathBuf> {
    let tools = std::env::var_os("OUTLAST_TOOLS")
        .map(PathBuf::from)
        .unwrap_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../target/tools"));
    let path = tools.join(name).join(program);
    if path.exists() {
        return Some(path);
    }
    let skip = std::env::var("OUTLAST_NO_INSTALL_SKIP").unwrap_or_default();
    if skip.split(',').any(|one| one.trim() == name) {
        eprintln!("LEFT OUT: {name} is not installed, and --no-install said to do without");
        return None;
    }
    panic!("{} is missing: run `cargo xtask test`, which installs it", path.display());
}
