//! On what it was measured: figures without their machine say nothing.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use super::figures::Times;
use crate::workspace;

/// One line per fact.
pub fn describe(dir: &Path) -> Vec<(&'static str, String)> {
    let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or_default();
    let cores = cpu.lines().filter(|line| line.starts_with("processor")).count();
    let memory = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let memory: u64 = memory
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:")?.trim().split(' ').next()?.parse().ok())
        .unwrap_or_default();
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    vec![
        ("cpu", format!("{cores} × {}", model.trim_start_matches([' ', '\t', ':']))),
        ("memory", format!("{} GiB", memory / 1024 / 1024)),
        ("kernel", said("uname", &["-sr"])),
        ("disk", said("stat", &["-f", "-c", "%T, %a free blocks of %S bytes", &dir.display().to_string()])),
        ("load before", load.split(' ').take(3).collect::<Vec<_>>().join(" ")),
        ("rustc", said("rustc", &["-V"])),
        ("nginx", said("nginx", &["-v"])),
        ("commit", said("git", &["describe", "--always", "--dirty"])),
    ]
}

/// What the stores and the ledger wait for: 4 KiB appended to a file, and on the disk.
pub fn fsyncs(dir: &Path, count: usize, into: &mut Times) -> Result<(), String> {
    let path = dir.join("fsync.probe");
    let at = |error: std::io::Error| format!("{}: {error}", path.display());
    let mut file = File::options().create(true).append(true).open(&path).map_err(at)?;
    for _ in 0..count {
        file.write_all(&[7; 4096]).map_err(at)?;
        let begun = Instant::now();
        file.sync_data().map_err(at)?;
        into.add(begun.elapsed());
    }
    Ok(())
}

/// What a command says in one line; empty where it cannot be asked.
fn said(program: &str, args: &[&str]) -> String {
    let output = Command::new(program).args(args).current_dir(workspace::root()).output();
    let text =
        output.map(|output| if output.stdout.is_empty() { output.stderr } else { output.stdout }).unwrap_or_default();
    String::from_utf8_lossy(&text).lines().next().unwrap_or_default().trim().to_owned()
}
