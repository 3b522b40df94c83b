//! kill -9 of the real binary under load, ten times: nothing acknowledged is missing or wrong, nothing deleted is back, and
//! after catch-up every store holds exactly that in plain files, and `verify --deep` says so too. `cargo xtask torture --world
//! trial` does fifty rounds of the same.

use outlast_drive::{Plan, Tally, World, any_seed, torture};
use std::path::PathBuf;

/// A new one each time, so that every run of the tests looks elsewhere; `OUTLAST_SEED` says it again.
fn seed() -> u64 {
    match std::env::var("OUTLAST_SEED") {
        Ok(seed) => seed.parse().expect("OUTLAST_SEED is a number"),
        Err(_) => any_seed(),
    }
}

#[track_caller]
fn check(world: World, rounds: u32) -> Tally {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let program = std::env::var_os("OUTLAST_BIN").map_or_else(|| env!("CARGO_BIN_EXE_outlast").into(), PathBuf::from);
    let tools = PathBuf::new();
    let plan =
        Plan { seed: seed(), rounds, world, tools, program, dir: dir.path().to_owned(), time_max: None, told: false };
    let runtime = tokio::runtime::Runtime::new().expect("threads to run on");
    let tally = runtime.block_on(torture(&plan)).unwrap_or_else(|broken| panic!("{broken}"));
    println!("seed {}: {tally}", plan.seed);
    // A driver that does nothing finds nothing: keys that were acknowledged, and keys whose delete was.
    assert!(tally.compared >= 1 && tally.present > 0 && tally.absent > 0, "{tally}");
    tally
}

#[test]
fn ten_kills_over_three_disks() {
    let tally = check(World::Trial, 10);
    assert!(tally.kills >= 10, "{tally}");
    assert!(tally.writes > 100 && tally.reads > 100 && tally.deletes > 20 && tally.unanswered > 0, "{tally}");
    assert!(tally.conditions > 20, "{tally}");
}

#[test]
fn three_kills_while_one_store_hangs() {
    let tally = check(World::Peer, 3);
    assert!(tally.kills >= 3 && tally.writes > 10, "{tally}");
}
