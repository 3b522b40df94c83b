//! What a walk-away proof says, in words; the same whether it was just made or is checked years later.

use crate::config::{count_text, size_text};
use outlast_rules::EjectReport;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// Milliseconds since the Unix epoch as people and file names say it.
pub fn date(ms: u64) -> String {
    let at = OffsetDateTime::from_unix_timestamp(i64::try_from(ms / 1000).unwrap_or(i64::MAX));
    at.ok().and_then(|at| at.format(&Rfc3339).ok()).unwrap_or_else(|| format!("{ms} ms"))
}

pub fn report_words(report: &EjectReport) -> String {
    let EjectReport { bucket, store, place, native_bucket, .. } = report;
    let mut out = String::new();
    for line in &report.lines {
        out.push_str(&format!("{line}\n"));
    }
    let wrong = report.missing + report.differing;
    if wrong > report.lines.len() as u64 {
        out.push_str(&format!("… and {} more\n", wrong - report.lines.len() as u64));
    }
    let all = format!("{}, {}", count_text(report.objects, "object"), size_text(report.bytes));
    let verdict = if report.holds_everything() {
        format!("{store} alone holds all of it")
    } else {
        format!("{store} alone lacks {} and has {} that differ", report.missing, report.differing)
    };
    let times = format!("{} to {}", date(report.began.0), date(report.ended.0));
    out.push_str(&format!("{bucket} on {store} ({place}, bucket {native_bucket}), {times}\n{all}; {verdict}\n"));
    if report.escaped > 0 {
        out.push_str(&format!("of these {} lie under escaped names, as the store's limits ask\n", report.escaped));
    }
    if report.extra > 0 {
        out.push_str(&format!("{} more lie there that are not of this bucket's ledger\n", report.extra));
    }
    out.push_str(&match report.deep {
        true => format!(
            "every byte read: {} compared with their digests, {} that have none yet (adopted, and not scrubbed since)\n",
            count_text(report.read, "object"),
            report.undigested
        ),
        false => "names, sizes and ETags were compared; --deep reads every byte as well\n".to_owned(),
    });
    out.push_str(&format!("SHA-256 of the listing: {}\n", report.listing_sha256));
    if let Some(content) = &report.content_sha256 {
        out.push_str(&format!("SHA-256 of sha256sum's lines: {content}\n"));
    }
    out
}
