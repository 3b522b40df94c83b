//! What is measured: three stores that are Outlast over one disk each, nginx before the first, Outlast over all three, and
//! Outlast over three disks.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use outlast_drive::{Account, Ask, Connection, Gateway, Launch};

use super::nginx::Nginx;

pub const BUCKET: &str = "photos";
/// The upper Outlast's home on each store.
pub const HOME: &str = "upper-home";
const STORES: [&str; 3] = ["one", "two", "three"];
const SECRET: &str = "a-secret-of-the-bench-alone";

pub struct Scene {
    pub account: Arc<Account>,
    pub stores: Vec<Gateway>,
    pub nginx: Nginx,
    outlast: Option<Gateway>,
    /// Outlast over three disks, without any network behind it.
    pub disks: Gateway,
    launch: Launch,
    pub dir: PathBuf,
}

/// One of the ways to a body, and the processes on it.
pub struct Way {
    pub name: &'static str,
    pub address: String,
    pub pids: Vec<u32>,
}

impl Scene {
    pub async fn set(program: &Path, dir: &Path) -> Result<Scene, String> {
        let account = account();
        let mut stores = Vec::new();
        for name in STORES {
            let store = start_store(program, &dir.join(name)).await?;
            for bucket in [HOME, BUCKET] {
                make_bucket(&store.s3, &account, bucket).await?;
            }
            stores.push(store);
        }
        let nginx = Nginx::start(&dir.join("nginx"), &stores[0].s3).await?;
        let upper: String = STORES.iter().zip(&stores).map(|(name, store)| nested(name, &store.s3)).collect();
        let launch = Launch::new(program, &dir.join("outlast"));
        let outlast = start(program, &launch.dir, &[], &format!("{}{upper}", user())).await?;
        make_bucket(&outlast.s3, &account, BUCKET).await?;
        let three: String = STORES.iter().map(|name| disk(name, name)).collect();
        let disks = start(program, &dir.join("disks"), &STORES, &format!("{}{three}", user())).await?;
        make_bucket(&disks.s3, &account, BUCKET).await?;
        Ok(Scene { account, stores, nginx, outlast: Some(outlast), disks, launch, dir: dir.to_owned() })
    }

    pub fn outlast(&self) -> &Gateway {
        self.outlast.as_ref().expect("it is only away while it is started anew")
    }

    /// Anew, so that its peak of memory is that of what follows.
    pub async fn restart_outlast(&mut self) -> Result<(), String> {
        self.outlast = None;
        self.outlast = Some(self.launch.start().await?);
        Ok(())
    }

    /// Until every store has everything: what was asked for earlier must not be paid for later.
    pub async fn caught_up(&self) -> Result<(), String> {
        self.outlast().caught_up().await?;
        self.disks.caught_up().await
    }

    pub fn connection(&self, address: &str) -> Connection {
        Connection::new(address, &self.account)
    }

    /// Direct, nginx, Outlast over three stores, Outlast over three disks.
    pub fn ways(&self) -> [Way; 4] {
        let (first, outlast) = (&self.stores[0], self.outlast());
        let all = |own: u32| [own].into_iter().chain(self.stores.iter().map(Gateway::pid)).collect();
        [
            Way { name: "direct", address: first.s3.clone(), pids: vec![first.pid()] },
            Way { name: "nginx", address: self.nginx.address.clone(), pids: vec![self.nginx.pid(), first.pid()] },
            Way { name: "outlast", address: outlast.s3.clone(), pids: all(outlast.pid()) },
            Way { name: "outlast, 3 disks", address: self.disks.s3.clone(), pids: vec![self.disks.pid()] },
        ]
    }
}

pub fn account() -> Arc<Account> {
    Arc::new(Account { access_key: "BENCH".into(), secret_key: SECRET.into() })
}

pub fn user() -> String {
    format!("[user.bench]\naccess_key = \"BENCH\"\nsecret_key = \"{SECRET}\"\n")
}

fn disk(name: &str, path: &str) -> String {
    format!("[store.{name}]\nkind = \"disk\"\npath = \"{path}\"\n")
}

pub fn nested(name: &str, address: &str) -> String {
    format!(
        "[store.{name}]\nkind = \"s3\"\nendpoint = \"http://{address}\"\nregion = \"us-east-1\"\naccess_key = \"BENCH\"\n\
         secret_key = \"{SECRET}\"\nnested = true\nsystem_bucket = \"{HOME}\"\n"
    )
}

async fn start(program: &Path, dir: &Path, folders: &[&str], config: &str) -> Result<Gateway, String> {
    let at = |error: std::io::Error| format!("{}: {error}", dir.display());
    fs::create_dir_all(dir).map_err(at)?;
    for folder in folders {
        fs::create_dir_all(dir.join(folder)).map_err(at)?;
    }
    fs::write(dir.join("outlast.toml"), config).map_err(at)?;
    Launch::new(program, dir).start().await
}

/// Outlast over one disk: a store for another one, or what the ledger alone answers.
pub async fn start_store(program: &Path, dir: &Path) -> Result<Gateway, String> {
    let config = format!("{}{}[defaults]\nmin_copies = 1\nspool_counts = false\n", user(), disk("disk", "objects"));
    start(program, dir, &["objects"], &config).await
}

pub async fn make_bucket(address: &str, account: &Arc<Account>, bucket: &str) -> Result<(), String> {
    good(&mut Connection::new(address, account), Ask::put(bucket, "", bytes::Bytes::new())).await.map(|_| ())
}

/// Asked, and answered with a success.
pub async fn good(connection: &mut Connection, ask: Ask) -> Result<outlast_drive::Answer, String> {
    let words = ask.words();
    match connection.ask(ask).await {
        Ok(answer) if answer.is_good() => Ok(answer),
        Ok(answer) => Err(format!("{words}: {} {}", answer.status, answer.text())),
        Err(lost) => Err(format!("{words}: {lost}")),
    }
}
