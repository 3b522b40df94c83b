//! aws-cli, rclone, restic and s3cmd, each in the middle of its own work when one store of four fails, in each of the ways in
//! which stores fail. None of them may try twice, and what the gateway counted shows that none had to.

use crate::clients::{ACCESS_KEY, Rclone, S3cmd, SECRET_KEY, ask, good, system_tool};
use crate::fault_proxy::{FaultProxy, Mode};
use crate::gateway::Launch;
use crate::peers::{Peer, garage, moto};
use crate::scene::{BUCKET, Place, Scene, folder};
use crate::suites::aws::{same, tree};
use crate::tools::Aws;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

struct Restic {
    program: PathBuf,
    dir: PathBuf,
    repository: String,
}

impl Restic {
    /// It tries again by itself and cannot be told not to; that it never had to is seen by what the gateway has answered.
    fn good(&self, args: &[&str]) {
        let mut command = Command::new(&self.program);
        command.args(["-r", &self.repository, "--no-cache", "-q"]).args(args).current_dir(&self.dir);
        command.env("RESTIC_PASSWORD", "of-the-tests");
        command.env("AWS_ACCESS_KEY_ID", ACCESS_KEY).env("AWS_SECRET_ACCESS_KEY", SECRET_KEY);
        good(&mut command);
    }
}

/// The four clients over one folder of files.
struct Sessions {
    dir: PathBuf,
    aws: Aws,
    rclone: Rclone,
    restic: Restic,
    s3cmd: S3cmd,
}

fn at(path: &str) -> String {
    format!("s3://{BUCKET}/{path}")
}

impl Sessions {
    /// None: a client is not installed, and left out.
    fn open(scene: &Scene) -> Option<Sessions> {
        let dir = scene.dir.clone();
        let repository = format!("s3:{}/{BUCKET}/restic", scene.gateway.s3);
        let restic = Restic { program: system_tool("restic")?, dir: dir.clone(), repository };
        let aws = Aws::new(&dir, &scene.gateway.s3, ACCESS_KEY, SECRET_KEY)?;
        let (rclone, s3cmd) = (Rclone::new(&scene.gateway)?, S3cmd::new(&dir, &scene.gateway)?);
        tree(&dir.join("tree"));
        Some(Sessions { dir, aws, rclone, restic, s3cmd })
    }

    fn tree(&self) -> String {
        self.dir.join("tree").display().to_string()
    }

    /// What there is to read, overwrite and delete later, written while all stores are well.
    fn before(&self) {
        self.aws.good(&["s3", "sync", "tree", &at("aws"), "--no-progress"]);
        self.rclone.good(&["sync", &self.tree(), &self.rclone.at(&format!("{BUCKET}/rclone"))]);
        self.restic.good(&["init"]);
        self.restic.good(&["backup", "tree"]);
        self.s3cmd.good(&["sync", "tree/", &at("s3cmd/")]);
    }

    fn with_aws(&self) {
        self.aws.good(&["s3", "sync", &at("aws"), "aws-back", "--no-progress"]);
        same(&self.dir.join("tree"), &self.dir.join("aws-back"));
        // 9 MiB go as a multipart upload.
        self.aws.good(&["s3", "cp", "tree/big.bin", &at("aws/again.bin"), "--no-progress"]);
        self.aws.good(&["s3", "cp", &at("aws/again.bin"), &at("aws/copied.bin"), "--no-progress"]);
        self.aws.good(&["s3", "cp", &at("aws/copied.bin"), "aws-again.bin", "--no-progress"]);
        same(&self.dir.join("tree/big.bin"), &self.dir.join("aws-again.bin"));
        self.aws.good(&["s3", "rm", &at("aws/deep"), "--recursive"]);
    }

    fn with_rclone(&self) {
        let (changed, there) = (self.dir.join("rclone-tree"), self.rclone.at(&format!("{BUCKET}/rclone")));
        tree(&changed);
        fs::write(changed.join("readme.txt"), "changed").expect("written");
        fs::rename(changed.join("empty"), changed.join("renamed")).expect("it was there");
        let changed = changed.display().to_string();
        // Small enough that a multipart upload is among them.
        self.rclone.good(&["sync", "--s3-upload-cutoff=6M", "--s3-chunk-size=5M", &changed, &there]);
        self.rclone.good(&[
            "copyto",
            &format!("{}/big.bin", self.tree()),
            &format!("{there}/big.bin"),
            "--ignore-times",
        ]);
        self.rclone.good(&["check", "--download", &changed, &there]);
        self.rclone.good(&["check", &changed, &there]);
    }

    fn with_restic(&self) {
        let second = self.dir.join("restic-tree");
        tree(&second);
        fs::write(second.join("second.txt"), "of the second backup").expect("written");
        self.restic.good(&["backup", "restic-tree"]);
        self.restic.good(&["check", "--read-data"]);
        self.restic.good(&["restore", "latest", "--target", "restored"]);
        same(&second, &self.dir.join("restored/restic-tree"));
    }

    fn with_s3cmd(&self) {
        self.s3cmd.good(&["sync", &at("s3cmd/"), "s3cmd-back/"]);
        same(&self.dir.join("tree"), &self.dir.join("s3cmd-back"));
        self.s3cmd.good(&["put", "--multipart-chunk-size-mb=5", "tree/big.bin", &at("s3cmd/parts.bin")]);
        self.s3cmd.good(&["get", &at("s3cmd/parts.bin"), "s3cmd-parts.bin"]);
        same(&self.dir.join("tree/big.bin"), &self.dir.join("s3cmd-parts.bin"));
        self.s3cmd.good(&["mv", &at("s3cmd/readme.txt"), &at("s3cmd/moved.txt")]);
        self.s3cmd.good(&["del", &at("s3cmd/empty")]);
    }

    /// All four at once; `on` happens when they have begun.
    fn beside(&self, on: impl FnOnce()) {
        std::thread::scope(|threads| {
            threads.spawn(|| self.with_aws());
            threads.spawn(|| self.with_rclone());
            threads.spawn(|| self.with_restic());
            threads.spawn(|| self.with_s3cmd());
            on();
        });
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
    sessions.beside(on);
    bitten();
    nobody_had_to_try_again(scene);
    off();
    scene.until_paid();
    let held: Vec<_> = places.iter().map(|(name, place)| (name, scene.held(place))).collect();
    let (first, first_held) = &held[0];
    // 6 files less deep's 3 and 2 more; 6; 6 and one more less one; restic's own names beside them.
    let of = |prefix: &str| first_held.keys().filter(|key| key.starts_with(prefix)).count();
    assert_eq!((of("aws/"), of("rclone/"), of("s3cmd/")), (5, 6, 6), "{:?}", first_held.keys());
    assert!(of("restic/snapshots/") == 2 && of("restic/data/") > 0, "{:?}", first_held.keys());
    for (name, holds) in &held {
        assert_eq!(holds, first_held, "{name} and {first} differ");
    }
}

fn four<'a>(moto: Place<'a>, garage: Place<'a>) -> [(&'static str, Place<'a>); 4] {
    [("moto", moto), ("garage", garage), ("disk", Place::Disk("disk")), ("spare", Place::Disk("spare"))]
}

fn peers(dir: &Path) -> Option<(Peer, Peer)> {
    Some((moto(dir, "moto")?, garage(dir, "garage")?))
}

fn is_owed_something(scene: &Scene, store: &str) {
    let seen = scene.store(store);
    assert!(seen["owed_objects"].as_u64().is_some_and(|owed| owed > 0), "the fault was not met: {seen}");
}

#[test]
fn clients_beside_a_stopped_store() {
    let dir = folder();
    let Some((moto, garage)) = peers(dir.path()) else { return };
    let places = four(Place::S3(&moto), Place::S3(&garage));
    let Some(scene) = Scene::open(dir.path(), &places) else { return };
    play(&places, &scene, || garage.freeze(), || is_owed_something(&scene, "garage"), || garage.thaw());
}

#[test]
fn clients_beside_a_killed_store() {
    let dir = folder();
    let Some((moto, garage)) = peers(dir.path()) else { return };
    let places = four(Place::S3(&moto), Place::S3(&garage));
    let Some(scene) = Scene::open(dir.path(), &places) else { return };
    play(&places, &scene, || garage.kill(), || is_owed_something(&scene, "garage"), || garage.start());
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

/// `refuses`: whether the store takes no writes meanwhile.
fn beside(mode: Mode, refuses: bool) {
    let dir = folder();
    let Some((moto, garage)) = peers(dir.path()) else { return };
    let proxy = FaultProxy::start(&moto.endpoint);
    let places = four(Place::Through(&proxy, &moto), Place::S3(&garage));
    let Some(scene) = Scene::open(dir.path(), &places) else { return };
    let bitten = || {
        assert!(proxy.met() > 0, "no request met the fault");
        if refuses {
            is_owed_something(&scene, "moto");
        }
    };
    play(&places, &scene, || proxy.switch(mode), bitten, || proxy.switch(Mode::Pass));
}

#[test]
fn clients_beside_a_store_that_forbids_everything() {
    beside(Mode::Forbid, true);
}

#[test]
fn clients_beside_a_store_that_is_too_busy() {
    beside(Mode::SlowDown, true);
}

#[test]
fn clients_beside_a_store_that_fails_after_applying() {
    beside(Mode::FailAfterApplying, false);
}

#[test]
fn clients_beside_a_store_that_cuts_bodies() {
    beside(Mode::CutBodies, false);
}

#[test]
fn clients_beside_a_store_that_hands_out_wrong_bytes() {
    beside(Mode::FlipBits, false);
}
