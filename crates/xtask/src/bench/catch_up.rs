//! Over lines of 20 ms and 20 MB/s: how fast a store that was away is filled, beside `rclone sync` between the same two stores
//! with as many transfers; how true its time of arrival was, what clients feel of it; and how soon a loss is recognised.

use std::ops::Range;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use outlast_drive::{Account, Ask, BodyId, Connection, Gateway, Launch, bytes_of};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use super::figures::Times;
use super::line::{Line, State};
use super::report::{Goal, Report};
use super::scene::{self, BUCKET, HOME, good, make_bucket, start_store};
use crate::workspace;

/// As many copies at once as catch-up has on its way to one store.
const TRANSFERS: usize = 16;
const MIRROR: &str = "mirror";
const STORES: [&str; 3] = ["one", "two", "three"];
const SMALL: u64 = 16 * 1024;
const LARGE: u64 = 1024 * 1024;
const LOOK: Duration = Duration::from_millis(200);
/// Between two reads of the client that feels what catch-up costs.
const READ_EVERY: Duration = Duration::from_millis(20);
const READS_BEFORE: usize = 300;
/// Of the requests that flow while a store is lost.
const WRITE_EVERY: usize = 5;
const HARD_MAX: Duration = Duration::from_secs(5);
const SILENT_MAX: Duration = Duration::from_secs(30);
/// The longest wait for anything here.
const PATIENCE: Duration = Duration::from_secs(300);

struct Stage {
    account: Arc<Account>,
    /// Dropped, they are killed.
    _stores: Vec<Gateway>,
    lines: Vec<Line>,
    outlast: Gateway,
}

pub async fn measure(program: &Path, dir: &Path, quick: bool, report: &mut Report) -> Result<(), String> {
    let stage = set(program, dir).await?;
    let (small, large) = if quick { (300, 40) } else { (2_000, 300) };
    stage.write_some("seen", 0..64, SMALL).await?;
    stage.outlast.caught_up().await?;
    let alone = stage.reads(READS_BEFORE).await?;
    stage.lines[2].set(State::Cut);
    stage.until(2, "down").await?;
    stage.write_mixed(small, large).await?;
    let filled = stage.fill(report, &alone).await?;
    let synced = rclone(&stage, dir).await?;
    let bytes = (small * SMALL + large * LARGE) as f64;
    report.figure("catch-up of one store", "outlast", rate(bytes, filled));
    report.figure("catch-up of one store", "rclone sync", rate(bytes, synced));
    let share = synced.as_secs_f64() / filled.as_secs_f64();
    report.goal(Goal {
        what: "catch-up against rclone sync with as many transfers",
        wanted: "at least 80 %".into(),
        got: format!("{:.0} %", share * 100.0),
        met: share >= 0.8,
    });
    detection(&stage, report).await
}

fn rate(bytes: f64, took: Duration) -> String {
    format!("{:.1} s, {:.1} MB/s", took.as_secs_f64(), bytes / took.as_secs_f64() / 1e6)
}

async fn set(program: &Path, dir: &Path) -> Result<Stage, String> {
    let account = scene::account();
    let (mut stores, mut lines) = (Vec::new(), Vec::new());
    for name in STORES {
        let store = start_store(program, &dir.join(name)).await?;
        for bucket in [HOME, BUCKET, MIRROR] {
            make_bucket(&store.s3, &account, bucket).await?;
        }
        lines.push(Line::to(&store.s3).await?);
        stores.push(store);
    }
    let upper: String = STORES.iter().zip(&lines).map(|(name, line)| scene::nested(name, &line.address)).collect();
    let outlast_dir = dir.join("outlast");
    std::fs::create_dir_all(&outlast_dir).map_err(|error| error.to_string())?;
    std::fs::write(outlast_dir.join("outlast.toml"), format!("{}{upper}", scene::user()))
        .map_err(|error| error.to_string())?;
    let outlast = Launch::new(program, &outlast_dir).start().await?;
    make_bucket(&outlast.s3, &account, BUCKET).await?;
    Ok(Stage { account, _stores: stores, lines, outlast })
}

impl Stage {
    async fn write_some(&self, folder: &'static str, numbers: Range<u64>, size: u64) -> Result<(), String> {
        let mut writers = JoinSet::new();
        for writer in 0..TRANSFERS as u64 {
            let mut connection = Connection::new(&self.outlast.s3, &self.account);
            let own = (numbers.start + writer..numbers.end).step_by(TRANSFERS);
            writers.spawn(async move {
                for number in own {
                    let body = bytes_of(BodyId::new(number, size));
                    good(&mut connection, Ask::put(BUCKET, &format!("{folder}/{number:05}"), body)).await?;
                }
                Ok::<_, String>(())
            });
        }
        while let Some(done) = writers.join_next().await {
            done.map_err(|error| error.to_string())??;
        }
        Ok(())
    }

    /// Mixed, as a day's writes are.
    async fn write_mixed(&self, small: u64, large: u64) -> Result<(), String> {
        const TURNS: u64 = 20;
        for turn in 0..TURNS {
            let of = |all: u64| all * turn / TURNS..all * (turn + 1) / TURNS;
            self.write_some("small", of(small), SMALL).await?;
            self.write_some("large", of(large), LARGE).await?;
        }
        Ok(())
    }

    async fn store(&self, nth: usize) -> Result<serde_json::Value, String> {
        let mut status = self.outlast.status().await?;
        let name = STORES[nth];
        let stores = status["stores"].as_array_mut().ok_or("no stores in the status")?;
        stores.iter().find(|store| store["name"] == name).cloned().ok_or_else(|| format!("no store {name}"))
    }

    async fn until(&self, nth: usize, standing: &str) -> Result<Duration, String> {
        let began = Instant::now();
        while self.store(nth).await?["standing"] != standing {
            if began.elapsed() > PATIENCE {
                return Err(format!("{} is not {standing} after {} s", STORES[nth], PATIENCE.as_secs()));
            }
            sleep(Duration::from_millis(20)).await;
        }
        Ok(began.elapsed())
    }

    /// What a client's small reads take.
    async fn reads(&self, count: usize) -> Result<Times, String> {
        let mut connection = Connection::new(&self.outlast.s3, &self.account);
        let mut times = Times::default();
        for number in 0..count {
            times.add(read(&mut connection, number).await?);
            sleep(READ_EVERY).await;
        }
        Ok(times)
    }

    /// The store is back: until it has everything, from the first copy on.
    async fn fill(&self, report: &mut Report, alone: &Times) -> Result<Duration, String> {
        let owed = self.store(2).await?["owed_objects"].as_u64().ok_or("owed_objects is no number")?;
        self.lines[2].set(State::Flows);
        let mut connection = Connection::new(&self.outlast.s3, &self.account);
        let (mut began, mut told, mut beside) = (None, Vec::new(), Times::default());
        let (waiting, mut looked, mut number) = (Instant::now(), Instant::now(), 0);
        let ended = loop {
            if waiting.elapsed() > PATIENCE {
                return Err(format!("{} is not filled: {}", STORES[2], self.store(2).await?));
            }
            let took = read(&mut connection, number).await?;
            number += 1;
            if began.is_some() {
                beside.add(took);
            }
            sleep(READ_EVERY).await;
            if looked.elapsed() < LOOK {
                continue;
            }
            looked = Instant::now();
            let store = self.store(2).await?;
            let left = store["owed_objects"].as_u64().unwrap_or(owed);
            if left < owed && began.is_none() {
                began = Some(looked);
            }
            if left == 0 {
                break looked;
            }
            let now = self.outlast.status().await?["now"].as_u64().unwrap_or_default();
            if let Some(arrival) = store["arrival"].as_u64() {
                told.push((looked, Duration::from_millis(arrival.saturating_sub(now))));
            }
        };
        let began = began.ok_or("it was filled before anybody could look")?;
        arrivals(report, began, ended, &told);
        let (quiet, busy) = (alone.median(), beside.median());
        report.goal(Goal {
            what: "median of small reads while a store is filled, against without",
            wanted: "at most 1.2 ×".into(),
            got: format!("{:.2} × ({busy:.0} µs against {quiet:.0} µs, {} reads)", busy / quiet, beside.count()),
            met: busy <= 1.2 * quiet,
        });
        Ok(ended - began)
    }
}

async fn read(connection: &mut Connection, number: usize) -> Result<Duration, String> {
    let request = connection.prepare(Ask::get(BUCKET, &format!("seen/{:05}", number % 64)));
    connection.connect().await.map_err(|lost| lost.to_string())?;
    let began = Instant::now();
    let answer = connection.exchange(request).await.map_err(|lost| format!("GET: {lost}"))?;
    if answer.is_good() { Ok(began.elapsed()) } else { Err(format!("GET: {} {}", answer.status, answer.text())) }
}

/// What was told of the time left, against what it was: over the last nine tenths.
fn arrivals(report: &mut Report, began: Instant, ended: Instant, told: &[(Instant, Duration)]) {
    let from = began + (ended - began) / 10;
    let whole = (ended - began).as_secs_f64();
    let errors: Vec<f64> = told
        .iter()
        .filter(|(at, _)| *at >= from && *at < ended)
        .map(|(at, left)| (left.as_secs_f64() - (ended - *at).as_secs_f64()) / whole)
        .collect();
    let worst = errors.iter().copied().max_by(|a, b| a.abs().total_cmp(&b.abs())).unwrap_or(1.0);
    report.goal(Goal {
        what: "time of arrival, worst error over the last nine tenths, of the whole time",
        wanted: "within ± 20 %".into(),
        got: format!("{:+.0} % in {} looks", worst * 100.0, errors.len()),
        met: !errors.is_empty() && worst.abs() <= 0.2,
    });
}

/// From the first store to the third, over the same lines.
async fn rclone(stage: &Stage, dir: &Path) -> Result<Duration, String> {
    let program = workspace::target_dir().join("tools/rclone/bin/rclone");
    let remote = |name: &str, line: &Line| {
        format!(
            "[{name}]\ntype = s3\nprovider = Other\nendpoint = http://{}\nregion = us-east-1\naccess_key_id = {}\n\
             secret_access_key = {}\n",
            line.address, stage.account.access_key, stage.account.secret_key
        )
    };
    let config = dir.join("rclone.conf");
    let text = remote("from", &stage.lines[0]) + &remote("to", &stage.lines[2]);
    std::fs::write(&config, text).map_err(|error| error.to_string())?;
    let mut command = Command::new(&program);
    command
        .args(["sync", &format!("from:{BUCKET}"), &format!("to:{MIRROR}"), "--retries", "1"])
        .args(["--transfers", &TRANSFERS.to_string(), "--checkers", &TRANSFERS.to_string()])
        // What our own records are is not copied on either side.
        .args(["--exclude", ".outlast/**", "--exclude", "seen/**", "--config"])
        .arg(&config)
        .stdin(Stdio::null());
    let began = Instant::now();
    // The lines run on this runtime: it must not be held up.
    let ended = tokio::task::spawn_blocking(move || command.output()).await.map_err(|error| error.to_string())?;
    let ended = ended.map_err(|error| format!("{}: {error}", program.display()))?;
    if !ended.status.success() {
        return Err(format!("rclone sync: {}", String::from_utf8_lossy(&ended.stderr)));
    }
    Ok(began.elapsed())
}

/// While requests flow: a store that is gone, and one that takes connections and says nothing.
async fn detection(stage: &Stage, report: &mut Report) -> Result<(), String> {
    stage.outlast.caught_up().await?;
    for (what, state, max) in [
        ("a hard loss of a store is recognised", State::Cut, HARD_MAX),
        ("a silent loss of a store is recognised", State::Silent, SILENT_MAX),
    ] {
        stage.until(0, "up").await?;
        let (mut worst, mut number) = (Duration::ZERO, 0);
        stage.lines[0].set(state);
        let began = Instant::now();
        let mut connection = Connection::new(&stage.outlast.s3, &stage.account);
        let found = loop {
            worst = worst.max(read(&mut connection, number).await?);
            // A write calls every store; a read only the one that is the quickest.
            if number % WRITE_EVERY == 0 {
                let body = bytes_of(BodyId::new(number as u64, SMALL));
                good(&mut connection, Ask::put(BUCKET, &format!("flow/{number:05}"), body)).await?;
            }
            number += 1;
            if stage.store(0).await?["standing"] == "down" {
                break began.elapsed();
            }
            if began.elapsed() > PATIENCE {
                return Err(format!("{what}: not after {} s", PATIENCE.as_secs()));
            }
            sleep(READ_EVERY).await;
        };
        stage.lines[0].set(State::Flows);
        report.goal(Goal {
            what,
            wanted: format!("in under {} s", max.as_secs()),
            got: format!(
                "{:.2} s; the longest read meanwhile {:.0} ms",
                found.as_secs_f64(),
                worst.as_secs_f64() * 1e3
            ),
            met: found < max,
        });
    }
    Ok(())
}
