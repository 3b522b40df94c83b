//! Google Cloud Storage as fake-gcs-server speaks it, beside Azure and a disk: it stops answering under load, and while the
//! gateway is killed. It keeps everything in memory, so it is stopped and never ended.

use crate::azure::{ACT, GETS, PUTS};
use crate::gateway::Launch;
use crate::peers::{Peer, azurite, fake_gcs};
use crate::scene::{Place, Scene, folder};
use rustix::process::Signal;
use std::collections::BTreeMap;
use std::path::Path;

fn peers(dir: &Path) -> Option<(Peer, Peer)> {
    Some((fake_gcs(dir, "fake-gcs")?, azurite(dir, "azurite", "acmestorage")?))
}

fn places<'a>(google: &'a Peer, azure: &'a Peer) -> [(&'static str, Place<'a>); 3] {
    [("google", Place::Gcs(google)), ("azure", Place::Azure(azure)), ("disk", Place::Disk("disk"))]
}

#[test]
fn it_stops_under_load() {
    let dir = folder();
    let Some((google, azure)) = peers(dir.path()) else { return };
    let places = places(&google, &azure);
    let Some(scene) = Scene::open(dir.path(), &places) else { return };
    let mut load = scene.load("gcs");
    load.act(&ACT);
    google.freeze();
    load.act(&ACT);
    google.thaw();
    load.act(&ACT);
    scene.judge(&load.end(), &places);
}

#[test]
fn it_catches_up_though_the_gateway_was_killed() {
    let dir = folder();
    let Some((google, azure)) = peers(dir.path()) else { return };
    let places = places(&google, &azure);
    let Some(mut scene) = Scene::open(dir.path(), &places) else { return };
    scene.boto(&PUTS.replace("KEY", "before"));
    scene.until_paid();
    google.freeze();
    scene.boto(&PUTS.replace("KEY", "meanwhile"));
    scene.gateway.signal(Signal::KILL);
    // Whoever starts asks every store who it is, and waits for those that hang.
    google.thaw();
    let dir = scene.dir.clone();
    scene.gateway = Launch::new(&dir).serve();
    scene.until_paid();
    let read: BTreeMap<String, String> = serde_json::from_str(&scene.boto(GETS)).expect("JSON");
    assert_eq!(read.len(), 8, "{read:?}");
    assert_eq!(scene.held(&places[0].1), read, "every key lies under its own name");
}
