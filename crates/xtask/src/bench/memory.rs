//! 64 transfers at once, fast and slow clients, up and down: how much memory Outlast holds at most.

use std::time::Duration;

use bytes::Bytes;
use outlast_drive::{Ask, BodyId, Outgoing, bytes_of};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::process::memory_peak_mib;
use super::report::{Goal, Report};
use super::scene::{BUCKET, Scene, good};

const MIB: u64 = 1024 * 1024;
const TRANSFERS: u64 = 64;
/// One piece each pause: 4 MiB/s, a slow line.
const PIECE: usize = 256 * 1024;
const PAUSE: Duration = Duration::from_millis(64);
/// A slow client's upload takes a minute by itself, and waits for the disks of three stores beside 63 others.
const PATIENCE: Duration = Duration::from_secs(600);
const MEMORY_MIB_MAX: f64 = 256.0;

pub async fn measure(scene: &Scene, quick: bool, report: &mut Report) -> Result<(), String> {
    let size = if quick { 32 * MIB } else { 256 * MIB };
    let piece = bytes_of(BodyId::new(7, PIECE as u64));
    let body = move || -> Vec<Bytes> { (0..size as usize / PIECE).map(|_| piece.clone()).collect() };
    let outlast = scene.outlast();
    let idle = memory_peak_mib(outlast.pid()).unwrap_or_default();
    good(&mut scene.connection(&outlast.s3), Ask::put(BUCKET, "memory/source", Outgoing::pieces(body()))).await?;
    let begun = Instant::now();
    let mut transfers = JoinSet::new();
    for number in 0..TRANSFERS {
        let mut connection = scene.connection(&outlast.s3).patient(PATIENCE);
        let (up, slow) = (number % 2 == 0, number % 4 >= 2);
        let sent = Outgoing::pieces(if up { body() } else { Vec::new() });
        transfers.spawn(async move {
            if up {
                let sent = if slow { sent.slowly(PAUSE) } else { sent };
                return good(&mut connection, Ask::put(BUCKET, &format!("memory/{number}"), sent)).await.map(|_| ());
            }
            let request = connection.prepare(Ask::get(BUCKET, "memory/source"));
            let pause = slow.then_some((PIECE, PAUSE));
            match connection.drain(request, pause).await {
                Ok(bytes) if bytes == size => Ok(()),
                Ok(bytes) => Err(format!("GET: {bytes} bytes of {size}")),
                Err(lost) => Err(format!("GET: {lost}")),
            }
        });
    }
    let mut failed = Vec::new();
    while let Some(ended) = transfers.join_next().await {
        failed.extend(ended.map_err(|error| error.to_string())?.err());
    }
    let peak = memory_peak_mib(outlast.pid()).ok_or("Outlast is gone")?;
    let seconds = begun.elapsed().as_secs_f64();
    let errors =
        if failed.is_empty() { String::new() } else { format!(", {} FAILED, the first: {}", failed.len(), failed[0]) };
    let got = format!(
        "{peak:.0} MiB ({idle:.0} MiB at the start), {seconds:.0} s for {} GiB{errors}",
        TRANSFERS * size / MIB / 1024
    );
    report.goal(Goal {
        what: if quick {
            "Peak memory, 64 transfers of 32 MiB (quick)"
        } else {
            "Peak memory, 64 transfers of 256 MiB"
        },
        wanted: format!("under {MEMORY_MIB_MAX:.0} MiB"),
        met: peak < MEMORY_MIB_MAX && failed.is_empty(),
        got,
    });
    Ok(())
}
