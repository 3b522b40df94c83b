//! Ten rounds of everything that can happen to the gateway and to stores of third parties, each compared byte by byte with
//! what was acknowledged. `cargo xtask torture` does more rounds of the same.

use outlast_drive::{Plan, World, any_seed, in_own_network, torture};
use std::path::{Path, PathBuf};
use std::time::Duration;

const ROUNDS: u32 = 10;
/// A round takes 20 s on two shared cores, and one that has begun is played to its end.
const TIME_MAX: Duration = Duration::from_secs(190);
/// What even the slowest machine does in that.
const ROUNDS_MIN: u32 = 3;

fn tools() -> PathBuf {
    std::env::var_os("OUTLAST_TOOLS")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/tools"), PathBuf::from)
}

/// Servers that are not installed fail the test, unless the run was told to leave them out.
fn is_left_out() -> bool {
    let allowed = std::env::var("OUTLAST_NO_INSTALL_SKIP").unwrap_or_default();
    let left_out = ["moto", "garage"].into_iter().find(|name| allowed.split(',').any(|one| one == *name));
    if let Some(name) = left_out {
        eprintln!("LEFT OUT: {name} is not installed, and this run installs nothing");
    }
    left_out.is_some()
}

#[test]
fn ten_rounds_of_blows() {
    if is_left_out() {
        return;
    }
    let this = std::env::current_exe().expect("this test is a program");
    let args = ["--exact", "ten_rounds_of_blows", "--nocapture"];
    if let Some(status) = in_own_network(&this, args).expect("unshare starts") {
        assert!(status.success(), "the rounds in a network of their own ended with {status}; see above");
        return;
    }
    let seed = match std::env::var("OUTLAST_SEED") {
        Ok(seed) => seed.parse().expect("OUTLAST_SEED is a number"),
        Err(_) => any_seed(),
    };
    // In memory where that can be: what a kill leaves is in the kernel's hands either way, and no fsync of a disk is waited for.
    let dir = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).expect("a temporary folder");
    let program = std::env::var_os("OUTLAST_BIN").map_or_else(|| env!("CARGO_BIN_EXE_outlast").into(), PathBuf::from);
    println!("seed {seed}");
    let plan = Plan {
        seed,
        rounds: ROUNDS,
        world: World::Mixed,
        tools: tools(),
        program,
        dir: dir.path().to_owned(),
        time_max: Some(TIME_MAX),
        told: true,
    };
    let runtime = tokio::runtime::Runtime::new().expect("threads to run on");
    let tally = runtime.block_on(torture(&plan)).unwrap_or_else(|broken| panic!("{broken}"));
    println!("seed {seed}: {tally}");
    // A driver that does nothing finds nothing.
    assert!(tally.compared >= ROUNDS_MIN && tally.blows >= tally.compared && tally.kills > 0, "{tally}");
    // In each round one kind at least that had not happened before, until all have.
    assert!(tally.kinds >= tally.compared.min(tally.kinds_able), "{tally}");
    assert!(tally.present > 0 && tally.absent > 0, "{tally}");
    assert!(tally.writes > 100 && tally.reads > 100 && tally.deletes > 20 && tally.conditions > 20, "{tally}");
}
