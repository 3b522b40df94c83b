//! The engine's status as figures, built anew for each scrape: a store that is gone from the settings leaves no stale line.

use outlast_engine::{Status, StoreStatus};
use prometheus_client::encoding::{EncodeLabelSet, text::encode_registry};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use std::fmt;
use std::sync::atomic::AtomicU64;

type Whole = Family<OfStore, Gauge>;
type Real = Family<OfStore, Gauge<f64, AtomicU64>>;

#[derive(Debug, Clone, Hash, PartialEq, Eq, EncodeLabelSet)]
struct OfStore {
    store: String,
}

#[derive(Debug, Clone, Hash, PartialEq, Eq, EncodeLabelSet)]
struct OfClass {
    store: String,
    class: String,
    standing: String,
}

#[derive(Debug, Clone, Hash, PartialEq, Eq, EncodeLabelSet)]
struct OfEvent {
    event: String,
}

/// OpenMetrics text without its end mark.
pub fn write(status: &Status, text: &mut String) -> fmt::Result {
    let mut registry = Registry::with_prefix("outlast");
    let one = |registry: &mut Registry, name: &str, help: &str, value: u64| {
        let gauge = Gauge::<i64>::default();
        gauge.set(signed(value));
        registry.register(name, help, gauge);
    };
    one(&mut registry, "epoch", "The life of this ledger; a rebuild begins the next", status.epoch);
    one(&mut registry, "undecided_writes", "Writes that have begun and are not decided", status.undecided);
    one(&mut registry, "spool_objects", "Bodies in the spool", status.spool.objects);
    one(&mut registry, "spool_bytes", "Bytes in the spool", status.spool.bytes);
    one(&mut registry, "spool_max_bytes", "Bytes that the spool may hold", status.spool.max);
    let latched = u64::from(status.spool.latched.is_some());
    one(&mut registry, "spool_latched", "1: an fsync of the spool failed, it stands in for no store", latched);
    one(&mut registry, "trash_objects", "Displaced writes that can still be brought back", status.trash.objects);
    one(&mut registry, "trash_bytes", "Bytes of these, each counted once", status.trash.bytes);
    one(&mut registry, "trash_held_objects", "Of these, kept until somebody releases them", status.trash.held);
    one(&mut registry, "frozen", "1: nothing is removed from any store", u64::from(status.frozen.is_some()));
    shipping(&mut registry, status);
    stores(&mut registry, status);
    let events = Family::<OfEvent, Counter>::default();
    for (event, count) in &status.counters {
        events.get_or_create(&OfEvent { event: event.clone() }).inc_by(*count);
    }
    registry.register("events", "What happened since the start", events);
    encode_registry(text, &registry)
}

fn shipping(registry: &mut Registry, status: &Status) {
    let shipping = &status.shipping;
    let (waiting, lag, age) =
        (Gauge::<i64>::default(), Gauge::<f64, AtomicU64>::default(), Gauge::<f64, AtomicU64>::default());
    waiting.set(signed(shipping.waiting));
    lag.set(shipping.lag_ms as f64 / 1000.0);
    registry.register("ledger_unshipped_rows", "Changes of the ledger that the stores do not know yet", waiting);
    registry.register("ledger_lag_seconds", "How long the stores have not known all of the ledger", lag);
    if let Some(at) = shipping.snapshot {
        age.set(status.now.since_ms(at) as f64 / 1000.0);
        registry.register("ledger_snapshot_age_seconds", "Since the last whole snapshot on the stores was begun", age);
    }
}

fn stores(registry: &mut Registry, status: &Status) {
    let up = Whole::default();
    let standing = Family::<OfClass, Gauge>::default();
    for store in &status.stores {
        up.get_or_create(&of(store)).set(i64::from(store.standing == "up"));
        for (class, (is, _)) in &store.classes {
            let label = OfClass { store: store.name.clone(), class: class.clone(), standing: is.clone() };
            standing.get_or_create(&label).set(1);
        }
    }
    registry.register("store_up", "1: up for every class of operation", up);
    registry.register("store_standing", "The standing of each class of operation", standing);

    type Figure = (&'static str, &'static str, fn(&StoreStatus) -> u64);
    let figures: [Figure; 4] = [
        ("store_owed_objects", "Objects owed to the store", |store| store.owed_objects),
        ("store_owed_bytes", "Bytes owed to the store", |store| store.owed_bytes),
        ("store_marks", "Calls that may still apply", |store| store.marks),
        ("store_drill_faults", "Faults that are set for a drill", |store| store.faults.len() as u64),
    ];
    for (name, help, value) in figures {
        let family = Whole::default();
        for store in &status.stores {
            family.get_or_create(&of(store)).set(signed(value(store)));
        }
        registry.register(name, help, family);
    }

    let (scrubbed, bad) = (Whole::default(), Whole::default());
    for (store, (now, _)) in status.stores.iter().filter_map(|store| Some((store, store.deep_scrub.as_ref()?))) {
        scrubbed.get_or_create(&of(store)).set(signed(now.bytes));
        bad.get_or_create(&of(store)).set(signed(now.bad));
    }
    registry.register("store_deep_scrub_bytes", "Bytes that this round of the deep scrub has read", scrubbed);
    registry.register("store_deep_scrub_bad", "Copies that this round found to be other bytes", bad);

    let (lag, latency, arrival) = (Real::default(), Real::default(), Real::default());
    for store in &status.stores {
        lag.get_or_create(&of(store)).set(store.lag_ms as f64 / 1000.0);
        latency.get_or_create(&of(store)).set(store.latency_ms / 1000.0);
        if let Some(at) = store.arrival {
            arrival.get_or_create(&of(store)).set(at.since_ms(status.now) as f64 / 1000.0);
        }
    }
    registry.register("store_lag_seconds", "Age of the oldest debt", lag);
    registry.register("store_latency_seconds", "Median of the last requests", latency);
    registry.register("store_arrival_seconds", "Until the last debt is paid at today's pace", arrival);
}

fn of(store: &StoreStatus) -> OfStore {
    OfStore { store: store.name.clone() }
}

fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::{Finished, Metrics};
    use outlast_engine::{DeepRound, FaultStatus, ShippingStatus, SpoolStatus, TrashStatus};
    use outlast_rules::Moment;
    use std::collections::{BTreeMap, BTreeSet};
    use std::time::Duration;

    /// One of everything, so that every figure has a line.
    fn full() -> Status {
        let class = ("write".to_owned(), ("down".to_owned(), "refuses writes".to_owned()));
        let store = StoreStatus {
            unprobed: None,
            unfit: None,
            name: "b2".into(),
            place: "eu".into(),
            kind: "s3".into(),
            standing: "down".into(),
            reason: "refuses writes".into(),
            said: None,
            help: None,
            since: Moment(0),
            classes: BTreeMap::from([class]),
            grade: "A".into(),
            probed: None,
            owed_objects: 3,
            owed_bytes: 4096,
            lag_ms: 1500,
            arrival: Some(Moment(60_000)),
            marks: 2,
            leaving: None,
            deep_scrub: Some((DeepRound { bad: 4, ..DeepRound::default() }, None)),
            faults: vec![FaultStatus {
                id: "1".into(),
                store: "b2".into(),
                what: "hang".into(),
                since: Moment(0),
                left_ms: 1,
            }],
            latency_ms: 12.5,
        };
        Status {
            data_dir: String::new(),
            version: "0".into(),
            now: Moment(0),
            epoch: 1,
            ledger: "embedded".into(),
            undecided: 1,
            spool: SpoolStatus { objects: 0, bytes: 0, max: 10, latched: None },
            trash: TrashStatus { objects: 2, bytes: 300, held: 1 },
            shipping: ShippingStatus {
                on: true,
                waiting: 5,
                lag_ms: 2500,
                snapshot: Some(Moment(0)),
                ..ShippingStatus::default()
            },
            frozen: Some(Moment(1)),
            stores: vec![store],
            counters: BTreeMap::from([("reads".to_owned(), 7)]),
        }
    }

    #[test]
    fn each_store_has_its_lines() {
        let mut text = String::new();
        write(&full(), &mut text).expect("a string takes everything");
        for line in [
            r#"outlast_store_up{store="b2"} 0"#,
            r#"outlast_store_standing{store="b2",class="write",standing="down"} 1"#,
            r#"outlast_store_owed_bytes{store="b2"} 4096"#,
            r#"outlast_store_lag_seconds{store="b2"} 1.5"#,
            r#"outlast_store_arrival_seconds{store="b2"} 60.0"#,
            r#"outlast_events_total{event="reads"} 7"#,
            "outlast_undecided_writes 1",
            "outlast_trash_bytes 300",
            r#"outlast_store_deep_scrub_bad{store="b2"} 4"#,
            r#"outlast_store_drill_faults{store="b2"} 1"#,
            "outlast_frozen 1",
            "outlast_ledger_unshipped_rows 5",
            "outlast_ledger_lag_seconds 2.5",
            "outlast_ledger_snapshot_age_seconds 0.0",
        ] {
            assert!(text.contains(line), "{line} is not in\n{text}");
        }
    }

    fn page() -> String {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/STATUS.md");
        std::fs::read_to_string(path).expect("the page is there")
    }

    /// Every name in backquotes of the page's tables, first column only.
    fn told(page: &str) -> BTreeSet<String> {
        let first = page.lines().filter_map(|line| line.strip_prefix("| ")?.split('|').next());
        first.flat_map(|cell| cell.split('`').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>()).collect()
    }

    #[test]
    fn the_page_names_every_metric_and_no_other() {
        let mut text = String::new();
        let metrics = Metrics::default();
        metrics.begin();
        let took = Duration::from_millis(1);
        metrics.finish(Finished { operation: "GetObject", status: 200, took, received: 0, sent: 0, cut: true });
        metrics.write(&mut text).expect("a string takes everything");
        write(&full(), &mut text).expect("a string takes everything");
        let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next());
        let emitted: BTreeSet<String> = types.map(str::to_owned).collect();
        assert!(emitted.len() > 30, "{emitted:?}");
        let told: BTreeSet<String> = told(&page()).into_iter().filter(|name| name.starts_with("outlast_")).collect();
        assert_eq!(told, emitted);
    }

    #[test]
    fn the_page_names_every_field_of_the_status() {
        let names = |value: &serde_json::Value| -> Vec<String> {
            value.as_object().expect("an object").keys().cloned().collect()
        };
        let status = serde_json::to_value(full()).expect("plain data");
        let mut fields = names(&status);
        for part in [&status["spool"], &status["trash"], &status["shipping"], &status["stores"][0]] {
            fields.extend(names(part));
        }
        let told = told(&page());
        for field in fields {
            assert!(told.contains(&field), "docs/STATUS.md does not say what {field} is");
        }
    }
}
