//! Drills as they are typed, over three disks: clients do not notice, everybody can see it, and it ends however its command does.

use crate::support::{Aws, Gateway, Launch, free_address};
use crate::waiting::{until, until_ok};
use rustix::process::{Pid, Signal, kill_process};
use std::fs;
use std::path::Path;
use std::process::{Child, Output};
use std::time::Duration;

/// A lease is 15 s; a machine that needs much longer is not well.
const PATIENCE: Duration = Duration::from_secs(60);
const SECRET: &str = "long-enough-for-everybody";

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn launch(dir: &Path) -> Launch {
    Launch::new(dir).env("APP_SECRET", SECRET)
}

fn run(dir: &Path, args: &[&str]) -> Output {
    launch(dir).args(&args[1..]).run(args[0])
}

fn json(output: &Output) -> serde_json::Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}", said(output)))
}

/// A gateway over three disks, and its client.
fn house(dir: &Path) -> (Gateway, Option<Aws>) {
    let mut text = format!(
        "[admin]\nlisten = \"{}\"\n[user.app]\naccess_key = \"APP\"\nsecret_key = {{ env = \"APP_SECRET\" }}\n",
        free_address()
    );
    for store in ["nas", "usb", "box"] {
        fs::create_dir_all(dir.join(store)).expect("made");
        text.push_str(&format!("[store.{store}]\nkind = \"disk\"\npath = \"{store}\"\n"));
    }
    fs::write(dir.join("outlast.toml"), text).expect("written");
    let gateway = launch(dir).serve();
    let aws = Aws::new(dir, &gateway.s3, "APP", SECRET);
    (gateway, aws)
}

fn faults(dir: &Path) -> Vec<serde_json::Value> {
    json(&run(dir, &["fault", "list", "--json"])).as_array().expect("a list").clone()
}

fn until_faults(dir: &Path, count: usize) {
    until_ok(PATIENCE, || {
        let now = faults(dir);
        if now.len() == count { Ok(()) } else { Err(format!("{now:?}, not {count} faults")) }
    });
}

fn ended(mut child: Child) -> Option<i32> {
    child.wait().expect("it ends").code()
}

fn kill(child: &Child, signal: Signal) {
    let pid = Pid::from_raw(child.id().try_into().expect("a process id")).expect("it is not 0");
    kill_process(pid, signal).expect("the command runs");
}

#[test]
fn a_store_hangs_and_nobody_notices() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let here = dir.path();
    let (gateway, aws) = house(here);
    let Some(aws) = aws else { return };
    aws.good(&["s3", "mb", "s3://photos"]);
    fs::write(here.join("cat.jpg"), "a cat").expect("written");
    aws.good(&["s3api", "put-object", "--bucket", "photos", "--key", "old", "--body", "cat.jpg"]);
    until(PATIENCE, "all three stores hold it", || {
        ["nas", "usb", "box"].iter().all(|store| here.join(store).join("photos/old").exists())
    });

    let drill = launch(here).args(&["set", "nas", "hang", "--for", "10m", "--yes"]).begin("fault");
    until_faults(here, 1);
    for n in 0..5 {
        aws.good(&["s3api", "put-object", "--bucket", "photos", "--key", &format!("new{n}"), "--body", "cat.jpg"]);
        aws.good(&["s3api", "get-object", "--bucket", "photos", "--key", "old", "back"]);
        assert_eq!(fs::read_to_string(here.join("back")).expect("downloaded"), "a cat");
    }
    assert!(!here.join("nas/photos/new0").exists(), "what a drill holds back is not sent");
    let status = json(&run(here, &["status", "--json"]));
    let nas = status["stores"].as_array().expect("a list").iter().find(|store| store["name"] == "nas").expect("there");
    assert_eq!(nas["faults"][0]["what"], "hang", "{status}");
    assert!(nas["faults"][0]["left_ms"].as_u64().is_some_and(|left| left <= 15_000), "{status}");
    let table = said(&run(here, &["status"]));
    assert!(table.contains("DRILL on nas: hang; ends in "), "{table}");
    assert!(gateway.log().contains("DRILL: hang; ends in 15s unless renewed"), "{}", gateway.log());

    // Not asked to end: killed. Nobody renews it any more.
    kill(&drill, Signal::KILL);
    assert_eq!(ended(drill), None);
    assert_eq!(faults(here).len(), 1, "nobody has told the gateway");
    until_faults(here, 0);
    assert!(gateway.log().contains("DRILL over, not renewed: hang"), "{}", gateway.log());
    until(PATIENCE, "nas gets what it missed", || (0..5).all(|n| here.join(format!("nas/photos/new{n}")).exists()));
    assert_eq!(gateway.end(Signal::TERM).0.code(), Some(0));
}

#[test]
fn a_drill_ends_with_its_time_its_command_or_by_order() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let here = dir.path();
    let (gateway, _) = house(here);
    let short = run(here, &["fault", "set", "usb", "slow", "--delay", "300ms", "--for", "1s", "--yes"]);
    assert_eq!(short.status.code(), Some(0), "{}", said(&short));
    assert!(said(&short).contains("usb: slow by 300ms, for 1s"), "{}", said(&short));
    assert!(said(&short).contains("usb: slow is over"), "{}", said(&short));

    for signal in [Signal::INT, Signal::TERM] {
        let drill =
            launch(here).args(&["set", "nas", "refuse", "--on", "reads", "--for", "1h", "--yes"]).begin("fault");
        until_faults(here, 1);
        kill(&drill, signal);
        assert_eq!(ended(drill), Some(0));
        assert_eq!(faults(here).len(), 0, "{signal:?} ends it before the command is gone");
    }

    let drill = launch(here).args(&["set", "nas", "refuse", "--for", "1h", "--yes"]).begin("fault");
    let slow = launch(here).args(&["set", "box", "slow", "--delay", "1s", "--for", "1h", "--yes"]).begin("fault");
    until_faults(here, 2);
    let end = run(here, &["fault", "end"]);
    assert_eq!(end.status.code(), Some(0), "{}", said(&end));
    assert!(said(&end).contains("nas: refuse is over") && said(&end).contains("2 faults ended"), "{}", said(&end));
    assert_eq!(faults(here).len(), 0);
    assert_eq!((ended(drill), ended(slow)), (Some(1), Some(1)), "somebody else ended them");
    assert_eq!(faults(here).len(), 0, "and they stay ended");

    // A new process begins without faults, and its commands find out.
    let drill = launch(here).args(&["set", "nas", "hang", "--for", "1h", "--yes"]).begin("fault");
    until_faults(here, 1);
    assert_eq!(gateway.end(Signal::KILL).0.code(), None);
    let _again = launch(here).serve();
    assert_eq!(faults(here).len(), 0);
    assert_eq!(ended(drill), Some(1), "the fault is gone, and it says so");
    assert_eq!(faults(here).len(), 0);
}

#[test]
fn a_schedule_is_judged_before_anything_is_set() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let here = dir.path();
    let (gateway, _) = house(here);
    let fault = |store: &str, at: &str, trouble: &str| {
        format!("[[fault]]\nstore = \"{store}\"\nat = \"{at}\"\nlasts = \"1s\"\ntrouble = \"{trouble}\"\n")
    };
    let play = |faults: &[String], more: &[&str]| {
        fs::write(here.join("drill.toml"), format!("format = 1\n{}", faults.concat())).expect("written");
        let args: Vec<&str> = ["fault", "play", "drill.toml"].iter().chain(more).copied().collect();
        run(here, &args)
    };
    let both = [fault("nas", "0s", "hang"), fault("usb", "500ms", "refuse")];
    for (faults, words) in [
        (
            vec![fault("nas", "0s", "refuse"), fault("usb", "1s", "wrong bytes")],
            "drill.toml:7: \"wrong bytes\" is for tests: a drill may refuse, hang or slow",
        ),
        (vec![fault("nas", "0s", "explode")], "drill.toml:6: there is no trouble \"explode\"; there is: refuse, hang"),
        (
            vec![fault("nas", "0s", "refuse"), fault("tape", "1s", "hang")],
            "drill.toml:7: there is no store tape in the configuration",
        ),
        (vec![], "drill.toml has no fault"),
        (
            both.to_vec(),
            "AT RISK without nas and usb: every bucket without a table of its own: 1 of 3 stores would take",
        ),
    ] {
        let refused = play(&faults, &["--yes"]);
        assert_eq!(refused.status.code(), Some(2), "{}", said(&refused));
        assert!(said(&refused).contains(words), "{words} is not in {}", said(&refused));
    }
    assert!(!gateway.log().contains("DRILL"), "nothing was set: {}", gateway.log());
    assert_eq!(play(&both, &["--accept-risk"]).status.code(), Some(2), "nobody is there to say yes");

    let after = [fault("nas", "0s", "hang"), fault("usb", "1s", "refuse")];
    let dry = play(&after, &["--dry-run"]);
    assert_eq!(dry.status.code(), Some(0), "{}", said(&dry));
    assert!(said(&dry).contains("after 1s, for 1s: usb: refuse"), "{}", said(&dry));
    assert!(!gateway.log().contains("DRILL"), "a dry run sets nothing: {}", gateway.log());
    let played = play(&after, &["--yes"]);
    assert_eq!(played.status.code(), Some(0), "{}", said(&played));
    for words in ["nas: hang, for 1s", "nas: hang is over", "usb: refuse, for 1s", "usb: refuse is over"] {
        assert!(said(&played).contains(words), "{words} is not in {}", said(&played));
    }
    let at_risk = play(&both, &["--yes", "--accept-risk"]);
    assert_eq!(at_risk.status.code(), Some(0), "{}", said(&at_risk));

    for (args, words) in [
        (&["nas", "slow"][..], "slow by how much?"),
        (&["nas", "hang", "--delay", "1s"], "--delay and --rate are for: slow"),
        (&["nas", "slow", "--delay", "11s"], "10 s at most: hang is for more"),
        (&["nas", "hang", "--on", "puts"], "there is no call \"puts\""),
        (&["tape", "hang"], "there is no store tape"),
        (&["nas", "corrupt"], "[possible values: refuse, hang, slow]"),
        (&["nas", "hang", "--for", "0s"], "a day at most"),
    ] {
        let args: Vec<&str> = ["fault", "set"].iter().chain(args).chain(&["--yes"]).copied().collect();
        let wrong = run(here, &args);
        assert_eq!(wrong.status.code(), Some(2), "{args:?}: {}", said(&wrong));
        assert!(said(&wrong).contains(words), "{words} is not in {}", said(&wrong));
    }
    assert_eq!(gateway.end(Signal::TERM).0.code(), Some(0));
    let nobody = run(here, &["fault", "list"]);
    assert_eq!(nobody.status.code(), Some(1), "{}", said(&nobody));
}
