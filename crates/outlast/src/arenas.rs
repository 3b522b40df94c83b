//! Memory that was freed is used again: glibc keeps it in an arena per thread unless it is told otherwise before it starts.

use std::env;
use std::os::unix::process::CommandExt;
use std::process::Command;

/// glibc's own setting; who has set it knows better.
const SETTING: &str = "MALLOC_ARENA_MAX";
/// One for each of two cores' worth of contention; measured in docs/decisions/0009-allocator.md.
const ARENAS: &str = "2";

/// Starts this program anew in this very process, with the setting. Returns where that is not needed, or not possible: then
/// it only takes more memory.
pub fn bound() {
    if cfg!(not(target_env = "gnu")) || env::var_os(SETTING).is_some() {
        return;
    }
    let Ok(program) = env::current_exe() else { return };
    // Comes back only if it failed.
    let error = Command::new(program).args(env::args_os().skip(1)).env(SETTING, ARENAS).exec();
    eprintln!("outlast: going on with more memory than needed, the program could not be started anew: {error}");
}
