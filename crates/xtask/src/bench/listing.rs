//! A page of 1,000 keys out of a small and a large bucket: LIST must not feel how much there is.

use std::path::Path;

use outlast_drive::{Ask, Launch};
use rustix::process::Signal;
use tokio::time::Instant;

use super::figures::Times;
use super::report::{Goal, Report};
use super::scene::{account, make_bucket, start_store};
use crate::stages::run_command;
use crate::workspace;

const BUCKETS: [(&str, u64); 2] = [("small-bucket", 10_000), ("large-bucket", 1_000_000)];
const PAGE: u64 = 1_000;

pub async fn measure(program: &Path, dir: &Path, quick: bool, report: &mut Report) -> Result<(), String> {
    let (gateway, account) = (start_store(program, dir).await?, account());
    for (bucket, _) in BUCKETS {
        make_bucket(&gateway.s3, &account, bucket).await?;
    }
    gateway.end(Signal::TERM).await?;
    let ledger = dir.join("outlast-data/ledger");
    for (bucket, keys) in BUCKETS {
        fill(&ledger, bucket, keys)?;
    }
    let gateway = Launch::new(program, dir).start().await?;
    let mut connection = outlast_drive::Connection::new(&gateway.s3, &account);
    let mut found = [Times::default(), Times::default()];
    let pages = if quick { 40 } else { 400 };
    for page in 0..pages + 10 {
        for ((bucket, keys), times) in BUCKETS.iter().zip(&mut found) {
            // Spread over the whole bucket, by a step that shares no factor with it.
            let after = (page * 7_919 * (keys / 10_000)) % (keys - PAGE);
            let ask = Ask::list(bucket).with("start-after", key(after));
            let request = connection.prepare(ask);
            connection.connect().await.map_err(|lost| lost.to_string())?;
            let begun = Instant::now();
            let answer = connection.exchange(request).await.map_err(|lost| format!("LIST {bucket}: {lost}"))?;
            let took = begun.elapsed();
            let keys = answer.text().matches("<Key>").count() as u64;
            if keys != PAGE {
                return Err(format!("LIST {bucket} after {after}: {} with {keys} keys", answer.status));
            }
            // The first pages fill caches.
            if page >= 10 {
                times.add(took);
            }
        }
    }
    for ((bucket, _), times) in BUCKETS.iter().zip(&found) {
        report.times("LIST, a page of 1,000", bucket, times, None);
    }
    let (small, large) = (found[0].median(), found[1].median());
    report.goal(Goal {
        what: "LIST of 1,000 out of 1,000,000 against out of 10,000, median",
        wanted: "at most 1.2 ×".into(),
        got: format!("{:.2} × ({large:.0} µs against {small:.0} µs)", large / small),
        met: large <= 1.2 * small,
    });
    Ok(())
}

/// As the ledger's example `fill` names them.
fn key(number: u64) -> String {
    format!("customer-{:04}/object-{number:08}", number / 1_000)
}

/// LIST comes from the ledger alone, so its entries are enough: a million bodies would measure the disk.
fn fill(ledger: &Path, bucket: &str, keys: u64) -> Result<(), String> {
    let mut command = workspace::cargo_compiling(&["run", "--release", "-p", "outlast-ledger", "--example", "fill"]);
    command.arg("--").arg(ledger).arg(bucket).arg(keys.to_string());
    run_command(&mut command)
}
