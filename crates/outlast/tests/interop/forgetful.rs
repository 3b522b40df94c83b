//! rclone's `serve s3` as one of three stores: it gets every copy and none of them counts, and a restart costs it every stamp.

use crate::clients::{good, script};
use crate::gateway::Launch;
use crate::peers::{Peer, rclone_serve};
use crate::scene::{Place, Scene, configuration};
use crate::waiting::until_ok;
use std::fs;
use std::path::Path;
use std::time::Duration;

/// Python: what each key of the load's bucket is, with bytes, headers and metadata, written in a way that tells them from each other.
const WRITTEN: &str = r#"
def body(key, size): return (f"{key} " * (size // len(key) + 1)).encode()[:size]
SIZES = {"large": 300_000, "note": 700, "empty": 0, "goes": 5000, "again": 70_000}
def put(key, size): s3.put_object(Bucket="load", Key=key, Body=body(key, size), ContentType="text/x-" + key, Metadata={"of": key})
def is_right(key, size):
    got = s3.get_object(Bucket="load", Key=key)
    assert got["Body"].read() == body(key, size), key
    assert (got["ContentType"], got["Metadata"]) == ("text/x-" + key, {"of": key}), got
"#;

/// What rclone itself says of a key: its metadata, asked without us. It writes names as it likes.
fn metadata(python: &Path, liar: &Peer, key: &str) -> String {
    let lines = format!("print(s3.head_object(Bucket='load', Key='{key}')['Metadata'])");
    let text = format!("{}\n{lines}", include_str!("client.py"));
    good(&mut script(python, &text, &[&liar.endpoint, liar.access_key, liar.secret_key])).trim().to_lowercase()
}

/// rclone's `serve s3` beside two disks: it gets every copy and none of them counts, and when it is started again all that it was
/// told besides bytes is gone. Nobody notices, and nothing of ours is taken for somebody else's.
#[test]
fn a_store_that_forgets_every_stamp_is_never_wrong_and_never_foreign() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let here = dir.path();
    let Some(mut liar) = rclone_serve(here, "liar") else { return };
    // Or a busy machine might read there first, and nobody would notice what the disks have lost.
    liar.dear = true;
    let places = [("liar", Place::S3(&liar)), ("one", Place::Disk("one")), ("two", Place::Disk("two"))];
    let Some(scene) = Scene::open(here, &places) else { return };
    let held = |scene: &Scene| places.each_ref().map(|(_, place)| scene.held(place));
    let same_everywhere = |scene: &Scene, keys: &[&str]| {
        scene.until_paid();
        let held = held(scene);
        assert_eq!(held[1].keys().collect::<Vec<_>>(), keys);
        assert!(held.iter().all(|one| *one == held[1]), "{held:#?}");
    };
    scene.boto(&format!("{WRITTEN}\nfor key, size in SIZES.items(): put(key, size)"));
    same_everywhere(&scene, &["again", "empty", "goes", "large", "note"]);
    let stamped = metadata(&scene.python, &liar, "large");
    assert!(stamped.contains("'outlast'"), "a copy has its stamp: {stamped}");

    // Unfit, with the reason, wherever somebody asks.
    let why = until_ok(Duration::from_secs(60), || {
        let seen = scene.store("liar");
        seen["unfit"].as_str().map(str::to_owned).ok_or_else(|| seen.to_string())
    });
    assert!(why.contains("and keeps no versions"), "{why}");
    assert_eq!(scene.store("one")["unfit"], serde_json::Value::Null);
    let said = |command: &str| String::from_utf8_lossy(&Launch::new(here).run(command).stdout).into_owned();
    let status = said("status");
    assert!(status.contains(&format!("liar: UNFIT, it gets copies and none of them counts: {why}")), "{status}");
    assert!(!status.contains("one: UNFIT"), "{status}");
    let check = said("check");
    assert!(check.contains(&format!("liar (s3 {}): UNFIT\n", liar.endpoint)) && check.contains(&why), "{check}");

    liar.kill();
    liar.start();
    assert_eq!(metadata(&scene.python, &liar, "large"), "{}", "it has forgotten everything");
    scene.boto(&format!("{WRITTEN}\nfor key, size in SIZES.items(): is_right(key, size)"));
    // What it has is good for reading, every block checked, where nobody else has it any more; headers are the ledger's.
    for disk in ["one", "two"] {
        fs::remove_file(here.join(disk).join("load/large")).expect("it was there");
    }
    scene.boto(&format!("{WRITTEN}\nis_right('large', 300_000)"));
    // Overwritten and deleted over copies that have no stamp.
    scene.boto(&format!("{WRITTEN}\nput('again', 5)\ns3.delete_object(Bucket='load', Key='goes')"));
    same_everywhere(&scene, &["again", "empty", "large", "note"]);
    assert_eq!(metadata(&scene.python, &liar, "large"), stamped, "it was stamped again, as before");
    scene.boto(&format!(
        "{WRITTEN}\nSIZES['again'] = 5\ndel SIZES['goes']\nfor key, size in SIZES.items(): is_right(key, size)"
    ));
    let verified = Launch::new(here).args(&["load", "--deep"]).run("verify");
    assert_eq!(verified.status.code(), Some(0), "{}", String::from_utf8_lossy(&verified.stdout));
    assert_eq!(scene.status()["counters"]["conflicts_kept"], 0, "a copy of ours was taken for foreign");
    for store in ["liar", "one", "two"] {
        assert!(!here.join(store).join("load/.outlast/conflicts").exists(), "{store} keeps a conflict copy");
    }
    assert!(!scene.gateway.log().contains("not ours"), "{}", scene.gateway.log());

    // Its copies count for nothing: of three stores two are places, and three are wanted.
    let (dir, python) = (scene.dir.clone(), scene.python.clone());
    drop(scene);
    fs::write(here.join("outlast.toml"), configuration(&places, "min_copies = 3\nspool_counts = false\n"))
        .expect("written");
    let scene = Scene { dir, gateway: Launch::new(here).serve(), python };
    let said = scene.boto(&format!(
        "{WRITTEN}\nis_right('note', 700)\nprint(refused('ServiceUnavailable', lambda: put('note', 800))['Error']['Message'])"
    ));
    assert!(said.contains("fewer than 3 places took this write"), "{said}");
}
