//! restic: a repository is made, filled twice, checked with all its data, and restored.

use super::aws::{same, tree};
use super::{all_alike, healthy};
use crate::clients::{ACCESS_KEY, SECRET_KEY, good, system_tool};
use crate::scene::BUCKET;
use std::fs;
use std::process::Command;

#[test]
fn restic_restores_what_it_backed_up() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let Some((moto, garage, scene)) = healthy(dir.path()) else { return };
    let Some(program) = system_tool("restic") else { return };
    let restic = |args: &[&str]| {
        let mut command = Command::new(&program);
        command.arg("-r").arg(format!("s3:{}/{BUCKET}/repository", scene.gateway.s3)).args(["--no-cache", "-q"]);
        command.args(args).current_dir(dir.path()).env("RESTIC_PASSWORD", "of-the-tests");
        command.env("AWS_ACCESS_KEY_ID", ACCESS_KEY).env("AWS_SECRET_ACCESS_KEY", SECRET_KEY);
        good(&mut command)
    };
    tree(&dir.path().join("tree"));
    restic(&["init"]);
    restic(&["backup", "tree"]);
    fs::write(dir.path().join("tree/second.txt"), "of the second backup").expect("written");
    restic(&["backup", "tree"]);
    restic(&["check", "--read-data"]);
    let snapshots: serde_json::Value = serde_json::from_str(&restic(&["snapshots", "--json"])).expect("JSON");
    assert_eq!(snapshots.as_array().map(Vec::len), Some(2));
    restic(&["restore", "latest", "--target", "restored"]);
    same(&dir.path().join("tree"), &dir.path().join("restored/tree"));
    restic(&["forget", "--keep-last", "1", "--prune"]);
    restic(&["check", "--read-data"]);
    all_alike(&scene, (&moto, &garage), None, &[]);
}
