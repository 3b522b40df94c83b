//! Where things lie in the workspace, and how cargo is called in it.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

/// s3s declares a newer Rust than it needs, so plain cargo refuses to build it (docs/decisions/0003-front-on-s3s.md).
const IGNORE_RUST_VERSION: &str = "--ignore-rust-version";

/// The folder of the workspace's `Cargo.toml`.
pub fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).expect("this crate lies two folders below the root").to_owned()
}

/// Where cargo builds: `CARGO_TARGET_DIR` where it is set, as cargo itself does.
pub fn target_dir() -> PathBuf {
    env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), |dir| root().join(dir))
}

/// Where the servers and clients of the tests are installed. Never outside the workspace, whatever `CARGO_TARGET_DIR`
/// says: a second run finds them again.
pub fn tools_dir() -> PathBuf {
    root().join("target/tools")
}

/// Where tools that are compiled are built; kept, so that building them again is cheap.
pub fn tools_build_dir() -> PathBuf {
    root().join("target/tools-build")
}

/// The black-box tests drive this file, the program as a user has it.
pub fn product_binary() -> PathBuf {
    target_dir().join("debug/outlast")
}

/// `cargo SUBCOMMAND`, in the root of the workspace.
pub fn cargo(subcommand: &[&str]) -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(subcommand).current_dir(root());
    command
}

/// `cargo SUBCOMMAND` for those subcommands that compile our own crates.
pub fn cargo_compiling(subcommand: &[&str]) -> Command {
    let mut command = cargo(subcommand);
    command.arg(IGNORE_RUST_VERSION);
    command
}
