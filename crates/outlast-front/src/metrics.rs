//! What is counted about requests. The admin address prints it beside the engine's own figures.

use prometheus_client::encoding::{EncodeLabelSet, text::encode_registry};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use std::fmt;
use std::time::Duration;

/// From a page of a listing out of memory to a large body over a slow line.
const SECONDS: [f64; 14] = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 20.0, 120.0];

#[derive(Debug, Clone, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ByStatus {
    operation: String,
    status: u16,
}

#[derive(Debug, Clone, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ByOperation {
    operation: String,
}

/// Labels are s3s's operation names and HTTP status codes only, so that no client can make new ones.
pub struct Metrics {
    registry: Registry,
    requests: Family<ByStatus, Counter>,
    seconds: Family<ByOperation, Histogram>,
    cut: Family<ByOperation, Counter>,
    received: Counter,
    sent: Counter,
    running: Gauge,
}

/// One finished request.
#[derive(Debug, Clone, Copy)]
pub struct Finished<'a> {
    pub operation: &'a str,
    pub status: u16,
    pub took: Duration,
    pub received: u64,
    pub sent: u64,
    /// The answer's body did not come to its end.
    pub cut: bool,
}

impl Default for Metrics {
    fn default() -> Metrics {
        let mut metrics = Metrics {
            registry: Registry::with_prefix("outlast_s3"),
            requests: Family::default(),
            seconds: Family::new_with_constructor(|| Histogram::new(SECONDS)),
            cut: Family::default(),
            received: Counter::default(),
            sent: Counter::default(),
            running: Gauge::default(),
        };
        let registry = &mut metrics.registry;
        registry.register("requests", "Finished requests by operation and status", metrics.requests.clone());
        registry.register("request_seconds", "Time from the head to the last byte", metrics.seconds.clone());
        registry.register("bodies_cut", "Answers whose body did not come to its end", metrics.cut.clone());
        registry.register("received_bytes", "Declared bytes of request bodies", metrics.received.clone());
        registry.register("sent_bytes", "Bytes of answer bodies", metrics.sent.clone());
        registry.register("requests_running", "Requests being served", metrics.running.clone());
        metrics
    }
}

impl Metrics {
    pub fn begin(&self) {
        self.running.inc();
    }

    pub fn finish(&self, done: Finished<'_>) {
        self.running.dec();
        let operation = done.operation.to_owned();
        self.requests.get_or_create(&ByStatus { operation: operation.clone(), status: done.status }).inc();
        let by_operation = ByOperation { operation };
        self.seconds.get_or_create(&by_operation).observe(done.took.as_secs_f64());
        if done.cut {
            self.cut.get_or_create(&by_operation).inc();
        }
        self.received.inc_by(done.received);
        self.sent.inc_by(done.sent);
    }

    /// OpenMetrics text without its end mark.
    pub fn write(&self, text: &mut String) -> fmt::Result {
        encode_registry(text, &self.registry)
    }
}
