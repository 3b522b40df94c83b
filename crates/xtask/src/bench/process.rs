//! What processes have used, as the kernel counts it.

use std::fs;

/// Ticks per second of `/proc/<pid>/stat`: 100 on every Linux that people run (`getconf CLK_TCK`).
const TICKS: f64 = 100.0;

/// User and system seconds of all of them together, since their start.
pub fn cpu_seconds(pids: &[u32]) -> f64 {
    pids.iter().map(|pid| cpu_of(*pid).unwrap_or_default()).sum()
}

fn cpu_of(pid: u32) -> Option<f64> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in brackets may hold anything: what counts begins after its end.
    let (_, rest) = text.rsplit_once(')')?;
    let mut fields = rest.split_whitespace().skip(11);
    let mut ticks = || fields.next()?.parse::<f64>().ok();
    Some((ticks()? + ticks()?) / TICKS)
}

/// The most memory that the process ever held, MiB.
pub fn memory_peak_mib(pid: u32) -> Option<f64> {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().trim_end_matches(" kB").trim().parse::<f64>().ok()? / 1024.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_uses_something() {
        let own = std::process::id();
        assert!(memory_peak_mib(own).is_some_and(|mib| mib > 0.5));
        assert!(cpu_of(own).is_some());
        assert_eq!(cpu_of(0), None);
    }
}
