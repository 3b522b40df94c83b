//! rclone and s3cmd: a folder is mirrored, checked byte by byte, changed, and mirrored again.

use super::aws::{same, tree};
use super::{all_alike, healthy};
use crate::clients::{Rclone, S3cmd};
use crate::scene::BUCKET;
use std::fs;

#[test]
fn rclone_sync_and_check() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let Some((moto, garage, scene)) = healthy(dir.path()) else { return };
    let Some(rclone) = Rclone::new(&scene.gateway.s3) else { return };
    let local = dir.path().join("tree");
    tree(&local);
    let (here, there) = (local.display().to_string(), rclone.at(&format!("{BUCKET}/tree")));
    // Small enough that a multipart upload is among them.
    let sync = ["sync", "--s3-upload-cutoff=6M", "--s3-chunk-size=5M", &here, &there];
    rclone.good(&sync);
    rclone.good(&["check", "--download", &here, &there]);
    rclone.good(&["check", &here, &there]);

    fs::write(local.join("readme.txt"), "changed").expect("written");
    fs::remove_file(local.join("deep/er/still.bin")).expect("it was there");
    fs::rename(local.join("empty"), local.join("renamed")).expect("it was there");
    rclone.good(&sync);
    rclone.good(&["check", "--download", &here, &there]);
    let back = dir.path().join("back");
    rclone.good(&["copy", &there, &back.display().to_string()]);
    // rclone makes no empty folders.
    fs::remove_dir(local.join("deep/er")).expect("it is empty");
    same(&local, &back);
    rclone.good(&["moveto", &format!("{there}/big.bin"), &format!("{there}/bigger.bin")]);
    let listed = rclone.good(&["lsf", "-R", "--files-only", &there]);
    let mut listed: Vec<_> = listed.lines().collect();
    listed.sort_unstable();
    assert_eq!(listed, ["bigger.bin", "deep/with space & plus+.txt", "deep/ümlaut-日本.txt", "readme.txt", "renamed"]);
    all_alike(&scene, (&moto, &garage), Some(5), &[]);
    rclone.good(&["purge", &there]);
    all_alike(&scene, (&moto, &garage), Some(0), &[]);
}

#[test]
fn s3cmd_session() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let Some((moto, garage, scene)) = healthy(dir.path()) else { return };
    let Some(s3cmd) = S3cmd::new(dir.path(), &scene.gateway.s3) else { return };
    let at = |path: &str| format!("s3://{BUCKET}/{path}");
    tree(&dir.path().join("tree"));
    s3cmd.good(&["put", "--mime-type=text/x-mirrored", "tree/readme.txt", &at("one.txt")]);
    s3cmd.good(&["get", &at("one.txt"), "one.txt"]);
    assert_eq!(
        fs::read(dir.path().join("one.txt")).expect("there"),
        fs::read(dir.path().join("tree/readme.txt")).expect("there")
    );
    let info = s3cmd.good(&["info", &at("one.txt")]);
    assert!(info.contains("text/x-mirrored"), "{info}");

    s3cmd.good(&["sync", "tree/", &at("tree/")]);
    s3cmd.good(&["sync", &at("tree/"), "back/"]);
    same(&dir.path().join("tree"), &dir.path().join("back"));
    // 9 MiB in parts of 5.
    s3cmd.good(&["put", "--multipart-chunk-size-mb=5", "tree/big.bin", &at("parts.bin")]);
    s3cmd.good(&["get", &at("parts.bin"), "parts.bin"]);
    assert!(
        fs::read(dir.path().join("parts.bin")).expect("there")
            == fs::read(dir.path().join("tree/big.bin")).expect("there")
    );
    s3cmd.good(&["cp", &at("one.txt"), &at("two.txt")]);
    s3cmd.good(&["mv", &at("two.txt"), &at("three.txt")]);
    let listed = s3cmd.good(&["ls", &at("")]);
    assert!(listed.contains("one.txt") && listed.contains("three.txt") && !listed.contains("two.txt"), "{listed}");
    all_alike(&scene, (&moto, &garage), Some(9), &[]);
    s3cmd.good(&["del", "--recursive", "--force", &at("")]);
    all_alike(&scene, (&moto, &garage), Some(0), &[]);
}
