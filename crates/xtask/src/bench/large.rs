//! 64 MiB bodies: how fast they go through, and what they cost.

use outlast_drive::{Ask, BodyId, Outgoing, bytes_of};
use tokio::time::Instant;

use super::process::cpu_seconds;
use super::report::{Goal, Report};
use super::scene::{BUCKET, Scene, good};

const MIB: u64 = 1024 * 1024;
const SIZE: u64 = 64 * MIB;
const GIB: f64 = 1024.0 * 1024.0 * 1024.0;

/// Seconds per body, CPU seconds of all processes of the way, and of the first of them alone.
#[derive(Clone, Default)]
struct Found {
    seconds: Vec<f64>,
    all_cpu: f64,
    own_cpu: f64,
}

impl Found {
    /// MiB per second, of the median body.
    fn speed(&self) -> f64 {
        let mut sorted = self.seconds.clone();
        sorted.sort_by(f64::total_cmp);
        sorted.get(sorted.len() / 2).map_or(0.0, |seconds| SIZE as f64 / MIB as f64 / seconds)
    }

    fn per_gib(&self, cpu: f64) -> f64 {
        cpu * GIB / (SIZE as f64 * self.seconds.len().max(1) as f64)
    }

    fn words(&self) -> String {
        let (all, own) = (self.per_gib(self.all_cpu), self.per_gib(self.own_cpu));
        format!("{:.0} MiB/s, CPU s/GiB: {own:.2} itself, {all:.2} with what is behind it", self.speed())
    }
}

pub async fn measure(scene: &Scene, quick: bool, report: &mut Report) -> Result<(), String> {
    let turns = if quick { 2 } else { 10 };
    let puts = puts(scene, turns).await?;
    let gets = gets(scene, turns).await?;
    for (way, (put, get)) in scene.ways().iter().zip(puts.iter().zip(&gets)) {
        report.figure("GET 64 MiB", way.name, get.words());
        report.figure("PUT 64 MiB", way.name, put.words());
    }
    let ratio = gets[2].speed() / gets[1].speed();
    report.goal(Goal {
        what: "GET 64 MiB, every block checked, against nginx",
        wanted: "at least 0.9 ×".into(),
        got: format!("{ratio:.2} × (nginx {:.2} × direct)", gets[1].speed() / gets[0].speed()),
        met: ratio >= 0.9,
    });
    for (way, what) in [(2, "PUT 64 MiB to three stores, CPU"), (3, "PUT 64 MiB to three disks, CPU")] {
        let own = puts[way].per_gib(puts[way].own_cpu);
        report.goal(Goal { what, wanted: "at most 3 s/GiB".into(), got: format!("{own:.2} s/GiB"), met: own <= 3.0 });
    }
    Ok(())
}

async fn puts(scene: &Scene, turns: usize) -> Result<Vec<Found>, String> {
    let ways = scene.ways();
    let mut found = vec![Found::default(); ways.len()];
    let body = bytes_of(BodyId::new(64, SIZE));
    // As a client would send it, in pieces of a usual buffer.
    let pieces: Vec<_> = (0..SIZE as usize).step_by(MIB as usize).map(|at| body.slice(at..at + MIB as usize)).collect();
    for turn in 0..=turns {
        for (number, (way, found)) in ways.iter().zip(&mut found).enumerate() {
            let mut connection = scene.connection(&way.address);
            let key = if turn == 0 { "large/first".to_owned() } else { format!("large/put-{number}") };
            // nginx and direct write to one store, which is another writer for Outlast: keys of its own.
            let key = if number < 2 { format!("beside/{key}") } else { key };
            let (all, own) = (cpu_seconds(&way.pids), cpu_seconds(&way.pids[..1]));
            let begun = Instant::now();
            good(&mut connection, Ask::put(BUCKET, &key, Outgoing::pieces(pieces.iter().cloned()))).await?;
            if turn > 0 {
                found.seconds.push(begun.elapsed().as_secs_f64());
            }
            // The third store may still be writing: its work belongs to this body.
            scene.caught_up().await?;
            if turn > 0 {
                found.all_cpu += cpu_seconds(&way.pids) - all;
                found.own_cpu += cpu_seconds(&way.pids[..1]) - own;
            }
        }
    }
    Ok(found)
}

async fn gets(scene: &Scene, turns: usize) -> Result<Vec<Found>, String> {
    let ways = scene.ways();
    let mut found = vec![Found::default(); ways.len()];
    for turn in 0..=turns {
        for (way, found) in ways.iter().zip(&mut found) {
            let mut connection = scene.connection(&way.address);
            let request = connection.prepare(Ask::get(BUCKET, "large/first"));
            connection.connect().await.map_err(|lost| format!("GET: {lost}"))?;
            let (all, own) = (cpu_seconds(&way.pids), cpu_seconds(&way.pids[..1]));
            let begun = Instant::now();
            let bytes = connection.drain(request, None).await.map_err(|lost| format!("GET 64 MiB: {lost}"))?;
            if bytes != SIZE {
                return Err(format!("GET 64 MiB through {}: {bytes} bytes", way.name));
            }
            if turn > 0 {
                found.seconds.push(begun.elapsed().as_secs_f64());
                found.all_cpu += cpu_seconds(&way.pids) - all;
                found.own_cpu += cpu_seconds(&way.pids[..1]) - own;
            }
        }
    }
    Ok(found)
}
