//! Several clients on one key, and one client in a hurry: `racers.py` has one function for each of these.

use crate::peers::{garage, moto};
use crate::scene::{Place, Scene};

/// After the race every store holds one object, and the same.
fn race(name: &str) {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let (Some(moto), Some(garage)) = (moto(dir.path(), "moto"), garage(dir.path(), "garage")) else { return };
    let places = [("moto", Place::S3(&moto)), ("garage", Place::S3(&garage)), ("disk", Place::Disk("disk"))];
    let Some(scene) = Scene::open(dir.path(), &places) else { return };
    scene.boto(&format!("{}\n{name}()", include_str!("racers.py")));
    scene.until_paid();
    let held: Vec<_> = places.iter().map(|(_, place)| scene.held(place)).collect();
    assert_eq!(held[0].keys().collect::<Vec<_>>(), ["one"]);
    assert!(held.iter().all(|other| *other == held[0]), "{held:?}");
}

#[test]
fn delete_then_put_of_one_key() {
    race("delete_then_put");
}

#[test]
fn overwrites_in_a_loop() {
    race("overwrites");
}

#[test]
fn sixteen_writers_on_one_key() {
    race("sixteen_writers");
}

#[test]
fn readers_beside_writers() {
    race("readers_beside_writers");
}
