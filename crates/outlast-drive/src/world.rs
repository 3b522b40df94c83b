//! Where a run takes place: which stores there are, and where their plain files lie.

use crate::client::{Account, Answer, Ask, Connection};
use crate::gateway::{Gateway, Launch};
use bytes::Bytes;
use rand::Rng;
use rustix::process::Signal;
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::sleep;

/// Which stores.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum World {
    /// What `serve` makes without a configuration: three disks.
    Trial,
    /// Two disks and an S3 store, another process, that is stopped and goes on again.
    Peer,
    /// Two disks, Garage and moto, on which more is done than kills.
    Mixed,
}

impl World {
    pub fn name(self) -> &'static str {
        match self {
            World::Trial => "trial",
            World::Peer => "peer",
            World::Mixed => "mixed",
        }
    }
}

/// Longer than the longest stop, and no shorter than a request may live: a call that the stopped store holds is over
/// before its mark is.
const SETTLE: &str = "10s";
const STOP_MS_MAX: u64 = 3_000;
/// Our records on the peer; it keeps the usual names for its own.
const FAR_HOME: &str = "upper-home";
const PEER_SECRET: &str = "a-secret-that-only-tests-know";

/// The stores of one run and how the gateway over them is started.
pub(crate) struct Stage {
    pub launch: Launch,
    /// Names and the folders of their buckets.
    pub stores: Vec<(&'static str, PathBuf)>,
    peer: Option<Gateway>,
}

impl Stage {
    pub async fn set(world: World, program: &Path, dir: &Path) -> Result<Stage, String> {
        let at = |error: std::io::Error| format!("{}: {error}", dir.display());
        let launch = Launch::new(program, &dir.join("gateway"));
        fs::create_dir_all(&launch.dir).map_err(at)?;
        match world {
            World::Trial => {
                let stores = launch.dir.join("outlast-data/stores");
                let stores = ["one", "two", "three"].map(|name| (name, stores.join(name)));
                Ok(Stage { launch, stores: stores.into(), peer: None })
            }
            World::Mixed => Err("the mixed world has a stage of its own".to_owned()),
            World::Peer => {
                let far = Launch::new(program, &dir.join("far"));
                for folder in ["gateway/one", "gateway/two", "far/objects"] {
                    fs::create_dir_all(dir.join(folder)).map_err(at)?;
                }
                fs::write(far.dir.join("outlast.toml"), far_config()).map_err(at)?;
                let peer = far.start().await?;
                let made = Connection::new(&peer.s3, &drive_account()).ask(Ask::put(FAR_HOME, "", Bytes::new())).await;
                if !made.as_ref().is_ok_and(Answer::is_good) {
                    return Err(format!("{FAR_HOME} cannot be made: {made:?}"));
                }
                fs::write(launch.dir.join("outlast.toml"), near_config(&peer.s3)).map_err(at)?;
                let near = |name: &'static str| (name, launch.dir.join(name));
                let stores = vec![near("one"), near("two"), ("far", far.dir.join("objects"))];
                Ok(Stage { launch, stores, peer: Some(peer) })
            }
        }
    }

    /// Known once the gateway has started for the first time.
    pub fn account(&self) -> Result<Arc<Account>, String> {
        if self.peer.is_some() {
            return Ok(drive_account());
        }
        let path = self.launch.dir.join("outlast-data/credentials.json");
        let text = fs::read(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        let keys: Value = serde_json::from_slice(&text).map_err(|error| format!("{}: {error}", path.display()))?;
        let text = |name: &str| keys[name].as_str().unwrap_or_default().to_owned();
        Ok(Arc::new(Account { access_key: text("access_key"), secret_key: text("secret_key") }))
    }

    /// Stops and continues the peer at drawn moments, for about this long. It is running when this returns.
    pub async fn disturb(&self, chance: &mut impl Rng, for_ms: u64) -> Result<(), String> {
        let Some(peer) = &self.peer else {
            sleep(Duration::from_millis(for_ms)).await;
            return Ok(());
        };
        let before = chance.random_range(0..=for_ms);
        sleep(Duration::from_millis(before)).await;
        peer.signal(Signal::STOP)?;
        sleep(Duration::from_millis(for_ms - before)).await;
        Ok(())
    }

    /// The peer goes on, a while after the gateway was killed.
    pub async fn calm(&self, chance: &mut impl Rng) -> Result<(), String> {
        let Some(peer) = &self.peer else { return Ok(()) };
        sleep(Duration::from_millis(chance.random_range(0..STOP_MS_MAX))).await;
        peer.signal(Signal::CONT)
    }

    pub fn log(&self) -> String {
        crate::gateway::tail(&crate::gateway::log_of(&self.launch.dir))
    }
}

fn drive_account() -> Arc<Account> {
    Arc::new(Account { access_key: "DRIVE".into(), secret_key: PEER_SECRET.into() })
}

fn far_config() -> String {
    format!(
        "[user.drive]\naccess_key = \"DRIVE\"\nsecret_key = \"{PEER_SECRET}\"\n\
         [store.disk]\nkind = \"disk\"\npath = \"objects\"\n\
         [defaults]\nmin_copies = 1\nspool_counts = false\n"
    )
}

fn near_config(address: &str) -> String {
    format!(
        "[user.drive]\naccess_key = \"DRIVE\"\nsecret_key = \"{PEER_SECRET}\"\n\
         [store.one]\nkind = \"disk\"\npath = \"one\"\n\
         [store.two]\nkind = \"disk\"\npath = \"two\"\n\
         [store.far]\nkind = \"s3\"\nendpoint = \"http://{address}\"\nregion = \"us-east-1\"\n\
         access_key = \"DRIVE\"\nsecret_key = \"{PEER_SECRET}\"\nnested = true\n\
         system_bucket = \"{FAR_HOME}\"\nsettle_time = \"{SETTLE}\"\n\
         [timeouts]\nrequest = \"{SETTLE}\"\n"
    )
}
