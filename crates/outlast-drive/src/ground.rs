//! Two disks, Garage and moto, and a gateway over them: what is struck in a round, and how it is healed.

use crate::blows::{Able, Blow};
use crate::client::Account;
use crate::gateway::{Gateway, Launch};
use crate::peer::Peer;
use crate::tmpfs::{Tmpfs, done};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep};

const ACCESS_KEY: &str = "DRIVE";
const SECRET_KEY: &str = "a-secret-that-only-tests-know";
/// moto's own address, so that the way to it alone can be cut.
const MOTO_HOST: &str = "127.0.0.9";
/// Set for a run that has a network of its own: nobody else's loopback may be cut.
pub const OWN_NETWORK: &str = "OUTLAST_OWN_NETWORK";
/// The disk of `one`, as long as it is not full.
const DISK_BYTES: u64 = 4 << 30;
/// The library looks at its file once a second.
const LOOKS_AGAIN: Duration = Duration::from_millis(1_100);
const JUMP_WAIT: Duration = Duration::from_secs(5);

pub(crate) struct Ground {
    pub launch: Launch,
    pub account: Arc<Account>,
    /// Names and folders of the stores that are disks.
    pub disks: [(&'static str, PathBuf); 2],
    pub moto: Peer,
    pub garage: Peer,
    small: Option<Tmpfs>,
    clock: Option<PathBuf>,
    own_network: bool,
    pub left_out: Vec<String>,
}

impl Ground {
    pub async fn set(program: &Path, tools: &Path, dir: &Path) -> Result<Ground, String> {
        let at = |error: std::io::Error| format!("{}: {error}", dir.display());
        let home = dir.join("gateway");
        let disks = [("one", home.join("one")), ("two", home.join("two"))];
        for (_, folder) in &disks {
            fs::create_dir_all(folder).map_err(at)?;
        }
        let mut left_out = Vec::new();
        let mut or_left_out =
            |what: &str, found: Result<_, String>| found.map_err(|why| left_out.push(format!("{what}: {why}"))).ok();
        let small = or_left_out("a full disk", Tmpfs::mount(&disks[0].1, DISK_BYTES).map(Ok::<Tmpfs, PathBuf>));
        let clock = or_left_out("a clock that jumps", fake_clock().map(Err));
        let own_network = std::env::var_os(OWN_NETWORK).is_some();
        if !own_network {
            left_out.push("a network that is cut: no network namespace can be made here".to_owned());
        }
        let mut envs = Vec::new();
        let clock_file = dir.join("clock");
        if let Some(Err(library)) = &clock {
            fs::write(&clock_file, "+0").map_err(at)?;
            let text = |path: &Path| path.display().to_string();
            envs.push(("LD_PRELOAD".to_owned(), text(library)));
            envs.push(("FAKETIME_TIMESTAMP_FILE".to_owned(), text(&clock_file)));
            envs.push(("FAKETIME_CACHE_DURATION".to_owned(), "1".to_owned()));
            // Only the wall clock jumps; none that waits are measured by.
            envs.push(("FAKETIME_DONT_FAKE_MONOTONIC".to_owned(), "1".to_owned()));
            envs.push(("DONT_FAKE_MONOTONIC".to_owned(), "1".to_owned()));
        }
        let moto = Peer::moto(tools, dir, MOTO_HOST).await?;
        let garage = Peer::garage(tools, dir).await?;
        fs::write(home.join("outlast.toml"), configuration(&moto, &garage)).map_err(at)?;
        Ok(Ground {
            launch: Launch { program: program.to_owned(), dir: home, envs },
            account: Arc::new(Account { access_key: ACCESS_KEY.into(), secret_key: SECRET_KEY.into() }),
            disks,
            moto,
            garage,
            small: small.and_then(Result::ok),
            clock: clock.map(|_| clock_file),
            own_network,
            left_out,
        })
    }

    pub fn able(&self) -> Able {
        Able { disk_full: self.small.is_some(), clock: self.clock.is_some(), network: self.own_network }
    }

    /// Everything but a kill of the gateway, which is its owner's.
    pub async fn strike(&mut self, blow: Blow, gateway: Option<&Gateway>) -> Result<(), String> {
        match blow {
            Blow::KillGateway => Ok(()),
            Blow::StopGateway => gateway.map_or(Ok(()), |gateway| gateway.process.freeze()),
            Blow::Handles(more) => gateway.map_or(Ok(()), |gateway| gateway.process.limit_handles(Some(more))),
            Blow::KillGarage => {
                self.garage.kill();
                Ok(())
            }
            Blow::StopGarage(_) => self.garage.freeze(),
            Blow::StopMoto(_) => self.moto.freeze(),
            Blow::DiskFull => self.small.as_ref().map_or(Ok(()), fill),
            Blow::CutMoto(_) => cut("replace"),
            Blow::ClockJump(seconds) => self.jump(seconds, gateway).await,
        }
    }

    /// All is well again, the gateway too if it runs.
    pub async fn heal(&mut self, gateway: Option<&Gateway>) -> Result<(), String> {
        if self.own_network {
            // Nothing is cut: nothing to be taken away.
            let _ = cut("del");
        }
        if let Some(small) = &self.small {
            small.resize(DISK_BYTES)?;
        }
        self.moto.thaw()?;
        self.garage.thaw()?;
        if !self.garage.runs() {
            self.garage.start().await?;
        }
        if let Some(gateway) = gateway {
            gateway.process.thaw()?;
            gateway.process.limit_handles(None)?;
        }
        self.jump(0, gateway).await
    }

    async fn jump(&self, seconds: i64, gateway: Option<&Gateway>) -> Result<(), String> {
        let Some(file) = &self.clock else { return Ok(()) };
        // In one step: a reader must never see half of it.
        let new = file.with_extension("new");
        let written = fs::write(&new, format!("{seconds:+}")).and_then(|()| fs::rename(&new, file));
        written.map_err(|error| format!("{}: {error}", file.display()))?;
        let Some(gateway) = gateway.filter(|_| seconds > 0) else {
            // Backwards nobody sees it: the dates of answers are kept until the clock is beyond them.
            sleep(LOOKS_AGAIN).await;
            return Ok(());
        };
        // One that is out of handles cannot read the file, and says nothing.
        let begun = Instant::now();
        while gateway.clock_ahead().await.is_ok_and(|ahead| (ahead - seconds).abs() > 2) {
            if begun.elapsed() > JUMP_WAIT {
                return Err(format!(
                    "the gateway's clock did not jump by {seconds} s: is the program linked statically?"
                ));
            }
            sleep(Duration::from_millis(100)).await;
        }
        Ok(())
    }

    pub fn log(&self) -> String {
        crate::gateway::tail(&crate::gateway::log_of(&self.launch.dir))
    }
}

/// Quick enough in giving up that a round sees marks settle.
fn configuration(moto: &Peer, garage: &Peer) -> String {
    let far = |name: &str, peer: &Peer| {
        let Account { access_key, secret_key } = peer.account.as_ref();
        format!(
            "[store.{name}]\nkind = \"s3\"\nendpoint = \"http://{}\"\nregion = \"us-east-1\"\n\
             access_key = \"{access_key}\"\nsecret_key = \"{secret_key}\"\nsettle_time = \"5s\"\n",
            peer.address
        )
    };
    format!(
        "[user.drive]\naccess_key = \"{ACCESS_KEY}\"\nsecret_key = \"{SECRET_KEY}\"\n\
         [timeouts]\nconnect = \"1s\"\nfirst_byte = \"4s\"\nidle = \"4s\"\nrequest = \"5s\"\ncommit = \"4s\"\n\
         [canary]\nevery = \"2s\"\n[log]\nfilter = \"info,outlast_engine=debug,s3s=off\"\n\
         [defaults]\nmin_copies = 2\nundelete_days = 0\n\
         [store.one]\nkind = \"disk\"\npath = \"one\"\n[store.two]\nkind = \"disk\"\npath = \"two\"\n{}{}",
        far("garage", garage),
        far("moto", moto)
    )
}

/// Debian's libfaketime, which only a program that is linked dynamically hears.
fn fake_clock() -> Result<PathBuf, String> {
    let none = || "libfaketime is not installed".to_owned();
    let folders = fs::read_dir("/usr/lib").map_err(|_| none())?;
    let mut paths = folders.flatten().map(|folder| folder.path().join("faketime/libfaketimeMT.so.1"));
    paths.find(|path| path.exists()).ok_or_else(none)
}

/// Takes or gives back the way to moto, in a network that is ours alone.
fn cut(how: &str) -> Result<(), String> {
    done(Command::new("ip").args(["route", how, "blackhole", &format!("{MOTO_HOST}/32"), "table", "local"]))
}

/// The load goes on meanwhile, so the first try may come too late.
fn fill(small: &Tmpfs) -> Result<(), String> {
    let mut last = Ok(());
    for _ in 0..20 {
        last = small.leave(0);
        if last.is_ok() {
            break;
        }
    }
    last
}
