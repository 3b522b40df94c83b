//! Golden scripts: a story is told in commands, the trace says what the engine did. Each counter-example of
//! docs/protocol.md section 9 that applies is one file in tests/scripts.
//!
//! A command line starts with `> `; what follows it is the trace. On failure run with `REWRITE=1`, read the difference, and
//! commit only what you understand and want.

mod play;
mod support;

use std::path::Path;

fn run_all(folder: &Path) -> Vec<String> {
    let mut failed = Vec::new();
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).collect();
    files.sort();
    assert!(files.len() >= 10, "the scripts are there");
    for file in files {
        let script = std::fs::read_to_string(&file).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        let trace = runtime.block_on(play::play(&script));
        runtime.shutdown_background();
        if trace == script {
            continue;
        }
        if std::env::var_os("REWRITE").is_some() {
            std::fs::write(&file, trace).unwrap();
        } else {
            failed.push(format!("{}:\n{trace}", file.display()));
        }
    }
    failed
}

#[test]
fn scripts() {
    let failed = run_all(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scripts"));
    assert!(failed.is_empty(), "these scripts play otherwise (REWRITE=1 keeps the new traces):\n{}", failed.join("\n"));
}
