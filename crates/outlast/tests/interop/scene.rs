//! A gateway over three stores with a load on it: what every fault is played on, and what must hold afterwards.

use crate::clients::{ACCESS_KEY, Load, Report, SECRET_KEY, Slowest, ask, good, python, script};
use crate::fault_proxy::FaultProxy;
use crate::gateway::{Gateway, Launch};
use crate::peers::{Peer, SYSTEM_BUCKET, garage, moto};
use crate::timing_relay::Waits;
use crate::tools::tool;
use crate::waiting::until_ok;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// What a client may wait for the first byte of an answer, in seconds, whatever happens to one store.
const FIRST_BYTE_MAX: f64 = 1.0;
/// And for anything, afterwards.
const PAUSE_MAX: f64 = 2.0;
/// How many times longer than alone a process takes beside this load and nothing else: the load and the servers want more
/// than two processors (1.9 to 3.2 measured on a quiet machine). Beyond it others have part in the machine, and its seconds
/// are shorter.
const SLOWDOWN_OF_THE_LOAD: f64 = 3.0;
/// At most so much longer: beyond it the machine is too busy to show anything, and the play fails.
const LONGER_MAX: f64 = 1.5;
/// Where files lie in memory, on every Linux.
const MEMORY: &str = "/dev/shm";
/// Everything that is owed is paid within this, after the fault: marks settle first, the way back is ramped.
const PAID_MAX: Duration = Duration::from_secs(120);
/// Words of the reason for which a stopped store, and a killed one, is down.
pub const SILENT: &str = "does not answer";
pub const REFUSED: &str = "refused";
/// Where the load's multipart uploads lie.
const UPLOADS: &str = "parts/";
/// The bucket of the load.
pub const BUCKET: &str = "load";

/// Where a store of the configuration lies.
pub enum Place<'a> {
    S3(&'a Peer),
    /// With this proxy between.
    Through(&'a FaultProxy, &'a Peer),
    /// An Azure account.
    Azure(&'a Peer),
    /// Google Cloud Storage, without credentials.
    Gcs(&'a Peer),
    /// A folder beside the configuration.
    Disk(&'a str),
}

/// A configuration with these stores, quick enough in giving up that a test sees marks settle.
pub fn configuration(places: &[(&str, Place<'_>)], defaults: &str) -> String {
    let mut text = format!(
        "[user.app]\naccess_key = \"{ACCESS_KEY}\"\nsecret_key = \"{SECRET_KEY}\"\n\
         [timeouts]\nconnect = \"1s\"\nfirst_byte = \"8s\"\nidle = \"8s\"\nrequest = \"9s\"\ncommit = \"5s\"\n\
         [canary]\nevery = \"2s\"\n[log]\nfilter = \"info,outlast_engine=debug,s3s=off\"\n[defaults]\n{defaults}"
    );
    let faulty_is_read_first = places.iter().any(|(_, place)| matches!(place, Place::Through(..)));
    for (name, place) in places {
        let is_dear = matches!(place, Place::S3(peer) if peer.dear);
        // Bytes that cost nothing are read first: a fault of reading that nobody's read meets would show nothing.
        let price = match place {
            Place::Through(..) => "",
            _ if faulty_is_read_first || is_dear => "price = { egress_per_gib = 1.0 }\n",
            _ => "",
        };
        let (peer, endpoint) = match place {
            Place::Disk(path) => {
                text.push_str(&format!("[store.{name}]\nkind = \"disk\"\npath = \"{path}\"\n{price}"));
                continue;
            }
            Place::Azure(peer) => {
                text.push_str(&format!(
                    "[store.{name}]\nkind = \"azure\"\nendpoint = \"{}\"\npath_style = true\naccount = \"{}\"\n\
                     account_key = \"{}\"\nsettle_time = \"10s\"\n",
                    peer.endpoint, peer.access_key, peer.secret_key
                ));
                continue;
            }
            Place::Gcs(peer) => {
                text.push_str(&format!(
                    "[store.{name}]\nkind = \"gcs\"\nendpoint = \"{}\"\nproject = \"tests\"\nsettle_time = \"10s\"\n",
                    peer.endpoint
                ));
                continue;
            }
            Place::S3(peer) => (peer, &peer.endpoint),
            Place::Through(proxy, peer) => (peer, &proxy.endpoint),
        };
        text.push_str(&format!(
            "[store.{name}]\nkind = \"s3\"\nendpoint = \"{endpoint}\"\nregion = \"{}\"\naccess_key = \"{}\"\n\
             secret_key = \"{}\"\nsettle_time = \"10s\"\n{price}",
            peer.region, peer.access_key, peer.secret_key
        ));
        if peer.nested {
            text.push_str(&format!("nested = true\nsystem_bucket = \"{SYSTEM_BUCKET}\"\n"));
        }
    }
    text
}

/// For a play that is timed: in memory where that can be, for a build that has just written gigabytes makes every fsync of
/// a disk wait, and no store of the play has part in that.
pub fn folder() -> tempfile::TempDir {
    tempfile::tempdir_in(MEMORY).or_else(|_| tempfile::tempdir()).expect("a temporary folder")
}

/// moto and Garage, in this folder. None: left out.
pub fn peers(dir: &Path) -> Option<(Peer, Peer)> {
    Some((moto(dir, "moto")?, garage(dir, "garage")?))
}

/// The stores of most plays: two copies are acknowledged, and one store fails.
pub fn four<'a>(moto: Place<'a>, garage: Place<'a>) -> [(&'static str, Place<'a>); 4] {
    [("moto", moto), ("garage", garage), ("disk", Place::Disk("disk")), ("spare", Place::Disk("spare"))]
}

/// With one that counts and keeps its state over its end.
pub fn lasting<'a>(other: Place<'a>, moto: &'a Peer, garage: &'a Peer) -> [(&'static str, Place<'a>); 4] {
    let s3 = |name, peer| (name, Place::S3(peer));
    [("other", other), s3("moto", moto), s3("garage", garage), ("disk", Place::Disk("disk"))]
}

/// What shows, before it ends, that a fault of a store behind a proxy was met.
#[derive(Clone, Copy)]
pub enum Shows {
    /// A client's request reached it.
    Met,
    /// The store is owed something.
    Owed,
    /// The gateway counts it under this name.
    Counted(&'static str),
}

impl Shows {
    pub fn counted(self, scene: &Scene) -> u64 {
        if let Shows::Counted(name) = self { scene.counted(name) } else { 0 }
    }

    /// `before`: what was counted when the fault of this store began.
    pub fn now(self, scene: &Scene, (store, proxy): (&str, &FaultProxy), before: u64) {
        assert!(proxy.met() > 0, "no client's request met the fault");
        match self {
            Shows::Met => {}
            Shows::Owed => scene.is_owed_something(store),
            Shows::Counted(name) => assert!(self.counted(scene) > before, "no read met the fault: {name}"),
        }
    }
}

/// Content type, where there is one, and user metadata without our stamp.
type Carried = (Option<String>, BTreeMap<String, String>);

/// A running gateway in a folder of its own.
pub struct Scene {
    pub dir: PathBuf,
    pub gateway: Gateway,
    pub python: PathBuf,
}

impl Drop for Scene {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let status = ask(&self.gateway.admin, "/status.json").unwrap_or_else(|why| why);
            eprintln!("--- how the gateway stood at the failure ---\n{status}");
        }
    }
}

impl Scene {
    /// Serves with these stores, and with the bucket of the load. None: something is not installed, and left out.
    pub fn open(dir: &Path, places: &[(&str, Place<'_>)]) -> Option<Scene> {
        let python = python()?;
        for (_, place) in places {
            if let Place::Disk(path) = place {
                fs::create_dir_all(dir.join(path)).expect("made");
            }
        }
        let peers = places.iter().filter_map(|(_, place)| match place {
            Place::S3(peer) | Place::Through(_, peer) => Some(peer),
            Place::Azure(_) | Place::Gcs(_) | Place::Disk(_) => None,
        });
        for peer in peers {
            // Named by the configuration, so it is for its owner to make.
            if peer.nested {
                let text = format!("{}\ns3.create_bucket(Bucket='{SYSTEM_BUCKET}')", include_str!("client.py"));
                good(&mut script(&python, &text, &[&peer.endpoint, peer.access_key, peer.secret_key]));
            }
        }
        fs::write(dir.join("outlast.toml"), configuration(places, "min_copies = 2\n")).expect("written");
        let gateway = Launch::new(dir).serve();
        let scene = Scene { dir: dir.to_owned(), gateway, python };
        scene.boto(&format!("s3.create_bucket(Bucket='{BUCKET}')"));
        // A store that was never well would seem to be hit by every fault.
        scene.until_paid();
        Some(scene)
    }

    /// Lines of Python with a client `s3` of the gateway. What they print.
    pub fn boto(&self, lines: &str) -> String {
        let text = format!("{}\n{lines}", include_str!("client.py"));
        good(script(&self.python, &text, &[&self.gateway.s3, ACCESS_KEY, SECRET_KEY]).current_dir(&self.dir))
    }

    pub fn load(&self, seed: &str) -> Load {
        Load::start(&self.python, &self.gateway, BUCKET, seed)
    }

    pub fn status(&self) -> serde_json::Value {
        let body = ask(&self.gateway.admin, "/status.json").expect("the gateway answers");
        serde_json::from_str(&body).unwrap_or_else(|error| panic!("{error}: {body}"))
    }

    /// What the status says of one store.
    pub fn store(&self, name: &str) -> serde_json::Value {
        let status = self.status();
        let stores = status["stores"].as_array().expect("stores");
        stores.iter().find(|store| store["name"] == name).expect("it is configured").clone()
    }

    /// One of the gateway's own counts.
    pub fn counted(&self, name: &str) -> u64 {
        let status = self.status();
        status["counters"][name].as_u64().unwrap_or_else(|| panic!("{name} is not counted: {status}"))
    }

    /// The fault was met: the store is owed something.
    pub fn is_owed_something(&self, store: &str) {
        let seen = self.store(store);
        assert!(seen["owed_objects"].as_u64().is_some_and(|owed| owed > 0), "the fault was not met: {seen}");
    }

    /// Until the store is said to stand so, and for a reason that has these words.
    pub fn until_standing(&self, name: &str, standing: &str, words: &str) {
        until_ok(Duration::from_secs(30), || {
            let store = self.store(name);
            let so = store["standing"] == standing && store["reason"].as_str().is_some_and(|said| said.contains(words));
            if so { Ok(()) } else { Err(format!("{name} is not {standing} for {words:?}: {store}")) }
        });
    }

    /// Until every store is up, nothing is owed, undecided or spooled.
    pub fn until_paid(&self) {
        until_ok(PAID_MAX, || {
            let status = self.status();
            let stores = status["stores"].as_array().expect("stores");
            let well = stores.iter().all(|store| store["standing"] == "up" && store["owed_objects"] == 0);
            let paid = well && status["undecided"] == 0 && status["spool"]["objects"] == 0;
            if paid { Ok(()) } else { Err(format!("{status:#}")) }
        });
    }

    /// What this store holds of the load's bucket, asked without us: key -> SHA-256.
    pub fn held(&self, place: &Place<'_>) -> BTreeMap<String, String> {
        hashes(place, &self.held_dressed(place))
    }

    /// The same, and what it carries. Not for Azure: whom we ask there says nothing of it.
    fn held_dressed(&self, place: &Place<'_>) -> BTreeMap<String, (String, Carried)> {
        let text = include_str!("holdings.py");
        let said = match place {
            Place::Disk(path) => {
                let folder = self.dir.join(path).join(BUCKET).display().to_string();
                good(&mut script(&self.python, text, &["disk", &folder]))
            }
            Place::Azure(_) => return BTreeMap::new(),
            Place::Gcs(peer) => good(&mut script(&self.python, text, &["gcs", &peer.endpoint, BUCKET])),
            Place::S3(peer) | Place::Through(_, peer) => {
                let args = ["s3", &peer.endpoint, peer.access_key, peer.secret_key, peer.region, BUCKET];
                good(&mut script(&self.python, text, &args))
            }
        };
        serde_json::from_str(&said).expect("JSON")
    }

    /// No client saw anything, and every store holds everything under plain names.
    pub fn judge(&self, report: &Report, places: &[(&str, Place<'_>)]) {
        tell(report);
        assert!(report.errors.is_empty(), "clients saw errors: {:#?}", report.errors);
        let longer = longer(report.slowdown);
        let slower = |max: f64| move |(_, took): &(&String, &Slowest)| took.s > max * longer;
        let late: Vec<_> = report.first_byte.iter().filter(slower(FIRST_BYTE_MAX)).collect();
        assert!(late.is_empty(), "first bytes after more than {FIRST_BYTE_MAX} s: {late:?}");
        let paused: Vec<_> = report.pause.iter().filter(slower(PAUSE_MAX)).collect();
        assert!(paused.is_empty(), "pauses of more than {PAUSE_MAX} s: {paused:?}");
        self.until_paid();
        for (name, place) in places {
            let dressed = self.held_dressed(place);
            let held = hashes(place, &dressed);
            let differs = |key: &&String| held.get(*key) != report.keys.get(*key);
            let keys: Vec<_> = held.keys().chain(report.keys.keys()).filter(differs).collect();
            assert!(keys.is_empty(), "{name} differs from what was written in {keys:?}");
            for (key, (_, (kind, metadata))) in dressed {
                let should = report.dress.get(&key).unwrap_or_else(|| panic!("{key} was written with nothing"));
                // fake-gcs-server leaves an object that is composed anew the type of the one that it replaces.
                let is_kept = matches!(place, Place::Gcs(_)) && key.starts_with(UPLOADS);
                let kind = if is_kept { should.0.clone() } else { kind.unwrap_or_default() };
                assert_eq!(&(kind, metadata), should, "what {key} carries on {name}");
            }
        }
    }
}

/// How much longer than on a quiet machine something may take on this one.
fn longer(slowdown: f64) -> f64 {
    (slowdown / SLOWDOWN_OF_THE_LOAD).clamp(1.0, LONGER_MAX)
}

/// No client behind the relay had to wait for long.
pub fn judge_waits(waits: &Waits) {
    let slowdown = waits.slowdown();
    eprintln!(
        "{} requests; slowest first byte {:.3} s ({}); longest pause {:.3} s ({}); the machine took {slowdown:.2} times as long",
        waits.requests, waits.first_byte.seconds, waits.first_byte.of, waits.pause.seconds, waits.pause.of
    );
    let longer = longer(slowdown);
    assert!(waits.first_byte.seconds <= FIRST_BYTE_MAX * longer, "first byte after {:?}", waits.first_byte);
    assert!(waits.pause.seconds <= PAUSE_MAX * longer, "a pause of {:?}", waits.pause);
}

fn hashes(place: &Place<'_>, dressed: &BTreeMap<String, (String, Carried)>) -> BTreeMap<String, String> {
    match place {
        Place::Azure(peer) => in_container(peer),
        _ => dressed.iter().map(|(key, (hash, _))| (key.clone(), hash.clone())).collect(),
    }
}

/// rclone reads it with its own client for Azure.
fn in_container(peer: &Peer) -> BTreeMap<String, String> {
    let remote = format!(
        ":azureblob,account={},key='{}',endpoint='{}/{}':{BUCKET}",
        peer.access_key, peer.secret_key, peer.endpoint, peer.access_key
    );
    let mut rclone = Command::new(tool("rclone", "bin/rclone").expect("the load's own client is beside it"));
    rclone.args(["--config=/dev/null", "hashsum", "SHA-256", "--download", "--exclude=/.outlast/**"]).arg(remote);
    let said = good(&mut rclone);
    let line = |line: &str| line.split_once("  ").map(|(hash, key)| (key.to_owned(), hash.to_owned()));
    said.lines().map(|text| line(text).unwrap_or_else(|| panic!("{text:?} is no hash and key"))).collect()
}

fn tell(report: &Report) {
    let worst = |table: &BTreeMap<String, Slowest>| {
        let worst = table.iter().max_by(|a, b| a.1.s.total_cmp(&b.1.s));
        worst.map_or("-".to_owned(), |(op, took)| format!("{:.3} s ({op}, {:.1} s in)", took.s, took.at))
    };
    eprintln!(
        "{} requests, {} MB; slowest first byte {}; longest pause {}; the machine took {:.2} times as long; {:?}",
        report.ops.values().sum::<u64>(),
        report.bytes / 1_000_000,
        worst(&report.first_byte),
        worst(&report.pause),
        report.slowdown,
        report.ops
    );
}
