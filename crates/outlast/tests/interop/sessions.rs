//! aws-cli, rclone, restic and s3cmd, all at once and in the middle of their work when one store of four fails, in each of the
//! ways in which stores fail, and again when it comes back. None of them may try twice, none may wait for long, and what the
//! gateway counted shows that none had a reason to.

use crate::clients::{ACCESS_KEY, Rclone, S3cmd, SECRET_KEY, ask, good, system_tool};
use crate::fault_proxy::{FaultProxy, Mode};
use crate::gateway::Launch;
use crate::peers::{Peer, outlast_over_a_disk};
use crate::scene::{BUCKET, Place, REFUSED, SILENT, Scene, Shows, folder, four, judge_waits, lasting, peers};
use crate::suites::aws::{same, tree};
use crate::timing_relay::TimingRelay;
use crate::tools::Aws;
use crate::waiting::until;
use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

/// The clients begin within this: Python's, beside three others on two processors, need seconds for it.
const BEGIN_MAX: Duration = Duration::from_secs(60);
/// So many requests into a pass, each client has begun and none is near its end (a pass has 150 and more).
const INTO_A_PASS: u64 = 25;

struct Restic {
    program: PathBuf,
    dir: PathBuf,
    repository: String,
}

impl Restic {
    /// It cannot be told not to try again, but says when it does.
    fn good(&self, args: &[&str]) {
        let mut command = Command::new(&self.program);
        command.args(["-r", &self.repository, "--no-cache"]).args(args).current_dir(&self.dir);
        command.env("RESTIC_PASSWORD", "of-the-tests");
        command.env("AWS_ACCESS_KEY_ID", ACCESS_KEY).env("AWS_SECRET_ACCESS_KEY", SECRET_KEY);
        let output = command.stdin(Stdio::null()).output().expect("restic starts");
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        let tried_again = out.contains("retrying") || err.contains("retrying");
        assert!(output.status.success() && !tried_again, "{command:?}\n{}\n{out}\n{err}", output.status);
    }
}

/// The four clients over one folder of files, and what times their requests.
struct Sessions {
    dir: PathBuf,
    aws: Aws,
    rclone: Rclone,
    restic: Restic,
    s3cmd: S3cmd,
    relay: TimingRelay,
}

/// What the clients do is done twice: the fault begins in the first pass and ends in the second.
const PASSES: [&str; 2] = ["1", "2"];

fn at(path: &str) -> String {
    format!("s3://{BUCKET}/{path}")
}

impl Sessions {
    /// None: a client is not installed, and left out.
    fn open(scene: &Scene) -> Option<Sessions> {
        let dir = scene.dir.clone();
        let relay = TimingRelay::start(&scene.gateway.s3);
        let repository = format!("s3:{}/{BUCKET}/restic", relay.endpoint);
        let restic = Restic { program: system_tool("restic")?, dir: dir.clone(), repository };
        let aws = Aws::new(&dir, &relay.endpoint, ACCESS_KEY, SECRET_KEY)?;
        let (rclone, s3cmd) = (Rclone::new(&relay.endpoint)?, S3cmd::new(&dir, &relay.endpoint)?);
        tree(&dir.join("tree"));
        for pass in PASSES {
            let changed = dir.join(pass).join("rclone-tree");
            tree(&changed);
            fs::write(changed.join("readme.txt"), format!("changed by pass {pass}")).expect("written");
            fs::rename(changed.join("empty"), changed.join(format!("renamed-{pass}"))).expect("it was there");
            let second = dir.join(pass).join("restic-tree");
            tree(&second);
            fs::write(second.join("more.txt"), format!("of the backup of pass {pass}")).expect("written");
        }
        Some(Sessions { dir, aws, rclone, restic, s3cmd, relay })
    }

    fn path(&self, path: &str) -> String {
        self.dir.join(path).display().to_string()
    }

    /// What there is to read, overwrite and delete later, written while all stores are well.
    fn before(&self) {
        for to in ["aws/tree", "aws/gone-1", "aws/gone-2"] {
            self.aws.good(&["s3", "sync", "tree", &at(to), "--no-progress", "--only-show-errors"]);
        }
        self.rclone.good(&["sync", &self.path("tree"), &self.rclone.at(&format!("{BUCKET}/rclone"))]);
        self.restic.good(&["init"]);
        self.restic.good(&["backup", "tree"]);
        self.s3cmd.good(&["sync", "tree/", &at("s3cmd/tree/")]);
        for pass in PASSES {
            self.s3cmd.good(&["put", "tree/readme.txt", &at(&format!("s3cmd/move-{pass}"))]);
            self.s3cmd.good(&["put", "tree/empty", &at(&format!("s3cmd/delete-{pass}"))]);
        }
    }

    fn with_aws(&self, pass: &str) {
        let back = format!("{pass}/aws-back");
        self.aws.good(&["s3", "sync", &at("aws/tree"), &back, "--no-progress"]);
        same(&self.dir.join("tree"), &self.dir.join(back));
        // 9 MiB go as a multipart upload.
        let (again, copied) = (at(&format!("aws/again-{pass}.bin")), at(&format!("aws/copied-{pass}.bin")));
        let file = format!("{pass}/aws-again.bin");
        self.aws.good(&["s3", "cp", "tree/big.bin", &again, "--no-progress"]);
        self.aws.good(&["s3", "cp", &again, &copied, "--no-progress"]);
        self.aws.good(&["s3", "cp", &copied, &file, "--no-progress"]);
        same(&self.dir.join("tree/big.bin"), &self.dir.join(file));
        self.aws.good(&["s3", "rm", &at(&format!("aws/gone-{pass}")), "--recursive"]);
    }

    fn with_rclone(&self, pass: &str) {
        let there = self.rclone.at(&format!("{BUCKET}/rclone"));
        let changed = self.path(&format!("{pass}/rclone-tree"));
        // Small enough that a multipart upload is among them.
        self.rclone.good(&["sync", "--s3-upload-cutoff=6M", "--s3-chunk-size=5M", &changed, &there]);
        self.rclone.good(&["copyto", &self.path("tree/big.bin"), &format!("{there}/big.bin"), "--ignore-times"]);
        self.rclone.good(&["check", "--download", &changed, &there]);
        self.rclone.good(&["check", &changed, &there]);
    }

    fn with_restic(&self, pass: &str) {
        let (from, to) = (format!("{pass}/restic-tree"), format!("{pass}/restored"));
        self.restic.good(&["backup", &from]);
        self.restic.good(&["check", "--read-data"]);
        self.restic.good(&["restore", "latest", "--target", &to]);
        same(&self.dir.join(&from), &self.dir.join(&to).join(&from));
    }

    fn with_s3cmd(&self, pass: &str) {
        let back = format!("{pass}/s3cmd-back/");
        fs::create_dir(self.dir.join(&back)).expect("made");
        self.s3cmd.good(&["sync", &at("s3cmd/tree/"), &back]);
        same(&self.dir.join("tree"), &self.dir.join(back));
        let (parts, file) = (at(&format!("s3cmd/parts-{pass}.bin")), format!("{pass}/s3cmd-parts.bin"));
        self.s3cmd.good(&["put", "--multipart-chunk-size-mb=5", "tree/big.bin", &parts]);
        self.s3cmd.good(&["get", &parts, &file]);
        same(&self.dir.join("tree/big.bin"), &self.dir.join(file));
        let (from, to) = (format!("s3cmd/move-{pass}"), format!("s3cmd/moved-{pass}"));
        self.s3cmd.good(&["mv", &at(&from), &at(&to)]);
        self.s3cmd.good(&["del", &at(&format!("s3cmd/delete-{pass}"))]);
    }

    /// All four at once; `happens` while they are at work.
    fn pass(&self, pass: &str, happens: impl FnOnce()) {
        let before = self.relay.waits().requests;
        std::thread::scope(|threads| {
            let clients = [
                threads.spawn(|| self.with_aws(pass)),
                threads.spawn(|| self.with_rclone(pass)),
                threads.spawn(|| self.with_restic(pass)),
                threads.spawn(|| self.with_s3cmd(pass)),
            ];
            let ended = || clients.iter().any(|client| client.is_finished());
            until(BEGIN_MAX, "the clients are at work", || {
                ended() || self.relay.waits().requests >= before + INTO_A_PASS
            });
            // Asked before it: a server needs a second or two to start again, and a short client may end meanwhile. One that
            // failed says why itself, when the scope ends.
            assert!(!ended(), "a client had ended before the fault began, or ended");
            happens();
        });
    }

    /// The same files in a folder, for comparison: what the gateway was told, and nothing else.
    fn expected(&self) -> &'static str {
        let whole = self.dir.join("expected").join(BUCKET);
        let copy = |from: &str, to: String| {
            let to = whole.join(to);
            fs::create_dir_all(to.parent().expect("it has one")).expect("made");
            good(Command::new("cp").arg("-r").arg(self.dir.join(from)).arg(to));
        };
        copy("tree", "aws/tree".to_owned());
        copy("tree", "s3cmd/tree".to_owned());
        copy("2/rclone-tree", "rclone".to_owned());
        for pass in PASSES {
            for key in ["aws/again", "aws/copied", "s3cmd/parts"] {
                copy("tree/big.bin", format!("{key}-{pass}.bin"));
            }
            copy("tree/readme.txt", format!("s3cmd/moved-{pass}"));
        }
        "expected"
    }
}

/// No answer was an error of ours, and no body broke off: a client that tries again had no reason to.
fn nobody_had_to_try_again(scene: &Scene) {
    let metrics = ask(&scene.gateway.admin, "/metrics").expect("the gateway answers");
    let of = |name: &str| metrics.lines().filter(|line| line.starts_with(name)).map(str::to_owned).collect::<Vec<_>>();
    let requests = of("outlast_s3_requests_total{");
    assert!(requests.len() > 5, "what is counted has other names: {metrics}");
    // 501: s3cmd asks for ACLs, which there are none of, and lives with it.
    let fails = |line: &&String| line.contains("status=\"5") && !line.contains("status=\"501\"");
    let failed: Vec<_> = requests.iter().filter(fails).collect();
    assert!(failed.is_empty(), "{failed:?}");
    let cut: Vec<_> = of("outlast_s3_bodies_cut_total{").into_iter().filter(|line| !line.ends_with(" 0")).collect();
    assert!(cut.is_empty(), "{cut:?}");
}

/// `bitten`: what shows, before the fault ends, that it was met.
fn play(places: &[(&str, Place<'_>)], scene: &Scene, on: impl FnOnce(), bitten: impl FnOnce(), off: impl FnOnce()) {
    let Some(sessions) = Sessions::open(scene) else { return };
    sessions.before();
    let [first, second] = PASSES;
    sessions.pass(first, on);
    bitten();
    sessions.pass(second, off);
    sessions.restic.good(&["check", "--read-data"]);
    nobody_had_to_try_again(scene);
    judge_waits(&sessions.relay.waits());
    scene.until_paid();
    let expected = scene.held(&Place::Disk(sessions.expected()));
    for (name, place) in places {
        let (of_restic, held): (BTreeMap<_, _>, BTreeMap<_, _>) =
            scene.held(place).into_iter().partition(|(key, _)| key.starts_with("restic/"));
        assert_eq!(held, expected, "{name} does not hold what the clients wrote");
        // Its names are the digests of what they hold, and it has read it all; so they must be the same everywhere.
        let of_others = scene.held(&places[0].1).into_iter().filter(|(key, _)| key.starts_with("restic/")).collect();
        assert!(of_restic == of_others, "{name} and {} differ in what restic wrote", places[0].0);
        let snapshots = of_restic.keys().filter(|key| key.starts_with("restic/snapshots/")).count();
        assert_eq!(snapshots, 1 + PASSES.len(), "{:?}", of_restic.keys());
    }
}

/// The store keeps its state over it, and counts.
fn beside_a_lasting_store(on: impl FnOnce(&Peer), off: impl FnOnce(&Peer), reason: &str) {
    let dir = folder();
    let Some((moto, garage)) = peers(dir.path()) else { return };
    let other = outlast_over_a_disk(dir.path(), "other");
    let places = lasting(Place::S3(&other), &moto, &garage);
    let Some(scene) = Scene::open(dir.path(), &places) else { return };
    let bitten = || {
        scene.until_standing("other", "down", reason);
        scene.is_owed_something("other");
    };
    play(&places, &scene, || on(&other), bitten, || off(&other));
}

#[test]
fn clients_beside_a_stopped_store() {
    beside_a_lasting_store(Peer::freeze, Peer::thaw, SILENT);
}

#[test]
fn clients_beside_a_killed_store() {
    beside_a_lasting_store(Peer::kill, Peer::start, REFUSED);
}

#[test]
fn clients_beside_a_killed_store_of_another_vendor() {
    let dir = folder();
    let Some((moto, garage)) = peers(dir.path()) else { return };
    let places = four(Place::S3(&moto), Place::S3(&garage));
    let Some(scene) = Scene::open(dir.path(), &places) else { return };
    play(&places, &scene, || garage.kill(), || scene.is_owed_something("garage"), || garage.start());
}

#[test]
fn clients_beside_an_emptied_store() {
    let dir = folder();
    let Some((moto, garage)) = peers(dir.path()) else { return };
    let places = four(Place::S3(&moto), Place::S3(&garage));
    let Some(scene) = Scene::open(dir.path(), &places) else { return };
    let on = || {
        moto.kill();
        moto.start();
    };
    let bitten = || {
        scene.until_standing("moto", "down", "emptied");
        assert!(scene.held(&Place::S3(&moto)).is_empty(), "an emptied store is not filled before it is accepted");
    };
    let off = || {
        let accepted = Launch::new(dir.path()).args(&["accept", "moto", "--yes"]).run("store");
        assert!(accepted.status.success(), "{accepted:?}");
    };
    play(&places, &scene, on, bitten, off);
}

fn beside(mode: Mode, shows: Shows) {
    let dir = folder();
    let Some((moto, garage)) = peers(dir.path()) else { return };
    let proxy = FaultProxy::start(&moto.endpoint);
    let places = four(Place::Through(&proxy, &moto), Place::S3(&garage));
    let Some(scene) = Scene::open(dir.path(), &places) else { return };
    let before = std::cell::Cell::new(0);
    let on = || {
        before.set(shows.counted(&scene));
        proxy.switch(mode);
    };
    let bitten = || shows.now(&scene, ("moto", &proxy), before.get());
    play(&places, &scene, on, bitten, || proxy.switch(Mode::Pass));
}

#[test]
fn clients_beside_a_store_that_forbids_everything() {
    beside(Mode::Forbid, Shows::Owed);
}

#[test]
fn clients_beside_a_store_that_is_too_busy() {
    beside(Mode::SlowDown, Shows::Owed);
}

#[test]
fn clients_beside_a_store_that_fails_after_applying() {
    beside(Mode::FailAfterApplying, Shows::Met);
}

#[test]
fn clients_beside_a_store_that_cuts_bodies() {
    beside(Mode::CutBodies, Shows::Counted("reads_failed_over"));
}

#[test]
fn clients_beside_a_store_that_hands_out_wrong_bytes() {
    beside(Mode::FlipBits, Shows::Counted("blocks_bad"));
}

#[test]
fn clients_beside_a_store_that_is_handed_wrong_bytes() {
    beside(Mode::FlipBitsOnTheWay, Shows::Met);
}
