//! Memory that was freed is used again, or given back: glibc keeps it in an arena per thread unless it is told otherwise before it
//! starts.

use std::env;
use std::os::unix::process::CommandExt;
use std::process::Command;

/// glibc's own settings; who has set one knows better. Measured in docs/decisions/0009-allocator.md.
const SETTINGS: [(&str, &str); 2] = [
    // One for each of two cores' worth of contention.
    ("MALLOC_ARENA_MAX", "2"),
    // Bytes. What is larger is mapped by itself and goes back to the system when it is freed. Left alone, glibc raises this to the
    // largest buffer that it has seen go (up to 32 MiB), and from then on buffers of bodies leave holes in the arenas.
    ("MALLOC_MMAP_THRESHOLD_", "262144"),
];

/// Starts this program anew in this very process, with the settings. Returns where that is not needed, or not possible: then
/// it only takes more memory.
pub fn bound() {
    let missing: Vec<_> = SETTINGS.into_iter().filter(|(name, _)| env::var_os(name).is_none()).collect();
    if cfg!(not(target_env = "gnu")) || missing.is_empty() {
        return;
    }
    let Ok(program) = env::current_exe() else { return };
    // Comes back only if it failed.
    let error = Command::new(program).args(env::args_os().skip(1)).envs(missing).exec();
    eprintln!("outlast: going on with more memory than needed, the program could not be started anew: {error}");
}
