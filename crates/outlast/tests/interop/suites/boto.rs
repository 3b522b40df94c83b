//! boto3, as applications use it: `boto.py` has one function for each of these.

use super::{all_alike, healthy};

fn session(name: &str, objects: usize, escaped: &[&str]) {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let Some((moto, garage, scene)) = healthy(dir.path()) else { return };
    scene.boto(&format!("{}\n{name}()", include_str!("boto.py")));
    all_alike(&scene, (&moto, &garage), Some(objects), escaped);
}

#[test]
fn checksums_by_default_and_by_choice() {
    session("checksums", 9, &[]);
}

#[test]
fn conditional_writes_and_reads() {
    session("conditions", 1, &[]);
}

#[test]
fn copies_and_batches() {
    session("copies", 6, &[]);
}

#[test]
fn listings() {
    // No `a` beside `a/b`: which of the two a disk holds under its own name depends on which came there first.
    session("listings", 61, &["a//c", "a///d"]);
}

#[test]
fn ranges_and_heads() {
    session("ranges", 3, &[]);
}

#[test]
fn presigned_requests() {
    session("presigned", 1, &[]);
}
