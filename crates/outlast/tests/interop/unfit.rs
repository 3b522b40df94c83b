//! `check` finds out a store that says yes to everything, and calls it unfit.

use crate::gateway::Launch;
use crate::peers::{moto, rclone_serve};
use crate::scene::{Place, configuration};
use std::fs;

#[test]
fn a_store_that_ignores_conditions_and_keeps_no_versions_is_no_place() {
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
        "it accepts If-Match and If-None-Match, ignores them, and keeps no versions: a late call could overwrite a \
         newer copy while it reports success"
            .to_owned(),
        "put accepts If-Match and ignores it".to_owned(),
        "put accepts If-None-Match and ignores it".to_owned(),
        format!("honest (s3 {}): fit\n", honest.endpoint),
        "disk (disk disk): fit\n".to_owned(),
        "[defaults] wants 3 copies, and 2 of its 3 stores are fit".to_owned(),
    ] {
        assert!(said.contains(&words), "{words}\nis not in\n{said}");
    }
}
