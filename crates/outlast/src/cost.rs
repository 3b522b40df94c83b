//! What our own requests cost a month: counted from what the gateway sends by itself, priced by a small table or by the
//! configuration. An estimate, and said so.

use crate::config::{Price, duration_text};
use outlast_store::Limits;
use serde::Serialize;

/// 365.25 / 12 days.
const SECONDS_PER_MONTH: f64 = 2_629_800.0;
/// A canary writes and lists: both are billed as writes.
const CANARY_PUTS: f64 = 1.0;
/// The store's identity before it, and the canary read back. Removing is free with every vendor of the table.
const CANARY_READS: f64 = 2.0;
/// The epoch is read so often, whatever the canary does (protocol.md 7).
const EPOCH_EVERY_S: f64 = 30.0;
/// Where the configuration says nothing (protocol.md 6).
const CANARY_METERED_MS: u64 = 60_000;

/// US dollars per 1,000 requests, and the vendor's page that decides. As of 2026-11; the configuration's `price` wins.
struct Known {
    host_ends_with: &'static str,
    write_per_1000: f64,
    read_per_1000: f64,
    source: &'static str,
}

const KNOWN: [Known; 2] = [
    Known {
        host_ends_with: ".amazonaws.com",
        write_per_1000: 0.005,
        read_per_1000: 0.0004,
        source: "aws.amazon.com/s3/pricing, S3 Standard, us-east-1",
    },
    Known {
        host_ends_with: ".r2.cloudflarestorage.com",
        write_per_1000: 0.0045,
        read_per_1000: 0.00036,
        source: "developers.cloudflare.com/r2/pricing, beyond the free requests",
    },
];

/// Requests a month that nobody asked for but us, and their price where it is known.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Cost {
    pub writes_per_month: u64,
    pub reads_per_month: u64,
    pub dollars_per_month: Option<f64>,
    /// How it was counted, in words.
    pub words: String,
}

/// None: requests to this store cost nothing.
pub fn monthly(limits: &Limits, endpoint: &str, price: &Price, canary_every_ms: Option<u64>) -> Option<Cost> {
    if !limits.metered {
        return None;
    }
    let every_ms = canary_every_ms.unwrap_or(CANARY_METERED_MS);
    let rounds = SECONDS_PER_MONTH * 1000.0 / every_ms as f64;
    let writes = rounds * (CANARY_PUTS + requests_per_list(limits));
    let reads = rounds * CANARY_READS + SECONDS_PER_MONTH / EPOCH_EVERY_S;
    let known = KNOWN.iter().find(|known| host(endpoint).ends_with(known.host_ends_with));
    let write = price.write_per_1000.or(known.map(|known| known.write_per_1000));
    let read = price.read_per_1000.or(known.map(|known| known.read_per_1000));
    let dollars = write.zip(read).map(|(write, read)| (writes * write + reads * read) / 1000.0);
    let source = match (price.write_per_1000.is_some() || price.read_per_1000.is_some(), known) {
        (true, _) => "price of the configuration".to_owned(),
        (false, Some(known)) => known.source.to_owned(),
        (false, None) => "price not known: set price = { write_per_1000 = …, read_per_1000 = … }".to_owned(),
    };
    let amount = dollars.map_or("unknown".to_owned(), |dollars| format!("about ${dollars:.2}"));
    let lists = match requests_per_list(limits) {
        1.0 => "one LIST".to_owned(),
        more => format!("{more:.0} LISTs"),
    };
    let words = format!(
        "{amount} a month for our own requests: a canary every {}, {writes:.0} writes and {reads:.0} reads; beside \
         it {lists} a day for every 1,000 objects, to compare its listing, and what is written of the ledger when objects \
         change ({source})",
        duration_text(every_ms)
    );
    Some(Cost { writes_per_month: writes as u64, reads_per_month: reads as u64, dollars_per_month: dollars, words })
}

/// On Azure a listing is merged from three, on Google Cloud Storage from two.
fn requests_per_list(limits: &Limits) -> f64 {
    match limits.kind {
        "azure" => 3.0,
        "gcs" => 2.0,
        _ => 1.0,
    }
}

fn host(endpoint: &str) -> &str {
    let rest = endpoint.split_once("://").map_or(endpoint, |(_, rest)| rest);
    rest.split([':', '/']).next().unwrap_or(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(metered: bool) -> Limits {
        Limits {
            kind: "s3",
            metadata_bytes_max: 2048,
            put_bytes_max: 5 << 30,
            part_bytes_min: 5 << 20,
            part_bytes_max: 5 << 30,
            parts_max: 10_000,
            parts_alike: false,
            copy_bytes_max: 5 << 30,
            never_given_up: false,
            etag_is_md5: true,
            metered,
        }
    }

    #[test]
    fn costs() {
        let check = |endpoint: &str, price: Price, every: Option<u64>, want: Option<Option<&str>>| {
            let cost = monthly(&limits(true), endpoint, &price, every);
            let said = cost.map(|cost| cost.dollars_per_month.map(|dollars| format!("{dollars:.2}")));
            assert_eq!(said, want.map(|want| want.map(str::to_owned)), "{endpoint}");
        };
        let none = Price::default;
        check("https://s3.eu-west-1.amazonaws.com", none(), None, Some(Some("0.51")));
        check("https://x.r2.cloudflarestorage.com:443", none(), Some(600_000), Some(Some("0.07")));
        check("https://s3.example.com", none(), None, Some(None));
        let set = Price { write_per_1000: Some(1.0), read_per_1000: Some(0.0), egress_per_gib: None };
        check("https://s3.example.com", set, None, Some(Some("87.66")));
        let azure = Limits { kind: "azure", ..limits(true) };
        let price = Price { write_per_1000: Some(1.0), read_per_1000: Some(0.0), egress_per_gib: None };
        let cost = monthly(&azure, "https://acme.blob.core.windows.net", &price, None).expect("metered");
        assert_eq!(cost.writes_per_month, 2 * 87_660);
        assert_eq!(monthly(&limits(false), "http://127.0.0.1:1", &none(), None), None);
    }
}
