//! What the probe finds out of third parties: who says yes to everything, and who names versions that it does not keep.

use crate::gateway::Launch;
use crate::peers::{garage, moto, rclone_serve};
use crate::scene::{Place, Scene, configuration};
use crate::waiting::until_ok;
use std::fs;
use std::time::Duration;

#[test]
fn a_store_that_ignores_all_conditions_and_keeps_no_versions_is_no_place() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let (Some(liar), Some(honest)) = (rclone_serve(dir.path(), "liar"), moto(dir.path(), "honest")) else { return };
    fs::create_dir(dir.path().join("disk")).expect("made");
    let places = [("liar", Place::S3(&liar)), ("honest", Place::S3(&honest)), ("disk", Place::Disk("disk"))];
    fs::write(dir.path().join("outlast.toml"), configuration(&places, "min_copies = 3\n")).expect("written");

    let output = Launch::new(dir.path()).run("check");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    for words in [
        format!("liar (s3 {}): UNFIT\n", liar.endpoint),
        "it accepts every condition, of writes and of what it is to copy, and ignores them all, and keeps no versions: its \
         yes to a call says nothing of what it did"
            .to_owned(),
        "a copy is made of whatever lies at its source, which is named by its ETag".to_owned(),
        "put accepts If-Match and ignores it".to_owned(),
        "put accepts If-None-Match and ignores it".to_owned(),
        format!("honest (s3 {}): fit\n", honest.endpoint),
        "disk (disk disk): fit\n".to_owned(),
        "[defaults] wants 3 copies, and 2 of its 3 stores are fit".to_owned(),
    ] {
        assert!(said.contains(&words), "{words}\nis not in\n{said}");
    }
}

/// Garage answers every PUT with a version id, keeps none, and copies nothing that is named by one.
#[test]
fn a_store_that_names_versions_and_keeps_none_is_probed() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let (Some(garage), Some(moto)) = (garage(dir.path(), "garage"), moto(dir.path(), "moto")) else { return };
    let places = [("garage", Place::S3(&garage)), ("moto", Place::S3(&moto)), ("disk", Place::Disk("disk"))];
    fs::create_dir(dir.path().join("disk")).expect("made");
    fs::write(dir.path().join("outlast.toml"), configuration(&places, "min_copies = 2\n")).expect("written");
    let output = Launch::new(dir.path()).args(&["--json"]).run("check");
    let said: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let stores = said["stores"].as_array().expect("stores");
    let store = stores.iter().find(|store| store["name"] == "garage").expect("it is configured");
    // It ignores the conditions of writes, and honours those of what it is to copy: grade C, and a place.
    assert_eq!((&store["fit"], &store["grades"]["put"]), (&true.into(), &"C".into()), "{store}");
    assert_eq!(store["weaknesses"][0], "PUT accepts conditions and ignores them", "{store}");

    let Some(scene) = Scene::open(dir.path(), &places) else { return };
    until_ok(Duration::from_secs(30), || {
        let seen = scene.store("garage");
        if seen["probed"].is_u64() { Ok(()) } else { Err(seen.to_string()) }
    });
    assert_eq!(scene.store("garage")["unprobed"], serde_json::Value::Null);
}
