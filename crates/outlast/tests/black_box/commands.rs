//! init, check, status and completions, as they are typed.

use crate::support::{Launch, free_address, program};
use rustix::process::{Pid, Signal, kill_process};
use std::fs;
use std::net::TcpListener;
use std::process::{Command, Output, Stdio};

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn init_check_serve_status() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let here = || Launch::new(dir.path());
    let made = here().args(&["--disk", "nas", "--disk", "usb"]).run("init");
    assert_eq!(made.status.code(), Some(0), "{made:?}");
    assert!(dir.path().join("nas").is_dir());

    let text = fs::read_to_string(dir.path().join("outlast.toml")).expect("written");
    let again = here().args(&["--disk", "nas"]).run("init");
    assert_eq!(again.status.code(), Some(2));
    assert_eq!(fs::read_to_string(dir.path().join("outlast.toml")).expect("there"), text, "left alone");

    let elsewhere = text.replace("127.0.0.1:9001", &free_address());
    assert_ne!(elsewhere, text);
    fs::write(dir.path().join("outlast.toml"), elsewhere).expect("written");

    let checked = here().args(&["--json"]).run("check");
    assert_eq!(checked.status.code(), Some(0), "{checked:?}");
    let checked: serde_json::Value = serde_json::from_slice(&checked.stdout).expect("JSON");
    assert_eq!(checked["stores"][0]["name"], "nas");
    assert_eq!(checked["stores"][0]["grades"]["put"], "B");
    assert_eq!(checked["stores"][1]["fit"], true);
    assert_eq!(checked["problems"], serde_json::json!([]));
    let left: Vec<_> = fs::read_dir(dir.path().join("nas")).expect("readable").collect();
    assert!(left.iter().flatten().all(|entry| entry.file_name().to_string_lossy().starts_with('.')), "{left:?}");

    let nobody = here().run("status");
    assert_eq!(nobody.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&nobody.stderr).contains("no gateway runs"), "{nobody:?}");

    let gateway = here().serve();
    let status = here().args(&["--json"]).run("status");
    assert_eq!(status.status.code(), Some(0), "{status:?}");
    let told: serde_json::Value = serde_json::from_slice(&status.stdout).expect("JSON");
    assert_eq!(told["stores"][1]["name"], "usb");
    assert_eq!(told["stores"][1]["standing"], "up");
    let table = stdout(&here().run("status"));
    assert!(table.contains("nas") && table.contains("spool: 0 objects"), "{table}");
    let (bucket, store) = ("there is no bucket nosuch", "there is no store nowhere in the configuration");
    for (command, args, said) in [
        ("verify", &["nosuch"][..], bucket),
        ("undelete", &["nosuch", "--list"], bucket),
        ("undelete", &["nosuch", "--yes"], bucket),
        ("undelete", &["nosuch", "--release", "--yes"], bucket),
        ("adopt", &["nosuch", "--from", "nowhere", "--yes"], store),
        ("adopt", &["nosuch", "--from", "nas", "--yes"], "nas has no native bucket nosuch"),
        ("store", &["accept", "nowhere", "--yes"], store),
    ] {
        let nowhere = here().args(args).run(command);
        let words = String::from_utf8_lossy(&nowhere.stderr).into_owned();
        assert_eq!((nowhere.status.code(), words), (Some(2), format!("outlast: {said}\n")), "{command} {args:?}");
    }
    // The disks are locked by the gateway: it is asked instead.
    let beside = here().run("check");
    assert_eq!(beside.status.code(), Some(0), "{beside:?}");
    assert!(stdout(&beside).contains("in use by the running gateway, which says: up"), "{}", stdout(&beside));
    assert_eq!(gateway.end(Signal::TERM).0.code(), Some(0));
}

/// A signal is heard also while the gateway is asked and says nothing.
#[test]
fn watching_ends_with_a_signal() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let silent = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let admin = silent.local_addr().expect("an address").to_string();
    let made = Launch::new(dir.path()).args(&["--disk", "nas"]).run("init");
    assert_eq!(made.status.code(), Some(0), "{made:?}");
    let path = dir.path().join("outlast.toml");
    let text = fs::read_to_string(&path).expect("written").replace("127.0.0.1:9001", &admin);
    fs::write(&path, text).expect("written");
    let mut watching = Command::new(program())
        .current_dir(dir.path())
        .env_remove("OUTLAST_CONFIG")
        .args(["status", "--watch"])
        .stdout(Stdio::null())
        .spawn()
        .expect("the program starts");
    let _asked = silent.accept().expect("the gateway is asked");
    let pid = Pid::from_raw(watching.id().try_into().expect("a process id")).expect("it is not 0");
    kill_process(pid, Signal::INT).expect("the program runs");
    assert_eq!(watching.wait().expect("it ends").code(), Some(0));
}

#[test]
fn check_finds_what_is_unfit() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let made = Launch::new(dir.path()).args(&["--disk", "nas", "--s3", "gone=http://127.0.0.1:9,r,"]).run("init");
    assert_eq!(made.status.code(), Some(0), "{made:?}");
    let with_keys = || Launch::new(dir.path()).env("GONE_ACCESS_KEY", "K").env("GONE_SECRET_KEY", "long-enough");
    let output = with_keys().run("check");
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let said = stdout(&output);
    assert!(said.contains("gone (s3 http://127.0.0.1:9): UNFIT"), "{said}");
    assert!(said.contains("[defaults] wants 2 copies, and 1 of its 2 stores are fit"), "{said}");
    let file_only = with_keys().args(&["--no-stores"]).run("check");
    assert_eq!(file_only.status.code(), Some(0), "{file_only:?}");
}

#[test]
fn init_needs_a_store_or_a_terminal() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let output = Launch::new(dir.path()).run("init");
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("no store was named"), "{output:?}");
    assert_eq!(fs::read_dir(dir.path()).expect("readable").count(), 0);
}

#[test]
fn completions_name_every_command() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    for shell in ["bash", "zsh", "fish"] {
        let said = stdout(&Launch::new(dir.path()).args(&[shell]).run("completions"));
        for command in ["serve", "init", "check", "status"] {
            assert!(said.contains(command), "{shell}: {command}");
        }
    }
}

/// Two installations of one machine, and the other one has the address: no order of ours reaches it.
#[test]
fn a_command_asks_no_other_gateway() {
    let (ours, other) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    let made = Launch::new(other.path()).args(&["--disk", "nas", "--disk", "usb"]).run("init");
    assert!(made.status.success(), "{made:?}");
    let gateway = Launch::new(other.path()).serve();
    let made = Launch::new(ours.path()).args(&["--disk", "nas", "--disk", "usb"]).run("init");
    assert!(made.status.success(), "{made:?}");
    let config = ours.path().join("outlast.toml");
    let text = fs::read_to_string(&config).expect("written");
    assert!(text.contains("127.0.0.1:9001"), "{text}");
    fs::write(&config, text.replace("127.0.0.1:9001", &gateway.admin)).expect("written");
    for words in [
        &["freeze"][..],
        &["status"],
        &["verify", "photos"],
        &["undelete", "photos", "--yes"],
        &["store", "accept", "nas", "--yes"],
    ] {
        let refused = Launch::new(ours.path()).args(&words[1..]).run(words[0]);
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert_eq!(refused.status.code(), Some(1), "{words:?}: {said}");
        assert!(said.contains("no gateway of this configuration") && said.contains("another one answers"), "{said}");
    }
    let status = Launch::new(other.path()).args(&["--json"]).run("status");
    let told: serde_json::Value = serde_json::from_slice(&status.stdout).expect("JSON");
    assert_eq!(told["frozen"], serde_json::Value::Null);
    assert_eq!(gateway.end(Signal::TERM).0.code(), Some(0));
}
