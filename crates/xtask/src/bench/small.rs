//! 4 KiB bodies: what one request takes, and how many go through at once.

use std::time::Duration;

use outlast_drive::{Ask, BodyId, Connection, bytes_of};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::figures::Times;
use super::machine;
use super::process::cpu_seconds;
use super::report::{Goal, Report};
use super::scene::{BUCKET, Scene, Way, good};

const SIZE: u64 = 4096;
/// Enough that no store answers from one hot key alone.
const KEYS: usize = 64;
/// Requests of one way before the next has its turn.
const TURN: usize = 50;
const CONNECTIONS: usize = 16;
const ROUND: Duration = Duration::from_secs(2);

pub async fn measure(scene: &Scene, quick: bool, report: &mut Report) -> Result<(), String> {
    let ways = scene.ways();
    fill(scene, &ways).await?;
    let turns = if quick { 8 } else { 60 };
    let gets = gets(scene, &ways, turns).await?;
    for (way, (times, cpu)) in ways.iter().zip(&gets) {
        report.times("GET 4 KiB, one connection", way.name, times, Some(*cpu));
    }
    let (nginx, outlast) = (gets[1].0.median(), gets[2].0.median());
    report.goal(Goal {
        what: "GET 4 KiB, median against nginx's",
        wanted: "at most 1.3 ×".into(),
        got: format!("{:.2} × ({outlast:.0} µs against {nginx:.0} µs)", outlast / nginx),
        met: outlast <= 1.3 * nginx,
    });
    puts(scene, turns, report).await?;
    many(scene, &ways, if quick { 1 } else { 3 }, report).await
}

async fn fill(scene: &Scene, ways: &[Way]) -> Result<(), String> {
    // What Outlast writes lies under its plain name on each store: the other ways read the very same objects.
    for address in [&ways[2].address, &ways[3].address] {
        let mut connection = scene.connection(address);
        for number in 0..KEYS {
            let body = bytes_of(BodyId::new(number as u64, SIZE));
            good(&mut connection, Ask::put(BUCKET, &format!("small/{number}"), body)).await?;
        }
    }
    scene.caught_up().await
}

/// Per way the times, and the CPU seconds of all its processes per 1,000 requests.
async fn gets(scene: &Scene, ways: &[Way; 4], turns: usize) -> Result<Vec<(Times, f64)>, String> {
    let mut connections: Vec<Connection> = ways.iter().map(|way| scene.connection(&way.address)).collect();
    let mut found = vec![(Times::default(), 0.0); ways.len()];
    for turn in 0..=turns {
        for (way, (connection, (times, cpu))) in ways.iter().zip(connections.iter_mut().zip(&mut found)) {
            let before = cpu_seconds(&way.pids);
            for number in 0..TURN {
                let key = format!("small/{}", (turn * TURN + number) % KEYS);
                let took = timed(connection, Ask::get(BUCKET, &key)).await?;
                // The first turn opens connections and warms caches.
                if turn > 0 {
                    times.add(took);
                }
            }
            if turn > 0 {
                *cpu += cpu_seconds(&way.pids) - before;
            }
        }
    }
    for (times, cpu) in &mut found {
        *cpu *= 1_000.0 / times.count() as f64;
    }
    Ok(found)
}

/// Signed before the clock starts.
async fn timed(connection: &mut Connection, ask: Ask) -> Result<Duration, String> {
    let words = ask.words();
    let request = connection.prepare(ask);
    connection.connect().await.map_err(|lost| format!("{words}: {lost}"))?;
    let begun = Instant::now();
    let answer = connection.exchange(request).await.map_err(|lost| format!("{words}: {lost}"))?;
    let took = begun.elapsed();
    if answer.is_good() { Ok(took) } else { Err(format!("{words}: {} {}", answer.status, answer.text())) }
}

async fn puts(scene: &Scene, turns: usize, report: &mut Report) -> Result<(), String> {
    const NAMES: [&str; 5] = ["store one", "store two", "store three", "outlast", "outlast, 3 disks"];
    let addresses: Vec<&str> = scene
        .stores
        .iter()
        .map(|store| store.s3.as_str())
        .chain([scene.outlast().s3.as_str(), scene.disks.s3.as_str()])
        .collect();
    let pids: Vec<Vec<u32>> = {
        let stores: Vec<u32> = scene.stores.iter().map(|store| store.pid()).collect();
        let all = [&[scene.outlast().pid()], stores.as_slice()].concat();
        stores.iter().map(|pid| vec![*pid]).chain([all, vec![scene.disks.pid()]]).collect()
    };
    let mut connections: Vec<Connection> = addresses.iter().map(|address| scene.connection(address)).collect();
    let mut found = vec![(Times::default(), 0.0); NAMES.len()];
    let mut fsyncs = Times::default();
    for turn in 0..=turns {
        for (way, connection) in connections.iter_mut().enumerate() {
            let before = cpu_seconds(&pids[way]);
            for number in 0..TURN / 2 {
                let body = bytes_of(BodyId::new((turn * TURN + number) as u64, SIZE));
                // Keys of its own: a store that was written to directly must not look like a foreign writer.
                let key = format!("put-{way}/{turn}/{number}");
                let took = timed(connection, Ask::put(BUCKET, &key, body)).await?;
                if turn > 0 {
                    found[way].0.add(took);
                }
            }
            if turn > 0 {
                found[way].1 += cpu_seconds(&pids[way]) - before;
            }
        }
        machine::fsyncs(&scene.dir, 5, &mut fsyncs)?;
    }
    for (name, (times, cpu)) in NAMES.iter().zip(&found) {
        report.times("PUT 4 KiB, one connection", name, times, Some(cpu * 1_000.0 / times.count() as f64));
    }
    report.times("fdatasync of 4 KiB", "this disk", &fsyncs, None);
    let mut own: Vec<f64> = found[..3].iter().map(|(times, _)| times.median()).collect();
    own.sort_by(f64::total_cmp);
    let allowed = 1.5 * own[1] + 2.0 * fsyncs.median();
    let got = found[3].0.median();
    report.goal(Goal {
        what: "PUT 4 KiB, two of three stores",
        wanted: format!("at most 1.5 × {:.0} µs (the second-fastest store's own) + 2 fsyncs = {allowed:.0} µs", own[1]),
        got: format!("{got:.0} µs = {:.2} × the store's own", got / own[1]),
        met: got <= allowed,
    });
    Ok(())
}

/// Several connections at once, one way after the other.
async fn many(scene: &Scene, ways: &[Way; 4], rounds: usize, report: &mut Report) -> Result<(), String> {
    let mut counts = vec![0_u64; ways.len()];
    for _ in 0..rounds {
        for (way, count) in ways.iter().zip(&mut counts) {
            let end = Instant::now() + ROUND;
            let mut clients = JoinSet::new();
            for client in 0..CONNECTIONS {
                let mut connection = scene.connection(&way.address);
                clients.spawn(async move {
                    let mut done = 0;
                    while Instant::now() < end {
                        timed(&mut connection, Ask::get(BUCKET, &format!("small/{}", (client + done) % KEYS))).await?;
                        done += 1;
                    }
                    Ok::<usize, String>(done)
                });
            }
            while let Some(done) = clients.join_next().await {
                *count += done.map_err(|error| error.to_string())?? as u64;
            }
        }
    }
    let seconds = ROUND.as_secs_f64() * rounds as f64;
    for (way, count) in ways.iter().zip(counts) {
        let per_second = count as f64 / seconds;
        report.figure(
            &format!("GET 4 KiB, {CONNECTIONS} connections"),
            way.name,
            format!("{per_second:.0} requests/s"),
        );
    }
    Ok(())
}
