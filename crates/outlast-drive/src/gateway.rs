//! One process of the product: started, asked how it is, stopped, killed.

use crate::client::{Account, Answer, Ask, Connection};
use crate::process::Process;
use rustix::process::Signal;
use serde_json::Value;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;
use tokio::time::{Instant, sleep, timeout};

/// The longest honest start: a ledger of any size opens in milliseconds, and a silent store is waited for a few seconds.
const START_WAIT: Duration = Duration::from_secs(60);
/// How long debts, marks and undecided writes may last when all stores are well: the second looks of a peer, and some.
const CATCH_UP_MAX: Duration = Duration::from_secs(60);
const CATCH_UP_LOOK: Duration = Duration::from_millis(50);
const READY_FILE: &str = "ready.json";
const LOG: &str = "serve.log";

/// How to start one.
#[derive(Debug, Clone)]
pub struct Launch {
    /// The binary.
    pub program: PathBuf,
    /// Its working folder, with its `outlast.toml` or the trial's `outlast-data`.
    pub dir: PathBuf,
    /// What is added to its environment.
    pub envs: Vec<(String, String)>,
}

impl Launch {
    pub fn new(program: &Path, dir: &Path) -> Launch {
        Launch { program: program.to_owned(), dir: dir.to_owned(), envs: Vec::new() }
    }

    /// `serve` on free ports; not waited for.
    ///
    /// # Errors
    /// The program cannot be started; in words.
    pub fn spawn(&self) -> Result<Starting, String> {
        let words = |error: std::io::Error| format!("{} cannot be started: {error}", self.program.display());
        let log = File::options().create(true).append(true).open(self.dir.join(LOG)).map_err(words)?;
        let mut command = Command::new(&self.program);
        command
            .current_dir(&self.dir)
            .args(["serve", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", "--ready-file", READY_FILE])
            .env_remove("OUTLAST_CONFIG")
            .envs(self.envs.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log);
        let process = Process::spawn(&mut command).map_err(words)?;
        Ok(Starting { process, dir: self.dir.clone() })
    }

    /// Started, and ready for requests.
    ///
    /// # Errors
    /// It ends or hangs before; in words, with its log.
    pub async fn start(&self) -> Result<Gateway, String> {
        self.spawn()?.ready().await
    }

    /// The command of this program that reads every byte of every copy of this bucket and holds it against the ledger, as its
    /// user runs it beside the gateway.
    ///
    /// # Errors
    /// It does not end with 0: all that it said.
    pub async fn verify_deep(&self, bucket: &str) -> Result<(), String> {
        let mut command = Command::new(&self.program);
        command
            .current_dir(&self.dir)
            .args(["verify", bucket, "--deep"])
            .env_remove("OUTLAST_CONFIG")
            .envs(self.envs.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null());
        let ended = tokio::task::spawn_blocking(move || command.output()).await.map_err(|error| error.to_string())?;
        let output = ended.map_err(|error| format!("{} cannot be started: {error}", self.program.display()))?;
        if output.status.success() {
            return Ok(());
        }
        let (said, why) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        Err(format!("`verify {bucket} --deep` ended with {}:\n{said}{why}", output.status))
    }
}

/// Not ready yet. Dropped, it is killed.
#[derive(Debug)]
pub struct Starting {
    process: Process,
    dir: PathBuf,
}

impl Starting {
    /// Waits for its greeting.
    ///
    /// # Errors
    /// It ends or hangs before; in words, with its log.
    pub async fn ready(mut self) -> Result<Gateway, String> {
        let stdout = self.process.0.stdout.take().ok_or("stdout is piped once")?;
        let (said, said_in_time) = tokio::sync::oneshot::channel();
        // A thread of its own, to the end: a full pipe must never hold the gateway up.
        std::thread::spawn(move || {
            let mut lines = BufReader::new(stdout);
            let mut greeting = String::new();
            let read = lines.read_line(&mut greeting).unwrap_or(0);
            // The one who asked may have gone.
            said.send(read > 0).ok();
            lines.read_to_string(&mut greeting).ok();
        });
        let ready = matches!(timeout(START_WAIT, said_in_time).await, Ok(Ok(true)));
        let path = self.dir.join(READY_FILE);
        let told: Option<Value> = fs::read(&path).ok().and_then(|text| serde_json::from_slice(&text).ok());
        let Some(told) = told.filter(|_| ready) else {
            return Err(format!("`serve` did not become ready:\n{}", tail(&self.dir.join(LOG))));
        };
        let text = |name: &str| told[name].as_str().unwrap_or_default().to_owned();
        let s3 = text("s3").trim_start_matches("http://").to_owned();
        Ok(Gateway { s3, admin: text("admin"), process: self.process, dir: self.dir })
    }
}

/// A running gateway. Dropped, it is killed.
#[derive(Debug)]
pub struct Gateway {
    /// `127.0.0.1:PORT`
    pub s3: String,
    pub admin: String,
    pub(crate) process: Process,
    dir: PathBuf,
}

impl Gateway {
    pub fn pid(&self) -> u32 {
        self.process.0.id()
    }

    /// SIGKILL, waited for: when this returns, none of its calls goes on.
    pub fn kill(self) {
        drop(self);
    }

    /// To this process, and to no other.
    ///
    /// # Errors
    /// It is gone.
    pub fn signal(&self, signal: Signal) -> Result<(), String> {
        self.process.signal(signal)
    }

    /// Its `/status.json`.
    ///
    /// # Errors
    /// It does not answer, or not in JSON.
    pub async fn status(&self) -> Result<Value, String> {
        let answer = self.ask_status().await?;
        serde_json::from_slice(&answer.body).map_err(|error| format!("/status.json is not JSON: {error}"))
    }

    async fn ask_status(&self) -> Result<Answer, String> {
        let nobody = Arc::new(Account { access_key: String::new(), secret_key: String::new() });
        let answer = Connection::new(&self.admin, &nobody).ask(Ask::get("status.json", "")).await;
        answer.map_err(|lost| format!("/status.json: {lost}"))
    }

    /// By how many seconds its wall clock is ahead of ours, as the dates of its answers say.
    ///
    /// # Errors
    /// It does not answer, or without a date.
    pub(crate) async fn clock_ahead(&self) -> Result<i64, String> {
        let answer = self.ask_status().await?;
        let date = answer.headers.get("date").and_then(|date| date.to_str().ok()).unwrap_or_default();
        let theirs = OffsetDateTime::parse(date, &Rfc2822).map_err(|error| format!("Date {date:?}: {error}"))?;
        Ok((theirs - OffsetDateTime::now_utc()).whole_seconds())
    }

    /// Asks it to end, and waits until it has.
    ///
    /// # Errors
    /// It is gone already, or ends with a failure.
    pub async fn end(mut self, signal: Signal) -> Result<(), String> {
        self.signal(signal)?;
        let ended =
            tokio::task::spawn_blocking(move || self.process.0.wait()).await.map_err(|error| error.to_string())?;
        match ended {
            Ok(status) if status.success() => Ok(()),
            Ok(status) => Err(format!("the gateway ended with {status}")),
            Err(error) => Err(format!("the gateway cannot be waited for: {error}")),
        }
    }

    /// Waits until nothing is owed, undecided, marked or spooled.
    ///
    /// # Errors
    /// It does not come to that; in words, with its status.
    pub async fn caught_up(&self) -> Result<(), String> {
        self.caught_up_within(CATCH_UP_MAX).await
    }

    /// The same, after what takes longer.
    ///
    /// # Errors
    /// It does not come to that; in words, with its status.
    pub(crate) async fn caught_up_within(&self, max: Duration) -> Result<(), String> {
        let begun = Instant::now();
        loop {
            let status = self.status().await?;
            let number = |value: &Value| value.as_u64().unwrap_or(u64::MAX);
            let stores = status["stores"].as_array().cloned().unwrap_or_default();
            let owed = |store: &Value| number(&store["owed_objects"]).max(number(&store["marks"]));
            let left = [number(&status["undecided"]), number(&status["spool"]["objects"])];
            if left.into_iter().chain(stores.iter().map(owed)).all(|count| count == 0) && !stores.is_empty() {
                return Ok(());
            }
            if begun.elapsed() > max {
                return Err(format!("not caught up after {} s: {status}", max.as_secs()));
            }
            sleep(CATCH_UP_LOOK).await;
        }
    }

    /// The end of its log, earlier starts in this folder included.
    pub fn log(&self) -> String {
        tail(&self.dir.join(LOG))
    }
}

/// The last lines of a log: what a person reads first.
pub(crate) fn tail(path: &Path) -> String {
    const LINES: usize = 60;
    let text = fs::read_to_string(path).unwrap_or_else(|error| format!("({}: {error})", path.display()));
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(LINES)..].join("\n")
}

/// Where a gateway logs.
pub(crate) fn log_of(dir: &Path) -> PathBuf {
    dir.join(LOG)
}
