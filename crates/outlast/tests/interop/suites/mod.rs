//! Whole sessions of real clients over three healthy stores, and what every store holds afterwards.

pub mod aws;
mod backup;
mod boto;
mod mirrors;

use crate::peers::{Peer, garage, moto};
use crate::scene::{Place, Scene};
use std::path::Path;

/// moto (A), Garage (C) and a disk (B). None: left out.
fn healthy(dir: &Path) -> Option<(Peer, Peer, Scene)> {
    let (moto, garage) = (moto(dir, "moto")?, garage(dir, "garage")?);
    let scene = Scene::open(dir, &places(&moto, &garage))?;
    Some((moto, garage, scene))
}

fn places<'a>(moto: &'a Peer, garage: &'a Peer) -> [(&'static str, Place<'a>); 3] {
    [("moto", Place::S3(moto)), ("garage", Place::S3(garage)), ("disk", Place::Disk("disk"))]
}

/// After everything is paid, every store holds the same, and these many objects of it. `escaped`: keys that a disk
/// cannot hold under their own names.
fn all_alike(scene: &Scene, (moto, garage): (&Peer, &Peer), objects: Option<usize>, escaped: &[&str]) {
    scene.until_paid();
    let [(_, moto), (_, garage), (_, disk)] = places(moto, garage);
    let held = scene.held(&moto);
    assert_eq!(scene.held(&garage), held, "Garage and moto differ");
    if let Some(objects) = objects {
        assert_eq!(held.len(), objects, "{:?}", held.keys());
    }
    let on_disk = scene.held(&disk);
    assert_eq!(on_disk.len() + escaped.len(), held.len(), "{:?}", on_disk.keys());
    let differs = |key: &&String| on_disk.get(*key) != held.get(*key) && !escaped.contains(&key.as_str());
    let differing: Vec<_> = held.keys().filter(differs).collect();
    assert!(differing.is_empty(), "the disk and moto differ in {differing:?}");
}
