//! One store of four fails, in each of the ways in which stores fail, under a load that must not notice.
//!
//! Stores of three kinds: moto keeps versions (A), two disks honour conditions (B), and Garage ignores them and keeps no
//! versions (C). Two copies are acknowledged, so one store may fail.

use crate::clients::Progress;
use crate::fault_proxy::{FaultProxy, Mode};
use crate::gateway::Launch;
use crate::peers::{Peer, outlast_over_a_disk};
use crate::scene::{Place, REFUSED, SILENT, Scene, Shows, folder, four, lasting, peers};

/// Requests, whole downloads of the large object, and multipart uploads that each act of a play lasts at least.
const ACT: Progress = Progress { ops: 80, films: 1, uploads: 1, errors: Vec::new() };

/// Well, then with the fault, then well again; `down`: the store and the words of its reason, where it must be seen down.
/// `bitten` is asked before the fault ends.
fn play(
    seed: &str,
    places: &[(&str, Place<'_>)],
    scene: &Scene,
    (on, bitten, off): (impl FnOnce(), impl FnOnce(), impl FnOnce()),
    down: Option<(&str, &str)>,
) {
    let mut load = scene.load(seed);
    load.act(&ACT);
    on();
    load.act(&ACT);
    if let Some((store, reason)) = down {
        scene.until_standing(store, "down", reason);
        load.act(&ACT);
    }
    bitten();
    off();
    load.act(&ACT);
    scene.judge(&load.end(), places);
}

#[test]
fn nothing_fails() {
    let dir = folder();
    let Some((moto, garage)) = peers(dir.path()) else { return };
    let places = four(Place::S3(&moto), Place::S3(&garage));
    let Some(scene) = Scene::open(dir.path(), &places) else { return };
    play("well", &places, &scene, (|| {}, || {}, || {}), None);
}

#[test]
fn moto_is_stopped() {
    let dir = folder();
    let Some((moto, garage)) = peers(dir.path()) else { return };
    let places = four(Place::S3(&moto), Place::S3(&garage));
    let Some(scene) = Scene::open(dir.path(), &places) else { return };
    let acts = (|| moto.freeze(), || scene.is_owed_something("moto"), || moto.thaw());
    play("stopped", &places, &scene, acts, Some(("moto", SILENT)));
}

#[test]
fn garage_is_stopped() {
    let dir = folder();
    let Some((moto, garage)) = peers(dir.path()) else { return };
    let places = four(Place::S3(&moto), Place::S3(&garage));
    let Some(scene) = Scene::open(dir.path(), &places) else { return };
    let acts = (|| garage.freeze(), || scene.is_owed_something("garage"), || garage.thaw());
    play("stopped", &places, &scene, acts, Some(("garage", SILENT)));
}

#[test]
fn garage_is_killed() {
    let dir = folder();
    let Some((moto, garage)) = peers(dir.path()) else { return };
    let places = four(Place::S3(&moto), Place::S3(&garage));
    let Some(scene) = Scene::open(dir.path(), &places) else { return };
    let acts = (|| garage.kill(), || scene.is_owed_something("garage"), || garage.start());
    play("killed", &places, &scene, acts, Some(("garage", REFUSED)));
}

/// A store that counts and keeps its state over its end.
fn with_a_lasting_store(seed: &str, on: impl FnOnce(&Peer), off: impl FnOnce(&Peer), reason: &str) {
    let dir = folder();
    let Some((moto, garage)) = peers(dir.path()) else { return };
    let other = outlast_over_a_disk(dir.path(), "other");
    let places = lasting(Place::S3(&other), &moto, &garage);
    let Some(scene) = Scene::open(dir.path(), &places) else { return };
    let acts = (|| on(&other), || scene.is_owed_something("other"), || off(&other));
    play(seed, &places, &scene, acts, Some(("other", reason)));
}

#[test]
fn a_store_that_lasts_is_killed() {
    with_a_lasting_store("lasts-killed", Peer::kill, Peer::start, REFUSED);
}

#[test]
fn a_store_that_lasts_is_stopped() {
    with_a_lasting_store("lasts-stopped", Peer::freeze, Peer::thaw, SILENT);
}

/// Its memory is gone with it: it is not believed until somebody says so, and then refilled.
#[test]
fn moto_is_emptied() {
    let dir = folder();
    let Some((moto, garage)) = peers(dir.path()) else { return };
    let places = four(Place::S3(&moto), Place::S3(&garage));
    let Some(scene) = Scene::open(dir.path(), &places) else { return };
    let mut load = scene.load("emptied");
    load.act(&ACT);
    moto.kill();
    moto.start();
    scene.until_standing("moto", "down", "emptied");
    load.act(&ACT);
    assert!(scene.held(&Place::S3(&moto)).is_empty(), "an emptied store is not filled before it is accepted");
    let accepted = Launch::new(dir.path()).args(&["accept", "moto", "--yes"]).run("store");
    assert!(accepted.status.success(), "{accepted:?}");
    load.act(&ACT);
    scene.judge(&load.end(), &places);
}

fn with_fault(seed: &str, mode: Mode, down: Option<&str>, shows: Shows) {
    let dir = folder();
    let Some((moto, garage)) = peers(dir.path()) else { return };
    let proxy = FaultProxy::start(&moto.endpoint);
    let places = four(Place::Through(&proxy, &moto), Place::S3(&garage));
    let Some(scene) = Scene::open(dir.path(), &places) else { return };
    under_fault(seed, &places, &scene, ("moto", &proxy), mode, down, shows);
}

/// The fault meets a store that ignores conditions and keeps no versions.
fn with_fault_of_garage(seed: &str, mode: Mode, shows: Shows) {
    let dir = folder();
    let Some((moto, garage)) = peers(dir.path()) else { return };
    let proxy = FaultProxy::start(&garage.endpoint);
    let places = four(Place::S3(&moto), Place::Through(&proxy, &garage));
    let Some(scene) = Scene::open(dir.path(), &places) else { return };
    under_fault(seed, &places, &scene, ("garage", &proxy), mode, None, shows);
}

/// The fault meets a store that honours conditions and keeps no versions.
fn with_fault_of_a_lasting_store(seed: &str, mode: Mode, down: Option<&str>, shows: Shows) {
    let dir = folder();
    let Some((moto, garage)) = peers(dir.path()) else { return };
    let other = outlast_over_a_disk(dir.path(), "other");
    let proxy = FaultProxy::start(&other.endpoint);
    let places = lasting(Place::Through(&proxy, &other), &moto, &garage);
    let Some(scene) = Scene::open(dir.path(), &places) else { return };
    under_fault(seed, &places, &scene, ("other", &proxy), mode, down, shows);
}

fn under_fault(
    seed: &str,
    places: &[(&str, Place<'_>)],
    scene: &Scene,
    (store, proxy): (&str, &FaultProxy),
    mode: Mode,
    down: Option<&str>,
    shows: Shows,
) {
    let down = down.map(|words| (store, words));
    let before = std::cell::Cell::new(0);
    let on = || {
        before.set(shows.counted(scene));
        proxy.switch(mode);
    };
    let bitten = || shows.now(scene, (store, proxy), before.get());
    play(seed, places, scene, (on, bitten, || proxy.switch(Mode::Pass)), down);
}

#[test]
fn a_store_forbids_everything() {
    with_fault("403", Mode::Forbid, Some("403"), Shows::Owed);
}

#[test]
fn a_store_is_too_busy() {
    with_fault("503", Mode::SlowDown, None, Shows::Owed);
}

#[test]
fn a_store_fails_after_applying() {
    with_fault("500", Mode::FailAfterApplying, None, Shows::Met);
}

#[test]
fn a_store_cuts_bodies() {
    with_fault("cut", Mode::CutBodies, None, Shows::Counted("reads_failed_over"));
}

#[test]
fn a_store_hands_out_wrong_bytes() {
    with_fault("flip", Mode::FlipBits, None, Shows::Counted("blocks_bad"));
}

#[test]
fn a_store_is_handed_wrong_bytes() {
    with_fault("flip-way", Mode::FlipBitsOnTheWay, None, Shows::Met);
}

#[test]
fn a_store_never_answers() {
    with_fault("silent", Mode::NeverAnswer, Some(SILENT), Shows::Met);
}

#[test]
fn garage_fails_after_applying() {
    with_fault_of_garage("500-garage", Mode::FailAfterApplying, Shows::Met);
}

#[test]
fn a_store_that_lasts_never_answers() {
    with_fault_of_a_lasting_store("silent-lasting", Mode::NeverAnswer, Some(SILENT), Shows::Owed);
}

#[test]
fn a_store_that_lasts_is_handed_wrong_bytes() {
    with_fault_of_a_lasting_store("flip-way-lasting", Mode::FlipBitsOnTheWay, None, Shows::Met);
}
