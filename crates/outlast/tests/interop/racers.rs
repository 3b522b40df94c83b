//! Several clients on one key, and one client in a hurry: `racers.py` has one function for each of these.

use crate::gateway::Launch;
use crate::peers::{garage, moto};
use crate::scene::{Place, Scene};
use std::path::Path;

/// Every store is well: no client sees an error, and after the race every store holds one object, and the same.
fn race_over(dir: &Path, names: &[&str], places: &[(&str, Place<'_>)]) {
    let Some(scene) = Scene::open(dir, places) else { return };
    let calls: Vec<String> = names.iter().map(|name| format!("{name}()")).collect();
    scene.boto(&format!("{}\n{}", include_str!("racers.py"), calls.join("\n")));
    scene.until_paid();
    let held: Vec<_> = places.iter().map(|(_, place)| scene.held(place)).collect();
    assert_eq!(held[0].keys().collect::<Vec<_>>(), ["one"]);
    assert!(held.iter().all(|other| *other == held[0]), "{held:?}");
    let verified = Launch::new(dir).args(&["load", "--deep"]).run("verify");
    assert_eq!(verified.status.code(), Some(0), "{}", String::from_utf8_lossy(&verified.stdout));
}

/// Two stores that count and keep what they are told in different ways.
fn race(name: &str) {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let Some(moto) = moto(dir.path(), "moto") else { return };
    let places = [("moto", Place::S3(&moto)), ("one", Place::Disk("one")), ("two", Place::Disk("two"))];
    race_over(dir.path(), &[name], &places);
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

/// The same one after the other, beside a store that ignores the conditions of writes.
#[test]
fn every_race_with_garage() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let (Some(moto), Some(garage)) = (moto(dir.path(), "moto"), garage(dir.path(), "garage")) else { return };
    let places = [("moto", Place::S3(&moto)), ("garage", Place::S3(&garage)), ("disk", Place::Disk("disk"))];
    race_over(dir.path(), &["delete_then_put", "overwrites", "sixteen_writers"], &places);
}
